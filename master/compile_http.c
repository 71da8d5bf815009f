/*
 * master/compile_http.c - HTTP options that listeners and clusters share.
 *
 * Defaults are Envoy's. What the guards against floods do with their numbers
 * is in worker/io/h2_guard.h.
 *
 * Source: config.core.v3.Http2ProtocolOptions and HttpProtocolOptions.
 * Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

enum {
	STREAMS_MAX = 1024,
	STREAM_WINDOW_BYTES = 16 << 20,
	CONNECTION_WINDOW_BYTES = 24 << 20,
	HPACK_TABLE_BYTES = 4096,
	OUTBOUND_FRAMES_MAX = 10000,
	OUTBOUND_CONTROL_FRAMES_MAX = 1000,
	EMPTY_FRAMES_MAX = 1,
	PRIORITY_FRAMES_MAX = 100,
	WINDOW_UPDATES_MAX = 10,
	RESET_BURST = 1000, RESET_RATE = 33,
	IDLE_TIMEOUT_MS = 3600 * 1000,
	HEADERS_MAX = 100,
	HEADER_BYTES_MAX = 60 << 10,
};

static const struct rule h2_rules[] = {
	{ "max_concurrent_streams", RULE_RANGE, 1, INT32_MAX,
	    "1..2147483647" },
	{ "initial_stream_window_size", RULE_RANGE, 65535, INT32_MAX,
	    "65535..2147483647" },
	{ "initial_connection_window_size", RULE_RANGE, 65535, INT32_MAX,
	    "65535..2147483647" },
	{ "allow_connect", RULE_LATER, .text = "false" },
	{ "max_outbound_frames", RULE_RANGE, 1, UINT32_MAX, "at least 1" },
	{ "max_outbound_control_frames", RULE_RANGE, 1, UINT32_MAX,
	    "at least 1" },
	{ "max_inbound_window_update_frames_per_data_frame_sent", RULE_RANGE,
	    1, UINT32_MAX, "at least 1" },
	{ "override_stream_error_on_invalid_http_message", RULE_LATER,
	    .text = "false" },
	{ "connection_keepalive", RULE_LATER, .text = NULL },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static uint32_t
long_number_or(const Google__Protobuf__UInt64Value *m, uint32_t other)
{
	if (m == NULL)
		return other;
	return m->value < UINT32_MAX ? (uint32_t)m->value : UINT32_MAX;
}

static void
guards_compile(const Http2 *m, struct block_h2 *to)
{
	to->outbound_frames_max = number_or(m->max_outbound_frames,
	    OUTBOUND_FRAMES_MAX);
	to->outbound_control_frames_max = number_or(
	    m->max_outbound_control_frames, OUTBOUND_CONTROL_FRAMES_MAX);
	to->empty_frames_max = number_or(
	    m->max_consecutive_inbound_frames_with_empty_payload,
	    EMPTY_FRAMES_MAX);
	to->priority_frames_per_stream_max = number_or(
	    m->max_inbound_priority_frames_per_stream, PRIORITY_FRAMES_MAX);
	to->window_updates_per_data_frame_max = number_or(
	    m->max_inbound_window_update_frames_per_data_frame_sent,
	    WINDOW_UPDATES_MAX);
	to->reset_burst = long_number_or(m->stream_reset_burst, RESET_BURST);
	to->reset_rate = long_number_or(m->stream_reset_rate, RESET_RATE);
}

int
compile_h2(struct compiler *c, const struct at *at, const Http2 *m,
    struct block_h2 *to)
{
	static const Http2 nothing =
	    ENVOY__CONFIG__CORE__V3__HTTP2_PROTOCOL_OPTIONS__INIT;

	if (m == NULL)
		m = &nothing;
	if (rule_check(c, at, &m->base, h2_rules) < 0)
		return -1;
	to->max_concurrent_streams = number_or(m->max_concurrent_streams,
	    STREAMS_MAX);
	to->stream_window_bytes = number_or(m->initial_stream_window_size,
	    STREAM_WINDOW_BYTES);
	to->connection_window_bytes = number_or(
	    m->initial_connection_window_size, CONNECTION_WINDOW_BYTES);
	to->hpack_table_bytes = number_or(m->hpack_table_size,
	    HPACK_TABLE_BYTES);
	guards_compile(m, to);
	return 0;
}

static const struct rule common_rules[] = {
	{ "max_headers_count", RULE_RANGE, 1, UINT32_MAX, "at least 1" },
	{ "max_response_headers_kb", RULE_RANGE, 1, 8192, "1..8192" },
	{ "max_connection_duration", RULE_LATER, .text = NULL },
	{ "headers_with_underscores_action", RULE_LATER, .text = "ALLOW" },
	{ "max_requests_per_connection", RULE_LATER, .text = "0" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

int
compile_common_http(struct compiler *c, const struct at *up,
    const CommonHttp *m, uint32_t *idle_timeout_ms,
    struct block_header_limits *limits)
{
	const struct at idle = AT(up, "idle_timeout");

	*idle_timeout_ms = IDLE_TIMEOUT_MS;
	*limits = (struct block_header_limits){ HEADER_BYTES_MAX,
	    HEADERS_MAX };
	if (m == NULL)
		return 0;
	if (rule_check(c, up, &m->base, common_rules) < 0)
		return -1;
	limits->count_max = number_or(m->max_headers_count, HEADERS_MAX);
	limits->bytes_max = number_or(m->max_response_headers_kb,
	    HEADER_BYTES_MAX >> 10) << 10;
	return duration_ms(c, &idle, m->idle_timeout, IDLE_TIMEOUT_MS,
	    idle_timeout_ms);
}
