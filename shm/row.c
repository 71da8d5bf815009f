/* shm/row.c - see row.h. */
#include "shm/row.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"

struct row *
row_open(int fd, int writable, char *why, size_t why_len)
{
	struct stat st;
	struct row *r;

	if (fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof(*r)) {
		why_set(why, why_len, "the row's descriptor is not a row");
		return NULL;
	}
	r = mmap(NULL, sizeof(*r), writable ? PROT_READ | PROT_WRITE :
	    PROT_READ, MAP_SHARED, fd, 0);
	if (r == MAP_FAILED) {
		why_set(why, why_len, "the row can't be mapped: %s",
		    strerror(errno));
		return NULL;
	}
	return r;
}

void
row_close(struct row *r)
{
	munmap(r, sizeof(*r));
}

int
row_new(uint32_t slot, char *why, size_t why_len)
{
	int fd = memfd_create("godwit-row", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct row *r;

	if (fd < 0 || ftruncate(fd, sizeof(*r)) != 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
		why_set(why, why_len, "the kernel refused a worker's row: %s",
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	r = row_open(fd, 1, why, why_len);
	if (r == NULL) {
		close(fd);
		return -1;
	}
	r->layout = BLOCK_LAYOUT;
	r->slot = slot;
	row_close(r);
	return fd;
}

/* ---- birth ---- */

enum { COUNTER, GAUGE };

static const uint8_t kinds[] = {
#define COUNT(scope, id, kind, name, help) kind,
#include "shm/count.def"
#undef COUNT
};

/* Rows of count.def are grouped by scope, so a scope is a run of kinds. */
static void
gauges_clear(count *counts, int n, int first)
{
	for (int i = 0; i < n; i++)
		if (kinds[first + i] == GAUGE)
			count_set(&counts[i], 0);
}

void
row_init(struct row *r, uint32_t pid)
{
	enum {
		LISTENER = COUNT_WORKER_N,
		HTTP = LISTENER + COUNT_LISTENER_N,
		CLUSTER = HTTP + COUNT_HTTP_N,
	};

	r->pid = pid;
	r->incarnation++;
	count_set(&r->announced, 0);
	count_set(&r->heartbeat_ns, 0);
	gauges_clear(r->worker, COUNT_WORKER_N, 0);
	for (int i = 0; i < LISTENERS_MAX; i++) {
		gauges_clear(r->listeners[i].listener, COUNT_LISTENER_N,
		    LISTENER);
		gauges_clear(r->listeners[i].http, COUNT_HTTP_N, HTTP);
	}
	for (int i = 0; i < ROW_CLUSTERS; i++)
		gauges_clear(r->clusters[i].cluster, COUNT_CLUSTER_N,
		    CLUSTER);
}
