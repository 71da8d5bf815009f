/* master/control.c - see control.h. */
#include "master/control.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/log.h"
#include "worker/io/pass.h"

/* What each kind carries; check may be NULL. */
static bool	listener_good(const struct control *m);
static bool	settings_good(const struct control *m);
static bool	slot_good(const struct control *m);
static bool	text_good(const struct control *m);

static const struct {
	int	fds_n;
	bool	(*good)(const struct control *m);
} kinds[CONTROL_KINDS] = {
	[CONTROL_LISTENER] = { 0, listener_good },
	[CONTROL_STAGE] = { 1, settings_good },
	[CONTROL_WORDS] = { 1, text_good },
	[CONTROL_ROW] = { 2, slot_good },
	[CONTROL_BOUND] = { 0, text_good },
	[CONTROL_REFUSED] = { 0, text_good },
	[CONTROL_MOVED] = { 2, text_good },
	[CONTROL_JOURNAL] = { 1, text_good },
	[CONTROL_PUBLISHED] = { 0, text_good },
	[CONTROL_SETTLED] = { 0, text_good },
	[CONTROL_LEAVE] = { 0, text_good },
	[CONTROL_LEFT] = { 0, text_good },
	[CONTROL_WITHDRAW] = { 0, text_good },
	[CONTROL_WITHDRAWN] = { 0, text_good },
	[CONTROL_SERVE] = { 1, text_good },
	[CONTROL_RELOAD] = { 0, text_good },
	[CONTROL_REOPEN] = { 1, text_good },
	[CONTROL_FAIL] = { 0, text_good },
	[CONTROL_COMMAND] = { 0, text_good },
	[CONTROL_TEXT] = { 0, text_good },
	[CONTROL_OK] = { 0, text_good },
};

static bool
ends(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static bool
listener_good(const struct control *m)
{
	const struct control_listener *l = &m->listener;

	return l->slot < LISTENERS_MAX && ends(l->name, sizeof(l->name)) &&
	    l->address_len >= sizeof(sa_family_t) &&
	    l->address_len <= sizeof(l->address);
}

static bool
settings_good(const struct control *m)
{
	const struct control_settings *s = &m->settings;

	return s->workers_n >= 1 && s->workers_n <= CONTROL_WORKERS_MAX &&
	    s->log_level <= LOG_DEBUG &&
	    s->groups_n <= CONTROL_GROUPS_MAX &&
	    ends(s->run_dir, sizeof(s->run_dir)) &&
	    ends(s->log_file, sizeof(s->log_file));
}

static bool
slot_good(const struct control *m)
{
	return m->slot < CONTROL_WORKERS_MAX;
}

static bool
text_good(const struct control *m)
{
	return ends(m->text, sizeof(m->text));
}

int
control_send(int fd, struct control *m, const int *fds)
{
	int n;

	assert(m->kind < CONTROL_KINDS);
	n = kinds[m->kind].fds_n;
	assert((n == 0) == (fds == NULL));
	m->layout = CONTROL_LAYOUT;
	return pass_send(fd, m, sizeof(*m), fds, n);
}

int
control_say(int fd, enum control_kind kind, const char *text)
{
	struct control m = { .kind = kind };

	snprintf(m.text, sizeof(m.text), "%s", text);
	return control_send(fd, &m, NULL);
}

static bool
whole(const struct control *m, int fds_n)
{
	return m->layout == CONTROL_LAYOUT && m->kind < CONTROL_KINDS &&
	    fds_n == kinds[m->kind].fds_n && kinds[m->kind].good(m);
}

int
control_receive(int fd, struct control *m, int fds[CONTROL_FDS_MAX])
{
	int got, n, all[PASS_FDS_MAX];

	for (int i = 0; i < CONTROL_FDS_MAX; i++)
		fds[i] = -1;
	got = pass_receive(fd, m, sizeof(*m), all, &n);
	if (got < 1)
		return got;
	if (whole(m, n)) {
		for (int i = 0; i < n; i++)
			fds[i] = all[i];
		return 1;
	}
	for (int i = 0; i < n; i++)
		close(all[i]);
	errno = EPROTO;
	return -1;
}
