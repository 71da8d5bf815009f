/* master/subscription.c - see subscription.h. */
#include "master/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "master/names.h"
#include "master/resolve.h"
#include "master/subscribe.h"
#include "shm/log.h"
#include "worker/plan.h"

enum {
	ADDRESSES_MAX = 64, KEEPALIVE_MS = 30000, KEEPALIVE_TIMEOUT_MS = 20000,
	MESSAGE_BYTES_MAX = 64 << 20, WHY_BYTES = 1024,
};

struct subscription {
	struct io	*io;
	struct generations *generations;
	struct subscription_owner owner;
	struct dynamic	 dynamic;	/* that is followed */
	struct ads	*ads;		/* NULL: nobody is */
	struct subscribe *subscribe;
	struct plans	 plans;		/* TLS towards control planes */
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	struct timer	 timer;
	struct ads_update *update;	/* not answered yet */
	bool		 staged;	/* it is with the keeper */
	struct resolve	*resolve;	/* host names of clusters */
	bool		 resolved;	/* some have other addresses */
};

static int64_t
now_ms(const struct subscription *s)
{
	return s->io->loop->now.ns / 1000000;
}

/* ---- stages */

static bool
begin(struct subscription *s, char *why, size_t why_len)
{
	return generations_change_begin(s->generations, now_ms(s), why,
	    why_len) == 0;
}

/* Ends a stage. */
static enum subscription_end
end(struct subscription *s, char *why, size_t why_len)
{
	enum subscription_end how;

	switch (generations_change_end(s->generations, why, why_len)) {
	case 0:
		how = s->owner.staged(s->owner.arg, why, why_len);
		break;
	case 1:
		return SUBSCRIPTION_DONE;
	default:
		how = SUBSCRIPTION_FAILED;
	}
	s->staged = how == SUBSCRIPTION_STAGED;
	if (how == SUBSCRIPTION_FAILED)
		log_error("a change of the control plane is lost: %s", why);
	return how;
}

static void	timer_set(struct subscription *s);

/* ---- updates */

static void
item_put(struct subscription *s, const struct ads_update *u,
    struct ads_item *item)
{
	char why[WHY_BYTES];

	if (item->why != NULL ||
	    resources_put(s->generations->resources, u->kind, item->name,
	    item->version, item->bytes, item->len, FROM_PLANE, why,
	    sizeof(why)) == 0)
		return;
	log_warn("%s: \"%s\" is refused: %s", resource_about(u->kind)->acronym,
	    item->name, why);
	ads_refuse(s->ads, item, why);
}

static void
update_fail(struct subscription *s, const char *why)
{
	for (size_t i = 0; i < s->update->items_n; i++)
		if (s->update->items[i].why == NULL)
			ads_refuse(s->ads, &s->update->items[i], why);
}

/* State of the world: all that is sent of a kind is in each update of it. */
static bool
is_sent(void *arg, const char *name)
{
	const struct ads_update *u = arg;

	for (size_t i = 0; i < u->items_n; i++)
		if (strcmp(u->items[i].name, name) == 0)
			return true;
	return false;
}

static bool
is_not_gone(void *arg, const char *name)
{
	const struct ads_update *u = arg;

	for (size_t i = 0; i < u->gone_n; i++)
		if (strcmp(u->gone[i], name) == 0)
			return false;
	return true;
}

/* What was refused was not held, so that its end is no removal. Removals alone
 * may be a TTL's end, with no word of the rest. */
static void
refused_forget(struct subscription *s)
{
	struct ads_update *u = s->update;

	if (s->dynamic.delta && u->gone_n > 0)
		resources_forget(s->generations->resources, u->kind,
		    is_not_gone, u);
	else if (!s->dynamic.delta && resource_about(u->kind)->whole &&
	    (u->items_n > 0 || u->removed_n == 0))
		resources_forget(s->generations->resources, u->kind, is_sent,
		    u);
}

/* True: it can be answered. */
static bool
apply(struct subscription *s)
{
	struct ads_update *u = s->update;
	enum subscription_end how;
	char why[WHY_BYTES];

	if (!begin(s, why, sizeof(why))) {
		update_fail(s, why);
		return true;
	}
	for (size_t i = 0; i < u->items_n; i++)
		item_put(s, u, &u->items[i]);
	for (size_t i = 0; i < u->removed_n; i++)
		resources_remove(s->generations->resources, u->kind,
		    u->removed[i]);
	refused_forget(s);
	how = end(s, why, sizeof(why));
	if (how == SUBSCRIPTION_FAILED)
		update_fail(s, why);
	return how != SUBSCRIPTION_STAGED;
}

