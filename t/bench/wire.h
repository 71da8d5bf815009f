/*
 * t/bench/wire.h - HTTP/2 in clear text, as cheap as it can be: what the load
 * generator and the backend of the bench share.
 *
 *   recv into one buffer ─> whole frames ─> SETTINGS, PING, WINDOW: here
 *                                       └─> HEADERS, DATA, RESET: the user
 *   frames of the user ─> one buffer per connection ─> one send a turn
 *
 * A measuring tool must cost less than what it measures, so frames are
 * written from templates and header blocks are decoded once (block.h).
 *
 * Not handled, and said aloud when it happens: CONTINUATION, a stream window
 * smaller than a message. Source: RFC 9113. Test: t/bench/selftest.py.
 */
#ifndef T_BENCH_WIRE_H
#define T_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "t/bench/block.h"
#include "t/bench/stream.h"

#define WIRE_PATH "/bench.Echo/Unary"

enum {
	FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RESET = 3, FRAME_SETTINGS = 4,
	FRAME_PING = 6, FRAME_GOAWAY = 7, FRAME_WINDOW = 8,
	FRAME_CONTINUATION = 9,

	FLAG_END_STREAM = 0x01, FLAG_ACK = 0x01, FLAG_END_HEADERS = 0x04,
	FLAG_PADDED = 0x08, FLAG_PRIORITY = 0x20,

	HEAD_BYTES = 9,		/* of a frame */
	PREFIX_BYTES = 5,	/* of a gRPC message */
	MESSAGE_BYTES_MAX = 16384 - PREFIX_BYTES,
};

struct frame {
	uint32_t	 len;
	uint8_t		 type;
	uint8_t		 flags;
	uint32_t	 stream;
	const uint8_t	*body;		/* without padding and priority */
};

struct wire {
	int		 fd;
	bool		 settled;	/* the peer's SETTINGS have come */
	uint8_t		*out;		/* [out_pos, out_end) is to be sent */
	size_t		 out_pos, out_end, out_size;
	uint8_t		*rest;		/* a frame that has begun to come */
	size_t		 rest_len, rest_size;
	int64_t		 window;	/* bytes that the peer lets us send */
	int64_t		 owed;		/* bytes taken, credit not returned */
	int64_t		 stream_window;	/* the peer's initial window */
	uint32_t	 streams_max;	/* the peer's limit */
	size_t		 preface_left;	/* a client's, to come */
	bool		 no_table;	/* the peer has a smaller HPACK table */
	struct block_reader reader;
	struct streams	 streams;
};

/* What the user does with a frame. -1 ends the connection. */
typedef int wire_fn(void *user, const struct frame *f);

/* fd is non-blocking. A client writes its preface; both write SETTINGS and a
 * connection window of 16 MiB. */
struct wire *wire_new(int fd, bool client);
void	wire_free(struct wire *w);

/* Every whole frame that has come. -1: the connection has ended; why. */
int	wire_read(struct wire *w, wire_fn *fn, void *user, const char **why);
/* One send. -1: the connection has ended. */
int	wire_flush(struct wire *w, const char **why);

/* Room for n bytes that the caller fills: the frames of a message. */
uint8_t	*wire_room(struct wire *w, size_t n);
void	wire_put_head(uint8_t *p, uint32_t len, uint8_t type, uint8_t flags,
	    uint32_t stream);
void	wire_put_32(uint8_t *p, uint32_t v);

/* block_judge on a HEADERS frame; -1 also when it has no END_HEADERS. */
int	wire_judge(struct wire *w, const struct frame *f,
	    const struct expected *expected);

/* The gRPC message that both sides send, with its prefix. */
void	wire_put_message(uint8_t *p, uint32_t message_bytes);

double	wire_now(void);
double	wire_cpu(void);
void	wire_die(const char *format, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

#endif
