/* master/ctl/ask_tls.c - see ask_tls.h. */
#include "master/ctl/ask_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/log.h"
#include "worker/io/greeting.h"
#include "worker/io/tls.h"
#include "xds/ems/certificate.h"

enum { SPAN_BYTES = 32 << 10 };

struct ask_tls {
	struct sys	*sys;		/* of out */
	struct tls_context *context;
	struct tls	*tls;
	struct buf	 out;		/* records */
	int		 fd;
	uint8_t		 in[SPAN_BYTES];
};

static bool
flush(struct ask_tls *t)
{
	while (buf_len(&t->out) > 0) {
		ssize_t n = send(t->fd, t->out.data + t->out.pos,
		    buf_len(&t->out), MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return false;
		buf_take(&t->out, (size_t)n);
	}
	return true;
}

/* As recv: one span of records, given to the session. */
static ssize_t
feed(struct ask_tls *t)
{
	ssize_t n;

	do
		n = recv(t->fd, t->in, sizeof(t->in), 0);
	while (n == -1 && errno == EINTR);
	if (n > 0)
		tls_feed(t->tls, t->in, (size_t)n);
	return n;
}

ssize_t
ask_tls_recv(struct ask_tls *t, char *to, size_t n)
{
	size_t got;
	ssize_t more;

	for (;;) {
		got = tls_read(t->tls, (uint8_t *)to, n, &t->out);
		(void)flush(t);
		if (got > 0)
			return (ssize_t)got;
		if (tls_state(t->tls) == TLS_CLOSED)
			return 0;
		if (tls_state(t->tls) == TLS_FAILED) {
			errno = EPROTO;
			return -1;
		}
		if ((more = feed(t)) <= 0)
			return more;
	}
}

bool
ask_tls_send(struct ask_tls *t, const char *p, size_t n)
{
	errno = EPROTO;
	return tls_write(t->tls, (const uint8_t *)p, n, &t->out) && flush(t);
}

const char *
ask_tls_why(const struct ask_tls *t)
{
	return tls_why(t->tls);
}

/* ---- the beginning */

static struct tls_context *
context_new(const char *host, const struct ask_tls_files *f, char *why,
    size_t why_len)
{
	const struct certificate_files files = { f->certificate == NULL ? "" :
	    f->certificate, f->key == NULL ? "" : f->key, f->ca };
	unsigned char ip[16];
	bool is_address = inet_pton(AF_INET, host, ip) == 1 ||
	    inet_pton(AF_INET6, host, ip) == 1;
	const struct tls_san name = { is_address ? TLS_SAN_IP : TLS_SAN_DNS,
	    TLS_MATCH_EXACT, host };
	const struct tls_settings t = { .http1 = true, .sans = &name,
	    .sans_n = 1, .sni = is_address ? NULL : host };

	return certificate_context(&files, t, why, why_len);
}

/* Nothing is read by us before we asked. */
static int
handshake(struct ask_tls *t, const char *ca, char *why, size_t why_len)
{
	uint8_t nothing;
	ssize_t n = 1;

	for (;;) {
		(void)tls_read(t->tls, &nothing, sizeof(nothing), &t->out);
		(void)flush(t);
		if (tls_state(t->tls) != TLS_HANDSHAKE)
			break;
		if ((n = feed(t)) <= 0)
			break;
	}
	if (tls_state(t->tls) == TLS_ESTABLISHED)
		return 0;
	if (n > 0 && greeting_of_tls(t->in[0]) == GREETING_CLEAR)
		return why_set(why, why_len, "it speaks clear text: http://");
	if (tls_failure(t->tls) == TLS_FAIL_VERIFY)
		return why_set(why, why_len, "%s; --ca is %s", tls_why(t->tls),
		    ca);
	if (*tls_why(t->tls) != '\0')
		return why_set(why, why_len, "%s", tls_why(t->tls));
	return why_set(why, why_len, "the handshake of TLS: %s", n == 0 ?
	    "it closed the connection; is it http:// there?" : errno ==
	    EAGAIN ? "it says nothing" : strerror(errno));
}

struct ask_tls *
ask_tls_open(int fd, const char *host, const struct ask_tls_files *f,
    char *why, size_t why_len)
{
	struct ask_tls *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->sys = sys_kernel_new()) == NULL) {
		why_set(why, why_len, "no memory");
		free(t);
		return NULL;
	}
	t->fd = fd;
	buf_init(&t->out, t->sys);
	t->context = context_new(host, f, why, why_len);
	if (t->context != NULL && (t->tls = tls_new(t->context)) == NULL)
		why_set(why, why_len, "no memory");
	if (t->tls != NULL && handshake(t, f->ca, why, why_len) == 0)
		return t;
	ask_tls_close(t);
	return NULL;
}

void
ask_tls_close(struct ask_tls *t)
{
	if (t == NULL)
		return;
	if (t->tls != NULL) {
		tls_close(t->tls, &t->out);
		(void)flush(t);
	}
	tls_free(t->tls);
	if (t->context != NULL)
		tls_context_put(t->context);
	buf_fini(&t->out);
	sys_kernel_free(t->sys);
	free(t);
}
