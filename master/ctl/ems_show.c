/*
 * master/ctl/ems_show.c - get, list, diff, history, services, leases, proxies
 * (ems.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ems.h"
#include "master/ctl/table.h"

/* ---- intents */

/* What apply reads again: documents.h. */
static int
get_show(const struct yaml_node *root)
{
	const char *body = ems_text(root, "body");
	size_t n = strlen(body);

	if (*body != '{')		/* JSON has no comments */
		printf("# version: %s\n", ems_text(root, "version"));
	plain_print(body, n);
	if (n > 0 && body[n - 1] != '\n')
		putchar('\n');
	return 0;
}

int
ems_get(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	(void)argc;
	ems_path(&p, "/v1");
	ems_path_part(&p, argv[0]);
	ems_path_part(&p, argv[1]);
	ems_path_query(&p, "revision", c->revision);
	return ems_do(c, "GET", &p, NULL, 0, get_show);
}

static int
list_show(const struct yaml_node *root)
{
	const struct yaml_node *items = ems_items(root, "items");
	struct table t = { 0 };

	table_row(&t);
	table_cell(&t, "NAME");
	table_cell(&t, "VERSION");
	table_cell(&t, "REVISION");
	for (size_t i = 0; i < items->n; i++) {
		table_row(&t);
		table_cell(&t, "%s", ems_text(&items->items[i], "name"));
		table_cell(&t, "%s", ems_text(&items->items[i], "version"));
		table_cell(&t, "%s", ems_text(&items->items[i], "revision"));
	}
	table_print(&t);
	return 0;
}

int
ems_list(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	(void)argc;
	ems_path(&p, "/v1");
	ems_path_part(&p, argv[0]);
	ems_path_query(&p, "revision", c->revision);
	return ems_do(c, "GET", &p, NULL, 0, list_show);
}

static int
diff_show(const struct yaml_node *root)
{
	const char *diff = ems_text(root, "diff");

	plain_print(diff, strlen(diff));
	if (*diff == '\0')
		printf("v%s and v%s are the same\n", ems_text(root, "from"),
		    ems_text(root, "to"));
	return 0;
}

int
ems_diff(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	ems_path(&p, "/v1/diff");
	ems_path_query(&p, "noun", argv[0]);
	ems_path_query(&p, "name", argv[1]);
	ems_path_query(&p, "from", argc > 2 ? argv[2] : NULL);
	ems_path_query(&p, "to", argc > 3 ? argv[3] : NULL);
	return ems_do(c, "GET", &p, NULL, 0, diff_show);
}

static int
history_show(const struct yaml_node *root)
{
	const struct yaml_node *all = ems_items(root, "history");
	struct table t = { 0 };

	table_row(&t);
	table_cell(&t, "REVISION");
	table_cell(&t, "WHEN");
	table_cell(&t, "WHAT");
	table_cell(&t, "VERSION");
	table_cell(&t, "WHO");
	table_cell(&t, "WHY");
	for (size_t i = 0; i < all->n; i++) {
		const struct yaml_node *n = &all->items[i];
		bool deleted = strcmp(ems_text(n, "action"), "deleted") == 0;

		table_row(&t);
		table_cell(&t, "%s", ems_text(n, "revision"));
		table_cell(&t, "%s", ems_text(n, "when"));
		table_cell(&t, "%s/%s", ems_text(n, "noun"),
		    ems_text(n, "name"));
		table_cell(&t, "%s -> %s%s", ems_text(n, "from"),
		    ems_text(n, "to"), deleted ? " deleted" : "");
		table_cell(&t, "%s", ems_text(n, "who"));
		table_cell(&t, "%s", ems_text(n, "why"));
	}
	table_print(&t);
	if (ems_flag(root, "more"))
		printf("there is older history: --limit, or --revision for "
		    "what was before one\n");
	return 0;
}

