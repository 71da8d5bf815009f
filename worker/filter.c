/* worker/filter.c - see filter.h. */
#include "worker/filter.h"

#include "worker/router.h"

struct filter {
	enum filter_verdict (*headers)(struct stream *s,
	    const struct block_hcm *hcm);
	enum filter_verdict (*data)(struct stream *s, const uint8_t *p,
	    size_t n);
	enum filter_verdict (*end)(struct stream *s,
	    struct headers *trailers);
};

static const struct filter filters[FILTER_KINDS] = {
	[FILTER_ROUTER] = { router_headers, router_data, router_end },
};

enum filter_verdict
filter_headers(struct stream *s, const struct block_hcm *hcm)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (uint32_t i = 0; i < hcm->filters_n && i < FILTERS_MAX; i++)
		s->filters[s->filters_n++] = (uint8_t)hcm->filters[i].kind;
	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		v = filters[s->filters[i]].headers(s, hcm);
	return v;
}

enum filter_verdict
filter_data(struct stream *s, const uint8_t *p, size_t n)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		v = filters[s->filters[i]].data(s, p, n);
	return v;
}

enum filter_verdict
filter_end(struct stream *s, struct headers *trailers)
{
	enum filter_verdict v = FILTER_CONTINUE;

	for (int i = 0; i < s->filters_n && v == FILTER_CONTINUE; i++)
		v = filters[s->filters[i]].end(s, trailers);
	return v;
}
