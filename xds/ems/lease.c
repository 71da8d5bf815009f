/*
 * xds/ems/lease.c - see lease.h.
 *
 *   step(lease, event)    what it does to the model
 *   HEARTBEAT             back to LIVE
 *   SILENT (timer)        LIVE -> SUSPECT -> DRAINING -> gone, but L3
 *                         with DRAINING it leaves the store, so that a restart
 *                         does not bring back the dead for a ttl
 *   LEFT (deregistered)   DRAINING, then gone
 */
#include "xds/ems/lease.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shm/log.h"

enum { BUCKETS = 4096, REGIONS_MAX = 256, WHY_BYTES = 512 };

struct region {
	char		*name;
	size_t		 all, lapsed;
	bool		 alarmed;	/* it was said */
};

struct lease {
	struct lease	*next_by_hash;
	struct leases	*leases;
	struct timer	 timer;
	uint64_t	 hash, epoch;
	int64_t		 heard_ms;	/* its last word */
	uint32_t	 ttl_ms;
	struct region	*region;	/* counted there */
	bool		 left;		/* deregistered */
	bool		 lapsed;	/* counted so */
	char		*service;
	struct model_endpoint endpoint;	/* as the model has it */
};

struct leases {
	struct ems	*ems;
	struct store	*store;
	struct lease	*buckets[BUCKETS];
	size_t		 n;
	uint64_t	 epoch;		/* the last that was given */
	struct region	 regions[REGIONS_MAX];
	size_t		 regions_n;
};

/* ---- finding */

static uint64_t
id_hash(const char *id)
{
	return XXH3_64bits(id, strlen(id));
}

static struct lease *
find(const struct leases *l, const char *id)
{
	uint64_t hash = id_hash(id);
	struct lease *at = l->buckets[hash % BUCKETS];

	while (at != NULL && (at->hash != hash ||
	    strcmp(at->endpoint.id, id) != 0))
		at = at->next_by_hash;
	return at;
}

static struct region *
region_find(const struct leases *l, const char *name)
{
	for (size_t i = 0; i < l->regions_n; i++)
		if (strcmp(l->regions[i].name, name) == 0)
			return (struct region *)(uintptr_t)&l->regions[i];
	return NULL;
}

static struct region *
region_get(struct leases *l, const char *name)
{
	struct region *r = region_find(l, name);

	if (r != NULL || l->regions_n == REGIONS_MAX)
		return r;
	r = &l->regions[l->regions_n];
	if ((r->name = strdup(name)) == NULL)
		return NULL;
	l->regions_n++;
	return r;
}

static int64_t
now_ms(const struct leases *l)
{
	return l->ems->loop->now.ns / 1000000;
}

/* ---- L3 */

static bool
is_en_masse(const struct region *r)
{
	return r->lapsed > LEASE_LAPSED_MIN &&
	    r->lapsed * 100 > r->all * LEASE_LAPSED_MAX_PERCENT;
}

static void
alarm_tell(struct region *r)
{
	bool is = is_en_masse(r);

	if (is && !r->alarmed)
		log_error("region %s: %zu of %zu leases have lapsed: none is "
		    "taken out for that; is it we who can't hear them?",
		    r->name, r->lapsed, r->all);
	else if (!is && r->alarmed)
		log_info("region %s: %zu of %zu leases are silent; leases end "
		    "again", r->name, r->lapsed, r->all);
	r->alarmed = is;
}

static void
lapsed_set(struct lease *at, bool lapsed)
{
	at->region->lapsed += lapsed;
	at->region->lapsed -= at->lapsed;
	at->lapsed = lapsed;
	alarm_tell(at->region);
}

bool
lease_alarm(const struct leases *l, const char *region, size_t *lapsed,
    size_t *all)
{
	const struct region *r = region_find(l, region);

	*lapsed = r == NULL ? 0 : r->lapsed;
	*all = r == NULL ? 0 : r->all;
	return r != NULL && is_en_masse(r);
}

/* ---- a lease's life */

enum event { HEARTBEAT, SILENT, LEFT };

static void
timer_set(struct lease *at, int64_t ms)
{
	struct loop *loop = at->leases->ems->loop;

	timer_stop(&loop->timers, &at->timer);
	timer_start(&loop->timers, &at->timer, loop->now, ms);
}

