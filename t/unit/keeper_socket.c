/*
 * t/unit/keeper_socket.c - sockets are dealt to workers: see
 * master/keeper_socket.c. Here a worker is the far end of its control socket
 * and a list of what it was told to serve.
 */
#include "master/keeper_state.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"
#include "t/lib/unit_process.h"

enum { WORKERS = 5 };

static struct keeper k;
static char why[512];

/* What a worker serves: by group and index. */
struct served {
	bool		 is;
	ino_t		 inode;		/* of the socket */
	uint32_t	 listener, tag;
};

static struct far {
	int		 control_fd;	/* its end */
	struct served	 served[KEEPER_LISTENERS][CONTROL_WORKERS_MAX];
} far[WORKERS];

static ino_t
inode(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* ---- workers */

static void
listen_said(struct far *w, const struct message *m, const int *fds)
{
	for (uint32_t i = 0; i < m->sockets_n; i++) {
		struct served *s = &w->served[m->group][m->sockets[i]];

		if (fds[i] == -1 && !s->is)
			continue;	/* the name of one that was taken */
		if (fds[i] != -1) {
			cr_assert(!s->is || s->inode == inode(fds[i]));
			s->inode = inode(fds[i]);
			close(fds[i]);
		}
		s->is = true;
		s->listener = m->listener;
		s->tag = m->tag;
	}
}

/* How many messages it had. */
static int
far_hear(struct far *w)
{
	int fds[PASS_FDS_MAX], n = 0;
	struct message m;

	while (message_receive(w->control_fd, &m, fds) == 1) {
		n++;
		if (m.kind == MESSAGE_LISTEN)
			listen_said(w, &m, fds);
		else
			for (uint32_t i = 0; i < m.sockets_n; i++)
				w->served[m.group][m.sockets[i]].is = false;
	}
	return n;
}

static int
all_hear(void)
{
	int n = 0;

	for (int i = 0; i < WORKERS; i++)
		if (far[i].control_fd != -1)
			n += far_hear(&far[i]);
	return n;
}

static void
far_open(int i)
{
	int pair[2];

	cr_assert_eq(pass_pair(pair), 0);
	cr_assert_eq(pass_nonblocking(pair[1]), 0);
	k.workers[i].child.control_fd = pair[0];
	far[i].control_fd = pair[1];
	memset(far[i].served, 0, sizeof(far[i].served));
}

static void
far_close(int i)
{
	close(k.workers[i].child.control_fd);
	close(far[i].control_fd);
	k.workers[i].child.control_fd = far[i].control_fd = -1;
}

static void
keeper_open(void)
{
	log_level_set(LOG_ERROR);
	memset(&k, 0, sizeof(k));
	k.state = KEEPER_SERVING;
	k.workers_n = WORKERS;
	k.settings.workers_n = WORKERS;
	for (int i = 0; i < WORKERS; i++)
		far_open(i);
}

static void
keeper_close(void)
{
	keeper_sockets_close(&k);
	for (int i = 0; i < WORKERS; i++)
		if (far[i].control_fd != -1)
			far_close(i);
}

/* ---- listeners */

static struct sockaddr_in *
v4(struct control_listener *l)
{
	return (void *)&l->address;
}

/* At a port that nobody has. */
static struct control_listener
listener(uint32_t slot, uint32_t tag)
{
	struct control_listener l = { .slot = slot, .tag = tag,
	    .address_len = sizeof(struct sockaddr_in) };
	socklen_t len = sizeof(l.address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	snprintf(l.name, sizeof(l.name), "l%u", slot);
	v4(&l)->sin_family = AF_INET;
	v4(&l)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&l.address, l.address_len),
	    0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&l.address, &len), 0);
	close(fd);
	return l;
}

static int
want(const struct control_listener *ls, int n)
{
	memcpy(k.wanted, ls, (size_t)n * sizeof(*ls));
	k.wanted_n = n;
	return keeper_sockets_bind(&k, why, sizeof(why));
}

static const struct keeper_listen *
group_of(const struct control_listener *l)
{
	for (int i = 0; i < KEEPER_LISTENERS; i++)
		if (k.listeners[i].fds_n > 0 && memcmp(
		    &k.listeners[i].listener.address, &l->address,
		    l->address_len) == 0)
			return &k.listeners[i];
	return NULL;
}

/* These workers serve: "024". */
static void
serve(const char *slots)
{
	for (int i = 0; i < WORKERS; i++)
		k.workers[i].serving = strchr(slots, '0' + i) != NULL;
}

/* ---- what must hold once all was heard */

