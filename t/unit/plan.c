/*
 * t/unit/plan.c - worker/plan.c: one copy of a block by its hash, for as long
 * as somebody uses it, and TLS contexts made of blocks and a key.
 *
 * What the fields of a TLS block do is seen from outside: two sessions of
 * contexts that were made of blocks meet.
 */
#include "worker/plan.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/log.h"
#include "t/lib/identity.h"
#include "t/lib/unit_process.h"
#include "t/lib/unit_sys.h"

static struct mem mem;
static struct plans plans;
static struct unit_tap tap;
static struct arena secrets;
static char key_file[] = "/etc/mesh/key.pem";	/* nobody opens it */

/* The log's lines are datagrams here, so that each can be counted. */
static void
setup(void)
{
	unit_tap_open(&tap);
	log_open("t", LOG_INFO);
	cr_assert_eq(arena_new(&secrets, 1 << 20, NULL, 0), 0);
	mem_init(&mem, &unit_sys);
	plans_init(&plans, &mem, &secrets);
}

/* Whoever holds a plan here has put it: plans_fini asserts that. */
static void
teardown(void)
{
	arena_close(&secrets);
	unit_tap_close(&tap);
	plans_fini(&plans);
	cr_assert_eq(mem.out_n, 0, "a plan was left behind");
	mem_fini(&mem);
	cr_assert_eq(unit_blocks, 0);
}

TestSuite(plan, .init = setup, .fini = teardown);

/* What the next line says after its level; NULL: there is none. */
static const char *
logged(void)
{
	static char line[4096];
	ssize_t n = recv(tap.fd, line, sizeof(line) - 1, 0);
	const char *at;

	if (n < 1)
		return NULL;
	line[n - 1] = '\0';		/* of the line's end */
	at = strstr(line, " error: ");
	return at == NULL ? line : at + strlen(" error: ");
}

/* ---- of routes ---- */

static struct block_plan
route(uint64_t hash, uint32_t timeout_ms)
{
	return (struct block_plan){ .hash = hash,
	    .bytes = sizeof(struct block_plan), .timeout_ms = timeout_ms };
}

Test(plan, one_hash_is_one_plan)
{
	/* A hash and its neighbours, two of them in its bucket. */
	struct block_plan b = route(7, 100), same = b;
	struct block_plan other = route(7 + PLAN_BUCKETS, 200);
	struct block_plan third = route(7 + ((uint64_t)1 << 63), 300);
	struct block_plan next = route(8, 400);
	struct plan *p = plan_get(&plans, &b), *o, *t, *n;

	cr_assert_eq(p->refs, 1);
	cr_assert_eq(plan_get(&plans, &same), p, "of another generation");
	cr_assert_eq(p->refs, 2);
	o = plan_get(&plans, &other);
	t = plan_get(&plans, &third);
	n = plan_get(&plans, &next);
	cr_assert(o != p && t != p && n != p && o != t && o != n && t != n);
	cr_assert_eq(plan_get(&plans, &b), p);
	cr_assert_eq(plan_get(&plans, &other), o);
	cr_assert_eq(plan_get(&plans, &third), t);

	/* It is a copy: the generation may go. */
	memset(&b, 0xff, sizeof(b));
	memset(&other, 0xff, sizeof(other));
	cr_assert_eq(p->block.timeout_ms, 100);
	cr_assert_eq(p->block.bytes, sizeof(struct block_plan));
	cr_assert_eq(o->block.timeout_ms, 200);
	cr_assert_eq(t->block.timeout_ms, 300);
	cr_assert_eq(n->block.timeout_ms, 400);
	p->refs -= 3;
	o->refs -= 2;
	t->refs -= 2;
	plan_put(n);
}

/* A block that is longer than its head is copied to its end. */
Test(plan, a_block_is_copied_whole)
{
	union { struct block_plan plan; uint8_t bytes[3000]; } b;
	struct plan *p;

	memset(&b, 'x', sizeof(b));
	b.plan = route(3, 1);
	b.plan.bytes = sizeof(b);
	p = plan_get(&plans, &b.plan);
	cr_assert_arr_eq(&p->block, &b, sizeof(b));
	plan_put(p);
}

