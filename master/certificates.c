/* master/certificates.c - see certificates.h. */
#include "master/certificates.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "master/status.h"
#include "shm/log.h"
#include "worker/io/tls.h"
#include "xds/print.h"

enum { BUCKETS = 1024, DAY_S = 86400, WARN_DAYS = 7, LIFE_PARTS = 6,
    SENTENCE_BYTES = 1024, TEXT_BYTES = 512 };

enum said { NOTHING, SOON, EXPIRED };

struct text {				/* of PEM */
	struct text	*next;
	uint64_t	 hash;
	bool		 is_ca;
	bool		 seen;		/* by this look */
	enum said	 said;
	struct tls_certificate_about *all;
	size_t		 n;
	/* Who has it, in this look: the first, and how many. */
	const struct use *first;
	uint32_t	 users_n;
};

struct use {
	const char	*word, *name;	/* "cluster", "greeter" */
	const char	*scope_name;	/* as in /stats */
	const struct block_tls *tls;
	struct text	*chain, *ca;	/* or NULL */
	bool		 first;		/* that has these two together */
};

struct certificates {
	struct text	*texts[BUCKETS];
	struct use	*uses;		/* of the look */
	size_t		 uses_n, uses_room;
	uint64_t	 number;	/* of the generation */
};

/* ---- reading */

static void
about_take(void *arg, const struct tls_certificate_about *from)
{
	struct text *t = arg;
	struct tls_certificate_about *to = realloc(t->all,
	    (t->n + 1) * sizeof(*to));
	size_t bytes = from->sans_n * sizeof(from->sans[0]);

	if (to == NULL)
		return;
	t->all = to;
	to += t->n++;
	*to = *from;
	to->sans = bytes == 0 ? NULL : malloc(bytes);
	if (to->sans == NULL)
		to->sans_n = 0;
	else
		memcpy(to->sans, from->sans, bytes);
}

static void
text_free(struct text *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->all[i].sans);
	free(t->all);
	free(t);
}

/* NULL: it is not there, holds nothing, or no memory. */
static struct text *
text_get(struct certificates *c, const struct use *u, struct block_span s,
    bool is_ca)
{
	const char *pem = block_span_at(u->tls, s);
	uint64_t hash = pem == NULL ? 0 : XXH3_64bits_withSeed(pem, s.len,
	    is_ca);
	struct text **at = &c->texts[hash % BUCKETS], *t;

	if (pem == NULL)
		return NULL;
	for (; *at != NULL && (*at)->hash != hash; at = &(*at)->next)
		;
	if (*at == NULL) {
		if ((*at = calloc(1, sizeof(**at))) == NULL)
			return NULL;
		(*at)->hash = hash;
		(*at)->is_ca = is_ca;
		tls_certificates_each(pem, s.len, about_take, *at);
	}
	t = *at;
	t->seen = true;
	return t->n == 0 ? NULL : t;
}

/* ---- looking */

static void
use_add(struct certificates *c, const struct arena *a, const char *word,
    block_ref name, block_ref scope_name, block_ref tls)
{
	size_t room = c->uses_room == 0 ? 64 : 2 * c->uses_room;
	struct use *to;

	if (tls == 0)
		return;
	if (c->uses_n == c->uses_room) {
		if ((to = realloc(c->uses, room * sizeof(*to))) == NULL)
			return;
		c->uses = to;
		c->uses_room = room;
	}
	c->uses[c->uses_n++] = (struct use){ .word = word,
	    .name = block_text(a, name),
	    .scope_name = block_text(a, scope_name),
	    .tls = arena_at(a, tls) };
}

static void
listeners_add(struct certificates *c, const struct arena *a,
    const struct block_root *root)
{
	const struct block_list *all = root->listeners == 0 ? NULL :
	    arena_at(a, root->listeners);

	for (uint32_t i = 0; all != NULL && i < all->n; i++) {
		const struct block_listener *l = arena_at(a, all->at[i]);

		use_add(c, a, "listener", l->name, l->stat_name,
		    block_chain_of(a, l)->tls);
	}
}

static void
clusters_add(struct certificates *c, const struct arena *a,
    const struct block_root *root)
{
	const struct block_list *pages = root->clusters == 0 ? NULL :
	    arena_at(a, root->clusters);
	uint32_t slots = pages == NULL ? 0 : pages->n * PAGE_SLOTS;

	for (uint32_t slot = 0; slot < slots; slot++) {
		const struct block_cluster *b = block_cluster_find(a, root,
		    slot);

		if (b != NULL)
			use_add(c, a, "cluster", b->name, b->name, b->tls);
	}
}

static void
user_note(struct text *t, const struct use *u)
{
	if (t == NULL)
		return;
	if (t->users_n++ == 0)
		t->first = u;
}

