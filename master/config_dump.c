/*
 * master/config_dump.c - see config_dump.h.
 *
 *   section ─> its lists ─> each resource of its kind that belongs there ─> item
 *
 *   begin: set ─> views, held     parts[]: | file | section | list | list | ...
 *   more:  a piece of items, and where it stopped:            ^part, at ^
 *
 * Which list a version is in: one of a file is static; another is active when
 * it is live, warming when it waits for others. Who has neither, because it
 * was refused or has not come, is warming too, with its name and no more.
 */
#include "master/config_dump.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_show.h"
#include "master/query.h"
#include "master/views.h"

#define ADMIN	"type.googleapis.com/envoy.admin.v3."

enum {
	MEMORY_BYTES_MAX = 512 << 20, VALUE_BYTES = 1024,
	/* A piece: about a millisecond, printed or passed over. */
	PIECE_BYTES = 64 << 10, PIECE_ITEMS = 256,
	FILE_BRACKETS = 3,
};

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

/* What is printed one after the other, at the first, each and the last of the
 * resources of a kind. */
struct part {
	void		(*begin)(struct config_dump_run *d,
			    const struct part *p);
	void		(*each)(struct config_dump_run *d,
			    const struct part *p,
			    const struct resource_view *v);
	void		(*end)(struct config_dump_run *d,
			    const struct part *p);
	int		 kind;		/* -1: of none */
	const struct list *list;
	const struct section *section;
	const char	*key;
};
enum { PARTS_MAX = 2 * LISTS_N + SECTIONS_N * 2 + 8 };

