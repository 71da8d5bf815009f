/*
 * master/compile_register.c - the setting register: its items as messages, and
 * those as what the master does (register_settings.h).
 *
 *   godwit:
 *     ems: ems.mesh:18000
 *     register:
 *     - service: tasks.TaskStore
 *       address: 127.0.0.1:50051
 *
 * What godwit-ems would refuse of the words is refused here already, with its
 * place. Source: xds/proto/godwit/register.proto. Test: t/unit/register_file.c.
 */
#include "master/compile_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shm/log.h"
#include "xds/ems/lease.h"
#include "xds/proto/godwit/register.pb-c.h"

typedef Godwit__V1__Register Register;
typedef Godwit__V1__Register__Check Check;
typedef Envoy__Config__Core__V3__Locality Locality;

enum {
	INTERVAL_MS = 2000, TIMEOUT_MS = 1000, HEALTHY_N = 1, UNHEALTHY_N = 2,
	CHECK_MS_MIN = 10, CHECK_MS_MAX = 600000, CHECKS_MAX = 100,
	WEIGHT_MAX = 1000000,
};

struct reader {
	const struct yaml *yaml;
	const struct conf *conf;
	size_t		 i;		/* of the item */
	char		*why;
	size_t		 why_len;
};

static int	fail(const struct reader *r, const char *field,
		    const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));

/* At a field of the item, or ("") at the item. */
static int
fail(const struct reader *r, const char *field, const char *fmt, ...)
{
	const struct yaml_node *at;
	char path[128], text[512];
	va_list ap;

	snprintf(path, sizeof(path), "godwit.register[%zu]%s%s", r->i,
	    *field == '\0' ? "" : ".", field);
	at = yaml_find_path(r->yaml, path);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return why_set(r->why, r->why_len, "%s:%u:%u: %s: %s",
	    yaml_file(r->yaml), (unsigned)at->line, (unsigned)at->col, path,
	    text);
}

/* ---- words */

static int
name_take(const struct reader *r, const char *field, const char *from,
    bool may_lack, char to[REGISTER_NAME_BYTES])
{
	if (!intent_name_is_good(from) && !(may_lack && *from == '\0'))
		return fail(r, field, "is \"%.140s\", expected 1..%d letters, "
		    "digits, and \".\", \"_\", \"-\"", from, INTENT_NAME_MAX);
	snprintf(to, REGISTER_NAME_BYTES, "%s", from);
	return 0;
}

/* d: NULL for what is not said. */
static int
time_take(const struct reader *r, const char *field, const Duration *d,
    uint32_t otherwise_ms, uint32_t min_ms, uint32_t max_ms, uint32_t *to_ms)
{
	int64_t ms = d == NULL ? otherwise_ms :
	    d->seconds > max_ms ? INT64_MAX :
	    d->seconds * 1000 + d->nanos / 1000000;

	if (ms < min_ms || ms > max_ms)
		return fail(r, field, "expected %u.%03us to %us",
		    min_ms / 1000, min_ms % 1000, max_ms / 1000);
	*to_ms = (uint32_t)ms;
	return 0;
}

static int
number_take(const struct reader *r, const char *field, uint32_t from,
    uint32_t otherwise, uint32_t max, uint32_t *to)
{
	if (from > max)
		return fail(r, field, "is %u, expected at most %u", from,
		    max);
	*to = from == 0 ? otherwise : from;
	return 0;
}

/* ---- addresses */

static void
socket_fill(const char *host, unsigned port, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (void *)to;
	struct sockaddr_in6 *in6 = (void *)to;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, host, &in6->sin6_addr);
}

static int
address_parse(const struct reader *r, const char *field, const char *text,
    char host[REGISTER_ADDRESS_BYTES], unsigned *port)
{
	if (intent_address(text, host, REGISTER_ADDRESS_BYTES, port))
		return 0;
	return fail(r, field, "is \"%.100s\", expected ADDRESS:PORT", text);
}

