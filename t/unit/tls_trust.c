/*
 * t/unit/tls_trust.c - worker/io/tls_verify.c and what leads to it: whose word
 * is taken for a certificate, in both roles, and which names in it count.
 * Sessions at work: t/unit/tls.c. Peers not of ours: t/unit/tls_peer.c.
 */
#include "worker/io/tls.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "t/lib/tls_pair.h"

static struct identity *ca, *own;

static void
identities(void)
{
	ca = mint("ca", (struct wanted){ .ca = true });
	own = mint("own", (struct wanted){ .by = ca, .san = "URI:own" });
}

static void
identities_gone(void)
{
	drop(own);
	drop(ca);
}

TestSuite(tls_trust, .init = identities, .fini = identities_gone);

/* ---- two sessions ---- */

/* The two meet; afterwards the judge's verdict is in judge->tls. */
static void
meet(const struct tls_settings *c, const struct tls_settings *s,
    uint16_t version)
{
	struct tls_settings only = *c;

	only.version_min = only.version_max = version;
	side_open(&client, only);
	side_open(&server, *s);
	settle(0);
}

/* ---- whose word is taken ---- */

/* Who signed the peer's certificate, and what is sent and trusted. */
enum { ROOT = 1, MID, LEAF, TWIN, OLD, AHEAD, SHORT, FACES };

static struct identity *faces[FACES];

static void
faces_mint(void)
{
	faces[ROOT] = ca;
	faces[MID] = mint("mid", (struct wanted){ .by = ca, .ca = true });
	faces[LEAF] = mint("leaf", (struct wanted){ .by = ca,
	    .san = "URI:a" });
	/* The root's name, but not its key. */
	faces[TWIN] = mint("ca", (struct wanted){ .ca = true });
	faces[OLD] = mint("old", (struct wanted){ .by = ca, .ca = true,
	    .from_days = -9, .to_days = -2 });
	faces[AHEAD] = mint("ahead", (struct wanted){ .by = ca, .ca = true,
	    .from_days = 2, .to_days = 9 });
	/* A CA for servers and clients of other protocols only. */
	faces[SHORT] = mint("short", (struct wanted){ .by = ca, .ca = true,
	    .usage = "emailProtection" });
}

static void
faces_drop(void)
{
	for (int i = MID; i < FACES; i++)
		drop(faces[i]);
}

struct trial {
	const char	*name;
	int		 by, sent, trusted;	/* sent: 0, nothing above */
	const char	*server_usage, *client_usage;
	int		 from_days, to_days;
	bool		 in;
	const char	*why;
};

static const struct trial trials[] = {
	{ "by the root", ROOT, 0, ROOT, .in = true },
	{ "right use", ROOT, 0, ROOT, "serverAuth", "clientAuth", .in = true },
	{ "both uses", ROOT, 0, ROOT, "serverAuth,clientAuth",
	    "serverAuth,clientAuth", .in = true },
	{ "wrong use", ROOT, 0, ROOT, "clientAuth", "serverAuth",
	    .why = "certificate purpose" },
	{ "other use", ROOT, 0, ROOT, "codeSigning", "codeSigning",
	    .why = "certificate purpose" },
	{ "expired", ROOT, 0, ROOT, .from_days = -9, .to_days = -2,
	    .why = "certificate has expired" },
	{ "not yet", ROOT, 0, ROOT, .from_days = 2, .to_days = 9,
	    .why = "certificate is not yet valid" },
	{ "chain", MID, MID, ROOT, .in = true },
	{ "chain not sent", MID, 0, ROOT, .why = "unable to get local" },
	{ "anchor below the root", MID, 0, MID, .in = true },
	{ "anchor below, sent too", MID, MID, MID, .in = true },
	{ "the root's child, anchor below", ROOT, 0, MID,
	    .why = "unable to get local" },
	{ "the root sent, not trusted", ROOT, ROOT, TWIN,
	    .why = "certificate signature failure" },
	{ "a CA of the same name", TWIN, 0, ROOT,
	    .why = "certificate signature failure" },
	{ "and sent", TWIN, TWIN, ROOT,
	    .why = "certificate signature failure" },
	{ "by a leaf", LEAF, LEAF, ROOT, .why = "invalid CA certificate" },
	{ "by a leaf that is trusted", LEAF, 0, LEAF,
	    .why = "invalid CA certificate" },
	{ "by a CA expired", OLD, OLD, ROOT,
	    .why = "certificate has expired (of a certificate above it)" },
	{ "trusted, but expired", OLD, 0, OLD,
	    .why = "certificate has expired (of a certificate above it)" },
	{ "by a CA not yet", AHEAD, AHEAD, ROOT,
	    .why = "certificate is not yet valid (of a certificate above" },
	{ "by a CA for e-mail", SHORT, SHORT, ROOT,
	    .why = "certificate purpose" },
};

