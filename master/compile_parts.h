/*
 * master/compile_parts.h - what the files of the compiler share, and nobody
 * else.
 *
 *   compile.c                a stage; compile_file.c: what a file puts in it
 *     ├── compile_cluster.c    ── http, tls, compile_endpoint.c
 *     │                           └── compile_dns.c, compile_known.c
 *     └── compile_listener.c   ── tls
 *           └── compile_hcm.c  ── http, rbac
 *                 └── compile_route.c ── compile_match.c, compile_index.c, rbac
 *                       └── compile_plan.c ── compile_mutation.c,
 *                                             compile_value.c
 *   retries and circuit breakers of both: compile_retry.c
 *   rbac: compile_rbac.c ── compile_match.c
 *   tls:  compile_tls.c ── compile_source.c, compile_secret.c
 *   http: compile_http.c
 *   beside a stage: compile_dynamic.c, compile_ems.c (whom to follow),
 *   compile_register.c (what is registered), compile_show.c (messages for
 *   humans)
 *   other resources: compile_find.c, where they come from: compile_origin.c
 *   all of them: compile_at.c (places, refusals), compile_rule.c (limits),
 *   compile_put.c (texts and blocks)
 *
 * Every function that can refuse returns -1 (or NULL) after refuse() said
 * why; its caller passes that on and nothing else.
 */
#ifndef MASTER_COMPILE_PARTS_H
#define MASTER_COMPILE_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "master/compile.h"
#include "master/dns.h"
#include "master/names.h"
#include "shm/arena.h"
#include "xds/proto/envoy/config/bootstrap.pb-c.h"
#include "xds/proto/envoy/extensions/http_connection_manager.pb-c.h"
#include "xds/proto/envoy/extensions/http_options.pb-c.h"
#include "xds/proto/envoy/extensions/raw_buffer.pb-c.h"
#include "xds/proto/envoy/extensions/router.pb-c.h"
#include "xds/proto/envoy/extensions/tls.pb-c.h"
#include "xds/proto/envoy/extensions/tls_inspector.pb-c.h"

/* The messages by the names that everyone calls them. */
typedef Google__Protobuf__Any Any;
typedef Google__Protobuf__Duration Duration;
typedef Google__Protobuf__UInt32Value UInt32;
typedef Envoy__Type__Matcher__V3__StringMatcher StringMatcher;
typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Config__Core__V3__ApiConfigSource ApiSource;
typedef Envoy__Config__Core__V3__ConfigSource ConfigSource;
typedef Envoy__Config__Core__V3__SocketAddress SocketAddress;
typedef Envoy__Config__Core__V3__DataSource DataSource;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderValueOption;
typedef Envoy__Config__Core__V3__TransportSocket TransportSocket;
typedef Envoy__Config__Core__V3__HttpProtocolOptions CommonHttp;
typedef Envoy__Config__Core__V3__Http2ProtocolOptions Http2;
typedef Envoy__Extensions__TransportSockets__Tls__V3__TlsCertificate
    TlsCertificate;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext
    Validation;
typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__CircuitBreakers CircuitBreakers;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds__RetryBudget
    RetryBudget;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment LoadAssignment;
typedef Envoy__Config__Listener__V3__Listener Listener;
typedef Envoy__Config__Listener__V3__FilterChain FilterChain;
typedef Envoy__Config__Route__V3__RouteConfiguration RouteConfiguration;
typedef Envoy__Config__Route__V3__VirtualHost VirtualHost;
typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__RouteMatch RouteMatch;
typedef Envoy__Config__Route__V3__RouteAction RouteAction;
typedef Envoy__Config__Route__V3__RetryPolicy RetryPolicy;
typedef Envoy__Config__Route__V3__RetryPolicy__RetryBackOff RetryBackOff;
typedef Envoy__Config__Route__V3__RouteAction__MaxStreamDuration
    MaxStreamDuration;
typedef Envoy__Config__Route__V3__DirectResponseAction DirectResponse;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;
typedef Envoy__Config__Route__V3__TypedPerFilterConfigEntry FilterConfigEntry;
typedef Envoy__Config__Route__V3__WeightedCluster WeightedCluster;
typedef Envoy__Config__Route__V3__WeightedCluster__ClusterWeight
    ClusterWeight;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager
    ConnectionManager;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter
    HttpFilter;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions
    HttpOptions;

