/*
 * master/keeper_state.h - the keeper's own knowledge; for keeper*.c only.
 *
 *   keeper.c          the loop: signals, deaths, phases
 *   keeper_master.c   the master: its words, its successors
 *   keeper_worker.c   workers: how many, their births and deaths
 *   keeper_watch.c    workers that hang
 *   keeper_socket.c   which worker serves which socket
 *   keeper_client.c   godwit -s and reloads
 */
#ifndef MASTER_KEEPER_STATE_H
#define MASTER_KEEPER_STATE_H

#include <stdbool.h>

#include "master/control.h"
#include "master/keeper_dir.h"
#include "master/keeper_listen.h"
#include "master/notify.h"
#include "master/role.h"
#include "master/options.h"
#include "shm/row.h"
#include "shm/word.h"
#include "worker/message.h"

enum {
	KEEPER_CLIENTS = 16, KEEPER_KILL_MS = 1000,
	/* Those that are going and those that come, side by side. */
	KEEPER_LISTENERS = 2 * LISTENERS_MAX,
};

/* The order is the order of life. */
enum keeper_state {
	KEEPER_STARTING, KEEPER_WARMING, KEEPER_SERVING, KEEPER_LEAVING,
	KEEPER_DRAINING, KEEPER_STOPPING,
};

struct child {
	pid_t		 pid;		/* 0: not alive */
	int		 control_fd;	/* -1: closed */
	struct mono	 born;
	unsigned	 deaths_quick;	/* in a row */
	struct mono	 start_due;	/* when it is born again; 0 = no plan */
};

/*
 *          born          READY             too many         reaped
 *   free ───────> wanted ─────> serving ───────────> leaving ─────> free
 *                   ^              │ died
 *                   └──────────────┘
 */
struct keeper_worker {
	struct child	 child;
	int		 row_fd, wake_fd, stats_fd;	/* kept over deaths */
	struct row	*row;		/* NULL: never opened */
	bool		 wanted;	/* it is to live */
	bool		 ready;		/* it said so */
	bool		 serving;	/* sockets are dealt to it */
	struct mono	 kill_due;	/* it is leaving; 0 = it isn't */
	struct mono	 asked;		/* it was woken and did not turn; 0 */
	bool		 alarmed;	/* that was said */
};

/* What a caller of -s waits for. */
enum client_wait {
	CLIENT_ASKING,			/* its command has not come */
	CLIENT_RELOAD_NEXT,		/* the reload after the running one */
	CLIENT_RELOAD_NOW,
	CLIENT_WITHDRAW,		/* what the master says to its number */
	CLIENT_END,			/* ours */
};

struct keeper_client {
	int		 fd;		/* -1: free */
	enum client_wait wait;
	uint32_t	 number;	/* no other caller's, ever */
};

/* What a master is about. */
enum keeper_change {
	CHANGE_NONE,			/* all is settled */
	CHANGE_LISTENING,		/* its listeners are coming */
	CHANGE_BOUND,			/* what it wants is there: it publishes */
	CHANGE_SETTLING,		/* published: until workers use it */
};

struct keeper {
	const struct options *options;
	char *const	*argv;
	enum keeper_state state;
	bool		 over;
	int		 exit_code;
	struct mono	 now;		/* of this turn */
	struct mono	 born;
	struct mono	 due;		/* LEAVING: drain; DRAINING: stop;
					   STOPPING: kill */
	struct mono	 watch_due;	/* the next look at heartbeats */
	int		 signal_fd;
	struct notify	 notify;
	int		 stderr_fd;	/* the one that we were started with */
	char		 log_file[256];	/* where the log goes; "": stderr */

	struct child	 master;
	uint64_t	 masters;	/* how many there were */
	int		 rows_told;	/* it knows the first so many rows */
	enum keeper_change change;
	bool		 master_settled;	/* its first change is done */
	struct control_settings settings;
	uint64_t	 generation;
	int		 arena_fd, secrets_fd;	/* -1: not yet */
	int		 kept_fd;	/* of what was accepted last; -1 */
	int		 journal_fd;	/* of its control plane; -1 */
	int		 common_fd;	/* words that all workers write; -1 */
	struct words	*words;		/* the same, mapped */

	struct keeper_dir dir;
	int		 control_fd, admin_fd;	/* listening; -1: not yet */
	struct keeper_client clients[KEEPER_CLIENTS];
	uint32_t	 clients_ever;
	bool		 change_asked;	/* the one under way, by a reload */
	int32_t		 slot_refused;	/* what it could not bind, or -1 */
	bool		 reload_running;
	bool		 reload_again;

	int		 wanted_n;	/* of the change that is coming */
	struct control_listener wanted[LISTENERS_MAX];
	struct keeper_listen listeners[KEEPER_LISTENERS];	/* by group */
	int		 workers_n;	/* slots opened, never fewer */
	struct keeper_worker workers[CONTROL_WORKERS_MAX];
};

/* ---- keeper.c */

