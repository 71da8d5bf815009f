/*
 * master/ctl/main.c - godwitctl: asks the godwit that runs, or godwit-ems, and
 * prints what it answers. What a godwit says is said by its master
 * (master/status.c), so that curl shows the same; the words for godwit-ems are
 * ems.def.
 *
 *   godwitctl [-c FILE] [-o NAME=VALUE] WORD ...
 *     status                    what is wrong, and how things stand
 *     ready                     whether callers can come
 *     config [KIND [NAME]]      resources, or one of them whole
 *     certs                     certificates in use, and until when (JSON)
 *     stats [FILTER]            counters whose names have this in them
 *     generations               which is used by whom
 *   godwitctl [--ems WHERE] [-o json] WORD ...
 *     apply, plan, get, ...     ems.h
 *
 * Exit codes: 0 fine; 1 nobody answers, there is no such thing, or (status)
 * something is wrong; 2 the command line makes no sense.
 *
 * Test: t/mesh/840-operator.py, 910-rest.py.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "master/ctl/ask.h"
#include "master/ctl/ems.h"
#include "master/ctl/table.h"
#include "master/options.h"
#include "master/query.h"
#include "master/signal_client.h"
#include "shm/log.h"

enum { PATH_BYTES = 4096, WHY_BYTES = 1024 };

static const char help[] =
    "godwitctl - asks the godwit that runs here, or the mesh's godwit-ems\n"
    "\n"
    "  godwitctl [-c FILE] [-o NAME=VALUE]... WORD\n"
    "\n"
    "  status               what is wrong, first; the control plane, and what\n"
    "                       came of what it sent\n"
    "  ready                whether callers can come (exit code), and why not\n"
    "  config               all resources: from the file, the control plane\n"
    "                       or a checkpoint; version, since when, and what\n"
    "                       each waits for or was refused for\n"
    "  config KIND          those of a kind: cluster, endpoints, secret,\n"
    "                       listener or routes (or CDS, EDS ...)\n"
    "  config KIND NAME     one of them, with its text (private keys hidden)\n"
    "  certs                certificates in use, and until when they are good\n"
    "                       (JSON, as Envoy's)\n"
    "  stats [FILTER]       counters and times over all workers; FILTER: only\n"
    "                       names that have this in them\n"
    "  generations          which is published, and which each worker uses\n"
    "\n"
    "  -c FILE              the configuration of the godwit to ask\n"
    "                       [" GODWIT_SYSCONFDIR "/godwit/godwit.yaml]\n"
    "  -o run_dir=DIR       where its admin.sock is, without a look at FILE\n"
    "  -V                   version\n"
    "  -h                   this\n"
    "\n"
    "  godwitctl [--ems WHERE] [--token-file FILE]\n"
    "            [--ca FILE [--cert FILE --key FILE]] [-o json] WORD\n"
    "\n";

static const char help_end[] =
    "\n"
    "  --ems WHERE          unix:PATH, https://HOST:PORT or http://HOST:PORT\n"
    "                       [$GODWIT_EMS, else /run/godwit-ems/ems.sock, else\n"
    "                       ./ems.sock]\n"
    "  --token-file FILE    what it asks for by TCP [$GODWIT_EMS_TOKEN_FILE]\n"
    "  --ca FILE            https: by which it must have a certificate, with\n"
    "                       HOST as one of its names [$GODWIT_EMS_CA]\n"
    "  --cert FILE, --key FILE\n"
    "                       https: our certificate, in place of a token\n"
    "                       [$GODWIT_EMS_CERT, $GODWIT_EMS_KEY]\n"
    "  -o json              the answer as it came\n"
    "  -w, --why TEXT       of a write, for its history\n"
    "  --version N          that delete expects\n"
    "  --revision N         get, list: as it was then; history: before it\n"
    "  --force              apply, delete: whatever version is there\n"
    "  --confirm            that so much is to be deleted\n"
    "  --id ID --zone ZONE --weight N --label VERSION --ttl 15s\n"
    "                       of register\n"
    "\n"
    "Exit code: 0 fine; 1 nobody answers, it was refused, there is no such\n"
    "thing, or (status) something is wrong; 2 this command line makes no sense.\n";

static int
usage(const char *what, const char *word)
{
	fprintf(stderr, "godwitctl: %s%s; godwitctl -h says what can be "
	    "asked\n", what, word);
	return 2;
}

/* ---- printing */

static void
print_filtered(const struct answer *a, const char *filter)
{
	const char *at = a->body, *end;
	size_t n, name_n;

	for (; *at != '\0'; at = end + (*end == '\n')) {
		end = at + strcspn(at, "\n");
		n = (size_t)(end - at);
		name_n = strcspn(at, ":\n");
		if (memmem(at, name_n, filter, strlen(filter)) != NULL) {
			plain_print(at, n);
			putchar('\n');
		}
	}
}

/* ---- words */

