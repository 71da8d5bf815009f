/* master/probe.c - see probe.h. */
#include "master/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/grpc.h"
#include "xds/keep.h"

enum { WHY_BYTES = 512, MESSAGE_BYTES_MAX = 65536 };

struct probe {
	struct io	*io;
	const struct register_settings *settings;
	probe_changed	*changed;
	void		*arg;
	struct timer	 timer;		/* an answer is late, or the next */
	struct source	 source;	/* TCP */
	int		 fd;		/* -1: nothing is asked */
	struct grpc	*grpc;		/* NULL: the same */
	struct grpc	*going;		/* one before it, until it is closed */
	bool		 well;
	uint32_t	 row_n;		/* so many answers that differ from it */
	char		 why[WHY_BYTES];
};

static void	ask(struct probe *p);

static void
timer_set(struct probe *p, int64_t ms)
{
	struct loop *l = p->io->loop;

	timer_stop(&l->timers, &p->timer);
	timer_start(&l->timers, &p->timer, l->now, ms);
}

/* Nothing is asked any more. */
static void
hang_up(struct probe *p)
{
	if (p->fd != -1) {
		loop_forget(p->io->loop, &p->source);
		p->io->sys->close(p->io->sys->ctx, p->fd);
	}
	p->fd = -1;
	if (p->grpc == NULL)
		return;
	p->going = p->grpc;
	p->grpc = NULL;
	grpc_end(p->going, "");
}

/* Outside of its up-calls. */
static void
going_close(struct probe *p)
{
	if (p->going != NULL)
		grpc_close(p->going);
	p->going = NULL;
}

static bool
is_asking(const struct probe *p)
{
	return p->fd != -1 || p->grpc != NULL;
}

/* why: of no. */
static void
answered(struct probe *p, bool yes, const char *why)
{
	const struct register_settings *s = p->settings;

	hang_up(p);
	timer_set(p, s->interval_ms);
	if (!yes)
		snprintf(p->why, sizeof(p->why), "%s", why);
	p->row_n = yes == p->well ? 0 : p->row_n + 1;
	if (p->row_n < (yes ? s->healthy_n : s->unhealthy_n))
		return;
	p->well = yes;
	p->row_n = 0;
	p->changed(p->arg, yes);
}

static void
timer_fire(struct timer *t)
{
	struct probe *p = CONTAINER(t, struct probe, timer);
	char why[64];

	snprintf(why, sizeof(why), "it did not answer within %u ms",
	    p->settings->timeout_ms);
	if (is_asking(p))
		answered(p, false, why);
	else
		ask(p);
}

/* ---- TCP */

static void
tcp_ready(struct source *s, uint32_t events)
{
	struct probe *p = CONTAINER(s, struct probe, source);
	char why[128];
	int error;

	if (p->fd == -1 || !(events & (SYS_WRITE | SYS_HANGUP)))
		return;
	error = p->io->sys->connected(p->io->sys->ctx, p->fd);
	snprintf(why, sizeof(why), "could not connect: %s", strerror(error));
	answered(p, error == 0, why);
}

static void
tcp_ask(struct probe *p)
{
	const struct sockaddr_storage *a = &p->settings->address;
	char why[128];

	p->fd = p->io->sys->connect(p->io->sys->ctx,
	    (const struct sockaddr *)a, a->ss_family == AF_INET6 ?
	    sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	if (p->fd != -1 && loop_watch(p->io->loop, p->fd, &p->source) == 0)
		return;
	snprintf(why, sizeof(why), "could not connect: %s", strerror(errno));
	answered(p, false, why);
}

/* ---- gRPC */

static void
on_opened(void *arg, struct grpc *g)
{
	struct probe *p = arg;
	uint8_t *bytes;
	size_t n;

	bytes = keep_health_pack(p->settings->check_service, &n);
	if (bytes == NULL || !grpc_begin(g, p->settings->address_text,
	    KEEP_HEALTH_PATH, NULL, 0) || !grpc_send(g, bytes, n))
		grpc_end(g, "no memory");
	else
		grpc_half_close(g);
	free(bytes);
}

static bool
on_ready(void *arg, struct grpc *g)
{
	const struct probe *p = arg;

	return g == p->grpc;
}

static void
on_message(void *arg, struct grpc *g, const uint8_t *bytes, size_t n)
{
	char why[WHY_BYTES];
	int serving = keep_health_read(bytes, n, why, sizeof(why));

	(void)g;
	answered(arg, serving == 1, serving == -1 ? why :
	    "its health service says that it does not serve");
}

static void
on_ended(void *arg, struct grpc *g, const char *why)
{
	struct probe *p = arg;

	if (g == p->going)
		p->going = NULL;
	if (g != p->grpc)
		return;
	p->grpc = NULL;
	answered(p, false, why);
}

static void
grpc_ask(struct probe *p)
{
	static const struct grpc_events events = { .opened = on_opened,
	    .ready = on_ready, .message = on_message, .ended = on_ended };
	const struct grpc_settings g = { .address = &p->settings->address,
	    .message_bytes_max = MESSAGE_BYTES_MAX, .peer = "the app" };
	char why[WHY_BYTES];

	p->grpc = grpc_open(p->io, &g, &events, p, why, sizeof(why));
	if (p->grpc == NULL)
		answered(p, false, why);
}

/* ---- life */

static void
ask(struct probe *p)
{
	timer_set(p, p->settings->timeout_ms);
	going_close(p);
	if (p->settings->grpc)
		grpc_ask(p);
	else
		tcp_ask(p);
}

struct probe *
probe_open(struct io *io, const struct register_settings *s,
    probe_changed *changed, void *arg)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->io = io;
	p->settings = s;
	p->changed = changed;
	p->arg = arg;
	p->fd = -1;
	p->source.ready = tcp_ready;
	p->timer.fire = timer_fire;
	timer_set(p, 0);
	return p;
}

void
probe_close(struct probe *p)
{
	timer_stop(&p->io->loop->timers, &p->timer);
	hang_up(p);
	going_close(p);
	free(p);
}

const char *
probe_why(const struct probe *p)
{
	return p->why;
}
