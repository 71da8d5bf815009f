/*
 * xds/ems/main.c - godwit-ems, the control plane.
 *
 *   settings ──> store ──items──> model ──leases──> model ──> doors
 *   TERM, INT: no new calls, GOAWAY, then the end; the second one: now
 *   HUP, or when their files are others: certificates are read anew
 *
 * Exit codes: 0 done as asked, 1 refused or failed (why was printed), 2 the
 * command line makes no sense.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "shm/log.h"
#include "xds/ems/admission.h"
#include "xds/ems/certificate.h"
#include "xds/ems/lease.h"
#include "xds/ems/proxy.h"
#include "xds/ems/registry.h"
#include "xds/ems/rest.h"
#include "xds/ems/settings.h"
#include "xds/ems/stamp.h"

enum {
	WHY_BYTES = 1024, KEEPALIVE_MS = 30000, KEEPALIVE_TIMEOUT_MS = 20000,
	DRAIN_MS = 5000, LOOK_MS = 5000,
};

struct program {
	struct settings	 settings;
	struct loop	 loop;
	struct io	 io;
	struct sys	*sys;
	struct ems	 ems;
	struct store	*store;
	struct admission *admission;
	struct leases	*leases;
	struct registry	 registry;
	struct proxy_door proxies;	/* owns what methods point to */
	struct call_method methods[PROXY_METHODS + REGISTRY_METHODS];
	struct door	*door;
	struct tls_context *tls;
	struct rest	*rest;
	struct source	 signals;
	struct timer	 drain, look;
	uint64_t	 stamp;		/* of the files of all certificates */
	int		 signal_fd;
	bool		 leaving;
	int		 rc;
};

/* ---- certificates */

static struct tls_context *
tls_new_context(const struct settings *s, char *why, size_t why_len)
{
	const struct certificate_files f = { s->certificate, s->key, s->ca };
	const struct tls_settings t = { .server = true,
	    .require_peer_certificate = true };

	return certificate_context(&f, t, why, why_len);
}

static struct tls_context *
rest_context(const struct settings *s, char *why, size_t why_len)
{
	const struct certificate_files f = { s->rest_certificate, s->rest_key,
	    s->rest_ca };
	const struct tls_settings t = { .server = true, .http1 = true };

	return certificate_context(&f, t, why, why_len);
}

static void
rest_certificates_again(struct program *p)
{
	struct tls_context *c;
	char why[WHY_BYTES];

	if (p->rest == NULL || *p->settings.rest_certificate == '\0' ||
	    *p->settings.rest_listen == '\0')
		return;
	c = rest_context(&p->settings, why, sizeof(why));
	if (c == NULL) {
		log_error("REST's certificates stay as they were: %s", why);
		return;
	}
	rest_certificate(p->rest, c);
	tls_context_put(c);
	log_info("REST's certificates were read anew");
}

static void
certificates_again(struct program *p)
{
	struct tls_context *c;
	char why[WHY_BYTES];

	rest_certificates_again(p);
	if (p->tls == NULL || p->door == NULL)
		return;
	if ((c = tls_new_context(&p->settings, why, sizeof(why))) == NULL) {
		log_error("the certificates stay as they were: %s", why);
		return;
	}
	door_tls(p->door, c);
	tls_context_put(p->tls);
	p->tls = c;
	log_info("the certificates were read anew");
}

/* Of all files together. */
static uint64_t
certificates_stamp(const struct settings *s)
{
	const char *const files[] = { s->certificate, s->key, s->ca,
		s->rest_certificate, s->rest_key, s->rest_ca };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		sum = sum * 31 + stamp_of(files[i]);
	return sum;
}

static void
look_begin(struct program *p)
{
	timer_start(&p->loop.timers, &p->look, p->loop.now, LOOK_MS);
}

/* By time and not by inotify: it is the same for what is written, renamed,
 * linked and mounted. A pair that is half replaced is read again when the other
 * half has come. */
static void
look(struct timer *t)
{
	struct program *p = CONTAINER(t, struct program, look);
	uint64_t stamp = certificates_stamp(&p->settings);

	if (stamp != p->stamp)
		certificates_again(p);
	p->stamp = stamp;
	look_begin(p);
}

/* ---- leaving */

static void
stop(struct program *p)
{
	p->loop.stop = true;
}

static void
drain_over(struct timer *t)
{
	struct program *p = CONTAINER(t, struct program, drain);

	log_warn("leaving: %zu connections did not end in %d ms, and are cut",
	    door_connections(p->door), DRAIN_MS);
	stop(p);
}