static void
try(const struct trial *t, bool client_judges, uint16_t version)
{
	struct identity *who = mint("who", (struct wanted){
	    .by = faces[t->by], .san = "URI:a", .usage = client_judges ?
	    t->server_usage : t->client_usage, .from_days = t->from_days,
	    .to_days = t->to_days });
	struct tls_settings judging = settings(!client_judges, own, ca->pem);
	struct tls_settings judged = settings(client_judges, who, ca->pem);
	struct side *judge = client_judges ? &client : &server;
	struct side *other = client_judges ? &server : &client;
	char chain[2 * PEM_BYTES];

	snprintf(chain, sizeof(chain), "%s%s", who->pem, t->sent == 0 ? "" :
	    faces[t->sent]->pem);
	judged.certificate_chain = chain;
	judged.certificate_chain_len = strlen(chain);
	judging.trusted_ca = faces[t->trusted]->pem;
	judging.trusted_ca_len = strlen(judging.trusted_ca);
	meet(client_judges ? &judging : &judged,
	    client_judges ? &judged : &judging, version);
	cr_expect_eq(tls_state(judge->tls), t->in ? TLS_ESTABLISHED :
	    TLS_FAILED, "%s: %s", t->name, tls_why(judge->tls));
	cr_expect_eq(tls_state(other->tls), t->in ? TLS_ESTABLISHED :
	    TLS_FAILED, "%s: %s", t->name, tls_why(other->tls));
	cr_expect_eq(tls_failure(judge->tls), t->in ? TLS_FAIL_NONE :
	    TLS_FAIL_VERIFY, "%s", t->name);
	cr_expect(t->in || strstr(tls_why(judge->tls), t->why) != NULL,
	    "%s: %s", t->name, tls_why(judge->tls));
	cr_expect_str_eq(tls_peer_uri(judge->tls), t->in ? "a" : "");
	both_close();
	drop(who);
}

Test(tls_trust, whose_word_is_taken)
{
	faces_mint();
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		for (int j = 0; j < 4; j++)
			try(&trials[i], j % 2 == 0, 0x0303 + j / 2);
	faces_drop();
}

/* Whom we trust is not told to peers: OpenSSL would complete our chain out of
 * it in each handshake, which costs a verification and hides from the operator
 * that an intermediate is missing, until he serves without that trust. */
Test(tls_trust, what_we_send_is_what_we_were_given)
{
	struct identity *mid = mint("mid", (struct wanted){ .by = ca,
	    .ca = true });
	struct identity *who = mint("who", (struct wanted){ .by = mid,
	    .san = "URI:a" });
	char both[2 * PEM_BYTES];

	snprintf(both, sizeof(both), "%s%s", ca->pem, mid->pem);
	for (int i = 0; i < 4; i++) {
		bool we_serve = i % 2 == 0;
		struct tls_settings sender = settings(we_serve, who, ca->pem);
		struct tls_settings judge = settings(!we_serve, own, ca->pem);

		sender.trusted_ca = both;
		sender.trusted_ca_len = strlen(both);
		meet(we_serve ? &judge : &sender, we_serve ? &sender :
		    &judge, 0x0303 + i / 2);
		cr_expect_eq(tls_failure(we_serve ? client.tls : server.tls),
		    TLS_FAIL_VERIFY, "%d", i);
		both_close();
	}
	drop(who);
	drop(mid);
}

/* A certificate that is trusted itself needs nobody above it. */
Test(tls_trust, a_leaf_may_be_the_anchor)
{
	struct identity *who = mint("who", (struct wanted){ .by = ca,
	    .san = "URI:a" });
	struct tls_settings c = settings(false, own, ca->pem);
	struct tls_settings s = settings(true, who, ca->pem);

	c.trusted_ca = who->pem;
	c.trusted_ca_len = strlen(who->pem);
	meet(&c, &s, 0x0304);
	cr_assert_eq(tls_state(client.tls), TLS_ESTABLISHED, "%s",
	    tls_why(client.tls));
	both_close();
	s = settings(true, own, ca->pem);		/* its sister is not */
	meet(&c, &s, 0x0304);
	cr_assert_eq(tls_failure(client.tls), TLS_FAIL_VERIFY);
	both_close();
	drop(who);
}

