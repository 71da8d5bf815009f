/*
 * xds/ems/store_request.h - one submission to the store on its way: a copy of
 * what was asked, then the answer, and the memory of both.
 *
 *   owner: new, copy ──waiting──> thread: answer ──answered──> owner: free
 *
 * It has one user at a time, whoever holds the list that it is in. Test:
 * t/unit/store.c.
 */
#ifndef XDS_EMS_STORE_REQUEST_H
#define XDS_EMS_STORE_REQUEST_H

#include "xds/ems/store.h"

enum store_verb {
	STORE_WRITE, STORE_ASK, STORE_LEASE_PUT, STORE_LEASE_REMOVE,
};

enum { STORE_SENTENCE_MAX = 512 };

struct store_request {
	struct store_request *next;
	enum store_verb	 verb;
	union {
		struct store_write write;
		struct store_question question;
		struct store_lease lease;	/* removal: id and epoch */
	};
	store_done	*done;
	void		*arg;
	size_t		 bytes;		/* of the copies */
	struct store_answer answer;
	char		 why[STORE_SENTENCE_MAX];
	/* What the watch will hear of a write. */
	struct store_past *made;
	size_t		 made_n;
	struct store_chunk *chunks;
};

struct store_queue {
	struct store_request *first, **last;
};

static inline void
store_queue_init(struct store_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static inline void
store_queue_put(struct store_queue *q, struct store_request *r)
{
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
}

/* All of from behind all of to. */
static inline void
store_queue_move(struct store_queue *to, struct store_queue *from)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	store_queue_init(from);
}

/* NULL: no memory; so with the three that follow. */
struct store_request *store_request_new(enum store_verb verb,
	    store_done *done, void *arg);
void	store_request_free(struct store_request *r);
/* Not zeroed; lives as long as the request. */
void	*store_request_alloc(struct store_request *r, size_t n);
/* 0, or -1. No text stays none. */
int	store_request_text(struct store_request *r, struct store_text *to,
	    struct store_text from);
/* Copies the input: 0, or -1. */
int	store_request_write(struct store_request *r,
	    const struct store_write *w);
int	store_request_question(struct store_request *r,
	    const struct store_question *q);
int	store_request_lease(struct store_request *r,
	    const struct store_lease *l);

/* Forgets what was answered so far, not the input. */
void	store_request_again(struct store_request *r);
/* The answer is that, and a sentence. */
void	store_request_say(struct store_request *r, enum store_result result,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static inline bool
store_request_writes(const struct store_request *r)
{
	return r->verb != STORE_ASK;
}

#endif
