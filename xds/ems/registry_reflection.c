/*
 * xds/ems/registry_reflection.c - see registry.h: gRPC's server reflection,
 * for grpcurl and its like. The descriptors are those of the .proto files,
 * made by protoc-c at build time (Makefile), comments and all; they are looked
 * at as bytes.
 *
 *   FileDescriptorSet{1 file: FileDescriptorProto{1 name, 2 package,
 *       4 message{1 name}, 5 enum{1 name}, 6 service{1 name}}}
 *
 * Source: gRPC's doc/server-reflection.md, descriptor.proto.
 */
#include "xds/ems/registry_inside.h"

#include <stdio.h>
#include <string.h>

#include "xds/proto/grpc/reflection/v1/reflection.pb-c.h"
#include "xds/wire.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
typedef Grpc__Reflection__V1__ServiceResponse ServiceResponse;

#define ASKS(what) \
	GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define SAYS(what) \
	GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

/* Of the Makefile's reflected.c. */
extern const unsigned char reflected[];
extern const unsigned long reflected_len;

enum { NAME = 1, PACKAGE = 2, SERVICE = 6, SERVICES_MAX = 8,
    NAME_BYTES = 256 };

/* ---- descriptors */

/* The next file of the set. */
static bool
file_take(const uint8_t **at, struct wire_field *file)
{
	while (wire_take(at, reflected + reflected_len, file))
		if (file->tag == WIRE_TAG(1))
			return true;
	return false;
}

/* A text of a descriptor; "" where there is none. */
static void
text_of(const struct wire_field *m, int number, char to[NAME_BYTES])
{
	const uint8_t *at = m->data;
	struct wire_field f;

	to[0] = '\0';
	while (wire_take(&at, m->data + m->len, &f))
		if (f.tag == (uint64_t)WIRE_TAG(number) && f.len < NAME_BYTES) {
			memcpy(to, f.data, f.len);
			to[f.len] = '\0';
			return;
		}
}

/* Whether something at the top of it is called so, or what symbol is in. */
static bool
file_has(const struct wire_field *file, const char *symbol)
{
	const uint8_t *at = file->data;
	char package[NAME_BYTES], name[NAME_BYTES];
	struct wire_field f;
	size_t n;

	text_of(file, PACKAGE, package);
	n = strlen(package);
	if (strncmp(symbol, package, n) != 0 || symbol[n] != '.')
		return false;
	symbol += n + 1;
	while (wire_take(&at, file->data + file->len, &f)) {
		if (f.tag != WIRE_TAG(4) && f.tag != WIRE_TAG(5) &&
		    f.tag != WIRE_TAG(SERVICE))
			continue;
		text_of(&f, NAME, name);
		n = strlen(name);
		if (strncmp(symbol, name, n) == 0 &&
		    (symbol[n] == '\0' || symbol[n] == '.'))
			return true;
	}
	return false;
}

static bool
file_is(const struct wire_field *file, const char *name)
{
	char own[NAME_BYTES];

	text_of(file, NAME, own);
	return strcmp(own, name) == 0;
}

static bool
file_find(bool (*is)(const struct wire_field *file, const char *name),
    const char *name, struct wire_field *file)
{
	const uint8_t *at = reflected;

	while (file_take(&at, file))
		if (is(file, name))
			return true;
	return false;
}

/* The full names of all services. */
static size_t
services(char to[SERVICES_MAX][2 * NAME_BYTES])
{
	const uint8_t *at = reflected, *in;
	char package[NAME_BYTES], name[NAME_BYTES];
	struct wire_field file, f;
	size_t n = 0;

	while (file_take(&at, &file)) {
		text_of(&file, PACKAGE, package);
		in = file.data;
		while (n < SERVICES_MAX &&
		    wire_take(&in, file.data + file.len, &f))
			if (f.tag == WIRE_TAG(SERVICE)) {
				text_of(&f, NAME, name);
				snprintf(to[n++], 2 * NAME_BYTES, "%s.%s",
				    package, name);
			}
	}
	return n;
}