static int
path_of_config(int argc, char **argv, char *path)
{
	char kind[PATH_BYTES / 4], name[PATH_BYTES / 2];

	if (argc == 1) {
		strcpy(path, "/config");
		return 0;
	}
	if (!query_quote(argv[1], kind, sizeof(kind)) ||
	    !query_quote(argc > 2 ? argv[2] : "", name, sizeof(name)))
		return usage("too long: ", argv[argc - 1]);
	snprintf(path, PATH_BYTES, "/config?kind=%s%s%s", kind,
	    argc > 2 ? "&name=" : "", name);
	return 0;
}

/* 0, or the exit code. */
static int
path_of(int argc, char **argv, char *path)
{
	static const struct {
		const char	*word;
		int		 args_max;
	} words[] = {
		{ "status", 0 }, { "generations", 0 }, { "stats", 1 },
		{ "certs", 0 }, { "ready", 0 },
		{ "config", 2 },
	};

	if (argc == 0)
		return usage("a word is missing, expected status, ready, "
		    "config, certs, stats or generations", "");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, argv[0]) != 0)
			continue;
		if (argc - 1 > words[i].args_max)
			return usage("one word too many: ",
			    argv[words[i].args_max + 1]);
		if (strcmp(argv[0], "config") == 0)
			return path_of_config(argc, argv, path);
		snprintf(path, PATH_BYTES, "/%s", argv[0]);
		return 0;
	}
	return usage("no such word: ", argv[0]);
}

/* ---- asking */

static int
answer_print(const struct answer *a, int argc, char **argv)
{
	static const char well[] = "all is well\n";

	if (a->status != 200) {
		fprintf(stderr, "godwitctl: %.*s\n",
		    (int)strcspn(a->body, "\n"), a->body);
		return a->status == 400 ? 2 : 1;
	}
	if (strcmp(argv[0], "stats") == 0 && argc > 1)
		print_filtered(a, argv[1]);
	else
		plain_print(a->body, a->len);
	return strcmp(argv[0], "status") == 0 &&
	    strncmp(a->body, well, sizeof(well) - 1) != 0;
}

static int
run(const struct options *o, int argc, char **argv)
{
	char path[PATH_BYTES], socket_path[PATH_BYTES], why[WHY_BYTES];
	const struct question q = { .where = socket_path, .path = path,
	    .hint = "does godwit run? -o run_dir=DIR says where" };
	struct answer a;
	struct conf c;
	int rc = path_of(argc, argv, path);

	if (rc != 0)
		return rc;
	rc = signal_client_conf(&c, o, why, sizeof(why));
	if (rc == 0) {
		snprintf(socket_path, sizeof(socket_path), "%s/admin.sock",
		    c.run_dir);
		rc = ask(&q, &a, why, sizeof(why));
	}
	if (rc == -1) {
		fprintf(stderr, "godwitctl: %s\n", why);
		return 1;
	}
	rc = answer_print(&a, argc, argv);
	free(a.body);
	if (fflush(stdout) != 0)
		return 1;
	return rc;
}

/* ---- the command line */

static int
setting_add(struct options *o, const char *setting)
{
	if (strchr(setting, '=') == NULL)
		return usage("write it as NAME=VALUE: -o ", setting);
	if (o->settings_n == OPTIONS_SETTINGS_MAX)
		return usage("too many -o: ", setting);
	o->settings[o->settings_n++] = setting;
	return 0;
}

static int
help_print(void)
{
	fputs(help, stdout);
	ems_help();
	fputs(help_end, stdout);
	return 0;
}

enum { GO_ON = -1 };

/* GO_ON, or the exit code. */
static int
option_take(struct options *o, struct ems_ctl *e, int found, const char *word)
{
	int rc;

	switch (found) {
	case 'c':
		o->file = optarg;
		o->file_given = true;
		return GO_ON;
	case 'o':
		if (strcmp(optarg, "json") == 0)
			e->json = true;
		else if ((rc = setting_add(o, optarg)) != 0)
			return rc;
		return GO_ON;
	case 'h':
		return help_print();
	case 'V':
		printf("godwitctl %s\n", GODWIT_VERSION);
		return 0;
	default:
		if (ems_text_take(e, found, optarg))
			return GO_ON;
		return usage(found == ':' ? "a value is missing: " :
		    "no such option: ", word);
	}
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		EMS_WHERE_OPTIONS,
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .file = GODWIT_SYSCONFDIR
	    "/godwit/godwit.yaml" };
	struct ems_ctl e = { 0 };
	int found, rc;

	while ((found = getopt_long(argc, argv, "+:c:o:hV", longs, NULL)) !=
	    -1)
		if ((rc = option_take(&o, &e, found, argv[optind - 1])) !=
		    GO_ON)
			return rc;
	argc -= optind;
	argv += optind;
	if (argc > 0 && ems_word(argv[0]))
		return ems_run(&e, argc, argv);
	if (e.json)
		return usage("-o json is for the words of godwit-ems", "");
	return run(&o, argc, argv);
}
