/* master/ctl/ask.c - see ask.h. Source: RFC 9112. */
#include "master/ctl/ask.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"

enum { PATIENCE_S = 10, STEP_BYTES = 64 << 10, HOST_BYTES = 256 };

/* Nobody there, or nobody who may be asked by us. */
static int
open_fail(const struct question *q, int fd, char *why, size_t why_len)
{
	int error = errno;

	if (fd != -1)
		close(fd);
	return why_set(why, why_len, "nobody answers at %s: %s%s%s", q->where,
	    strerror(error), error == EACCES || q->hint == NULL ? "" : "; ",
	    error == EACCES || q->hint == NULL ? "" : q->hint);
}

static bool
connected(int fd, const struct sockaddr *to, socklen_t to_len)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO,
	    &patience, sizeof(patience)) == 0 && connect(fd, to, to_len) == 0;
}

static int
open_socket(const struct question *q, char *why, size_t why_len)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(q->where) >= sizeof(to.sun_path))
		return why_set(why, why_len, "%s: more than %zu characters, "
		    "which no socket's path may have", q->where,
		    sizeof(to.sun_path) - 1);
	strcpy(to.sun_path, q->where);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || !connected(fd, (const struct sockaddr *)&to,
	    sizeof(to)))
		return open_fail(q, fd, why, why_len);
	return fd;
}

/* Of "HOST:PORT" or "[::1]:PORT"; where the port is, or NULL. */
static const char *
host_read(const char *where, char host[HOST_BYTES])
{
	const char *colon = strrchr(where, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - where);
	bool six = n > 2 && where[0] == '[' && where[n - 1] == ']';

	if (n == 0 || n >= HOST_BYTES)
		return NULL;
	snprintf(host, HOST_BYTES, "%.*s", (int)(six ? n - 2 : n),
	    where + six);
	return colon + 1;
}

static int
host_find(const struct question *q, struct addrinfo **found, char *why,
    size_t why_len)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char host[HOST_BYTES];
	const char *port = host_read(q->where, host);
	int rc;

	if (port == NULL)
		return why_set(why, why_len, "\"%s\" is no HOST:PORT",
		    q->where);
	rc = getaddrinfo(host, port, &hints, found);
	return rc == 0 ? 0 : why_set(why, why_len, "%s: %s", q->where,
	    gai_strerror(rc));
}

static int
open_tcp(const struct question *q, char *why, size_t why_len)
{
	struct addrinfo *all, *at;
	int fd = -1;

	if (host_find(q, &all, why, why_len) == -1)
		return -1;
	for (at = all; at != NULL; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd != -1 && connected(fd, at->ai_addr, at->ai_addrlen))
			break;
		if (fd != -1 && at->ai_next != NULL)
			close(fd);
	}
	freeaddrinfo(all);
	return at != NULL ? fd : open_fail(q, fd, why, why_len);
}

/* Who is asked: by TLS, or not. */
struct line {
	int		 fd;
	struct ask_tls	*tls;		/* or NULL */
};

static ssize_t
line_recv(const struct line *l, char *to, size_t n)
{
	return l->tls != NULL ? ask_tls_recv(l->tls, to, n) :
	    recv(l->fd, to, n, 0);
}

static bool
line_send(const struct line *l, const char *at, size_t n)
{
	ssize_t sent;

	if (l->tls != NULL)
		return ask_tls_send(l->tls, at, n);
	for (; n > 0; at += sent, n -= (size_t)sent)
		if ((sent = send(l->fd, at, n, MSG_NOSIGNAL)) <= 0)
			return false;
	return true;
}

/* What was read, all of it. */
struct text {
	char		*at;
	size_t		 n, room;
};

static bool
grow(struct text *t)
{
	char *more;

	if (t->room - t->n > STEP_BYTES)
		return true;
	t->room = t->room * 2 + 2 * STEP_BYTES;
	if ((more = realloc(t->at, t->room)) == NULL)
		return false;
	t->at = more;
	return true;
}

