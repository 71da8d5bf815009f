/*
 * t/unit/dns.c - master/dns.h against a server of names that is part of the
 * test: UDP and TCP, in the same loop, one zone that the test rewrites.
 */
#include "master/dns.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "t/lib/unit_process.h"

enum {
	ZONE_MAX = 8, MESSAGE_MAX = 60000, TURNS_MAX = 4000, TURN_MS = 50,
	TEXT_BYTES = 256, A = 1, CNAME = 5, AAAA = 28, NXDOMAIN = 3,
	SERVFAIL = 2, QUICK_MS = 5, MANY = 500,
};

/* ---- the server */

struct zone {
	const char	*name;
	const char	*a, *aaaa;	/* "192.0.2.1 192.0.2.2"; NULL: none */
	uint32_t	 ttl_s;
	int		 rcode;
	bool		 silent, cut;	/* cut: UDP says to come by TCP */
	uint32_t	 cname_ttl_s;	/* not 0: by way of another name */
	int		 more;		/* as many A more, 10.x.x.x */
	int		 a_n, aaaa_n;	/* asked for */
};

static struct loop loop;
static struct dns *dns;
static struct zone zone[ZONE_MAX];
static int everyone;		/* answered for names not in the zone */
static char why[256], servers[32];

static struct {
	struct source	 udp, listener, tcp;
	int		 udp_fd, listen_fd, tcp_fd, tcp_n;
	int		 port, ports_n;	/* of who asks: how often another */
} server;

static uint8_t *
put(uint8_t *to, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		*to++ = (uint8_t)(value >> 8 * bytes);
	return to;
}

static uint8_t *
record(uint8_t *to, int owner, int type, uint32_t ttl_s, const void *p,
    size_t n, uint8_t *count)
{
	count[1]++;
	if (count[1] == 0)
		count[0]++;
	to = put(put(put(put(put(to, 0xc000u | (uint32_t)owner, 2),
	    (uint32_t)type, 2), 1, 2), ttl_s, 4), (uint32_t)n, 2);
	memcpy(to, p, n);
	return to + n;
}

static uint8_t *
records(uint8_t *to, int owner, int type, const struct zone *z,
    uint8_t *count)
{
	const char *all = type == A ? z->a : z->aaaa;
	char text[TEXT_BYTES], *save, *one;
	uint8_t bytes[16];

	snprintf(text, sizeof(text), "%s", all == NULL ? "" : all);
	for (one = strtok_r(text, " ", &save); one != NULL;
	    one = strtok_r(NULL, " ", &save)) {
		inet_pton(type == A ? AF_INET : AF_INET6, one, bytes);
		to = record(to, owner, type, z->ttl_s, bytes, type == A ? 4 :
		    16, count);
	}
	for (int i = 0; type == A && i < z->more; i++) {
		put(bytes, 0x0a000000u + (uint32_t)i, 4);
		to = record(to, owner, type, z->ttl_s, bytes, 4, count);
	}
	return to;
}

/* The name of a question as text; returns where its type stands. */
static size_t
question(const uint8_t *q, size_t n, char name[TEXT_BYTES])
{
	size_t at = 12, len = 0;

	while (at < n && q[at] != 0) {
		memcpy(name + len, q + at + 1, q[at]);
		len += q[at];
		name[len++] = '.';
		at += q[at] + 1u;
	}
	name[len > 0 ? len - 1 : 0] = '\0';
	return at + 1;
}

static struct zone *
zone_find(const char *name)
{
	static struct zone any = { "", "192.0.2.99", NULL, 60 };

	for (int i = 0; i < ZONE_MAX; i++)
		if (zone[i].name != NULL && strcmp(zone[i].name, name) == 0)
			return &zone[i];
	everyone++;
	return &any;
}

/* What is said to a question; 0: nothing. */
static size_t
reply(const uint8_t *q, size_t n, bool tcp, uint8_t *to)
{
	char name[TEXT_BYTES];
	size_t type_at = question(q, n, name);
	int type = q[type_at + 1], owner = 12;
	struct zone *z = zone_find(name);
	uint8_t *p = to + type_at + 4;

	z->a_n += type == A;
	z->aaaa_n += type == AAAA;
	if (z->silent)
		return 0;
	memcpy(to, q, type_at + 4);
	put(to + 2, 0x8180u | (uint32_t)z->rcode | (z->cut && !tcp ? 0x0200 :
	    0), 2);
	put(to + 6, 0, 6);
	if (z->rcode != 0 || (z->cut && !tcp))
		return (size_t)(p - to);
	if (z->cname_ttl_s > 0) {
		p = record(p, owner, CNAME, z->cname_ttl_s, "\1x\300\14", 4,
		    to + 6);
		owner = (int)(p - to) - 4;
	}
	return (size_t)(records(p, owner, type, z, to + 6) - to);
}

