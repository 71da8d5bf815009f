/* master/generations.c - see generations.h. */
#include "master/generations.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/inherit.h"
#include "master/names.h"
#include "master/settings_make.h"
#include "shm/clock.h"
#include "shm/log.h"
#include "shm/verify.h"

static const char bootstrap_type[] = "envoy.config.bootstrap.v3.Bootstrap";

enum {
	MESSAGES_BYTES_MAX = 1 << 30, FILE_BYTES_MAX = 64 << 20,
	MISSING_MS = COMPILE_MISSING_MS,
};

/* ---- reading */

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
	rc = tree == NULL ? 0 : settings_expand_place(tree, why, why_len);
	if (rc == 0)
		rc = settings_conf(c, o, tree, why, why_len);
	if (tree != NULL)
		yaml_close(tree);
	return rc;
}

/* ---- compiling */

static int64_t
now_ms(void)
{
	return clock_now().ns / 1000000;
}

/* Where a stage begins: as the newest generation. */
static int
stage_begin(struct generations *g, struct sources *sources,
    const struct yaml *yaml, int64_t now_ms, char *why, size_t why_len)
{
	const struct compile_stage s = { .image = &g->image,
	    .names = g->names, .sources = sources, .newest = &g->newest,
	    .origins = g->origins, .yaml = yaml, .checked = g->check_tls ? &g->checked : NULL,
	    .number = g->newest.generation.number + 1 };

	return resources_begin(g->resources, &s, now_ms) == 0 ? 0 :
	    why_set(why, why_len, "no memory");
}

static bool
is_ads(const struct dynamic_whole *w)
{
	return !w->on || w->origin == NULL;
}

/* What can come from a control plane, and is waited for then. */
static void
dynamic_tell(struct generations *g, const struct dynamic *d)
{
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		resources_dynamic(g->resources, kind, g->dynamic_always ||
		    dynamic_origin(d, kind) != NULL);
	resources_named(g->resources, RESOURCE_CLUSTER, !d->clusters.on &&
	    d->ads != NULL);
	resources_timeout(g->resources, d->node == NULL ? MISSING_MS :
	    d->missing_ms);
	origins_clusters(g->origins, d->names, d->names_len);
	origins_self(g->origins, is_ads(&d->listeners) &&
	    is_ads(&d->clusters));
}

static bool
follows(const struct generations *g, const struct dynamic *d)
{
	return d->ads != NULL || d->listeners.on || d->clusters.on ||
	    origins_any(g->origins);
}

bool
generations_follows(const struct generations *g)
{
	return follows(g, &g->dynamic);
}

/* The key of a secret in a dead master's arena, if it is still there. */
static const struct block_text *
kept_key(const struct generations *g, const struct compile_key *key)
{
	const struct arena *a = &g->kept_secrets;
	uint64_t off = (uint64_t)key->ref * ARENA_UNIT_BYTES;
	const struct block_text *t;

	if (key->ref == 0 || off > a->size_bytes - sizeof(*t))
		return NULL;
	t = arena_at(a, key->ref);
	return t->len < a->size_bytes - off - sizeof(*t) &&
	    compile_hash(t->bytes, t->len) == key->hash ? t : NULL;
}

static void
replay_one(void *arg, const struct journal_entry *e)
{
	struct generations *g = arg;
	const struct block_text *key = kept_key(g, &e->key);

	/* Its certificate is of no use without it, and a newer one follows. */
	if (e->key.ref == 0 || key != NULL)
		resources_replay(g->resources, e, key == NULL ? NULL :
		    key->bytes, key == NULL ? 0 : key->len);
}

/* What the dead master had of a control plane. */
static int
replay(struct generations *g, char *why, size_t why_len)
{
	if (journal_read(g->kept_journal_fd, replay_one, g, why,
	    why_len) == -1)
		return -1;
	resources_prune(g->resources);
	return 0;
}

/* Whether a checkpoint may be put: there is nothing newer. */
static bool
restores(const struct generations *g)
{
	return g->restore != NULL && g->newest.generation.number == 0 &&
	    g->kept == NULL;
}

/* A stage of the file, and of what came by other ways before. *restored: a
 * checkpoint was put, and is to blame. */
