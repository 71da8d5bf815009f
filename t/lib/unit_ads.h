/*
 * t/lib/unit_ads.h - for t/unit/ads*.c: a play of an xDS stream, written as
 * text and logged as text, with xds/ads.c between a server and an owner that
 * are both the test.
 *
 *   sub KIND NAME     unsub KIND NAME     wild KIND     unwild KIND
 *   hold KIND NAME VERSION                begin         end
 *   at MS             the clock, and ads_step
 *   take              all requests there are; "-" when there is none
 *   take1             one
 *   KIND VERSION NONCE ITEM...            a response ("" is written _)
 *   later | answer    updates are answered later | now
 *   retract KIND NAME it is bad, after all
 *   status KIND
 *
 *   ITEM  a     a resource a          a=x     with x in it; the owner refuses
 *         a/9   of version 9                  what has "bad" in it
 *         a~50  with a TTL of 50 ms   a?/9    no body: a heartbeat
 *         -a    removed (delta)       a>b     wrapped as a, named b inside
 *         <a>   wrapped (SotW), also  <a/9~50>
 *         %     rubbish               ^a      of another type
 *         0     no name               (a name is one letter or more)
 *
 * The log: "CDS v1 n1 [a b] NACK(a: why)", "CDS n1 +a -b {c=1}", "update CDS
 * v1: a -b", "missing EDS a", "end: why"; parted by " | ". "node: " before the
 * requests that have the node.
 */
#ifndef T_LIB_UNIT_ADS_H
#define T_LIB_UNIT_ADS_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ads.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"

enum {
	PLAY_LOG_BYTES = 64 << 10, PLAY_ITEMS_MAX = 64, PLAY_WORD_BYTES = 8192,
};

struct play {
	struct ads	*ads;
	bool		 delta, is_woken, is_later, is_quiet;
	int64_t		 now_ms;
	char		 log[PLAY_LOG_BYTES];
	size_t		 log_n;
};

static void __attribute__((format(printf, 2, 3)))
play_say(struct play *p, const char *format, ...)
{
	va_list args;

	if (p->is_quiet)
		return;
	va_start(args, format);
	p->log_n += (size_t)vsnprintf(p->log + p->log_n,
	    sizeof(p->log) - p->log_n, format, args);
	va_end(args);
	cr_assert_lt(p->log_n, sizeof(p->log));
}

static void
play_part(struct play *p)
{
	if (p->log_n > 0)
		play_say(p, " | ");
}

static const char *
play_or_none(const char *text)
{
	return text[0] != '\0' ? text : "_";
}

/* ---- the owner */

static bool
play_is_bad(const struct ads_item *item)
{
	return item->len >= 3 && memmem(item->bytes, item->len, "bad", 3) !=
	    NULL;
}

static bool
play_update(void *arg, struct ads *a, struct ads_update *u)
{
	struct play *p = arg;

	play_part(p);
	play_say(p, "update %s %s:", resource_about(u->kind)->acronym,
	    play_or_none(u->version));
	for (size_t i = 0; i < u->items_n; i++) {
		play_say(p, " %s", u->items[i].name);
		if (p->delta || strcmp(u->items[i].version, u->version) != 0)
			play_say(p, "/%s", u->items[i].version);
		if (play_is_bad(&u->items[i]))
			ads_refuse(a, &u->items[i], "it is bad");
	}
	for (size_t i = 0; i < u->removed_n; i++)
		play_say(p, " -%s", u->removed[i]);
	return !p->is_later;
}

static void
play_missing(void *arg, enum resource_kind kind, const char *name)
{
	play_part(arg);
	play_say(arg, "missing %s %s", resource_about(kind)->acronym, name);
}

static void
play_wake(void *arg)
{
	((struct play *)arg)->is_woken = true;
}

/* ---- the server reads */