static bool
is_any(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static int
addresses_take(const struct reader *r, const Register *m,
    struct register_settings *s)
{
	const char *told = *m->advertise == '\0' ? m->address : m->advertise;
	char host[REGISTER_ADDRESS_BYTES];
	unsigned port, told_port;

	if (address_parse(r, "address", m->address, host, &port) == -1 ||
	    address_parse(r, "advertise", told, s->host, &told_port) == -1)
		return -1;
	if (is_any(s->host))
		return fail(r, *m->advertise == '\0' ? "address" :
		    "advertise", "%s can't be called by others, expected "
		    "advertise: the ADDRESS:PORT that can", told);
	s->port = told_port;
	socket_fill(host, port, &s->address);
	snprintf(s->address_text, sizeof(s->address_text), "%s", m->address);
	return 0;
}

/* As godwit-ems makes it: the same for as long as the same is meant. */
static int
id_take(const struct reader *r, const Register *m,
    struct register_settings *s)
{
	char id[REGISTER_NAME_BYTES + REGISTER_ADDRESS_BYTES + 16];

	if (*m->id != '\0')
		return name_take(r, "id", m->id, false, s->id);
	snprintf(id, sizeof(id), "%s-%s-%u", s->service, s->host, s->port);
	if (strlen(id) >= sizeof(s->id))
		return fail(r, "service", "is too long to make an id of it, "
		    "expected an id");
	for (char *at = id; *at != '\0'; at++)
		if (*at == ':')
			*at = '.';	/* of an IPv6 address */
	memcpy(s->id, id, strlen(id) + 1);
	return 0;
}

/* ---- an item */

static int
check_take(const struct reader *r, const Check *c,
    struct register_settings *s)
{
	s->grpc = c->how_case == GODWIT__V1__REGISTER__CHECK__HOW_GRPC;
	if (s->grpc && strlen(c->grpc->value) >= sizeof(s->check_service))
		return fail(r, "check.grpc", "expected at most %zu bytes",
		    sizeof(s->check_service) - 1);
	if (s->grpc)
		snprintf(s->check_service, sizeof(s->check_service), "%s",
		    c->grpc->value);
	if (time_take(r, "check.interval", c->interval, INTERVAL_MS,
	    CHECK_MS_MIN, CHECK_MS_MAX, &s->interval_ms) == -1 ||
	    time_take(r, "check.timeout", c->timeout, TIMEOUT_MS, CHECK_MS_MIN,
	    CHECK_MS_MAX, &s->timeout_ms) == -1 ||
	    number_take(r, "check.healthy", c->healthy, HEALTHY_N, CHECKS_MAX,
	    &s->healthy_n) == -1)
		return -1;
	return number_take(r, "check.unhealthy", c->unhealthy, UNHEALTHY_N,
	    CHECKS_MAX, &s->unhealthy_n);
}

static int
item_take(const struct reader *r, const Register *m, const Locality *own,
    struct register_settings *s)
{
	const char *zone = *m->zone == '\0' ? own->zone : m->zone;
	static const Check otherwise = GODWIT__V1__REGISTER__CHECK__INIT;

	memset(s, 0, sizeof(*s));
	snprintf(s->region, sizeof(s->region), "%s", own->region);
	snprintf(s->plane, sizeof(s->plane), "%s", r->conf->ems);
	if (name_take(r, "service", m->service, false, s->service) == -1 ||
	    name_take(r, "zone", zone, true, s->zone) == -1 ||
	    name_take(r, "version", m->version, true, s->version) == -1 ||
	    addresses_take(r, m, s) == -1 || id_take(r, m, s) == -1 ||
	    number_take(r, "weight", m->weight, 1, WEIGHT_MAX,
	    &s->weight) == -1 || time_take(r, "ttl", m->ttl, LEASE_TTL_MS,
	    LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS, &s->ttl_ms) == -1)
		return -1;
	return check_take(r, m->check == NULL ? &otherwise : m->check, s);
}

static int
unique(const struct reader *r, const struct register_list *l)
{
	for (size_t j = 0; j < r->i; j++)
		if (strcmp(l->at[j].id, l->at[r->i].id) == 0)
			return fail(r, "", "is registered by the id %s, as "
			    "godwit.register[%zu] is, expected another id",
			    l->at[j].id, j);
	return 0;
}

/* ---- the list */

static int
list_check(const struct yaml *y, const struct yaml_node *list,
    const struct conf *conf, const char *region, char *why, size_t why_len)
{
	const char *text = NULL;

	if (list->kind != YAML_SEQUENCE)
		text = "expected a list of apps to be registered";
	else if (list->n > REGISTER_MAX)
		text = "there are too many, expected at most 16";
	else if (list->n > 0 && *conf->ems == '\0')
		text = "there is no godwit.ems to be registered at";
	else if (list->n > 0 && !intent_name_is_good(region))
		text = "node.locality.region says in no region we are, "
		    "expected its name";
	return text == NULL ? 0 : why_set(why, why_len, "%s:%u:%u: "
	    "godwit.register: %s", yaml_file(y), (unsigned)list->line,
	    (unsigned)list->col, text);
}

static const struct yaml_node *
list_find(const struct yaml *y)
{
	const struct yaml_node *root = yaml_root(y), *own = NULL, *list = NULL;

	if (root->kind == YAML_MAPPING)
		own = yaml_find(root, "godwit");
	if (own != NULL && own->kind == YAML_MAPPING)
		list = yaml_find(own, "register");
	return list == NULL || list->kind == YAML_NULL ? NULL : list;
}

int
compile_register(struct load_arena *memory, const struct yaml *y,
    const ProtobufCMessage *bootstrap, const struct conf *conf,
    struct register_list *to, char *why, size_t why_len)
{
	const Bootstrap *b = (const Bootstrap *)bootstrap;
	static char none[] = "";
	static const Locality nowhere = { .region = none, .zone = none };
	const Locality *own = b->node == NULL || b->node->locality == NULL ?
	    &nowhere : b->node->locality;
	const struct yaml_node *list = list_find(y);
	struct reader r = { .yaml = y, .conf = conf, .why = why, .why_len = why_len };
	const Register *m;
	char path[64];

	to->n = 0;
	if (list == NULL)
		return 0;
	if (list_check(y, list, conf, own->region, why, why_len) == -1)
		return -1;
	for (; r.i < list->n; r.i++) {
		snprintf(path, sizeof(path), "godwit.register[%zu]", r.i);
		m = (const Register *)load_message(memory,
		    &godwit__v1__register__descriptor, y, &list->items[r.i],
		    path, why, why_len);
		if (m == NULL || item_take(&r, m, own, &to->at[r.i]) == -1
		    || unique(&r, to) == -1)
			return -1;
		to->n++;
	}
	return 0;
}
