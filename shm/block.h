/*
 * shm/block.h - what lies in the arena: the layout of a generation, which
 * the master writes and the workers read in place.
 *
 *   root ──> listeners ──> chain ──> hcm ──> route config ──> virtual host
 *     │                      │   └─> rbac ──> rules    index <──┤ routes:
 *     │                      └─> tls      ^                     │ match, plan,
 *     │                                   └───────── overrides <┤ cluster slot,
 *     └────> cluster pages ──> cluster ──> balance (endpoints)  │ or split
 *              [slot/256][slot%256]  └─> tls                    v
 *   A route names a cluster by slot, not by block, so that a changed cluster
 *   costs its own blocks, one page and the root.
 *
 * Invariants
 *   I1  Every ref is 0 or names a block of the type its field's name says.
 *   I2  Texts end in NUL, which len does not count.
 *   I3  Slots and endpoint ids are stable from generation to generation: a
 *       cluster's by name, an endpoint's by cluster and address, a listener's
 *       by address. A reused one has another tag.
 *   I4  Plans and tls blocks are self-contained: offsets inside them count
 *       from their own first byte, so that a worker can keep a copy.
 *
 * A change of this file is a change of BLOCK_LAYOUT, which the control page
 * carries and arena_open checks. Source of the settings: the xDS v3 messages
 * that each struct names. Test: t/unit/compile.c.
 */
#ifndef SHM_BLOCK_H
#define SHM_BLOCK_H

#include <stdint.h>
#include <sys/socket.h>

#include "shm/arena.h"

#define BLOCK_LAYOUT 0x676f647769740004ull	/* "godwit", layout 4 */

enum {
	PAGE_SLOTS = 256,		/* cluster slots per page */
	LISTENERS_MAX = 64,		/* slots 0..63, also in a row */
	CLUSTERS_MAX = 65536,
	CLUSTER_NONE = CLUSTERS_MAX,	/* the slot of one that is not there */
	ENDPOINTS_MAX = 1 << 20,	/* ids of endpoints, of all clusters */
	FILTERS_MAX = 8,		/* of one hcm */
};

struct block_text {
	uint32_t	len;
	char		bytes[];	/* len bytes and a NUL */
};

struct block_list {			/* refs or slots, as the field says */
	uint32_t	n;
	uint32_t	at[];
};

/* Inside a self-contained block: from the block's first byte. */
struct block_span {
	uint32_t	off, len;	/* off 0 = unset; NUL after len */
};

/* Settings of ours that every process follows from its next turn on. */
struct block_settings {
	uint64_t	buffer_budget_bytes;	/* per worker */
	uint32_t	drain_time_ms;
	uint32_t	cause_off;	/* 1: no godwit-cause header */
	uint32_t	log_level;	/* enum log_level */
	uint32_t	pad;
};

struct block_root {
	uint64_t	number;		/* of the generation */
	struct block_settings settings;
	block_ref	listeners;	/* list of block_listener */
	block_ref	clusters;	/* list of pages, each a list of
					   PAGE_SLOTS block_cluster or 0 */
};

/* config.core.v3.Http2ProtocolOptions */
struct block_h2 {
	uint32_t	max_concurrent_streams;
	uint32_t	stream_window_bytes;
	uint32_t	connection_window_bytes;
	uint32_t	hpack_table_bytes;
	/* What a peer may not overdo: worker/io/h2_guard.h. */
	uint32_t	outbound_frames_max, outbound_control_frames_max;
	uint32_t	empty_frames_max;	/* one after the other */
	uint32_t	priority_frames_per_stream_max;
	uint32_t	window_updates_per_data_frame_max;
	uint32_t	reset_burst, reset_rate;	/* at once; a second */
};

/* Limits on one header block, whoever sends it. */
struct block_header_limits {
	uint32_t	bytes_max;	/* sum of name + value + 32 */
	uint32_t	count_max;
};

struct block_address {
	uint8_t		bytes[16];	/* IPv4 in the first 4 */
	uint16_t	family;		/* AF_INET, AF_INET6 */
	uint16_t	port;		/* host byte order */
};

/* config.listener.v3.Listener */
struct block_listener {
	block_ref	name;		/* text */
	block_ref	stat_name;	/* text "ADDR_PORT", or as configured */
	struct block_address address;
	uint32_t	slot;		/* 0..LISTENERS_MAX-1: by address */
	uint32_t	tag;
	block_ref	chains;		/* list of block_chain, >= 1 */
};

