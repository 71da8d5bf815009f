/*
 * worker/reply.h - the answers that godwit makes itself, from the cause.
 *
 * To a gRPC request: status 200, content-type application/grpc, grpc-status,
 * grpc-message (percent-encoded), all in one header block that ends the
 * stream; to any other the HTTP status and the text. Both with godwit-cause,
 * unless switched off. Source: gRPC PROTOCOL-HTTP2.md (Trailers-Only);
 * Envoy's local replies (reference/envoy-xds.md 3.1). Test: t/mesh/.
 */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "worker/state.h"

/* The whole answer, for s->cause; nothing was answered yet. */
void	reply_whole(struct stream *s);
/* The end of an answer that has begun: trailers that say s->cause. */
void	reply_trailers(struct stream *s);

#endif
