/*
 * master/keeper_client.c - control.sock: godwit -s, and the reloads that it
 * and HUP ask for; what is withdrawn is the master's answer to a number. See
 * keeper_state.h.
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
	char why[128];

	k->reload_running = true;
	k->reload_again = false;
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (k->clients[i].wait == CLIENT_RELOAD_NEXT)
			k->clients[i].wait = CLIENT_RELOAD_NOW;
	notify_reloading(&k->notify, k->now);
	if (control_send(k->master.control_fd, &m, NULL) == -1) {
		snprintf(why, sizeof(why), "the master does not hear (%s): "
		    "try again", strerror(errno));
		keeper_reload_done(k, why);
	}
}

void
keeper_reload_next(struct keeper *k)
{
	/* A change that nobody asked for, a successor's first, goes first. */
	if (k->reload_again && !k->reload_running &&
	    k->state == KEEPER_SERVING && k->change == CHANGE_NONE &&
	    k->master.control_fd != -1 && k->master_settled)
		reload_start(k);
}

void
keeper_reload_ask(struct keeper *k)
{
	if (k->state >= KEEPER_LEAVING) {
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
	if (fail != NULL)	/* first: who is answered looks into the log */
		log_error("reload refused, generation %llu stays: %s",
		    (unsigned long long)k->generation, fail);
	answer_all(k, CLIENT_RELOAD_NOW, fail == NULL ? CONTROL_OK :
	    CONTROL_FAIL, fail == NULL ? text : fail);
	keeper_reload_next(k);
}

/* ---- apps that will stop */

void
keeper_withdraw_done(struct keeper *k, uint32_t number, bool bad,
    const char *text)
{
	struct keeper_client *c;

	for (c = k->clients; c < k->clients + KEEPER_CLIENTS; c++)
		if (c->fd != -1 && c->wait == CLIENT_WITHDRAW &&
		    c->number == number)
			client_answer(c, bad ? CONTROL_FAIL : CONTROL_OK,
			    text);
}

void
keeper_withdraw_lost(struct keeper *k)
{
	answer_all(k, CLIENT_WITHDRAW, CONTROL_FAIL, "the master died "
	    "meanwhile, and its successor registers anew: try again");
}

/* ---- commands */

static const char *
worker_state(const struct keeper_worker *w)
{
	return w->alarmed ? "hangs" : w->kill_due.ns != 0 ? "leaving" :
	    w->ready ? "serving" : "starting";
}

static void
worker_text(const struct keeper *k, const struct keeper_worker *w, int slot,
    char *text, size_t text_len)
{
	if (w->child.pid == 0)
		snprintf(text, text_len, "worker %d: dead, born again in "
		    "%lld ms", slot, w->child.start_due.ns == 0 ? 0 :
		    (long long)mono_between_ms(k->now, w->child.start_due));
	else
		snprintf(text, text_len, "worker %d: pid %d, %s, generation "
		    "%llu, up for %lld s, born %llu times", slot,
		    (int)w->child.pid, worker_state(w),
		    (unsigned long long)count_get(&w->row->announced),
		    (long long)mono_between_ms(w->child.born, k->now) / 1000,
		    (unsigned long long)count_get(&w->row->incarnation));
}

static void
say_workers(struct keeper *k, struct keeper_client *c)
{
	char text[256];
	struct keeper_worker *w;

	for (int i = 0; i < k->workers_n; i++) {
		w = &k->workers[i];
		if (!w->wanted && w->child.pid == 0)
			continue;
		worker_text(k, w, i, text, sizeof(text));
		(void)control_say(c->fd, CONTROL_TEXT, text);
	}
}

static void
master_text(const struct keeper *k, char *text, size_t text_len)
{
	if (k->master.pid == 0)
		snprintf(text, text_len, "master: dead, the next is born in "
		    "%lld ms", k->master.start_due.ns == 0 ? 0 :
		    (long long)mono_between_ms(k->now, k->master.start_due));
	else
		snprintf(text, text_len, "master: pid %d, %s, the %llu. of "
		    "this godwit", (int)k->master.pid, k->master_settled &&
		    k->change == CHANGE_NONE ? "at rest" : "publishing",
		    (unsigned long long)k->masters);
}

static void
status_say(struct keeper *k, struct keeper_client *c)
{
	char text[512], at[LISTEN_ADDRESS_BYTES];
	const struct keeper_listen *g;

	snprintf(text, sizeof(text), "godwit: pid %d, %s, generation %llu, "
	    "up for %lld s", (int)getpid(), keeper_state_name(k),
	    (unsigned long long)k->generation,
	    (long long)mono_between_ms(k->born, k->now) / 1000);
	(void)control_say(c->fd, CONTROL_TEXT, text);
	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS; g++) {
		if (g->fds_n == 0)
			continue;
		keeper_listen_text(&g->listener, at);
		snprintf(text, sizeof(text), "listener %s: %s",
		    g->listener.name, at);
		(void)control_say(c->fd, CONTROL_TEXT, text);
	}
	master_text(k, text, sizeof(text));
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
	char text[512];

	if (keeper_log_open(k, text, sizeof(text)) == -1) {
		log_error("%s", text);
		client_answer(c, CONTROL_FAIL, text);
		return;
	}
	snprintf(text, sizeof(text), "the log goes to %s",
	    k->log_file[0] == '\0' ? "standard error" : k->log_file);
	client_answer(c, CONTROL_OK, text);
}