struct compiler {
	struct compile_stage stage;
	struct image	*image;		/* of the stage, as names, sources */
	const struct arena *arena;	/* of the image */
	struct names	*names;
	struct sources	*sources;
	struct load_arena *stage_memory;	/* of pages */
	struct compiled	*out;		/* in the making: c->made */
	struct compiled	 made;
	struct block_list *pages[CLUSTERS_MAX / PAGE_SLOTS];	/* changed */
	bool		 whole;		/* compile(): nothing is kept */
	bool		 tls_changed;	/* there may be other keys */
	const char	*clusters;	/* of the file: origin.h; or NULL */
	size_t		 clusters_len;
	/* Of the resource that is compiled. */
	const struct yaml *yaml;	/* NULL: not from a file */
	struct load_arena *memory;	/* thrown away with the messages */
	bool		 waits;
	bool		 is_secret;	/* a key may stand in it */
	char		*why;
	size_t		 why_len;
};

/* ---- compile.c: what may be undone */

struct compiler_mark {
	struct image_mark image;
	size_t		 names;
	struct generation generation;
};
struct compiler_mark compiler_mark(const struct compiler *c);
void	compiler_rollback(struct compiler *c, const struct compiler_mark *m);

/* ---- compile_at.c: where the message stands that is being compiled */

struct at {
	const struct at	*up;		/* NULL: the root's field */
	const char	*field;
	const char	*key;		/* of a map; NULL = not in one */
	int64_t		 index;		/* in a list; -1 = not in one */
};
#define AT(up, field) { (up), (field), NULL, -1 }
#define AT_ITEM(up, field, i) { (up), (field), NULL, (int64_t)(i) }
#define AT_KEY(up, field, key) { (up), (field), (key), -1 }

/* "static_resources.clusters[3].lb_policy"; cut, never overrun. */
void	at_path(const struct at *at, char *path, size_t path_len);