/* config.listener.v3.FilterChain */
struct block_chain {
	block_ref	name;		/* text, may be 0 */
	block_ref	tls;		/* block_tls; 0 = clear text */
	block_ref	hcm;		/* block_hcm */
	uint32_t	handshake_timeout_ms;	/* 0 = none */
};

enum filter_kind { FILTER_ROUTER, FILTER_RBAC, FILTER_KINDS };

struct block_filter {
	uint32_t	kind;		/* enum filter_kind */
	block_ref	rbac;		/* block_rbac, of a FILTER_RBAC; 0 =
					   it does nothing */
};

enum hcm_flag {
	HCM_REQUEST_ID = 1,		/* made where a request has none */
	HCM_REQUEST_ID_BACK = 2,	/* also in the answer */
	HCM_ORIGINALS = 4,		/* x-envoy-original-path, -host where
					   we rewrite them, -overloaded where
					   a breaker refuses */
};

/* HttpConnectionManager */
struct block_hcm {
	block_ref	stat_prefix;	/* text */
	block_ref	route_config;	/* block_route_config */
	struct block_h2	h2;
	struct block_header_limits limits;
	uint32_t	idle_timeout_ms;	/* of a connection; 0 = none */
	uint32_t	stream_idle_timeout_ms;	/* 0 = none */
	uint32_t	max_stream_duration_ms;	/* 0 = none */
	uint32_t	flags;		/* enum hcm_flag */
	uint32_t	filters_n;	/* 1..FILTERS_MAX */
	struct block_filter filters[];	/* the router is the last, only */
};

/* config.route.v3.RouteConfiguration */
struct block_route_config {
	block_ref	name;		/* text */
	block_ref	hosts;		/* list of block_host */
	uint32_t	domains_n;	/* sorted: see enum domain_kind, then
					   longer before shorter, then bytes */
	uint32_t	exact_n;	/* the first so many are DOMAIN_EXACT */
	uint32_t	ignore_port;	/* in the authority, 0 or 1 */
	uint32_t	overrides;	/* 1: some route has some */
	struct block_domain {
		block_ref	text;	/* lower case, without the star */
		uint16_t	kind;	/* enum domain_kind */
		uint16_t	len;
		uint32_t	host;	/* index into hosts */
	}		domains[];
};

enum domain_kind { DOMAIN_EXACT, DOMAIN_SUFFIX, DOMAIN_PREFIX, DOMAIN_ANY };

enum match_kind { MATCH_PREFIX, MATCH_PATH, MATCH_SEPARATED_PREFIX };
enum match_flag { MATCH_ANY_CASE = 1, MATCH_GRPC = 2 };

/* config.route.v3.Route: RouteMatch and RouteAction */
struct block_route {
	uint8_t		kind;		/* enum match_kind */
	uint8_t		flags;		/* enum match_flag */
	uint8_t		pad[2];
	uint32_t	path_len;
	block_ref	path;		/* text, lower case if ANY_CASE */
	block_ref	headers;	/* block_header_matches; 0 = none */
	uint32_t	cluster;	/* slot; 0 where the plan answers */
	block_ref	plan;		/* block_plan */
	block_ref	split;		/* block_split; 0 = the two above */
	block_ref	name;		/* text, may be 0 */
	block_ref	overrides;	/* block_overrides; 0 = none */
};

/* typed_per_filter_config of a route, its host and its configuration, the
 * most specific of them: what a filter does here instead. */
struct block_overrides {
	uint32_t	n;		/* filters of the hcm, in its order */
	struct block_override {
		uint32_t	set;	/* 0: as the filter itself says */
		block_ref	rbac;	/* block_rbac; 0 = it does nothing */
	}		at[];
};

/* config.route.v3.VirtualHost */
struct block_host {
	block_ref	name;		/* text */
	block_ref	index;		/* block_route_index; 0 = go through
					   the routes one by one */
	uint32_t	routes_n;
	struct block_route routes[];	/* the first that matches wins */
};

/* config.route.v3.WeightedCluster. The route's own cluster and plan are those
 * of the first share. */
struct block_split {
	uint32_t	n;		/* >= 1 */
	uint32_t	total;		/* of the weights: the last below */
	struct block_share {
		uint32_t	below;	/* its numbers are those under this
					   and not under the one before */
		uint32_t	cluster;	/* slot */
		block_ref	plan;	/* block_plan */
	}		shares[];
};

#define BLOCK_NONE UINT32_MAX		/* no route, no node */

/*
 * Which routes of a host a path can match. Knows them by number and holds no
 * refs; master/compile_index.c draws it, worker/route_index.c searches it.
 *
 * A node is a text that whole paths must equal or that they begin with. Its
 * routes are ascending: route, next[route], ... The further nodes whose text
 * the path begins with are link, its link, ...: longer before shorter. A node
 * without routes only shows the search that longer texts begin with it; last
 * is set where, but for whole paths, none does.
 */
