/* t/sim/net.c - see net.h. */
#include "t/sim/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What arrived at each socket; one network at a time. */
static uint8_t pipes[NET_SOCKETS_MAX][NET_PIPE_BYTES];

void
net_say(const struct net *n, const char *format, ...)
{
	va_list args;

	if (!n->verbose)
		return;
	printf("%10.3f ms  ", (double)n->now_ns / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static const char *
word_of(int what)
{
	switch (what) {
	case 'a': return "accepts";
	case 'c': return "connects to";
	case 'x': return "is reset";
	case 'r': return "receives";
	case 's': return "sends";
	case 'h': return "says it is silent";
	case 'z': return "closes";
	default: return "wakes for";
	}
}

/* Everything that happens goes into the trace: kind, who, how much. */
static void
note(struct net *n, int what, int fd, long long how_much)
{
	const struct net_actor *a = n->sockets[fd].actor;

	if (what != 'e')
		net_say(n, "%s %d %s %lld", a == NULL ? "socket" : a->name,
		    fd, word_of(what), how_much);
	n->trace = (n->trace ^ ((uint64_t)what << 56) ^
	    ((uint64_t)(uint32_t)fd << 40) ^ (uint64_t)how_much) *
	    0x100000001b3ull;
}

uint64_t
net_random(struct net *n)
{
	return chance_next(&n->chance);
}

uint32_t
net_below(struct net *n, uint32_t below)
{
	return chance_below(&n->chance, below);
}

bool
net_chance(struct net *n, unsigned in_1000)
{
	return in_1000 > 0 && net_random(n) % 1000 < in_1000;
}

static struct net_socket *
socket_at(struct net *n, int fd)
{
	return &n->sockets[fd];
}

static int
socket_new(struct net *n)
{
	for (int fd = 0; fd < NET_SOCKETS_MAX; fd++) {
		struct net_socket *s = socket_at(n, fd);

		if (s->used)
			continue;
		memset(s, 0, sizeof(*s));
		s->used = true;
		s->peer = -1;
		if (fd >= n->sockets_n)
			n->sockets_n = fd + 1;
		return fd;
	}
	errno = EMFILE;
	return -1;
}

static void
edge(struct net *n, int fd, uint32_t edges)
{
	struct net_socket *s = socket_at(n, fd);
	int64_t at = n->now_ns;

	if (net_chance(n, n->faults.late))
		at += (int64_t)(net_random(n) % 3000000);
	if (s->edges == 0 || at < s->edges_at_ns)
		s->edges_at_ns = at;
	s->edges |= edges;
}

/* ---- struct sys ---- */

static struct net *
net_of(void *ctx)
{
	return ((struct net_actor *)ctx)->net;
}

static int
net_accept(void *ctx, int listen_fd)
{
	struct net *n = net_of(ctx);
	struct net_socket *l = socket_at(n, listen_fd);
	int fd;

	if (l->backlog_n == 0) {
		errno = EAGAIN;
		return -1;
	}
	fd = l->backlog[0];
	memmove(l->backlog, l->backlog + 1,
	    (size_t)--l->backlog_n * sizeof(l->backlog[0]));
	note(n, 'a', fd, 0);
	return fd;
}

static int
listener_find(struct net *n, uint16_t port)
{
	for (int fd = 0; fd < n->sockets_n; fd++)
		if (socket_at(n, fd)->used && socket_at(n, fd)->listening &&
		    socket_at(n, fd)->port == port)
			return fd;
	return -1;
}

/* Nobody has an address here but the one of whoever is beside us. */
static int
net_peer(void *ctx, int fd, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	(void)ctx;
	(void)fd;
	*in = (struct sockaddr_in){ .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return 0;
}

static int
net_connect(void *ctx, const struct sockaddr *to, socklen_t to_len)
{
	struct net_actor *a = ctx;
	struct net *n = a->net;
	const struct sockaddr_in *in =
	    (const struct sockaddr_in *)(const void *)to;
	int l = listener_find(n, ntohs(in->sin_port)), mine = socket_new(n);
	int theirs = -1;

	(void)to_len;
	if (mine < 0)
		return -1;
	socket_at(n, mine)->actor = a;
	if (a->gives_up && net_chance(n, n->faults.unanswered)) {
		a->unanswered_n++;
		socket_at(n, mine)->unanswered = true;
		note(n, 'c', mine, -2);
		return mine;
	}
	if (l >= 0 && !net_chance(n, n->faults.refuse) &&
	    socket_at(n, l)->backlog_n < 64)
		theirs = socket_new(n);
	if (theirs < 0) {
		socket_at(n, mine)->failed = true;
		edge(n, mine, SYS_WRITE | SYS_HANGUP);
	} else {
		socket_at(n, mine)->peer = theirs;
		socket_at(n, theirs)->peer = mine;
		socket_at(n, l)->backlog[socket_at(n, l)->backlog_n++] =
		    theirs;
		edge(n, mine, SYS_WRITE);
		edge(n, l, SYS_READ);
	}
	note(n, 'c', mine, theirs);
	return mine;
}

/* Who closes it before does not learn of it. */
static int
net_connected(void *ctx, int fd)
{
	struct net_actor *a = ctx;

	if (!socket_at(a->net, fd)->failed)
		return 0;
	a->refused_n++;
	return ECONNREFUSED;
}

static void
reset(struct net *n, int fd)
{
	struct net_socket *s = socket_at(n, fd);

	s->reset = true;
	s->in_n = 0;
	edge(n, fd, SYS_READ | SYS_HANGUP);
	note(n, 'x', fd, 0);
}

/* Between any two bytes. */
static bool
reset_now(struct net *n, struct net_socket *s, int fd)
{
	if (!s->reset && net_chance(n, n->faults.reset)) {
		reset(n, fd);
		if (s->peer >= 0)
			reset(n, s->peer);
	}
	if (s->reset)
		errno = ECONNRESET;
	return s->reset;
}

static size_t
shorten(struct net *n, size_t len, unsigned chance)
{
	if (len > 1 && net_chance(n, n->faults.one_byte))
		return 1;
	if (len > 1 && net_chance(n, chance))
		return 1 + net_random(n) % (len - 1);
	return len;
}

static void
ring_put(struct net *n, int fd, const uint8_t *p, size_t len)
{
	struct net_socket *s = socket_at(n, fd);
	size_t at = (s->in_at + s->in_n) % n->pipe_bytes;
	size_t first = n->pipe_bytes - at < len ? n->pipe_bytes - at : len;

	memcpy(pipes[fd] + at, p, first);
	memcpy(pipes[fd], p + first, len - first);
	s->in_n += len;
}

static void
ring_take(struct net *n, int fd, uint8_t *p, size_t len)
{
	struct net_socket *s = socket_at(n, fd);
	size_t first = n->pipe_bytes - s->in_at < len ?
	    n->pipe_bytes - s->in_at : len;

	memcpy(p, pipes[fd] + s->in_at, first);
	memcpy(p + first, pipes[fd], len - first);
	s->in_at = (s->in_at + len) % n->pipe_bytes;
	s->in_n -= len;
}

static ssize_t
net_recv(void *ctx, int fd, void *p, size_t len)
{
	struct net *n = net_of(ctx);
	struct net_socket *s = socket_at(n, fd);
	size_t now = s->in_n < len ? s->in_n : len;

	if (reset_now(n, s, fd))
		return -1;
	if (s->in_n == 0) {
		errno = EAGAIN;
		return s->closed || s->peer < 0 ? 0 : -1;
	}
	now = shorten(n, now, n->faults.short_recv);
	ring_take(n, fd, p, now);
	if (s->in_n > 0)			/* the rest comes later */
		edge(n, fd, SYS_READ | (s->closed ? SYS_HANGUP : 0));
	if (s->peer >= 0)
		edge(n, s->peer, SYS_WRITE);
	note(n, 'r', fd, (long long)now);
	return (ssize_t)now;
}

static ssize_t
net_send(void *ctx, int fd, const void *p, size_t len)
{
	struct net *n = net_of(ctx);
	struct net_socket *s = socket_at(n, fd), *to;
	size_t room, now;

	if (reset_now(n, s, fd))
		return -1;
	if (s->silent) {
		errno = EPIPE;
		return -1;
	}
	if (s->peer < 0) {
		reset(n, fd);		/* its answer; these went out */
		return (ssize_t)len;
	}
	to = socket_at(n, s->peer);
	room = n->pipe_bytes - to->in_n;
	now = len < room ? len : room;
	if (now > 0 && net_chance(n, n->faults.no_send)) {
		now = 0;
		edge(n, fd, SYS_WRITE);
	}
	if (now == 0) {
		errno = EAGAIN;
		return -1;
	}
	now = shorten(n, now, n->faults.short_send);
	ring_put(n, s->peer, p, now);
	edge(n, s->peer, SYS_READ);
	if (now < len && now < room)
		edge(n, fd, SYS_WRITE);
	note(n, 's', fd, (long long)now);
	return (ssize_t)now;
}

static void
net_shutdown(void *ctx, int fd)
{
	struct net *n = net_of(ctx);
	struct net_socket *s = socket_at(n, fd);

	note(n, 'h', fd, 0);
	s->silent = true;
	if (s->peer >= 0) {
		socket_at(n, s->peer)->closed = true;
		edge(n, s->peer, SYS_READ | SYS_HANGUP);
	}
}

static void
net_close(void *ctx, int fd)
{
	struct net *n = net_of(ctx);
	struct net_socket *s = socket_at(n, fd);

	note(n, 'z', fd, 0);
	for (int i = 0; i < s->backlog_n; i++)
		net_close(ctx, s->backlog[i]);
	if (s->peer >= 0) {
		socket_at(n, s->peer)->peer = -1;
		socket_at(n, s->peer)->closed = true;
		if (s->in_n > 0)
			reset(n, s->peer);
		edge(n, s->peer, SYS_READ | SYS_HANGUP);
	}
	s->used = false;
	s->edges = 0;
	s->source = NULL;
}

static int
net_watch(void *ctx, int fd, void *source)
{
	struct net_actor *a = ctx;
	struct net_socket *s = socket_at(a->net, fd);

	s->source = source;
	s->actor = a;
	if (s->unanswered)
		return 0;
	edge(a->net, fd, SYS_WRITE | (s->in_n > 0 || s->backlog_n > 0 ?
	    SYS_READ : 0));
	return 0;
}

static int
net_wait(void *ctx, struct sys_event *events, int events_max, int timeout_ms)
{
	struct net_actor *a = ctx;
	struct net *n = a->net;
	int count = 0;

	(void)timeout_ms;		/* sim.c moves the time */
	for (int fd = 0; fd < n->sockets_n && count < events_max; fd++) {
		struct net_socket *s = socket_at(n, fd);

		if (!s->used || s->actor != a || s->source == NULL ||
		    s->edges == 0 ||
		    s->edges_at_ns > n->now_ns)
			continue;
		events[count++] = (struct sys_event){ s->source, s->edges };
		note(n, 'e', fd, s->edges);
		s->edges = 0;
	}
	return count;
}

static struct mono
net_now(void *ctx)
{
	return (struct mono){ net_of(ctx)->now_ns };
}

static uint64_t
net_random_of(void *ctx)
{
	return net_random(net_of(ctx));
}

static void *
net_alloc(void *ctx, size_t n)
{
	struct net_actor *a = ctx;

	if (a->starves && net_chance(a->net, a->net->faults.no_memory))
		return NULL;
	a->blocks_n++;
	return calloc(1, n);
}

static void
net_free(void *ctx, void *p)
{
	struct net_actor *a = ctx;

	if (p != NULL)
		a->blocks_n--;
	free(p);
}

/* ---- life ---- */

void
net_init(struct net *n, uint64_t seed, struct net_faults f)
{
	memset(n, 0, sizeof(*n));
	n->seed = n->chance.state = seed;
	n->now_ns = 1000000000;
	n->trace = 0xcbf29ce484222325ull;
	n->faults = f;
	n->pipe_bytes = NET_PIPE_BYTES;
}

void
net_actor_init(struct net_actor *a, struct net *n, const char *name)
{
	*a = (struct net_actor){ .net = n, .name = name };
	a->sys = (struct sys){ a, net_accept, net_peer, net_connect,
	    net_connected, net_recv, net_send, net_shutdown, net_close,
	    net_watch, net_wait, net_now, net_random_of, net_alloc, net_free };
}

int
net_listen(struct net *n, uint16_t port)
{
	int fd = socket_new(n);

	socket_at(n, fd)->listening = true;
	socket_at(n, fd)->port = port;
	return fd;
}

void
net_abort(struct net_actor *a, int fd)
{
	struct net *n = a->net;

	if (socket_at(n, fd)->peer >= 0)
		reset(n, socket_at(n, fd)->peer);
	net_close(a, fd);
}

int64_t
net_next_ns(const struct net *n, const struct net_actor *a)
{
	int64_t next = -1;

	for (int fd = 0; fd < n->sockets_n; fd++) {
		const struct net_socket *s = &n->sockets[fd];

		if (s->used && s->edges != 0 && s->source != NULL &&
		    (a == NULL ? s->actor != NULL : s->actor == a) &&
		    (next < 0 || s->edges_at_ns < next))
			next = s->edges_at_ns;
	}
	return next;
}
