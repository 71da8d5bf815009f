/* master/resolve.c - see resolve.h. */
#include "master/resolve.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "master/dns.h"
#include "shm/log.h"

struct entry {
	LIST_ENTRY(entry) link;
	struct dns_watch *watch;
	char		 host[DNS_HOST_MAX + 1];
	char		 name[];	/* of the RESOURCE_NAME */
};

struct resolve {
	struct resolve_settings settings;
	struct dns	*dns;		/* NULL: nobody was wanted yet */
	LIST_HEAD(, entry) entries;
	bool		 pending;
};

/* ---- answers */

static void
answered(void *arg, struct dns_watch *w)
{
	struct resolve *r = arg;

	(void)w;
	r->pending = true;
	r->settings.ready(r->settings.arg);
}

bool
resolve_pending(const struct resolve *r)
{
	return r->pending;
}

void
resolve_again(struct resolve *r)
{
	r->pending = true;
}

static bool
is_in(const struct block_address *all, size_t n,
    const struct block_address *one)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&all[i], one, sizeof(*one)) == 0)
			return true;
	return false;
}

/* In whatever order. Neither has one twice. */
static bool
same(const struct block_address *a, size_t a_n, const struct block_address *b,
    size_t b_n)
{
	for (size_t i = 0; i < a_n; i++)
		if (a_n != b_n || !is_in(b, b_n, &a[i]))
			return false;
	return a_n == b_n;
}

/* V3: what was the first comes first. */
static void
first_keep(struct block_address *all, size_t n,
    const struct block_address *first)
{
	struct block_address swap = all[0];

	for (size_t i = 1; i < n; i++)
		if (memcmp(&all[i], first, sizeof(*first)) == 0) {
			all[0] = all[i];
			all[i] = swap;
		}
}

static void
addresses_put(struct resolve *r, const struct entry *e,
    struct block_address *all, size_t n)
{
	char why[512];

	if (resources_put(r->settings.resources, RESOURCE_NAME, e->name, "",
	    (const uint8_t *)all, n * sizeof(*all), FROM_DNS, why,
	    sizeof(why)) == -1)
		log_error("the addresses of %s can't be used: %s", e->host,
		    why);
}

static void
entry_put(struct resolve *r, const struct entry *e)
{
	const struct block_address *had = NULL;
	struct resource_view v;
	struct dns_status s;
	struct block_address *all;
	size_t had_n = 0;

	dns_status(e->watch, &s);
	if (!s.answered || !resources_find(r->settings.resources,
	    RESOURCE_NAME, e->name, &v))
		return;
	if (v.live != NULL) {
		had = (const void *)v.live->bytes;
		had_n = v.live->len / sizeof(*had);
		if (s.addresses_n == 0 ||
		    same(s.addresses, s.addresses_n, had, had_n))
			return;
	}
	if (s.addresses_n == 0)
		log_warn("host name %s can't be resolved: %s; it has no "
		    "endpoints until it can", e->host, s.why);
	if ((all = calloc(s.addresses_n + 1, sizeof(*all))) == NULL)
		return;
	if (s.addresses_n > 0)
		memcpy(all, s.addresses, s.addresses_n * sizeof(*all));
	if (had_n > 0)
		first_keep(all, s.addresses_n, had);
	addresses_put(r, e, all, s.addresses_n);
	free(all);
}

void
resolve_put(struct resolve *r)
{
	const struct entry *e;

	r->pending = false;
	LIST_FOREACH(e, &r->entries, link)
		entry_put(r, e);
}

/* ---- who is watched */

static struct entry *
entry_find(const struct resolve *r, const char *name)
{
	struct entry *e;

	LIST_FOREACH(e, &r->entries, link)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

static void
entry_free(struct entry *e)
{
	LIST_REMOVE(e, link);
	dns_watch_free(e->watch);
	free(e);
}

static bool
dns_there(struct resolve *r)
{
	const struct dns_settings s = {
	    .servers = r->settings.servers[0] == '\0' ? NULL :
	    r->settings.servers };
	char why[256];

	if (r->dns == NULL && (r->dns = dns_open(r->settings.loop, &s, why,
	    sizeof(why))) == NULL)
		log_error("%s", why);
	return r->dns != NULL;
}

static void
watch(struct resolve *r, const char *name)
{
	size_t n = strlen(name) + 1;
	struct entry *e = calloc(1, sizeof(*e) + n);
	struct dns_question q;

	if (e == NULL || !dns_question_read(name, &q, e->host) ||
	    !dns_there(r)) {
		free(e);
		return;
	}
	memcpy(e->name, name, n);
	q.answer = answered;
	q.arg = r;
	if ((e->watch = dns_watch_new(r->dns, &q)) == NULL) {
		log_error("no memory to resolve %s", e->host);
		free(e);
		return;
	}
	LIST_INSERT_HEAD(&r->entries, e, link);
}

void
resolve_want(struct resolve *r, const char *name, bool on)
{
	struct entry *e = entry_find(r, name);

	if (on && e == NULL)
		watch(r, name);
	else if (!on && e != NULL)
		entry_free(e);
}

/* ---- life */

struct resolve *
resolve_new(const struct resolve_settings *s)
{
	struct resolve *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->settings = *s;
	LIST_INIT(&r->entries);
	return r;
}

void
resolve_free(struct resolve *r)
{
	if (r == NULL)
		return;
	while (!LIST_EMPTY(&r->entries))
		entry_free(LIST_FIRST(&r->entries));
	dns_close(r->dns);
	free(r);
}

/* ---- questions */

void
resolve_print(const struct resolve *r, FILE *out)
{
	char ip[INET6_ADDRSTRLEN];
	const struct entry *e;
	struct dns_status s;
	int64_t now_ms = r->settings.loop->now.ns / 1000000;

	LIST_FOREACH(e, &r->entries, link) {
		dns_status(e->watch, &s);
		fprintf(out, "host name %s:", e->host);
		for (size_t i = 0; i < s.addresses_n; i++) {
			inet_ntop(s.addresses[i].family, s.addresses[i].bytes,
			    ip, sizeof(ip));
			fprintf(out, " %s", ip);
		}
		if (!s.answered)
			fprintf(out, " not answered yet");
		else if (s.stale_since_ms != 0)
			fprintf(out, "%s not resolved for %lld ms: %s",
			    s.addresses_n > 0 ? "," : "",
			    (long long)(now_ms - s.stale_since_ms), s.why);
		fprintf(out, "\n");
	}
}
