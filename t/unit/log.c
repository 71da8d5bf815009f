/* t/unit/log.c - shm/log.c: one line, one write, whatever a peer sent. */
#include "shm/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "t/lib/unit_process.h"

static struct unit_tap tap;
static char line[8192];

static void
setup(void)
{
	unit_tap_open(&tap);
}

static void
teardown(void)
{
	unit_tap_close(&tap);
}

TestSuite(log, .init = setup, .fini = teardown);

/* The line without its time and its end; NULL: nothing was written. */
static const char *
line_take(void)
{
	static const char time[] = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T"
	    "[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z godwit";
	ssize_t n = recv(tap.fd, line, sizeof(line) - 1, 0);
	regmatch_t match;
	regex_t regex;

	if (n < 0)
		return NULL;
	line[n] = '\0';
	cr_assert_eq(strlen(line), (size_t)n, "a NUL was written");
	cr_assert_eq(strchr(line, '\n'), line + n - 1, "not one line: %s",
	    line);
	cr_assert_leq(n, 2048);
	line[n - 1] = '\0';
	cr_assert_eq(regcomp(&regex, time, REG_EXTENDED), 0);
	cr_assert_eq(regexec(&regex, line, 1, &match, 0), 0, "%s", line);
	regfree(&regex);
	return line + match.rm_eo;
}

Test(log, a_line_says_who_and_how_bad)
{
	log_open("", LOG_DEBUG);
	log_error("%s is %d", "x", 3);
	cr_assert_str_eq(line_take(), ": error: x is 3");
	log_open("worker 0", LOG_DEBUG);
	log_warn("w");
	cr_assert_str_eq(line_take(), " worker 0: warn: w");
	log_info("i");
	cr_assert_str_eq(line_take(), " worker 0: info: i");
	log_debug("d");
	cr_assert_str_eq(line_take(), " worker 0: debug: d");
	log_open("a name that is longer than thirty-one bytes", LOG_INFO);
	log_info("i");
	cr_assert_str_eq(line_take(), " a name that is longer than thir: "
	    "info: i");
}

/* Not time(): its clock is up to a tick behind. */
static time_t
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

Test(log, time_is_utc_wherever_we_are)
{
	struct tm tm = { 0 };
	time_t before, after, said;

	setenv("TZ", "EST5", 1);
	tzset();
	log_open("t", LOG_INFO);
	before = seconds();
	log_info("i");
	after = seconds();
	cr_assert_not_null(line_take());
	cr_assert_not_null(strptime(line, "%Y-%m-%dT%H:%M:%S.", &tm));
	said = timegm(&tm);
	cr_assert(before <= said && said <= after, "%s", line);
}

Test(log, levels)
{
	static const char *const names[] = { "error", "warn", "info",
	    "debug" };

	for (int most = LOG_ERROR; most <= LOG_DEBUG; most++) {
		cr_assert_eq(log_level_find(names[most]), most);
		log_level_set((enum log_level)most);
		log_error("e");
		cr_assert_not_null(line_take());
		log_warn("w");
		cr_assert_eq(line_take() != NULL, most >= LOG_WARN);
		log_info("i");
		cr_assert_eq(line_take() != NULL, most >= LOG_INFO);
		log_debug("d");
		cr_assert_eq(line_take() != NULL, most >= LOG_DEBUG);
	}
	cr_assert_eq(log_level_find(""), -1);
	cr_assert_eq(log_level_find("warning"), -1);
}

Test(log, a_peer_forges_no_line_and_commands_no_terminal)
{
	static const struct { const char *text, *line; } cases[] = {
		{ "a\nb", "a\\x0ab" },
		{ "\r\t\v\x01", "\\x0d\\x09\\x0b\\x01" },
		{ "\033[31mred", "\\x1b[31mred" },
		{ "\177", "\\x7f" },
		{ "\xc2\x9b" "31mred", "\\xc2\\x9b31mred" },	/* U+009B */
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0" },
		{ "\xc2", "\xc2" },
		{ "\xc2\n", "\xc2\\x0a" },
		{ "z\xc3\xbcrich \xe2\x82\xac %s \\n",
		    "z\xc3\xbcrich \xe2\x82\xac %s \\n" },
	};

	log_open("t", LOG_INFO);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_info("%s", cases[i].text);
		cr_assert_str_eq(line_take() + strlen(" t: info: "),
		    cases[i].line, "case %zu: %s", i, line);
	}
}

Test(log, a_long_line_is_cut)
{
	char text[5000];

	log_open("t", LOG_INFO);
	for (size_t n = 1900; n < 2100; n++) {
		memset(text, 'x', n);
		text[n] = '\0';
		log_info("%s", text);
		cr_assert_leq(strlen(line_take()), 2048);
		/* Four bytes each, and never a part of one. */
		memset(text, '\n', n);
		log_info("%.*s%s", (int)(n % 4), "xxxx", text);
		cr_assert_not_null(line_take());
		cr_assert_str_eq(line + strlen(line) - 4, "\\x0a");
	}
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	line_take();
	cr_assert_eq(strlen(line), 2047, "cut where it must be, and only "
	    "there: %zu", strlen(line));
}

Test(log, why_is_a_sentence_that_fits)
{
	char why[8] = "before";

	cr_assert_eq(why_set(why, sizeof(why), "%s", "no memory"), -1);
	cr_assert_str_eq(why, "no memo");
	cr_assert_eq(why_set(why, sizeof(why), "%d", 5), -1);
	cr_assert_str_eq(why, "5");
}
