/*
 * worker/io/responder.c - see responder.h.
 *
 *   in[4096]  | answered | a request ... \r\n\r\n | the next ... |
 *   out       | head | body |  written as the socket takes it
 *             | head | piece |, and when it is gone | piece | ... | piece |
 *
 * Invariants
 *   I1  A caller has one answer at a time: while one is being written no
 *       other request is looked at, so that who does not read costs one
 *       answer.
 *   I2  What was read stays in in[] until it is answered; a full in[] without
 *       a whole request is refused.
 *   I3  A caller's deadline runs from its acceptance, and anew from each
 *       answer; it covers reading and writing.
 *   I4  Edges come once (loop.h I1): who stops early, for fairness or because
 *       all seats are taken, comes back by its task or by the next free seat.
 */
#include "worker/io/responder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	CALLERS = 16, REQUEST_BYTES = 4096, REQUEST_MS = 10000,
	REQUESTS_A_TURN = 8, LINES_MAX = 64,
};

struct caller {
	struct source	 source;
	struct task	 again;
	struct timer	 deadline;
	struct responder *responder;
	int		 fd;		/* -1: a free seat */
	bool		 eof;		/* it says no more */
	bool		 last;		/* close after this answer */
	size_t		 in_n;
	char		*out;		/* of open_memstream; NULL: none */
	size_t		 out_n, out_pos;
	struct responder_rest rest;	/* more NULL: out is the last of it */
	bool		 chunked;	/* with rest: HTTP/1.1 */
	char		 in[REQUEST_BYTES];
};

struct responder {
	struct source	 source;
	struct loop	*loop;
	int		 fd;		/* listening; the caller's */
	responder_fn	 answer;
	void		*arg;
	struct caller	 callers[CALLERS];
};

/* A request's head, cut up in place. */
struct request {
	char		*method, *path, *query;
	bool		 keep;		/* the connection stays */
	bool		 old;		/* HTTP/1.0 */
	int		 refused;	/* status; 0 = good */
};

static void	responder_ready(struct source *s, uint32_t events);
static void	caller_ready(struct source *s, uint32_t events);
static void	caller_again(struct task *t);
static void	caller_late(struct timer *t);

/* ---- a request's head (RFC 9112) */

/* The end of the head (behind its empty line), or NULL. Lines may end in LF
 * alone (section 2.2), for people with a terminal. */
static char *
head_end(char *p, size_t n)
{
	char *end = p + n, *lf;

	for (; p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL;
	    p = lf + 1) {
		if (lf + 1 < end && lf[1] == '\n')
			return lf + 2;
		if (lf + 2 < end && lf[1] == '\r' && lf[2] == '\n')
			return lf + 3;
	}
	return NULL;
}

/* Takes a line off the front of *text, without its end. */
static char *
line_take(char **text)
{
	char *line = *text, *lf = strchr(line, '\n');

	*text = lf == NULL ? line + strlen(line) : lf + 1;
	if (lf != NULL) {
		*lf = '\0';
		if (lf > line && lf[-1] == '\r')
			lf[-1] = '\0';
	}
	return line;
}

