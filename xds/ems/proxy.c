/* xds/ems/proxy.c - see proxy.h. */
#include "xds/ems/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/log.h"
#include "xds/wire.h"

enum { RUN_MAX = 64, REQUEST_BYTES_MAX = 16 << 20 };

/* ---- node.metadata: Struct{1 entry{1 key, 2 Value{3 text}}} */

static bool
is_text(const struct wire_field *f, const char *text)
{
	return f->len == strlen(text) && memcmp(f->data, text, f->len) == 0;
}

static bool
value_text(const struct wire_field *value, char *to, size_t to_len)
{
	const uint8_t *at = value->data, *end = at + value->len;
	struct wire_field f;

	while (wire_take(&at, end, &f))
		if (f.tag == WIRE_TAG(3) && f.len < to_len &&
		    memchr(f.data, '\0', f.len) == NULL) {
			memcpy(to, f.data, f.len);
			to[f.len] = '\0';
			return true;
		}
	return false;
}

bool
node_text(const struct push_node *n, const char *key, char *to, size_t to_len)
{
	const uint8_t *at = n->metadata, *inner;
	struct wire_field entry, f;
	bool found;

	while (n->metadata_len > 0 && wire_take(&at, n->metadata +
	    n->metadata_len, &entry)) {
		found = false;
		if (entry.tag != WIRE_TAG(1))
			continue;
		for (inner = entry.data; wire_take(&inner, entry.data +
		    entry.len, &f); ) {
			if (f.tag == WIRE_TAG(1))
				found = is_text(&f, key);
			else if (f.tag == WIRE_TAG(2) && found)
				return value_text(&f, to, to_len);
		}
	}
	return false;
}

/* ---- sending */

static void
make_ready(struct proxy *p)
{
	if (p->is_ready)
		return;
	p->is_ready = true;
	TAILQ_INSERT_TAIL(&p->ems->ready, p, ready_link);
	loop_soon(p->ems->loop, &p->ems->task);
}

static int64_t
now_ms(const struct proxy *p)
{
	return p->ems->loop->now.ns / 1000000;
}

static void
timer_set(struct proxy *p)
{
	int64_t due = push_due(p->push, now_ms(p));

	timer_stop(&p->ems->loop->timers, &p->timer);
	if (due != -1)
		timer_start(&p->ems->loop->timers, &p->timer,
		    p->ems->loop->now, due);
}

/* X2 */
static void
owed_send(struct proxy *p)
{
	struct push_message m;
	int rc;

	while (call_has_room(p->call)) {
		rc = push_take(p->push, now_ms(p), &m);
		if (rc == 0)
			break;
		if (rc == -1) {
			call_finish(p->call, CALL_RESOURCE_EXHAUSTED,
			    "no memory is left");
			return;
		}
		p->ems->pushes_n++;
		if (!call_send(p->call, m.body, m.tail, m.tail_len))
			return;
	}
	timer_set(p);
}

void
proxies_run(struct task *t)
{
	struct ems *e = CONTAINER(t, struct ems, task);
	struct proxy *p;

	for (int i = 0; i < RUN_MAX && (p = TAILQ_FIRST(&e->ready)) != NULL;
	    i++) {
		TAILQ_REMOVE(&e->ready, p, ready_link);
		p->is_ready = false;
		owed_send(p);
	}
	if (!TAILQ_EMPTY(&e->ready))
		loop_soon(e->loop, &e->task);
}

static void
timer_fire(struct timer *t)
{
	make_ready(CONTAINER(t, struct proxy, timer));
}

void
proxies_wake(struct ems *e)
{
	struct proxy *p;

	LIST_FOREACH(p, &e->proxies, link)
		if (p->view != NULL && p->view->news)
			make_ready(p);
}

/* ---- who it is */

static const char *
role_word(const struct proxy *p)
{
	return p->view->key.role == VIEW_GATEWAY ? "gateway" :
	    p->view->key.role == VIEW_GRPC ? "gRPC client" : "sidecar";
}

static struct catalog *
on_node(void *arg, const struct push_node *n, char *why, size_t why_len)
{
	struct proxy *p = arg;
	struct view *v = ems_view(p->ems, n, call_names(p->call), &p->refusal,
	    why, why_len);

	if (v == NULL)
		return NULL;
	p->id = strdup(n->id);
	p->cluster = strdup(n->cluster);
	p->zone = strdup(n->zone);
	p->agent = strdup(n->agent);
	if (p->id == NULL || p->cluster == NULL || p->zone == NULL ||
	    p->agent == NULL) {
		view_set_put(&p->ems->views, v);
		why_set(why, why_len, "no memory is left");
		return NULL;
	}
	snprintf(p->region, sizeof(p->region), "%s", n->region);
	p->view = v;
	log_info("proxy \"%s\" of %s: connected, %s in %s (%s)", p->id,
	    call_address(p->call), role_word(p), p->region,
	    *p->agent == '\0' ? "no agent named" : p->agent);
	return &v->catalog;
}