/* Says why: "file:line:col: path: reason". Always -1. */
int	refuse(struct compiler *c, const struct at *at, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* refuse() for a second use of what may be used once; names both places. */
int	refuse_twice(struct compiler *c, const struct at *at,
	    const struct at *first, const char *what, const char *name);
/* Warns about a place on the log. */
void	warn_at(struct compiler *c, const struct at *at, const char *what);

/* ---- compile_rule.c: limits of single fields, as tables */

enum rule_kind {
	RULE_SET,	/* there, and not empty */
	RULE_RANGE,	/* a number, when it is set, is min..max */
	RULE_LENGTH,	/* a text, when it is set, has min..max bytes */
	RULE_ITEMS,	/* a list has min..max items */
	RULE_LATER,	/* not built yet: unset, or one of the values in text */
};

struct rule {
	const char	*field;		/* NULL ends the table */
	enum rule_kind	 kind;
	int64_t		 min, max;	/* of a Duration: microseconds */
	const char	*text;		/* what was expected; LATER: "0s|5s" */
};

/* Checks a message by a table, and that its enums have a name. */
int	rule_check(struct compiler *c, const struct at *at,
	    const ProtobufCMessage *m, const struct rule *rules);

/* ---- compile_put.c: values and blocks */

/* Puts a block that was filled in scratch memory, after those that it names:
 * one for all that are equal, in this and the generations before. */
int	put_block(struct compiler *c, enum block_kind kind, const void *block,
	    size_t bytes, block_ref *ref);
int	put_text(struct compiler *c, const char *s, block_ref *ref);
/* The same, 0 for "". */
int	put_name(struct compiler *c, const char *s, block_ref *ref);

/* A list in scratch memory of n refs yet to fill, and putting it. */
struct block_list *list_new(struct compiler *c, size_t n);
int	put_list(struct compiler *c, enum block_kind kind,
	    const struct block_list *list, block_ref *ref);

/* Never 0. */
uint64_t put_hash(const void *bytes, size_t n, uint64_t seed);

/* Memory of the messages, zeroed. NULL: refused. */
void	*scratch(struct compiler *c, size_t bytes);
/* A copy with A-Z as a-z. NULL: refused. */
char	*lower(struct compiler *c, const char *s);

uint32_t number_or(const UInt32 *v, uint32_t unset);
/* Whole milliseconds, rounded up so that a short time does not become "none".
 * d may be NULL: unset_ms. */
int	duration_ms(struct compiler *c, const struct at *at, const Duration *d,
	    uint32_t unset_ms, uint32_t *ms);
/* The message in an Any, which may be NULL. NULL: refused. */
const ProtobufCMessage *any_open(struct compiler *c, const struct at *at,
	    const Any *any);
/* An address and port of the Internet. *name, if name is not NULL, becomes the
 * host name that stands in its place; to has the port alone then. */
int	address_read(struct compiler *c, const struct at *at,
	    const Address *a, struct sockaddr_storage *to, socklen_t *len,
	    const char **name);
/* The same as it stands in blocks. */
void	address_block(const struct sockaddr_storage *a,
	    struct block_address *to);
/* "10.0.0.1_80", "[__1]_80": as Envoy's statistics write it. */
void	address_text(const struct sockaddr_storage *a, char *text,
	    size_t text_len);

/* ---- compile_source.c: bytes from files and other sources */

/* PEM certificates. */
int	source_certificates(struct compiler *c, const struct at *at,
	    const DataSource *s, const char **pem, size_t *len);
/* A private key goes into the arena of secrets: *key is where, *file whence,
 * and *hash tells one content from another. */
int	source_key(struct compiler *c, const struct at *at,
	    const DataSource *s, const char **file, struct compile_key *key);
/* The list of all keys of this generation, in the arena of secrets. */
int	source_keys_end(struct compiler *c, block_ref *ref);

/* ---- compile_find.c: other resources */

/* What is sought: its name in the set, and how long it is waited for. */
struct sought {
	const char	*name;
	uint32_t	 missing_ms;	/* initial_fetch_timeout; 0: for ever */
};

/* False: it waits for it (c->waits), does without, or it is refused
 * (*refused). */
bool	find_resource(struct compiler *c, const struct at *at,
	    enum resource_kind kind, const struct sought *of, bool *refused,
	    struct compile_answer *answer);
/* Its message; NULL: as above. */
const ProtobufCMessage *find_message(struct compiler *c,
	    const struct at *at, enum resource_kind kind,
	    const struct sought *of, bool *refused, struct compile_key *key);
/* The addresses of a host name, as q asks for them: none while they are waited
 * for (c->waits), or when nobody resolves. -1: refused. */
int	find_name(struct compiler *c, const struct at *at,
	    const struct dns_question *q,
	    const struct block_address **addresses, size_t *n);
/* Slot of a cluster. lenient: one that is not there is CLUSTER_NONE, and
 * waited for. -1: refused. */
int	find_cluster(struct compiler *c, const struct at *at,
	    const char *name, bool lenient, uint32_t *slot);
/* The clusters of a page, changed or not; NULL: it is empty. */
const struct block_list *page_view(const struct compiler *c, uint32_t page);

/* ---- compile_origin.c: where they come from */

/* Only what we can follow. *out is a reference, the caller's; NULL: ADS. */
int	origin_read(struct compiler *c, const struct at *at,
	    const ConfigSource *m, struct origin **out);
int	origin_api(struct compiler *c, const struct at *at,
	    const ApiSource *m, struct origin **out);
/* What a resource of this name and source is called in the set; the source is
 * known to the set's owner from now on. */
int	find_source(struct compiler *c, const struct at *at,
	    const ConfigSource *m, const char *name, struct sought *to);

/* ---- compile_dns.c: clusters of host names */

bool	compile_is_dns(const Cluster *m);
/* How m asks for names: all but the name. And that m has as many as it may. */
int	compile_dns(struct compiler *c, const struct at *at,
	    const Cluster *m, const LoadAssignment *from,
	    struct dns_question *q);
/* That it can be one: at is its place. */
int	compile_name(struct compiler *c, const struct at *at,
	    const char *name);

/* ---- compile_tls.c, compile_secret.c */

struct tls_certificate {		/* pointers are the messages' */
	const char	*chain, *key_file;	/* _file: whence, for humans; NULL
						   or "": no file */
	const char	*chain_file;
	size_t		 chain_len;
	struct compile_key key;
};

/* A certificate and its key, which was taken out before (known) or stands in
 * the message. They are a pair. */
int	compile_certificate(struct compiler *c, const struct at *at,
	    const TlsCertificate *m, const struct compile_key *known,
	    struct tls_certificate *t);
int	compile_validation_check(struct compiler *c, const struct at *at,
	    const Validation *m);
/* Of a secret, or of a file that is read anew: it has not expired. */
int	secret_expiry_check(struct compiler *c, const struct at *up,
	    const struct tls_certificate *t);
/* What OpenSSL says to it, before it is used. */
struct tls_settings;
int	secret_check(struct compiler *c, const struct at *at,
	    const struct tls_settings *s);
/* See compile_secret; m is a Secret. */
int	secret_take(struct compiler *c, const ProtobufCMessage *m,
	    uint8_t **out, size_t *out_len, struct compile_key *key);
/* By name; *found NULL: it is waited for. */
int	find_certificate(struct compiler *c, const struct at *at,
	    const Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig
	    *m, const TlsCertificate **found, struct compile_key *key);
int	find_validation(struct compiler *c, const struct at *at,
	    const Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig
	    *m, const Validation **found);

/* ---- compile_rbac.c */

/* The filters of a connection manager, as its routes name them. */
struct filter_names {
	uint32_t	 n;
	struct filter_name {
		enum filter_kind kind;
		const char	*name;
	}		 at[FILTERS_MAX];
};

/* What a route says in place of them; copied from what is less specific. */
struct overrides {
	const struct filter_names *filters;
	bool		 any;		/* one is set */
	struct block_override at[FILTERS_MAX];
};

bool	compile_is_rbac(const ProtobufCMessage *m);
/* m is one. */
int	compile_rbac(struct compiler *c, const struct at *at,
	    const ProtobufCMessage *m, block_ref *ref);
/* Those of one message, over what stands in to. */
int	compile_overrides(struct compiler *c, const struct at *up,
	    FilterConfigEntry *const *entries, size_t n,
	    struct overrides *to);
/* 0 where there are none. */
int	put_overrides(struct compiler *c, const struct overrides *o,
	    block_ref *ref);

/* ---- compile_mutation.c, compile_value.c: what a plan does to headers */

/* A message that says so. */
struct level {
	const struct at	*at;		/* NULL: none is there */
	struct {
		HeaderValueOption *const *add;
		char		*const *remove;
		size_t		 add_n, remove_n;
	}		 request, answer;
};
#define LEVEL(at, m) { (at), \
	{ (m)->request_headers_to_add, (m)->request_headers_to_remove, \
	    (m)->n_request_headers_to_add, (m)->n_request_headers_to_remove }, \
	{ (m)->response_headers_to_add, (m)->response_headers_to_remove, \
	    (m)->n_response_headers_to_add, \
	    (m)->n_response_headers_to_remove } }

