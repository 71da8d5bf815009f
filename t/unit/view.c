/*
 * t/unit/view.c - what proxies get of a mesh (xds/ems/view.h).
 *
 * t/data/view/NAME.yaml has intents, and in its first lines "# endpoint
 * SERVICE ID REGION ADDRESS PORT WEIGHT [VERSION]" and "# view ROLE REGION
 * [GATEWAY]"; NAME.ok has all resources of these views as JSON. UPDATE=1 writes
 * it: look at the difference before you keep it.
 *
 * And by chance: a view that followed each change has what one has that is made
 * anew (W1, M2).
 */
#include "xds/ems/view.h"

#include "t/lib/unit_view.h"
#include "xds/load.h"
#include "xds/print.h"

enum { FILE_BYTES = 262144, VIEWS = 8, ARENA_BYTES = 16 << 20 };

/* ---- a mesh out of text */

static void
endpoint_take(struct model *m, const char *line)
{
	struct model_endpoint e = { 0 };
	char service[129];

	cr_assert(sscanf(line, "# endpoint %128s %128s %128s %45s %u %u %128s",
	    service, e.id, e.region, e.address, &e.port, &e.weight,
	    e.version) >= 6, "%s", line);
	cr_assert(model_endpoint_put(m, service, &e));
}

static struct view *
view_take(const char *line, uint32_t number)
{
	char role[16], region[64], gateway[64] = "";
	struct view_key k = { VIEW_SIDECAR, region, gateway, "127.0.0.1:9",
	    "/tls", "" };

	cr_assert(sscanf(line, "# view %15s %63s %63s", role, region,
	    gateway) >= 2, "%s", line);
	if (strcmp(role, "gateway") == 0)
		k.role = VIEW_GATEWAY;
	else if (strcmp(role, "caller") == 0) {
		k.gateway = "";
		k.caller = gateway;
	} else if (strcmp(role, "grpc") == 0)
		k = (struct view_key){ VIEW_GRPC, region, "", "", "",
		    "" };
	return view_new(&settings, &k, number);
}

/* text is written to. */
static size_t
mesh_take(struct model *m, char *text, const char *file,
    struct view *views[VIEWS])
{
	size_t n = 0;
	char *next, *doc;

	for (doc = text; *doc == '#'; doc = next + 1) {
		next = strchr(doc, '\n');
		*next = '\0';
		if (strncmp(doc, "# view", 6) == 0) {
			views[n] = view_take(doc, (uint32_t)n);
			n++;
		} else
			endpoint_take(m, doc);
	}
	for (; doc != NULL; doc = next) {
		if ((next = strstr(doc, "\n---\n")) != NULL) {
			*next = '\0';
			next += 5;
		}
		intent_take(m, doc, file);
	}
	return n;
}

/* ---- a catalog as text */

static int
compare(const void *a, const void *b)
{
	return strcmp((*(struct catalog_entry *const *)a)->name,
	    (*(struct catalog_entry *const *)b)->name);
}

static void
kind_print(FILE *f, const struct catalog *c, enum resource_kind kind)
{
	const struct catalog_kind *k = c->kinds[kind];
	struct catalog_entry **all = calloc(k->entries_n + 1, sizeof(*all)), *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &k->entries, change)
		if (e->body != NULL)
			all[n++] = e;
	qsort(all, n, sizeof(*all), compare);
	for (size_t i = 0; i < n; i++) {
		struct load_arena *a = load_arena_new(ARENA_BYTES);
		struct print p;

		fprintf(f, "%s %s ", resource_about(kind)->acronym,
		    all[i]->name);
		print_begin(&p, f, a);
		print_bytes(&p, NULL, resource_about(kind)->message,
		    all[i]->body->bytes, all[i]->body->len);
		fprintf(f, "\n");
		load_arena_free(a);
	}
	free(all);
}

static void
view_print(FILE *f, const struct view *v)
{
	static const char *const roles[] = { "sidecar", "gateway", "grpc" };

	fprintf(f, "==== %s %s %s\n", roles[v->key.role], v->key.region,
	    v->key.gateway);
	for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
		kind_print(f, &v->catalog, k);
}

static char *
view_text(const struct view *v)
{
	size_t n;
	char *text;
	FILE *f = open_memstream(&text, &n);

	view_print(f, v);
	fclose(f);
	return text;
}

/* ---- golden */

static char *
file_read(const char *name)
{
	char *text = calloc(1, FILE_BYTES);
	FILE *f = fopen(name, "r");

	if (f != NULL) {
		cr_assert_lt(fread(text, 1, FILE_BYTES - 1, f),
		    FILE_BYTES - 1);
		fclose(f);
	}
	return text;
}

