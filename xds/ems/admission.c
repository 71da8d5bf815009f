/*
 * xds/ems/admission.c - see admission.h: writes, one after the other.
 *
 *   waiting ──> trial: swap in, model_check, swap out ──> store ──> watch
 */
#include "xds/ems/admission.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "shm/log.h"
#include "xds/ems/admission_inside.h"

enum { FILE_BYTES = 320, WHY_BYTES = 1024 };

struct request {
	STAILQ_ENTRY(request) link;
	struct store_write write;	/* changes are ours */
	bool		 confirmed;
	store_done	*done;
	void		*arg;
};

struct admission {
	struct ems	*ems;
	struct store	*store;
	STAILQ_HEAD(, request) waiting;
	size_t		 waiting_n;
	struct request	*current;	/* with the store */
	struct task	 next;		/* takes one of waiting */
};

/* ---- intents of changes */

static bool
is_name(struct store_text t, const char *text)
{
	return t.n == strlen(text) && memcmp(t.p, text, t.n) == 0;
}

/* A text as a string; false: it is too long. */
static bool
text_copy(struct store_text t, char *to, size_t to_len)
{
	if (t.p == NULL || t.n >= to_len)
		return false;
	memcpy(to, t.p, t.n);
	to[t.n] = '\0';
	return true;
}

static struct intent *
intent_of(const struct store_change *c, char *why, size_t why_len)
{
	char file[FILE_BYTES];
	struct intent *i;

	snprintf(file, sizeof(file), "%.*s/%.*s", (int)c->noun.n, c->noun.p,
	    (int)(c->name.n < 256 ? c->name.n : 256), c->name.p);
	i = intent_read(c->body.p, c->body.n, file, why, why_len);
	if (i == NULL || (is_name(c->noun, intent_word(i->noun)) &&
	    is_name(c->name, i->name)))
		return i;
	why_set(why, why_len, "%s:1:1: is of %s \"%s\", expected one of that "
	    "name", file, intent_word(i->noun), i->name);
	intent_free(i);
	return NULL;
}

static int
names_of(const struct store_change *c, enum intent_noun *noun,
    char name[INTENT_NAME_MAX + 1], char *why, size_t why_len)
{
	char word[32];
	int found = text_copy(c->noun, word, sizeof(word)) ?
	    intent_noun_find(word) : -1;

	if (found == -1)
		return why_set(why, why_len, "\"%.*s\" is no noun, expected "
		    "one of %s", (int)(c->noun.n < 64 ? c->noun.n : 64),
		    c->noun.p, intent_words());
	*noun = (enum intent_noun)found;
	return text_copy(c->name, name, INTENT_NAME_MAX + 1) &&
	    intent_name_is_good(name) ? 0 : why_set(why, why_len, "%s: "
	    "\"%.*s\" is no name, expected 1..%d letters, digits, and \".\", "
	    "\"_\", \"-\"", word, (int)(c->name.n < 140 ? c->name.n : 140),
	    c->name.p, INTENT_NAME_MAX);
}

/* ---- trials */

void
trial_end(struct model *m, struct trial *t)
{
	char why[WHY_BYTES];

	while (t->n > 0) {
		struct trial_swap *s = &t->swaps[--t->n];
		struct intent *in = NULL;

		/* It was there a moment ago: there is room for it. */
		(void)model_swap(m, s->noun, s->name, s->before, &in);
		intent_free(in);
	}
	free(t->swaps);
	t->swaps = NULL;
	(void)model_check(m, why, sizeof(why));
}

static int
trial_one(struct model *m, const struct store_change *c, struct trial *t,
    char *why, size_t why_len)
{
	struct trial_swap *s = &t->swaps[t->n];
	struct intent *i = NULL;

	if (names_of(c, &s->noun, s->name, why, why_len) == -1 ||
	    (c->body.p != NULL && (i = intent_of(c, why, why_len)) == NULL))
		return -1;
	if (!model_swap(m, s->noun, s->name, i, &s->before)) {
		intent_free(i);
		return why_set(why, why_len, "no memory is left");
	}
	t->n++;
	return 0;
}

