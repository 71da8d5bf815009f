/*
 * xds/load.h - YAML or JSON to protobuf-c messages, by descriptors: no message
 * is known here, so that one more is a .proto entry and a compiler function.
 *
 * The mapping is proto3's JSON mapping: snake_case and camelCase names, null =
 * unset, enums by name or number, Duration "1.5s", wrappers as bare values,
 * bytes base64, 64-bit numbers as number or string, maps, oneofs, "@type" in
 * an Any (the rest of the mapping is packed into its value), Struct as packed
 * bytes. A name that is not in the descriptor is looked up in xds/fields.def:
 * accepted there without effect, or refused with the reason given there, or
 * else refused as unknown.
 *
 * Every refusal is "file:line:col: path: what is wrong, what was expected".
 * Source: protobuf JSON mapping; reference/envoy-xds.md 1.0.
 * Test: t/unit/load.c, t/data/load/.
 */
#ifndef XDS_LOAD_H
#define XDS_LOAD_H

#include <protobuf-c/protobuf-c.h>

#include "conf/yaml.h"

/* Memory of a set of messages, thrown away whole; capped. */
struct load_arena;
struct load_arena *load_arena_new(size_t bytes_max);
void	load_arena_free(struct load_arena *m);
/* Zeroes what was handed out: there was a key in it. */
void	load_arena_wipe(struct load_arena *m);
/* Gives all of it back, and keeps some room: for the next message. */
void	load_arena_clear(struct load_arena *m);
/* Zeroed; NULL over the cap. */
void	*load_alloc(struct load_arena *m, size_t n);

/* Reads node into a new message of type d. path is where the node stands
 * ("static_resources", "" for the root). NULL: why. */
ProtobufCMessage *load_message(struct load_arena *m,
	    const ProtobufCMessageDescriptor *d, const struct yaml *y,
	    const struct yaml_node *node, const char *path,
	    char *why, size_t why_len);

/* The message in an Any, by its type URL; unpacked behind xds/guard.h, and
 * refused when it holds fields that our subset does not know. NULL: why
 * (without a place: the caller knows the path). */
const ProtobufCMessage *load_any(struct load_arena *m, const char *type_url,
	    const uint8_t *value, size_t value_len, char *why, size_t why_len);

/* The descriptor for "type.googleapis.com/NAME" or NAME (xds/types.def), or
 * NULL. */
const ProtobufCMessageDescriptor *load_type_find(const char *type_url);

/* "protobuf-c 1.4.1" */
const char *load_library(void);

#endif