/* "a b" for "a\0b\0", "none" for NULL. */
static const char *
names_text(const char *names)
{
	static char text[256];
	size_t n = 0;

	text[0] = '\0';
	for (; names != NULL && *names != '\0'; names += strlen(names) + 1)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
		    n > 0 ? " " : "", names);
	return names == NULL ? "none" : text;
}

/* A server that asks, but does not insist: whoever shows none comes in
 * without a name, unless there are rules for names (t/mesh/300-tls.py has
 * Envoy beside it); whoever shows one is measured by it. */
Test(tls_trust, a_certificate_that_is_not_required)
{
	static const struct tls_san rule = { TLS_SAN_URI, TLS_MATCH_EXACT,
	    "own" };
	struct identity *foreign = mint("ca", (struct wanted){ .ca = true });
	struct identity *other = mint("b", (struct wanted){ .by = ca,
	    .san = "URI:b" });
	const struct {
		const struct identity *who;
		bool rule;
		enum tls_failure failure;
		const char *uri;
	} rows[] = {
		{ NULL, false, TLS_FAIL_NONE, "" },
		{ NULL, true, TLS_FAIL_NO_CERTIFICATE, "" },
		{ own, true, TLS_FAIL_NONE, "own" },
		{ other, false, TLS_FAIL_NONE, "b" },
		{ other, true, TLS_FAIL_SAN, "" },
		{ foreign, false, TLS_FAIL_VERIFY, "" },
	};

	for (int i = 0; i < 12; i++) {
		struct tls_settings s = settings(true, own, ca->pem);
		struct tls_settings c = settings(false, rows[i / 2].who ==
		    NULL ? own : rows[i / 2].who, ca->pem);

		s.require_peer_certificate = false;
		s.sans = &rule;
		s.sans_n = rows[i / 2].rule;
		if (rows[i / 2].who == NULL)
			c.certificate_chain = c.private_key = NULL;
		meet(&c, &s, 0x0303 + i % 2);
		cr_expect_eq(tls_failure(server.tls), rows[i / 2].failure,
		    "%d: %s", i, tls_why(server.tls));
		cr_expect_str_eq(tls_peer_uri(server.tls), rows[i / 2].uri);
		cr_expect_str_eq(names_text(tls_peer_names(server.tls)),
		    rows[i / 2].uri[0] == '\0' ? "none" : rows[i / 2].uri);
		both_close();
	}
	drop(other);
	drop(foreign);
}

/* What authorisation goes by: every name, the short ones and the long, and
 * none that nobody vouches for. */
Test(tls_trust, the_names_that_a_ca_vouches_for)
{
	static const struct {
		const char *san, *names;
		bool unverified;
	} rows[] = {
		{ "URI:a", "a", false }, { "URI:a", "none", true },
		{ "DNS:d,URI:b,email:e@e,DNS:*.x,URI:a,IP:10.0.0.1",
		    "b a d *.x", false },
		{ "email:e@e", "", false }, { NULL, "", false },
	};

	for (int i = 0; i < 10; i++) {
		struct identity *who = mint("who", (struct wanted){ .by = ca,
		    .san = rows[i / 2].san });
		struct tls_settings s = settings(true, own, ca->pem);
		struct tls_settings c = settings(false, who, ca->pem);

		if (rows[i / 2].unverified) {
			s.trusted_ca = NULL;
			s.trusted_ca_len = 0;
		}
		meet(&c, &s, 0x0303 + i % 2);
		cr_expect_eq(tls_state(server.tls), TLS_ESTABLISHED, "%d: %s",
		    i, tls_why(server.tls));
		cr_expect_str_eq(names_text(tls_peer_names(server.tls)),
		    rows[i / 2].names, "%d", i);
		cr_expect_str_eq(names_text(tls_peer_names(client.tls)),
		    "own", "a server has a name too");
		both_close();
		drop(who);
	}
}

/* ---- names ---- */

