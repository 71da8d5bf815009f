/*
 * t/unit/tls_peer.c - worker/io/tls*.c against peers that are not of ours: an
 * OpenSSL session of the test's own, that offers, asks and sends what ours
 * never would; and bytes that are cut, changed or made up.
 *
 *   struct tls (ours) <── out | theirs.out ──> SSL (theirs)
 */
#include "worker/io/tls.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "t/lib/identity.h"
#include "t/lib/unit_sys.h"

static struct identity *ca, *own, *other;

static void
identities(void)
{
	ca = mint("ca", (struct wanted){ .ca = true });
	own = mint("own", (struct wanted){ .by = ca, .san = "URI:own" });
	other = mint("other", (struct wanted){ .by = ca, .san = "URI:other" });
}

static void
identities_gone(void)
{
	drop(other);
	drop(own);
	drop(ca);
}

TestSuite(tls_peer, .init = identities, .fini = identities_gone);

/* ---- ours ---- */

static struct {
	struct tls_context *context;
	struct tls	*tls;
	struct buf	 out;
	uint8_t		 got[70000];
	size_t		 got_n;
	bool		 http1;		/* of the next context */
} ours;

static void
ours_context(bool server)
{
	struct tls_settings s = { .server = server,
	    .require_peer_certificate = server, .version_min = 0x0303,
	    .version_max = 0x0304, .certificate_chain = own->pem,
	    .certificate_chain_len = strlen(own->pem),
	    .private_key = own->key_pem,
	    .private_key_len = strlen(own->key_pem), .trusted_ca = ca->pem,
	    .trusted_ca_len = strlen(ca->pem), .sni = "gw.mesh",
	    .http1 = ours.http1 };
	char why[256];

	ours.context = tls_context_new(&s, why, sizeof(why));
	cr_assert_not_null(ours.context, "%s", why);
}

static void
ours_open(void)
{
	ours.tls = tls_new(ours.context);
	buf_init(&ours.out, &unit_sys);
	ours.got_n = 0;
}

static void
ours_close(void)
{
	tls_free(ours.tls);
	buf_fini(&ours.out);
	cr_assert_eq(unit_blocks, 0);
}

/* A span, as conn.c gives it; afterwards it is used up or all is over. */
static void
ours_take(const uint8_t *p, size_t n)
{
	size_t got;

	tls_feed(ours.tls, p, n);
	while ((got = tls_read(ours.tls, ours.got + ours.got_n,
	    sizeof(ours.got) - ours.got_n, &ours.out)) > 0)
		ours.got_n += got;
	cr_assert_eq(ERR_peek_error(), 0, "an error was left in the queue");
	cr_assert_eq(tls_why(ours.tls)[0] == '\0',
	    tls_state(ours.tls) != TLS_FAILED);
}

/* ---- theirs ---- */

static struct {
	SSL_CTX		*context;
	SSL		*ssl;
	BIO		*in, *out;	/* the SSL's */
} theirs;

