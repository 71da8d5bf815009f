/*
 * master/register_settings.h - what a file says under godwit.register: which
 * apps of this machine are registered, and how they are checked. Made by
 * master/compile_register.c; the fields are xds/proto/godwit/register.proto's.
 */
#ifndef MASTER_REGISTER_SETTINGS_H
#define MASTER_REGISTER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { REGISTER_MAX = 16, REGISTER_NAME_BYTES = 129,
    REGISTER_ADDRESS_BYTES = 64 };

/* Zeroed first, so that bytes can be compared. */
struct register_settings {
	char		id[REGISTER_NAME_BYTES], service[REGISTER_NAME_BYTES];
	char		region[REGISTER_NAME_BYTES], zone[REGISTER_NAME_BYTES];
	char		version[REGISTER_NAME_BYTES];
	char		host[REGISTER_ADDRESS_BYTES];	/* that others are told */
	char		plane[256];	/* where it is registered: the setting ems */
	uint32_t	port, weight, ttl_ms;
	struct sockaddr_storage address;	/* to be checked */
	char		address_text[REGISTER_ADDRESS_BYTES];
	bool		grpc;		/* else: a TCP connection */
	char		check_service[REGISTER_NAME_BYTES];
	uint32_t	interval_ms, timeout_ms, healthy_n, unhealthy_n;
};

struct register_list {
	uint32_t	n;
	struct register_settings at[REGISTER_MAX];
};

#endif