static void
udp_ready(struct source *s, uint32_t events)
{
	static uint8_t q[512], to[MESSAGE_MAX];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n;
	size_t len;

	(void)s, (void)events;
	while ((n = recvfrom(server.udp_fd, q, sizeof(q), 0,
	    (struct sockaddr *)&from, &from_len)) > 0) {
		server.ports_n += from.sin_port != server.port;
		server.port = from.sin_port;
		len = reply(q, (size_t)n, false, to);
		if (len > 0)
			sendto(server.udp_fd, to, len, 0,
			    (struct sockaddr *)&from, from_len);
		from_len = sizeof(from);
	}
}

/* One question at a time; its answer in bits, so that it comes in many. */
static void
tcp_ready(struct source *s, uint32_t events)
{
	static uint8_t q[512], to[2 + MESSAGE_MAX];
	ssize_t n = recv(server.tcp_fd, q, sizeof(q), MSG_DONTWAIT);
	size_t len, at, bit;

	(void)s, (void)events;
	if (n <= 2)
		return;
	server.tcp_n++;
	len = reply(q + 2, (size_t)n - 2, true, to + 2);
	put(to, (uint32_t)len, 2);
	for (at = 0; at < len + 2; at += bit) {
		bit = len + 2 - at < 700 ? len + 2 - at : 700;
		cr_assert_eq(send(server.tcp_fd, to + at, bit, MSG_NOSIGNAL),
		    (ssize_t)bit);
	}
}

static void
listener_ready(struct source *s, uint32_t events)
{
	(void)s, (void)events;
	if (server.tcp_fd != -1)
		loop.sys->close(loop.sys->ctx, server.tcp_fd);
	server.tcp_fd = loop.sys->accept(loop.sys->ctx, server.listen_fd);
	if (server.tcp_fd != -1)
		loop_watch(&loop, server.tcp_fd, &server.tcp);
}

/* Both kinds on one port, which is free. */
static void
server_bind(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	for (int i = 0; i < 50; i++) {
		server.udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		server.listen_fd = socket(AF_INET, SOCK_STREAM |
		    SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		at.sin_port = 0;
		bind(server.udp_fd, (struct sockaddr *)&at, sizeof(at));
		getsockname(server.udp_fd, (struct sockaddr *)&at, &len);
		if (bind(server.listen_fd, (struct sockaddr *)&at,
		    sizeof(at)) == 0 && listen(server.listen_fd, 8) == 0)
			break;
		close(server.udp_fd);
		close(server.listen_fd);
	}
	snprintf(servers, sizeof(servers), "127.0.0.1:%d",
	    ntohs(at.sin_port));
}

static void
start_with(struct dns_settings s)
{
	loop_init(&loop, sys_kernel_new());
	server.udp.ready = udp_ready;
	server.listener.ready = listener_ready;
	server.tcp.ready = tcp_ready;
	server.tcp_fd = -1;
	server_bind();
	cr_assert_eq(loop_watch(&loop, server.udp_fd, &server.udp), 0);
	cr_assert_eq(loop_watch(&loop, server.listen_fd, &server.listener),
	    0);
	s.servers = servers;
	s.no_search = true;
	dns = dns_open(&loop, &s, why, sizeof(why));
	cr_assert_not_null(dns, "%s", why);
}

static void
start(void)
{
	start_with((struct dns_settings){ .timeout_ms = 2000 });
}

static void
end(void)
{
	dns_close(dns);
	if (server.tcp_fd != -1)
		close(server.tcp_fd);
	close(server.udp_fd);
	close(server.listen_fd);
	sys_kernel_free(loop.sys);
}

/* ---- watching */

struct seen {
	struct dns_watch *watch;
	int		 n;		/* answers */
	struct dns_status status;
	char		 text[TEXT_BYTES];
};

static const char *
addresses_text(const struct dns_status *s, char text[TEXT_BYTES])
{
	char one[INET6_ADDRSTRLEN];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->addresses_n && n < TEXT_BYTES - 64; i++) {
		cr_assert_eq(s->addresses[i].port, 0);
		n += (size_t)sprintf(text + n, "%s%s", i == 0 ? "" : " ",
		    inet_ntop(s->addresses[i].family, s->addresses[i].bytes,
		    one, sizeof(one)));
	}
	return text;
}

