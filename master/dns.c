/*
 * master/dns.c - see dns.h. c-ares is written for loops that ask "is it
 * readable?"; ours tells edges once. So its sockets are ours (ares_socket_
 * functions): what recv and send returned says whether an edge is used up, and
 * drive() enters c-ares until it is.
 *
 *   dns ── sockets     what c-ares opened
 *    └──── lookups ─── watches
 *             └─────── ask     what c-ares calls back with; outlives its lookup
 */
#include "master/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shm/log.h"

enum {
	TIMEOUT_MS = 2000, TRIES = 3, WATCHDOG_MS = 60000, REFRESH_MS = 5000,
	TTL_S_MAX = 86400, ROUNDS_MAX = 64, WHY_BYTES = 128,
};

struct dns_socket {
	LIST_ENTRY(dns_socket) link;
	struct source	 source;
	struct dns	*dns;
	int		 fd;
	bool		 readable, writable;	/* an edge not yet used up */
	bool		 wants_write;	/* c-ares has something to send */
};

struct dns {
	struct loop	*loop;
	struct dns_settings settings;	/* without zeros; servers is ours */
	ares_channel	 channel;
	bool		 renew;		/* the channel: D4 */
	size_t		 asks_n;	/* c-ares will call back for, of a lookup */
	struct timer	 timer;		/* c-ares' next time-out */
	struct task	 again;		/* drive */
	LIST_HEAD(, dns_socket) sockets;
	LIST_HEAD(, lookup) lookups;
};

struct ask {
	struct dns	*dns;
	struct lookup	*lookup;	/* NULL: nobody wants it any more */
	bool		 second;	/* the other family: no more after it */
};

struct lookup {
	LIST_ENTRY(lookup) link;
	LIST_HEAD(, dns_watch) watches;
	struct dns	*dns;
	enum dns_family	 family;
	struct timer	 timer;		/* the next query, or the watchdog */
	struct ask	*ask;		/* NULL: none is out */
	struct block_address *addresses;
	size_t		 addresses_n;
	bool		 answered;
	uint32_t	 ttl_s, failures_n;
	int64_t		 stale_since_ms;
	uint64_t	 queries_n;
	char		 why[WHY_BYTES];
	char		 name[];
};

struct dns_watch {
	LIST_ENTRY(dns_watch) link;
	struct lookup	*lookup;
	struct dns_question question;	/* its name is the lookup's */
	struct task	 task;		/* calls answer */
};

static void drive(struct dns *d);

/* ---- c-ares' sockets */

static struct dns_socket *
socket_find(struct dns *d, int fd)
{
	struct dns_socket *s;

	LIST_FOREACH(s, &d->sockets, link)
		if (s->fd == fd)
			return s;
	return NULL;
}

static void
socket_ready(struct source *source, uint32_t events)
{
	struct dns_socket *s = CONTAINER(source, struct dns_socket, source);

	s->readable = s->readable || (events & (SYS_READ | SYS_HANGUP)) != 0;
	s->writable = s->writable || (events & (SYS_WRITE | SYS_HANGUP)) != 0;
	drive(s->dns);
}

static ares_socket_t
on_socket(int family, int type, int protocol, void *arg)
{
	struct dns *d = arg;
	struct dns_socket *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -1;
	s->fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (s->fd == -1) {
		free(s);
		return -1;
	}
	s->dns = d;
	s->source.ready = socket_ready;
	LIST_INSERT_HEAD(&d->sockets, s, link);
	return s->fd;
}

static int
on_close(ares_socket_t fd, void *arg)
{
	struct dns *d = arg;
	struct dns_socket *s = socket_find(d, fd);

	loop_forget(d->loop, &s->source);
	d->loop->sys->close(d->loop->sys->ctx, fd);
	LIST_REMOVE(s, link);
	free(s);
	return 0;
}

/* Watched from here on: a stream's socket that connects to nowhere yet hangs
 * up at once. */
static int
on_connect(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t to_len,
    void *arg)
{
	struct dns *d = arg;
	int rc = connect(fd, to, to_len);

	if (rc == -1 && errno != EINPROGRESS)
		return -1;
	if (loop_watch(d->loop, fd, &socket_find(d, fd)->source) == -1)
		return -1;
	errno = EINPROGRESS;
	return rc;
}

