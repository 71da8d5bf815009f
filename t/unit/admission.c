/* t/unit/admission.c - how intent changes (xds/ems/admission.h). */
#include "t/lib/unit_ems.h"

TestSuite(admission, .init = unit_open, .fini = unit_close);

#define GATEWAY "gateway: g\nregion: eu\naddresses: ['1.1.1.1:1']\n"

Test(admission, plays)
{
	static const struct {
		const char	*noun, *name;
		uint64_t	 expect;
		const char	*body;
		enum store_result result;
		const char	*why;
	} steps[] = {
		{ "region", "us", 0, "region: us", STORE_OK, "" },
		{ "region", "us", 0, "region: us", STORE_CONFLICT, NULL },
		{ "region", "us", 1, "region: us", STORE_OK, "" },
		{ "region", "us", 1, "region: eu", STORE_INVALID,
		    "region/us:1:1: is of region \"eu\", expected one of that "
		    "name" },
		{ "planet", "us", 0, "planet: us", STORE_INVALID, "\"planet\" "
		    "is no noun, expected one of region, gateway, service, "
		    "limit, caller" },
		{ "gateway", "g", 0, GATEWAY, STORE_INVALID, "gateway g names "
		    "region \"eu\", and there is no such region" },
		{ "region", "eu", 0, "region: eu", STORE_OK, "" },
		{ "gateway", "g", 0, GATEWAY, STORE_OK, "" },
		{ "region", "eu", 1, NULL, STORE_INVALID, "gateway g names "
		    "region \"eu\", and there is no such region" },
		{ "service", "s", 0, "service: s\nowner: a\ntypo: 1",
		    STORE_INVALID, NULL },
		{ "service", "s", 0, "service: s\nregions: {allow: [us]}",
		    STORE_OK, "" },
		{ "service", "s", 1, "service: s", STORE_OK, "" },
		{ "service", "s", 1, "service: s\nowner: b", STORE_CONFLICT,
		    NULL },
		{ "gateway", "s", 0, "gateway: s\nregion: eu\n"
		    "addresses: ['1.1.1.1:1']", STORE_INVALID, "gateway s has "
		    "the name of a service, expected one of its own: a proxy "
		    "says by it what it is" },
		{ "service", "s", 2, NULL, STORE_OK, "" },
		{ "gateway", "s", 0, "gateway: s\nregion: eu\n"
		    "addresses: ['1.1.1.1:1']", STORE_OK, "" },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		cr_assert_eq(unit_write(steps[i].noun, steps[i].name,
		    steps[i].expect, steps[i].body), steps[i].result,
		    "step %zu: %d %s", i, unit_wrote.result, unit_wrote.why);
		if (steps[i].why != NULL)
			cr_assert_str_eq(unit_wrote.why, steps[i].why,
			    "step %zu: %s", i, unit_wrote.why);
	}
	cr_assert_not_null(model_intent(&unit.ems.model, INTENT_GATEWAY,
	    "s"));
	cr_assert_null(model_service(&unit.ems.model, "s"));
}

/* A refusal has left nothing behind, neither in the model nor in the store. */
Test(admission, comes_back)
{
	unit_write("region", "us", 0, "region: us");
	unit_write("service", "s", 0, "service: s\nregions: {allow: [us]}");
	cr_assert_eq(unit_write("service", "s", 1, "service: s\n"
	    "regions: {allow: [mars]}"), STORE_INVALID);
	cr_assert(!model_allows(model_service(&unit.ems.model, "s"), "mars"));
	unit_end();
	unit_begin();
	cr_assert_not_null(model_intent(&unit.ems.model, INTENT_REGION,
	    "us"));
	cr_assert(!model_allows(model_service(&unit.ems.model, "s"), "mars"));
	cr_assert(model_allows(model_service(&unit.ems.model, "s"), "us"));
}

/* N2: with the answer, the view has it. */
Test(admission, is_in_the_views_when_it_is_answered)
{
	const struct push_node n = { .id = "p", .cluster = "c",
	    .region = "us", .zone = "", .agent = "godwit" };
	enum ems_refusal refusal;
	struct view *v;
	char why[512] = "";

	unit_write("region", "us", 0, "region: us");
	v = ems_view(&unit.ems, &n, NULL, &refusal, why,
	    sizeof(why));
	cr_assert_not_null(v, "%s", why);
	unit_write("service", "s", 0, "service: s");
	cr_assert_not_null(catalog_find(&v->catalog, RESOURCE_CLUSTER, "s"));
	unit_write("service", "s", 1, NULL);
	cr_assert_null(catalog_find(&v->catalog, RESOURCE_CLUSTER, "s"));
	view_set_put(&unit.ems.views, v);
}

/* N3 */
Test(admission, much_is_not_deleted_by_mistake)
{
	enum { N = 7 };
	static const char *const names[N] = { "a", "b", "c", "d", "e", "f",
	    "g" };
	struct store_change c[N];
	struct store_write w = { c, N, store_text("me"), store_text(""), 1 };
	char body[32];
	int before;

	for (int i = 0; i < N; i++) {
		snprintf(body, sizeof(body), "service: %s", names[i]);
		cr_assert_eq(unit_write("service", names[i], 0, body),
		    STORE_OK);
		c[i] = (struct store_change){ store_text("service"),
		    store_text(names[i]), 1, store_text(NULL) };
	}
	before = unit_wrote.n;
	admission_write(unit.admission, &w, false, unit_written, NULL);
	unit_until(&unit_wrote.n, before + 1);
	cr_assert_str_eq(unit_wrote.why, "this deletes 7 of 7 intents: say "
	    "confirm if that is meant");
	admission_write(unit.admission, &w, true, unit_written, NULL);
	unit_until(&unit_wrote.n, before + 2);
	cr_assert_eq(unit_wrote.result, STORE_OK);
}

