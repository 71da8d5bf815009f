/* t/unit/options.c - the command line; see master/options.h */
#include "master/options.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 8 };

/* o's texts are good until the next call. */
static int
parse(struct options *o, const char *const *words, char *why, size_t why_len)
{
	static char texts[WORDS + 1][64];
	char *argv[WORDS + 2] = { NULL };
	int argc = 0;

	strcpy(texts[argc], "godwit");
	argv[0] = texts[argc++];
	for (; *words != NULL && argc <= WORDS; words++, argc++) {
		strcpy(texts[argc], *words);
		argv[argc] = texts[argc];
	}
	return options_parse(o, argc, argv, why, why_len);
}

Test(options, accepted)
{
	static const struct {
		const char	*words[WORDS];
		enum options_mode mode;
		const char	*file;	/* NULL: the installed one */
		const char	*signal;
		int		 settings_n;
		bool		 debuggable;
	} cases[] = {
		{ { NULL }, OPTIONS_RUN, NULL, NULL, 0, false },
		{ { "-c", "a.yaml" }, OPTIONS_RUN, "a.yaml", NULL, 0, false },
		{ { "-ca.yaml" }, OPTIONS_RUN, "a.yaml", NULL, 0, false },
		{ { "--config=a" }, OPTIONS_RUN, "a", NULL, 0, false },
		{ { "-t", "-c", "a" }, OPTIONS_TEST, "a", NULL, 0, false },
		{ { "-1" }, OPTIONS_SINGLE, NULL, NULL, 0, false },
		{ { "-V" }, OPTIONS_VERSION, NULL, NULL, 0, false },
		{ { "--version" }, OPTIONS_VERSION, NULL, NULL, 0, false },
		{ { "-h" }, OPTIONS_HELP, NULL, NULL, 0, false },
		{ { "-t", "-h" }, OPTIONS_HELP, NULL, NULL, 0, false },
		{ { "-h", "-t" }, OPTIONS_HELP, NULL, NULL, 0, false },
		{ { "-t", "-t" }, OPTIONS_TEST, NULL, NULL, 0, false },
		{ { "-s", "reload" }, OPTIONS_SIGNAL, NULL, "reload", 0,
		    false },
		{ { "-o", "a=1", "-ob=", "-c", "f" }, OPTIONS_RUN, "f", NULL,
		    2, false },
		{ { "--debuggable" }, OPTIONS_RUN, NULL, NULL, 0, true },
	};
	struct options o;
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(&o, cases[i].words, why, sizeof(why)), 0,
		    "case %zu: %s", i, why);
		cr_assert_eq(o.mode, cases[i].mode, "case %zu", i);
		cr_assert_eq(o.file_given, cases[i].file != NULL);
		cr_assert_not_null(o.file);
		if (cases[i].file != NULL)
			cr_assert_str_eq(o.file, cases[i].file);
		cr_assert_eq(o.signal == NULL, cases[i].signal == NULL);
		if (o.signal != NULL)
			cr_assert_str_eq(o.signal, cases[i].signal);
		cr_assert_eq(o.settings_n, cases[i].settings_n);
		cr_assert_eq(o.debuggable, cases[i].debuggable);
	}
}

Test(options, refused)
{
	static const struct {
		const char	*words[WORDS];
		const char	*why;
	} cases[] = {
		{ { "-x" }, "there is no option -x; godwit -h lists them" },
		{ { "--frob" }, "there is no option --frob; godwit -h lists "
		    "them" },
		{ { "-c" }, "-c wants a value; godwit -h shows which" },
		{ { "-o" }, "-o wants a value; godwit -h shows which" },
		{ { "-o", "workers" }, "-o workers: write it as NAME=VALUE" },
		{ { "a.yaml" }, "\"a.yaml\" is no option; the file is named "
		    "by -c FILE" },
		{ { "-t", "-V" }, "only one of -1, -s, -t and -V can be done "
		    "at once" },
		{ { "-s", "stop", "-t" }, "only one of -1, -s, -t and -V can "
		    "be done at once" },
	};
	struct options o;
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(&o, cases[i].words, why, sizeof(why)), -1,
		    "case %zu", i);
		cr_assert_str_eq(why, cases[i].why);
	}
}

Test(options, settings)
{
	static const char *const good[] = { "-o", "workers=3", "-o",
		"workers=5", "-o", "log_level=debug", NULL };
	static const char *const bad[] = { "-o", "worker=3", NULL };
	struct options o;
	struct conf c;
	char why[256];

	conf_init(&c);
	cr_assert_eq(parse(&o, good, why, sizeof(why)), 0);
	cr_assert_eq(options_apply(&o, &c, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(c.workers, 5, "the last one counts");
	cr_assert_str_eq(c.log_level, "debug");
	cr_assert(options_set(&o, "workers"));
	cr_assert(!options_set(&o, "worker"));
	cr_assert(!options_set(&o, "run_dir"));

	cr_assert_eq(parse(&o, bad, why, sizeof(why)), 0);
	cr_assert_eq(options_apply(&o, &c, why, sizeof(why)), -1);
	cr_assert_eq(strncmp(why, "-o ", 3), 0, "%s", why);
	cr_assert_not_null(strstr(why, "worker"), "%s", why);
}

/* Every option that the parser takes is in the help, and every setting. */
Test(options, help)
{
	static const char *const words[] = { "-c FILE", "-o NAME=VALUE", "-1",
		"-t", "-s WORD", "-V", "-h", "--debuggable", "run_dir",
		"drain_time_ms" };
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	cr_assert_not_null(out);
	options_help(out);
	fclose(out);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		cr_assert_not_null(strstr(text, words[i]), "%s", words[i]);
	free(text);
}
