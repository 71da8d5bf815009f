/* worker/io/conn.c - see conn.h. */
#include "worker/io/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void	conn_ready(struct source *s, uint32_t events);
static void	conn_flush(struct task *t);
static void	conn_again(struct task *t);
static void	conn_fire(struct timer *t);
static void	block_fire(struct timer *t);
static void	keepalive_fire(struct timer *t);
static bool	conn_send(struct conn *c, struct buf *b);
static void	bye_send(struct conn *c);
static void	drain_begin(struct conn *c);

int
io_init(struct io *io, struct loop *l)
{
	memset(io, 0, sizeof(*io));
	io->sys = l->sys;
	io->loop = l;
	mem_init(&io->mem, l->sys);
	buf_init(&io->plain, l->sys);
	buf_init(&io->cipher, l->sys);
	io->in = l->sys->alloc(l->sys->ctx, CONN_READ_BYTES);
	io->in_plain = l->sys->alloc(l->sys->ctx, CONN_READ_BYTES);
	if (io->in != NULL && io->in_plain != NULL)
		return 0;
	io_fini(io);
	return -1;
}

void
io_fini(struct io *io)
{
	io->sys->free(io->sys->ctx, io->in);
	io->sys->free(io->sys->ctx, io->in_plain);
	buf_fini(&io->plain);
	buf_fini(&io->cipher);
	mem_fini(&io->mem);
}

/* ---- beginning ---- */

/* Everything but the descriptor; false: no memory, nothing is left. */
static bool
conn_init(struct conn *c, struct io *io, const struct conn_settings *s)
{
	c->source.ready = conn_ready;
	c->io = io;
	c->events = s->events;
	c->flush.run = conn_flush;
	c->again.run = conn_again;
	c->timer.fire = conn_fire;
	c->block_timer.fire = block_fire;
	c->keepalive.fire = keepalive_fire;
	c->idle_timeout_ms = s->idle_timeout_ms;
	c->keepalive_ms = s->keepalive_ms;
	c->keepalive_timeout_ms = s->keepalive_timeout_ms;
	c->fd = -1;
	c->greeting = GREETING_HTTP2;
	buf_init(&c->early, io->sys);
	buf_init(&c->out, io->sys);
	c->secret = s->secret;
	if (s->tls != NULL && (c->tls = tls_new(s->tls)) == NULL)
		return false;
	if (c->tls != NULL && c->secret)
		tls_secret(c->tls);
	c->h2 = h2_open(&io->mem, &s->h2, s->h2_events, c, &io->loop->now);
	if (c->h2 == NULL) {
		tls_free(c->tls);
		c->tls = NULL;
		return false;
	}
	h2_take(c->h2, &c->early, CONN_TAKE_BYTES);		/* I6 */
	return true;
}

/* Undoes conn_init, and the descriptor. No up-call of ours comes. */
static void
conn_fini(struct conn *c)
{
	struct io *io = c->io;

	timer_stop(&io->loop->timers, &c->timer);
	timer_stop(&io->loop->timers, &c->block_timer);
	timer_stop(&io->loop->timers, &c->keepalive);
	loop_forget(io->loop, &c->source);
	loop_cancel(io->loop, &c->flush);
	loop_cancel(io->loop, &c->again);
	if (c->fd >= 0)
		io->sys->close(io->sys->ctx, c->fd);
	c->fd = -1;
	if (c->tls != NULL)
		tls_free(c->tls);
	c->tls = NULL;
	buf_fini(&c->early);
	buf_fini(&c->out);
}

static bool
conn_watch(struct conn *c, int fd, uint32_t open_timeout_ms)
{
	c->fd = fd;
	if (loop_watch(c->io->loop, fd, &c->source) != 0) {
		h2_close(c->h2, H2_CLOSE_CONNECTION);
		conn_fini(c);
		return false;
	}
	if (c->state != CONN_OPEN && open_timeout_ms > 0)
		timer_start(&c->io->loop->timers, &c->timer, c->io->loop->now,
		    open_timeout_ms);
	return true;
}

static int64_t
now_ms(const struct conn *c)
{
	return c->io->loop->now.ns / 1000000;
}

static void
conn_opened(struct conn *c)
{
	c->state = CONN_OPEN;
	c->active_ms = now_ms(c);
	timer_stop(&c->io->loop->timers, &c->timer);
	if (c->idle_timeout_ms > 0)
		timer_start(&c->io->loop->timers, &c->timer, c->io->loop->now,
		    c->idle_timeout_ms);
	if (c->keepalive_ms > 0 && c->keepalive_timeout_ms > 0)
		timer_start(&c->io->loop->timers, &c->keepalive,
		    c->io->loop->now, c->keepalive_ms);
	c->events->opened(c);
	if (c->draining)
		drain_begin(c);
	conn_touch(c);
}

