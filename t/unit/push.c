/*
 * t/unit/push.c - the control plane's side of an xDS stream (xds/ems/push.h),
 * as plays: a text in, a log out.
 *
 *   put KIND NAME VALUE ...   a change of the catalog; rm KIND NAME ...; both
 *                             in one when joined by "and"
 *   ask KIND NAME...          a request with the last nonce: an ACK when one is
 *                             outstanding; "-" is no name, '' an empty one
 *   leave KIND NAME...        delta: unsubscribes
 *   has KIND NAME=VERSION...  delta: initial_resource_versions
 *   nack KIND  stale KIND     refuses; says an old nonce
 *   take                      all responses there are
 *   at MS                     the clock
 *
 * The log: "CDS [a b]", delta "CDS +a -b"; "." when there was none.
 */
#include "xds/ems/push.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/proto/envoy/config/core.pb-c.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest SotwRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest DeltaRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    Held;

enum { WORDS_MAX = 64, LOG_BYTES = 4096, NODE_BYTES = 64 };

struct play {
	struct catalog	 catalog;
	struct push	*push;
	const char	*agent;
	bool		 delta;
	int64_t		 now_ms;
	char		 nonce[RESOURCE_KINDS][24], old[RESOURCE_KINDS][24];
	char		 log[LOG_BYTES];
	char		 refused[256];
};

static struct catalog *
on_node(void *arg, const struct push_node *n, char *why, size_t why_len)
{
	struct play *p = arg;

	(void)why;
	(void)why_len;
	cr_assert_str_eq(n->id, "p");
	return &p->catalog;
}

static void
on_refused(void *arg, enum resource_kind kind, const char *why)
{
	struct play *p = arg;

	snprintf(p->refused, sizeof(p->refused), "%s %s",
	    resource_about(kind)->acronym, why);
}

static const struct push_events events = { on_node, on_refused };

static enum resource_kind
kind_of(const char *acronym)
{
	for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
		if (strcmp(resource_about(k)->acronym, acronym) == 0)
			return k;
	cr_assert(0, "no kind %s", acronym);
	return 0;
}

/* ---- requests */

static size_t
node_pack(const struct play *p, uint8_t to[NODE_BYTES])
{
	Envoy__Config__Core__V3__Node n;

	envoy__config__core__v3__node__init(&n);
	n.id = "p";
	n.user_agent_name = (char *)(uintptr_t)p->agent;
	return protobuf_c_message_pack(&n.base, to);
}

static void
feed(struct play *p, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = malloc(n + 1);
	char why[256] = "";

	protobuf_c_message_pack(m, bytes);
	if (push_feed(p->push, bytes, n, p->now_ms, why, sizeof(why)) != 0)
		sprintf(p->log + strlen(p->log), "end: %s ", why);
	free(bytes);
}

static void
ask(struct play *p, const char *verb, enum resource_kind kind, char **names,
    size_t n)
{
	Google__Rpc__Status error;
	uint8_t node[NODE_BYTES];
	char url[128], *nonce = p->nonce[kind];
	Held held[WORDS_MAX], *held_at[WORDS_MAX];
	SotwRequest s;
	DeltaRequest d;

	if (n == 1 && strcmp(names[0], "-") == 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], "''") == 0)
			names[i] = "";
	if (strcmp(verb, "stale") == 0)
		nonce = p->old[kind];
	google__rpc__status__init(&error);
	error.code = 13;
	error.message = "it is bad";
	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	envoy__service__discovery__v3__discovery_request__init(&s);
	envoy__service__discovery__v3__delta_discovery_request__init(&d);
	s.type_url = d.type_url = url;
	s.response_nonce = d.response_nonce = nonce;
	s.node.data = d.node.data = node;
	s.node.len = d.node.len = node_pack(p, node);
	if (strcmp(verb, "nack") == 0)
		s.error_detail = d.error_detail = &error;
	s.resource_names = names;
	s.n_resource_names = n;
	if (strcmp(verb, "leave") == 0) {
		d.resource_names_unsubscribe = names;
		d.n_resource_names_unsubscribe = n;
	} else if (strcmp(verb, "has") == 0) {
		for (size_t i = 0; i < n; i++) {
			envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(
			    &held[i]);
			held[i].key = strtok(names[i], "=");
			held[i].value = strtok(NULL, "=");
			held_at[i] = &held[i];
		}
		d.initial_resource_versions = held_at;
		d.n_initial_resource_versions = n;
	} else {
		d.resource_names_subscribe = names;
		d.n_resource_names_subscribe = n;
	}
	feed(p, p->delta ? &d.base : &s.base);
}

