/*
 * xds/print.h - messages to JSON, by descriptors: the way back of xds/load.h,
 * in the letters in which Envoy's /config_dump writes them.
 *
 * proto3's JSON mapping with the .proto's own names: what is unset is left
 * out, an Any opened beside its "@type", Duration "1.500s", wrappers bare,
 * 64-bit numbers as strings, enums by name, bytes base64, packed Structs as
 * objects. load_message reads it and has the same message again.
 *
 * What the subset lacks (xds/fields.def accepts some) has no name here and is
 * not printed, and neither are bytes that can't be read, as those of a refused
 * resource may be.
 *
 *   print_begin ─> print_open ─> print_text, print_message ... ─> print_close
 *
 * Source: protobuf.dev, "ProtoJSON format"; Envoy 1.40's /config_dump.
 * Test: t/unit/print.c.
 */
#ifndef XDS_PRINT_H
#define XDS_PRINT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct load_arena;

struct print {
	FILE		*out;
	struct load_arena *memory;	/* of one message; the caller's */
	unsigned	 depth;
	bool		 first;		/* nothing yet between these brackets */
	bool		 whole;		/* private keys too */
	bool		 redacts;	/* what is under way is a key */
};

/* Nothing is printed yet. memory: what messages are unpacked into. */
void	print_begin(struct print *p, FILE *out, struct load_arena *memory);

/* Everything below stands under its key, or, key NULL, in a list or alone.
 * bracket: '{' or '['. */
void	print_open(struct print *p, const char *key, char bracket);
void	print_close(struct print *p, char bracket);
void	print_text(struct print *p, const char *key, const char *text);
void	print_number(struct print *p, const char *key, uint64_t number);
void	print_flag(struct print *p, const char *key, bool flag);

/* The fields of m, with "@type" before them if url is not NULL. */
void	print_message(struct print *p, const char *key,
	    const ProtobufCMessage *m, const char *url);
/* The same of bytes of this type, "type.googleapis.com/NAME" or NAME. */
void	print_bytes(struct print *p, const char *key, const char *url,
	    const uint8_t *bytes, size_t len);
/* The fields alone, between brackets that are open. */
void	print_fields(struct print *p, const char *url, const uint8_t *bytes,
	    size_t len);

#endif
