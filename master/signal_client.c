/* master/signal_client.c - see signal_client.h. */
#include "master/signal_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/control.h"
#include "master/generations.h"
#include "master/keeper_dir.h"
#include "shm/log.h"

int
signal_client_conf(struct conf *c, const struct options *o, char *why,
    size_t why_len)
{
	if (!options_set(o, "run_dir")) {
		if (generations_conf(c, o, why, why_len) == 0)
			return 0;
		fprintf(stderr, "%s\n", why);
		return why_set(why, why_len, "the file can't be read, so where "
		    "is the godwit to tell? -o run_dir=DIR says it without "
		    "the file");
	}
	conf_init(c);
	if (options_apply(o, c, why, why_len) == -1)
		return -1;
	conf_resolve(c, geteuid() == 0);
	return 0;
}

/* 0 when it was done. -1: why. */
static int
answers_take(int fd, char *why, size_t why_len)
{
	struct control m;
	int fds[CONTROL_FDS_MAX], got;

	while ((got = control_receive(fd, &m, fds)) == 1) {
		if (m.kind == CONTROL_FAIL)
			return why_set(why, why_len, "%s", m.text);
		if (m.kind != CONTROL_TEXT && m.kind != CONTROL_OK)
			return why_set(why, why_len, "godwit answered what "
			    "this one does not understand");
		if (m.text[0] != '\0')
			printf("%s\n", m.text);
		fflush(stdout);
		if (m.kind == CONTROL_OK)
			return 0;
	}
	if (got == -1 && errno == EPROTO)
		return why_set(why, why_len, "the godwit that runs is of "
		    "another version");
	return why_set(why, why_len, "godwit left without an answer; perhaps "
	    "it is of another version");
}

int
signal_client_run(const struct options *o)
{
	char why[CONTROL_TEXT_BYTES];
	struct conf c;
	pid_t pid;
	int fd = -1, rc = -1;

	if (signal_client_conf(&c, o, why, sizeof(why)) == 0)
		fd = keeper_dir_connect(c.run_dir, &pid, why, sizeof(why));
	if (fd != -1 && control_say(fd, CONTROL_COMMAND, o->signal) == -1)
		why_set(why, sizeof(why), "%s: %s", c.run_dir,
		    strerror(errno));
	else if (fd != -1)
		rc = answers_take(fd, why, sizeof(why));
	if (fd != -1)
		close(fd);
	if (rc == -1)
		fprintf(stderr, "godwit: %s\n", why);
	return rc == 0 ? 0 : 1;
}
