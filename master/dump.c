/* master/dump.c - see dump.h. Slots, ids and tags are written "slot/tag". */
#include "master/dump.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "shm/block.h"

static const char *const domain_names[] = {
	[DOMAIN_EXACT] = "exact", [DOMAIN_SUFFIX] = "suffix",
	[DOMAIN_PREFIX] = "prefix", [DOMAIN_ANY] = "any",
};
static const char *const match_names[] = {
	[MATCH_PREFIX] = "prefix", [MATCH_PATH] = "path",
	[MATCH_SEPARATED_PREFIX] = "separated_prefix",
};
static const char *const header_names[] = {
	[HEADER_PRESENT] = "present", [HEADER_EXACT] = "exact",
	[HEADER_PREFIX] = "prefix", [HEADER_SUFFIX] = "suffix",
	[HEADER_CONTAINS] = "contains", [HEADER_RANGE] = "range",
};
static const char *const mutation_names[] = {
	[MUTATION_REMOVE] = "remove", [MUTATION_APPEND] = "append",
	[MUTATION_ADD_IF_ABSENT] = "add_if_absent",
	[MUTATION_OVERWRITE_OR_ADD] = "overwrite_or_add",
	[MUTATION_OVERWRITE] = "overwrite",
};
static const char *const policy_names[] = {
	[LB_ROUND_ROBIN] = "round_robin", [LB_LEAST_REQUEST] = "least_request",
	[LB_RANDOM] = "random",
};
static const char *const san_names[] = { "?", "email", "dns", "uri", "ip" };
static const char *const filter_names[] = {
	[FILTER_ROUTER] = "router", [FILTER_RBAC] = "rbac",
};
static const char *const what_names[] = {
	[RBAC_PATH] = "path", [RBAC_NAME] = "name", [RBAC_HEADER] = "header",
};

static void
dump_h2(FILE *out, const struct block_h2 *b,
    const struct block_header_limits *l)
{
	fprintf(out, "    h2 streams=%u stream_window=%u connection_window=%u "
	    "hpack=%u\n", b->max_concurrent_streams, b->stream_window_bytes,
	    b->connection_window_bytes, b->hpack_table_bytes);
	fprintf(out, "    guards outbound=%u control=%u empty=%u priority=%u "
	    "window_update=%u resets=%u+%u/s\n", b->outbound_frames_max,
	    b->outbound_control_frames_max, b->empty_frames_max,
	    b->priority_frames_per_stream_max,
	    b->window_updates_per_data_frame_max, b->reset_burst,
	    b->reset_rate);
	fprintf(out, "    headers bytes=%u count=%u\n", l->bytes_max,
	    l->count_max);
}

static void
dump_span(FILE *out, const struct block_tls *b, const char *what,
    struct block_span s)
{
	if (s.off != 0)
		fprintf(out, "      %s \"%s\"\n", what, block_span_at(b, s));
}

static void
dump_tls(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_tls *b;
	uint32_t i;

	if (ref == 0) {
		fprintf(out, "    clear text\n");
		return;
	}
	b = arena_at(a, ref);
	fprintf(out, "    tls %s %04x..%04x%s hash=%016" PRIx64 "\n",
	    b->server ? "server" : "client", b->version_min, b->version_max,
	    b->require_client_certificate ? " client certificate" : "",
	    b->hash);
	fprintf(out, "      certificate_chain %u bytes, trusted_ca %u bytes\n",
	    b->certificate_chain.len, b->trusted_ca.len);
	dump_span(out, b, "private_key_file", b->private_key_file);
	dump_span(out, b, "certificate_file", b->certificate_file);
	dump_span(out, b, "certificate_secret", b->certificate_secret);
	dump_span(out, b, "ca_file", b->ca_file);
	dump_span(out, b, "ca_secret", b->ca_secret);
	dump_span(out, b, "sni", b->sni);
	dump_span(out, b, "ciphers", b->ciphers);
	for (i = 0; i < b->sans_n; i++)
		fprintf(out, "      san %s %s \"%s\"\n",
		    san_names[b->sans[i].type], header_names[b->sans[i].kind],
		    block_span_at(b, b->sans[i].value));
}

