/*
 * master/ctl/main.c - godwitctl: asks the godwit that runs, and prints what it
 * answers. What is said is said by its master (master/status.c), so that curl
 * shows the same.
 *
 *   godwitctl [-c FILE] [-o NAME=VALUE] WORD ...
 *     status                    what is wrong, and how things stand
 *     config [KIND [NAME]]      resources, or one of them whole
 *     certs                     certificates in use, and until when (JSON)
 *     stats [FILTER]            counters whose names have this in them
 *     generations               which is used by whom
 *
 * Exit codes: 0 fine; 1 nobody answers, there is no such thing, or (status)
 * something is wrong; 2 the command line makes no sense.
 *
 * Test: t/mesh/840-operator.py.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "master/ctl/ask.h"
#include "master/options.h"
#include "master/query.h"
#include "master/signal_client.h"
#include "shm/log.h"

enum { PATH_BYTES = 4096, WHY_BYTES = 1024 };

static const char help[] =
    "godwitctl - asks the godwit that runs\n"
    "\n"
    "  godwitctl [-c FILE] [-o NAME=VALUE]... WORD\n"
    "\n"
    "  status               what is wrong, first; the control plane, and what\n"
    "                       came of what it sent\n"
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
    "Exit code: 0 fine; 1 nobody answers, there is no such thing, or (status)\n"
    "something is wrong; 2 this command line makes no sense.\n";

static int
usage(const char *what, const char *word)
{
	fprintf(stderr, "godwitctl: %s%s; godwitctl -h says what can be "
	    "asked\n", what, word);
	return 2;
}

/* ---- printing */

/* A control plane's words must not steer a terminal. */
static void
print_plain(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putchar(((unsigned char)text[i] < ' ' && text[i] != '\n' &&
		    text[i] != '\t') || text[i] == 0x7f ? '?' : text[i]);
}

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
			print_plain(at, n);
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
		{ "certs", 0 },
		{ "config", 2 },
	};

	if (argc == 0)
		return usage("a word is missing, expected status, config, "
		    "certs, stats or generations", "");
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
		print_plain(a->body, a->len);
	return strcmp(argv[0], "status") == 0 &&
	    strncmp(a->body, well, sizeof(well) - 1) != 0;
}

static int
run(const struct options *o, int argc, char **argv)
{
	char path[PATH_BYTES], socket_path[PATH_BYTES], why[WHY_BYTES];
	struct answer a;
	struct conf c;
	int rc = path_of(argc, argv, path);

	if (rc != 0)
		return rc;
	rc = signal_client_conf(&c, o, why, sizeof(why));
	if (rc == 0) {
		snprintf(socket_path, sizeof(socket_path), "%s/admin.sock",
		    c.run_dir);
		rc = ask(socket_path, path, &a, why, sizeof(why));
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

int
main(int argc, char **argv)
{
	struct options o = { .file = GODWIT_SYSCONFDIR
	    "/godwit/godwit.yaml" };
	int found, rc;

	while ((found = getopt(argc, argv, "+:c:o:hV")) != -1) {
		switch (found) {
		case 'c':
			o.file = optarg;
			o.file_given = true;
			break;
		case 'o':
			if ((rc = setting_add(&o, optarg)) != 0)
				return rc;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			printf("godwitctl %s\n", GODWIT_VERSION);
			return 0;
		default:
			return usage(found == ':' ? "a value is missing: " :
			    "no such option: ", argv[optind - 1]);
		}
	}
	return run(&o, argc - optind, argv + optind);
}
