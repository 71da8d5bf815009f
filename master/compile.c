/*
 * master/compile.c - a Bootstrap becomes a generation: see compile.h, and
 * compile_parts.h for who does what.
 *
 *   names_begin ─> clusters ─> listeners (routes find clusters) ─> root
 *        refused: names and image as before  |  whole: compile_commit
 *
 * Source: config.bootstrap.v3.Bootstrap. Test: t/unit/compile.c.
 */
#include "master/compile.h"

#include <assert.h>
#include <string.h>

#include "master/compile_parts.h"
#include "shm/log.h"

static const struct rule bootstrap_rules[] = {
	{ "dynamic_resources", RULE_LATER, .text = NULL },
	{ NULL, RULE_SET, 0, 0, NULL },
};

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
compile_root(struct compiler *c, const Bootstrap *m, uint64_t number,
    const struct conf *conf)
{
	static const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources
	    none = ENVOY__CONFIG__BOOTSTRAP__V3__BOOTSTRAP__STATIC_RESOURCES__INIT;
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *s =
	    m->static_resources == NULL ? &none : m->static_resources;
	static const struct at at = AT(NULL, "static_resources");
	struct block_root b = { .number = number };

	settings_fill(&b.settings, conf);
	if (rule_check(c, NULL, &m->base, bootstrap_rules) < 0 ||
	    compile_clusters(c, &at, s->clusters, s->n_clusters,
	    &b.clusters) < 0 ||
	    compile_listeners(c, &at, s->listeners, s->n_listeners,
	    &b.listeners) < 0)
		return -1;
	return put_block(c, BLOCK_ROOT, &b, sizeof(b),
	    &c->out->generation.root);
}

int
compile(struct compiled *out, struct image *image, struct names *n,
    struct sources *sources, uint64_t number, const struct conf *conf,
    const struct yaml *y, const ProtobufCMessage *bootstrap,
    struct load_arena *m, char *why, size_t why_len)
{
	struct compiler c = { .image = image, .arena = &image->arena,
	    .names = n, .sources = sources, .yaml = y, .memory = m,
	    .out = out, .why = why, .why_len = why_len };

	assert(bootstrap->descriptor ==
	    &envoy__config__bootstrap__v3__bootstrap__descriptor);
	memset(out, 0, sizeof(*out));
	names_begin(n);
	image_begin(image);
	if (compile_root(&c, (const Bootstrap *)bootstrap, number, conf) < 0 ||
	    source_keys_end(&c, &out->keys) < 0) {
		compile_abort(image, n);
		return -1;
	}
	out->generation.number = number;
	out->generation.live_bytes = heap_allocated(image->blocks);
	out->generation.tag_last = names_tag(n);
	return 0;
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
