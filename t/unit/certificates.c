/*
 * t/unit/certificates.c - certificates in use and until when: what counts, what
 * is warned of and when, what is printed.
 */
#include "master/certificates.h"

#include <time.h>

#include "t/lib/identity.h"
#include "t/lib/unit_generations.h"

enum { DAY_S = 86400, HOUR_S = 3600 };

static struct generations g;
static struct certificates *c;
static int64_t now_s;
static char *text;
static size_t text_n;

/* ---- clusters with certificates */

/* unit_folder/name has them one behind the other. */
static void
pem_write(const char *name, const struct identity *a, const struct identity *b)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", unit_folder, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fprintf(f, "%s%s", a->pem, b == NULL ? "" : b->pem);
	fclose(f);
}

/* cluster: "NAME chain FILE" or "NAME ca FILE", up to a NULL. */
static void
use(const char *const *clusters)
{
	FILE *f = fopen(unit_file, "w");
	char name[32], what[32], file[32];

	cr_assert_not_null(f);
	unit_key_write("AAAA");
	fprintf(f, "static_resources:\n  clusters:\n");
	for (; *clusters != NULL; clusters++) {
		cr_assert_eq(sscanf(*clusters, "%31s %31s %31s", name, what,
		    file), 3);
		fprintf(f, "  - name: %s\n    http2_protocol_options: {}\n"
		    "    load_assignment: {cluster_name: %s}\n"
		    "    transport_socket: {name: tls, typed_config: " UNIT_AT
		    "transport_sockets.tls.v3.UpstreamTlsContext, "
		    "common_tls_context: {", name, name);
		if (strcmp(what, "ca") == 0)
			fprintf(f, "validation_context: {trusted_ca: "
			    "{filename: %s/%s}}}}}\n", unit_folder, file);
		else
			fprintf(f, "tls_certificates: [{certificate_chain: "
			    "{filename: %s/%s}, private_key: {filename: "
			    "%s}}]}}}\n", unit_folder, file, unit_key);
	}
	fclose(f);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
	certificates_look(c, &g.image.arena, generations_root(&g));
}

static void
start(void)
{
	unit_folder_open();
	cr_assert_eq(generations_open(&g, &unit_options, why, sizeof(why)), 0);
	c = certificates_new();
	now_s = time(NULL) + HOUR_S;
}

static void
finish(void)
{
	char command[128];

	certificates_free(c);
	generations_close(&g);
	free(text);
	snprintf(command, sizeof(command), "rm -rf %s", unit_folder);
	cr_assert_eq(system(command), 0);
}

/* ---- what is said */

static void
say(void *arg, bool expired, const char *sentence)
{
	fprintf(arg, "%s%s\n", expired ? "! " : "", sentence);
}

static const char *
warned(int64_t at_s, bool fresh)
{
	FILE *f;

	free(text);
	f = open_memstream(&text, &text_n);
	certificates_warn(c, at_s, fresh, say, f);
	fclose(f);
	return text;
}

static const char *
printed(void (*print)(const struct certificates *, int64_t, FILE *))
{
	FILE *f;

	free(text);
	f = open_memstream(&text, &text_n);
	print(c, now_s, f);
	fclose(f);
	return text;
}

static void
has(const char *words)
{
	cr_assert_not_null(strstr(text, words), "%s\nis not in\n%s", words,
	    text);
}

/* ---- tests */

Test(certificates, what_counts)
{
	static const char *const none[] = { NULL };
	static const char *const long_ones[] = { "a chain leaf", NULL };
	static const char *const chain[] = { "a chain leaf", "b chain chain",
	    NULL };
	static const char *const ca[] = { "a chain leaf", "b ca bundle",
	    NULL };
	struct identity *leaf = mint("leaf", (struct wanted){ .to_days = 30 });
	struct identity *above = mint("above", (struct wanted){
	    .to_days = 3 });
	struct identity *old = mint("old", (struct wanted){ .to_days = 5 });

	start();
	pem_write("leaf", leaf, NULL);
	pem_write("chain", leaf, above);
	pem_write("bundle", old, leaf);
	use(none);
	cr_assert_eq(certificates_days(c, now_s), UINT32_MAX);
	use(long_ones);
	cr_assert_eq(certificates_days(c, now_s), 29);
	use(chain);
	cr_assert_eq(certificates_days(c, now_s), 2, "of those above it too");
	cr_assert_eq(certificates_days(c, now_s + 3 * DAY_S), 0);
	use(ca);
	cr_assert_eq(certificates_days(c, now_s), 4, "the first of a bundle");
	cr_assert_str_empty(warned(now_s + 6 * DAY_S, false));
	warned(now_s + 40 * DAY_S, false);
	has("! CA of cluster \"b\" (file ");
	has("bundle");
	use(long_ones);
	cr_assert_eq(certificates_days(c, now_s), 29, "it is gone");
	finish();
	drop(leaf);
	drop(above);
	drop(old);
}

