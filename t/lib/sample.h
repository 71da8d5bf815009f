/*
 * t/lib/sample.h - a good generation with a block of every kind, laid out by
 * hand, and a reader that trusts it as workers do: what verify must pass, and
 * what must be readable when verify passes it.
 *
 * Without Criterion, so that the fuzzer has it too.
 */
#ifndef T_LIB_SAMPLE_H
#define T_LIB_SAMPLE_H

#include "shm/block.h"

/* One of each, for tests that change a field; where there are several blocks
 * of a kind, the one that holds most. */
struct sample {
	block_ref	root_ref;
	struct block_root *root;
	struct block_list *listeners;
	struct block_listener *listener;
	struct block_list *chains;
	struct block_chain *chain;
	struct block_hcm *hcm;
	struct block_route_config *route_config;
	struct block_list *hosts;
	struct block_host *host;
	struct block_header_matches *matches;
	struct block_overrides *overrides;
	struct block_rbac *rbac;
	struct block_rbac_rules *rules;
	struct block_split *split;
	struct block_list *pages, *page;
	struct block_cluster *cluster;
	struct block_balance *balance;
	struct block_tls *tls, *tls_client;
	struct block_plan *plan;	/* with changes of all kinds */
	struct block_text *text;	/* the listener's name */
};

/* Puts it into the arena: about 7 KiB. */
void	sample_put(struct sample *s, struct arena *a);

/* Puts a generation of one cluster with n endpoints, and of m clusters more
 * with one each; returns its root. */
block_ref sample_put_endpoints(struct arena *a, uint32_t n, uint32_t m);

/* Touches every byte that the generation reaches, following every ref, length
 * and index as workers do. NULL, or what would have gone wrong there. */
const char *sample_read(const struct arena *a, block_ref root);

#endif
