/*
 * master/ctl/ems_write.c - apply, plan, delete, rollback (ems.h).
 *
 *   service/a  v3 -> v4        region/us  created v1        caller/b  unchanged
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/ctl/ems.h"
#include "master/ctl/files.h"
#include "master/ctl/table.h"

/* ---- what was done */

static void
change_row(struct table *t, const struct yaml_node *n, bool done)
{
	const char *action = ems_text(n, "action");
	uint64_t from = ems_number(n, "from"), to = ems_number(n, "to");

	table_row(t);
	table_cell(t, "%s/%s", ems_text(n, "noun"), ems_text(n, "name"));
	if (strcmp(action, "unchanged") == 0)
		table_cell(t, from == 0 ? "not there" : "unchanged, v%" PRIu64,
		    from);
	else if (!done)
		table_cell(t, from == 0 ? "%s" : "%s, v%" PRIu64, action,
		    from);
	else if (from == 0)
		table_cell(t, "%s v%" PRIu64, action, to);
	else if (strcmp(action, "deleted") == 0)
		table_cell(t, "deleted, was v%" PRIu64, from);
	else
		table_cell(t, "v%" PRIu64 " -> v%" PRIu64, from, to);
}

static int
done_show(const struct yaml_node *root)
{
	const struct yaml_node *changes = ems_items(root, "changes");
	struct table t = { 0 };

	if (*ems_text(root, "noun") != '\0')
		change_row(&t, root, true);
	for (size_t i = 0; i < changes->n; i++)
		change_row(&t, &changes->items[i], true);
	if (t.n == 0)
		printf("nothing to change\n");
	table_print(&t);
	printf("revision %s\n", ems_text(root, "revision"));
	return 0;
}

/* ---- what would be done */

static void
effects_show(const struct yaml_node *root)
{
	const struct yaml_node *effects = ems_items(root, "effects");
	struct table t = { 0 };

	for (size_t i = 0; i < effects->n; i++) {
		const struct yaml_node *n = &effects->items[i];

		table_row(&t);
		table_cell(&t, "%s %s", ems_text(n, "role"), *ems_text(n,
		    "gateway") != '\0' ? ems_text(n, "gateway") : "");
		table_cell(&t, "%s", ems_text(n, "region"));
		table_cell(&t, "%s", ems_text(n, "type"));
		table_cell(&t, "%s", ems_text(n, "name"));
		table_cell(&t, "%s", ems_text(n, "action"));
	}
	table_print(&t);
	printf("%s proxies that are connected would be told\n",
	    ems_text(root, "proxies"));
}

static int
plan_show(const struct yaml_node *root)
{
	const struct yaml_node *changes = ems_items(root, "changes");
	struct table t = { 0 };

	for (size_t i = 0; i < changes->n; i++) {
		const char *diff = ems_text(&changes->items[i], "diff");

		plain_print(diff, strlen(diff));
		change_row(&t, &changes->items[i], false);
	}
	if (t.n == 0)
		printf("nothing to change\n");
	table_print(&t);
	effects_show(root);
	printf("plan %s, at revision %s: godwitctl apply --plan %s\n",
	    ems_text(root, "plan"), ems_text(root, "revision"),
	    ems_text(root, "plan"));
	return 0;
}

/* ---- words */

static int
files_post(struct ems_ctl *c, const struct ems_path *path, int argc,
    char **argv, int (*show)(const struct yaml_node *root))
{
	char why[EMS_WHY_BYTES], *body;
	size_t n;
	int rc;

	body = files_read(argv, (size_t)argc, &n, why, sizeof(why));
	if (body == NULL) {
		fprintf(stderr, "godwitctl: %s\n", why);
		return 1;
	}
	rc = ems_do(c, "POST", path, body, n, show);
	free(body);
	return rc;
}

int
ems_apply(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	if ((c->plan == NULL) == (argc == 0))
		return ems_usage("apply takes files, or --plan ID", "");
	ems_path(&p, "/v1/apply");
	ems_path_query(&p, "plan", c->plan);
	ems_path_query(&p, "why", c->why);
	ems_path_query(&p, "force", c->force ? "1" : NULL);
	ems_path_query(&p, "confirm", c->confirm ? "1" : NULL);
	return c->plan != NULL ? ems_do(c, "POST", &p, NULL, 0, done_show) :
	    files_post(c, &p, argc, argv, done_show);
}

int
ems_plan(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	ems_path(&p, "/v1/plan");
	return files_post(c, &p, argc, argv, plan_show);
}

/* "a/b" of NOUN NAME is left to the server to refuse. */
static void
item_path(struct ems_path *p, char **argv)
{
	ems_path(p, "/v1");
	ems_path_part(p, argv[0]);
	ems_path_part(p, argv[1]);
}

/* --force deletes whatever version is there. -1: it is said why. */
static int
version_find(struct ems_ctl *c, char **argv, char version[24])
{
	struct ems_path p;
	struct yaml *y;

	item_path(&p, argv);
	y = ems_asked(c, "GET", &p, NULL, 0);
	if (y == NULL)
		return -1;
	snprintf(version, 24, "%s", ems_text(yaml_root(y), "version"));
	yaml_close(y);
	return 0;
}

int
ems_delete(struct ems_ctl *c, int argc, char **argv)
{
	char version[24];
	struct ems_path p;

	(void)argc;
	if (c->version == NULL && c->force) {
		if (version_find(c, argv, version) == -1)
			return 1;
		c->version = version;
	}
	item_path(&p, argv);
	ems_path_query(&p, "expect_version", c->version);
	ems_path_query(&p, "why", c->why);
	ems_path_query(&p, "confirm", c->confirm ? "1" : NULL);
	return ems_do(c, "DELETE", &p, NULL, 0, done_show);
}

int
ems_rollback(struct ems_ctl *c, int argc, char **argv)
{
	struct ems_path p;

	(void)argc;
	ems_path(&p, "/v1/rollback");
	ems_path_query(&p, "revision", argv[0]);
	ems_path_query(&p, "why", c->why);
	ems_path_query(&p, "apply", c->now ? "1" : NULL);
	ems_path_query(&p, "confirm", c->confirm ? "1" : NULL);
	return ems_do(c, "POST", &p, NULL, 0, c->now ? done_show : plan_show);
}
