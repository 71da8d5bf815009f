/*
 * worker/io/address.h - an address for humans: "127.0.0.1:80", "[::1]:80".
 * Test: t/unit/subscribe.c.
 */
#ifndef WORKER_IO_ADDRESS_H
#define WORKER_IO_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* Of IPv4 and IPv6; "?:0" of anything else. 64 bytes are enough. */
void	address_print(const struct sockaddr_storage *a, char *to, size_t cap);

#endif