struct block_route_index {
	uint32_t	bytes;		/* of the whole block */
	uint32_t	routes_n;	/* of the host */
	uint32_t	nodes_n;
	uint32_t	slots_n;	/* a power of 2, >= 2 nodes_n */
	uint32_t	lengths_n;
	uint32_t	root;		/* node of the empty text, or NONE */
	uint32_t	others;		/* first route for any case, or NONE */
	uint32_t	pad;
	uint32_t	lengths[];	/* ascending, of all texts that are
					   neither empty nor whole; padded */
};

struct block_route_node {
	uint32_t	len : 30, whole : 1, last : 1;
	uint32_t	text;		/* the route whose path begins so */
	uint32_t	route;		/* its first, or NONE */
	uint32_t	link;		/* node, or NONE */
};

struct block_route_slot {		/* collisions: in the next free one */
	uint32_t	tag;		/* the lower half of path_hash */
	uint32_t	node;		/* + 1; 0 = a free slot */
};

/* The parts, one behind the other: nodes[nodes_n], slots[slots_n],
 * next[routes_n]. */
static inline const struct block_route_node *
block_route_nodes(const struct block_route_index *x)
{
	return (const void *)&x->lengths[(x->lengths_n + 3) / 4 * 4];
}

static inline const struct block_route_slot *
block_route_slots(const struct block_route_index *x)
{
	return (const void *)&block_route_nodes(x)[x->nodes_n];
}

static inline const uint32_t *
block_route_next(const struct block_route_index *x)
{
	return (const void *)&block_route_slots(x)[x->slots_n];
}

enum header_match_kind {
	HEADER_PRESENT, HEADER_EXACT, HEADER_PREFIX, HEADER_SUFFIX,
	HEADER_CONTAINS, HEADER_RANGE,
};
enum header_match_flag {
	HEADER_INVERT = 1, HEADER_MISSING_AS_EMPTY = 2, HEADER_ANY_CASE = 4,
};

/* config.route.v3.HeaderMatcher */
struct block_header_match {
	block_ref	name;		/* text, lower case */
	block_ref	value;		/* text, lower case if ANY_CASE */
	uint8_t		kind;		/* enum header_match_kind */
	uint8_t		flags;		/* enum header_match_flag */
	uint8_t		pad[6];
	int64_t		range_from, range_to;	/* [from, to) */
};

struct block_header_matches {		/* all of them must hold */
	uint32_t	n;		/* >= 1 */
	uint32_t	pad;
	struct block_header_match at[];
};

/* extensions.filters.http.rbac.v3.RBAC */
struct block_rbac {
	block_ref	rules;		/* block_rbac_rules; 0 = none: all may
					   pass */
	block_ref	shadow_rules;	/* the same, only counted */
};

enum rbac_action { RBAC_ALLOW, RBAC_DENY };
enum rbac_what { RBAC_PATH, RBAC_NAME, RBAC_HEADER };
enum {
	RBAC_NODES_MAX = 65536,
	RBAC_MATCHES = RBAC_NODES_MAX,	/* some policy matches: an end */
	RBAC_FAILS,			/* none does: the other end */
};

/*
 * config.rbac.v3.RBAC: all its policies as one program without a stack. And,
 * or and not are gone: they are where each node leads to.
 *
 *   (path /a/ or path /b/) and name x     entry 0
 *                                            yes      no
 *     0  path prefix /a/                      2        1
 *     1  path prefix /b/                      2      FAILS
 *     2  name exact x                      MATCHES   FAILS
 *
 * A node leads to later ones only, or to an end: a walk ends after at most
 * nodes_n steps, however deep the rules were nested.
 */
struct block_rbac_rules {
	uint32_t	action;		/* enum rbac_action */
	uint32_t	entry;		/* the first node, or an end */
	uint32_t	nodes_n;	/* 0..RBAC_NODES_MAX */
	uint32_t	pad;
	struct block_rbac_node {
		uint32_t	what;	/* enum rbac_what */
		uint32_t	yes, no;
		uint32_t	pad;
		struct block_header_match match;	/* its name: of a
					   header only, otherwise 0; of an
					   RBAC_NAME, PRESENT: any name */
	}		nodes[];
};

