/* shm/arena.c - see arena.h. */
#include "shm/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/control.h"
#include "shm/log.h"

enum { SEALS = F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
    F_SEAL_SEAL };

/* The same memfd, read-only. Its mode keeps whoever gets the descriptor from
 * opening it otherwise; the owner, who can change the mode back, and root
 * still meet the seals. */
static int
reopen_read_only(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchmod(fd, 0400) != 0)
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Maps, then seals: the seal refuses new writable mappings and leaves this
 * one. Returns what the kernel refused, errno saying why, or NULL. */
static const char *
map_and_seal(struct arena *a, int fd)
{
	if (fd < 0)
		return "make";
	if (ftruncate(fd, (off_t)a->size_bytes) != 0)
		return "size";
	a->base = mmap(NULL, a->size_bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (a->base == MAP_FAILED) {
		a->base = NULL;
		return "map";
	}
	if (madvise(a->base, a->size_bytes, MADV_DONTFORK) != 0)
		return "keep from its children";
	a->fd = reopen_read_only(fd);
	if (a->fd < 0)
		return "open again by /proc/self/fd";
	return fcntl(fd, F_ADD_SEALS, SEALS) != 0 ? "seal" : NULL;
}

int
arena_new(struct arena *a, uint64_t size_bytes, char *why, size_t why_len)
{
	int fd = memfd_create("godwit-arena", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING);
	struct control *control;
	const char *refused;

	assert(size_bytes >= ARENA_CONTROL_BYTES && size_bytes <=
	    ARENA_SIZE_BYTES_MAX && size_bytes % ARENA_UNIT_BYTES == 0);
	*a = (struct arena){ .fd = -1, .size_bytes = size_bytes };
	refused = map_and_seal(a, fd);
	if (refused != NULL)
		why_set(why, why_len, "can't %s a shared memory arena of %llu "
		    "bytes: %s", refused, (unsigned long long)size_bytes,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	if (refused != NULL) {
		arena_close(a);
		return -1;
	}
	a->used_bytes = ARENA_CONTROL_BYTES;
	control = (struct control *)(void *)a->base;
	control->layout = BLOCK_LAYOUT;
	control->size_bytes = size_bytes;
	return 0;
}

static int
refuse(struct arena *a, char *why, size_t why_len, const char *what)
{
	a->fd = -1;			/* the caller's still */
	arena_close(a);
	return why_set(why, why_len, "%s", what);
}

int
arena_open(struct arena *a, int fd, char *why, size_t why_len)
{
	const struct control *control;
	struct stat st;
	void *base;
	int seals = fcntl(fd, F_GET_SEALS);

	*a = (struct arena){ .fd = fd };
	if (fstat(fd, &st) != 0 || st.st_size < ARENA_CONTROL_BYTES)
		return refuse(a, why, why_len,
		    "the arena's descriptor is not an arena");
	if (seals < 0 || (seals & SEALS) != SEALS)
		return refuse(a, why, why_len, "the arena is not sealed "
		    "against writing, growing and shrinking");
	a->size_bytes = (uint64_t)st.st_size;
	base = mmap(NULL, a->size_bytes, PROT_READ,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return refuse(a, why, why_len,
		    "the arena can't be mapped read-only");
	a->base = base;
	control = base;
	if (control->layout != BLOCK_LAYOUT)
		return refuse(a, why, why_len, "the arena has another layout: "
		    "it was written by another version of godwit");
	if (control->size_bytes != a->size_bytes)
		return refuse(a, why, why_len, "the arena's size is not the "
		    "one it was made with");
	return 0;
}

void
arena_close(struct arena *a)
{
	if (a->base != NULL)
		munmap(a->base, a->size_bytes);
	if (a->fd >= 0)
		close(a->fd);
	*a = (struct arena){ .fd = -1 };
}

int
arena_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int
arena_file_seal(int fd)
{
	if (fchmod(fd, 0400) != 0)
		return -1;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW |
	    F_SEAL_SHRINK | F_SEAL_SEAL);
}

int
arena_hide(struct arena *a, char *why, size_t why_len)
{
	if (madvise(a->base, a->size_bytes, MADV_DONTDUMP) == 0)
		return 0;
	return why_set(why, why_len, "can't leave secrets out of core dumps: "
	    "%s", strerror(errno));
}

void *
arena_put(struct arena *a, size_t bytes, block_ref *ref)
{
	uint64_t whole = ((uint64_t)bytes + ARENA_UNIT_BYTES - 1) /
	    ARENA_UNIT_BYTES * ARENA_UNIT_BYTES;
	void *p = a->base + a->used_bytes;

	if (bytes > a->size_bytes - a->used_bytes)
		return NULL;
	*ref = (block_ref)(a->used_bytes / ARENA_UNIT_BYTES);
	a->used_bytes += whole;
	/* Not always fresh: a refused generation gives its room back. */
	memset(p, 0, whole);
	return p;
}