int
ems_history(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	if (argc == 1)
		return ems_usage("history takes a noun and a name, or "
		    "neither", "");
	ems_path(&p, "/v1/history");
	ems_path_query(&p, "noun", argc > 0 ? argv[0] : NULL);
	ems_path_query(&p, "name", argc > 0 ? argv[1] : NULL);
	ems_path_query(&p, "limit", c->limit);
	ems_path_query(&p, "before", c->revision);
	return ems_do(c, "GET", &p, NULL, 0, history_show);
}

/* ---- services, leases */

static void
states_cells(struct table *t, const struct yaml_node *n)
{
	table_cell(t, "%s", ems_text(n, "live"));
	table_cell(t, "%s", ems_text(n, "suspect"));
	table_cell(t, "%s", ems_text(n, "draining"));
}

/* "r41:3 r42:1" */
static void
versions_cell(struct table *t, const struct yaml_node *service)
{
	const struct yaml_node *all = ems_items(service, "versions");
	char text[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < all->n && n < sizeof(text) - 160; i++) {
		const struct yaml_node *v = &all->items[i];

		if (*ems_text(v, "version") == '\0')
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%s%s:%" PRIu64, n == 0 ? "" : " ", ems_text(v,
		    "version"), ems_number(v, "live") + ems_number(v,
		    "suspect") + ems_number(v, "draining"));
	}
	table_cell(t, "%s", text);
}

static void
service_rows(struct table *t, const struct yaml_node *s)
{
	const struct yaml_node *regions = ems_items(s, "regions");
	const char *name = ems_text(s, "service");

	for (size_t i = 0; i < regions->n || i == 0; i++) {
		table_row(t);
		table_cell(t, "%s", i == 0 ? name : "");
		if (regions->n == 0) {
			table_cell(t, "-");
			continue;
		}
		table_cell(t, "%s", ems_text(&regions->items[i], "region"));
		states_cells(t, &regions->items[i]);
		if (i == 0)
			versions_cell(t, s);
	}
}

static void
endpoint_row(struct table *t, const struct yaml_node *n)
{
	const char *address = ems_text(n, "address");
	bool six = strchr(address, ':') != NULL;

	table_row(t);
	table_cell(t, "%s", ems_text(n, "id"));
	table_cell(t, "%s", ems_text(n, "state"));
	table_cell(t, "%s", ems_text(n, "region"));
	table_cell(t, "%s%s%s:%s", six ? "[" : "", address, six ? "]" : "",
	    ems_text(n, "port"));
	table_cell(t, "%s", ems_text(n, "weight"));
	table_cell(t, "%s", ems_text(n, "version"));
}

static void
endpoints_head(struct table *t)
{
	static const char *const titles[] = { "ID", "STATE", "REGION",
	    "ADDRESS", "WEIGHT", "VERSION" };

	table_row(t);
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_cell(t, "%s", titles[i]);
}

static int
services_show(const struct yaml_node *root)
{
	static const char *const titles[] = { "SERVICE", "REGION", "LIVE",
	    "SUSPECT", "DRAINING", "VERSIONS" };
	const struct yaml_node *all = ems_items(root, "services"), *ends;
	struct table t = { 0 };

	table_row(&t);
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_cell(&t, "%s", titles[i]);
	for (size_t i = 0; i < all->n; i++)
		service_rows(&t, &all->items[i]);
	table_print(&t);
	ends = all->n == 1 ? ems_items(&all->items[0], "endpoints") : all;
	if (all->n != 1 || ends->n == 0)
		return 0;
	putchar('\n');
	endpoints_head(&t);
	for (size_t i = 0; i < ends->n; i++)
		endpoint_row(&t, &ends->items[i]);
	table_print(&t);
	return 0;
}

int
ems_services(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	ems_path(&p, "/v1/services");
	ems_path_query(&p, "service", argc > 0 ? argv[0] : NULL);
	return ems_do(c, "GET", &p, NULL, 0, services_show);
}

