/*
 * t/bench/talk.h - one HTTP/2 connection of the flow bench: a socket that does
 * not block under an nghttp2 session that keeps the windows as they should be.
 *
 *   talk_step: recv ─> nghttp2 ─> the user's callbacks
 *              nghttp2 ─> one buffer ─> send, the rest when there is room
 *
 * gload and rawback (wire.h) are cheaper but know no windows below a message;
 * here windows are what is measured, and peers that leave them shut.
 *
 * Source: RFC 9113. Test: flow.py fails where an answer lacks a byte.
 */
#ifndef T_BENCH_TALK_H
#define T_BENCH_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#define TALK_PATH "/flow.Flow/"	/* and the bytes of the answer */

struct talk {
	int		 fd;
	int		 epoll_fd;
	nghttp2_session	*session;
	bool		 deaf;		/* reads nothing any more */
	bool		 full;		/* the socket takes nothing */
	const uint8_t	*rest;		/* of the session's, to be sent */
	size_t		 rest_len;
	void		*owner;
};

/* Around a socket; the talk is epoll's data. window: of each stream and of
 * the connection, bytes. Ends the program with a sentence when it can't. */
struct talk	*talk_new(int epoll_fd, int fd, nghttp2_session *session,
		    uint32_t window);
void		 talk_free(struct talk *t);

/* Reads and writes what can be. False: the connection is over. */
bool		 talk_step(struct talk *t);

/* A socket connected to, or listening at (port 0: any), 127.0.0.1. */
int		 talk_connect(uint16_t port);
int		 talk_listen(uint16_t port, uint16_t *bound);

_Noreturn void	 talk_die(const char *why);

/* A data source of *left bytes, none of them written to: source.ptr is
 * size_t *, and at its end the stream ends if end_stream. */
ssize_t		 talk_zeros(nghttp2_session *session, int32_t id, uint8_t *to,
		    size_t room, uint32_t *flags, nghttp2_data_source *source,
		    void *arg);

#define TALK_HEADER(n, v) { (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, \
    strlen(v), 0 }

#endif
