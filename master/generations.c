/* master/generations.c - see generations.h. */
#include "master/generations.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/names.h"
#include "shm/log.h"

static const char bootstrap_type[] = "envoy.config.bootstrap.v3.Bootstrap";

enum { MESSAGES_BYTES_MAX = 1 << 30 };

/* ---- reading */

/* The settings of a tree (NULL: no file), with -o over them. */
static int
conf_read(struct conf *c, const struct options *o, const struct yaml *tree,
    char *why, size_t why_len)
{
	const struct yaml_node *root;

	conf_init(c);
	if (tree != NULL) {
		root = yaml_root(tree);
		if (root->kind == YAML_MAPPING && conf_load(c, tree,
		    yaml_find(root, "godwit"), why, why_len) == -1)
			return -1;
	}
	if (options_apply(o, c, why, why_len) == -1)
		return -1;
	conf_resolve(c);
	return 0;
}

int
generations_conf(struct conf *c, const struct options *o, char *why,
    size_t why_len)
{
	struct yaml *tree = NULL;
	int rc;

	/* The installed file is asked only where there is one. */
	if (o->file_given || access(o->file, F_OK) == 0) {
		tree = yaml_open(o->file, why, why_len);
		if (tree == NULL)
			return -1;
	}
	rc = conf_read(c, o, tree, why, why_len);
	if (tree != NULL)
		yaml_close(tree);
	return rc;
}

/* On 0 the names are staged: commit or abort them. */
static int
blocks_make(struct generations *g, struct compiled *out, uint64_t number,
    const struct conf *c, const struct yaml *tree, char *why, size_t why_len)
{
	struct load_arena *m = load_arena_new(MESSAGES_BYTES_MAX);
	const ProtobufCMessage *bootstrap;
	int rc = -1;

	if (m == NULL)
		return why_set(why, why_len, "no memory");
	bootstrap = load_message(m, load_type_find(bootstrap_type), tree,
	    yaml_root(tree), "", why, why_len);
	if (bootstrap != NULL)
		rc = compile_staged(out, &g->arena, g->names, number, c, tree,
		    bootstrap, m, why, why_len);
	load_arena_free(m);
	return rc;
}

/* ---- the first */

int
generations_open(struct generations *g, const struct options *o, char *why,
    size_t why_len)
{
	memset(g, 0, sizeof(*g));
	g->options = o;
	g->arena.fd = -1;
	g->tree = yaml_open(o->file, why, why_len);
	if (g->tree == NULL)
		return -1;
	if (conf_read(&g->conf, o, g->tree, why, why_len) == -1)
		return -1;
	if (arena_new(&g->arena, ARENA_SIZE_BYTES, why, why_len) == -1)
		return -1;
	g->names = names_new();
	return g->names == NULL ? why_set(why, why_len, "no memory") : 0;
}

int
generations_first(struct generations *g, char *why, size_t why_len)
{
	int rc;

	assert(g->tree != NULL && g->newest.generation.number == 0);
	rc = blocks_make(g, &g->newest, 1, &g->conf, g->tree, why, why_len);
	yaml_close(g->tree);
	g->tree = NULL;
	if (rc == -1)
		return -1;
	names_commit(g->names);
	publish_put(&g->arena, &g->newest.generation);
	return 0;
}

void
generations_close(struct generations *g)
{
	if (g->tree != NULL)
		yaml_close(g->tree);
	if (g->names != NULL)
		names_free(g->names);
	if (g->arena.fd != -1)
		arena_close(&g->arena);
	memset(g, 0, sizeof(*g));
	g->arena.fd = -1;
}

/* ---- the next (I2) */

static const struct compile_listener *
listener_find(const struct compiled *c, const char *name)
{
	for (int i = 0; i < c->listeners_n; i++)
		if (strcmp(c->listeners[i].name, name) == 0)
			return &c->listeners[i];
	return NULL;
}

/* Those of from are in to, at the same address; said is what is wrong
 * otherwise. */
static int
listeners_same(const struct compiled *from, const struct compiled *to,
    const char *said, char *why, size_t why_len)
{
	const struct compile_listener *a, *b;

	for (int i = 0; i < from->listeners_n; i++) {
		a = &from->listeners[i];
		b = listener_find(to, a->name);
		if (b == NULL)
			return why_set(why, why_len, "listener %s was %s: "
			    "godwit binds listeners only when it starts; "
			    "restart it", a->name, said);
		if (a->address_len != b->address_len ||
		    memcmp(&a->address, &b->address, a->address_len) != 0)
			return why_set(why, why_len, "listener %s has another "
			    "address: godwit binds listeners only when it "
			    "starts; restart it", a->name);
	}
	return 0;
}