/* Forks and executes r with args. fds is the control socket: fds[0] becomes
 * ours, fds[1] is in r and is closed here. -1: logged, both are closed. */
int	keeper_spawn(struct keeper *k, struct child *c, const struct role *r,
	    char *const *args, int fds[2]);
void	keeper_child_close(struct child *c);
/* What a death means for the next birth: when, counting quick ones. */
int64_t	keeper_child_died(struct keeper *k, struct child *c);
/* How long to wait before a successor after so many quick deaths. */
int64_t	keeper_backoff_ms(unsigned deaths_quick);
/* It can't go on: logged, exit 1. */
void	keeper_fail(struct keeper *k, const char *why);
/* All workers are ready for the first time. */
void	keeper_serve(struct keeper *k);
/* New callers come, and workers that die have successors. */
bool	keeper_is_serving(const struct keeper *k);
/* The children end when their streams do, once the apps of this machine are
 * deregistered (left); or now. */
void	keeper_drain(struct keeper *k);
void	keeper_left(struct keeper *k);
void	keeper_stop(struct keeper *k);
/* One line: who serves what. */
void	keeper_status(const struct keeper *k, char *out, size_t out_len);
/* "serving". */
const char *keeper_state_name(const struct keeper *k);
/* What ps shows. */
void	keeper_title(const struct keeper *k);
/* The settings' log file, anew: for us and the children. -1: why. */
int	keeper_log_open(struct keeper *k, char *why, size_t why_len);
/* The sooner of two waits, -1 being none. */
int64_t	keeper_sooner(int64_t a, int64_t b);

/* ---- keeper_master.c */

/* Tells it that all that is registered leaves. False: it does not hear. */
bool	keeper_master_leave(struct keeper *k);
/* The same of the apps of a name; WITHDRAWN comes with the number. */
bool	keeper_master_withdraw(struct keeper *k, const char *name,
	    uint32_t number);

/* Starts the first one, or a successor. -1: logged. */
int	keeper_master_start(struct keeper *k);
void	keeper_master_heard(struct keeper *k);
/* It is dead and reaped: "killed by signal 9, Killed". */
void	keeper_master_died(struct keeper *k, const char *how, bool killed);
/* Starts a successor whose time has come. Milliseconds until; -1: none. */
int64_t	keeper_master_step(struct keeper *k);

/* ---- keeper_worker.c */

/* Rows and sockets for statistics, for n workers. -1: why. */
int	keeper_workers_open(struct keeper *k, int n, char *why,
	    size_t why_len);
void	keeper_workers_close(struct keeper *k);
/* As many as the settings say live from now on: starts and drains. */
void	keeper_workers_count(struct keeper *k);
/* Its control socket has something. */
void	keeper_worker_heard(struct keeper *k, int slot);
/* It is dead and reaped, or could not be born; it gets a successor if we
 * serve, and is our end while we start. */
void	keeper_worker_died(struct keeper *k, int slot);
/* Starts those whose time has come, kills those whose time is over.
 * Milliseconds until the next; -1: none. */
int64_t	keeper_workers_step(struct keeper *k);
int	keeper_workers_alive(const struct keeper *k);
/* Those that are to live, and how many of them said that they are ready. */
int	keeper_workers_wanted(const struct keeper *k, int *ready);
void	keeper_workers_say(struct keeper *k, enum message_kind kind);

/* ---- keeper_watch.c */

/* Looks whether every worker turns. Milliseconds until the next look; -1. */
int64_t	keeper_watch_step(struct keeper *k);

/* ---- keeper_socket.c */

/* Binds what k->wanted names and we don't have. -1: why, and all is as
 * before. */
int	keeper_sockets_bind(struct keeper *k, char *why, size_t why_len);
/* What is not wanted is closed. */
void	keeper_sockets_prune(struct keeper *k);
/* Each socket to the worker that is to serve it. */
void	keeper_sockets_deal(struct keeper *k);
/* The worker is dead: nobody serves its sockets. */
void	keeper_sockets_lost(struct keeper *k, int slot);
/* Some could not be handed over yet. */
bool	keeper_sockets_due(const struct keeper *k);
void	keeper_sockets_close(struct keeper *k);

/* ---- keeper_client.c */

void	keeper_client_accept(struct keeper *k);
void	keeper_client_heard(struct keeper *k, struct keeper_client *c);
void	keeper_clients_close(struct keeper *k);

/* Asks the master; now, or after what is running, or once we serve. */
void	keeper_reload_ask(struct keeper *k);
/* We serve, or the last change is settled: is another reload wanted? */
void	keeper_reload_next(struct keeper *k);
/* What was withdrawn for the caller of a number, or why not. */
void	keeper_withdraw_done(struct keeper *k, uint32_t number, bool bad,
	    const char *text);
/* The master that was to tell is dead. */
void	keeper_withdraw_lost(struct keeper *k);
/* How it ended; fail is NULL when the new generation is in use. */
void	keeper_reload_done(struct keeper *k, const char *fail);

#endif
