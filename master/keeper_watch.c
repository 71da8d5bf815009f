/*
 * master/keeper_watch.c - workers that hang: a worker that was woken has to
 * turn. See keeper_state.h.
 *
 *   heartbeat of this second ──> well
 *   older ──> woken, the time noted ──> still older after stuck_alarm_ms: said
 *                                  ──> after stuck_kill_ms: killed, replaced
 *
 * An idle worker turns only when it is woken, so an old heartbeat says
 * nothing by itself. With --debuggable nobody is killed: a debugger may hold
 * it.
 */
#include "master/keeper_state.h"

#include <signal.h>
#include <unistd.h>

#include "shm/log.h"

enum { LOOK_MS = 1000, LOOK_MS_MIN = 20 };

static void
wake(const struct keeper_worker *w)
{
	uint64_t one = 1;
	ssize_t n = write(w->wake_fd, &one, sizeof(one));

	(void)n;			/* full only when it is awake anyway */
}

static void
hangs(struct keeper *k, int slot, int64_t ms)
{
	struct keeper_worker *w = &k->workers[slot];

	if (ms >= k->settings.stuck_alarm_ms && !w->alarmed) {
		w->alarmed = true;
		log_error("worker %d, pid %d, hangs: no turn for %lld ms; "
		    "its callers wait", slot, (int)w->child.pid,
		    (long long)ms);
	}
	if (ms < k->settings.stuck_kill_ms || k->options->debuggable)
		return;
	log_error("worker %d, pid %d, hangs for %lld ms: killed", slot,
	    (int)w->child.pid, (long long)ms);
	kill(w->child.pid, SIGKILL);
	w->asked.ns = 0;
}

static void
look(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	struct mono beat;

	if (w->child.pid == 0 || !w->ready)
		return;
	beat.ns = (int64_t)count_get(&w->row->heartbeat_ns);
	if (w->asked.ns != 0 && beat.ns >= w->asked.ns) {
		if (w->alarmed)
			log_info("worker %d, pid %d, turns again", slot,
			    (int)w->child.pid);
		w->alarmed = false;
		w->asked.ns = 0;
	}
	if (w->asked.ns != 0)
		hangs(k, slot, mono_between_ms(w->asked, k->now));
	else if (mono_between_ms(beat, k->now) >= LOOK_MS) {
		w->asked = k->now;
		wake(w);
	}
}

/* Often enough for short times in the settings. */
static int64_t
look_ms(const struct keeper *k)
{
	int64_t ms = k->settings.stuck_alarm_ms / 5;

	return ms < LOOK_MS_MIN ? LOOK_MS_MIN : ms > LOOK_MS ? LOOK_MS : ms;
}

int64_t
keeper_watch_step(struct keeper *k)
{
	int64_t ms;

	if (!keeper_is_serving(k) && k->state != KEEPER_DRAINING)
		return -1;
	ms = mono_between_ms(k->now, k->watch_due);
	if (ms > 0)
		return ms + 1;
	for (int i = 0; i < k->workers_n; i++)
		look(k, i);
	k->watch_due = mono_after_ms(k->now, look_ms(k));
	return look_ms(k) + 1;
}
