/* t/unit/expand.c - ${NAME} in the texts of a file; see conf/expand.c */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"

static char why[512];

static void
set_up(void)
{
	setenv("POD_IP", "10.0.0.5", 1);
	setenv("N", "5", 1);
	setenv("EMPTY", "", 1);
	setenv("AGAIN", "${N}", 1);
	unsetenv("NONE");
}

/* The text of a: after an expansion below "a"; or why. */
static const char *
expand(const char *text, bool *quoted)
{
	static char got[1024];
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	const struct yaml_node *n;

	cr_assert_not_null(y, "%s", why);
	if (yaml_expand(y, yaml_root(y), "a", "a", why, sizeof(why)) == -1)
		snprintf(got, sizeof(got), "%s", why);
	else {
		n = yaml_find(yaml_root(y), "a");
		cr_assert_eq(strlen(n->text), n->text_len);
		snprintf(got, sizeof(got), "%s", n->text);
		*quoted = n->quoted;
	}
	yaml_close(y);
	return got;
}

Test(expand, texts, .init = set_up)
{
	static const struct {
		const char	*text, *want;
		bool		 quoted;
	} s[] = {
		{ "a: ${POD_IP}:50051", "10.0.0.5:50051" },
		{ "a: ${N}", "5" },
		{ "a: '${N}'", "5", true },
		{ "a: x${N}y${N}z", "x5y5z" },
		{ "a: x${EMPTY}", "x" },
		{ "a: ${AGAIN}", "${N}" },
		{ "a: $N $ {N} %{N} $", "$N $ {N} %{N} $" },
		{ "{\"a\": \"${POD_IP}\"}", "10.0.0.5", true },
		{ "a: b ${NONE}", "f:1:4: a: the environment has no NONE" },
		{ "a: ${}", "f:1:4: a: expected the name of a variable and "
		  "\"}\" behind \"${\"" },
		{ "a: ${N", "f:1:4: a: expected the name of a variable and "
		  "\"}\" behind \"${\"" },
		{ "a: ${N:-1}", "f:1:4: a: expected the name of a variable "
		  "and \"}\" behind \"${\"" },
		{ "a: ${1N}", "f:1:4: a: expected the name of a variable and "
		  "\"}\" behind \"${\"" },
	};
	const char *got;

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		bool quoted = false;

		got = expand(s[i].text, &quoted);
		cr_expect_str_eq(got, s[i].want, "%s: %s", s[i].text, got);
		cr_expect_eq(quoted, s[i].quoted, "%s", s[i].text);
	}
}

/* Below what is named, however deep, and nowhere else. */
Test(expand, where, .init = set_up)
{
	static const char text[] = "own:\n"
	    "  c: {d: [x, '${N}'], '${N}': 1}\n"
	    "  e: ${NONE}\n"
	    "f: ${NONE}\n";
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	const struct yaml_node *own = yaml_find(yaml_root(y), "own"), *c;

	cr_assert_eq(yaml_expand(y, own, "c", "own.c", why, sizeof(why)), 0,
	    "%s", why);
	c = yaml_find(own, "c");
	cr_expect_str_eq(yaml_find(c, "d")->items[1].text, "5");
	cr_expect_not_null(yaml_find(c, "${N}"), "a key stays");
	cr_expect_str_eq(yaml_find(own, "e")->text, "${NONE}");
	cr_expect_eq(yaml_expand(y, own, "g", "own.g", why, sizeof(why)), 0);
	cr_expect_eq(yaml_expand(y, NULL, "g", "g", why, sizeof(why)), 0);
	cr_expect_eq(yaml_expand(y, yaml_root(y), "own", "own", why,
	    sizeof(why)), -1);
	cr_expect_str_eq(why, "f:3:6: own.e: the environment has no NONE");
	yaml_close(y);
}

/* A key in JSON's spelling, and an item of a list. */
Test(expand, names, .init = set_up)
{
	static const char text[] = "runDir: [x, '${NONE}']\n";
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));

	cr_expect_eq(yaml_expand(y, yaml_root(y), "run_dir", "run_dir", why,
	    sizeof(why)), -1);
	cr_expect_str_eq(why, "f:1:13: run_dir[1]: the environment has no "
	    "NONE");
	yaml_close(y);
}