/* By what a route limits its calls: worker/deadline.h has the rules. */
enum plan_deadline {
	DEADLINE_ROUTE,			/* timeout alone */
	DEADLINE_GRPC_TIMEOUT,		/* max_grpc_timeout is set */
	DEADLINE_DURATION,		/* max_stream_duration is set */
};
enum plan_flag {
	PLAN_IDLE_TIMEOUT = 1,		/* the route's own, not the listener's */
	PLAN_DURATION = 2,		/* the same */
	PLAN_GRPC_TIMEOUT_MAX = 4,	/* grpc_timeout_header_max is set */
	PLAN_CHANGES = 8,		/* it changes the request */
	PLAN_ADDRESS = 16,		/* a value has the caller's address */
	PLAN_HOST_TOLD = 32,		/* the old authority goes into
					   x-envoy-original-host */
	PLAN_PREVIOUS_HOSTS = 64,	/* a retry goes to one not tried */
	PLAN_FLAGS = 127,		/* all of them */
};

/* RetryPolicy.retry_on: worker/retry.h says what each means. */
enum retry_on {
	RETRY_5XX = 1, RETRY_GATEWAY_ERROR = 2, RETRY_RESET = 4,
	RETRY_RESET_BEFORE_REQUEST = 8, RETRY_CONNECT_FAILURE = 16,
	RETRY_REFUSED_STREAM = 32, RETRY_4XX = 64, RETRY_STATUS_CODES = 128,
	RETRY_CANCELLED = 256, RETRY_DEADLINE_EXCEEDED = 512,
	RETRY_INTERNAL = 1024, RETRY_RESOURCE_EXHAUSTED = 2048,
	RETRY_UNAVAILABLE = 4096,
};

enum { RETRIABLE_CODES_MAX = 8 };

enum part_kind {
	PART_TEXT,			/* text */
	PART_HEADER,			/* the request's header named text, or
					   else the one named other */
	PART_ADDRESS,			/* the caller's, without port */
};

/* A piece of a header's value. */
struct block_part {
	uint32_t	kind;		/* enum part_kind */
	uint32_t	bytes_max;	/* of a header, then it is cut */
	struct block_span text, other;
};

enum mutation_kind {
	MUTATION_REMOVE,
	MUTATION_APPEND,		/* HeaderAppendAction, in its order */
	MUTATION_ADD_IF_ABSENT,
	MUTATION_OVERWRITE_OR_ADD,
	MUTATION_OVERWRITE,
};
enum mutation_flag {
	MUTATION_LEVEL = 1,		/* the first of a level */
	MUTATION_KEEP_EMPTY = 2,
	MUTATION_JOIN = 4,		/* a second value goes behind a comma
					   of the first */
};

/* config.core.v3.HeaderValueOption, or a name to remove. */
struct block_mutation {
	struct block_span name;		/* lower case */
	uint32_t	part, parts_n;	/* of the plan's; REMOVE: none */
	uint16_t	kind;		/* enum mutation_kind */
	uint16_t	flags;		/* enum mutation_flag */
};

/*
 * What a stream needs after it was routed: how long it may take, what becomes
 * of its headers (worker/mutate.h has the rules). Self-contained (I4):
 *
 *   | fixed | the request's mutations | the answer's | parts | texts |
 */
struct block_plan {
	uint64_t	hash;		/* of the rest; 0 never */
	uint32_t	bytes;		/* of the whole block */
	uint16_t	deadline;	/* enum plan_deadline */
	uint16_t	flags;		/* enum plan_flag */
	uint32_t	timeout_ms;	/* RouteAction.timeout; 0 = none */
	uint32_t	idle_timeout_ms;	/* of the stream; 0 = none */
	uint32_t	duration_ms;	/* max_stream_duration; 0 = none */
	uint32_t	grpc_timeout_max_ms;	/* 0 = no limit */
	uint32_t	grpc_timeout_offset_ms;
	uint32_t	per_try_timeout_ms;	/* 0 = none */
	uint32_t	retry_base_ms, retry_max_ms;	/* of the back-off */
	uint16_t	retry_on;	/* enum retry_on; 0 = never */
	uint16_t	retries_max;
	uint16_t	retriable_codes[RETRIABLE_CODES_MAX];	/* HTTP; the
						   rest 0 */
	uint32_t	direct_status;	/* 0 = none: a cluster answers */
	struct block_span direct_body;
	struct block_span host;		/* the new authority */
	struct block_span path;		/* the new begin of the path */
	uint32_t	path_bytes;	/* the old one's length */
	uint32_t	request_n, answer_n;	/* of mutations[] */
	uint32_t	parts_n;
	struct block_mutation mutations[];
};

