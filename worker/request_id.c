/* worker/request_id.c - see request_id.h. */
#include "worker/request_id.h"

void
request_id_write(uint64_t a, uint64_t b, char text[REQUEST_ID_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	static const uint8_t places[16] = { 0, 2, 4, 6, 9, 11, 14, 16, 19, 21,
	    24, 26, 28, 30, 32, 34 };

	a = (a & 0xffffffffffff0fffull) | 0x0000000000004000ull;
	b = (b & 0x3fffffffffffffffull) | 0x8000000000000000ull;
	for (int i = 0; i < 16; i++) {
		uint64_t byte = (i < 8 ? a : b) >> (56 - i % 8 * 8);

		text[places[i]] = hex[byte >> 4 & 15];
		text[places[i] + 1] = hex[byte & 15];
	}
	text[8] = text[13] = text[18] = text[23] = '-';
}

bool
request_id_set(struct stream *s, const struct block_hcm *hcm)
{
	struct sys *sys = s->down->worker->sys;
	const struct header *own;
	char text[REQUEST_ID_BYTES];
	uint64_t a, b;

	s->changes_answer = hcm->flags & HCM_REQUEST_ID_BACK;
	s->request_id_back = s->changes_answer;
	if (!(hcm->flags & HCM_REQUEST_ID))
		return true;
	own = headers_find(s->request, HEADER_x_request_id);
	if (own != NULL && own->value_len > 0)
		return true;
	a = sys->random(sys->ctx);
	b = sys->random(sys->ctx);
	request_id_write(a, b, text);
	return headers_replace(s->request, "x-request-id",
	    sizeof("x-request-id") - 1, text, sizeof(text));
}
