/* master/ctl/ask.c - see ask.h. Source: RFC 9112. */
#include "master/ctl/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"

enum { PATIENCE_S = 10, STEP_BYTES = 64 << 10 };

/* Nobody there, or nobody who may be asked by us. */
static int
open_fail(const char *path, int fd, char *why, size_t why_len)
{
	int error = errno;

	if (fd != -1)
		close(fd);
	return why_set(why, why_len, "nobody answers at %s: %s%s", path,
	    strerror(error), error == EACCES ?
	    "" : "; does godwit run? -o run_dir=DIR says where");
}

static int
open_socket(const char *path, char *why, size_t why_len)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(to.sun_path))
		return why_set(why, why_len, "%s: more than %zu characters, "
		    "which no socket's path may have", path,
		    sizeof(to.sun_path) - 1);
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) == -1 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO,
	    &patience, sizeof(patience)) == -1 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) == -1)
		return open_fail(path, fd, why, why_len);
	return fd;
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
read_all(int fd, struct text *t, char *why, size_t why_len)
{
	ssize_t n;

	for (;;) {
		if (!grow(t))
			return why_set(why, why_len, "no memory");
		n = recv(fd, t->at + t->n, STEP_BYTES, 0);
		if (n == 0)
			break;
		if (n > 0)
			t->n += (size_t)n;
		else if (errno == EAGAIN)
			return why_set(why, why_len, "it took the question "
			    "and said nothing for %d s; godwit -s status says "
			    "whether its master lives", PATIENCE_S);
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
talk(int fd, const char *path, struct answer *a, char *why, size_t why_len)
{
	struct text t = { 0 };
	char head[8192];
	int n = snprintf(head, sizeof(head), "GET %s HTTP/1.0\r\n\r\n", path);
	int rc = -1;

	if (n < 0 || (size_t)n >= sizeof(head))
		return why_set(why, why_len, "the question is too long");
	if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n)
		return why_set(why, why_len, "%s", strerror(errno));
	if (read_all(fd, &t, why, why_len) == 0)
		rc = take_apart(&t, a, why, why_len);
	if (rc == 0) {
		memmove(t.at, a->body, a->len + 1);
		a->body = t.at;
	} else
		free(t.at);
	return rc;
}

int
ask(const char *socket_path, const char *path, struct answer *a, char *why,
    size_t why_len)
{
	char said[512];
	int fd = open_socket(socket_path, why, why_len), rc;

	if (fd == -1)
		return -1;
	rc = talk(fd, path, a, said, sizeof(said));
	close(fd);
	return rc == 0 ? 0 : why_set(why, why_len, "%s: %s", socket_path,
	    said);
}
