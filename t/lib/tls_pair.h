/*
 * t/lib/tls_pair.h - a client's and a server's struct tls joined by two
 * buffers.
 *
 *   client.out ──carry──> server      server.out ──carry──> client
 */
#ifndef T_LIB_TLS_PAIR_H
#define T_LIB_TLS_PAIR_H

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <string.h>

#include "t/lib/identity.h"
#include "t/lib/unit_sys.h"
#include "worker/io/tls.h"

struct side {
	struct tls_context *context;
	struct tls	*tls;
	struct buf	 out;
	uint8_t		 got[300000];
	size_t		 got_n;
};

static struct side client, server;

/* own NULL: no certificate; trusted NULL: nobody is verified. */
static inline struct tls_settings
settings(bool is_server, const struct identity *own, const char *trusted)
{
	struct tls_settings s = { .server = is_server,
	    .require_peer_certificate = is_server,
	    .version_min = 0x0303, .version_max = 0x0304,
	    .trusted_ca = trusted,
	    .trusted_ca_len = trusted == NULL ? 0 : strlen(trusted) };

	if (own != NULL) {
		s.certificate_chain = own->pem;
		s.certificate_chain_len = strlen(own->pem);
		s.private_key = own->key_pem;
		s.private_key_len = strlen(own->key_pem);
	}
	return s;
}

static inline void
side_open(struct side *x, struct tls_settings s)
{
	char why[512];

	x->context = tls_context_new(&s, why, sizeof(why));
	cr_assert_not_null(x->context, "%s", why);
	x->tls = tls_new(x->context);
	cr_assert_not_null(x->tls);
	buf_init(&x->out, &unit_sys);
	x->got_n = 0;
}

static inline void
side_close(struct side *x)
{
	tls_free(x->tls);
	tls_context_put(x->context);
	buf_fini(&x->out);
}

static inline void
both_close(void)
{
	side_close(&client);
	side_close(&server);
	cr_assert_eq(unit_blocks, 0);
}

static inline void
take(struct side *x, const uint8_t *p, size_t n)
{
	size_t got;

	tls_feed(x->tls, p, n);
	while ((got = tls_read(x->tls, x->got + x->got_n,
	    sizeof(x->got) - x->got_n, &x->out)) > 0)
		x->got_n += got;
	cr_assert_eq(ERR_peek_error(), 0, "an error was left in the queue");
}

/* All that one side has to say, in pieces (0: at once); false: nothing. */
static inline bool
carry(struct side *from, struct side *to, size_t piece)
{
	bool any = buf_len(&from->out) > 0;

	while (buf_len(&from->out) > 0 && tls_state(to->tls) <=
	    TLS_ESTABLISHED) {
		size_t n = buf_len(&from->out);

		n = piece != 0 && piece < n ? piece : n;
		take(to, from->out.data + from->out.pos, n);
		buf_take(&from->out, n);
	}
	buf_clear(&from->out);
	return any;
}

/* Until neither has anything to say. */
static inline void
settle(size_t piece)
{
	take(&client, NULL, 0);
	while (carry(&client, &server, piece) |
	    carry(&server, &client, piece))
		;
}

#endif
