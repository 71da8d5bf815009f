/*
 * xds/ems/view_route.c - the routes of all services in a region, one resource
 * put together of parts that are kept (view.h).
 *
 *   RouteConfiguration mesh
 *     VirtualHost tasks-eu     domains [tasks-eu]    a service whose gRPC names
 *       region routes, /Method ..., /                are not its own alone
 *     VirtualHost mesh         domains [*]
 *       pins, region routes, then of each service /pkg.Service/Method ..., /pkg.Service/
 */
#include "xds/ems/view_inside.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/wire.h"

/* Ten for Envoy, to whom a dead endpoint looks the least busy. */
#define ELSEWHERE "retry_host_predicate: [{name: " \
	    "envoy.retry_host_predicates.previous_hosts, typed_config: " \
	    "{\"@type\": type.googleapis.com/envoy.extensions.retry.host." \
	    "previous_hosts.v3.PreviousHostsPredicate}}], " \
	    "host_selection_retry_max_attempts: 10"
#define ROUTES "envoy.config.route.v3.RouteConfiguration"

/* ---- what a call of a service here is given */

static void
retry_print(FILE *f, const Godwit__Ems__V1__Service__Retry *r)
{
	if (r != NULL && r->max != NULL && r->max->value == 0)
		return;
	fprintf(f, ", retry_policy: {retry_on: \"");
	for (size_t i = 0; r != NULL && i < r->n_on; i++)
		fprintf(f, "%s%s", i == 0 ? "" : ",", r->on[i]);
	if (r == NULL || r->n_on == 0)
		fprintf(f, "connect-failure,refused-stream,"
		    "reset-before-request");
	fprintf(f, "\", num_retries: %u, " ELSEWHERE "}", r == NULL ||
	    r->max == NULL ? 1 : r->max->value);
}

static void
target_print(FILE *f, const struct model_service *s)
{
	const Service *m = model_message(s);
	char name[VIEW_CLUSTER_BYTES];

	if (m == NULL || m->n_versions == 0) {
		fprintf(f, "cluster: \"%s\"", s->name);
		return;
	}
	fprintf(f, "weighted_clusters: {clusters: [");
	for (size_t i = 0; i < m->n_versions; i++) {
		view_cluster_name(name, s, m->versions[i]->key);
		fprintf(f, "%s{name: \"%s\", weight: %u}", i == 0 ? "" : ", ",
		    name, m->versions[i]->value == NULL ? 0 :
		    m->versions[i]->value->weight);
	}
	fprintf(f, "]}");
}

/* A caller's own deadline counts as it is; ours is for who has none. */
void
view_route_print(FILE *f, const struct view *v, const struct model_service *s,
    const Method *method)
{
	const Service *m = model_message(s);
	const Method *all = m == NULL ? NULL : m->defaults;
	const Google__Protobuf__Duration *d = method != NULL &&
	    method->deadline != NULL ? method->deadline : all == NULL ? NULL :
	    all->deadline;

	fprintf(f, "route: {");
	target_print(f, s);
	fprintf(f, ", timeout: 0s, max_stream_duration: {");
	if (d != NULL)
		fprintf(f, "max_stream_duration: \"%lld.%09ds\", ",
		    (long long)d->seconds, d->nanos);
	fprintf(f, "grpc_timeout_header_max: 0s}");
	if (v->key.role != VIEW_GRPC)
		retry_print(f, method != NULL && method->retry != NULL ?
		    method->retry : all == NULL ? NULL : all->retry);
	fprintf(f, "}");
}

/* ---- regions */

/* Where calls without a region go: NULL is here. */
static const char *
elsewhere(const struct pass *p, const struct model_service *s)
{
	const Service *m = model_message(s);
	const char *own = p->view->key.region;

	if (p->view->key.role != VIEW_SIDECAR || m == NULL || m->regions == NULL ||
	    (model_allows(s, own) && model_is_live(s, own)))
		return NULL;
	for (size_t i = 0; i < m->regions->n_order; i++) {
		const char *to = m->regions->order[i];

		if (strcmp(to, own) != 0 && model_is_live(s, to) &&
		    model_has_gateway(p->model, to))
			return to;
	}
	return NULL;
}

