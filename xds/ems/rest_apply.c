/*
 * xds/ems/rest_apply.c - writes, of one intent or of several: PUT, DELETE,
 * apply, plan and rollback are one way with different beginnings and ends.
 *
 *   documents ──read──> edits ──what is there?──> compared ──┬─> write ─> done
 *   a revision ──its items──┘                                ├─> plan
 *   a plan ──────────────────────────────────────────────────┘   └─> refused
 */
#include "xds/ems/rest_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/ems/rest_edit.h"
#include "xds/ems/rest_plan.h"

/* What a writer wants, from its request to its answer. */
struct work {
	struct edits	 own;
	struct edits	*edits;		/* own, or the plan's */
	struct plan	*plan;		/* held, or NULL */
	enum edit_rule	 rule;
	bool		 single;	/* PUT, DELETE: it stands at the top */
	bool		 plans;		/* it is shown, not done */
	bool		 back;		/* a rollback: all there is, mostly the
					 * same */
	size_t		*at;		/* edits of the changes written */
	char		 why[128];	/* if the query says none */
};

static void
work_free(void *state)
{
	struct work *w = state;

	edits_fini(&w->own);
	plan_put(w->plan);
	free(w->at);
	free(w);
}

/* NULL: no memory, which was answered. */
static struct work *
work_new(struct request *q)
{
	struct work *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		answer_refuse(q, 503, "no memory is left");
		return NULL;
	}
	w->edits = &w->own;
	w->rule = EDIT_SAFE;
	q->state = w;
	q->state_free = work_free;
	return w;
}

/* ---- what came of it */

static void
conflicts_answer(struct request *q, int status, const char *why)
{
	struct work *w = q->state;
	struct print *p = answer_begin(q, status);

	if (p == NULL)
		return;
	print_text(p, "error", why);
	if (w->single)
		edit_print_conflict(p, w->edits->at);
	else {
		print_open(p, "conflicts", '[');
		for (size_t i = 0; i < w->edits->n; i++) {
			if (w->edits->at[i].action < EDIT_CONFLICT)
				continue;
			print_open(p, NULL, '{');
			edit_print_conflict(p, &w->edits->at[i]);
			print_close(p, '{');
		}
		print_close(p, '[');
	}
	answer_end(q);
}

/* True: some can't be done, which was answered. */
static bool
is_refused(struct request *q)
{
	struct work *w = q->state;
	const struct edit *first = NULL;
	size_t n = edits_refused(w->edits, &first);
	char why[REST_WHY_BYTES];

	if (n == 0)
		return false;
	edit_why(first, n - 1, why, sizeof(why));
	conflicts_answer(q, first->action == EDIT_CONFLICT ? 409 : 428, why);
	return true;
}

static void
edits_print(struct print *p, const struct work *w, bool diff)
{
	const struct edits *e = w->edits;

	print_open(p, "changes", '[');
	for (size_t i = 0; i < e->n; i++) {
		if (w->back && e->at[i].action == EDIT_SAME)
			continue;
		print_open(p, NULL, '{');
		edit_print(p, &e->at[i], diff);
		print_close(p, '{');
	}
	print_close(p, '[');
}

static void
done_answer(struct request *q, uint64_t revision)
{
	struct work *w = q->state;
	struct print *p = answer_begin(q, 200);

	if (p == NULL)
		return;
	print_number(p, "revision", revision);
	if (w->single)
		edit_print(p, w->edits->at, false);
	else
		edits_print(p, w, false);
	answer_end(q);
}

/* Somebody was quicker: what is there now, for all that it is of. */
static void
overtaken(struct request *q, const struct store_answer *a)
{
	struct work *w = q->state;
	struct edit *e = &w->edits->at[w->at[a->conflict_at]];
	char why[REST_WHY_BYTES];

	e->action = EDIT_CONFLICT;
	e->wanted.stated = true;
	e->wanted.version = e->current;
	e->current = a->current_version;
	free(e->before);
	e->before = a->current_body.p == NULL ? NULL :
	    strndup(a->current_body.p, a->current_body.n);
	edit_why(e, 0, why, sizeof(why));
	conflicts_answer(q, 409, why);
}

static void
written(struct request *q, const struct store_answer *a)
{
	struct work *w = q->state;

	if (a->result == STORE_CONFLICT)
		overtaken(q, a);
	else if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else {
		for (size_t i = 0; i < a->versions_n; i++)
			w->edits->at[w->at[i]].to = a->versions[i];
		done_answer(q, a->revision);
	}
	/* Done, or no longer possible. */
	if (w->plan != NULL && (a->result == STORE_OK ||
	    a->result == STORE_CONFLICT))
		plan_forget(q->rest, w->plan);
}

