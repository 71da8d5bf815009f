/*
 * xds/ems/rest_inside.h - what the files of the REST door share.
 *
 *   rest.c          opening, listening, the loop's turns
 *   rest_door.c     a request from libmicrohttpd, and its answer back
 *   rest_guard.c    how often; pages of others; who it is, for history
 *   rest_who.c      who may what: the token, certificates
 *   rest_answer.c   making an answer; asking the store
 *   rest_item.c     GET of intents; history, diff
 *   rest_apply.c    writes: one or several, plan, rollback
 *   rest_edit.c     what a write does to each, and why not (rest_edit.h)
 *   rest_plan.c     plans that wait to be applied (rest_plan.h)
 *   rest_lease.c    register, heartbeat, deregister
 *   rest_show.c     services, leases, proxies
 *   rest_metrics.c  /metrics, /healthz, /readyz
 */
#ifndef XDS_EMS_REST_INSIDE_H
#define XDS_EMS_REST_INSIDE_H

#include <microhttpd.h>
#include <stdio.h>
#include <sys/queue.h>

#include "xds/ems/rest.h"
#include "xds/ems/rest_rate.h"
#include "xds/ems/rest_tls.h"
#include "xds/print.h"

enum {
	REST_WHO_BYTES = STORE_NAME_MAX + 1, REST_WHY_BYTES = 1024,
	REST_TOKEN_MIN = 16, REST_TOKEN_MAX = 256,
	REST_KEY_BYTES = INTENT_NAME_MAX + 1, REST_WRONG_COSTS = 20,
	REST_HELD_BYTES = 64 << 20,	/* R2: bodies and plans, each */
	REST_PLANS_MAX = 100, REST_PLAN_MS = 3600 * 1000,
	REST_TITLE_BYTES = INTENT_NAME_MAX + 64,
};

struct request;

/* Of a caller, what it must be for a route: anybody, somebody whom we know,
 * somebody who may speak for a service, a writer. */
enum rest_needs { REST_OPEN, REST_READ, REST_REGISTER, REST_WRITE };

struct rest_route {
	const char	*method, *path;
	void		(*answer)(struct request *q);
	enum rest_needs	 needs;
	size_t		 body_max;
	const char	*arguments;
};

struct rest_token {			/* of a file */
	char		*file;		/* NULL: none is asked for */
	char		 text[REST_TOKEN_MAX + 1];
	uint64_t	 stamp;		/* of the file that it is from */
};

struct rest_door {
	struct rest	*rest;
	struct MHD_Daemon *daemon;	/* NULL: there is no such door */
	struct source	 source;
	struct task	 task;
	struct timer	 timer;
	int		 epoll_fd;
	struct rest_tls	*tls;		/* in front of it, or NULL */
	bool		 local;		/* the unix socket */
};

struct plan;
TAILQ_HEAD(plans, plan);

struct rest {
	struct loop	*loop;
	struct ems	*ems;
	struct admission *admission;
	struct leases	*leases;
	struct store	*store;
	struct rest_door tcp, local;
	char		*socket_path;	/* or NULL */
	struct tls_context *tls;	/* or NULL */
	bool		 by_certificate;	/* tls asks for callers' */
	struct who_rules rules;
	struct rest_token token;
	struct rest_rates rates;
	LIST_HEAD(, request) requests;
	size_t		 held_bytes;	/* of all bodies */
	struct plans	 plans;		/* the oldest first */
	size_t		 plans_n, plans_bytes;
	uint64_t	 answers[6];	/* by the status' first digit */
	uint64_t	 writes_n, writes_ns;	/* of intent: how long */
};

