/* t/unit/who.c - names in certificates, and what they allow (xds/ems/who.h). */
#include "xds/ems/who.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define M "spiffe://mesh/"
#define US M "region/us/"
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* In us: p follows as a proxy, g as its gateway; s registers a.Svc, o another;
 * w writes. */
static const struct {
	const char	*names;
	const char	*may;
} cases[] = {
	{ US "service/a.Svc\0", "ps" },
	{ US "service/b\0", "po" },
	{ US "host/h-1\0", "pso" },
	{ US "gateway\0", "pg" },
	{ M "writer/ann\0", "sow" },
	{ "DNS.name\0" US "service/b\0" M "writer/w\0", "psow" },
	/* Another region. */
	{ M "region/eu/service/a.Svc\0" M "region/eu/gateway\0", "" },
	{ M "region/eu/host/us\0", "" },
	/* Another mesh, and what begins or ends like ours. */
	{ "spiffe://mesh2/region/us/host/h\0", "" },
	{ "spiffe://mes/region/us/host/h\0", "" },
	{ "spiffe://elsewhere/spiffe://mesh/region/us/host/h\0", "" },
	{ "https://mesh/region/us/host/h\0", "" },
	{ "SPIFFE://mesh/region/us/host/h\0", "" },
	{ "spiffe:/mesh/region/us/host/h\0", "" },
	{ M "/region/us/host/h\0", "" },
	/* Segments: more, fewer, empty, no names. */
	{ US "service/a.Svc/x\0", "" },
	{ US "service/a.Svc/\0", "" },
	{ US "service//a.Svc\0", "" },
	{ US "service/\0", "" },
	{ US "service\0", "" },
	{ US "service/a Svc\0", "" },
	{ US "service/a%2ESvc\0", "" },
	{ US "service/../host/h\0", "" },
	{ US "host/\0", "" },
	{ US "host\0", "" },
	{ US "gateway/\0", "" },
	{ US "gateway/x\0", "" },
	{ US "gateways\0", "" },
	{ US "local\0", "" },
	{ US "\0", "" },
	{ M "region/us\0", "" },
	{ M "region//gateway\0", "" },
	{ M "region/gateway\0", "" },
	{ M "region/us//gateway\0", "" },
	{ M "writer/\0", "" },
	{ M "writer/ann/x\0", "" },
	{ M "writer\0", "" },
	{ M "writers/ann\0", "" },
	{ M "host/h\0", "" },
	{ M "service/a.Svc\0", "" },
	{ US "host/" LONG LONG "\0", "pso" },	/* 128 */
	{ US "host/a" LONG LONG "\0", "" },
	{ "\0", "" },
	{ NULL, "" },
};

static const char *
seen(const struct who *w)
{
	static char may[8];
	char why[1024], name[INTENT_NAME_MAX + 1];

	snprintf(may, sizeof(may), "%s%s%s%s%s",
	    who_may_follow(w, "us", false, why, sizeof(why)) ? "p" : "",
	    who_may_follow(w, "us", true, why, sizeof(why)) ? "g" : "",
	    who_may_register(w, "a.Svc", "us", why, sizeof(why)) ? "s" : "",
	    who_may_register(w, "b", "us", why, sizeof(why)) ? "o" : "",
	    who_is_writer(w, name) ? "w" : "");
	return may;
}

Test(who, cases)
{
	const struct who_rules rules = { "mesh", false };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct who w = { &rules, cases[i].names };

		cr_expect_str_eq(seen(&w), cases[i].may, "%zu: %s: may "
		    "\"%s\", expected \"%s\"", i, cases[i].names == NULL ?
		    "none" : cases[i].names, seen(&w), cases[i].may);
	}
}

/* All may all, but be a writer. */
Test(who, anybody)
{
	const struct who_rules rules = { "mesh", true };
	const struct who none = { &rules, NULL }, other = { &rules,
	    "spiffe://elsewhere/x\0" };

	cr_expect_str_eq(seen(&none), "pgso");
	cr_expect_str_eq(seen(&other), "pgso");
}

Test(who, sentences)
{
	const struct who_rules rules = { "mesh", false };
	const struct who w = { &rules, US "service/b\0DNS.name\0" },
	    none = { &rules, NULL }, unnamed = { &rules, "\0" };
	char why[1024], name[INTENT_NAME_MAX + 1], few[24];

	who_may_follow(&w, "eu", false, why, sizeof(why));
	cr_expect_str_eq(why, "the certificate has " US "service/b, DNS.name, "
	    "expected " M "region/eu/service/NAME or .../host/NAME");
	who_may_follow(&unnamed, "us", true, why, sizeof(why));
	cr_expect_str_eq(why, "the certificate has no name, expected " US
	    "gateway");
	who_may_register(&none, "a", "us", why, sizeof(why));
	cr_expect_str_eq(why, "there is no certificate, expected one of " US
	    "service/a or .../host/NAME");
	cr_expect(who_is_writer(&(struct who){ &rules, M "writer/ann-1\0" },
	    name));
	cr_expect_str_eq(name, "ann-1");
	who_print(&w, few, sizeof(few));
	cr_expect_lt(strlen(few), sizeof(few));
}
