/*
 * xds/ads_delta.c - a request of the incremental kind, as it is when it is
 * taken: what changed since the last one (ads.h).
 *
 *   first of a stream   all names, and initial_resource_versions of what we
 *                       hold; no names when only the wildcard is wanted
 *                       (legacy: what every server understands)
 *   later               names that came and went; "*" as soon as there are
 *                       names beside it
 *
 * A name that was left and is wanted anew before we said so is subscribed
 * again: the server must send it, since we have dropped our copy. What is left
 * and may still be covered by a new "*" is left one request before that, for
 * the same reason. A request that answers nothing has no nonce.
 *
 * Source: xDS protocol document, "Incremental xDS"; reference/envoy-xds.md
 * 2.3, 2.4. Test: t/unit/ads_delta.c.
 */
#include "xds/ads_inside.h"

#include <stdlib.h>

#include "xds/proto/envoy/service/discovery.pb-c.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    Entry;

enum { INTERNAL = 13 };

static char star[] = "*";

struct lists {
	char		**subscribe, **unsubscribe;
	Entry		*entries, **initial;
	size_t		 subscribe_n, unsubscribe_n, initial_n;
	bool		 star;		/* subscribed here */
	bool		 more;		/* it takes another request */
};

static void
lists_free(struct lists *l)
{
	free(l->subscribe);
	free(l->unsubscribe);
	free(l->entries);
	free(l->initial);
}

/* Room for so many names each way, "*" besides, and so many versions. */
static bool
lists_make(struct lists *l, size_t names_n, size_t versions_n)
{
	*l = (struct lists){
		.subscribe = malloc((names_n + 1) * sizeof(char *)),
		.unsubscribe = malloc((names_n + 1) * sizeof(char *)),
		.entries = malloc((versions_n + 1) * sizeof(Entry)),
		.initial = malloc((versions_n + 1) * sizeof(Entry *)),
	};
	return l->subscribe != NULL && l->unsubscribe != NULL &&
	    l->entries != NULL && l->initial != NULL;
}

static void
add_version(struct lists *l, struct ads_name *n)
{
	Entry *e = &l->entries[l->initial_n];

	envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(e);
	e->key = n->text;
	e->value = n->version;
	l->initial[l->initial_n++] = e;
}

static bool
gather_first(const struct ads_kind *k, struct lists *l)
{
	struct ads_name *n;

	if (!lists_make(l, k->wanted_n, k->held_n))
		return false;
	l->star = k->wildcard && k->wanted_n > 0;
	if (l->star)
		l->subscribe[l->subscribe_n++] = star;
	TAILQ_FOREACH(n, &k->names, all) {
		if (n->wanted)
			l->subscribe[l->subscribe_n++] = n->text;
		if (n->version != NULL && (n->wanted || k->wildcard))
			add_version(l, n);
	}
	return true;
}

static bool
is_wild(const struct ads_kind *k)
{
	return k->wildcard && !k->wildcard_again;
}

static bool
gather_later(const struct ads_kind *k, struct lists *l)
{
	struct ads_name *n;
	size_t changes_n = 0;

	TAILQ_FOREACH(n, &k->changes, change)
		changes_n++;
	if (!lists_make(l, changes_n + 1, 0))
		return false;
	TAILQ_FOREACH(n, &k->changes, change) {
		if (n->wanted && (!n->told || n->again))
			l->subscribe[l->subscribe_n++] = n->text;
		else if (!n->wanted && n->told)
			l->unsubscribe[l->unsubscribe_n++] = n->text;
	}
	l->more = k->wildcard_again || (is_wild(k) && l->unsubscribe_n > 0 &&
	    k->wildcard_told == ADS_NO_WILDCARD);
	l->star = is_wild(k) && !l->more && (k->wildcard_told ==
	    ADS_NO_WILDCARD || (k->wildcard_told == ADS_LEGACY &&
	    l->subscribe_n > 0));
	if (l->star)
		l->subscribe[l->subscribe_n++] = star;
	if ((!k->wildcard || k->wildcard_again) &&
	    k->wildcard_told != ADS_NO_WILDCARD)
		l->unsubscribe[l->unsubscribe_n++] = star;
	return true;
}

static void
tell(struct ads *a, struct ads_kind *k, const struct lists *said,
    int64_t now_ms)
{
	struct ads_name *n, *next;

	if (!k->asked) {
		for (n = TAILQ_FIRST(&k->names); n != NULL; n = next) {
			next = TAILQ_NEXT(n, all);
			ads_name_told(a, n, now_ms);
		}
	} else {
		while ((n = TAILQ_FIRST(&k->changes)) != NULL)
			ads_name_told(a, n, now_ms);
	}
	if (said->star)
		k->wildcard_told = ADS_EXPLICIT;
	else if (!is_wild(k))
		k->wildcard_told = ADS_NO_WILDCARD;
	else if (!k->asked)
		k->wildcard_told = ADS_LEGACY;
	k->asked = true;
	k->news = said->more;
	k->wildcard_again = false;
}

static bool
pack(const Request *m, uint8_t **bytes, size_t *n)
{
	*n = protobuf_c_message_get_packed_size(&m->base);
	*bytes = malloc(*n);
	if (*bytes != NULL)
		protobuf_c_message_pack(&m->base, *bytes);
	return *bytes != NULL;
}

bool
ads_delta_request(struct ads *a, enum resource_kind kind,
    struct ads_reply *reply, int64_t now_ms, uint8_t **bytes, size_t *n)
{
	Request m;
	Google__Rpc__Status status;
	struct ads_kind *k = &a->kinds[kind];
	struct lists l;
	bool ok;

	envoy__service__discovery__v3__delta_discovery_request__init(&m);
	if (!(k->asked ? gather_later(k, &l) : gather_first(k, &l))) {
		lists_free(&l);
		return false;
	}
	if (!a->settings.node_once || !a->node_told) {
		m.node.data = a->node;
		m.node.len = a->settings.node_len;
	}
	m.type_url = k->type_url;
	m.resource_names_subscribe = l.subscribe;
	m.n_resource_names_subscribe = l.subscribe_n;
	m.resource_names_unsubscribe = l.unsubscribe;
	m.n_resource_names_unsubscribe = l.unsubscribe_n;
	m.initial_resource_versions = l.initial;
	m.n_initial_resource_versions = l.initial_n;
	if (reply != NULL)
		m.response_nonce = reply->nonce;
	if (reply != NULL && reply->is_refusal) {
		google__rpc__status__init(&status);
		status.code = INTERNAL;
		status.message = reply->why != NULL ? reply->why : m.type_url;
		m.error_detail = &status;
	}
	ok = pack(&m, bytes, n);
	if (ok)
		tell(a, k, &l, now_ms);
	lists_free(&l);
	return ok;
}
