/*
 * master/compile_find.c - the other resources that one names: clusters of a
 * route, endpoints of a cluster, routes of a listener.
 *
 *   live ──────────────> its slot, its message
 *   not here yet ──────> c->waits: compiled to its end, then rolled back, so
 *                        that all it waits for is asked for at once
 *   does not exist ────> done without: no endpoints, no routes, no cluster
 *
 * Source: reference/envoy-xds.md 2.5. Test: t/unit/resources.c.
 */
#include "master/compile_parts.h"

#include <string.h>

#include "shm/log.h"

static enum compile_found
ask(struct compiler *c, enum resource_kind kind, const struct sought *of,
    struct compile_answer *answer)
{
	const struct compile_ask *a = c->stage.ask;

	*answer = (struct compile_answer){ 0 };
	return a == NULL ? COMPILE_WAITING : a->find(a->arg, kind,
	    of->name, of->missing_ms, answer);
}

bool
find_resource(struct compiler *c, const struct at *at,
    enum resource_kind kind, const struct sought *of, bool *refused,
    struct compile_answer *answer)
{
	*refused = false;
	switch (ask(c, kind, of, answer)) {
	case COMPILE_WAITING:
		c->waits = true;
		break;
	case COMPILE_NOTHING:
		break;
	case COMPILE_UNKNOWN:
		*refused = true;
		refuse(c, at, "there is no %s \"%s\", and no "
		    "dynamic_resources with an ads_config to ask for it",
		    resource_about(kind)->word, of->name);
		break;
	case COMPILE_FOUND:
		return true;
	}
	return false;
}

const ProtobufCMessage *
find_message(struct compiler *c, const struct at *at, enum resource_kind kind,
    const struct sought *of, bool *refused, struct compile_key *key)
{
	const ProtobufCMessage *m;
	struct compile_answer answer;
	char why[512];

	if (!find_resource(c, at, kind, of, refused, &answer))
		return NULL;
	if (key != NULL)
		*key = answer.key;
	m = load_any(c->memory, resource_about(kind)->message, answer.bytes,
	    answer.len, why, sizeof(why));
	if (m == NULL) {
		why_set(c->why, c->why_len, "%s", why);
		*refused = true;
	}
	return m;
}

int
find_name(struct compiler *c, const struct at *at,
    const struct dns_question *q, const struct block_address **addresses,
    size_t *n)
{
	struct compile_answer answer;
	char text[DNS_TEXT_BYTES];

	*n = 0;
	if (!dns_question_print(q, text, sizeof(text)))
		return refuse(c, at, "\"%s\" is too long for a name", q->name);
	if (c->stage.ask == NULL)
		return 0;
	switch (ask(c, RESOURCE_NAME, &(struct sought){ .name = text },
	    &answer)) {
	case COMPILE_FOUND:
		*addresses = (const void *)answer.bytes;
		*n = answer.len / sizeof(**addresses);
		break;
	case COMPILE_WAITING:
		c->waits = true;
		break;
	case COMPILE_NOTHING:
	case COMPILE_UNKNOWN:
		break;
	}
	return 0;
}

const struct block_list *
page_view(const struct compiler *c, uint32_t page)
{
	const struct block_root *root;
	const struct block_list *pages;

	if (c->pages[page] != NULL)
		return c->pages[page];
	if (c->whole || c->stage.newest->generation.root == 0)
		return NULL;
	root = arena_at(c->arena, c->stage.newest->generation.root);
	pages = arena_at(c->arena, root->clusters);
	return page >= pages->n || pages->at[page] == 0 ? NULL :
	    arena_at(c->arena, pages->at[page]);
}

static int
cluster_unknown(struct compiler *c, const struct at *at, const char *name)
{
	const struct block_list *page;
	const struct block_cluster *b;
	const char *best = NULL;

	for (uint32_t i = 0; i < CLUSTERS_MAX / PAGE_SLOTS; i++) {
		page = page_view(c, i);
		for (size_t j = 0; page != NULL && j < PAGE_SLOTS; j++) {
			if (page->at[j] == 0)
				continue;
			b = arena_at(c->arena, page->at[j]);
			yaml_nearer(name, block_text(c->arena, b->name),
			    &best);
		}
	}
	return best != NULL ? refuse(c, at, "there is no cluster \"%s\", did "
	    "you mean \"%s\"?", name, best) : refuse(c, at, "there is no "
	    "cluster \"%s\", expected the name of one of the %u clusters",
	    name, c->out->generation.clusters_n);
}

int
find_cluster(struct compiler *c, const struct at *at, const char *name,
    bool lenient, uint32_t *slot)
{
	enum compile_found found;
	struct compile_answer answer;
	struct name_id id;

	if (name == NULL || *name == '\0')
		return refuse(c, at, "is missing, expected a cluster's name");
	found = ask(c, RESOURCE_CLUSTER, &(struct sought){ .name = name },
	    &answer);
	if (names_find(c->names, NAMES_CLUSTER, name, strlen(name), &id) ==
	    0) {
		*slot = id.id;
		return 0;
	}
	if (c->stage.ask == NULL || (!lenient && found == COMPILE_UNKNOWN))
		return cluster_unknown(c, at, name);
	*slot = CLUSTER_NONE;
	if (found == COMPILE_WAITING || found == COMPILE_FOUND)
		c->waits = true;
	return 0;
}