/* Every set of users of a bucket's five, and none. */
Test(plan, sweep_drops_what_nobody_uses)
{
	enum { N = 5 };
	struct plan *p[N];

	for (unsigned used = 0; used < 1 << N; used++) {
		for (uint64_t i = 0; i < N; i++) {
			struct block_plan b = route(9 + i * PLAN_BUCKETS, 5);

			p[i] = plan_get(&plans, &b);
			p[i]->block.timeout_ms = 77;	/* known again by it */
			if (!(used & 1u << i))
				plan_put(p[i]);
		}
		cr_assert_eq(mem.out_n, N, "a put alone drops nothing");
		plans_sweep(&plans);
		cr_assert_eq(mem.out_n, __builtin_popcount(used));
		for (uint64_t i = 0; i < N; i++) {
			struct block_plan b = route(9 + i * PLAN_BUCKETS, 5);
			bool kept = used & 1u << i;
			struct plan *again = plan_get(&plans, &b);

			cr_assert_eq(again->block.timeout_ms, kept ? 77 : 5);
			cr_assert_eq(again->refs, kept ? 2 : 1);
			cr_assert(!kept || again == p[i]);
			again->refs = 0;
		}
		plans_sweep(&plans);
		cr_assert_eq(mem.out_n, 0);
	}
}

/* Until the sweep, one that nobody uses is there for the next user. */
Test(plan, an_unused_one_is_used_again)
{
	struct block_plan b = route(1, 5);
	struct plan *p = plan_get(&plans, &b);

	plan_put(p);
	cr_assert_eq(plan_get(&plans, &b), p);
	cr_assert_eq(p->refs, 1);
	plans_sweep(&plans);
	cr_assert_eq(mem.out_n, 1);
	plan_put(p);
}

/* ---- of TLS ---- */

enum { SANS = 64 };		/* as many as the compiler lets through */

/* A block made by hand: texts are put behind the head and room for SANs. */
struct tls_block {
	union {
		struct block_tls tls;
		uint8_t		bytes[20000];
	};
};

static struct block_span
span(struct tls_block *b, const char *text)
{
	struct block_span s = { b->tls.bytes, (uint32_t)strlen(text) };

	cr_assert_leq(s.off + s.len + 1, sizeof(b->bytes));
	memcpy(b->bytes + s.off, text, s.len + 1);
	b->tls.bytes += s.len + 1;
	return s;
}

static struct tls_block
tls_block(uint64_t hash, bool server)
{
	struct tls_block b = { .tls = { .hash = hash, .server = server,
	    .version_min = 0x0303, .version_max = 0x0304,
	    .bytes = sizeof(struct block_tls) + SANS * sizeof(struct block_san),
	} };

	return b;
}

static void
san_add(struct tls_block *b, enum tls_san_type type, enum tls_san_match kind,
    const char *value)
{
	b->tls.sans[b->tls.sans_n++] = (struct block_san){ type, kind,
	    span(b, value) };
}

/* The key as the master puts it. */
static block_ref
key_put(const char *pem)
{
	block_ref ref;
	struct block_text *t = arena_put(&secrets, sizeof(*t) + strlen(pem) +
	    1, &ref);

	t->len = (uint32_t)strlen(pem);
	strcpy(t->bytes, pem);
	return ref;
}

Test(plan, settings_that_make_no_context_are_told)
{
	struct identity *own = mint("own", (struct wanted){ 0 });
	struct identity *other = mint("other", (struct wanted){ 0 });
	const struct { const char *key, *why; } cases[] = {
		{ other->key_pem, key_file }, { "no key", key_file },
		{ "", key_file },
	};
	struct tls_plan *p;
	const char *said;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_block b = tls_block(20 + i, true);

		b.tls.certificate_chain = span(&b, own->pem);
		b.tls.private_key_file = span(&b, key_file);
		b.tls.private_key = key_put(cases[i].key);
		p = tls_plan_get(&plans, &b.tls);
		cr_assert_not_null(p);
		cr_assert_null(p->context, "case %zu", i);
		said = logged();
		cr_assert(said != NULL && strstr(said, cases[i].why) != NULL,
		    "case %zu: %s", i, said);
		/* A secret is never a part of a sentence. */
		cr_assert_null(strstr(said, "PRIVATE KEY-"), "%s", said);
		tls_plan_put(p);
	}
	drop(own);
	drop(other);
}

/* And the file is closed again. */
Test(plan, one_hash_is_one_context)
{
	struct identity *own = mint("own", (struct wanted){ 0 });
	struct tls_block b = tls_block(5, true), same;
	struct tls_block other;
	int descriptors = unit_descriptors_n();
	struct tls_plan *p, *o;
	struct tls *session;

	b.tls.certificate_chain = span(&b, own->pem);
	b.tls.private_key_file = span(&b, key_file);
	b.tls.private_key = key_put(own->key_pem);
	same = other = b;
	other.tls.hash += PLAN_BUCKETS;
	other.tls.private_key = key_put("");
	p = tls_plan_get(&plans, &b.tls);
	cr_assert_not_null(p->context, "%s", logged());
	cr_assert_eq(tls_plan_get(&plans, &same.tls), p, "it outlives a "
	    "reload, and the key is not read again");
	o = tls_plan_get(&plans, &other.tls);
	cr_assert(o != p && o->context == NULL);
	cr_assert_not_null(logged());
	cr_assert_eq(unit_descriptors_n(), descriptors);

	/* A session keeps its context beyond the plan (tls.h I2). */
	session = tls_new(p->context);
	cr_assert_not_null(session);
	p->refs -= 2;
	tls_plan_put(o);
	plans_sweep(&plans);
	cr_assert_eq(mem.out_n, 0);
	tls_free(session);
	drop(own);
}

