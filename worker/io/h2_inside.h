/*
 * worker/io/h2_inside.h - what h2's own files share: the session, and the
 * calls from one to another. For h2*.c only; everybody else sees h2.h.
 *
 *   h2.c       sessions and streams, as their owners call them
 *   h2_recv.c  what nghttp2 says of bytes that came
 *   h2_send.c  what nghttp2 asks for and says of bytes that go
 *
 * Split by direction: nghttp2 calls back while it reads (h2_feed) or while it
 * writes (h2_take), never both.
 */
#ifndef WORKER_IO_H2_INSIDE_H
#define WORKER_IO_H2_INSIDE_H

#include <nghttp2/nghttp2.h>

#include "worker/io/h2.h"
#include "worker/io/h2_ended.h"

/* How far a server's leaving got (I6). */
enum leaving { STAYS, NOTICE_QUEUED, PING_QUEUED, LEFT };

struct h2 {
	nghttp2_session	*session;
	struct mem	*mem;
	const struct h2_events *events;
	void		*owner;
	struct h2_settings settings;
	LIST_HEAD(, h2_stream) streams;
	uint32_t	 streams_n;
	LIST_HEAD(, headers) sending;	/* blocks that frames still use */
	struct buf	*out;		/* of the h2_take in progress */
	size_t		 out_limit;
	uint32_t	 paused_n;	/* streams that met the limit */
	struct h2_stream *block_of;	/* whose header block is coming in */
	uint32_t	 block_bytes, block_n;	/* of it */
	struct mono	 block_begun;
	struct guards	 guards;	/* I7 */
	struct ended	 ended;		/* server */
	uint64_t	 later;		/* of ended.later, not dropped */
	enum leaving	 leaving;
	uint32_t	 goaway_code;
	int32_t		 goaway_last;	/* the last the peer will process */
	bool		 failed, goaway_seen, settled;
	bool		 out_failed;	/* nghttp2 can't write any more */
	bool		 shares_frame;	/* I4 */
	char		 why[128];
};

/* Of h2_ping; the PING of h2_drain is all zero. */
static const uint8_t h2_ping_bytes[8] = "are you";

static inline struct h2_stream *
stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static inline const nghttp2_nv *
wire(const struct headers *head)
{
	return (const nghttp2_nv *)(const void *)head->at;
}

/* A limit was broken: says so and ends the session. From any callback. */
void	h2_break(struct h2 *h);

/* The stream is the session's until h2_unlink, whose last up-call is closed. */
void	h2_link(struct h2 *h, struct h2_stream *s, int32_t id);
void	h2_unlink(struct h2_stream *s, enum h2_close why);

/* nghttp2_session_mem_recv, within the rules of h2_ended.h. */
ssize_t	h2_recv(struct h2 *h, const uint8_t *p, size_t n);
void	h2_recv_callbacks(nghttp2_session_callbacks *c);
void	h2_send_callbacks(nghttp2_session_callbacks *c);

/* The block as nghttp2 wants it, held until its frame is sent or dropped, or
 * until h2_send_end. NULL: no memory. */
struct headers	*h2_send_begin(struct h2 *h, struct headers *head);
void		 h2_send_end(struct headers *head);
/* Where a stream's DATA frames come from. */
nghttp2_data_provider h2_send_provider(struct h2_stream *s);

#endif
