/* t/unit/lease.c - endpoints that register (xds/ems/lease.h). */
#include "t/lib/unit_ems.h"

static void
open_mesh(void)
{
	unit_open();
	unit_write("region", "us", 0, "region: us");
	unit_write("region", "eu", 0, "region: eu");
}

TestSuite(lease, .init = open_mesh, .fini = unit_close);

static struct {
	int		 n;
	enum store_result result;
	uint64_t	 epoch;
	char		 id[256], why[512];
} said;

static void
on_lease(void *arg, const struct lease_answer *a)
{
	(void)arg;
	said.n++;
	said.result = a->result;
	said.epoch = a->epoch;
	snprintf(said.id, sizeof(said.id), "%s", a->id);
	snprintf(said.why, sizeof(said.why), "%s", a->why);
}

static struct lease_request
request(const char *id, const char *region, uint32_t port)
{
	return (struct lease_request){ .id = id, .service = "s",
	    .region = region, .zone = "", .address = "10.0.0.1",
	    .port = port, .version = "", .ttl_ms = 10000 };
}

static enum store_result
enrol(const struct lease_request *r)
{
	int before = said.n;

	cr_assert_eq(lease_register(unit.leases, r, on_lease, NULL), 0);
	unit_until(&said.n, before + 1);
	loop_turn(&unit.loop, 0);
	return said.result;
}

static uint64_t
enrol_id(const char *id, const char *region)
{
	const struct lease_request r = request(id, region, 80);

	cr_assert_eq(enrol(&r), STORE_OK, "%s", said.why);
	return said.epoch;
}

/* "LIVE", ..., "-": it is not in the model. */
static const char *
health(const char *id)
{
	static const char *const words[] = { "live", "suspect", "draining" };
	const struct model_service *s = model_service(&unit.ems.model, "s");
	const struct model_endpoint *e;

	if (s != NULL)
		TAILQ_FOREACH(e, &s->endpoints, link)
			if (strcmp(e->id, id) == 0)
				return words[e->health];
	return "-";
}

Test(lease, silent_then_gone)
{
	uint64_t epoch = enrol_id("a", "us");

	cr_assert_str_eq(health("a"), "live");
	unit_pass(9000);
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_OK);
	unit_pass(9900);
	cr_assert_str_eq(health("a"), "live");
	unit_pass(200);
	cr_assert_str_eq(health("a"), "suspect");
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_OK);
	cr_assert_str_eq(health("a"), "live");
	unit_pass(20100);
	cr_assert_str_eq(health("a"), "draining");
	unit_pass(LEASE_GONE_MS - 200);
	cr_assert_str_eq(health("a"), "draining");
	unit_pass(300);
	cr_assert_str_eq(health("a"), "-");
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_INVALID);
	cr_assert_eq(leases_n(unit.leases), 0);
}

Test(lease, a_draining_one_that_speaks_is_live)
{
	uint64_t epoch = enrol_id("a", "us");

	unit_pass(20200);
	cr_assert_str_eq(health("a"), "draining");
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_OK);
	cr_assert_str_eq(health("a"), "live");
}

Test(lease, deregistered_drains_and_goes)
{
	uint64_t epoch = enrol_id("a", "us");
	int before = said.n;

	lease_deregister(unit.leases, "a", epoch, on_lease, NULL);
	unit_until(&said.n, before + 1);
	cr_assert_eq(said.result, STORE_OK);
	cr_assert_str_eq(health("a"), "draining");
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_INVALID);
	unit_pass(LEASE_DRAIN_MS + 100);
	cr_assert_str_eq(health("a"), "-");
	/* Once more is no error. */
	lease_deregister(unit.leases, "a", epoch, on_lease, NULL);
	cr_assert_eq(said.result, STORE_OK);
}

/* L1 */
Test(lease, an_older_epoch_is_fenced)
{
	uint64_t first = enrol_id("a", "us"), second = enrol_id("a", "us");

	cr_assert_gt(second, first);
	cr_assert_eq(lease_heartbeat(unit.leases, "a", first),
	    STORE_CONFLICT);
	cr_assert_eq(lease_heartbeat(unit.leases, "a", second), STORE_OK);
	lease_deregister(unit.leases, "a", first, on_lease, NULL);
	cr_assert_eq(said.result, STORE_CONFLICT);
	cr_assert_str_eq(health("a"), "live");
}

/* L2 */
Test(lease, a_restart_gives_all_a_ttl_more)
{
	uint64_t epoch = enrol_id("a", "us");

	unit_pass(15000);
	cr_assert_str_eq(health("a"), "suspect");
	unit_end();
	unit_begin();
	cr_assert_str_eq(health("a"), "live");
	unit_pass(9900);
	cr_assert_str_eq(health("a"), "live");
	cr_assert_eq(lease_heartbeat(unit.leases, "a", epoch), STORE_OK);
	cr_assert_gt(enrol_id("a", "us"), epoch);
}