static int
resources_make(struct generations *g, const struct yaml *tree,
    const ProtobufCMessage *bootstrap, struct sources *sources,
    bool *restored, char *why, size_t why_len)
{
	bool restore = *restored;
	int rc = stage_begin(g, sources, tree, now_ms(), why, why_len);

	*restored = false;
	if (rc == -1)
		return -1;
	dynamic_tell(g, &g->staged_dynamic);
	rc = resources_file(g->resources, tree, bootstrap, why, why_len);
	for (size_t i = 0; i < g->renewed_n; i++)
		resources_again(g->resources, g->renewed[i].name);
	if (rc == 0 && g->kept_journal_fd != -1)
		rc = replay(g, why, why_len);
	if (rc == -1) {
		resources_abort(g->resources);
		return -1;
	}
	*restored = restore && follows(g, &g->staged_dynamic);
	if (*restored)
		g->restore(g->restore_arg, g->resources, &g->staged_dynamic);
	return resources_end(g->resources, &g->staged_conf, &g->staged, why,
	    why_len);
}

/* On 0 blocks and names are staged. */
static int
blocks_make(struct generations *g, const struct yaml *tree,
    struct sources *sources, char *why, size_t why_len)
{
	struct load_arena *m = load_arena_new(MESSAGES_BYTES_MAX);
	const ProtobufCMessage *bootstrap;
	bool restored;
	int rc = -1;

	if (m == NULL)
		return why_set(why, why_len, "no memory");
	bootstrap = load_message(m, load_type_find(bootstrap_type), tree,
	    yaml_root(tree), "", why, why_len);
	if (bootstrap != NULL && compile_ems(m, bootstrap, &g->staged_conf,
	    why, why_len) == 0 && compile_register(m, tree, bootstrap,
	    &g->staged_conf, &g->staged_registers, why, why_len) == 0 &&
	    compile_dynamic(tree, bootstrap, &g->staged_dynamic, why,
	    why_len) == 0) {
		restored = restores(g);
		rc = resources_make(g, tree, bootstrap, sources, &restored,
		    why, why_len);
		if (rc == -1 && restored) {
			log_error("the checkpoint can't be used: %s; the start "
			    "goes on without it", why);
			restored = false;
			rc = resources_make(g, tree, bootstrap, sources,
			    &restored, why, why_len);
		}
	}
	load_arena_free(m);
	return rc;
}

/* Only when something runs already. */
static int
fixed_same(const struct generations *g, char *why, size_t why_len)
{
	const char *changed = conf_fixed_change(&g->conf, &g->staged_conf);

	if (changed == NULL || g->newest.generation.number == 0 ||
	    g->kept != NULL)
		return 0;
	return why_set(why, why_len, "the setting %s was changed: it is used "
	    "only when godwit starts; restart it", changed);
}

static int
stage_tree(struct generations *g, const struct yaml *tree,
    struct sources *sources, char *why, size_t why_len)
{
	struct control_settings s;

	if (settings_conf(&g->staged_conf, g->options, tree, why, why_len) == -1 ||
	    fixed_same(g, why, why_len) == -1 ||
	    settings_make(&g->staged_conf, g->options->as_root, &s, why,
	    why_len) == -1 ||
	    (g->conf_known != NULL && g->conf_known(g->conf_known_arg,
	    &g->staged_conf, &s, why, why_len) == -1))
		return -1;
	return blocks_make(g, tree, sources, why, why_len);
}

static int
stage(struct generations *g, struct sources *sources, char *why,
    size_t why_len)
{
	const char *file = g->options->file;
	const char *bytes;
	struct yaml *tree;
	size_t len;
	int rc;

	bytes = sources_file(sources, file, FILE_BYTES_MAX, &len, why,
	    why_len);
	if (bytes == NULL)
		return -1;
	tree = yaml_read(bytes, len, file, why, why_len);
	if (tree == NULL)
		return -1;
	rc = settings_expand(tree, why, why_len);
	if (rc == 0)
		rc = stage_tree(g, tree, sources, why, why_len);
	yaml_close(tree);
	return rc;
}

/* ---- stages */

/* A file is refused, or dropped: what comes is what came before. */
static void
dynamic_drop(struct generations *g)
{
	dynamic_tell(g, &g->dynamic);
	dynamic_fini(&g->staged_dynamic);
}

static void
staged_abort(struct generations *g)
{
	compile_abort(&g->image, g->names);
	resources_abort(g->resources);
	if (g->staged_file)
		dynamic_drop(g);
}

static void
fd_replace(int *at, int fd)
{
	if (*at != -1)
		close(*at);
	*at = fd;
}

/* Files that nobody of the file names, but the control plane's resources. */
static bool
is_named(void *arg, const char *name)
{
	const struct generations *g = arg;

	return resources_name(g->resources, name);
}

