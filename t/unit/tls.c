/*
 * t/unit/tls.c - worker/io/tls*.c: a client's and a server's session joined by
 * two buffers, with certificates minted here. Peers that are not of ours:
 * t/unit/tls_peer.c.
 */
#include "worker/io/tls.h"

#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "t/lib/tls_pair.h"

static bool
both_established(void)
{
	return tls_state(client.tls) == TLS_ESTABLISHED &&
	    tls_state(server.tls) == TLS_ESTABLISHED;
}

/* ---- tests ---- */

Test(tls, mutual_in_any_pieces_and_versions)
{
	static const size_t pieces[] = { 0, 1, 7 };
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *one = mint("one", (struct wanted){ .by = ca,
	    .san = "DNS:x,URI:spiffe://mesh/one" });
	struct identity *two = mint("two", (struct wanted){ .by = ca,
	    .san = "URI:spiffe://mesh/two" });

	for (int version = 0x0303; version <= 0x0304; version++)
		for (int i = 0; i < 3; i++) {
			struct tls_settings c = settings(false, one, ca->pem);
			struct tls_settings s = settings(true, two, ca->pem);

			c.version_min = c.version_max = (uint16_t)version;
			side_open(&client, c);
			side_open(&server, s);
			settle(pieces[i]);
			cr_assert(both_established(), "%s / %s",
			    tls_why(client.tls), tls_why(server.tls));
			cr_assert_str_eq(tls_version(client.tls),
			    version == 0x0303 ? "TLSv1.2" : "TLSv1.3");
			cr_assert_str_eq(tls_peer_uri(client.tls),
			    "spiffe://mesh/two");
			cr_assert_str_eq(tls_peer_uri(server.tls),
			    "spiffe://mesh/one");
			cr_assert(tls_write(client.tls,
			    (const uint8_t *)"hello", 5, &client.out));
			settle(pieces[i]);
			cr_assert_eq(server.got_n, 5);
			cr_assert_eq(memcmp(server.got, "hello", 5), 0);
			both_close();
		}
	drop(one);
	drop(two);
	drop(ca);
}

Test(tls, large_writes_are_records_of_at_most_16_kib)
{
	static uint8_t big[200000];
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("own", (struct wanted){ .by = ca });
	size_t at = 0, n, records = 0;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 13 + i / 300);
	side_open(&client, settings(false, own, ca->pem));
	side_open(&server, settings(true, own, ca->pem));
	settle(0);
	cr_assert(tls_write(client.tls, big, sizeof(big), &client.out));
	while (at < buf_len(&client.out)) {
		const uint8_t *r = client.out.data + client.out.pos + at;

		n = (size_t)r[3] << 8 | r[4];
		cr_assert_leq(n, 16384 + 256);
		at += 5 + n;
		records++;
	}
	cr_assert_eq(records, 13);
	settle(1000);
	cr_assert_eq(server.got_n, sizeof(big));
	cr_assert_eq(memcmp(server.got, big, sizeof(big)), 0);
	tls_close(client.tls, &client.out);
	settle(0);
	cr_assert_eq(tls_state(server.tls), TLS_CLOSED);
	cr_assert_not(tls_write(server.tls, big, 1, &server.out));
	both_close();
	drop(own);
	drop(ca);
}

/* Who may come: what the client shows, and what the server makes of it. */
struct visitor {
	const char	*name;
	struct wanted	 wanted;
	bool		 foreign;	/* by another CA */
	enum tls_failure failure;	/* TLS_FAIL_NONE: let in */
};

