/*
 * master/compile.c - a Bootstrap becomes a generation: see compile.h, and
 * compile_parts.h for who does what.
 *
 *   names_begin ─> clusters ─> listeners (routes find clusters) ─> root
 *        refused: names and arena as before  |  whole: names_commit
 *
 * Nothing reads the new blocks before the root is published, so what a
 * refused file left behind can be taken back.
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
	struct block_root *b = put_block(c, sizeof(*b),
	    &c->out->generation.root);

	if (b == NULL ||
	    rule_check(c, NULL, &m->base, bootstrap_rules) < 0 ||
	    compile_clusters(c, &at, s->clusters, s->n_clusters,
	    &b->clusters) < 0 ||
	    compile_listeners(c, &at, s->listeners, s->n_listeners,
	    &b->listeners) < 0)
		return -1;
	b->number = number;
	settings_fill(&b->settings, conf);
	return 0;
}

int
compile_staged(struct compiled *out, struct arena *a, struct names *n,
    uint64_t number, const struct conf *conf, const struct yaml *y,
    const ProtobufCMessage *bootstrap, struct load_arena *m, char *why,
    size_t why_len)
{
	struct compiler c = { .arena = a, .names = n, .yaml = y, .memory = m,
	    .out = out, .why = why, .why_len = why_len };
	uint64_t before = a->used_bytes;
	int rc;

	assert(bootstrap->descriptor ==
	    &envoy__config__bootstrap__v3__bootstrap__descriptor);
	memset(out, 0, sizeof(*out));
	names_begin(n);
	rc = compile_root(&c, (const Bootstrap *)bootstrap, number, conf);
	put_end(&c);
	if (rc < 0) {
		names_abort(n);
		a->used_bytes = before;
		return -1;
	}
	out->generation.number = number;
	out->generation.live_bytes = a->used_bytes;
	return 0;
}

int
compile(struct compiled *out, struct arena *a, struct names *n,
    uint64_t number, const struct conf *conf, const struct yaml *y,
    const ProtobufCMessage *bootstrap, struct load_arena *m, char *why,
    size_t why_len)
{
	if (compile_staged(out, a, n, number, conf, y, bootstrap, m, why,
	    why_len) < 0)
		return -1;
	names_commit(n);
	return 0;
}