static void
look(struct seen *s)
{
	dns_status(s->watch, &s->status);
	addresses_text(&s->status, s->text);
}

static void
on_answer(void *arg, struct dns_watch *w)
{
	struct seen *s = arg;

	cr_assert_eq(s->watch, w);
	s->n++;
	look(s);
}

static struct dns_question
quick(const char *name, enum dns_family family, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	return (struct dns_question){ name, family, QUICK_MS, false, 0, 0,
		on_answer, s };
}

static void
watch(struct seen *s, struct dns_question q)
{
	s->watch = dns_watch_new(dns, &q);
	cr_assert_not_null(s->watch);
	cr_assert_eq(s->n, 0, "answered from within");
}

#define UNTIL(fact) do { \
	for (int turn = 0; turn < TURNS_MAX && !(fact); turn++) \
		loop_turn(&loop, TURN_MS); \
	cr_assert(fact, "never: %s", #fact); \
} while (0)

/* As many more queries of it have begun. */
static void
until_asked(struct seen *s, uint64_t more)
{
	uint64_t from;

	look(s);
	from = s->status.queries_n;
	UNTIL((look(s), s->status.queries_n >= from + more));
}

/* ---- families */

static const struct family_row {
	const char	*what;
	enum dns_family	 family;
	const char	*a, *aaaa, *want;
	int		 a_n, aaaa_n;	/* asked for */
} families[] = {
	{ "auto, both", DNS_AUTO, "192.0.2.1", "2001:db8::1", "2001:db8::1",
	  0, 1 },
	{ "auto, v4", DNS_AUTO, "192.0.2.1 192.0.2.2", NULL,
	  "192.0.2.1 192.0.2.2", 1, 1 },
	{ "auto, none", DNS_AUTO, NULL, NULL, "", 1, 1 },
	{ "v4 only", DNS_V4_ONLY, "192.0.2.1", "2001:db8::1", "192.0.2.1", 1,
	  0 },
	{ "v4 only, v6", DNS_V4_ONLY, NULL, "2001:db8::1", "", 1, 0 },
	{ "v6 only", DNS_V6_ONLY, "192.0.2.1", "2001:db8::1", "2001:db8::1",
	  0, 1 },
	{ "v4 preferred", DNS_V4_PREFERRED, "192.0.2.1", "2001:db8::1",
	  "192.0.2.1", 1, 0 },
	{ "v4 preferred, v6", DNS_V4_PREFERRED, NULL, "2001:db8::1",
	  "2001:db8::1", 1, 1 },
	{ "all, v4", DNS_ALL, "192.0.2.1", NULL, "192.0.2.1", 1, 1 },
	{ "twice the same", DNS_V4_ONLY, "192.0.2.1 192.0.2.1", NULL,
	  "192.0.2.1", 1, 0 },
};

Test(dns, families, .timeout = 60)
{
	const struct family_row *f;
	struct dns_question q;
	struct seen s;

	start();
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		f = &families[i];
		zone[0] = (struct zone){ "a.test", f->a, f->aaaa, 60 };
		q = quick("a.test", f->family, &s);
		q.refresh_ms = 60000;
		watch(&s, q);
		UNTIL(s.n == 1);
		cr_assert_str_eq(s.text, f->want, "%s: %s", f->what, s.text);
		cr_assert_eq(zone[0].a_n, f->a_n, "%s", f->what);
		cr_assert_eq(zone[0].aaaa_n, f->aaaa_n, "%s", f->what);
		cr_assert_eq(s.status.stale_since_ms != 0, f->want[0] == '\0');
		dns_watch_free(s.watch);
	}
	end();
}

Test(dns, all_has_both, .timeout = 60)
{
	struct seen s;

	start();
	zone[0] = (struct zone){ "a.test", "192.0.2.1", "2001:db8::1", 60 };
	watch(&s, quick("a.test", DNS_ALL, &s));
	UNTIL(s.n == 1);
	cr_assert_eq(s.status.addresses_n, 2, "%s", s.text);
	cr_assert(strstr(s.text, "192.0.2.1") && strstr(s.text,
	    "2001:db8::1"), "%s", s.text);
	dns_watch_free(s.watch);
	end();
}

