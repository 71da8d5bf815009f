/*
 * master/compile_source.c - bytes that a message names instead of holding:
 * certificates and keys, from files, from the message, from the environment.
 *
 * Certificates are public and go into the arena. A private key stays in its
 * file, from which each worker reads it: the arena is readable by every
 * process of the mesh's user and by whoever gets its descriptor. Here the key
 * is only looked at, so that a missing one is refused now and a changed one
 * makes a new block; what was read is wiped.
 *
 * Source: config.core.v3.DataSource. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PEM_BYTES_MAX = 1 << 20,	/* of certificates: a bundle of CAs */
	KEY_BYTES_MAX = 64 << 10,
};

#define CASE(name) ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_##name

/* Opens a regular file of 1..max bytes. *bytes is its size. -1: refused. */
static int
file_open(struct compiler *c, const struct at *at, const char *name,
    size_t max, size_t *bytes)
{
	struct stat st;
	int fd;

	/* Not to wait for whoever writes into a pipe of that name. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		refuse(c, at, "can't read \"%s\": %s", name, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		refuse(c, at, "\"%s\" is no regular file", name);
	} else if (st.st_size == 0 || (uint64_t)st.st_size > max) {
		refuse(c, at, "\"%s\" has %lld bytes, expected 1..%zu", name,
		    (long long)st.st_size, max);
	} else {
		*bytes = (size_t)st.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Reads n bytes of fd, or fewer where the file ends, and closes it. */
static int
file_take(struct compiler *c, const struct at *at, const char *name, int fd,
    uint8_t *to, size_t *n)
{
	size_t got = 0;
	ssize_t more;
	int saved;

	while (got < *n && (more = read(fd, to + got, *n - got)) != 0) {
		if (more < 0 && errno == EINTR)
			continue;
		if (more < 0) {
			saved = errno;
			close(fd);
			return refuse(c, at, "can't read \"%s\": %s", name,
			    strerror(saved));
		}
		got += (size_t)more;
	}
	close(fd);
	*n = got;
	return 0;
}

static int
pem_check(struct compiler *c, const struct at *at, const char *pem, size_t n)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";

	if (n == 0 || n > PEM_BYTES_MAX)
		return refuse(c, at, "has %zu bytes, expected 1..%d", n,
		    PEM_BYTES_MAX);
	if (memchr(pem, '\0', n) != NULL ||
	    memmem(pem, n, begin, sizeof(begin) - 1) == NULL)
		return refuse(c, at, "holds no certificate in PEM form, "
		    "expected \"%s\"", begin);
	return 0;
}

static int
pem_file(struct compiler *c, const struct at *at, const char *name,
    const char **pem, size_t *len)
{
	char *to;
	int fd = file_open(c, at, name, PEM_BYTES_MAX, len);

	if (fd < 0)
		return -1;
	if ((to = scratch(c, *len)) == NULL) {
		close(fd);
		return -1;
	}
	*pem = to;
	return file_take(c, at, name, fd, (uint8_t *)to, len);
}

int
source_certificates(struct compiler *c, const struct at *up,
    const DataSource *s, const char **pem, size_t *len)
{
	const struct at file = AT(up, "filename"), env = AT(up,
	    "environment_variable"), text = AT(up, "inline_string");
	const struct at bytes = AT(up, "inline_bytes");

	switch (s->specifier_case) {
	case CASE(FILENAME):
		if (pem_file(c, &file, s->filename, pem, len) < 0)
			return -1;
		return pem_check(c, &file, *pem, *len);
	case CASE(INLINE_STRING):
		*pem = s->inline_string;
		*len = strlen(*pem);
		return pem_check(c, &text, *pem, *len);
	case CASE(INLINE_BYTES):
		*pem = (const char *)s->inline_bytes.data;
		*len = s->inline_bytes.len;
		return pem_check(c, &bytes, *pem, *len);
	case CASE(ENVIRONMENT_VARIABLE):
		*pem = getenv(s->environment_variable);
		if (*pem == NULL)
			return refuse(c, &env, "\"%s\" is not in the "
			    "environment", s->environment_variable);
		*len = strlen(*pem);
		return pem_check(c, &env, *pem, *len);
	default:
		return refuse(c, up, "names no source, expected filename, "
		    "inline_string, inline_bytes or environment_variable");
	}
}

static bool
is_key(const uint8_t *pem, size_t n)
{
	static const char end[] = "PRIVATE KEY-----";

	return memmem(pem, n, "-----BEGIN ", 11) != NULL &&
	    memmem(pem, n, end, sizeof(end) - 1) != NULL;
}

static int
key_hash(struct compiler *c, const struct at *at, const char *name,
    uint64_t *hash)
{
	uint8_t pem[KEY_BYTES_MAX];
	size_t n;
	bool good = false;
	int fd = file_open(c, at, name, sizeof(pem), &n);

	if (fd < 0)
		return -1;
	if (file_take(c, at, name, fd, pem, &n) == 0) {
		good = is_key(pem, n);
		*hash = put_hash(pem, n, 0);
		if (!good)
			refuse(c, at, "\"%s\" holds no private key in PEM "
			    "form, expected \"-----BEGIN PRIVATE KEY-----\"",
			    name);
	}
	explicit_bzero(pem, sizeof(pem));
	return good ? 0 : -1;
}

int
source_key(struct compiler *c, const struct at *up, const DataSource *s,
    const char **file, uint64_t *hash)
{
	const struct at at = AT(up, "filename");

	if (s->specifier_case != CASE(FILENAME))
		return refuse(c, up, "a private key is read by each worker "
		    "from a file of its own, expected a filename");
	*file = s->filename;
	return key_hash(c, &at, s->filename, hash);
}