static void
refuse_print(FILE *f, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
refuse_print(FILE *f, unsigned status, const char *format, ...)
{
	va_list args;

	fprintf(f, "direct_response: {status: %u, body: {inline_string: \"",
	    status);
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fprintf(f, "\"}}");
}

static void
header_print(FILE *f, const struct pass *p, const char *value)
{
	fprintf(f, "{name: \"%s\", string_match: {exact: \"%s\"}}",
	    p->view->settings->region_header, value);
}

/* For all services: other regions, and what is none. */
static void
regions_print(FILE *f, const struct pass *p)
{
	const struct model *m = p->model;
	const char *own = p->view->key.region;

	for (size_t i = 0; i < m->intents_n[INTENT_REGION]; i++) {
		const char *to = m->intents[INTENT_REGION][i]->name;

		if (p->view->key.role != VIEW_SIDECAR || strcmp(to, own) == 0)
			continue;
		fprintf(f, "{name: \"to %s\", match: {prefix: \"/\", headers: "
		    "[", to);
		header_print(f, p, to);
		fprintf(f, "]}, ");
		if (model_has_gateway(m, to))
			fprintf(f, "route: {cluster: \"gateway/%s\", timeout: "
			    "0s, max_stream_duration: "
			    "{grpc_timeout_header_max: 0s}}", to);
		else
			refuse_print(f, 503, "region %s has no gateway", to);
		fprintf(f, "}, ");
	}
	fprintf(f, "{name: \"another region\", match: {prefix: \"/\", headers: "
	    "[{name: \"%s\", present_match: true}, {name: \"%s\", "
	    "string_match: {exact: \"%s\"}, invert_match: true}]}, ",
	    p->view->settings->region_header,
	    p->view->settings->region_header, own);
	refuse_print(f, 404, p->view->key.role == VIEW_SIDECAR ?
	    "there is no such region" : "this is the gateway of another "
	    "region");
	fprintf(f, "}");
}

/* ---- a service */

/* One match (without its closing brace) as the routes that it takes. */
static void
match_print(FILE *f, const struct pass *p, const struct model_service *s,
    const char *name, const char *match, const Method *m)
{
	const char *to = elsewhere(p, s);

	if (to != NULL) {
		fprintf(f, "{name: \"%s in %s\", match: {%s, headers: [{name: "
		    "\"%s\", present_match: true, invert_match: true}]}, "
		    "route: {cluster: \"gateway/%s\", timeout: 0s, "
		    "max_stream_duration: {grpc_timeout_header_max: 0s}}}, ",
		    name, to, match,
		    p->view->settings->region_header, to);
	}
	fprintf(f, "{name: \"%s\", match: {%s}, ", name, match);
	if (!model_allows(s, p->view->key.region) && to == NULL)
		refuse_print(f, 403, "service %s is not allowed in region %s",
		    s->name, p->view->key.region);
	else
		view_route_print(f, p->view, s, m);
	fprintf(f, "}, ");
}

/* It is pinned: other regions are refused here already. */
static void
pins_print(FILE *f, const struct pass *p, const struct model_service *s,
    const char *match)
{
	const struct model *m = p->model;

	for (size_t i = 0; i < m->intents_n[INTENT_REGION]; i++) {
		const char *to = m->intents[INTENT_REGION][i]->name;

		if (strcmp(to, p->view->key.region) == 0 || model_allows(s, to) ||
		    p->view->key.role != VIEW_SIDECAR)
			continue;
		fprintf(f, "{name: \"%s is not in %s\", match: {%s, headers: "
		    "[", s->name, to, match);
		header_print(f, p, to);
		fprintf(f, "]}, ");
		refuse_print(f, 403, "service %s is not allowed in region %s",
		    s->name, to);
		fprintf(f, "}, ");
	}
}

static void
methods_print(FILE *f, const struct pass *p, const struct model_service *s,
    const char *grpc)
{
	const Service *m = model_message(s);
	char match[3 * INTENT_NAME_MAX], name[2 * INTENT_NAME_MAX + 2];

	for (size_t i = 0; m != NULL && i < m->n_methods; i++) {
		snprintf(match, sizeof(match), "path: \"/%s/%s\"", grpc,
		    m->methods[i]->key);
		snprintf(name, sizeof(name), "%s/%s", s->name,
		    m->methods[i]->key);
		match_print(f, p, s, name, match, m->methods[i]->value);
	}
	snprintf(match, sizeof(match), "prefix: \"/%s/\"", grpc);
	match_print(f, p, s, s->name, match, NULL);
}

/* By path: what only this service answers. */
static struct body *
paths_new(const struct pass *p, const struct model_service *s, bool pins)
{
	char match[2 * INTENT_NAME_MAX];
	struct text t;

	text_begin(&t);
	if (t.out == NULL)
		return text_end(&t, p, ROUTES);
	fprintf(t.out, "{virtual_hosts: [{name: mesh, domains: [\"*\"], "
	    "routes: [");
	for (size_t i = 0; i < model_grpc_n(s); i++) {
		const char *grpc = model_grpc(s, i);

		snprintf(match, sizeof(match), "prefix: \"/%s/\"", grpc);
		if (pins)
			pins_print(t.out, p, s, match);
		else if (!s->shared)
			methods_print(t.out, p, s, grpc);
		else {
			fprintf(t.out, "{name: \"%s of whom\", match: {%s}, ",
			    grpc, match);
			refuse_print(t.out, 404, "several services answer %s: "
			    "say by :authority which", grpc);
			fprintf(t.out, "}, ");
		}
	}
	fprintf(t.out, "]}]}");
	return text_end(&t, p, ROUTES);
}

/* By :authority: whatever its gRPC names are. */
static struct body *
host_new(const struct pass *p, const struct model_service *s)
{
	struct text t;

	text_begin(&t);
	if (t.out == NULL)
		return text_end(&t, p, ROUTES);
	fprintf(t.out, "{virtual_hosts: [{name: \"%s\", domains: [\"%s\"], "
	    "routes: [", s->name, s->name);
	pins_print(t.out, p, s, "prefix: \"/\"");
	regions_print(t.out, p);
	fprintf(t.out, ", ");
	for (size_t i = 0; i < model_grpc_n(s); i++)
		methods_print(t.out, p, s, model_grpc(s, i));
	fprintf(t.out, "]}]}");
	return text_end(&t, p, ROUTES);
}

/* Asked for by a name that is not the gRPC service's. */
static bool
has_host(const struct model_service *s)
{
	return s->shared || model_grpc_n(s) != 1 ||
	    strcmp(model_grpc(s, 0), s->name) != 0;
}

int
view_service_routes(const struct pass *p, struct model_service *s)
{
	struct model_part *part = model_part(s, p->view->number);
	struct model_part next = { 0 };
	bool good, gone = s->gone || !view_sees(p->view, s);

	if (part == NULL)
		return why_set(p->why, p->why_len, "no memory is left");
	if (!gone) {
		next.pins = paths_new(p, s, true);
		next.routes = paths_new(p, s, false);
		next.host = has_host(s) ? host_new(p, s) : NULL;
	}
	good = gone || (next.pins != NULL && next.routes != NULL &&
	    (next.host != NULL || !has_host(s)));
	if (good) {
		struct model_part before = *part;

		*part = next;
		next = before;
	}
	body_put(next.pins);
	body_put(next.routes);
	body_put(next.host);
	return good ? 0 : -1;
}

/* ---- all of them. A part is a RouteConfiguration with one virtual host;
 * fields of one message that stand one after the other are one message, so
 * hosts are put together as they are, and the routes in the one of all. */

struct joined {
	uint8_t		*bytes;
	size_t		 n, size;
	bool		 failed;
};

static void
join(struct joined *j, const uint8_t *p, size_t n)
{
	size_t size = j->size == 0 ? 4096 : j->size;
	uint8_t *to;

	while (size < j->n + n)
		size *= 2;
	if (size != j->size) {
		if ((to = realloc(j->bytes, size)) == NULL) {
			j->failed = true;
			return;
		}
		j->bytes = to;
		j->size = size;
	}
	if (n > 0)
		memcpy(j->bytes + j->n, p, n);
	j->n += n;
}

/* The routes of the one virtual host of a part: its fields 3. */
static void
routes_join(struct joined *j, const struct body *part)
{
	const uint8_t *at = part == NULL ? NULL : part->bytes, *end;
	struct wire_field host, route;

	if (part == NULL || !wire_take(&at, part->bytes + part->len, &host))
		return;
	for (at = host.data, end = at + host.len; wire_take(&at, end,
	    &route); )
		if (route.tag == WIRE_TAG(3))
			join(j, route.from, (size_t)(at - route.from));
}

static void
head_join(struct joined *j, uint32_t tag, size_t len)
{
	uint8_t head[16];
	struct wire_out w = { .to = head };

	wire_put_head(&w, tag, len);
	join(j, head, w.n);
}

/* What stands around the services' routes in the virtual host of all: the
 * regions before them, and (last) behind them what its caller is told that
 * calls another. */
static struct body *
frame_new(const struct pass *p, bool last)
{
	struct text t;

	text_begin(&t);
	if (t.out != NULL) {
		fprintf(t.out, "{virtual_hosts: [{name: mesh, domains: "
		    "[\"*\"], routes: [");
		if (!last)
			regions_print(t.out, p);
		else {
			fprintf(t.out, "{name: \"not told of\", match: "
			    "{prefix: \"/\"}, ");
			refuse_print(t.out, 404, "caller %s is told only of "
			    "the services that it may call, and this is none "
			    "of them", p->view->key.caller);
			fprintf(t.out, "}");
		}
		fprintf(t.out, "]}]}");
	}
	return text_end(&t, p, ROUTES);
}

/* They are kept: a service's change says nothing of them. */
static bool
frame_make(const struct pass *p, struct body **at, bool last)
{
	if (*at != NULL && !p->all)
		return true;
	body_put(*at);
	return (*at = frame_new(p, last)) != NULL;
}

/* Of the services that are told of, by name; NULL behind the last. */
static const struct model_part *
part_at(const struct pass *p, size_t i)
{
	static const struct model_part nothing;
	const struct view *v = p->view, *of = v->base == NULL ? v :
	    v->base->of[RESOURCE_ROUTE];
	bool all = v->told_by == 0;
	const struct model_service *s;

	if (i == (all ? p->model->services_n : v->sees_n))
		return NULL;
	s = all ? p->model->services[i] : v->sees[i];
	return of->number < s->parts_n ? &s->parts[of->number] : &nothing;
}

static void
mesh_join(struct joined *j, const struct pass *p, const struct body *frame,
    const struct body *last)
{
	static const uint8_t names[] = { 1 << 3 | 2, 4, 'm', 'e', 's', 'h',
	    2 << 3 | 2, 1, '*' };
	const struct model_part *part;
	struct joined host = { 0 };

	join(&host, names, sizeof(names));
	for (size_t i = 0; (part = part_at(p, i)) != NULL; i++)
		routes_join(&host, part->pins);
	routes_join(&host, frame);
	for (size_t i = 0; (part = part_at(p, i)) != NULL; i++)
		routes_join(&host, part->routes);
	routes_join(&host, last);
	head_join(j, WIRE_TAG(2), host.n);
	join(j, host.bytes, host.n);
	j->failed = j->failed || host.failed;
	free(host.bytes);
}

int
view_routes(const struct pass *p)
{
	/* name: mesh. A host with a port is none of ours: a gateway's rules
	 * name hosts, and must mean what the routes mean. */
	static const uint8_t head[] = { 1 << 3 | 2, 4, 'm', 'e', 's', 'h' };
	const struct model_part *part;
	struct joined j = { 0 };
	struct body *b = NULL;

	if (p->view->key.role == VIEW_GRPC)
		return 0;
	if (!frame_make(p, &p->view->frame, false) ||
	    (p->view->told_by != 0 && !frame_make(p, &p->view->last, true)))
		return -1;
	join(&j, head, sizeof(head));
	for (size_t i = 0; (part = part_at(p, i)) != NULL; i++)
		if (part->host != NULL)
			join(&j, part->host->bytes, part->host->len);
	mesh_join(&j, p, p->view->frame, p->view->told_by != 0 ?
	    p->view->last : NULL);
	if (!j.failed)
		b = body_copy(j.bytes, j.n);
	free(j.bytes);
	if (b == NULL || !catalog_put(&p->view->catalog, RESOURCE_ROUTE,
	    "mesh", b))
		why_set(p->why, p->why_len, "no memory is left");
	else {
		body_put(b);
		return 0;
	}
	body_put(b);
	return -1;
}