/* ---- what the fields become ---- */

struct side {
	struct tls_plan	*plan;
	struct tls	*tls;
	struct buf	 out;
};

static void
side_open(struct side *x, const struct tls_block *b)
{
	x->plan = tls_plan_get(&plans, &b->tls);
	cr_assert_not_null(x->plan->context, "%s", logged());
	x->tls = tls_new(x->plan->context);
	buf_init(&x->out, &unit_sys);
}

static void
side_close(struct side *x)
{
	tls_free(x->tls);
	buf_fini(&x->out);
	tls_plan_put(x->plan);
}

static bool
carry(struct side *from, struct side *to)
{
	size_t n = buf_len(&from->out);
	uint8_t plain[100];

	if (n == 0 || tls_state(to->tls) > TLS_ESTABLISHED) {
		buf_clear(&from->out);
		return false;
	}
	tls_feed(to->tls, from->out.data + from->out.pos, n);
	while (tls_read(to->tls, plain, sizeof(plain), &to->out) > 0)
		;
	buf_clear(&from->out);
	return true;
}

static struct side client, server;

static void
meet(const struct tls_block *c, const struct tls_block *s)
{
	uint8_t plain[100];

	side_open(&client, c);
	side_open(&server, s);
	tls_feed(client.tls, NULL, 0);
	tls_read(client.tls, plain, sizeof(plain), &client.out);
	while (carry(&client, &server) | carry(&server, &client))
		;
}

static struct identity *ca, *caller, *gateway;

static void
identities(void)
{
	setup();
	ca = mint("ca", (struct wanted){ .ca = true });
	caller = mint("caller", (struct wanted){ .by = ca,
	    .san = "URI:spiffe://us/caller" });
	gateway = mint("gateway", (struct wanted){ .by = ca,
	    .san = "DNS:gw.eu,URI:spiffe://eu/gateway" });
}

static void
identities_gone(void)
{
	drop(gateway);
	drop(caller);
	drop(ca);
	teardown();
}

TestSuite(plan_fields, .init = identities, .fini = identities_gone);

/* Its key is in the one file until the next block is made: open it before. */
static struct tls_block
side_block(uint64_t hash, bool is_server, const struct identity *own)
{
	struct tls_block b = tls_block(hash, is_server);

	b.tls.trusted_ca = span(&b, ca->pem);
	if (own == NULL)
		return b;
	b.tls.certificate_chain = span(&b, own->pem);
	b.tls.private_key_file = span(&b, key_file);
	b.tls.private_key = key_put(own->key_pem);
	return b;
}

