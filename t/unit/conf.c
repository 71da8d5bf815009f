/* t/unit/conf.c - settings from -o and from the file; see conf/conf.h */
#include "conf/conf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/cpu.h"

Test(conf, defaults)
{
	struct conf c;

	conf_init(&c);
	cr_expect_eq(c.workers, 0);
	cr_expect_eq(c.drain_time_ms, 25000);
	cr_expect_eq(c.buffer_budget_bytes, 256 << 20);
	cr_expect_str_eq(c.run_dir, "");
	cr_expect_str_eq(c.log_level, "info");
	cr_expect_str_eq(c.godwit_cause, "trailer");
}

Test(conf, set)
{
	static const struct {
		const char	*option, *want;
	} s[] = {
		{ "workers=4", "" },
		{ "workers=0", "" },
		{ "workers=256", "" },
		{ "drainTimeMs=1", "" },
		{ "run_dir=/x=y", "" },
		{ "user=1000", "" },
		{ "user=", "" },
		{ "log_level=debug", "" },
		{ "workers=banana", "workers: \"banana\" is not a number; "
		  "expected 0 to 256" },
		{ "workers=", "workers: \"\" is not a number; expected 0 to "
		  "256" },
		{ "workers=4x", "workers: \"4x\" is not a number; expected 0 "
		  "to 256" },
		{ "workers=1.5", "workers: \"1.5\" is not a whole number; "
		  "expected 0 to 256" },
		{ "workers= 4", "workers: \" 4\" is not a number; expected 0 "
		  "to 256" },
		{ "workers=+4", "workers: \"+4\" is not a number; expected 0 "
		  "to 256" },
		{ "workers=010", "workers: \"010\" is not a number; expected "
		  "0 to 256" },
		{ "workers=257", "workers: 257 is out of range; expected 0 "
		  "to 256" },
		{ "workers=-1", "workers: -1 is out of range; expected 0 to "
		  "256" },
		{ "workers=99999999999999999999", "workers: "
		  "99999999999999999999 is out of range; expected 0 to 256" },
		{ "buffer_budget_bytes=1048575", "buffer_budget_bytes: "
		  "1048575 is out of range; expected 1048576 to "
		  "1099511627776" },
		{ "log_level=loud", "log_level: \"loud\" is none of the "
		  "choices; expected one of error|warn|info|debug" },
		{ "log_level=inf", "log_level: \"inf\" is none of the "
		  "choices; expected one of error|warn|info|debug" },
		{ "wrokers=4", "wrokers: unknown setting; did you mean "
		  "workers?" },
		{ "register=a", "register: it is a list, which stands in the "
		  "file only" },
		{ "banana=4", "banana: unknown setting; expected one of "
		  "workers, drain_time_ms, buffer_budget_bytes, "
		  "stuck_alarm_ms, stuck_kill_ms, run_dir, ems, ems_ca, "
		  "ems_certificate, ems_key, register, dns_servers, state_dir, user, "
		  "log_file, log_level, godwit_cause" },
		{ "workers", "\"workers\": expected name=value" },
		{ "=4", "\"=4\": expected name=value" },
	};
	struct conf c;
	char why[512];
	size_t i;

	conf_init(&c);
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		why[0] = '\0';
		cr_expect_eq(conf_set(&c, s[i].option, why, sizeof(why)),
		    s[i].want[0] == '\0' ? 0 : -1, "%s", s[i].option);
		cr_expect_str_eq(why, s[i].want);
	}
	cr_expect_eq(c.workers, 256);
	cr_expect_eq(c.drain_time_ms, 1);
	cr_expect_str_eq(c.run_dir, "/x=y");
	cr_expect_str_eq(c.user, "");
	cr_expect_str_eq(c.log_level, "debug");
}

