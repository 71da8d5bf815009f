/*
 * xds/ems/rest_answer.c - making an answer, at once or when the store has its
 * own (rest_inside.h).
 *
 *   answer_ask ──> store ──> came ──caller there──> next ──> answer_end
 *                              └─ gone: request_free
 */
#include "xds/ems/rest_inside.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xds/guard.h"

/* ---- texts */

void
answer_put(struct print *p, const char *key, const char *text, size_t n)
{
	char *plain = NULL;

	if (!guard_text((const uint8_t *)text, n) ||
	    memchr(text, '\0', n) != NULL || text[n] != '\0') {
		plain = malloc(n + 1);
		for (size_t i = 0; plain != NULL && i < n; i++)
			plain[i] = text[i] == '\0' ||
			    (unsigned char)text[i] >= 0x80 ? '?' : text[i];
		if (plain != NULL)
			plain[n] = '\0';
		text = plain == NULL ? "?" : plain;
	}
	print_text(p, key, text);
	free(plain);
}

/* ---- answers */

FILE *
answer_text(struct request *q, int status, const char *type)
{
	q->status = status;
	q->type = type;
	q->file = open_memstream(&q->out, &q->out_n);
	if (q->file == NULL)
		answer_text_end(q);
	return q->file;
}

void
answer_text_end(struct request *q)
{
	if (q->file != NULL && fclose(q->file) != 0) {
		free(q->out);		/* send_answer says why */
		q->out = NULL;
	}
	q->file = NULL;
	q->answered = true;
	request_resume(q);
}

struct print *
answer_begin(struct request *q, int status)
{
	if (answer_text(q, status, NULL) == NULL)
		return NULL;
	print_begin(&q->print, q->file, NULL);
	print_open(&q->print, NULL, '{');
	return &q->print;
}

void
answer_end(struct request *q)
{
	print_close(&q->print, '{');
	answer_text_end(q);
}

void
answer_refuse(struct request *q, int status, const char *format, ...)
{
	char why[REST_WHY_BYTES];
	struct print *p;
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	if ((p = answer_begin(q, status)) == NULL)
		return;
	answer_put(p, "error", why, strlen(why));
	answer_end(q);
}

void
answer_store(struct request *q, enum store_result r, const char *why)
{
	static const int status[] = { [STORE_OK] = 200,
	    [STORE_CONFLICT] = 409, [STORE_INVALID] = 400,
	    [STORE_BUSY] = 503, [STORE_FAILED] = 500 };

	answer_refuse(q, status[r], "%s", why);
}

/* ---- waiting */

void
answer_wait(struct request *q)
{
	q->waiting = true;
}

bool
answer_waited(struct request *q)
{
	q->waiting = false;
	/* rest_close let it go, and libmicrohttpd has it no more. */
	if (q->connection == NULL) {
		request_free(q);
		return false;
	}
	return true;
}

static int64_t
now_ns(const struct request *q)
{
	struct sys *s = q->rest->loop->sys;

	return s->now(s->ctx).ns;
}

static void
came(void *arg, const struct store_answer *a)
{
	struct request *q = arg;

	if (!answer_waited(q) || q->answered)
		return;
	if (q->written_ns != 0) {
		q->rest->writes_n++;
		q->rest->writes_ns += (uint64_t)(now_ns(q) - q->written_ns);
		q->written_ns = 0;
	}
	q->next(q, a);
}

void
answer_ask(struct request *q, const struct store_question *question,
    void (*next)(struct request *q, const struct store_answer *a))
{
	q->next = next;
	answer_wait(q);
	if (store_ask(q->rest->store, question, came, q) == 0)
		return;
	q->waiting = false;
	answer_refuse(q, 503, "no memory is left");
}

void
answer_write(struct request *q, const struct store_change *changes, size_t n,
    bool confirmed, const char *why,
    void (*next)(struct request *q, const struct store_answer *a))
{
	struct timespec now;
	struct store_write w = { .changes = changes, .changes_n = n,
	    .who = store_text(q->who), .why = store_text(why) };

	clock_gettime(CLOCK_REALTIME, &now);
	w.when_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	q->next = next;
	q->written_ns = now_ns(q);
	answer_wait(q);
	if (admission_write(q->rest->admission, &w, confirmed, came, q) == 0)
		return;
	q->waiting = false;
	answer_refuse(q, 503, "no memory is left");
}
