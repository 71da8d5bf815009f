/*
 * worker/cause.h - why a request ended: the numbers and the table of
 * worker/cause.def.
 */
#ifndef WORKER_CAUSE_H
#define WORKER_CAUSE_H

enum cause {
#define CAUSE(word, by, grpc, http, flag, text) CAUSE_##word,
#include "worker/cause.def"
#undef CAUSE
#undef BEFORE_HEADERS
	CAUSES_N
};

enum cause_by {
	CAUSE_BY_CALLER, CAUSE_BY_CONFIG, CAUSE_BY_SERVICE, CAUSE_BY_NETWORK,
	CAUSE_BY_GODWIT,
};

struct cause_row {
	const char	*word;
	enum cause_by	 by;
	int		 grpc, http;	/* status */
	const char	*flag, *text;
};

extern const struct cause_row cause_rows[CAUSES_N];

#endif
