/* xds/ems/who.c - see who.h. */
#include "xds/ems/who.h"

#include <stdio.h>
#include <string.h>

#include "shm/log.h"

enum { PRINT_BYTES = 400 };

enum role { NOBODY, SERVICE, HOST, GATEWAY, WRITER };

struct identity {
	enum role	 role;
	char		 region[INTENT_NAME_MAX + 1];
	char		 name[INTENT_NAME_MAX + 1];
};

/* ---- a name */

/* The next segment of a path, which goes on behind it. False: there is none,
 * or it is no name. */
static bool
segment_take(const char **at, char to[INTENT_NAME_MAX + 1])
{
	size_t n = strcspn(*at, "/");

	if (n > INTENT_NAME_MAX)
		return false;
	memcpy(to, *at, n);
	to[n] = '\0';
	*at += n + ((*at)[n] == '/' && (*at)[n + 1] != '\0');
	return intent_name_is_good(to);
}

static bool
prefix_take(const char **at, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*at, prefix, n) != 0)
		return false;
	*at += n;
	return true;
}

/* What is behind region/R/. */
static enum role
role_take(const char **at, char name[INTENT_NAME_MAX + 1])
{
	if (strcmp(*at, "gateway") == 0) {
		*at += strlen("gateway");
		return GATEWAY;
	}
	if (prefix_take(at, "service/") && segment_take(at, name))
		return SERVICE;
	if (prefix_take(at, "host/") && segment_take(at, name))
		return HOST;
	return NOBODY;
}

/* O1 */
static struct identity
identity_read(const char *name, const char *mesh)
{
	struct identity i = { .role = NOBODY };

	if (!prefix_take(&name, "spiffe://") || !prefix_take(&name, mesh) ||
	    !prefix_take(&name, "/"))
		return i;
	if (prefix_take(&name, "writer/"))
		i.role = segment_take(&name, i.name) ? WRITER : NOBODY;
	else if (prefix_take(&name, "region/") &&
	    segment_take(&name, i.region))
		i.role = role_take(&name, i.name);
	if (*name != '\0')
		i.role = NOBODY;
	return i;
}

/* ---- all of them */

static const char *
next(const char *name)
{
	name += strlen(name) + 1;
	return *name == '\0' ? NULL : name;
}

static const char *
first(const struct who *w)
{
	return w->names == NULL || *w->names == '\0' ? NULL : w->names;
}

const char *
who_print(const struct who *w, char *to, size_t to_len)
{
	size_t n = 0;

	snprintf(to, to_len, "no name");
	for (const char *at = first(w); at != NULL; at = next(at)) {
		int more = snprintf(to + n, to_len - n, "%s%s", n == 0 ? "" :
		    ", ", at);

		if (more < 0 || (size_t)more >= to_len - n)
			break;
		n += (size_t)more;
	}
	return to;
}

static bool
refuse(const struct who *w, char *why, size_t why_len, const char *what)
{
	char seen[PRINT_BYTES];

	if (w->names == NULL)
		why_set(why, why_len, "there is no certificate, expected one "
		    "of %s", what);
	else
		why_set(why, why_len, "the certificate has %s, expected %s",
		    who_print(w, seen, sizeof(seen)), what);
	return false;
}

bool
who_may_follow(const struct who *w, const char *region, bool gateway,
    char *why, size_t why_len)
{
	const char *mesh = w->rules->mesh;
	char what[PRINT_BYTES];

	if (w->rules->anybody)
		return true;
	for (const char *at = first(w); at != NULL; at = next(at)) {
		struct identity i = identity_read(at, mesh);

		if (strcmp(i.region, region) == 0 && (i.role == GATEWAY ||
		    (!gateway && (i.role == SERVICE || i.role == HOST))))
			return true;
	}
	if (gateway)
		snprintf(what, sizeof(what), "spiffe://%s/region/%s/gateway",
		    mesh, region);
	else
		snprintf(what, sizeof(what), "spiffe://%s/region/%s/service/"
		    "NAME or .../host/NAME", mesh, region);
	return refuse(w, why, why_len, what);
}

static bool
may_register(const struct identity *i, const char *service,
    const char *region)
{
	return i->role == WRITER || (strcmp(i->region, region) == 0 &&
	    (i->role == HOST || (i->role == SERVICE &&
	    strcmp(i->name, service) == 0)));
}

bool
who_may_register(const struct who *w, const char *service, const char *region,
    char *why, size_t why_len)
{
	const char *mesh = w->rules->mesh;
	char what[PRINT_BYTES];

	if (w->rules->anybody)
		return true;
	for (const char *at = first(w); at != NULL; at = next(at)) {
		struct identity i = identity_read(at, mesh);

		if (may_register(&i, service, region))
			return true;
	}
	snprintf(what, sizeof(what), "spiffe://%s/region/%.*s/service/%.*s or "
	    ".../host/NAME", mesh, INTENT_NAME_MAX, region, INTENT_NAME_MAX,
	    service);
	return refuse(w, why, why_len, what);
}

bool
who_is_writer(const struct who *w, char to[INTENT_NAME_MAX + 1])
{
	for (const char *at = first(w); at != NULL; at = next(at)) {
		struct identity i = identity_read(at, w->rules->mesh);

		if (i.role == WRITER) {
			memcpy(to, i.name, sizeof(i.name));
			return true;
		}
	}
	return false;
}
