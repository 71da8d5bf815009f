/* shm/last.c - see last.h. */
#include "shm/last.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "shm/row.h"

/* A signal handler knows nothing else. */
static struct row *dying;

static void
died(int number, siginfo_t *info, void *context)
{
	(void)context;
	dying->last.signal = (uint32_t)number;
	if (info->si_code > 0)		/* of the kernel, not of a kill(2) */
		dying->last.address = (uint64_t)(uintptr_t)info->si_addr;
	raise(number);			/* SA_RESETHAND: now it kills */
}

#if !defined(__SANITIZE_ADDRESS__)
/* For the handler of a stack that has no room left. */
static uint8_t stack[16384];
#endif

/* Instrumented builds have handlers of their own, which tell more. */
void
last_open(struct row *r)
{
#if defined(__SANITIZE_ADDRESS__)
	(void)died;
	dying = r;
#else
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
		SIGABRT, SIGSYS };
	struct sigaction a = { .sa_sigaction = died,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND };
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };

	dying = r;
	(void)sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &a, NULL);
#endif
}

void
last_request(struct row *r, const uint8_t *path, size_t len)
{
	struct last *l = &r->last;

	if (len > LAST_REQUEST_BYTES)
		len = LAST_REQUEST_BYTES;
	memcpy(l->request, path, len);
	l->request_len = (uint32_t)len;
	l->turn = count_get(&r->worker[COUNT_WORKER_worker_turns]);
}

void
last_clear(struct row *r)
{
	memset(&r->last, 0, sizeof(r->last));
}

void
last_text(const struct row *r, char *out, size_t out_len)
{
	const struct last *l = &r->last;
	uint64_t turns = count_get(&r->worker[COUNT_WORKER_worker_turns]);
	uint32_t len = l->request_len < LAST_REQUEST_BYTES ? l->request_len :
	    LAST_REQUEST_BYTES;
	int n = 0;

	out[0] = '\0';
	if (l->address != 0)
		n = snprintf(out, out_len, "at address 0x%llx",
		    (unsigned long long)l->address);
	if (len > 0 && n >= 0 && (size_t)n < out_len)
		snprintf(out + n, out_len - (size_t)n, "%sthe last request "
		    "that it began, %s: %.*s", n > 0 ? "; " : "",
		    turns == l->turn ? "in its last turn" : "turns before",
		    (int)len, l->request);
}