/* Whether a server with these SANs is let in by a rule. */
static bool
let_in(const struct identity *who, struct tls_san rule)
{
	struct tls_settings c = settings(false, own, ca->pem);
	struct tls_settings s = settings(true, who, ca->pem);
	bool in;

	c.sans = &rule;
	c.sans_n = 1;
	meet(&c, &s, 0x0304);
	in = tls_state(client.tls) == TLS_ESTABLISHED;
	cr_expect_eq(tls_failure(client.tls), in ? TLS_FAIL_NONE :
	    TLS_FAIL_SAN, "%s", tls_why(client.tls));
	both_close();
	return in;
}

static bool
let_in_by(const char *san, struct tls_san rule)
{
	struct identity *who = mint("gw.mesh", (struct wanted){ .by = ca,
	    .san = san });
	bool in = let_in(who, rule);

	drop(who);
	return in;
}

/* One text, as a name of every type and a rule of every type and kind. */
Test(tls_trust, a_rule_looks_at_its_own_type_only)
{
	static const char *const sans[] = { NULL, "email:gw.mesh",
	    "DNS:gw.mesh", "URI:gw.mesh", "IP:10.0.0.1" };

	for (int type = TLS_SAN_EMAIL; type <= TLS_SAN_URI; type++)
		for (int san = 0; san <= TLS_SAN_IP; san++) {
			struct identity *who = mint("gw.mesh",
			    (struct wanted){ .by = ca, .san = sans[san] });

			for (int match = TLS_MATCH_EXACT; match <=
			    TLS_MATCH_CONTAINS; match++) {
				struct tls_san rule = { type, match,
				    "gw.mesh" };

				cr_expect_eq(let_in(who, rule), san == type,
				    "%d %s %d", type, sans[san], match);
			}
			drop(who);
		}
}

Test(tls_trust, names_near_misses)
{
	static const struct {
		const char *san;
		struct tls_san rule;
		bool in;
	} rows[] = {
#define RULE(type, match, text) { TLS_SAN_##type, TLS_MATCH_##match, text }
		{ "URI:x://m/a", RULE(URI, EXACT, "x://m/a"), true },
		{ "URI:x://m/a", RULE(URI, EXACT, "x://m/"), false },
		{ "URI:x://m/a", RULE(URI, EXACT, "x://m/aa"), false },
		{ "URI:x://m/a", RULE(URI, PREFIX, "x://m/aa"), false },
		{ "URI:x://m/a", RULE(URI, PREFIX, "x://m/A"), false },
		{ "URI:x://m/a", RULE(URI, PREFIX, "m/a"), false },
		{ "URI:x://m/a", RULE(URI, SUFFIX, "x://m"), false },
		{ "URI:x://m/a", RULE(URI, SUFFIX, "xx://m/a"), false },
		{ "URI:x://m/a", RULE(URI, CONTAINS, "x://m/a"), true },
		{ "URI:x://m/a", RULE(URI, CONTAINS, "/a"), true },
		{ "URI:x://m/a", RULE(URI, CONTAINS, "/A"), false },
		{ "URI:x://m/a", RULE(URI, CONTAINS, "x://m/ab"), false },
		/* Two names do not make one. */
		{ "URI:x://m,URI:/a", RULE(URI, EXACT, "x://m/a"), false },
		{ "URI:x://m,URI:/a", RULE(URI, EXACT, "/a"), true },
		{ "DNS:gw.mesh", RULE(DNS, PREFIX, "GW."), true },
		{ "DNS:gw.mesh", RULE(DNS, CONTAINS, "W.M"), true },
		{ "DNS:gw.mesh", RULE(DNS, SUFFIX, "x.mesh"), false },
		{ "DNS:gw.mesh", RULE(DNS, EXACT, "gw.mesh."), false },
		{ "DNS:gw.mesh", RULE(DNS, EXACT, "*.mesh"), false },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "*.mesh"), true },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "GW.MESH"), true },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "mesh"), false },
		{ "DNS:*.mesh", RULE(DNS, EXACT, ".mesh"), false },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "gw.meshx"), false },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "gw.xmesh"), false },
		{ "DNS:*.mesh", RULE(DNS, EXACT, "gwxmesh"), false },
		/* The star is for rules that name one host. */
		{ "DNS:*.mesh", RULE(DNS, PREFIX, "gw.mesh"), false },
		{ "DNS:*.mesh", RULE(DNS, CONTAINS, "gw.mesh"), false },
		{ "DNS:*.mesh", RULE(DNS, SUFFIX, ".mesh"), true },
		{ "DNS:*", RULE(DNS, EXACT, "gw.mesh"), false },
		{ "DNS:*", RULE(DNS, EXACT, "gw"), false },
		{ "DNS:*.*", RULE(DNS, EXACT, "gw.mesh"), false },
		{ "DNS:g*.mesh", RULE(DNS, EXACT, "gw.mesh"), false },
		{ "DNS:gw.*", RULE(DNS, EXACT, "gw.mesh"), false },
		{ "DNS:a.*.mesh", RULE(DNS, EXACT, "a.gw.mesh"), false },
		{ "URI:*.mesh", RULE(URI, EXACT, "gw.mesh"), false },
		{ "email:a@b.c", RULE(EMAIL, SUFFIX, "@b.c"), true },
		{ "email:a@b.c", RULE(EMAIL, EXACT, "A@b.c"), false },
		{ "email:*.mesh", RULE(EMAIL, EXACT, "gw.mesh"), false },
		{ "IP:10.0.0.1", RULE(IP, EXACT, "10.0.0.1"), true },
		{ "IP:10.0.0.1", RULE(IP, EXACT, "10.0.0.10"), false },
		{ "IP:10.0.0.1", RULE(IP, EXACT, "::ffff:10.0.0.1"), false },
		{ "IP:10.0.0.1", RULE(IP, PREFIX, "10.0.0."), false },
		{ "IP:::ffff:10.0.0.1", RULE(IP, EXACT, "10.0.0.1"), false },
		{ "IP:fd00::1", RULE(IP, EXACT, "FD00:0:0::1"), true },
		{ "IP:fd00::1", RULE(IP, EXACT, "fd00::2"), false },
		{ "IP:fd00::1", RULE(IP, EXACT, "fd01::1"), false },
		{ "RID:1.2.3.4", RULE(IP, EXACT, "1.2.3.4"), false },
