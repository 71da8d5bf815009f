/*
 * xds/ems/view_text.c - YAML of our own making to packed messages: what is sent
 * is checked as a file would be.
 */
#include "xds/ems/view_inside.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/load.h"

/* Of the most that is admitted (intent.c, model_check.c). */
enum { TEXT_ARENA_BYTES = 256 << 20 };

void
text_begin(struct text *t)
{
	*t = (struct text){ 0 };
	t->out = open_memstream(&t->bytes, &t->n);
	if (t->out != NULL)		/* what begins with { is JSON to it */
		fputs("--- ", t->out);
}

struct body *
view_pack(const ProtobufCMessage *m)
{
	struct body *b = body_new(protobuf_c_message_get_packed_size(m));

	if (b == NULL)
		return NULL;
	protobuf_c_message_pack(m, b->bytes);
	body_hash(b);
	return b;
}

static struct body *
read_text(const struct text *t, const char *message, char *why,
    size_t why_len)
{
	const ProtobufCMessageDescriptor *d = load_type_find(message);
	struct load_arena *m = load_arena_new(TEXT_ARENA_BYTES);
	struct yaml *y = yaml_read(t->bytes, t->n, message, why, why_len);
	ProtobufCMessage *at = m == NULL || y == NULL ? NULL :
	    load_message(m, d, y, yaml_root(y), "", why, why_len);
	struct body *b = at == NULL ? NULL : view_pack(at);

	yaml_close(y);
	load_arena_free(m);
	return b;
}

struct body *
text_end(struct text *t, const struct pass *p, const char *message)
{
	struct body *b = NULL;

	snprintf(p->why, p->why_len, "no memory is left");
	if (t->out != NULL && fclose(t->out) == 0)
		b = read_text(t, message, p->why, p->why_len);
	free(t->bytes);
	return b;
}

int
text_put(struct text *t, const struct pass *p, enum resource_kind kind,
    const char *name)
{
	struct body *b = text_end(t, p, resource_about(kind)->message);
	bool good = b != NULL && catalog_put(&p->view->catalog, kind, name,
	    b);

	body_put(b);
	return good ? 0 : -1;
}
