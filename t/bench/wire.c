/* t/bench/wire.c - see wire.h. */
#include "t/bench/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_BYTES = 256 * 1024,
	OUR_WINDOW = 16 * 1024 * 1024,
	STREAM_WINDOW = 1024 * 1024,
	TABLE_BYTES = 4096,	/* HPACK's default */

	SETTING_TABLE = 1, SETTING_PUSH = 2, SETTING_STREAMS = 3,
	SETTING_WINDOW = 4,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Shared by all connections: what is left of it after a turn is copied. */
static uint8_t read_buffer[READ_BYTES];

void
wire_die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

double
wire_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double
wire_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
wire_put_32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t
get_32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

void
wire_put_head(uint8_t *p, uint32_t len, uint8_t type, uint8_t flags,
    uint32_t stream)
{
	p[0] = (uint8_t)(len >> 16);
	p[1] = (uint8_t)(len >> 8);
	p[2] = (uint8_t)len;
	p[3] = type;
	p[4] = flags;
	wire_put_32(p + 5, stream);
}

static void *
allocate(void *old, size_t n)
{
	void *p = realloc(old, n);

	if (p == NULL)
		wire_die("out of memory");
	return p;
}

uint8_t *
wire_room(struct wire *w, size_t n)
{
	uint8_t *p;

	if (w->out_size - w->out_end < n && w->out_pos > 0) {
		memmove(w->out, w->out + w->out_pos, w->out_end - w->out_pos);
		w->out_end -= w->out_pos;
		w->out_pos = 0;
	}
	while (w->out_size - w->out_end < n) {
		w->out_size = w->out_size ? 2 * w->out_size : 4096;
		w->out = allocate(w->out, w->out_size);
	}
	p = w->out + w->out_end;
	w->out_end += n;
	return p;
}

static void
put_setting(uint8_t *p, uint16_t id, uint32_t value)
{
	p[0] = (uint8_t)(id >> 8);
	p[1] = (uint8_t)id;
	wire_put_32(p + 2, value);
}

static void
put_window(struct wire *w, uint32_t more)
{
	uint8_t *p = wire_room(w, HEAD_BYTES + 4);

	wire_put_head(p, 4, FRAME_WINDOW, 0, 0);
	wire_put_32(p + HEAD_BYTES, more);
}

struct wire *
wire_new(int fd, bool client)
{
	struct wire *w = calloc(1, sizeof *w);
	uint8_t *p;

	if (w == NULL)
		wire_die("out of memory");
	block_reader_init(&w->reader);
	streams_init(&w->streams);
	w->fd = fd;
	w->window = w->stream_window = 65535;
	w->streams_max = UINT32_MAX;
	if (client)
		memcpy(wire_room(w, sizeof preface - 1), preface,
		    sizeof preface - 1);
	p = wire_room(w, HEAD_BYTES + 12);
	wire_put_head(p, 12, FRAME_SETTINGS, 0, 0);
	if (client)
		put_setting(p + HEAD_BYTES, SETTING_PUSH, 0);
	else
		put_setting(p + HEAD_BYTES, SETTING_STREAMS, 1000);
	put_setting(p + HEAD_BYTES + 6, SETTING_WINDOW, STREAM_WINDOW);
	put_window(w, OUR_WINDOW - 65535);
	w->preface_left = client ? 0 : sizeof preface - 1;
	return w;
}

void
wire_free(struct wire *w)
{
	block_reader_fini(&w->reader);
	streams_fini(&w->streams);
	close(w->fd);
	free(w->rest);
	free(w->out);
	free(w);
}

int
wire_flush(struct wire *w, const char **why)
{
	ssize_t n;

	if (w->out_pos == w->out_end)
		return 0;
	n = send(w->fd, w->out + w->out_pos, w->out_end - w->out_pos,
	    MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		*why = "send failed";
		return -1;
	}
	if (n > 0)
		w->out_pos += (size_t)n;
	if (w->out_pos == w->out_end)
		w->out_pos = w->out_end = 0;
	return 0;
}

static void
take_setting(struct wire *w, const uint8_t *p)
{
	uint32_t value = get_32(p + 2);

	switch (p[0] << 8 | p[1]) {
	case SETTING_TABLE:
		w->no_table = value < TABLE_BYTES;
		break;
	case SETTING_STREAMS:
		w->streams_max = value;
		break;
	case SETTING_WINDOW:
		w->stream_window = value;
		break;
	default:
		break;
	}
}

static void
take_settings(struct wire *w, const struct frame *f)
{
	uint32_t at;

	if (f->flags & FLAG_ACK)
		return;
	for (at = 0; at + 6 <= f->len; at += 6)
		take_setting(w, f->body + at);
	w->settled = true;
	wire_put_head(wire_room(w, HEAD_BYTES), 0, FRAME_SETTINGS, FLAG_ACK,
	    0);
}