/* ---- responses */

static void
sotw_log(struct play *p, const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DiscoveryResponse *m =
	    envoy__service__discovery__v3__discovery_response__unpack(NULL, n,
	    bytes);
	char *at = p->log + strlen(p->log);
	enum resource_kind kind;

	cr_assert_not_null(m);
	kind = (enum resource_kind)resource_kind_find(m->type_url);
	at += sprintf(at, "%s [", resource_about(kind)->acronym);
	for (size_t i = 0; i < m->n_resources; i++)
		at += sprintf(at, "%s%.*s", i == 0 ? "" : " ",
		    m->resources[i]->value.data[1],
		    (char *)m->resources[i]->value.data + 2);
	sprintf(at, "] ");
	strcpy(p->old[kind], p->nonce[kind]);
	strcpy(p->nonce[kind], m->nonce);
	cr_assert_str_eq(m->control_plane->identifier, "ems");
	envoy__service__discovery__v3__discovery_response__free_unpacked(m,
	    NULL);
}

static void
delta_log(struct play *p, const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m =
	    envoy__service__discovery__v3__delta_discovery_response__unpack(
	    NULL, n, bytes);
	char *at = p->log + strlen(p->log);
	enum resource_kind kind;

	cr_assert_not_null(m);
	kind = (enum resource_kind)resource_kind_find(m->type_url);
	at += sprintf(at, "%s ", resource_about(kind)->acronym);
	for (size_t i = 0; i < m->n_resources; i++)
		at += sprintf(at, "+%s ", m->resources[i]->name);
	for (size_t i = 0; i < m->n_removed_resources; i++)
		at += sprintf(at, "-%s ", m->removed_resources[i]);
	strcpy(p->old[kind], p->nonce[kind]);
	strcpy(p->nonce[kind], m->nonce);
	envoy__service__discovery__v3__delta_discovery_response__free_unpacked(
	    m, NULL);
}

static void
take(struct play *p)
{
	struct push_message m;
	bool any = false;

	while (push_take(p->push, p->now_ms, &m) == 1) {
		uint8_t *bytes = malloc(m.body->len + m.tail_len);

		memcpy(bytes, m.body->bytes, m.body->len);
		memcpy(bytes + m.body->len, m.tail, m.tail_len);
		(p->delta ? delta_log : sotw_log)(p, bytes, m.body->len +
		    m.tail_len);
		free(bytes);
		body_put(m.body);
		any = true;
	}
	if (!any)
		strcat(p->log, ". ");
}

/* ---- a play */

static void
change(struct play *p, char **words, size_t n)
{
	catalog_begin(&p->catalog);
	for (size_t i = 0; i < n; ) {
		bool put = strcmp(words[i], "put") == 0;
		enum resource_kind kind = kind_of(words[i + 1]);
		const char *name = words[i + 2];
		uint8_t bytes[64] = { 1 << 3 | 2, (uint8_t)strlen(name) };
		size_t len = 2 + strlen(name);
		struct body *b;

		if (!put) {
			catalog_remove(&p->catalog, kind, name);
			i += 4;		/* "and" */
			continue;
		}
		memcpy(bytes + 2, name, strlen(name));
		bytes[len++] = 15 << 3;
		bytes[len++] = (uint8_t)atoi(words[i + 3]);
		b = body_copy(bytes, len);
		cr_assert(catalog_put(&p->catalog, kind, name, b));
		snprintf(b->version, sizeof(b->version), "v%s", words[i + 3]);
		body_put(b);
		i += 5;
	}
	catalog_end(&p->catalog);
}

