/*
 * t/lib/unit_view.h - for t/unit/view.c and view_set.c: a mesh that changes
 * by chance, and what views have.
 */
#ifndef T_LIB_UNIT_VIEW_H
#define T_LIB_UNIT_VIEW_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "t/lib/chance.h"
#include "xds/ems/view.h"

static const struct view_settings settings = { "mesh", "x-region" };

/* ---- what a view has, to the byte: its resources' names and bytes */

static uint64_t
view_signature(const struct view *v)
{
	uint64_t sum = 0;

	for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++) {
		const struct catalog_entry *e;

		TAILQ_FOREACH(e, &v->catalog.kinds[k]->entries, change)
			if (e->body != NULL)
				sum += XXH3_64bits_withSeed(e->body->bytes,
				    e->body->len, e->hash + (uint64_t)k);
	}
	return sum;
}

/* ---- a mesh */

static void
intent_take(struct model *m, const char *text, const char *file)
{
	char why[1024] = "";
	struct intent *i = intent_read(text, strlen(text), file, why,
	    sizeof(why)), *before;

	cr_assert_not_null(i, "%s", why);
	cr_assert(model_swap(m, i->noun, i->name, i, &before));
	intent_free(before);
}

/* ---- that changes by chance */

enum { NAMES = 5, IDS = 4 };

static struct chance chance;

static uint32_t
below(uint32_t n)
{
	return chance_below(&chance, n);
}

static void
service_change(struct model *m)
{
	static const char *const parts[] = { "grpc: [x.Shared]", "grpc: [y, z]",
	    "regions: {allow: [us]}", "regions: {order: [eu, us]}",
	    "defaults: {deadline: 3s}", "versions: {v1: {weight: 1}, v2: "
	    "{weight: 9}}", "methods: {M: {deadline: 1s}}",
	    "limits: {in_flight: 7}" };
	char text[512];
	struct intent *before;
	bool taken[3] = { false };

	snprintf(text, sizeof(text), "s%u", below(NAMES));
	if (below(4) == 0) {
		model_swap(m, INTENT_SERVICE, text, NULL, &before);
		intent_free(before);
		return;
	}
	memmove(text + 9, text, strlen(text) + 1);
	memcpy(text, "service: ", 9);
	for (uint32_t i = 0; i < 8; i++) {
		/* Of two that say the same key, one. */
		uint32_t key = i < 2 ? 0 : i < 4 ? 1 : 2;

		if (below(3) != 0 || (key < 2 && taken[key]))
			continue;
		taken[key] = true;
		strcat(text, "\n");
		strcat(text, parts[i]);
	}
	/* s0's y would be s1's too: each its own, so that all go together. */
	for (char *at = text; (at = strstr(at, "[y, z]")) != NULL; at += 6) {
		at[1] = (char)('a' + text[10] - '0');
		at[4] = (char)('k' + text[10] - '0');
	}
	intent_take(m, text, "chance.yaml");
}

static void
endpoint_change(struct model *m)
{
	static const char *const versions[] = { "", "v1", "v2" };
	static const char *const regions[] = { "us", "eu" };
	struct model_endpoint e = { .health = below(3), .weight = 1 +
	    below(2), .port = 1 + below(3) };
	char service[16];

	snprintf(service, sizeof(service), "s%u", below(NAMES));
	snprintf(e.id, sizeof(e.id), "e%u", below(IDS));
	snprintf(e.region, sizeof(e.region), "%s", regions[below(2)]);
	snprintf(e.zone, sizeof(e.zone), "z%u", below(2));
	snprintf(e.version, sizeof(e.version), "%s", versions[below(3)]);
	snprintf(e.address, sizeof(e.address), "10.0.0.%u", below(4));
	if (below(3) == 0)
		model_endpoint_remove(m, service, e.id);
	else
		cr_assert(model_endpoint_put(m, service, &e));
}

static void
mesh_change(struct model *m)
{
	static const char *const texts[] = { "gateway: g\nregion: eu\n"
	    "addresses: ['1.1.1.1:1']", "caller: c\nmay: [s0, s1/M]",
	    "caller: c\nmay: [s0, s2, x.Shared]\nonly: true",
	    "caller: d\nmay: [s1/M, s3, b]\nonly: true",
	    "caller: d\nmay: [s4]\nonly: true", "limit: l\nservices: [s0, "
	    "s3]\nin_flight: 3", "limit: m\nin_flight: 5" };
	static const struct { enum intent_noun noun; const char *name; }
	    going[] = { { INTENT_GATEWAY, "g" }, { INTENT_LIMIT, "l" },
	    { INTENT_LIMIT, "m" } };
	uint32_t which = below(3);
	struct intent *before;

	if (below(2) == 0) {
		model_swap(m, going[which].noun, going[which].name, NULL,
		    &before);
		intent_free(before);
	} else
		intent_take(m, texts[below(7)], "chance.yaml");
}

static void
change(struct model *m)
{
	uint32_t what = below(8);

	if (what == 0)
		mesh_change(m);
	else if (what < 4)
		service_change(m);
	else
		endpoint_change(m);
}

#endif