int
trial_begin(struct model *m, const struct store_change *changes, size_t n,
    struct trial *t, char *why, size_t why_len)
{
	int rc = 0;

	*t = (struct trial){ .swaps = calloc(n + 1, sizeof(*t->swaps)) };
	if (t->swaps == NULL)
		return why_set(why, why_len, "no memory is left");
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = trial_one(m, &changes[i], t, why, why_len);
	if (rc == 0)
		rc = model_check(m, why, why_len);
	if (rc == -1)
		trial_end(m, t);
	return rc;
}

/* ---- writes */

/* N3 */
static int
deletes_check(const struct admission *a, const struct request *r, char *why,
    size_t why_len)
{
	size_t n = 0, all = 0;

	for (size_t i = 0; i < r->write.changes_n; i++)
		n += r->write.changes[i].body.p == NULL;
	for (int noun = 0; noun < INTENT_NOUNS; noun++)
		all += a->ems->model.intents_n[noun];
	if (r->confirmed || n <= ADMISSION_DELETES_MAX || n * 5 <= all)
		return 0;
	return why_set(why, why_len, "this deletes %zu of %zu intents: say "
	    "confirm if that is meant", n, all);
}

static int
request_check(struct admission *a, struct request *r, char *why,
    size_t why_len)
{
	struct trial t;

	if (deletes_check(a, r, why, why_len) == -1 ||
	    trial_begin(&a->ems->model, r->write.changes, r->write.changes_n,
	    &t, why, why_len) == -1)
		return -1;
	trial_end(&a->ems->model, &t);
	return 0;
}

static void
request_free(struct request *r)
{
	for (size_t i = 0; i < r->write.changes_n; i++) {
		free((char *)(uintptr_t)r->write.changes[i].noun.p);
		free((char *)(uintptr_t)r->write.changes[i].name.p);
		free((char *)(uintptr_t)r->write.changes[i].body.p);
	}
	free((struct store_change *)(uintptr_t)r->write.changes);
	free((char *)(uintptr_t)r->write.who.p);
	free((char *)(uintptr_t)r->write.why.p);
	free(r);
}

static void
next_soon(struct admission *a)
{
	if (!STAILQ_EMPTY(&a->waiting) && a->current == NULL)
		loop_soon(a->ems->loop, &a->next);
}

static void
refuse(struct admission *a, struct request *r, enum store_result result,
    const char *why)
{
	const struct store_answer answer = { .result = result, .why = why };

	r->done(r->arg, &answer);
	request_free(r);
	next_soon(a);
}

static void
written(void *arg, const struct store_answer *answer)
{
	struct admission *a = arg;
	struct request *r = a->current;

	a->current = NULL;
	r->done(r->arg, answer);
	request_free(r);
	next_soon(a);
}

static void
next_run(struct task *t)
{
	struct admission *a = CONTAINER(t, struct admission, next);
	struct request *r = STAILQ_FIRST(&a->waiting);
	char why[WHY_BYTES];

	if (r == NULL || a->current != NULL)
		return;
	STAILQ_REMOVE_HEAD(&a->waiting, link);
	a->waiting_n--;
	if (request_check(a, r, why, sizeof(why)) == -1) {
		refuse(a, r, STORE_INVALID, why);
		return;
	}
	a->current = r;
	if (store_write(a->store, &r->write, written, a) == -1) {
		a->current = NULL;
		refuse(a, r, STORE_FAILED, "no memory is left");
	}
}

/* ---- what is submitted is copied */

static bool
copy_text(struct store_text *to, struct store_text from)
{
	char *p;

	*to = (struct store_text){ NULL, 0 };
	if (from.p == NULL)
		return true;
	if ((p = malloc(from.n + 1)) == NULL)
		return false;
	memcpy(p, from.p, from.n);
	p[from.n] = '\0';
	*to = (struct store_text){ p, from.n };
	return true;
}

