/*
 * master/keeper_client.c - control.sock: godwit -s, and the reloads that it
 * and HUP ask for. See keeper_state.h.
 *
 *   ask ──> running ──> done          one reload at a time; who asks while
 *            │    ^                   one runs waits for the next, which
 *            └────┘ asked meanwhile   reads the file after he asked
 */
#include "master/keeper_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

static void
client_close(struct keeper_client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void
client_answer(struct keeper_client *c, enum control_kind kind,
    const char *text)
{
	(void)control_say(c->fd, kind, text);
	client_close(c);
}

static void
answer_all(struct keeper *k, enum client_wait wait, enum control_kind kind,
    const char *text)
{
	struct keeper_client *c;

	for (c = k->clients; c < k->clients + KEEPER_CLIENTS; c++)
		if (c->fd != -1 && c->wait == wait)
			client_answer(c, kind, text);
}

/* ---- reloads */

static void
reload_start(struct keeper *k)
{
	struct control m = { .kind = CONTROL_RELOAD };

	k->reload_running = true;
	k->reload_again = false;
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (k->clients[i].wait == CLIENT_RELOAD_NEXT)
			k->clients[i].wait = CLIENT_RELOAD_NOW;
	notify_reloading(&k->notify, k->now);
	if (k->master.control_fd == -1)
		keeper_reload_done(k, "the master died; the workers serve on "
		    "with what they have: restart godwit");
	else if (control_send(k->master.control_fd, &m, NULL) == -1)
		keeper_reload_done(k, strerror(errno));
}

void
keeper_reload_next(struct keeper *k)
{
	if (k->reload_again && !k->reload_running &&
	    k->state == KEEPER_SERVING)
		reload_start(k);
}

void
keeper_reload_ask(struct keeper *k)
{
	if (k->state >= KEEPER_DRAINING) {
		log_warn("no reload: godwit is ending");
		answer_all(k, CLIENT_RELOAD_NEXT, CONTROL_FAIL,
		    "godwit is ending");
		return;
	}
	k->reload_again = true;
	keeper_reload_next(k);
}

void
keeper_reload_done(struct keeper *k, const char *fail)
{
	char status[1024], text[128];

	if (!k->reload_running)
		return;
	k->reload_running = false;
	keeper_status(k, status, sizeof(status));
	notify_ready(&k->notify, status);
	snprintf(text, sizeof(text), "generation %llu is published",
	    (unsigned long long)k->generation);
	answer_all(k, CLIENT_RELOAD_NOW, fail == NULL ? CONTROL_OK :
	    CONTROL_FAIL, fail == NULL ? text : fail);
	if (fail != NULL)
		log_error("reload refused, generation %llu stays: %s",
		    (unsigned long long)k->generation, fail);
	keeper_reload_next(k);
}

/* ---- commands */

static const char *const state_names[] = { "starting", "starting", "serving",
	"draining", "stopping" };

static void
say_workers(struct keeper *k, struct keeper_client *c)
{
	char text[256];
	struct keeper_worker *w;

	for (int i = 0; i < k->workers_n; i++) {
		w = &k->workers[i];
		if (w->child.pid == 0)
			snprintf(text, sizeof(text), "worker %d: dead", i);
		else
			snprintf(text, sizeof(text), "worker %d: pid %d, %s, "
			    "generation %llu", i, (int)w->child.pid,
			    w->ready ? "serving" : "starting",
			    (unsigned long long)count_get(&w->row->announced));
		(void)control_say(c->fd, CONTROL_TEXT, text);
	}
}

static void
status_say(struct keeper *k, struct keeper_client *c)
{
	char text[512], at[LISTEN_ADDRESS_BYTES];

	snprintf(text, sizeof(text), "godwit: pid %d, %s, generation %llu, "
	    "up for %lld s", (int)getpid(), state_names[k->state],
	    (unsigned long long)k->generation,
	    (long long)mono_between_ms(k->born, k->now) / 1000);
	(void)control_say(c->fd, CONTROL_TEXT, text);
	for (int i = 0; i < k->listeners_n; i++) {
		keeper_listen_text(&k->listeners[i].listener, at);
		snprintf(text, sizeof(text), "listener %s: %s",
		    k->listeners[i].listener.name, at);
		(void)control_say(c->fd, CONTROL_TEXT, text);
	}
	if (k->master.pid != 0)
		snprintf(text, sizeof(text), "master: pid %d",
		    (int)k->master.pid);
	else
		snprintf(text, sizeof(text), "master: dead");
	(void)control_say(c->fd, CONTROL_TEXT, text);
	say_workers(k, c);
	client_answer(c, CONTROL_OK, "");
}

static void
reload_say(struct keeper *k, struct keeper_client *c)
{
	c->wait = CLIENT_RELOAD_NEXT;
	keeper_reload_ask(k);
}

static void
reopen_say(struct keeper *k, struct keeper_client *c)
{
	(void)k;
	client_answer(c, CONTROL_OK,
	    "nothing to reopen: the log goes to standard error");
}

/* These two are answered by our end (keeper_clients_close). */
static void
drain_say(struct keeper *k, struct keeper_client *c)
{
	c->wait = CLIENT_END;
	keeper_drain(k);
}

static void
stop_say(struct keeper *k, struct keeper_client *c)
{
	c->wait = CLIENT_END;
	keeper_stop(k);
}

static const struct {
	const char	*word;
	void		(*run)(struct keeper *k, struct keeper_client *c);
} commands[] = {
	{ "reload", reload_say }, { "reopen", reopen_say },
	{ "drain", drain_say }, { "stop", stop_say },
	{ "status", status_say },
};

static void
command_run(struct keeper *k, struct keeper_client *c, const char *word)
{
	char text[CONTROL_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].word, word) == 0) {
			commands[i].run(k, c);
			return;
		}
	snprintf(text, sizeof(text), "\"%.64s\" is none of reload, reopen, "
	    "drain, stop and status", word);
	client_answer(c, CONTROL_FAIL, text);
}

