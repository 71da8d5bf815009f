/* worker/plan.c - see plan.h. */
#include "worker/plan.h"

#include <assert.h>
#include <string.h>

#include "shm/log.h"

void
plans_init(struct plans *p, struct mem *m, const struct arena *secrets)
{
	memset(p, 0, sizeof(*p));
	p->mem = m;
	p->secrets = secrets;
}

/* ---- of routes ---- */

struct plan *
plan_get(struct plans *p, const struct block_plan *b)
{
	struct plan **bucket = &p->plans[b->hash % PLAN_BUCKETS];
	struct plan *plan;

	for (plan = *bucket; plan != NULL; plan = plan->next)
		if (plan->hash == b->hash) {
			plan->refs++;
			return plan;
		}
	plan = mem_alloc(p->mem, offsetof(struct plan, block) + b->bytes);
	if (plan == NULL)
		return NULL;
	plan->hash = b->hash;
	plan->refs = 1;
	plan->next = *bucket;
	memcpy(&plan->block, b, b->bytes);
	*bucket = plan;
	return plan;
}

/* ---- of TLS ---- */

static void
settings_fill(struct tls_settings *s, struct tls_san *sans,
    const struct block_tls *b)
{
	assert(b->sans_n <= TLS_SANS_MAX);
	*s = (struct tls_settings){
	    .server = b->server,
	    .require_peer_certificate = b->require_client_certificate,
	    .version_min = b->version_min,
	    .version_max = b->version_max,
	    .certificate_chain = block_span_at(b, b->certificate_chain),
	    .certificate_chain_len = b->certificate_chain.len,
	    .trusted_ca = block_span_at(b, b->trusted_ca),
	    .trusted_ca_len = b->trusted_ca.len,
	    .sans = sans,
	    .sans_n = b->sans_n,
	    .sni = block_span_at(b, b->sni),
	    .ciphers = block_span_at(b, b->ciphers),
	};
	for (uint32_t i = 0; i < s->sans_n; i++)
		sans[i] = (struct tls_san){
		    .type = (enum tls_san_type)b->sans[i].type,
		    .match = (enum tls_san_match)b->sans[i].kind,
		    .value = block_span_at(b, b->sans[i].value),
		};
}

static struct tls_context *
context_new(const struct plans *p, const struct block_tls *b)
{
	const char *file = block_span_at(b, b->private_key_file);
	const struct block_text *key;
	struct tls_san sans[TLS_SANS_MAX];
	struct tls_settings s;
	struct tls_context *c;
	char why[256];

	settings_fill(&s, sans, b);
	if (b->private_key != 0) {
		key = arena_at(p->secrets, b->private_key);
		s.private_key = key->bytes;
		s.private_key_len = key->len;
	}
	c = tls_context_new(&s, why, sizeof(why));
	if (c == NULL)
		log_error("TLS settings%s%s can't be used: %s",
		    file == NULL ? "" : " of ", file == NULL ? "" : file, why);
	return c;
}

struct tls_plan *
tls_plan_get(struct plans *p, const struct block_tls *b)
{
	struct tls_plan **bucket = &p->tls[b->hash % PLAN_BUCKETS];
	struct tls_plan *plan;

	for (plan = *bucket; plan != NULL; plan = plan->next)
		if (plan->hash == b->hash) {
			plan->refs++;
			return plan;
		}
	plan = mem_alloc(p->mem, sizeof(*plan));
	if (plan == NULL)
		return NULL;
	plan->hash = b->hash;
	plan->refs = 1;
	plan->next = *bucket;
	plan->admits = b->admits;
	plan->context = context_new(p, b);
	*bucket = plan;
	return plan;
}

bool
tls_plan_find(struct plans *p, const struct arena *a, block_ref ref,
    struct tls_plan **plan)
{
	*plan = NULL;
	if (ref == 0)
		return true;
	*plan = tls_plan_get(p, arena_at(a, ref));
	if (*plan != NULL && (*plan)->context != NULL)
		return true;
	if (*plan != NULL)
		tls_plan_put(*plan);
	*plan = NULL;
	return false;
}

/* ---- letting go ---- */

static void
tls_plan_free(struct plans *p, struct tls_plan *plan)
{
	if (plan->context != NULL)
		tls_context_put(plan->context);
	mem_free(p->mem, plan);
}

void
plans_sweep(struct plans *p)
{
	for (int i = 0; i < PLAN_BUCKETS; i++) {
		struct plan **at = &p->plans[i], *plan;
		struct tls_plan **tls_at = &p->tls[i], *tls;

		while ((plan = *at) != NULL) {
			if (plan->refs > 0) {
				at = &plan->next;
				continue;
			}
			*at = plan->next;
			mem_free(p->mem, plan);
		}
		while ((tls = *tls_at) != NULL) {
			if (tls->refs > 0) {
				tls_at = &tls->next;
				continue;
			}
			*tls_at = tls->next;
			tls_plan_free(p, tls);
		}
	}
}

void
plans_fini(struct plans *p)
{
	plans_sweep(p);
	for (int i = 0; i < PLAN_BUCKETS; i++)
		assert(p->plans[i] == NULL && p->tls[i] == NULL);
}
