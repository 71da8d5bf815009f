/*
 * t/unit/ads_delta.c - the xDS protocol, incremental (xds/ads.h), as plays:
 * t/lib/unit_ads.h says how they are written. What both kinds share is in
 * ads.c.
 */
#include "xds/ads.h"

#include "t/lib/unit_ads.h"

#define D	PLAY_DELTA

/* ---- asking */

Test(ads_delta, what_is_asked)
{
	static const struct play_case cases[] = {
		{ "nothing wanted", "begin; take", "-", D },
		{ "in the order of the kinds", "sub RDS r; wild LDS; sub SDS "
		    "s; sub EDS e; wild CDS; begin; take", "node: CDS _ | "
		    "node: EDS _ +e | node: SDS _ +s | node: LDS _ | "
		    "node: RDS _ +r", D },
		{ "the node once", "wild CDS; sub EDS e; begin; take; end; "
		    "begin; take", "node: CDS _ | EDS _ +e | node: CDS _ | "
		    "EDS _ +e", D | PLAY_NODE_ONCE },
		{ "only what changed", "begin; sub EDS a; sub EDS b; take; "
		    "sub EDS c; unsub EDS a; sub EDS b; take; take",
		    "node: EDS _ +a +b | node: EDS _ +c -a | -", D },
		{ "a name that came and went", "begin; sub EDS a; take; sub "
		    "EDS b; unsub EDS b; take", "node: EDS _ +a | -", D },
		{ "left and wanted anew: subscribed again", "begin; sub EDS "
		    "a; take; EDS 1 n1 a/1; take; unsub EDS a; sub EDS a; "
		    "take; take; end; begin; take", "node: EDS _ +a | update "
		    "EDS 1: a/1 | node: EDS n1 | node: EDS _ +a | - | "
		    "node: EDS _ +a", D },
		{ "anew and away", "begin; sub EDS a; take; unsub EDS a; sub "
		    "EDS a; unsub EDS a; take", "node: EDS _ +a | "
		    "node: EDS _ -a", D },
		{ "names beside the wildcard", "begin; wild CDS; take; sub "
		    "CDS a; take; sub CDS b; take; unsub CDS a; unsub CDS b; "
		    "take", "node: CDS _ | node: CDS _ +a +* | node: CDS _ +b "
		    "| node: CDS _ -a -b", D },
		{ "both at first", "begin; wild CDS; sub CDS a; take",
		    "node: CDS _ +* +a", D },
		{ "the wildcard later", "begin; sub CDS a; take; wild CDS; "
		    "take; unwild CDS; take; take", "node: CDS _ +a | "
		    "node: CDS _ +* | node: CDS _ -* | -", D },
		{ "out of the legacy wildcard and back", "begin; wild CDS; "
		    "take; unwild CDS; take; wild CDS; take", "node: CDS _ | "
		    "node: CDS _ -* | node: CDS _ +*", D },
		{ "from a name to the wildcard: sent again", "begin; sub CDS "
		    "a; take; CDS 1 n1 a/1; take; unsub CDS a; wild CDS; "
		    "take; take", "node: CDS _ +a | update CDS 1: a/1 | "
		    "node: CDS n1 | node: CDS _ -a | node: CDS _ +* | -", D },
		{ "off and on: sent again", "begin; wild CDS; take; unwild "
		    "CDS; wild CDS; take; take", "node: CDS _ | "
		    "node: CDS _ -* | node: CDS _ +* | -", D },
	};

	PLAY(cases);
}

Test(ads_delta, retracted)
{
	static const struct play_case cases[] = {
		{ "a NACK more, and not held", "begin; wild LDS; take; LDS 1 "
		    "n1 a/1 b/2; take; retract LDS a; take; end; begin; take",
		    "node: LDS _ | update LDS 1: a/1 b/2 | node: LDS n1 | "
		    "node: LDS n1 NACK(a: it is bad) | node: LDS _ {b=2}", D },
		{ "after an ACK on its way", "begin; wild LDS; take; LDS 1 n1 "
		    "a/1; retract LDS a; take", "node: LDS _ | update LDS 1: "
		    "a/1 | node: LDS n1 | node: LDS n1 NACK(a: it is bad)", D },
		{ "wanted by name: still asked for", "begin; sub EDS a; take; "
		    "EDS 1 n1 a/1; take; retract EDS a; take; EDS 2 n2 a/1; "
		    "take", "node: EDS _ +a | update EDS 1: a/1 | node: EDS "
		    "n1 | node: EDS n1 NACK(a: it is bad) | update EDS 2: a/1 "
		    "| node: EDS n2", D },
	};

	PLAY(cases);
}

