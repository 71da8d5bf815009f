/*
 * xds/ads_reply.c - the answer to a response: a NACK's text, and when it may
 * be sent (ads.h, A4).
 *
 *   refused   at once | again: 1 s | 2 s | 4 s | ... | 30 s | 30 s
 *             a minute of quiet: as if it was never refused
 *
 * By content, not by version or nonce, and for the last few contents: a server
 * that numbers its bad response anew, or that sends two in turn, can't make us
 * spin either.
 *
 * Test: t/unit/ads.c, t/unit/ads_delta.c.
 */
#include "xds/ads_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/guard.h"

static const char cut[] = "... (truncated)";

/* ---- the text of a NACK */

struct text {
	char		*bytes;		/* ADS_WHY_BYTES_MAX, and its end */
	size_t		 n;
	bool		 is_cut;
};

static void
text_add(struct text *t, const char *more)
{
	size_t n = strlen(more), room = ADS_WHY_BYTES_MAX - t->n;

	if (t->is_cut)
		return;
	if (n <= room) {
		memcpy(t->bytes + t->n, more, n + 1);
		t->n += n;
		return;
	}
	memcpy(t->bytes + t->n, more, room);
	t->is_cut = true;
	t->n = ADS_WHY_BYTES_MAX - (sizeof(cut) - 1);
	while (((unsigned char)t->bytes[t->n] & 0xc0) == 0x80)
		t->n--;			/* not within a character */
	strcpy(t->bytes + t->n, cut);
}

/* The owner's words may quote what is no text. */
static void
text_clean(struct text *t)
{
	size_t n = strlen(t->bytes);

	if (guard_text((const uint8_t *)t->bytes, n))
		return;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)t->bytes[i] >= 0x80)
			t->bytes[i] = '?';
}

static const char *
refusal(const struct ads_part *p)
{
	return p->item != NULL && p->item->why != NULL ? p->item->why : p->why;
}

static void
add_part(struct text *t, const struct ads_part *p)
{
	char number[48];

	if (refusal(p) == NULL || p->is_ignored)
		return;
	if (t->n > 0)
		text_add(t, "\n");
	snprintf(number, sizeof(number), "resource %zu", p->number);
	text_add(t, p->name != NULL ? p->name : number);
	text_add(t, ": ");
	text_add(t, refusal(p));
}

const char *
ads_refusal(const struct ads_response *r, char to[ADS_WHY_BYTES_MAX + 1])
{
	struct text t = { .bytes = to };

	to[0] = '\0';
	if (r->why != NULL)
		text_add(&t, r->why);
	for (size_t i = 0; i < r->parts_n && !t.is_cut; i++)
		add_part(&t, &r->parts[i]);
	text_clean(&t);
	return to[0] != '\0' ? to : NULL;
}

/* ---- the answer */

void
ads_reply_free(struct ads_kind *k, struct ads_reply *reply)
{
	TAILQ_REMOVE(&k->replies, reply, entry);
	k->replies_n--;
	free(reply->why);
	free(reply);
}

/* Since when this refusal may be sent. A response that came back unchanged
 * waits, each time longer; after a quiet while it is new again. */
static int64_t
pause_of(struct ads_kind *k, uint64_t hash, int64_t now_ms)
{
	struct ads_pause *p = &k->pauses[0];
	int64_t at_ms;

	for (size_t i = 0; i < ADS_PAUSES; i++) {
		if (k->pauses[i].pause_ms > 0 && k->pauses[i].hash == hash) {
			p = &k->pauses[i];
			break;
		}
		if (k->pauses[i].pause_ms == 0 || (p->pause_ms > 0 &&
		    k->pauses[i].refused_ms < p->refused_ms))
			p = &k->pauses[i];
	}
	if (p->pause_ms == 0 || p->hash != hash ||
	    now_ms - p->refused_ms > 2 * ADS_PAUSE_MAX_MS) {
		*p = (struct ads_pause){ hash, ADS_PAUSE_MS, now_ms };
		return now_ms;
	}
	at_ms = now_ms + p->pause_ms;
	p->pause_ms = p->pause_ms < ADS_PAUSE_MAX_MS / 2 ? p->pause_ms * 2 :
	    ADS_PAUSE_MAX_MS;
	p->refused_ms = at_ms;
	return at_ms;
}

/* In SotW a nonce makes those before it stale: one answer for all. */
void
ads_reply(struct ads *a, struct ads_response *r, const char *why,
    int64_t now_ms)
{
	struct ads_kind *k = &a->kinds[r->kind];
	struct ads_reply *to = r->reply;

	r->reply = NULL;
	if (!a->is_up || r->stream != a->stream ||
	    (!k->asked && !ads_wants(k))) {
		free(to);
		return;
	}
	while (!a->settings.delta && k->replies_n > 0)
		ads_reply_free(k, TAILQ_FIRST(&k->replies));
	to->is_refusal = why != NULL;
	to->why = why != NULL ? strdup(why) : NULL;
	to->at_ms = why != NULL ? pause_of(k, r->hash, now_ms) : now_ms;
	TAILQ_INSERT_TAIL(&k->replies, to, entry);
	k->replies_n++;
	if (to->at_ms <= now_ms)
		ads_wake(a);
}

