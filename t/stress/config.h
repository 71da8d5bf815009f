/*
 * t/stress/config.h - what the master of t/stress/ publishes: a file that is
 * told by its serial, and one cluster's endpoints, by chance.
 */
#ifndef T_STRESS_CONFIG_H
#define T_STRESS_CONFIG_H

#include <protobuf-c/protobuf-c.h>

#include "t/stress/stress.h"

/* The serial is its drain_time_ms. False: errno. */
bool	config_write(const char *file, uint64_t serial);

/* The messages that an update would bring, to be changed in place. */
struct config_clusters;
struct config_clusters *config_clusters_new(void);
void	config_clusters_free(struct config_clusters *all);

/* Cluster i < CLUSTERS, with other endpoints than before. */
const ProtobufCMessage *config_cluster(struct config_clusters *all,
	    uint32_t i, struct chance *c);

#endif