static struct request *
request_new(const struct store_write *w)
{
	struct request *r = calloc(1, sizeof(*r));
	struct store_change *to = r == NULL ? NULL : calloc(w->changes_n + 1,
	    sizeof(*to));
	bool good = to != NULL;

	if (r == NULL)
		return NULL;
	r->write.changes = to;
	r->write.when_ms = w->when_ms;
	for (size_t i = 0; good && i < w->changes_n; i++) {
		const struct store_change *from = &w->changes[i];

		to[i].expect_version = from->expect_version;
		r->write.changes_n++;
		good = copy_text(&to[i].noun, from->noun) &&
		    copy_text(&to[i].name, from->name) &&
		    copy_text(&to[i].body, from->body);
	}
	if (good && copy_text(&r->write.who, w->who) &&
	    copy_text(&r->write.why, w->why))
		return r;
	request_free(r);
	return NULL;
}

int
admission_write(struct admission *a, const struct store_write *w,
    bool confirmed, store_done *done, void *arg)
{
	static const struct store_answer busy = { .result = STORE_BUSY,
	    .why = "too many writes wait, expected fewer at a time" };
	struct request *r;

	if (a->waiting_n >= ADMISSION_WAITING_MAX) {
		done(arg, &busy);
		return 0;
	}
	if ((r = request_new(w)) == NULL)
		return -1;
	r->confirmed = confirmed;
	r->done = done;
	r->arg = arg;
	STAILQ_INSERT_TAIL(&a->waiting, r, link);
	a->waiting_n++;
	next_soon(a);
	return 0;
}

/* ---- what is stored */

/* It was admitted by us, or by one of us before. */
static int
apply(struct admission *a, const struct store_change *c, char *why,
    size_t why_len)
{
	char name[INTENT_NAME_MAX + 1];
	struct intent *i = NULL, *before;
	enum intent_noun noun;

	if (names_of(c, &noun, name, why, why_len) == -1 ||
	    (c->body.p != NULL && (i = intent_of(c, why, why_len)) == NULL))
		return -1;
	if (!model_swap(&a->ems->model, noun, name, i, &before)) {
		intent_free(i);
		return why_set(why, why_len, "no memory is left");
	}
	intent_free(before);
	return 0;
}

void
admission_watch(void *arg, const struct store_past *past, size_t n)
{
	struct admission *a = arg;
	char why[WHY_BYTES];

	for (size_t i = 0; i < n; i++) {
		const struct store_change c = { past[i].noun, past[i].name, 0,
		    past[i].deleted ? (struct store_text){ NULL, 0 } :
		    past[i].body };

		log_info("%.*s %.*s: version %llu -> %llu, revision %llu, by "
		    "%.*s", (int)c.noun.n, c.noun.p, (int)c.name.n, c.name.p,
		    (unsigned long long)past[i].from,
		    (unsigned long long)past[i].to,
		    (unsigned long long)past[i].revision,
		    (int)past[i].who.n, past[i].who.p);
		if (apply(a, &c, why, sizeof(why)) == -1)
			log_error("what was stored can't be used: %s", why);
	}
	ems_publish(a->ems);
}

int
admission_load(struct admission *a, struct store *s,
    const struct store_answer *items, char *why, size_t why_len)
{
	a->store = s;
	for (size_t i = 0; i < items->items_n; i++) {
		const struct store_change c = { items->items[i].noun,
		    items->items[i].name, 0, items->items[i].body };

		if (apply(a, &c, why, why_len) == -1)
			return -1;
	}
	return model_check(&a->ems->model, why, why_len);
}

/* ---- life */

struct admission *
admission_new(struct ems *e)
{
	struct admission *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->ems = e;
	a->next.run = next_run;
	STAILQ_INIT(&a->waiting);
	return a;
}

struct ems *
admission_ems(const struct admission *a)
{
	return a->ems;
}

void
admission_free(struct admission *a)
{
	struct request *r;

	if (a == NULL)
		return;
	loop_cancel(a->ems->loop, &a->next);
	while ((r = STAILQ_FIRST(&a->waiting)) != NULL) {
		const struct store_answer answer = { .result = STORE_FAILED,
		    .why = "the control plane is leaving" };

		STAILQ_REMOVE_HEAD(&a->waiting, link);
		r->done(r->arg, &answer);
		request_free(r);
	}
	free(a);
}
