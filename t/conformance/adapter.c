/*
 * t/conformance/adapter.c - godwit-ems' side of xDS, with a state that the
 * conformance suite sets by the service that it wants of a server it tests.
 *
 *   adapter.Adapter/SetState ... ──> state (catalog) ──wake──> push ──> streams
 *   the suite's streams of xDS ──> door, call, proxy ──ems_view──> catalog
 *
 * What serves the streams is godwit-ems' own. In front of two of its functions
 * (-Wl,--wrap) stand two of ours:
 *
 *   ems_view    every proxy gets the one view, which is made of no intents
 *   push_take   the suite gives each change a version ("1", "2") and wants to
 *               read it in version_info or system_version_info, where ours
 *               has a number of the catalog's: that field is replaced, and
 *               nothing else
 *
 * It prints its port, and ends when its input does. Who is right where the
 * suite and we differed: README.md. Test: t/conformance/run.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "t/conformance/state.h"
#include "xds/ems/proxy.h"
#include "xds/ems/settings.h"
#include "xds/wire.h"

enum {
	MESSAGE_BYTES_MAX = 1 << 20, CONNECTIONS_MAX = 64,
	/* The suite unsubscribes on its stream, changes the resource by a call
	 * on another connection at once, and takes it that we hear it in
	 * this order. So what it wishes is done a little later. */
	WISH_MS = 200,
};

struct adapter {
	struct loop	 loop;
	struct io	 io;
	struct ems	 ems;
	struct view	*view;
	struct state	 state;		/* of view's catalog */
	struct proxy_door proxies;	/* owns what methods point to */
	struct call_method methods[PROXY_METHODS + STATE_DEEDS];
	struct door	*door;
	struct source	 input;
};

static struct adapter adapter;

/* ---- the suite's calls */

struct wish {				/* one of them */
	struct timer	 timer;
	struct call	*call;
	const struct state_deed *deed;
	struct body	*request;	/* NULL: it has not come */
};

/* All answers but ClearState's, which has a text, are { bool success = 1 }. */
static void
wish_answer(const struct wish *w, const char *why)
{
	static const uint8_t success[] = { 1 << WIRE_FIELD_BITS, 1 };
	struct body *b = why != NULL ? NULL : body_copy(success,
	    w->deed == &state_deeds[1] ? 0 : sizeof(success));

	if (why == NULL && b == NULL)
		why = "no memory is left";
	if (why != NULL) {
		log_warn("%s: %s", w->deed->path, why);
		call_finish(w->call, CALL_INVALID_ARGUMENT, why);
	} else if (call_send(w->call, b, NULL, 0))
		call_finish(w->call, CALL_OK, "");
}

static void
wish_due(struct timer *t)
{
	const struct wish *w = CONTAINER(t, struct wish, timer);
	const char *why = state_change(&adapter.state, w->deed,
	    w->request->bytes, w->request->len);

	adapter.view->news = true;
	proxies_wake(&adapter.ems);
	wish_answer(w, why);
}

static void *
on_begin(void *arg, struct call *c)
{
	struct wish *w = malloc(sizeof(*w));

	if (w != NULL)
		*w = (struct wish){ .timer.fire = wish_due, .call = c,
		    .deed = arg };
	else
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
	return w;
}

static void
on_message(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct wish *w = state;

	(void)c;
	if (w->request != NULL)
		return;
	if ((w->request = body_copy(bytes, n)) == NULL)
		wish_answer(w, "no memory is left");
	else
		timer_start(&adapter.loop.timers, &w->timer, adapter.loop.now,
		    WISH_MS);
}

static void
on_half_closed(void *state, struct call *c)
{
	const struct wish *w = state;

	(void)c;
	if (w->request == NULL)
		wish_answer(w, "there was no message, expected one");
}

static void
on_room(void *state, struct call *c)
{
	(void)state;
	(void)c;
}

static void
on_closed(void *state, struct call *c)
{
	struct wish *w = state;

	(void)c;
	timer_stop(&adapter.loop.timers, &w->timer);
	body_put(w->request);
	free(w);
}

static const struct call_handler handler = { on_begin, on_message,
    on_half_closed, on_room, on_closed, NULL };

/* ---- in front of godwit-ems' own */

struct view *__wrap_ems_view(struct ems *e, const struct push_node *n,
	    const char *names, enum ems_refusal *refusal, char *why,
	    size_t why_len);
int	__real_push_take(struct push *s, int64_t now_ms,
	    struct push_message *m);
int	__wrap_push_take(struct push *s, int64_t now_ms,
	    struct push_message *m);

