/*
 * xds/ems/model.h - the mesh as it is: intents as people wrote them, endpoints
 * as they registered, by service.
 *
 *   intents (versioned, kept)      endpoints (leases, soft)
 *            └───────> services <───────┘
 *
 * A service is there when it has an intent or an endpoint: one that registers
 * without an intent has all defaults.
 *
 * Invariants
 *   M1  model_check says whether a set of intents goes together, before any of
 *       it is put: a region that is named is there, a service that is pinned is
 *       not sent elsewhere, nobody answers for a name that another has, no two
 *       limits say the same of one service.
 *   M2  What is put is marked: model_dirty tells what a compilation has to look
 *       at.
 *
 * Test: t/unit/view.c.
 */
#ifndef XDS_EMS_MODEL_H
#define XDS_EMS_MODEL_H

#include <sys/queue.h>

#include "xds/ems/catalog.h"
#include "xds/ems/intent.h"
#include "xds/proto/godwit/ems/intent.pb-c.h"

enum model_health { MODEL_LIVE, MODEL_SUSPECT, MODEL_DRAINING };

struct model_endpoint {
	TAILQ_ENTRY(model_endpoint) link;	/* of its service, by id */
	enum model_health health;
	uint32_t	 weight;	/* 1.. */
	unsigned	 port;
	char		 address[46];
	char		 region[INTENT_NAME_MAX + 1], zone[INTENT_NAME_MAX + 1];
	char		 version[INTENT_NAME_MAX + 1];
	char		 id[INTENT_NAME_MAX + 1];
};
TAILQ_HEAD(model_endpoints, model_endpoint);

/* What a service is in a view (view.h): bytes of its routes. */
struct model_part {
	/* RouteConfigurations with one VirtualHost: */
	struct body	*pins;		/* where it may not be called */
	struct body	*routes;	/* here, by path */
	struct body	*host;		/* by :authority, or NULL */
};

struct model_service {
	char		*name;
	struct intent	*intent;	/* or NULL: all defaults */
	struct model_endpoints endpoints;
	size_t		 endpoints_n;
	struct model_part *parts;	/* by the view's number */
	size_t		 parts_n;
	/* Since model_clean: it is looked at; it says something else than where
	 * its endpoints are; it is no more. */
	bool		 dirty, recast, gone;
	/* model_check: others answer its gRPC names too; calls at a time, 0: by
	 * default. */
	bool		 shared;
	uint32_t	 in_flight;
};

struct model {
	struct intent	**intents[INTENT_NOUNS];	/* by name */
	size_t		 intents_n[INTENT_NOUNS], intents_size[INTENT_NOUNS];
	struct model_service **services;	/* by name */
	size_t		 services_n, services_size;
	uint64_t	 puts_n;	/* of intents, so far */
	bool		 dirty_all;	/* regions, gateways */
	bool		 dirty_some;
	bool		 unchecked;	/* since model_check: it may find another */
	bool		 dirty_names;	/* who answers which gRPC names, and who
					 * may call them */
};

void	model_init(struct model *m);
void	model_fini(struct model *m);

struct intent *model_intent(const struct model *m, enum intent_noun noun,
	    const char *name);
struct model_service *model_service(const struct model *m, const char *name);
/* The caller's intent, if its sidecars are told only of what it may call. */
const struct intent *model_only(const struct model *m, const char *caller);

/* A list of services by name: where name is, or would be; and s put there, in
 * memory of realloc. False: no memory. */
size_t	model_place(struct model_service *const *list, size_t n,
	    const char *name, bool *found);
bool	model_insert(struct model_service ***list, size_t *n, size_t *size,
	    size_t i, struct model_service *s);

/* i, or nothing (NULL), in the place of the one of that name, which is the
 * caller's now, or NULL. False: no memory, nothing is changed. */
bool	model_swap(struct model *m, enum intent_noun noun, const char *name,
	    struct intent *i, struct intent **before);
/* A copy of e, in the place of one of its id. False: no memory. */
bool	model_endpoint_put(struct model *m, const char *service,
	    const struct model_endpoint *e);
void	model_endpoint_remove(struct model *m, const char *service,
	    const char *id);

/* The gRPC names that it answers: its own, or as its intent says. */
size_t	model_grpc_n(const struct model_service *s);
const char *model_grpc(const struct model_service *s, size_t i);
/* Room for those of a view. NULL: no memory. */
struct model_part *model_part(struct model_service *s, uint32_t view);
/* Of all services those of a view, whose number may be another's then. */
void	model_parts_drop(struct model *m, uint32_t view);

/* What is said of it, or NULL: all defaults. */
static inline const Godwit__Ems__V1__Service *
model_message(const struct model_service *s)
{
	return s->intent == NULL ? NULL : s->intent->message;
}

/* It says something else now, as of itself. */
void	model_recast(struct model *m, struct model_service *s);

/* M1, and what services are by all of it; -1: why names both sides. */
int	model_check(struct model *m, char *why, size_t why_len);
/* All is compiled; services that are gone are forgotten. */
void	model_clean(struct model *m);

/* What callers may call, each once, by name; at is the caller's. False: no
 * memory. */
struct model_may {
	const char	**at;		/* SERVICE or SERVICE/METHOD */
	size_t		 n;
};
bool	model_may(const struct model *m, struct model_may *to);

/* Where it is allowed (regions.allow). */
bool	model_allows(const struct model_service *s, const char *region);
/* Whether it has an endpoint there that takes calls. */
bool	model_is_live(const struct model_service *s, const char *region);
bool	model_has_gateway(const struct model *m, const char *region);

#endif