/* Origin-form, or absolute-form, which a server must take (3.2.2). */
static bool
target_take(struct request *r, char *target)
{
	if (strncasecmp(target, "http://", 7) == 0) {
		target = strchr(target + 7, '/');
		if (target == NULL)
			return false;
	}
	if (target[0] != '/')
		return false;
	for (const char *p = target; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	r->path = target;
	r->query = target + strcspn(target, "?");
	if (*r->query == '?')
		*r->query++ = '\0';
	return true;
}

static void
request_line(struct request *r, char *line)
{
	char *target = strchr(line, ' '), *version;

	r->refused = 400;
	if (target == NULL)
		return;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (version == NULL)
		return;
	*version++ = '\0';
	r->method = line;
	if (strncmp(version, "HTTP/1.", 7) != 0) {
		r->refused = 505;
		return;
	}
	r->old = strcmp(version, "HTTP/1.0") == 0;
	r->keep = !r->old;
	if (strcmp(r->method, "GET") != 0)
		r->refused = 405;
	else if (target_take(r, target))
		r->refused = 0;
}

/* One of the fields that matter. A body is refused: it would be read as the
 * next request (section 6.3). */
static bool
field(struct request *r, char *line, bool *host)
{
	char *colon = strchr(line, ':'), *value;

	if (colon == NULL || colon == line)
		return false;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	if (strcasecmp(line, "Host") == 0)
		*host = true;
	else if (strcasecmp(line, "Connection") == 0) {
		if (strcasestr(value, "close") != NULL)
			r->keep = false;
		else if (strcasestr(value, "keep-alive") != NULL)
			r->keep = true;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0)
		return false;
	else if (strcasecmp(line, "Content-Length") == 0)
		return strcmp(value, "0") == 0;
	return true;
}

/* head ends in NUL. */
static void
request_read(struct request *r, char *head)
{
	bool host = false;
	char *line;
	int n = 0;

	memset(r, 0, sizeof(*r));
	request_line(r, line_take(&head));
	if (r->refused != 0)
		return;
	while (*(line = line_take(&head)) != '\0')
		if (++n > LINES_MAX || !field(r, line, &host)) {
			r->refused = 400;
			return;
		}
	if (!host && !r->old)
		r->refused = 400;	/* section 3.2 */
}

/* ---- an answer */

static const char *
reason(int status)
{
	static const struct {
		int		 status;
		const char	*text;
	} reasons[] = {
		{ 200, "OK" }, { 400, "Bad Request" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 431, "Request Header Fields Too Large" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Internal Server Error";
}

/* A piece as it is sent; empty ones are not. */
static void
piece_put(const struct caller *c, const char *body, size_t n, FILE *out)
{
	if (c->chunked && n > 0)
		fprintf(out, "%zx\r\n", n);
	fwrite(body, 1, n, out);
	if (c->chunked && n > 0)
		fputs("\r\n", out);
	if (c->chunked && c->rest.more == NULL)
		fputs("0\r\n\r\n", out);
}

static void
head_put(const struct caller *c, int status, const char *body, size_t n,
    FILE *out)
{
	fprintf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", status,
	    reason(status), n > 0 && *body == '{' ? "application/json" :
	    "text/plain; charset=utf-8");
	if (c->rest.more == NULL)
		fprintf(out, "Content-Length: %zu\r\n", n);
	fprintf(out, "Cache-Control: no-store\r\n%s%s%s\r\n",
	    c->chunked ? "Transfer-Encoding: chunked\r\n" : "",
	    status == 405 ? "Allow: GET\r\n" : "",
	    c->last ? "Connection: close\r\n" : "");
}

/* Makes out of a body, which is freed; status 0: of another piece of it.
 * False: no memory. */
static bool
answer_put(struct caller *c, int status, char *body, size_t n)
{
	FILE *out = open_memstream(&c->out, &c->out_n);
	bool whole;

	if (out != NULL) {
		if (status != 0)
			head_put(c, status, body, n, out);
		piece_put(c, body, n, out);
	}
	whole = out != NULL && !ferror(out);
	if (out != NULL && fclose(out) != 0)
		whole = false;
	free(body);
	c->out_pos = 0;
	return whole;
}

/* An answer of status, its body written by the responder's owner (path) or
 * the status in words. False: no memory. */
static bool
answer_make(struct caller *c, int status, const struct request *r)
{
	struct responder *s = c->responder;
	char *body = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&body, &n);

	if (out == NULL)
		return false;
	c->chunked = false;
	if (status == 0) {
		status = s->answer(s->arg, r->path, r->query, out, &c->rest);
		fflush(out);
		assert(status >= 100 && status <= 999);
		c->chunked = c->rest.more != NULL && !r->old;
		c->last |= c->rest.more != NULL && r->old;
	}
	if (n == 0 && c->rest.more == NULL)
		fprintf(out, "%s\n", reason(status));
	if (fclose(out) != 0) {
		free(body);
		return false;
	}
	return answer_put(c, status, body, n);
}

/* Nothing follows what is in out. */
static void
rest_end(struct caller *c)
{
	if (c->rest.more != NULL)
		c->rest.end(c->rest.arg);
	c->rest.more = NULL;
}

/* The next piece. False: no memory. */
static bool
answer_more(struct caller *c)
{
	char *body = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&body, &n);

	if (out == NULL)
		return false;
	if (!c->rest.more(c->rest.arg, out))
		rest_end(c);
	if (fclose(out) != 0) {
		free(body);
		return false;
	}
	return answer_put(c, 0, body, n);
}

/* ---- a caller */

static void
caller_close(struct caller *c)
{
	struct loop *l = c->responder->loop;

	timer_stop(&l->timers, &c->deadline);
	loop_forget(l, &c->source);
	loop_cancel(l, &c->again);
	l->sys->close(l->sys->ctx, c->fd);
	rest_end(c);
	free(c->out);
	c->out = NULL;
	c->fd = -1;
}

/* Ends a caller in a turn of its own, and gives its seat away (I4). */
static void
caller_end(struct caller *c)
{
	struct responder *r = c->responder;

	caller_close(c);
	responder_ready(&r->source, SYS_READ);
}

static void
deadline_start(struct caller *c)
{
	struct loop *l = c->responder->loop;

	timer_start(&l->timers, &c->deadline, l->now, REQUEST_MS);
}

/* Reads what fits. False: the connection broke. */
static bool
caller_read(struct caller *c)
{
	struct sys *sys = c->responder->loop->sys;
	ssize_t n;

	while (!c->eof && c->in_n < REQUEST_BYTES) {
		n = sys->recv(sys->ctx, c->fd, c->in + c->in_n,
		    REQUEST_BYTES - c->in_n);
		if (n == 0)
			c->eof = true;
		else if (n > 0)
			c->in_n += (size_t)n;
		else
			return errno == EAGAIN || errno == EINTR;
	}
	return true;
}

