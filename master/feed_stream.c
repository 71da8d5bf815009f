/*
 * master/feed_stream.c - a feed that is a stream to a control plane: where its
 * servers are, which are clusters of the file. See subscription_inside.h.
 */
#include "master/subscription_inside.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "master/names.h"
#include "shm/log.h"

enum {
	KEEPALIVE_MS = 30000, KEEPALIVE_TIMEOUT_MS = 20000,
	MESSAGE_BYTES_MAX = 64 << 20, RPC_BYTES = 128,
};

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

bool
feed_stream_target(struct subscription *s, const struct origin *o, uint32_t i,
    struct subscribe_target *t, char *why, size_t why_len)
{
	const struct origin_server *server = &o->servers[i];
	const struct arena *a = &s->generations->image.arena;
	const struct block_cluster *c = cluster_find(s, server->cluster);
	const struct block_balance *b;
	struct tls_plan *tls;

	assert(i < o->servers_n);
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

static bool
target(void *arg, uint32_t i, struct subscribe_target *t, char *why,
    size_t why_len)
{
	const struct feed *f = arg;

	return feed_stream_target(f->owner, f->origin, i, t, why, why_len);
}

static void
changed(void *arg)
{
	const struct feed *f = arg;
	struct subscribe_status t;
	char who[ORIGIN_CLUSTER_BYTES + 32];

	if (f->subscribe == NULL)
		return;
	subscribe_status(f->subscribe, &t);
	snprintf(who, sizeof(who), "\"%s\"%s%s", t.server, f->kind == -1 ? "" :
	    ", ", f->kind == -1 ? "" :
	    resource_about((enum resource_kind)f->kind)->acronym);
	if (t.state == SUBSCRIBE_STREAMING)
		log_info("control plane %s: connected to %s", who, t.address);
	else if (t.state == SUBSCRIBE_WAITING && t.why[0] != '\0')
		log_warn("control plane %s: %s; it is tried again, "
		    "what it sent goes on", who, t.why);
}

/* ---- opening */

/* "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes" */
static const char *
rpc(const struct feed *f, char path[RPC_BYTES])
{
	static const struct resource_about ads = { .method =
	    "AggregatedResources", .service =
	    "envoy.service.discovery.v3.AggregatedDiscoveryService" };
	const struct resource_about *a = f->kind == -1 ? &ads :
	    resource_about((enum resource_kind)f->kind);

	snprintf(path, RPC_BYTES, "/%s/%s%s", a->service, f->origin->delta ?
	    "Delta" : "Stream", a->method);
	return path;
}

static void
settings_fill(const struct feed *f, const char *path,
    struct subscribe_settings *to)
{
	const struct origin *o = f->origin;

	*to = (struct subscribe_settings){ .path = path,
	    .servers_n = o->servers_n,
	    .back_off_base_ms = o->servers[0].back_off_base_ms,
	    .back_off_max_ms = o->servers[0].back_off_max_ms,
	    .keepalive_ms = KEEPALIVE_MS,
	    .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
	    .message_bytes_max = o->servers[0].message_bytes_max == 0 ?
	    MESSAGE_BYTES_MAX : o->servers[0].message_bytes_max,
	    .target = target, .changed = changed };
	for (uint32_t i = 0; i < o->servers_n; i++) {
		to->servers[i].name = o->servers[i].cluster;
		to->servers[i].metadata_n = o->servers[i].metadata_n;
		for (uint32_t j = 0; j < o->servers[i].metadata_n; j++) {
			to->servers[i].metadata[j] = (struct grpc_pair){
			    o->servers[i].metadata[j].name,
			    o->servers[i].metadata[j].value };
		}
	}
}

int
feed_stream_open(struct feed *f)
{
	struct subscribe_settings to;
	char path[RPC_BYTES];

	settings_fill(f, rpc(f, path), &to);
	to.arg = f;
	f->subscribe = subscribe_open(f->owner->io, f->ads, &to);
	return f->subscribe != NULL ? 0 : -1;
}
