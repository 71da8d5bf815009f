/*
 * xds/ads_read.c - the bytes of a response to parts, read but not
 * judged (ads.h).
 *
 *   SotW   Any{ message }  Any{ Resource{ name, version, ttl, Any } }
 *   delta  Resource{ name, version, ttl, Any }       removed_resources
 *            └────────────> part: name, version, bytes, ttl
 *
 * The message in a resource is not unpacked here: only the name, its field 1,
 * is read, so that a bad one can be named and a giant one costs nothing until
 * its owner wants it.
 *
 * Source: xDS protocol document; reference/envoy-xds.md 2.2, 2.6.
 * Test: t/unit/ads.c, t/unit/ads_delta.c.
 */
#include "xds/ads_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "xds/guard.h"
#include "xds/load_inside.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"
#include "xds/wire.h"

typedef Envoy__Service__Discovery__V3__DiscoveryResponse SotwResponse;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse DeltaResponse;
typedef Envoy__Service__Discovery__V3__Resource Resource;

#define SOTW envoy__service__discovery__v3__discovery_response__descriptor
#define DELTA								\
	envoy__service__discovery__v3__delta_discovery_response__descriptor
#define RESOURCE envoy__service__discovery__v3__resource__descriptor

enum { NAME_TAG = WIRE_TAG(1) };

static const char no_memory[] = "no memory";

const char *
ads_say(struct load_arena *m, const char *format, ...)
{
	char text[512], *copy;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if ((copy = load_alloc(m, strlen(text) + 1)) == NULL)
		return no_memory;
	return strcpy(copy, text);
}

/* ---- the name in a resource: field 1 of its message, the last one given */

/* NULL: why. */
static const char *
inner_name(struct load_arena *m, const struct ads_part *p, const char **why)
{
	const uint8_t *at = p->bytes, *end = at + p->len, *name = NULL;
	struct wire_field f;
	size_t name_len = 0;
	char *copy;

	while (at < end) {
		if (!wire_take(&at, end, &f)) {
			*why = "it can't be parsed";
			return NULL;
		}
		if (f.tag == NAME_TAG) {
			name = f.data;
			name_len = f.len;
		}
	}
	if (name_len == 0)
		*why = "it has no name";
	else if (name_len > ADS_TEXT_BYTES_MAX)
		*why = ads_say(m, "a name of %zu bytes; %d at most",
		    name_len, ADS_TEXT_BYTES_MAX);
	else if (!guard_text(name, name_len))
		*why = "its name has a NUL or is not UTF-8";
	else if ((copy = load_alloc(m, name_len + 1)) == NULL)
		*why = no_memory;
	else
		return memcpy(copy, name, name_len);	/* zeroed: it ends */
	return NULL;
}

/* ---- one part */

static void
read_ttl(struct load_arena *m, struct ads_part *p,
    const Google__Protobuf__Duration *ttl)
{
	enum { SECONDS_MAX = 10 * 366 * 24 * 3600 };

	if (ttl == NULL)
		return;
	if (ttl->seconds < 0 || ttl->nanos < 0 || ttl->nanos > 999999999 ||
	    (ttl->seconds == 0 && ttl->nanos == 0))
		p->why = ads_say(m, "a ttl of %lld s and %d ns; it must be "
		    "positive", (long long)ttl->seconds, (int)ttl->nanos);
	else if (ttl->seconds > SECONDS_MAX)
		p->ttl_ms = SECONDS_MAX * 1000ll;
	else
		p->ttl_ms = ttl->seconds * 1000 +
		    (ttl->nanos + 999999) / 1000000;
}

/* The message itself; p->name may be known, of what wraps it. */
static void
read_body(const struct ads_response *r, struct ads_part *p,
    const Google__Protobuf__Any *any)
{
	static const uint8_t empty[1];
	const char *name, *why = NULL;

	if (resource_kind_find(any->type_url) != (int)r->kind) {
		p->why = ads_say(r->arena, "it is a \"%.200s\", not a %s",
		    any->type_url, resource_about(r->kind)->message);
		return;
	}
	p->bytes = any->value.len > 0 ? any->value.data : empty;
	p->len = any->value.len;
	name = inner_name(r->arena, p, &why);
	if (name == NULL)
		p->why = why;
	else if (p->name == NULL)
		p->name = name;
	else if (strcmp(p->name, name) != 0)
		p->why = ads_say(r->arena, "the message in it is named %.200s",
		    name);
}