static const struct visitor visitors[] = {
	{ "good", { .san = "URI:spiffe://mesh/a" }, false, TLS_FAIL_NONE },
	{ "one SAN of many", { .san = "DNS:b,URI:spiffe://mesh/a,IP:1.2.3.4" },
	    false, TLS_FAIL_NONE },
	{ "client use", { .san = "URI:spiffe://mesh/a", .usage =
	    "clientAuth" }, false, TLS_FAIL_NONE },
	{ "server use only", { .san = "URI:spiffe://mesh/a", .usage =
	    "serverAuth" }, false, TLS_FAIL_VERIFY },
	{ "foreign", { .san = "URI:spiffe://mesh/a" }, true,
	    TLS_FAIL_VERIFY },
	{ "expired", { .san = "URI:spiffe://mesh/a", .from_days = -9,
	    .to_days = -2 }, false, TLS_FAIL_VERIFY },
	{ "not yet", { .san = "URI:spiffe://mesh/a", .from_days = 2,
	    .to_days = 9 }, false, TLS_FAIL_VERIFY },
	{ "other name", { .san = "URI:spiffe://mesh/ab" }, false,
	    TLS_FAIL_SAN },
	{ "no SAN", { .san = NULL }, false, TLS_FAIL_SAN },
	{ "spiffe://mesh/a", { .san = NULL }, false, TLS_FAIL_SAN },
	{ "DNS of that text", { .san = "DNS:spiffe\\://mesh/a" }, false,
	    TLS_FAIL_SAN },
	{ "email of it", { .san = "email:a@mesh" }, false, TLS_FAIL_SAN },
};

static void
visit(const struct visitor *v, const struct identity *ca,
    const struct identity *foreign, uint16_t version)
{
	static const struct tls_san san = { TLS_SAN_URI, TLS_MATCH_EXACT,
	    "spiffe://mesh/a" };
	struct wanted wanted = v->wanted;
	struct identity *own = mint("server", (struct wanted){ .by = ca });
	struct identity *who;
	struct tls_settings c, s;

	wanted.by = v->foreign ? foreign : ca;
	if (wanted.san != NULL && strchr(wanted.san, '\\') != NULL)
		wanted.san = "DNS:spiffe.mesh.a";
	who = mint(v->name, wanted);
	c = settings(false, who, ca->pem);
	s = settings(true, own, ca->pem);
	c.version_min = c.version_max = version;
	s.sans = &san;
	s.sans_n = 1;
	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_expect_eq(tls_failure(server.tls), v->failure, "%s: %d: %s",
	    v->name, tls_failure(server.tls), tls_why(server.tls));
	cr_expect_eq(both_established(), v->failure == TLS_FAIL_NONE, "%s",
	    v->name);
	cr_expect_eq(tls_why(server.tls)[0] == '\0',
	    v->failure == TLS_FAIL_NONE, "%s", v->name);
	if (v->failure != TLS_FAIL_NONE)	/* an alert told it why */
		cr_expect_eq(tls_state(client.tls), TLS_FAILED, "%s",
		    v->name);
	both_close();
	drop(who);
	drop(own);
}

Test(tls, who_gets_in)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *foreign = mint("ca", (struct wanted){ .ca = true });

	for (size_t i = 0; i < sizeof(visitors) / sizeof(*visitors); i++) {
		visit(&visitors[i], ca, foreign, 0x0303);
		visit(&visitors[i], ca, foreign, 0x0304);
	}
	drop(ca);
	drop(foreign);
}