static void
on_refused(void *arg, enum resource_kind kind, const char *why)
{
	struct proxy *p = arg;

	p->ems->refusals_n++;
	log_warn("proxy \"%s\" refuses %s: %s", p->id,
	    resource_about(kind)->acronym, why);
}

static const struct push_events push_events = { on_node, on_refused };

/* Whether what it was made by is still so: its gateway's intent, or its
 * caller's, may have come or gone. */
static bool
is_as_it_says(const struct ems *e, const struct proxy *p)
{
	const struct view_key *k = &p->view->key;
	bool is_gateway = model_intent(&e->model, INTENT_GATEWAY,
	    p->cluster) != NULL;

	return k->role == VIEW_GRPC || (is_gateway ? k->role == VIEW_GATEWAY :
	    k->role == VIEW_SIDECAR && strcmp(k->caller, ems_caller(e,
	    p->cluster)) == 0);
}

void
proxies_check(struct ems *e)
{
	struct proxy *p;

	LIST_FOREACH(p, &e->proxies, link)
		if (p->view != NULL && !is_as_it_says(e, p))
			call_finish(p->call, CALL_UNAVAILABLE, "node.cluster "
			    "is now of another role, or told of other "
			    "services: come again");
}

/* ---- the call */

static void *
on_begin(void *arg, struct call *c)
{
	const struct proxy_purpose *at = arg;
	const struct push_settings s = { .delta = at->delta,
	    .kind = at->kind, .identifier = at->ems->settings.identifier };
	struct proxy *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->push = push_new(&s, &push_events, p)) == NULL) {
		free(p);
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
		return NULL;
	}
	p->ems = at->ems;
	p->call = c;
	p->is_delta = at->delta;
	p->since_ms = (int64_t)time(NULL) * 1000;
	p->timer.fire = timer_fire;
	LIST_INSERT_HEAD(&p->ems->proxies, p, link);
	p->ems->proxies_n++;
	return p;
}

static void
on_message(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct proxy *p = state;
	char why[512];

	if (push_feed(p->push, bytes, n, now_ms(p), why, sizeof(why)) == 0) {
		make_ready(p);
		return;
	}
	log_warn("proxy \"%s\" of %s is refused: %s", p->id == NULL ? "?" :
	    p->id, call_address(c), why);
	call_finish(c, p->refusal == EMS_DENIED ? CALL_PERMISSION_DENIED :
	    CALL_INVALID_ARGUMENT, why);
}

/* Who asks once, as grpcurl does, has an answer to that. */
static void
on_half_closed(void *state, struct call *c)
{
	owed_send(state);
	call_finish(c, CALL_OK, "");
}

static void
on_room(void *state, struct call *c)
{
	(void)c;
	make_ready(state);
}

static void
on_closed(void *state, struct call *c)
{
	struct proxy *p = state;

	(void)c;
	if (p->view != NULL)
		log_info("proxy \"%s\": disconnected", p->id);
	timer_stop(&p->ems->loop->timers, &p->timer);
	if (p->is_ready)
		TAILQ_REMOVE(&p->ems->ready, p, ready_link);
	LIST_REMOVE(p, link);
	p->ems->proxies_n--;
	push_free(p->push);
	if (p->view != NULL)
		view_set_put(&p->ems->views, p->view);
	free(p->id);
	free(p->cluster);
	free(p->zone);
	free(p->agent);
	free(p);
}

static const struct call_handler handler = { on_begin, on_message,
    on_half_closed, on_room, on_closed, call_leave };

void
proxy_door_init(struct proxy_door *d, struct ems *e)
{
	for (int i = 0; i < PROXY_METHODS; i++) {
		struct proxy_purpose *at = &d->purposes[i];
		const struct resource_about *about = i < 2 ? NULL :
		    resource_about((enum resource_kind)(i / 2 - 1));

		*at = (struct proxy_purpose){ .ems = e, .kind = i / 2 - 1,
		    .delta = i % 2 == 1 };
		if (about == NULL)
			snprintf(at->path, sizeof(at->path), "/envoy.service."
			    "discovery.v3.AggregatedDiscoveryService/"
			    "%sAggregatedResources", at->delta ? "Delta" :
			    "Stream");
		else
			snprintf(at->path, sizeof(at->path), "/%s/%s%s",
			    about->service, at->delta ? "Delta" : "Stream",
			    about->method);
		d->methods[i] = (struct call_method){ at->path, &handler, at,
		    REQUEST_BYTES_MAX };
	}
}
