/* t/unit/last.c - last words: what a death leaves in the row, and what the
 * keeper reads there; see shm/last.h */
#include "shm/last.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/row.h"

static char why[256];

static struct row *
row_make(void)
{
	int fd = row_new(0, why, sizeof(why));
	struct row *r = row_open(fd, 1, why, sizeof(why));

	cr_assert_not_null(r, "%s", why);
	close(fd);
	return r;
}

static void
request(struct row *r, const char *path)
{
	last_request(r, (const uint8_t *)path, strlen(path));
}

/* ---- the words */

Test(last, text)
{
	static const struct {
		const char	*path;	/* NULL: no request began */
		uint64_t	 address;
		bool		 later;	/* turns passed since then */
		const char	*text;
	} cases[] = {
		{ NULL, 0, false, "" },
		{ "", 0, false, "" },
		{ NULL, 8, false, "at address 0x8" },
		{ "/a.B/C", 0, false, "the last request that it began, in its "
		    "last turn: /a.B/C" },
		{ "/a.B/C", 0, true, "the last request that it began, turns "
		    "before: /a.B/C" },
		{ "/a.B/C", UINT64_MAX, false, "at address "
		    "0xffffffffffffffff; the last request that it began, in "
		    "its last turn: /a.B/C" },
	};
	struct row *r = row_make();
	char text[512], cut[512 + 1] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		last_clear(r);
		if (cases[i].path != NULL)
			request(r, cases[i].path);
		r->last.address = cases[i].address;
		if (cases[i].later)
			count_add(&r->worker[COUNT_WORKER_worker_turns], 1);
		last_text(r, text, sizeof(text));
		cr_assert_str_eq(text, cases[i].text, "case %zu", i);

		/* Any room: cut, ended, and not a byte more. */
		for (size_t n = 1; n <= strlen(text) + 1; n++) {
			memset(cut, 'x', sizeof(cut) - 1);
			last_text(r, cut, n);
			cr_assert_eq(strlen(cut), n - 1, "case %zu, %zu", i,
			    n);
			cr_assert_eq(strncmp(cut, text, n - 1), 0);
			cr_assert_eq(strspn(cut + n, "x"), sizeof(cut) - 1 - n);
		}
	}
	row_close(r);
}

Test(last, a_request_is_cut)
{
	static const size_t lens[] = { 1, LAST_REQUEST_BYTES - 1,
		LAST_REQUEST_BYTES, LAST_REQUEST_BYTES + 1, 4000 };
	struct row *r = row_make();
	char *after = (char *)r + offsetof(struct row, last.request) +
	    LAST_REQUEST_BYTES;
	char path[4001], text[512], *at;
	size_t want;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		memset(path, 'p', sizeof(path));
		path[lens[i]] = '\0';
		want = lens[i] < LAST_REQUEST_BYTES ? lens[i] :
		    LAST_REQUEST_BYTES;
		request(r, path);
		last_text(r, text, sizeof(text));
		at = strstr(text, ": p");
		cr_assert_not_null(at, "%s", text);
		cr_assert_eq(strlen(at + 2), want, "%zu: %s", lens[i], text);
		cr_assert_eq(*after, '\0', "beyond the room");
	}

	/* The row is a dead worker's: its length is not believed. */
	memset(after, 'p', 64);
	r->last.request_len = LAST_REQUEST_BYTES + 8;
	last_text(r, text, sizeof(text));
	cr_assert_eq(strlen(strstr(text, ": p") + 2), LAST_REQUEST_BYTES);
	row_close(r);
}

Test(last, a_birth_clears_it)
{
	static const struct last none;
	struct row *r = row_make();

	request(r, "/a.B/C");
	r->last.address = 8;
	r->last.signal = SIGSEGV;
	count_add(&r->worker[COUNT_WORKER_worker_turns], 1);
	last_clear(r);
	cr_assert_eq(memcmp(&r->last, &none, sizeof(none)), 0);
	cr_assert_eq(count_get(&r->worker[COUNT_WORKER_worker_turns]), 1,
	    "counters go on");
	row_close(r);
}

/* ---- deaths */

static void
die_at_address(void)
{
	*(volatile char *)mmap((void *)0x7000000, 4096, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) = 1;
}

static void
die_by_assert(void)
{
	abort();
}

static void
die_by_another(void)
{
	kill(getpid(), SIGSEGV);
	pause();
}

static void
die_at_once(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

/* Deeper than any stack; the address is where it ends, wherever that is. */
static volatile int deep;

static int
deeper(int n)
{
	volatile char room[4096];

	room[0] = (char)n;
	return deep ? deeper(n + 1) + room[0] : 0;
}

static void
die_of_depth(void)
{
	deep = 1;
	deeper(0);
}

#if defined(__SANITIZE_ADDRESS__)
enum { HANDLERS = 0 };			/* they are the sanitizer's */
#else
enum { HANDLERS = 1 };
#endif

Test(last, deaths)
{
	static const struct {
		const char	*name;
		void		(*die)(void);
		int		 signal;
		uint64_t	 address;	/* 1 = any */
		bool		 caught;
	} cases[] = {
		{ "a bad address", die_at_address, SIGSEGV, 0x7000000, true },
		{ "abort", die_by_assert, SIGABRT, 0, true },
		{ "kill -SEGV", die_by_another, SIGSEGV, 0, true },
		{ "no stack left", die_of_depth, SIGSEGV, 1, true },
		{ "kill -9", die_at_once, SIGKILL, 0, false },
	};
	const struct rlimit no_core = { 0, 0 };
	char text[256];
	int status;
	pid_t pid;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row *r;

		if (cases[i].caught && !HANDLERS)
			continue;
		r = row_make();
		if ((pid = fork()) == 0) {
			setrlimit(RLIMIT_CORE, &no_core);
			last_open(r);
			request(r, "/a.B/C");
			cases[i].die();
			_exit(0);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFSIGNALED(status), "%s: it goes on",
		    cases[i].name);
		cr_assert_eq(WTERMSIG(status), cases[i].signal, "%s: %d",
		    cases[i].name, WTERMSIG(status));
		cr_assert_eq(r->last.signal, (uint32_t)(cases[i].caught ?
		    cases[i].signal : 0), "%s", cases[i].name);
		cr_assert(cases[i].address == 1 || r->last.address ==
		    cases[i].address, "%s: 0x%lx", cases[i].name,
		    (unsigned long)r->last.address);
		last_text(r, text, sizeof(text));
		cr_assert_not_null(strstr(text, "/a.B/C"), "%s: %s",
		    cases[i].name, text);
		row_close(r);
	}
}
