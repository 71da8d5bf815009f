/*
 * xds/load_inside.h - what the files of the loader share; private to
 * xds/load*.c.
 *
 *   load.c         messages: names, lists, maps, oneofs, null
 *   load_scalar.c  what stands in one scalar: numbers, text, enums, Duration
 *   load_any.c     "@type" and the messages it may name (types.def)
 *   load_struct.c  free mappings, packed as google.protobuf.Struct
 *   load_arena.c   memory
 *   fields.c       names the descriptors lack (fields.def)
 */
#ifndef XDS_LOAD_INSIDE_H
#define XDS_LOAD_INSIDE_H

#include <stdbool.h>

#include "xds/guard.h"
#include "xds/load.h"

struct load {				/* one call of load_message */
	struct load_arena *m;
	const struct yaml *y;
	const char	*path;		/* of the root */
	char		*why;
	size_t		 why_len;
};

/* Where we are: linked on the stack, written out only for a refusal. */
struct place {
	const struct place *up;		/* NULL: the root, nothing else set */
	const char	*name;		/* a field, or NULL: */
	const char	*key;		/* a map's key, or NULL: */
	size_t		 index;		/* an item of a list */
};

/* "file:line:col: path: ...", at a value or at its key. Returns -1. */
int	load_fail(const struct load *l, const struct place *p,
	    const struct yaml_node *at, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
int	load_fail_key(const struct load *l, const struct place *p,
	    const struct yaml_key *at, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
int	load_fail_memory(const struct load *l, const struct place *p,
	    const struct yaml_node *at);

/* Bytes of one value of a field, as an item of a list. */
size_t	load_value_size(const ProtobufCFieldDescriptor *f);
/* Whether its items are a map's entries. */
bool	load_is_map(const ProtobufCFieldDescriptor *f);

/* A value for a sentence: "its text", cut and made printable, or null, a list,
 * a mapping. */
struct shown {
	char		text[168];
};
struct shown load_shown(const struct yaml_node *n);
struct shown load_shown_text(const char *text);

/* "did you mean NAME? expected one of NAMES", gathered name by name into a
 * struct that begins as zeros. */
struct choices {
	const char	*best;
	size_t		 used;
	char		 names[256], text[512];
};
void	load_choice(struct choices *c, const char *given, const char *name);
const char *load_choices_text(struct choices *c);

/* Any message but a map's entry. NULL: why. */
ProtobufCMessage *load_any_message(const struct load *l,
	    const struct place *p, const ProtobufCMessageDescriptor *d,
	    const struct yaml_node *n);
/* The fields of an ordinary message; typed: "@type" stands among them. */
ProtobufCMessage *load_fields(const struct load *l, const struct place *p,
	    const ProtobufCMessageDescriptor *d, const struct yaml_node *n,
	    bool typed);

/* One value of field f, neither a list nor a message, into out. */
int	load_scalar(const struct load *l, const struct place *p,
	    const ProtobufCFieldDescriptor *f, const struct yaml_node *n,
	    void *out);
int	load_duration(const struct load *l, const struct place *p,
	    const struct yaml_node *n, int64_t *seconds, int32_t *nanos);

/* Whether text is a number by JSON's grammar. */
bool	load_is_number(const char *text);
/* Whether a scalar is a string: quoted, or nothing else to JSON. */
bool	load_is_string(const struct yaml_node *n);

/* A message of type d, behind the guard. NULL: why. */
const ProtobufCMessage *load_unpack(struct load_arena *m,
	    const ProtobufCMessageDescriptor *d, enum guard_policy policy,
	    const uint8_t *bytes, size_t n, char *why, size_t why_len);

/* Fills the two fields of a google.protobuf.Any. */
int	load_any_fill(const struct load *l, const struct place *p,
	    ProtobufCMessage *any, const struct yaml_node *n);

/* A field that holds a packed Struct (types.def). */
bool	load_struct_is(const char *message, const char *field);
/* A field that holds a private key (types.def). */
bool	load_redact_is(const char *message, const char *field);
int	load_struct(const struct load *l, const struct place *p,
	    const struct yaml_node *n, ProtobufCBinaryData *out);

/* The messages that JSON writes in another way than as a mapping. */
enum load_kind { LOAD_ORDINARY, LOAD_ANY, LOAD_DURATION, LOAD_WRAPPER };
enum load_kind load_kind(const ProtobufCMessageDescriptor *d);

#endif