#undef RULE
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(let_in_by(rows[i].san, rows[i].rule),
		    rows[i].in, "%s by %d %s", rows[i].san,
		    rows[i].rule.match, rows[i].rule.value);
}

/* A certificate of the CA's with these bytes as its name, and a second one
 * that is good, if there is one. */
static struct identity *
mint_bytes(int type, const char *p, int n, const char *second)
{
	struct identity *who = mint("who", (struct wanted){ .by = ca });
	GENERAL_NAMES *names = GENERAL_NAMES_new();

	for (int i = 0; i < (second == NULL ? 1 : 2); i++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		ASN1_STRING_set(text, i == 0 ? p : second, i == 0 ? n : -1);
		GENERAL_NAME_set0_value(name, type, text);
		sk_GENERAL_NAME_push(names, name);
	}
	X509_add1_ext_i2d(who->certificate, NID_subject_alt_name, names, 0,
	    X509V3_ADD_APPEND);
	X509_sign(who->certificate, ca->key, EVP_sha256());
	identity_text(who);
	GENERAL_NAMES_free(names);
	return who;
}

Test(tls_trust, a_nul_in_a_name_of_any_type)
{
	static const int types[] = { GEN_EMAIL, GEN_DNS, GEN_URI };
	static const char nul[] = "gw.mesh\0.evil\0gw.mesh";
	int n = (int)sizeof(nul) - 1;

	for (int i = 0; i < 12; i++) {
		struct tls_san rule = { TLS_SAN_EMAIL + i / 4,
		    TLS_MATCH_EXACT + i % 4, "gw.mesh" };
		struct identity *bad = mint_bytes(types[i / 4], nul, n, NULL);
		struct identity *both = mint_bytes(types[i / 4], nul, n,
		    "gw.mesh");

		cr_expect_not(let_in(bad, rule), "%d %d", i / 4, i % 4);
		cr_expect(let_in(both, rule), "%d %d: the second name is "
		    "good", i / 4, i % 4);
		drop(both);
		drop(bad);
	}
}

