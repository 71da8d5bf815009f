/*
 * xds/ems/rest_guard.c - who asks, and how often (rest_inside.h).
 *
 *   unix socket   its uid                                   a rate
 *   TCP           its address, Origin, Host, rest_who.c     a rate
 *
 * A page of somebody else's in a browser here could reach a loopback address.
 * It says where it is from (Origin), or, when its own name was made to lead
 * here, it says that name (Host): so, where no token is asked for, Host is an
 * address or localhost. Not with TLS: no certificate of ours has that name, so
 * the browser leaves. Source: RFC 6454 (Origin).
 */
#include "xds/ems/rest_inside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "xds/guard.h"

enum { CALLED_MAX = 100 };

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
	const char *scheme = q->door->tls == NULL ? "http://" : "https://";
	size_t n = strlen(scheme);

	if (origin != NULL && (host == NULL || strncmp(origin, scheme, n) !=
	    0 || strcmp(origin + n, host) != 0)) {
		answer_refuse(q, 403, "a page of %.100s may not ask here",
		    origin);
		return false;
	}
	if (q->rest->token.file != NULL || q->door->tls != NULL ||
	    host == NULL || host_is_plain(host))
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
uid_of(struct request *q, char key[REST_KEY_BYTES])
{
	const union MHD_ConnectionInfo *i = info_of(q,
	    MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred u;
	socklen_t n = sizeof(u);

	if (i != NULL && getsockopt(i->connect_fd, SOL_SOCKET, SO_PEERCRED, &u,
	    &n) == 0)
		snprintf(key, REST_KEY_BYTES, "uid %u", u.uid);
	else
		snprintf(key, REST_KEY_BYTES, "unix socket");
}

static void
address_of(struct request *q, char key[REST_KEY_BYTES])
{
	const union MHD_ConnectionInfo *i = info_of(q,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = i == NULL ? NULL : i->client_addr;
	const void *ip = a == NULL ? NULL : a->sa_family == AF_INET6 ?
	    (const void *)&((const struct sockaddr_in6 *)(const void *)a)->
	    sin6_addr : &((const struct sockaddr_in *)(const void *)a)->
	    sin_addr;

	if (ip == NULL || inet_ntop(a->sa_family, ip, key, REST_KEY_BYTES) ==
	    NULL)
		snprintf(key, REST_KEY_BYTES, "TCP");
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

bool
rest_may(struct request *q)
{
	struct rest *r = q->rest;
	char key[REST_KEY_BYTES];

	if (q->route->needs == REST_OPEN)
		return true;
	if (q->door->local)
		uid_of(q, key);
	else
		address_of(q, key);
	if (!rest_rates_take(&r->rates, key, strlen(key), 1,
	    r->loop->now.ns / 1000000)) {
		answer_refuse(q, 429, "%s asks more often than %u times a "
		    "second, come again later", key, r->rates.rate.per_s);
		return false;
	}
	if (!q->door->local && (!browser_check(q) || !rest_who(q, key)))
		return false;
	return who_set(q, key);
}