static void
health_set(struct lease *at, enum model_health health)
{
	if (at->endpoint.health == health)
		return;
	at->endpoint.health = health;
	if (!model_endpoint_put(&at->leases->ems->model, at->service,
	    &at->endpoint))
		log_error("lease %s: no memory is left", at->endpoint.id);
	ems_publish_soon(at->leases->ems);
}

static void
lease_free(struct lease *at)
{
	timer_stop(&at->leases->ems->loop->timers, &at->timer);
	free(at->service);
	free(at);
}

/* Out of the table and its region's count. */
static void
unlink_lease(struct lease *at)
{
	struct lease **to = &at->leases->buckets[at->hash % BUCKETS];

	while (*to != at)
		to = &(*to)->next_by_hash;
	*to = at->next_by_hash;
	at->leases->n--;
	lapsed_set(at, false);
	at->region->all--;
	alarm_tell(at->region);
}

static void
forgotten(void *arg, const struct store_answer *a)
{
	(void)arg;
	if (a->result != STORE_OK)
		log_error("a lease that ended is still stored: %s", a->why);
}

static void
store_forget(struct lease *at)
{
	if (store_lease_remove(at->leases->store,
	    store_text(at->endpoint.id), at->epoch, forgotten, NULL) == -1)
		log_error("lease %s: no memory is left", at->endpoint.id);
}

static void
known_again(void *arg, const struct store_answer *a)
{
	(void)arg;
	if (a->result != STORE_OK)
		log_error("a lease that came back is not stored: %s", a->why);
}

/* Should this get lost, its next heartbeat after a restart is told to register
 * anew. */
static void
store_again(struct lease *at)
{
	const struct model_endpoint *e = &at->endpoint;
	const struct store_lease l = { .id = store_text(e->id),
	    .epoch = at->epoch, .service = store_text(at->service),
	    .region = store_text(e->region), .zone = store_text(e->zone),
	    .address = store_text(e->address), .port = e->port,
	    .weight = e->weight, .label = store_text(e->version),
	    .ttl_ms = at->ttl_ms, .checks = store_text("") };

	if (store_lease_put(at->leases->store, &l, known_again, NULL) == -1)
		log_error("lease %s: no memory is left", e->id);
}

static void
lease_end(struct lease *at)
{
	struct leases *l = at->leases;

	log_info("lease %s of %s: gone%s", at->endpoint.id, at->service,
	    at->left ? "" : ", nothing was heard of it");
	model_endpoint_remove(&l->ems->model, at->service, at->endpoint.id);
	ems_publish_soon(l->ems);
	unlink_lease(at);
	lease_free(at);
}

static void
silent_step(struct lease *at)
{
	if (!at->lapsed)
		lapsed_set(at, true);
	if (at->endpoint.health == MODEL_LIVE) {
		health_set(at, MODEL_SUSPECT);
		timer_set(at, at->ttl_ms);
	} else if (is_en_masse(at->region)) {
		/* Whoever was draining for it gets calls again. */
		if (at->endpoint.health == MODEL_DRAINING)
			store_again(at);
		health_set(at, MODEL_SUSPECT);
		timer_set(at, at->ttl_ms);
	} else if (at->endpoint.health == MODEL_SUSPECT) {
		log_warn("lease %s of %s: silent for %lld ms, it is drained",
		    at->endpoint.id, at->service,
		    (long long)(now_ms(at->leases) - at->heard_ms));
		health_set(at, MODEL_DRAINING);
		store_forget(at);
		timer_set(at, LEASE_GONE_MS);
	} else
		lease_end(at);
}

/* at may be gone after it. */
static void
step(struct lease *at, enum event event)
{
	switch (event) {
	case HEARTBEAT:
		at->heard_ms = now_ms(at->leases);
		if (at->left)
			break;
		if (at->lapsed)
			lapsed_set(at, false);
		if (at->endpoint.health == MODEL_DRAINING)
			store_again(at);
		health_set(at, MODEL_LIVE);
		timer_set(at, at->ttl_ms);
		break;
	case LEFT:
		at->left = true;
		if (at->lapsed)
			lapsed_set(at, false);
		health_set(at, MODEL_DRAINING);
		timer_set(at, LEASE_DRAIN_MS);
		break;
	case SILENT:
		if (at->left)
			lease_end(at);
		else
			silent_step(at);
		break;
	}
}