static ares_ssize_t
on_recv(ares_socket_t fd, void *p, size_t n, int flags, struct sockaddr *from,
    ares_socklen_t *from_len, void *arg)
{
	ssize_t got = recvfrom(fd, p, n, flags, from, from_len);

	socket_find(arg, fd)->readable = got > 0;
	return got;
}

static ares_ssize_t
on_send(ares_socket_t fd, const struct iovec *v, int v_n, void *arg)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v,
		.msg_iovlen = (size_t)v_n };
	ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);

	if (sent == -1)
		socket_find(arg, fd)->writable = false;
	return sent;
}

static const struct ares_socket_functions functions = {
	on_socket, on_close, on_connect, on_recv, on_send,
};

static void
on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_socket *s = socket_find(arg, fd);

	(void)readable;
	if (s != NULL)
		s->wants_write = writable != 0;
}

/* ---- entering c-ares */

static void
timer_arm(struct dns *d)
{
	struct timeval tv;

	if (ares_timeout(d->channel, NULL, &tv) == NULL)
		timer_stop(&d->loop->timers, &d->timer);
	else
		timer_start(&d->loop->timers, &d->timer, d->loop->now,
		    tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
}

/* One with something to do; c-ares may close any while it does. */
static struct dns_socket *
socket_next(struct dns *d)
{
	struct dns_socket *s;

	LIST_FOREACH(s, &d->sockets, link)
		if (s->readable || (s->writable && s->wants_write))
			return s;
	return NULL;
}

/* Until no edge is left, or the others have waited enough. */
static void
drive(struct dns *d)
{
	struct dns_socket *s = NULL;
	bool reads, writes;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		s = socket_next(d);
		if (s == NULL)
			break;
		reads = s->readable;
		writes = s->writable && s->wants_write;
		s->readable = false;	/* on_recv: there may be more */
		ares_process_fd(d->channel, reads ? s->fd : ARES_SOCKET_BAD,
		    writes ? s->fd : ARES_SOCKET_BAD);
	}
	if (s != NULL)
		loop_soon(d->loop, &d->again);
	timer_arm(d);
}

static void
again_run(struct task *t)
{
	drive(CONTAINER(t, struct dns, again));
}

static void
timer_fire(struct timer *t)
{
	struct dns *d = CONTAINER(t, struct dns, timer);

	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	drive(d);
}

/* ---- the channel */

static int
channel_open(struct dns *d)
{
	struct ares_options o = {
		.flags = d->settings.no_search ? ARES_FLAG_NOSEARCH : 0,
		.timeout = (int)d->settings.timeout_ms,
		.tries = (int)d->settings.tries,
		.sock_state_cb = on_state, .sock_state_cb_data = d };
	int rc = ares_init_options(&d->channel, &o, ARES_OPT_FLAGS |
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);

	if (rc != ARES_SUCCESS)
		return rc;
	ares_set_socket_functions(d->channel, &functions, d);
	if (d->settings.servers == NULL)
		return ARES_SUCCESS;
	rc = ares_set_servers_ports_csv(d->channel, d->settings.servers);
	if (rc != ARES_SUCCESS)
		ares_destroy(d->channel);
	return rc;
}

/* D4. What c-ares still has of the old one nobody waits for. */
static void
channel_renew(struct dns *d)
{
	ares_channel old = d->channel;

	if (!d->renew || d->asks_n > 0)
		return;
	d->renew = false;
	if (channel_open(d) == ARES_SUCCESS)
		ares_destroy(old);
	else
		d->channel = old;
}

/* ---- answers */

static void
tell(struct lookup *l)
{
	struct dns_watch *w;

	LIST_FOREACH(w, &l->watches, link)
		loop_soon(l->dns->loop, &w->task);
}

static bool
among(const struct block_address *all, size_t n, const struct block_address *a)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&all[i], a, sizeof(*a)) == 0)
			return true;
	return false;
}

