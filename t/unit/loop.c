/*
 * t/unit/loop.c - worker/io/loop.c on a world that the test writes, turn by
 * turn; and on worker/io/sys.c, Linux, where edges come from the kernel.
 */
#include "worker/io/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a world: what happened, as a word; what will, as a script */

static struct loop loop;
static char trace[1024];
static int64_t world_ns = 5000000;

static struct {
	struct sys_event events[LOOP_EVENTS_MAX + 1];
	int	n;		/* -1: EINTR */
	int	asked_max, waited_ms;
	int	now_reads;
} world;

static void
happened(const char *what)
{
	strcat(strcat(trace, trace[0] == '\0' ? "" : " "), what);
}

static int
world_wait(void *ctx, struct sys_event *events, int events_max,
    int timeout_ms)
{
	int n = world.n;

	(void)ctx;
	happened("wait");
	world.asked_max = events_max;
	world.waited_ms = timeout_ms;
	world.n = 0;
	if (n > 0)
		memcpy(events, world.events, (size_t)n * sizeof(*events));
	if (n < 0)
		errno = EINTR;
	return n;
}

static struct mono
world_now(void *ctx)
{
	(void)ctx;
	world.now_reads++;
	return (struct mono){ world_ns };
}

static struct sys world_sys = { .wait = world_wait, .now = world_now };

static void
event(struct source *s, uint32_t events)
{
	world.events[world.n++] = (struct sys_event){ s, events };
}

/* One turn; the trace of it, without what was before. */
static const char *
turn(int max_wait_ms)
{
	trace[0] = '\0';
	loop_turn(&loop, max_wait_ms);
	return trace;
}

/* Things with a name, whose only deed is to be traced, or to do one more. */
struct thing {
	struct source	 source;
	struct task	 task;
	struct timer	 timer;
	const char	*name;
	void		(*also)(struct thing *t);
	uint32_t	 events;
};

static void
thing_does(struct thing *t)
{
	happened(t->name);
	if (t->also != NULL)
		t->also(t);
}

static void
source_ready(struct source *s, uint32_t events)
{
	struct thing *t = CONTAINER(s, struct thing, source);

	t->events = events;
	thing_does(t);
}

static void
task_run(struct task *t)
{
	cr_assert_not(t->queued);
	thing_does(CONTAINER(t, struct thing, task));
}

static void
timer_fire(struct timer *t)
{
	thing_does(CONTAINER(t, struct thing, timer));
}

#define THING(name, also) { { source_ready }, { .run = task_run }, \
	{ .fire = timer_fire }, name, also, 0 }

static void
top(void *arg)
{
	cr_assert_eq(arg, &loop);
	happened("top");
}

static void
bottom(void *arg)
{
	cr_assert_eq(arg, &loop);
	happened("bottom");
}

static void
setup(void)
{
	loop_init(&loop, &world_sys);
	loop.top = top;
	loop.turn_arg = &loop;
}

TestSuite(loop, .init = setup);

/* ---- the parts of a turn */

static struct thing edge, ready, due, end, end2, other;

static void
ends(struct thing *t)
{
	(void)t;
	loop_at_end(&loop, &end.task);
}

static void
ends_too(struct thing *t)
{
	(void)t;
	loop_at_end(&loop, &end2.task);
}

static void
readies(struct thing *t)
{
	(void)t;
	loop_soon(&loop, &ready.task);
	loop_soon(&loop, &ready.task);
}

Test(loop, a_turn_has_its_order)
{
	edge = (struct thing)THING("edge", readies);
	ready = (struct thing)THING("ready", ends);
	due = (struct thing)THING("due", ends);
	end = (struct thing)THING("end", ends_too);
	end2 = (struct thing)THING("end2", NULL);

	cr_assert_str_eq(turn(-1), "wait top");
	cr_assert_eq(world.waited_ms, -1);
	cr_assert_eq(world.asked_max, 256);

	timer_start(&loop.timers, &due.timer, loop.now, 3);
	event(&edge.source, SYS_READ | SYS_HANGUP);
	cr_assert_str_eq(turn(-1), "wait top edge ready end end2");
	cr_assert_eq(edge.events, SYS_READ | SYS_HANGUP);
	cr_assert_eq(world.waited_ms, 3);
	world_ns += 3000000;
	event(&edge.source, SYS_WRITE);
	world.now_reads = 0;
	cr_assert_str_eq(turn(-1), "wait top edge ready due end end2");
	cr_assert_eq(world.now_reads, 1, "the clock is read once a turn");
	cr_assert_eq(loop.now.ns, world_ns);
	cr_assert_str_eq(turn(-1), "wait top");

	loop.bottom = bottom;
	event(&edge.source, SYS_READ);
	cr_assert_str_eq(turn(-1), "wait top edge ready end end2 bottom");
	loop.top = NULL;
	cr_assert_str_eq(turn(0), "wait bottom");
	loop.bottom = NULL;
	cr_assert_str_eq(turn(0), "wait");
}

