/*
 * master/control.h - what the processes say to each other: one struct per
 * message over SOCK_SEQPACKET, descriptors beside it.
 *
 *   start, reload, and the successor of a dead master: one way for all
 *
 *     keeper ──RELOAD──> master                      (a reload only)
 *            <──LISTENER × n, STAGE + kept──         compiled, not published
 *            binds what is new, makes rows: can't? ──REFUSED──> dropped
 *            ──WORDS + common, once per master; ROW + row, wake × new──>
 *            ──BOUND──>                              published
 *            <──MOVED + arena, secrets──             in a new arena: re-homes
 *            <──PUBLISHED──                          starts workers, once
 *            <──SETTLED──                            every worker uses it:
 *            closes what is gone, starts or drains workers, answers who asked
 *            ──SERVE + admin.sock──>                 once per master
 *            <──FAIL──                               a bad file: all stays
 *
 *   a change of the control plane
 *     other listeners   from LISTENER on as above, but nobody asked
 *     all others        master ──PUBLISHED──> keeper, which needs do nothing
 *
 *   the start with a checkpoint: a listener of it that can't be bound is
 *   REFUSED too, and the master stages again without it
 *
 *   TERM, where apps are registered (register.h):
 *     keeper ──LEAVE──> master ──LEFT──> keeper, which drains
 *
 *   godwit -s withdraw, the same for those of a name, and only that:
 *     keeper ──WITHDRAW──> master ──WITHDRAWN──> keeper, which answers
 *
 *   a new journal (journal.h): master ──JOURNAL + journal──> keeper
 *
 *   USR1        keeper ──REOPEN + file──> master
 *   compaction  master ──MOVED + arena, secrets──> keeper
 *   godwit -s   caller ──COMMAND──> keeper ──TEXT × n, OK | FAIL──> caller
 *
 * Invariants
 *   I1  A message that control_receive hands out is whole and of this layout,
 *       its kind and counts are in range, its texts end, and it brings as
 *       many descriptors as its kind says. Who may say it is the receiver's
 *       question.
 *   I2  Descriptors of a refused message are closed.
 *
 * Keeper and roles are one binary; a caller of -s may be of another, which
 * the layout tells. Test: t/unit/control.c.
 */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define CONTROL_LAYOUT 0x67770006u

enum control_kind {
	CONTROL_LISTENER, CONTROL_STAGE, CONTROL_WORDS, CONTROL_ROW,
	CONTROL_BOUND,
	CONTROL_REFUSED, CONTROL_MOVED, CONTROL_JOURNAL,
	CONTROL_PUBLISHED, CONTROL_SETTLED,
	CONTROL_LEAVE, CONTROL_LEFT,
	CONTROL_WITHDRAW, CONTROL_WITHDRAWN,
	CONTROL_SERVE, CONTROL_RELOAD, CONTROL_REOPEN, CONTROL_FAIL,
	CONTROL_COMMAND,
	CONTROL_TEXT, CONTROL_OK,
	CONTROL_KINDS
};

enum {
	CONTROL_FDS_MAX = 2, CONTROL_TEXT_BYTES = 1024,
	CONTROL_GROUPS_MAX = 64, CONTROL_WORKERS_MAX = 256,
};

/* What the keeper needs to know of the settings. */
struct control_settings {
	uint32_t	workers_n;
	uint32_t	drain_time_ms;
	uint32_t	stuck_alarm_ms, stuck_kill_ms;
	uint32_t	log_level;	/* enum log_level */
	uint32_t	asked;		/* 1: by RELOAD, or at the start */
	uint32_t	registers_n;	/* apps that leave before a drain */
	uint32_t	does_without;	/* at the start: REFUSED is an answer */
	uint32_t	user_set;	/* 0: the children stay who we are */
	uint32_t	uid, gid;
	uint32_t	groups_n;
	uint32_t	groups[CONTROL_GROUPS_MAX];
	char		run_dir[256];
	char		log_file[256];	/* "": standard error */
};

struct control_listener {		/* to bind */
	uint32_t	slot, tag;
	uint32_t	backlog;
	uint32_t	address_len;
	char		name[128];
	struct sockaddr_storage address;
};

struct control {
	uint32_t	layout;		/* CONTROL_LAYOUT; control_send's */
	uint32_t	kind;		/* enum control_kind */
	uint64_t	generation;	/* STAGE, MOVED, PUBLISHED, SETTLED */
	int32_t		slot_refused;	/* REFUSED: of a listener, or -1 */
	uint32_t	asker;		/* WITHDRAW, and its WITHDRAWN: whose */
	uint32_t	bad;		/* WITHDRAWN: 1: text says why not */
	uint32_t	pad;
	union {
		struct control_listener	listener;	/* LISTENER */
		struct control_settings	settings;	/* STAGE */
		uint32_t	slot;			/* ROW */
		char		text[CONTROL_TEXT_BYTES];	/* the rest */
	};
};

/* Sends m with as many of fds as its kind has, NULL for none. -1: errno. */
int	control_send(int fd, struct control *m, const int *fds);

/* Sends a message of one text, cut where it is too long. */
int	control_say(int fd, enum control_kind kind, const char *text);

/* 1: a message, its descriptors in fds (-1 where there is none); 0: the other
 * side is gone; -1: errno, EPROTO for what breaks I1, EAGAIN. */
int	control_receive(int fd, struct control *m, int fds[CONTROL_FDS_MAX]);

#endif
