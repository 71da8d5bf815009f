/*
 * xds/print_inside.h - what the files of the printer share; private to
 * xds/print*.c.
 *
 *   print.c         messages, by descriptors
 *   print_json.c    brackets, keys, texts
 *   print_struct.c  packed Structs
 */
#ifndef XDS_PRINT_INSIDE_H
#define XDS_PRINT_INSIDE_H

#include <stddef.h>
#include <stdint.h>

#include "xds/print.h"

/* Deeper than this nothing is opened: an Any may hold an Any without end. */
enum { PRINT_DEPTH_MAX = 200 };

/* The comma, the line and the key in front of a value. */
void	print_key(struct print *p, const char *key);
/* A value without what is in front of it. */
void	print_quoted(struct print *p, const char *text, size_t n);
void	print_base64(struct print *p, const uint8_t *bytes, size_t n);
void	print_real(struct print *p, double number, int digits);

/* A packed google.protobuf.Struct as an object. False: it is none, and nothing
 * was printed. */
bool	print_struct(struct print *p, const uint8_t *bytes, size_t n);

#endif