Test(ads_delta, acks_and_nacks)
{
	static const struct play_case cases[] = {
		{ "an ACK", "begin; wild CDS; take; CDS 1 n1 a/1 b/2; take; "
		    "take; status CDS", "node: CDS _ | update CDS 1: a/1 b/2 "
		    "| node: CDS n1 | - | CDS: 1, 1 accepted, 0 rejected, 0 "
		    "unknown, 0 wanted, 2 held, 0 waiting, wildcard, since 0, "
		    "\"\"", D },
		{ "a NACK", "begin; wild CDS; take; CDS 1 n1 a/1=bad b/2 "
		    "c/3=bad; take; end; begin; take", "node: CDS _ | update "
		    "CDS 1: a/1 b/2 c/3 | node: CDS n1 NACK(a: it is bad\nc: "
		    "it is bad) | node: CDS _ {b=2}", D },
		{ "each response is answered", "begin; sub EDS a; sub EDS b; "
		    "take; EDS 1 n1 a/1; EDS 2 n2 b/1=bad; EDS 3 n3 b/2; "
		    "take; take", "node: EDS _ +a +b | update EDS 1: a/1 | "
		    "update EDS 2: b/1 | update EDS 3: b/2 | node: EDS n1 | "
		    "node: EDS n2 NACK(b: it is bad) | node: EDS n3 | -", D },
		{ "an answer and a change", "begin; sub EDS a; take; EDS 1 n1 "
		    "a/1; sub EDS b; take", "node: EDS _ +a | update EDS 1: "
		    "a/1 | node: EDS n1 +b", D },
		{ "a change does not wait for a paced NACK", "begin; sub EDS "
		    "a; take; EDS 1 n1 a/1=bad; EDS 1 n2 a/1=bad; take; sub "
		    "EDS b; take; at 1000; take", "node: EDS _ +a | update "
		    "EDS 1: a/1 | update EDS 1: a/1 | node: EDS n1 NACK(a: it "
		    "is bad) | node: EDS _ +b | node: EDS n2 NACK(a: it is "
		    "bad)", D },
		{ "another version number is no other response", "begin; sub "
		    "EDS a; take; EDS 1 n1 a/1=bad; EDS 2 n2 a/2=bad; take",
		    "node: EDS _ +a | update EDS 1: a/1 | update EDS 2: a/2 | "
		    "node: EDS n1 NACK(a: it is bad)", D },
		{ "refused in parts", "begin; wild CDS; take; CDS 1 n1 a/1 a/2 "
		    "xdstp:x 0 b>c d %; take", "node: CDS _ | update CDS 1: "
		    "d/ | node: CDS n1 NACK(a: it is given twice\na: it is "
		    "given twice\nxdstp:x: names of the form xdstp:// are "
		    "not supported\nresource 4: it has no name\nb: the message "
		    "in it is named c\n%: it can't be parsed)", D },
		{ "not asked for", "begin; sub EDS a; take; EDS 1 n1 b/1 c/1 "
		    "-d; take", "node: EDS _ +a | update EDS 1: | "
		    "node: EDS n1", D },
		{ "nobody wants it", "begin; sub EDS a; take; unsub EDS a; "
		    "take; EDS 1 n1 a/1; LDS 1 m1 l/1; take", "node: EDS _ +a "
		    "| node: EDS _ -a | node: EDS n1", D },
	};

	PLAY(cases);
}

Test(ads_delta, removal)
{
	static const struct play_case cases[] = {
		{ "what is held", "begin; wild CDS; sub EDS e; take; CDS 1 n1 "
		    "a/1 b/1; EDS 1 m1 e/1; CDS 2 n2 -a -a -x; EDS 2 m2 -e; "
		    "take; end; begin; take", "node: CDS _ | node: EDS _ +e | "
		    "update CDS 1: a/1 b/1 | update EDS 1: e/1 | "
		    "update CDS 2: -a | update EDS 2: -e | node: CDS n1 | "
		    "node: CDS n2 | node: EDS m1 | node: EDS m2 | "
		    "node: CDS _ {b=1} | node: EDS _ +e", D },
		{ "nothing by absence", "begin; wild CDS; take; CDS 1 n1 a/1 "
		    "b/1; CDS 2 n2 c/1; CDS 3 n3", "node: CDS _ | update CDS "
		    "1: a/1 b/1 | update CDS 2: c/1 | update CDS 3:", D },
		{ "sent and removed", "begin; wild CDS; take; CDS 1 n1 a/1; "
		    "CDS 2 n2 a/2 -a; take; end; begin; take", "node: CDS _ | "
		    "update CDS 1: a/1 | update CDS 2: | node: CDS n1 | "
		    "node: CDS n2 NACK(a: it is both sent and removed) | "
		    "node: CDS _ {a=1}", D },
		{ "never there: missing, at once and once", "begin; sub EDS "
		    "a; take; EDS 1 n1 -a; EDS 1 n2 -a; at 99999; take",
		    "node: EDS _ +a | update EDS 1: | missing EDS a | update "
		    "EDS 1: | node: EDS n1 | node: EDS n2", D },
		{ "never there, of a name that is wanted anew", "begin; sub "
		    "EDS a; take; unsub EDS a; sub EDS a; EDS 1 n1 -a; take; "
		    "EDS 1 n2 a/1", "node: EDS _ +a | update EDS 1: | "
		    "node: EDS n1 +a | update EDS 1: a/1", D },
		{ "a name beside the wildcard stays until the server says",
		    "begin; wild CDS; sub CDS a; take; CDS 1 n1 a/1; take; "
		    "unsub CDS a; take; end; begin; take; CDS 2 n1 b/1 -a",
		    "node: CDS _ +* +a | update CDS 1: a/1 | node: CDS n1 | "
		    "node: CDS _ -a | node: CDS _ {a=1} | "
		    "update CDS 2: b/1 -a", D },
	};

	PLAY(cases);
}

