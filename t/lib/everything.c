/* t/lib/everything.c - see everything.h. */
#include "t/lib/everything.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct everything {
	ProtobufCMessage base;
	int32_t		 i32, s32, f32;
	int64_t		 i64, s64, f64;
	uint32_t	 u32, x32;
	uint64_t	 u64, x64;
	float		 real32;
	double		 real64;
	protobuf_c_boolean flag;
	char		*text;
	ProtobufCBinaryData raw;
	int		 colour;
	struct everything *child;
	size_t		 many_n, children_n, colours_n, words_n, names_n,
			 by_bool_n, flags_n, fixed_n;
	void		*many, *children, *colours, *words, *names, *by_bool,
			*flags, *fixed;
	int		 one_of_case;
	union {
		char		*text_one;
		struct everything *child_one;
		protobuf_c_boolean bool_one;
	};
};

struct name_entry {
	ProtobufCMessage base;
	int32_t		 key;
	char		*value;
};

struct bool_entry {
	ProtobufCMessage base;
	protobuf_c_boolean key;
	struct everything *value;
};

static const ProtobufCEnumValue colours[] = {	/* by value */
	{ "DARK", "DARK", -1 }, { "NONE", "NONE", 0 }, { "RED", "RED", 1 },
	{ "GREEN", "GREEN", 2 },
};
static const ProtobufCEnumValueIndex colours_by_name[] = {
	{ "DARK", 0 }, { "GREEN", 3 }, { "NONE", 1 }, { "RED", 2 },
};
static const ProtobufCIntRange colour_ranges[] = { { -1, 0 }, { 0, 4 } };
static const ProtobufCEnumDescriptor colour = {
	PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC, "t.Colour", "Colour", "Colour", "t",
	4, colours, 4, colours_by_name, 1, colour_ranges, NULL, NULL, NULL, NULL
};

static ProtobufCMessageDescriptor all, name_entry, bool_entry;

#define ONE(id, name, type, of)						\
	{ #name, id, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_##type, 0,	\
	    offsetof(struct everything, name), of, NULL, 0, 0, NULL, NULL }
#define MANY(id, name, type, of)					\
	{ #name, id, PROTOBUF_C_LABEL_REPEATED, PROTOBUF_C_TYPE_##type,	\
	    offsetof(struct everything, name##_n),			\
	    offsetof(struct everything, name), of, NULL, 0, 0, NULL, NULL }
#define CASE(id, name, type, of)					\
	{ #name, id, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_##type,	\
	    offsetof(struct everything, one_of_case),			\
	    offsetof(struct everything, name), of, NULL,		\
	    PROTOBUF_C_FIELD_FLAG_ONEOF, 0, NULL, NULL }
#define PART(id, entry, name, type, of)					\
	{ #name, id, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_##type, 0,	\
	    offsetof(struct entry, name), of, NULL, 0, 0, NULL, NULL }

static ProtobufCFieldDescriptor fields[] = {
	ONE(1, i32, INT32, NULL), ONE(2, s32, SINT32, NULL),
	ONE(3, f32, SFIXED32, NULL), ONE(4, i64, INT64, NULL),
	ONE(5, s64, SINT64, NULL), ONE(6, f64, SFIXED64, NULL),
	ONE(7, u32, UINT32, NULL), ONE(8, x32, FIXED32, NULL),
	ONE(9, u64, UINT64, NULL), ONE(10, x64, FIXED64, NULL),
	ONE(11, real32, FLOAT, NULL), ONE(12, real64, DOUBLE, NULL),
	ONE(13, flag, BOOL, NULL), ONE(14, text, STRING, NULL),
	ONE(15, raw, BYTES, NULL), ONE(16, colour, ENUM, &colour),
	ONE(17, child, MESSAGE, &all), MANY(18, many, SINT64, NULL),
	MANY(19, children, MESSAGE, &all), MANY(20, colours, ENUM, &colour),
	MANY(21, words, STRING, NULL), MANY(22, names, MESSAGE, &name_entry),
	MANY(23, by_bool, MESSAGE, &bool_entry),
	CASE(24, text_one, STRING, NULL), CASE(25, child_one, MESSAGE, &all),
	CASE(26, bool_one, BOOL, NULL), MANY(27, flags, BOOL, NULL),
	MANY(28, fixed, FIXED32, NULL),
}, name_fields[] = {
	PART(1, name_entry, key, INT32, NULL),
	PART(2, name_entry, value, STRING, NULL),
}, bool_fields[] = {
	PART(1, bool_entry, key, BOOL, NULL),
	PART(2, bool_entry, value, MESSAGE, &all),
};

static void
init(ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	const char *empty = protobuf_c_empty_string;
	unsigned i;

	memset(m, 0, d->sizeof_message);
	m->descriptor = d;
	for (i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_STRING &&
		    d->fields[i].label == PROTOBUF_C_LABEL_NONE &&
		    !(d->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
			memcpy((char *)m + d->fields[i].offset, &empty,
			    sizeof(empty));
}

static void
init_all(ProtobufCMessage *m)
{
	m->descriptor = &all;
	init(m);
}

static void
init_name(ProtobufCMessage *m)
{
	m->descriptor = &name_entry;
	init(m);
}

static void
init_bool(ProtobufCMessage *m)
{
	m->descriptor = &bool_entry;
	init(m);
}

static const ProtobufCFieldDescriptor *sorting;

static int
by_name(const void *a, const void *b)
{
	return strcmp(sorting[*(const unsigned *)a].name,
	    sorting[*(const unsigned *)b].name);
}

static void
describe(ProtobufCMessageDescriptor *d, const char *name, size_t size,
    const ProtobufCFieldDescriptor *f, unsigned n, unsigned *sorted,
    ProtobufCIntRange *ranges, ProtobufCMessageInit fn)
{
	unsigned i;

	for (i = 0; i < n; i++)
		sorted[i] = i;
	sorting = f;
	qsort(sorted, n, sizeof(*sorted), by_name);
	ranges[0] = (ProtobufCIntRange){ 1, 0 };
	ranges[1] = (ProtobufCIntRange){ 0, n };
	*d = (ProtobufCMessageDescriptor){
		PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, name, name, name, "t",
		size, n, f, sorted, 1, ranges, fn, NULL, NULL, NULL
	};
}

const ProtobufCMessageDescriptor *
everything(void)
{
	static unsigned sorted[3][32];
	static ProtobufCIntRange ranges[3][2];

	describe(&name_entry, "t.Everything.NamesEntry",
	    sizeof(struct name_entry), name_fields, 2, sorted[1], ranges[1],
	    init_name);
	describe(&bool_entry, "t.Everything.ByBoolEntry",
	    sizeof(struct bool_entry), bool_fields, 2, sorted[2], ranges[2],
	    init_bool);
	describe(&all, "t.Everything", sizeof(struct everything), fields,
	    sizeof(fields) / sizeof(fields[0]), sorted[0], ranges[0],
	    init_all);
	return &all;
}