static void
write_edits(struct request *q)
{
	struct work *w = q->state;
	const char *why = request_argument(q, "why");
	struct store_change *changes = calloc(w->edits->n + 1,
	    sizeof(*changes));
	size_t n;

	w->at = calloc(w->edits->n + 1, sizeof(*w->at));
	if (changes == NULL || w->at == NULL)
		answer_refuse(q, 503, "no memory is left");
	else if ((n = edits_changes(w->edits, changes, w->at)) == 0)
		done_answer(q, w->edits->revision);
	else
		answer_write(q, changes, n, request_flag(q, "confirm"),
		    why == NULL ? w->why : why, written);
	free(changes);
}

/* ---- plans */

static void
effects_print(struct print *p, const struct admission_plan *a)
{
	static const char *const roles[] = { [VIEW_SIDECAR] = "sidecar",
	    [VIEW_GATEWAY] = "gateway", [VIEW_GRPC] = "grpc" };

	print_open(p, "effects", '[');
	for (size_t i = 0; i < a->effects_n; i++) {
		const struct admission_effect *e = &a->effects[i];

		print_open(p, NULL, '{');
		print_text(p, "role", roles[e->view->key.role]);
		print_text(p, "region", e->view->key.region);
		if (*e->view->key.gateway != '\0')
			print_text(p, "gateway", e->view->key.gateway);
		if (*e->view->key.listen != '\0')
			print_text(p, "listen", e->view->key.listen);
		print_text(p, "type", resource_about(e->kind)->word);
		print_text(p, "name", e->name);
		print_text(p, "action", e->before == NULL ? "added" :
		    e->after == NULL ? "removed" : "changed");
		print_close(p, '{');
	}
	print_close(p, '[');
	print_number(p, "proxies", a->proxies_n);
}

static void
plan_answer(struct request *q, const struct admission_plan *a)
{
	struct work *w = q->state;
	uint64_t revision = w->own.revision;
	struct print *p;

	w->plan = plan_new(q->rest, &w->own, w->why);
	if (w->plan == NULL) {
		answer_refuse(q, 503, "there is no memory for this plan");
		return;
	}
	w->edits = &w->plan->edits;
	if ((p = answer_begin(q, 200)) == NULL)
		return;
	print_text(p, "plan", w->plan->id);
	print_number(p, "expires_s", REST_PLAN_MS / 1000);
	print_number(p, "revision", revision);
	edits_print(p, w, true);
	effects_print(p, a);
	answer_end(q);
}

static void
plan_edits(struct request *q)
{
	struct work *w = q->state;
	struct store_change *changes = calloc(w->own.n + 1,
	    sizeof(*changes));
	size_t *at = calloc(w->own.n + 1, sizeof(*at)), n;
	struct admission_plan a;

	if (changes == NULL || at == NULL)
		answer_refuse(q, 503, "no memory is left");
	else {
		n = edits_changes(&w->own, changes, at);
		if (!admission_plan(q->rest->admission, changes, n, &a))
			answer_refuse(q, 503, "no memory is left");
		else {
			if (a.result != STORE_OK)
				answer_store(q, a.result, a.why);
			else
				plan_answer(q, &a);
			admission_plan_fini(&a);
		}
	}
	free(changes);
	free(at);
}

/* ---- what is there */

static void
compared(struct request *q, const struct store_answer *a)
{
	struct work *w = q->state;

	if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if (!edits_compare(&w->own, a, w->rule))
		answer_refuse(q, 503, "no memory is left");
	else if (is_refused(q))
		return;
	else if (w->plans)
		plan_edits(q);
	else
		write_edits(q);
}

static void
compare(struct request *q)
{
	const struct store_question items = { .kind = STORE_ITEMS };

	answer_ask(q, &items, compared);
}

/* ---- documents */

/* NULL: it is answered. */
static struct work *
documents_take(struct request *q)
{
	char why[REST_WHY_BYTES];
	struct work *w = work_new(q);
	struct documents d;

	if (w == NULL)
		return NULL;
	if (documents_read(&d, q->body, q->body_n, "body", why,
	    sizeof(why)) == -1)
		answer_refuse(q, 400, "%s", why);
	else if (!edits_take(&w->own, &d))
		answer_refuse(q, 503, "no memory is left");
	else
		return w;
	documents_fini(&d);
	return NULL;
}

