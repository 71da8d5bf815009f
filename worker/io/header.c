/* worker/io/header.c - see header.h. */
#include "worker/io/header.h"

#include <assert.h>
#include <string.h>

enum { CHANGING = 1, CLAIM = 2 };
enum { NO_INDEX = 1 };		/* NGHTTP2_NV_FLAG_NO_INDEX, asserted in h2.c */

struct headers_more {
	struct headers_more	*next;
	uint8_t			 text[];
};

static const struct known {
	const char	*name;
	uint8_t		 len, flags;
} known[HEADER_IDS] = {
#define LENGTH(n)
#define HEADER(id, text, what) [HEADER_##id] = { text, sizeof(text) - 1, what },
#include "worker/io/header.def"
#undef LENGTH
#undef HEADER
};

/* Where the names of a length begin; 0 (no name) where there are none. */
static const uint8_t first_of[] = {
#define LENGTH(n) [n] = HEADER_AT_##n,
#define HEADER(id, name, flags)
#include "worker/io/header.def"
#undef LENGTH
#undef HEADER
};

enum header_id
header_id_find(const uint8_t *name, size_t len)
{
	uint32_t i;

	if (len >= sizeof(first_of) || first_of[len] == 0)
		return HEADER_OTHER;
	for (i = first_of[len]; i < HEADER_IDS && known[i].len == len; i++)
		if (name[len - 1] == (uint8_t)known[i].name[len - 1] &&
		    memcmp(name, known[i].name, len) == 0)
			return (enum header_id)i;
	return HEADER_OTHER;
}

struct headers *
headers_new(struct mem *m)
{
	struct headers *h = mem_alloc(m, sizeof(*h));

	if (h == NULL)
		return NULL;
	memset(h, 0, offsetof(struct headers, inline_at));
	h->mem = m;
	h->at = h->inline_at;
	h->cap = HEADERS_INLINE;
	h->refs = 1;
	h->text = h->inline_text;
	h->text_end = h->inline_text + sizeof(h->inline_text);
	return h;
}

struct headers *
headers_get(struct headers *h)
{
	h->refs++;
	return h;
}

void
headers_put(struct headers *h)
{
	struct headers_more *more, *next;

	assert(h->refs > 0);
	if (--h->refs > 0)
		return;
	assert(h->sending.le_prev == NULL);
	for (more = h->more; more != NULL; more = next) {
		next = more->next;
		mem_free(h->mem, more);
	}
	if (h->at != h->inline_at)
		mem_free(h->mem, h->at);
	mem_free(h->mem, h);
}

static bool
room_for_one(struct headers *h)
{
	struct header *at;

	if (h->n < h->cap)
		return true;
	at = mem_alloc(h->mem, h->cap * 2 * sizeof(*at));
	if (at == NULL)
		return false;
	memcpy(at, h->at, h->n * sizeof(*at));
	if (h->at != h->inline_at)
		mem_free(h->mem, h->at);
	h->at = at;
	h->cap *= 2;
	return true;
}

bool
header_is_claim(const struct header *h)
{
	return known[h->id].flags & CLAIM;
}

/* n bytes that stay where they are, or NULL. */
static uint8_t *
text_take(struct headers *h, size_t n)
{
	size_t room = n > 4000 ? n : 4000;
	struct headers_more *more;
	uint8_t *p;

	if (n > (size_t)(h->text_end - h->text)) {
		more = mem_alloc(h->mem, sizeof(*more) + room);
		if (more == NULL)
			return NULL;
		more->next = h->more;
		h->more = more;
		h->text = more->text;
		h->text_end = more->text + room;
	}
	p = h->text;
	h->text += n;
	return p;
}

bool
headers_add(struct headers *h, const void *name, size_t name_len,
    const void *value, size_t value_len, uint8_t wire_flags)
{
	size_t front = h->n == 0 ? sizeof(h) : 0;
	struct header *to;
	uint8_t *p;

	if (!room_for_one(h))
		return false;
	p = text_take(h, front + name_len + value_len);
	if (p == NULL)
		return false;
	if (front != 0)
		memcpy(p, &h, sizeof(h));		/* I2 */
	to = &h->at[h->n++];
	to->name = p + front;
	to->value = to->name + name_len;
	to->name_len = name_len;
	to->value_len = value_len;
	memcpy(to->name, name, name_len);
	if (value_len != 0)
		memcpy(to->value, value, value_len);
	to->id = (uint8_t)header_id_find(name, name_len);
	to->wire_flags = wire_flags;
	if (known[to->id].flags & CHANGING)
		to->wire_flags |= NO_INDEX;
	to->pad = 0;
	h->bytes += (uint32_t)(name_len + value_len + 32);
	return true;
}

struct headers *
headers_copy(const struct headers *from)
{
	struct headers *h = headers_new(from->mem);

	for (uint32_t i = 0; h != NULL && i < from->n; i++) {
		const struct header *f = &from->at[i];

		if (!headers_add(h, f->name, f->name_len, f->value,
		    f->value_len, f->wire_flags)) {
			headers_put(h);
			return NULL;
		}
	}
	return h;
}

bool
headers_add_text(struct headers *h, const char *name, const char *value)
{
	return headers_add(h, name, strlen(name), value, strlen(value), 0);
}

const struct header *
headers_find(const struct headers *h, enum header_id id)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].id == id)
			return &h->at[i];
	return NULL;
}

const struct header *
headers_find_name(const struct headers *h, const char *name, size_t len)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].name_len == len &&
		    memcmp(h->at[i].name, name, len) == 0)
			return &h->at[i];
	return NULL;
}

bool
headers_set(struct headers *h, uint32_t i, const void *value,
    size_t value_len)
{
	struct header *to = &h->at[i];
	uint8_t *p = text_take(h, value_len);

	assert(i < h->n);
	if (p == NULL)
		return false;
	memcpy(p, value, value_len);
	h->bytes += (uint32_t)value_len - (uint32_t)to->value_len;
	to->value = p;
	to->value_len = value_len;
	return true;
}

void
headers_remove(struct headers *h, uint32_t i)
{
	assert(i > 0 && i < h->n);
	h->bytes -= (uint32_t)(h->at[i].name_len + h->at[i].value_len + 32);
	memmove(&h->at[i], &h->at[i + 1], (--h->n - i) * sizeof(h->at[0]));
}

static void
remove_after(struct headers *h, uint32_t i, const char *name, size_t len)
{
	while (++i < h->n)
		if (h->at[i].name_len == len &&
		    memcmp(h->at[i].name, name, len) == 0)
			headers_remove(h, i--);
}

void
headers_remove_name(struct headers *h, const char *name, size_t len)
{
	if (h->n > 0)
		remove_after(h, 0, name, len);
}

bool
headers_replace(struct headers *h, const char *name, size_t name_len,
    const void *value, size_t value_len)
{
	const struct header *at = headers_find_name(h, name, name_len);

	if (at == NULL)
		return headers_add(h, name, name_len, value, value_len, 0);
	if (!headers_set(h, (uint32_t)(at - h->at), value, value_len))
		return false;
	remove_after(h, (uint32_t)(at - h->at), name, name_len);
	return true;
}

uint8_t *
headers_room(struct headers *h, size_t n)
{
	return text_take(h, n);
}

struct headers *
headers_of(const uint8_t *name)
{
	struct headers *h;

	memcpy(&h, name - sizeof(h), sizeof(h));
	return h;
}
