/* xds/keep.c - see keep.h. */
#include "xds/keep.h"

#include <stdio.h>
#include <stdlib.h>

#include "xds/load_inside.h"
#include "xds/proto/godwit/ems/registry.pb-c.h"
#include "xds/proto/grpc/health/v1/health.pb-c.h"

#define SERVING \
	GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING

enum { ARENA_BYTES = 65536 };

/* KeepRequest{2 leave: true} */
const uint8_t keep_leave[KEEP_LEAVE_BYTES] = { 2 << 3, 1 };

static uint8_t *
packed(const ProtobufCMessage *m, size_t *n)
{
	uint8_t *bytes;

	*n = protobuf_c_message_get_packed_size(m);
	bytes = malloc(*n + 1);
	if (bytes != NULL)
		protobuf_c_message_pack(m, bytes);
	return bytes;
}

/* protobuf-c's texts are not const; nobody writes them. */
static char *
text(const char *from)
{
	return (char *)(uintptr_t)from;
}

uint8_t *
keep_endpoint_pack(const struct keep_endpoint *e, size_t *n)
{
	Godwit__Ems__V1__KeepRequest m;
	Godwit__Ems__V1__RegisterRequest to;

	godwit__ems__v1__keep_request__init(&m);
	godwit__ems__v1__register_request__init(&to);
	to.id = text(e->id);
	to.service = text(e->service);
	to.region = text(e->region);
	to.zone = text(e->zone);
	to.address = text(e->address);
	to.version = text(e->version);
	to.port = e->port;
	to.weight = e->weight;
	to.ttl_ms = e->ttl_ms;
	m.endpoint = &to;
	return packed(&m.base, n);
}

int
keep_answer_read(const uint8_t *bytes, size_t n, struct keep_answer *to,
    char *why, size_t why_len)
{
	struct load_arena *a = load_arena_new(ARENA_BYTES);
	const Godwit__Ems__V1__KeepResponse *m = NULL;

	snprintf(why, why_len, "no memory");
	if (a != NULL)
		m = (const void *)load_unpack(a,
		    &godwit__ems__v1__keep_response__descriptor,
		    GUARD_LENIENT, bytes, n, why, why_len);
	if (m != NULL) {
		snprintf(to->id, sizeof(to->id), "%s", m->id);
		to->epoch = m->epoch;
		to->ttl_ms = m->ttl_ms;
		to->left = m->left;
	}
	load_arena_free(a);
	return m == NULL ? -1 : 0;
}

uint8_t *
keep_health_pack(const char *service, size_t *n)
{
	Grpc__Health__V1__HealthCheckRequest m;

	grpc__health__v1__health_check_request__init(&m);
	m.service = text(service);
	return packed(&m.base, n);
}

int
keep_health_read(const uint8_t *bytes, size_t n, char *why, size_t why_len)
{
	struct load_arena *a = load_arena_new(ARENA_BYTES);
	const Grpc__Health__V1__HealthCheckResponse *m = NULL;
	int status = -1;

	snprintf(why, why_len, "no memory");
	if (a != NULL)
		m = (const void *)load_unpack(a,
		    &grpc__health__v1__health_check_response__descriptor,
		    GUARD_LENIENT, bytes, n, why, why_len);
	if (m != NULL)
		status = m->status == SERVING;
	load_arena_free(a);
	return status;
}