static const char *
play_kind_of(const char *type_url)
{
	int kind = resource_kind_find(type_url);

	cr_assert_neq(kind, -1, "%s", type_url);
	cr_assert_eq(strncmp(type_url, "type.googleapis.com/", 20), 0);
	return resource_about((enum resource_kind)kind)->acronym;
}

static void
play_log_error(struct play *p, const Google__Rpc__Status *error)
{
	if (error == NULL)
		return;
	cr_assert_eq(error->code, 13);
	play_say(p, " NACK(%s)", error->message);
}

static void
play_log_sotw(struct play *p, const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DiscoveryRequest *m =
	    envoy__service__discovery__v3__discovery_request__unpack(NULL, n,
	    bytes);

	cr_assert_not_null(m);
	play_say(p, "%s%s %s %s [", m->node.len > 0 ? "node: " : "",
	    play_kind_of(m->type_url), play_or_none(m->version_info),
	    play_or_none(m->response_nonce));
	for (size_t i = 0; i < m->n_resource_names; i++)
		play_say(p, "%s%s", i > 0 ? " " : "", m->resource_names[i]);
	play_say(p, "]");
	play_log_error(p, m->error_detail);
	envoy__service__discovery__v3__discovery_request__free_unpacked(m,
	    NULL);
}

static void
play_log_delta(struct play *p, const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *m =
	    envoy__service__discovery__v3__delta_discovery_request__unpack(
	    NULL, n, bytes);

	cr_assert_not_null(m);
	play_say(p, "%s%s %s", m->node.len > 0 ? "node: " : "",
	    play_kind_of(m->type_url), play_or_none(m->response_nonce));
	for (size_t i = 0; i < m->n_resource_names_subscribe; i++)
		play_say(p, " +%s", m->resource_names_subscribe[i]);
	for (size_t i = 0; i < m->n_resource_names_unsubscribe; i++)
		play_say(p, " -%s", m->resource_names_unsubscribe[i]);
	for (size_t i = 0; i < m->n_initial_resource_versions; i++)
		play_say(p, "%s%s=%s", i == 0 ? " {" : " ",
		    m->initial_resource_versions[i]->key,
		    m->initial_resource_versions[i]->value);
	if (m->n_initial_resource_versions > 0)
		play_say(p, "}");
	play_log_error(p, m->error_detail);
	envoy__service__discovery__v3__delta_discovery_request__free_unpacked(
	    m, NULL);
}

/* Whatever can be taken was announced. */
static bool
play_take(struct play *p)
{
	uint8_t *bytes;
	size_t n;

	if (!ads_take(p->ads, p->now_ms, &bytes, &n))
		return false;
	cr_assert(p->is_woken, "nobody was woken for this: %s", p->log);
	play_part(p);
	if (p->delta)
		play_log_delta(p, bytes, n);
	else
		play_log_sotw(p, bytes, n);
	free(bytes);
	return true;
}

static void
play_take_all(struct play *p)
{
	int n = 0;

	while (play_take(p))
		cr_assert_lt(n++, 100, "it does not end: %s", p->log);
	if (n == 0) {
		play_part(p);
		play_say(p, "-");
	}
	p->is_woken = false;
}

/* ---- the server writes */

static size_t
play_put(uint8_t *to, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	cr_assert_lt(n, 1 << 14);
	to[0] = tag;
	to[1] = (uint8_t)(n | 0x80);	/* always two bytes: also legal */
	to[2] = (uint8_t)(n >> 7);
	memcpy(to + 3, text, n);
	return 3 + n;
}

/* A message with a name and something in it, in an Any. */
static Google__Protobuf__Any *
play_any(const char *type, const char *name, const char *inside)
{
	Google__Protobuf__Any *any = calloc(1, sizeof(*any));
	char url[256];
	size_t n = 0;

	google__protobuf__any__init(any);
	snprintf(url, sizeof(url), "type.googleapis.com/%s", type);
	any->type_url = strdup(url);
	any->value.data = calloc(1, 2 * PLAY_WORD_BYTES);
	if (name[0] != '\0')
		n += play_put(any->value.data, 1 << 3 | 2, name);
	if (inside[0] != '\0')
		n += play_put(any->value.data + n, 15 << 3 | 2, inside);
	any->value.len = n;
	return any;
}

