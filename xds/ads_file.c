/* xds/ads_file.c - see ads_file.h. */
#include "xds/ads_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/load.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"

typedef Envoy__Service__Discovery__V3__DiscoveryResponse Response;

enum { MESSAGES_BYTES_MAX = 1 << 30, PATH_BYTES = 256 };

/* ---- keys */

/* A private key may stand in it. */
static void
tree_wipe(const struct yaml_node *n)
{
	if (n->kind == YAML_SCALAR)
		explicit_bzero(n->text, n->text_len);
	for (size_t i = 0; n->kind != YAML_SCALAR && i < n->n; i++)
		tree_wipe(&n->items[i]);
}

static void
tree_close(struct yaml *y, enum resource_kind kind)
{
	if (y != NULL && kind == RESOURCE_SECRET)
		tree_wipe(yaml_root(y));
	if (y != NULL)
		yaml_close(y);
}

/* ---- reading */

/* One that is just being written may look so: it would remove all. */
static bool
is_empty(const struct yaml *y, char *why, size_t why_len)
{
	if (yaml_root(y)->kind != YAML_NULL)
		return false;
	snprintf(why, why_len, "%s: is empty, expected a DiscoveryResponse; "
	    "resources: [] says that there are none", yaml_file(y));
	return true;
}

static bool
type_set(Response *m, const struct yaml *y, enum resource_kind kind, char *url,
    size_t url_len, char *why, size_t why_len)
{
	const struct yaml_node *at = yaml_find_path(y, "type_url");

	if (*m->type_url != '\0' &&
	    resource_kind_find(m->type_url) != (int)kind) {
		snprintf(why, why_len, "%s:%u:%u: type_url: is \"%.200s\", "
		    "expected %s, or nothing", yaml_file(y), at->line, at->col,
		    m->type_url, resource_about(kind)->message);
		return false;
	}
	snprintf(url, url_len, "type.googleapis.com/%s",
	    resource_about(kind)->message);
	m->type_url = url;
	return true;
}

static uint8_t *
pack(const ProtobufCMessage *m, size_t *len, char *why, size_t why_len)
{
	uint8_t *bytes;

	*len = protobuf_c_message_get_packed_size(m);
	bytes = malloc(*len + 1);
	if (bytes == NULL)
		snprintf(why, why_len, "no memory");
	else
		protobuf_c_message_pack(m, bytes);
	return bytes;
}

uint8_t *
ads_file_read(const char *file, const char *text, size_t text_len,
    enum resource_kind kind, size_t *len, char *why, size_t why_len)
{
	struct load_arena *memory = load_arena_new(MESSAGES_BYTES_MAX);
	struct yaml *y = yaml_read(text, text_len, file, why, why_len);
	uint8_t *bytes = NULL;
	ProtobufCMessage *m;
	char url[128];

	if (memory == NULL)
		snprintf(why, why_len, "no memory");
	else if (y != NULL && !is_empty(y, why, why_len)) {
		m = load_message(memory,
		    &envoy__service__discovery__v3__discovery_response__descriptor,
		    y, yaml_root(y), "", why, why_len);
		if (m != NULL && type_set((Response *)m, y, kind, url,
		    sizeof(url), why, why_len))
			bytes = pack(m, len, why, why_len);
		if (kind == RESOURCE_SECRET)
			load_arena_wipe(memory);
	}
	load_arena_free(memory);
	tree_close(y, kind);
	return bytes;
}

/* ---- places */

/* Its index in the list, SIZE_MAX: it is not there. */
static size_t
resource_find(const struct yaml *y, enum resource_kind kind, const char *name)
{
	const char *field = kind == RESOURCE_ENDPOINT ? "cluster_name" :
	    "name";
	const struct yaml_node *all = yaml_find_path(y, "resources"), *is;

	for (size_t i = 0; all->kind == YAML_SEQUENCE && i < all->n; i++) {
		if (all->items[i].kind != YAML_MAPPING)
			continue;
		is = yaml_find(&all->items[i], field);
		if (is == NULL && kind == RESOURCE_ENDPOINT)
			is = yaml_find(&all->items[i], "clusterName");
		if (is != NULL && is->kind == YAML_SCALAR &&
		    strcmp(is->text, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

/* The path that why begins with, "a.b[0]: ...": its length, 0 if it does not. */
static size_t
path_len(const char *why)
{
	size_t n = strcspn(why, ": ");

	return why[n] == ':' && why[n + 1] == ' ' && n < PATH_BYTES ? n : 0;
}

void
ads_file_place(const char *file, const char *text, size_t text_len,
    enum resource_kind kind, const char *name, const char *why, char *out,
    size_t out_len)
{
	char ignored[256], path[PATH_BYTES + 64];
	struct yaml *y = yaml_read(text, text_len, file, ignored,
	    sizeof(ignored));
	size_t i = y == NULL ? SIZE_MAX : resource_find(y, kind, name);
	size_t n = path_len(why);
	const struct yaml_node *at;

	if (i == SIZE_MAX)
		snprintf(out, out_len, "%s", why);
	else {
		snprintf(path, sizeof(path), "resources[%zu]%s%.*s", i,
		    n == 0 ? "" : ".", (int)n, why);
		at = yaml_find_path(y, path);
		snprintf(out, out_len, "%s:%u:%u: resources[%zu]%s%s", file,
		    at->line, at->col, i, n == 0 ? ": " : ".", why);
	}
	tree_close(y, kind);
}
