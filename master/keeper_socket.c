/*
 * master/keeper_socket.c - which worker serves which listening socket: sockets
 * are bound once and handed around. See keeper_state.h, keeper_listen.h.
 *
 *   want  socket s belongs to the (s mod W)-th of the W serving workers
 *   deal  where owner is another: LISTEN to the new one, then UNLISTEN to the
 *         old one; the queue is the socket's and moves with it
 *
 * For a moment both accept, which harms nobody; there is none in which nobody
 * does, but after a death until somebody else is told.
 * Test: t/unit/keeper_socket.c.
 */
#include "master/keeper_state.h"

#include <string.h>
#include <sys/socket.h>

#include "shm/log.h"

/* ---- binding */

static bool
same_address(const struct control_listener *a,
    const struct control_listener *b)
{
	return a->address_len == b->address_len &&
	    memcmp(&a->address, &b->address, a->address_len) == 0;
}

/* The group at the address of l, or the first one that is nobody's. */
static struct keeper_listen *
group_find(struct keeper *k, const struct control_listener *l)
{
	struct keeper_listen *g, *none = NULL;

	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++) {
		if (g->fds_n > 0 && same_address(&g->listener, l))
			return g;
		if (g->fds_n == 0 && none == NULL)
			none = g;
	}
	return none;
}

static const struct control_listener *
wanted_at(const struct keeper *k, const struct keeper_listen *g)
{
	for (int i = 0; i < k->wanted_n; i++)
		if (same_address(&k->wanted[i], &g->listener))
			return &k->wanted[i];
	return NULL;
}

static int
bind_one(struct keeper *k, const struct control_listener *l, int slots,
    char *why, size_t why_len)
{
	struct keeper_listen *g = group_find(k, l);
	char text[LISTEN_ADDRESS_BYTES];

	if (g == NULL)
		return why_set(why, why_len, "listener %s: there are too many "
		    "listeners at once", l->name);
	if (g->fds_n > 0)
		return keeper_listen_grow(g, slots, why, why_len);
	if (keeper_listen_open(g, l, slots, why, why_len) == -1)
		return -1;
	keeper_listen_text(&g->listener, text);
	log_debug("listener %s is bound to %s", l->name, text);
	return 0;
}

/* The names are those of the accepted file from now on. */
static void
group_accept(struct keeper *k, struct keeper_listen *g)
{
	const struct control_listener *l = wanted_at(k, g);

	g->fresh = false;
	if (l == NULL)
		return;
	g->renamed = g->renamed || g->listener.slot != l->slot ||
	    g->listener.tag != l->tag;
	if (g->listener.backlog != l->backlog)
		for (int i = 0; i < g->fds_n; i++)
			(void)listen(g->fds[i], l->backlog == 0 ? SOMAXCONN :
			    (int)l->backlog);
	g->listener = *l;
}

int
keeper_sockets_bind(struct keeper *k, char *why, size_t why_len)
{
	int slots = keeper_listen_slots((int)k->settings.workers_n);
	struct keeper_listen *g;
	int rc = 0;

	for (int i = 0; i < k->wanted_n && rc == 0; i++)
		if ((rc = bind_one(k, &k->wanted[i], slots, why, why_len)) ==
		    -1)
			k->slot_refused = (int32_t)k->wanted[i].slot;
	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++) {
		if (g->fds_n == 0)
			continue;
		if (rc == 0)
			group_accept(k, g);
		else if (g->fresh)
			keeper_listen_close(g);
	}
	return rc;
}

/* ---- dealing */

/* Who is to serve each socket of g; nobody else while nobody serves. */
static void
want_fill(const struct keeper *k, const struct keeper_listen *g,
    int16_t want[CONTROL_WORKERS_MAX])
{
	int16_t serving[CONTROL_WORKERS_MAX];
	int n = 0;

	for (int i = 0; i < k->workers_n; i++)
		if (k->workers[i].serving)
			serving[n++] = (int16_t)i;
	for (int s = 0; s < g->fds_n; s++)
		want[s] = n == 0 ? g->owners[s] : serving[s % n];
}

/* Says m, with fds or without, to a worker. False: its queue is full, or it
 * is gone. */
