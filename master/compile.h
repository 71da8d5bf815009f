/*
 * master/compile.h - messages to blocks: the only place that knows both the
 * protobuf messages and the arena's layout.
 *
 * Pure: no descriptor is opened but the TLS files that the messages name, and
 * the same messages with the same names table give the same blocks. Only what
 * is whole appears: on any refusal nothing was published and the names table
 * is as before. Test: t/unit/compile.c.
 */
#ifndef MASTER_COMPILE_H
#define MASTER_COMPILE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "conf/yaml.h"
#include "shm/block.h"
#include "shm/publish.h"
#include "xds/load.h"

/* Which slot or id a name has, kept for the master's life (block.h I3). */
struct names;
struct names	*names_new(void);
void		 names_free(struct names *n);

struct compile_listener {		/* what the keeper must bind */
	uint32_t	slot;
	char		name[128];
	struct sockaddr_storage address;
	socklen_t	address_len;
	uint32_t	backlog;
};

struct compiled {
	struct generation generation;	/* ready for publish_put */
	struct compile_listener listeners[LISTENERS_MAX];
	int		 listeners_n;
};

/*
 * Compiles a Bootstrap that load_message made from y into new blocks of a.
 * number is the new generation's. -1: why is "file:line:col: path: reason".
 */
int	compile(struct compiled *out, struct arena *a, struct names *n,
	    uint64_t number, const struct conf *conf, const struct yaml *y,
	    const ProtobufCMessage *bootstrap, struct load_arena *m,
	    char *why, size_t why_len);

/* The same for a caller who may still refuse it: on 0 the names are staged,
 * and names_commit or names_abort (names.h) is the caller's. */
int	compile_staged(struct compiled *out, struct arena *a, struct names *n,
	    uint64_t number, const struct conf *conf, const struct yaml *y,
	    const ProtobufCMessage *bootstrap, struct load_arena *m,
	    char *why, size_t why_len);

#endif
