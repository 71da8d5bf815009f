/*
 * t/sim/script.h - what a call is to be, drawn before it begins, and what
 * came of it: one row for both ends, and for the oracle.
 *
 *   struct call   what the caller and the service do (the script)
 *      ├ caller   what the caller saw
 *      └ tries    what the service saw, once for each time it was asked
 *
 * Both ends find it by the number in the header x-number, so that nothing but
 * the call itself has to pass through the worker.
 *
 * The n-th byte of a body is known from its call and direction alone: whoever
 * receives it can tell a byte that is lost, doubled, moved or another call's.
 */
#ifndef T_SIM_SCRIPT_H
#define T_SIM_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "t/sim/net.h"

enum { CALLS_MAX = 24, TRIES_MAX = 24, BODY_BYTES_MAX = 400000 };

/* What the configuration does with it: world_config.c, in this order. */
enum route {
	ROUTE_PLAIN, ROUTE_FLAKY, ROUTE_DEEP, ROUTE_TIGHT, ROUTE_TIMED,
	ROUTE_IDLE, ROUTE_TRY, ROUTE_GOING, ROUTE_LIMITED, ROUTES
};
extern const char *const route_paths[ROUTES];
enum { ROUTE_TIMED_MS = 300, ROUTE_IDLE_MS = 400, ROUTE_TRY_MS = 200 };

enum direction { REQUEST, ANSWER };

/* What the answer waits for: nothing; its share of the request, byte for byte;
 * the request's end. */
enum gate { GATE_NONE, GATE_SHARE, GATE_END };

enum finish {
	FINISH_OK,		/* trailers, status 0 */
	FINISH_STATUS,		/* trailers, another status */
	FINISH_BARE,		/* trailers only */
	FINISH_RESET,		/* RST_STREAM after answer_bytes */
	FINISH_CLOSE,		/* the connection ends there */
	FINISH_NEVER,		/* somebody else has to end it */
};

/* How a service fails its first tries. */
enum fail { FAIL_REFUSE, FAIL_RESET, FAIL_UNAVAILABLE, FAIL_SILENT };

enum cancel { CANCEL_NEVER, CANCEL_SENT, CANCEL_GOT, CANCEL_MS };

/* How fast one side of a direction goes. */
struct pace {
	uint32_t	piece_bytes;	/* at a time */
	uint32_t	pause_ms;	/* at most, between two */
	uint32_t	stall_at_bytes, stall_ms;	/* once */
};

/* A body as it came. */
struct taken {
	uint32_t	bytes;
	bool		ended, torn;
};

struct try {
	struct taken	request;
	bool		finished;	/* its script was played to the end */
	bool		failed, reset, refused, lost;	/* why not */
	int		status;		/* that it sent; -1: none */
	uint32_t	sent_bytes;	/* of the answer, into frames */
};

struct call {
	/* the script */
	uint32_t	number;
	int		conn;		/* of the caller */
	enum route	route;
	uint32_t	request_bytes, answer_bytes;
	struct pace	send, take, serve_take, serve_send;
	enum gate	gate;
	bool		lockstep;	/* it sends on as it is answered */
	bool		head_early;	/* before anything else is due */
	enum finish	finish;
	int		status;		/* of FINISH_STATUS and _BARE */
	uint32_t	reset_code;
	uint32_t	end_ms;		/* the request's end comes so late */
	bool		trailers;	/* and is a header block */
	enum cancel	cancel;
	uint32_t	cancel_at;
	uint32_t	deadline_ms;	/* grpc-timeout; 0 = none */
	uint32_t	fails_n;
	enum fail	fail;

	/* what the caller saw */
	bool		started, gone;	/* gone: its connection was */
	bool		cancelled, cut;	/* cut: by the worker, or on the way */
	bool		headed;		/* an answer had begun before its end */
	int64_t		begun_ns, over_ns;
	struct taken	answer;
	int		got_status;	/* -1: none came */
	int		heads_n, statuses_n, closed_n;
	uint32_t	close_code;
	char		cause[32];	/* godwit-cause */

	/* of both: when bytes last went, the longest time without */
	int64_t		active_ns, gap_ns;

	/* what the service saw */
	struct try	tries[TRIES_MAX];
	int		tries_n;
};

/* What the network and the schedule allow: scripts that need somebody to end
 * them need a route that does. */
struct script_terms {
	uint32_t	bytes_max;
	bool		closes;		/* services may end connections */
	bool		bulk;		/* large answers to who does not read */
	bool		tight;		/* most go where breakers are narrow */
};

void	script_draw(struct call *c, uint32_t number, struct net *n,
	    const struct script_terms *t);
/* Bytes go, of either direction. */
void	script_active(struct call *c, int64_t now_ns);
/* The part of the answer (to) that is due when from of the other direction
 * came. */
uint32_t script_share(uint32_t to_bytes, uint32_t from_bytes,
	    uint32_t came_bytes);

/* The body's bytes from at on. */
void	script_write(const struct call *c, enum direction d, uint32_t at,
	    uint8_t *to, size_t n);
bool	script_same(const struct call *c, enum direction d, uint32_t at,
	    const uint8_t *p, size_t n);

#endif
