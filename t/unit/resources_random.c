/*
 * t/unit/resources_random.c - the set of resources at random, with stages that
 * are aborted.
 */
#include "master/resources.h"

#include <criterion/criterion.h>

#include "shm/log.h"
#include "t/lib/chance.h"
#include "t/lib/unit_resources.h"

/* ---- at random */

/* "+ c a eds" ...: one of a few names of each kind, good, bad, waiting. */
static void
op_at_random(struct chance *dice, char *to, size_t to_len)
{
	static const char names[] = "abcd", rests[] = "RSTU";
	char n = names[chance_below(dice, 4)], m = names[chance_below(dice,
	    4)];
	char r = rests[chance_below(dice, 3)];
	int k = (int)chance_below(dice, 5);

	switch (chance_below(dice, 12)) {
	case 0:
		snprintf(to, to_len, "+ c %c", n);
		break;
	case 1:
	case 2:
		snprintf(to, to_len, "+ c %c eds%s%c", n, k < 2 ? " " : "",
		    k < 2 ? m : '\0');
		break;
	case 3:
		snprintf(to, to_len, "+ c %c %s", n, k < 2 ? "bad" : "tls Z");
		break;
	case 4:
	case 5:
		snprintf(to, to_len, k == 0 ? "+ e %c bad" : "+ e %c 1", n);
		break;
	case 6:
		snprintf(to, to_len, "+ r %c %s", r, k == 0 ? "bad" : "a b");
		break;
	case 7:
		snprintf(to, to_len, "+ r %c %c %c", r, n, m);
		break;
	case 8:
		snprintf(to, to_len, "+ l %c %d %c", n, 1 + k, r);
		break;
	case 9:
		snprintf(to, to_len, "- %c %c", "cl"[k % 2], n);
		break;
	case 10:
		if (k < 3)
			snprintf(to, to_len, "? %c %c", "er"[k % 2], k % 2 ==
			    0 ? n : r);
		else
			snprintf(to, to_len, "+ s Z %d", k);
		break;
	default:
		snprintf(to, to_len, "@ %d", 1 + 5000 * k);
	}
}

/* R1, from the blocks alone: no route leads to an empty slot, or to another
 * cluster than it names (a route's prefix is its cluster's name). */
static void
blocks_hold(const char *line)
{
	const struct arena *a = &now.image.arena;
	const struct block_root *root = generations_root(&now);
	const struct block_list *listeners = arena_at(a, root->listeners);
	struct resource_view v;

	for (uint32_t i = 0; i < listeners->n; i++) {
		const struct block_listener *l = arena_at(a,
		    listeners->at[i]);
		const struct block_hcm *hcm = arena_at(a, block_chain_of(a,
		    l)->hcm);
		const struct block_route_config *c = arena_at(a,
		    hcm->route_config);
		const struct block_list *hosts = arena_at(a, c->hosts);

		for (uint32_t j = 0; hosts->n > 0 && j < ((const struct
		    block_host *)arena_at(a, hosts->at[0]))->routes_n; j++) {
			const struct block_route *r = &((const struct
			    block_host *)arena_at(a, hosts->at[0]))->routes[j];
			const struct block_cluster *to = block_cluster_find(a,
			    root, r->cluster);

			if (r->cluster == CLUSTER_NONE) {
				cr_assert(!resources_find(now.resources,
				    RESOURCE_CLUSTER, block_text(a, r->path) +
				    1, &v) || v.live == NULL, "%s: it is there",
				    line);
				continue;
			}
			cr_assert_not_null(to, "%s: an empty slot", line);
			cr_assert_str_eq(block_text(a, to->name), block_text(a,
			    r->path) + 1, "%s", line);
		}
	}
}

static void
set_print(void *arg, const struct resource_view *v)
{
	fprintf(arg, "%d %s %p %p %p %s %d %d\n", v->kind, v->name,
	    (const void *)v->live, (const void *)v->next,
	    (const void *)v->refused, v->why == NULL ? "" : v->why,
	    v->missing, v->lingers);
	resources_waits_print(now.resources, v->kind, v->name, arg);
}

static int
line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything of the set and of what is published, as text. */
static char *
all_text(void)
{
	char *text = NULL, *sorted = NULL, *blocks = unit_dumped(&now);
	char *at, *line, *lines[256];
	size_t len, n = 0;
	FILE *f = open_memstream(&text, &len);

	resources_each(now.resources, set_print, f);
	fclose(f);
	for (at = text; (line = strsep(&at, "\n")) != NULL;)
		if (n < 256)
			lines[n++] = line;
	qsort(lines, n, sizeof(lines[0]), line_compare);
	f = open_memstream(&sorted, &len);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", lines[i]);
	fprintf(f, "%s %zu %zu %llu", blocks, names_count(now.names,
	    NAMES_CLUSTER), names_count(now.names, NAMES_ENDPOINT),
	    (unsigned long long)heap_allocated(now.image.blocks));
	fclose(f);
	free(blocks);
	free(text);
	return sorted;
}

/* A stage of some ops that is then aborted: all is as it was. */
static void
aborted(struct chance *dice)
{
	char line[64], name[16], *before = all_text(), *after;
	uint8_t *bytes;
	size_t len, kind;
	int used;

	stage_begin();
	for (unsigned i = 0; i < 1 + chance_below(dice, 4); i++) {
		op_at_random(dice, line, sizeof(line));
		if (line[0] == '-')
			resources_remove(now.resources,
			    kinds[kind_of(line[2])].kind, line + 4);
		if (line[0] != '+')
			continue;
		kind = kind_of(line[2]);
		cr_assert_eq(sscanf(line + 4, "%15s %n", name, &used), 1);
		bytes = pack(kind, name, line + 4 + used, &len);
		resources_put(now.resources, kinds[kind].kind, name, "2",
		    bytes, len, FROM_PLANE, refusal, sizeof(refusal));
		free(bytes);
	}
	resources_abort(now.resources);
	sources_free(now.change_sources);
	now.change_sources = NULL;
	after = all_text();
	if (strcmp(after, before) != 0)
		fprintf(stderr, "before: %s\nafter: %s\n", before, after);
	cr_assert(strcmp(after, before) == 0, "%s", line);
	free(before);
	free(after);
}

enum { SEEDS = 60, OPS = 150 };

Test(resources, at_random)
{
	char line[64];
	struct chance dice;

	log_level_set(LOG_ERROR);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		dice.state = seed;
		world_open("godwit: {}\n");
		for (int i = 0; i < OPS; i++) {
			op_at_random(&dice, line, sizeof(line));
			tell(line);
			blocks_hold(line);
			generations_reclaim(&now, UINT64_MAX);
			if (chance_below(&dice, 4) == 0)
				aborted(&dice);
			if (chance_below(&dice, 50) == 0)
				(void)generations_compact(&now, why,
				    sizeof(why));
		}
		world_close();
	}
}
