/*
 * xds/ems/rest.c - see rest.h: opening, closing, and libmicrohttpd in the turns
 * of our loop.
 *
 *   loop ──an edge of its epoll descriptor──> MHD_run ──still ready?──> task
 *                                                └──when is it due?──> timer
 *
 * Its descriptor is level-triggered within and is watched by edges without, so
 * what it leaves behind (it accepts some, then goes on) is looked for by poll
 * after each run.
 */
#include "xds/ems/rest.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/ems/rest_inside.h"
#include "xds/ems/settings.h"

enum { CONNECTIONS_MAX = 1000, IDLE_S = 60, HEAD_BYTES = 32 << 10 };

/* ---- turns */

static void
door_run(struct rest_door *d)
{
	struct pollfd again = { .fd = d->epoll_fd, .events = POLLIN };
	struct loop *l = d->rest->loop;
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(d->daemon);
	timer_stop(&l->timers, &d->timer);
	if (poll(&again, 1, 0) == 1) {
		loop_soon(l, &d->task);
		return;
	}
	if (MHD_get_timeout(d->daemon, &ms) != MHD_YES)
		return;
	if (ms == 0)
		loop_soon(l, &d->task);
	else
		timer_start(&l->timers, &d->timer, l->now, (int64_t)ms);
}

static void
door_ready(struct source *s, uint32_t events)
{
	(void)events;
	loop_soon(CONTAINER(s, struct rest_door, source)->rest->loop,
	    &CONTAINER(s, struct rest_door, source)->task);
}

static void
door_again(struct task *t)
{
	door_run(CONTAINER(t, struct rest_door, task));
}

static void
door_due(struct timer *t)
{
	door_run(CONTAINER(t, struct rest_door, timer));
}

static void
door_says(void *arg, const char *format, va_list args)
{
	char line[512];

	(void)arg;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("rest: libmicrohttpd: %s", line);
}

/* ---- TLS in front of it */

static void
tls_arrived(void *door, int fd, const struct sockaddr *from, socklen_t len)
{
	struct rest_door *d = door;

	(void)MHD_add_connection(d->daemon, fd, from, len);
	loop_soon(d->rest->loop, &d->task);
}

/* A handshake costs us more than a question. */
static bool
tls_may_come(void *door, const char *address)
{
	struct rest *r = ((struct rest_door *)door)->rest;
	char key[80];
	int n = snprintf(key, sizeof(key), "TLS of %s", address);

	return rest_rates_take(&r->rates, key, (size_t)n, 1, r->loop->now.ns /
	    1000000);
}

static int
tls_open(struct rest *r, int fd, char *why, size_t why_len)
{
	struct rest_door *d = &r->tcp;
	const struct rest_tls_settings s = { .tls = r->tls,
	    .connections_max = CONNECTIONS_MAX, .may_come = tls_may_come,
	    .arrived = tls_arrived, .arg = d };

	if (rest_door_open(d, r, -1, false, why, why_len) == -1) {
		close(fd);
		return -1;
	}
	d->tls = rest_tls_open(r->loop, fd, &s);
	return d->tls != NULL ? 0 : why_set(why, why_len, "TLS: %s",
	    strerror(errno));
}

/* Whose certificate it is goes with the connection. */
static void
connection_told(void *door, struct MHD_Connection *connection,
    void **names, enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct rest_door *d = door;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		free(*names);
		*names = NULL;
	} else if (d->tls != NULL && i != NULL)
		*names = rest_tls_names(d->tls, i->connect_fd);
}