Test(conf, set_too_long)
{
	char option[400] = "run_dir=/", why[512];
	struct conf c;

	conf_init(&c);
	memset(option + 9, 'x', 255);
	cr_expect_eq(conf_set(&c, option, why, sizeof(why)), -1);
	cr_expect(strstr(why, "is too long; expected at most 255 bytes"));
	option[8 + 255] = '\0';
	cr_expect_eq(conf_set(&c, option, why, sizeof(why)), 0);
}

/* "" or the refusal; what was read is in *c. */
static const char *
load(struct conf *c, const char *text)
{
	static char why[512];
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));

	cr_assert_not_null(y, "%s", why);
	conf_init(c);
	why[0] = '\0';
	if (conf_load(c, y, yaml_find(yaml_root(y), "godwit"), why,
	    sizeof(why)) == 0)
		cr_expect_str_eq(why, "");
	yaml_close(y);
	return why;
}

Test(conf, load)
{
	static const struct {
		const char	*text, *want;
	} s[] = {
		{ "node: {}\n", "" },
		{ "godwit:\n", "" },
		{ "godwit: {}\n", "" },
		{ "godwit: {workers: null, user: \"1000\"}\n", "" },
		{ "godwit:\n  workers: banana\n", "f:2:12: godwit.workers: "
		  "\"banana\" is not a number; expected 0 to 256" },
		{ "godwit:\n  workers: [1]\n", "f:2:12: godwit.workers: a "
		  "list is not one value" },
		{ "godwit:\n  worker: 1\n", "f:2:3: godwit.worker: unknown "
		  "setting; did you mean workers?" },
		{ "godwit: {log_level: info, logLevel: warn}\n", "f:1:27: "
		  "godwit.log_level: given twice, in snake_case and in "
		  "camelCase" },
		{ "godwit: {user: 1000}\n", "f:1:16: godwit.user: \"1000\" is "
		  "not a string; put it in quotes" },
		{ "godwit: {user: true}\n", "f:1:16: godwit.user: \"true\" is "
		  "not a string; put it in quotes" },
		{ "godwit: {user: \"a\\0b\"}\n", "f:1:16: godwit.user: a NUL "
		  "character in a value" },
		{ "godwit: [workers]\n", "f:1:9: godwit: expected a mapping "
		  "of settings" },
		{ "godwit: 5\n", "f:1:9: godwit: expected a mapping of "
		  "settings" },
	};
	struct conf c;
	size_t i;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		cr_expect_str_eq(load(&c, s[i].text), s[i].want);
	cr_expect_str_eq(load(&c, "godwit:\n  workers: 3\n  drainTimeMs: "
	    "\"7\"\n  user: inf\n  run_dir: 1.2.3\n  godwit_cause: off\n"),
	    "");
	cr_expect_eq(c.workers, 3);
	cr_expect_eq(c.drain_time_ms, 7);
	cr_expect_str_eq(c.user, "inf");
	cr_expect_str_eq(c.run_dir, "1.2.3");
	cr_expect_str_eq(c.godwit_cause, "off");
}

Test(conf, fixed_change)
{
	struct conf a, b;
	char why[256];

	conf_init(&a);
	conf_init(&b);
	cr_expect_null(conf_fixed_change(&a, &b));
	cr_expect_eq(conf_set(&b, "log_level=warn", why, sizeof(why)), 0);
	cr_expect_eq(conf_set(&b, "drain_time_ms=1", why, sizeof(why)), 0);
	cr_expect_null(conf_fixed_change(&a, &b));
	cr_expect_eq(conf_set(&b, "workers=2", why, sizeof(why)), 0);
	cr_expect_null(conf_fixed_change(&a, &b));
	cr_expect_eq(conf_set(&b, "user=x", why, sizeof(why)), 0);
	cr_expect_str_eq(conf_fixed_change(&a, &b), "user");
	cr_expect_eq(conf_set(&b, "run_dir=/x", why, sizeof(why)), 0);
	cr_expect_str_eq(conf_fixed_change(&a, &b), "run_dir");
}

