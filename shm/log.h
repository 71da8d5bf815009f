/*
 * shm/log.h - one line to stderr for a human: when, who, how bad, what.
 *
 *   2026-11-25T20:39:14.123Z godwit worker 0: warn: eu.yaml:12:3: ...
 *
 * One write(2) each, so that lines of several processes don't mix; at most 2
 * KiB; control characters as \x0a, since texts of peers are in it. Time is UTC.
 *
 * The handle (who, how much) is the only global of the house. Test:
 * t/unit/log.c.
 */
#ifndef SHM_LOG_H
#define SHM_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* who: "keeper", "master", "worker 0"; copied, cut at 31 bytes. */
void	log_open(const char *who, enum log_level most);

/* Changes how much. */
void	log_level_set(enum log_level most);

/* From now on lines go to fd, which is taken; also those of libraries, and of
 * a process that dies. */
void	log_reopen(int fd);

/* Parses "error" "warn" "info" "debug"; -1 when it is none of them. */
int	log_level_find(const char *name);

void	log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes one sentence into why[0..why_len) and returns -1, for
 * "return why_set(why, why_len, ...)". Cut, never overrun. */
int	why_set(char *why, unsigned long why_len, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

#endif
