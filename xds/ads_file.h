/*
 * xds/ads_file.h - a file as a response of a control plane: a DiscoveryResponse
 * in YAML or JSON.
 *
 *   resources:
 *   - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
 *     name: greeter
 *
 * type_url may be left out: the file is of one kind, and who reads it knows
 * which. So may version_info.
 *
 * Source: config.core.v3.PathConfigSource; reference/envoy-xds.md 1.1.
 * Test: t/unit/ads_file.c.
 */
#ifndef XDS_ADS_FILE_H
#define XDS_ADS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "xds/resource.h"

/* The message as ads_feed takes it, the caller's. file is what errors show.
 * NULL: why is "file:line:col: path: what is wrong". */
uint8_t	*ads_file_read(const char *file, const char *text, size_t text_len,
	    enum resource_kind kind, size_t *len, char *why, size_t why_len);
/* Where in the file what why begins with, a path in the resource of that name,
 * stands: "file:line:col: resources[1].lb_policy: ...", or why as it is. */
void	 ads_file_place(const char *file, const char *text, size_t text_len,
	    enum resource_kind kind, const char *name, const char *why,
	    char *out, size_t out_len);

#endif
