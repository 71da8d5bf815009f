/*
 * t/sim/end.h - one end of a connection to the worker: an nghttp2 session over
 * the network of net.h, with nothing of worker/ in it, so that what the worker
 * sends is judged by somebody else. A peer is an actor with such ends.
 *
 *   peer ┬─ alarms                 by the network's clock
 *        └─ ends ─ deeds           what it does to the connection after so
 *                                  many bytes, in either direction
 *
 *   deed       PING, SETTINGS, GOAWAY, a stall, FIN, RST: exactly behind the
 *              at_bytes-th byte, in the middle of a frame as likely as not
 *   windows    the peer's own: SETTINGS_INITIAL_WINDOW_SIZE, 0 too, and
 *              WINDOW_UPDATEs that an end sends late
 *   ledger     DATA bytes sent, credit that came: they differ by what the
 *              worker owes. It gives credit when half a window is consumed;
 *              to who sends a frame at a time and waits, all of it (audited)
 */
#ifndef T_SIM_END_H
#define T_SIM_END_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <sys/queue.h>

#include "t/sim/net.h"

enum deed_kind {
	DEED_PING, DEED_WINDOW, DEED_STREAMS, DEED_GOAWAY, DEED_STALL,
	DEED_CLOSE, DEED_ABORT, DEEDS
};

struct deed {
	enum deed_kind	kind;
	uint64_t	at_bytes;
	uint32_t	value;		/* a setting; streams; ms */
	bool		done;
};

/* The worker's windows where they are not what HTTP/2 begins with: of a
 * stream, of such a connection. */
enum { WIDE_STREAM_BYTES = 262144, WIDE_BYTES = 1048576 };

/* CREDIT_MS: credit for each few bytes that a slow network brings would be a
 * flood of WINDOW_UPDATEs. */
enum { END_DEEDS_MAX = 8, END_OUT_BYTES = 40960, CREDIT_MS = 5 };

struct alarm {
	LIST_ENTRY(alarm) link;
	int64_t		at_ns;		/* 0: not set */
	void		(*ring)(struct alarm *a);
};

/* What an alarm is a member of. */
#define ALARM_OF(a, type, member) \
	((type *)(void *)((char *)(a) - offsetof(type, member)))

struct end;
struct peer;

struct end_events {
	nghttp2_on_begin_headers_callback begin;
	nghttp2_on_header_callback header;
	nghttp2_on_frame_recv_callback frame;
	nghttp2_on_data_chunk_recv_callback data;
	nghttp2_on_stream_close_callback closed;
	void	(*waits)(struct peer *p);	/* somebody, at its socket */
	void	(*gone)(struct end *e);	/* the connection ended; e is freed */
};

struct peer {
	struct net_actor *actor;
	LIST_HEAD(, end) ends;
	LIST_HEAD(, alarm) alarms;
	const struct end_events *events;
	void		*owner;
	const char	*wrong;		/* what the worker did to an end */
	char		 wrong_room[160];
};

struct end {
	struct peer	*peer;
	LIST_ENTRY(end)	 link;
	void		*owner;
	nghttp2_session	*session;
	int		 fd;
	bool		 server, open, readable, writable;
	bool		 silent;	/* it has said all, and reads on */
	bool		 leaving;	/* the other side's GOAWAY came */
	bool		 left;		/* ours went */
	int32_t		 last;		/* stream that it named */
	bool		 by_us;		/* its end is a deed of ours */
	uint8_t		 out[END_OUT_BYTES];
	size_t		 out_at, out_n;
	struct alarm	 stalled;	/* it reads nothing until then */
	struct alarm	 credit;	/* it gives no credit until then */
	struct alarm	 raise;		/* of a window of 0 */
	uint32_t	 credit_ms;	/* how late, at most */
	uint32_t	 owed_bytes;	/* of the connection's credit */
	uint32_t	 window_bytes;	/* a stream's, as announced */
	uint64_t	 moved_bytes;	/* both directions */
	struct deed	 deeds[END_DEEDS_MAX];
	int		 deeds_n;
	uint64_t	 data_sent_bytes, credited_bytes;
	bool		 audited;	/* each credit is to leave no debt */
	int		 audits_n;	/* that did */
};

struct end_settings {
	uint32_t	window_bytes, streams_max;
	uint32_t	credit_ms;
};

void	peer_init(struct peer *p, struct net_actor *a,
	    const struct end_events *events, void *owner);
void	peer_fini(struct peer *p);
void	peer_turn(struct peer *p);
/* When it has something to do; -1: never. */
int64_t	peer_next_ns(const struct peer *p);
void	peer_wrong(struct peer *p, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));

void	alarm_set(struct peer *p, struct alarm *a, uint32_t ms);
void	alarm_stop(struct alarm *a);

struct end *end_connect(struct peer *p, uint16_t port,
	    const struct end_settings *s);
struct end *end_accept(struct peer *p, int fd, const struct end_settings *s);
void	end_deed(struct end *e, enum deed_kind kind, uint64_t at_bytes,
	    uint32_t value);
/* n bytes of DATA came: the connection's credit goes back, sooner or later. */
void	end_took(struct end *e, size_t n);
/* From outside of its callbacks: FIN, or RST. */
void	end_close(struct end *e, bool abort);

#endif