Test(tls_trust, names_that_are_no_names)
{
	static const struct {
		int type;
		const char *bytes;
		int n;
		struct tls_san rule;
	} rows[] = {
		{ GEN_URI, "", 0, { TLS_SAN_URI, TLS_MATCH_EXACT, "a" } },
		{ GEN_DNS, "", 0, { TLS_SAN_DNS, TLS_MATCH_EXACT, "a.b" } },
		{ GEN_DNS, "*.", 2, { TLS_SAN_DNS, TLS_MATCH_EXACT, "a." } },
		{ GEN_DNS, ".", 1, { TLS_SAN_DNS, TLS_MATCH_EXACT, "a" } },
		{ GEN_IPADD, "", 0, { TLS_SAN_IP, TLS_MATCH_EXACT,
		    "1.2.3.4" } },
		{ GEN_IPADD, "\1\2\3", 3, { TLS_SAN_IP, TLS_MATCH_EXACT,
		    "1.2.3.4" } },
		{ GEN_IPADD, "\1\2\3\4\xff\xff\xff\xff", 8, { TLS_SAN_IP,
		    TLS_MATCH_EXACT, "1.2.3.4" } },
		{ GEN_IPADD, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xff", 17,
		    { TLS_SAN_IP, TLS_MATCH_EXACT, "fd00::1" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity *who = mint_bytes(rows[i].type,
		    rows[i].bytes, rows[i].n, NULL);

		cr_expect_not(let_in(who, rows[i].rule), "%zu", i);
		drop(who);
	}
}

/* Two lists of names: which one counts can't be said, so none does. */
Test(tls_trust, two_lists_of_names_are_none)
{
	struct tls_san rule = { TLS_SAN_URI, TLS_MATCH_EXACT, "a" };
	struct identity *who = mint("who", (struct wanted){ .by = ca,
	    .san = "URI:a" });
	X509_EXTENSION *again = X509V3_EXT_conf_nid(NULL, NULL,
	    NID_subject_alt_name, "URI:b");
	struct tls_settings c = settings(false, own, ca->pem), s;

	cr_expect(let_in(who, rule));
	X509_add_ext(who->certificate, again, -1);
	X509_EXTENSION_free(again);
	X509_sign(who->certificate, ca->key, EVP_sha256());
	identity_text(who);
	s = settings(true, who, ca->pem);
	c.sans = &rule;
	c.sans_n = 1;
	meet(&c, &s, 0x0304);
	cr_expect_eq(tls_state(client.tls), TLS_FAILED);
	cr_expect_str_eq(tls_peer_uri(client.tls), "");
	both_close();
	drop(who);
}

/* ---- streams that end ---- */

/* A stream that stops without close_notify was not closed, and of half a
 * record nothing is given. */
Test(tls_trust, half_a_record_is_nothing)
{
	uint8_t plain[100] = { 7 };
	struct tls_settings c = settings(false, own, ca->pem);
	struct tls_settings s = settings(true, own, ca->pem);

	for (int version = 0x0303; version <= 0x0304; version++)
		for (size_t cut = 0; cut < 100; cut += 9) {
			meet(&c, &s, (uint16_t)version);
			cr_assert(tls_write(client.tls, plain, sizeof(plain),
			    &client.out));
			take(&server, client.out.data + client.out.pos, cut);
			cr_expect_eq(server.got_n, 0);
			cr_expect_eq(tls_state(server.tls), TLS_ESTABLISHED);
			tls_close(server.tls, &server.out);
			cr_expect_gt(buf_len(&server.out), 0);
			both_close();
		}
}

/* ---- a key that nobody can read unasked ---- */

/* OpenSSL would ask the terminal and, having none, read standard input: there
 * the right password lies, and must lie there afterwards. */
Test(tls_trust, a_password_is_never_asked_for)
{
	static const char password[] = "open sesame\n";
	struct tls_settings s = settings(true, own, ca->pem);
	char pem[PEM_BYTES], why[512] = "";
	BIO *b = BIO_new(BIO_s_mem());
	int ends[2], left = 0;

	cr_assert_eq(PEM_write_bio_PrivateKey(b, own->key,
	    EVP_aes_128_cbc(), (const unsigned char *)password,
	    (int)sizeof(password) - 2, NULL, NULL), 1);
	pem[BIO_read(b, pem, PEM_BYTES - 1)] = '\0';
	BIO_free(b);
	s.private_key = pem;
	s.private_key_len = strlen(pem);
	setsid();				/* no terminal */
	cr_assert_eq(pipe(ends), 0);
	cr_assert_gt(write(ends[1], password, sizeof(password) - 1), 0);
	dup2(ends[0], STDIN_FILENO);
	cr_assert_null(tls_context_new(&s, why, sizeof(why)));
	cr_assert_eq(ioctl(STDIN_FILENO, FIONREAD, &left), 0);
	cr_assert_eq(left, (int)sizeof(password) - 1);
	cr_assert_not_null(strstr(why, "private key is not an unencrypted"),
	    "%s", why);
	cr_assert_eq(ERR_peek_error(), 0);
	close(ends[0]);
	close(ends[1]);
}