static void
timer_fire(struct timer *t)
{
	step(CONTAINER(t, struct lease, timer), SILENT);
}

/* ---- beginning, or beginning anew */

static bool
lease_fill(struct leases *l, struct lease *at, const struct store_lease *from)
{
	struct model_endpoint *e = &at->endpoint;

	*e = (struct model_endpoint){ .health = MODEL_LIVE,
	    .weight = from->weight, .port = from->port };
	snprintf(e->id, sizeof(e->id), "%.*s", (int)from->id.n, from->id.p);
	snprintf(e->address, sizeof(e->address), "%.*s", (int)from->address.n,
	    from->address.p);
	snprintf(e->region, sizeof(e->region), "%.*s", (int)from->region.n,
	    from->region.p);
	snprintf(e->zone, sizeof(e->zone), "%.*s", (int)from->zone.n,
	    from->zone.p);
	snprintf(e->version, sizeof(e->version), "%.*s", (int)from->label.n,
	    from->label.p);
	at->leases = l;
	at->hash = id_hash(e->id);
	at->epoch = from->epoch;
	at->ttl_ms = from->ttl_ms;
	at->heard_ms = now_ms(l);
	at->timer.fire = timer_fire;
	at->service = strndup(from->service.p, from->service.n);
	at->region = region_get(l, e->region);
	return at->service != NULL && at->region != NULL;
}

/* In the place of one of its id. */
static bool
lease_begin(struct leases *l, const struct store_lease *from)
{
	struct lease *at = calloc(1, sizeof(*at)), *before;

	if (at == NULL || !lease_fill(l, at, from) ||
	    !model_endpoint_put(&l->ems->model, at->service, &at->endpoint)) {
		if (at != NULL)
			free(at->service);
		free(at);
		return false;
	}
	if ((before = find(l, at->endpoint.id)) != NULL) {
		if (strcmp(before->service, at->service) != 0)
			model_endpoint_remove(&l->ems->model, before->service,
			    before->endpoint.id);
		unlink_lease(before);
		lease_free(before);
	}
	at->next_by_hash = l->buckets[at->hash % BUCKETS];
	l->buckets[at->hash % BUCKETS] = at;
	l->n++;
	at->region->all++;
	timer_set(at, at->ttl_ms);
	ems_publish_soon(l->ems);
	return true;
}

/* ---- registering */

struct registering {
	struct leases	*leases;
	lease_done	*done;
	void		*arg;
	struct store_lease lease;	/* its texts are below */
	char		 id[INTENT_NAME_MAX + 1], service[INTENT_NAME_MAX + 1];
	char		 region[INTENT_NAME_MAX + 1];
	char		 zone[INTENT_NAME_MAX + 1], label[INTENT_NAME_MAX + 1];
	char		 address[46];
	bool		 denied;
};

static void
answer(const struct registering *r, enum store_result result,
    const char *why)
{
	const struct lease_answer a = { result, why, r->id, r->lease.epoch,
	    r->lease.ttl_ms, r->denied };

	r->done(r->arg, &a);
}

static void
registered(void *arg, const struct store_answer *a)
{
	struct registering *r = arg;

	if (a->result == STORE_OK && !lease_begin(r->leases, &r->lease))
		answer(r, STORE_FAILED, "no memory is left");
	else
		answer(r, a->result, a->why);
	if (a->result == STORE_OK)
		log_info("lease %s of %s: registered at %s:%u in %s, epoch "
		    "%llu", r->id, r->service, r->address, r->lease.port,
		    r->region, (unsigned long long)r->lease.epoch);
	free(r);
}

static int
name_take(const char *what, const char *from, bool may_lack,
    char to[INTENT_NAME_MAX + 1], char *why, size_t why_len)
{
	if (!intent_name_is_good(from) && !(may_lack && *from == '\0'))
		return why_set(why, why_len, "%s is \"%.140s\", expected "
		    "1..%d letters, digits, and \".\", \"_\", \"-\"", what,
		    from, INTENT_NAME_MAX);
	snprintf(to, INTENT_NAME_MAX + 1, "%s", from);
	return 0;
}

