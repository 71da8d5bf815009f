/* shm/word.c - see word.h. */
#include "shm/word.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/row.h"

enum {
	PAGE_BYTES = 4096,
	WORDS_BYTES = (sizeof(struct words) + PAGE_BYTES - 1) / PAGE_BYTES *
	    PAGE_BYTES,
	SEALS = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in shared memory");

/* ---- the memory ---- */

/* What two programs must have in common to count together (FNV-1a). */
static uint64_t
layout(void)
{
	static const char kinds[] = "words 2\n"
#define WORD(scope, id, help) #scope " " #id "\n"
#include "shm/word.def"
#undef WORD
	;
	uint64_t hash = 0xcbf29ce484222325ull ^ sizeof(struct words);

	for (const char *k = kinds; *k != '\0'; k++)
		hash = (hash ^ (unsigned char)*k) * 0x100000001b3ull;
	return hash;
}

static struct words *
map(int fd)
{
	struct words *w = mmap(NULL, WORDS_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);

	return w == MAP_FAILED ? NULL : w;
}

int
word_new(char *why, size_t why_len)
{
	int fd = memfd_create("godwit-words", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING);
	struct words *w = NULL;

	if (fd >= 0 && ftruncate(fd, WORDS_BYTES) == 0 &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		w = map(fd);
	if (w == NULL) {
		why_set(why, why_len, "the kernel refused the workers' "
		    "common words: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	w->layout = layout();
	word_close(w);
	return fd;
}

struct words *
word_open(int fd, char *why, size_t why_len)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	struct words *w;

	if (fstat(fd, &st) != 0 || st.st_size != WORDS_BYTES || seals < 0 ||
	    (seals & SEALS) != SEALS) {
		why_set(why, why_len,
		    "the common words' descriptor is not that of words");
		return NULL;
	}
	w = map(fd);
	if (w == NULL) {
		why_set(why, why_len, "the common words can't be mapped: %s",
		    strerror(errno));
		return NULL;
	}
	if (w->layout != layout()) {
		word_close(w);
		why_set(why, why_len, "the common words have another layout: "
		    "they were made by another version of godwit");
		return NULL;
	}
	return w;
}

void
word_close(struct words *w)
{
	munmap(w, WORDS_BYTES);
}

/* ---- what a cell becomes ---- */

static uint32_t
tag_of(uint64_t cell)
{
	return (uint32_t)(cell >> 32);
}

/* n more; an older owner's cell is taken over (W1). */
static uint64_t
raised(uint64_t cell, uint32_t tag, uint64_t n)
{
	uint32_t owner = tag_of(cell), room = UINT32_MAX - (uint32_t)cell;

	if (tag == 0)
		return cell;
	if (owner == tag)
		return cell + (n < room ? n : room);
	return owner == 0 || (int32_t)(tag - owner) > 0 ?
	    (uint64_t)tag << 32 | (uint32_t)n : cell;
}

/* n less; another's stays as it is. */
static uint64_t
lowered(uint64_t cell, uint32_t tag, uint64_t n)
{
	uint32_t open = (uint32_t)cell;

	if (tag_of(cell) != tag || tag == 0)
		return cell;
	return cell - (n < open ? n : open);
}

static uint64_t
load(const word_cell *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

/* ---- words: any process ---- */

uint32_t
word_get(const struct words *w, enum word_kind kind, uint32_t id,
    uint32_t tag)
{
	uint32_t at = word_at(kind, id);
	uint64_t cell = at == WORD_NOWHERE ? 0 : load(&w->cells[at]);

	return tag_of(cell) == tag ? (uint32_t)cell : 0;
}

/* False: someone else changed the cell; *old is what it is now. */
static bool
swapped(word_cell *cell, uint64_t *old, uint64_t new)
{
	return *old == new || atomic_compare_exchange_weak_explicit(cell, old,
	    new, memory_order_relaxed, memory_order_relaxed);
}

/* What the cell was before. */
static uint64_t
word_raise(word_cell *cell, uint32_t tag, uint64_t n)
{
	uint64_t old = load(cell);

	while (!swapped(cell, &old, raised(old, tag, n)))
		;
	return old;
}

static void
word_lower(word_cell *cell, uint32_t tag, uint64_t n)
{
	uint64_t old = load(cell);

	while (!swapped(cell, &old, lowered(old, tag, n)))
		;
}

void
word_add(struct words *w, enum word_kind kind, uint32_t id, uint32_t tag)
{
	uint32_t at = word_at(kind, id);

	if (at != WORD_NOWHERE)
		word_raise(&w->cells[at], tag, 1);
}

void
word_sub(struct words *w, enum word_kind kind, uint32_t id, uint32_t tag)
{
	uint32_t at = word_at(kind, id);

	if (at != WORD_NOWHERE)
		word_lower(&w->cells[at], tag, 1);
}

/* ---- shares: the row's one writer ---- */

/* True: the share is another now, and so must be the word (W3). The fence
 * keeps the compiler from storing later than the caller's word. */
static bool
share_put(word_cell *share, uint64_t old, uint64_t new)
{
	if (old == new)
		return false;
	atomic_store_explicit(share, new, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static void
share_reach(struct word_shares *s, enum word_kind kind, uint32_t id)
{
	_Atomic uint32_t *n = &s->n[word_scope_of(kind)];

	if (id >= atomic_load_explicit(n, memory_order_relaxed))
		atomic_store_explicit(n, id + 1, memory_order_relaxed);
}

uint32_t
word_share_add(struct words *w, struct row *r, enum word_kind kind,
    uint32_t id, uint32_t tag)
{
	struct word_shares *s = &r->shares;
	uint32_t at = word_at(kind, id);
	uint64_t old;

	if (at == WORD_NOWHERE)
		return 0;
	share_reach(s, kind, id);
	old = load(&s->cells[at]);
	if (!share_put(&s->cells[at], old, raised(old, tag, 1)))
		return 0;
	old = word_raise(&w->cells[at], tag, 1);
	return (uint32_t)raised(old, tag, 1);
}

void
word_share_sub(struct words *w, struct row *r, enum word_kind kind,
    uint32_t id, uint32_t tag)
{
	struct word_shares *s = &r->shares;
	uint32_t at = word_at(kind, id);
	uint64_t old;

	if (at == WORD_NOWHERE)
		return;
	old = load(&s->cells[at]);
	if (share_put(&s->cells[at], old, lowered(old, tag, 1)))
		word_lower(&w->cells[at], tag, 1);
}

/* ---- after a death ---- */

/* n is the row's word, so it is not believed (W4). */
static uint32_t
shares_n(const struct row *r, enum word_scope scope)
{
	uint32_t n = atomic_load_explicit(&r->shares.n[scope],
	    memory_order_relaxed);

	return n < word_ids(scope) ? n : word_ids(scope);
}

static void
share_take(struct words *w, struct row *r, uint32_t at)
{
	uint64_t had;

	if (load(&r->shares.cells[at]) == 0)
		return;
	had = atomic_exchange_explicit(&r->shares.cells[at], 0,
	    memory_order_relaxed);
	word_lower(&w->cells[at], tag_of(had), (uint32_t)had);
}

void
word_shares_take(struct words *w, struct row *r)
{
	for (int k = 0; k < WORD_KINDS; k++) {
		uint32_t n = shares_n(r, word_scope_of((enum word_kind)k));

		for (uint32_t id = 0; id < n; id++)
			share_take(w, r, word_at((enum word_kind)k, id));
	}
}

/* ---- once a second ---- */

/* How much more the word says than the shares of its owner do. */
static struct word_doubt
look(const struct words *w, struct row *const *rows, int rows_n, uint32_t at)
{
	uint64_t cell = load(&w->cells[at]), share;
	struct word_doubt d = { at, tag_of(cell), 1, (uint32_t)cell };

	for (int i = 0; i < rows_n; i++) {
		if (rows[i] == NULL)
			continue;
		share = load(&rows[i]->shares.cells[at]);
		if (tag_of(share) == d.tag)
			d.off -= (uint32_t)share;
	}
	return d;
}

/* How often d was seen, this time too. *i only moves on: both are ordered. */
static uint32_t
seen(const struct word_doubts *last, int *i, const struct word_doubt *d)
{
	const struct word_doubt *l;

	while (*i < last->n && last->at[*i].cell < d->cell)
		++*i;
	l = &last->at[*i];
	return *i < last->n && l->cell == d->cell && l->tag == d->tag &&
	    l->off == d->off ? l->seen + 1 : 1;
}

/* Remembers a difference, or corrects it: 1. */
static int
doubt(struct words *w, struct word_doubts *doubts, struct word_doubt d)
{
	word_cell *cell = &w->cells[d.cell];

	if (d.seen >= WORD_DOUBTS_SEEN) {
		if (d.off < 0)
			word_raise(cell, d.tag, (uint64_t)-d.off);
		else
			word_lower(cell, d.tag, (uint64_t)d.off);
		return 1;
	}
	if (doubts->n < WORD_DOUBTS_MAX)
		doubts->at[doubts->n++] = d;
	return 0;
}

/* The cells of a scope that any row used: [*from, to). */
static uint32_t
cells_used(struct row *const *rows, int rows_n, enum word_scope scope,
    uint32_t *from)
{
	uint32_t n = 0;

	for (int i = 0; i < rows_n; i++)
		if (rows[i] != NULL && shares_n(rows[i], scope) > n)
			n = shares_n(rows[i], scope);
	*from = scope == WORD_ENDPOINT ? 0 : WORD_CLUSTERS_AT;
	return *from + n * (scope == WORD_ENDPOINT ? WORD_ENDPOINT_KINDS :
	    WORD_CLUSTER_KINDS);
}

int
word_heal(struct words *w, struct row *const *rows, int rows_n,
    struct word_doubts *doubts)
{
	const struct word_doubts last = *doubts;
	struct word_doubt d;
	uint32_t at, to;
	int i = 0, healed = 0;

	doubts->n = 0;
	for (int scope = 0; scope < WORD_SCOPES; scope++) {
		to = cells_used(rows, rows_n, (enum word_scope)scope, &at);
		for (; at < to; at++) {
			d = look(w, rows, rows_n, at);
			if (d.off == 0 || look(w, rows, rows_n, at).off !=
			    d.off)
				continue;	/* in order, or moving */
			d.seen = seen(&last, &i, &d);
			healed += doubt(w, doubts, d);
		}
	}
	return healed;
}
