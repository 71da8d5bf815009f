/* worker/cause.c - the table of worker/cause.def, in two shapes. */
#include "worker/cause.h"

#include "shm/row.h"
#include "worker/worker.h"

_Static_assert((int)CAUSES_N <= (int)ROW_CAUSES, "a row has too few causes");

const struct cause_row cause_rows[CAUSES_N] = {
#define CAUSE(word, by, grpc, http, flag, text) \
	{ #word, CAUSE_BY_##by, grpc, http, flag, text },
#include "worker/cause.def"
#undef CAUSE
#undef BEFORE_HEADERS
};

const char *const worker_causes[] = {
#define CAUSE(word, by, grpc, http, flag, text) #word,
#include "worker/cause.def"
#undef CAUSE
#undef BEFORE_HEADERS
};

const int worker_causes_n = CAUSES_N;