static bool
worker_told(const struct keeper *k, int worker, const struct message *m,
    const int *fds)
{
	int fd = k->workers[worker].child.control_fd;

	return fd != -1 && message_send(fd, m, fds, fds == NULL ? 0 :
	    (int)m->sockets_n) == 0;
}

static struct message
message_of(const struct keeper *k, const struct keeper_listen *g,
    enum message_kind kind)
{
	return (struct message){ .kind = kind,
	    .group = (uint32_t)(g - k->listeners),
	    .listener = g->listener.slot, .tag = g->listener.tag };
}

/* Hands socket `first`, and those after it that go the same way, over. */
static void
hand_over(struct keeper *k, struct keeper_listen *g, int first,
    const int16_t *want)
{
	struct message m = message_of(k, g, MESSAGE_LISTEN);
	int16_t from = g->owners[first], to = want[first];
	int fds[PASS_FDS_MAX];

	for (int s = first; s < g->fds_n && m.sockets_n < PASS_FDS_MAX; s++)
		if (g->owners[s] == from && want[s] == to) {
			fds[m.sockets_n] = g->fds[s];
			m.sockets[m.sockets_n++] = (uint16_t)s;
		}
	if (!worker_told(k, to, &m, fds))
		return;
	for (uint32_t i = 0; i < m.sockets_n; i++)
		g->owners[m.sockets[i]] = to;
	m.kind = MESSAGE_UNLISTEN;
	if (from != -1)
		(void)worker_told(k, from, &m, NULL);
}

/* Says m about all sockets of g to each worker that has some. */
static bool
owners_tell(struct keeper *k, const struct keeper_listen *g,
    enum message_kind kind)
{
	struct message m;
	bool all = true;

	for (int16_t w = 0; w < k->workers_n; w++) {
		m = message_of(k, g, kind);
		for (int s = 0; s < g->fds_n; s++) {
			if (g->owners[s] == w)
				m.sockets[m.sockets_n++] = (uint16_t)s;
			if (m.sockets_n == PASS_FDS_MAX ||
			    (s == g->fds_n - 1 && m.sockets_n > 0)) {
				all = worker_told(k, w, &m, NULL) && all;
				m.sockets_n = 0;
			}
		}
	}
	return all;
}

static void
group_deal(struct keeper *k, struct keeper_listen *g)
{
	int16_t want[CONTROL_WORKERS_MAX];

	if (g->renamed && owners_tell(k, g, MESSAGE_LISTEN))
		g->renamed = false;
	want_fill(k, g, want);
	for (int s = 0; s < g->fds_n; s++)
		if (g->owners[s] != want[s])
			hand_over(k, g, s, want);
}

void
keeper_sockets_deal(struct keeper *k)
{
	struct keeper_listen *g;

	if (k->state >= KEEPER_DRAINING)
		return;
	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++)
		if (g->fds_n > 0 && !g->fresh)
			group_deal(k, g);
}

void
keeper_sockets_lost(struct keeper *k, int slot)
{
	struct keeper_listen *g;

	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++)
		for (int s = 0; s < g->fds_n; s++)
			if (g->owners[s] == slot)
				g->owners[s] = -1;
}

bool
keeper_sockets_due(const struct keeper *k)
{
	const struct keeper_listen *g;
	int16_t want[CONTROL_WORKERS_MAX];

	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++) {
		if (g->fds_n == 0 || g->fresh)
			continue;
		want_fill(k, g, want);
		if (g->renamed || memcmp(want, g->owners,
		    (size_t)g->fds_n * sizeof(want[0])) != 0)
			return true;
	}
	return false;
}

/* ---- closing */

void
keeper_sockets_prune(struct keeper *k)
{
	struct keeper_listen *g;
	char text[LISTEN_ADDRESS_BYTES];

	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++) {
		if (g->fds_n == 0 || wanted_at(k, g) != NULL)
			continue;
		(void)owners_tell(k, g, MESSAGE_UNLISTEN);
		keeper_listen_text(&g->listener, text);
		log_info("listener %s: %s is closed", g->listener.name, text);
		keeper_listen_close(g);
	}
}

void
keeper_sockets_close(struct keeper *k)
{
	struct keeper_listen *g;

	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++)
		keeper_listen_close(g);
}