/* KIND:changes behind */
static void
behind(struct play *p, enum resource_kind kind)
{
	struct push_status s;

	push_status(p->push, kind, &s);
	sprintf(p->log + strlen(p->log), "%s:%d ",
	    resource_about(kind)->acronym, (int)(s.newest - s.answered));
}

static void
line(struct play *p, char *text)
{
	char *words[WORDS_MAX], *save;
	size_t n = 0;

	for (char *w = strtok_r(text, " ", &save); w != NULL;
	    w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	if (n == 0)
		return;
	if (strcmp(words[0], "put") == 0 || strcmp(words[0], "rm") == 0)
		change(p, words, n);
	else if (strcmp(words[0], "take") == 0)
		take(p);
	else if (strcmp(words[0], "at") == 0)
		p->now_ms = atoi(words[1]);
	else if (strcmp(words[0], "behind") == 0)
		behind(p, kind_of(words[1]));
	else
		ask(p, words[0], kind_of(words[1]), words + 2, n - 2);
}

static const char *
run(struct play *p, const char *agent, bool delta, const char *text)
{
	const struct push_settings s = { delta, -1, "ems" };
	char *copy = strdup(text), *save;

	memset(p, 0, sizeof(*p));
	p->agent = agent;
	p->delta = delta;
	cr_assert(catalog_init(&p->catalog));
	p->push = push_new(&s, &events, p);
	for (char *l = strtok_r(copy, ";\n", &save); l != NULL;
	    l = strtok_r(NULL, ";\n", &save))
		line(p, l);
	free(copy);
	push_free(p->push);
	catalog_fini(&p->catalog);
	if (p->log[0] != '\0')
		p->log[strlen(p->log) - 1] = '\0';
	return p->log;
}

static const struct {
	const char	*what, *agent;
	bool		 delta;
	const char	*play, *log;
} plays[] = {
	{ "all of a kind, then what changed", "godwit", false,
	    "put CDS a 1; put CDS b 1; ask CDS -; take; take;"
	    "ask CDS -; take; put CDS b 2; take", "CDS [a b] . . CDS [a b]" },
	{ "delta has only what changed", "godwit", true,
	    "put CDS a 1; put CDS b 1; ask CDS -; take; ask CDS -;"
	    "put CDS b 2; rm CDS a; take", "CDS +a +b CDS +b -a" },
	{ "E1: one is outstanding, the rest is in the next", "godwit", true,
	    "put CDS a 1; ask CDS -; take; put CDS a 2; take; put CDS a 3;"
	    "put CDS b 1; put CDS c 1; rm CDS c; take; ask CDS -; take",
	    "CDS +a . . CDS +a +b" },
	{ "the same content is no change", "godwit", true,
	    "put CDS a 1; ask CDS -; take; ask CDS -; put CDS a 1; take",
	    "CDS +a ." },
	{ "changed and changed back while it waits", "godwit", false,
	    "put CDS a 1; ask CDS -; take; put CDS a 2; put CDS a 1; ask CDS -;"
	    "take", "CDS [a] CDS [a]" },
	{ "by name only what is asked for", "godwit", false,
	    "put EDS a 1; put EDS b 1; ask EDS a; take; ask EDS a;"
	    "put EDS b 2; take; put EDS a 2; take",
	    "EDS [a] . EDS [a]" },
	{ "one more name: only that one is sent", "godwit", false,
	    "put EDS a 1; put EDS b 1; ask EDS a; take; ask EDS a b; take",
	    "EDS [a] EDS [b]" },
	{ "what does not exist: SotW waits, delta says it", "godwit", false,
	    "ask EDS a; take; put EDS a 1; take", ". EDS [a]" },
	{ "and delta", "godwit", true,
	    "ask EDS a; take; ask EDS -; put EDS a 1; take",
	    "EDS -a EDS +a" },
	{ "no name after some: nothing, and not all", "godwit", false,
	    "put CDS a 1; put CDS b 1; ask CDS a; take; ask CDS -;"
	    "put CDS a 2; take; ask CDS b; take", "CDS [a] . CDS [b]" },
	{ "an empty name is none of ours, and leaves the others", "godwit",
	    false, "put CDS a 1; ask CDS a; take; ask CDS ''; put CDS a 2; take;"
	    "ask CDS a; take", "CDS [a] . CDS [a]" },
	{ "and delta", "godwit", true,
	    "put CDS a 1; ask CDS a ''; take; ask CDS -; put CDS a 2; take",
	    "CDS +a - CDS +a" },
	{ "an empty catalog is said to who asks for all", "godwit", false,
	    "ask CDS -; take; ask CDS -; take", "CDS [] ." },
	{ "E2: refused is not sent again at once", "godwit", true,
	    "put CDS a 1; put CDS b 1; ask CDS -; take; nack CDS; take;"
	    "put CDS b 2; take; ask CDS -; at 29999; take; at 30000; take",
	    "CDS +a +b . CDS +b . CDS +a +b" },
	{ "E2: the pause doubles", "godwit", true,
	    "put CDS a 1; ask CDS -; take; nack CDS; at 30000; take; nack CDS;"
	    "at 89999; take; at 90000; take", "CDS +a CDS +a . CDS +a" },
	{ "E2: a listener that is refused after its ACK", "godwit", true,
	    "put LDS l 1; ask LDS -; take; ask LDS -; nack LDS; take;"
	    "at 29999; take; at 30000; take", "LDS +l . . LDS +l" },
	{ "and SotW", "godwit", false,
	    "put LDS l 1; ask LDS -; take; ask LDS -; nack LDS; take;"
	    "at 29999; take; at 30000; take; ask LDS -; at 90000; take",
	    "LDS [l] . . LDS [l] ." },
	{ "and what was accepted before it stays", "godwit", true,
	    "put LDS l 1; ask LDS -; take; ask LDS -; put LDS m 1; take;"
	    "ask LDS -; nack LDS; put LDS n 1; take; ask LDS -; at 30000; take",
	    "LDS +l LDS +m LDS +n LDS +m" },
	{ "a stale nonce is neither ACK nor subscription", "godwit", false,
	    "put EDS a 1; put EDS b 1; ask EDS a; take; ask EDS a b; take;"
	    "put EDS a 2; stale EDS a; take; ask EDS a b; take",
	    "EDS [a] EDS [b] . EDS [a]" },
	{ "left, and asked for anew", "godwit", true,
	    "put EDS a 1; ask EDS a; take; ask EDS -; leave EDS a;"
	    "put EDS a 2; take; ask EDS a; take", "EDS +a . EDS +a" },
	{ "subscribed twice is sent twice", "godwit", true,
	    "put EDS a 1; ask EDS a; take; ask EDS a; take",
	    "EDS +a EDS +a" },
	{ "what it has already is not sent", "godwit", true,
	    "put CDS a 1; put CDS b 1; has CDS a=v1 b=v0 c=v7; take",
	    "CDS +b -c" },
	{ "who has it already is not behind", "godwit", true,
	    "put EDS a 1; has EDS a=v1; take; behind EDS", ". EDS:0" },
	{ "nor is who is not told of another's", "godwit", true,
	    "put EDS a 1; ask EDS a; take; behind EDS; ask EDS -; behind EDS;"
	    "put EDS b 1; behind EDS; take; behind EDS",
	    "EDS +a EDS:1 EDS:0 EDS:1 . EDS:0" },
	{ "E4: routes wait for clusters and their endpoints", "envoy", false,
	    "put CDS a 1 and put EDS a 1 and put LDS l 1 and put RDS r 1;"
	    "ask CDS -; ask LDS -; ask RDS r; take; ask CDS -; take;"
	    "ask EDS a; take; take; ask LDS -; take",
	    "CDS [a] . EDS [a] LDS [l] . RDS [r]" },
	{ "E4: routes go behind endpoints, not after their ACK", "envoy",
	    false, "put EDS a 1 and put RDS r 1; ask RDS r; ask EDS a; take;"
	    "ask RDS r; put RDS r 2; take", "EDS [a] RDS [r] RDS [r]" },
	{ "E4: but not before endpoints that wait for an ACK", "envoy", false,
	    "put EDS a 1 and put RDS r 1; ask RDS r; ask EDS a; take;"
	    "ask RDS r; put EDS a 2 and put RDS r 2; take; ask EDS a; take",
	    "EDS [a] RDS [r] . EDS [a] RDS [r]" },
	{ "E4: endpoints don't wait for the ACK that waits for them", "envoy",
	    false, "put CDS a 1 and put EDS a 1; ask CDS -; take; ask EDS a;"
	    "take", "CDS [a] EDS [a]" },
	{ "and godwit gets them at once", "godwit", false,
	    "put CDS a 1 and put EDS a 1 and put LDS l 1 and put RDS r 1;"
	    "ask CDS -; ask LDS -; ask RDS r; take", "CDS [a] LDS [l] RDS [r]"
	    },
	{ "E4: a client that never asks for endpoints", "envoy", false,
	    "put CDS a 1 and put EDS a 1 and put RDS r 1; ask CDS -; ask RDS r;"
	    "take; ask CDS -; at 999; take; at 1000; take",
	    "CDS [a] . RDS [r]" },
	{ "E4: removed after the routes have left", "envoy", false,
	    "put CDS a 1 and put RDS r 1; ask CDS -; take; ask CDS -;"
	    "ask RDS r; take; ask RDS r;"
	    "put CDS b 1 and put RDS r 2 and rm CDS a; take; ask CDS -; take;"
	    "ask RDS r; take",
	    "CDS [a] RDS [r] CDS [b a] RDS [r] CDS [b]" },
	{ "and delta", "envoy", true,
	    "put CDS a 1 and put RDS r 1; ask CDS -; take; ask CDS -;"
	    "ask RDS r; take; ask RDS -;"
	    "put CDS b 1 and put RDS r 2 and rm CDS a; take; ask CDS -; take;"
	    "ask RDS -; take",
	    "CDS +a RDS +r CDS +b RDS +r CDS -a" },
	{ "E5: endpoints once more after their cluster", "envoy", false,
	    "put CDS a 1 and put EDS a 1; ask CDS -; take; ask CDS -; ask EDS a;"
	    "take; ask EDS a; put CDS a 2; take; ask CDS -; take",
	    "CDS [a] EDS [a] CDS [a] EDS [a] ." },
	{ "godwit keeps them", "godwit", false,
	    "put CDS a 1 and put EDS a 1; ask CDS -; take; ask CDS -; ask EDS a;"
	    "take; ask EDS a; put CDS a 2; take; ask CDS -; take",
	    "CDS [a] EDS [a] CDS [a] ." },
	{ "asked for by name too, and gone before it is sent again", "godwit",
	    false, "put CDS a 1; put CDS b 1; ask CDS *; take; ask CDS * a;"
	    "rm CDS a; take", "CDS [a b] CDS [b]" },
	{ "and delta", "godwit", true,
	    "put CDS a 1; ask CDS *; take; ask CDS a; leave CDS a; rm CDS a;"
	    "take", "CDS +a CDS -a" },
	{ "the wildcard is left for names", "godwit", false,
	    "put CDS a 1; put CDS b 1; ask CDS *; take; ask CDS a; take;"
	    "ask CDS a; put CDS b 2; take; put CDS a 2; take",
	    "CDS [a b] CDS [a] . CDS [a]" },
};

Test(push, plays)
{
	struct play p;

	for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++)
		cr_expect_str_eq(run(&p, plays[i].agent, plays[i].delta,
		    plays[i].play), plays[i].log, "%s: \"%s\", expected "
		    "\"%s\"", plays[i].what, p.log, plays[i].log);
}

