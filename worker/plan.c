/* worker/plan.c - see plan.h. */
#include "worker/plan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

enum { KEY_FILE_BYTES_MAX = 65536, SANS_MAX = 64 };

void
plans_init(struct plans *p, struct mem *m)
{
	memset(p, 0, sizeof(*p));
	p->mem = m;
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

/* The whole file in memory of the heap, its length in *len; NULL: errno. */
static char *
key_read(const char *file, size_t *len)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	char *key = fd < 0 ? NULL : malloc(KEY_FILE_BYTES_MAX);
	ssize_t n = key == NULL ? -1 : read(fd, key, KEY_FILE_BYTES_MAX);

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		free(key);
		return NULL;
	}
	*len = (size_t)n;
	return key;
}

static void
key_drop(char *key, size_t len)
{
	if (key != NULL)
		explicit_bzero(key, len);
	free(key);
}

static void
settings_fill(struct tls_settings *s, struct tls_san *sans,
    const struct block_tls *b)
{
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
	    .sans_n = b->sans_n < SANS_MAX ? b->sans_n : SANS_MAX,
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
context_new(const struct block_tls *b)
{
	const char *file = block_span_at(b, b->private_key_file);
	struct tls_san sans[SANS_MAX];
	struct tls_settings s;
	struct tls_context *c = NULL;
	char why[256], *key = NULL;

	settings_fill(&s, sans, b);
	if (file != NULL) {
		key = key_read(file, &s.private_key_len);
		if (key == NULL) {
			log_error("private key %s can't be read: %s", file,
			    strerror(errno));
			return NULL;
		}
		s.private_key = key;
	}
	c = tls_context_new(&s, why, sizeof(why));
	if (c == NULL)
		log_error("TLS settings%s%s can't be used: %s",
		    file == NULL ? "" : " of ", file == NULL ? "" : file, why);
	key_drop(key, s.private_key_len);
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
	plan->context = context_new(b);
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