static void
read_resource(const struct ads_response *r, struct ads_part *p,
    const Resource *from)
{
	if (strlen(from->name) > ADS_TEXT_BYTES_MAX ||
	    strlen(from->version) > ADS_TEXT_BYTES_MAX) {
		p->why = "its name or version is longer than 4096 bytes";
		return;
	}
	p->name = from->name[0] != '\0' ? from->name : NULL;
	if (from->version[0] != '\0')
		p->version = from->version;
	if (from->resource != NULL)
		read_body(r, p, from->resource);
	else
		p->is_heartbeat = true;
	if (p->why == NULL)
		read_ttl(r->arena, p, from->ttl);
	if (p->name == NULL && p->why == NULL)
		p->why = "it has no name";
}

static void
read_any(const struct ads_response *r, struct ads_part *p,
    const Google__Protobuf__Any *any)
{
	const char *name = strrchr(any->type_url, '/');
	const Resource *resource;
	char why[256];

	if (name == NULL || strcmp(name + 1, RESOURCE.name) != 0) {
		read_body(r, p, any);
		return;
	}
	resource = (const Resource *)load_unpack(r->arena, &RESOURCE,
	    GUARD_LENIENT, any->value.data, any->value.len, why, sizeof(why));
	if (resource == NULL)
		p->why = ads_say(r->arena, "%s", why);
	else
		read_resource(r, p, resource);
}

/* ---- the response */

static int
fail(char *why, size_t why_len, const char *what)
{
	snprintf(why, why_len, "%s", what);
	return -1;
}

static int
read_head(struct ads *a, struct ads_response *r, const char *type_url,
    const Envoy__Config__Core__V3__ControlPlane *from, size_t parts_n,
    char *why, size_t why_len)
{
	int kind = resource_kind_find(type_url);

	if (kind == -1) {
		a->unknown_n++;
		return 1;
	}
	if (strlen(r->nonce) > ADS_TEXT_BYTES_MAX ||
	    strlen(r->version) > ADS_TEXT_BYTES_MAX)
		return fail(why, why_len, "a response whose nonce or version "
		    "is longer than 4096 bytes");
	r->kind = (enum resource_kind)kind;
	r->control_plane = from != NULL ? from->identifier : "";
	r->parts_n = parts_n;
	r->parts = load_alloc(r->arena, (parts_n + 1) * sizeof(*r->parts));
	if (r->parts == NULL)
		return fail(why, why_len, no_memory);
	for (size_t i = 0; i < parts_n; i++)
		r->parts[i] = (struct ads_part){ .number = i + 1,
		    .version = a->settings.delta ? "" : r->version };
	return 0;
}

static int
read_sotw(struct ads *a, struct ads_response *r, const uint8_t *bytes,
    size_t n, char *why, size_t why_len)
{
	const SotwResponse *from = (const SotwResponse *)load_unpack(r->arena,
	    &SOTW, GUARD_LENIENT, bytes, n, why, why_len);
	int rc;

	if (from == NULL)
		return -1;
	r->version = from->version_info;
	r->nonce = from->nonce;
	rc = read_head(a, r, from->type_url, from->control_plane,
	    from->n_resources, why, why_len);
	for (size_t i = 0; rc == 0 && i < r->parts_n; i++)
		read_any(r, &r->parts[i], from->resources[i]);
	return rc;
}

static int
read_delta(struct ads *a, struct ads_response *r, const uint8_t *bytes,
    size_t n, char *why, size_t why_len)
{
	const DeltaResponse *from = (const DeltaResponse *)load_unpack(
	    r->arena, &DELTA, GUARD_LENIENT, bytes, n, why, why_len);
	int rc;

	if (from == NULL)
		return -1;
	r->version = from->system_version_info;
	r->nonce = from->nonce;
	r->named = from->removed_resources;
	r->named_n = from->n_removed_resources;
	rc = read_head(a, r, from->type_url, from->control_plane,
	    from->n_resources, why, why_len);
	for (size_t i = 0; rc == 0 && i < r->parts_n; i++)
		read_resource(r, &r->parts[i], from->resources[i]);
	return rc;
}

/* What it says, whatever it calls this version, and in whatever order: a server
 * that resends what we refused under a new number is no other (A4), nor one
 * whose resources come out of a table. */
static uint64_t
hash_of(const struct ads_response *r)
{
	uint64_t hash = r->parts_n;

	for (size_t i = 0; i < r->parts_n; i++) {
		const struct ads_part *p = &r->parts[i];

		hash += XXH64(p->bytes, p->len, p->name == NULL ? 0 :
		    XXH64(p->name, strlen(p->name), 1));
	}
	for (size_t i = 0; i < r->named_n; i++)
		hash = XXH64(r->named[i], strlen(r->named[i]), hash);
	return hash;
}

int
ads_read(struct ads *a, struct ads_response *r, const uint8_t *bytes,
    size_t n, char *why, size_t why_len)
{
	int rc = a->settings.delta ? read_delta(a, r, bytes, n, why, why_len) :
	    read_sotw(a, r, bytes, n, why, why_len);

	if (rc == 0)
		r->hash = hash_of(r);
	return rc;
}
