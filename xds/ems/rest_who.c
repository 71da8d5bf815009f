/*
 * xds/ems/rest_who.c - by TCP, who may what (rest_inside.h):
 *
 *                                   READ   REGISTER            WRITE
 *   the token                       yes    yes                 yes
 *   a writer's certificate          yes    yes                 yes
 *   another by the CA of rest_tls   yes    as who.h has it     no
 *   neither                         no     no                  no
 *
 * Where neither is asked for (a loopback address without them) everybody may
 * everything. A certificate that our CA does not vouch for, or that is out of
 * date, does not come here: its handshake failed. Who sends a token is judged
 * by it alone. Source: RFC 6750 (Bearer).
 */
#include "xds/ems/rest_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/ems/stamp.h"

enum { NAMES_BYTES = 400 };

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

int
rest_token_read(struct rest_token *t, char *why, size_t why_len)
{
	char text[REST_TOKEN_MAX + 64];
	uint64_t stamp = stamp_of(t->file);
	int fd = open(t->file, O_RDONLY | O_CLOEXEC), rc;
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n >= 0) {
		t->stamp = stamp;
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
	uint64_t stamp = stamp_of(t->file);
	char why[REST_WHY_BYTES];

	if (stamp == 0 || stamp == t->stamp)
		return;
	if (rest_token_read(t, why, sizeof(why)) == -1)
		log_error("REST's token stays as it was: %s", why);
	else
		log_info("REST's token was read anew of %s", t->file);
}

static bool
token_check(struct request *q, const char *said, const char *key)
{
	static const char bearer[] = "Bearer ";
	struct rest *r = q->rest;

	token_follow(&r->token);
	if (strncasecmp(said, bearer, sizeof(bearer) - 1) == 0 &&
	    token_is(&r->token, said + sizeof(bearer) - 1))
		return true;
	(void)rest_rates_take(&r->rates, key, strlen(key), REST_WRONG_COSTS,
	    r->loop->now.ns / 1000000);
	answer_refuse(q, 401, "that is not the token");
	return false;
}

/* ---- certificates */

/* Of the caller's certificate; NULL: he showed none. */
static const char *
names_of(const struct request *q)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(
	    q->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return i == NULL ? NULL : i->socket_context;
}

/* Who tries what he may not is worth a line, not any number of them. */
static void
attempt_log(struct request *q, const char *key, const char *why)
{
	struct rest *r = q->rest;
	char bucket[REST_KEY_BYTES + 16];
	int n = snprintf(bucket, sizeof(bucket), "refused: %s", key);

	if (rest_rates_take(&r->rates, bucket, (size_t)n, REST_WRONG_COSTS,
	    r->loop->now.ns / 1000000))
		log_warn("REST, %s: %s %s is refused: %s", key,
		    q->route->method, q->path, why);
}

static bool
refuse(struct request *q, const char *key, const char *why)
{
	attempt_log(q, key, why);
	answer_refuse(q, 403, "%s", why);
	return false;
}

static bool
nobody_refuse(struct request *q)
{
	const struct rest *r = q->rest;

	answer_refuse(q, 401, "%s%s%s is asked for here%s",
	    r->token.file != NULL ? "a token" : "",
	    r->token.file != NULL && r->by_certificate ? " or " : "",
	    r->by_certificate ? "a certificate by the mesh's CA" : "",
	    r->token.file != NULL ? ": Authorization: Bearer TOKEN" : "");
	return false;
}

static bool
certificate_check(struct request *q, const struct who *w, char *key)
{
	char names[NAMES_BYTES], why[REST_WHY_BYTES];

	if (who_is_writer(w, key))
		return true;
	if (q->route->needs == REST_WRITE) {
		snprintf(why, sizeof(why), "the certificate has %s, which may "
		    "not write, expected spiffe://%s/writer/NAME%s",
		    who_print(w, names, sizeof(names)), w->rules->mesh,
		    q->rest->token.file == NULL ? "" : " or the token");
		return refuse(q, key, why);
	}
	if (q->route->needs == REST_REGISTER)
		q->names = w->names;
	return true;
}

bool
rest_who(struct request *q, char key[REST_KEY_BYTES])
{
	const struct rest *r = q->rest;
	const char *said = request_header(q, "Authorization");
	const struct who w = { &r->rules, names_of(q) };

	if (r->token.file == NULL && !r->by_certificate)
		return true;
	if (r->token.file != NULL && said != NULL)
		return token_check(q, said, key);
	return w.names != NULL ? certificate_check(q, &w, key) :
	    nobody_refuse(q);
}

struct who
rest_who_is(const struct request *q)
{
	static const struct who_rules all = { .anybody = true };

	return q->names == NULL ? (struct who){ &all, NULL } :
	    (struct who){ &q->rest->rules, q->names };
}

bool
rest_who_may(struct request *q, const char *lease)
{
	const struct who w = rest_who_is(q);
	char why[REST_WHY_BYTES];

	return lease_may(q->rest->leases, &w, lease, why, sizeof(why)) ||
	    refuse(q, q->who, why);
}