Test(tls, names_by_type_and_kind)
{
	static const struct {
		const char *san;
		struct tls_san rule;
		bool in;
	} rows[] = {
		{ "URI:spiffe://m/r/us/a", { TLS_SAN_URI, TLS_MATCH_PREFIX,
		    "spiffe://m/r/" }, true },
		{ "URI:spiffe://m/x", { TLS_SAN_URI, TLS_MATCH_PREFIX,
		    "spiffe://m/r/" }, false },
		{ "URI:spiffe://m/r/a", { TLS_SAN_URI, TLS_MATCH_SUFFIX,
		    "/a" }, true },
		{ "URI:spiffe://m/r/a", { TLS_SAN_URI, TLS_MATCH_CONTAINS,
		    "/r/" }, true },
		{ "URI:spiffe://m/r/a", { TLS_SAN_URI, TLS_MATCH_CONTAINS,
		    "/q/" }, false },
		{ "URI:SPIFFE://m/a", { TLS_SAN_URI, TLS_MATCH_EXACT,
		    "spiffe://m/a" }, false },
		{ "DNS:Gw.Mesh", { TLS_SAN_DNS, TLS_MATCH_EXACT, "gw.mesh" },
		    true },
		{ "DNS:*.mesh", { TLS_SAN_DNS, TLS_MATCH_EXACT, "gw.mesh" },
		    true },
		{ "DNS:*.mesh", { TLS_SAN_DNS, TLS_MATCH_EXACT, "a.gw.mesh" },
		    false },
		{ "DNS:*.mesh", { TLS_SAN_DNS, TLS_MATCH_EXACT, ".mesh" },
		    false },
		{ "DNS:gw.mesh", { TLS_SAN_DNS, TLS_MATCH_SUFFIX, ".mesh" },
		    true },
		{ "URI:gw.mesh", { TLS_SAN_DNS, TLS_MATCH_EXACT, "gw.mesh" },
		    false },
		{ "DNS:spiffe", { TLS_SAN_URI, TLS_MATCH_PREFIX, "spiffe" },
		    false },
		{ "IP:10.0.0.1", { TLS_SAN_IP, TLS_MATCH_EXACT, "10.0.0.1" },
		    true },
		{ "IP:10.0.0.1", { TLS_SAN_IP, TLS_MATCH_EXACT, "10.0.0.2" },
		    false },
		{ "IP:::1", { TLS_SAN_IP, TLS_MATCH_EXACT, "::1" }, true },
		{ "DNS:10.0.0.1", { TLS_SAN_IP, TLS_MATCH_EXACT, "10.0.0.1" },
		    false },
		{ "email:a@b", { TLS_SAN_EMAIL, TLS_MATCH_EXACT, "a@b" },
		    true },
		{ "email:a@b", { TLS_SAN_DNS, TLS_MATCH_EXACT, "a@b" },
		    false },
	};
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("client", (struct wanted){ .by = ca });

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity *who = mint("10.0.0.1", (struct wanted){
		    .by = ca, .san = rows[i].san });
		struct tls_settings c = settings(false, own, ca->pem);

		c.sans = &rows[i].rule;
		c.sans_n = 1;
		side_open(&client, c);
		side_open(&server, settings(true, who, ca->pem));
		settle(0);
		cr_expect_eq(tls_state(client.tls) == TLS_ESTABLISHED,
		    rows[i].in, "%s by %s", rows[i].san, rows[i].rule.value);
		cr_expect_eq(tls_failure(client.tls), rows[i].in ?
		    TLS_FAIL_NONE : TLS_FAIL_SAN, "%s", rows[i].san);
		both_close();
		drop(who);
	}
	drop(own);
	drop(ca);
}

Test(tls, a_name_with_a_nul_matches_nothing)
{
	static const struct tls_san rule = { TLS_SAN_DNS, TLS_MATCH_PREFIX,
	    "gw.mesh" };
	static const char nul[] = "gw.mesh\0.evil";
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *who = mint("who", (struct wanted){ .by = ca });
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	struct tls_settings c;

	ASN1_STRING_set(text, nul, sizeof(nul) - 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	X509_add1_ext_i2d(who->certificate, NID_subject_alt_name, names, 0,
	    X509V3_ADD_APPEND);
	X509_sign(who->certificate, ca->key, EVP_sha256());
	identity_text(who);
	GENERAL_NAMES_free(names);
	c = settings(false, who, ca->pem);
	c.sans = &rule;
	c.sans_n = 1;
	side_open(&client, c);
	side_open(&server, settings(true, who, ca->pem));
	settle(0);
	cr_assert_eq(tls_failure(client.tls), TLS_FAIL_SAN);
	both_close();
	drop(who);
	drop(ca);
}

Test(tls, no_certificate_and_intermediates)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *mid = mint("mid", (struct wanted){ .by = ca,
	    .ca = true });
	struct identity *leaf = mint("leaf", (struct wanted){ .by = mid });
	struct tls_settings s = settings(true, leaf, ca->pem);
	struct tls_settings c = settings(false, NULL, ca->pem);
	char chain[2 * PEM_BYTES];

	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_assert_eq(tls_failure(client.tls), TLS_FAIL_VERIFY,
	    "the leaf came without its intermediate: %s",
	    tls_why(client.tls));
	both_close();
	snprintf(chain, sizeof(chain), "%s%s", leaf->pem, mid->pem);
	s.certificate_chain = chain;
	s.certificate_chain_len = strlen(chain);
	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_assert_eq(tls_failure(server.tls), TLS_FAIL_NO_CERTIFICATE, "%s",
	    tls_why(server.tls));
	cr_assert_eq(tls_state(client.tls), TLS_FAILED);
	both_close();
	c = settings(false, leaf, mid->pem);	/* an anchor below the root */
	s.require_peer_certificate = false;
	s.trusted_ca = NULL;
	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_assert(both_established(), "%s", tls_why(client.tls));
	both_close();
	drop(leaf);
	drop(mid);
	drop(ca);
}

