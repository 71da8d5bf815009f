/*
 * master/compile_rbac.c - who may call what: RBAC's policies as one program,
 * and what a route says instead of its listener.
 *
 *   policy a: permissions p1 p2, principals n1     p1 ─no─> p2 ─no─> next
 *                                                  yes      yes
 *                                                   └─> n1 <┘ ─no─> next
 *                                                      yes
 *                                                       v
 *                                                    MATCHES
 *
 * Each part is compiled with the two places to which it leads already known,
 * so from the last to the first: "and" gives its parts the next one as their
 * yes, "or" as their no, "not" swaps the two, "any" is its own yes and no
 * node at all. A part stands in the rules once and becomes one node at most,
 * so the program is no longer than the rules, however they are nested.
 *
 * Messages that hold themselves are held to LEVELS_MAX here; xds/guard.c and
 * conf/yaml.c hold whatever comes in to 64 levels before anybody recurses.
 *
 * Policies are compiled in the order of their names: that changes nothing for
 * who may pass, and makes the same bytes of what a control plane sends in any
 * order. Source: config.rbac.v3; reference/envoy-xds.md 1.5.
 * Test: t/unit/compile_rbac.c, t/mesh/350-rbac.py.
 */
#include "master/compile_parts.h"

#include <stdlib.h>
#include <string.h>

#include "xds/proto/envoy/extensions/rbac.pb-c.h"

#define RULE(name) ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_##name
#define IDENTIFIER(name) ENVOY__CONFIG__RBAC__V3__PRINCIPAL__IDENTIFIER_##name
#define ACTION(name) ENVOY__CONFIG__RBAC__V3__RBAC__ACTION__##name
#define PATH_CASE ENVOY__TYPE__MATCHER__V3__PATH_MATCHER__RULE_PATH

typedef Envoy__Config__Rbac__V3__Permission Permission;
typedef Envoy__Config__Rbac__V3__Principal Principal;
typedef Envoy__Config__Rbac__V3__Principal__Authenticated Authenticated;
typedef Envoy__Config__Rbac__V3__Policy Policy;
typedef Envoy__Config__Rbac__V3__RBAC Rules;
typedef Envoy__Config__Rbac__V3__RBAC__PoliciesEntry PolicyEntry;
typedef Envoy__Type__Matcher__V3__PathMatcher PathMatcher;
typedef Envoy__Extensions__Filters__Http__Rbac__V3__RBAC Rbac;
typedef Envoy__Extensions__Filters__Http__Rbac__V3__RBACPerRoute PerRoute;
typedef Envoy__Config__Route__V3__FilterConfig FilterConfig;

enum { LEVELS_MAX = 16, NODES_FIRST = 64 };

/* Nodes in the order in which they are made: the last one first. Until the
 * end they are named by that order. */
struct program {
	struct block_rbac_node *nodes;	/* scratch */
	uint32_t	 n, room;
};

/* Where a part leads to. */
struct leads {
	uint32_t	yes, no;
};

/* ---- what Permission and Principal have in common */

enum form { FORM_NONE, FORM_ALL, FORM_ONE, FORM_NOT, FORM_ANY, FORM_LEAF };

/* A list of either; the other is NULL. */
struct parts {
	const char	*field;		/* what the list is called */
	Permission	*const *permissions;
	Principal	*const *principals;
	size_t		 n;
};

struct part {
	enum form	 form;
	const char	*field;		/* that is set; NONE: those that may be */
	struct parts	 parts;		/* ALL, ONE; NOT: its one */
	bool		 any;
	const HeaderMatcher *header;	/* LEAF: one of the three */
	const PathMatcher *path;
	const Authenticated *name;
};

static struct part
permission_read(const Permission *m)
{
	switch (m->rule_case) {
	case RULE(AND_RULES):
		return (struct part){ FORM_ALL, "and_rules", .parts = {
		    "rules", m->and_rules->rules, NULL, m->and_rules->n_rules } };
	case RULE(OR_RULES):
		return (struct part){ FORM_ONE, "or_rules", .parts = {
		    "rules", m->or_rules->rules, NULL, m->or_rules->n_rules } };
	case RULE(NOT_RULE):
		return (struct part){ FORM_NOT, "not_rule", .parts = {
		    NULL, &m->not_rule, NULL, 1 } };
	case RULE(ANY):
		return (struct part){ FORM_ANY, "any", .any = m->any };
	case RULE(HEADER):
		return (struct part){ FORM_LEAF, "header",
		    .header = m->header };
	case RULE(URL_PATH):
		return (struct part){ FORM_LEAF, "url_path",
		    .path = m->url_path };
	default:
		return (struct part){ .form = FORM_NONE, .field = "any, "
		    "url_path, header, and_rules, or_rules or not_rule" };
	}
}

