/*
 * xds/ems/rest_guard.c - who may ask, and how often (rest_inside.h).
 *
 *   unix socket   its uid                              a rate
 *   TCP           its address, Origin, Host, a token   a rate
 *
 * A page of somebody else's in a browser here could reach a loopback address.
 * It says where it is from (Origin), or, when its own name was made to lead
 * here, it says that name (Host): so, where no token is asked for, Host is an
 * address or localhost. Source: RFC 6750 (Bearer), 6454 (Origin).
 */
#include "xds/ems/rest_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/guard.h"

enum { WRONG_TOKEN_COSTS = 20, KEY_BYTES = 64, CALLED_MAX = 100 };

/* ---- the token */

/* In as much time for one as for any other. */
static bool
token_is(const struct rest_token *t, const char *said)
{
	char padded[sizeof(t->text)] = "";
	size_t n = strlen(said);
	volatile unsigned char differs = n >= sizeof(padded);

	memcpy(padded, said, n < sizeof(padded) ? n : 0);
	for (size_t i = 0; i < sizeof(padded); i++)
		differs |= (unsigned char)(padded[i] ^ t->text[i]);
	explicit_bzero(padded, sizeof(padded));
	return differs == 0;
}

static int
token_set(struct rest_token *t, char *text, size_t n, char *why,
    size_t why_len)
{
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	text[n] = '\0';
	if (n < REST_TOKEN_MIN || n > REST_TOKEN_MAX || strcspn(text,
	    " \t\r\n") != n)
		return why_set(why, why_len, "%s: a token of %zu characters, "
		    "expected one line of %d to %d without blanks", t->file, n,
		    REST_TOKEN_MIN, REST_TOKEN_MAX);
	memset(t->text, 0, sizeof(t->text));
	memcpy(t->text, text, n);
	return 0;
}

static int64_t
changed_ns(const struct stat *s)
{
	return (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
}

int
rest_token_read(struct rest_token *t, char *why, size_t why_len)
{
	char text[REST_TOKEN_MAX + 64];
	int fd = open(t->file, O_RDONLY | O_CLOEXEC), rc;
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	struct stat s;

	if (n >= 0 && fstat(fd, &s) == 0) {
		t->changed_ns = changed_ns(&s);
		t->inode = s.st_ino;
		rc = token_set(t, text, (size_t)n, why, why_len);
	} else
		rc = why_set(why, why_len, "can't read \"%s\": %s", t->file,
		    strerror(errno));
	explicit_bzero(text, sizeof(text));
	if (fd != -1)
		close(fd);
	return rc;
}

/* Another file of that name counts from the next request on. */
static void
token_follow(struct rest_token *t)
{
	char why[REST_WHY_BYTES];
	struct stat s;

	if (stat(t->file, &s) == -1 || (changed_ns(&s) == t->changed_ns &&
	    s.st_ino == t->inode))
		return;
	if (rest_token_read(t, why, sizeof(why)) == -1)
		log_error("REST's token stays as it was: %s", why);
	else
		log_info("REST's token was read anew of %s", t->file);
}

static bool
token_check(struct request *q, const char *key)
{
	static const char bearer[] = "Bearer ";
	const char *said = request_header(q, "Authorization");
	struct rest *r = q->rest;

	if (r->token.file == NULL)
		return true;
	token_follow(&r->token);
	if (said != NULL && strncasecmp(said, bearer, sizeof(bearer) - 1) == 0
	    && token_is(&r->token, said + sizeof(bearer) - 1))
		return true;
	(void)rest_rates_take(&r->rates, key, strlen(key), WRONG_TOKEN_COSTS,
	    r->loop->now.ns / 1000000);
	answer_refuse(q, 401, said == NULL ? "a token is asked for here: "
	    "Authorization: Bearer TOKEN" : "that is not the token");
	return false;
}

/* ---- browsers */

static bool
host_is_plain(const char *host)
{
	char text[INET6_ADDRSTRLEN + 2];
	size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	unsigned char ip[16];

	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n);
	text[n] = '\0';
	if (*text == '[' && n > 2 && text[n - 1] == ']') {
		text[n - 1] = '\0';
		return inet_pton(AF_INET6, text + 1, ip) == 1;
	}
	return inet_pton(AF_INET, text, ip) == 1 ||
	    strcmp(text, "localhost") == 0;
}