/* What an operator reads. */
Test(tls, reasons_in_words)
{
	static const struct tls_san sans[] = {
		{ TLS_SAN_URI, TLS_MATCH_EXACT, "spiffe://m/a" },
		{ TLS_SAN_DNS, TLS_MATCH_SUFFIX, ".mesh" },
	};
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *old = mint("old", (struct wanted){ .by = ca,
	    .ca = true, .from_days = -9, .to_days = -2 });
	struct identity *who = mint("who", (struct wanted){ .by = ca,
	    .san = "DNS:gw.elsewhere" });
	struct identity *below = mint("below", (struct wanted){ .by = old,
	    .san = "URI:spiffe://m/a" });
	struct tls_settings c = settings(false, who, ca->pem), s;
	char chain[2 * PEM_BYTES];

	c.sans = sans;
	c.sans_n = 2;
	side_open(&client, c);
	side_open(&server, settings(true, who, ca->pem));
	settle(0);
	cr_expect_str_eq(tls_why(client.tls), "the peer's certificate names "
	    "gw.elsewhere, expected spiffe://m/a or .mesh");
	cr_expect_str_eq(tls_why(server.tls), "the peer refused us: "
	    "sslv3 alert bad certificate");
	both_close();
	s = settings(true, below, ca->pem);
	snprintf(chain, sizeof(chain), "%s%s", below->pem, old->pem);
	s.certificate_chain = chain;
	s.certificate_chain_len = strlen(chain);
	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_expect_str_eq(tls_why(client.tls), "the peer's certificate "
	    "(spiffe://m/a) is not one that a CA we trust vouches for now: "
	    "certificate has expired (of a certificate above it)");
	cr_expect_eq(tls_failure(client.tls), TLS_FAIL_VERIFY);
	both_close();
	drop(below);
	drop(who);
	drop(old);
	drop(ca);
}

/* Who a peer is must not depend on how long its first name is. */
Test(tls, the_first_uri_or_none)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *who;
	char san[600] = "URI:spiffe://m/";

	memset(san + strlen(san), 'x', 300);
	strcat(san, ",URI:spiffe://m/short");
	who = mint("who", (struct wanted){ .by = ca, .san = san });
	side_open(&client, settings(false, who, ca->pem));
	side_open(&server, settings(true, who, ca->pem));
	settle(0);
	cr_assert(both_established());
	cr_assert_str_eq(tls_peer_uri(server.tls), "");
	both_close();
	drop(who);
	drop(ca);
}

Test(tls, versions_that_do_not_meet)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("own", (struct wanted){ .by = ca });
	struct tls_settings c = settings(false, own, ca->pem);
	struct tls_settings s = settings(true, own, ca->pem);

	c.version_max = 0x0303;
	s.version_min = 0x0304;
	side_open(&client, c);
	side_open(&server, s);
	settle(0);
	cr_assert_eq(tls_state(server.tls), TLS_FAILED);
	cr_assert_eq(tls_state(client.tls), TLS_FAILED);
	cr_assert_neq(strlen(tls_why(client.tls)), 0);
	both_close();
	drop(own);
	drop(ca);
}