/* ---- answers */

static void
say(struct call *c, const Request *q, Response *r)
{
	union { const Request *from; Request *to; } request = { .from = q };

	r->valid_host = request.to->host;
	r->original_request = request.to;
	(void)registry_send(c, &r->base);
}

static void
say_error(struct call *c, const Request *q, enum call_status code,
    const char *what, const char *name)
{
	Grpc__Reflection__V1__ErrorResponse m;
	char why[NAME_BYTES];
	Response r;

	snprintf(why, sizeof(why), "%s%.200s", what, name);
	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__error_response__init(&m);
	m.error_code = code;
	m.error_message = why;
	r.message_response_case = SAYS(ERROR_RESPONSE);
	r.error_response = &m;
	say(c, q, &r);
}

static void
say_file(struct call *c, const Request *q, const struct wire_field *file)
{
	Grpc__Reflection__V1__FileDescriptorResponse m;
	ProtobufCBinaryData bytes = { file->len,
	    (uint8_t *)(uintptr_t)file->data };
	Response r;

	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__file_descriptor_response__init(&m);
	m.n_file_descriptor_proto = 1;
	m.file_descriptor_proto = &bytes;
	r.message_response_case = SAYS(FILE_DESCRIPTOR_RESPONSE);
	r.file_descriptor_response = &m;
	say(c, q, &r);
}

static void
say_services(struct call *c, const Request *q)
{
	char names[SERVICES_MAX][2 * NAME_BYTES];
	ServiceResponse all[SERVICES_MAX], *at[SERVICES_MAX];
	Grpc__Reflection__V1__ListServiceResponse m;
	Response r;

	grpc__reflection__v1__server_reflection_response__init(&r);
	grpc__reflection__v1__list_service_response__init(&m);
	m.n_service = services(names);
	m.service = at;
	for (size_t i = 0; i < m.n_service; i++) {
		grpc__reflection__v1__service_response__init(&all[i]);
		all[i].name = names[i];
		at[i] = &all[i];
	}
	r.message_response_case = SAYS(LIST_SERVICES_RESPONSE);
	r.list_services_response = &m;
	say(c, q, &r);
}

static void
answer(struct call *c, const Request *q)
{
	struct wire_field file;

	switch (q->message_request_case) {
	case ASKS(FILE_BY_FILENAME):
		if (file_find(file_is, q->file_by_filename, &file))
			say_file(c, q, &file);
		else
			say_error(c, q, CALL_NOT_FOUND, "there is no file ",
			    q->file_by_filename);
		break;
	case ASKS(FILE_CONTAINING_SYMBOL):
		if (file_find(file_has, q->file_containing_symbol, &file))
			say_file(c, q, &file);
		else
			say_error(c, q, CALL_NOT_FOUND, "there is no symbol ",
			    q->file_containing_symbol);
		break;
	case ASKS(LIST_SERVICES):
		say_services(c, q);
		break;
	default:
		say_error(c, q, CALL_NOT_FOUND, "there are no extensions",
		    "");
	}
}

/* ---- the call */

static void *
on_begin(void *arg, struct call *c)
{
	(void)arg;
	return c;
}

static void
on_message(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const Request *m = registry_read(c, a,
	    &grpc__reflection__v1__server_reflection_request__descriptor,
	    bytes, n);

	(void)state;
	if (m != NULL)
		answer(c, m);
	load_arena_free(a);
}

static void
on_half_closed(void *state, struct call *c)
{
	(void)state;
	call_finish(c, CALL_OK, "");
}

static void
on_closed(void *state, struct call *c)
{
	(void)state;
	(void)c;
}

const struct call_handler registry_reflection = { on_begin, on_message,
	on_half_closed, registry_no_room, on_closed, call_leave };