bool
conn_accept(struct conn *c, struct io *io, int fd,
    const struct conn_settings *s)
{
	if (!conn_init(c, io, s)) {
		io->sys->close(io->sys->ctx, fd);
		return false;
	}
	c->accepted = true;
	c->greeting = GREETING_NOT_YET;
	c->state = c->tls != NULL ? CONN_HANDSHAKE : CONN_OPEN;
	if (!conn_watch(c, fd, s->open_timeout_ms))
		return false;
	if (c->state == CONN_OPEN)
		conn_opened(c);
	return true;
}

bool
conn_connect(struct conn *c, struct io *io, const struct sockaddr *to,
    socklen_t to_len, const struct conn_settings *s)
{
	int fd = io->sys->connect(io->sys->ctx, to, to_len);

	if (fd < 0)
		return false;
	if (!conn_init(c, io, s)) {
		io->sys->close(io->sys->ctx, fd);
		return false;
	}
	c->state = CONN_CONNECTING;
	return conn_watch(c, fd, s->open_timeout_ms);
}

/* ---- ending ---- */

static enum h2_close
close_of(enum conn_end end)
{
	return end == CONN_END_PROTOCOL ? H2_CLOSE_PROTOCOL :
	    H2_CLOSE_CONNECTION;
}

void
conn_end(struct conn *c, enum conn_end end, const char *why)
{
	if (c->end != CONN_END_NONE)
		return;
	c->end = end;
	if (end == CONN_END_TLS)
		c->tls_failure = tls_failure(c->tls);
	snprintf(c->why, sizeof(c->why), "%s", why == NULL ? "" : why);
	conn_touch(c);
}

/* Its last words, then the session and its streams. */
static void
session_end(struct conn *c)
{
	if (c->tls != NULL && c->state == CONN_OPEN && buf_len(&c->out) == 0)
		bye_send(c);
	c->guard = h2_broken(c->h2);
	h2_close(c->h2, close_of(c->end));
	c->h2 = NULL;
}

void
conn_close(struct conn *c)
{
	if (c->end == CONN_END_NONE)
		c->end = CONN_END_LOCAL;
	if (c->state != CONN_LINGER)
		session_end(c);
	conn_fini(c);
	c->events->closed(c);
}

/* ---- draining, and idleness ---- */

static void
drain_begin(struct conn *c)
{
	h2_drain(c->h2);
	c->active_ms = now_ms(c);	/* idle_check gives it its time anew */
	timer_start(&c->io->loop->timers, &c->timer, c->io->loop->now,
	    CONN_DRAIN_MS);
}

void
conn_drain(struct conn *c)
{
	if (c->draining || c->end != CONN_END_NONE)
		return;
	c->draining = true;
	if (c->state == CONN_OPEN)
		drain_begin(c);
}

/* Nothing came for so long. From a caller that drains: not even one of our
 * GOAWAYs was taken, or it would be over. */
static void
idle_end(struct conn *c)
{
	if (c->draining)
		conn_end(c, CONN_END_LOCAL, "the peer takes nothing");
	else if (c->accepted)
		conn_drain(c);
	else
		h2_terminate(c->h2, H2_NO_ERROR);
}

static void
idle_check(struct conn *c)
{
	bool full = buf_len(&c->out) > 0;
	int64_t left_ms = c->idle_timeout_ms - (now_ms(c) -
	    (full ? c->taken_ms : c->active_ms));

	if (c->idle_timeout_ms == 0)
		return;
	if (h2_streams_n(c->h2) > 0 && !full)
		left_ms = c->idle_timeout_ms;
	if (left_ms <= 0 && full)
		conn_end(c, CONN_END_LOCAL, "the peer takes nothing");
	else if (left_ms <= 0)
		idle_end(c);
	else
		timer_start(&c->io->loop->timers, &c->timer,
		    c->io->loop->now, left_ms);
}

/* ---- lingering (I7) ---- */

/* What a full socket left of the last words, then that it was all. */
static void
linger_write(struct conn *c)
{
	if (buf_len(&c->out) == 0 || conn_send(c, &c->out))
		c->io->sys->shutdown(c->io->sys->ctx, c->fd);
}

static void
linger_end(struct conn *c)
{
	c->lingered = true;
	conn_touch(c);
}