static char *
play_cut(char *word, char at)
{
	char *found = strchr(word, at);

	if (found == NULL)
		return NULL;
	*found = '\0';
	return found + 1;
}

static Envoy__Service__Discovery__V3__Resource *
play_resource(const char *type, char *word)
{
	Envoy__Service__Discovery__V3__Resource *r = calloc(1, sizeof(*r));
	char *ttl = play_cut(word, '~'), *inside = play_cut(word, '=');
	char *version = play_cut(word, '/'), *other = play_cut(word, '>');
	size_t n = strlen(word);
	bool is_heartbeat = n > 0 && word[n - 1] == '?';

	envoy__service__discovery__v3__resource__init(r);
	if (is_heartbeat)
		word[n - 1] = '\0';
	r->name = strcmp(word, "0") != 0 ? strdup(word) : strdup("");
	r->version = strdup(version != NULL ? version : "");
	if (ttl != NULL) {
		r->ttl = calloc(1, sizeof(*r->ttl));
		google__protobuf__duration__init(r->ttl);
		r->ttl->seconds = atoll(ttl) / 1000;
		r->ttl->nanos = (int)(atoll(ttl) % 1000) * 1000000;
	}
	if (!is_heartbeat)
		r->resource = play_any(type, other != NULL ? other : r->name,
		    inside != NULL ? inside : "");
	if (strcmp(word, "%") == 0) {
		r->resource->value.len = 2;
		memcpy(r->resource->value.data, "\x0a\x7f", 2);
	}
	return r;
}

static Google__Protobuf__Any *
play_wrapped(const char *type, char *word)
{
	Envoy__Service__Discovery__V3__Resource *r;
	Google__Protobuf__Any *any = play_any(
	    "envoy.service.discovery.v3.Resource", "", "");

	word[strlen(word) - 1] = '\0';		/* the ">" */
	r = play_resource(type, word + 1);
	any->value.len =
	    envoy__service__discovery__v3__resource__pack(r, any->value.data);
	envoy__service__discovery__v3__resource__free_unpacked(r, NULL);
	return any;
}

static Google__Protobuf__Any *
play_item(const char *type, char *word)
{
	Google__Protobuf__Any *any;
	char *inside;

	if (word[0] == '<')
		return play_wrapped(type, word);
	if (word[0] == '^')
		return play_any("envoy.Other", word + 1, "");
	if (strcmp(word, "0") == 0)
		return play_any(type, "", "something");
	if (strcmp(word, "%") == 0) {
		any = play_any(type, "", "");
		any->value.len = 2;
		memcpy(any->value.data, "\x0a\x7f", 2);
		return any;
	}
	inside = play_cut(word, '=');
	return play_any(type, word, inside != NULL ? inside : "");
}

static const char *
play_text(const char *word)
{
	return strcmp(word, "_") != 0 ? word : "";
}

static char *
play_copy(const char *word)
{
	return strdup(play_text(word));
}

struct play_response {
	const char	*type;
	const char	*version, *nonce;
	char		*items[PLAY_ITEMS_MAX];
	size_t		 items_n;
};

static uint8_t *
play_pack_sotw(const struct play_response *r, size_t *n)
{
	Envoy__Service__Discovery__V3__DiscoveryResponse *m = calloc(1,
	    sizeof(*m));
	uint8_t *bytes;

	envoy__service__discovery__v3__discovery_response__init(m);
	m->type_url = malloc(256);
	snprintf(m->type_url, 256, "type.googleapis.com/%s", r->type);
	m->version_info = play_copy(r->version);
	m->nonce = play_copy(r->nonce);
	m->n_resources = r->items_n;
	m->resources = calloc(r->items_n + 1, sizeof(*m->resources));
	for (size_t i = 0; i < r->items_n; i++)
		m->resources[i] = play_item(r->type, r->items[i]);
	*n = protobuf_c_message_get_packed_size(&m->base);
	bytes = malloc(*n);
	protobuf_c_message_pack(&m->base, bytes);
	envoy__service__discovery__v3__discovery_response__free_unpacked(m,
	    NULL);
	return bytes;
}