/* Of an update that waited. */
static void
answer(struct subscription *s)
{
	s->update = NULL;
	ads_answer(s->ads, now_ms(s));
	subscribe_wake(s->subscribe);
}

static bool
busy(const struct subscription *s)
{
	return s->staged || !s->owner.idle(s->owner.arg);
}

static bool
updated(void *arg, struct ads *a, struct ads_update *u)
{
	struct subscription *s = arg;

	(void)a;
	s->update = u;
	if (busy(s) || !apply(s))
		return false;
	s->update = NULL;
	timer_set(s);
	return true;
}

/* The set has a clock of its own for what is said while we are busy. */
static void
missing(void *arg, enum resource_kind kind, const char *name)
{
	struct subscription *s = arg;
	char why[WHY_BYTES];

	if (busy(s) || !begin(s, why, sizeof(why)))
		return;
	resources_missing(s->generations->resources, kind, name);
	(void)end(s, why, sizeof(why));
}

/* ---- host names */

/* The control plane's may be among them. */
static void
resolved_tell(struct subscription *s)
{
	if (s->resolved && s->subscribe != NULL)
		subscribe_retry(s->subscribe);
	s->resolved = false;
}

static void
resolved_apply(struct subscription *s)
{
	char why[WHY_BYTES];

	if (!begin(s, why, sizeof(why)))
		return;
	resolve_put(s->resolve);
	s->resolved = true;
	switch (end(s, why, sizeof(why))) {
	case SUBSCRIPTION_DONE:
		resolved_tell(s);
		break;
	case SUBSCRIPTION_STAGED:
		break;
	case SUBSCRIPTION_FAILED:
		resolve_again(s->resolve);
		break;
	}
}

/* Soon, so that those that are answered together are one change. */
static void
resolve_ready(void *arg)
{
	struct subscription *s = arg;

	timer_start(&s->io->loop->timers, &s->timer, s->io->loop->now, 0);
}

/* ---- time */

static void
timer_set(struct subscription *s)
{
	int64_t due = resources_due(s->generations->resources, now_ms(s));

	timer_stop(&s->io->loop->timers, &s->timer);
	if (due != -1)
		timer_start(&s->io->loop->timers, &s->timer, s->io->loop->now,
		    due);
}

/* All that waits for us to be idle, and for time to pass. */
static void
tick(struct subscription *s)
{
	char why[WHY_BYTES];

	if (!busy(s) && s->update != NULL && apply(s))
		answer(s);
	if (!busy(s) && resolve_pending(s->resolve))
		resolved_apply(s);
	if (!busy(s) && resources_due(s->generations->resources,
	    now_ms(s)) == 0 && begin(s, why, sizeof(why)))
		(void)end(s, why, sizeof(why));
	if (!busy(s))			/* else subscription_go comes */
		timer_set(s);
}

static void
timer_fire(struct timer *t)
{
	tick(CONTAINER(t, struct subscription, timer));
}

void
subscription_go(struct subscription *s)
{
	tick(s);
}

/* ---- the keeper's answer */

/* Its item is refused, so that it is not put again; what is not in this
 * update is refused in the set. */
static void
bar(struct subscription *s, const char *listener, const char *why)
{
	struct ads_update *u = s->update;
	char words[WHY_BYTES];

	for (size_t i = 0; u != NULL && u->kind == RESOURCE_LISTENER &&
	    i < u->items_n; i++)
		if (strcmp(u->items[i].name, listener) == 0) {
			ads_refuse(s->ads, &u->items[i], why);
			return;
		}
	if (!begin(s, words, sizeof(words)))
		return;
	resources_bar(s->generations->resources, listener, why);
	(void)end(s, words, sizeof(words));
}

void
subscription_bound(struct subscription *s, const char *listener,
    const char *why)
{
	s->staged = false;
	if (why != NULL) {
		log_error("listener \"%s\" of the control plane is refused: "
		    "%s", listener, why);
		resolve_again(s->resolve);
		bar(s, listener, why);
	} else {
		if (s->update != NULL)
			answer(s);
		resolved_tell(s);
	}
	tick(s);
}

