/*
 * master/compile_route.c - a RouteConfiguration: its virtual hosts, their
 * routes, and one table of all domains.
 *
 *   domains  exact | *suffix | prefix* | *     longer before shorter in each
 *
 * so that a worker that goes through them from the first has the best match
 * at the first hit, which is Envoy's order. Two hosts with one domain, or one
 * name, are refused with both places.
 *
 * Source: config.route.v3.RouteConfiguration. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	DOMAIN_BYTES_MAX = 1024,
	BODY_BYTES_MAX = 4096,		/* what unset means */
};

/* ---- routes */

static int
compile_route(struct compiler *c, const struct at *up, const Route *m,
    const struct levels *outer, const struct overrides *overrides,
    struct block_route *to)
{
	struct overrides own = *overrides;
	const struct at match = AT(up, "match");
	struct levels l = *outer;

	l.route = (struct level)LEVEL(up, m);
	if (m->match == NULL)
		return refuse(c, &match, "is missing, expected prefix, path "
		    "or path_separated_prefix");
	if (compile_match(c, &match, m->match, to) < 0 ||
	    compile_action(c, up, m, &l, to) < 0 ||
	    compile_overrides(c, up, m->typed_per_filter_config,
	    m->n_typed_per_filter_config, &own) < 0 ||
	    put_overrides(c, &own, &to->overrides) < 0)
		return -1;
	c->out->generation.routes_n++;
	return put_name(c, m->name, &to->name);
}

