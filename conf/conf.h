/*
 * conf/conf.h - every setting of ours, read-only once it is loaded. The table
 * is conf/conf.def; a setting is one row there and nothing else.
 * Test: t/unit/conf.c.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/yaml.h"

struct conf {
#define NUMBER(name, value, min, max, reloadable, help) int64_t name;
#define TEXT(name, value, reloadable, help) char name[256];
#define CHOICE(name, value, choices, reloadable, help) char name[32];
#define LIST(name, help)
#include "conf/conf.def"
#undef NUMBER
#undef TEXT
#undef CHOICE
#undef LIST
};

/* The defaults. */
void	conf_init(struct conf *c);

/* One setting from -o, "name=value". -1: why names the setting and says what
 * was expected. */
int	conf_set(struct conf *c, const char *name_value, char *why,
	    size_t why_len);

/* The mapping under "godwit:"; NULL is fine. -1: "file:line:col: path: ...".*/
int	conf_load(struct conf *c, const struct yaml *y,
	    const struct yaml_node *godwit, char *why, size_t why_len);

/* The name of a setting that differs and can't be reloaded, or NULL. */
const char *conf_fixed_change(const struct conf *from, const struct conf *to);

/* What run_dir "" and workers 0 stand for here; as_root: godwit was started
 * so, whoever we are by now. */
void	conf_resolve(struct conf *c, bool as_root);

/* All settings with their meaning, for -h. */
struct _IO_FILE;
void	conf_help(struct _IO_FILE *out);

#endif