Test(loop, waits_no_longer_than_it_may)
{
	static const struct { int timer_ms, max_ms, wait_ms; } cases[] = {
		{ -1, -1, -1 }, { -1, 0, 0 }, { -1, 10, 10 },
		{ 5, -1, 5 }, { 5, 10, 5 }, { 5, 3, 3 }, { 5, 0, 0 },
	};
	struct thing late = THING("late", NULL), soon = THING("soon", NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].timer_ms >= 0)
			timer_start(&loop.timers, &late.timer, loop.now,
			    cases[i].timer_ms);
		turn(cases[i].max_ms);
		cr_assert_eq(world.waited_ms, cases[i].wait_ms,
		    "case %zu: %d", i, world.waited_ms);
		timer_stop(&loop.timers, &late.timer);
	}
	loop_soon(&loop, &soon.task);
	turn(-1);
	cr_assert_eq(world.waited_ms, 0, "a task was ready");
	turn(-1);
	cr_assert_eq(world.waited_ms, -1);
}

static void
again(struct thing *t)
{
	loop_soon(&loop, &t->task);
}

/* I5, and an end task that makes others ready. */
Test(loop, a_task_that_goes_on_takes_the_next_turn)
{
	struct thing a = THING("a", again);

	end = (struct thing)THING("end", readies);
	ready = (struct thing)THING("ready", NULL);
	loop_soon(&loop, &a.task);
	loop_at_end(&loop, &end.task);
	cr_assert_str_eq(turn(-1), "wait top a end");
	cr_assert_str_eq(turn(-1), "wait top a ready");
	cr_assert_eq(world.waited_ms, 0);
	cr_assert_str_eq(turn(-1), "wait top a");
	a.also = NULL;
	cr_assert_str_eq(turn(-1), "wait top a");
	cr_assert_str_eq(turn(-1), "wait top");
	cr_assert_eq(world.waited_ms, -1);
}

static void
cancels(struct thing *t)
{
	(void)t;
	loop_cancel(&loop, &other.task);
}

static void
wants_another(struct thing *t)
{
	(void)t;
	loop_again(&loop);
}

/* What a source got to know is for the next top: that comes without a wait,
 * and once. */
Test(loop, another_turn_for_the_asking)
{
	struct thing asks = THING("asks", wants_another);

	event(&asks.source, SYS_READ);
	cr_assert_str_eq(turn(-1), "wait top asks");
	cr_assert_eq(world.waited_ms, -1);
	cr_assert_str_eq(turn(-1), "wait top");
	cr_assert_eq(world.waited_ms, 0);
	turn(-1);
	cr_assert_eq(world.waited_ms, -1);
}

Test(loop, cancelled_tasks_do_not_run)
{
	struct thing a = THING("a", NULL), c = THING("c", cancels);
	struct thing z = THING("z", NULL);

	other = (struct thing)THING("other", NULL);
	loop_cancel(&loop, &other.task);
	/* Where it is: last, first, between, alone; by itself and by one. */
	loop_soon(&loop, &a.task);
	loop_soon(&loop, &other.task);
	loop_cancel(&loop, &other.task);
	loop_soon(&loop, &z.task);
	cr_assert_str_eq(turn(-1), "wait top a z");
	loop_soon(&loop, &other.task);
	loop_soon(&loop, &a.task);
	loop_cancel(&loop, &other.task);
	cr_assert_str_eq(turn(-1), "wait top a");
	loop_at_end(&loop, &other.task);
	loop_cancel(&loop, &other.task);
	loop_at_end(&loop, &z.task);
	loop_at_end(&loop, &other.task);
	loop_at_end(&loop, &a.task);
	loop_cancel(&loop, &other.task);
	cr_assert_str_eq(turn(-1), "wait top z a");
	loop_soon(&loop, &c.task);
	loop_soon(&loop, &other.task);
	cr_assert_str_eq(turn(-1), "wait top c");
	loop_soon(&loop, &c.task);
	loop_at_end(&loop, &other.task);
	cr_assert_str_eq(turn(-1), "wait top c");
	cr_assert_str_eq(turn(-1), "wait top");
	loop_soon(&loop, &other.task);
	cr_assert_str_eq(turn(-1), "wait top other");
}