static void
withdraw_say(struct keeper *k, struct keeper_client *c, const char *name)
{
	if (k->state >= KEEPER_LEAVING) {
		client_answer(c, CONTROL_OK, "godwit is ending: what is "
		    "registered leaves with it");
		return;
	}
	c->wait = CLIENT_WITHDRAW;
	if (!keeper_master_withdraw(k, name, c->number))
		client_answer(c, CONTROL_FAIL, "the master does not hear: "
		    "try again");
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

static const struct command {
	const char	*word;
	void		(*run)(struct keeper *k, struct keeper_client *c);
	/* Or, of WORD[=VALUE]: */
	void		(*run_of)(struct keeper *k, struct keeper_client *c,
			    const char *value);
} commands[] = {
	{ "reload", reload_say, NULL }, { "reopen", reopen_say, NULL },
	{ "drain", drain_say, NULL }, { "stop", stop_say, NULL },
	{ "status", status_say, NULL }, { "withdraw", NULL, withdraw_say },
};

/* NULL: there is none, or none that takes a value. */
static const struct command *
command_find(const char *said, size_t word_n)
{
	const struct command *c = commands;
	const struct command *end = c + sizeof(commands) / sizeof(*c);

	while (c < end && (strncmp(c->word, said, word_n) != 0 ||
	    c->word[word_n] != '\0'))
		c++;
	return c < end && (said[word_n] == '\0' || c->run_of != NULL) ? c :
	    NULL;
}

static void
command_run(struct keeper *k, struct keeper_client *c, const char *said)
{
	char text[CONTROL_TEXT_BYTES];
	size_t word_n = strcspn(said, "=");
	const struct command *found = command_find(said, word_n);

	if (found == NULL) {
		snprintf(text, sizeof(text), "\"%.64s\" is none of reload, "
		    "reopen, drain, stop, status and withdraw[=SERVICE]",
		    said);
		client_answer(c, CONTROL_FAIL, text);
	} else if (found->run != NULL)
		found->run(k, c);
	else
		found->run_of(k, c, said[word_n] == '\0' ? "" :
		    said + word_n + 1);
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
	c->number = k->clients_ever++;
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
	answer_all(k, CLIENT_WITHDRAW, CONTROL_FAIL, "godwit is ending");
	answer_all(k, CLIENT_ASKING, CONTROL_FAIL, "godwit is ending");
}
