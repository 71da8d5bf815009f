/* xds/ems/port.c - see port.h. */
#include "xds/ems/port.h"

#include <errno.h>
#include <string.h>

#include "shm/log.h"

enum { ACCEPTS = 64, PAUSE_MS = 100 };

static void
accept_some(struct port *p)
{
	struct sys *sys = p->loop->sys;
	int fd = -1, i;

	for (i = 0; i < ACCEPTS && !p->stopped; i++) {
		if ((fd = sys->accept(sys->ctx, p->fd)) == -1)
			break;
		p->came(p, fd);
	}
	if (i == ACCEPTS) {
		loop_soon(p->loop, &p->again);
	} else if (fd == -1 && errno != EAGAIN && !p->stopped) {
		log_warn("can't accept a connection: %s; trying again",
		    strerror(errno));
		timer_start(&p->loop->timers, &p->pause, p->loop->now,
		    PAUSE_MS);
	}
}

static void
port_ready(struct source *s, uint32_t events)
{
	(void)events;
	accept_some(CONTAINER(s, struct port, source));
}

static void
port_again(struct task *t)
{
	accept_some(CONTAINER(t, struct port, again));
}

static void
pause_over(struct timer *t)
{
	accept_some(CONTAINER(t, struct port, pause));
}

int
port_open(struct port *p, struct loop *l, int fd,
    void (*came)(struct port *p, int fd))
{
	*p = (struct port){ .source.ready = port_ready, .again.run =
	    port_again, .pause.fire = pause_over, .loop = l, .came = came,
	    .fd = fd };
	if (loop_watch(l, fd, &p->source) != 0) {
		int error = errno;

		l->sys->close(l->sys->ctx, fd);
		errno = error;
		return -1;
	}
	loop_soon(l, &p->again);
	return 0;
}

void
port_close(struct port *p)
{
	loop_forget(p->loop, &p->source);
	loop_cancel(p->loop, &p->again);
	timer_stop(&p->loop->timers, &p->pause);
	p->loop->sys->close(p->loop->sys->ctx, p->fd);
}
