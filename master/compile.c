/*
 * master/compile.c - a stage of the compiler: see compile.h, and
 * compile_parts.h for who does what.
 *
 *   newest ──compile_begin──> c ──put──> LIVE: the stage has it
 *                             │    └───> WAITS, REFUSED: rolled back to mark
 *                             └─compile_end─> pages, listeners, keys, root
 *
 * Source: config.bootstrap.v3.Bootstrap. Test: t/unit/compile.c,
 * resources.c.
 */
#include "master/compile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_parts.h"
#include "shm/log.h"

#define CLUSTER &envoy__config__cluster__v3__cluster__descriptor
#define LISTENER &envoy__config__listener__v3__listener__descriptor

enum { RESOURCE_BYTES_MAX = 512 << 20, STAGE_BYTES_MAX = 512 << 20 };

/* Of a control plane: its place is the resource itself. */
static const struct at top = AT(NULL, "");
static const struct at files = AT(NULL, "static_resources");

/* ---- beginning */

static struct compiler *
compiler_new(const struct compile_stage *stage, bool whole)
{
	struct compiler *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->stage = *stage;
	c->image = stage->image;
	c->arena = &stage->image->arena;
	c->names = stage->names;
	c->sources = stage->sources;
	c->out = &c->made;
	if (stage->origins != NULL)
		c->clusters = origins_clusters_get(stage->origins,
		    &c->clusters_len);
	c->whole = whole;
	if (!whole)
		c->made = *stage->newest;
	c->made.generation.number = stage->number;
	c->stage_memory = load_arena_new(STAGE_BYTES_MAX);
	if (c->stage_memory == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

static struct compiler *
begin(const struct compile_stage *stage, bool whole)
{
	struct compiler *c = compiler_new(stage, whole);

	if (c == NULL)
		return NULL;
	if (whole)
		names_begin(c->names);
	else
		names_begin_part(c->names);
	image_begin(c->image);
	return c;
}

struct compiler *
compile_begin(const struct compile_stage *stage)
{
	return begin(stage, false);
}

static void
compiler_free(struct compiler *c)
{
	load_arena_free(c->stage_memory);
	free(c);
}

void
compile_cancel(struct compiler *c)
{
	compile_abort(c->image, c->names);
	compiler_free(c);
}

/* ---- what may be undone */

struct compiler_mark
compiler_mark(const struct compiler *c)
{
	return (struct compiler_mark){ image_mark(c->image), c->whole ? 0 :
	    names_mark(c->names), c->out->generation };
}

/* A whole stage is dropped by who began it. */
void
compiler_rollback(struct compiler *c, const struct compiler_mark *m)
{
	if (c->whole)
		return;
	image_rollback(c->image, m->image);
	names_rollback(c->names, m->names);
	c->out->generation = m->generation;
}

/* ---- putting */

/* The resource's message, from its bytes if it is not there. NULL: refused. */
static const ProtobufCMessage *
resource_open(struct compiler *c, const struct compile_resource *r)
{
	const ProtobufCMessage *m;
	char why[512];

	if (r->message != NULL)
		return r->message;
	m = load_any(c->memory, resource_about(r->kind)->message, r->bytes,
	    r->len, why, sizeof(why));
	if (m == NULL)
		why_set(c->why, c->why_len, "%s", why);
	return m;
}

static int
resource_put(struct compiler *c, const struct compile_resource *r)
{
	bool is_cluster = r->kind == RESOURCE_CLUSTER;
	const struct at item = AT_ITEM(&files, is_cluster ? "clusters" :
	    "listeners", r->index);
	const struct at *at = r->yaml == NULL ? &top : &item;
	const ProtobufCMessage *m = resource_open(c, r);

	if (m == NULL)
		return -1;
	assert(m->descriptor == (is_cluster ? CLUSTER : LISTENER));
	return is_cluster ? compile_cluster(c, at, (const Cluster *)m) :
	    compile_listener(c, at, (const Listener *)m, r->owner);
}

/* Memory and words of one resource. */
static bool
resource_begin(struct compiler *c, const struct yaml *yaml, char *why,
    size_t why_len)
{
	c->yaml = yaml;
	c->waits = false;
	c->why = why;
	c->why_len = why_len;
	c->memory = load_arena_new(c->stage.bytes_max == 0 ?
	    RESOURCE_BYTES_MAX : c->stage.bytes_max);
	if (c->memory == NULL)
		why_set(why, why_len, "no memory");
	return c->memory != NULL;
}

static enum compile_result
resource_end(struct compiler *c, const struct compiler_mark *m, int rc)
{
	enum compile_result result = rc < 0 ? COMPILE_REFUSED : c->waits ?
	    COMPILE_WAITS : COMPILE_LIVE;

	load_arena_free(c->memory);
	c->memory = NULL;
	if (result != COMPILE_LIVE)
		compiler_rollback(c, m);
	return result;
}

enum compile_result
compile_put(struct compiler *c, const struct compile_resource *r, char *why,
    size_t why_len)
{
	struct compiler_mark m = compiler_mark(c);

	if (!resource_begin(c, r->yaml, why, why_len))
		return COMPILE_REFUSED;
	return resource_end(c, &m, resource_put(c, r));
}

/* ---- endpoints */

static int
reassign(struct compiler *c, const Cluster *m)
{
	const struct at at = AT(NULL, "load_assignment");

	if (m->load_assignment == NULL)
		return refuse(c, &at, "is missing, expected endpoints");
	return compile_cluster_assign(c, &at, m, NULL);
}

static int
assign(struct compiler *c, const struct compile_resource *cluster,
    const struct compile_answer *from)
{
	const ProtobufCMessage *m = resource_open(c, cluster);

	assert(m == NULL || m->descriptor == CLUSTER);
	if (m == NULL)
		return -1;
	return from == NULL ? reassign(c, (const Cluster *)m) :
	    compile_cluster_assign(c, &top, (const Cluster *)m, from);
}

enum compile_result
compile_assign(struct compiler *c, const struct compile_resource *cluster,
    const struct compile_answer *from, char *why, size_t why_len)
{
	struct compiler_mark m = compiler_mark(c);

	if (!resource_begin(c, NULL, why, why_len))
		return COMPILE_REFUSED;
	return resource_end(c, &m, assign(c, cluster, from));
}

/* ---- secrets */

int
compile_secret(struct compiler *c, const uint8_t *bytes, size_t len,
    uint8_t **out, size_t *out_len, struct compile_key *key, char *why,
    size_t why_len)
{
	const struct compile_resource r = { .kind = RESOURCE_SECRET,
	    .bytes = bytes, .len = len };
	const ProtobufCMessage *m;
	int rc = -1;

	if (!resource_begin(c, NULL, why, why_len))
		return -1;
	c->is_secret = true;
	if ((m = resource_open(c, &r)) != NULL)
		rc = secret_take(c, m, out, out_len, key);
	c->is_secret = false;
	load_arena_wipe(c->memory);
	load_arena_free(c->memory);
	c->memory = NULL;
	return rc;
}

/* ---- trying */

/* Endpoints of a cluster that nobody has, whose name is empty. */
static int
try_endpoints(struct compiler *c, const struct compile_answer *from)
{
	Cluster cluster;
	struct name_id id;
	block_ref ref;

	envoy__config__cluster__v3__cluster__init(&cluster);
	if (names_take(c->names, NAMES_CLUSTER, "", 0, &id) < 0)
		return refuse(c, &top, "there is no room for one cluster "
		    "more");
	return compile_assignment(c, &top, from, &top, &cluster, id, &ref);
}

enum compile_result
compile_try_endpoints(struct compiler *c, const struct compile_answer *from,
    char *why, size_t why_len)
{
	struct compiler_mark m = compiler_mark(c);
	int rc;

	if (!resource_begin(c, NULL, why, why_len))
		return COMPILE_REFUSED;
	rc = try_endpoints(c, from);
	c->waits = true;		/* rolled back in any case */
	return resource_end(c, &m, rc) == COMPILE_REFUSED ?
	    COMPILE_REFUSED : COMPILE_LIVE;
}

/* ---- dropping */

bool
compile_drop_cluster(struct compiler *c, const char *name)
{
	struct name_id id;

	return names_find(c->names, NAMES_CLUSTER, name, strlen(name), &id) <
	    0 || compile_cluster_drop(c, id);
}

bool
compile_drop_listener(struct compiler *c, uint32_t owner)
{
	return compile_listener_drop(c, owner);
}

/* ---- the end */

static void
settings_fill(struct block_settings *to, const struct conf *conf)
{
	int level = log_level_find(conf->log_level);

	to->buffer_budget_bytes = (uint64_t)conf->buffer_budget_bytes;
	to->drain_time_ms = (uint32_t)conf->drain_time_ms;
	to->cause_off = strcmp(conf->godwit_cause, "off") == 0;
	to->log_level = level < 0 ? LOG_INFO : (uint32_t)level;
}

static int
put_root(struct compiler *c, const struct conf *conf)
{
	struct block_root b = { .number = c->stage.number };

	if (conf != NULL)
		settings_fill(&b.settings, conf);
	else
		b.settings = ((const struct block_root *)arena_at(c->arena,
		    c->stage.newest->generation.root))->settings;
	if (compile_pages(c, &b.clusters) < 0 ||
	    compile_listeners(c, &b.listeners) < 0 ||
	    put_block(c, BLOCK_ROOT, &b, sizeof(b),
	    &c->out->generation.root) < 0)
		return -1;
	return source_keys_end(c, &c->out->keys);
}

int
compile_end(struct compiler *c, struct compiled *out, const struct conf *conf,
    char *why, size_t why_len)
{
	int rc = -1;

	if (resource_begin(c, c->stage.yaml, why, why_len))
		rc = put_root(c, conf);
	load_arena_free(c->memory);
	if (rc < 0)
		compile_abort(c->image, c->names);
	else {
		*out = *c->out;
		out->generation.live_bytes = heap_allocated(c->image->blocks);
		out->generation.tag_last = names_tag(c->names);
	}
	compiler_free(c);
	return rc;
}

void
compile_commit(const struct compiled *out, struct image *image,
    struct names *n)
{
	image_commit(image, out->generation.root, out->keys,
	    out->generation.number);
	names_commit(n);
}

void
compile_abort(struct image *image, struct names *n)
{
	image_abort(image);
	names_abort(n);
}

/* ---- a whole file */

static int
whole_kind(struct compiler *c, enum resource_kind kind, const struct yaml *y,
    const ProtobufCMessage *bootstrap, char *why, size_t why_len)
{
	size_t n = compile_file_n(bootstrap, kind);
	struct compile_resource r;

	for (size_t i = 0; i < n; i++) {
		compile_file_at(bootstrap, y, kind, i, &r);
		r.owner = (uint32_t)i + 1;
		switch (compile_put(c, &r, why, why_len)) {
		case COMPILE_LIVE:
			break;
		case COMPILE_WAITS:
			return why_set(why, why_len, "it names what is in no "
			    "file");
		case COMPILE_REFUSED:
			return -1;
		}
	}
	return 0;
}

int
compile(struct compiled *out, struct image *image, struct names *n,
    struct sources *sources, uint64_t number, const struct conf *conf,
    const struct yaml *y, const ProtobufCMessage *bootstrap,
    size_t bytes_max, char *why, size_t why_len)
{
	const struct compile_stage stage = { .image = image, .names = n,
	    .sources = sources, .number = number, .yaml = y,
	    .bytes_max = bytes_max };
	struct compiler *c;

	if (compile_file_check(y, bootstrap, why, why_len) < 0)
		return -1;
	if ((c = begin(&stage, true)) == NULL)
		return why_set(why, why_len, "no memory");
	if (whole_kind(c, RESOURCE_CLUSTER, y, bootstrap, why, why_len) < 0 ||
	    whole_kind(c, RESOURCE_LISTENER, y, bootstrap, why, why_len) <
	    0) {
		compile_cancel(c);
		return -1;
	}
	return compile_end(c, out, conf, why, why_len);
}
