/* master/ready.c - see ready.h. */
#include "master/ready.h"

#include "master/origin.h"

struct found {
	unsigned	 live_n, sent_n;	/* sent: not the file's */
	const char	*waits;			/* the name of one, or NULL */
};

static void
look(void *arg, const struct resource_view *v)
{
	struct found *f = arg;

	if (v->kind != RESOURCE_LISTENER)
		return;
	f->live_n += v->live != NULL;
	f->sent_n += v->live != NULL && v->live->from != FROM_FILE;
	if (v->live == NULL && v->next != NULL)
		f->waits = v->name;
}

int
ready_print(const struct ready *r, FILE *out)
{
	bool followed = r->dynamic->listeners.on;
	struct found f = { 0 };

	resources_each(r->resources, look, &f);
	if (f.waits != NULL && !(r->was && f.live_n > 0)) {
		fprintf(out, "not ready: listener \"%s\" waits for ",
		    origin_plain(f.waits));
		resources_waits_print(r->resources, RESOURCE_LISTENER, f.waits,
		    out);
		fputc('\n', out);
	} else if (followed && f.sent_n == 0 && !r->heard)
		fprintf(out, "not ready: who sends listeners has not "
		    "answered yet, and none was kept\n");
	else if (f.live_n == 0)
		fprintf(out, "not ready: there is no listener\n");
	else {
		fprintf(out, "ready: %u listener%s\n", f.live_n,
		    f.live_n == 1 ? "" : "s");
		return 200;
	}
	return 503;
}