/* The levels of one plan, and what else the configuration says to all. */
struct levels {
	struct level	 config, host, route, share;
	struct block_plan retry;	/* the virtual host's word on retries */
	bool		 most_specific;	/* the last word is the route's */
	bool		 lenient;	/* a cluster may not be there */
	uint32_t	 body_bytes_max;	/* of a direct response */
};

/* A plan in the making. Its spans are good for plan_put alone. */
struct plan_draft {
	struct block_plan plan;
	const char	*cluster;	/* "" where the plan answers itself */
	struct block_mutation *mutations;
	struct block_part *parts;
	char		*text;
	size_t		 mutations_n, mutations_cap, parts_cap, text_bytes,
			 text_cap;
};

/* Appends. -1: refused. */
int	draft_text(struct compiler *c, struct plan_draft *d, const char *s, size_t n,
	    struct block_span *span);
int	draft_part(struct compiler *c, struct plan_draft *d,
	    struct block_part part);
int	draft_mutation(struct compiler *c, struct plan_draft *d,
	    struct block_mutation m);
/* A header's value, with the commands in it. */
int	compile_value(struct compiler *c, const struct at *at,
	    const char *text, struct plan_draft *d, struct block_mutation *m);
/* The request's mutations, then the answer's. */
int	compile_mutations(struct compiler *c, const struct levels *l,
	    bool request, struct plan_draft *d);