/* fd: -1 for a door behind TLS, whose callers tls_arrived brings. */
static struct MHD_Daemon *
daemon_start(struct rest_door *d, int fd)
{
	struct MHD_OptionItem listen[] = {
		{ fd == -1 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd,
		    NULL }, { MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG |
	    MHD_ALLOW_SUSPEND_RESUME | (fd == -1 ? MHD_USE_NO_LISTEN_SOCKET :
	    0), 0, NULL, NULL, request_take, d,
	    MHD_OPTION_EXTERNAL_LOGGER, door_says, NULL,
	    MHD_OPTION_ARRAY, listen,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
	    MHD_OPTION_NOTIFY_COMPLETED, request_over, d,
	    MHD_OPTION_NOTIFY_CONNECTION, connection_told, d, MHD_OPTION_END);
}

int
rest_door_open(struct rest_door *d, struct rest *r, int fd, bool local,
    char *why, size_t why_len)
{
	const union MHD_DaemonInfo *info;

	d->rest = r;
	d->local = local;
	d->source.ready = door_ready;
	d->task.run = door_again;
	d->timer.fire = door_due;
	d->daemon = daemon_start(d, fd);
	if (d->daemon == NULL) {
		if (fd != -1)
			close(fd);
		return why_set(why, why_len, "libmicrohttpd does not start: "
		    "%s", strerror(errno));
	}
	info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	d->epoll_fd = info->epoll_fd;
	if (loop_watch(r->loop, d->epoll_fd, &d->source) == 0)
		return 0;
	why_set(why, why_len, "epoll: %s", strerror(errno));
	MHD_stop_daemon(d->daemon);
	d->daemon = NULL;
	return -1;
}

/* All of its requests are no longer suspended. */
void
rest_door_close(struct rest_door *d)
{
	if (d->daemon == NULL)
		return;
	loop_forget(d->rest->loop, &d->source);
	loop_cancel(d->rest->loop, &d->task);
	timer_stop(&d->rest->loop->timers, &d->timer);
	MHD_stop_daemon(d->daemon);
	d->daemon = NULL;
	rest_tls_close(d->tls);
	d->tls = NULL;
}

/* ---- the unix socket */

/* Whether somebody answers there. */
static bool
is_served(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool served = fd != -1 && (connect(fd, (const struct sockaddr *)a,
	    sizeof(*a)) == 0 || errno == EAGAIN);

	if (fd != -1)
		close(fd);
	return served;
}

/* Mode 0600 from its first moment: bind takes the descriptor's. */
static int
local_listen(const char *path, char *why, size_t why_len)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return why_set(why, why_len, "%s: more than %zu characters, "
		    "which no socket's path may have", path,
		    sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	if (is_served(&a))
		return why_set(why, why_len, "%s: another godwit-ems serves "
		    "there", path);
	(void)unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 && fchmod(fd, 0600) == 0 && bind(fd,
	    (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	why_set(why, why_len, "can't listen on %s: %s", path,
	    strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

/* ---- opening */

static int
tcp_open(struct rest *r, const struct rest_settings *s, char *why,
    size_t why_len)
{
	int fd;

	if (*s->address == '\0')
		return 0;
	if (*s->token_file != '\0') {
		r->token.file = strdup(s->token_file);
		if (r->token.file == NULL)
			return why_set(why, why_len, "no memory is left");
		if (rest_token_read(&r->token, why, why_len) == -1)
			return -1;
	}
	r->by_certificate = s->by_certificate;
	r->tls = s->tls == NULL ? NULL : tls_context_get(s->tls);
	fd = settings_listen(s->address, why, why_len);
	if (fd == -1)
		return -1;
	return r->tls != NULL ? tls_open(r, fd, why, why_len) :
	    rest_door_open(&r->tcp, r, fd, false, why, why_len);
}

static int
local_open(struct rest *r, const struct rest_settings *s, char *why,
    size_t why_len)
{
	int fd;

	if (*s->socket_path == '\0')
		return 0;
	fd = local_listen(s->socket_path, why, why_len);
	if (fd == -1)
		return -1;
	r->socket_path = strdup(s->socket_path);
	return rest_door_open(&r->local, r, fd, true, why, why_len);
}

struct rest *
rest_open(struct loop *l, const struct rest_settings *s, char *why,
    size_t why_len)
{
	struct rest *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		why_set(why, why_len, "no memory is left");
		return NULL;
	}
	r->loop = l;
	r->ems = s->ems;
	r->admission = s->admission;
	r->leases = s->leases;
	r->store = s->store;
	r->rules = s->rules;
	LIST_INIT(&r->requests);
	TAILQ_INIT(&r->plans);
	rest_rates_init(&r->rates, s->rate_per_s == 0 ? REST_RATE_PER_S :
	    s->rate_per_s, s->burst == 0 ? REST_BURST : s->burst,
	    l->sys->random(l->sys->ctx));
	if (tcp_open(r, s, why, why_len) == 0 &&
	    local_open(r, s, why, why_len) == 0)
		return r;
	rest_close(r);
	return NULL;
}

void
rest_certificate(struct rest *r, struct tls_context *c)
{
	rest_tls_replace(r->tcp.tls, c);
	tls_context_put(r->tls);
	r->tls = tls_context_get(c);
}

/* libmicrohttpd stops only without suspended connections. */
static void
requests_let_go(struct rest *r)
{
	struct request *q;

	LIST_FOREACH(q, &r->requests, link)
		if (q->suspended) {
			q->suspended = false;
			MHD_resume_connection(q->connection);
		}
}

void
rest_close(struct rest *r)
{
	if (r == NULL)
		return;
	requests_let_go(r);
	rest_door_close(&r->tcp);
	rest_door_close(&r->local);
	assert(LIST_EMPTY(&r->requests));
	if (r->socket_path != NULL)
		(void)unlink(r->socket_path);
	plans_free(r);
	if (r->tls != NULL)
		tls_context_put(r->tls);
	explicit_bzero(r->token.text, sizeof(r->token.text));
	free(r->token.file);
	free(r->socket_path);
	free(r);
}