static struct part
principal_read(const Principal *m)
{
	switch (m->identifier_case) {
	case IDENTIFIER(AND_IDS):
		return (struct part){ FORM_ALL, "and_ids", .parts = {
		    "ids", NULL, m->and_ids->ids, m->and_ids->n_ids } };
	case IDENTIFIER(OR_IDS):
		return (struct part){ FORM_ONE, "or_ids", .parts = {
		    "ids", NULL, m->or_ids->ids, m->or_ids->n_ids } };
	case IDENTIFIER(NOT_ID):
		return (struct part){ FORM_NOT, "not_id", .parts = {
		    NULL, NULL, &m->not_id, 1 } };
	case IDENTIFIER(ANY):
		return (struct part){ FORM_ANY, "any", .any = m->any };
	case IDENTIFIER(AUTHENTICATED):
		return (struct part){ FORM_LEAF, "authenticated",
		    .name = m->authenticated };
	case IDENTIFIER(HEADER):
		return (struct part){ FORM_LEAF, "header",
		    .header = m->header };
	case IDENTIFIER(URL_PATH):
		return (struct part){ FORM_LEAF, "url_path",
		    .path = m->url_path };
	default:
		return (struct part){ .form = FORM_NONE, .field = "any, "
		    "authenticated, url_path, header, and_ids, or_ids or "
		    "not_id" };
	}
}

static struct part
part_read(const struct parts *of, size_t i)
{
	return of->permissions != NULL ? permission_read(of->permissions[i]) :
	    principal_read(of->principals[i]);
}

/* ---- leaves */

static int
node_add(struct compiler *c, const struct at *at, struct program *p,
    const struct block_rbac_node *node, uint32_t *entry)
{
	uint32_t room = p->room == 0 ? NODES_FIRST : p->room * 2;
	struct block_rbac_node *more;

	if (p->n == RBAC_NODES_MAX)
		return refuse(c, at, "these rules ask more than %d questions",
		    RBAC_NODES_MAX);
	if (p->n == p->room) {
		if ((more = scratch(c, room * sizeof(*more))) == NULL)
			return -1;
		if (p->n > 0)
			memcpy(more, p->nodes, p->n * sizeof(*more));
		p->nodes = more;
		p->room = room;
	}
	p->nodes[p->n] = *node;
	*entry = p->n++;
	return 0;
}

static int
leaf_text(struct compiler *c, const struct at *at, const StringMatcher *m,
    struct block_header_match *to)
{
	enum header_match_kind kind;
	const char *text;

	if (compile_string(c, at, m, &text, &kind) < 0 ||
	    (m->ignore_case && (text = lower(c, text)) == NULL))
		return -1;
	to->kind = (uint8_t)kind;
	to->flags = m->ignore_case ? HEADER_ANY_CASE : 0;
	return put_text(c, text, &to->value);
}

static int
leaf_path(struct compiler *c, const struct at *up, const PathMatcher *m,
    struct block_header_match *to)
{
	const struct at at = AT(up, "path");

	if (m->rule_case != PATH_CASE)
		return refuse(c, &at, "is missing, expected exact, prefix, "
		    "suffix or contains");
	return leaf_text(c, &at, m->path, to);
}

/* No name: whoever has one that a CA we trust vouches for. */
static int
leaf_name(struct compiler *c, const struct at *up, const Authenticated *m,
    struct block_header_match *to)
{
	const struct at at = AT(up, "principal_name");

	to->kind = HEADER_PRESENT;
	return m->principal_name == NULL ? 0 :
	    leaf_text(c, &at, m->principal_name, to);
}

static int
compile_leaf(struct compiler *c, const struct at *at, struct program *p,
    const struct part *part, struct leads leads, uint32_t *entry)
{
	struct block_rbac_node node = { .yes = leads.yes, .no = leads.no };
	int rc;

	if (part->header != NULL) {
		node.what = RBAC_HEADER;
		rc = compile_header(c, at, part->header, &node.match);
	} else if (part->path != NULL) {
		node.what = RBAC_PATH;
		rc = leaf_path(c, at, part->path, &node.match);
	} else {
		node.what = RBAC_NAME;
		rc = leaf_name(c, at, part->name, &node.match);
	}
	return rc < 0 ? -1 : node_add(c, at, p, &node, entry);
}

/* ---- and, or, not */

static int	compile_part(struct compiler *c, const struct at *at,
		    struct program *p, const struct part *part, int level,
		    struct leads leads, uint32_t *entry);