/* Socket s of l is served by the (s mod W)-th of these workers under the
 * newest name of l, and by nobody else. */
static void
dealt(const struct control_listener *l, const char *slots, const char *when)
{
	const struct keeper_listen *g = group_of(l);
	int group = (int)(g - k.listeners), n = (int)strlen(slots);

	cr_assert_not_null(g, "%s: it is not bound", when);
	cr_assert_geq(g->fds_n, LISTEN_SLOTS, "%s", when);
	for (int s = 0; s < g->fds_n; s++)
		for (int i = 0; i < WORKERS; i++) {
			const struct served *at = &far[i].served[group][s];
			bool its = n > 0 && slots[s % n] == '0' + i;

			cr_assert_eq(at->is, its, "%s: socket %d, worker %d",
			    when, s, i);
			if (!its)
				continue;
			cr_assert_eq(at->inode, inode(g->fds[s]), "%s", when);
			cr_assert(at->listener == l->slot && at->tag ==
			    l->tag, "%s: socket %d is that of %u %u", when, s,
			    at->listener, at->tag);
		}
}

static void
nothing_to_say(const char *when)
{
	cr_assert_not(keeper_sockets_due(&k), "%s", when);
	keeper_sockets_deal(&k);
	cr_assert_eq(all_hear(), 0, "%s: said twice", when);
}

static void
deal(const char *slots)
{
	serve(slots);
	keeper_sockets_deal(&k);
	all_hear();
}

/* ---- tests */

Test(keeper_socket, as_many_workers_as_serve)
{
	/* One after another: few, many, none, others. */
	static const char *const serving[] = { "0", "01", "01234", "013",
		"3", "24", "01234", "4" };
	struct control_listener ls[2];
	int descriptors = unit_descriptors_n();

	keeper_open();
	ls[0] = listener(0, 10);
	ls[1] = listener(1, 11);
	cr_assert_eq(want(ls, 2), 0, "%s", why);
	for (size_t i = 0; i < sizeof(serving) / sizeof(serving[0]); i++) {
		deal(serving[i]);
		dealt(&ls[0], serving[i], serving[i]);
		dealt(&ls[1], serving[i], serving[i]);
		nothing_to_say(serving[i]);
	}

	/* Nobody serves: those who did go on until they are told. */
	deal("");
	dealt(&ls[0], "4", "nobody serves");
	nothing_to_say("nobody serves");
	keeper_close();
	cr_assert_eq(unit_descriptors_n(), descriptors);
}

/* In between there is no moment in which a socket is nobody's. */
Test(keeper_socket, the_new_one_is_told_before_the_old_one)
{
	struct control_listener l;
	const struct keeper_listen *g;
	int fds[PASS_FDS_MAX];
	struct message m;

	keeper_open();
	l = listener(0, 10);
	cr_assert_eq(want(&l, 1), 0, "%s", why);
	deal("0");
	g = group_of(&l);
	serve("1");
	close(far[1].control_fd);	/* it is gone, which is not known yet */
	far[1].control_fd = -1;
	keeper_sockets_deal(&k);
	cr_assert_eq(message_receive(far[0].control_fd, &m, fds), -1,
	    "the old one is to go on");
	cr_assert(keeper_sockets_due(&k));
	for (int s = 0; s < g->fds_n; s++)
		cr_assert_eq(g->owners[s], 0);
	keeper_close();
}

Test(keeper_socket, a_death_and_a_successor)
{
	struct control_listener l;

	keeper_open();
	l = listener(0, 10);
	cr_assert_eq(want(&l, 1), 0, "%s", why);
	deal("012");

	/* The others take over what the dead one had. */
	far_close(1);
	memset(far[1].served, 0, sizeof(far[1].served));
	keeper_sockets_lost(&k, 1);
	serve("02");
	cr_assert(keeper_sockets_due(&k));
	keeper_sockets_deal(&k);
	all_hear();
	dealt(&l, "02", "without the dead one");

	/* Its successor knows nothing. */
	far_open(1);
	deal("012");
	dealt(&l, "012", "with its successor");
	far_close(1);
	keeper_sockets_lost(&k, 1);
	far_open(1);
	deal("012");
	dealt(&l, "012", "with a successor at once");
	nothing_to_say("then");

	/* All of them. */
	for (int i = 0; i < 3; i++) {
		far_close(i);
		keeper_sockets_lost(&k, i);
		far_open(i);
	}
	deal("");
	dealt(&l, "", "all died");
	deal("012");
	dealt(&l, "012", "all live again");
	keeper_close();
}

