/*
 * master/resources_file.c - the static resources of a file: all or none of
 * them. See resources.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "master/resources_inside.h"
#include "shm/log.h"

static int
file_put(struct resources *r, const ProtobufCMessage *bootstrap,
    struct compile_resource *from, size_t i, char *why, size_t why_len)
{
	struct resource_version *v;
	struct resource *at;
	char name[NAME_BYTES];
	size_t len;
	uint8_t *bytes = compile_file_pack(bootstrap, from->kind, i, name,
	    sizeof(name), &len);
	int rc = -1;

	if (bytes == NULL)
		return why_set(why, why_len, "no memory");
	at = resource_get(r, from->kind, name);
	why_set(why, why_len, "no memory");
	v = from->kind == RESOURCE_SECRET ? resource_secret_new(r, "", bytes,
	    len, FROM_FILE, why, why_len) : version_new("", bytes, len,
	    FROM_FILE, r->now_ms);
	free(bytes);
	if (at == NULL || v == NULL || !resource_touch(r, at)) {
		version_put(v);
		return -1;
	}
	from->owner = at->owner;
	at->in_file = r->file;
	if ((rc = resource_put(r, at, v, from, why, why_len)) == 0)
		resource_accepted(at);
	version_put(v);
	return rc;
}

/* All that the file before put and this one did not. */
static void
file_prune(struct resources *r)
{
	struct resource *at;

	/* What a stage touched is not freed before its end. */
	EACH_RESOURCE(r, i, at)
		if (resource_of_file(at) && at->in_file != r->file)
			resource_remove(r, at);
}

static int
file_kind(struct resources *r, enum resource_kind kind,
    const struct yaml *yaml, const ProtobufCMessage *bootstrap, char *why,
    size_t why_len)
{
	size_t n = compile_file_n(bootstrap, kind);
	struct compile_resource from;

	for (size_t i = 0; i < n; i++) {
		compile_file_at(bootstrap, yaml, kind, i, &from);
		if (file_put(r, bootstrap, &from, i, why, why_len) == -1)
			return -1;
	}
	return 0;
}

/* Their addresses are free for each other. */
static void
file_listeners_drop(struct resources *r)
{
	struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (at->kind == RESOURCE_LISTENER && resource_of_file(at) &&
		    !compile_drop_listener(r->compiler, at->owner))
			r->no_memory = true;
}

/* The new version of one waits: what is live, which is dropped, goes on. */
static void
file_listeners_keep(struct resources *r)
{
	struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (at->kind == RESOURCE_LISTENER &&
		    at->in_file == r->file &&
		    at->version[LIVE] != NULL &&
		    at->version[NEXT] != NULL)
			resource_again(r, at);
}

int
resources_file(struct resources *r, const struct yaml *yaml,
    const ProtobufCMessage *bootstrap, char *why, size_t why_len)
{
	assert(r->compiler != NULL);
	if (compile_file_check(yaml, bootstrap, why, why_len) == -1)
		return -1;
	r->file++;
	r->changed = true;		/* the settings, if nothing else */
	file_listeners_drop(r);
	if (file_kind(r, RESOURCE_SECRET, yaml, bootstrap, why, why_len) ==
	    -1 || file_kind(r, RESOURCE_CLUSTER, yaml, bootstrap, why, why_len) ==
	    -1 || file_kind(r, RESOURCE_LISTENER, yaml, bootstrap, why,
	    why_len) == -1)
		return -1;
	file_listeners_keep(r);
	file_prune(r);
	return 0;
}