/* Parts of which all must hold, or one; there is one at least. */
static int
compile_parts(struct compiler *c, const struct at *up, struct program *p,
    const struct parts *parts, bool all, int level, struct leads leads,
    uint32_t *entry)
{
	const struct at list = AT(up, parts->field);

	if (parts->n == 0)
		return refuse(c, &list, "is empty, expected at least one");
	for (size_t i = parts->n; i-- > 0; ) {
		const struct at at = AT_ITEM(up, parts->field, i);
		const struct part part = part_read(parts, i);

		if (compile_part(c, &at, p, &part, level, leads, entry) < 0)
			return -1;
		if (all)
			leads.yes = *entry;
		else
			leads.no = *entry;
	}
	return 0;
}

static int
compile_part(struct compiler *c, const struct at *up, struct program *p,
    const struct part *part, int level, struct leads leads, uint32_t *entry)
{
	const struct at at = AT(up, part->field);

	if (level > LEVELS_MAX)
		return refuse(c, up, "is nested deeper than %d levels",
		    LEVELS_MAX);
	switch (part->form) {
	case FORM_ALL:
	case FORM_ONE:
		return compile_parts(c, &at, p, &part->parts,
		    part->form == FORM_ALL, level + 1, leads, entry);
	case FORM_NOT: {
		const struct part inside = part_read(&part->parts, 0);
		const struct leads other = { leads.no, leads.yes };

		return compile_part(c, &at, p, &inside, level + 1, other,
		    entry);
	}
	case FORM_ANY:
		*entry = leads.yes;
		return part->any ? 0 : refuse(c, &at, "false, expected true");
	case FORM_LEAF:
		return compile_leaf(c, &at, p, part, leads, entry);
	case FORM_NONE:
		break;
	}
	return refuse(c, up, "says nothing, expected %s", part->field);
}

/* ---- policies */