/* What is staged, and what it was read from. */
static int
stage_keeping(struct generations *g, struct sources *sources, bool keep,
    char *why, size_t why_len)
{
	int rc;

	assert(!g->is_staged);
	g->staged_file = true;
	rc = stage(g, sources, why, why_len);
	if (rc == 0 && keep) {
		if (sources != g->kept)
			sources_prune(sources, is_named, g);
		fd_replace(&g->kept_staged, sources_keep(sources, why,
		    why_len));
		if (g->kept_staged == -1) {
			staged_abort(g);
			rc = -1;
		}
	}
	g->is_staged = rc == 0;
	if (rc == -1)
		dynamic_drop(g);
	/* The tree and the messages were 20 times the file, and lie between
	 * names that stay: left to itself, malloc keeps their pages. */
	malloc_trim(0);
	return rc;
}

int
generations_stage(struct generations *g, int *kept_fd, char *why,
    size_t why_len)
{
	struct sources *sources = g->kept;
	int rc;

	if (sources == NULL && (sources = sources_over(g->kept_now,
	    &g->image.secrets, SOURCES_DISK_FIRST)) == NULL)
		return why_set(why, why_len, "no memory");
	rc = stage_keeping(g, sources, kept_fd != NULL, why, why_len);
	if (sources != g->kept)
		sources_free(sources);
	if (rc == 0 && kept_fd != NULL &&
	    (*kept_fd = fcntl(g->kept_staged, F_DUPFD_CLOEXEC, 0)) == -1) {
		generations_drop(g);
		return why_set(why, why_len, "the configuration that was "
		    "read: %s", strerror(errno));
	}
	return rc;
}

static int
renew(struct generations *g, struct sources *sources,
    struct generations_file *files, size_t n, char *why, size_t why_len)
{
	bool any = false;
	int rc;

	for (size_t i = 0; i < n; i++) {
		files[i].blamed = false;
		files[i].same = sources_same(sources, files[i].name);
		any |= !files[i].same;
		if (!files[i].same && !sources_renew(sources, files[i].name))
			return why_set(why, why_len, "no memory");
	}
	if (!any)
		return 1;
	g->renewed = files;
	g->renewed_n = n;
	rc = stage_keeping(g, sources, true, why, why_len);
	g->renewed_n = 0;
	for (size_t i = 0; i < n && rc == -1; i++)
		files[i].blamed = sources_in_group(sources, files[i].name);
	return rc;
}

int
generations_renew(struct generations *g, struct generations_file *files,
    size_t n, char *why, size_t why_len)
{
	struct sources *sources;
	int rc;

	assert(g->kept_now != -1 && g->kept == NULL);
	sources = sources_over(g->kept_now, &g->image.secrets,
	    SOURCES_KEPT_FIRST);
	if (sources == NULL)
		return why_set(why, why_len, "no memory");
	rc = renew(g, sources, files, n, why, why_len);
	sources_free(sources);
	return rc;
}

/* Its first stage was its last look at what its predecessor kept. */
static void
kept_forget(struct generations *g)
{
	sources_free(g->kept);
	g->kept = NULL;
	g->kept_journal_fd = -1;
	arena_close(&g->kept_secrets);
}

/* What is staged, or made of the newest, becomes that. A build that looks at
 * itself reads it first as its workers will. */
static void
put(struct generations *g, struct compiled *next)
{
#if defined(__SANITIZE_ADDRESS__) || defined(GODWIT_POISON)
	char why[512];

	if (verify(&g->image.arena, &g->image.secrets, next->generation.root,
	    next->generation.live_bytes, why, sizeof(why)) == -1) {
		log_error("generation %llu is broken: %s", (unsigned long long)
		    next->generation.number, why);
		abort();
	}
#endif
	next->generation.published_ns = (uint64_t)clock_now().ns;
	publish_put(&g->image.arena, &next->generation);
	g->newest = *next;
}

void
generations_publish(struct generations *g)
{
	assert(g->is_staged);
	g->is_staged = false;
	compile_commit(&g->staged, &g->image, g->names);
	resources_commit(g->resources);
	put(g, &g->staged);
	g->conf = g->staged_conf;
	if (g->kept_staged != -1)
		fd_replace(&g->kept_now, g->kept_staged);
	g->kept_staged = -1;
	if (g->staged_file) {
		dynamic_fini(&g->dynamic);
		g->dynamic = g->staged_dynamic;
		g->registers = g->staged_registers;
		memset(&g->staged_dynamic, 0, sizeof(g->staged_dynamic));
		kept_forget(g);
	}
}