/* D3. Neither has an address twice. */
static bool
same(const struct lookup *l, const struct block_address *a, size_t n)
{
	if (n != l->addresses_n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!among(l->addresses, n, &a[i]))
			return false;
	return true;
}

static bool
address_of(const struct sockaddr *from, struct block_address *a)
{
	memset(a, 0, sizeof(*a));
	a->family = from->sa_family;
	if (from->sa_family == AF_INET)
		memcpy(a->bytes, &((const struct sockaddr_in *)(const void *)
		    from)->sin_addr, 4);
	else if (from->sa_family == AF_INET6)
		memcpy(a->bytes, &((const struct sockaddr_in6 *)(const void *)
		    from)->sin6_addr, 16);
	else
		return false;
	return true;
}

/* The answer's addresses, malloced, none twice. NULL: none, or no memory. */
static struct block_address *
addresses_of(const struct ares_addrinfo *info, size_t *n)
{
	struct block_address *all;
	size_t most = 0;

	*n = 0;
	for (struct ares_addrinfo_node *a = info->nodes; a; a = a->ai_next)
		most++;
	all = most == 0 ? NULL : malloc(most * sizeof(*all));
	if (all == NULL)
		return NULL;
	for (struct ares_addrinfo_node *a = info->nodes; a; a = a->ai_next)
		if (address_of(a->ai_addr, &all[*n]) &&
		    !among(all, *n, &all[*n]))
			++*n;
	return all;
}

static uint32_t
ttl_least(const struct ares_addrinfo *info)
{
	int least = TTL_S_MAX;

	for (struct ares_addrinfo_node *a = info->nodes; a; a = a->ai_next)
		if (a->ai_ttl < least)
			least = a->ai_ttl;
	for (struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
		if (c->ttl < least)
			least = c->ttl;
	return least < 0 ? 0 : (uint32_t)least;
}

static void
answered(struct lookup *l, struct block_address *addresses, size_t n)
{
	bool changed = !l->answered || !same(l, addresses, n);

	l->answered = true;
	l->failures_n = 0;
	l->stale_since_ms = 0;
	l->why[0] = '\0';
	if (!changed) {
		free(addresses);
		return;
	}
	free(l->addresses);
	l->addresses = addresses;
	l->addresses_n = n;
	tell(l);
}

/* D2. */
static void
failed(struct lookup *l, const char *what)
{
	bool first = !l->answered;

	l->answered = true;
	l->failures_n++;
	if (l->stale_since_ms == 0)
		l->stale_since_ms = l->dns->loop->now.ns / 1000000;
	why_set(l->why, sizeof(l->why), "%s", what);
	if (first)
		tell(l);
}

/* ---- when the next query is */

/* Half of it at least, so that many of one cause don't come at once. */
static int64_t
back_off_ms(const struct dns_watch *w)
{
	const struct dns_question *q = &w->question;
	struct sys *sys = w->lookup->dns->loop->sys;
	int64_t ms = q->failure_base_ms;

	if (ms == 0)
		return q->refresh_ms;
	for (uint32_t i = 1; i < w->lookup->failures_n &&
	    ms < q->failure_max_ms; i++)
		ms *= 2;
	if (ms > q->failure_max_ms && q->failure_max_ms > 0)
		ms = q->failure_max_ms;
	return ms - (int64_t)(sys->random(sys->ctx) %
	    (uint64_t)(ms / 2 + 1));
}

static int64_t
pause_ms(const struct dns_watch *w)
{
	if (w->lookup->failures_n > 0)
		return back_off_ms(w);
	if (w->question.respect_ttl && w->lookup->ttl_s > 0)
		return (int64_t)w->lookup->ttl_s * 1000;
	return w->question.refresh_ms;
}

/* The most impatient of them. */
static void
next_start(struct lookup *l)
{
	struct dns *d = l->dns;
	struct dns_watch *w;
	int64_t ms, least = INT64_MAX;

	LIST_FOREACH(w, &l->watches, link) {
		ms = pause_ms(w);
		if (ms < least)
			least = ms;
	}
	timer_start(&d->loop->timers, &l->timer, d->loop->now, least);
}

/* ---- asking */

static int
family_of(enum dns_family f, bool second)
{
	switch (f) {
	case DNS_AUTO:
		return second ? AF_INET : AF_INET6;
	case DNS_V4_PREFERRED:
		return second ? AF_INET6 : AF_INET;
	case DNS_V4_ONLY:
		return AF_INET;
	case DNS_V6_ONLY:
		return AF_INET6;
	case DNS_ALL:
		break;
	}
	return AF_UNSPEC;
}

static void	on_answer(void *arg, int status, int timeouts,
		    struct ares_addrinfo *info);

/* c-ares may call back at once: what is in /etc/hosts. */
static void
query(struct lookup *l, bool second)
{
	struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
		.ai_family = family_of(l->family, second),
		.ai_socktype = SOCK_STREAM };
	struct ask *a = malloc(sizeof(*a));

	if (a == NULL) {
		failed(l, "no memory");
		next_start(l);
		return;
	}
	*a = (struct ask){ l->dns, l, second };
	l->ask = a;
	l->queries_n++;
	l->dns->asks_n++;
	ares_getaddrinfo(l->dns->channel, l->name, NULL, &hints, on_answer, a);
}