struct view *
__wrap_ems_view(struct ems *e, const struct push_node *n, const char *names,
    enum ems_refusal *refusal, char *why, size_t why_len)
{
	(void)e;
	(void)n;
	(void)names;
	(void)refusal;
	(void)why;
	(void)why_len;
	adapter.view->users++;
	return adapter.view;
}

/* Both responses: 1 version, 4 type_url. */
static const char *
version_of(const struct body *b)
{
	const uint8_t *at = b->bytes;
	char url[STATE_TEXT_BYTES] = "";
	struct wire_field f;

	while (wire_take(&at, b->bytes + b->len, &f))
		if (f.tag == WIRE_TAG(4))
			snprintf(url, sizeof(url), "%.*s", (int)f.len,
			    (const char *)f.data);
	return adapter.state.versions[resource_kind_find(url)];
}

static void
response_write(struct wire_out *w, const struct body *b)
{
	const uint8_t *at = b->bytes;
	struct wire_field f;

	wire_put_text(w, WIRE_TAG(1), version_of(b));
	while (wire_take(&at, b->bytes + b->len, &f))
		if (f.tag != WIRE_TAG(1))
			wire_put(w, (uint32_t)f.tag, f.data, f.len);
}

int
__wrap_push_take(struct push *s, int64_t now_ms, struct push_message *m)
{
	struct wire_out w = { 0 };
	struct body *b;
	int rc = __real_push_take(s, now_ms, m);

	if (rc != 1)
		return rc;
	response_write(&w, m->body);
	if ((b = body_new(w.n)) != NULL) {
		w = (struct wire_out){ .to = b->bytes };
		response_write(&w, m->body);
	}
	body_put(m->body);
	m->body = b;
	return b == NULL ? -1 : 1;
}

/* ---- life */

static void
input_ready(struct source *s, uint32_t events)
{
	char bytes[256];

	(void)s;
	(void)events;
	if (read(STDIN_FILENO, bytes, sizeof(bytes)) == 0)
		adapter.loop.stop = true;
}

static void
methods_fill(struct adapter *a)
{
	proxy_door_init(&a->proxies, &a->ems);
	memcpy(a->methods, a->proxies.methods, sizeof(a->proxies.methods));
	for (int i = 0; i < STATE_DEEDS; i++)
		a->methods[PROXY_METHODS + i] = (struct call_method){
		    state_deeds[i].path, &handler,
		    (void *)(uintptr_t)&state_deeds[i], MESSAGE_BYTES_MAX };
}

/* The port. -1: why. */
static int
adapter_open(struct adapter *a, char *why, size_t why_len)
{
	static const struct ems_settings settings = { .identifier =
	    "t/conformance/adapter" };
	static const struct view_key key = { VIEW_SIDECAR, "", "", "", "", "" };
	const struct door_settings d = { .methods = a->methods,
	    .methods_n = PROXY_METHODS + STATE_DEEDS,
	    .connections_max = CONNECTIONS_MAX };
	struct sockaddr_in here = { 0 };
	socklen_t len = sizeof(here);
	int fd = settings_listen("127.0.0.1:0", why, why_len);

	if (fd == -1)
		return -1;
	loop_init(&a->loop, sys_kernel_new());
	ems_init(&a->ems, &a->loop, &settings);
	a->view = view_new(&settings.view, &key, 0);
	methods_fill(a);
	a->input.ready = input_ready;
	if (a->view == NULL || io_init(&a->io, &a->loop) == -1 ||
	    (a->door = door_open(&a->io, fd, &d)) == NULL ||
	    getsockname(fd, (struct sockaddr *)&here, &len) == -1)
		return why_set(why, why_len, "no memory is left");
	a->view->users = 1;
	a->state.catalog = &a->view->catalog;
	if (loop_watch(&a->loop, STDIN_FILENO, &a->input) == -1)
		return why_set(why, why_len, "the input is a file, expected a "
		    "pipe or a terminal");
	return ntohs(here.sin_port);
}

int
main(void)
{
	struct adapter *a = &adapter;
	char why[256];
	int port;

	signal(SIGPIPE, SIG_IGN);
	log_open("adapter", LOG_INFO);
	if ((port = adapter_open(a, why, sizeof(why))) == -1) {
		log_error("can't start: %s", why);
		return 1;
	}
	printf("%d\n", port);
	fflush(stdout);
	loop_run(&a->loop);
	door_close(a->door);
	view_free(a->view);
	ems_fini(&a->ems);
	io_fini(&a->io);
	sys_kernel_free(a->loop.sys);
	return 0;
}
