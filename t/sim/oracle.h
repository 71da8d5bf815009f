/*
 * t/sim/oracle.h - what must hold, whatever the network, the peers and the
 * schedule did. Each function says the first thing that does not, in w->wrong.
 *
 *   each call     one status; its bytes, all or the first of them; and if
 *                 godwit ended it, for a cause that this schedule has
 *   while quiet   no gauge, word, held byte or timer is left of the calls
 *   at the end    the worker's memory is back
 */
#ifndef T_SIM_ORACLE_H
#define T_SIM_ORACLE_H

#include "t/sim/world.h"

void	oracle_calls(struct world *w);
void	oracle_probes(struct world *w);
/* All calls are over, connections are open. */
void	oracle_quiet(struct world *w);
/* No connection is open any more. */
void	oracle_alone(struct world *w);
/* The worker is closed. */
void	oracle_closed(struct world *w);

#endif
