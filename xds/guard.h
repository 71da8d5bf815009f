/*
 * xds/guard.h - looks over bytes from outside before protobuf-c may read them.
 *
 * protobuf-c 1.4.1 dies of 34 KB of nesting, takes invalid UTF-8 and a NUL
 * inside a string (so that a name ends early for us and not for others), and
 * makes 74 MB of 2 MB. So one pass over the wire, led by the descriptor:
 *
 *   depth      <= GUARD_DEPTH_MAX messages in each other, without recursion
 *   bytes      <= GUARD_BYTES_MAX
 *   fields     <= GUARD_FIELDS_MAX, items of packed lists counted
 *   strings    UTF-8 without NUL
 *   varints    <= 10 bytes and <= 64 bits; tags and lengths <= 5 bytes
 *   wire types as the descriptor says; no groups
 *   a message where one may stand, not two to be merged
 *
 * Test: t/unit/guard.c.
 */
#ifndef XDS_GUARD_H
#define XDS_GUARD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GUARD_DEPTH_MAX = 64,
	GUARD_BYTES_MAX = 64 << 20,
	GUARD_FIELDS_MAX = 8 << 20,
};

enum guard_policy {
	GUARD_LENIENT = 0,
	/* Refuses fields and enum numbers that the descriptor lacks; those that
	 * xds/fields.def accepts pass. */
	GUARD_UNKNOWN = 1,
};

/* 0: unpack may have them. -1: why, "MESSAGE field 7 (name): ...". */
int	guard_check(const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
	    size_t n, enum guard_policy policy, char *why, size_t why_len);

/* Whether it is UTF-8 (no surrogates, shortest forms) without a NUL. */
bool	guard_text(const uint8_t *text, size_t n);

#endif