static void
leave(struct program *p)
{
	if (p->leaving || p->door == NULL) {
		stop(p);
		return;
	}
	p->leaving = true;
	log_info("leaving: proxies are sent away");
	door_drain(p->door);
	timer_start(&p->loop.timers, &p->drain, p->loop.now, DRAIN_MS);
}

static void
bottom(void *arg)
{
	struct program *p = arg;

	if (p->leaving && door_connections(p->door) == 0)
		stop(p);
}

static void
signals_ready(struct source *s, uint32_t events)
{
	struct program *p = CONTAINER(s, struct program, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(p->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			certificates_again(p);
		else
			leave(p);
	}
}

static int
signals_open(struct program *p, char *why, size_t why_len)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p->signals.ready = signals_ready;
	p->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (p->signal_fd != -1 && loop_watch(&p->loop, p->signal_fd,
	    &p->signals) == 0)
		return 0;
	return why_set(why, why_len, "signals: %s", strerror(errno));
}

/* ---- beginning */

static void
fail(struct program *p, const char *why)
{
	log_error("can't start: %s", why);
	p->rc = 1;
	stop(p);
}

static int
doors_open(struct program *p, char *why, size_t why_len)
{
	struct door_settings d = { .methods = p->methods,
	    .methods_n = PROXY_METHODS + REGISTRY_METHODS, .tls = p->tls,
	    .keepalive_ms = KEEPALIVE_MS,
	    .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
	    .connections_max = p->settings.connections_max };
	int fd = settings_listen(p->settings.listen, why, why_len);

	if (fd == -1)
		return -1;
	proxy_door_init(&p->proxies, &p->ems);
	memcpy(p->methods, p->proxies.methods, sizeof(p->proxies.methods));
	p->registry = (struct registry){ p->leases, &p->ems.settings.who };
	registry_methods(&p->registry, p->methods + PROXY_METHODS);
	p->door = door_open(&p->io, fd, &d);
	return p->door != NULL ? 0 : why_set(why, why_len, "%s",
	    strerror(errno));
}