Test(keeper_socket, a_reload_names_them_anew)
{
	struct control_listener ls[2], other;
	int sockets;

	keeper_open();
	ls[0] = listener(0, 10);
	ls[1] = listener(1, 11);
	cr_assert_eq(want(ls, 2), 0, "%s", why);
	deal("01");

	/* The same again is nothing new. */
	cr_assert_eq(want(ls, 2), 0, "%s", why);
	nothing_to_say("the same again");

	/* Another slot, another tag: named, and no descriptor is sent. */
	ls[0].slot = 5;
	ls[1].tag = 12;
	sockets = unit_descriptors_n();
	cr_assert_eq(want(ls, 2), 0, "%s", why);
	cr_assert(keeper_sockets_due(&k));
	deal("01");
	dealt(&ls[0], "01", "another slot");
	dealt(&ls[1], "01", "another tag");
	nothing_to_say("renamed");
	cr_assert_eq(unit_descriptors_n(), sockets);

	/* Renamed, and other workers at once. */
	ls[0].tag = 20;
	cr_assert_eq(want(ls, 2), 0, "%s", why);
	deal("12");
	dealt(&ls[0], "12", "another tag and other workers");

	/* Moved: both addresses are served until the new one is in use. */
	other = listener(7, 21);
	cr_assert_eq(want((struct control_listener[]){ ls[0], other }, 2), 0,
	    "%s", why);
	deal("12");
	dealt(&ls[1], "12", "it goes");
	dealt(&other, "12", "it comes");
	keeper_sockets_prune(&k);
	all_hear();
	cr_assert_null(group_of(&ls[1]));
	for (int i = 0; i < WORKERS; i++)
		for (int s = 0; s < LISTEN_SLOTS; s++)
			cr_assert_not(far[i].served[1][s].is, "removed");
	dealt(&ls[0], "12", "the other stays");
	dealt(&other, "12", "it came");
	nothing_to_say("moved");

	/* Its address is free again, its group too. */
	cr_assert_eq(want((struct control_listener[]){ ls[0], other, ls[1] },
	    3), 0, "%s", why);
	deal("12");
	dealt(&ls[1], "12", "back again");
	keeper_close();
}

/* Nothing of a change that can't be bound stays, and nobody hears of it. */
Test(keeper_socket, what_cannot_be_bound)
{
	struct control_listener ls[3], taken;
	int fd = socket(AF_INET, SOCK_STREAM, 0), descriptors;

	keeper_open();
	ls[0] = listener(0, 10);
	cr_assert_eq(want(ls, 1), 0, "%s", why);
	deal("01");
	taken = listener(2, 13);
	cr_assert_eq(bind(fd, (struct sockaddr *)&taken.address,
	    taken.address_len), 0);
	cr_assert_eq(listen(fd, 1), 0);
	descriptors = unit_descriptors_n();

	ls[0].tag = 99;			/* not accepted either */
	ls[1] = listener(1, 12);
	ls[2] = taken;
	cr_assert_eq(want(ls, 3), -1);
	cr_assert_not_null(strstr(why, "listener l2: 127.0.0.1:"), "%s", why);
	cr_assert_not_null(strstr(why, "is in use by another process"), "%s",
	    why);
	cr_assert_eq(unit_descriptors_n(), descriptors, "sockets are left");
	cr_assert_null(group_of(&ls[1]));
	ls[0].tag = 10;
	nothing_to_say("refused");
	dealt(&ls[0], "01", "refused");
	close(fd);
	keeper_close();
}

/* A worker that hangs has a full queue: what it was not told is due. */
Test(keeper_socket, a_worker_that_hears_nothing)
{
	struct control_listener l;
	int said = 0;

	keeper_open();
	l = listener(0, 10);
	cr_assert_eq(want(&l, 1), 0, "%s", why);
	deal("01");
	while (message_say(k.workers[1].child.control_fd, MESSAGE_READY) == 0)
		said++;
	cr_assert_gt(said, 0);
	l.tag = 11;
	cr_assert_eq(want(&l, 1), 0, "%s", why);
	keeper_sockets_deal(&k);
	cr_assert(keeper_sockets_due(&k));
	far_hear(&far[1]);
	keeper_sockets_deal(&k);
	all_hear();
	dealt(&l, "01", "it hears again");
	nothing_to_say("it hears again");
	keeper_close();
}

Test(keeper_socket, who_drains_is_given_nothing)
{
	struct control_listener l;

	keeper_open();
	l = listener(0, 10);
	cr_assert_eq(want(&l, 1), 0, "%s", why);
	k.state = KEEPER_DRAINING;
	deal("01");
	dealt(&l, "", "draining");
	keeper_close();
}