static int
entry_compare(const void *a, const void *b)
{
	const PolicyEntry *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* In the order of their names, each of which is there once. NULL: refused. */
static const PolicyEntry **
policies_sort(struct compiler *c, const struct at *up, const Rules *m)
{
	const PolicyEntry **all = scratch(c, m->n_policies * sizeof(*all));

	if (all == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_policies; i++)
		all[i] = m->policies[i];
	if (m->n_policies > 1)
		qsort(all, m->n_policies, sizeof(*all), entry_compare);
	for (size_t i = 1; i < m->n_policies; i++) {
		const struct at at = AT_KEY(up, "policies", all[i]->key);

		if (entry_compare(&all[i - 1], &all[i]) == 0) {
			refuse_twice(c, &at, &at, "policy", all[i]->key);
			return NULL;
		}
	}
	return all;
}

/* One of its permissions and one of its principals. */
static int
compile_policy(struct compiler *c, const struct at *at, struct program *p,
    const Policy *m, uint32_t no, uint32_t *entry)
{
	static const Policy empty = ENVOY__CONFIG__RBAC__V3__POLICY__INIT;
	struct leads leads = { RBAC_MATCHES, no };

	if (m == NULL)
		m = &empty;
	const struct parts permissions = { "permissions", m->permissions,
	    NULL, m->n_permissions };
	const struct parts principals = { "principals", NULL, m->principals,
	    m->n_principals };

	if (compile_parts(c, at, p, &principals, false, 1, leads,
	    entry) < 0)
		return -1;
	leads.yes = *entry;
	return compile_parts(c, at, p, &permissions, false, 1, leads, entry);
}

/* By their place in the block, where the last made is the first. */
static uint32_t
placed(const struct program *p, uint32_t to)
{
	return to < p->n ? p->n - 1 - to : to;
}

static int
put_program(struct compiler *c, const struct program *p, enum rbac_action
    action, uint32_t entry, block_ref *ref)
{
	size_t bytes = sizeof(struct block_rbac_rules) +
	    p->n * sizeof(p->nodes[0]);
	struct block_rbac_rules *b = scratch(c, bytes);

	if (b == NULL)
		return -1;
	b->action = action;
	b->entry = placed(p, entry);
	b->nodes_n = p->n;
	for (uint32_t i = 0; i < p->n; i++) {
		struct block_rbac_node *node = &b->nodes[placed(p, i)];

		*node = p->nodes[i];
		node->yes = placed(p, node->yes);
		node->no = placed(p, node->no);
	}
	return put_block(c, BLOCK_RBAC_RULES, b, bytes, ref);
}

static const struct rule rules_rules[] = {
	{ "action", RULE_LATER, .text = "ALLOW|DENY" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
compile_rules(struct compiler *c, const struct at *up, const Rules *m,
    block_ref *ref)
{
	struct program p = { 0 };
	const PolicyEntry **all;
	uint32_t entry = RBAC_FAILS;

	*ref = 0;
	if (m == NULL)
		return 0;
	if (rule_check(c, up, &m->base, rules_rules) < 0 ||
	    (all = policies_sort(c, up, m)) == NULL)
		return -1;
	for (size_t i = m->n_policies; i-- > 0; ) {
		const struct at at = AT_KEY(up, "policies", all[i]->key);

		if (compile_policy(c, &at, &p, all[i]->value, entry,
		    &entry) < 0)
			return -1;
	}
	return put_program(c, &p, m->action == ACTION(DENY) ? RBAC_DENY :
	    RBAC_ALLOW, entry, ref);
}

/* ---- the filter, and what routes say instead */

bool
compile_is_rbac(const ProtobufCMessage *m)
{
	return m->descriptor ==
	    &envoy__extensions__filters__http__rbac__v3__rbac__descriptor;
}

int
compile_rbac(struct compiler *c, const struct at *up,
    const ProtobufCMessage *message, block_ref *ref)
{
	const struct at rules = AT(up, "rules");
	const struct at shadow = AT(up, "shadow_rules");
	const Rbac *m = (const Rbac *)(const void *)message;
	struct block_rbac b;

	if (compile_rules(c, &rules, m->rules, &b.rules) < 0 ||
	    compile_rules(c, &shadow, m->shadow_rules, &b.shadow_rules) < 0)
		return -1;
	return put_block(c, BLOCK_RBAC, &b, sizeof(b), ref);
}

/* A FilterConfig holds another message, or turns the filter off. NULL with
 * *off: that; NULL otherwise: refused. */
static const ProtobufCMessage *
override_open(struct compiler *c, const struct at *at, const Any *any,
    bool *off)
{
	const struct at config = AT(at, "config");
	const ProtobufCMessage *m = any_open(c, at, any);
	const FilterConfig *f = (const FilterConfig *)(const void *)m;

	*off = false;
	if (m == NULL || m->descriptor !=
	    &envoy__config__route__v3__filter_config__descriptor)
		return m;
	*off = f->disabled;
	return f->disabled ? NULL : any_open(c, &config, f->config);
}

static int
compile_override(struct compiler *c, const struct at *at, const Any *any,
    struct block_override *to)
{
	const struct at rbac = AT(at, "rbac");
	const ProtobufCMessage *m;
	const PerRoute *r;
	bool off;

	*to = (struct block_override){ 1, 0 };
	if ((m = override_open(c, at, any, &off)) == NULL)
		return off ? 0 : -1;
	if (m->descriptor !=
	    &envoy__extensions__filters__http__rbac__v3__rbacper_route__descriptor)
		return refuse(c, at, "%s is nothing that a route can say, "
		    "expected RBACPerRoute, in a FilterConfig or not",
		    m->descriptor->short_name);
	r = (const PerRoute *)(const void *)m;
	return r->rbac == NULL ? 0 : compile_rbac(c, &rbac, &r->rbac->base,
	    &to->rbac);
}

int
compile_overrides(struct compiler *c, const struct at *up,
    FilterConfigEntry *const *entries, size_t n, struct overrides *to)
{
	for (size_t i = 0; i < n; i++) {
		const struct at at = AT_KEY(up, "typed_per_filter_config",
		    entries[i]->key);
		struct block_override o;
		bool found = false;

		if (compile_override(c, &at, entries[i]->value, &o) < 0)
			return -1;
		for (uint32_t f = 0; f < to->filters->n; f++) {
			const struct filter_name *name = &to->filters->at[f];

			if (strcmp(name->name, entries[i]->key) != 0 ||
			    name->kind != FILTER_RBAC)
				continue;
			to->at[f] = o;
			to->any = found = true;
		}
		if (!found)
			return refuse(c, &at, "no filter of this name asks "
			    "for rules, expected the name of an RBAC filter "
			    "in http_filters");
	}
	return 0;
}

int
put_overrides(struct compiler *c, const struct overrides *o, block_ref *ref)
{
	uint32_t n = o->filters->n;
	size_t bytes = sizeof(struct block_overrides) + n * sizeof(o->at[0]);
	struct block_overrides *b;

	*ref = 0;
	if (!o->any)
		return 0;
	if ((b = scratch(c, bytes)) == NULL)
		return -1;
	b->n = n;
	memcpy(b->at, o->at, n * sizeof(o->at[0]));
	return put_block(c, BLOCK_OVERRIDES, b, bytes, ref);
}