static void
dump_balance(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_balance *b = arena_at(a, ref);
	char ip[INET6_ADDRSTRLEN];
	uint32_t i;

	fprintf(out, "    endpoints %u of %u\n", b->endpoints_n,
	    b->endpoints_all);
	for (i = 0; i < b->endpoints_n; i++) {
		const struct block_endpoint *e = &b->endpoints[i];

		inet_ntop(e->address.family, e->address.bytes, ip, sizeof(ip));
		fprintf(out, "      %u/%u %s port %u weight %u\n", e->id,
		    e->tag, ip, e->address.port, e->weight);
	}
}

static void
dump_breaker(FILE *out, const struct block_breaker *b)
{
	fprintf(out, "    at most connections=%u pending=%u requests=%u ",
	    b->connections_max, b->pending_max, b->requests_max);
	if (b->retry_budget == BLOCK_NONE)
		fprintf(out, "retries=%u\n", b->retries_max);
	else
		fprintf(out, "retries=%u/10000, %u\n", b->retry_budget,
		    b->retry_budget_min);
}

static void
dump_cluster(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_cluster *b = arena_at(a, ref);

	fprintf(out, "cluster %u/%u \"%s\" %s connect=%ums idle=%ums\n",
	    b->slot, b->tag, block_text(a, b->name),
	    policy_names[b->lb_policy], b->connect_timeout_ms,
	    b->idle_timeout_ms);
	dump_h2(out, &b->h2, &b->limits);
	dump_breaker(out, &b->breaker);
	dump_tls(out, a, b->tls);
	dump_balance(out, a, b->balance);
}

static void
dump_match(FILE *out, const struct arena *a,
    const struct block_header_match *b)
{
	if (b->name != 0)
		fprintf(out, " \"%s\"", block_text(a, b->name));
	fprintf(out, " %s", header_names[b->kind]);
	if (b->kind == HEADER_RANGE)
		fprintf(out, " [%" PRId64 ", %" PRId64 ")", b->range_from,
		    b->range_to);
	else if (b->kind != HEADER_PRESENT)
		fprintf(out, " \"%s\"", block_text(a, b->value));
	fprintf(out, "%s%s%s", b->flags & HEADER_ANY_CASE ? " any case" : "",
	    b->flags & HEADER_MISSING_AS_EMPTY ? " missing as empty" : "",
	    b->flags & HEADER_INVERT ? " inverted" : "");
}

static void
dump_retry(FILE *out, const struct block_plan *p)
{
	if (p->retry_on == 0)
		return;
	fprintf(out, " retry on=0x%x times=%u try=%ums back-off=%u-%ums",
	    p->retry_on, p->retries_max, p->per_try_timeout_ms,
	    p->retry_base_ms, p->retry_max_ms);
	for (int i = 0; i < RETRIABLE_CODES_MAX; i++)
		if (p->retriable_codes[i] != 0)
			fprintf(out, " %u", p->retriable_codes[i]);
	if (p->flags & PLAN_PREVIOUS_HOSTS)
		fprintf(out, " elsewhere");
}

static void
dump_lead(FILE *out, const char *before, uint32_t to)
{
	if (to == RBAC_MATCHES || to == RBAC_FAILS)
		fprintf(out, "%s%s", before, to == RBAC_MATCHES ? "matches" :
		    "fails");
	else
		fprintf(out, "%s%u", before, to);
}

static void
dump_rules(FILE *out, const struct arena *a, const char *which, block_ref ref)
{
	const struct block_rbac_rules *b;

	if (ref == 0)
		return;
	b = arena_at(a, ref);
	fprintf(out, "          %s %s", which, b->action == RBAC_DENY ?
	    "deny" : "allow");
	dump_lead(out, " who ", b->entry);
	fputc('\n', out);
	for (uint32_t i = 0; i < b->nodes_n; i++) {
		fprintf(out, "            %u %s", i,
		    what_names[b->nodes[i].what]);
		dump_match(out, a, &b->nodes[i].match);
		dump_lead(out, " ? ", b->nodes[i].yes);
		dump_lead(out, " : ", b->nodes[i].no);
		fputc('\n', out);
	}
}

static void
dump_rbac(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_rbac *b;

	if (ref == 0) {
		fprintf(out, " off\n");
		return;
	}
	b = arena_at(a, ref);
	fputc('\n', out);
	dump_rules(out, a, "rules", b->rules);
	dump_rules(out, a, "shadow", b->shadow_rules);
}

