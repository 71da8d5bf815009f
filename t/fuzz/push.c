/*
 * t/fuzz/push.c - what a proxy may say on an xDS stream, against the control
 * plane's side of it (xds/ems/push.h).
 *
 *   | flags | records |      flags: 1 delta; 2.. the only kind, or all
 *   REQUEST bytes            of a proxy: push_feed, and the answers are taken
 *   PUT KIND CONTENT         a resource of the catalog is another
 *   REMOVE KIND              it is gone
 *   WAIT n                   n seconds go by
 *
 * The seeds are what our own client says. Whatever comes, at most one response
 * a kind is under way, and a stream that is ended has a reason.
 */
#include "t/fuzz/fuzz.h"
#include "t/lib/answer.h"
#include "xds/ads.h"
#include "xds/ems/push.h"
#include "xds/proto/envoy/config/core.pb-c.h"

enum { REQUEST, PUT, REMOVE, WAIT, WHATS };
enum { NAMES = 3, TAKES_MAX = 64, WHY_BYTES = 512, SEED_ROUNDS = 30 };

static struct catalog catalog;

static const char *
name_of(uint8_t i)
{
	static const char *const names[NAMES] = { "a", "b", "c" };

	return names[i % NAMES];
}

/* A resource is its name, and a field that nobody knows. */
static void
resource_put(enum resource_kind kind, const char *name, uint8_t content)
{
	const uint8_t bytes[] = { 1 << 3 | 2, 1, (uint8_t)name[0], 15 << 3,
	    content & 0x7f };
	struct body *b = body_copy(bytes, sizeof(bytes));

	catalog_begin(&catalog);
	if (b == NULL || !catalog_put(&catalog, kind, name, b))
		abort();
	catalog_end(&catalog);
	body_put(b);
}

static void
resource_remove(enum resource_kind kind, const char *name)
{
	catalog_begin(&catalog);
	catalog_remove(&catalog, kind, name);
	catalog_end(&catalog);
}

static void
catalog_fill(void)
{
	if (!catalog_init(&catalog))
		abort();
	for (uint8_t kind = 0; kind < RESOURCE_KINDS; kind++)
		for (uint8_t i = 0; i < NAMES - 1; i++)
			resource_put(kind, name_of(i), i);
}

static struct catalog *
on_node(void *arg, const struct push_node *n, char *why, size_t why_len)
{
	(void)arg;
	if (strcmp(n->id, "nobody") != 0)
		return &catalog;
	why_set(why, why_len, "nobody is not let in");
	return NULL;
}

static void
on_refused(void *arg, enum resource_kind kind, const char *why)
{
	(void)arg;
	(void)kind;
	if (strlen(why) > 1 << 20)
		fuzz_fail("what was refused is told at length");
}

static const struct push_events events = { on_node, on_refused };

static struct push *
stream_new(uint8_t flags)
{
	const struct push_settings s = { .delta = flags & 1,
	    .kind = flags >> 1 < RESOURCE_KINDS ? flags >> 1 : -1,
	    .identifier = "ems" };
	struct push *p = push_new(&s, &events, NULL);

	if (p == NULL)
		abort();
	return p;
}

/* ---- seeds */

static bool
seed_update(void *arg, struct ads *a, struct ads_update *u)
{
	(void)arg;
	if (u->kind == RESOURCE_ROUTE && u->items_n > 0)
		ads_refuse(a, &u->items[0], "it is bad");
	return true;
}

static void
seed_missing(void *arg, enum resource_kind kind, const char *name)
{
	(void)arg;
	(void)kind;
	(void)name;
}

static void
seed_wake(void *arg)
{
	(void)arg;
}

