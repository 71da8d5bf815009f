/*
 * master/config_dump.c - see config_dump.h.
 *
 *   section ─> its lists ─> each resource of its kind that belongs there ─> item
 *
 * Which list a version is in: one of a file is static; another is active when
 * it is live, warming when it waits for others. Who has neither, because it
 * was refused or has not come, is warming too, with its name and no more.
 */
#include "master/config_dump.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_show.h"
#include "master/query.h"
#include "master/views.h"

#define ADMIN	"type.googleapis.com/envoy.admin.v3."

enum { MEMORY_BYTES_MAX = 512 << 20, VALUE_BYTES = 1024 };

enum belongs {
	STATIC, INSIDE,		/* INSIDE: what stands in others */
	ACTIVE, WARMING,
	DYNAMIC,		/* either: kinds that Envoy does not part */
	STATES,			/* listeners: both in one item */
};

static const struct list {
	const char	*name, *item;	/* item: its message, for ?resource= */
	enum resource_kind kind;
	enum belongs	 belongs;
} lists[] = {
	{ "static_clusters", "ClustersConfigDump.StaticCluster",
	    RESOURCE_CLUSTER, STATIC },
	{ "dynamic_active_clusters", "ClustersConfigDump.DynamicCluster",
	    RESOURCE_CLUSTER, ACTIVE },
	{ "dynamic_warming_clusters", "ClustersConfigDump.DynamicCluster",
	    RESOURCE_CLUSTER, WARMING },
	{ "static_endpoint_configs",
	    "EndpointsConfigDump.StaticEndpointConfig",
	    RESOURCE_ENDPOINT, INSIDE },
	{ "dynamic_endpoint_configs",
	    "EndpointsConfigDump.DynamicEndpointConfig",
	    RESOURCE_ENDPOINT, DYNAMIC },
	{ "static_listeners", "ListenersConfigDump.StaticListener",
	    RESOURCE_LISTENER, STATIC },
	{ "dynamic_listeners", "ListenersConfigDump.DynamicListener",
	    RESOURCE_LISTENER, STATES },
	{ "static_route_configs", "RoutesConfigDump.StaticRouteConfig",
	    RESOURCE_ROUTE, INSIDE },
	{ "dynamic_route_configs", "RoutesConfigDump.DynamicRouteConfig",
	    RESOURCE_ROUTE, DYNAMIC },
	{ "static_secrets", "SecretsConfigDump.StaticSecret",
	    RESOURCE_SECRET, STATIC },
	{ "dynamic_active_secrets", "SecretsConfigDump.DynamicSecret",
	    RESOURCE_SECRET, ACTIVE },
	{ "dynamic_warming_secrets", "SecretsConfigDump.DynamicSecret",
	    RESOURCE_SECRET, WARMING },
};
enum { LISTS_N = sizeof(lists) / sizeof(lists[0]) };

/* In the order of Envoy's answer. */
static const struct section {
	const char	*message;
	int		 kind;		/* -1: none */
	bool		 versioned;
} sections[] = {
	{ "ClustersConfigDump", RESOURCE_CLUSTER, true },
	{ "EndpointsConfigDump", RESOURCE_ENDPOINT, false },
	{ "ListenersConfigDump", RESOURCE_LISTENER, true },
	{ "ScopedRoutesConfigDump", -1, false },
	{ "RoutesConfigDump", RESOURCE_ROUTE, false },
	{ "SecretsConfigDump", RESOURCE_SECRET, false },
};
enum { SECTIONS_N = sizeof(sections) / sizeof(sections[0]) };

/* The field of an item that has the resource itself. */
static const char *const fields[RESOURCE_KINDS] = {
	[RESOURCE_CLUSTER] = "cluster", [RESOURCE_ENDPOINT] =
	"endpoint_config", [RESOURCE_SECRET] = "secret",
	[RESOURCE_LISTENER] = "listener", [RESOURCE_ROUTE] = "route_config",
};

