/* master/options.c - see options.h. */
#include "master/options.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "shm/log.h"

enum { DEBUGGABLE = 256 };	/* long options without a letter */

static const struct option longs[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "debuggable", no_argument, NULL, DEBUGGABLE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	int		 letter;
	enum options_mode mode;
} modes[] = {
	{ '1', OPTIONS_SINGLE }, { 't', OPTIONS_TEST }, { 's', OPTIONS_SIGNAL },
	{ 'V', OPTIONS_VERSION }, { 'h', OPTIONS_HELP },
};

static int
mode_of(int letter)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].letter == letter)
			return (int)modes[i].mode;
	return -1;
}

static int
setting_add(struct options *o, const char *setting, char *why, size_t why_len)
{
	if (strchr(setting, '=') == NULL)
		return why_set(why, why_len, "-o %s: write it as NAME=VALUE",
		    setting);
	if (o->settings_n == OPTIONS_SETTINGS_MAX)
		return why_set(why, why_len, "more than %d times -o: put the "
		    "settings into the file", OPTIONS_SETTINGS_MAX);
	o->settings[o->settings_n++] = setting;
	return 0;
}

/* Two modes would leave one of them undone: help excepted, which only
 * prints. */
static int
mode_set(struct options *o, int letter, char *why, size_t why_len)
{
	int mode = mode_of(letter);

	if (o->mode == OPTIONS_HELP || mode == OPTIONS_HELP)
		o->mode = OPTIONS_HELP;
	else if (o->mode == OPTIONS_RUN || (int)o->mode == mode)
		o->mode = (enum options_mode)mode;
	else
		return why_set(why, why_len, "only one of -1, -s, -t and -V "
		    "can be done at once");
	return 0;
}

/* What getopt_long could not take. */
static int
refuse(int found, char *const *argv, char *why, size_t why_len)
{
	const char *given = argv[optind - 1];

	if (found == ':')
		return why_set(why, why_len, "%s wants a value; godwit -h "
		    "shows which", given);
	if (optopt > 0 && optopt < DEBUGGABLE)
		return why_set(why, why_len, "there is no option -%c; godwit "
		    "-h lists them", optopt);
	return why_set(why, why_len, "there is no option %s; godwit -h lists "
	    "them", given);
}

static int
take(struct options *o, int found, char *const *argv, char *why,
    size_t why_len)
{
	switch (found) {
	case 'c':
		o->file = optarg;
		o->file_given = true;
		return 0;
	case 'o':
		return setting_add(o, optarg, why, why_len);
	case DEBUGGABLE:
		o->debuggable = true;
		return 0;
	case 's':
		o->signal = optarg;
		return mode_set(o, found, why, why_len);
	case '1': case 't': case 'V': case 'h':
		return mode_set(o, found, why, why_len);
	default:
		return refuse(found, argv, why, why_len);
	}
}

int
options_parse(struct options *o, int argc, char *const *argv, char *why,
    size_t why_len)
{
	int found;

	memset(o, 0, sizeof(*o));
	o->as_root = geteuid() == 0;
	o->file = GODWIT_SYSCONFDIR "/godwit/godwit.yaml";
	optind = 0;		/* glibc: start over, forgetting all */
	opterr = 0;
	while ((found = getopt_long(argc, argv, "+:c:o:s:1tVh", longs,
	    NULL)) != -1)
		if (take(o, found, argv, why, why_len) == -1)
			return -1;
	if (optind < argc)
		return why_set(why, why_len, "\"%s\" is no option; the file "
		    "is named by -c FILE", argv[optind]);
	return 0;
}

int
options_apply(const struct options *o, struct conf *c, char *why,
    size_t why_len)
{
	char said[512];

	for (int i = 0; i < o->settings_n; i++)
		if (conf_set(c, o->settings[i], said, sizeof(said)) == -1)
			return why_set(why, why_len, "-o %s", said);
	return 0;
}

bool
options_set(const struct options *o, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < o->settings_n; i++)
		if (strncmp(o->settings[i], name, n) == 0 &&
		    o->settings[i][n] == '=')
			return true;
	return false;
}

void
options_help(FILE *out)
{
	fputs("godwit - a service-mesh proxy for gRPC\n"
	    "\n"
	    "  godwit [-c FILE] [-o NAME=VALUE]...   runs, in the foreground\n"
	    "\n"
	    "  -c FILE        the configuration, an Envoy bootstrap in YAML or "
	    "JSON\n"
	    "                 [" GODWIT_SYSCONFDIR "/godwit/godwit.yaml]\n"
	    "  -o NAME=VALUE  a setting, over the file's; may be repeated\n"
	    "  -1             everything in one process, for debuggers\n"
	    "  -t             checks the configuration and says what is wrong\n"
	    "  -s WORD        tells the godwit that runs and waits for the "
	    "result:\n"
	    "                 reload, reopen, drain, stop, status, or "
	    "withdraw[=SERVICE]\n"
	    "  -V             version, libraries, build\n"
	    "  -h             this\n"
	    "  --debuggable   workers may be traced and leave core dumps\n"
	    "\n"
	    "Signals: HUP reloads, USR1 reopens logs, TERM and QUIT drain and "
	    "end,\n"
	    "INT or a second TERM end at once.\n"
	    "\n"
	    "Settings, under \"godwit:\" in the file or by -o:\n"
	    "\n", out);
	conf_help(out);
}
