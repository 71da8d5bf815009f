/* master/keeper_listen.c - see keeper_listen.h. */
#include "master/keeper_listen.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

int
keeper_listen_slots(int workers_n)
{
	return workers_n > LISTEN_SLOTS ? workers_n : LISTEN_SLOTS;
}

void
keeper_listen_text(const struct control_listener *l,
    char text[LISTEN_ADDRESS_BYTES])
{
	const struct sockaddr_in *v4 = (const void *)&l->address;
	const struct sockaddr_in6 *v6 = (const void *)&l->address;
	char host[INET6_ADDRSTRLEN] = "?";

	if (l->address.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, LISTEN_ADDRESS_BYTES, "%s:%u", host,
		    ntohs(v4->sin_port));
	} else if (l->address.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, LISTEN_ADDRESS_BYTES, "[%s]:%u", host,
		    ntohs(v6->sin6_port));
	} else
		snprintf(text, LISTEN_ADDRESS_BYTES, "(family %d)",
		    l->address.ss_family);
}

static bool
port_is_zero(const struct control_listener *l)
{
	if (l->address.ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)(const void *)
		    &l->address)->sin6_port == 0;
	return ((const struct sockaddr_in *)(const void *)
	    &l->address)->sin_port == 0;
}

static int
socket_new(const struct control_listener *l, bool share)
{
	int on = 1, saved, family = l->address.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
	    sizeof(on)) == 0) &&
	    (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)&l->address,
	    l->address_len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
refused(const struct control_listener *l, char *why, size_t why_len)
{
	char text[LISTEN_ADDRESS_BYTES];
	int error = errno;

	keeper_listen_text(l, text);
	switch (error) {
	case EADDRINUSE:
		return why_set(why, why_len, "listener %s: %s is in use by "
		    "another process", l->name, text);
	case EADDRNOTAVAIL:
		return why_set(why, why_len, "listener %s: this machine has "
		    "no address %s", l->name, text);
	case EACCES:
		return why_set(why, why_len, "listener %s: %s is not allowed: "
		    "a port below 1024 needs root or CAP_NET_BIND_SERVICE",
		    l->name, text);
	default:
		return why_set(why, why_len, "listener %s: %s: %s", l->name,
		    text, strerror(error));
	}
}

static int
probe(const struct control_listener *l)
{
	int fd = socket_new(l, false);

	return fd == -1 ? -1 : close(fd);
}

static int
slot_open(struct keeper_listen *out)
{
	struct control_listener *l = &out->listener;
	int backlog = l->backlog == 0 ? SOMAXCONN : (int)l->backlog;
	int fd = socket_new(l, true);

	if (fd == -1)
		return -1;
	out->owners[out->fds_n] = -1;
	out->fds[out->fds_n++] = fd;
	l->address_len = sizeof(l->address);
	if (getsockname(fd, (struct sockaddr *)&l->address,
	    &l->address_len) == -1)
		return -1;
	return listen(fd, backlog);
}

int
keeper_listen_grow(struct keeper_listen *l, int n, char *why, size_t why_len)
{
	while (l->fds_n < n)
		if (slot_open(l) == -1)
			return refused(&l->listener, why, why_len);
	return 0;
}

int
keeper_listen_open(struct keeper_listen *out,
    const struct control_listener *l, int n, char *why, size_t why_len)
{
	assert(n > 0 && n <= CONTROL_WORKERS_MAX);
	*out = (struct keeper_listen){ .listener = *l, .fresh = true };
	if (!port_is_zero(l) && probe(l) == -1)
		return refused(l, why, why_len);
	if (keeper_listen_grow(out, n, why, why_len) == 0)
		return 0;
	keeper_listen_close(out);
	return -1;
}

void
keeper_listen_close(struct keeper_listen *l)
{
	while (l->fds_n > 0)
		close(l->fds[--l->fds_n]);
}