/* ---- events */

static void
forgets(struct thing *t)
{
	(void)t;
	loop_forget(&loop, &other.source);
}

Test(loop, a_closed_source_is_not_called_again)
{
	struct thing a = THING("a", NULL), f = THING("f", forgets);

	other = (struct thing)THING("other", NULL);
	event(&other.source, SYS_READ);
	event(&f.source, SYS_READ);
	event(&other.source, SYS_WRITE);
	event(&a.source, SYS_READ);
	event(&other.source, SYS_HANGUP);
	cr_assert_str_eq(turn(-1), "wait top other f a");
	event(&other.source, SYS_READ);
	cr_assert_str_eq(turn(-1), "wait top other");
	loop_forget(&loop, &other.source);
}

Test(loop, interrupted_and_crowded)
{
	struct thing a = THING("a", NULL);
	int n = 0;

	world.n = -1;
	loop_soon(&loop, &a.task);
	cr_assert_str_eq(turn(-1), "wait top a", "a signal ends no turn");
	for (int i = 0; i < LOOP_EVENTS_MAX; i++)
		event(&a.source, SYS_READ);
	turn(-1);
	for (const char *at = trace; (at = strstr(at, " a")) != NULL; at++)
		n++;
	cr_assert_eq(n, 256);
}

static void
stops(struct thing *t)
{
	(void)t;
	loop.stop = true;
}

Test(loop, runs_until_it_is_stopped)
{
	struct thing s = THING("stop", stops);

	end = (struct thing)THING("end", NULL);
	timer_start(&loop.timers, &s.timer, loop.now, 2);
	loop_at_end(&loop, &end.task);
	world_ns += 2000000;
	loop_run(&loop);
	cr_assert_str_eq(trace, "wait top stop end");
}

/* ---- Linux */

struct end_of_pair {
	struct source	source;
	uint32_t	seen;
	int		calls;
};

static void
pair_ready(struct source *s, uint32_t events)
{
	struct end_of_pair *p = CONTAINER(s, struct end_of_pair, source);

	p->seen |= events;
	p->calls++;
}

static uint32_t
seen(struct loop *l, struct end_of_pair *p)
{
	p->seen = 0;
	p->calls = 0;
	loop_turn(l, 0);
	loop_turn(l, 0);
	return p->seen;
}