/* For a server's SERVFAIL or REFUSED c-ares asks the next, and says of the
 * last what it says when nobody is there. */
static const char *
status_text(int status)
{
	if (status == ARES_SUCCESS)
		return "it has no addresses";
	if (status == ARES_ECONNREFUSED)
		return "no server of names is there, or none that could say "
		    "(SERVFAIL, REFUSED)";
	return ares_strerror(status);
}

static void
take(struct lookup *l, int status, const struct ares_addrinfo *info,
    bool second)
{
	size_t n = 0;
	struct block_address *all = status == ARES_SUCCESS && info != NULL ?
	    addresses_of(info, &n) : NULL;
	bool two = l->family == DNS_AUTO || l->family == DNS_V4_PREFERRED;

	if (status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED)
		l->dns->renew = true;
	if (n > 0) {
		l->ttl_s = ttl_least(info);
		answered(l, all, n);
	} else if (two && !second) {
		free(all);
		query(l, true);
		return;
	} else {
		free(all);
		failed(l, status_text(status));
	}
	next_start(l);
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct ask *a = arg;
	struct lookup *l = a->lookup;

	(void)timeouts;
	if (l != NULL) {
		a->dns->asks_n--;
		l->ask = NULL;
		take(l, status, info, a->second);
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	free(a);
}

/* Nobody waits for what is out any more. */
static void
ask_drop(struct lookup *l)
{
	if (l->ask == NULL)
		return;
	l->ask->lookup = NULL;
	l->ask = NULL;
	l->dns->asks_n--;
}

static void
begin(struct lookup *l)
{
	struct dns *d = l->dns;

	channel_renew(d);
	timer_start(&d->loop->timers, &l->timer, d->loop->now,
	    d->settings.watchdog_ms);
	query(l, false);
	drive(d);
}

static void
lookup_fire(struct timer *t)
{
	struct lookup *l = CONTAINER(t, struct lookup, timer);

	if (l->ask == NULL) {
		begin(l);
		return;
	}
	ask_drop(l);
	l->dns->renew = true;
	failed(l, "no answer, and no time-out");
	next_start(l);
}

/* ---- lookups */

/* An address answers itself, for good. */
static bool
numeric(struct lookup *l)
{
	struct block_address a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, l->name, a.bytes) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, l->name, a.bytes) == 1)
		a.family = AF_INET6;
	else
		return false;
	l->addresses = malloc(sizeof(a));
	if (l->addresses == NULL)
		return false;
	memcpy(l->addresses, &a, sizeof(a));
	l->addresses_n = 1;
	l->answered = true;
	return true;
}

static struct lookup *
lookup_find(struct dns *d, const char *name, enum dns_family family)
{
	struct lookup *l;

	LIST_FOREACH(l, &d->lookups, link)
		if (l->family == family && strcmp(l->name, name) == 0)
			return l;
	return NULL;
}

