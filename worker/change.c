/* worker/change.c - see change.h. */
#include "worker/change.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "worker/mutate.h"

/* Asked for once a connection, and only where a plan wants it. */
static const char *
address_of(struct downstream *d)
{
	struct sys *sys = d->worker->sys;
	struct sockaddr_storage a;
	const void *ip;

	if (d->address[0] != '\0')
		return d->address;
	strcpy(d->address, "-");
	if (sys->peer(sys->ctx, d->conn.fd, &a) < 0)
		return d->address;
	ip = a.ss_family == AF_INET ?
	    (const void *)&((const struct sockaddr_in *)&a)->sin_addr :
	    (const void *)&((const struct sockaddr_in6 *)&a)->sin6_addr;
	inet_ntop(a.ss_family, ip, d->address, sizeof(d->address));
	return d->address;
}

static const char *
address_for(const struct stream *s)
{
	return s->plan->block.flags & PLAN_ADDRESS ? address_of(s->down) :
	    NULL;
}

bool
change_request(struct stream *s, const struct block_hcm *hcm)
{
	const struct block_plan *p = &s->plan->block;

	return mutate_request(s->request, p, address_for(s)) &&
	    mutate_target(s->request, p, hcm->flags & HCM_ORIGINALS);
}

/* As it went to the service. */
static bool
request_id_copy(const struct stream *s, struct headers *h)
{
	const struct header *id = headers_find(s->request,
	    HEADER_x_request_id);

	return id == NULL || headers_replace(h, (const char *)id->name,
	    id->name_len, id->value, id->value_len);
}

bool
change_answer(struct stream *s, struct headers *h)
{
	if (!s->changes_answer)
		return true;
	if (s->plan != NULL && !mutate_answer(h, &s->plan->block, s->request,
	    address_for(s)))
		return false;
	return !s->request_id_back || request_id_copy(s, h);
}
