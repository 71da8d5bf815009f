/*
 * master/ctl/ems_lease.c - register and deregister (ems.h).
 *
 *   register --keep ──> heartbeat each third of the ttl ──TERM, INT──> deregister
 *                            └── it is gone: registered anew
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/ctl/ems.h"
#include "xds/print.h"

struct lease {
	char		 id[256];
	uint64_t	 epoch, ttl_ms;
};

/* ---- bodies */

static void
text_put(struct print *p, const char *key, const char *value)
{
	if (value != NULL)
		print_text(p, key, value);
}

/* "15s" or "1500ms"; -1: neither. */
static int64_t
ttl_read(const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || n < 0 || n > 1e6)
		return -1;
	if (strcmp(end, "s") == 0)
		return (int64_t)(n * 1000);
	return strcmp(end, "ms") == 0 ? (int64_t)n : -1;
}

/* NULL: it is said why; *rc is the exit code. */
static char *
register_body(const struct ems_ctl *c, char **argv, int *rc)
{
	const char *colon = strrchr(argv[2], ':');
	bool six = argv[2][0] == '[' && colon != NULL && colon[-1] == ']';
	int64_t ttl_ms = c->ttl == NULL ? 0 : ttl_read(c->ttl);
	char address[64], *body = NULL;
	struct print p;
	size_t n;
	FILE *f;

	*rc = 2;
	if (colon == NULL || (size_t)(colon - argv[2]) >= sizeof(address)) {
		ems_usage("expected ADDRESS:PORT, not ", argv[2]);
		return NULL;
	}
	if (ttl_ms == -1) {
		ems_usage("expected a time such as 15s, not ", c->ttl);
		return NULL;
	}
	snprintf(address, sizeof(address), "%.*s", (int)(colon - argv[2]) -
	    2 * six, argv[2] + six);
	*rc = 1;
	if ((f = open_memstream(&body, &n)) == NULL)
		return NULL;
	print_begin(&p, f, NULL);
	print_open(&p, NULL, '{');
	print_text(&p, "service", argv[0]);
	print_text(&p, "region", argv[1]);
	print_text(&p, "address", address);
	print_text(&p, "port", colon + 1);
	text_put(&p, "id", c->id);
	text_put(&p, "zone", c->zone);
	text_put(&p, "weight", c->weight);
	text_put(&p, "version", c->label);
	print_number(&p, "ttl_ms", (uint64_t)ttl_ms);
	print_close(&p, '{');
	return fclose(f) == 0 ? body : NULL;
}

static int
lease_post(struct ems_ctl *c, const char *path, const struct lease *l)
{
	char *body = NULL;
	struct ems_path p;
	struct yaml *y;
	struct print print;
	size_t n;
	FILE *f = open_memstream(&body, &n);

	if (f == NULL)
		return 1;
	print_begin(&print, f, NULL);
	print_open(&print, NULL, '{');
	print_text(&print, "id", l->id);
	print_number(&print, "epoch", l->epoch);
	print_close(&print, '{');
	if (fclose(f) != 0)
		return 1;
	ems_path(&p, path);
	y = ems_asked(c, "POST", &p, body, n);
	free(body);
	yaml_close(y);
	return y == NULL ? 1 : 0;
}

/* ---- register */

static int
lease_begin(struct ems_ctl *c, const char *body, struct lease *l)
{
	struct ems_path p;
	struct yaml *y;

	ems_path(&p, "/v1/register");
	y = ems_asked(c, "POST", &p, body, strlen(body));
	if (y == NULL)
		return 1;
	snprintf(l->id, sizeof(l->id), "%s", ems_text(yaml_root(y), "id"));
	l->epoch = ems_number(yaml_root(y), "epoch");
	l->ttl_ms = ems_number(yaml_root(y), "ttl_ms");
	yaml_close(y);
	if (c->json)
		printf("{\"id\": \"%s\", \"epoch\": %" PRIu64 ", \"ttl_ms\": %"
		    PRIu64 "}\n", l->id, l->epoch, l->ttl_ms);
	else
		printf("%s is registered, epoch %" PRIu64 ", for %.1fs%s\n",
		    l->id, l->epoch, (double)l->ttl_ms / 1000, c->keep ?
		    " and as long as this runs" : "");
	fflush(stdout);
	return 0;
}

static int
lease_keep(struct ems_ctl *c, const char *body, struct lease *l)
{
	struct timespec third;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		third = (struct timespec){ (time_t)(l->ttl_ms / 3000),
		    (long)(l->ttl_ms / 3 % 1000) * 1000000 };
		if (sigtimedwait(&set, NULL, &third) != -1)
			return lease_post(c, "/v1/deregister", l);
		if (errno == EAGAIN && lease_post(c, "/v1/heartbeat", l) != 0)
			(void)lease_begin(c, body, l);
	}
}

int
ems_register(struct ems_ctl *c, int argc, char **argv)
{
	struct lease l = { .ttl_ms = 3000 };
	char *body;
	int rc;

	(void)argc;
	if ((body = register_body(c, argv, &rc)) == NULL)
		return rc;
	rc = lease_begin(c, body, &l);
	if (rc == 0 && c->keep)
		rc = lease_keep(c, body, &l);
	free(body);
	return rc;
}

/* ---- deregister */

static int
lease_find(struct ems_ctl *c, struct lease *l)
{
	const struct yaml_node *all;
	struct ems_path p;
	struct yaml *y;
	bool found = false;

	ems_path(&p, "/v1/leases");
	if ((y = ems_asked(c, "GET", &p, NULL, 0)) == NULL)
		return 1;
	all = ems_items(yaml_root(y), "leases");
	for (size_t i = 0; i < all->n && !found; i++) {
		found = strcmp(ems_text(&all->items[i], "id"), l->id) == 0;
		l->epoch = ems_number(&all->items[i], "epoch");
	}
	yaml_close(y);
	if (!found)
		fprintf(stderr, "godwitctl: there is no lease \"%s\"; "
		    "godwitctl leases lists them\n", l->id);
	return found ? 0 : 1;
}

int
ems_deregister(struct ems_ctl *c, int argc, char **argv)
{
	struct lease l = { .epoch = 0 };
	int rc;

	(void)argc;
	snprintf(l.id, sizeof(l.id), "%s", argv[0]);
	if ((rc = lease_find(c, &l)) == 0 &&
	    (rc = lease_post(c, "/v1/deregister", &l)) == 0)
		printf("%s drains\n", l.id);
	return rc;
}