static const struct rule host_rules[] = {
	{ "name", RULE_SET, .text = "a name" },
	{ "domains", RULE_ITEMS, 1, INT64_MAX, "at least one" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

/* *overrides: some route of it has some. */
static int
compile_host(struct compiler *c, const struct at *at, const VirtualHost *m,
    const struct levels *outer, const struct overrides *config,
    uint32_t *overrides, block_ref *ref)
{
	struct overrides own = *config;
	struct levels l = *outer;
	size_t i, bytes = sizeof(struct block_host) +
	    m->n_routes * sizeof(struct block_route);
	const struct at retry = AT(at, "retry_policy");
	struct block_host *b = scratch(c, bytes);

	l.host = (struct level)LEVEL(at, m);
	if (b == NULL || rule_check(c, at, &m->base, host_rules) < 0 ||
	    compile_retry(c, &retry, m->retry_policy, &l.retry) < 0 ||
	    put_text(c, m->name, &b->name) < 0 ||
	    compile_overrides(c, at, m->typed_per_filter_config,
	    m->n_typed_per_filter_config, &own) < 0)
		return -1;
	for (i = 0; i < m->n_routes; i++) {
		const struct at item = AT_ITEM(at, "routes", i);

		if (compile_route(c, &item, m->routes[i], &l, &own,
		    &b->routes[i]) < 0)
			return -1;
		if (b->routes[i].overrides != 0)
			*overrides = 1;
	}
	b->routes_n = (uint32_t)m->n_routes;
	if (compile_index(c, b->routes, b->routes_n, &b->index) < 0)
		return -1;
	return put_block(c, BLOCK_HOST, b, bytes, ref);
}

/* ---- domains */

struct domain {
	const char	*text;		/* lower case, without the star */
	size_t		 len;
	enum domain_kind kind;
	size_t		 host, index;	/* where it stands */
};

/* By kind, then longer before shorter; the rest only so that the order does
 * not depend on chance. */
static int
domain_compare(const void *a, const void *b)
{
	const struct domain *x = a, *y = b;
	int diff;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	if ((diff = memcmp(x->text, y->text, x->len)) != 0)
		return diff;
	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int
domain_read(struct compiler *c, const struct at *at, const char *text,
    struct domain *d)
{
	size_t n = strlen(text);
	char *to;

	if (n == 0 || n > DOMAIN_BYTES_MAX)
		return refuse(c, at, "has %zu bytes, expected 1..%d", n,
		    DOMAIN_BYTES_MAX);
	if ((to = lower(c, text)) == NULL)
		return -1;
	d->kind = n == 1 && *to == '*' ? DOMAIN_ANY :
	    *to == '*' ? DOMAIN_SUFFIX :
	    to[n - 1] == '*' ? DOMAIN_PREFIX : DOMAIN_EXACT;
	if (d->kind == DOMAIN_PREFIX || d->kind == DOMAIN_ANY)
		to[n - 1] = '\0';
	else if (d->kind == DOMAIN_SUFFIX)
		to++;
	if (strchr(to, '*') != NULL)
		return refuse(c, at, "\"%s\" has a star in its midst, "
		    "expected one at its beginning or its end", text);
	d->text = to;
	d->len = strlen(to);
	return 0;
}

static int
domains_unique(struct compiler *c, const struct at *up,
    const RouteConfiguration *m, const struct domain *d, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++) {
		if (d[i].kind != d[i - 1].kind || d[i].len != d[i - 1].len ||
		    memcmp(d[i].text, d[i - 1].text, d[i].len) != 0)
			continue;
		const struct at host = AT_ITEM(up, "virtual_hosts",
		    d[i].host), first_host = AT_ITEM(up, "virtual_hosts",
		    d[i - 1].host);
		const struct at at = AT_ITEM(&host, "domains", d[i].index);
		const struct at first = AT_ITEM(&first_host, "domains",
		    d[i - 1].index);

		return refuse_twice(c, &at, &first, "domain",
		    m->virtual_hosts[d[i].host]->domains[d[i].index]);
	}
	return 0;
}

/* All domains of all hosts, sorted. NULL: refused. */
static struct domain *
domains_read(struct compiler *c, const struct at *up,
    const RouteConfiguration *m, size_t *n)
{
	struct domain *all;
	size_t i, j;

	for (*n = 0, i = 0; i < m->n_virtual_hosts; i++)
		*n += m->virtual_hosts[i]->n_domains;
	if ((all = scratch(c, *n * sizeof(*all))) == NULL)
		return NULL;
	for (*n = 0, i = 0; i < m->n_virtual_hosts; i++) {
		const struct at host = AT_ITEM(up, "virtual_hosts", i);

		for (j = 0; j < m->virtual_hosts[i]->n_domains; j++, ++*n) {
			const struct at at = AT_ITEM(&host, "domains", j);

			if (domain_read(c, &at, m->virtual_hosts[i]->
			    domains[j], &all[*n]) < 0)
				return NULL;
			all[*n].host = i;
			all[*n].index = j;
		}
	}
	if (*n > 1)
		qsort(all, *n, sizeof(*all), domain_compare);
	return domains_unique(c, up, m, all, *n) < 0 ? NULL : all;
}

/* ---- the configuration */

struct host_name {
	const char	*name;
	size_t		 index;
};

static int
host_name_compare(const void *a, const void *b)
{
	const struct host_name *x = a, *y = b;
	int diff = strcmp(x->name, y->name);

	return diff != 0 ? diff : x->index < y->index ? -1 : 1;
}

static int
hosts_unique(struct compiler *c, const struct at *up,
    const RouteConfiguration *m)
{
	struct host_name *all = scratch(c, m->n_virtual_hosts * sizeof(*all));
	size_t i;

	if (all == NULL)
		return -1;
	for (i = 0; i < m->n_virtual_hosts; i++)
		all[i] = (struct host_name){ m->virtual_hosts[i]->name, i };
	if (i > 1)
		qsort(all, i, sizeof(*all), host_name_compare);
	for (i = 1; i < m->n_virtual_hosts; i++) {
		if (strcmp(all[i].name, all[i - 1].name) != 0)
			continue;
		const struct at host = AT_ITEM(up, "virtual_hosts",
		    all[i].index), first_host = AT_ITEM(up, "virtual_hosts",
		    all[i - 1].index);
		const struct at at = AT(&host, "name");
		const struct at first = AT(&first_host, "name");

		return refuse_twice(c, &at, &first, "virtual host",
		    all[i].name);
	}
	return 0;
}

static int
compile_hosts(struct compiler *c, const struct at *up,
    const RouteConfiguration *m, const struct overrides *own, bool lenient,
    struct block_route_config *b)
{
	const struct levels l = {
	    .config = LEVEL(up, m),
	    .lenient = m->validate_clusters == NULL ? lenient :
	    !m->validate_clusters->value,
	    .most_specific = m->most_specific_header_mutations_wins,
	    .body_bytes_max = number_or(m->max_direct_response_body_size_bytes,
	    BODY_BYTES_MAX),
	};
	struct block_list *list = list_new(c, m->n_virtual_hosts);
	size_t i;

	for (i = 0; list != NULL && i < m->n_virtual_hosts; i++) {
		const struct at at = AT_ITEM(up, "virtual_hosts", i);

		if (compile_host(c, &at, m->virtual_hosts[i], &l, own,
		    &b->overrides, &list->at[i]) < 0)
			return -1;
	}
	return list == NULL || hosts_unique(c, up, m) < 0 ? -1 :
	    put_list(c, BLOCK_HOSTS, list, &b->hosts);
}

static const struct rule no_rules = { NULL, RULE_SET, 0, 0, NULL };

int
compile_routes(struct compiler *c, const struct at *at,
    const RouteConfiguration *m, const struct filter_names *filters,
    bool lenient, block_ref *ref)
{
	struct overrides own = { .filters = filters };
	struct block_route_config *b;
	struct domain *domains;
	size_t i, n, bytes;

	if (rule_check(c, at, &m->base, &no_rules) < 0 ||
	    (domains = domains_read(c, at, m, &n)) == NULL)
		return -1;
	bytes = sizeof(*b) + n * sizeof(b->domains[0]);
	if ((b = scratch(c, bytes)) == NULL ||
	    put_text(c, m->name, &b->name) < 0 ||
	    compile_overrides(c, at, m->typed_per_filter_config,
	    m->n_typed_per_filter_config, &own) < 0 ||
	    compile_hosts(c, at, m, &own, lenient, b) < 0)
		return -1;
	b->ignore_port = m->ignore_port_in_host_matching ? 1 : 0;
	b->domains_n = (uint32_t)n;
	for (i = 0; i < n; i++) {
		if (put_text(c, domains[i].text, &b->domains[i].text) < 0)
			return -1;
		b->domains[i].kind = (uint16_t)domains[i].kind;
		b->domains[i].len = (uint16_t)domains[i].len;
		b->domains[i].host = (uint32_t)domains[i].host;
		b->exact_n += domains[i].kind == DOMAIN_EXACT;
	}
	return put_block(c, BLOCK_ROUTE_CONFIG, b, bytes, ref);
}