struct dump {
	const struct config_dump *of;
	struct print	 p;
	struct views	 views;
	struct load_arena *memory;
	regex_t		 regex;
	bool		 by_name;	/* regex */
	bool		 eds;
	char		 resource[VALUE_BYTES];	/* "": all */
	const struct list *list;	/* that is printed now */
	bool		 list_open;
	const struct resource_version *inside;	/* whose part is printed */
};

/* ---- items */

static bool
named(const struct dump *d, const char *name)
{
	return !d->by_name || regexec(&d->regex, name, 0, NULL, 0) == 0;
}

static void
item_open(struct dump *d)
{
	bool alone = d->resource[0] != '\0';
	char type[128];

	if (!d->list_open)
		print_open(&d->p, alone ? "configs" : d->list->name, '[');
	d->list_open = true;
	print_open(&d->p, NULL, '{');
	if (!alone)
		return;
	snprintf(type, sizeof(type), ADMIN "%s", d->list->item);
	print_text(&d->p, "@type", type);
}

static void
item_close(struct dump *d)
{
	print_close(&d->p, '{');
	load_arena_clear(d->memory);
}

static void
updated(struct dump *d, const char *key, int64_t since_ms)
{
	char text[32];

	views_time(since_ms, text);
	print_text(&d->p, key, text);
}

/* Of a version that there is not. */
static void
resource_name(struct dump *d, enum resource_kind kind, const char *name)
{
	char url[128];

	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	print_open(&d->p, fields[kind], '{');
	print_text(&d->p, "@type", url);
	print_text(&d->p, kind == RESOURCE_ENDPOINT ? "cluster_name" : "name",
	    name);
	print_close(&d->p, '{');
}

static void
version(struct dump *d, enum resource_kind kind,
    const struct resource_version *v)
{
	if (v->from != FROM_FILE)
		print_text(&d->p, "version_info", v->text);
	views_body(&d->p, fields[kind], kind, v, true);
	updated(d, "last_updated", v->since_ms);
}

static void
error_state(struct dump *d, const struct resource_view *v)
{
	if (v->refused == NULL)
		return;
	print_open(&d->p, "error_state", '{');
	views_body(&d->p, "failed_configuration", v->kind, v->refused,
	    true);
	updated(d, "last_update_attempt", v->refused->since_ms);
	print_text(&d->p, "details", v->why == NULL ? "" : v->why);
	print_text(&d->p, "version_info", v->refused->text);
	print_close(&d->p, '{');
}

static void
status(struct dump *d, const struct resource_view *v)
{
	error_state(d, v);
	print_text(&d->p, "client_status", v->refused != NULL ? "NACKED" :
	    v->live != NULL || v->next != NULL ? "ACKED" : v->missing ?
	    "DOES_NOT_EXIST" : "REQUESTED");
}

/* ---- which list */

static bool
is_static(const struct resource_view *v)
{
	return v->live != NULL && v->live->from == FROM_FILE;
}

/* The version of v that belongs into this list; *there: v itself does. */
static const struct resource_version *
belonging(const struct resource_view *v, enum belongs b, bool *there)
{
	bool fixed = is_static(v);

	*there = true;
	if (b == STATIC && fixed)
		return v->live;
	if (b == ACTIVE && !fixed && v->live != NULL)
		return v->live;
	if (b == WARMING && (v->next != NULL || v->live == NULL))
		return v->next;
	if (b == DYNAMIC && !fixed)
		return v->live != NULL ? v->live : v->next;
	*there = false;
	return NULL;
}

static void
item(struct dump *d, const struct resource_view *v)
{
	const struct resource_version *of;
	enum belongs b = d->list->belongs;
	bool there;

	of = belonging(v, b, &there);
	if (!there)
		return;
	item_open(d);
	if (v->kind == RESOURCE_SECRET)
		print_text(&d->p, "name", origin_plain(v->name));
	if (of != NULL)
		version(d, v->kind, of);
	else
		resource_name(d, v->kind, origin_plain(v->name));
	if (b != STATIC)
		status(d, v);
	item_close(d);
}