static int
any_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *wanted)
{
	unsigned char *selected;
	const char *w = wanted;

	(void)ssl;
	if (SSL_select_next_proto(&selected, out_len,
	    (const unsigned char *)w, (unsigned int)strlen(w), in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

/* alpn: names, each with its length in front; NULL: none. */
static void
theirs_context(bool server, int version, char *alpn)
{
	SSL_CTX *c = theirs.context = SSL_CTX_new(server ?
	    TLS_server_method() : TLS_client_method());

	SSL_CTX_set_min_proto_version(c, version);
	SSL_CTX_set_max_proto_version(c, version);
	SSL_CTX_use_certificate(c, other->certificate);
	SSL_CTX_use_PrivateKey(c, other->key);
	SSL_CTX_clear_options(c, SSL_OP_NO_RENEGOTIATION);
	if (alpn != NULL && server)
		SSL_CTX_set_alpn_select_cb(c, any_protocol, alpn);
	else if (alpn != NULL)
		SSL_CTX_set_alpn_protos(c, (unsigned char *)alpn,
		    (unsigned int)strlen(alpn));
}

static void
theirs_open(void)
{
	theirs.ssl = SSL_new(theirs.context);
	theirs.in = BIO_new(BIO_s_mem());
	theirs.out = BIO_new(BIO_s_mem());
	SSL_set_bio(theirs.ssl, theirs.in, theirs.out);
	if (SSL_is_server(theirs.ssl))
		SSL_set_accept_state(theirs.ssl);
	else
		SSL_set_connect_state(theirs.ssl);
}

/* All that they have to say, in one span. */
static bool
theirs_to_ours(void)
{
	char *p;
	long n = BIO_get_mem_data(theirs.out, &p);

	ERR_clear_error();
	if (n > 0)
		ours_take((uint8_t *)p, (size_t)n);
	(void)BIO_reset(theirs.out);
	return n > 0;
}

static bool
ours_to_theirs(void)
{
	size_t n = buf_len(&ours.out);
	char byte;

	if (n > 0)
		BIO_write(theirs.in, ours.out.data + ours.out.pos, (int)n);
	buf_clear(&ours.out);
	SSL_read(theirs.ssl, &byte, 0);	/* goes on with the handshake */
	SSL_peek(theirs.ssl, &byte, 1);	/* and with what is not data */
	return n > 0;
}

static void
settle(void)
{
	if (SSL_is_server(theirs.ssl))
		ours_take(NULL, 0);
	else
		SSL_do_handshake(theirs.ssl);
	while (theirs_to_ours() | ours_to_theirs())
		;
	ERR_clear_error();
}

static void
meet(bool we_serve, int version, char *alpn)
{
	ours_context(we_serve);
	theirs_context(!we_serve, version, alpn);
	ours_open();
	theirs_open();
}

static void
part(void)
{
	SSL_free(theirs.ssl);
	SSL_CTX_free(theirs.context);
	ours_close();
	tls_context_put(ours.context);
	ERR_clear_error();
}

/* ---- what is agreed on ---- */

Test(tls_peer, http2_or_nothing)
{
	static struct {
		char *alpn;
		bool good;
	} rows[] = {
		{ "\2h2", true }, { "\10http/1.1\2h2", true },
		{ NULL, false }, { "\10http/1.1", false },
		{ "\3h2c", false },
	};

	for (int version = 0x0303; version <= 0x0304; version++)
		for (int i = 0; i < 10; i++) {
			bool good = rows[i % 5].good;
			bool late = i >= 5 || rows[i].alpn == NULL;

			meet(i < 5, version, rows[i % 5].alpn);
			settle();
			cr_expect_eq(tls_state(ours.tls), good ?
			    TLS_ESTABLISHED : TLS_FAILED, "%d: %s", i,
			    tls_why(ours.tls));
			cr_expect_eq(SSL_is_init_finished(theirs.ssl) &&
			    SSL_get_shutdown(theirs.ssl) == 0, good, "%d", i);
			cr_expect(good || strstr(tls_why(ours.tls), late ?
			    "HTTP/2" : "protocol"), "%s", tls_why(ours.tls));
			part();
		}
}

/* Programs that speak no HTTP/2 often leave ALPN out. */
Test(tls_peer, http1_or_none)
{
	static struct {
		char *alpn;
		bool good;
	} rows[] = {
		{ "\10http/1.1", true }, { "\2h2\10http/1.1", true },
		{ NULL, true }, { "\2h2", false }, { "\10http/1.0", false },
	};

	ours.http1 = true;
	for (int version = 0x0303; version <= 0x0304; version++)
		for (int i = 0; i < 5; i++) {
			meet(true, version, rows[i].alpn);
			settle();
			cr_expect_eq(tls_state(ours.tls), rows[i].good ?
			    TLS_ESTABLISHED : TLS_FAILED, "%d: %s", i,
			    tls_why(ours.tls));
			cr_expect_eq(SSL_is_init_finished(theirs.ssl) &&
			    SSL_get_shutdown(theirs.ssl) == 0, rows[i].good);
			part();
		}
	meet(false, 0x0304, NULL);	/* we are the client */
	settle();
	cr_expect_eq(tls_state(ours.tls), TLS_ESTABLISHED);
	part();
	ours.http1 = false;
}

Test(tls_peer, suites_and_groups)
{
	static const struct {
		int version;
		const char *offer, *suite;
	} rows[] = {
		{ 0x0304, NULL, "TLS_AES_128_GCM_SHA256" },
		{ 0x0303, NULL, "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ 0x0303, "ECDHE-ECDSA-CHACHA20-POLY1305:"
		    "ECDHE-ECDSA-AES128-GCM-SHA256",
		    "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ 0x0303, "ECDHE-ECDSA-AES128-SHA256", NULL },	/* CBC */
		{ 0x0303, "AES128-GCM-SHA256", NULL },	/* RSA keys */
		{ 0x0302, "ALL:@SECLEVEL=0", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		meet(true, rows[i].version, "\2h2");
		if (rows[i].offer != NULL)
			SSL_set_cipher_list(theirs.ssl, rows[i].offer);
		settle();
		cr_expect_eq(tls_state(ours.tls) == TLS_ESTABLISHED,
		    rows[i].suite != NULL, "%zu: %s", i, tls_why(ours.tls));
		if (rows[i].suite != NULL) {
			cr_expect_str_eq(SSL_get_cipher_name(theirs.ssl),
			    rows[i].suite);
			cr_expect_eq(SSL_get_negotiated_group(theirs.ssl),
			    NID_X25519);
		}
		part();
	}
}

Test(tls_peer, no_session_is_resumed)
{
	for (int version = 0x0303; version <= 0x0304; version++) {
		SSL_SESSION *session;

		meet(true, version, "\2h2");
		SSL_CTX_set_session_cache_mode(theirs.context,
		    SSL_SESS_CACHE_CLIENT);
		settle();
		session = SSL_get1_session(theirs.ssl);
		cr_expect_not(SSL_SESSION_has_ticket(session));
		SSL_shutdown(theirs.ssl);
		settle();
		cr_expect_eq(tls_state(ours.tls), TLS_CLOSED);
		SSL_free(theirs.ssl);
		ours_close();
		ours_open();
		theirs_open();
		SSL_set_session(theirs.ssl, session);
		settle();
		cr_expect_eq(tls_state(ours.tls), TLS_ESTABLISHED);
		cr_expect_not(SSL_session_reused(theirs.ssl));
		SSL_SESSION_free(session);
		part();
	}
}

Test(tls_peer, what_we_tell_them)
{
	meet(true, 0x0304, "\2h2");
	settle();
	cr_expect_eq(sk_X509_NAME_num(SSL_get_client_CA_list(theirs.ssl)), 1,
	    "the CAs whose certificates we take");
	part();
	meet(false, 0x0304, "\2h2");
	settle();
	cr_expect_str_eq(SSL_get_servername(theirs.ssl,
	    TLSEXT_NAMETYPE_host_name), "gw.mesh");
	part();
}

/* ---- what costs them little ---- */

/* So many KeyUpdates, all in one span. */
static void
keys_update(int n)
{
	for (int i = 0; i < n; i++) {
		cr_assert_eq(SSL_key_update(theirs.ssl,
		    SSL_KEY_UPDATE_REQUESTED), 1);
		cr_assert_eq(SSL_do_handshake(theirs.ssl), 1);
	}
}

Test(tls_peer, key_updates_have_an_end)
{
	static const struct {
		int updates, rounds;
		bool data, good;
	} rows[] = {
		{ 1, 1, false, true }, { 32, 1, false, true },
		{ 33, 1, false, false }, { 5000, 1, false, false },
		{ 1, 32, false, true }, { 1, 33, false, false },
		{ 32, 8, true, true }, { 1, 300, true, true },
	};

	for (int i = 0; i < 16; i++) {
		const char *why = "without end";
		size_t had;

		meet(i < 8, 0x0304, "\2h2");
		settle();
		had = ours.got_n;
		for (int round = 0; round < rows[i % 8].rounds; round++) {
			keys_update(rows[i % 8].updates);
			if (rows[i % 8].data)
				SSL_write(theirs.ssl, "x", 1);
			theirs_to_ours();
		}
		cr_expect_eq(tls_state(ours.tls), rows[i % 8].good ?
		    TLS_ESTABLISHED : TLS_FAILED, "%d: %s", i,
		    tls_why(ours.tls));
		if (!rows[i % 8].good)
			cr_expect(strstr(tls_why(ours.tls), why) != NULL);
		cr_expect_lt(buf_len(&ours.out), 12000, "%d: %zu bytes", i,
		    buf_len(&ours.out));
		if (rows[i % 8].data)
			cr_expect_eq(ours.got_n - had,
			    (size_t)rows[i % 8].rounds);
		part();
	}
}

/* Ours answer with a warning and go on; what comes behind is not lost. */
Test(tls_peer, no_second_handshake)
{
	meet(true, 0x0303, "\2h2");
	settle();
	SSL_renegotiate(theirs.ssl);
	SSL_do_handshake(theirs.ssl);
	theirs_to_ours();
	cr_expect_eq(tls_state(ours.tls), TLS_ESTABLISHED, "%s",
	    tls_why(ours.tls));
	cr_expect_gt(buf_len(&ours.out), 0, "the warning");
	part();
	for (int requests = 1; requests <= 1000; requests += 999) {
		meet(false, 0x0303, "\2h2");
		settle();
		for (int i = 0; i < requests; i++) {
			SSL_renegotiate(theirs.ssl);
			SSL_do_handshake(theirs.ssl);
			theirs_to_ours();
		}
		cr_expect_eq(tls_state(ours.tls), requests == 1 ?
		    TLS_ESTABLISHED : TLS_FAILED, "%d: %s", requests,
		    tls_why(ours.tls));
		cr_expect_lt(buf_len(&ours.out), 40 * 64, "%zu bytes",
		    buf_len(&ours.out));
		part();
	}
}

/* ---- bytes that are cut, changed or made up ---- */

/* Their first flight, by version, into to; its length. */
static size_t
flight(bool we_serve, int version, uint8_t *to, size_t cap)
{
	char *p;
	long n;

	meet(we_serve, version, "\2h2");
	if (we_serve) {
		SSL_do_handshake(theirs.ssl);
	} else {
		ours_take(NULL, 0);
		ours_to_theirs();
	}
	n = BIO_get_mem_data(theirs.out, &p);
	cr_assert(n > 0 && (size_t)n < cap);
	memcpy(to, p, (size_t)n);
	return (size_t)n;
}

Test(tls_peer, cut_anywhere_is_not_a_failure)
{
	uint8_t hello[4096];

	for (int version = 0x0303; version <= 0x0304; version++) {
		size_t n = flight(true, version, hello, sizeof(hello));

		for (size_t cut = 0; cut < n; cut++) {
			ours_close();
			ours_open();
			ours_take(hello, cut);
			cr_assert_eq(tls_state(ours.tls), TLS_HANDSHAKE,
			    "after %zu bytes: %s", cut, tls_why(ours.tls));
			cr_assert_eq(buf_len(&ours.out), 0);
		}
		part();
	}
}

Test(tls_peer, one_byte_changed_in_a_handshake)
{
	uint8_t wire[4096];
	int failed = 0;

	for (int round = 0; round < 1200; round++) {
		bool we_serve = round % 4 < 2;
		size_t n = flight(we_serve, 0x0303 + round % 2, wire,
		    sizeof(wire));

		wire[(size_t)rand() % n] ^= (uint8_t)(1 + rand() % 255);
		ours_take(wire, n);
		while (ours_to_theirs() | theirs_to_ours())
			;
		cr_assert_neq(tls_state(ours.tls), TLS_CLOSED);
		failed += tls_state(ours.tls) == TLS_FAILED;
		part();
	}
	cr_assert_gt(failed, 600);
}

Test(tls_peer, a_changed_record_gives_no_byte)
{
	uint8_t wire[2048];
	char *p;

	for (int round = 0; round < 400; round++) {
		size_t n, at;

		meet(true, 0x0303 + round % 2, "\2h2");
		settle();
		SSL_write(theirs.ssl, "0123456789", 10);
		n = (size_t)BIO_get_mem_data(theirs.out, &p);
		memcpy(wire, p, n);
		at = (size_t)round / 2 % n;
		wire[at] ^= (uint8_t)(1 + rand() % 255);
		ours_take(wire, n);
		cr_assert_eq(ours.got_n, 0);
		/* A longer length, of the header, waits for more. */
		cr_assert(tls_state(ours.tls) == TLS_FAILED || at == 3 ||
		    at == 4, "byte %zu", at);
		part();
	}
}

Test(tls_peer, random_spans)
{
	uint8_t noise[2000];
	int failed = 0;

	ours_context(true);
	for (int i = 0; i < 10000; i++) {
		size_t n = 1 + (size_t)rand() % sizeof(noise);

		for (size_t j = 0; j < n; j++)
			noise[j] = (uint8_t)rand();
		if (i % 4 > 0)		/* a header that makes sense */
			memcpy(noise, "\x16\x03\x01\x00\x80\x01\x00\x00\x7c"
			    "\x03\x03", i % 4 == 1 ? 5 : 11);
		ours_open();
		ours_take(noise, n);
		cr_assert_neq(tls_state(ours.tls), TLS_ESTABLISHED);
		cr_assert_eq(ours.got_n, 0);
		failed += tls_state(ours.tls) == TLS_FAILED;
		ours_close();
	}
	tls_context_put(ours.context);
	cr_assert_gt(failed, 9000);
}

/* ---- memory ---- */

Test(tls_peer, no_memory_for_records)
{
	static uint8_t big[60000];

	meet(true, 0x0304, "\2h2");
	SSL_do_handshake(theirs.ssl);
	unit_fail_at = 1;
	theirs_to_ours();
	unit_fail_at = 0;
	cr_expect_eq(tls_state(ours.tls), TLS_FAILED);
	cr_expect_str_eq(tls_why(ours.tls), "no memory for TLS records");
	part();
	meet(true, 0x0304, "\2h2");
	settle();
	unit_fail_at = 1;
	cr_expect_not(tls_write(ours.tls, big, sizeof(big), &ours.out));
	unit_fail_at = 0;
	cr_expect_eq(tls_state(ours.tls), TLS_FAILED);
	cr_expect_str_eq(tls_why(ours.tls), "no memory for TLS records");
	cr_expect_eq(ERR_peek_error(), 0);
	part();
}

/* Good sessions and bad ones: what malloc has given out stays the same, but
 * for its own and criterion's caches: less than 140 bytes a session. (The
 * address sanitizer has a malloc of its own, and a leak check.) */
Test(tls_peer, nothing_is_left_behind)
{
	size_t before = 0, after;

	for (int i = 0; i < 240; i++) {
		meet(i % 2 == 0, 0x0303 + i / 2 % 2, i % 3 == 0 ?
		    "\10http/1.1" : "\2h2");
		settle();
		if (i % 5 == 0)
			ours_take((const uint8_t *)"\x17\x03\x03\0\1x", 6);
		part();
		if (i == 119)	/* each kind was met twice */
			before = mallinfo2().uordblks;
	}
	after = mallinfo2().uordblks;
	cr_assert_lt(after, before + 16384, "%zu bytes more", after - before);
}
