/*
 * master/ctl/ems.c - see ems.h. Where it asks: --ems, else $GODWIT_EMS, else
 * the socket of a godwit-ems that runs as a service, else the one in this
 * folder; the files that go with it, as said or as in $GODWIT_EMS_... Exit
 * codes are main.c's.
 */
#include "master/ctl/ems.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/ctl/table.h"
#include "master/query.h"
#include "shm/log.h"

#define SERVICE_SOCKET "/run/godwit-ems/ems.sock"

static const struct word {
	const char	*word;
	int		(*run)(struct ems_ctl *c, int argc, char **argv);
	int		 least, most;
	const char	*arguments, *help;
} words[] = {
#define WORD(word, function, least, most, arguments, help)		\
	{ word, function, least, most, arguments, help },
#include "master/ctl/ems.def"
#undef WORD
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

static const struct word *
word_find(const char *text)
{
	for (const struct word *w = words; w < words + WORDS; w++)
		if (strcmp(w->word, text) == 0)
			return w;
	return NULL;
}

bool
ems_word(const char *text)
{
	return word_find(text) != NULL;
}

void
ems_help(void)
{
	for (const struct word *w = words; w < words + WORDS; w++)
		printf("  %s %s\n                       %s\n", w->word,
		    w->arguments, w->help);
}

int
ems_usage(const char *what, const char *word)
{
	fprintf(stderr, "godwitctl: %s%s; godwitctl -h says what can be "
	    "asked\n", what, word);
	return 2;
}

/* ---- options, before and behind the word */

static const struct option longs[] = {
	EMS_WHERE_OPTIONS,
	{ "why", required_argument, NULL, 'w' },
	{ "plan", required_argument, NULL, 'p' },
	{ "version", required_argument, NULL, 'v' },
	{ "revision", required_argument, NULL, 'r' },
	{ "limit", required_argument, NULL, 'l' },
	{ "id", required_argument, NULL, 'i' },
	{ "zone", required_argument, NULL, 'z' },
	{ "weight", required_argument, NULL, 'W' },
	{ "label", required_argument, NULL, 'L' },
	{ "ttl", required_argument, NULL, 'T' },
	{ "force", no_argument, NULL, 'f' },
	{ "confirm", no_argument, NULL, 'c' },
	{ "now", no_argument, NULL, 'n' },
	{ "keep", no_argument, NULL, 'k' },
	{ NULL, 0, NULL, 0 },
};

bool
ems_text_take(struct ems_ctl *c, int letter, const char *value)
{
	const struct { int letter; const char **to; } texts[] = {
		{ 'e', &c->where }, { 't', &c->token_file }, { 'A', &c->ca },
		{ 'C', &c->cert }, { 'K', &c->key }, { 'w', &c->why },
		{ 'p', &c->plan }, { 'v', &c->version }, { 'r', &c->revision },
		{ 'l', &c->limit }, { 'i', &c->id }, { 'z', &c->zone },
		{ 'W', &c->weight }, { 'L', &c->label }, { 'T', &c->ttl },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].letter == letter) {
			*texts[i].to = value;
			return true;
		}
	return false;
}

static int
option_take(struct ems_ctl *c, int found, const char *word)
{
	const struct { int letter; bool *to; } flags[] = {
		{ 'f', &c->force }, { 'c', &c->confirm }, { 'n', &c->now },
		{ 'k', &c->keep },
	};

	if (ems_text_take(c, found, optarg))
		return 0;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (flags[i].letter == found) {
			*flags[i].to = true;
			return 0;
		}
	if (found == 'o' && strcmp(optarg, "json") == 0) {
		c->json = true;
		return 0;
	}
	return found == 'o' ? ems_usage("here it is -o json, not -o ",
	    optarg) : ems_usage(found == ':' ? "a value is missing: " :
	    "no such option: ", word);
}

/* 0, or the exit code; *argc and *argv are the word's arguments then. */
static int
options_read(struct ems_ctl *c, int *argc, char ***argv)
{
	int found, rc;

	optind = 0;
	while ((found = getopt_long(*argc, *argv, ":o:w:", longs, NULL)) != -1)
		if ((rc = option_take(c, found, (*argv)[optind - 1])) != 0)
			return rc;
	*argc -= optind;
	*argv += optind;
	return 0;
}

/* ---- whom to ask */

static int
token_read(struct ems_ctl *c, const char *file)
{
	FILE *f = fopen(file, "re");
	bool good = f != NULL && fgets(c->token, sizeof(c->token), f) != NULL;

	if (!good)
		fprintf(stderr, "godwitctl: can't read a token of \"%s\": "
		    "%s\n", file, f == NULL ? strerror(errno) :
		    "it is empty");
	if (f != NULL)
		fclose(f);
	c->token[strcspn(c->token, " \r\n")] = '\0';
	c->question.token = c->token;
	return good ? 0 : 1;
}