#define EMPTY "NACK(the first response of this stream would remove all that " \
	"is held (2); send it again if that is meant)"

Test(ads_delta, an_empty_start)
{
	static const struct play_case cases[] = {
		{ "refused once", "hold CDS a 1; hold CDS b 1; wild CDS; "
		    "begin; take; CDS 9 n1 -a -b; take; end; begin; take; CDS "
		    "9 n1 -b -a; take", "node: CDS _ {a=1 b=1} | "
		    "node: CDS n1 " EMPTY " | node: CDS _ {a=1 b=1} | update "
		    "CDS 9: -b -a | node: CDS n1", D },
		{ "not all", "hold CDS a 1; hold CDS b 1; wild CDS; begin; "
		    "take; CDS 9 n1 -a; CDS 9 n2 -b", "node: CDS _ {a=1 b=1} "
		    "| update CDS 9: -a | update CDS 9: -b", D },
		{ "with something new", "hold CDS a 1; wild CDS; begin; take; "
		    "CDS 9 n1 -a b/1", "node: CDS _ {a=1} | update CDS 9: b/1 "
		    "-a", D },
		{ "of another kind", "hold EDS a 1; sub EDS a; begin; take; "
		    "EDS 9 n1 -a", "node: EDS _ +a {a=1} | update EDS 9: -a",
		    D },
	};

	PLAY(cases);
}

Test(ads_delta, reconnect)
{
	static const struct play_case cases[] = {
		{ "what is held is said, what is waited for not", "wild CDS; "
		    "sub EDS a; sub EDS b; begin; take; CDS 1 n1 c/1 d/2; EDS "
		    "1 m1 a/5; take; end; begin; take; CDS 1 n1; take",
		    "node: CDS _ | node: EDS _ +a +b | update CDS 1: c/1 d/2 "
		    "| update EDS 1: a/5 | node: CDS n1 | node: EDS m1 | "
		    "node: CDS _ {c=1 d=2} | node: EDS _ +a +b {a=5} | "
		    "update CDS 1: | node: CDS n1", D },
		{ "after a NACK all is asked for again (34334, 33607)",
		    "wild CDS; sub EDS a; sub SDS s; wild LDS; begin; take; "
		    "CDS 1 n1 c/1; CDS 2 n2 c/2=bad; SDS 1 m1 s/1=bad; take; "
		    "end; begin; take; take", "node: CDS _ | node: EDS _ +a | "
		    "node: SDS _ +s | node: LDS _ | update CDS 1: c/1 | "
		    "update CDS 2: c/2 | update SDS 1: s/1 | node: CDS n1 | "
		    "node: CDS n2 NACK(c: it is bad) | "
		    "node: SDS m1 NACK(s: it is bad) | node: CDS _ {c=1} | "
		    "node: EDS _ +a | node: SDS _ +s | node: LDS _ | -", D },
		{ "of a checkpoint, only what is wanted", "hold CDS a 1; hold "
		    "EDS e 2; hold EDS f 3; sub EDS e; wild CDS; begin; take",
		    "node: CDS _ {a=1} | node: EDS _ +e {e=2}", D },
		{ "wanted and not while it was down", "sub EDS a; sub EDS b; "
		    "begin; take; end; unsub EDS a; sub EDS c; begin; take",
		    "node: EDS _ +a +b | node: EDS _ +b +c", D },
		{ "an answer of the stream before is gone", "later; wild CDS; "
		    "begin; take; CDS 1 n1 a/1; end; begin; take; answer; "
		    "take", "node: CDS _ | update CDS 1: a/1 | - | "
		    "node: CDS _ {a=1}", D },
	};

	PLAY(cases);
}

