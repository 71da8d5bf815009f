/* master/probe.c - see probe.h. */
#include "master/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/grpc.h"
#include "xds/keep.h"

enum {
	WHY_BYTES = 512, MESSAGE_BYTES_MAX = 65536, SOON_MS = 10,
	READ_BYTES = 4096, READS_MAX = 16,
};

struct line {				/* to the app: TCP, or gRPC over it */
	struct probe	*probe;
	struct source	 source;	/* TCP */
	int		 fd;		/* -1: none */
	struct grpc	*grpc;		/* NULL: none */
	struct grpc	*going;		/* one before it, until it is gone */
};

struct probe {
	struct io	*io;
	const struct register_settings *settings;
	probe_changed	*changed;
	void		*arg;
	struct timer	 timer;		/* an answer is late, or the next */
	struct line	 lines[2], *asked, *held;
	bool		 well;
	bool		 lost;		/* what was held, since the last answer */
	uint32_t	 soon_n;	/* times in a row that it was asked soon */
	uint32_t	 row_n;		/* so many answers that differ from it */
	char		 why[WHY_BYTES];
};

static void
timer_set(struct probe *p, int64_t ms)
{
	struct loop *l = p->io->loop;

	timer_stop(&l->timers, &p->timer);
	timer_start(&l->timers, &p->timer, l->now, ms);
}

static bool
is_open(const struct line *l)
{
	return l->fd != -1 || l->grpc != NULL;
}

static void
hang_up(struct line *l)
{
	struct io *io = l->probe->io;

	if (l->fd != -1) {
		loop_forget(io->loop, &l->source);
		io->sys->close(io->sys->ctx, l->fd);
	}
	l->fd = -1;
	if (l->grpc == NULL)
		return;
	l->going = l->grpc;
	l->grpc = NULL;
	grpc_end(l->going, "");
}

/* Outside of its up-calls. */
static void
going_close(struct line *l)
{
	if (l->going != NULL)
		grpc_close(l->going);
	l->going = NULL;
}

/* The line that was asked is the one that is held, and the other way round. */
static void
hold(struct probe *p)
{
	struct line *asked = p->asked;

	hang_up(p->held);
	p->asked = p->held;
	p->held = asked;
}

/* 10 ms, 20, 40 ... interval_ms */
static void
ask_soon(struct probe *p)
{
	int64_t ms = SOON_MS << (p->soon_n < 16 ? p->soon_n : 16);

	p->soon_n++;
	timer_set(p, ms < p->settings->interval_ms ? ms :
	    p->settings->interval_ms);
}

/* why: of no. */
static void
answered(struct probe *p, bool yes, const char *why)
{
	const struct register_settings *s = p->settings;

	if (!yes && p->soon_n > 0)
		ask_soon(p);
	else
		timer_set(p, s->interval_ms);
	if (yes)
		hold(p);
	else {
		snprintf(p->why, sizeof(p->why), "%s", why);
		hang_up(p->asked);
		hang_up(p->held);
	}
	p->row_n = yes == p->well ? 0 : p->lost ? s->unhealthy_n :
	    p->row_n + 1;
	p->lost = false;
	if (p->row_n < (yes ? s->healthy_n : s->unhealthy_n))
		return;
	p->well = yes;
	p->row_n = 0;
	p->changed(p->arg, yes);
}

/* It is held no more. While another answer is on its way, that tells. */
static void
lost(struct probe *p)
{
	p->lost = p->well;
	if (p->lost && !is_open(p->asked))
		ask_soon(p);
}

static void	ask(struct probe *p);

static void
timer_fire(struct timer *t)
{
	struct probe *p = CONTAINER(t, struct probe, timer);
	char why[64];

	snprintf(why, sizeof(why), "it did not answer within %u ms",
	    p->settings->timeout_ms);
	if (is_open(p->asked))
		answered(p, false, why);
	else
		ask(p);
}

/* ---- TCP */

/* What it says is nothing to us; one that says much is let go. */
static void
held_read(struct line *l)
{
	struct sys *sys = l->probe->io->sys;
	char bytes[READ_BYTES];
	ssize_t n = 1;

	for (int i = 0; i < READS_MAX && n > 0; i++)
		n = sys->recv(sys->ctx, l->fd, bytes, sizeof(bytes));
	if (n == -1 && errno == EAGAIN)
		return;
	hang_up(l);
	if (n <= 0)
		lost(l->probe);
}