Test(lease, a_restart_does_not_bring_back_the_dead)
{
	uint64_t epoch = enrol_id("b", "us");

	enrol_id("a", "us");
	unit_pass(20200);
	cr_assert_str_eq(health("a"), "draining");
	cr_assert_eq(lease_heartbeat(unit.leases, "b", epoch), STORE_OK);
	unit_end();
	unit_begin();
	cr_assert_str_eq(health("a"), "-");
	cr_assert_str_eq(health("b"), "live", "it had come back");
	cr_assert_eq(lease_heartbeat(unit.leases, "b", epoch), STORE_OK);
}

/* L3 */
Test(lease, never_en_masse)
{
	enum { N = 10, SILENT = 4 };
	uint64_t epochs[N];
	char id[8];
	size_t lapsed, all;

	for (int i = 0; i < N; i++) {
		snprintf(id, sizeof(id), "l%d", i);
		epochs[i] = enrol_id(id, "us");
	}
	enrol_id("other", "eu");
	for (int round = 0; round < 30; round++) {
		for (int i = SILENT; i < N; i++) {
			snprintf(id, sizeof(id), "l%d", i);
			cr_assert_eq(lease_heartbeat(unit.leases, id,
			    epochs[i]), STORE_OK);
		}
		unit_pass(5000);
	}
	cr_assert_str_eq(health("l0"), "suspect", "four of ten: %s",
	    health("l0"));
	cr_assert(lease_alarm(unit.leases, "us", &lapsed, &all));
	cr_assert_eq(lapsed, SILENT);
	cr_assert_eq(all, N);
	/* Another region is none of that. */
	cr_assert_str_eq(health("other"), "-");
	cr_assert(!lease_alarm(unit.leases, "eu", &lapsed, &all));
	/* Two come back: two of ten are no alarm. */
	for (int round = 0; round < 20; round++) {
		for (int i = 2; i < N; i++) {
			snprintf(id, sizeof(id), "l%d", i);
			cr_assert_eq(lease_heartbeat(unit.leases, id,
			    epochs[i]), STORE_OK);
		}
		unit_pass(5000);
	}
	cr_assert_str_eq(health("l0"), "-");
	cr_assert_str_eq(health("l2"), "live");
	cr_assert_eq(leases_n(unit.leases), N - 2);
}

Test(lease, what_is_refused)
{
	static const struct {
		struct lease_request r;
		const char	*why;
	} cases[] = {
		{ { "a b", "s", "us", "", "1.1.1.1", 1, 0, "", 0 }, "id is "
		    "\"a b\", expected 1..128 letters, digits, and \".\", "
		    "\"_\", \"-\"" },
		{ { "", "", "us", "", "1.1.1.1", 1, 0, "", 0 }, "service is "
		    "\"\", expected 1..128 letters, digits, and \".\", \"_\", "
		    "\"-\"" },
		{ { "", "s", "mars", "", "1.1.1.1", 1, 0, "", 0 }, "region is "
		    "\"mars\", and there is no such region" },
		{ { "", "s", "us", "", "host", 1, 0, "", 0 }, "address is "
		    "\"host\", expected an IP address" },
		{ { "", "s", "us", "", "1.1.1.1", 0, 0, "", 0 }, "port is 0, "
		    "expected 1..65535" },
		{ { "", "s", "us", "", "1.1.1.1", 1, 0, "", 5 }, "ttl_ms is "
		    "5, expected 1000..600000" },
		{ { "", "x.Y", "us", "", "1.1.1.1", 1, 0, "", 0 }, "gRPC "
		    "service x.Y is answered by service t: register as that "
		    "one" },
	};

	unit_write("service", "t", 0, "service: t\ngrpc: [x.Y]");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(enrol(&cases[i].r), STORE_INVALID);
		cr_expect_str_eq(said.why, cases[i].why, "%s", said.why);
	}
	cr_assert_eq(leases_n(unit.leases), 0);
}

Test(lease, an_id_is_made)
{
	const struct lease_request four = request("", "us", 80);
	struct lease_request six = request("", "us", 80);

	six.address = "fe80::1";
	cr_assert_eq(enrol(&four), STORE_OK);
	cr_assert_str_eq(said.id, "s-10.0.0.1-80");
	cr_assert_eq(enrol(&six), STORE_OK, "%s", said.why);
	cr_assert_str_eq(said.id, "s-fe80..1-80");
}
