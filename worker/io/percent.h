/*
 * worker/io/percent.h - grpc-message: percent-encoded UTF-8, in both directions.
 *
 * Which bytes are encoded is as Envoy does it, one more than gRPC asks ("~").
 * Source: gRPC PROTOCOL-HTTP2.md. Test: t/unit/reply.c, t/unit/subscribe.c.
 */
#ifndef WORKER_IO_PERCENT_H
#define WORKER_IO_PERCENT_H

#include <stddef.h>
#include <stdint.h>

/* text into to[0..cap), NUL-terminated, cut where it does not fit. */
void	percent_encode(const char *text, char *to, size_t cap);
/* from[0..len) into to[0..cap), as above. What is no sequence stays. */
void	percent_decode(const uint8_t *from, size_t len, char *to, size_t cap);

#endif