/* One question of a caller's, from its head to the end of its answer. */
struct request {
	LIST_ENTRY(request) link;
	struct rest	*rest;
	struct rest_door *door;
	struct MHD_Connection *connection;	/* NULL: the caller is gone */
	const struct rest_route *route;
	const char	*path;		/* libmicrohttpd's */
	char		 who[REST_WHO_BYTES];
	/* REST_REGISTER: may what these names may; NULL: may all. */
	const char	*names;
	enum intent_noun noun;
	char		 name[INTENT_NAME_MAX + 1];
	char		*body;		/* NUL behind it */
	size_t		 body_n, body_size;
	size_t		 dropped_n;	/* of a body that nobody wants */
	bool		 begun;		/* the route has it */
	bool		 suspended, answered, sent;
	bool		 waiting;	/* an answer of the store will come */
	int64_t		 written_ns;	/* when it was submitted; 0: never */
	void		(*next)(struct request *q,
			    const struct store_answer *a);
	void		*state;		/* of the route; freed by state_free */
	void		(*state_free)(void *state);

	int		 status;
	const char	*type;		/* of out; JSON if NULL */
	FILE		*file;
	char		*out;
	size_t		 out_n;
	struct print	 print;		/* to file */
};

/* ---- rest_answer.c; each request is answered once */

/* An object is open for what the answer says. NULL: no memory, which was
 * answered. */
struct print *answer_begin(struct request *q, int status);
void	answer_end(struct request *q);
/* {"error": "..."} */
void	answer_refuse(struct request *q, int status, const char *format, ...)
	    __attribute__((format(printf, 3, 4)));
/* Text that is not JSON; file is open to be written into. */
FILE	*answer_text(struct request *q, int status, const char *type);
void	answer_text_end(struct request *q);
/* What the store said, which was not STORE_OK, in our statuses. */
void	answer_store(struct request *q, enum store_result r, const char *why);
/* next comes with the answer, if the caller is still there. */
void	answer_ask(struct request *q, const struct store_question *question,
	    void (*next)(struct request *q, const struct store_answer *a));
/* The same of a write; why is of the query, or otherwise. */
void	answer_write(struct request *q, const struct store_change *changes,
	    size_t n, bool confirmed, const char *why,
	    void (*next)(struct request *q, const struct store_answer *a));
/* For who waits for something else: what comes after answer_waited says false
 * has no caller any more, and the request is freed. */
void	answer_wait(struct request *q);
bool	answer_waited(struct request *q);

/* A text that may be no UTF-8. */
void	answer_put(struct print *p, const char *key, const char *text, size_t n);
static inline void
answer_put_store(struct print *p, const char *key, struct store_text t)
{
	if (t.p != NULL)
		answer_put(p, key, t.p, t.n);
}

/* ---- rest_door.c */
enum MHD_Result request_take(void *door, struct MHD_Connection *connection,
	    const char *url, const char *method, const char *version,
	    const char *bytes, size_t *n, void **state);
void	request_over(void *door, struct MHD_Connection *connection,
	    void **state, enum MHD_RequestTerminationCode how);
/* Of the query; NULL: it is not there, or the empty text. */
const char *request_argument(const struct request *q, const char *name);
const char *request_header(const struct request *q, const char *name);
bool	request_flag(const struct request *q, const char *name);
/* 1: read; 0: not there; -1: it is no number, which was answered. */
int	request_number(struct request *q, const char *name, uint64_t *to);
/* Its answer is there: it goes on. */
void	request_resume(struct request *q);
void	request_free(struct request *q);

/* ---- rest.c */
int	rest_door_open(struct rest_door *d, struct rest *r, int fd, bool local,
	    char *why, size_t why_len);
void	rest_door_close(struct rest_door *d);

/* ---- rest_guard.c */
/* Who it is, and whether that may be. False: it is answered. */
bool	rest_may(struct request *q);

/* ---- rest_who.c */
/* By TCP: whether who asks may have it. key is his address, and what the
 * history calls him from then on. False: it is answered. */
bool	rest_who(struct request *q, char key[REST_KEY_BYTES]);
/* Who it is, to those who ask who may register what. */
struct who rest_who_is(const struct request *q);
/* Whether it may speak of that lease. False: it is answered. */
bool	rest_who_may(struct request *q, const char *lease);
int	rest_token_read(struct rest_token *t, char *why, size_t why_len);

/* ---- the routes */
#define ROUTE(method, path, function, needs, body, arguments)		\
	void	function(struct request *q);
#include "xds/ems/rest.def"
#undef ROUTE

void	plans_free(struct rest *r);

#endif
