/*
 * master/watch.h - files that are looked after: who asked is told when the
 * bytes under a path are others.
 *
 *   /etc/certs/tls.crt ─> ..data/tls.crt        in "/": etc
 *   /etc/certs/..data  ─> ..2026_11_27          in /etc: certs
 *                                               in /etc/certs: tls.crt, ..data
 *                                               in /etc/certs/..2026_11_27: tls.crt
 *
 * Every folder in which a name of the path is looked up is watched by inotify,
 * through links: so a rename over the file, a link that is swapped (as
 * Kubernetes does with ..data) or a folder that is replaced is seen, and so is
 * a write in place once the writer closes. What happened to a name of the path
 * has the path looked at DEBOUNCE_MS later; what is another file or was
 * changed since (struct watch_stamp) is told.
 *
 * Invariants
 *   W1  What is not there, or can't be looked at, is not told: only what came
 *       after it. A file that never was there is told when it comes.
 *   W2  No change is lost, whatever inotify says: all paths are looked at
 *       every LOOK_MS as well. That is for file systems that tell nothing
 *       (NFS), queues that overflow, and machines out of inotify's instances.
 *   W3  on_change may add and remove, its own path too.
 *
 * Why inotify on folders: a watch on a file is one on its inode, which a
 * rename leaves behind. Source: inotify(7). Test: t/unit/watch.c.
 */
#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct loop;
struct watch;

/* Which file, and which bytes as far as can be known without reading them. */
struct watch_stamp {
	uint64_t	dev, ino;	/* ino 0: there is none */
	uint64_t	size;
	int64_t		mtime_ns;
};

/* Of what stat(2) said. */
struct watch_stamp watch_stamp_of(const struct stat *st);
bool	watch_stamp_same(const struct watch_stamp *a,
	    const struct watch_stamp *b);

/* NULL: no memory. Without inotify it goes on, by looking (W2). */
struct watch	*watch_open(struct loop *l,
		    void (*on_change)(void *arg, const char *path),
		    void *arg);
void		 watch_close(struct watch *w);

/* seen: what the caller has of path, so that what changed between its reading
 * and now is told; NULL: what is there now. Who adds a path again only says
 * anew what it has. -1: no memory. */
int		 watch_add(struct watch *w, const char *path,
		    const struct watch_stamp *seen);
/* Nothing happens where it was not added. */
void		 watch_remove(struct watch *w, const char *path);

#endif
