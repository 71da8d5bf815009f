/*
 * xds/load_any.c - messages inside a google.protobuf.Any.
 *
 *   {"@type": "type.googleapis.com/NAME", a: 1}       an ordinary message
 *   {"@type": "type.googleapis.com/NAME", value: 5}   one that JSON writes in
 *                                                     another way: Duration,
 *                                                     a wrapper, an Any
 *
 * What a file says is packed at once, so that a message of a file and one from
 * a control plane look the same to the compiler: type URL and bytes.
 *
 * Test: t/unit/load.c.
 */
#include "xds/load_inside.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "xds/guard.h"
#include "xds/proto/google/protobuf/any.pb-c.h"
#include "xds/proto/google/protobuf/duration.pb-c.h"

#define TYPE(package, message)						\
	extern const ProtobufCMessageDescriptor				\
	    package##__##message##__descriptor;
#define WRAPPER(package, message)	TYPE(package, message)
#define STRUCT(message, field)
#define REDACT(message, field)
#include "xds/types.def"
#undef TYPE
#undef WRAPPER

static const struct type {
	const ProtobufCMessageDescriptor *d;
	bool		 wrapper;
} types[] = {
#define TYPE(package, message) { &package##__##message##__descriptor, false },
#define WRAPPER(package, message)					\
	{ &package##__##message##__descriptor, true },
#include "xds/types.def"
#undef TYPE
#undef WRAPPER
#undef STRUCT
#undef REDACT
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

enum load_kind
load_kind(const ProtobufCMessageDescriptor *d)
{
	size_t i;

	if (d == &google__protobuf__any__descriptor)
		return LOAD_ANY;
	if (d == &google__protobuf__duration__descriptor)
		return LOAD_DURATION;
	for (i = 0; i < TYPES; i++)
		if (types[i].d == d && types[i].wrapper)
			return LOAD_WRAPPER;
	return LOAD_ORDINARY;
}

static const char *
type_name(const char *url)
{
	const char *slash = strrchr(url, '/');

	return slash != NULL ? slash + 1 : url;
}

const ProtobufCMessageDescriptor *
load_type_find(const char *type_url)
{
	const char *name = type_name(type_url);
	size_t i;

	for (i = 0; i < TYPES; i++)
		if (strcmp(types[i].d->name, name) == 0)
			return types[i].d;
	return NULL;
}

/* ---- from the file */

static int
fail_type(const struct load *l, const struct place *p,
    const struct yaml_node *type)
{
	const char *name = type_name(type->text), *best = NULL;
	size_t i;

	if (strcmp(name, "xds.type.v3.TypedStruct") == 0 ||
	    strcmp(name, "udpa.type.v1.TypedStruct") == 0)
		return load_fail(l, p, type, "%s is not supported yet; name "
		    "the type itself in \"@type\"", name);
	if (strchr(type->text, '/') == NULL)
		return load_fail(l, p, type, "%s is not a type URL; expected "
		    "\"type.googleapis.com/NAME\"", load_shown(type).text);
	for (i = 0; i < TYPES; i++)
		yaml_nearer(name, types[i].d->name, &best);
	if (best != NULL)
		return load_fail(l, p, type, "%s is not a type known here; "
		    "did you mean \"type.googleapis.com/%s\"?",
		    load_shown(type).text, best);
	return load_fail(l, p, type, "%s is not a type known here",
	    load_shown(type).text);
}

/* The message of a type that JSON writes under "value". */
static ProtobufCMessage *
load_value_of(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const struct yaml_node *n)
{
	struct place at = { .up = p, .name = "value" };
	size_t i;

	for (i = 0; i < n->n; i++)
		if (strcmp(n->keys[i].text, "@type") != 0 &&
		    strcmp(n->keys[i].text, "value") != 0) {
			struct shown key = load_shown_text(n->keys[i].text);

			at.name = key.text;
			load_fail_key(l, &at, &n->keys[i], "unknown field; "
			    "expected \"value\" beside \"@type\"");
			return NULL;
		}
	if (yaml_find(n, "value") == NULL) {
		load_fail(l, p, n, "no \"value\" beside \"@type\"");
		return NULL;
	}
	return load_any_message(l, &at, d, yaml_find(n, "value"));
}

static int
pack(const struct load *l, const struct place *p, Google__Protobuf__Any *any,
    const char *url, const ProtobufCMessage *message,
    const struct yaml_node *at)
{
	size_t len = protobuf_c_message_get_packed_size(message);

	any->type_url = load_alloc(l->m, strlen(url) + 1);
	any->value.data = load_alloc(l->m, len);
	if (any->type_url == NULL || any->value.data == NULL)
		return load_fail_memory(l, p, at);
	memcpy(any->type_url, url, strlen(url));
	any->value.len = protobuf_c_message_pack(message, any->value.data);
	assert(any->value.len == len);
	return 0;
}

int
load_any_fill(const struct load *l, const struct place *p,
    ProtobufCMessage *any, const struct yaml_node *n)
{
	struct place at = { .up = p, .name = "@type" };
	const ProtobufCMessageDescriptor *d;
	const struct yaml_node *type = yaml_find(n, "@type");
	ProtobufCMessage *message;

	if (n->kind != YAML_MAPPING)
		return load_fail(l, p, n, "%s is not a mapping with "
		    "\"@type\"", load_shown(n).text);
	if (type == NULL)
		return load_fail(l, p, n, "no \"@type\"");
	if (!load_is_string(type))
		return load_fail(l, &at, type, "%s is not a string",
		    load_shown(type).text);
	d = load_type_find(type->text);
	if (d == NULL || strchr(type->text, '/') == NULL)
		return fail_type(l, &at, type);
	message = load_kind(d) == LOAD_ORDINARY ? load_fields(l, p, d, n,
	    true) : load_value_of(l, p, d, n);
	if (message == NULL)
		return -1;
	return pack(l, p, (Google__Protobuf__Any *)any, type->text, message,
	    n);
}

/* ---- from the wire */

static void *
arena_alloc(void *m, size_t n)
{
	return load_alloc(m, n);
}

static void
arena_free(void *m, void *p)
{
	(void)m;
	(void)p;
}

const ProtobufCMessage *
load_unpack(struct load_arena *m, const ProtobufCMessageDescriptor *d,
    enum guard_policy policy, const uint8_t *bytes, size_t n, char *why,
    size_t why_len)
{
	ProtobufCAllocator allocator = { arena_alloc, arena_free, m };
	const ProtobufCMessage *message;

	if (guard_check(d, bytes, n, policy, why, why_len) == -1)
		return NULL;
	message = protobuf_c_message_unpack(d, &allocator, n, bytes);
	if (message == NULL)
		snprintf(why, why_len, "%s: more memory than these messages "
		    "may take", d->name);
	return message;
}

const ProtobufCMessage *
load_any(struct load_arena *m, const char *type_url, const uint8_t *value,
    size_t value_len, char *why, size_t why_len)
{
	const ProtobufCMessageDescriptor *d = load_type_find(type_url);

	if (d != NULL)
		return load_unpack(m, d, GUARD_UNKNOWN, value, value_len, why,
		    why_len);
	snprintf(why, why_len, "\"%s\" is not a type known here",
	    load_shown_text(type_url).text);
	return NULL;
}
