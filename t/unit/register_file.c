/*
 * t/unit/register_file.c - the setting register of a file: what it means, and
 * what is refused of it, with its place.
 */
#include "master/register_settings.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "master/compile_parts.h"

#define NODE	"node: {locality: {region: us, zone: a}}\n"
#define LIST	NODE "godwit:\n  ems: 10.0.0.1:18000\n  register:\n"
#define ITEM	LIST "  - service: tasks.TaskStore\n    address: 127.0.0.1:5000\n"
#define HERE	"godwit.register[0]"

static char why[1024];
static struct register_list list;

/* 0, or -1 and why. */
static int
read_file(const char *text)
{
	struct load_arena *m = load_arena_new(1 << 20);
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	const ProtobufCMessage *b;
	struct conf conf;
	int rc;

	cr_assert_not_null(y, "%s", why);
	conf_init(&conf);
	cr_assert_eq(conf_load(&conf, y, yaml_find(yaml_root(y), "godwit"),
	    why, sizeof(why)), 0, "%s", why);
	b = load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", why, sizeof(why));
	cr_assert_not_null(b, "%s", why);
	rc = compile_register(m, y, b, &conf, &list, why, sizeof(why));
	yaml_close(y);
	load_arena_free(m);
	return rc;
}

Test(register_file, what_is_not_said)
{
	const struct register_settings *s = &list.at[0];
	const struct sockaddr_in *in = (const void *)&s->address;

	cr_assert_eq(read_file(ITEM), 0, "%s", why);
	cr_assert_eq(list.n, 1);
	cr_expect_str_eq(s->id, "tasks.TaskStore-127.0.0.1-5000");
	cr_expect_str_eq(s->service, "tasks.TaskStore");
	cr_expect_str_eq(s->region, "us");
	cr_expect_str_eq(s->zone, "a", "the node's");
	cr_expect_str_eq(s->version, "");
	cr_expect_str_eq(s->host, "127.0.0.1");
	cr_expect_eq(s->port, 5000);
	cr_expect_eq(in->sin_family, AF_INET);
	cr_expect_eq(in->sin_port, htons(5000));
	cr_expect_eq(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	cr_expect_eq(s->weight, 1);
	cr_expect_eq(s->ttl_ms, 15000);
	cr_expect_not(s->grpc);
	cr_expect_eq(s->interval_ms, 2000);
	cr_expect_eq(s->timeout_ms, 1000);
	cr_expect_eq(s->healthy_n, 1);
	cr_expect_eq(s->unhealthy_n, 2);
}

Test(register_file, what_is_said)
{
	const struct register_settings *s = &list.at[1];
	const struct sockaddr_in6 *in6 = (const void *)&s->address;

	cr_assert_eq(read_file(ITEM "  - service: b\n    id: c\n    address: "
	    "\"[::]:1\"\n    advertise: \"[fd00::5]:2\"\n    zone: z\n"
	    "    version: r42\n    weight: 7\n    ttl: 6s\n    check: {grpc: "
	    "\"x.Y\", interval: 0.5s, timeout: 0.25s, healthy: 3, "
	    "unhealthy: 4}\n  - {service: b, address: \"[::1]:1\", check: "
	    "{grpc: \"\"}}\n"), 0, "%s", why);
	cr_assert_eq(list.n, 3);
	cr_expect_str_eq(s->id, "c");
	cr_expect_str_eq(s->host, "fd00::5");
	cr_expect_eq(s->port, 2);
	cr_expect_eq(in6->sin6_family, AF_INET6);
	cr_expect_eq(in6->sin6_port, htons(1));
	cr_expect_str_eq(s->address_text, "[::]:1");
	cr_expect_str_eq(s->zone, "z");
	cr_expect_str_eq(s->version, "r42");
	cr_expect_eq(s->weight, 7);
	cr_expect_eq(s->ttl_ms, 6000);
	cr_expect(s->grpc);
	cr_expect_str_eq(s->check_service, "x.Y");
	cr_expect_eq(s->interval_ms, 500);
	cr_expect_eq(s->timeout_ms, 250);
	cr_expect_eq(s->healthy_n, 3);
	cr_expect_eq(s->unhealthy_n, 4);
	cr_expect(list.at[2].grpc, "the app as a whole");
	cr_expect_str_eq(list.at[2].id, "b-..1-1");
}

Test(register_file, nothing)
{
	static const char *const texts[] = { NODE, NODE "godwit: {}\n",
		NODE "godwit: {register: null}\n",
		"godwit: {register: []}\n" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		list.n = 9;
		cr_expect_eq(read_file(texts[i]), 0, "%s", why);
		cr_expect_eq(list.n, 0);
	}
}

Test(register_file, refusals)
{
	static const struct {
		const char	*text, *why;
	} cases[] = {
		{ NODE "godwit: {register: [{service: a}]}\n", "f:2:20: "
		    "godwit.register: there is no godwit.ems to be registered "
		    "at" },
		{ "godwit: {ems: \"10.0.0.1:1\", register: [{service: a}]}\n",
		    "f:1:39: godwit.register: node.locality.region says in no "
		    "region we are, expected its name" },
		{ LIST "    a: b\n", "f:5:5: godwit.register: expected a list "
		    "of apps to be registered" },
		{ LIST "  - servce: a\n", "f:5:5: " HERE ".servce: unknown "
		    "field; did you mean service?" },
		{ LIST "  - address: 127.0.0.1:1\n", "f:5:5: " HERE ".service: "
		    "is \"\", expected 1..128 letters, digits, and \".\", "
		    "\"_\", \"-\"" },
		{ LIST "  - {service: a, address: \"localhost:1\"}\n",
		    "f:5:27: " HERE ".address: is \"localhost:1\", expected "
		    "ADDRESS:PORT" },
		{ LIST "  - {service: a, address: \"0.0.0.0:1\"}\n",
		    "f:5:27: " HERE ".address: 0.0.0.0:1 can't be called by "
		    "others, expected advertise: the ADDRESS:PORT that can" },
		{ ITEM "    advertise: \"[::]:1\"\n", "f:7:16: " HERE
		    ".advertise: [::]:1 can't be called by others, expected "
		    "advertise: the ADDRESS:PORT that can" },
		{ ITEM "    advertise: 1\n", "f:7:16: " HERE ".advertise: "
		    "\"1\" is not a string; put it in quotes" },
		{ ITEM "    version: a/b\n", "f:7:14: " HERE ".version: is "
		    "\"a/b\", expected 1..128 letters, digits, and \".\", "
		    "\"_\", \"-\"" },
		{ ITEM "    ttl: 0.5s\n", "f:7:10: " HERE ".ttl: expected "
		    "1.000s to 600s" },
		{ ITEM "    ttl: 601s\n", "f:7:10: " HERE ".ttl: expected "
		    "1.000s to 600s" },
		{ ITEM "    weight: 1000001\n", "f:7:13: " HERE ".weight: is "
		    "1000001, expected at most 1000000" },
		{ ITEM "    check: {interval: 0s}\n", "f:7:23: " HERE
		    ".check.interval: expected 0.010s to 600s" },
		{ ITEM "    check: {healthy: 101}\n", "f:7:22: " HERE
		    ".check.healthy: is 101, expected at most 100" },
		{ ITEM "    check: {grpc: a, tcp: {}}\n", "f:7:22: " HERE
		    ".check.tcp: " },
		{ ITEM "  - {service: tasks.TaskStore, address: \"0.0.0.0:1\","
		    " advertise: \"127.0.0.1:5000\"}\n", "f:7:5: "
		    "godwit.register[1]: is registered by the id "
		    "tasks.TaskStore-127.0.0.1-5000, as godwit.register[0] is, "
		    "expected another id" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(read_file(cases[i].text), -1, "%s",
		    cases[i].text);
		cr_expect_eq(strncmp(why, cases[i].why,
		    strlen(cases[i].why)), 0, "case %zu:\n%s\n%s", i, why,
		    cases[i].why);
	}
}
