/* shm/arena.c - see arena.h. */
#include "shm/arena.h"

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

/* The same memfd, read-only; the mode keeps it from being opened otherwise. */
static int
reopen_read_only(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchmod(fd, 0400) != 0)
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Maps it writable, then seals it: in this order, because the seal refuses
 * new writable mappings and keeps this one. */
static int
map_and_seal(struct arena *a, int fd)
{
	void *base;

	if (ftruncate(fd, (off_t)a->size_bytes) != 0)
		return -1;
	base = mmap(NULL, a->size_bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return -1;
	a->base = base;
	if (madvise(base, a->size_bytes, MADV_DONTFORK) != 0)
		return -1;
	a->fd = reopen_read_only(fd);
	return a->fd < 0 ? -1 : fcntl(fd, F_ADD_SEALS, SEALS);
}

int
arena_new(struct arena *a, uint64_t size_bytes, char *why, size_t why_len)
{
	int fd = memfd_create("godwit-arena", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING);
	struct control *control;
	int error;

	memset(a, 0, sizeof(*a));
	a->fd = -1;
	a->size_bytes = size_bytes;
	if (fd < 0 || map_and_seal(a, fd) != 0) {
		error = errno;
		if (fd >= 0)
			close(fd);
		arena_close(a);
		return why_set(why, why_len, "the kernel refused a shared "
		    "memory arena of %llu bytes: %s",
		    (unsigned long long)size_bytes, strerror(error));
	}
	close(fd);
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

	memset(a, 0, sizeof(*a));
	a->fd = fd;
	if (fstat(fd, &st) != 0 || st.st_size < ARENA_CONTROL_BYTES)
		return refuse(a, why, why_len,
		    "the arena's descriptor is not an arena");
	if (fcntl(fd, F_GET_SEALS) != SEALS)
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
	memset(a, 0, sizeof(*a));
	a->fd = -1;
}

void *
arena_put(struct arena *a, size_t bytes, block_ref *ref)
{
	uint64_t whole = ((uint64_t)bytes + ARENA_UNIT_BYTES - 1) /
	    ARENA_UNIT_BYTES * ARENA_UNIT_BYTES;
	void *p = a->base + a->used_bytes;

	if (bytes > a->size_bytes || whole > a->size_bytes - a->used_bytes)
		return NULL;
	*ref = (block_ref)(a->used_bytes / ARENA_UNIT_BYTES);
	a->used_bytes += whole;
	memset(p, 0, whole);
	return p;
}
