/* master/views.c - see views.h. */
#include "master/views.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/compile_show.h"
#include "shm/clock.h"

static void
gather(void *arg, const struct resource_view *view)
{
	struct views *v = arg;
	struct resource_view *more;

	if (v->n == v->room) {
		v->room = v->room == 0 ? 64 : v->room * 2;
		more = realloc(v->at, v->room * sizeof(*more));
		v->no_memory |= more == NULL;
		if (more == NULL) {
			v->room = v->n;
			return;
		}
		v->at = more;
	}
	v->at[v->n++] = *view;
}

static int
compare(const void *a, const void *b)
{
	const struct resource_view *x = a, *y = b;
	int by_name;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	by_name = strcmp(origin_plain(x->name), origin_plain(y->name));
	return by_name != 0 ? by_name : strcmp(x->name, y->name);
}

bool
views_init(struct views *v, const struct resources *r)
{
	*v = (struct views){ 0 };
	resources_each(r, gather, v);
	if (v->n > 0)
		qsort(v->at, v->n, sizeof(*v->at), compare);
	for (size_t i = 0; i < v->n; i++)
		v->first[v->at[i].kind + 1] = i + 1;
	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		if (v->first[kind + 1] == 0)
			v->first[kind + 1] = v->first[kind];
	return !v->no_memory;
}

bool
views_hold(struct views *v)
{
	while (v->held_n < v->n && resources_view_hold(&v->at[v->held_n]))
		v->held_n++;
	return v->held_n == v->n;
}

void
views_fini(struct views *v)
{
	while (v->held_n > 0)
		resources_view_let_go(&v->at[--v->held_n]);
	free(v->at);
}

const char *
views_from(enum resource_from from)
{
	static const char *const words[] = {
		[FROM_FILE] = "file", [FROM_PLANE] = "control plane",
		[FROM_CHECKPOINT] = "checkpoint",
	};

	return words[from];
}

void
views_time(int64_t since_ms, char text[32])
{
	int64_t ago_ms = clock_now().ns / 1000000 - since_ms, ms;
	struct timespec wall;
	struct tm tm;
	time_t s;

	clock_gettime(CLOCK_REALTIME, &wall);
	ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000 - ago_ms;
	s = (time_t)(ms / 1000);
	gmtime_r(&s, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + strlen(text), 8, ".%03dZ", (int)(ms % 1000));
}

void
views_body(struct print *p, const char *key, enum resource_kind kind,
    const struct resource_version *v, bool typed)
{
	const ProtobufCMessage *m = v->key.ref == 0 ? NULL :
	    compile_show_secret(p->memory, v->bytes, v->len);
	char url[128];

	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	if (m != NULL)
		print_message(p, key, m, typed ? url : NULL);
	else if (typed)
		print_bytes(p, key, url, v->bytes, v->len);
	else {
		print_open(p, key, '{');
		print_fields(p, url, v->bytes, v->len);
		print_close(p, '{');
	}
}
