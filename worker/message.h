/*
 * worker/message.h - what the keeper and a worker say to each other, over the
 * worker's control socket.
 *
 *   worker ──READY──> keeper            it takes connections
 *   keeper ──LISTEN + sockets──>        sockets of a listener; the same again
 *                                       with another listener renames them
 *          ──UNLISTEN──>                somebody else serves them, or nobody
 *          ──REHOME + arena, secrets──> the next turn reads there
 *          ──REOPEN + file──>           the log goes there
 *          ──DRAIN──>                   no new connections; GOAWAY; end with
 *                                       the last stream
 *          ──STOP──>                    end now
 *   end of file: the keeper died: drain
 *
 * A socket is known by group and index: the keeper's names for it. A listener
 * is named by slot and tag: a worker that does not find them in the generation
 * it uses leaves callers in the queue until it has the one that names them.
 *
 * Test: t/unit/message.c, t/mesh/.
 */
#ifndef WORKER_MESSAGE_H
#define WORKER_MESSAGE_H

#include <stdint.h>

#include "worker/io/pass.h"

enum message_kind {
	MESSAGE_READY = 1, MESSAGE_LISTEN, MESSAGE_UNLISTEN, MESSAGE_REHOME,
	MESSAGE_REOPEN, MESSAGE_DRAIN, MESSAGE_STOP,
};

struct message {
	uint32_t	kind;		/* enum message_kind */
	uint32_t	group;		/* LISTEN, UNLISTEN */
	uint32_t	listener, tag;	/* LISTEN */
	uint32_t	sockets_n;	/* LISTEN, UNLISTEN */
	uint16_t	sockets[PASS_FDS_MAX];	/* their indices */
};

/* -1: errno; EAGAIN: it has too much unread. */
int	message_send(int fd, const struct message *m, const int *fds,
	    int fds_n);
int	message_say(int fd, enum message_kind kind);

/* 1: *m, and its descriptors in fds, the rest -1; 0: the other
 * side is gone; -1: errno. */
int	message_receive(int fd, struct message *m, int fds[PASS_FDS_MAX]);

#endif
