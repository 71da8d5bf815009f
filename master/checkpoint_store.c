/* master/checkpoint_store.c - see checkpoint_store.h. */
#include "master/checkpoint_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "shm/log.h"

#define RESOURCES "resources"
#define SECRETS "secrets"
#define DEFAULT_DIR "/var/lib/godwit"

/* P2; and how soon what failed is tried again. */
enum { PAUSE_MS = 1000, PAUSES = 10, RETRY_MS = 10000 };

/* ---- where */

/* What "" stands for. NULL: nothing. */
static const char *
default_dir(bool as_root, char *text, size_t n)
{
	const char *given = getenv("STATE_DIRECTORY");

	if (given == NULL || given[0] != '/')
		return as_root ? DEFAULT_DIR : NULL;
	/* systemd's may be several. */
	snprintf(text, n, "%.*s", (int)strcspn(given, ":"), given);
	return text;
}

/* As root it would be root's, and who we become could not write there. */
static void
dir_make(const char *dir, const struct control_settings *user)
{
	if (user->user_set && mkdir(dir, 0700) == 0 &&
	    chown(dir, user->uid, user->gid) == -1)
		log_warn("%s can't be given to our user: %s", dir,
		    strerror(errno));
}

int
checkpoint_store_find(struct checkpoint_store *s, bool as_root,
    const struct conf *conf, const struct control_settings *user, char *why,
    size_t why_len)
{
	char text[sizeof(s->dir)];
	const char *dir = conf->state_dir;

	if (s->found)
		return 0;
	if (dir[0] == '\0')
		dir = default_dir(as_root, text, sizeof(text));
	s->none_why = dir == NULL ? "the setting state_dir names no folder" :
	    "the setting state_dir is off";
	if (dir != NULL && strcmp(dir, "off") == 0)
		dir = NULL;
	if (dir != NULL && dir[0] != '/')
		return why_set(why, why_len, "the setting state_dir: \"%s\" is "
		    "no whole path, expected /FOLDER or off", dir);
	s->found = true;
	if (dir == NULL)
		return 0;
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	dir_make(s->dir, user);
	return 0;
}

/* Once, as long as it is so. */
static bool
none(struct checkpoint_store *s, const char *why)
{
	if (!s->none_said)
		log_warn("no checkpoint is kept: %s; without a control plane "
		    "a start has nothing but its file", why);
	s->none_said = true;
	return false;
}

/* Said when godwit starts, not when there is something to write. */
static int
may_write(const char *dir, char *why, size_t why_len)
{
	const struct passwd *p;

	if (access(dir, W_OK | X_OK) == 0)
		return 0;
	p = getpwuid(geteuid());
	return why_set(why, why_len, "user %s can't write into the folder "
	    "%s, expected one of its own: %s", p == NULL ? "?" : p->pw_name,
	    dir, strerror(errno));
}

/* P3. False: not now. The lock may be that of a writer whose master died this
 * very moment. */
static bool
lock(struct checkpoint_store *s)
{
	char why[512];

	if (s->dir[0] == '\0')
		return none(s, s->none_why);
	if (s->lock_fd != -1)
		return true;
	if (mkdir(s->dir, 0700) == -1 && errno != EEXIST) {
		why_set(why, sizeof(why), "the folder %s can't be made: %s",
		    s->dir, strerror(errno));
		return none(s, why);
	}
	if (may_write(s->dir, why, sizeof(why)) == -1)
		return none(s, why);
	s->lock_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock_fd != -1 && flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		s->none_said = false;
		return true;
	}
	if (s->lock_fd != -1 && errno == EWOULDBLOCK)
		why_set(why, sizeof(why), "another godwit uses the folder %s, "
		    "give this one another state_dir", s->dir);
	else
		why_set(why, sizeof(why), "the folder %s can't be used: %s",
		    s->dir, strerror(errno));
	if (s->lock_fd != -1)
		close(s->lock_fd);
	s->lock_fd = -1;
	return none(s, why);
}

/* ---- beginning with it */

static void
age_print(int64_t written_s, char *text, size_t n)
{
	int64_t s = (int64_t)time(NULL) - written_s;

	if (s < 0)
		snprintf(text, n, "written in the future");
	else if (s < 120)
		snprintf(text, n, "%lld s old", (long long)s);
	else if (s < 7200)
		snprintf(text, n, "%lld minutes old", (long long)s / 60);
	else if (s < 172800)
		snprintf(text, n, "%lld hours old", (long long)s / 3600);
	else
		snprintf(text, n, "%lld days old", (long long)s / 86400);
}

static struct checkpoint *
part_read(const struct checkpoint_store *s, const char *node,
    const char *base, bool secret)
{
	char why[1024];
	struct checkpoint *c = checkpoint_read(s->dir, node, base, secret,
	    why, sizeof(why));

	if (why[0] != '\0')
		log_warn("the checkpoint: %s%s", why, c != NULL ?
		    "; the older one is used" : "");
	return c;
}

