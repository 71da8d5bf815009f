/*
 * t/lib/unit_route.h - virtual hosts, domains and requests laid out by hand
 * for the tests of worker/route*.c.
 */
#ifndef T_LIB_UNIT_ROUTE_H
#define T_LIB_UNIT_ROUTE_H

#include "t/lib/unit_block.h"
#include "t/lib/unit_sys.h"
#include "worker/route.h"

/* A virtual host of routes, each "kind path" with the cluster its index. */
static inline block_ref
host(const struct block_route *routes, uint32_t n)
{
	block_ref ref;
	struct block_host *h = unit_block(sizeof(*h) + n * sizeof(*routes),
	    &ref);

	h->routes_n = n;
	memcpy(h->routes, routes, n * sizeof(*routes));
	for (uint32_t i = 0; i < n; i++)
		h->routes[i].cluster = i;
	return ref;
}

struct domain {
	enum domain_kind kind;
	const char	*text;
	uint32_t	 host;
};

static inline const struct block_route_config *
config(const struct domain *d, uint32_t n, const block_ref *hosts,
    uint32_t hosts_n, bool ignore_port)
{
	block_ref ref;
	struct block_route_config *c = unit_block(sizeof(*c) +
	    n * sizeof(c->domains[0]), &ref);

	c->hosts = unit_list(hosts_n, hosts);
	c->domains_n = n;
	c->ignore_port = ignore_port;
	for (uint32_t i = 0; i < n; i++) {
		c->domains[i].text = unit_text(d[i].text);
		c->domains[i].kind = (uint16_t)d[i].kind;
		c->domains[i].len = (uint16_t)strlen(d[i].text);
		c->domains[i].host = d[i].host;
		c->exact_n += d[i].kind == DOMAIN_EXACT;
	}
	return c;
}

static inline struct block_route
route(enum match_kind kind, const char *path, uint8_t flags)
{
	return (struct block_route){ .kind = (uint8_t)kind, .flags = flags,
	    .path_len = (uint32_t)strlen(path), .path = unit_text(path) };
}

static inline struct headers *
request(struct mem *m, const char *authority, const char *path)
{
	struct headers *h = headers_new(m);

	headers_add_text(h, ":method", "POST");
	headers_add_text(h, ":path", path);
	headers_add_text(h, ":authority", authority);
	return h;
}

static inline int
found(const struct block_route_config *c, struct headers *h)
{
	const struct block_route *r = route_find(&unit_arena, c, h);

	headers_put(h);
	return r == NULL ? -1 : (int)r->cluster;
}

#endif
