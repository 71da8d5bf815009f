/*
 * worker/route_index.h - which routes of a virtual host come into question
 * for a path, without going through all of them. Pure, as route.h is.
 *
 *   "/a.B/C"  the node of this whole path; it knows what it begins with
 *             ─> else "/a.B/" if there is such a text and nothing longer
 *             ─> else the longest text that it begins with: a binary search
 *                over the lengths that there are, one hash each
 *
 * A node on a search's way says "longer ones may exist" even when it has no
 * routes: the compiler has put one wherever the search must turn to the
 * longer half (Waldvogel's binary search on prefix lengths). So the cost is
 * the logarithm of the number of lengths, not of routes, and a handful of
 * cache lines; for a method of a service with a route, two hashes.
 *
 * Hits along the way are believed by their hash, and the last one's bytes
 * compared: when it is right, all before it were. Only when it is not, which
 * a caller could bring about, is every hit of a second search compared.
 *
 * Source: Waldvogel et al., Scalable High Speed IP Routing Lookups, 1997.
 * Test: t/unit/route_index.c.
 */
#ifndef WORKER_ROUTE_INDEX_H
#define WORKER_ROUTE_INDEX_H

#include "shm/block.h"

/* The first node of those whose routes the path can match, BLOCK_NONE if
 * there is none; the routes for any case come on top. host->index is not 0. */
uint32_t route_index_find(const struct arena *a,
	    const struct block_host *host, const char *path, size_t len);

#endif