/* Takes it off the front. */
static bool
begins(const char **text, const char *with)
{
	size_t n = strlen(with);

	if (strncmp(*text, with, n) != 0)
		return false;
	*text += n;
	return true;
}

static int
where_read(struct ems_ctl *c, const char *where)
{
	bool http = begins(&where, "http://"), https = begins(&where,
	    "https://"), tcp = http || https;
	char *to = tcp ? c->host : c->socket_path;
	size_t room = tcp ? sizeof(c->host) : sizeof(c->socket_path);

	if (!tcp && !begins(&where, "unix:") && strchr(where, '/') == NULL)
		return ems_usage("--ems is https://HOST:PORT, "
		    "http://HOST:PORT or unix:PATH, not ", where);
	if (strlen(where) >= room)
		return ems_usage("too long: ", where);
	strcpy(to, where);
	if (tcp)
		to[strcspn(to, "/")] = '\0';
	c->question.tcp = tcp;
	c->question.tls = https;
	c->question.where = to;
	return 0;
}

/* Under sudo, who called it. */
static void
who_set(struct ems_ctl *c)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *me = getpwuid(getuid());

	snprintf(c->who, sizeof(c->who), "%s", sudo != NULL ? sudo :
	    me != NULL ? me->pw_name : "");
	for (const char *at = c->who; *at != '\0'; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~')
			return;
	c->question.who = *c->who == '\0' ? NULL : c->who;
}

static const char *
or_env(const char *said, const char *name)
{
	const char *env = said != NULL ? said : getenv(name);

	return env == NULL || *env == '\0' ? NULL : env;
}

static int
files_read(struct ems_ctl *c)
{
	struct ask_tls_files *f = &c->question.files;

	f->ca = or_env(c->ca, "GODWIT_EMS_CA");
	f->certificate = or_env(c->cert, "GODWIT_EMS_CERT");
	f->key = or_env(c->key, "GODWIT_EMS_KEY");
	if (f->ca == NULL)
		return ems_usage("https:// needs --ca FILE, by which "
		    "godwit-ems is known", "");
	if ((f->certificate == NULL) != (f->key == NULL))
		return ems_usage("--cert and --key go together", "");
	return 0;
}

static int
question_init(struct ems_ctl *c)
{
	const char *where = or_env(c->where, "GODWIT_EMS");
	const char *token = or_env(c->token_file, "GODWIT_EMS_TOKEN_FILE");
	int rc;

	if (where == NULL)
		where = access(SERVICE_SOCKET, F_OK) == 0 ?
		    "unix:" SERVICE_SOCKET : "unix:./ems.sock";
	c->question.hint = "does godwit-ems run? --ems unix:PATH or "
	    "https://HOST:PORT says where";
	who_set(c);
	if ((rc = where_read(c, where)) != 0 || (c->question.tls &&
	    (rc = files_read(c)) != 0))
		return rc;
	return token == NULL ? 0 : token_read(c, token);
}

int
ems_run(struct ems_ctl *c, int argc, char **argv)
{
	const struct word *w = word_find(argv[0]);
	int rc = options_read(c, &argc, &argv);

	if (rc != 0)
		return rc;
	if (argc < w->least || argc > w->most) {
		fprintf(stderr, "godwitctl: %s takes %s\n", w->word,
		    *w->arguments == '\0' ? "no argument" : w->arguments);
		return 2;
	}
	if ((rc = question_init(c)) == 0)
		rc = w->run(c, argc, argv);
	return fflush(stdout) != 0 && rc == 0 ? 1 : rc;
}

/* ---- paths */

static void
path_add(struct ems_path *p, const char *text)
{
	size_t n = strlen(text);

	if (p->n + n >= sizeof(p->text)) {
		p->over = true;
		return;
	}
	memcpy(p->text + p->n, text, n + 1);
	p->n += n;
}

static void
path_add_quoted(struct ems_path *p, const char *text)
{
	char quoted[EMS_PATH_BYTES];

	if (query_quote(text, quoted, sizeof(quoted)))
		path_add(p, quoted);
	else
		p->over = true;
}

void
ems_path(struct ems_path *p, const char *text)
{
	*p = (struct ems_path){ 0 };
	path_add(p, text);
}

void
ems_path_part(struct ems_path *p, const char *word)
{
	path_add(p, "/");
	path_add_quoted(p, word);
}