static int
rest_begin(struct program *p, char *why, size_t why_len)
{
	char path[4096];
	struct rest_settings r = { .address = p->settings.rest_listen,
	    .token_file = p->settings.rest_token_file, .socket_path = path,
	    .by_certificate = *p->settings.rest_ca != '\0',
	    .rules = { p->settings.mesh, p->settings.any_certificate },
	    .ems = &p->ems, .admission = p->admission, .leases = p->leases,
	    .store = p->store };

	if (mkdir(p->settings.run_dir, 0700) == -1 && errno != EEXIST)
		return why_set(why, why_len, "run_dir \"%s\": %s",
		    p->settings.run_dir, strerror(errno));
	if (*r.address != '\0' && *p->settings.rest_certificate != '\0' &&
	    (r.tls = rest_context(&p->settings, why, why_len)) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/ems.sock", p->settings.run_dir);
	p->rest = rest_open(&p->loop, &r, why, why_len);
	if (r.tls != NULL)
		tls_context_put(r.tls);
	return p->rest == NULL ? -1 : 0;
}

static void
leases_come(void *arg, const struct store_answer *a)
{
	struct program *p = arg;
	char why[WHY_BYTES];

	if (p->loop.stop)		/* program_close has this answer */
		return;
	snprintf(why, sizeof(why), "%s", a->why);
	if (a->result != STORE_OK || leases_load(p->leases, p->store, a, why,
	    sizeof(why)) == -1 || doors_open(p, why, sizeof(why)) == -1 ||
	    rest_begin(p, why, sizeof(why)) == -1) {
		fail(p, why);
		return;
	}
	log_info("godwit-ems is serving on %s%s: revision %llu, %zu leases, "
	    "state_dir %s", p->settings.listen, p->tls == NULL ?
	    " in clear text" : "", (unsigned long long)a->revision,
	    a->leases_n, p->settings.state_dir);
}

static void
items_come(void *arg, const struct store_answer *a)
{
	static const struct store_question leases = { .kind = STORE_LEASES };
	struct program *p = arg;
	char why[WHY_BYTES];

	if (p->loop.stop)
		return;
	snprintf(why, sizeof(why), "%s", a->why);
	if (a->result != STORE_OK || admission_load(p->admission, p->store, a,
	    why, sizeof(why)) == -1)
		fail(p, why);
	else if (store_ask(p->store, &leases, leases_come, p) == -1)
		fail(p, "no memory is left");
}

static int
store_begin(struct program *p, char *why, size_t why_len)
{
	static const struct store_question items = { .kind = STORE_ITEMS };
	char path[4096];
	struct store_settings s = { .path = path, .watch = admission_watch,
	    .watch_arg = p->admission };

	if (mkdir(p->settings.state_dir, 0700) == -1 && errno != EEXIST)
		return why_set(why, why_len, "state_dir \"%s\": %s",
		    p->settings.state_dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/ems.db", p->settings.state_dir);
	why[0] = '\0';
	p->store = store_open(&p->loop, &s, why, why_len);
	if (p->store == NULL)
		return -1;
	if (why[0] != '\0')
		log_error("nothing can be written: %s", why);
	return store_ask(p->store, &items, items_come, p) == 0 ? 0 :
	    why_set(why, why_len, "no memory is left");
}

static int
program_open(struct program *p, char *why, size_t why_len)
{
	const struct settings *s = &p->settings;
	const struct ems_settings e = { .view = { s->mesh, s->region_header },
	    .listen = s->proxy_listen, .tls = s->proxy_tls,
	    .identifier = "godwit-ems " GODWIT_VERSION,
	    .who = { s->mesh, *s->certificate == '\0' ||
		s->any_certificate } };

	p->stamp = certificates_stamp(s);
	if (*s->certificate != '\0' &&
	    (p->tls = tls_new_context(s, why, why_len)) == NULL)
		return -1;
	if ((p->sys = sys_kernel_new()) == NULL)
		return why_set(why, why_len, "epoll: %s", strerror(errno));
	loop_init(&p->loop, p->sys);
	p->loop.bottom = bottom;
	p->loop.turn_arg = p;
	p->drain.fire = drain_over;
	p->look.fire = look;
	look_begin(p);
	if (io_init(&p->io, &p->loop) != 0)
		return why_set(why, why_len, "no memory is left");
	ems_init(&p->ems, &p->loop, &e);
	p->admission = admission_new(&p->ems);
	p->leases = leases_new(&p->ems);
	if (p->admission == NULL || p->leases == NULL)
		return why_set(why, why_len, "no memory is left");
	return signals_open(p, why, why_len) == -1 ? -1 :
	    store_begin(p, why, why_len);
}

static void
program_close(struct program *p)
{
	rest_close(p->rest);
	door_close(p->door);
	/* Its last answers go to the admission and the leases. */
	if (p->store != NULL)
		store_close(p->store);
	admission_free(p->admission);
	leases_free(p->leases);
	ems_fini(&p->ems);
	io_fini(&p->io);
	if (p->tls != NULL)
		tls_context_put(p->tls);
	sys_kernel_free(p->sys);
}

static int
run(const struct settings *s)
{
	struct program *p = calloc(1, sizeof(*p));
	char why[WHY_BYTES] = "no memory is left";
	int rc = 1;

	if (p == NULL) {
		log_error("can't start: %s", why);
		return 1;
	}
	p->settings = *s;
	if (program_open(p, why, sizeof(why)) == -1) {
		log_error("can't start: %s", why);
		free(p);		/* the rest goes with the process */
		return 1;
	}
	loop_run(&p->loop);
	rc = p->rc;
	program_close(p);
	free(p);
	return rc;
}

/* ---- the command line */

static int
usage(FILE *to, int rc)
{
	fprintf(to, "godwit-ems - the control plane of a godwit mesh\n\n"
	    "  godwit-ems [-c FILE]     runs, in the foreground\n"
	    "  godwit-ems -t [-c FILE]  checks the file only\n"
	    "  godwit-ems -V            version\n"
	    "  godwit-ems -h            this\n\n"
	    "FILE's fields: conf/examples/ems.yaml; without one all have "
	    "their defaults.\n");
	return rc;
}

int
main(int argc, char **argv)
{
	struct settings s;
	const char *file = NULL;
	bool test = false;
	char why[WHY_BYTES];
	int option, rc = 0;

	while ((option = getopt(argc, argv, "c:tVh")) != -1)
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			printf("godwit-ems %s\n", GODWIT_VERSION);
			return 0;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	if (optind != argc)
		return usage(stderr, 2);
	log_open("ems", LOG_INFO);
	if (settings_read(&s, file, why, sizeof(why)) == -1) {
		fprintf(stderr, "godwit-ems: %s\n", why);
		return 1;
	}
	if (test)
		printf("%s: the settings are good\n", file == NULL ?
		    "without a file" : file);
	else
		rc = run(&s);
	settings_free(&s);
	return rc;
}
