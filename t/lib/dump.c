/* t/lib/dump.c - see dump.h. */
#include "t/lib/dump.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "xds/proto/google/protobuf/any.pb-c.h"

struct dump {
	FILE		*out;
	struct load_arena *m;
};

static void	dump_fields(const struct dump *d, const ProtobufCMessage *m,
		    int depth);

static void
dump_text(const struct dump *d, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	size_t i;

	fputc('"', d->out);
	for (i = 0; i < n; i++)
		fprintf(d->out, at[i] < ' ' || at[i] > '~' || at[i] == '"' ||
		    at[i] == '\\' ? "\\x%02x" : "%c", at[i]);
	fputc('"', d->out);
}

static void
dump_any(const struct dump *d, const Google__Protobuf__Any *any, int depth)
{
	const ProtobufCMessage *inside;
	char why[256];

	inside = load_any(d->m, any->type_url, any->value.data, any->value.len,
	    why, sizeof(why));
	fprintf(d->out, "[%s] {\n", any->type_url);
	if (inside != NULL)
		dump_fields(d, inside, depth + 1);
	else
		fprintf(d->out, "%s\n", why);
	fprintf(d->out, "%*s}", depth * 2, "");
}

static void
dump_sub(const struct dump *d, const ProtobufCMessage *m, int depth)
{
	if (m->descriptor == &google__protobuf__any__descriptor) {
		dump_any(d, (const Google__Protobuf__Any *)(const void *)m,
		    depth);
		return;
	}
	fprintf(d->out, "{\n");
	dump_fields(d, m, depth + 1);
	fprintf(d->out, "%*s}", depth * 2, "");
}

static void
dump_enum(const struct dump *d, const ProtobufCEnumDescriptor *of, int value)
{
	const ProtobufCEnumValue *v;

	v = protobuf_c_enum_descriptor_get_value(of, value);
	if (v != NULL)
		fprintf(d->out, "%s", v->name);
	else
		fprintf(d->out, "%d", value);
}

union value {
	int32_t		 i32;
	int64_t		 i64;
	uint32_t	 u32;
	uint64_t	 u64;
	float		 f;
	double		 d;
	char		*text;
	ProtobufCBinaryData raw;
	ProtobufCMessage *message;
};

static size_t
value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 8;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static void
dump_value(const struct dump *d, const ProtobufCFieldDescriptor *f,
    const union value *v, int depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		fprintf(d->out, "%" PRIu32, v->u32);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		fprintf(d->out, "%" PRId64, v->i64);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		fprintf(d->out, "%" PRIu64, v->u64);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		fprintf(d->out, "%.9g", (double)v->f);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		fprintf(d->out, "%.17g", v->d);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		fprintf(d->out, "%s", v->i32 ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		dump_enum(d, f->descriptor, v->i32);
		break;
	case PROTOBUF_C_TYPE_STRING:
		dump_text(d, v->text, strlen(v->text));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		dump_text(d, v->raw.data, v->raw.len);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		dump_sub(d, v->message, depth);
		break;
	default:
		fprintf(d->out, "%" PRId32, v->i32);
	}
}

static bool
is_unset(const ProtobufCFieldDescriptor *f, const char *base,
    const union value *v)
{
	static const union value zero;
	uint32_t set;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&set, base + f->quantifier_offset, sizeof(set));
		return set != f->id;
	}
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return v->text == NULL || v->text[0] == '\0';
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return v->raw.len == 0;
	return memcmp(v, &zero, value_size(f)) == 0;
}

static void
dump_field(const struct dump *d, const ProtobufCFieldDescriptor *f,
    const char *base, int depth)
{
	const char *items = base + f->offset;
	size_t n = 1, i;
	union value v;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&items, base + f->offset, sizeof(items));
		memcpy(&n, base + f->quantifier_offset, sizeof(n));
	}
	for (i = 0; i < n; i++) {
		memset(&v, 0, sizeof(v));
		memcpy(&v, items + i * value_size(f), value_size(f));
		if (f->label != PROTOBUF_C_LABEL_REPEATED &&
		    is_unset(f, base, &v))
			continue;
		fprintf(d->out, "%*s%s: ", depth * 2, "", f->name);
		dump_value(d, f, &v, depth);
		fputc('\n', d->out);
	}
}

static void
dump_fields(const struct dump *d, const ProtobufCMessage *m, int depth)
{
	unsigned i;

	for (i = 0; i < m->descriptor->n_fields; i++)
		dump_field(d, &m->descriptor->fields[i],
		    (const char *)m, depth);
}

void
dump_message(FILE *out, struct load_arena *m, const ProtobufCMessage *message)
{
	const struct dump d = { out, m };

	dump_fields(&d, message, 0);
}
