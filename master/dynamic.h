/*
 * master/dynamic.h - what a file says about control planes: who we are, who is
 * asked, in which way, for what. Made by master/compile_dynamic.c.
 */
#ifndef MASTER_DYNAMIC_H
#define MASTER_DYNAMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DYNAMIC_SERVERS_MAX = 8, DYNAMIC_METADATA_MAX = 16,
    DYNAMIC_NAME_BYTES = 256 };

struct dynamic_server {
	char		cluster[DYNAMIC_NAME_BYTES];
	char		authority[DYNAMIC_NAME_BYTES];
	uint32_t	back_off_base_ms, back_off_max_ms;
	uint32_t	message_bytes_max;	/* 0: ours */
	uint32_t	metadata_n;
	struct {
		char	*name, *value;
	}		metadata[DYNAMIC_METADATA_MAX];
};

struct dynamic {
	bool		 ads;		/* there is a control plane */
	bool		 delta;
	bool		 node_once;	/* set_node_on_first_message_only */
	bool		 listeners, clusters;	/* LDS, CDS: all of them */
	uint32_t	 missing_ms;	/* initial_fetch_timeout; 0: never */
	uint8_t		*node;		/* a packed Node, with our own words */
	size_t		 node_len;
	char		*node_id;
	uint8_t		*bootstrap;	/* the file, packed, without its
					   static_resources: to be shown */
	size_t		 bootstrap_len;
	uint32_t	 servers_n;	/* the first is preferred */
	struct dynamic_server servers[DYNAMIC_SERVERS_MAX];
};

/* False: no memory. */
bool	dynamic_copy(struct dynamic *to, const struct dynamic *from);
void	dynamic_fini(struct dynamic *d);
/* Whether a stream that follows a goes on with b; bootstrap is not looked at. */
bool	dynamic_same(const struct dynamic *a, const struct dynamic *b);

#endif