/* N1: many at once, each seen by those after it. */
Test(admission, one_after_the_other)
{
	enum { N = 50 };
	const struct store_change c = { store_text("region"),
	    store_text("us"), 0, store_text("region: us") };
	const struct store_write w = { &c, 1, store_text("me"),
	    store_text(""), 1 };
	int before = unit_wrote.n;

	for (int i = 0; i < N; i++)
		cr_assert_eq(admission_write(unit.admission, &w, false,
		    unit_written, NULL), 0);
	unit_until(&unit_wrote.n, before + N);
	cr_assert_eq(unit_wrote.result, STORE_CONFLICT);
	cr_assert_eq(unit_wrote.current, 1);
}

/* What a write of these would do: "ROLE +CDS t; ..." */
static const char *
planned(const struct store_change *c, size_t n)
{
	static const char *const roles[] = { "sidecar", "gateway", "grpc" };
	static char seen[1024];
	struct admission_plan p;

	seen[0] = '\0';
	cr_assert(admission_plan(unit.admission, c, n, &p));
	cr_assert_eq(p.result, STORE_OK, "%s", p.why);
	for (size_t i = 0; i < p.effects_n; i++)
		sprintf(seen + strlen(seen), "%s %s%s %s;",
		    roles[p.effects[i].view->key.role],
		    p.effects[i].before == NULL ? "+" : p.effects[i].after ==
		    NULL ? "-" : "~", resource_about(p.effects[i].kind)->
		    acronym, p.effects[i].name);
	admission_plan_fini(&p);
	return seen;
}

Test(admission, a_plan_changes_nothing)
{
	const struct push_node n = { .id = "p", .cluster = "c",
	    .region = "us", .zone = "", .agent = "godwit" };
	const struct store_change c[] = {
		{ store_text("service"), store_text("s"), 1,
		    store_text("service: s\ndefaults: {deadline: 1s}") },
		{ store_text("service"), store_text("t"), 0,
		    store_text("service: t") },
	};
	enum ems_refusal refusal;
	struct view *v;
	char why[512];

	unit_write("region", "us", 0, "region: us");
	unit_write("service", "s", 0, "service: s");
	v = ems_view(&unit.ems, &n, NULL, &refusal, why, sizeof(why));
	cr_assert_not_null(v);
	cr_assert_str_eq(planned(c, 2), "sidecar +CDS t;sidecar +EDS t;"
	    "sidecar ~RDS mesh;");
	cr_assert_null(model_service(&unit.ems.model, "t") == NULL ? NULL :
	    model_service(&unit.ems.model, "t")->intent);
	cr_assert_eq(unit_write("service", "s", 1, "service: s"), STORE_OK);
	view_set_put(&unit.ems.views, v);
}

/* Each of another tls or role is told of; those of another listen alone are
 * not, for it is the same. */
Test(admission, a_plan_of_views_that_share)
{
	static const struct view_key keys[] = {
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:1", "/a", "" },
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:2", "/a", "" },
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:2", "/b", "" },
		{ VIEW_GRPC, "us", "", "", "", "" },
		{ VIEW_GATEWAY, "us", "g", "127.0.0.1:3", "/a", "" },
		{ VIEW_GATEWAY, "us", "h", "127.0.0.1:4", "/a", "" },
	};
	enum { N = sizeof(keys) / sizeof(keys[0]) };
	const struct store_change t = { store_text("service"), store_text("t"),
	    0, store_text("service: t") };
	const struct store_change c = { store_text("caller"), store_text("c"),
	    0, store_text("caller: c\nmay: [s]") };
	struct view *v[N];
	char why[512];

	unit_write("region", "us", 0, "region: us");
	for (int i = 0; i < N; i++)
		cr_assert_not_null(v[i] = view_set_get(&unit.ems.views,
		    &keys[i], why, sizeof(why)));
	cr_assert_str_eq(planned(&t, 1), "sidecar +CDS t;sidecar +EDS t;"
	    "sidecar ~RDS mesh;sidecar +CDS t;sidecar +EDS t;sidecar ~RDS mesh;"
	    "grpc +CDS t;grpc +EDS t;grpc +LDS t;"
	    "gateway +CDS t;gateway +EDS t;gateway ~RDS mesh;"
	    "gateway +CDS t;gateway +EDS t;gateway ~RDS mesh;");
	cr_assert_str_eq(planned(&c, 1), "gateway ~LDS g;gateway ~LDS h;");
	for (int i = 0; i < N; i++)
		view_set_put(&unit.ems.views, v[i]);
}

/* Closing waits for what is under way; what waits behind it is refused. */
Test(admission_closing, with_writes_under_way, .init = unit_open)
{
	static const struct store_change us = { { "region", 6 }, { "us", 2 },
	    0, { "region: us", 10 } };
	const struct store_write w = { .changes = &us, .changes_n = 1,
	    .who = store_text("test") };

	unit_wrote.n = 0;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(admission_write(unit.admission, &w, false,
		    unit_written, NULL), 0);
	loop_turn(&unit.loop, 0);
	unit_close();
	cr_expect_eq(unit_wrote.n, 3);
	cr_expect_eq(unit_wrote.result, STORE_FAILED);
}
