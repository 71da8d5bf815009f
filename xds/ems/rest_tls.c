/*
 * xds/ems/rest_tls.c - see rest_tls.h.
 *
 *   up      outer ──recv──> tls_feed, tls_read ──> up ──send──> inner
 *   down    outer <──send── down <── tls_write <──recv── inner
 *
 * A step moves what there is in one direction, once; steps follow each other
 * until nothing moves, STEPS of them a turn.
 */
#include "xds/ems/rest_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/log.h"
#include "worker/io/address.h"
#include "worker/io/greeting.h"
#include "xds/ems/port.h"

enum {
	STEPS = 8, SPAN_BYTES = 16384,
	HANDSHAKE_MS = 10000, STALLED_MS = 60000, LINGER_MS = 1000,
	LINGER_BYTES = 32 << 20, TLS_OUT_BYTES = 65536,
};

enum state { HANDSHAKE, OPEN, LEAVING };

struct session {
	TAILQ_ENTRY(session) link;
	struct rest_tls	*door;
	struct source	 outer, inner;
	struct task	 again;
	struct timer	 timer;		/* of the state; OPEN: the caller
					 * takes nothing */
	struct tls	*tls;
	struct buf	 up, down;	/* plain; records */
	enum state	 state;
	int		 outer_fd, inner_fd;	/* inner: -1 unless OPEN */
	int		 given_fd;	/* to who serves; -1: names taken */
	uint32_t	 thrown;	/* away, LEAVING */
	bool		 began;		/* a byte came */
	bool		 deaf;		/* who serves reads no more */
	bool		 taken;		/* something by outer, in this turn */
	bool		 shut;		/* LEAVING: we said all */
	char		 address[64];
};
TAILQ_HEAD(sessions, session);

struct rest_tls {
	struct port	 port;
	struct loop	*loop;
	struct sys	*sys;
	struct rest_tls_settings settings;
	struct sessions	 handshakes, others;	/* the oldest first */
	size_t		 n;
	bool		 full;		/* which was said */
	uint8_t		 in[SPAN_BYTES], plain[SPAN_BYTES];
};

/* ---- an end */

static void
session_end(struct session *s)
{
	struct rest_tls *t = s->door;

	TAILQ_REMOVE(s->state == HANDSHAKE ? &t->handshakes : &t->others, s,
	    link);
	t->n--;
	timer_stop(&t->loop->timers, &s->timer);
	loop_cancel(t->loop, &s->again);
	loop_forget(t->loop, &s->outer);
	t->sys->close(t->sys->ctx, s->outer_fd);
	if (s->inner_fd != -1) {
		loop_forget(t->loop, &s->inner);
		t->sys->close(t->sys->ctx, s->inner_fd);
	}
	tls_free(s->tls);
	buf_fini(&s->up);
	buf_fini(&s->down);
	free(s);
}

static void
state_set(struct session *s, enum state next)
{
	struct rest_tls *t = s->door;

	if (s->state == HANDSHAKE) {
		TAILQ_REMOVE(&t->handshakes, s, link);
		TAILQ_INSERT_TAIL(&t->others, s, link);
	}
	s->state = next;
	timer_stop(&t->loop->timers, &s->timer);
}

/* What is in down goes out first (T3). */
static void
leave(struct session *s)
{
	struct rest_tls *t = s->door;

	state_set(s, LEAVING);
	buf_clear(&s->up);
	timer_start(&t->loop->timers, &s->timer, t->loop->now, STALLED_MS);
	if (s->inner_fd == -1)
		return;
	loop_forget(t->loop, &s->inner);
	t->sys->close(t->sys->ctx, s->inner_fd);
	s->inner_fd = -1;
}

static void
refuse(struct session *s, const char *why)
{
	log_info("REST, %s: %s", s->address, why);
	leave(s);
}

/* ---- who serves */

static void	session_run(struct session *s);

static void
inner_ready(struct source *source, uint32_t events)
{
	(void)events;
	session_run(CONTAINER(source, struct session, inner));
}

/* A descriptor of that number is another's now. */
static void
given_forget(struct rest_tls *t, int fd)
{
	struct session *s;

	TAILQ_FOREACH(s, &t->others, link)
		if (s->given_fd == fd)
			s->given_fd = -1;
}

static bool
serve(struct session *s)
{
	struct rest_tls *t = s->door;
	struct sockaddr_storage from = { 0 };
	int pair[2];

	if (t->sys->peer(t->sys->ctx, s->outer_fd, &from) == -1)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair) == -1) {
		log_warn("REST, %s: no pair of sockets: %s", s->address,
		    strerror(errno));
		return false;
	}
	s->inner_fd = pair[0];
	if (loop_watch(t->loop, s->inner_fd, &s->inner) != 0) {
		close(pair[1]);
		return false;
	}
	state_set(s, OPEN);
	given_forget(t, pair[1]);
	s->given_fd = pair[1];
	t->settings.arrived(t->settings.arg, pair[1], (struct sockaddr *)&from,
	    from.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
	    sizeof(struct sockaddr_in));
	return true;
}