struct config_dump_run {
	struct part	 parts[PARTS_MAX];
	size_t		 parts_n, part, at;	/* of the views */
	bool		 begun;		/* the part is */
	char		*versions[RESOURCE_KINDS];	/* or NULL */
	uint8_t		*bootstrap;
	size_t		 bootstrap_len;
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
named(const struct config_dump_run *d, const char *name)
{
	return !d->by_name || regexec(&d->regex, name, 0, NULL, 0) == 0;
}

static void
item_open(struct config_dump_run *d)
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
item_close(struct config_dump_run *d)
{
	print_close(&d->p, '{');
	load_arena_clear(d->memory);
}

static void
updated(struct config_dump_run *d, const char *key, int64_t since_ms)
{
	char text[32];

	views_time(since_ms, text);
	print_text(&d->p, key, text);
}

/* Of a version that there is not. */
static void
resource_name(struct config_dump_run *d, enum resource_kind kind,
    const char *name)
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
version(struct config_dump_run *d, enum resource_kind kind,
    const struct resource_version *v)
{
	if (v->from != FROM_FILE)
		print_text(&d->p, "version_info", v->text);
	views_body(&d->p, fields[kind], kind, v, true);
	updated(d, "last_updated", v->since_ms);
}

static void
error_state(struct config_dump_run *d, const struct resource_view *v)
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
status(struct config_dump_run *d, const struct resource_view *v)
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
item(struct config_dump_run *d, const struct resource_view *v)
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
state(struct config_dump_run *d, const char *key, enum resource_kind kind,
    const struct resource_version *v)
{
	if (v == NULL)
		return;
	print_open(&d->p, key, '{');
	version(d, kind, v);
	print_close(&d->p, '{');
}

static void
item_states(struct config_dump_run *d, const struct resource_view *v)
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
	struct config_dump_run *d = arg;
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

/* ---- parts */

static void
list_begin(struct config_dump_run *d, const struct part *p)
{
	d->list = p->list;
	d->list_open = false;
}

static void
list_end(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	if (d->list_open)
		print_close(&d->p, '[');
}

static void
list_each(struct config_dump_run *d, const struct part *p,
    const struct resource_view *v)
{
	if (!named(d, origin_plain(v->name)))
		return;
	if (p->list->belongs == STATES)
		item_states(d, v);
	else
		item(d, v);
}

/* Envoy calls only those endpoints static whose cluster is. */
static void
inside_each(struct config_dump_run *d, const struct part *p,
    const struct resource_view *v)
{
	if (v->live == NULL || (v->kind == RESOURCE_CLUSTER &&
	    is_static(v) != (p->list->belongs == INSIDE)))
		return;
	d->inside = v->live;
	compile_show_inside(d->memory, v->kind, v->live->bytes, v->live->len,
	    item_inside, d);
	load_arena_clear(d->memory);
}

static void
section_begin(struct config_dump_run *d, const struct part *p)
{
	const struct section *s = p->section;
	char type[128];

	print_open(&d->p, NULL, '{');
	snprintf(type, sizeof(type), ADMIN "%s", s->message);
	print_text(&d->p, "@type", type);
	if (s->versioned && d->versions[s->kind] != NULL &&
	    d->versions[s->kind][0] != '\0')
		print_text(&d->p, "version_info", d->versions[s->kind]);
}

static void
object_end(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	print_close(&d->p, '{');
}

/* The file: what of it are resources stands among these. */
static void
bootstrap_begin(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	print_open(&d->p, NULL, '{');
	print_text(&d->p, "@type", ADMIN "BootstrapConfigDump");
	print_open(&d->p, "bootstrap", '{');
	print_fields(&d->p, "envoy.config.bootstrap.v3.Bootstrap",
	    d->bootstrap, d->bootstrap_len);
	load_arena_clear(d->memory);
	print_open(&d->p, "static_resources", '{');
}

static void
static_each(struct config_dump_run *d, const struct part *p,
    const struct resource_view *v)
{
	if (!is_static(v))
		return;
	if (!d->list_open)
		print_open(&d->p, p->key, '[');
	d->list_open = true;
	views_body(&d->p, NULL, v->kind, v->live, false);
	load_arena_clear(d->memory);
}

static void
bootstrap_end(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	for (int i = 0; i < FILE_BRACKETS; i++)
		print_close(&d->p, '{');
}

static void
configs_begin(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	print_open(&d->p, "configs", '[');
}

static void
configs_end(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	print_close(&d->p, '[');
}

static void
part_add(struct config_dump_run *d, struct part p)
{
	assert(d->parts_n < PARTS_MAX);
	d->parts[d->parts_n++] = p;
}

/* The endpoints that stand in clusters, the routes that stand in listeners,
 * and those that are resources of their own. */
static void
list_add(struct config_dump_run *d, const struct list *l)
{
	bool both = l->kind == RESOURCE_ENDPOINT && l->belongs == DYNAMIC;
	int in = l->kind == RESOURCE_ENDPOINT ? RESOURCE_CLUSTER :
	    RESOURCE_LISTENER;

	if (both || l->belongs == INSIDE)
		part_add(d, (struct part){ list_begin, inside_each, both ?
		    NULL : list_end, in, .list = l });
	if (l->belongs != INSIDE)
		part_add(d, (struct part){ both ? NULL : list_begin,
		    list_each, list_end, (int)l->kind, .list = l });
}

static void
section_add(struct config_dump_run *d, const struct section *s)
{
	part_add(d, (struct part){ .begin = section_begin, .kind = -1,
	    .section = s });
	for (int i = 0; i < LISTS_N; i++)
		if ((int)lists[i].kind == s->kind)
			list_add(d, &lists[i]);
	part_add(d, (struct part){ .end = object_end, .kind = -1 });
}

static void
all_add(struct config_dump_run *d)
{
	static const struct part parts[] = {
		{ .begin = configs_begin, .kind = -1 },
		{ .begin = bootstrap_begin, .kind = -1 },
		{ list_begin, static_each, list_end, RESOURCE_LISTENER,
		    .key = "listeners" },
		{ list_begin, static_each, list_end, RESOURCE_CLUSTER,
		    .key = "clusters" },
		{ list_begin, static_each, list_end, RESOURCE_SECRET,
		    .key = "secrets" },
		{ .end = bootstrap_end, .kind = -1 },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		part_add(d, parts[i]);
	for (int i = 0; i < SECTIONS_N; i++)
		if (d->eds || sections[i].kind != RESOURCE_ENDPOINT)
			section_add(d, &sections[i]);
	part_add(d, (struct part){ .end = configs_end, .kind = -1 });
}

/* One resource more, or the part's end. */
static void
step(struct config_dump_run *d)
{
	const struct part *p = &d->parts[d->part];
	size_t end = p->kind == -1 ? 0 : d->views.first[p->kind + 1];

	if (!d->begun) {
		d->at = p->kind == -1 ? 0 : d->views.first[p->kind];
		if (p->begin != NULL)
			p->begin(d, p);
	}
	d->begun = true;
	if (d->at < end) {
		p->each(d, p, &d->views.at[d->at++]);
		return;
	}
	if (p->end != NULL)
		p->end(d, p);
	d->begun = false;
	d->part++;
}

bool
config_dump_more(struct config_dump_run *d, FILE *out)
{
	d->p.out = out;
	for (int i = 0; i < PIECE_ITEMS && d->part < d->parts_n; i++) {
		step(d);
		if (ftell(out) >= PIECE_BYTES)
			break;
	}
	return d->part < d->parts_n;
}

/* ---- the question */

static int
refused(FILE *out, const char *what, const char *value)
{
	fprintf(out, "%s%s\n", what, value);
	return 400;
}

static int
regex_read(struct config_dump_run *d, const char *text, FILE *out)
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
question_read(struct config_dump_run *d, const char *query, FILE *out)
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

/* All that outlasts this turn is our own from here on. */
static bool
snapshot(struct config_dump_run *d, const struct config_dump *of)
{
	size_t len = of->dynamic->bootstrap_len;

	d->memory = load_arena_new(MEMORY_BYTES_MAX);
	d->bootstrap = malloc(len + 1);
	if (d->memory == NULL || d->bootstrap == NULL ||
	    !views_init(&d->views, of->resources) || !views_hold(&d->views))
		return false;
	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		if (of->versions[kind] != NULL && (d->versions[kind] =
		    strdup(of->versions[kind])) == NULL)
			return false;
	if (len > 0)
		memcpy(d->bootstrap, of->dynamic->bootstrap, len);
	d->bootstrap_len = len;
	return true;
}

static void
object_begin(struct config_dump_run *d, const struct part *p)
{
	(void)p;
	print_open(&d->p, NULL, '{');
}

static int
begin(struct config_dump_run *d, const struct config_dump *of,
    const char *query, FILE *out)
{
	int code = question_read(d, query, out);

	if (code != 200)
		return code;
	if (!snapshot(d, of)) {
		fprintf(out, "no memory\n");
		return 503;
	}
	print_begin(&d->p, out, d->memory);
	part_add(d, (struct part){ .begin = object_begin, .kind = -1 });
	if (d->resource[0] != '\0')
		list_add(d, list_find(d->resource));
	else
		all_add(d);
	part_add(d, (struct part){ .end = object_end, .kind = -1 });
	return 200;
}

int
config_dump_begin(const struct config_dump *of, const char *query, FILE *out,
    struct config_dump_run **to)
{
	struct config_dump_run *d = calloc(1, sizeof(*d));
	int code = 503;

	if (d != NULL)
		code = begin(d, of, query, out);
	else
		fprintf(out, "no memory\n");
	if (code == 200)
		*to = d;
	else if (d != NULL)
		config_dump_end(d);
	return code;
}

void
config_dump_end(struct config_dump_run *d)
{
	views_fini(&d->views);
	load_arena_free(d->memory);
	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		free(d->versions[kind]);
	free(d->bootstrap);
	if (d->by_name)
		regfree(&d->regex);
	free(d);
}
