/* t/unit/intent.c - intents and settings as text (xds/ems/intent.h,
 * settings.h). */
#include "xds/ems/intent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xds/ems/settings.h"

static const struct {
	const char	*text;
	const char	*why;		/* NULL: it is good */
} cases[] = {
	{ "region: us", NULL },
	{ "{\"region\": \"us\"}", NULL },
	{ "service: a.B-c_1\nowner: x", NULL },
	{ "service: s\nversions: {a: {weight: 0}, b: {weight: 1}}", NULL },
	{ "gateway: g\nregion: us\naddresses: ['[::1]:1']", NULL },
	{ "caller: c\nmay: [a, a/M]", NULL },
	{ "", "x.yaml:1:1: an intent begins with its noun, expected one of "
	    "region, gateway, service, limit, caller" },
	{ "[a]", "x.yaml:1:1: an intent begins with its noun, expected one of "
	    "region, gateway, service, limit, caller" },
	{ "planet: mars", "x.yaml:1:1: an intent begins with its noun, "
	    "expected one of region, gateway, service, limit, caller" },
	{ "region: a b", "x.yaml:1:9: region: \"a b\" is no name, expected "
	    "1..128 letters, digits, and \".\", \"_\", \"-\"" },
	{ "service: ''", "x.yaml:1:10: service: \"\" is no name, expected "
	    "1..128 letters, digits, and \".\", \"_\", \"-\"" },
	{ "gateway: g", "x.yaml:1:10: gateway: has no region, expected the "
	    "one it stands in" },
	{ "gateway: g\nregion: us", "x.yaml:1:10: gateway: has no addresses, "
	    "expected where the other regions reach it" },
	{ "gateway: g\nregion: us\naddresses: [host:1]", "x.yaml:3:13: "
	    "addresses[0]: \"host:1\" is no address, expected 10.0.0.1:8443" },
	{ "gateway: g\nregion: us\naddresses: ['1.1.1.1:1']\nlisten: x",
	    "x.yaml:4:9: listen: \"x\" is no address, expected 0.0.0.0:8443" },
	{ "service: s\ngrpc: [a, b, a]", "x.yaml:2:14: grpc[2]: \"a\" stands "
	    "there twice" },
	{ "service: s\ndefaults: {deadline: 0s}", "x.yaml:2:11: defaults: has a "
	    "deadline of no time, expected more than 0s" },
	{ "service: s\ndefaults: {deadline: 4294966.9s}", NULL },
	{ "service: s\ndefaults: {deadline: 4294967s}", "x.yaml:2:11: "
	    "defaults: has a deadline of more than 49 days, expected at most "
	    "4294967s" },
	{ "service: s\nmethods:\n  M: {retry: {max: 11}}", "x.yaml:3:6: "
	    "methods[\"M\"]: retry.max is 11, expected 0..10" },
	{ "service: s\nmethods:\n  M: {retry: {on: ['a\"b']}}", "x.yaml:3:6: "
	    "methods[\"M\"]: retry.on: \"a\"b\" is no reason to retry, "
	    "expected some of connect-failure, refused-stream, reset, "
	    "unavailable and others" },
	{ "service: s\ndefaults: {retry: {on: [reset, unavailble]}}", "x.yaml:"
	    "2:11: defaults: retry.on: \"unavailble\" is no reason to retry, "
	    "did you mean \"unavailable\"?" },
	{ "service: s\nversions: {a: {weight: 0}}", "x.yaml:2:11: versions: "
	    "have no weight together, expected shares of the calls" },
	{ "service: s\nlimits: {in_flight: 0}", "x.yaml:2:9: limits: "
	    "in_flight is 0, expected 1 or more" },
	{ "service: s\nlimits: {in_flight: 1}", NULL },
	{ "limit: l\nservices: [a, b]\nin_flight: 1", NULL },
	{ "limit: l", "x.yaml:1:8: limit: limits nothing, expected "
	    "in_flight" },
	{ "limit: l\nin_flight: 0", "x.yaml:2:12: in_flight: is 0, expected 1 "
	    "or more" },
	{ "limit: l\nin_flight: 1\nservices: [a, a]", "x.yaml:3:15: "
	    "services[1]: \"a\" stands there twice" },
	{ "caller: c\nonly: true", NULL },
	{ "caller: c\nmay: [a/b/c]", "x.yaml:2:7: may[0]: \"a/b/c\" is neither "
	    "SERVICE nor SERVICE/METHOD" },
};

