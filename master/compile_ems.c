/*
 * master/compile_ems.c - the setting ems, HOST:PORT, as what it stands for: a
 * cluster of the file and dynamic_resources, so that a sidecar's file is three
 * lines.
 *
 *   node: {id: cart-1, locality: {region: us}}
 *   godwit: {ems: ems.mesh:18000}
 *
 * Delta, LDS and CDS over ADS; with ems_ca over TLS, with ems_certificate and
 * ems_key over mutual TLS, to a certificate that has HOST as its DNS name or
 * address. Written as YAML and read as a file is: nothing here is a rule of its
 * own. Test: t/unit/dynamic.c.
 */
#include "master/compile_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

enum { HOST_BYTES = 254 };

static const char name[] = "godwit-ems";

struct place {
	char		host[HOST_BYTES];
	unsigned	port;
	bool		is_address, is_v6;
};

/* "10.0.0.1:1", "[::1]:1", "ems.mesh:1". */
static bool
place_read(const char *text, struct place *p)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	uint8_t ip[16];
	char *end;

	if (n == 0 || n >= sizeof(p->host))
		return false;
	p->is_v6 = text[0] == '[' && text[n - 1] == ']';
	snprintf(p->host, sizeof(p->host), "%.*s", (int)(p->is_v6 ? n - 2 : n),
	    p->is_v6 ? text + 1 : text);
	p->port = (unsigned)strtoul(colon + 1, &end, 10);
	p->is_address = inet_pton(p->is_v6 ? AF_INET6 : AF_INET, p->host,
	    ip) == 1;
	return end != colon + 1 && *end == '\0' && p->port > 0 &&
	    p->port <= UINT16_MAX && (p->is_address || (!p->is_v6 &&
	    strspn(p->host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
	    "VWXYZ0123456789-._") == strlen(p->host)));
}

/* A text of YAML between double quotes. */
static void
quoted(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

static void
tls_print(FILE *f, const struct conf *conf, const struct place *p)
{
	fprintf(f, "    transport_socket:\n      name: tls\n"
	    "      typed_config:\n        \"@type\": type.googleapis.com/envoy."
	    "extensions.transport_sockets.tls.v3.UpstreamTlsContext\n");
	if (!p->is_address)
		fprintf(f, "        sni: %s\n", p->host);
	fprintf(f, "        common_tls_context:\n");
	if (conf->ems_certificate[0] != '\0') {
		fprintf(f, "          tls_certificates:\n"
		    "          - certificate_chain: {filename: ");
		quoted(f, conf->ems_certificate);
		fprintf(f, "}\n            private_key: {filename: ");
		quoted(f, conf->ems_key);
		fprintf(f, "}\n");
	}
	fprintf(f, "          validation_context:\n"
	    "            trusted_ca: {filename: ");
	quoted(f, conf->ems_ca);
	fprintf(f, "}\n            match_typed_subject_alt_names: [{san_type: "
	    "%s, matcher: {exact: \"%s\"}}]\n", p->is_address ? "IP_ADDRESS" :
	    "DNS", p->host);
}

static void
print(FILE *f, const struct conf *conf, const struct place *p)
{
	fprintf(f, "static_resources:\n  clusters:\n  - name: %s\n"
	    "    type: %s\n    connect_timeout: 5s\n"
	    "    http2_protocol_options: {}\n    load_assignment:\n"
	    "      cluster_name: %s\n      endpoints: [{lb_endpoints: "
	    "[{endpoint: {address: {socket_address: {address: \"%s\", "
	    "port_value: %u}}}}]}]\n", name, p->is_address ? "STATIC" :
	    "STRICT_DNS", name, p->host, p->port);
	if (conf->ems_ca[0] != '\0')
		tls_print(f, conf, p);
	fprintf(f, "dynamic_resources:\n"
	    "  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, "
	    "grpc_services: [{envoy_grpc: {cluster_name: %s}}]}\n"
	    "  lds_config: {ads: {}, resource_api_version: V3}\n"
	    "  cds_config: {ads: {}, resource_api_version: V3}\n", name);
}

/* The message of that text, in m. NULL: why. */
static Bootstrap *
read_back(struct load_arena *m, const char *text, char *why, size_t why_len)
{
	struct yaml *y = yaml_read(text, strlen(text), "godwit.ems", why,
	    why_len);
	Bootstrap *b;

	if (y == NULL)
		return NULL;
	b = (Bootstrap *)load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", why, why_len);
	yaml_close(y);
	return b;
}

/* The clusters of both, in the file's message. */
static bool
join(struct load_arena *m, Bootstrap *file, Bootstrap *ems)
{
	size_t n = file->static_resources == NULL ? 0 :
	    file->static_resources->n_clusters;
	Cluster **all = load_alloc(m, (n + 1) * sizeof(Cluster *));

	if (all == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		all[i] = file->static_resources->clusters[i];
	all[n] = ems->static_resources->clusters[0];
	if (file->static_resources == NULL)
		file->static_resources = ems->static_resources;
	file->static_resources->clusters = all;
	file->static_resources->n_clusters = n + 1;
	file->dynamic_resources = ems->dynamic_resources;
	return true;
}

static int
check(const struct conf *conf, const Bootstrap *file, struct place *p,
    char *why, size_t why_len)
{
	if (!place_read(conf->ems, p))
		return why_set(why, why_len, "the setting ems: \"%s\" is no "
		    "HOST:PORT", conf->ems);
	if (file->dynamic_resources != NULL)
		return why_set(why, why_len, "the setting ems: "
		    "dynamic_resources says already whom to follow, expected "
		    "one of the two");
	if ((conf->ems_certificate[0] == '\0') != (conf->ems_key[0] == '\0'))
		return why_set(why, why_len, "the setting ems_%s is missing "
		    "beside ems_%s", conf->ems_key[0] == '\0' ? "key" :
		    "certificate", conf->ems_key[0] == '\0' ? "certificate" :
		    "key");
	if (conf->ems_certificate[0] != '\0' && conf->ems_ca[0] == '\0')
		return why_set(why, why_len, "the setting ems_ca is missing "
		    "beside ems_certificate: a control plane that nobody "
		    "checks could be anybody");
	return 0;
}

int
compile_ems(struct load_arena *m, const ProtobufCMessage *bootstrap,
    const struct conf *conf, char *why, size_t why_len)
{
	/* Made by the caller's load_message, and not used by anybody yet. */
	union { const ProtobufCMessage *from; Bootstrap *to; } file = {
	    .from = bootstrap };
	struct place p;
	char *text = NULL;
	Bootstrap *ems = NULL;
	size_t n;
	FILE *f;

	if (conf->ems[0] == '\0')
		return 0;
	if (check(conf, file.to, &p, why, why_len) == -1)
		return -1;
	if ((f = open_memstream(&text, &n)) != NULL) {
		print(f, conf, &p);
		fclose(f);
		ems = read_back(m, text, why, why_len);
	} else
		why_set(why, why_len, "no memory");
	free(text);
	if (ems == NULL)
		return -1;
	return join(m, file.to, ems) ? 0 : why_set(why, why_len, "no memory");
}