Test(conf, resolve)
{
	struct conf c;

	conf_init(&c);
	conf_resolve(&c, geteuid() == 0);
	cr_expect_geq(c.workers, 1);
	cr_expect_leq(c.workers, 256);
	cr_expect_neq(c.run_dir[0], '\0');
	strcpy(c.run_dir, "/x");
	c.workers = 7;
	conf_resolve(&c, geteuid() == 0);
	cr_expect_str_eq(c.run_dir, "/x");
	cr_expect_eq(c.workers, 7);
}

Test(conf, resolve_as_user)
{
	struct conf c;

	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	conf_init(&c);
	setenv("XDG_RUNTIME_DIR", "/run/user/5", 1);
	conf_resolve(&c, geteuid() == 0);
	cr_expect_str_eq(c.run_dir, "/run/user/5/godwit");
	conf_init(&c);
	unsetenv("XDG_RUNTIME_DIR");
	conf_resolve(&c, geteuid() == 0);
	cr_expect(strncmp(c.run_dir, "/tmp/godwit-", 12) == 0);
	cr_expect_eq(seteuid(getuid()), 0);
}

Test(conf, help)
{
	char text[4096] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	conf_help(f);
	fclose(f);
	cr_expect(strstr(text, "  workers=0  (0 to 256)\n"
	    "      worker processes; 0 = as many"));
	cr_expect(strstr(text, "  log_level=info  (error|warn|info|debug)\n"));
	cr_expect(strstr(text, "  run_dir=  (text)  at start only\n"));
}

/* ---- CPUs, in a control group file system of our own */

static char top[] = "/tmp/conf-test-XXXXXX";

static void
put(const char *path, const char *text)
{
	char full[256];
	char *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	for (slash = full + strlen(top) + 1; (slash = strchr(slash, '/')) !=
	    NULL; slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	cr_assert_not_null(f, "%s", full);
	fputs(text, f);
	fclose(f);
}

static int64_t
quota(const char *self)
{
	char path[256];

	put("self", self);
	snprintf(path, sizeof(path), "%s/self", top);
	return cpu_quota(path, top);
}

Test(conf, cpu)
{
	char command[64];

	cr_assert_not_null(mkdtemp(top));
	cr_expect_eq(quota("0::/\n"), 0, "no files at all");
	cr_expect_eq(quota(""), 0);
	cr_expect_eq(quota("nonsense\n0:\n"), 0);
	put("a/b/cpu.max", "max 100000\n");
	cr_expect_eq(quota("0::/a/b\n"), 0);
	put("a/b/cpu.max", "350000 100000\n");
	cr_expect_eq(quota("0::/a/b\n"), 3, "rounded down");
	put("a/cpu.max", "200000 100000\n");
	cr_expect_eq(quota("0::/a/b\n"), 2, "the group above");
	cr_expect_eq(quota("0::/a\n"), 2);
	cr_expect_eq(quota("0::/\n"), 0);
	put("cpu.max", "50000 100000\n");
	cr_expect_eq(quota("0::/a/b\n"), 1, "at least one");
	cr_expect_eq(quota("0::/not/mounted\n"), 1);
	put("cpu.max", "rubbish\n");
	put("cpu/x/cpu.cfs_quota_us", "400000\n");
	put("cpu/x/cpu.cfs_period_us", "100000\n");
	cr_expect_eq(quota("5:memory:/y\n4:cpu,cpuacct:/x\n"), 4);
	cr_expect_eq(quota("4:cpuset:/x\n3:cpuacct:/x\n"), 0);
	put("cpu/cpu.cfs_quota_us", "-1\n");
	put("cpu/cpu.cfs_period_us", "100000\n");
	cr_expect_eq(quota("4:cpuacct,cpu:/\n"), 0);
	cr_expect_geq(cpu_count(), 1);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	cr_expect_eq(system(command), 0);
}
