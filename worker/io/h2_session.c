/* worker/io/h2_session.c - see h2_session.h. */
#include "worker/io/h2_session.h"

#include <string.h>

/* Of a peer whose SETTINGS have not come: no peer should allow fewer (RFC
 * 9113, section 6.5.2), many allow no more. */
enum { STREAMS_ASSUMED = 100 };
/* nghttp2 counts the reads that a CONTINUATION frame's head comes in. */
enum { READS_PER_FRAME_MAX = 10 };

static void *
mem_malloc_cb(size_t n, void *m)
{
	return mem_alloc(m, n);
}

static void
mem_free_cb(void *p, void *m)
{
	mem_free(m, p);
}

static void *
mem_calloc_cb(size_t n, size_t size, void *m)
{
	void *p = mem_alloc(m, n * size);

	return p == NULL ? NULL : memset(p, 0, n * size);
}

static void *
mem_realloc_cb(void *p, size_t n, void *m)
{
	return mem_realloc(m, p, n);
}

nghttp2_mem
h2_session_mem(struct mem *m)
{
	return (nghttp2_mem){ m, mem_malloc_cb, mem_free_cb, mem_calloc_cb,
	    mem_realloc_cb };
}

/* nghttp2's own limits, where h2_guard.h says why ours stand instead; and it
 * shows us the frames of types that it does not know (0 to 9). */
static void
guards_ours(nghttp2_option *o, const struct h2_settings *s)
{
	nghttp2_option_set_max_outbound_ack(o,
	    s->limits.outbound_control_frames);
	nghttp2_option_set_stream_reset_rate_limit(o, UINT64_MAX, UINT64_MAX);
	nghttp2_option_set_max_continuations(o, READS_PER_FRAME_MAX *
	    (size_t)guard_continuations_max(s->header_bytes_max));
	for (int type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
}

nghttp2_option *
h2_session_options(const struct h2_settings *s)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	/* A blank around a value is against RFC 9113, 8.2.1; Envoy passes it,
	 * and a call that came through it shall not fail with us. */
	nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(o, 1);
	guards_ours(o, s);
	if (!s->server)
		nghttp2_option_set_peer_max_concurrent_streams(o,
		    s->max_concurrent_streams < STREAMS_ASSUMED ?
		    s->max_concurrent_streams : STREAMS_ASSUMED);
	return o;
}

int
h2_session_settings(nghttp2_session *session, const struct h2_settings *s)
{
	nghttp2_settings_entry e[4];
	size_t n = 0;
	int rc;

	if (s->server)
		e[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		    s->max_concurrent_streams };
	else
		e[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
	e[n++] = (nghttp2_settings_entry){
	    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, s->stream_window_bytes };
	e[n++] = (nghttp2_settings_entry){
	    NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->header_bytes_max };
	if (s->hpack_table_bytes != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE)
		e[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, s->hpack_table_bytes };
	rc = nghttp2_submit_settings(session, 0, e, n);
	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(session, 0, 0,
		    (int32_t)s->connection_window_bytes);
	return rc;
}
