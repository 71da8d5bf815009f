/*
 * xds/ems/intent.c - see intent.h. The reader is xds/load.c, led by the
 * messages' descriptors; here is what a descriptor can't say.
 */
#include "xds/ems/intent.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/load.h"
#include "xds/proto/godwit/ems/intent.pb-c.h"
#include "xds/retry_on.h"

typedef Godwit__Ems__V1__Region Region;
typedef Godwit__Ems__V1__Gateway Gateway;
typedef Godwit__Ems__V1__Service Service;
typedef Godwit__Ems__V1__Service__Method Method;
typedef Godwit__Ems__V1__Limit Limit;
typedef Godwit__Ems__V1__Caller Caller;

enum {
	MESSAGE_BYTES_MAX = 16 << 20,
	DEADLINE_S_MAX = 4294967,	/* 49 days: as many as a proxy takes */
	ROUTES_MAX = 20000,		/* that one service may become */
};

static const char *const words[INTENT_NOUNS] = {
#define NOUN(id, noun, message) [INTENT_##id] = noun,
#include "xds/ems/noun.def"
#undef NOUN
};

static const ProtobufCMessageDescriptor *const descriptors[INTENT_NOUNS] = {
#define NOUN(id, noun, message)						\
	[INTENT_##id] = &godwit__ems__v1__##message##__descriptor,
#include "xds/ems/noun.def"
#undef NOUN
};

const char *
intent_word(enum intent_noun noun)
{
	return words[noun];
}

const char *
intent_words(void)
{
	static const char all[] =
#define NOUN(id, noun, message) ", " noun
#include "xds/ems/noun.def"
#undef NOUN
	    ;

	return all + 2;
}

int
intent_noun_find(const char *word)
{
	for (int i = 0; i < INTENT_NOUNS; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

bool
intent_name_is_good(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= INTENT_NAME_MAX && strspn(name,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-") == n;
}

bool
intent_address(const char *text, char *host, size_t host_len, unsigned *port)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	bool six = n > 2 && text[0] == '[' && text[n - 1] == ']';
	unsigned char ip[16];
	char *end;

	if (n == 0 || n >= host_len || colon[1] < '0' || colon[1] > '9')
		return false;
	snprintf(host, host_len, "%.*s", (int)(six ? n - 2 : n),
	    six ? text + 1 : text);
	*port = (unsigned)strtoul(colon + 1, &end, 10);
	return *end == '\0' && *port > 0 && *port <= 65535 &&
	    inet_pton(six ? AF_INET6 : AF_INET, host, ip) == 1;
}

/* ---- refusals */

struct check {
	const struct yaml *yaml;
	char		*why;
	size_t		 why_len;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct check *c, const char *path, const char *format, ...)
{
	const struct yaml_node *at = yaml_find_path(c->yaml, path);
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return why_set(c->why, c->why_len, "%s:%u:%u: %s: %s",
	    yaml_file(c->yaml), at->line, at->col, path, text);
}

static int
name_check(const struct check *c, const char *path, const char *name)
{
	return intent_name_is_good(name) ? 0 : fail(c, path, "\"%.140s\" is "
	    "no name, expected 1..%d letters, digits, and \".\", \"_\", "
	    "\"-\"", name, INTENT_NAME_MAX);
}

/* Each of a list, and none twice. */
static int
names_check(const struct check *c, const char *field, char *const *names,
    size_t n)
{
	char path[64];

	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s[%zu]", field, i);
		if (name_check(c, path, names[i]) == -1)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return fail(c, path, "\"%s\" stands there "
				    "twice", names[i]);
	}
	return 0;
}

/* ---- by noun */

static int
gateway_check(const struct check *c, const Gateway *m)
{
	char path[64], host[INET6_ADDRSTRLEN];
	unsigned port;

	if (*m->region == '\0')
		return fail(c, "gateway", "has no region, expected the one it "
		    "stands in");
	if (name_check(c, "region", m->region) == -1)
		return -1;
	if (m->n_addresses == 0)
		return fail(c, "gateway", "has no addresses, expected where "
		    "the other regions reach it");
	for (size_t i = 0; i < m->n_addresses; i++) {
		snprintf(path, sizeof(path), "addresses[%zu]", i);
		if (!intent_address(m->addresses[i], host, sizeof(host),
		    &port))
			return fail(c, path, "\"%.100s\" is no address, "
			    "expected 10.0.0.1:8443", m->addresses[i]);
	}
	return *m->listen == '\0' || intent_address(m->listen, host,
	    sizeof(host), &port) ? 0 : fail(c, "listen", "\"%.100s\" is no "
	    "address, expected 0.0.0.0:8443", m->listen);
}

static int
reasons_check(const struct check *c, const char *path, char *const *on,
    size_t n)
{
	const char *best;

	for (size_t i = 0; i < n; i++)
		if (retry_on_find(on[i], &best) == -1)
			return fail(c, path, "retry.on: \"%.60s\" is no reason "
			    "to retry%s%s%s", on[i], best == NULL ?
			    ", expected some of connect-failure, "
			    "refused-stream, reset, unavailable and others" :
			    ", did you mean \"", best == NULL ? "" : best,
			    best == NULL ? "" : "\"?");
	return 0;
}

static int
method_check(const struct check *c, const char *path, const Method *m)
{
	const Godwit__Ems__V1__Service__Retry *r = m == NULL ? NULL : m->retry;

	if (m != NULL && m->deadline != NULL && (m->deadline->seconds < 0 ||
	    (m->deadline->seconds == 0 && m->deadline->nanos <= 0)))
		return fail(c, path, "has a deadline of no time, expected "
		    "more than 0s");
	if (m != NULL && m->deadline != NULL &&
	    m->deadline->seconds >= DEADLINE_S_MAX)
		return fail(c, path, "has a deadline of more than 49 days, "
		    "expected at most %ds", DEADLINE_S_MAX);
	if (r != NULL && reasons_check(c, path, r->on, r->n_on) == -1)
		return -1;
	return r == NULL || r->max == NULL || r->max->value <= 10 ? 0 :
	    fail(c, path, "retry.max is %u, expected 0..10", r->max->value);
}

static int
versions_check(const struct check *c, const Service *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_versions; i++) {
		if (name_check(c, "versions", m->versions[i]->key) == -1)
			return -1;
		if (m->versions[i]->value != NULL)
			sum += m->versions[i]->value->weight;
	}
	if (m->n_versions > 0 && sum == 0)
		return fail(c, "versions", "have no weight together, expected "
		    "shares of the calls");
	return sum <= UINT32_MAX ? 0 : fail(c, "versions", "have a weight of "
	    "more than 4294967295 together");
}

/* Each method of each gRPC name, and the rest of that, says all versions. */
static int
routes_check(const struct check *c, const Service *m)
{
	size_t n = (m->n_methods + 1) * (m->n_grpc == 0 ? 1 : m->n_grpc) *
	    (m->n_versions == 0 ? 1 : m->n_versions);

	return n <= ROUTES_MAX ? 0 : fail(c, "service", "becomes %zu routes "
	    "(methods times gRPC names times versions), expected at most %d",
	    n, ROUTES_MAX);
}

static int
service_check(const struct check *c, const Service *m)
{
	char path[INTENT_NAME_MAX + 16];

	if (names_check(c, "grpc", m->grpc, m->n_grpc) == -1 ||
	    (m->regions != NULL && (names_check(c, "regions.allow",
	    m->regions->allow, m->regions->n_allow) == -1 || names_check(c,
	    "regions.order", m->regions->order, m->regions->n_order) == -1)))
		return -1;
	if (method_check(c, "defaults", m->defaults) == -1)
		return -1;
	for (size_t i = 0; i < m->n_methods; i++) {
		if (name_check(c, "methods", m->methods[i]->key) == -1)
			return -1;
		snprintf(path, sizeof(path), "methods[\"%s\"]",
		    m->methods[i]->key);
		if (method_check(c, path, m->methods[i]->value) == -1)
			return -1;
	}
	if (m->limits != NULL && m->limits->in_flight != NULL &&
	    m->limits->in_flight->value == 0)
		return fail(c, "limits", "in_flight is 0, expected 1 or more");
	return versions_check(c, m) == -1 ? -1 : routes_check(c, m);
}

static int
limit_check(const struct check *c, const Limit *m)
{
	if (m->in_flight == NULL)
		return fail(c, "limit", "limits nothing, expected in_flight");
	if (m->in_flight->value == 0)
		return fail(c, "in_flight", "is 0, expected 1 or more");
	return names_check(c, "services", m->services, m->n_services);
}

static int
caller_check(const struct check *c, const Caller *m)
{
	char path[64], name[2 * INTENT_NAME_MAX + 2];
	char *slash;

	for (size_t i = 0; i < m->n_may; i++) {
		snprintf(path, sizeof(path), "may[%zu]", i);
		snprintf(name, sizeof(name), "%s", m->may[i]);
		if ((slash = strchr(name, '/')) != NULL)
			*slash = '\0';
		if (strlen(m->may[i]) >= sizeof(name) ||
		    name_check(c, path, name) == -1 ||
		    (slash != NULL && name_check(c, path, slash + 1) == -1))
			return fail(c, path, "\"%.140s\" is neither SERVICE "
			    "nor SERVICE/METHOD", m->may[i]);
	}
	return 0;
}

static int
check(const struct check *c, const struct intent *i)
{
	if (name_check(c, words[i->noun], i->name) == -1)
		return -1;
	switch (i->noun) {
	case INTENT_GATEWAY:
		return gateway_check(c, i->message);
	case INTENT_SERVICE:
		return service_check(c, i->message);
	case INTENT_LIMIT:
		return limit_check(c, i->message);
	case INTENT_CALLER:
		return caller_check(c, i->message);
	case INTENT_REGION:
	case INTENT_NOUNS:
		break;
	}
	return 0;
}

/* ---- reading */

/* The first key is the noun. */
static int
noun_read(const struct yaml *y, enum intent_noun *noun, char *why,
    size_t why_len)
{
	const struct yaml_node *root = yaml_root(y);
	int found = root->kind == YAML_MAPPING && root->n > 0 ?
	    intent_noun_find(root->keys[0].text) : -1;

	if (found == -1)
		return why_set(why, why_len, "%s:%u:%u: an intent begins with "
		    "its noun, expected one of %s", yaml_file(y), root->line,
		    root->col, intent_words());
	*noun = (enum intent_noun)found;
	return 0;
}

/* Field 1 of each. */
static const char *
name_of(const struct intent *i)
{
	const ProtobufCFieldDescriptor *f =
	    protobuf_c_message_descriptor_get_field(descriptors[i->noun], 1);

	return *(char *const *)(const void *)((const char *)i->message +
	    f->offset);
}

static bool
fill(struct intent *i, const struct yaml *y, char *why, size_t why_len)
{
	const struct check c = { y, why, why_len };

	if (noun_read(y, &i->noun, why, why_len) == -1)
		return false;
	if ((i->arena = load_arena_new(MESSAGE_BYTES_MAX)) == NULL) {
		why_set(why, why_len, "no memory is left");
		return false;
	}
	i->message = load_message(i->arena, descriptors[i->noun], y,
	    yaml_root(y), "", why, why_len);
	if (i->message == NULL)
		return false;
	i->name = name_of(i);
	return check(&c, i) == 0;
}

struct intent *
intent_read(const char *text, size_t n, const char *file, char *why,
    size_t why_len)
{
	struct intent *i = n > INTENT_BYTES_MAX ? NULL : calloc(1, sizeof(*i));
	struct yaml *y = NULL;
	bool good = false;

	if (i == NULL)
		why_set(why, why_len, "%s: has %zu bytes, expected at most "
		    "%d", file, n, INTENT_BYTES_MAX);
	else if ((y = yaml_read(text, n, file, why, why_len)) != NULL)
		good = fill(i, y, why, why_len);
	yaml_close(y);
	if (good)
		return i;
	intent_free(i);
	return NULL;
}

void
intent_free(struct intent *i)
{
	if (i == NULL)
		return;
	load_arena_free(i->arena);
	free(i);
}