void
keeper_client_heard(struct keeper *k, struct keeper_client *c)
{
	struct control m;
	int fds[CONTROL_FDS_MAX], got;

	if (c->fd == -1)
		return;
	got = control_receive(c->fd, &m, fds);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got == 1 && m.kind == CONTROL_COMMAND &&
	    c->wait == CLIENT_ASKING) {
		command_run(k, c, m.text);
		return;
	}
	for (int i = 0; got == 1 && i < CONTROL_FDS_MAX; i++)
		if (fds[i] != -1)
			close(fds[i]);
	client_close(c);	/* it left, or talks what it may not */
}

void
keeper_client_accept(struct keeper *k)
{
	struct keeper_client *c = k->clients;
	int fd = accept4(k->control_fd, NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd == -1)
		return;
	while (c < k->clients + KEEPER_CLIENTS && c->fd != -1)
		c++;
	if (c == k->clients + KEEPER_CLIENTS) {
		(void)control_say(fd, CONTROL_FAIL,
		    "too many callers at once: try again");
		close(fd);
		return;
	}
	c->fd = fd;
	c->wait = CLIENT_ASKING;
}

void
keeper_clients_close(struct keeper *k)
{
	if (k->exit_code == 0)
		answer_all(k, CLIENT_END, CONTROL_OK, "godwit is down");
	answer_all(k, CLIENT_END, CONTROL_FAIL, "godwit is down, but not "
	    "cleanly: its log says why");
	answer_all(k, CLIENT_RELOAD_NOW, CONTROL_FAIL, "godwit is ending");
	answer_all(k, CLIENT_RELOAD_NEXT, CONTROL_FAIL, "godwit is ending");
	answer_all(k, CLIENT_ASKING, CONTROL_FAIL, "godwit is ending");
}