/* ---- where the control plane is */

static const struct block_cluster *
cluster_find(const struct subscription *s, const char *name)
{
	const struct generations *g = s->generations;
	struct name_id id;

	if (g->newest.generation.number == 0 || g->is_staged ||
	    names_known(g->names, NAMES_CLUSTER, name, strlen(name), &id) < 0)
		return NULL;
	return block_cluster_find(&g->image.arena, generations_root(g),
	    id.id);
}

static bool
target(void *arg, uint32_t i, struct subscribe_target *t, char *why,
    size_t why_len)
{
	struct subscription *s = arg;
	const struct dynamic_server *server = &s->dynamic.servers[i];
	const struct arena *a = &s->generations->image.arena;
	const struct block_cluster *c = cluster_find(s, server->cluster);
	const struct block_balance *b;
	struct tls_plan *tls;

	*t = (struct subscribe_target){ .addresses = s->addresses };
	if (c == NULL)
		return why_set(why, why_len, "cluster \"%s\" is not ready",
		    server->cluster) == 0;
	plans_sweep(&s->plans);
	if (!tls_plan_find(&s->plans, a, c->tls, &tls))
		return why_set(why, why_len, "the TLS of cluster \"%s\" can't "
		    "be used", server->cluster) == 0;
	if (tls != NULL) {
		t->tls = tls->context;
		tls_plan_put(tls);
	}
	b = arena_at(a, c->balance);
	for (uint32_t j = 0; j < b->endpoints_n && j < ADDRESSES_MAX; j++)
		(void)block_socket_address(&b->endpoints[j].address,
		    b->endpoints[j].address.port,
		    &s->addresses[t->addresses_n++]);
	t->connect_timeout_ms = c->connect_timeout_ms;
	t->authority = server->authority;
	return true;
}

/* ---- beginning */

static void
wake(void *arg)
{
	struct subscription *s = arg;

	if (s->subscribe != NULL)
		subscribe_wake(s->subscribe);
}

static void
changed(void *arg)
{
	const struct subscription *s = arg;
	struct subscribe_status t;

	if (s->subscribe == NULL)
		return;
	subscribe_status(s->subscribe, &t);
	if (t.state == SUBSCRIBE_STREAMING)
		log_info("control plane \"%s\": connected to %s", t.server,
		    t.address);
	else if (t.state == SUBSCRIBE_WAITING && t.why[0] != '\0')
		log_warn("control plane \"%s\": %s; it is tried again, "
		    "what it sent goes on", t.server, t.why);
}

static bool
by_name(const struct subscription *s, enum resource_kind kind)
{
	return kind == RESOURCE_CLUSTER ? s->dynamic.ads &&
	    !s->dynamic.clusters : !resource_about(kind)->whole;
}

static void
want(void *arg, enum resource_kind kind, const char *name, bool on)
{
	struct subscription *s = arg;

	if (kind == RESOURCE_NAME)
		resolve_want(s->resolve, name, on);
	if (kind == RESOURCE_NAME || s->ads == NULL || !by_name(s, kind))
		return;
	if (!on)
		ads_unsubscribe(s->ads, kind, name);
	else if (!ads_subscribe(s->ads, kind, name))
		log_error("no memory to ask for %s \"%s\"",
		    resource_about(kind)->acronym, name);
}

/* What a checkpoint had may be days old, and a server's numbers may have begun
 * anew: it is not told one that would keep it silent. Delta's are told, for
 * only what is named there can be removed. */
static const char *
version_held(const struct subscription *s, const struct resource_version *v)
{
	return v->from == FROM_CHECKPOINT && !s->dynamic.delta ? "" : v->text;
}

/* What we have and want already. */
static void
take_over(void *arg, const struct resource_view *v)
{
	struct subscription *s = arg;
	const struct resource_version *newest = v->next != NULL ? v->next :
	    v->live;

	if (newest != NULL && newest->from != FROM_FILE && !v->lingers)
		(void)ads_hold(s->ads, v->kind, v->name,
		    version_held(s, newest));
	if (v->wanted && by_name(s, v->kind))
		want(s, v->kind, v->name, true);
}

