/*
 * xds/ems/settings.h - the settings of godwit-ems: a file, and defaults for
 * what it does not say. The fields and what they mean are
 * xds/proto/godwit/ems/settings.proto. Test: t/unit/intent.c.
 */
#ifndef XDS_EMS_SETTINGS_H
#define XDS_EMS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct settings {
	struct load_arena *arena;	/* of all texts */
	const char	*file;		/* or NULL */
	const char	*listen, *rest_listen;	/* rest_listen "": none */
	const char	*rest_token_file;	/* "" : none */
	const char	*certificate, *key, *ca;	/* all, or all "" */
	const char	*rest_certificate, *rest_key;	/* both, or "" */
	const char	*rest_ca;	/* "": none */
	const char	*state_dir, *run_dir;
	const char	*mesh, *region_header, *proxy_listen, *proxy_tls;
	uint32_t	 connections_max;
	bool		 clear_text, any_certificate;
};

/* file: NULL for all defaults. -1: why, nothing is to be freed. */
int	settings_read(struct settings *s, const char *file, char *why,
	    size_t why_len);
void	settings_free(struct settings *s);

/* A listening socket on ADDRESS:PORT. -1: why. */
int	settings_listen(const char *address, char *why, size_t why_len);
bool	settings_is_loopback(const char *address);

#endif