static int
fixed_same(const struct generations *g, const struct conf *c, char *why,
    size_t why_len)
{
	const char *changed = conf_fixed_change(&g->conf, c);

	if (changed == NULL)
		return 0;
	return why_set(why, why_len, "the setting %s was changed: it is used "
	    "only when godwit starts; restart it", changed);
}

static int
next_make(struct generations *g, const struct conf *c,
    const struct yaml *tree, char *why, size_t why_len)
{
	uint64_t used = g->arena.used_bytes;
	struct compiled next;

	if (fixed_same(g, c, why, why_len) == -1)
		return -1;
	if (blocks_make(g, &next, g->newest.generation.number + 1, c, tree,
	    why, why_len) == -1)
		return -1;
	if (listeners_same(&g->newest, &next, "removed", why, why_len) == -1 ||
	    listeners_same(&next, &g->newest, "added", why, why_len) == -1) {
		names_abort(g->names);
		g->arena.used_bytes = used;	/* no worker knows of these */
		return -1;
	}
	names_commit(g->names);
	publish_put(&g->arena, &next.generation);
	g->newest = next;
	g->conf = *c;
	return 0;
}

int
generations_next(struct generations *g, char *why, size_t why_len)
{
	struct yaml *tree = yaml_open(g->options->file, why, why_len);
	struct conf c;
	int rc;

	if (tree == NULL)
		return -1;
	rc = conf_read(&c, g->options, tree, why, why_len);
	if (rc == 0)
		rc = next_make(g, &c, tree, why, why_len);
	yaml_close(tree);
	return rc;
}

/* ---- what others want to know */

static int
user_find(const char *name, struct control_settings *s, char *why,
    size_t why_len)
{
	const struct passwd *p = getpwnam(name);
	gid_t groups[CONTROL_GROUPS_MAX];
	int n = CONTROL_GROUPS_MAX;

	if (p == NULL)
		return why_set(why, why_len, "the setting user: there is no "
		    "user %s", name);
	if (getgrouplist(name, p->pw_gid, groups, &n) == -1)
		return why_set(why, why_len, "the setting user: %s is in more "
		    "than %d groups", name, CONTROL_GROUPS_MAX);
	s->user_set = 1;
	s->uid = p->pw_uid;
	s->gid = p->pw_gid;
	s->groups_n = (uint32_t)n;
	for (int i = 0; i < n; i++)
		s->groups[i] = groups[i];
	return 0;
}

int
generations_settings(const struct generations *g, struct control_settings *s,
    char *why, size_t why_len)
{
	const struct conf *c = &g->conf;
	int level = log_level_find(c->log_level);

	memset(s, 0, sizeof(*s));
	s->workers_n = (uint32_t)c->workers;
	s->drain_time_ms = (uint32_t)c->drain_time_ms;
	s->log_level = level == -1 ? LOG_INFO : (uint32_t)level;
	snprintf(s->run_dir, sizeof(s->run_dir), "%s", c->run_dir);
	if (c->user[0] == '\0' || geteuid() != 0)
		return 0;
	return user_find(c->user, s, why, why_len);
}

void
generations_listener(const struct generations *g, int i,
    struct control_listener *l)
{
	const struct compile_listener *from = &g->newest.listeners[i];

	memset(l, 0, sizeof(*l));
	l->slot = from->slot;
	l->backlog = from->backlog;
	l->address_len = from->address_len;
	l->address = from->address;
	snprintf(l->name, sizeof(l->name), "%s", from->name);
}

static const char *
plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

void
generations_text(const struct generations *g, char *out, size_t out_len)
{
	const struct generation *n = &g->newest.generation;

	snprintf(out, out_len, "generation %llu: %u listener%s, %u cluster%s, "
	    "%u endpoint%s", (unsigned long long)n->number, n->listeners_n,
	    plural(n->listeners_n), n->clusters_n, plural(n->clusters_n),
	    n->endpoints_n, plural(n->endpoints_n));
}

const struct block_root *
generations_root(const struct generations *g)
{
	return arena_at(&g->arena, g->newest.generation.root);
}
