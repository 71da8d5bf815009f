/*
 * t/sim/peers.h - the two ends of a simulated conversation, both built on
 * worker/io/: a client of unary calls and a backend that echoes.
 */
#ifndef T_SIM_PEERS_H
#define T_SIM_PEERS_H

#include "t/sim/net.h"
#include "worker/io/loop.h"

struct client;
struct backend;

/* lossless: the network loses nothing, so that every failure is a fault. */
struct client	*client_open(struct net_actor *a, uint16_t port,
		    bool lossless);
void		 client_start(struct client *c);
bool		 client_done(const struct client *c);
/* NULL: each call ended as it must; else what is wrong. drained: the proxy
 * went away; a call may not have begun, if the caller knows that. few: the
 * backend refuses what it gets before it said how few streams it takes, and
 * of those a long request is not kept. */
const char	*client_verdict(const struct client *c, bool drained,
		    bool few);
void		 client_close(struct client *c);
struct loop	*client_loop(struct client *c);

struct backend	*backend_open(struct net_actor *a, int listen_fd);
void		 backend_close(struct backend *b);
struct loop	*backend_loop(struct backend *b);
/* It allows fewer streams than most do. */
bool		 backend_takes_few(const struct backend *b);
/* The largest stream id that a connection to it used. */
int32_t		 backend_id_max(const struct backend *b);

#endif