/* ---- failures */

static const struct failure {
	const char	*what;
	struct zone	 zone;
	const char	*why;
} failures[] = {
	{ "NXDOMAIN", { "a.test", .rcode = NXDOMAIN }, "not found" },
	{ "SERVFAIL", { "a.test", .rcode = SERVFAIL }, "SERVFAIL" },
	{ "silence", { "a.test", .silent = true }, "Timeout" },
	{ "no address", { "a.test", .aaaa = "2001:db8::1" }, "no data" },
};

static const struct zone good = { "a.test", "192.0.2.1", NULL, 60 };
static const struct dns_settings impatient = { .timeout_ms = 30, .tries = 1 };

Test(dns, a_failure_then_an_answer, .timeout = 60)
{
	struct seen s;

	start_with(impatient);
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const char *what = failures[i].what;

		zone[0] = failures[i].zone;
		watch(&s, quick("a.test", DNS_V4_ONLY, &s));
		UNTIL(s.n == 1);
		cr_assert_str_eq(s.text, "", "%s", what);
		cr_assert(s.status.answered && s.status.stale_since_ms > 0,
		    "%s", what);
		cr_assert_not_null(strcasestr(s.status.why, failures[i].why),
		    "%s: %s", what, s.status.why);
		until_asked(&s, 2);
		cr_assert_eq(s.n, 1, "%s: told again", what);
		zone[0] = good;
		UNTIL(s.n == 2);
		cr_assert_str_eq(s.text, good.a, "%s", what);
		cr_assert_eq(s.status.stale_since_ms, 0, "%s", what);
		cr_assert_str_eq(s.status.why, "", "%s", what);
		dns_watch_free(s.watch);
	}
	end();
}

Test(dns, what_was_good_stays, .timeout = 60)
{
	struct seen s;

	start_with(impatient);
	zone[0] = good;
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	UNTIL(s.n == 1);
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const char *what = failures[i].what;
		int64_t since;

		zone[0] = failures[i].zone;
		UNTIL((look(&s), s.status.stale_since_ms > 0));
		since = s.status.stale_since_ms;
		until_asked(&s, 3);
		cr_assert_str_eq(s.text, good.a, "%s", what);
		cr_assert_not_null(strcasestr(s.status.why, failures[i].why),
		    "%s: %s", what, s.status.why);
		cr_assert_eq(s.status.stale_since_ms, since, "%s", what);
		zone[0] = good;
		UNTIL((look(&s), s.status.stale_since_ms == 0));
		cr_assert_eq(s.n, 1, "%s: told", what);
	}
	dns_watch_free(s.watch);
	end();
}

/* Nobody at that port; then somebody. */
Test(dns, nobody_there, .timeout = 60)
{
	struct seen s;

	start_with(impatient);
	loop_forget(&loop, &server.udp);
	loop.sys->close(loop.sys->ctx, server.udp_fd);
	server.udp_fd = -1;
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	UNTIL(s.n == 1);
	cr_assert_not_null(strstr(s.status.why, "no server of names"), "%s",
	    s.status.why);
	until_asked(&s, 3);
	dns_watch_free(s.watch);
	end();
}

/* Back-off: the pauses grow from base to max. */
Test(dns, failures_are_paced, .timeout = 60)
{
	struct dns_question q, at_once;
	struct seen s, other;

	start();
	zone[0] = (struct zone){ "a.test", .rcode = NXDOMAIN };
	zone[1] = (struct zone){ "b.test", .rcode = NXDOMAIN };
	q = quick("a.test", DNS_V4_ONLY, &s);
	q.failure_base_ms = 10;
	q.failure_max_ms = 60000;
	watch(&s, q);
	at_once = quick("b.test", DNS_V4_ONLY, &other);
	watch(&other, at_once);
	until_asked(&other, 60);	/* some 300 ms: at most 5, 10, 20 ... */
	look(&s);
	cr_assert(s.status.queries_n >= 3 && s.status.queries_n < 20, "%llu",
	    (unsigned long long)s.status.queries_n);
	dns_watch_free(s.watch);
	dns_watch_free(other.watch);
	end();
}

