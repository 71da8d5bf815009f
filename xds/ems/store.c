/*
 * xds/ems/store.c - see store.h. The owner's side, and the thread.
 *
 *                 ┌──────────── mutex ────────────┐
 *   submit ──────>│ waiting      waiting_n, bytes │──────> store_sqlite_run
 *   deliver <─────│ answered     closing          │<──────
 *                 └───────────────────────────────┘
 *
 * One mutex for two queues. Nothing else is shared: a request belongs to who
 * took it off a queue, the file to the thread from its creation until it is
 * joined, everything else to the owner. No SQL is done and no callback called
 * while it is held. make tsan looks at it.
 */
#include "xds/ems/store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/ems/store_check.h"
#include "xds/ems/store_sqlite.h"

enum { DELIVER_MAX = 256 };	/* answers a turn */

struct store {
	struct loop	*loop;
	struct store_settings set;
	struct source	 wake;
	int		 wake_fd;	/* eventfd; the thread writes to it */
	struct task	 task;
	struct store_queue ready;	/* answered, off the other queue */
	struct store_sqlite *file;
	pthread_t	 thread;

	pthread_mutex_t	 mutex;		/* holds what follows */
	pthread_cond_t	 more;
	struct store_queue waiting, answered;
	size_t		 waiting_n, waiting_bytes;	/* and what it runs */
	bool		 closing;
};

/* ---- the thread */

/* What waits, all of it. NULL: the end. */
static struct store_request *
take(struct store *s)
{
	struct store_request *first;

	pthread_mutex_lock(&s->mutex);
	while (s->waiting.first == NULL && !s->closing)
		pthread_cond_wait(&s->more, &s->mutex);
	first = s->waiting.first;
	store_queue_init(&s->waiting);
	pthread_mutex_unlock(&s->mutex);
	return first;
}

/* Only the first of many wakes: the owner takes them all. */
static void
post(struct store *s, struct store_request *first)
{
	struct store_queue q;
	struct store_request *next;
	size_t n = 0, bytes = 0;
	bool wake;

	store_queue_init(&q);
	for (struct store_request *r = first; r != NULL; r = next) {
		next = r->next;
		n++;
		bytes += r->bytes;
		store_queue_put(&q, r);
	}
	pthread_mutex_lock(&s->mutex);
	assert(s->waiting_n >= n && s->waiting_bytes >= bytes);
	s->waiting_n -= n;
	s->waiting_bytes -= bytes;
	wake = s->answered.first == NULL;
	store_queue_move(&s->answered, &q);
	pthread_mutex_unlock(&s->mutex);
	if (wake)
		eventfd_write(s->wake_fd, 1);
}

static void *
run(void *arg)
{
	struct store *s = arg;
	struct store_request *first;

	while ((first = take(s)) != NULL) {
		store_sqlite_run(s->file, first);
		post(s, first);
	}
	return NULL;
}

/* Signals are for the owner's thread. */
static int
thread_begin(struct store *s, char *why, size_t why_len)
{
	sigset_t all, was;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (rc != 0)
		return why_set(why, why_len, "the store's thread can't be "
		    "made: %s", strerror(rc));
	return 0;
}

/* ---- answers, on the owner's loop */

static void
tell(struct store *s, struct store_request *r)
{
	if (r->made_n > 0 && s->set.watch != NULL)
		s->set.watch(s->set.watch_arg, r->made, r->made_n);
	r->done(r->arg, &r->answer);
	store_request_free(r);
}

/* Not more than max; whether some are left. */
static bool
deliver(struct store *s, size_t max)
{
	struct store_request *r;

	pthread_mutex_lock(&s->mutex);
	store_queue_move(&s->ready, &s->answered);
	pthread_mutex_unlock(&s->mutex);
	while (max-- > 0 && (r = s->ready.first) != NULL) {
		s->ready.first = r->next;
		if (r->next == NULL)
			store_queue_init(&s->ready);
		tell(s, r);
	}
	return s->ready.first != NULL;
}

static void
task_run(struct task *t)
{
	struct store *s = CONTAINER(t, struct store, task);

	if (deliver(s, DELIVER_MAX))
		loop_soon(s->loop, &s->task);
}

static void
wake_ready(struct source *source, uint32_t events)
{
	struct store *s = CONTAINER(source, struct store, wake);
	eventfd_t n;

	(void)events;
	eventfd_read(s->wake_fd, &n);
	loop_soon(s->loop, &s->task);
}

/* ---- submissions */

/* Answered without the thread, in a later turn (S4). */
static int
refuse(struct store *s, struct store_request *r)
{
	bool wake;

	pthread_mutex_lock(&s->mutex);
	wake = s->answered.first == NULL;
	store_queue_put(&s->answered, r);
	pthread_mutex_unlock(&s->mutex);
	if (wake)
		eventfd_write(s->wake_fd, 1);
	return 0;
}