static void
state(struct dump *d, const char *key, enum resource_kind kind,
    const struct resource_version *v)
{
	if (v == NULL)
		return;
	print_open(&d->p, key, '{');
	version(d, kind, v);
	print_close(&d->p, '{');
}

static void
item_states(struct dump *d, const struct resource_view *v)
{
	if (is_static(v))
		return;
	item_open(d);
	print_text(&d->p, "name", v->name);
	state(d, "active_state", v->kind, v->live);
	state(d, "warming_state", v->kind, v->next);
	status(d, v);
	item_close(d);
}

/* A part of another resource. */
static void
item_inside(void *arg, const char *name, const ProtobufCMessage *m)
{
	struct dump *d = arg;
	char url[128];

	if (!named(d, name))
		return;
	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(d->list->kind)->message);
	item_open(d);
	print_message(&d->p, fields[d->list->kind], m, url);
	updated(d, "last_updated", d->inside->since_ms);
	print_close(&d->p, '{');
}

/* Envoy calls only those endpoints static whose cluster is. */
static void
list_inside(struct dump *d, enum resource_kind kind, bool fixed)
{
	const struct resource_view *v;

	for (size_t i = d->views.first[kind]; i < d->views.first[kind + 1];
	    i++) {
		v = &d->views.at[i];
		if (v->live == NULL ||
		    (kind == RESOURCE_CLUSTER && is_static(v) != fixed))
			continue;
		d->inside = v->live;
		compile_show_inside(d->memory, kind, v->live->bytes,
		    v->live->len, item_inside, d);
		load_arena_clear(d->memory);
	}
}

static void
list_print(struct dump *d, const struct list *l)
{
	const struct views *all = &d->views;
	const struct resource_view *v;

	d->list = l;
	d->list_open = false;
	if (l->kind == RESOURCE_ENDPOINT)
		list_inside(d, RESOURCE_CLUSTER, l->belongs == INSIDE);
	else if (l->belongs == INSIDE)
		list_inside(d, RESOURCE_LISTENER, true);
	for (size_t i = all->first[l->kind]; l->belongs != INSIDE &&
	    i < all->first[l->kind + 1]; i++) {
		v = &all->at[i];
		if (!named(d, origin_plain(v->name)))
			continue;
		if (l->belongs == STATES)
			item_states(d, v);
		else
			item(d, v);
	}
	if (d->list_open)
		print_close(&d->p, '[');
}

/* ---- sections */

static void
section_print(struct dump *d, const struct section *s)
{
	char type[128];

	print_open(&d->p, NULL, '{');
	snprintf(type, sizeof(type), ADMIN "%s", s->message);
	print_text(&d->p, "@type", type);
	if (s->versioned && d->of->versions[s->kind] != NULL &&
	    d->of->versions[s->kind][0] != '\0')
		print_text(&d->p, "version_info", d->of->versions[s->kind]);
	for (int i = 0; i < LISTS_N; i++)
		if ((int)lists[i].kind == s->kind)
			list_print(d, &lists[i]);
	print_close(&d->p, '{');
}

static void
static_kind(struct dump *d, const char *key, enum resource_kind kind)
{
	const struct resource_view *v;
	bool open = false;

	for (size_t i = d->views.first[kind]; i < d->views.first[kind + 1];
	    i++) {
		v = &d->views.at[i];
		if (!is_static(v))
			continue;
		if (!open)
			print_open(&d->p, key, '[');
		open = true;
		views_body(&d->p, NULL, kind, v->live, false);
		load_arena_clear(d->memory);
	}
	if (open)
		print_close(&d->p, '[');
}