/* Seven days, and a sixth of a short life: these began a day ago. */
Test(certificates, warned_in_time_and_once)
{
	static const char *const all[] = { "a chain month", "b chain day",
	    "d chain month", NULL };
	struct identity *month = mint("month", (struct wanted){
	    .to_days = 90, .san = "URI:spiffe://mesh/a" });
	struct identity *day = mint("day", (struct wanted){ .to_days = 1 });

	start();
	now_s -= HOUR_S;
	pem_write("month", month, NULL);
	pem_write("day", day, NULL);
	use(all);
	cr_assert_str_empty(warned(now_s + 15 * HOUR_S, true));
	warned(now_s + 17 * HOUR_S, true);
	has("certificate of cluster \"b\" (file /tmp/");
	has("expires in ");
	cr_assert_str_empty(warned(now_s + 22 * HOUR_S, true), "once");
	warned(now_s + 25 * HOUR_S, true);
	has("! certificate of cluster \"b\"");
	has(" ago: peers refuse it");
	cr_assert_str_empty(warned(now_s + 26 * HOUR_S, true));
	warned(now_s + 26 * HOUR_S, false);
	has("! certificate of cluster \"b\"");
	cr_assert_null(strstr(text, "\"a\""));
	warned(now_s + 82 * DAY_S, true);
	cr_assert_str_empty(text);
	warned(now_s + 84 * DAY_S, false);
	cr_assert_eq(strncmp(text, "! certificate of cluster \"b\"", 27), 0,
	    "the worst first");
	has("certificate of cluster \"a\" and 1 more");
	has("spiffe://mesh/a) expires in 6 d ");
	finish();
	drop(month);
	drop(day);
}

Test(certificates, printed)
{
	static const char *const all[] = { "a chain two", "b ca leaf",
	    "d chain two", NULL };
	struct identity *leaf = mint("leaf", (struct wanted){ .to_days = 30,
	    .san = "URI:spiffe://mesh/a,DNS:a.mesh,IP:10.0.0.1,IP:fd00::1,"
	    "email:a@mesh" });
	struct identity *above = mint("above", (struct wanted){
	    .to_days = 60 });
	char line[256];
	long long made_s;

	start();
	pem_write("leaf", leaf, NULL);
	pem_write("two", leaf, above);
	use(all);
	printed(certificates_stats);
	has("server.days_until_first_cert_expiring: 29\n");
	snprintf(line, sizeof(line), "cluster.d.ssl.certificate.%s/two."
	    "expiration_unix_time_seconds: ", unit_folder);
	has(line);
	/* It was made in another second, or in that. */
	made_s = strtoll(strstr(text, line) + strlen(line), NULL, 10) -
	    30 * DAY_S;
	cr_assert(made_s <= now_s - HOUR_S + 60 && made_s > now_s - 2 *
	    HOUR_S, "made %lld s before", (long long)now_s - HOUR_S - made_s);
	has("cluster.b.ssl.certificate.");
	printed(certificates_print);
	has("\"uri\": \"spiffe://mesh/a\"");
	has("\"dns\": \"a.mesh\"");
	has("\"ip_address\": \"10.0.0.1\"");
	has("\"ip_address\": \"fd00::1\"");
	has("\"days_until_expiration\": \"59\"");
	has("\"ca_cert\": []");
	cr_assert_null(strstr(text, "a@mesh"));
	finish();
	drop(leaf);
	drop(above);
}