static void
apply_plan(struct request *q, const char *id)
{
	struct work *w;

	if (q->body_n > 0) {
		answer_refuse(q, 400, "a plan is applied as it is, expected "
		    "no body beside ?plan=");
		return;
	}
	if ((w = work_new(q)) == NULL)
		return;
	w->plan = plan_hold(q->rest, id);
	if (w->plan == NULL) {
		answer_refuse(q, 404, "there is no plan %.40s: plans live for "
		    "an hour, and until they are applied", id);
		return;
	}
	w->edits = &w->plan->edits;
	snprintf(w->why, sizeof(w->why), "%s", w->plan->why);
	write_edits(q);
}

void
rest_apply(struct request *q)
{
	const char *plan = request_argument(q, "plan");
	struct work *w;

	if (plan != NULL) {
		apply_plan(q, plan);
		return;
	}
	if ((w = documents_take(q)) == NULL)
		return;
	if (request_flag(q, "force"))
		w->rule = EDIT_ANYWAY;
	compare(q);
}

void
rest_plan(struct request *q)
{
	struct work *w = documents_take(q);

	if (w == NULL)
		return;
	w->rule = EDIT_ANYWAY;
	w->plans = true;
	compare(q);
}

/* ---- one intent */

/* ?expect_version=3, or If-Match: "3". -1: it is answered. */
static int
version_take(struct request *q, struct document *d)
{
	const char *match = request_header(q, "If-Match");
	int end = 0, rc = request_number(q, "expect_version", &d->version);

	if (rc == 0 && match != NULL) {
		rc = (sscanf(match, "\"%18" SCNu64 "\"%n", &d->version,
		    &end) == 1 || sscanf(match, "%18" SCNu64 "%n",
		    &d->version, &end) == 1) && match[end] == '\0' ? 1 : -1;
		if (rc == -1)
			answer_refuse(q, 400, "If-Match is %.40s, expected a "
			    "version", match);
	}
	if (rc == 1)
		d->stated = true;
	return rc;
}

static void
one_write(struct request *q, struct work *w)
{
	const struct store_question item = { .kind = STORE_ITEM,
	    .noun = store_text(intent_word(q->noun)),
	    .name = store_text(q->name) };

	w->single = true;
	w->rule = EDIT_STATED;
	if (version_take(q, &w->own.at[0].wanted) != -1)
		answer_ask(q, &item, compared);
}

void
rest_put(struct request *q)
{
	struct work *w = documents_take(q);
	const struct document *d = w == NULL ? NULL : &w->own.at[0].wanted;

	if (w == NULL)
		return;
	if (w->own.n != 1 || d->text == NULL)
		answer_refuse(q, 400, "there are %zu documents, expected one; "
		    "POST /v1/apply takes several", w->own.n);
	else if (d->noun != q->noun || strcmp(d->name, q->name) != 0)
		answer_refuse(q, 400, "body:1:1: is %s/%s, expected %s/%s as "
		    "in the path", intent_word(d->noun), d->name,
		    intent_word(q->noun), q->name);
	else
		one_write(q, w);
}

void
rest_delete(struct request *q)
{
	struct work *w = work_new(q);

	if (w == NULL)
		return;
	w->own.at = calloc(1, sizeof(*w->own.at));
	if (w->own.at == NULL) {
		answer_refuse(q, 503, "no memory is left");
		return;
	}
	w->own.n = 1;
	w->own.at[0].wanted.noun = q->noun;
	snprintf(w->own.at[0].wanted.name, sizeof(q->name), "%s", q->name);
	one_write(q, w);
}

/* ---- rollback */

static void
others_compared(struct request *q, const struct store_answer *a)
{
	struct work *w = q->state;

	if (a->result == STORE_OK && !edits_delete_others(&w->own, a))
		answer_refuse(q, 503, "no memory is left");
	else
		compared(q, a);
}

static void
then_read(struct request *q, const struct store_answer *a)
{
	const struct store_question now = { .kind = STORE_ITEMS };
	struct work *w = q->state;

	if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if (!edits_back(&w->own, a))
		answer_refuse(q, 503, "no memory is left");
	else
		answer_ask(q, &now, others_compared);
}

void
rest_rollback(struct request *q)
{
	struct store_question then = { .kind = STORE_ITEMS };
	struct work *w;
	int rc = request_number(q, "revision", &then.revision);

	if (rc == -1)
		return;
	if (rc == 0 || then.revision == 0) {
		answer_refuse(q, 400, "?revision= is missing, expected the one "
		    "to go back to, from 1 on");
		return;
	}
	if ((w = work_new(q)) == NULL)
		return;
	w->rule = EDIT_ANYWAY;
	w->plans = !request_flag(q, "apply");
	w->back = true;
	snprintf(w->why, sizeof(w->why), "rollback to revision %" PRIu64,
	    then.revision);
	answer_ask(q, &then, then_read);
}
