/*
 * xds/ems/ems.c - see ems.h: which view a proxy gets, and when views follow.
 *
 *   node.user_agent_name   gRPC ...                   a gRPC client
 *   node.cluster           the name of a gateway      that gateway
 *   else                                              a sidecar, or a local proxy
 *   node.locality.region   its region
 *   node.metadata.listen   where a sidecar listens for callers
 *   node.metadata.tls      the folder with its tls.crt, tls.key, ca.crt
 */
#include "xds/ems/ems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/ems/proxy.h"
#include "xds/proto/godwit/ems/intent.pb-c.h"
#include "xds/wire.h"

enum { ADDRESS_BYTES = 64, PATH_BYTES = 1024 };

/* ---- publishing */

void
ems_publish(struct ems *e)
{
	struct view *v;
	char why[512];

	if (!e->model.dirty_all && !e->model.dirty_some)
		return;
	/* Intents were checked; this finds out what services are by them. */
	if (e->model.unchecked &&
	    model_check(&e->model, why, sizeof(why)) == -1)
		log_error("the mesh contradicts itself: %s", why);
	if (e->model.dirty_all || e->model.dirty_names)
		proxies_check(e);
	TAILQ_FOREACH(v, &e->views.all, link)
		if (view_compile(v, &e->model, why, sizeof(why)) == -1)
			log_error("what %s gets in region %s can't be made: "
			    "%s", v->key.role == VIEW_GATEWAY ? "a gateway" :
			    v->key.role == VIEW_GRPC ? "a gRPC client" :
			    "a sidecar", v->key.region, why);
	proxies_wake(e);
	model_clean(&e->model);
}

static void
publish_run(struct task *t)
{
	ems_publish(CONTAINER(t, struct ems, publish));
}

void
ems_publish_soon(struct ems *e)
{
	loop_soon(e->loop, &e->publish);
}

/* ---- life */

void
ems_init(struct ems *e, struct loop *l, const struct ems_settings *s)
{
	*e = (struct ems){ .loop = l, .settings = *s };
	model_init(&e->model);
	view_set_init(&e->views, &e->settings.view, &e->model);
	LIST_INIT(&e->proxies);
	TAILQ_INIT(&e->ready);
	e->task.run = proxies_run;
	e->publish.run = publish_run;
}

void
ems_fini(struct ems *e)
{
	loop_cancel(e->loop, &e->task);
	loop_cancel(e->loop, &e->publish);
	view_set_fini(&e->views);
	model_fini(&e->model);
}

/* ---- views */

static const struct intent *
gateway_find(const struct ems *e, const struct push_node *n)
{
	return model_intent(&e->model, INTENT_GATEWAY, n->cluster);
}

static enum view_role
role_of(const struct ems *e, const struct push_node *n)
{
	if (strncmp(n->agent, "gRPC ", 5) == 0)
		return VIEW_GRPC;
	return gateway_find(e, n) != NULL ? VIEW_GATEWAY : VIEW_SIDECAR;
}

const char *
ems_caller(const struct ems *e, const char *cluster)
{
	return model_only(&e->model, cluster) != NULL ? cluster : "";
}

/* Where it says it listens; "" when it does not say. False: it is no
 * address. */
static bool
listen_read(const struct ems *e, const struct push_node *n,
    enum view_role role, char to[ADDRESS_BYTES])
{
	const Godwit__Ems__V1__Gateway *g;
	char host[ADDRESS_BYTES];
	unsigned port;

	to[0] = '\0';
	if (role == VIEW_GRPC)
		return true;
	if (role == VIEW_SIDECAR) {
		if (!node_text(n, "listen", to, ADDRESS_BYTES))
			snprintf(to, ADDRESS_BYTES, "%s", e->settings.listen);
		return intent_address(to, host, sizeof(host), &port);
	}
	g = gateway_find(e, n)->message;
	if (*g->listen != '\0')
		snprintf(to, ADDRESS_BYTES, "%s", g->listen);
	else if (intent_address(g->addresses[0], host, sizeof(host), &port))
		snprintf(to, ADDRESS_BYTES, "%s:%u", strchr(host, ':') != NULL
		    ? "[::]" : "0.0.0.0", port);
	return true;
}

/* Its name is in YAML of ours. */
static bool
folder_read(const struct ems *e, const struct push_node *n, char to[PATH_BYTES])
{
	if (!node_text(n, "tls", to, PATH_BYTES))
		snprintf(to, PATH_BYTES, "%s", e->settings.tls);
	for (const char *at = to; *at != '\0'; at++)
		if (*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7f)
			return false;
	return true;
}

static int
region_check(const struct ems *e, const struct push_node *n,
    const struct view_key *k, char *why, size_t why_len)
{
	const Godwit__Ems__V1__Gateway *g = k->role != VIEW_GATEWAY ? NULL :
	    gateway_find(e, n)->message;

	if (model_intent(&e->model, INTENT_REGION, n->region) == NULL)
		return why_set(why, why_len, "node.locality.region is "
		    "\"%.128s\", and there is no such region: apply "
		    "\"region: NAME\" first", n->region);
	if (g != NULL && strcmp(g->region, n->region) != 0)
		return why_set(why, why_len, "node.cluster is \"%s\", a "
		    "gateway of region %s, and node.locality.region is \"%s\","
		    " expected the same", n->cluster, g->region, n->region);
	return 0;
}

struct view *
ems_view(struct ems *e, const struct push_node *n, const char *names,
    enum ems_refusal *refusal, char *why, size_t why_len)
{
	char listen[ADDRESS_BYTES], tls[PATH_BYTES] = "";
	struct view_key k = { role_of(e, n), n->region, "", listen, tls, "" };
	const struct who w = { &e->settings.who, names };

	*refusal = EMS_BAD_NODE;
	if (k.role == VIEW_GATEWAY)
		k.gateway = n->cluster;
	if (k.role == VIEW_SIDECAR)
		k.caller = ems_caller(e, n->cluster);
	if (region_check(e, n, &k, why, why_len) == -1)
		return NULL;
	if (!who_may_follow(&w, n->region, k.role == VIEW_GATEWAY, why,
	    why_len)) {
		*refusal = EMS_DENIED;
		return NULL;
	}
	if (!listen_read(e, n, k.role, listen)) {
		why_set(why, why_len, "node.metadata.listen is \"%s\", "
		    "expected ADDRESS:PORT", listen);
		return NULL;
	}
	if (k.role != VIEW_GRPC && !folder_read(e, n, tls)) {
		why_set(why, why_len, "node.metadata.tls is no name of a "
		    "folder");
		return NULL;
	}
	/* What it shares with others is to be as new as what it does not. */
	ems_publish(e);
	return view_set_get(&e->views, &k, why, why_len);
}