Test(view, golden)
{
	char *in = file_read("t/data/view/two-regions.yaml"), *out, why[1024];
	char *expected = file_read("t/data/view/two-regions.ok");
	struct view *views[VIEWS];
	struct model m;
	size_t n, out_len;
	FILE *f = open_memstream(&out, &out_len);

	model_init(&m);
	n = mesh_take(&m, in, "two-regions.yaml", views);
	cr_assert_eq(model_check(&m, why, sizeof(why)), 0, "%s", why);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(view_compile(views[i], &m, why, sizeof(why)), 1,
		    "%s", why);
		view_print(f, views[i]);
	}
	fclose(f);
	if (getenv("UPDATE") != NULL) {
		f = fopen("t/data/view/two-regions.ok", "w");
		fputs(out, f);
		fclose(f);
	} else
		cr_assert_str_eq(out, expected);
	for (size_t i = 0; i < n; i++)
		view_free(views[i]);
	model_fini(&m);
	free(in);
	free(out);
	free(expected);
}

/* ---- M1 */

static const struct {
	const char	*intents, *why;
} refused[] = {
	{ "gateway: g\nregion: eu\naddresses: ['1.1.1.1:1']", "gateway g names "
	    "region \"eu\", and there is no such region" },
	{ "service: s\nregions: {allow: [mars]}", "service s names region "
	    "\"mars\", and there is no such region" },
	{ "region: us\n---\nregion: eu\n---\nservice: s\n"
	    "regions: {allow: [us], order: [eu]}", "service s: regions.order "
	    "sends calls to \"eu\", which regions.allow forbids" },
	{ "service: a\ngrpc: [b]\n---\nservice: b", "services a and b both "
	    "answer gRPC service b, which is the name of one of them" },
	{ "region: eu\n---\ngateway: g\nregion: eu\naddresses: ['1.1.1.1:1']"
	    "\n---\nservice: g", "gateway g has the name of a service, "
	    "expected one of its own: a proxy says by it what it is" },
	{ "limit: l\nin_flight: 1\nservices: [a, s]\n---\nlimit: k\n"
	    "in_flight: 1\nservices: [b, s]", "limits k and l both say "
	    "in_flight of service s, expected one of them" },
	{ "limit: l\nin_flight: 1\n---\nlimit: k\nin_flight: 1", "limits k and "
	    "l both say in_flight of all services, expected one of them" },
	{ "limit: l\nin_flight: 1\nservices: [s]\n---\nlimit: k\nin_flight: 1",
	    NULL },
	{ "service: a\ngrpc: [x]\n---\nservice: b\ngrpc: [x]", NULL },
	{ "service: a\nregions: {allow: [us]}\n---\nregion: us", NULL },
};

static uint32_t
in_flight(struct model *m, const char *service)
{
	char why[1024] = "";

	cr_assert_eq(model_check(m, why, sizeof(why)), 0, "%s", why);
	return model_service(m, service)->in_flight;
}

/* The more specific limit counts, in whatever order they came. */
Test(view, limits)
{
	static const char *const texts[] = { "service: a\nlimits: {in_flight: 1}",
	    "service: b", "service: c", "limit: some\nin_flight: 2\n"
	    "services: [b, a, later]", "limit: all\nin_flight: 3" };
	enum { N = sizeof(texts) / sizeof(texts[0]) };
	const struct model_endpoint e = { .id = "e", .region = "us" };
	struct intent *before;

	for (size_t first = 0; first < N; first++) {
		struct model m;

		model_init(&m);
		for (size_t i = 0; i < N; i++)
			intent_take(&m, texts[(first + i) % N], "x.yaml");
		cr_expect_eq(in_flight(&m, "a"), 1);
		cr_expect_eq(in_flight(&m, "b"), 2);
		cr_expect_eq(in_flight(&m, "c"), 3);
		model_clean(&m);
		cr_assert(model_endpoint_put(&m, "later", &e));
		cr_expect(m.unchecked, "it is found out by whoever publishes");
		cr_expect_eq(in_flight(&m, "later"), 2);
		model_clean(&m);
		model_swap(&m, INTENT_LIMIT, "some", NULL, &before);
		intent_free(before);
		cr_expect_eq(in_flight(&m, "b"), 3);
		cr_expect(model_service(&m, "b")->recast);
		cr_expect(!model_service(&m, "a")->dirty, "nothing new of it");
		model_swap(&m, INTENT_LIMIT, "all", NULL, &before);
		intent_free(before);
		cr_expect_eq(in_flight(&m, "c"), 0);
		model_fini(&m);
	}
}

