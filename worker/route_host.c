/* worker/route_host.c - see route_host.h. */
#include "worker/route_host.h"

#include <assert.h>

static struct text
without_port(struct text host)
{
	size_t i = host.len;

	while (i > 0 && host.p[i - 1] >= '0' && host.p[i - 1] <= '9')
		i--;
	if (i > 0 && i < host.len && host.p[i - 1] == ':')
		host.len = i - 1;
	return host;
}

static bool
domain_matches(const struct arena *a, const struct block_domain *d,
    struct text host)
{
	const char *want = block_text(a, d->text);

	switch ((enum domain_kind)d->kind) {
	case DOMAIN_EXACT:
		return false;	/* exact_find knows */
	case DOMAIN_SUFFIX:	/* the star stands for something */
		return host.len > d->len &&
		    same(host.p + host.len - d->len, want, d->len, true);
	case DOMAIN_PREFIX:
		return host.len > d->len && same(host.p, want, d->len, true);
	case DOMAIN_ANY:
		return true;
	}
	return false;
}

/* Below 0: the host stands before the domain, as the compiler sorts them. */
static int
exact_compare(const struct arena *a, struct text host,
    const struct block_domain *d)
{
	const char *want = block_text(a, d->text);
	int diff = 0;

	if (host.len != d->len)
		return host.len > d->len ? -1 : 1;
	for (size_t i = 0; i < host.len && diff == 0; i++)
		diff = (uint8_t)lower(host.p[i]) - (uint8_t)want[i];
	return diff;
}

static const struct block_domain *
exact_find(const struct arena *a, const struct block_route_config *config,
    struct text host)
{
	uint32_t mid, from = 0, to = config->exact_n;
	int diff;

	while (from < to) {
		mid = from + (to - from) / 2;
		diff = exact_compare(a, host, &config->domains[mid]);
		if (diff == 0)
			return &config->domains[mid];
		if (diff < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return NULL;
}

const struct block_host *
route_host_find(const struct arena *a, const struct block_route_config *config,
    struct text host)
{
	const struct block_list *hosts = arena_at(a, config->hosts);
	const struct block_domain *d;

	assert(config->exact_n <= config->domains_n);
	if (config->ignore_port)
		host = without_port(host);
	d = exact_find(a, config, host);
	for (uint32_t i = config->exact_n; d == NULL && i < config->domains_n;
	    i++)
		if (domain_matches(a, &config->domains[i], host))
			d = &config->domains[i];
	return d == NULL ? NULL : arena_at(a, hosts->at[d->host]);
}