static void
take_ping(struct wire *w, const struct frame *f)
{
	uint8_t *p;

	if (f->flags & FLAG_ACK || f->len != 8)
		return;
	p = wire_room(w, HEAD_BYTES + 8);
	wire_put_head(p, 8, FRAME_PING, FLAG_ACK, 0);
	memcpy(p + HEAD_BYTES, f->body, 8);
}

/* RFC 9113 6.9: padding counts too, so f->len must still be the wire's. */
static void
take_credit(struct wire *w, uint32_t len)
{
	w->owed += len;
	if (w->owed < OUR_WINDOW / 2)
		return;
	put_window(w, (uint32_t)w->owed);
	w->owed = 0;
}

/* Takes padding and priority off. -1: they are longer than the frame. */
static int
strip(struct frame *f)
{
	uint32_t pad = 0;

	if (f->type != FRAME_DATA && f->type != FRAME_HEADERS)
		return 0;
	if (f->flags & FLAG_PADDED) {
		if (f->len < 1 || f->body[0] >= f->len)
			return -1;
		pad = f->body[0];
		f->body += 1;
		f->len -= 1 + pad;
	}
	if (f->type == FRAME_HEADERS && f->flags & FLAG_PRIORITY) {
		if (f->len < 5)
			return -1;
		f->body += 5;
		f->len -= 5;
	}
	return 0;
}

static int
take(struct wire *w, struct frame *f, wire_fn *fn, void *user,
    const char **why)
{
	switch (f->type) {
	case FRAME_SETTINGS:
		take_settings(w, f);
		return 0;
	case FRAME_PING:
		take_ping(w, f);
		return 0;
	case FRAME_WINDOW:
		if (f->stream == 0 && f->len == 4)
			w->window += get_32(f->body) & 0x7fffffff;
		return fn(user, f);
	case FRAME_GOAWAY:
		*why = "the peer sent GOAWAY";
		return -1;
	case FRAME_CONTINUATION:
		*why = "the peer sent CONTINUATION, which the bench lacks";
		return -1;
	case FRAME_DATA:
		take_credit(w, f->len);
		break;
	default:
		break;
	}
	if (strip(f) == -1) {
		*why = "a frame has more padding than bytes";
		return -1;
	}
	return fn(user, f);
}

/* Returns the bytes used: whole frames only. -1: why. */
static ssize_t
take_all(struct wire *w, const uint8_t *p, size_t n, wire_fn *fn, void *user,
    const char **why)
{
	struct frame f;
	size_t at = 0;

	if (w->preface_left > 0 && n < w->preface_left)
		return 0;
	if (memcmp(p, preface, w->preface_left) != 0) {
		*why = "the peer's preface is not HTTP/2's";
		return -1;
	}
	at = w->preface_left;
	w->preface_left = 0;
	while (n - at >= HEAD_BYTES) {
		f.len = get_32(p + at) >> 8;
		if (n - at < HEAD_BYTES + f.len)
			break;
		f.type = p[at + 3];
		f.flags = p[at + 4];
		f.stream = get_32(p + at + 5) & 0x7fffffff;
		f.body = p + at + HEAD_BYTES;
		at += HEAD_BYTES + f.len;
		if (take(w, &f, fn, user, why) == -1)
			return -1;
	}
	return (ssize_t)at;
}

static void
keep_rest(struct wire *w, const uint8_t *p, size_t n)
{
	if (n > w->rest_size) {
		w->rest = allocate(w->rest, n);
		w->rest_size = n;
	}
	if (n > 0)
		memcpy(w->rest, p, n);
	w->rest_len = n;
}

static int
read_once(struct wire *w, wire_fn *fn, void *user, const char **why)
{
	size_t begun = w->rest_len;
	ssize_t n, used;

	if (begun > 0)
		memcpy(read_buffer, w->rest, begun);
	n = recv(w->fd, read_buffer + begun, READ_BYTES - begun, 0);
	if (n == -1 && errno == EAGAIN)
		return 0;
	*why = n == 0 ? "the peer closed the connection" : "recv failed";
	if (n <= 0)
		return -1;
	*why = "the peer sent what is not HPACK";
	used = take_all(w, read_buffer, begun + (size_t)n, fn, user, why);
	if (used == -1)
		return -1;
	keep_rest(w, read_buffer + used, begun + (size_t)(n - used));
	return begun + (size_t)n == READ_BYTES;
}

/* A full buffer means that there may be more, of which epoll tells nothing. */
int
wire_read(struct wire *w, wire_fn *fn, void *user, const char **why)
{
	int more;

	while ((more = read_once(w, fn, user, why)) == 1)
		;
	return more;
}

void
wire_put_message(uint8_t *p, uint32_t message_bytes)
{
	uint32_t i;

	p[0] = 0;
	wire_put_32(p + 1, message_bytes);
	for (i = 0; i < message_bytes; i++)
		p[PREFIX_BYTES + i] = (uint8_t)(i * 7 + 13);
}

int
wire_judge(struct wire *w, const struct frame *f,
    const struct expected *expected)
{
	if ((f->flags & FLAG_END_HEADERS) == 0)
		return -1;
	return block_judge(&w->reader, f->body, f->len, expected);
}
