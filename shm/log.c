/* shm/log.c - see log.h. */
#include "shm/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static struct {
	char		who[32];
	enum log_level	most;
} handle = { "", LOG_INFO };

static const char *const words[] = { "error", "warn", "info", "debug" };

void
log_open(const char *who, enum log_level most)
{
	snprintf(handle.who, sizeof(handle.who), "%s", who);
	handle.most = most;
}

void
log_level_set(enum log_level most)
{
	handle.most = most;
}

void
log_reopen(int fd)
{
	(void)dup2(fd, STDERR_FILENO);
	close(fd);
}

int
log_level_find(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(words[i], name) == 0)
			return i;
	return -1;
}

/* How many bytes of a control character begin here: one of ASCII's, or of
 * Latin-1's in UTF-8, where terminals look for commands too. */
static int
control_bytes(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		return 2;
	return c[0] < 0x20 || c[0] == 0x7f;
}

/* Copies text with its controls as \xNN, so that a peer's bytes can forge no
 * line and command no terminal. Cut at cap; returns the length. */
static size_t
escape(char *to, size_t cap, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;
	int left = 0;			/* bytes of a control character */

	for (; *text != '\0'; text++) {
		if (left == 0)
			left = control_bytes(text);
		if (n + (left > 0 ? 4 : 1) > cap)
			break;
		if (left == 0) {
			to[n++] = *text;
			continue;
		}
		left--;
		to[n++] = '\\';
		to[n++] = 'x';
		to[n++] = hex[(unsigned char)*text >> 4];
		to[n++] = hex[(unsigned char)*text & 15];
	}
	return n;
}

static void
line_write(enum log_level level, const char *fmt, va_list args)
{
	char line[LINE_BYTES], text[LINE_BYTES], when[32];
	struct timespec now;
	struct tm tm;
	size_t n;

	if (level > handle.most)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = (size_t)snprintf(line, sizeof(line), "%s.%03ldZ godwit%s%s: %s: ",
	    when, now.tv_nsec / 1000000, handle.who[0] == '\0' ? "" : " ",
	    handle.who, words[level]);
	n += escape(line + n, sizeof(line) - n - 1, text);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;			/* there is nobody left to tell */
}

#define LOG_FUNCTION(name, level)		\
void						\
name(const char *fmt, ...)			\
{						\
	va_list args;				\
						\
	va_start(args, fmt);			\
	line_write(level, fmt, args);		\
	va_end(args);				\
}

LOG_FUNCTION(log_error, LOG_ERROR)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)

int
why_set(char *why, unsigned long why_len, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, why_len, fmt, args);
	va_end(args);
	return -1;
}
