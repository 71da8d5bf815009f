/* worker/io/h2_ended.c - see h2_ended.h. */
#include "worker/io/h2_ended.h"

#include <string.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, END_STREAM = 1 };

void
ended_init(struct ended *e)
{
	*e = (struct ended){ .skip = ENDED_PREFACE_BYTES, .highest = -1 };
}

static int32_t *
place_of(struct ended *e, int32_t id)
{
	return &e->streams[(uint32_t)id / 2 % ENDED_STREAMS];
}

/* Streams between are closed by that (RFC 9113, section 5.1.1). */
static void
opened(struct ended *e, int32_t id)
{
	if (id > e->highest + 2) {
		e->skipped = id - 2;
		e->gaps[e->gaps_next] = (struct ended_gap){ e->highest + 2,
		    id - 2 };
		e->gaps_next = (uint8_t)((e->gaps_next + 1) % ENDED_GAPS);
	}
	e->highest = id;
}

static bool
skipped(const struct ended *e, int32_t id)
{
	for (int i = 0; i < ENDED_GAPS; i++)
		if (e->gaps[i].first <= id && id <= e->gaps[i].last)
			return true;
	return false;
}

static enum ended_breach
check(const struct ended *e, int32_t id, int32_t ended)
{
	if (ended == id)
		return ENDED_AFTER_END;
	if (ended == -id)
		return ENDED_AFTER_RESET;
	return id <= e->skipped && skipped(e, id) ? ENDED_NEVER_OPENED :
	    ENDED_NO_BREACH;
}

static int32_t
id_of(const uint8_t *head)
{
	return (int32_t)((uint32_t)(head[5] & 0x7f) << 24 |
	    (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]);
}

/* Streams that callers can't open (0, even) are nghttp2's to refuse. */
static enum ended_breach
frame(struct ended *e, uint8_t type, bool end, int32_t id)
{
	int32_t *ended = place_of(e, id);
	enum ended_breach breach = ENDED_NO_BREACH;

	if (id % 2 == 0 || (type > HEADERS && type != RST_STREAM))
		return ENDED_NO_BREACH;
	if (type == RST_STREAM) {
		if (*ended != id)
			*ended = -id;
		return ENDED_NO_BREACH;
	}
	if (type == HEADERS && id > e->highest) {
		opened(e, id);
	} else {
		e->later++;
		breach = check(e, id, *ended);
	}
	if (end && breach == ENDED_NO_BREACH)
		*ended = id;
	return breach;
}

/* The next frame's head, if it is whole; *n: how many bytes of it are here. */
static const uint8_t *
head_of(struct ended *e, const uint8_t *p, size_t *n)
{
	if (e->head_n == 0 && *n >= ENDED_HEAD_BYTES) {
		*n = ENDED_HEAD_BYTES;
		return p;
	}
	if (*n > ENDED_HEAD_BYTES - e->head_n)
		*n = ENDED_HEAD_BYTES - e->head_n;
	memcpy(e->head + e->head_n, p, *n);
	e->head_n += (uint32_t)*n;
	if (e->head_n < ENDED_HEAD_BYTES)
		return NULL;
	e->head_n = 0;
	return e->head;
}

size_t
ended_scan(struct ended *e, const uint8_t *p, size_t n,
    enum ended_breach *breach, int32_t *id)
{
	size_t at = 0, here;
	const uint8_t *head;

	*breach = ENDED_NO_BREACH;
	while (n - at > e->skip) {
		at += e->skip;
		e->skip = 0;
		here = n - at;
		head = head_of(e, p + at, &here);
		if (head == NULL)
			return n;
		e->skip = (uint32_t)here + ((uint32_t)head[0] << 16 |
		    (uint32_t)head[1] << 8 | head[2]);
		*id = id_of(head);
		*breach = frame(e, head[3], head[4] & END_STREAM, *id);
		if (*breach != ENDED_NO_BREACH)
			return at;
	}
	e->skip -= (uint32_t)(n - at);
	return n;
}
