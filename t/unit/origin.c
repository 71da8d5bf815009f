/* t/unit/origin.c - where resources come from (master/origin.h). */
#include "master/origin.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(origin, names)
{
	static const struct {
		uint64_t	 key;
		const char	*name, *in_set;
	} s[] = {
		{ 0, "routes", "routes" },
		{ 0, "", "" },
		{ 0, "0123456789abcdef:routes", "0123456789abcdef:routes" },
		{ 1, "routes", "0000000000000001\xffroutes" },
		{ UINT64_MAX, "r", "ffffffffffffffff\xffr" },
		{ 0x1f0e5c77a9d20b43, "", "1f0e5c77a9d20b43\xff" },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		cr_assert(origin_name(text, sizeof(text), s[i].key,
		    s[i].name));
		cr_expect_str_eq(text, s[i].in_set);
		cr_expect_str_eq(origin_plain(text), s[i].name);
		cr_expect_eq(origin_key(text), s[i].key, "%zu", i);
	}
	cr_expect(origin_name(text, 7, 0, "routes"));
	cr_expect(!origin_name(text, 6, 0, "routes"));
	cr_expect(!origin_name(text, ORIGIN_MARK_BYTES + 6, 1, "routes"));
}

static struct origin *
file_new(uint64_t key, const char *path)
{
	struct origin *o = origin_new(0);

	o->key = key;
	o->path = strdup(path);
	return o;
}

Test(origin, known_as_long_as_somebody_has_it)
{
	struct origins *all = origins_new();
	struct origin *a = file_new(1, "/a"), *b = file_new(2, "/b");

	cr_expect(!origins_any(all));
	cr_assert(origins_add(all, a) && origins_add(all, b));
	cr_expect_eq(origins_find(all, 1), a);
	cr_expect_null(origins_find(all, 3));
	origin_put(b);
	origins_sweep(all);
	cr_expect_eq(origins_find(all, 1), a);
	cr_expect_null(origins_find(all, 2));
	origin_put(a);
	origins_sweep(all);
	cr_expect(!origins_any(all));
	origins_free(all);
}

Test(origin, text)
{
	struct origin *file = file_new(1, "/etc/r.yaml"), *stream =
	    origin_new(1);
	char text[64];

	strcpy(stream->servers[0].cluster, "plane");
	stream->key = 2;
	cr_expect_str_eq(origin_text(file, RESOURCE_ROUTE, text,
	    sizeof(text)), "file /etc/r.yaml");
	cr_expect_str_eq(origin_text(stream, RESOURCE_ROUTE, text,
	    sizeof(text)), "cluster plane, RDS");
	cr_expect(!origin_same(file, stream) && !origin_same(file, NULL) &&
	    origin_same(NULL, NULL) && origin_same(file, file));
	origin_put(file);
	origin_put(stream);
}