/* Whether there was room. */
static bool
enqueue(struct store *s, struct store_request *r)
{
	bool room;

	pthread_mutex_lock(&s->mutex);
	room = s->waiting_n < s->set.waiting_n &&
	    (s->waiting_n == 0 ||
	    s->waiting_bytes + r->bytes <= s->set.waiting_bytes) &&
	    !s->closing;
	if (room) {
		s->waiting_n++;
		s->waiting_bytes += r->bytes;
		store_queue_put(&s->waiting, r);
		pthread_cond_signal(&s->more);
	}
	pthread_mutex_unlock(&s->mutex);
	return room;
}

static int
submit(struct store *s, struct store_request *r)
{
	if (enqueue(s, r))
		return 0;
	if (s->closing)
		store_request_say(r, STORE_BUSY, "the store is being closed");
	else
		store_request_say(r, STORE_BUSY, "%zu submissions or %zu "
		    "bytes wait already: the disk does not keep up, try "
		    "again later", s->set.waiting_n, s->set.waiting_bytes);
	return refuse(s, r);
}

/* kept: what copying the input said. */
static int
submit_checked(struct store *s, struct store_request *r, int kept)
{
	if (kept == 0)
		return submit(s, r);
	store_request_free(r);
	return -1;
}

static int
invalid(struct store *s, struct store_request *r, const char *why)
{
	store_request_say(r, STORE_INVALID, "%s", why);
	return refuse(s, r);
}

int
store_write(struct store *s, const struct store_write *w, store_done *done,
    void *arg)
{
	struct store_request *r = store_request_new(STORE_WRITE, done, arg);
	char why[STORE_SENTENCE_MAX];

	if (r == NULL)
		return -1;
	if (store_check_write(w, why, sizeof(why)) == -1)
		return invalid(s, r, why);
	return submit_checked(s, r, store_request_write(r, w));
}

int
store_ask(struct store *s, const struct store_question *q, store_done *done,
    void *arg)
{
	struct store_request *r = store_request_new(STORE_ASK, done, arg);
	char why[STORE_SENTENCE_MAX];

	if (r == NULL)
		return -1;
	if (store_check_question(q, why, sizeof(why)) == -1)
		return invalid(s, r, why);
	return submit_checked(s, r, store_request_question(r, q));
}

int
store_lease_put(struct store *s, const struct store_lease *l,
    store_done *done, void *arg)
{
	struct store_request *r = store_request_new(STORE_LEASE_PUT, done,
	    arg);
	char why[STORE_SENTENCE_MAX];

	if (r == NULL)
		return -1;
	if (store_check_lease(l, why, sizeof(why)) == -1)
		return invalid(s, r, why);
	return submit_checked(s, r, store_request_lease(r, l));
}

int
store_lease_remove(struct store *s, struct store_text id, uint64_t epoch,
    store_done *done, void *arg)
{
	struct store_request *r = store_request_new(STORE_LEASE_REMOVE, done,
	    arg);
	const struct store_lease l = { .id = id, .epoch = epoch };
	char why[STORE_SENTENCE_MAX];

	if (r == NULL)
		return -1;
	if (store_check_lease_id(id, why, sizeof(why)) == -1)
		return invalid(s, r, why);
	return submit_checked(s, r, store_request_lease(r, &l));
}

/* ---- open, close */

static struct store *
store_new(struct loop *l, const struct store_settings *set)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = l;
	s->set = *set;
	s->set.path = NULL;		/* the caller's, for the opening */
	if (s->set.waiting_n == 0)
		s->set.waiting_n = STORE_WAITING_N;
	if (s->set.waiting_bytes == 0)
		s->set.waiting_bytes = STORE_WAITING_BYTES;
	s->wake.ready = wake_ready;
	s->task.run = task_run;
	s->wake_fd = -1;
	store_queue_init(&s->ready);
	store_queue_init(&s->waiting);
	store_queue_init(&s->answered);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->more, NULL);
	return s;
}

static void
store_free(struct store *s)
{
	if (s->file != NULL)
		store_sqlite_close(s->file);
	loop_forget(s->loop, &s->wake);
	loop_cancel(s->loop, &s->task);
	if (s->wake_fd != -1)
		s->loop->sys->close(s->loop->sys->ctx, s->wake_fd);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static int
wake_open(struct store *s, char *why, size_t why_len)
{
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd != -1 &&
	    loop_watch(s->loop, s->wake_fd, &s->wake) == 0)
		return 0;
	return why_set(why, why_len, "the store's eventfd can't be had: %s",
	    strerror(errno));
}

struct store *
store_open(struct loop *l, const struct store_settings *set, char *why,
    size_t why_len)
{
	struct store *s = store_new(l, set);

	if (s == NULL) {
		why_set(why, why_len, "no memory for the store");
		return NULL;
	}
	s->file = store_sqlite_open(set->path, why, why_len);
	if (s->file != NULL && wake_open(s, why, why_len) == 0 &&
	    thread_begin(s, why, why_len) == 0)
		return s;
	store_free(s);
	return NULL;
}

void
store_close(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	s->closing = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	while (deliver(s, DELIVER_MAX) || s->answered.first != NULL)
		;
	assert(s->waiting_n == 0 && s->waiting.first == NULL);
	store_free(s);
}