static void
linger_read(struct conn *c)
{
	struct io *io = c->io;
	ssize_t n;

	for (int i = 0; i < CONN_READS; i++) {
		n = io->sys->recv(io->sys->ctx, c->fd, io->in,
		    CONN_READ_BYTES);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			c->linger_bytes += (uint32_t)n;
		if (n <= 0 || c->linger_bytes > CONN_LINGER_BYTES) {
			linger_end(c);
			return;
		}
	}
	loop_soon(io->loop, &c->again);
}

/* False: nobody is there to hear our last words, or they were not all sent. */
static bool
linger_begin(struct conn *c)
{
	if (!c->accepted || c->end == CONN_END_PEER ||
	    c->end == CONN_END_CONNECT_TIMEOUT || buf_len(&c->out) > 0)
		return false;
	session_end(c);
	c->state = CONN_LINGER;
	timer_start(&c->io->loop->timers, &c->timer, c->io->loop->now,
	    CONN_LINGER_MS);
	linger_write(c);
	loop_soon(c->io->loop, &c->again);	/* what we left unread */
	return true;
}

static void
linger_ready(struct conn *c, uint32_t events)
{
	if (events & SYS_WRITE && buf_len(&c->out) > 0)
		linger_write(c);
	if (events & (SYS_READ | SYS_HANGUP))
		linger_read(c);
}

/* ---- time ---- */

static void
conn_fire(struct timer *t)
{
	struct conn *c = CONTAINER(t, struct conn, timer);

	switch (c->state) {
	case CONN_CONNECTING:
		conn_end(c, CONN_END_CONNECT_TIMEOUT,
		    "the connection was not made in time");
		break;
	case CONN_HANDSHAKE:
		conn_end(c, CONN_END_CONNECT_TIMEOUT,
		    "the TLS handshake took too long");
		break;
	case CONN_OPEN:
		if (c->draining)
			h2_leave(c->h2);	/* our PING had its time */
		idle_check(c);
		break;
	case CONN_LINGER:
		linger_end(c);
		break;
	}
}

/* A block that is whole by now is seen here, and no sooner. */
static void
block_check(struct conn *c)
{
	int64_t left_ms = h2_block_left_ms(c->h2);

	if (left_ms == 0)
		conn_end(c, CONN_END_PROTOCOL, h2_why(c->h2));
	else if (left_ms > 0)
		timer_start(&c->io->loop->timers, &c->block_timer,
		    c->io->loop->now, left_ms);
}

static void
block_fire(struct timer *t)
{
	struct conn *c = CONTAINER(t, struct conn, block_timer);

	if (c->state == CONN_OPEN && c->end == CONN_END_NONE)
		block_check(c);
}

/* ---- keepalive (I10) ---- */

static int64_t
keepalive_ask(struct conn *c)
{
	c->asked_ms = now_ms(c);
	h2_ping(c->h2);
	return c->keepalive_timeout_ms;
}

static void
keepalive_missed(struct conn *c)
{
	char why[80];

	snprintf(why, sizeof(why), "the peer did not answer our PING within "
	    "%u ms", c->keepalive_timeout_ms);
	conn_end(c, CONN_END_PEER, why);
}

/* The timer stands still while bytes come, and looks when it is due. */
static void
keepalive_fire(struct timer *t)
{
	struct conn *c = CONTAINER(t, struct conn, keepalive);
	int64_t left_ms = c->active_ms + c->keepalive_ms - now_ms(c);

	if (c->state != CONN_OPEN || c->end != CONN_END_NONE)
		return;
	if (c->asked_ms > c->active_ms) {
		keepalive_missed(c);
		return;
	}
	c->asked_ms = 0;
	if (c->greeting == GREETING_NOT_YET)
		left_ms = c->keepalive_ms;	/* I9: it would not go out */
	else if (left_ms <= 0)
		left_ms = keepalive_ask(c);
	timer_start(&c->io->loop->timers, t, c->io->loop->now, left_ms);
}

/* ---- reading ---- */

/* What TLS says by itself must not pile up (I4). */
static void
out_check(struct conn *c)
{
	if (buf_len(&c->out) > CONN_OUT_BYTES)
		conn_end(c, CONN_END_TLS, "the peer makes TLS answer and "
		    "takes no answer");
}

