/*
 * master/origin.h - where resources come from besides ADS: each ConfigSource
 * that a resource names, once; and what their resources are called.
 *
 *   named by                     in the set, journal, checkpoint
 *   ads: {}                      "routes"
 *   any other ConfigSource       "1f0e5c77a9d20b43" 0xff "routes"
 *   lds_config, cds_config       plain: of these kinds there is one source
 *
 * The same name from two sources is two resources. The key is a hash of what
 * the source says: equal ones are one, and a master's successor, or a start
 * from a checkpoint, finds it again by compiling what names it. 0xff stands in
 * no UTF-8, so that no name looks like a qualified one.
 *
 * Source: config.core.v3.ConfigSource. Test: t/unit/origin.c.
 */
#ifndef MASTER_ORIGIN_H
#define MASTER_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/resource.h"

enum {
	ORIGIN_SERVERS_MAX = 8, ORIGIN_METADATA_MAX = 16,
	ORIGIN_CLUSTER_BYTES = 256,
	ORIGIN_MARK_BYTES = 17,		/* what a qualified name has more */
	ORIGIN_NAME_BYTES = 4096 + ORIGIN_MARK_BYTES + 1,	/* the longest */
};

struct origin_server {
	char		cluster[ORIGIN_CLUSTER_BYTES];
	char		authority[ORIGIN_CLUSTER_BYTES];
	uint32_t	back_off_base_ms, back_off_max_ms;
	uint32_t	message_bytes_max;	/* 0: ours */
	uint32_t	metadata_n;
	struct {
		char	*name, *value;
	}		metadata[ORIGIN_METADATA_MAX];
};

struct origin {
	uint64_t	 key;		/* never 0 */
	unsigned	 refs;
	/* A file: */
	char		*path;		/* NULL: it is a stream */
	/* A stream: */
	bool		 delta;
	bool		 node_once;	/* set_node_on_first_message_only */
	uint32_t	 servers_n;	/* the first is preferred */
	struct origin_server servers[];
};

/* One reference, the caller's. NULL: no memory. */
struct origin	*origin_new(uint32_t servers_n);
struct origin	*origin_get(struct origin *o);
void		 origin_put(struct origin *o);	/* may be NULL */
/* Whether the two, either of which may be NULL, are one. */
bool		 origin_same(const struct origin *a, const struct origin *b);
/* "file /etc/routes.yaml", "cluster plane, RDS" */
const char	*origin_text(const struct origin *o,
		    enum resource_kind kind, char *text, size_t text_len);

/* ---- those that resources name */

struct origins;

struct origins	*origins_new(void);
void		 origins_free(struct origins *s);
/* The one with this key, not a reference; NULL: none. */
struct origin	*origins_find(const struct origins *s, uint64_t key);
/* False: no memory. */
bool		 origins_add(struct origins *s, struct origin *o);
bool		 origins_any(const struct origins *s);
/* Those that nobody but us has go. */
void		 origins_sweep(struct origins *s);
/* The clusters of the file, each with its NUL: a stream leads to one of them.
 * Not copied. */
void		 origins_clusters(struct origins *s, const char *names,
		    size_t len);
/* Whether resources may say `self`: all that is sent is ADS's. */
void		 origins_self(struct origins *s, bool allowed);
bool		 origins_self_allowed(const struct origins *s);
const char	*origins_clusters_get(const struct origins *s, size_t *len);

/* ---- names */

/* Of key 0 it is the name itself; else ORIGIN_MARK_BYTES more. False: it does
 * not fit. */
bool		 origin_name(char *to, size_t to_len, uint64_t key,
		    const char *name);
/* What it is called by whoever sends it. */
const char	*origin_plain(const char *name);
/* 0: it is not qualified. */
uint64_t	 origin_key(const char *name);

#endif