Test(push, a_refusal_is_told)
{
	struct play p;

	run(&p, "godwit", true, "put CDS a 1; ask CDS -; take; nack CDS");
	cr_assert_str_eq(p.refused, "CDS it is bad");
}

/* E3: what may be parted is; and all of it comes. */
Test(push, parts)
{
	const struct push_settings s = { true, RESOURCE_ENDPOINT, "ems" };
	enum { N = 100, BYTES = 20000 };
	static uint8_t bytes[BYTES];
	struct play p = { .agent = "godwit", .delta = true };
	struct push_message m;
	char name[16], *names[] = { "*" };
	struct body *b;
	size_t responses = 0, sum = 0;

	cr_assert(catalog_init(&p.catalog));
	catalog_begin(&p.catalog);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		memcpy(bytes, name, sizeof(name));
		b = body_copy(bytes, BYTES);
		cr_assert(catalog_put(&p.catalog, RESOURCE_ENDPOINT, name,
		    b));
		body_put(b);
	}
	catalog_end(&p.catalog);
	p.push = push_new(&s, &events, &p);
	ask(&p, "ask", RESOURCE_ENDPOINT, names, 1);
	while (push_take(p.push, 0, &m) == 1) {
		cr_expect_lt(m.body->len, PUSH_RESPONSE_BYTES + 2 * BYTES);
		responses++;
		sum += m.body->len / BYTES;
		memcpy(p.nonce[RESOURCE_ENDPOINT], m.tail + 2, m.tail[1]);
		p.nonce[RESOURCE_ENDPOINT][m.tail[1]] = '\0';
		body_put(m.body);
		ask(&p, "ask", RESOURCE_ENDPOINT, NULL, 0);
	}
	cr_expect_eq(sum, N);
	cr_expect_eq(responses, N / (PUSH_RESPONSE_BYTES / BYTES + 1) + 1);
	push_free(p.push);
	catalog_fini(&p.catalog);
}

