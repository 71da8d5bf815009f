/*
 * xds/ems/call.h - gRPC calls that come in: a port, its connections, and for
 * each call the handler of its method.
 *
 *   door_open(port, methods) ──> connection ──> call ──> begin
 *      message ... ──> half_closed ──┐              call_send ... room
 *                                    └─> closed <── call_finish
 *
 * Invariants
 *   D1  closed is the last up-call, once, whatever happened.
 *   D2  A message is handed over whole, at most of the method's size.
 *   D3  What is sent waits as references to bodies (catalog.h C3), of which
 *       CALL_OUT_BYTES are in the session at a time; room says when all are on
 *       their way.
 *   D4  A connection that is silent is asked by PING (conn.h I10), so a dead
 *       proxy is known after keepalive_ms + keepalive_timeout_ms.
 *   D5  When the door drains, calls that may last are told (leave), so that it
 *       is over with the slowest answer, not with the slowest caller.
 *   D6  A connection begins CALLS_BURST calls, then CALLS_PER_S a second; one
 *       more is refused (RESOURCE_EXHAUSTED), and the connection goes on.
 *
 * Source: gRPC over HTTP2. Test: t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_CALL_H
#define XDS_EMS_CALL_H

#include "worker/io/conn.h"
#include "xds/ems/catalog.h"

enum { CALL_OUT_BYTES = 65536, CALLS_PER_S = 200, CALLS_BURST = 1000 };

/* The numbers of gRPC, of those that we say. */
enum call_status {
	CALL_OK = 0, CALL_INVALID_ARGUMENT = 3, CALL_NOT_FOUND = 5,
	CALL_PERMISSION_DENIED = 7, CALL_RESOURCE_EXHAUSTED = 8,
	CALL_FAILED_PRECONDITION = 9, CALL_ABORTED = 10,
	CALL_UNIMPLEMENTED = 12, CALL_INTERNAL = 13, CALL_UNAVAILABLE = 14,
	CALL_UNAUTHENTICATED = 16,
};

struct call;
struct door;

struct call_handler {
	/* What goes with the other up-calls; NULL: it was finished. */
	void	*(*begin)(void *arg, struct call *c);
	void	(*message)(void *state, struct call *c, const uint8_t *bytes,
		    size_t n);
	void	(*half_closed)(void *state, struct call *c);
	void	(*room)(void *state, struct call *c);
	void	(*closed)(void *state, struct call *c);
	/* The door drains. NULL: the call is over soon anyhow. */
	void	(*leave)(void *state, struct call *c);
};

struct call_method {
	const char	*path;		/* "/pkg.Service/Method" */
	const struct call_handler *handler;
	void		*arg;
	uint32_t	 message_bytes_max;
};

/* body is the callee's; tail is copied. False: no memory, the call ends. */
bool	call_send(struct call *c, struct body *body, const uint8_t *tail,
	    size_t tail_len);
/* All that was sent is on its way. */
bool	call_has_room(const struct call *c);
/* After what was sent. A second one changes nothing. */
void	call_finish(struct call *c, enum call_status status,
	    const char *message);
/* The same, with what a caller is told of a door that drains; the leave of
 * handlers with nothing under way. */
void	call_leave(void *state, struct call *c);
/* Who calls: "127.0.0.1:4711"; the names that the mesh's CA vouches for, each
 * ending in NUL, then an empty one; NULL: none, or in clear text. */
const char *call_address(const struct call *c);
const char *call_names(const struct call *c);

struct door_settings {
	const struct call_method *methods;	/* all good until door_close */
	size_t		 methods_n;
	struct tls_context *tls;	/* NULL: clear text */
	uint32_t	 keepalive_ms, keepalive_timeout_ms;
	uint32_t	 connections_max;
};

/* fd: listening, taken. NULL: errno. */
struct door *door_open(struct io *io, int fd, const struct door_settings *s);
/* Another certificate for those who come from now on. */
void	door_tls(struct door *d, struct tls_context *tls);
/* No new connections, and GOAWAY to those that are (D5). */
void	door_drain(struct door *d);
/* All of them end here, and all calls are closed. */
void	door_close(struct door *d);
size_t	door_connections(const struct door *d);

#endif