static int
address_take(const struct lease_request *q, struct registering *r, char *why,
    size_t why_len)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, q->address, ip) != 1 &&
	    inet_pton(AF_INET6, q->address, ip) != 1)
		return why_set(why, why_len, "address is \"%.100s\", expected "
		    "an IP address", q->address);
	if (q->port == 0 || q->port > 65535)
		return why_set(why, why_len, "port is %u, expected 1..65535",
		    q->port);
	snprintf(r->address, sizeof(r->address), "%s", q->address);
	if (*r->id != '\0')
		return 0;
	if ((size_t)snprintf(r->id, sizeof(r->id), "%s-%s-%u", r->service,
	    r->address, q->port) >= sizeof(r->id))
		return why_set(why, why_len, "the service's name is too long "
		    "to make an id of it, expected an id");
	for (char *at = r->id; *at != '\0'; at++)
		if (*at == ':')
			*at = '.';	/* of an IPv6 address */
	return 0;
}

/* It has no intent, and answers a gRPC name that another one claims. */
static int
service_check(const struct leases *l, const char *name, char *why,
    size_t why_len)
{
	const struct model *m = &l->ems->model;

	if (model_service(m, name) != NULL)
		return 0;
	if (model_intent(m, INTENT_GATEWAY, name) != NULL)
		return why_set(why, why_len, "\"%s\" is a gateway, expected a "
		    "service", name);
	for (size_t i = 0; i < m->services_n; i++)
		for (size_t j = 0; j < model_grpc_n(m->services[i]); j++)
			if (strcmp(model_grpc(m->services[i], j), name) == 0)
				return why_set(why, why_len, "gRPC service "
				    "%s is answered by service %s: register "
				    "as that one", name,
				    m->services[i]->name);
	return 0;
}

bool
lease_may(const struct leases *l, const struct who *w, const char *id,
    char *why, size_t why_len)
{
	const struct lease *at = find(l, id);
	char who[512];

	if (at == NULL || at->left || w == NULL || who_may_register(w, at->service,
	    at->endpoint.region, who, sizeof(who)))
		return true;
	why_set(why, why_len, "lease %s is of service %s in %s: %s", id,
	    at->service, at->endpoint.region, who);
	return false;
}

static bool
may_register(const struct registering *r, const struct who *w, char *why,
    size_t why_len)
{
	return w == NULL || (who_may_register(w, r->service, r->region, why,
	    why_len) && lease_may(r->leases, w, r->id, why, why_len));
}

static int
request_read(struct leases *l, const struct lease_request *q,
    struct registering *r, char *why, size_t why_len)
{
	uint32_t ttl_ms = q->ttl_ms == 0 ? LEASE_TTL_MS : q->ttl_ms;

	if (name_take("id", q->id, true, r->id, why, why_len) == -1 ||
	    name_take("service", q->service, false, r->service, why,
	    why_len) == -1 || name_take("region", q->region, false,
	    r->region, why, why_len) == -1 || name_take("zone", q->zone, true,
	    r->zone, why, why_len) == -1 || name_take("version", q->version,
	    true, r->label, why, why_len) == -1 ||
	    address_take(q, r, why, why_len) == -1)
		return -1;
	r->denied = !may_register(r, q->who, why, why_len);
	if (r->denied || service_check(l, r->service, why, why_len) == -1)
		return -1;
	if (model_intent(&l->ems->model, INTENT_REGION, r->region) == NULL)
		return why_set(why, why_len, "region is \"%s\", and there is "
		    "no such region", r->region);
	if (ttl_ms < LEASE_TTL_MIN_MS || ttl_ms > LEASE_TTL_MAX_MS)
		return why_set(why, why_len, "ttl_ms is %u, expected %d..%d",
		    ttl_ms, LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS);
	r->lease = (struct store_lease){ .id = store_text(r->id),
	    .service = store_text(r->service),
	    .region = store_text(r->region), .zone = store_text(r->zone),
	    .address = store_text(r->address), .port = q->port,
	    .weight = q->weight == 0 ? 1 : q->weight,
	    .label = store_text(r->label), .ttl_ms = ttl_ms,
	    .checks = store_text("") };
	return 0;
}