/* Writes what the socket takes. False: the connection broke. */
static bool
caller_write(struct caller *c)
{
	struct sys *sys = c->responder->loop->sys;
	ssize_t n;

	while (c->out_pos < c->out_n) {
		n = sys->send(sys->ctx, c->fd, c->out + c->out_pos,
		    c->out_n - c->out_pos);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_pos += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	c->out_n = c->out_pos = 0;
	if (c->rest.more != NULL)
		return true;
	deadline_start(c);
	return !c->last;
}

/* Answers the request in front of in[]. 0: there is none yet; -1: no
 * memory. */
static int
caller_answer(struct caller *c)
{
	char head[REQUEST_BYTES + 1], *end = head_end(c->in, c->in_n);
	struct request r = { .refused = 431 };
	size_t n;

	if (end == NULL && c->in_n < REQUEST_BYTES)
		return 0;
	if (end != NULL) {
		n = (size_t)(end - c->in);
		memcpy(head, c->in, n);
		head[n] = '\0';
		if (memchr(head, '\0', n) == NULL)
			request_read(&r, head);
		else
			r.refused = 400;
		memmove(c->in, end, c->in_n - n);
		c->in_n -= n;
	}
	c->last = r.refused != 0 || !r.keep;
	return answer_make(c, r.refused, &r) ? 1 : -1;
}

/* A piece more, and the next in another turn. False: it is over. */
static bool
caller_more(struct caller *c)
{
	if (!answer_more(c) || !caller_write(c))
		return false;
	if (c->out == NULL)
		loop_soon(c->responder->loop, &c->again);
	return true;
}

/* Goes as far as it can: read, answer, write. False: it is over. */
static bool
caller_step(struct caller *c)
{
	for (int i = 0; i < REQUESTS_A_TURN; i++) {
		if (c->out != NULL && !caller_write(c))
			return false;
		if (c->out != NULL)
			return true;	/* the socket is full */
		if (c->rest.more != NULL && i > 0)
			break;
		if (c->rest.more != NULL)
			return caller_more(c);
		if (!caller_read(c))
			return false;
		switch (caller_answer(c)) {
		case 0:
			return !c->eof;
		case -1:
			return false;
		}
	}
	loop_soon(c->responder->loop, &c->again);
	return true;
}

static void
caller_ready(struct source *s, uint32_t events)
{
	struct caller *c = CONTAINER(s, struct caller, source);

	(void)events;
	if (!caller_step(c))
		caller_end(c);
}

static void
caller_again(struct task *t)
{
	struct caller *c = CONTAINER(t, struct caller, again);

	if (!caller_step(c))
		caller_end(c);
}

/* Who began a request is told; who idles or does not read is left. */
static void
caller_late(struct timer *t)
{
	struct caller *c = CONTAINER(t, struct caller, deadline);

	if (c->out == NULL && c->rest.more == NULL && c->in_n > 0) {
		c->last = true;
		if (answer_make(c, 408, NULL))
			(void)caller_write(c);
	}
	caller_end(c);
}

/* ---- the responder */

static struct caller *
seat_find(struct responder *r)
{
	for (int i = 0; i < CALLERS; i++)
		if (r->callers[i].fd == -1)
			return &r->callers[i];
	return NULL;
}

static void
caller_begin(struct responder *r, struct caller *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->responder = r;
	c->fd = fd;
	c->source.ready = caller_ready;
	c->again.run = caller_again;
	c->deadline.fire = caller_late;
	if (loop_watch(r->loop, fd, &c->source) == -1) {
		r->loop->sys->close(r->loop->sys->ctx, fd);
		c->fd = -1;
		return;
	}
	deadline_start(c);
}

static void
responder_ready(struct source *s, uint32_t events)
{
	struct responder *r = CONTAINER(s, struct responder, source);
	struct sys *sys = r->loop->sys;
	struct caller *c;
	int fd;

	(void)events;
	while ((c = seat_find(r)) != NULL) {
		fd = sys->accept(sys->ctx, r->fd);
		if (fd == -1 && errno == EAGAIN)
			return;
		if (fd == -1 && errno != EINTR && errno != ECONNABORTED)
			return;		/* EMFILE: at the next seat */
		if (fd != -1)
			caller_begin(r, c, fd);
	}
}

struct responder *
responder_open(struct loop *l, int listen_fd, responder_fn answer, void *arg)
{
	struct responder *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->source.ready = responder_ready;
	r->loop = l;
	r->fd = listen_fd;
	r->answer = answer;
	r->arg = arg;
	for (int i = 0; i < CALLERS; i++)
		r->callers[i].fd = -1;
	if (loop_watch(l, listen_fd, &r->source) == 0)
		return r;
	free(r);
	return NULL;
}

void
responder_close(struct responder *r)
{
	for (int i = 0; i < CALLERS; i++)
		if (r->callers[i].fd != -1)
			caller_close(&r->callers[i]);
	loop_forget(r->loop, &r->source);
	free(r);
}