static void
settings_fill(const struct subscription *s, struct subscribe_settings *to)
{
	const struct dynamic *d = &s->dynamic;

	*to = (struct subscribe_settings){ .path = d->delta ?
	    "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	    "DeltaAggregatedResources" :
	    "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	    "StreamAggregatedResources",
	    .servers_n = d->servers_n,
	    .back_off_base_ms = d->servers[0].back_off_base_ms,
	    .back_off_max_ms = d->servers[0].back_off_max_ms,
	    .keepalive_ms = KEEPALIVE_MS,
	    .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
	    .message_bytes_max = d->servers[0].message_bytes_max == 0 ?
	    MESSAGE_BYTES_MAX : d->servers[0].message_bytes_max,
	    .target = target, .changed = changed };
	for (uint32_t i = 0; i < d->servers_n; i++) {
		to->servers[i].name = d->servers[i].cluster;
		to->servers[i].metadata_n = d->servers[i].metadata_n;
		for (uint32_t j = 0; j < d->servers[i].metadata_n; j++) {
			to->servers[i].metadata[j] = (struct grpc_pair){
			    d->servers[i].metadata[j].name,
			    d->servers[i].metadata[j].value };
		}
	}
}

static bool
start(struct subscription *s)
{
	static const struct ads_events events = { updated, missing, wake };
	const struct ads_settings own = { .delta = s->dynamic.delta,
	    .node_once = s->dynamic.node_once, .node = s->dynamic.node,
	    .node_len = s->dynamic.node_len,
	    .missing_ms = s->dynamic.missing_ms };
	struct subscribe_settings to;

	settings_fill(s, &to);
	to.arg = s;
	s->ads = ads_new(&own, &events, s);
	if (s->ads == NULL)
		return false;
	resources_each(s->generations->resources, take_over, s);
	if (s->dynamic.clusters)
		ads_wildcard(s->ads, RESOURCE_CLUSTER, true);
	if (s->dynamic.listeners)
		ads_wildcard(s->ads, RESOURCE_LISTENER, true);
	s->subscribe = subscribe_open(s->io, s->ads, &to);
	return s->subscribe != NULL;
}

static void
stop(struct subscription *s)
{
	if (s->subscribe != NULL)
		subscribe_close(s->subscribe);
	ads_free(s->ads);
	s->subscribe = NULL;
	s->ads = NULL;
	s->update = NULL;
	dynamic_fini(&s->dynamic);
}

void
subscription_follow(struct subscription *s)
{
	struct generations *g = s->generations;

	if (dynamic_same(&s->dynamic, &g->dynamic)) {
		if (s->subscribe != NULL)
			subscribe_retry(s->subscribe);
		tick(s);
		return;
	}
	stop(s);
	if (!dynamic_copy(&s->dynamic, &g->dynamic) ||
	    (s->dynamic.ads && !start(s))) {
		log_error("no memory to follow a control plane");
		stop(s);
	}
	tick(s);
}

/* ---- life */

struct subscription *
subscription_new(struct io *io, struct generations *g,
    const struct subscription_owner *o)
{
	struct subscription *s = calloc(1, sizeof(*s));
	const struct resolve_settings names = { .loop = io->loop,
	    .resources = g->resources,
	    .servers = g->staged_conf.dns_servers, .ready = resolve_ready,
	    .arg = s };

	if (s == NULL || (s->resolve = resolve_new(&names)) == NULL) {
		free(s);
		return NULL;
	}
	s->io = io;
	s->generations = g;
	s->owner = *o;
	s->timer.fire = timer_fire;
	plans_init(&s->plans, &io->mem, &g->image.secrets);
	resources_want(g->resources, want, s);
	resources_dynamic(g->resources, RESOURCE_NAME, true);
	return s;
}

void
subscription_free(struct subscription *s)
{
	if (s == NULL)
		return;
	resources_want(s->generations->resources, NULL, NULL);
	timer_stop(&s->io->loop->timers, &s->timer);
	stop(s);
	resolve_free(s->resolve);
	plans_fini(&s->plans);
	free(s);
}

/* ---- questions */

void
subscription_names_print(const struct subscription *s, FILE *out)
{
	resolve_print(s->resolve, out);
}

bool
subscription_status(const struct subscription *s,
    struct subscription_status *to)
{
	*to = (struct subscription_status){ .now_ms = now_ms(s) };
	if (s->subscribe == NULL)
		return false;
	subscribe_status(s->subscribe, &to->stream);
	to->delta = s->dynamic.delta;
	to->held_up = s->update != NULL;
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		ads_status(s->ads, kind, &to->kinds[kind]);
	return true;
}