/* config.cluster.v3.CircuitBreakers.Thresholds, of all workers together. */
struct block_breaker {
	uint32_t	connections_max, pending_max, requests_max;
	uint32_t	retries_max;	/* without a budget */
	uint32_t	retry_budget;	/* 1/10,000 of what is open; BLOCK_NONE:
					   no budget */
	uint32_t	retry_budget_min;
};

enum lb_policy { LB_ROUND_ROBIN, LB_LEAST_REQUEST, LB_RANDOM };

/* config.cluster.v3.Cluster */
struct block_cluster {
	block_ref	name;		/* text */
	uint32_t	slot;
	uint32_t	tag;		/* another owner of the slot: other */
	block_ref	balance;	/* block_balance */
	block_ref	tls;		/* block_tls; 0 = clear text */
	uint32_t	lb_policy;	/* enum lb_policy */
	uint32_t	connect_timeout_ms;
	uint32_t	idle_timeout_ms;	/* of a connection; 0 = none */
	struct block_h2	h2;
	struct block_header_limits limits;
	struct block_breaker breaker;
};

/* config.endpoint.v3.LbEndpoint. Ordered by id. */
struct block_endpoint {
	struct block_address address;
	uint32_t	id;		/* stable by cluster and address */
	uint32_t	tag;
	uint32_t	weight;		/* >= 1 */
};

/* What a pick needs: the usable endpoints of a cluster. */
struct block_balance {
	uint32_t	endpoints_n;	/* 0: no healthy upstream */
	uint32_t	endpoints_all;	/* unusable ones counted too */
	uint32_t	weights_differ;	/* 0: every weight is the same */
	uint32_t	pad;
	uint64_t	weight_total;	/* of the usable ones */
	struct block_endpoint endpoints[];
};

enum { TLS_SANS_MAX = 64 };		/* a worker holds so many at once */

/*
 * DownstreamTlsContext or UpstreamTlsContext. Self-contained (I4).
 * Certificates are here as PEM; the private key lies in the arena of secrets,
 * read by each worker when it first uses the block. Its content, not where it
 * is, is part of the hash.
 */
struct block_tls {
	uint64_t	hash;		/* of the rest and the key; 0 never */
	uint64_t	admits;		/* hash of who is let in: client
					   certificate, CA, names; 0 never */
	uint32_t	bytes;
	uint16_t	version_min, version_max;	/* 0x0303, 0x0304 */
	uint8_t		server;		/* 1: downstream */
	uint8_t		require_client_certificate;
	uint8_t		pad[2];
	uint32_t	sans_n;		/* 0 = any name; <= TLS_SANS_MAX */
	block_ref	private_key;	/* text in the arena of secrets; 0 =
					   none */
	struct block_span certificate_chain;	/* PEM; unset = none */
	struct block_span private_key_file;	/* whence, for humans */
	struct block_span certificate_file, certificate_secret;	/* the same;
					   unset: it stood in the message */
	struct block_span trusted_ca;	/* PEM; unset = peer not verified */
	struct block_span ca_file, ca_secret;	/* whence */
	struct block_span sni;		/* client only */
	struct block_span ciphers;	/* TLS 1.2, OpenSSL list */
	struct block_san {
		uint32_t	type;	/* SubjectAltNameMatcher.SanType:
					   1 email 2 dns 3 uri 4 ip */
		uint32_t	kind;	/* enum header_match_kind, 1..4 */
		struct block_span value;
	}		sans[];
};

static inline const char *
block_text(const struct arena *a, block_ref ref)
{
	if (ref == 0)
		return "";
	return ((const struct block_text *)arena_at(a, ref))->bytes;
}

static inline const char *
block_span_at(const void *block, struct block_span s)
{
	return s.off == 0 ? NULL : (const char *)block + s.off;
}

/* For the socket calls; its length. */
socklen_t block_socket_address(const struct block_address *a, uint16_t port,
	    struct sockaddr_storage *to);

static inline const struct block_part *
block_parts(const struct block_plan *p)
{
	return (const void *)&p->mutations[p->request_n + p->answer_n];
}

/* A listener's one chain: to choose among several comes later. */
static inline const struct block_chain *
block_chain_of(const struct arena *a, const struct block_listener *l)
{
	const struct block_list *chains = arena_at(a, l->chains);

	return arena_at(a, chains->at[0]);
}

/* The cluster at a slot, or NULL. */
const struct block_cluster *block_cluster_find(const struct arena *a,
	    const struct block_root *root, uint32_t slot);

/* The listener at a slot, or NULL: it is nobody's, or another owner's. */
const struct block_listener *block_listener_find(const struct arena *a,
	    const struct block_root *root, uint32_t slot, uint32_t tag);

#endif
