/*
 * master/ctl/ems.h - the words of godwitctl for godwit-ems: its REST door, on
 * its unix socket or by TCP, and what it answers as tables. Test:
 * t/mesh/910-rest.py.
 *
 *   ems.c         options, one question, refusals
 *   ems_write.c   apply, plan, delete, rollback
 *   ems_show.c    get, list, diff, history, services, leases, proxies
 *   ems_lease.c   register, deregister
 */
#ifndef MASTER_CTL_EMS_H
#define MASTER_CTL_EMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/yaml.h"
#include "master/ctl/ask.h"

enum { EMS_PATH_BYTES = 8192, EMS_WHY_BYTES = 1024 };

struct ems_ctl {
	/* Of the command line; NULL where nothing was said. */
	const char	*where;		/* unix:PATH, http[s]://HOST:PORT */
	const char	*token_file, *ca, *cert, *key;
	const char	*why, *plan, *version, *revision, *limit;
	const char	*id, *zone, *weight, *label, *ttl;
	bool		 json, force, confirm, now, keep;
	struct question	 question;
	char		 socket_path[108], host[300], token[300], who[101];
};

/* Whom to ask, which may stand before the word too: rows of struct option. */
#define EMS_WHERE_OPTIONS						\
	{ "ems", required_argument, NULL, 'e' },			\
	{ "token-file", required_argument, NULL, 't' },		\
	{ "ca", required_argument, NULL, 'A' },			\
	{ "cert", required_argument, NULL, 'C' },			\
	{ "key", required_argument, NULL, 'K' }

/* The value of an option that is a text. False: it is none. */
bool	ems_text_take(struct ems_ctl *c, int letter, const char *value);

/* Whether godwit-ems answers this word. */
bool	ems_word(const char *word);
void	ems_help(void);
/* argv[0] is the word. The exit code. */
int	ems_run(struct ems_ctl *c, int argc, char **argv);

/* ---- for the words */
#define WORD(word, function, least, most, arguments, help)		\
	int	function(struct ems_ctl *c, int argc, char **argv);
#include "master/ctl/ems.def"
#undef WORD

struct ems_path {
	char		 text[EMS_PATH_BYTES];
	size_t		 n;
	bool		 has_query, over;
};
void	ems_path(struct ems_path *p, const char *text);
/* "/word", quoted. */
void	ems_path_part(struct ems_path *p, const char *word);
/* Nothing if value is NULL. */
void	ems_path_query(struct ems_path *p, const char *name,
	    const char *value);

/* Asks, and prints by show if it was not refused; the refusal otherwise. The
 * exit code; body: NULL for none. */
int	ems_do(struct ems_ctl *c, const char *method,
	    const struct ems_path *path, const char *body, size_t body_n,
	    int (*show)(const struct yaml_node *root));
/* The same, with nothing printed: 0, or 1 and it is said why. The answer, of
 * yaml_close. */
struct yaml *ems_asked(struct ems_ctl *c, const char *method,
	    const struct ems_path *path, const char *body, size_t body_n);

/* Of an answer: "", 0 or nothing where there is no such thing. */
const char *ems_text(const struct yaml_node *n, const char *key);
uint64_t ems_number(const struct yaml_node *n, const char *key);
bool	ems_flag(const struct yaml_node *n, const char *key);
/* The list under a key, as a node with n items; never NULL. */
const struct yaml_node *ems_items(const struct yaml_node *n,
	    const char *key);

int	ems_usage(const char *what, const char *word);

#endif
