/*
 * master/compile.h - messages to blocks: the only place that knows both the
 * protobuf messages and the arena's layout.
 *
 * Pure: nothing is read but through sources, and the same messages with the
 * same names table and image give the same blocks. Only what is whole appears:
 * on any refusal nothing was published, image and names are as before. Test: t/unit/compile.c.
 */
#ifndef MASTER_COMPILE_H
#define MASTER_COMPILE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "conf/yaml.h"
#include "master/image.h"
#include "master/sources.h"
#include "shm/block.h"
#include "shm/publish.h"
#include "xds/load.h"

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
};

struct compiled {
	struct generation generation;	/* ready for publish_put */
	block_ref	 keys;		/* its root in the arena of secrets */
	struct compile_listener listeners[LISTENERS_MAX];
	int		 listeners_n;
};

/*
 * Compiles a Bootstrap that load_message made from y into blocks of the
 * image; what it names is read through sources. number is the new
 * generation's. On 0 blocks and names are staged, and compile_commit or
 * compile_abort is the caller's. -1: why is "file:line:col: path: reason",
 * and all is as before.
 */
int	compile(struct compiled *out, struct image *image, struct names *n,
	    struct sources *sources, uint64_t number, const struct conf *conf,
	    const struct yaml *y, const ProtobufCMessage *bootstrap,
	    struct load_arena *m, char *why, size_t why_len);
/* The same for one cluster whose endpoints are now those of m, the whole
 * Cluster message: out comes in as the newest generation. It writes the
 * cluster's blocks and the path to them; its other settings stay. */
int	compile_change(struct compiled *out, struct image *image,
	    struct names *n, const ProtobufCMessage *m, char *why,
	    size_t why_len);
void	compile_commit(const struct compiled *out, struct image *image,
	    struct names *n);
void	compile_abort(struct image *image, struct names *n);

#endif