void
ems_path_query(struct ems_path *p, const char *name, const char *value)
{
	if (value == NULL)
		return;
	path_add(p, p->has_query ? "&" : "?");
	p->has_query = true;
	path_add(p, name);
	path_add(p, "=");
	path_add_quoted(p, value);
}

/* ---- answers */

const char *
ems_text(const struct yaml_node *n, const char *key)
{
	const struct yaml_node *at = yaml_find(n, key);

	return at != NULL && at->kind == YAML_SCALAR ? at->text : "";
}

uint64_t
ems_number(const struct yaml_node *n, const char *key)
{
	return strtoull(ems_text(n, key), NULL, 10);
}

bool
ems_flag(const struct yaml_node *n, const char *key)
{
	return strcmp(ems_text(n, key), "true") == 0;
}

const struct yaml_node *
ems_items(const struct yaml_node *n, const char *key)
{
	static const struct yaml_node nothing = { .kind = YAML_SEQUENCE };
	const struct yaml_node *at = yaml_find(n, key);

	return at != NULL && at->kind == YAML_SEQUENCE ? at : &nothing;
}

/* ---- asking */

static void
conflict_print(const struct yaml_node *n)
{
	const char *diff = ems_text(n, "diff"), *noun = ems_text(n, "noun");
	const char *name = ems_text(n, "name");

	if (*noun == '\0')
		return;
	plain_print(diff, strlen(diff));
	if (ems_number(n, "current_version") != 0)
		fprintf(stderr, "to go on: godwitctl get %s %s shows version "
		    "%s, with its number in the first line: edit that, or put "
		    "this line above yours; --force replaces what is there\n",
		    noun, name, ems_text(n, "current_version"));
}

static int
refusal_print(const struct ems_ctl *c, const struct yaml_node *root,
    int status)
{
	const struct yaml_node *conflicts = ems_items(root, "conflicts");
	const char *why = ems_text(root, "error");

	fprintf(stderr, "godwitctl: ");
	for (; *why != '\0'; why++)
		putc((unsigned char)*why < ' ' || *why == 0x7f ? '?' : *why,
		    stderr);
	if (status == 401)
		fprintf(stderr, "; --token-file FILE has it%s",
		    c->question.tls ? ", or --cert and --key" : "");
	putc('\n', stderr);
	if (status == 409 || status == 428)
		conflict_print(root);
	for (size_t i = 0; i < conflicts->n; i++)
		conflict_print(&conflicts->items[i]);
	return 1;
}

/* -1: it is said why. */
static int
question_ask(struct ems_ctl *c, const char *method,
    const struct ems_path *path, const char *body, size_t body_n,
    struct answer *a)
{
	char why[EMS_WHY_BYTES];

	c->question.method = method;
	c->question.path = path->text;
	c->question.body = body;
	c->question.body_n = body == NULL ? 0 : body_n;
	if (path->over)
		snprintf(why, sizeof(why), "too much to ask at once");
	else if (ask(&c->question, a, why, sizeof(why)) == 0)
		return 0;
	fprintf(stderr, "godwitctl: %s\n", why);
	return -1;
}

/* NULL: it is said why. */
static struct yaml *
answer_read(const struct answer *a)
{
	char why[EMS_WHY_BYTES];
	struct yaml *y = yaml_read(a->body, a->len, "answer.json", why,
	    sizeof(why));

	if (y == NULL)
		fprintf(stderr, "godwitctl: what answered is no godwit-ems: "
		    "%s\n", why);
	return y;
}

struct yaml *
ems_asked(struct ems_ctl *c, const char *method, const struct ems_path *path,
    const char *body, size_t body_n)
{
	struct yaml *y = NULL;
	struct answer a;

	if (question_ask(c, method, path, body, body_n, &a) == -1)
		return NULL;
	y = answer_read(&a);
	if (y != NULL && a.status != 200) {
		refusal_print(c, yaml_root(y), a.status);
		yaml_close(y);
		y = NULL;
	}
	free(a.body);
	return y;
}

int
ems_do(struct ems_ctl *c, const char *method, const struct ems_path *path,
    const char *body, size_t body_n, int (*show)(const struct yaml_node *root))
{
	struct answer a;
	struct yaml *y;
	int rc = 1;

	if (question_ask(c, method, path, body, body_n, &a) == -1)
		return 1;
	if (c->json) {
		plain_print(a.body, a.len);
		rc = a.status != 200;
	} else if ((y = answer_read(&a)) != NULL) {
		rc = a.status == 200 ? show(yaml_root(y)) :
		    refusal_print(c, yaml_root(y), a.status);
		yaml_close(y);
	}
	free(a.body);
	return rc;
}