Test(tls, a_context_may_go_before_its_sessions)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("own", (struct wanted){ .by = ca });

	side_open(&client, settings(false, own, ca->pem));
	side_open(&server, settings(true, own, ca->pem));
	tls_context_put(client.context);
	tls_context_put(server.context);
	settle(0);
	cr_assert(both_established());
	tls_free(client.tls);
	tls_free(server.tls);
	buf_fini(&client.out);
	buf_fini(&server.out);
	drop(own);
	drop(ca);
}

Test(tls, garbage_never_crashes)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("own", (struct wanted){ .by = ca });
	uint8_t noise[600];
	int failed = 0;

	for (int i = 0; i < 3000; i++) {
		struct side *victim = i % 2 ? &client : &server;
		size_t n = 1 + (size_t)rand() % sizeof(noise);

		side_open(&client, settings(false, own, ca->pem));
		side_open(&server, settings(true, own, ca->pem));
		if (i % 3 != 0)			/* in the middle of life */
			settle(0);
		for (size_t j = 0; j < n; j++)
			noise[j] = (uint8_t)rand();
		if (i % 5 == 0)
			memcpy(noise, "\x16\x03\x03\x00\x40", 5);
		take(victim, noise, n);
		failed += tls_state(victim->tls) == TLS_FAILED;
		both_close();
	}
	cr_assert_gt(failed, 1000);
	drop(own);
	drop(ca);
}

Test(tls, contexts_that_cannot_be)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *own = mint("own", (struct wanted){ .by = ca });
	struct identity *other = mint("other", (struct wanted){ .by = ca });
	struct tls_settings good = settings(true, own, ca->pem), s;
	struct { struct tls_settings s; const char *why; }
	    rows[10];
	static const struct tls_san san = { TLS_SAN_URI, TLS_MATCH_EXACT,
	    "a" };
	char torn[3 * PEM_BYTES], torn2[3 * PEM_BYTES], why[512];
	int n = 0;

	s = good, s.certificate_chain = "no pem", s.certificate_chain_len = 6;
	rows[n].s = s, rows[n++].why = "certificate chain has no certificate";
	s = good, s.private_key = other->key_pem;
	s.private_key_len = strlen(other->key_pem);
	rows[n].s = s, rows[n++].why = "does not belong to the certificate";
	s = good, s.private_key = own->pem, s.private_key_len =
	    strlen(own->pem);
	rows[n].s = s, rows[n++].why = "private key is not an unencrypted";
	s = good, s.trusted_ca = "nothing", s.trusted_ca_len = 7;
	rows[n].s = s, rows[n++].why = "trusted CA has no certificate";
	s = good, s.version_min = 0x0304, s.version_max = 0x0303;
	rows[n].s = s, rows[n++].why = "lowest TLS version is above";
	s = good, s.ciphers = "NO-SUCH-CIPHER";
	rows[n].s = s, rows[n++].why = "NO-SUCH-CIPHER";
	s = good, s.private_key = NULL;
	rows[n].s = s, rows[n++].why = "a server needs both";
	s = good, s.sans = &san, s.sans_n = 1, s.trusted_ca = NULL;
	rows[n].s = s, rows[n++].why = "rules for names need a trusted CA";
	snprintf(torn, sizeof(torn), "%s%.300s\n%s", ca->pem, own->pem,
	    other->pem);
	s = good, s.trusted_ca = torn, s.trusted_ca_len = strlen(torn);
	rows[n].s = s, rows[n++].why = "certificate 2 of the trusted CA can't";
	s = good, s.certificate_chain = torn2;
	snprintf(torn2, sizeof(torn2), "%s%.300s\n%s", own->pem, ca->pem,
	    other->pem);
	s.certificate_chain_len = strlen(torn2);
	rows[n].s = s, rows[n++].why = "certificate 2 of the certificate chain";
	for (int i = 0; i < n; i++) {
		cr_expect_null(tls_context_new(&rows[i].s, why, sizeof(why)));
		cr_expect(strstr(why, rows[i].why) != NULL, "%s: %s",
		    rows[i].why, why);
	}
	drop(other);
	drop(own);
	drop(ca);
}