void
generations_drop(struct generations *g)
{
	assert(g->is_staged);
	g->is_staged = false;
	fd_replace(&g->kept_staged, -1);
	staged_abort(g);
}

int
generations_next(struct generations *g, char *why, size_t why_len)
{
	if (generations_stage(g, NULL, why, why_len) == -1)
		return -1;
	generations_publish(g);
	return 0;
}

/* ---- changes of a control plane */

static void
change_close(struct generations *g)
{
	sources_free(g->change_sources);
	g->change_sources = NULL;
}

int
generations_change_begin(struct generations *g, int64_t ms, char *why,
    size_t why_len)
{
	assert(!g->is_staged && g->change_sources == NULL);
	g->change_sources = sources_over(g->kept_now, &g->image.secrets,
	    SOURCES_KEPT_FIRST);
	if (g->change_sources == NULL)
		return why_set(why, why_len, "no memory");
	if (stage_begin(g, g->change_sources, NULL, ms, why, why_len) == 0)
		return 0;
	change_close(g);
	return -1;
}

/* A resource names a file that none did before. */
static int
change_keep(struct generations *g, char *why, size_t why_len)
{
	if (g->kept_now == -1 || !sources_added(g->change_sources))
		return 0;
	fd_replace(&g->kept_staged, sources_keep(g->change_sources, why,
	    why_len));
	return g->kept_staged == -1 ? -1 : 0;
}

int
generations_change_end(struct generations *g, char *why, size_t why_len)
{
	int rc = resources_end(g->resources, NULL, &g->staged, why, why_len);

	g->staged_file = false;
	if (rc == 0 && change_keep(g, why, why_len) == -1) {
		staged_abort(g);
		rc = -1;
	}
	change_close(g);
	g->is_staged = rc == 0;
	g->staged_conf = g->conf;
	return rc;
}

int
generations_assign(struct generations *g, const ProtobufCMessage *m,
    char *why, size_t why_len)
{
	if (generations_change_begin(g, now_ms(), why, why_len) == -1)
		return -1;
	if (resources_reassign(g->resources, m, why, why_len) == -1) {
		resources_abort(g->resources);
		change_close(g);
		return -1;
	}
	if (generations_change_end(g, why, why_len) != 0)
		return -1;
	generations_publish(g);
	return 0;
}

/* Not twice in a row. The one there is goes on: it has what came before. */
static bool
journal_lost(struct generations *g, const char *why)
{
	if (g->journal.failed && !g->journal.said)
		log_error("what the control plane sends can't be kept for a "
		    "master's successor, which would begin with what came "
		    "before: %s; it is tried again", why);
	g->journal.said = g->journal.failed;
	return false;
}

bool
generations_journal_renew(struct generations *g)
{
	struct journal j;
	char why[256];

	if (!journal_is_worn(&g->journal) || g->is_staged)
		return false;
	if (journal_open(&j, why, sizeof(why)) == -1)
		return journal_lost(g, why);
	resources_journal_write(g->resources, &j);
	if (j.failed) {
		why_set(why, sizeof(why), "%s", strerror(j.error));
		journal_close(&j);
		return journal_lost(g, why);
	}
	journal_fresh(&j);
	journal_close(&g->journal);
	g->journal = j;
	return true;
}

bool
generations_same_listeners(const struct generations *g)
{
	const struct compiled *a = &g->staged, *b = &g->newest;

	if (a->listeners_n != b->listeners_n)
		return false;
	for (int i = 0; i < a->listeners_n; i++)
		if (a->listeners[i].slot != b->listeners[i].slot ||
		    a->listeners[i].tag != b->listeners[i].tag ||
		    a->listeners[i].backlog != b->listeners[i].backlog ||
		    strcmp(a->listeners[i].name, b->listeners[i].name) != 0)
			return false;
	return true;
}

/* ---- room */

void
generations_reclaim(struct generations *g, uint64_t oldest)
{
	image_reclaim(&g->image, oldest);
	if (g->before.arena.fd != -1 && oldest >= g->moved)
		image_close(&g->before);
}

/* Their blocks are elsewhere, in the same order. */
static void
listeners_moved(const struct generations *g, struct compiled *next)
{
	const struct arena *a = &g->image.arena;
	const struct block_root *root = arena_at(a, next->generation.root);
	const struct block_list *list = arena_at(a, root->listeners);

	for (int i = 0; i < next->listeners_n; i++)
		next->listeners[i].ref = list->at[i];
}