static void
put_say(const struct checkpoint_store *s, const struct checkpoint_put *how,
    const char *node)
{
	struct checkpoint_about about;
	char age[64];

	if (s->plain == NULL) {
		log_info("no checkpoint of node \"%s\" is in %s: what the "
		    "control plane sends is waited for", node, s->dir);
		return;
	}
	checkpoint_about(s->plain, &about);
	age_print(about.written_s, age, sizeof(age));
	log_info("the checkpoint %s/%s, %s: %zu resources are used until the "
	    "control plane says otherwise, %zu are refused", s->dir,
	    about.file, age, how->accepted, how->refused);
}

void
checkpoint_store_restore(void *arg, struct resources *r,
    const struct dynamic *d)
{
	struct checkpoint_store *s = arg;
	struct checkpoint_put how;

	if (!lock(s))
		return;
	if (!s->read) {
		s->plain = part_read(s, d->node_id, RESOURCES, false);
		s->secrets = part_read(s, d->node_id, SECRETS, true);
	}
	s->read = true;
	how = checkpoint_set_put(r, s->plain, s->secrets, &s->out);
	put_say(s, &how, d->node_id);
}

/* The next listener of the checkpoint that is not left out; false: there is
 * none. */
static bool
next_listener(const struct checkpoint_store *s, size_t *at,
    struct checkpoint_record *r)
{
	while (s->plain != NULL && checkpoint_next(s->plain, at, r))
		if (r->kind == RESOURCE_LISTENER &&
		    !checkpoint_left_out(&s->out, r->name))
			return true;
	return false;
}

bool
checkpoint_store_has_listeners(const struct checkpoint_store *s)
{
	struct checkpoint_record r;
	size_t at = 0;

	return next_listener(s, &at, &r);
}

bool
checkpoint_store_leave_out(struct checkpoint_store *s, const char *listener)
{
	struct checkpoint_record r;
	size_t at = 0;

	while (s->out.n < LISTENERS_MAX && next_listener(s, &at, &r))
		if (strncmp(r.name, listener,
		    CHECKPOINT_LISTENER_BYTES - 1) == 0) {
			s->out.names[s->out.n++] = r.name;
			return true;
		}
	return false;
}

void
checkpoint_store_forget(struct checkpoint_store *s)
{
	checkpoint_free(s->plain);
	checkpoint_free(s->secrets);
	s->plain = s->secrets = NULL;
	s->out.n = 0;
}

/* ---- writing */

static void
written(void *arg, bool ok, const char *why)
{
	struct checkpoint_store *s = arg;
	struct mono now = s->loop->now;
	int64_t took_ms = mono_between_ms(s->began, now);

	s->writing = false;
	if (ok) {
		s->done = s->begun;
		s->next = mono_after_ms(s->began, took_ms * PAUSES > PAUSE_MS ?
		    took_ms * PAUSES : PAUSE_MS);
		if (s->failing)
			log_info("the checkpoint is written again");
		else
			log_debug("the checkpoint was written in %lld ms",
			    (long long)took_ms);
		s->failing = false;
		return;
	}
	s->changes = 0;			/* it is due again */
	s->next = mono_after_ms(now, RETRY_MS);
	if (!s->failing)
		log_error("the checkpoint is not written: %s; it is tried "
		    "again", why);
	s->failing = true;
}

/* Only what says something else than what is on the disk. */
static int
begin(struct checkpoint_store *s, const char *node,
    const struct checkpoint_set *set)
{
	const struct checkpoint_part all[] = {
		{ SECRETS, true, set->secrets.all, set->secrets.n },
		{ RESOURCES, false, set->plain.all, set->plain.n },
	};
	uint64_t whose = XXH64(node, strlen(node), 0);
	bool secrets, plain;
	char why[256];

	s->begun.secrets = set->secrets.hash ^ whose;
	s->begun.plain = set->plain.hash ^ whose;
	secrets = s->begun.secrets != s->done.secrets;
	plain = s->begun.plain != s->done.plain;
	if (!secrets && !plain)
		return 0;
	s->began = s->loop->now;
	s->writing = true;
	if (checkpoint_writer_begin(&s->writer, s->dir, node, all + !secrets,
	    (size_t)secrets + plain, why, sizeof(why)) == 0)
		return 0;
	written(s, false, why);
	return -1;
}

void
checkpoint_store_step(struct checkpoint_store *s, const struct generations *g)
{
	uint64_t changes = resources_changes(g->resources);
	struct checkpoint_set set;

	if (!generations_follows(g) || changes == s->changes || s->writing ||
	    mono_between_ms(s->loop->now, s->next) > 0 || !lock(s))
		return;
	if (checkpoint_set_make(&set, g->resources,
	    &g->image.secrets) == -1) {
		written(s, false, "no memory");
		return;
	}
	s->changes = changes;
	(void)begin(s, g->dynamic.node_id, &set);
	checkpoint_set_free(&set);
}

/* ---- life */

void
checkpoint_store_init(struct checkpoint_store *s, struct loop *l)
{
	*s = (struct checkpoint_store){ .loop = l, .lock_fd = -1 };
	checkpoint_writer_init(&s->writer, l, written, s);
}

void
checkpoint_store_fini(struct checkpoint_store *s)
{
	if (s->loop != NULL)
		checkpoint_writer_fini(&s->writer);
	checkpoint_store_forget(s);
	if (s->loop != NULL && s->lock_fd != -1)
		close(s->lock_fd);
}