Test(intent, cases)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[1024] = "";
		struct intent *at = intent_read(cases[i].text,
		    strlen(cases[i].text), "x.yaml", why, sizeof(why));

		cr_expect_eq(at != NULL, cases[i].why == NULL, "%s: %s",
		    cases[i].text, why);
		if (cases[i].why != NULL)
			cr_expect_str_eq(why, cases[i].why, "%s", why);
		intent_free(at);
	}
}

Test(intent, a_typo_is_named)
{
	static const char text[] = "service: s\nownr: x";
	char why[1024] = "";

	cr_assert_null(intent_read(text, sizeof(text) - 1, "s.yaml", why,
	    sizeof(why)));
	cr_assert_not_null(strstr(why, "s.yaml:2:1: ownr: "), "%s", why);
	cr_assert_not_null(strstr(why, "did you mean owner?"), "%s", why);
}

static const struct {
	const char	*text, *why;
} settings[] = {
	{ "{}", NULL },
	{ "listen: 127.0.0.1:1\nrest_listen: off", NULL },
	{ "listen: 0.0.0.0:1", "listen is 0.0.0.0:1, and there is no tls: "
	    "expected certificates, or clear_text: true, which lets everyone "
	    "who reaches it be a proxy" },
	{ "listen: 0.0.0.0:1\nclear_text: true", NULL },
	{ "any_certificate: true", "any_certificate is true, and there is no "
	    "tls, expected certificates" },
	{ "listen: 0.0.0.0:1\ntls: {certificate: a, key: b, ca: c}", NULL },
	{ "tls: {certificate: a}", "tls has not all of certificate, key and "
	    "ca, expected all or none" },
	{ "rest_listen: 0.0.0.0:1\nrest_token_file: t", "rest_listen is "
	    "0.0.0.0:1, and there is no rest_tls: expected certificates, or "
	    "clear_text: true, which lets everyone on the way read the "
	    "token" },
	{ "rest_listen: 0.0.0.0:1\nclear_text: true", "rest_listen is "
	    "0.0.0.0:1, and there is neither rest_token_file nor a ca in "
	    "rest_tls, which would let everyone write" },
	{ "rest_listen: 0.0.0.0:1\nclear_text: true\nrest_token_file: t",
	    NULL },
	{ "rest_listen: 0.0.0.0:1\nrest_tls: {certificate: a, key: b}\n"
	    "rest_token_file: t", NULL },
	{ "rest_listen: 0.0.0.0:1\nrest_tls: {certificate: a, key: b, ca: c}",
	    NULL },
	{ "rest_tls: {ca: c}", "rest_tls has not both of certificate and key, "
	    "expected both, and ca or not" },
	{ "listen: host:1", "listen is \"host:1\", expected ADDRESS:PORT" },
	{ "mesh: a/b", "mesh is \"a/b\", expected letters, digits, \".\", "
	    "\"_\", \"-\"" },
	{ "region_header: X-Region", "region_header is \"X-Region\", expected "
	    "a header's name in lower case" },
};

Test(settings, cases)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		char name[] = "/tmp/godwit-unit-XXXXXX", why[1024] = "";
		struct settings s;
		int fd = mkstemp(name), rc;

		cr_assert_eq(write(fd, settings[i].text,
		    strlen(settings[i].text)),
		    (ssize_t)strlen(settings[i].text));
		close(fd);
		rc = settings_read(&s, name, why, sizeof(why));
		unlink(name);
		cr_expect_eq(rc, settings[i].why == NULL ? 0 : -1, "%s: %s",
		    settings[i].text, why);
		if (settings[i].why != NULL)
			cr_expect_str_eq(why, settings[i].why, "%s", why);
		if (rc == 0)
			settings_free(&s);
	}
}