static void
dump_overrides(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_overrides *b;

	if (ref == 0)
		return;
	b = arena_at(a, ref);
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->at[i].set == 0)
			continue;
		fprintf(out, "          filter %u", i);
		dump_rbac(out, a, b->at[i].rbac);
	}
}

static void
dump_plan(FILE *out, const struct block_plan *p)
{
	if (p->flags & PLAN_IDLE_TIMEOUT)
		fprintf(out, " idle=%ums", p->idle_timeout_ms);
	if (p->flags & PLAN_DURATION)
		fprintf(out, " duration=%ums", p->duration_ms);
	if (p->deadline == DEADLINE_GRPC_TIMEOUT ||
	    p->flags & PLAN_GRPC_TIMEOUT_MAX)
		fprintf(out, " grpc-timeout=%s %ums-%ums", p->deadline ==
		    DEADLINE_DURATION ? "duration" : "timeout",
		    p->grpc_timeout_max_ms, p->grpc_timeout_offset_ms);
	dump_retry(out, p);
	fprintf(out, " hash=%016" PRIx64 "\n", p->hash);
}

static void
dump_header_line(FILE *out, const struct arena *a,
    const struct block_header_match *b)
{
	fprintf(out, "          header");
	dump_match(out, a, b);
	fputc('\n', out);
}

static void
dump_value(FILE *out, const struct block_plan *p,
    const struct block_mutation *m)
{
	const struct block_part *part = &block_parts(p)[m->part];

	for (uint32_t i = 0; i < m->parts_n; i++, part++) {
		if (part->kind == PART_TEXT)
			fprintf(out, " \"%s\"", block_span_at(p, part->text));
		else if (part->kind == PART_ADDRESS)
			fprintf(out, " address");
		else
			fprintf(out, " header(%s%s%s)[%u]",
			    block_span_at(p, part->text),
			    part->other.off == 0 ? "" : "?",
			    part->other.off == 0 ? "" :
			    block_span_at(p, part->other), part->bytes_max);
	}
}

static void
dump_mutations(FILE *out, const struct block_plan *p)
{
	const struct block_mutation *m = p->mutations;

	for (uint32_t i = 0; i < p->request_n + p->answer_n; i++, m++) {
		fprintf(out, "          %s%s %s \"%s\"%s%s",
		    i < p->request_n ? "request" : "answer",
		    m->flags & MUTATION_LEVEL ? " level" : "",
		    mutation_names[m->kind], block_span_at(p, m->name),
		    m->flags & MUTATION_JOIN ? " join" : "",
		    m->flags & MUTATION_KEEP_EMPTY ? " keep empty" : "");
		dump_value(out, p, m);
		fputc('\n', out);
	}
}

/* What follows a route's or a share's first line. */
static void
dump_changes(FILE *out, const struct block_plan *p)
{
	if (p->direct_status != 0)
		fprintf(out, "          answers %u \"%s\"\n",
		    p->direct_status, p->direct_body.off == 0 ? "" :
		    block_span_at(p, p->direct_body));
	if (p->path.off != 0)
		fprintf(out, "          path \"%s\" for %u bytes\n",
		    block_span_at(p, p->path), p->path_bytes);
	if (p->host.off != 0)
		fprintf(out, "          host \"%s\"\n",
		    block_span_at(p, p->host));
	dump_mutations(out, p);
}

static void
dump_split(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_split *b = arena_at(a, ref);

	for (uint32_t i = 0; i < b->n; i++) {
		const struct block_plan *plan = arena_at(a, b->shares[i].plan);

		fprintf(out, "        share below %u of %u -> cluster %u",
		    b->shares[i].below, b->total, b->shares[i].cluster);
		dump_plan(out, plan);
		dump_changes(out, plan);
	}
}