static void
tcp_ready(struct source *s, uint32_t events)
{
	struct line *l = CONTAINER(s, struct line, source);
	struct probe *p = l->probe;
	struct sys *sys = p->io->sys;
	char why[128];
	int error;

	if (l == p->asked && l->fd != -1 &&
	    (events & (SYS_WRITE | SYS_HANGUP))) {
		error = sys->connected(sys->ctx, l->fd);
		snprintf(why, sizeof(why), "could not connect: %s",
		    strerror(error));
		answered(p, error == 0, why);
	}
	if (l == p->held && l->fd != -1)
		held_read(l);
}

static void
tcp_ask(struct probe *p)
{
	const struct sockaddr_storage *a = &p->settings->address;
	struct line *l = p->asked;
	char why[128];

	l->fd = p->io->sys->connect(p->io->sys->ctx,
	    (const struct sockaddr *)a, a->ss_family == AF_INET6 ?
	    sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	if (l->fd != -1 && loop_watch(p->io->loop, l->fd, &l->source) == 0)
		return;
	snprintf(why, sizeof(why), "could not connect: %s", strerror(errno));
	answered(p, false, why);
}

/* ---- gRPC */

static void
on_opened(void *arg, struct grpc *g)
{
	const struct line *l = arg;
	const struct register_settings *s = l->probe->settings;
	uint8_t *bytes;
	size_t n;

	bytes = keep_health_pack(s->check_service, &n);
	if (bytes == NULL || !grpc_begin(g, s->address_text, KEEP_HEALTH_PATH,
	    NULL, 0) || !grpc_send(g, bytes, n))
		grpc_end(g, "no memory");
	else
		grpc_half_close(g);
	free(bytes);
}

static bool
on_ready(void *arg, struct grpc *g)
{
	const struct line *l = arg;

	return g == l->grpc && l == l->probe->asked;
}

static void
on_message(void *arg, struct grpc *g, const uint8_t *bytes, size_t n)
{
	struct line *l = arg;
	char why[WHY_BYTES];
	int serving = keep_health_read(bytes, n, why, sizeof(why));

	(void)g;
	answered(l->probe, serving == 1, serving == -1 ? why :
	    "its health service says that it does not serve");
}

static void
on_ended(void *arg, struct grpc *g, const char *why)
{
	struct line *l = arg;

	if (g == l->going)
		l->going = NULL;
	if (g != l->grpc)
		return;
	l->grpc = NULL;
	if (l == l->probe->asked)
		answered(l->probe, false, why);
	else
		lost(l->probe);
}

static void
grpc_ask(struct probe *p)
{
	static const struct grpc_events events = { .opened = on_opened,
	    .ready = on_ready, .message = on_message, .ended = on_ended };
	const struct grpc_settings g = { .address = &p->settings->address,
	    .message_bytes_max = MESSAGE_BYTES_MAX, .held = true,
	    .peer = "the app" };
	char why[WHY_BYTES];

	p->asked->grpc = grpc_open(p->io, &g, &events, p->asked, why,
	    sizeof(why));
	if (p->asked->grpc == NULL)
		answered(p, false, why);
}

/* ---- life */

static void
ask(struct probe *p)
{
	timer_set(p, p->settings->timeout_ms);
	if (is_open(p->held))
		p->soon_n = 0;
	going_close(p->asked);
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
	for (int i = 0; i < 2; i++)
		p->lines[i] = (struct line){ .probe = p, .fd = -1,
		    .source.ready = tcp_ready };
	p->asked = &p->lines[0];
	p->held = &p->lines[1];
	p->timer.fire = timer_fire;
	p->soon_n = 1;			/* it may be starting */
	timer_set(p, 0);
	return p;
}

void
probe_close(struct probe *p)
{
	timer_stop(&p->io->loop->timers, &p->timer);
	for (int i = 0; i < 2; i++) {
		hang_up(&p->lines[i]);
		going_close(&p->lines[i]);
	}
	free(p);
}

const char *
probe_why(const struct probe *p)
{
	return p->why;
}