static uint8_t *
play_pack_delta(const struct play_response *r, size_t *n)
{
	Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m = calloc(1,
	    sizeof(*m));
	uint8_t *bytes;

	envoy__service__discovery__v3__delta_discovery_response__init(m);
	m->type_url = malloc(256);
	snprintf(m->type_url, 256, "type.googleapis.com/%s", r->type);
	m->system_version_info = play_copy(r->version);
	m->nonce = play_copy(r->nonce);
	m->resources = calloc(r->items_n + 1, sizeof(*m->resources));
	m->removed_resources = calloc(r->items_n + 1, sizeof(char *));
	for (size_t i = 0; i < r->items_n; i++)
		if (r->items[i][0] == '-')
			m->removed_resources[m->n_removed_resources++] =
			    strdup(r->items[i] + 1);
		else
			m->resources[m->n_resources++] =
			    play_resource(r->type, r->items[i]);
	*n = protobuf_c_message_get_packed_size(&m->base);
	bytes = malloc(*n);
	protobuf_c_message_pack(&m->base, bytes);
	envoy__service__discovery__v3__delta_discovery_response__free_unpacked(
	    m, NULL);
	return bytes;
}

static int
play_feed(struct play *p, const uint8_t *bytes, size_t n)
{
	char why[512] = "";
	int rc = ads_feed(p->ads, bytes, n, p->now_ms, why, sizeof(why));

	if (rc == -1) {
		play_part(p);
		play_say(p, "end: %s", why);
	}
	return rc;
}

static void
play_respond(struct play *p, const char *type, char *rest)
{
	struct play_response r = { .type = type };
	char *save, *word;
	uint8_t *bytes;
	size_t n;

	r.version = strtok_r(rest, " ", &save);
	r.nonce = strtok_r(NULL, " ", &save);
	cr_assert_not_null(r.nonce, "a response without a nonce");
	while ((word = strtok_r(NULL, " ", &save)) != NULL) {
		cr_assert_lt(r.items_n, PLAY_ITEMS_MAX);
		r.items[r.items_n++] = word;
	}
	bytes = p->delta ? play_pack_delta(&r, &n) : play_pack_sotw(&r, &n);
	play_feed(p, bytes, n);
	free(bytes);
}

/* ---- a line of the play */

static int
play_kind(const char *word)
{
	for (int i = 0; word != NULL && i < RESOURCE_KINDS; i++)
		if (strcmp(resource_about((enum resource_kind)i)->acronym,
		    word) == 0)
			return i;
	return -1;
}

static void
play_status(struct play *p, enum resource_kind kind)
{
	struct ads_status s;

	ads_status(p->ads, kind, &s);
	play_part(p);
	play_say(p, "%s: %s, %llu accepted, %llu rejected, %llu unknown, "
	    "%zu wanted, %zu held, %zu waiting, %s, since %lld, \"%s\"",
	    resource_about(kind)->acronym, play_or_none(s.version),
	    (unsigned long long)s.accepted_n,
	    (unsigned long long)s.rejected_n,
	    (unsigned long long)s.unknown_n, s.wanted_n, s.held_n,
	    s.waiting_n, s.wildcard ? "wildcard" : "names",
	    (long long)s.since_ms, s.why);
}