/* It speaks something else and is told, if nothing of HTTP/2 is out. */
static void
stranger_end(struct conn *c)
{
	char text[GREETING_ANSWER_BYTES];
	size_t n = greeting_answer(c->greeting, text);

	if (buf_len(&c->early) > 0 &&
	    buf_put(&c->out, (const uint8_t *)text, n))
		conn_send(c, &c->out);
	conn_end(c, c->greeting == GREETING_CLEAR ? CONN_END_TLS :
	    CONN_END_PROTOCOL, greeting_sentence(c->greeting));
}

static bool
is_stranger(const struct conn *c)
{
	return c->greeting > GREETING_HTTP2;
}

static void
conn_feed(struct conn *c, const uint8_t *p, size_t n)
{
	if (c->greeting == GREETING_NOT_YET) {
		c->greeting = greeting_next(&c->greeting_n, p, n);
		conn_touch(c);
	}
	if (is_stranger(c))
		stranger_end(c);
	else if (!h2_feed(c->h2, p, n))
		conn_end(c, CONN_END_PROTOCOL, h2_why(c->h2));
	else if (!timer_started(&c->block_timer))
		block_check(c);
}

/* One span off the wire through TLS, if any, to the session. */
static void
conn_take_in(struct conn *c, const uint8_t *p, size_t n)
{
	size_t plain_n;

	if (c->tls == NULL) {
		conn_feed(c, p, n);
		return;
	}
	if (c->greeting == GREETING_NOT_YET)
		c->greeting = greeting_of_tls(p[0]);
	if (is_stranger(c)) {
		stranger_end(c);
		return;
	}
	tls_feed(c->tls, p, n);
	while ((plain_n = tls_read(c->tls, c->io->in_plain, CONN_READ_BYTES,
	    &c->out)) > 0 && c->end == CONN_END_NONE) {
		if (c->state == CONN_HANDSHAKE)
			conn_opened(c);
		conn_feed(c, c->io->in_plain, plain_n);
		if (c->secret)
			explicit_bzero(c->io->in_plain, plain_n);
	}
	if (c->state == CONN_HANDSHAKE &&
	    tls_state(c->tls) == TLS_ESTABLISHED)
		conn_opened(c);
	if (tls_state(c->tls) == TLS_FAILED)
		conn_end(c, CONN_END_TLS, tls_why(c->tls));
	if (tls_state(c->tls) == TLS_CLOSED)
		conn_end(c, CONN_END_PEER, "the peer closed TLS");
	out_check(c);
	conn_touch(c);
}

static void
conn_read(struct conn *c)
{
	struct io *io = c->io;
	ssize_t n = 0;

	for (int i = 0; i < CONN_READS && c->end == CONN_END_NONE; i++) {
		n = io->sys->recv(io->sys->ctx, c->fd, io->in,
		    CONN_READ_BYTES);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			conn_end(c, CONN_END_PEER, strerror(errno));
			return;
		}
		if (n == 0) {
			conn_end(c, CONN_END_PEER, "the peer closed");
			return;
		}
		c->active_ms = now_ms(c);
		conn_take_in(c, io->in, (size_t)n);
		if (c->secret)
			explicit_bzero(io->in, (size_t)n);
		if (n < CONN_READ_BYTES)
			return;
	}
	loop_soon(io->loop, &c->again);
}

/* ---- connecting ---- */

static void
conn_connected(struct conn *c)
{
	struct io *io = c->io;
	int error = io->sys->connected(io->sys->ctx, c->fd);

	if (error != 0) {
		conn_end(c, CONN_END_CONNECT, strerror(error));
		return;
	}
	if (c->tls == NULL) {
		conn_opened(c);
		return;
	}
	c->state = CONN_HANDSHAKE;
	tls_read(c->tls, io->in_plain, CONN_READ_BYTES, &c->out);
	conn_touch(c);
}

static void
conn_ready(struct source *s, uint32_t events)
{
	struct conn *c = CONTAINER(s, struct conn, source);

	if (c->state == CONN_LINGER)
		linger_ready(c, events);
	if (c->end != CONN_END_NONE)
		return;
	if (c->state == CONN_CONNECTING) {
		if (events & (SYS_WRITE | SYS_HANGUP))
			conn_connected(c);
		if (c->state == CONN_CONNECTING)
			return;
	}
	if (events & (SYS_READ | SYS_HANGUP))
		conn_read(c);
	/* A hang-up's end of file may be behind a short read. */
	if (events & SYS_HANGUP && c->end == CONN_END_NONE)
		loop_soon(c->io->loop, &c->again);
	if (events & SYS_WRITE && buf_len(&c->out) > 0)
		conn_touch(c);
}