/* Names may stand anywhere in a request. */
Test(push, names_around_the_rest)
{
	static const char head[] = "\x12\x03\x0a\x01p\x1a\x01" "a\x22\x42"
	    "type.googleapis.com/envoy.config.endpoint.v3."
	    "ClusterLoadAssignment", tail[] = "\x1a\x01" "b";
	const struct push_settings s = { false, -1, "ems" };
	struct play p = { .agent = "godwit" };
	char bytes[256], why[256] = "";
	struct push_status status;

	cr_assert(catalog_init(&p.catalog));
	p.push = push_new(&s, &events, &p);
	snprintf(bytes, sizeof(bytes), "%s%s", head, tail);
	cr_assert_eq(push_feed(p.push, (const uint8_t *)bytes, strlen(bytes),
	    0, why, sizeof(why)), 0, "%s", why);
	push_status(p.push, RESOURCE_ENDPOINT, &status);
	cr_assert_eq(status.names_n, 2);
	/* The same, and one less. */
	for (int n = 2; n > 0; n--) {
		bytes[sizeof(head) - 1 + (n == 2 ? sizeof(tail) - 1 : 0)] =
		    '\0';
		cr_assert_eq(push_feed(p.push, (const uint8_t *)bytes,
		    strlen(bytes), 0, why, sizeof(why)), 0, "%s", why);
		push_status(p.push, RESOURCE_ENDPOINT, &status);
		cr_assert_eq(status.names_n, n);
	}
	push_free(p.push);
	catalog_fini(&p.catalog);
}

Test(push, who_says_nothing_or_nonsense)
{
	static const struct {
		const char	*bytes;
		size_t		 n;
		const char	*why;
	} cases[] = {
		{ "", 0, "the first request has no node.id, expected the "
		    "proxy's name" },
		{ "\xff", 1, NULL },
		{ "\x12\x03\x0a\x01p", 5, "a request on a stream of all kinds "
		    "has no type_url" },
	};
	const struct push_settings s = { false, -1, "ems" };
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct play p = { .agent = "godwit" };

		cr_assert(catalog_init(&p.catalog));
		p.push = push_new(&s, &events, &p);
		cr_expect_eq(push_feed(p.push, (const uint8_t *)
		    cases[i].bytes, cases[i].n, 0, why, sizeof(why)), -1);
		if (cases[i].why != NULL)
			cr_expect_str_eq(why, cases[i].why, "%s", why);
		push_free(p.push);
		catalog_fini(&p.catalog);
	}
}