int
generations_compact(struct generations *g, char *why, size_t why_len)
{
	struct compiled next = g->newest;
	struct image to;

	if (g->before.arena.fd != -1 || g->is_staged ||
	    !image_wants_compaction(&g->image))
		return 0;
	next.generation.number++;
	if (image_compact(&g->image, &to, next.generation.number,
	    &next.generation.root, why, why_len) == -1)
		return -1;
	g->before = g->image;
	g->image = to;
	image_settle(&g->image);
	g->moved = next.generation.number;
	next.generation.live_bytes = heap_allocated(g->image.blocks);
	listeners_moved(g, &next);
	put(g, &next);
	g->compactions++;
	return 1;
}

/* ---- life */

static int
open_empty(struct generations *g, const struct options *o, char *why,
    size_t why_len)
{
	const struct resources_settings settings = {
	    .missing_ms = MISSING_MS, .linger_ms = MISSING_MS };

	memset(g, 0, sizeof(*g));
	g->options = o;
	g->before.arena.fd = g->before.secrets.fd = g->kept_secrets.fd = -1;
	g->journal.fd = g->kept_now = g->kept_staged = -1;
	if (image_open(&g->image, why, why_len) == -1)
		return -1;
	image_settle(&g->image);
	g->names = names_new();
	g->resources = resources_new(&settings);
	g->origins = origins_new();
	g->kept_journal_fd = -1;
	if (journal_open(&g->journal, why, why_len) == -1)
		return -1;
	if (g->resources != NULL)
		resources_journal(g->resources, &g->journal);
	return g->names == NULL || g->resources == NULL ||
	    g->origins == NULL ? why_set(why, why_len, "no memory") : 0;
}

int
generations_open(struct generations *g, const struct options *o, char *why,
    size_t why_len)
{
	return open_empty(g, o, why, why_len);
}

int
generations_open_kept(struct generations *g, const struct options *o,
    const int fds[GENERATIONS_KEPT_N], char *why, size_t why_len)
{
	int fd;

	if (open_empty(g, o, why, why_len) == -1 ||
	    inherit(g->names, fds[GENERATIONS_ARENA],
	    &g->newest.generation.number, why, why_len) == -1)
		return -1;
	g->kept_journal_fd = fds[GENERATIONS_JOURNAL];
	fd = dup(fds[GENERATIONS_SECRETS]);
	if (fd == -1 || arena_open(&g->kept_secrets, fd, why, why_len) == -1) {
		if (fd != -1)
			close(fd);
		g->kept_secrets.fd = -1;
		return -1;
	}
	g->kept = sources_kept(fds[GENERATIONS_KEPT], &g->kept_secrets, why, why_len);
	if (g->kept == NULL)
		return -1;
	sources_and_disk(g->kept);
	return 0;
}

void
generations_close(struct generations *g)
{
	if (g->is_staged)
		generations_drop(g);
	kept_forget(g);
	dynamic_fini(&g->dynamic);
	dynamic_fini(&g->staged_dynamic);
	origins_free(g->origins);
	fd_replace(&g->kept_now, -1);
	fd_replace(&g->kept_staged, -1);
	resources_free(g->resources);
	journal_close(&g->journal);
	names_free(g->names);
	image_close(&g->image);
	image_close(&g->before);
	g->names = NULL;
}

/* ---- what others want to know */

int
generations_settings(const struct generations *g, struct control_settings *s,
    char *why, size_t why_len)
{
	int rc = settings_make(g->is_staged ? &g->staged_conf : &g->conf,
	    g->options->as_root, s, why, why_len);

	s->registers_n = g->is_staged && g->staged_file ?
	    g->staged_registers.n : g->registers.n;
	return rc;
}

void
generations_listener(const struct generations *g, int i,
    struct control_listener *l)
{
	const struct compile_listener *from = g->is_staged ?
	    &g->staged.listeners[i] : &g->newest.listeners[i];

	memset(l, 0, sizeof(*l));
	l->slot = from->slot;
	l->tag = from->tag;
	l->backlog = from->backlog;
	l->address_len = from->address_len;
	l->address = from->address;
	snprintf(l->name, sizeof(l->name), "%s", from->name);
}

int
generations_listeners_n(const struct generations *g)
{
	return g->is_staged ? g->staged.listeners_n : g->newest.listeners_n;
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
	return arena_at(&g->image.arena, g->newest.generation.root);
}