/* ---- changes */

Test(dns, a_change_is_told_another_order_is_not, .timeout = 60)
{
	struct seen s;

	start();
	zone[0] = (struct zone){ "a.test", "192.0.2.1 192.0.2.2", NULL, 0 };
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	UNTIL(s.n == 1);
	zone[0].a = "192.0.2.2 192.0.2.1";
	until_asked(&s, 3);
	cr_assert_eq(s.n, 1);
	zone[0].a = "192.0.2.2 192.0.2.3";
	UNTIL(s.n == 2);
	cr_assert_str_eq(s.text, "192.0.2.2 192.0.2.3");
	zone[0].a = "192.0.2.2";
	UNTIL(s.n == 3);
	cr_assert_str_eq(s.text, "192.0.2.2");
	until_asked(&s, 3);
	cr_assert_eq(s.n, 3);
	dns_watch_free(s.watch);
	end();
}

Test(dns, ttls_are_honoured_when_asked, .timeout = 60)
{
	struct dns_question q;
	struct seen s, zero, usual;

	start();
	zone[0] = (struct zone){ "a.test", "192.0.2.1", NULL, 3600,
		.cname_ttl_s = 30 };
	zone[1] = (struct zone){ "b.test", "192.0.2.1", NULL, 0 };
	zone[2] = (struct zone){ "c.test", "192.0.2.1", NULL, 3600 };
	q = quick("a.test", DNS_V4_ONLY, &s);
	q.respect_ttl = true;
	watch(&s, q);
	q = quick("b.test", DNS_V4_ONLY, &zero);
	q.respect_ttl = true;
	q.refresh_ms = 60000;		/* which a TTL of 0 is paced by */
	watch(&zero, q);
	watch(&usual, quick("c.test", DNS_V4_ONLY, &usual));
	UNTIL(s.n == 1 && zero.n == 1);
	until_asked(&usual, 5);
	look(&s);
	look(&zero);
	cr_assert_eq(s.status.queries_n, 1);
	cr_assert_eq(zero.status.queries_n, 1);
	cr_assert_eq(s.status.ttl_s, 30, "%u", (unsigned)s.status.ttl_s);
	cr_assert_eq(usual.status.ttl_s, 3600);
	dns_watch_free(s.watch);
	dns_watch_free(zero.watch);
	dns_watch_free(usual.watch);
	end();
}

/* ---- without a server */

static const struct { const char *name, *want; } no_query[] = {
	{ "192.0.2.7", "192.0.2.7" }, { "2001:db8::7", "2001:db8::7" },
	{ "localhost", "127.0.0.1" },
};

Test(dns, addresses_and_hosts_take_no_query, .timeout = 60)
{
	struct seen s;

	start();
	for (size_t i = 0; i < sizeof(no_query) / sizeof(no_query[0]); i++) {
		watch(&s, quick(no_query[i].name, DNS_V4_ONLY, &s));
		UNTIL(s.n == 1);
		cr_assert_str_eq(s.text, no_query[i].want);
		dns_watch_free(s.watch);
	}
	cr_assert_eq(everyone, 0);
	end();
}

/* ---- sharing, and going away */

Test(dns, one_name_one_lookup, .timeout = 60)
{
	struct dns_question q;
	struct seen s[4];

	start();
	zone[0] = good;
	for (int i = 0; i < 3; i++) {
		q = quick("a.test", i == 2 ? DNS_AUTO : DNS_V4_ONLY, &s[i]);
		q.refresh_ms = 60000;
		watch(&s[i], q);
	}
	UNTIL(s[0].n == 1 && s[1].n == 1 && s[2].n == 1);
	cr_assert_eq(zone[0].a_n, 2);
	q = quick("a.test", DNS_V4_ONLY, &s[3]);
	q.refresh_ms = 60000;
	watch(&s[3], q);
	UNTIL(s[3].n == 1);
	cr_assert_str_eq(s[3].text, good.a);
	cr_assert_eq(zone[0].a_n, 2);
	for (int i = 0; i < 4; i++)
		dns_watch_free(s[i].watch);
	end();
}

static struct seen pair[2];

static void
free_both(void *arg, struct dns_watch *w)
{
	(void)arg, (void)w;
	pair[0].n++;
	dns_watch_free(pair[0].watch);
	dns_watch_free(pair[1].watch);
}