/* Hashes and puts it. */
int	draft_put(struct compiler *c, struct plan_draft *d, block_ref *ref);

/* ---- endpoints */

/* What came of an endpoint's message, wherever it stands. */
struct known_endpoint {
	uint32_t	 at, len;	/* of its bytes */
	uint32_t	 locality;	/* it is in the n-th */
	uint32_t	 weight;
	struct block_address address;
	struct name_id	 id;		/* in the cluster of the set */
	bool		 usable;
	bool		 known;		/* and not decoded this time */
};
struct compile_known {
	const uint8_t	*bytes;		/* of the assignment */
	uint64_t	 set;		/* names_set, when this was compiled */
	size_t		 n;
	struct known_endpoint all[];	/* in its order */
};

struct assignment {
	const LoadAssignment *m;
	struct compile_known *known;	/* to be completed, or NULL */
	bool		 partly;	/* m has only what is not known */
	bool		 amends;	/* and of the known, ids are known */
};

/* ---- one function per kind of resource */

/* One cluster, under its id, and where it is written down. */
int	compile_cluster(struct compiler *c, const struct at *at,
	    const Cluster *m);
/* The endpoints of m are those of from, which stands at its own place. */
int	compile_endpoints(struct compiler *c, const struct at *at,
	    const struct assignment *from, const struct at *cluster_at,
	    const Cluster *m, struct name_id cluster, block_ref *ref);
/* The same, from bytes. */
int	compile_assignment(struct compiler *c, const struct at *at,
	    const struct compile_answer *a, const struct at *cluster_at,
	    const Cluster *m, struct name_id cluster, block_ref *ref);
/* The balance of a live cluster, and all else of it as it is; from NULL: that
 * in m, which stands at at. */
int	compile_cluster_assign(struct compiler *c, const struct at *at,
	    const Cluster *m, const struct compile_answer *from);
bool	compile_cluster_drop(struct compiler *c, struct name_id id);
int	compile_pages(struct compiler *c, block_ref *ref);
int	compile_listener(struct compiler *c, const struct at *at,
	    const Listener *m, uint32_t owner);
bool	compile_listener_drop(struct compiler *c, uint32_t owner);
int	compile_listeners(struct compiler *c, block_ref *ref);
int	compile_hcm(struct compiler *c, const struct at *at,
	    const ConnectionManager *m, block_ref *ref);
/* filters: of the listener that has these routes. lenient: a cluster may not
 * be there, if m does not say that all must. */
int	compile_routes(struct compiler *c, const struct at *at,
	    const RouteConfiguration *m, const struct filter_names *filters,
	    bool lenient, block_ref *ref);
int	compile_header(struct compiler *c, const struct at *at,
	    const HeaderMatcher *m, struct block_header_match *b);
/* Where a route leads: to->path is there already. */
int	compile_action(struct compiler *c, const struct at *at,
	    const Route *m, const struct levels *l, struct block_route *to);
int	compile_match(struct compiler *c, const struct at *at,
	    const RouteMatch *m, struct block_route *to);
/* The index of a host's n routes; 0 when they are few. */
int	compile_index(struct compiler *c, const struct block_route *routes,
	    uint32_t n, block_ref *ref);
/* m may be NULL: the plan stays as it is. */
int	compile_retry(struct compiler *c, const struct at *at,
	    const RetryPolicy *m, struct block_plan *plan);
/* m may be NULL: the defaults. */
int	compile_breaker(struct compiler *c, const struct at *at,
	    const CircuitBreakers *m, struct block_breaker *b);
/* A matcher of texts. */
int	compile_string(struct compiler *c, const struct at *at,
	    const StringMatcher *m, const char **text,
	    enum header_match_kind *kind);
/* A transport socket, NULL for clear text, in front of callers (server) or
 * towards a cluster. */
int	compile_transport(struct compiler *c, const struct at *at,
	    const TransportSocket *m, bool server, block_ref *ref);
/* The options of both sides. m may be NULL: the defaults. */
int	compile_h2(struct compiler *c, const struct at *at, const Http2 *m,
	    struct block_h2 *to);
int	compile_common_http(struct compiler *c, const struct at *at,
	    const CommonHttp *m, uint32_t *idle_timeout_ms,
	    struct block_header_limits *limits);

#endif