static int
pair_compare(const void *a, const void *b)
{
	const struct use *x = *(const struct use *const *)a;
	const struct use *y = *(const struct use *const *)b;

	if (x->chain != y->chain)
		return (uintptr_t)x->chain < (uintptr_t)y->chain ? -1 : 1;
	if (x->ca != y->ca)
		return (uintptr_t)x->ca < (uintptr_t)y->ca ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* One use of each pair of chain and CA stands for all of them. */
static void
pairs_find(struct certificates *c)
{
	struct use **all = malloc((c->uses_n + 1) * sizeof(all[0]));

	if (all == NULL)
		return;
	for (size_t i = 0; i < c->uses_n; i++)
		all[i] = &c->uses[i];
	qsort(all, c->uses_n, sizeof(all[0]), pair_compare);
	for (size_t i = 0; i < c->uses_n; i++)
		all[i]->first = i == 0 || all[i]->chain != all[i - 1]->chain ||
		    all[i]->ca != all[i - 1]->ca;
	free(all);
}

static void
texts_unsee(struct certificates *c)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct text *t = c->texts[i]; t != NULL; t = t->next) {
			t->seen = false;
			t->users_n = 0;
		}
}

static void
texts_prune(struct certificates *c)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct text **at = &c->texts[i], *t; (t = *at) != NULL;)
			if (t->seen)
				at = &t->next;
			else {
				*at = t->next;
				text_free(t);
			}
}

void
certificates_look(struct certificates *c, const struct arena *a,
    const struct block_root *root)
{
	if (c->number == root->number)
		return;
	c->number = root->number;
	c->uses_n = 0;
	texts_unsee(c);
	listeners_add(c, a, root);
	clusters_add(c, a, root);
	for (size_t i = 0; i < c->uses_n; i++) {
		struct use *u = &c->uses[i];

		u->chain = text_get(c, u, u->tls->certificate_chain, false);
		u->ca = text_get(c, u, u->tls->trusted_ca, true);
		user_note(u->chain, u);
		user_note(u->ca, u);
	}
	texts_prune(c);
	pairs_find(c);
}

bool
certificates_are_of(const struct certificates *c,
    const struct block_root *root)
{
	return c->number == root->number;
}

struct certificates *
certificates_new(void)
{
	return calloc(1, sizeof(struct certificates));
}

void
certificates_free(struct certificates *c)
{
	if (c == NULL)
		return;
	texts_unsee(c);
	texts_prune(c);
	free(c->uses);
	free(c);
}

/* ---- days */

/* What Envoy's number is about, and what is warned of: see the head. */
static const struct tls_certificate_about *
that_counts(const struct text *t, bool warn)
{
	const struct tls_certificate_about *at = &t->all[0];

	for (size_t i = 1; i < t->n; i++)
		if (t->is_ca ? warn && t->all[i].expires_s > at->expires_s :
		    t->all[i].expires_s < at->expires_s)
			at = &t->all[i];
	return at;
}

static uint32_t
days(const struct tls_certificate_about *c, int64_t now_s)
{
	return c->expires_s <= now_s ? 0 :
	    (uint32_t)((c->expires_s - now_s) / DAY_S);
}

uint32_t
certificates_days(const struct certificates *c, int64_t now_s)
{
	uint32_t least = UINT32_MAX, n;

	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct text *t = c->texts[i]; t != NULL;
		    t = t->next)
			if (t->n > 0 && (n = days(that_counts(t, false),
			    now_s)) < least)
				least = n;
	return least;
}

/* ---- printing */

static const char *
secret_of(const struct use *u, bool is_ca)
{
	return block_span_at(u->tls, is_ca ? u->tls->ca_secret :
	    u->tls->certificate_secret);
}

static const char *
file_of(const struct use *u, bool is_ca)
{
	return block_span_at(u->tls, is_ca ? u->tls->ca_file :
	    u->tls->certificate_file);
}

static void
stat_line(const struct use *u, const struct text *t, FILE *out)
{
	const char *name = t == NULL ? NULL : secret_of(u, t->is_ca);

	if (t == NULL)
		return;
	if (name == NULL)
		name = file_of(u, t->is_ca);
	fprintf(out, "%s.%s.ssl.certificate.%s.expiration_unix_time_seconds: "
	    "%lld\n", u->word, u->scope_name, name == NULL ? "inline" : name,
	    (long long)that_counts(t, false)->expires_s);
}

void
certificates_stats(const struct certificates *c, int64_t now_s, FILE *out)
{
	fprintf(out, "server.days_until_first_cert_expiring: %u\n",
	    certificates_days(c, now_s));
	for (size_t i = 0; i < c->uses_n; i++) {
		stat_line(&c->uses[i], c->uses[i].chain, out);
		stat_line(&c->uses[i], c->uses[i].ca, out);
	}
}