static void
dump_route(FILE *out, const struct arena *a, const struct block_route *b)
{
	const struct block_plan *plan = arena_at(a, b->plan);
	const struct block_header_matches *headers;
	uint32_t i;

	fprintf(out, "        route \"%s\" %s \"%s\"%s%s -> cluster %u "
	    "timeout=%ums", block_text(a, b->name),
	    match_names[b->kind], block_text(a, b->path),
	    b->flags & MATCH_ANY_CASE ? " any case" : "",
	    b->flags & MATCH_GRPC ? " grpc" : "", b->cluster,
	    plan->timeout_ms);
	dump_plan(out, plan);
	dump_overrides(out, a, b->overrides);
	headers = b->headers == 0 ? NULL : arena_at(a, b->headers);
	for (i = 0; headers != NULL && i < headers->n; i++)
		dump_header_line(out, a, &headers->at[i]);
	if (b->split != 0)
		dump_split(out, a, b->split);
	else
		dump_changes(out, plan);
}

static void
dump_routes(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_route_config *b = arena_at(a, ref);
	const struct block_list *hosts = arena_at(a, b->hosts);
	uint32_t i, j;

	fprintf(out, "    route config \"%s\"%s\n", block_text(a, b->name),
	    b->ignore_port ? " ignore port" : "");
	for (i = 0; i < b->domains_n; i++)
		fprintf(out, "      domain %s \"%s\" -> host %u\n",
		    domain_names[b->domains[i].kind],
		    block_text(a, b->domains[i].text), b->domains[i].host);
	for (i = 0; i < hosts->n; i++) {
		const struct block_host *h = arena_at(a, hosts->at[i]);

		fprintf(out, "      host %u \"%s\"\n", i,
		    block_text(a, h->name));
		for (j = 0; j < h->routes_n; j++)
			dump_route(out, a, &h->routes[j]);
	}
}

static void
dump_chain(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_chain *b = arena_at(a, ref);
	const struct block_hcm *hcm = arena_at(a, b->hcm);
	uint32_t i;

	fprintf(out, "  chain \"%s\" handshake=%ums\n", block_text(a, b->name),
	    b->handshake_timeout_ms);
	dump_tls(out, a, b->tls);
	fprintf(out, "    http \"%s\" idle=%ums streams: idle=%ums "
	    "duration=%ums\n", block_text(a, hcm->stat_prefix),
	    hcm->idle_timeout_ms, hcm->stream_idle_timeout_ms,
	    hcm->max_stream_duration_ms);
	dump_h2(out, &hcm->h2, &hcm->limits);
	fprintf(out, "    request id%s%s%s\n",
	    hcm->flags & HCM_REQUEST_ID ? " made" : "",
	    hcm->flags & HCM_REQUEST_ID_BACK ? " in answers" : "",
	    hcm->flags & HCM_ORIGINALS ? "" : ", no originals");
	for (i = 0; i < hcm->filters_n; i++) {
		fprintf(out, "    filter %s", filter_names[hcm->filters[i].
		    kind]);
		if (hcm->filters[i].kind == FILTER_RBAC)
			dump_rbac(out, a, hcm->filters[i].rbac);
		else
			fputc('\n', out);
	}
	dump_routes(out, a, hcm->route_config);
}

static void
dump_listener(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_listener *b = arena_at(a, ref);
	const struct block_list *chains = arena_at(a, b->chains);
	uint32_t i;

	fprintf(out, "listener %u/%u \"%s\" %s\n", b->slot, b->tag,
	    block_text(a, b->name), block_text(a, b->stat_name));
	for (i = 0; i < chains->n; i++)
		dump_chain(out, a, chains->at[i]);
}

void
dump(FILE *out, const struct arena *a, block_ref ref)
{
	const struct block_root *root = arena_at(a, ref);
	const struct block_list *pages = arena_at(a, root->clusters);
	const struct block_list *listeners = arena_at(a, root->listeners);
	const struct block_list *page;
	uint32_t i, j;

	fprintf(out, "generation %" PRIu64 " budget=%" PRIu64 " drain=%ums "
	    "cause_off=%u log_level=%u\n", root->number,
	    root->settings.buffer_budget_bytes, root->settings.drain_time_ms,
	    root->settings.cause_off, root->settings.log_level);
	for (i = 0; i < pages->n; i++) {
		if (pages->at[i] == 0)
			continue;
		page = arena_at(a, pages->at[i]);
		for (j = 0; j < page->n; j++)
			if (page->at[j] != 0)
				dump_cluster(out, a, page->at[j]);
	}
	for (i = 0; i < listeners->n; i++)
		dump_listener(out, a, listeners->at[i]);
}