static int
leases_show(const struct yaml_node *root)
{
	const struct yaml_node *all = ems_items(root, "leases");
	const struct yaml_node *alarms = ems_items(root, "alarms");
	struct table t = { 0 };

	for (size_t i = 0; i < alarms->n; i++)
		printf("alarm: %s of %s leases of region %s lapsed at once: "
		    "none of them goes until that is over\n", ems_text(
		    &alarms->items[i], "lapsed"), ems_text(&alarms->items[i],
		    "leases"), ems_text(&alarms->items[i], "region"));
	endpoints_head(&t);
	table_cell(&t, "TTL");
	table_cell(&t, "SILENT");
	for (size_t i = 0; i < all->n; i++) {
		endpoint_row(&t, &all->items[i]);
		table_cell(&t, "%.1fs", (double)ems_number(&all->items[i],
		    "ttl_ms") / 1000);
		table_cell(&t, "%.1fs", (double)ems_number(&all->items[i],
		    "silent_ms") / 1000);
	}
	table_print(&t);
	return 0;
}

int
ems_leases(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	(void)argc;
	(void)argv;
	ems_path(&p, "/v1/leases");
	return ems_do(c, "GET", &p, NULL, 0, leases_show);
}

/* ---- proxies */

/* "ok", or how far behind, or why not. */
static void
type_cell(struct table *t, const struct yaml_node *n)
{
	uint64_t newest = ems_number(n, "newest");
	uint64_t acknowledged = ems_number(n, "acknowledged");
	const char *why = ems_text(n, "refused");

	if (*why != '\0')
		table_cell(t, "%s refused: %s", ems_text(n, "type"), why);
	else if (ems_flag(n, "outstanding"))
		table_cell(t, "%s waits for its answer, %.1fs",
		    ems_text(n, "type"), (double)ems_number(n,
		    "outstanding_ms") / 1000);
	else if (acknowledged < newest)
		table_cell(t, "%s is %" PRIu64 " changes behind",
		    ems_text(n, "type"), newest - acknowledged);
	else
		table_cell(t, "%s ok", ems_text(n, "type"));
}

/* All kinds are well: one row. Else one for each that is not. */
static void
proxy_rows(struct table *t, const struct yaml_node *n)
{
	const struct yaml_node *types = ems_items(n, "types");
	bool first = true;

	for (size_t i = 0; i <= types->n; i++) {
		const struct yaml_node *at = i < types->n ? &types->items[i] :
		    NULL;
		bool well = at != NULL && *ems_text(at, "refused") == '\0' &&
		    !ems_flag(at, "outstanding") && ems_number(at, "newest") <=
		    ems_number(at, "acknowledged");

		if (well || (at == NULL && !first))
			continue;
		table_row(t);
		table_cell(t, "%s", first ? ems_text(n, "node") : "");
		table_cell(t, "%s", first ? ems_text(n, "role") : "");
		table_cell(t, "%s", first ? ems_text(n, "region") : "");
		table_cell(t, "%s", first ? ems_text(n, "since") : "");
		table_cell(t, "%s", first ? ems_text(n, "protocol") : "");
		if (at == NULL)
			table_cell(t, "up to date");
		else
			type_cell(t, at);
		first = false;
	}
}

static int
proxies_show(const struct yaml_node *root)
{
	static const char *const titles[] = { "NODE", "ROLE", "REGION",
	    "SINCE", "PROTOCOL", "STATE" };
	const struct yaml_node *all = ems_items(root, "proxies");
	struct table t = { 0 };

	table_row(&t);
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_cell(&t, "%s", titles[i]);
	for (size_t i = 0; i < all->n; i++)
		proxy_rows(&t, &all->items[i]);
	table_print(&t);
	return 0;
}

int
ems_proxies(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	(void)argc;
	(void)argv;
	ems_path(&p, "/v1/proxies");
	return ems_do(c, "GET", &p, NULL, 0, proxies_show);
}
