/*
 * xds/ads_sotw.c - a request of the state-of-the-world kind, as it is when it
 * is taken: all names, each time (ads.h).
 *
 *   wanted        first            after names were sent
 *   wildcard      []  (legacy)     ["*"]
 *   and names     ["*", names]     ["*", names]
 *   names         [names]          [names]
 *   nothing       not asked        []
 *
 * Two things take two requests. A stream on which only the legacy form was
 * sent leaves the wildcard by saying "*" first, since [] would mean it still.
 * And a name, or "*", that was left and is wanted anew is left out once: else
 * the server would see no change and not send it, and we have dropped our copy.
 *
 * Source: xDS protocol document, "How the client specifies what resources to
 * return"; reference/envoy-xds.md 2.3. Test: t/unit/ads.c.
 */
#include "xds/ads_inside.h"

#include <stdlib.h>

#include "xds/proto/envoy/service/discovery.pb-c.h"

enum { INTERNAL = 13 };

static char star[] = "*";

struct sotw_names {
	char		**names;
	size_t		 n;
	bool		 star;		/* it is the first */
	bool		 more;		/* it takes another request */
};

static bool
is_wild(const struct ads_kind *k)
{
	return k->wildcard && !k->wildcard_again;
}

static bool
says_star(const struct ads_kind *k)
{
	if (is_wild(k))
		return k->wanted_n > 0 || k->named;
	return k->asked && !k->named && k->wanted_n == 0;
}

static bool
gather(const struct ads_kind *k, struct sotw_names *to)
{
	struct ads_name *n;

	*to = (struct sotw_names){ .names = malloc((k->wanted_n + 1) *
	    sizeof(*to->names)) };
	if (to->names == NULL)
		return false;
	to->star = says_star(k);
	if (to->star)
		to->names[to->n++] = star;
	to->more = k->wildcard_again || (to->star && !k->wildcard);
	TAILQ_FOREACH(n, &k->names, all) {
		if (n->wanted && !n->again)
			to->names[to->n++] = n->text;
		to->more |= n->again;
	}
	return true;
}

/* The request is made: the server knows. */
static void
tell(struct ads *a, struct ads_kind *k, const struct sotw_names *said,
    int64_t now_ms)
{
	struct ads_name *n, *next;

	for (n = TAILQ_FIRST(&k->names); n != NULL; n = next) {
		next = TAILQ_NEXT(n, all);
		if (n->again)
			n->again = n->told = false;
		else
			ads_name_told(a, n, now_ms);
	}
	k->wildcard_told = said->star || is_wild(k) ? ADS_EXPLICIT :
	    ADS_NO_WILDCARD;
	if (!said->star)
		k->wildcard_again = false;
	k->named |= said->n > 0;
	k->asked = true;
	k->news = said->more;
}

bool
ads_sotw_request(struct ads *a, enum resource_kind kind,
    struct ads_reply *reply, int64_t now_ms, uint8_t **bytes, size_t *n)
{
	Envoy__Service__Discovery__V3__DiscoveryRequest m;
	Google__Rpc__Status status;
	struct ads_kind *k = &a->kinds[kind];
	struct sotw_names names;

	if (!gather(k, &names))
		return false;
	envoy__service__discovery__v3__discovery_request__init(&m);
	if (k->asked || !k->widened)	/* else: of less than is wanted */
		m.version_info = k->version;
	if (!a->settings.node_once || !a->node_told) {
		m.node.data = a->node;
		m.node.len = a->settings.node_len;
	}
	m.resource_names = names.names;
	m.n_resource_names = names.n;
	m.type_url = k->type_url;
	if (k->nonce != NULL)
		m.response_nonce = k->nonce;
	if (reply != NULL && reply->is_refusal) {
		google__rpc__status__init(&status);
		status.code = INTERNAL;
		status.message = reply->why != NULL ? reply->why :
		    k->type_url;
		m.error_detail = &status;
	}
	*n = protobuf_c_message_get_packed_size(&m.base);
	*bytes = malloc(*n);
	if (*bytes != NULL) {
		protobuf_c_message_pack(&m.base, *bytes);
		tell(a, k, &names, now_ms);
	}
	free(names.names);
	return *bytes != NULL;
}
