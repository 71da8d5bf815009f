/* shm/log.c - see log.h. */
#include "shm/log.h"

#include <stdarg.h>
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

int
log_level_find(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(words[i], name) == 0)
			return i;
	return -1;
}

/* A peer's bytes must not forge a line or a terminal's colours. */
static void
escape(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void
line_write(enum log_level level, const char *fmt, va_list args)
{
	char line[LINE_BYTES], text[LINE_BYTES - 128], when[32];
	struct timespec now;
	struct tm tm;
	int n;

	if (level > handle.most)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	escape(text);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "%s.%03ldZ godwit%s%s: %s: %s\n",
	    when, now.tv_nsec / 1000000, handle.who[0] == '\0' ? "" : " ",
	    handle.who, words[level], text);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
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
