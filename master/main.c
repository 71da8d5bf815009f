/*
 * master/main.c - where every process begins.
 *
 *   GODWIT_ROLE set    master_run, or worker_open and worker_run
 *   else, by option    keeper_run (or single_run, -t, -s, -V, -h)
 *
 * Exit codes: 0 done as asked, 1 refused or failed (why was printed), 2 the
 * command line makes no sense.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "config.h"
#include "master/generations.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/options.h"
#include "master/role.h"
#include "master/signal_client.h"
#include "master/single.h"
#include "shm/log.h"
#include "shm/title.h"
#include "worker/io/h2.h"
#include "worker/io/tls.h"
#include "worker/worker.h"
#include "xds/load.h"

/* Instrumented builds look at themselves in ways that a process which can't
 * be dumped forbids (LeakSanitizer traces its own threads). */
#if defined(__SANITIZE_ADDRESS__)
static const char sanitizers[] = "address, undefined; workers are dumpable";
static const bool instrumented = true;
#else
static const char sanitizers[] = "none";
static const bool instrumented = false;
#endif

/* ---- roles */

static int
rights_narrow(bool debuggable, char *why, size_t why_len)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return why_set(why, why_len, "no_new_privs: %s",
		    strerror(errno));
	if (!debuggable && !instrumented &&
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return why_set(why, why_len, "PR_SET_DUMPABLE: %s",
		    strerror(errno));
	return 0;
}

static int
worker_role(const struct role *r, bool debuggable)
{
	struct sys *sys = sys_kernel_new();
	struct worker *w = NULL;
	char why[512];

	if (sys == NULL)
		why_set(why, sizeof(why), "epoll: %s", strerror(errno));
	else if (rights_narrow(debuggable, why, sizeof(why)) == 0)
		w = worker_open(sys, &r->start, why, sizeof(why));
	if (w == NULL) {
		log_error("can't start: %s", why);
		return 1;
	}
	worker_run(w, NULL, NULL);
	worker_close(w);
	sys_kernel_free(sys);
	return 0;
}

static int
role_run(const struct role *r, const struct options *o)
{
	char name[32];

	role_name(r, name, sizeof(name));
	log_open(name, LOG_INFO);
	/* After /proc/self/exe the kernel calls us "exe". */
	(void)prctl(PR_SET_NAME, "godwit", 0, 0, 0);
	title_set(name, "");
	if (r->kind == ROLE_MASTER)
		return master_run(o, r);
	return worker_role(r, o->debuggable);
}

/* ---- modes */

static int
test(const struct options *o)
{
	struct generations g;
	struct control_settings s;
	char why[1024], text[256];
	int opened = generations_open(&g, o, why, sizeof(why)), rc = 1;

	g.check_tls = true;
	if (opened == -1 ||
	    generations_next(&g, why, sizeof(why)) == -1 ||
	    generations_settings(&g, &s, why, sizeof(why)) == -1)
		fprintf(stderr, "%s\n", why);
	else {
		generations_text(&g, text, sizeof(text));
		printf("%s: the configuration is good: %s\n", o->file,
		    text + strcspn(text, ":") + 2);
		rc = 0;
	}
	generations_close(&g);
	return rc;
}

static int
version(void)
{
	printf("godwit %s\n"
	    "configured with: %s\n"
	    "libraries: %s, %s, %s, %s\n"
	    "sanitizers: %s\n", GODWIT_VERSION, GODWIT_CONFIGURED_WITH,
	    tls_library(), h2_library(), load_library(), yaml_library(),
	    sanitizers);
	return 0;
}

static int
help(void)
{
	options_help(stdout);
	return 0;
}

static int
mode_run(const struct options *o, char *const *argv)
{
	switch (o->mode) {
	case OPTIONS_SINGLE:
		return single_run(o);
	case OPTIONS_TEST:
		return test(o);
	case OPTIONS_SIGNAL:
		return signal_client_run(o);
	case OPTIONS_VERSION:
		return version();
	case OPTIONS_HELP:
		return help();
	default:
		return keeper_run(o, argv);
	}
}

int
main(int argc, char **argv)
{
	struct options o;
	struct role *role = malloc(sizeof(*role));
	char why[512] = "no memory";
	int rc = 2;

	argv = title_open(argc, argv);
	if (role == NULL || role_take(role, why, sizeof(why)) == -1 ||
	    options_parse(&o, argc, argv, why, sizeof(why)) == -1)
		fprintf(stderr, "godwit: %s\n", why);
	else {
		o.as_root |= role->as_root;
		rc = role->kind != ROLE_NONE ? role_run(role, &o) :
		    mode_run(&o, argv);
	}
	free(role);
	return rc;
}
