/* worker/filter.c - see filter.h. */
#include "worker/filter.h"

#include "worker/rbac_filter.h"
#include "worker/router.h"

/* data and end may be NULL: it has nothing to say to them. */
struct filter {
	enum filter_verdict (*headers)(struct stream *s,
	    const struct block_hcm *hcm, int i);
	enum filter_verdict (*data)(struct stream *s, const uint8_t *p,
	    size_t n);
	enum filter_verdict (*end)(struct stream *s,
	    struct headers *trailers);
};

/* The one filter without settings. */
static enum filter_verdict
route_headers(struct stream *s, const struct block_hcm *hcm, int i)
{
	(void)i;
	return router_headers(s, hcm);
}

static const struct filter filters[FILTER_KINDS] = {
	[FILTER_ROUTER] = { route_headers, router_data, router_end },
	[FILTER_RBAC] = { rbac_filter_headers, NULL, NULL },
};

enum filter_verdict
filter_headers(struct stream *s, const struct block_hcm *hcm)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (uint32_t i = 0; i < hcm->filters_n && i < FILTERS_MAX; i++)
		s->filters[s->filters_n++] = (uint8_t)hcm->filters[i].kind;
	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		v = filters[s->filters[i]].headers(s, hcm, i);
	return v;
}

enum filter_verdict
filter_data(struct stream *s, const uint8_t *p, size_t n)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		if (filters[s->filters[i]].data != NULL)
			v = filters[s->filters[i]].data(s, p, n);
	return v;
}

enum filter_verdict
filter_end(struct stream *s, struct headers *trailers)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		if (filters[s->filters[i]].end != NULL)
			v = filters[s->filters[i]].end(s, trailers);
	return v;
}