static bool
browser_check(struct request *q)
{
	const char *host = request_header(q, "Host");
	const char *origin = request_header(q, "Origin");

	if (origin != NULL && (host == NULL || strncmp(origin, "http://", 7) !=
	    0 || strcmp(origin + 7, host) != 0)) {
		answer_refuse(q, 403, "a page of %.100s may not ask here",
		    origin);
		return false;
	}
	if (q->rest->token.file != NULL || host == NULL ||
	    host_is_plain(host))
		return true;
	answer_refuse(q, 403, "Host is \"%.100s\", expected an address or "
	    "localhost where no token is asked for", host);
	return false;
}

/* ---- who it is */

static const void *
info_of(struct request *q, enum MHD_ConnectionInfoType what)
{
	return MHD_get_connection_info(q->connection, what);
}

static void
uid_of(struct request *q, char key[KEY_BYTES])
{
	const union MHD_ConnectionInfo *i = info_of(q,
	    MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred u;
	socklen_t n = sizeof(u);

	if (i != NULL && getsockopt(i->connect_fd, SOL_SOCKET, SO_PEERCRED, &u,
	    &n) == 0)
		snprintf(key, KEY_BYTES, "uid %u", u.uid);
	else
		snprintf(key, KEY_BYTES, "unix socket");
}

static void
address_of(struct request *q, char key[KEY_BYTES])
{
	const union MHD_ConnectionInfo *i = info_of(q,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = i == NULL ? NULL : i->client_addr;
	const void *ip = a == NULL ? NULL : a->sa_family == AF_INET6 ?
	    (const void *)&((const struct sockaddr_in6 *)(const void *)a)->
	    sin6_addr : &((const struct sockaddr_in *)(const void *)a)->
	    sin_addr;

	if (ip == NULL || inet_ntop(a->sa_family, ip, key, KEY_BYTES) == NULL)
		snprintf(key, KEY_BYTES, "TCP");
}

/* R3 */
static bool
who_set(struct request *q, const char *key)
{
	const char *called = request_header(q, "X-Godwit-Who");
	size_t n = called == NULL ? 0 : strlen(called);

	if (n > CALLED_MAX || !guard_text((const uint8_t *)called, n)) {
		answer_refuse(q, 400, "X-Godwit-Who has %zu bytes, expected "
		    "%d of UTF-8 at most", n, CALLED_MAX);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)called[i] < ' ' || called[i] == 0x7f) {
			answer_refuse(q, 400, "X-Godwit-Who has a control "
			    "character");
			return false;
		}
	snprintf(q->who, sizeof(q->who), "%s%s%s%s", n > 0 ? called : "",
	    n > 0 ? " (" : "", key, n > 0 ? ")" : "");
	return true;
}

static bool
is_open_to_all(const struct request *q)
{
	return q->route->answer == rest_healthz ||
	    q->route->answer == rest_readyz;
}

bool
rest_may(struct request *q)
{
	struct rest *r = q->rest;
	char key[KEY_BYTES];

	if (is_open_to_all(q))
		return true;
	if (q->door->local)
		uid_of(q, key);
	else
		address_of(q, key);
	if (!rest_rates_take(&r->rates, key, strlen(key), 1,
	    r->loop->now.ns / 1000000)) {
		answer_refuse(q, 429, "%s asks more often than %u times a "
		    "second, come again later", key, r->rates.per_s);
		return false;
	}
	if (!q->door->local && (!browser_check(q) || !token_check(q, key)))
		return false;
	return who_set(q, key);
}