/* The file: what of it are resources stands among these. */
static void
bootstrap_print(struct dump *d)
{
	print_open(&d->p, NULL, '{');
	print_text(&d->p, "@type", ADMIN "BootstrapConfigDump");
	print_open(&d->p, "bootstrap", '{');
	print_fields(&d->p, "envoy.config.bootstrap.v3.Bootstrap",
	    d->of->dynamic->bootstrap, d->of->dynamic->bootstrap_len);
	load_arena_clear(d->memory);
	print_open(&d->p, "static_resources", '{');
	static_kind(d, "listeners", RESOURCE_LISTENER);
	static_kind(d, "clusters", RESOURCE_CLUSTER);
	static_kind(d, "secrets", RESOURCE_SECRET);
	print_close(&d->p, '{');
	print_close(&d->p, '{');
	print_close(&d->p, '{');
}

static void
all_print(struct dump *d)
{
	print_open(&d->p, "configs", '[');
	bootstrap_print(d);
	for (int i = 0; i < SECTIONS_N; i++)
		if (d->eds || sections[i].kind != RESOURCE_ENDPOINT)
			section_print(d, &sections[i]);
	print_close(&d->p, '[');
}

/* ---- the question */

static int
refused(FILE *out, const char *what, const char *value)
{
	fprintf(out, "%s%s\n", what, value);
	return 400;
}

static int
regex_read(struct dump *d, const char *text, FILE *out)
{
	char whole[VALUE_BYTES + 8], why[128];
	int rc;

	snprintf(whole, sizeof(whole), "^(%s)$", text);
	rc = regcomp(&d->regex, whole, REG_EXTENDED | REG_NOSUB);
	if (rc != 0) {
		regerror(rc, &d->regex, why, sizeof(why));
		fprintf(out, "name_regex=%s is no regular expression: %s\n",
		    text, why);
		return 400;
	}
	d->by_name = true;
	return 200;
}

static const struct list *
list_find(const char *name)
{
	for (int i = 0; i < LISTS_N; i++)
		if (strcmp(lists[i].name, name) == 0)
			return &lists[i];
	return NULL;
}

static int
question_read(struct dump *d, const char *query, FILE *out)
{
	static const char *const names[] = { "include_eds", "resource",
	    "name_regex", "mask", NULL };
	char value[VALUE_BYTES], unknown[64];
	int rc;

	if (query_unknown(query, names, unknown) != NULL)
		return refused(out, "resource=, name_regex= and include_eds "
		    "are known here, not ", unknown);
	if (query_find(query, "mask", value, sizeof(value)) != 0)
		return refused(out, "mask= is not built: take resource= or "
		    "name_regex=", "");
	rc = query_find(query, "name_regex", value, sizeof(value));
	if (rc == -1)
		return refused(out, "name_regex= can't be read", "");
	if (rc == 1 && regex_read(d, value, out) != 200)
		return 400;
	d->eds = query_find(query, "include_eds", value, sizeof(value)) != 0;
	if (query_find(query, "resource", d->resource, sizeof(d->resource)) ==
	    -1)
		return refused(out, "resource= can't be read", "");
	if (d->resource[0] == '\0' || list_find(d->resource) != NULL)
		return 200;
	fprintf(out, "%s not found in config dump\n", d->resource);
	return 404;
}

static int
answer(struct dump *d, FILE *out)
{
	d->memory = load_arena_new(MEMORY_BYTES_MAX);
	if (!views_init(&d->views, d->of->resources) || d->memory == NULL) {
		fprintf(out, "no memory\n");
		return 503;
	}
	print_begin(&d->p, out, d->memory);
	print_open(&d->p, NULL, '{');
	if (d->resource[0] != '\0')
		list_print(d, list_find(d->resource));
	else
		all_print(d);
	print_close(&d->p, '{');
	return 200;
}

int
config_dump(const struct config_dump *of, const char *query, FILE *out)
{
	struct dump d = { .of = of };
	int status_code = question_read(&d, query, out);

	if (status_code == 200)
		status_code = answer(&d, out);
	views_fini(&d.views);
	load_arena_free(d.memory);
	if (d.by_name)
		regfree(&d.regex);
	return status_code;
}