static struct lookup *
lookup_new(struct dns *d, const char *name, enum dns_family family)
{
	size_t n = strlen(name) + 1;
	struct lookup *l = calloc(1, sizeof(*l) + n);

	if (l == NULL)
		return NULL;
	memcpy(l->name, name, n);
	l->dns = d;
	l->family = family;
	l->timer.fire = lookup_fire;
	LIST_INIT(&l->watches);
	LIST_INSERT_HEAD(&d->lookups, l, link);
	return l;
}

static void
lookup_free(struct lookup *l)
{
	ask_drop(l);
	timer_stop(&l->dns->loop->timers, &l->timer);
	LIST_REMOVE(l, link);
	free(l->addresses);
	free(l);
}

/* ---- watches */

static void
watch_run(struct task *t)
{
	struct dns_watch *w = CONTAINER(t, struct dns_watch, task);

	w->question.answer(w->question.arg, w);
}

struct dns_watch *
dns_watch_new(struct dns *d, const struct dns_question *q)
{
	struct lookup *l = lookup_find(d, q->name, q->family);
	struct dns_watch *w = calloc(1, sizeof(*w));
	bool is_new = l == NULL;

	if (is_new && w != NULL)
		l = lookup_new(d, q->name, q->family);
	if (l == NULL || w == NULL) {
		free(w);
		return NULL;
	}
	w->lookup = l;
	w->question = *q;
	w->question.name = l->name;
	if (w->question.refresh_ms == 0)
		w->question.refresh_ms = REFRESH_MS;
	w->task.run = watch_run;
	LIST_INSERT_HEAD(&l->watches, w, link);
	if (is_new && !numeric(l))
		begin(l);
	else if (l->answered)
		loop_soon(d->loop, &w->task);
	return w;
}

void
dns_watch_free(struct dns_watch *w)
{
	struct lookup *l;

	if (w == NULL)
		return;
	l = w->lookup;
	loop_cancel(l->dns->loop, &w->task);
	LIST_REMOVE(w, link);
	free(w);
	if (LIST_EMPTY(&l->watches))
		lookup_free(l);
}

void
dns_status(const struct dns_watch *w, struct dns_status *s)
{
	const struct lookup *l = w->lookup;

	*s = (struct dns_status){ l->addresses, l->addresses_n, l->answered,
		l->stale_since_ms, l->why, l->ttl_s, l->queries_n };
}

/* ---- life */

static uint32_t
or_usual(uint32_t given, uint32_t usual)
{
	return given != 0 ? given : usual;
}

/* False: no memory. */
static bool
settings_copy(struct dns *d, const struct dns_settings *s)
{
	d->settings = *s;
	d->settings.timeout_ms = or_usual(s->timeout_ms, TIMEOUT_MS);
	d->settings.tries = or_usual(s->tries, TRIES);
	d->settings.watchdog_ms = or_usual(s->watchdog_ms, WATCHDOG_MS);
	d->settings.servers = s->servers == NULL ? NULL : strdup(s->servers);
	return s->servers == NULL || d->settings.servers != NULL;
}

static void
dns_free(struct dns *d)
{
	free((char *)(uintptr_t)d->settings.servers);
	free(d);
}

struct dns *
dns_open(struct loop *l, const struct dns_settings *s, char *why,
    size_t why_len)
{
	struct dns *d = calloc(1, sizeof(*d));
	int rc = ARES_ENOMEM;

	if (d != NULL && settings_copy(d, s)) {
		d->loop = l;
		d->timer.fire = timer_fire;
		d->again.run = again_run;
		LIST_INIT(&d->sockets);
		LIST_INIT(&d->lookups);
		rc = ares_library_init(ARES_LIB_INIT_ALL);
		if (rc == ARES_SUCCESS)
			rc = channel_open(d);
		if (rc == ARES_SUCCESS)
			return d;
		ares_library_cleanup();
	}
	why_set(why, why_len, "names can't be resolved: %s",
	    ares_strerror(rc));
	if (d != NULL)
		dns_free(d);
	return NULL;
}

void
dns_close(struct dns *d)
{
	if (d == NULL)
		return;
	ares_destroy(d->channel);
	ares_library_cleanup();
	timer_stop(&d->loop->timers, &d->timer);
	loop_cancel(d->loop, &d->again);
	dns_free(d);
}