int
lease_register(struct leases *l, const struct lease_request *q,
    lease_done *done, void *arg)
{
	struct registering *r = calloc(1, sizeof(*r));
	char why[WHY_BYTES];

	if (r == NULL)
		return -1;
	r->leases = l;
	r->done = done;
	r->arg = arg;
	if (request_read(l, q, r, why, sizeof(why)) == -1) {
		if (r->denied)
			log_warn("%s may not register in %s: %s", r->service,
			    r->region, why);
		answer(r, STORE_INVALID, why);
		free(r);
		return 0;
	}
	r->lease.epoch = ++l->epoch;
	if (store_lease_put(l->store, &r->lease, registered, r) == 0)
		return 0;
	free(r);
	return -1;
}

/* ---- a word of it */

enum store_result
lease_heartbeat(struct leases *l, const char *id, uint64_t epoch)
{
	struct lease *at = find(l, id);

	if (at == NULL || at->left)
		return STORE_INVALID;
	if (at->epoch != epoch)
		return STORE_CONFLICT;
	step(at, HEARTBEAT);
	return STORE_OK;
}

struct leaving {
	struct leases	*leases;
	lease_done	*done;
	void		*arg;
	uint64_t	 epoch;
	char		 id[INTENT_NAME_MAX + 1];
};

static void
removed(void *arg, const struct store_answer *a)
{
	struct leaving *r = arg;
	struct lease *at = find(r->leases, r->id);
	const struct lease_answer to = { a->result, a->why, r->id, r->epoch,
	    0, false };

	if (a->result == STORE_OK && at != NULL && at->epoch == r->epoch &&
	    !at->left)
		step(at, LEFT);
	r->done(r->arg, &to);
	free(r);
}

int
lease_deregister(struct leases *l, const char *id, uint64_t epoch,
    lease_done *done, void *arg)
{
	struct lease *at = find(l, id);
	struct lease_answer now = { STORE_OK, "", id, epoch, 0, false };
	struct leaving *r;

	if (at != NULL && at->epoch != epoch) {
		now.result = STORE_CONFLICT;
		now.why = "another has registered by this id since";
	}
	if (at == NULL || at->left || at->epoch != epoch) {
		done(arg, &now);
		return 0;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -1;
	*r = (struct leaving){ l, done, arg, epoch, "" };
	snprintf(r->id, sizeof(r->id), "%s", id);
	if (store_lease_remove(l->store, store_text(r->id), epoch, removed,
	    r) == 0)
		return 0;
	free(r);
	return -1;
}

/* ---- questions */

size_t
leases_n(const struct leases *l)
{
	return l->n;
}

static int
compare(const void *a, const void *b)
{
	const struct lease *const *x = a, *const *y = b;

	return strcmp((*x)->endpoint.id, (*y)->endpoint.id);
}

void
leases_each(const struct leases *l, void (*each)(void *arg,
    const struct lease_view *v), void *arg)
{
	struct lease **all = calloc(l->n + 1, sizeof(*all)), *at;
	size_t n = 0;

	if (all == NULL)
		return;
	for (int i = 0; i < BUCKETS; i++)
		for (at = l->buckets[i]; at != NULL; at = at->next_by_hash)
			all[n++] = at;
	if (n > 0)
		qsort(all, n, sizeof(*all), compare);
	for (size_t i = 0; i < n; i++) {
		const struct model_endpoint *e = &all[i]->endpoint;
		const struct lease_view v = { e->id, all[i]->service,
		    e->region, e->zone, e->address, e->version, e->port,
		    e->weight, all[i]->ttl_ms, all[i]->epoch, e->health,
		    all[i]->left, now_ms(l) - all[i]->heard_ms };

		each(arg, &v);
	}
	free(all);
}

/* ---- life */

struct leases *
leases_new(struct ems *e)
{
	struct leases *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->ems = e;
	return l;
}

int
leases_load(struct leases *l, struct store *s,
    const struct store_answer *leases, char *why, size_t why_len)
{
	l->store = s;
	l->epoch = leases->epoch_max;
	for (size_t i = 0; i < leases->leases_n; i++)
		if (!lease_begin(l, &leases->leases[i]))
			return why_set(why, why_len, "no memory is left");
	return 0;
}

void
leases_free(struct leases *l)
{
	struct lease *at;

	if (l == NULL)
		return;
	for (int i = 0; i < BUCKETS; i++)
		while ((at = l->buckets[i]) != NULL) {
			l->buckets[i] = at->next_by_hash;
			lease_free(at);
		}
	for (size_t i = 0; i < l->regions_n; i++)
		free(l->regions[i].name);
	free(l);
}
