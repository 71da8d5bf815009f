/* xds/ems/registry.c - see registry.h: which methods, and both ways of theirs. */
#include "xds/ems/registry.h"

#include "xds/ems/registry_inside.h"

enum { MESSAGE_BYTES_MAX = 65536 };

enum call_status
registry_status(const struct lease_answer *a)
{
	if (a->denied)
		return CALL_PERMISSION_DENIED;
	switch (a->result) {
	case STORE_OK:
		return CALL_OK;
	case STORE_CONFLICT:
		return CALL_ABORTED;
	case STORE_INVALID:
		return CALL_INVALID_ARGUMENT;
	case STORE_BUSY:
		return CALL_RESOURCE_EXHAUSTED;
	case STORE_FAILED:
		break;
	}
	return CALL_UNAVAILABLE;
}

const void *
registry_read(struct call *c, struct load_arena *a,
    const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n)
{
	const void *m = NULL;
	char why[512] = "no memory is left";

	if (a != NULL)
		m = load_unpack(a, d, GUARD_LENIENT, bytes, n, why,
		    sizeof(why));
	if (m == NULL)
		call_finish(c, CALL_INVALID_ARGUMENT, why);
	return m;
}

bool
registry_send(struct call *c, const ProtobufCMessage *m)
{
	size_t n = m == NULL ? 0 : protobuf_c_message_get_packed_size(m);
	struct body *b = body_new(n);

	if (b == NULL) {
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
		return false;
	}
	if (m != NULL)
		protobuf_c_message_pack(m, b->bytes);
	return call_send(c, b, NULL, 0);
}

void
registry_no_room(void *state, struct call *c)
{
	(void)state;
	(void)c;
}

void
registry_methods(struct registry *r, struct call_method to[REGISTRY_METHODS])
{
	static const struct {
		const char	*path;
		const struct call_handler *handler;
	} methods[REGISTRY_METHODS] = {
		{ "/godwit.ems.v1.Registry/RegisterEndpoint",
		    &registry_register },
		{ "/godwit.ems.v1.Registry/Heartbeat", &registry_heartbeat },
		{ "/godwit.ems.v1.Registry/DeregisterEndpoint",
		    &registry_deregister },
		{ "/godwit.ems.v1.Registry/Keep", &registry_keep },
		{ "/grpc.health.v1.Health/Check", &registry_check },
		{ "/grpc.health.v1.Health/Watch", &registry_watch },
		{ "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		    &registry_reflection },
		{ "/grpc.reflection.v1alpha.ServerReflection/"
		    "ServerReflectionInfo", &registry_reflection },
	};

	for (int i = 0; i < REGISTRY_METHODS; i++)
		to[i] = (struct call_method){ methods[i].path,
		    methods[i].handler, r, MESSAGE_BYTES_MAX };
}