Test(sys, edges_come_once)
{
	struct sys *sys = sys_kernel_new();
	struct end_of_pair p = { .source = { pair_ready } };
	struct loop l;
	int fds[2];
	char bytes[10];

	cr_assert_not_null(sys);
	loop_init(&l, sys);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	cr_assert_eq(loop_watch(&l, fds[0], &p.source), 0);
	cr_assert_eq(seen(&l, &p), SYS_WRITE);
	cr_assert_eq(seen(&l, &p), 0);
	cr_assert_eq(write(fds[1], "abc", 3), 3);
	cr_assert_eq(seen(&l, &p) & SYS_READ, SYS_READ);
	cr_assert_eq(p.calls, 1);
	cr_assert_eq(seen(&l, &p), 0, "unread, and told once");
	cr_assert_eq(sys->recv(sys->ctx, fds[0], bytes, sizeof(bytes)), 3);
	cr_assert_eq(sys->recv(sys->ctx, fds[0], bytes, sizeof(bytes)), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(shutdown(fds[1], SHUT_WR), 0);
	cr_assert_eq(seen(&l, &p) & SYS_HANGUP, SYS_HANGUP);
	close(fds[1]);
	cr_assert_eq(sys->send(sys->ctx, fds[0], "x", 1), -1);
	cr_assert_eq(errno, EPIPE, "and no SIGPIPE");
	sys->close(sys->ctx, fds[0]);
	cr_assert_eq(fcntl(fds[0], F_GETFD), -1);
	cr_assert_eq(loop_watch(&l, fds[0], &p.source), -1);
	sys_kernel_free(sys);
}

/* A listening socket goes from worker to worker; here a copy of the descriptor
 * is whoever else has it. */
Test(sys, closed_here_and_open_elsewhere)
{
	struct sys *sys = sys_kernel_new();
	struct end_of_pair p = { .source = { pair_ready } };
	struct loop l;
	int fds[2], elsewhere;

	loop_init(&l, sys);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	for (int i = 0; i < 3; i++) {
		elsewhere = dup(fds[0]);
		cr_assert_eq(loop_watch(&l, fds[0], &p.source), 0, "watched "
		    "anew: %s", strerror(errno));
		cr_assert_neq(seen(&l, &p), 0);
		sys->close(sys->ctx, fds[0]);
		cr_assert_eq(write(fds[1], "abc", 3), 3);
		cr_assert_eq(seen(&l, &p), 0, "round %d", i);
		cr_assert_eq(dup2(elsewhere, fds[0]), fds[0]);
		close(elsewhere);
	}
	close(fds[0]);
	close(fds[1]);
	sys_kernel_free(sys);
}

static bool
is_no_delay(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on;
}

static void
is_private(int fd)
{
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Connects to an address of the family, and back: both ends as they should
 * be. listen_fd is bound. */
static void
meet(struct sys *sys, int listen_fd, bool tcp)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int to, from;

	cr_assert_eq(listen(listen_fd, 5), 0);
	cr_assert_eq(getsockname(listen_fd, (struct sockaddr *)&a, &len), 0);
	cr_assert_eq(sys->accept(sys->ctx, listen_fd), -1);
	cr_assert_eq(errno, EAGAIN);
	to = sys->connect(sys->ctx, (struct sockaddr *)&a, len);
	cr_assert_geq(to, 0, "%s", strerror(errno));
	from = sys->accept(sys->ctx, listen_fd);
	cr_assert_geq(from, 0, "%s", strerror(errno));
	cr_assert_eq(sys->connected(sys->ctx, to), 0);
	is_private(to);
	is_private(from);
	cr_assert_eq(is_no_delay(to), tcp);
	cr_assert_eq(is_no_delay(from), tcp);
	cr_assert_eq(sys->send(sys->ctx, to, "x", 1), 1);
	close(to);
	close(from);
}

static int
bind_new(const struct sockaddr *a, socklen_t len)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(bind(fd, a, len), 0, "%s", strerror(errno));
	return fd;
}

Test(sys, sockets_of_three_families)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sys *sys = sys_kernel_new();
	int fd = bind_new((struct sockaddr *)&v4, sizeof(v4)), again;
	socklen_t len = sizeof(v4);

	meet(sys, fd, true);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&v4, &len), 0);
	close(fd);

	/* Nobody listens there any more. */
	again = sys->connect(sys->ctx, (struct sockaddr *)&v4, len);
	if (again >= 0)
		cr_assert_eq(sys->connected(sys->ctx, again), ECONNREFUSED);
	else
		cr_assert_eq(errno, ECONNREFUSED);

	/* An abstract name, which the kernel finds. */
	fd = bind_new((struct sockaddr *)&un, sizeof(sa_family_t));
	meet(sys, fd, false);
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0)
		meet(sys, fd, true);	/* not every container has it */
	if (fd >= 0)
		close(fd);
	if (again >= 0)
		close(again);
	sys_kernel_free(sys);
}

Test(sys, memory_clock_and_chance)
{
	enum { BUCKETS = 16, DRAWS = 16000 };
	struct sys *a = sys_kernel_new(), *b = sys_kernel_new();
	int counts[BUCKETS] = { 0 };
	struct mono before = a->now(a->ctx);
	uint8_t *p;

	for (int round = 0; round < 3; round++) {
		p = a->alloc(a->ctx, 5000);
		for (int i = 0; i < 5000; i++)
			cr_assert_eq(p[i], 0);
		memset(p, 'x', 5000);
		a->free(a->ctx, p);
	}
	a->free(a->ctx, NULL);
	cr_assert_geq(a->now(a->ctx).ns, before.ns);
	cr_assert_neq(a->random(a->ctx), b->random(b->ctx), "one seed");
	for (int i = 0; i < DRAWS; i++)
		counts[a->random(a->ctx) % BUCKETS]++;
	for (int i = 0; i < BUCKETS; i++)
		cr_assert(counts[i] > 800 && counts[i] < 1200, "%d of %d in "
		    "bucket %d", counts[i], DRAWS, i);
	sys_kernel_free(a);
	sys_kernel_free(b);
}
