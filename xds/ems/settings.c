/* xds/ems/settings.c - see settings.h. */
#include "xds/ems/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/ems/intent.h"
#include "xds/load.h"
#include "xds/proto/godwit/ems/settings.pb-c.h"

typedef Godwit__Ems__V1__Settings Settings;

enum { ARENA_BYTES = 1 << 20, CONNECTIONS = 20000, HOST_BYTES = 64 };

static const char *
or(const char *text, const char *otherwise)
{
	return *text != '\0' ? text : otherwise;
}

/* $NAME as systemd sets it: the first of a list. */
static const char *
folder(const char *name, const char *of_root, const char *otherwise)
{
	const char *set = getenv(name);

	if (set != NULL && *set == '/' && strchr(set, ':') == NULL)
		return set;
	return geteuid() == 0 ? of_root : otherwise;
}

static void
fill(struct settings *s, const Settings *m)
{
	s->listen = or(m->listen, "127.0.0.1:18000");
	s->rest_listen = or(m->rest_listen, "127.0.0.1:18001");
	if (strcmp(s->rest_listen, "off") == 0)
		s->rest_listen = "";
	s->rest_token_file = m->rest_token_file;
	s->certificate = m->tls == NULL ? "" : m->tls->certificate;
	s->key = m->tls == NULL ? "" : m->tls->key;
	s->ca = m->tls == NULL ? "" : m->tls->ca;
	s->rest_certificate = m->rest_tls == NULL ? "" :
	    m->rest_tls->certificate;
	s->rest_key = m->rest_tls == NULL ? "" : m->rest_tls->key;
	s->rest_ca = m->rest_tls == NULL ? "" : m->rest_tls->ca;
	s->clear_text = m->clear_text;
	s->any_certificate = m->any_certificate;
	s->state_dir = or(m->state_dir, folder("STATE_DIRECTORY",
	    "/var/lib/godwit-ems", "."));
	s->run_dir = or(m->run_dir, folder("RUNTIME_DIRECTORY",
	    "/run/godwit-ems", s->state_dir));
	s->mesh = or(m->mesh, "mesh");
	s->region_header = or(m->region_header, "x-region");
	s->proxy_listen = or(m->proxy_listen, "127.0.0.1:15001");
	s->proxy_tls = or(m->proxy_tls, "/etc/godwit/tls");
	s->connections_max = m->connections_max == 0 ? CONNECTIONS :
	    m->connections_max;
}

static int
address_check(const char *what, const char *text, char *why, size_t why_len)
{
	char host[HOST_BYTES];
	unsigned port;

	return intent_address(text, host, sizeof(host), &port) ? 0 :
	    why_set(why, why_len, "%s is \"%.100s\", expected ADDRESS:PORT",
	    what, text);
}

/* A token or a certificate says who may write, and nobody on the way sees the
 * token, unless the operator says that it is well so. */
static int
rest_check(const struct settings *s, char *why, size_t why_len)
{
	bool tls = *s->rest_certificate != '\0';

	if (tls != (*s->rest_key != '\0') || (*s->rest_ca != '\0' && !tls))
		return why_set(why, why_len, "rest_tls has not both of "
		    "certificate and key, expected both, and ca or not");
	if (*s->rest_listen == '\0' || settings_is_loopback(s->rest_listen))
		return 0;
	if (!tls && !s->clear_text)
		return why_set(why, why_len, "rest_listen is %s, and there is "
		    "no rest_tls: expected certificates, or clear_text: true, "
		    "which lets everyone on the way read the token",
		    s->rest_listen);
	if (*s->rest_token_file == '\0' && *s->rest_ca == '\0')
		return why_set(why, why_len, "rest_listen is %s, and there is "
		    "neither rest_token_file nor a ca in rest_tls, which "
		    "would let everyone write", s->rest_listen);
	return 0;
}

static int
check(const struct settings *s, char *why, size_t why_len)
{
	bool has = *s->certificate != '\0';

	if (address_check("listen", s->listen, why, why_len) == -1 ||
	    address_check("proxy_listen", s->proxy_listen, why,
	    why_len) == -1 || (*s->rest_listen != '\0' &&
	    address_check("rest_listen", s->rest_listen, why, why_len) == -1))
		return -1;
	if (has != (*s->key != '\0') || has != (*s->ca != '\0'))
		return why_set(why, why_len, "tls has not all of certificate, "
		    "key and ca, expected all or none");
	if (!has && s->any_certificate)
		return why_set(why, why_len, "any_certificate is true, and "
		    "there is no tls, expected certificates");
	if (!has && !s->clear_text && !settings_is_loopback(s->listen))
		return why_set(why, why_len, "listen is %s, and there is no "
		    "tls: expected certificates, or clear_text: true, which "
		    "lets everyone who reaches it be a proxy", s->listen);
	if (rest_check(s, why, why_len) == -1)
		return -1;
	if (!intent_name_is_good(s->mesh))
		return why_set(why, why_len, "mesh is \"%.100s\", expected "
		    "letters, digits, \".\", \"_\", \"-\"", s->mesh);
	if (strspn(s->region_header, "abcdefghijklmnopqrstuvwxyz0123456789-_")
	    != strlen(s->region_header))
		return why_set(why, why_len, "region_header is \"%.100s\", "
		    "expected a header's name in lower case",
		    s->region_header);
	return 0;
}

static const Settings *
load(struct settings *s, const char *file, char *why, size_t why_len)
{
	struct yaml *y = yaml_open(file, why, why_len);
	const Settings *m = y == NULL ? NULL : (const Settings *)load_message(
	    s->arena, &godwit__ems__v1__settings__descriptor, y, yaml_root(y),
	    "", why, why_len);

	yaml_close(y);
	return m;
}

int
settings_read(struct settings *s, const char *file, char *why,
    size_t why_len)
{
	Settings none;
	const Settings *m = &none;

	godwit__ems__v1__settings__init(&none);
	*s = (struct settings){ .arena = load_arena_new(ARENA_BYTES),
	    .file = file };
	if (s->arena == NULL)
		return why_set(why, why_len, "no memory is left");
	if (file != NULL)
		m = load(s, file, why, why_len);
	if (m != NULL) {
		fill(s, m);
		if (check(s, why, why_len) == 0)
			return 0;
	}
	settings_free(s);
	return -1;
}

void
settings_free(struct settings *s)
{
	load_arena_free(s->arena);
	s->arena = NULL;
}

/* ---- sockets */

bool
settings_is_loopback(const char *address)
{
	char host[HOST_BYTES];
	unsigned port;

	return intent_address(address, host, sizeof(host), &port) &&
	    (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0);
}

static socklen_t
address_read(const char *text, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (void *)to;
	struct sockaddr_in6 *in6 = (void *)to;
	char host[HOST_BYTES];
	unsigned port = 0;

	memset(to, 0, sizeof(*to));
	(void)intent_address(text, host, sizeof(host), &port);
	if (strchr(host, ':') != NULL) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, host, &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, host, &in->sin_addr);
	return sizeof(*in);
}

int
settings_listen(const char *address, char *why, size_t why_len)
{
	struct sockaddr_storage a;
	socklen_t len = address_read(address, &a);
	int on = 1, fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);

	if (fd != -1 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)) == 0 && bind(fd, (struct sockaddr *)&a, len) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	why_set(why, why_len, "can't listen on %s: %s", address,
	    strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}
