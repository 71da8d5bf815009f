/*
 * master/notify.h - tells the service manager how we are: one datagram
 * to NOTIFY_SOCKET, nothing where that is not set.
 *
 * Source: sd_notify(3). systemd 252 has no Type=notify-reload, so that it
 * ignores RELOADING; newer ones want it with MONOTONIC_USEC, and READY after
 * each, failed or not. Test: t/unit/keeper.c.
 */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include "shm/clock.h"

struct notify {
	int		 fd;		/* connected; -1: nobody listens */
	int64_t		 watchdog_ms;	/* how often; 0 = not wanted */
	struct mono	 watchdog_due;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void	notify_open(struct notify *n, struct mono now);
void	notify_close(struct notify *n);

void	notify_ready(struct notify *n, const char *status);
void	notify_reloading(struct notify *n, struct mono now);
/* extend_ms: how long the end may take. */
void	notify_stopping(struct notify *n, int64_t extend_ms);
/* Sends WATCHDOG=1 when it is due. Milliseconds until the next; -1: never. */
int64_t	notify_step(struct notify *n, struct mono now);

#endif
