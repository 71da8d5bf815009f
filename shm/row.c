/* shm/row.c - see row.h. */
#include "shm/row.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"

enum {
	PAGE_BYTES = 4096,
	ROW_BYTES = (sizeof(struct row) + PAGE_BYTES - 1) / PAGE_BYTES *
	    PAGE_BYTES,
	SEALS = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
};

/* What two programs must have in common to read each other's rows: every row
 * of count.def, histogram.def and word.def in its place (FNV-1a). */
static uint64_t
layout(void)
{
	static const char numbers[] =
#define COUNT(scope, id, kind, name, help) #scope " " #kind " " name "\n"
#include "shm/count.def"
#undef COUNT
#define WORD(scope, id, help) #scope " " #id "\n"
#include "shm/word.def"
#undef WORD
#define HISTOGRAM(scope, id, counter, name, help) \
	#scope " " #counter " " name "\n"
#include "shm/histogram.def"
#undef HISTOGRAM
	;
	uint64_t hash = BLOCK_LAYOUT ^ sizeof(struct row);

	for (const char *c = numbers; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
	return hash;
}

/* ---- the memory ---- */

static struct row *
map(int fd, int writable)
{
	struct row *r = mmap(NULL, ROW_BYTES, writable ?
	    PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE,
	    fd, 0);

	return r == MAP_FAILED ? NULL : r;
}

int
row_new(uint32_t slot, char *why, size_t why_len)
{
	int fd = memfd_create("godwit-row", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct row *r = NULL;

	if (fd >= 0 && ftruncate(fd, ROW_BYTES) == 0 &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		r = map(fd, 1);
	if (r == NULL) {
		why_set(why, why_len, "the kernel refused a worker's row: %s",
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	r->layout = layout();
	r->slot = slot;
	row_close(r);
	return fd;
}

struct row *
row_open(int fd, int writable, char *why, size_t why_len)
{
	struct stat st;
	struct row *r;

	if (fstat(fd, &st) != 0 || st.st_size != ROW_BYTES) {
		why_set(why, why_len, "the row's descriptor is not a row");
		return NULL;
	}
	r = map(fd, writable);
	if (r == NULL) {
		why_set(why, why_len, "the row can't be mapped: %s",
		    strerror(errno));
		return NULL;
	}
	if (r->layout != layout()) {
		row_close(r);
		why_set(why, why_len, "the row has another layout: it was "
		    "made by another version of godwit");
		return NULL;
	}
	return r;
}

void
row_close(struct row *r)
{
	munmap(r, ROW_BYTES);
}

/* ---- birth and death ---- */

enum { COUNTER, GAUGE };

static const uint8_t kinds[] = {
#define COUNT(scope, id, kind, name, help) kind,
#include "shm/count.def"
#undef COUNT
};

enum {
#define COUNT(scope, id, kind, name, help) PLACE_##scope##_##id,
#include "shm/count.def"
#undef COUNT
};
#define COUNT(scope, id, kind, name, help) _Static_assert( \
	PLACE_##scope##_##id == COUNT_##scope##_FIRST + COUNT_##scope##_##id, \
	"count.def: " #id " is not among the others of " #scope);
#include "shm/count.def"
#undef COUNT

enum {
#define HISTOGRAM(scope, id, counter, name, help) TIME_##scope##_##id,
#include "shm/histogram.def"
#undef HISTOGRAM
};
#define HISTOGRAM(scope, id, counter, name, help) _Static_assert( \
	TIME_##scope##_##id == HISTOGRAM_##scope##_FIRST + \
	HISTOGRAM_##scope##_##id, \
	"histogram.def: " #id " is not among the others of " #scope);
#include "shm/histogram.def"
#undef HISTOGRAM

static void
gauges_clear(count *counts, int n, int first)
{
	for (int i = 0; i < n; i++)
		if (kinds[first + i] == GAUGE)
			count_set(&counts[i], 0);
}

static void
row_gauges_clear(struct row *r)
{
	gauges_clear(r->worker, COUNT_WORKER_N, COUNT_WORKER_FIRST);
	for (int i = 0; i < LISTENERS_MAX; i++) {
		gauges_clear(r->listeners[i].listener, COUNT_LISTENER_N,
		    COUNT_LISTENER_FIRST);
		gauges_clear(r->listeners[i].http, COUNT_HTTP_N,
		    COUNT_HTTP_FIRST);
	}
	for (int i = 0; i < ROW_CLUSTERS; i++)
		gauges_clear(r->clusters[i].cluster, COUNT_CLUSTER_N,
		    COUNT_CLUSTER_FIRST);
}

void
row_birth(struct row *r)
{
	count_set(&r->announced, 0);
	count_set(&r->heartbeat_ns, 0);
	count_add(&r->incarnation, 1);
	last_clear(r);
	atomic_store_explicit(&r->alive, 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);	/* I4 */
}

void
row_death(struct row *r)
{
	row_gauges_clear(r);
	atomic_store_explicit(&r->pid, 0, memory_order_relaxed);
	atomic_store_explicit(&r->alive, 0, memory_order_release);
}

/* ---- quiescence */

uint64_t
row_oldest(struct row *const *rows, int rows_n)
{
	uint64_t oldest = UINT64_MAX, n;

	atomic_thread_fence(memory_order_seq_cst);	/* I4 */
	for (int i = 0; i < rows_n; i++) {
		if (rows[i] == NULL || atomic_load_explicit(&rows[i]->alive,
		    memory_order_acquire) == 0)
			continue;
		n = atomic_load_explicit(&rows[i]->announced,
		    memory_order_acquire);
		if (n < oldest)
			oldest = n;
	}
	return oldest;
}
