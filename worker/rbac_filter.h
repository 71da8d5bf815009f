/*
 * worker/rbac_filter.h - the filter that asks who may call what.
 *
 *   most specific settings ──> shadow_rules: counted
 *                          └─> rules: counted; who may not is told so
 *
 * It comes before the router and asks for a route of its own where routes have
 * a say, so a caller that may not learns nothing of what is routed here. No
 * stream keeps its settings: headers are asked for once, in one turn.
 * Test: t/mesh/350-rbac.py.
 */
#ifndef WORKER_RBAC_FILTER_H
#define WORKER_RBAC_FILTER_H

#include "worker/filter.h"

/* i: which of the filters of hcm it is. */
enum filter_verdict rbac_filter_headers(struct stream *s,
	    const struct block_hcm *hcm, int i);

#endif