/* Whom a client's block takes for the server; its second SAN never fits. */
Test(plan_fields, sans_and_authority)
{
	static const struct {
		enum tls_san_type type;
		enum tls_san_match match;
		const char	*value;
		enum tls_failure failure;
	} cases[] = {
		{ TLS_SAN_URI, TLS_MATCH_EXACT, "spiffe://eu/gateway" },
		{ TLS_SAN_URI, TLS_MATCH_EXACT, "spiffe://eu/gatewa",
		    TLS_FAIL_SAN },
		{ TLS_SAN_URI, TLS_MATCH_PREFIX, "spiffe://eu/" },
		{ TLS_SAN_URI, TLS_MATCH_SUFFIX, "/gateway" },
		{ TLS_SAN_URI, TLS_MATCH_CONTAINS, "eu/gate" },
		{ TLS_SAN_URI, TLS_MATCH_PREFIX, "/gateway", TLS_FAIL_SAN },
		{ TLS_SAN_DNS, TLS_MATCH_EXACT, "gw.eu" },
		{ TLS_SAN_DNS, TLS_MATCH_PREFIX, "spiffe://eu/",
		    TLS_FAIL_SAN },
		{ TLS_SAN_EMAIL, TLS_MATCH_EXACT, "gw.eu", TLS_FAIL_SAN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_block c = side_block(100 + i, false, NULL);
		struct tls_block s = side_block(5, true, gateway);

		san_add(&c, cases[i].type, cases[i].match, cases[i].value);
		san_add(&c, TLS_SAN_DNS, TLS_MATCH_EXACT, "never.fits");
		meet(&c, &s);
		cr_assert_eq(tls_failure(client.tls), cases[i].failure,
		    "case %zu: %s", i, tls_why(client.tls));
		cr_assert_eq(tls_state(client.tls), cases[i].failure ==
		    TLS_FAIL_NONE ? TLS_ESTABLISHED : TLS_FAILED);
		side_close(&client);
		side_close(&server);
	}
}

Test(plan_fields, versions_and_client_certificates)
{
	static const struct {
		uint16_t	min, max;	/* of the server */
		uint16_t	client_max;
		const char	*version;
		bool		required, sent;
		enum tls_failure failure;	/* of the server */
	} cases[] = {
		{ 0x0303, 0x0303, 0x0304, "TLSv1.2", false, false },
		{ 0x0304, 0x0304, 0x0304, "TLSv1.3", false, false },
		{ 0x0303, 0x0304, 0x0303, "TLSv1.2", true, true },
		{ 0x0303, 0x0304, 0x0304, "TLSv1.3", true, true },
		{ 0x0304, 0x0304, 0x0303, NULL, false, false,
		    TLS_FAIL_OTHER },
		{ 0x0303, 0x0304, 0x0304, NULL, true, false,
		    TLS_FAIL_NO_CERTIFICATE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_block c = side_block(200 + i, false,
		    cases[i].sent ? caller : NULL), s;
		struct tls_plan *first;

		c.tls.version_max = cases[i].client_max;
		first = tls_plan_get(&plans, &c.tls);
		s = side_block(300 + i, true, gateway);
		s.tls.version_min = cases[i].min;
		s.tls.version_max = cases[i].max;
		s.tls.require_client_certificate = cases[i].required;
		meet(&c, &s);
		tls_plan_put(first);
		cr_assert_eq(tls_failure(server.tls), cases[i].failure,
		    "case %zu: %s", i, tls_why(server.tls));
		if (cases[i].version != NULL)
			cr_assert_str_eq(tls_version(server.tls),
			    cases[i].version);
		cr_assert_str_eq(tls_peer_uri(server.tls), cases[i].sent ?
		    "spiffe://us/caller" : "");
		side_close(&client);
		side_close(&server);
	}
}

Test(plan_fields, the_last_of_64_sans_counts)
{
	struct tls_block c = side_block(1, false, NULL);
	struct tls_block s = side_block(2, true, gateway);

	for (int i = 0; i < SANS; i++)
		san_add(&c, TLS_SAN_DNS, TLS_MATCH_EXACT, i < SANS - 1 ?
		    "another" : "gw.eu");
	meet(&c, &s);
	cr_assert_eq(tls_state(client.tls), TLS_ESTABLISHED, "%s",
	    tls_why(client.tls));
	side_close(&client);
	side_close(&server);
}

/* A text of the block that a session's first bytes show. */
Test(plan_fields, the_name_that_is_asked_for)
{
	struct tls_block c = side_block(1, false, NULL);
	uint8_t plain[100];

	c.tls.sni = span(&c, "gw.eu.mesh");
	side_open(&client, &c);
	tls_feed(client.tls, NULL, 0);
	tls_read(client.tls, plain, sizeof(plain), &client.out);
	cr_assert_not_null(memmem(client.out.data, buf_len(&client.out),
	    "gw.eu.mesh", strlen("gw.eu.mesh")));
	side_close(&client);
}

Test(plan_fields, ciphers)
{
	struct tls_block c = side_block(1, false, NULL);
	struct tls_block s = side_block(2, true, gateway);

	c.tls.version_max = s.tls.version_max = 0x0303;
	c.tls.ciphers = span(&c, "ECDHE-ECDSA-AES128-GCM-SHA256");
	s.tls.ciphers = span(&s, "ECDHE-ECDSA-AES256-GCM-SHA384");
	meet(&c, &s);
	cr_assert_eq(tls_state(client.tls), TLS_FAILED, "no cipher is shared");
	side_close(&client);
	side_close(&server);
}

/* ---- no memory ---- */

Test(plan, no_memory_is_no_plan)
{
	struct block_plan b = route(1, 5);
	struct tls_block t = tls_block(1, false);
	struct tls_plan *tls;
	struct plan *p;

	unit_fail_at = 1;
	cr_assert_null(plan_get(&plans, &b));
	unit_fail_at = 1;
	cr_assert_null(tls_plan_get(&plans, &t.tls));
	cr_assert_eq(mem.out_n, 0);
	plans_sweep(&plans);
	p = plan_get(&plans, &b);
	tls = tls_plan_get(&plans, &t.tls);
	cr_assert_eq(p->refs, 1);
	cr_assert_not_null(tls->context, "without a certificate: %s",
	    logged());
	plan_put(p);
	tls_plan_put(tls);
}
