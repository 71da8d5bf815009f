/* worker/io/mem.c - see mem.h. */
#include "worker/io/mem.h"

#include <assert.h>
#include <string.h>

struct mem_block {
	union {
		struct mem_block *next;		/* while free */
		uint64_t	  magic;	/* while in use */
	};
	uint32_t	 class;		/* MEM_CLASSES: straight from sys */
	uint32_t	 cap_bytes;
	_Alignas(16) uint8_t bytes[];
};

/* The sanitizer is to see what is used after it was freed, or beyond its end,
 * or before anything was written there. */
#if defined(__SANITIZE_ADDRESS__)
enum { REUSES = 0, JUNK = 0xdb };
#else
enum { REUSES = 1, JUNK = 0 };
#endif

static const uint64_t MAGIC = 0x6d656d2069207573ull;

static uint32_t
class_of(size_t n)
{
	size_t cap = 2112;

	if (!REUSES)
		return MEM_CLASSES;
	if (n <= MEM_SMALL * MEM_STEP_BYTES)
		return n == 0 ? 0 :
		    (uint32_t)((n - 1) / MEM_STEP_BYTES);
	for (uint32_t c = MEM_SMALL; c < MEM_CLASSES; c++) {
		if (n <= cap)
			return c;
		cap = (cap - 64) * 2 + 64;
	}
	return MEM_CLASSES;
}

static size_t
class_bytes(uint32_t class, size_t n)
{
	if (class < MEM_SMALL)
		return (class + 1) * (size_t)MEM_STEP_BYTES;
	if (class < MEM_CLASSES)
		return ((size_t)2048 << (class - MEM_SMALL)) + 64;
	return n;
}

static struct mem_block *
block_of(void *p)
{
	struct mem_block *b = (struct mem_block *)(void *)
	    ((uint8_t *)p - offsetof(struct mem_block, bytes));

	assert(b->magic == MAGIC);
	return b;
}

void
mem_init(struct mem *m, struct sys *sys)
{
	memset(m, 0, sizeof(*m));
	m->sys = sys;
}

void
mem_fini(struct mem *m)
{
	for (int c = 0; c < MEM_CLASSES; c++) {
		struct mem_block *b, *next;

		for (b = m->free[c]; b != NULL; b = next) {
			next = b->next;
			m->sys->free(m->sys->ctx, b);
		}
		m->free[c] = NULL;
	}
	if (m->frame != NULL)
		m->sys->free(m->sys->ctx, m->frame);
	m->frame = NULL;
}

static struct mem_block *
block_new(struct mem *m, uint32_t class, size_t n)
{
	size_t cap = class_bytes(class, n);
	struct mem_block *b;

	if (cap > UINT32_MAX)
		return NULL;
	b = m->sys->alloc(m->sys->ctx, sizeof(*b) + cap);
	if (b == NULL)
		return NULL;
	b->class = class;
	b->cap_bytes = (uint32_t)cap;
	return b;
}

/* The one frame buffer of all sessions (I3); NULL: no memory. */
static void *
frame_share(struct mem *m)
{
	if (m->frame == NULL)
		m->frame = m->sys->alloc(m->sys->ctx, MEM_FRAME_BYTES);
	m->in_frame = false;		/* one to a session, never two */
	return m->frame;
}

void *
mem_alloc(struct mem *m, size_t n)
{
	uint32_t class = class_of(n);
	struct mem_block *b;

	if (m->in_frame && n == MEM_FRAME_BYTES)
		return frame_share(m);
	b = class < MEM_CLASSES ? m->free[class] : NULL;
	if (b != NULL)
		m->free[class] = b->next;
	else if ((b = block_new(m, class, n)) == NULL)
		return NULL;
	b->magic = MAGIC;
	m->out_n++;
	if (!REUSES)
		memset(b->bytes, JUNK, n);
	return b->bytes;
}

void
mem_free(struct mem *m, void *p)
{
	struct mem_block *b;

	if (p == NULL || p == m->frame)
		return;
	b = block_of(p);
	m->out_n--;
	if (b->class == MEM_CLASSES) {
		m->sys->free(m->sys->ctx, b);
		return;
	}
	b->next = m->free[b->class];
	m->free[b->class] = b;
}

void *
mem_realloc(struct mem *m, void *p, size_t n)
{
	size_t had;
	void *new;

	if (p == NULL)
		return mem_alloc(m, n);
	if (n == 0) {
		mem_free(m, p);
		return NULL;
	}
	had = p == m->frame ? (size_t)MEM_FRAME_BYTES : block_of(p)->cap_bytes;
	if (n <= had)
		return p;
	new = mem_alloc(m, n);
	if (new == NULL)
		return NULL;
	memcpy(new, p, had);
	mem_free(m, p);
	return new;
}

bool
mem_frame_begin(struct mem *m)
{
	assert(!m->in_frame);
	m->in_frame = m->frame_users_n == 0;
	return m->in_frame;
}

void
mem_frame_end(struct mem *m)
{
	m->in_frame = false;
}

void
mem_frame_use(struct mem *m)
{
	m->frame_users_n++;
}

void
mem_frame_let_go(struct mem *m)
{
	assert(m->frame_users_n > 0);
	m->frame_users_n--;
}
