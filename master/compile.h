/*
 * master/compile.h - messages to blocks: the only place that knows both the
 * protobuf messages and the arena's layout.
 *
 *   compile_begin ─> compile_put, compile_drop ... ─> compile_end ─┬─> compile_commit
 *                     LIVE | WAITS | REFUSED                       └─> compile_abort
 *
 * A stage begins as the newest generation and writes what changes: blocks of
 * the resources that are put, and the path to them. A resource that waits for
 * another, or is refused, leaves no trace; its good siblings stay.
 *
 * Pure: nothing is read but through sources and ask, and the same resources
 * with the same names table and image give the same blocks. Only what is whole
 * appears. Test: t/unit/compile.c, resources.c.
 */
#ifndef MASTER_COMPILE_H
#define MASTER_COMPILE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "conf/yaml.h"
#include "master/dynamic.h"
#include "master/image.h"
#include "master/origin.h"
#include "master/register_settings.h"
#include "master/sources.h"
#include "shm/block.h"
#include "shm/publish.h"
#include "xds/load.h"
#include "xds/resource.h"

/* Which slot or id a name has, kept for the master's life (block.h I3). */
struct names;
struct names	*names_new(void);
void		 names_free(struct names *n);

struct compile_listener {		/* what the keeper must bind */
	uint32_t	slot, tag;
	char		name[128];
	struct sockaddr_storage address;
	socklen_t	address_len;
	uint32_t	backlog;
	block_ref	ref;
	uint32_t	routes_n;
	uint32_t	owner;		/* whose it is: of compile_put */
};

struct compiled {
	struct generation generation;	/* ready for publish_put */
	block_ref	 keys;		/* its root in the arena of secrets */
	struct compile_listener listeners[LISTENERS_MAX];	/* by slot */
	int		 listeners_n;
};

/* How a resource finds those that it names; each is asked for by name, those
 * that are there too, so that who answers knows what it depends on. */
enum compile_found {
	COMPILE_FOUND,			/* a cluster: it is live */
	COMPILE_WAITING,		/* not yet: wait for it */
	COMPILE_NOTHING,		/* it does not exist: do without it */
	COMPILE_UNKNOWN,		/* nobody could send it: refuse */
};
/* Of RESOURCE_NAME the name is a dns_question_print, and the bytes are struct
 * block_address, port 0. */
/* The private key of a secret: in the arena of secrets only. */
struct compile_key {
	block_ref	 ref;		/* 0: none */
	uint64_t	 hash;
};
/* What came of each endpoint of an assignment, so that the next one is decoded
 * only where it is another. */
struct compile_known;
struct compile_answer {
	const uint8_t	*bytes;
	size_t		 len;
	struct compile_key key;		/* that was taken out of a secret */
	/* Of endpoints: where it is kept beside these bytes, and that of the
	 * version before, whose bytes are there still; or NULL. */
	struct compile_known **known;
	const struct compile_known *before;
};
struct compile_ask {
	enum compile_found (*find)(void *arg, enum resource_kind kind,
		    const char *name, uint32_t missing_ms,
		    struct compile_answer *answer);
	void		*arg;
};

/* What is put: bytes of a control plane, or a message of a file with the
 * place where it stands. */
struct compile_resource {
	enum resource_kind kind;	/* CLUSTER or LISTENER */
	const uint8_t	*bytes;
	size_t		 len;
	const ProtobufCMessage *message;	/* of a file, else NULL */
	const struct yaml *yaml;
	size_t		 index;		/* in its list in static_resources */
	uint32_t	 owner;		/* of a listener: never 0, its own */
};

enum compile_result { COMPILE_LIVE, COMPILE_WAITS, COMPILE_REFUSED };

/* initial_fetch_timeout, where nothing is said. */
enum { COMPILE_MISSING_MS = 15000 };

/* What a stage needs; all of it lives until its end. */
enum { COMPILE_CHECKED_MAX = 256 };
struct compile_checked {		/* certificate, key, CA together */
	uint64_t	 hashes[COMPILE_CHECKED_MAX];
	uint32_t	 n;		/* counts on: the oldest is overwritten */
};

struct compile_stage {
	struct image	*image;
	struct names	*names;
	struct sources	*sources;	/* files that resources name */
	const struct compile_ask *ask;	/* NULL: nothing is there to find */
	struct origins	*origins;	/* that resources name; or NULL */
	const struct compiled *newest;	/* where it begins */
	uint64_t	 number;	/* of the generation to be */
	const struct yaml *yaml;	/* of a file's stage, else NULL */
	/* TLS contexts that were seen to be good, or NULL: none is looked at
	 * before a worker uses it. */
	struct compile_checked *checked;
	size_t		 bytes_max;	/* memory of one resource; 0: 512 MiB */
};

