/*
 * xds/ems/door.c - see call.h: a port and its connections.
 *
 *   port.c ──> visitor ──> conn ──> call.c
 */
#include "xds/ems/call_inside.h"

#include <stdlib.h>

#include "shm/log.h"
#include "worker/io/address.h"
#include "xds/ems/port.h"

enum {
	STREAMS = 100, HEADER_BYTES = 65536, HEADERS = 100,
	HANDSHAKE_MS = 10000,
	/* What a proxy may send ahead: its requests name what it wants. */
	WINDOW_BYTES = 1 << 20,
};

struct door {
	struct port	 port;
	struct io	*io;
	struct door_settings settings;
	LIST_HEAD(, visitor) visitors;
	size_t		 visitors_n;
	bool		 draining, full;
};

const struct door_settings *
door_settings(const struct door *d)
{
	return &d->settings;
}

bool
door_drains(const struct door *d)
{
	return d->draining;
}

size_t
door_connections(const struct door *d)
{
	return d->visitors_n;
}

/* ---- connections */

static void
visitor_opened(struct conn *c)
{
	struct visitor *v = CONTAINER(c, struct visitor, conn);

	if (v->door->draining)
		conn_drain(c);
}

static void
visitor_closed(struct conn *c)
{
	struct visitor *v = CONTAINER(c, struct visitor, conn);

	if (c->end != CONN_END_PEER && c->end != CONN_END_LOCAL)
		log_info("%s: the connection ended: %s", v->address, c->why);
	LIST_REMOVE(v, link);
	v->door->visitors_n--;
	if (v->tls != NULL)
		tls_context_put(v->tls);
	free(v);
}

static const struct conn_events visitor_events = {
	.opened = visitor_opened, .closed = visitor_closed,
};

static void
peer_text(const struct door *d, int fd, char *to, size_t cap)
{
	struct sockaddr_storage a = { 0 };

	(void)d->io->sys->peer(d->io->sys->ctx, fd, &a);
	address_print(&a, to, cap);
}

static void
visit(struct port *p, int fd)
{
	struct door *d = CONTAINER(p, struct door, port);
	const struct conn_settings s = {
	    .h2 = { .server = true, .max_concurrent_streams = STREAMS,
		.stream_window_bytes = WINDOW_BYTES,
		.connection_window_bytes = WINDOW_BYTES,
		.hpack_table_bytes = 4096, .header_bytes_max = HEADER_BYTES,
		.header_count_max = HEADERS, .limits = H2_LIMITS_DEFAULT },
	    .h2_events = &call_events, .events = &visitor_events,
	    .tls = d->settings.tls, .open_timeout_ms = HANDSHAKE_MS,
	    .keepalive_ms = d->settings.keepalive_ms,
	    .keepalive_timeout_ms = d->settings.keepalive_timeout_ms };
	struct visitor *v = d->visitors_n < d->settings.connections_max ?
	    calloc(1, sizeof(*v)) : NULL;

	if (v == NULL) {
		if (!d->full)
			log_warn("a connection is closed: there are %zu, "
			    "expected at most %u", d->visitors_n,
			    d->settings.connections_max);
		d->full = true;
		d->io->sys->close(d->io->sys->ctx, fd);
		return;
	}
	v->door = d;
	LIST_INIT(&v->calls);
	peer_text(d, fd, v->address, sizeof(v->address));
	if (!conn_accept(&v->conn, d->io, fd, &s)) {
		free(v);
		return;
	}
	d->full = false;
	if (d->settings.tls != NULL)
		v->tls = tls_context_get(d->settings.tls);
	LIST_INSERT_HEAD(&d->visitors, v, link);
	d->visitors_n++;
}

/* ---- life */

struct door *
door_open(struct io *io, int fd, const struct door_settings *s)
{
	struct door *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->io = io;
	d->settings = *s;
	LIST_INIT(&d->visitors);
	if (port_open(&d->port, io->loop, fd, visit) == -1) {
		free(d);
		return NULL;
	}
	if (s->tls != NULL)
		tls_context_get(s->tls);
	return d;
}

void
door_tls(struct door *d, struct tls_context *tls)
{
	if (d->settings.tls != NULL)
		tls_context_put(d->settings.tls);
	d->settings.tls = tls == NULL ? NULL : tls_context_get(tls);
}

void
door_drain(struct door *d)
{
	struct visitor *v;

	d->draining = true;
	port_stop(&d->port);
	LIST_FOREACH(v, &d->visitors, link) {
		conn_drain(&v->conn);
		calls_leave(v);
	}
}

void
door_close(struct door *d)
{
	if (d == NULL)
		return;
	d->draining = true;
	while (!LIST_EMPTY(&d->visitors))
		conn_close(&LIST_FIRST(&d->visitors)->conn);
	port_close(&d->port);
	if (d->settings.tls != NULL)
		tls_context_put(d->settings.tls);
	free(d);
}