Test(dns, watches_are_freed_at_any_time, .timeout = 60)
{
	struct dns_question q;
	struct seen s;
	int n;

	start();
	zone[0] = good;
	zone[1] = (struct zone){ "b.test", "192.0.2.1", NULL, 60 };
	n = unit_descriptors_n();
	/* Both of a lookup, from the answer of one. */
	for (int i = 0; i < 2; i++) {
		q = quick("a.test", DNS_V4_ONLY, &pair[i]);
		q.answer = free_both;
		watch(&pair[i], q);
	}
	UNTIL(pair[0].n > 0);
	loop_turn(&loop, 0);
	cr_assert_eq(pair[0].n, 1);
	/* While a query is out; its answer comes to nobody. */
	watch(&s, quick("b.test", DNS_V4_ONLY, &s));
	dns_watch_free(s.watch);
	UNTIL(zone[1].a_n == 1);
	watch(&s, quick("b.test", DNS_V4_ONLY, &s));
	UNTIL(s.n == 1);
	/* When it is to be told, and was not yet. */
	watch(&pair[0], quick("b.test", DNS_V4_ONLY, &pair[0]));
	dns_watch_free(pair[0].watch);
	loop_turn(&loop, 0);
	cr_assert_eq(pair[0].n, 0);
	dns_watch_free(s.watch);
	dns_watch_free(NULL);
	/* The end, with a query out. */
	zone[0].silent = true;
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	UNTIL(zone[0].a_n == 2);
	dns_watch_free(s.watch);
	dns_close(dns);
	dns_close(NULL);
	cr_assert_eq(unit_descriptors_n(), n);
	dns = NULL;
	end();
}

/* ---- the transport */

Test(dns, what_is_cut_comes_by_tcp, .timeout = 60)
{
	struct seen s;

	start();
	zone[0] = (struct zone){ "a.test", NULL, NULL, 0, .cut = true,
		.more = 1500 };
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	UNTIL(s.n == 1);
	cr_assert_eq(s.status.addresses_n, 1500, "%zu: %s",
	    s.status.addresses_n, s.status.why);
	zone[0].more = 1000;
	UNTIL(s.n == 2);
	cr_assert_eq(s.status.addresses_n, 1000);
	cr_assert(server.tcp_n >= 2);
	dns_watch_free(s.watch);
	end();
}

Test(dns, many_at_once, .timeout = 60)
{
	static struct seen s[MANY];
	struct dns_question q;
	char name[32];
	int n = 0;

	start();
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name-%d.test", i);
		q = quick(name, DNS_V4_ONLY, &s[i]);
		q.refresh_ms = 60000;
		watch(&s[i], q);
	}
	for (int turn = 0; turn < TURNS_MAX && n < MANY; turn++) {
		loop_turn(&loop, TURN_MS);
		n = 0;
		for (int i = 0; i < MANY; i++)
			n += s[i].n == 1 && s[i].status.addresses_n == 1;
	}
	cr_assert_eq(n, MANY);
	for (int i = 0; i < MANY; i++)
		dns_watch_free(s[i].watch);
	end();
}

/* c-ares would wait for a minute: the watchdog ends it, and the next query is
 * by a new channel. */
Test(dns, a_query_that_hangs, .timeout = 60)
{
	struct seen s;
	int n;

	start_with((struct dns_settings){ .timeout_ms = 60000,
		.watchdog_ms = 50 });
	zone[0] = good;
	zone[0].silent = true;
	watch(&s, quick("a.test", DNS_V4_ONLY, &s));
	n = unit_descriptors_n();
	UNTIL(s.n == 1);
	cr_assert_str_eq(s.status.why, "no answer, and no time-out");
	until_asked(&s, 3);
	cr_assert(unit_descriptors_n() <= n, "sockets are left");
	cr_assert(server.ports_n >= 3, "%d channels", server.ports_n);
	zone[0].silent = false;
	UNTIL(s.n == 2);
	cr_assert_str_eq(s.text, good.a);
	dns_watch_free(s.watch);
	end();
}

Test(dns, settings_that_are_wrong)
{
	struct dns_settings s = { .servers = "nonsense:x" };

	loop_init(&loop, sys_kernel_new());
	cr_assert_null(dns_open(&loop, &s, why, sizeof(why)));
	cr_assert_not_null(strstr(why, "names can't be resolved"), "%s", why);
	sys_kernel_free(loop.sys);
}
