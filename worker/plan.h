/*
 * worker/plan.h - a worker's own copies of self-contained blocks: what a
 * stream or a connection needs after its generation may be gone.
 *
 * A block is known by its content hash, so that the same settings in the next
 * generation are the same plan, and a TLS context outlives every reload that
 * does not change it. Counted by its users; unused ones are dropped when a
 * new generation came (plans_sweep). Test: t/unit/plan.c.
 */
#ifndef WORKER_PLAN_H
#define WORKER_PLAN_H

#include "shm/block.h"
#include "worker/io/mem.h"
#include "worker/io/tls.h"

enum { PLAN_BUCKETS = 256 };

struct plan {
	uint64_t	 hash;
	uint32_t	 refs;
	struct plan	*next;
	struct block_plan block;
};

struct tls_plan {
	uint64_t	 hash, admits;
	uint32_t	 refs;
	struct tls_plan	*next;
	struct tls_context *context;	/* NULL: it could not be made; logged */
};

struct plans {
	struct mem	*mem;
	const struct arena *secrets;	/* where TLS blocks have their keys */
	struct plan	*plans[PLAN_BUCKETS];
	struct tls_plan	*tls[PLAN_BUCKETS];
};

void	plans_init(struct plans *p, struct mem *m,
	    const struct arena *secrets);
void	plans_fini(struct plans *p);
/* Drops what nobody uses. */
void	plans_sweep(struct plans *p);

/* + 1 reference. NULL: no memory. */
struct plan	*plan_get(struct plans *p, const struct block_plan *b);
/* The same; reads the key when the block is new here. */
struct tls_plan	*tls_plan_get(struct plans *p, const struct block_tls *b);

/* The plan of the block at ref, in *plan: NULL where ref is 0, clear text.
 * False: TLS is wanted and can't be had; nothing is held. */
bool	tls_plan_find(struct plans *p, const struct arena *a, block_ref ref,
	    struct tls_plan **plan);

static inline void
plan_put(struct plan *p)
{
	p->refs--;
}

static inline void
tls_plan_put(struct tls_plan *p)
{
	p->refs--;
}

#endif
