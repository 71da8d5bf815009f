/*
 * master/keeper_state.h - the keeper's own knowledge; for keeper*.c only.
 *
 *   keeper.c          the loop: signals, deaths, phases
 *   keeper_worker.c   starting workers, their sockets and rows
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

enum { KEEPER_CLIENTS = 16, KEEPER_KILL_MS = 1000 };

/* The order is the order of life. */
enum keeper_state {
	KEEPER_STARTING, KEEPER_WARMING, KEEPER_SERVING, KEEPER_DRAINING,
	KEEPER_STOPPING,
};

struct child {
	pid_t		 pid;		/* 0: not alive */
	int		 control_fd;	/* -1: closed */
	struct mono	 born;
};

struct keeper_worker {
	struct child	 child;
	int		 row_fd, wake_fd, stats_fd;	/* kept over deaths */
	struct row	*row;
	bool		 ready;		/* it said so */
	unsigned	 deaths_quick;	/* in a row */
	struct mono	 start_due;	/* when it is born again; 0 = no plan */
};

/* What a caller of -s waits for. */
enum client_wait {
	CLIENT_ASKING,			/* its command has not come */
	CLIENT_RELOAD_NEXT,		/* the reload after the running one */
	CLIENT_RELOAD_NOW,
	CLIENT_END,			/* ours */
};

struct keeper_client {
	int		 fd;		/* -1: free */
	enum client_wait wait;
};

struct keeper {
	const struct options *options;
	char *const	*argv;
	enum keeper_state state;
	bool		 over;
	int		 exit_code;
	struct mono	 now;		/* of this turn */
	struct mono	 born;
	struct mono	 due;		/* DRAINING: stop; STOPPING: kill */
	int		 signal_fd;
	struct notify	 notify;

	struct child	 master;
	struct control_settings settings;
	uint64_t	 generation;
	int		 arena_fd;	/* -1: not yet */

	struct keeper_dir dir;
	int		 control_fd, admin_fd;	/* listening; -1: not yet */
	struct keeper_client clients[KEEPER_CLIENTS];
	bool		 reload_running;
	bool		 reload_again;

	int		 listeners_n;
	struct control_listener wanted[LISTENERS_MAX];
	struct keeper_listen listeners[LISTENERS_MAX];	/* as many, bound */
	int		 workers_n;	/* made; in the end as in settings */
	struct keeper_worker workers[CONTROL_WORKERS_MAX];
};

/* ---- keeper.c */

/* Forks and executes r with args. fds is the control socket: fds[0] becomes
 * ours, fds[1] is in r and is closed here. -1: logged, both are closed. */
int	keeper_spawn(struct keeper *k, struct child *c, const struct role *r,
	    char *const *args, int fds[2]);
/* The children end when their streams do; or now. */
void	keeper_drain(struct keeper *k);
void	keeper_stop(struct keeper *k);
/* One line: who serves what. */
void	keeper_status(const struct keeper *k, char *out, size_t out_len);

/* ---- keeper_worker.c */

/* Binds, makes the rows, tells the master, starts the workers. -1: why. */
int	keeper_workers_open(struct keeper *k, char *why, size_t why_len);
void	keeper_workers_close(struct keeper *k);
/* Starts a worker in slot. */
void	keeper_worker_start(struct keeper *k, int slot);
/* Its control socket has something. True: all are ready now. */
bool	keeper_worker_heard(struct keeper *k, int slot);
/* It is dead and reaped, or could not be born; it gets a successor if we
 * serve, and is our end while we start. */
void	keeper_worker_died(struct keeper *k, int slot);
/* Starts those whose time has come. Milliseconds until the next; -1: none. */
int64_t	keeper_workers_step(struct keeper *k);
int	keeper_workers_alive(const struct keeper *k);
void	keeper_workers_say(struct keeper *k, enum worker_command c);
/* How long to wait before a successor after so many quick deaths. */
int64_t	keeper_worker_backoff_ms(unsigned deaths_quick);

/* ---- keeper_client.c */

void	keeper_client_accept(struct keeper *k);
void	keeper_client_heard(struct keeper *k, struct keeper_client *c);
void	keeper_clients_close(struct keeper *k);

/* Asks the master; now, or after what is running, or once we serve. */
void	keeper_reload_ask(struct keeper *k);
/* We serve, or the last reload is done: is another one wanted? */
void	keeper_reload_next(struct keeper *k);
/* The master's answer; fail is NULL when the new settings are in k. */
void	keeper_reload_done(struct keeper *k, const char *fail);

#endif