static int
read_all(const struct line *l, struct text *t, char *why, size_t why_len)
{
	ssize_t n;

	for (;;) {
		if (!grow(t))
			return why_set(why, why_len, "no memory");
		n = line_recv(l, t->at + t->n, STEP_BYTES);
		if (n == 0)
			break;
		if (n > 0)
			t->n += (size_t)n;
		else if (l->tls != NULL && *ask_tls_why(l->tls) != '\0')
			return why_set(why, why_len, "%s",
			    ask_tls_why(l->tls));
		else if (errno == EAGAIN)
			return why_set(why, why_len, "it took the question "
			    "and said nothing for %d s", PATIENCE_S);
		else if (errno != EINTR)
			return why_set(why, why_len, "%s", strerror(errno));
	}
	t->at[t->n] = '\0';
	return 0;
}

/* The head off the front; a length that was promised is kept. */
static int
take_apart(struct text *t, struct answer *a, char *why, size_t why_len)
{
	static const char length[] = "\r\nContent-Length: ";
	char *end = strstr(t->at, "\r\n\r\n"), *said;

	if (end == NULL || strncmp(t->at, "HTTP/1.", 7) != 0)
		return why_set(why, why_len, "what answered is no godwit");
	a->status = atoi(t->at + strcspn(t->at, " "));
	a->body = end + 4;
	a->len = t->n - (size_t)(a->body - t->at);
	said = strstr(t->at, length);
	if (said != NULL && said < end && strtoull(said + sizeof(length) - 1,
	    NULL, 10) != a->len)
		return why_set(why, why_len, "it left in the middle of its "
		    "answer");
	return 0;
}

static int
head_write(const struct question *q, char *head, size_t head_len)
{
	int n = snprintf(head, head_len, "%s %s HTTP/1.0\r\nHost: %s\r\n"
	    "Content-Length: %zu\r\n%s%s%s%s%s%s\r\n", q->method == NULL ?
	    "GET" : q->method, q->path, q->tcp ? q->where : "localhost",
	    q->body_n, q->who == NULL ? "" : "X-Godwit-Who: ",
	    q->who == NULL ? "" : q->who, q->who == NULL ? "" : "\r\n",
	    q->token == NULL ? "" : "Authorization: Bearer ",
	    q->token == NULL ? "" : q->token, q->token == NULL ? "" : "\r\n");

	return n < 0 || (size_t)n >= head_len ? -1 : n;
}

/* Who refuses a body, or us, answers before he took all of it: what he says
 * counts more than that he did not. */
static int
talk(const struct line *l, const struct question *q, struct answer *a,
    char *why, size_t why_len)
{
	struct text t = { 0 };
	char head[8192];
	int n = head_write(q, head, sizeof(head)), rc = -1;

	if (n == -1)
		return why_set(why, why_len, "the question is too long");
	if (!line_send(l, head, (size_t)n) && l->tls == NULL)
		return why_set(why, why_len, "%s", strerror(errno));
	(void)line_send(l, q->body, q->body_n);
	if (read_all(l, &t, why, why_len) == 0)
		rc = take_apart(&t, a, why, why_len);
	if (rc == 0) {
		memmove(t.at, a->body, a->len + 1);
		a->body = t.at;
	} else
		free(t.at);
	return rc;
}

static int
talk_by_tls(int fd, const struct question *q, struct answer *a, char *why,
    size_t why_len)
{
	struct line l = { .fd = fd };
	char host[HOST_BYTES];
	int rc;

	(void)host_read(q->where, host);	/* it was found by it */
	l.tls = ask_tls_open(fd, host, &q->files, why, why_len);
	if (l.tls == NULL)
		return -1;
	rc = talk(&l, q, a, why, why_len);
	ask_tls_close(l.tls);
	return rc;
}

int
ask(const struct question *q, struct answer *a, char *why, size_t why_len)
{
	char said[512];
	int fd = q->tcp ? open_tcp(q, why, why_len) : open_socket(q, why,
	    why_len), rc;
	const struct line plain = { .fd = fd };

	if (fd == -1)
		return -1;
	rc = q->tls ? talk_by_tls(fd, q, a, said, sizeof(said)) :
	    talk(&plain, q, a, said, sizeof(said));
	close(fd);
	return rc == 0 ? 0 : why_set(why, why_len, "%s: %s", q->where, said);
}
