/*
 * worker/io/greeting.h - a caller's first bytes: whether it speaks what the
 * port speaks, and what we say if not.
 *
 *   port    first bytes                 greeting
 *   clear   HTTP/2's preface            HTTP2
 *           a line of HTTP/1            HTTP1   answered, closed
 *           a TLS record                TLS     answered, closed
 *           anything else               HTTP2   the codec refuses it
 *   TLS     a letter: HTTP of any kind  CLEAR   answered, closed
 *
 * The answer is HTTP/1.1 in clear text, one sentence. Who sees it: people with
 * a browser or curl, and libraries that look at what they can't read (Go:
 * "server gave HTTP response to HTTPS client"; OpenSSL: "wrong version
 * number"). Nothing of HTTP/2 must be out by then, so a server's preface waits
 * for the caller's, as Envoy's does; Envoy closes without a word.
 *
 * 400 as nginx and nghttpx say; 426 would promise an upgrade, which RFC 9113
 * no longer has.
 *
 * Source: RFC 9113, section 3.4. Test: t/unit/greeting.c,
 * t/mesh/470-strangers.py.
 */
#ifndef WORKER_IO_GREETING_H
#define WORKER_IO_GREETING_H

#include <stddef.h>
#include <stdint.h>

enum { GREETING_BYTES = 24, GREETING_ANSWER_BYTES = 256 };

enum greeting {
	GREETING_NOT_YET,
	GREETING_HTTP2,
	GREETING_HTTP1,
	GREETING_TLS,
	GREETING_CLEAR,
	GREETINGS
};

/* On a port in clear text. seen: bytes of the preface, of GREETING_BYTES, that
 * came before. n > 0. */
enum greeting greeting_next(uint8_t *seen, const uint8_t *p, size_t n);
/* On a TLS port, of the first byte: CLEAR or HTTP2. */
enum greeting greeting_of_tls(uint8_t first);

/* The whole answer and its length, and what the log says; of the last three. */
size_t	greeting_answer(enum greeting g, char to[GREETING_ANSWER_BYTES]);
const char *greeting_sentence(enum greeting g);

#endif