char *
rest_tls_names(struct rest_tls *t, int fd)
{
	const char *names = NULL, *end;
	struct session *s;
	char *copy;

	TAILQ_FOREACH(s, &t->others, link)
		if (s->given_fd == fd)
			names = tls_peer_names(s->tls);
	given_forget(t, fd);
	if (names == NULL)
		return NULL;
	for (end = names; *end != '\0'; end += strlen(end) + 1)
		;
	copy = malloc((size_t)(end - names) + 1);
	if (copy != NULL)
		memcpy(copy, names, (size_t)(end - names) + 1);
	return copy;
}

/* ---- steps; false: it is over */

/* As much of b as fd takes. False: it takes no more, ever. */
static bool
put(struct session *s, int fd, struct buf *b, bool *moved)
{
	struct sys *sys = s->door->sys;

	while (buf_len(b) > 0) {
		ssize_t n = sys->send(sys->ctx, fd, b->data + b->pos,
		    buf_len(b));

		if (n == -1)
			return errno == EAGAIN || errno == EINTR;
		buf_take(b, (size_t)n);
		*moved = true;
	}
	return true;
}

static void
greet(struct session *s)
{
	static const char body[] = "{\"error\": \"this port speaks TLS only: "
	    "https://\"}\n";
	char text[256];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s", sizeof(body) - 1, body);

	(void)buf_put(&s->down, text, (size_t)n);
	refuse(s, greeting_sentence(GREETING_CLEAR));
}

/* What came and is in the door's in, decrypted. */
static bool
take(struct session *s, size_t n)
{
	struct rest_tls *t = s->door;
	size_t got;

	tls_feed(s->tls, t->in, n);
	while ((got = tls_read(s->tls, t->plain, SPAN_BYTES, &s->down)) > 0)
		if (!s->deaf && !buf_put(&s->up, t->plain, got))
			return false;
	switch (tls_state(s->tls)) {
	case TLS_HANDSHAKE:
		break;
	case TLS_ESTABLISHED:
		return s->state == OPEN || serve(s);
	case TLS_CLOSED:
		leave(s);
		break;
	case TLS_FAILED:
		refuse(s, tls_why(s->tls));
		break;
	}
	return true;
}

/* False: something is left of it. */
static bool
up_flush(struct session *s, bool *moved)
{
	if (s->inner_fd == -1 || s->deaf)
		return true;
	if (!put(s, s->inner_fd, &s->up, moved)) {
		s->deaf = true;
		buf_clear(&s->up);
	}
	return buf_len(&s->up) == 0;
}

static bool
up_step(struct session *s, bool *moved)
{
	struct sys *sys = s->door->sys;
	ssize_t n;

	if (!up_flush(s, moved) || buf_len(&s->down) > TLS_OUT_BYTES)
		return true;
	n = sys->recv(sys->ctx, s->outer_fd, s->door->in, SPAN_BYTES);
	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	*moved = true;
	if (n == 0)
		return false;
	if (s->state == LEAVING)
		return (s->thrown += (uint32_t)n) <= LINGER_BYTES;
	if (s->began || greeting_of_tls(s->door->in[0]) != GREETING_CLEAR) {
		s->began = true;
		return take(s, (size_t)n);
	}
	greet(s);
	return true;
}

static bool
down_flush(struct session *s, bool *moved)
{
	struct rest_tls *t = s->door;
	bool any = false;

	if (!put(s, s->outer_fd, &s->down, &any))
		return false;
	s->taken = s->taken || any;
	*moved = *moved || any;
	if (s->state != LEAVING || buf_len(&s->down) > 0 || s->shut)
		return true;
	s->shut = true;
	t->sys->shutdown(t->sys->ctx, s->outer_fd);
	timer_start(&t->loop->timers, &s->timer, t->loop->now, LINGER_MS);
	return true;
}

static bool
down_step(struct session *s, bool *moved)
{
	struct rest_tls *t = s->door;
	ssize_t n;

	if (!down_flush(s, moved))
		return false;
	if (buf_len(&s->down) > 0 || s->inner_fd == -1)
		return true;
	n = t->sys->recv(t->sys->ctx, s->inner_fd, t->plain, SPAN_BYTES);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return true;
	*moved = true;
	if (n > 0)
		return tls_write(s->tls, t->plain, (size_t)n, &s->down);
	tls_close(s->tls, &s->down);
	leave(s);
	return true;
}