static struct ads *
client_new(bool delta)
{
	static const struct ads_events e = { seed_update, seed_missing,
	    seed_wake };
	Envoy__Config__Core__V3__Node node;
	uint8_t bytes[64];
	struct ads_settings s = { .node = bytes, .delta = delta };
	struct ads *a;

	envoy__config__core__v3__node__init(&node);
	node.id = (char *)(uintptr_t)"p";
	node.user_agent_name = (char *)(uintptr_t)"envoy";
	s.node_len = protobuf_c_message_pack(&node.base, bytes);
	if ((a = ads_new(&s, &e, NULL)) == NULL)
		abort();
	ads_wildcard(a, RESOURCE_CLUSTER, true);
	ads_wildcard(a, RESOURCE_LISTENER, true);
	ads_subscribe(a, RESOURCE_ENDPOINT, "a");
	ads_subscribe(a, RESOURCE_ROUTE, "b");
	ads_subscribe(a, RESOURCE_SECRET, "none");
	ads_begin(a, 1000);
	return a;
}

static void
answer_pass(struct push *p, struct ads *a)
{
	struct push_message m;
	char why[WHY_BYTES];
	uint8_t *bytes;
	size_t n;

	if (push_take(p, 1000, &m) != 1)
		return;
	bytes = answer_bytes(&m, &n);
	if (ads_feed(a, bytes, n, 1000, why, sizeof(why)) != 0)
		fuzz_fail("the seed's stream ended: %s", why);
	free(bytes);
}

static void
seed_write(const char *dir, const char *name, bool delta)
{
	static const uint8_t put[] = { RESOURCE_CLUSTER, 0, 9 };
	struct push *p = stream_new(0xfe | delta);
	struct ads *a = client_new(delta);
	char *text, why[WHY_BYTES];
	uint8_t *bytes;
	size_t n, len;
	FILE *f = open_memstream(&text, &len);

	fputc(0xfe | delta, f);
	for (int i = 0; i < SEED_ROUNDS; i++) {
		if (i == SEED_ROUNDS / 2) {
			record_print(f, PUT, put, sizeof(put));
			resource_put(put[0], name_of(put[1]), put[2]);
		}
		while (ads_take(a, 1000, &bytes, &n)) {
			record_print(f, REQUEST, bytes, n);
			if (push_feed(p, bytes, n, 1000, why, sizeof(why)) != 0)
				fuzz_fail("a seed is refused: %s", why);
			free(bytes);
		}
		answer_pass(p, a);
	}
	fclose(f);
	fuzz_seed(dir, name, text, len);
	free(text);
	ads_free(a);
	push_free(p);
}

static void
seeds_write(const char *dir)
{
	catalog_fill();
	seed_write(dir, "sotw", false);
	seed_write(dir, "delta", true);
	catalog_fini(&catalog);
}

/* ---- one input */

static void
answers_take(struct push *p, int64_t now_ms)
{
	struct push_message m;
	int n = 0, rc;

	while ((rc = push_take(p, now_ms, &m)) == 1) {
		if (m.tail_len > sizeof(m.tail) || ++n > TAKES_MAX)
			fuzz_fail("answer %d, its tail %zu bytes", n,
			    m.tail_len);
		body_put(m.body);
	}
	if (rc == -1)
		abort();
}

struct stream {
	struct push	*push;
	int64_t		 now_ms;
};

/* False: the stream is over. */
static bool
record_do(void *arg, const struct record *r)
{
	struct stream *s = arg;
	enum resource_kind kind = r->n == 0 ? 0 : r->bytes[0] % RESOURCE_KINDS;
	uint8_t name = r->n < 2 ? 0 : r->bytes[1];
	char why[WHY_BYTES] = "";

	switch (r->what % WHATS) {
	case REQUEST:
		if (push_feed(s->push, r->bytes, r->n, s->now_ms, why,
		    sizeof(why)) == 0)
			break;
		fuzz_ended(why);
		return false;
	case PUT:
		resource_put(kind, name_of(name), r->n < 3 ? 0 : r->bytes[2]);
		break;
	case REMOVE:
		resource_remove(kind, name_of(name));
		break;
	default:
		s->now_ms += 1000 * (int64_t)r->n;
	}
	answers_take(s->push, s->now_ms);
	(void)push_due(s->push, s->now_ms);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { .now_ms = 1000 };

	if (size == 0)
		return 0;
	catalog_fill();
	s.push = stream_new(data[0]);
	records_do(data + 1, size - 1, record_do, &s);
	push_free(s.push);
	catalog_fini(&catalog);
	return 0;
}