Test(view, what_does_not_go_together)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char *text = strdup(refused[i].intents), why[1024] = "";
		struct view *views[VIEWS];
		struct model m;
		int rc;

		model_init(&m);
		mesh_take(&m, text, "x.yaml", views);
		rc = model_check(&m, why, sizeof(why));
		cr_expect_eq(rc, refused[i].why == NULL ? 0 : -1, "%zu", i);
		if (refused[i].why != NULL)
			cr_expect_str_eq(why, refused[i].why, "%s", why);
		model_fini(&m);
		free(text);
	}
}

/* ---- the most that is admitted can be made */

/* A name of 128 bytes, which ends in n. */
static void
name_print(FILE *f, int n)
{
	for (int i = 0; i < 123; i++)
		fputc('n', f);
	fprintf(f, "%05d", n);
}

static char *
service_of(int grpc_n, int methods_n)
{
	size_t n;
	char *text;
	FILE *f = open_memstream(&text, &n);

	fprintf(f, "service: s\ngrpc: [");
	for (int i = 0; i < grpc_n; i++, fprintf(f, ", "))
		name_print(f, i);
	fprintf(f, "]\nmethods: {");
	for (int i = 0; i < methods_n; i++, fprintf(f, ": {}, "))
		name_print(f, i);
	fprintf(f, "}");
	fclose(f);
	return text;
}

static char *
caller_of(int n_caller, int may_n)
{
	size_t n;
	char *text;
	FILE *f = open_memstream(&text, &n);

	fprintf(f, "caller: c%d\nmay: [", n_caller);
	for (int i = 0; i < may_n; i++, fprintf(f, ", ")) {
		name_print(f, i);
		fprintf(f, "/");
		name_print(f, i);
	}
	fprintf(f, "]");
	fclose(f);
	return text;
}

Test(view, the_most_that_is_admitted)
{
	char line[] = "# view gateway eu g", why[1024] = "", *text;
	struct view *v = view_take(line, 0);
	struct intent *i;
	struct model m;

	model_init(&m);
	intent_take(&m, "region: us", "x");
	intent_take(&m, "region: eu", "x");
	text = service_of(100, 199);
	intent_take(&m, text, "x");
	free(text);
	/* Of each two regions and what it may; all of that once more. */
	for (int n = 0; n < 16; n++) {
		text = caller_of(n, 3852);
		intent_take(&m, text, "x");
		free(text);
	}
	intent_take(&m, "caller: last\nmay: [a, b, c, d, e, f, g, h, i]", "x");
	cr_assert_eq(model_check(&m, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(view_compile(v, &m, why, sizeof(why)), 1, "%s", why);
	intent_take(&m, "caller: last\nmay: [a, b, c, d, e, f, g, h, i, j]",
	    "x");
	cr_assert_eq(model_check(&m, why, sizeof(why)), -1);
	cr_assert_str_eq(why, "gateways would ask 65538 questions of who may "
	    "call what, and can ask 65536: expected fewer callers, or "
	    "services in the place of their methods");
	text = service_of(100, 200);
	i = intent_read(text, strlen(text), "x", why, sizeof(why));
	cr_assert_null(i);
	cr_assert_not_null(strstr(why, "service: becomes 20100 routes (methods "
	    "times gRPC names times versions), expected at most 20000"), "%s",
	    why);
	free(text);
	view_free(v);
	model_fini(&m);
}

/* ---- by chance */

enum { SEEDS = 40, STEPS = 60 };

Test(view, follows_as_if_made_anew)
{
	char why[1024] = "";

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		static const char *const lines[] = { "# view sidecar us",
		    "# view sidecar eu", "# view gateway eu g",
		    "# view grpc us" };
		struct view *views[4], *anew;
		struct model m;

		chance.state = seed;
		model_init(&m);
		intent_take(&m, "region: us", "x");
		intent_take(&m, "region: eu", "x");
		for (uint32_t i = 0; i < 4; i++)
			views[i] = view_take(lines[i], i);
		for (int step = 0; step < STEPS; step++) {
			change(&m);
			cr_assert_eq(model_check(&m, why, sizeof(why)), 0,
			    "%s", why);
			for (int i = 0; i < 4; i++)
				cr_assert_neq(view_compile(views[i], &m, why,
				    sizeof(why)), -1, "seed %u: %s", seed,
				    why);
			model_clean(&m);
			if (step % 5 != 0)
				continue;
			for (int i = 0; i < 4; i++) {
				char *a = view_text(views[i]), *b;

				anew = view_take(lines[i], 4);
				cr_assert_neq(view_compile(anew, &m, why,
				    sizeof(why)), -1);
				b = view_text(anew);
				cr_assert_str_eq(a, b, "seed %u step %d", seed,
				    step);
				/* What has no text, too. */
				cr_assert_eq(view_signature(views[i]),
				    view_signature(anew));
				free(a);
				free(b);
				view_free(anew);
			}
		}
		for (int i = 0; i < 4; i++)
			view_free(views[i]);
		model_fini(&m);
	}
}