/* The words that name a kind. */
static bool
play_name_line(struct play *p, const char *verb, char *rest)
{
	char *save, *word = strtok_r(rest, " ", &save), *name, *version;
	enum resource_kind kind = (enum resource_kind)play_kind(word);

	if (word == NULL || play_kind(word) == -1)
		return false;
	name = strtok_r(NULL, " ", &save);
	version = strtok_r(NULL, " ", &save);
	if (strcmp(verb, "sub") == 0)
		cr_assert(ads_subscribe(p->ads, kind, name));
	else if (strcmp(verb, "unsub") == 0)
		ads_unsubscribe(p->ads, kind, name);
	else if (strcmp(verb, "wild") == 0 || strcmp(verb, "unwild") == 0)
		ads_wildcard(p->ads, kind, verb[0] == 'w');
	else if (strcmp(verb, "hold") == 0)
		cr_assert(ads_hold(p->ads, kind, name, version));
	else if (strcmp(verb, "retract") == 0)
		ads_retract(p->ads, kind, name, "it is bad", p->now_ms);
	else if (strcmp(verb, "status") == 0)
		play_status(p, kind);
	else
		return false;
	return true;
}

static void
play_line(struct play *p, char *line)
{
	char *rest = strchr(line, ' ');
	int64_t next;

	if (rest != NULL)
		*rest++ = '\0';
	if (strcmp(line, "begin") == 0)
		ads_begin(p->ads, p->now_ms);
	else if (strcmp(line, "end") == 0)
		ads_end(p->ads);
	else if (strcmp(line, "take") == 0)
		play_take_all(p);
	else if (strcmp(line, "take1") == 0)
		cr_assert(play_take(p), "nothing to take: %s", p->log);
	else if (strcmp(line, "later") == 0)
		p->is_later = true;
	else if (strcmp(line, "answer") == 0)
		ads_answer(p->ads, p->now_ms);
	else if (strcmp(line, "at") == 0) {
		p->now_ms = atoll(rest);
		next = ads_step(p->ads, p->now_ms);
		cr_assert(next == -1 || next > 0, "%lld",
		    (long long)next);
	} else if (play_kind(line) != -1)
		play_respond(p, resource_about((enum resource_kind)
		    play_kind(line))->message, rest);
	else if (strcmp(line, "XXX") == 0)
		play_respond(p, "envoy.Unknown", rest);
	else
		cr_assert(rest != NULL && play_name_line(p, line, rest),
		    "what is \"%s\"?", line);
}

enum { PLAY_DELTA = 1, PLAY_NODE_ONCE = 2 };

static void
play_open(struct play *p, int flags, uint32_t missing_ms)
{
	static const struct ads_events events = { play_update, play_missing,
		play_wake };
	const struct ads_settings s = {
		.delta = (flags & PLAY_DELTA) != 0,
		.node_once = (flags & PLAY_NODE_ONCE) != 0,
		.node = (const uint8_t *)"\x0a\x01n", .node_len = 3,
		.missing_ms = missing_ms,
	};

	memset(p, 0, sizeof(*p));
	p->delta = s.delta;
	p->ads = ads_new(&s, &events, p);
	cr_assert_not_null(p->ads);
}

static void
play_lines(struct play *p, const char *lines)
{
	char *copy = strdup(lines), *save, *line;

	for (line = strtok_r(copy, ";", &save); line != NULL;
	    line = strtok_r(NULL, ";", &save)) {
		line += strspn(line, " ");
		if (*line != '\0')
			play_line(p, line);
	}
	free(copy);
}

struct play_case {
	const char	*what, *lines, *want;
	int		 flags;
};

enum { PLAY_MISSING_MS = 15000 };

static void
play_cases(const struct play_case *cases, size_t n)
{
	struct play *p = malloc(sizeof(*p));

	for (size_t i = 0; i < n; i++) {
		play_open(p, cases[i].flags, PLAY_MISSING_MS);
		play_lines(p, cases[i].lines);
		cr_expect_str_eq(p->log, cases[i].want, "%s:\n got: %s\n"
		    "want: %s", cases[i].what, p->log, cases[i].want);
		ads_free(p->ads);
	}
	free(p);
}

#define PLAY(cases)	play_cases(cases, sizeof(cases) / sizeof((cases)[0]))

#endif
