/*
 * t/conformance/state.h - the state that the conformance suite sets, in a
 * catalog of godwit-ems.
 *
 * Test: t/conformance/run.
 */
#ifndef T_CONFORMANCE_STATE_H
#define T_CONFORMANCE_STATE_H

#include "xds/ems/catalog.h"

enum { STATE_TEXT_BYTES = 128, STATE_DEEDS = 5 };

struct state {
	struct catalog	*catalog;
	/* The version of each kind's newest change, in the suite's words. */
	char		 versions[RESOURCE_KINDS][STATE_TEXT_BYTES];
};

struct state_request;

/* What the suite may do, a gRPC method each. */
struct state_deed {
	const char	*path;
	const char	*(*act)(struct catalog *c,
		    const struct state_request *q);	/* NULL: it is done */
	/* Of one resource: 2 typeUrl, 3 resourceName, 4 version; else 2
	 * version, 3 resources. (1 is the node: we have one state for all.) */
	bool		 of_one;
};
extern const struct state_deed state_deeds[STATE_DEEDS];

/* NULL, or why not; then some of it may be done. */
const char *state_change(struct state *s, const struct state_deed *d,
	    const uint8_t *request, size_t n);

#endif