static void
conn_again(struct task *t)
{
	struct conn *c = CONTAINER(t, struct conn, again);

	if (c->state == CONN_LINGER) {
		linger_read(c);
		return;
	}
	if (c->end == CONN_END_NONE && c->state != CONN_CONNECTING)
		conn_read(c);
	conn_touch(c);
}

/* ---- writing ---- */

void
conn_touch(struct conn *c)
{
	loop_at_end(c->io->loop, &c->flush);
}

void
conn_wake(void *conn)
{
	conn_touch(conn);
}

/* Sends what is in b; true: all of it. */
static bool
conn_send(struct conn *c, struct buf *b)
{
	struct io *io = c->io;
	ssize_t n = io->sys->send(io->sys->ctx, c->fd, b->data + b->pos,
	    buf_len(b));

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		conn_end(c, CONN_END_PEER, strerror(errno));
	if (n > 0) {
		buf_take(b, (size_t)n);
		c->taken_ms = now_ms(c);
	}
	return buf_len(b) == 0;
}

/* The same out of a buffer that all connections share: it is empty
 * afterwards, whatever happened, and what was not sent waits in c->out. */
static bool
conn_send_shared(struct conn *c, struct buf *shared)
{
	bool all = conn_send(c, shared);

	if (!all && c->end == CONN_END_NONE && !buf_put(&c->out,
	    shared->data + shared->pos, buf_len(shared)))
		conn_end(c, CONN_END_LOCAL, "no memory");
	buf_clear(shared);
	return all;
}

/* The end of TLS, as far as the socket takes it (I5). */
static void
bye_send(struct conn *c)
{
	tls_close(c->tls, &c->out);
	if (buf_len(&c->out) > 0)
		conn_send(c, &c->out);
}

/* One round of frames; *more says whether there are others. False: no more
 * can be written now. */
static bool
conn_write(struct conn *c, bool *more)
{
	struct buf *plain = &c->io->plain, *cipher = &c->io->cipher;

	if (buf_len(&c->early) > 0) {
		if (!buf_put(plain, c->early.data + c->early.pos,
		    buf_len(&c->early))) {
			conn_end(c, CONN_END_LOCAL, "no memory");
			return false;
		}
		buf_fini(&c->early);
	}
	*more = h2_take(c->h2, plain, CONN_TAKE_BYTES);
	if (buf_len(plain) == 0)
		return false;
	if (c->tls == NULL)
		return conn_send_shared(c, plain);
	if (!tls_write(c->tls, plain->data + plain->pos, buf_len(plain),
	    cipher))
		conn_end(c, CONN_END_TLS, tls_why(c->tls));
	buf_clear(plain);
	return buf_len(cipher) > 0 && conn_send_shared(c, cipher);
}

static void
conn_flush_open(struct conn *c)
{
	bool more = true;

	if (c->greeting == GREETING_NOT_YET && !c->draining)
		return;					/* I9 */
	if (buf_len(&c->out) > 0 && !conn_send(c, &c->out)) {
		if (!h2_stuck(c->h2))
			conn_end(c, CONN_END_PROTOCOL, h2_why(c->h2));
		return;
	}
	for (int i = 0; more && !is_stranger(c); i++) {
		if (i == CONN_READS) {
			loop_soon(c->io->loop, &c->again);
			return;
		}
		if (!conn_write(c, &more))
			break;
	}
	if (h2_over(c->h2) && buf_len(&c->out) == 0)
		conn_end(c, h2_why(c->h2)[0] == '\0' ? CONN_END_LOCAL :
		    CONN_END_PROTOCOL, h2_why(c->h2));
}

/* A peer that broke HTTP/2 and closed: the former came first. */
static void
end_correct(struct conn *c)
{
	if (c->end != CONN_END_PEER || h2_why(c->h2)[0] == '\0')
		return;
	c->end = CONN_END_PROTOCOL;
	snprintf(c->why, sizeof(c->why), "%s", h2_why(c->h2));
}

/* The end-of-turn task: writes, and ends what is to end (I2, I3). */
static void
conn_flush(struct task *t)
{
	struct conn *c = CONTAINER(t, struct conn, flush);

	if (c->state == CONN_LINGER) {
		if (c->lingered)
			conn_close(c);
		return;
	}
	if (c->state == CONN_OPEN)
		conn_flush_open(c);
	else if (c->state == CONN_HANDSHAKE && buf_len(&c->out) > 0)
		conn_send(c, &c->out);
	end_correct(c);
	if (c->end != CONN_END_NONE && !linger_begin(c))
		conn_close(c);
}
