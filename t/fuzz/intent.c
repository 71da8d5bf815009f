/*
 * t/fuzz/intent.c - what anybody may write to the control plane, against all
 * that comes of it: documents of YAML or JSON, intents, the model, what each kind
 * of proxy gets, and a proxy that is given that.
 *
 *   bytes ─ documents ─ intents ─ model_check ─> views ─> resources of a proxy
 *              may be refused, with a reason      must not fail, nor be refused
 */
#include "t/fuzz/world.h"

#include "xds/ems/documents.h"
#include "xds/ems/view.h"

enum { SERVICES_MAX = 8, WHY_BYTES = 1024 };

static const struct view_settings settings = { "mesh", "x-region" };

/* The words of intents, and what else means something in them. */
static void
dictionary_write(const char *dir)
{
	static const char *const words[] = { "\\x0a---\\x0a", "region: ",
	    "gateway: ", "service: ", "limit: ", "caller: ", "addresses: ",
	    "listen: ", "owner: ", "grpc: ", "regions: {allow: [us]}",
	    "order: [eu]", "defaults: {deadline: ",
	    "methods: {M: {deadline: ", "retry: {on: [", "max: ",
	    "versions: {", "{weight: ", "limits: {in_flight: ",
	    "in_flight: ", "services: [", "may: [", "only: true",
	    "315576000000s", "0.000000001s", "4294967295",
	    "18446744073709551615", "{\\\"documents\\\": [",
	    "\\\"text\\\": ", "\\\"expect\\\": ", "\\\"delete\\\": ",
	    "# version: ", "a.B/M", "[::1]:1", "&a", "*a", "!!str ",
	    "|\\x0a  ", "? " };

	fuzz_dictionary(dir, words, sizeof(words) / sizeof(words[0]), "");
}

static void
seeds_write(const char *dir)
{
	static const char json[] = "{\"documents\": [{\"file\": \"a\", \"line\": "
	    "1, \"text\": \"service: a\\nlimits: {in_flight: 3}\"}], "
	    "\"expect\": {\"service/a\": 3}, \"delete\": [\"service/b\"]}";
	static const char *const files[] = { "t/data/view/two-regions.yaml",
	    "conf/kubernetes/mesh.yaml", "conf/examples/first-day/mesh.yaml" };
	char name[16];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t n;
		char *text = fuzz_file(files[i], &n);

		snprintf(name, sizeof(name), "%zu", i);
		fuzz_seed(dir, name, text, n);
		free(text);
	}
	fuzz_seed(dir, "json", json, sizeof(json) - 1);
	dictionary_write(dir);
}

/* ---- the model */

static void
intent_take(struct model *m, const char *text, size_t n)
{
	char why[WHY_BYTES];
	struct intent *i = intent_read(text, n, "f", why, sizeof(why)),
	    *before = NULL;

	if (i == NULL)
		fuzz_say("%s", why);
	if (i != NULL && !model_swap(m, i->noun, i->name, i, &before))
		abort();
	intent_free(before);
}

static void
documents_take(struct model *m, const uint8_t *data, size_t size)
{
	struct documents d = { 0 };
	char why[WHY_BYTES];

	if (documents_read(&d, (const char *)data, size, "f", why,
	    sizeof(why)) == 0)
		for (size_t i = 0; i < d.n; i++)
			if (d.at[i].text != NULL)
				intent_take(m, d.at[i].text, d.at[i].n);
	documents_fini(&d);
}

/* Somebody is there, in both regions. */
static void
endpoints_put(struct model *m)
{
	static const char *const regions[] = { "us", "eu" };

	for (size_t i = 0; i < m->services_n && i < SERVICES_MAX; i++)
		for (size_t j = 0; j < 2; j++) {
			struct model_endpoint e = { .weight = 1, .port = 80,
			    .address = "10.0.0.1" };

			snprintf(e.id, sizeof(e.id), "e%zu", j);
			snprintf(e.region, sizeof(e.region), "%s", regions[j]);
			if (!model_endpoint_put(m, m->services[i]->name, &e))
				abort();
		}
}

/* ---- who gets it */

/* Clusters before who names them, so that nothing need wait. */
static void
proxy_gets(const struct view *v)
{
	static const enum resource_kind order[] = { RESOURCE_CLUSTER,
	    RESOURCE_ENDPOINT, RESOURCE_ROUTE, RESOURCE_LISTENER };
	const struct catalog_entry *e;
	struct world w;

	world_open(&w);
	world_begin(&w);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		TAILQ_FOREACH(e, &v->catalog.kinds[order[i]]->entries, change)
			if (e->body != NULL && world_put(&w, order[i],
			    e->name, e->body->bytes, e->body->len) == -1)
				fuzz_fail("%s of ours is refused: %s", e->name,
				    w.why);
	world_end(&w);
	world_is_whole(&w);
	world_close(&w);
}

static void
view_try(const struct model *m, const struct view_key *k)
{
	struct view *v = view_new(&settings, k, 0);
	char why[WHY_BYTES] = "";

	if (v == NULL || view_compile(v, m, why, sizeof(why)) == -1)
		fuzz_fail("what was admitted can't be made: %s", why);
	if (k->role != VIEW_GRPC)
		proxy_gets(v);
	view_free(v);
}

static void
views_try(const struct model *m)
{
	const struct view_key keys[] = {
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:9", world_folder, "" },
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:9", world_folder,
		    "shop" },
		{ VIEW_GRPC, "us", "", "", "", "" },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		view_try(m, &keys[i]);
	for (size_t i = 0; i < m->intents_n[INTENT_GATEWAY]; i++) {
		const struct intent *g = m->intents[INTENT_GATEWAY][i];
		const struct view_key k = { VIEW_GATEWAY, ((const
		    Godwit__Ems__V1__Gateway *)g->message)->region, g->name,
		    "0.0.0.0:8443", world_folder, "" };

		view_try(m, &k);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const always[] = { "region: us", "region: eu" };
	char why[WHY_BYTES] = "";
	struct model m;

	world_folder_open();
	model_init(&m);
	for (size_t i = 0; i < 2; i++)
		intent_take(&m, always[i], strlen(always[i]));
	documents_take(&m, data, size);
	endpoints_put(&m);
	if (model_check(&m, why, sizeof(why)) == 0)
		views_try(&m);
	else if (*why == '\0')
		fuzz_fail("refused without a reason");
	fuzz_say("%s", why);
	model_clean(&m);
	model_fini(&m);
	return 0;
}
