/* master/settings_make.c - see settings_make.h. */
#include "master/settings_make.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "shm/log.h"

int
settings_conf(struct conf *c, const struct options *o, const struct yaml *tree,
    char *why, size_t why_len)
{
	const struct yaml_node *root;

	conf_init(c);
	if (tree != NULL) {
		root = yaml_root(tree);
		if (root->kind == YAML_MAPPING && conf_load(c, tree,
		    yaml_find(root, "godwit"), why, why_len) == -1)
			return -1;
	}
	if (options_apply(o, c, why, why_len) == -1)
		return -1;
	conf_resolve(c, o->as_root);
	return 0;
}

int
settings_expand(struct yaml *tree, char *why, size_t why_len)
{
	static const char *const keys[] = { "node", "godwit" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (yaml_expand(tree, yaml_root(tree), keys[i], keys[i], why,
		    why_len) == -1)
			return -1;
	return 0;
}

int
settings_expand_place(struct yaml *tree, char *why, size_t why_len)
{
	return yaml_expand(tree, yaml_find(yaml_root(tree), "godwit"),
	    "run_dir", "godwit.run_dir", why, why_len);
}

static int
user_find(const char *name, struct control_settings *s, char *why,
    size_t why_len)
{
	const struct passwd *p = getpwnam(name);
	gid_t groups[CONTROL_GROUPS_MAX];
	int n = CONTROL_GROUPS_MAX;

	if (p == NULL)
		return why_set(why, why_len, "the setting user: there is no "
		    "user %s", name);
	if (getgrouplist(name, p->pw_gid, groups, &n) == -1)
		return why_set(why, why_len, "the setting user: %s is in more "
		    "than %d groups", name, CONTROL_GROUPS_MAX);
	s->user_set = 1;
	s->uid = p->pw_uid;
	s->gid = p->pw_gid;
	s->groups_n = (uint32_t)n;
	for (int i = 0; i < n; i++)
		s->groups[i] = groups[i];
	return 0;
}

int
settings_make(const struct conf *c, bool as_root, struct control_settings *s,
    char *why, size_t why_len)
{
	int level = log_level_find(c->log_level);

	memset(s, 0, sizeof(*s));
	s->workers_n = (uint32_t)c->workers;
	s->drain_time_ms = (uint32_t)c->drain_time_ms;
	s->log_level = level == -1 ? LOG_INFO : (uint32_t)level;
	s->stuck_alarm_ms = (uint32_t)c->stuck_alarm_ms;
	s->stuck_kill_ms = (uint32_t)c->stuck_kill_ms;
	snprintf(s->run_dir, sizeof(s->run_dir), "%s", c->run_dir);
	snprintf(s->log_file, sizeof(s->log_file), "%s", c->log_file);
	if (c->user[0] == '\0' || !as_root)
		return 0;
	return user_find(c->user, s, why, why_len);
}