/* A caller who takes nothing for so long is cut. */
static void
stall_watch(struct session *s)
{
	struct rest_tls *t = s->door;

	if (s->state != OPEN)
		return;
	if (buf_len(&s->down) == 0)
		timer_stop(&t->loop->timers, &s->timer);
	else if (s->taken || !timer_started(&s->timer))
		timer_start(&t->loop->timers, &s->timer, t->loop->now,
		    STALLED_MS);
}

static void
session_run(struct session *s)
{
	bool moved = true;

	s->taken = false;
	for (int i = 0; i < STEPS && moved; i++) {
		moved = false;
		if (!up_step(s, &moved) || !down_step(s, &moved)) {
			session_end(s);
			return;
		}
	}
	stall_watch(s);
	if (moved)
		loop_soon(s->door->loop, &s->again);
}

static void
session_again(struct task *task)
{
	session_run(CONTAINER(task, struct session, again));
}

static void
outer_ready(struct source *source, uint32_t events)
{
	(void)events;
	session_run(CONTAINER(source, struct session, outer));
}

static void
session_due(struct timer *timer)
{
	struct session *s = CONTAINER(timer, struct session, timer);

	if (s->state == HANDSHAKE)
		log_info("REST, %s: no handshake came of it in %d s",
		    s->address, HANDSHAKE_MS / 1000);
	session_end(s);
}

/* ---- coming */

static struct session *
session_new(struct rest_tls *t, int fd)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->tls = tls_new(t->settings.tls);
	if (s->tls == NULL) {
		free(s);
		return NULL;
	}
	s->door = t;
	s->outer_fd = fd;
	s->inner_fd = s->given_fd = -1;
	s->outer.ready = outer_ready;
	s->inner.ready = inner_ready;
	s->again.run = session_again;
	s->timer.fire = session_due;
	buf_init(&s->up, t->sys);
	buf_init(&s->down, t->sys);
	TAILQ_INSERT_TAIL(&t->handshakes, s, link);
	t->n++;
	return s;
}

/* T2 */
static bool
room_make(struct rest_tls *t)
{
	t->full = t->full && t->n > t->settings.connections_max / 2;
	if (t->n < t->settings.connections_max)
		return true;
	if (!t->full)
		log_warn("REST: all %zu connections are taken; handshakes "
		    "that last make room", t->n);
	t->full = true;
	if (TAILQ_EMPTY(&t->handshakes))
		return false;
	session_end(TAILQ_FIRST(&t->handshakes));
	return true;
}

static bool
address_may_come(struct rest_tls *t, const char *address)
{
	char host[64];

	snprintf(host, sizeof(host), "%.*s", (int)(strrchr(address, ':') -
	    address), address);
	return t->settings.may_come(t->settings.arg, host);
}

static void
come(struct port *p, int fd)
{
	struct rest_tls *t = CONTAINER(p, struct rest_tls, port);
	struct sockaddr_storage from = { 0 };
	struct session *s = NULL;
	char address[64];

	(void)t->sys->peer(t->sys->ctx, fd, &from);
	address_print(&from, address, sizeof(address));
	if (address_may_come(t, address) && room_make(t))
		s = session_new(t, fd);
	if (s == NULL) {
		t->sys->close(t->sys->ctx, fd);
		return;
	}
	memcpy(s->address, address, sizeof(address));
	timer_start(&t->loop->timers, &s->timer, t->loop->now, HANDSHAKE_MS);
	if (loop_watch(t->loop, fd, &s->outer) != 0)
		session_end(s);
}

struct rest_tls *
rest_tls_open(struct loop *l, int fd, const struct rest_tls_settings *s)
{
	struct rest_tls *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		close(fd);
		return NULL;
	}
	if (port_open(&t->port, l, fd, come) == -1) {
		free(t);
		return NULL;
	}
	t->loop = l;
	t->sys = l->sys;
	t->settings = *s;
	TAILQ_INIT(&t->handshakes);
	TAILQ_INIT(&t->others);
	tls_context_get(s->tls);
	return t;
}

void
rest_tls_replace(struct rest_tls *t, struct tls_context *c)
{
	tls_context_put(t->settings.tls);
	t->settings.tls = tls_context_get(c);
}

/* T3, as far as the socket takes it at once. */
static void
last_words(struct session *s)
{
	bool moved = true;

	while (moved && s->state == OPEN) {
		moved = false;
		if (!down_step(s, &moved))
			return;
	}
	(void)down_flush(s, &moved);
}

void
rest_tls_close(struct rest_tls *t)
{
	struct session *s;

	if (t == NULL)
		return;
	while ((s = TAILQ_FIRST(&t->handshakes)) != NULL)
		session_end(s);
	while ((s = TAILQ_FIRST(&t->others)) != NULL) {
		last_words(s);
		session_end(s);
	}
	port_close(&t->port);
	tls_context_put(t->settings.tls);
	free(t);
}