static void
time_print(struct print *p, const char *key, int64_t at_s)
{
	time_t s = (time_t)at_s;
	char text[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	print_text(p, key, text);
}

static void
sans_of(struct print *p, const struct tls_certificate_about *c,
    enum tls_san_type type, const char *key)
{
	for (unsigned i = 0; i < c->sans_n; i++) {
		if (c->sans[i].type != type)
			continue;
		print_open(p, NULL, '{');
		print_text(p, key, c->sans[i].text);
		print_close(p, '{');
	}
}

/* In Envoy's order; it has no place for an address of mail. */
static void
sans_print(struct print *p, const struct tls_certificate_about *c)
{
	print_open(p, "subject_alt_names", '[');
	sans_of(p, c, TLS_SAN_DNS, "dns");
	sans_of(p, c, TLS_SAN_URI, "uri");
	sans_of(p, c, TLS_SAN_IP, "ip_address");
	print_close(p, '[');
}

static void
text_print(struct print *p, const char *key, const struct use *u,
    const struct text *t, int64_t now_s)
{
	const char *path = t == NULL ? NULL : file_of(u, t->is_ca);
	char number[16];

	print_open(p, key, '[');
	for (size_t i = 0; t != NULL && i < t->n; i++) {
		print_open(p, NULL, '{');
		print_text(p, "path", path == NULL ? "<inline>" : path);
		print_text(p, "serial_number", t->all[i].serial);
		sans_print(p, &t->all[i]);
		snprintf(number, sizeof(number), "%u", days(&t->all[i],
		    now_s));
		print_text(p, "days_until_expiration", number);
		time_print(p, "valid_from", t->all[i].valid_from_s);
		time_print(p, "expiration_time", t->all[i].expires_s);
		print_close(p, '{');
	}
	print_close(p, '[');
}

void
certificates_print(const struct certificates *c, int64_t now_s, FILE *out)
{
	struct print p;

	print_begin(&p, out, NULL);
	print_open(&p, NULL, '{');
	print_open(&p, "certificates", '[');
	for (size_t i = 0; i < c->uses_n; i++) {
		const struct use *u = &c->uses[i];

		if (!u->first || (u->chain == NULL && u->ca == NULL))
			continue;
		print_open(&p, NULL, '{');
		text_print(&p, "ca_cert", u, u->ca, now_s);
		text_print(&p, "cert_chain", u, u->chain, now_s);
		print_close(&p, '{');
	}
	print_close(&p, '[');
	print_close(&p, '{');
	fputc('\n', out);
}

/* ---- warning */

/* "certificate of listener \"a\" and 3 more (secret \"b\", file /c, d)" */
static void
who(const struct text *t, const struct tls_certificate_about *c, char *to,
    size_t n)
{
	const struct use *u = t->first;
	const char *secret = secret_of(u, t->is_ca);
	const char *file = file_of(u, t->is_ca);
	char more[32] = "";

	if (t->users_n > 1)
		snprintf(more, sizeof(more), " and %u more", t->users_n - 1);
	snprintf(to, n, "%s of %s \"%s\"%s (%s%s%s%s%s%sserial %s%s%s)",
	    t->is_ca ? "CA" : "certificate", u->word, u->name, more,
	    secret == NULL ? "" : "secret \"", secret == NULL ? "" : secret,
	    secret == NULL ? "" : "\", ", file == NULL ? "" : "file ",
	    file == NULL ? "" : file, file == NULL ? "" : ", ", c->serial,
	    c->sans_n == 0 ? "" : ", ", c->sans_n == 0 ? "" :
	    c->sans[0].text);
}

static enum said
stands(const struct tls_certificate_about *c, int64_t now_s)
{
	int64_t left_s = c->expires_s - now_s;

	if (left_s <= 0)
		return EXPIRED;
	return left_s < WARN_DAYS * DAY_S && left_s < (c->expires_s -
	    c->valid_from_s) / LIFE_PARTS ? SOON : NOTHING;
}

static void
sentence(const struct text *t, const struct tls_certificate_about *c,
    int64_t now_s, char *to, size_t n)
{
	int64_t left_s = c->expires_s - now_s;
	char whose[TEXT_BYTES], span[32];

	who(t, c, whose, sizeof(whose));
	status_span((left_s < 0 ? -left_s : left_s) * 1000, span);
	if (left_s > 0)
		snprintf(to, n, "%s expires in %s", whose, span);
	else
		snprintf(to, n, "%s expired %s ago: %s", whose, span,
		    t->is_ca ? "nobody is let in by it" :
		    "peers refuse it");
}

/* If it stands so. */
static void
warn(struct text *t, enum said how, int64_t now_s, bool fresh,
    void (*say)(void *, bool, const char *), void *arg)
{
	const struct tls_certificate_about *at;
	char words[SENTENCE_BYTES];

	if (t->n == 0 || (fresh && how <= t->said))
		return;
	at = that_counts(t, true);
	if (stands(at, now_s) != how)
		return;
	if (fresh)
		t->said = how;
	sentence(t, at, now_s, words, sizeof(words));
	say(arg, how == EXPIRED, words);
}

void
certificates_warn(struct certificates *c, int64_t now_s, bool fresh,
    void (*say)(void *arg, bool expired, const char *sentence), void *arg)
{
	/* The worst first. */
	for (enum said how = EXPIRED; how != NOTHING; how--)
		for (size_t i = 0; i < BUCKETS; i++)
			for (struct text *t = c->texts[i]; t != NULL;
			    t = t->next)
				warn(t, how, now_s, fresh, say, arg);
}