Test(ads_delta, ttl_and_missing)
{
	static const struct play_case cases[] = {
		{ "a heartbeat, an end; not held any more", "begin; wild CDS; "
		    "take; CDS 1 n1 a/1~50 b/1; at 40; CDS 1 n2 a?/1~50; at "
		    "89; at 90; take; end; begin; take", "node: CDS _ | "
		    "update CDS 1: a/1 b/1 | update CDS 1: -a | node: CDS n1 "
		    "| node: CDS n2 | node: CDS _ {b=1}", D },
		{ "a heartbeat of another version", "begin; wild CDS; take; "
		    "CDS 1 n1 a/1~50; CDS 1 n2 a?/2~50; take", "node: CDS _ | "
		    "update CDS 1: a/1 | node: CDS n1 | node: CDS n2 NACK(a: "
		    "it has no body, and its version \"2\" is not what is "
		    "held)", D },
		{ "an update without one clears it", "begin; wild CDS; take; "
		    "CDS 1 n1 a/1~50; CDS 1 n2 a/2; at 99999", "node: CDS _ | "
		    "update CDS 1: a/1 | update CDS 1: a/2", D },
		{ "missing after 15 s", "begin; sub EDS a; sub EDS b; take; "
		    "EDS 1 n1 b/1; at 14999; at 15000; at 99999",
		    "node: EDS _ +a +b | update EDS 1: b/1 | missing EDS a",
		    D },
		{ "not what is held when it is named too", "begin; wild CDS; "
		    "take; CDS 1 n1 a/1; sub CDS a; take; at 99999",
		    "node: CDS _ | update CDS 1: a/1 | node: CDS n1 +a +*",
		    D },
	};

	PLAY(cases);
}

/* ---- large */

/* So many answers are never held: the stream ends with a sentence. */
Test(ads_delta, answers_are_bounded)
{
	struct play *p = malloc(sizeof(*p));
	int i;

	play_open(p, D, 0);
	play_lines(p, "begin; wild CDS; take");
	for (i = 0; i < 1000; i++) {
		p->log_n = 0;
		play_lines(p, "CDS 1 n a/1");
		cr_assert_str_eq(p->log, "update CDS 1: a/1");
	}
	p->log_n = 0;
	play_lines(p, "CDS 1 n a/1");
	cr_assert_str_eq(p->log, "end: 1000 responses wait for their answers");
	ads_free(p->ads);
	free(p);
}

static size_t taken_bytes;

static void
take_quietly(struct play *p)
{
	uint8_t *bytes;
	size_t n;

	while (ads_take(p->ads, p->now_ms, &bytes, &n)) {
		taken_bytes += n;
		free(bytes);
	}
}

/* One by one, in all ways: if anything went through all names each time, this
 * would be thousands of millions of steps and bytes. */
Test(ads_delta, many_names, .timeout = 60)
{
	enum { N = 50000 };
	struct play *p = malloc(sizeof(*p));
	struct ads_status s;
	char line[64];

	play_open(p, D, 15000);
	play_lines(p, "begin");
	p->is_quiet = true;
	for (int i = 0; i < N; i++) {
		p->now_ms = i;
		snprintf(line, sizeof(line), "sub EDS a%d", i);
		play_lines(p, line);
		take_quietly(p);
		if (i % 2 == 0) {
			snprintf(line, sizeof(line), "EDS 1 n a%d/1~%d", i,
			    2 * N - i);
			play_lines(p, line);
			take_quietly(p);
		}
	}
	cr_assert_lt(taken_bytes, (size_t)N * 400, "%zu", taken_bytes);
	for (int i = 0; i < N; i += 10) {
		snprintf(line, sizeof(line), "EDS 1 n -a%d", i);
		play_lines(p, line);
		take_quietly(p);
	}
	for (p->now_ms = N; p->now_ms < 3 * N; p->now_ms += 7)
		ads_step(p->ads, p->now_ms);
	ads_status(p->ads, RESOURCE_ENDPOINT, &s);
	cr_assert_eq(s.held_n, 0);
	cr_assert_eq(s.waiting_n, N);
	for (int i = N - 1; i >= 0; i--) {
		snprintf(line, sizeof(line), "unsub EDS a%d", i);
		play_lines(p, line);
		take_quietly(p);
	}
	ads_status(p->ads, RESOURCE_ENDPOINT, &s);
	cr_assert_eq(s.wanted_n + s.held_n + s.waiting_n, 0);
	ads_free(p->ads);
	free(p);
}