struct compiler;

/* NULL: no memory. */
struct compiler *compile_begin(const struct compile_stage *stage);
/* Why: "file:line:col: path: reason" of a file, "path: reason" otherwise. */
enum compile_result compile_put(struct compiler *c,
	    const struct compile_resource *r, char *why, size_t why_len);
/* The endpoints of a cluster that is live, by its message and theirs; from
 * NULL: those of its own message, whose names have other addresses now. */
enum compile_result compile_assign(struct compiler *c,
	    const struct compile_resource *cluster,
	    const struct compile_answer *from, char *why, size_t why_len);
/* To other bytes that are the same; *from may be NULL, and is then. */
void	compile_known_move(struct compile_known **to, const uint8_t *bytes,
	    struct compile_known **from);
/* May be NULL. */
void	compile_known_free(struct compile_known *k);
/* A secret: checks it, and takes the private key out of it. *out is the rest,
 * the caller's; key is held for the caller (heap_let_go). -1: refused, why. */
int	compile_secret(struct compiler *c, const uint8_t *bytes, size_t len,
	    uint8_t **out, size_t *out_len, struct compile_key *key, char *why,
	    size_t why_len);
/* What is left of a secret and its key (NULL: none) as one message again: the
 * caller's, to be wiped. NULL: no memory. */
uint8_t	*compile_secret_join(const uint8_t *rest, size_t rest_len,
	    const struct block_text *key, size_t *len);
/* A private key that was taken out before, as another master's: held for the
 * caller. -1: no room. */
int	compile_key(struct compiler *c, const char *pem, size_t len,
	    struct compile_key *key);
/* The hash of a struct compile_key. */
uint64_t compile_hash(const char *pem, size_t len);
/* Whether endpoints that no live cluster has would be refused; they leave no
 * trace. */
enum compile_result compile_try_endpoints(struct compiler *c,
	    const struct compile_answer *from, char *why, size_t why_len);
/* False: no memory. */
bool	compile_drop_cluster(struct compiler *c, const char *name);
bool	compile_drop_listener(struct compiler *c, uint32_t owner);
/* Puts the path to all that changed; conf: the settings, NULL: those of the
 * newest. On 0 out is ready for compile_commit or compile_abort. -1: why. In
 * either case c is gone; on -1 the stage as well. */
int	compile_end(struct compiler *c, struct compiled *out,
	    const struct conf *conf, char *why, size_t why_len);
/* The stage is dropped before its end. */
void	compile_cancel(struct compiler *c);

/* The setting ems becomes a cluster and dynamic_resources of the message, which
 * load_message made in m. -1: why. */
int	compile_ems(struct load_arena *m, const ProtobufCMessage *bootstrap,
	    const struct conf *conf, char *why, size_t why_len);
/* Which apps the file's setting register names. -1: why. */
int	compile_register(struct load_arena *m, const struct yaml *y,
	    const ProtobufCMessage *bootstrap, const struct conf *conf,
	    struct register_list *to, char *why, size_t why_len);
/* What the file says about control planes; the caller's, also on -1: why. */
int	compile_dynamic(const struct yaml *y,
	    const ProtobufCMessage *bootstrap, struct dynamic *d, char *why,
	    size_t why_len);

/* ---- the resources of a file: a Bootstrap's static ones, of CLUSTER and
 * LISTENER */

/* What is there twice among them. -1: why. */
int	compile_file_check(const struct yaml *y,
	    const ProtobufCMessage *bootstrap, char *why, size_t why_len);
size_t	compile_file_n(const ProtobufCMessage *bootstrap,
	    enum resource_kind kind);
/* Its message packed, the caller's, and its name. NULL: no memory. */
uint8_t	*compile_file_pack(const ProtobufCMessage *bootstrap,
	    enum resource_kind kind, size_t i, char *name, size_t name_len,
	    size_t *len);
/* The owner is the caller's to set. */
void	compile_file_at(const ProtobufCMessage *bootstrap,
	    const struct yaml *y, enum resource_kind kind, size_t i,
	    struct compile_resource *r);

/*
 * A whole Bootstrap that load_message made from y, and nothing else: what is
 * in the newest generation and not in it goes. On 0 compile_commit or
 * compile_abort is the caller's. -1: why, and all is as before.
 */
int	compile(struct compiled *out, struct image *image, struct names *n,
	    struct sources *sources, uint64_t number, const struct conf *conf,
	    const struct yaml *y, const ProtobufCMessage *bootstrap,
	    size_t bytes_max, char *why, size_t why_len);
void	compile_commit(const struct compiled *out, struct image *image,
	    struct names *n);
void	compile_abort(struct image *image, struct names *n);

#endif
