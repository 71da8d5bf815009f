/*
 * t/unit/ads.c - the xDS protocol, state of the world (xds/ads.h), as plays:
 * t/lib/unit_ads.h says how they are written. Incremental: ads_delta.c; by
 * chance: ads_random.c.
 */
#include "xds/ads.h"

#include "t/lib/chance.h"
#include "t/lib/unit_ads.h"

/* ---- asking */

Test(ads, what_is_asked)
{
	static const struct play_case cases[] = {
		{ "nothing wanted", "begin; take", "-" },
		{ "in the order of the kinds", "sub RDS r; wild LDS; sub SDS "
		    "s; sub EDS e; wild CDS; begin; take",
		    "node: CDS _ _ [] | node: EDS _ _ [e] | node: SDS _ _ [s]"
		    " | node: LDS _ _ [] | node: RDS _ _ [r]" },
		{ "the node once", "wild CDS; sub EDS e; begin; take; end; "
		    "begin; take", "node: CDS _ _ [] | EDS _ _ [e] | "
		    "node: CDS _ _ [] | EDS _ _ [e]", PLAY_NODE_ONCE },
		{ "two changes, one request", "begin; sub EDS a; sub EDS b; "
		    "sub EDS a; take; take", "node: EDS _ _ [a b] | -" },
		{ "a name that came and went", "begin; sub EDS a; unsub EDS "
		    "a; take", "-" },
		{ "the last one leaves", "begin; sub EDS a; take; unsub EDS "
		    "a; take; take",
		    "node: EDS _ _ [a] | node: EDS _ _ [] | -" },
		{ "a name beside the wildcard", "begin; wild CDS; take; sub "
		    "CDS a; take; unsub CDS a; take", "node: CDS _ _ [] | "
		    "node: CDS _ _ [* a] | node: CDS _ _ [*]" },
		{ "both at first", "begin; wild CDS; sub CDS a; take",
		    "node: CDS _ _ [* a]" },
		{ "from names to the wildcard", "begin; sub CDS a; take; wild "
		    "CDS; unsub CDS a; take",
		    "node: CDS _ _ [a] | node: CDS _ _ [*]" },
		{ "legacy again on the next stream", "begin; wild CDS; sub "
		    "CDS a; take; unsub CDS a; end; begin; take",
		    "node: CDS _ _ [* a] | node: CDS _ _ []" },
		{ "out of the legacy wildcard", "begin; wild CDS; take; "
		    "unwild CDS; take; take", "node: CDS _ _ [] | "
		    "node: CDS _ _ [*] | node: CDS _ _ [] | -" },
		{ "from the legacy wildcard to names", "begin; wild CDS; "
		    "take; unwild CDS; sub CDS a; take",
		    "node: CDS _ _ [] | node: CDS _ _ [a]" },
		{ "left and wanted anew: sent again", "begin; sub EDS a; sub "
		    "EDS b; take; EDS 1 n1 a b; take; unsub EDS a; sub EDS a; "
		    "take; take", "node: EDS _ _ [a b] | update EDS 1: a b | "
		    "node: EDS 1 n1 [a b] | node: EDS 1 n1 [b] | "
		    "node: EDS 1 n1 [a b] | -" },
		{ "the wildcard left and wanted anew: sent again", "begin; "
		    "wild CDS; take; unwild CDS; wild CDS; take; take",
		    "node: CDS _ _ [] | node: CDS _ _ [*] | "
		    "node: CDS _ _ [] | node: CDS _ _ [*] | -" },
		{ "when no stream is up", "sub EDS a; take; begin; end; take",
		    "- | -" },
	};

	PLAY(cases);
}

Test(ads, names_that_can_not_be)
{
	static const char *const names[] = { "", "*", "xdstp://a/b" };
	char longest[4096 + 2];
	struct play p;

	play_open(&p, 0, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_not(ads_subscribe(p.ads, RESOURCE_CLUSTER,
		    names[i]), "%s", names[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cr_assert_not(ads_subscribe(p.ads, RESOURCE_CLUSTER, longest));
	cr_assert(ads_subscribe(p.ads, RESOURCE_CLUSTER, longest + 1));
	ads_unsubscribe(p.ads, RESOURCE_CLUSTER, "nobody");
	ads_free(p.ads);
	ads_free(NULL);
}

/* ---- answering */

Test(ads, acks_and_nacks)
{
	static const struct play_case cases[] = {
		{ "an ACK", "begin; wild CDS; take; CDS 1 n1 a b; take; take",
		    "node: CDS _ _ [] | update CDS 1: a b | "
		    "node: CDS 1 n1 [] | -" },
		{ "an empty one", "begin; wild CDS; take; CDS 1 n1; take",
		    "node: CDS _ _ [] | update CDS 1: | node: CDS 1 n1 []" },
		{ "a NACK names what is bad, the rest is held", "begin; wild "
		    "CDS; take; CDS 1 n1 a; take; CDS 2 n2 a=bad b c=bad; "
		    "take; take; CDS 3 n3 b; take; status CDS",
		    "node: CDS _ _ [] | update CDS 1: a | node: CDS 1 n1 [] | "
		    "update CDS 2: a b c | node: CDS 1 n2 [] "
		    "NACK(a: it is bad\nc: it is bad) | - | "
		    "update CDS 3: b -a | node: CDS 3 n3 [] | "
		    "CDS: 3, 2 accepted, 1 rejected, 0 unknown, 0 wanted, 1 "
		    "held, 0 waiting, wildcard, since 0, "
		    "\"a: it is bad\nc: it is bad\"" },
		{ "of the first: version ''", "begin; sub EDS a; take; EDS 1 "
		    "n1 a=bad; take; sub EDS b; take", "node: EDS _ _ [a] | "
		    "update EDS 1: a | node: EDS _ n1 [a] NACK(a: it is bad) "
		    "| node: EDS _ n1 [a b]" },
		{ "two responses, one answer", "begin; sub EDS a; take; EDS 1 "
		    "n1 a; EDS 2 n2 a; take; take", "node: EDS _ _ [a] | "
		    "update EDS 1: a | update EDS 2: a | node: EDS 2 n2 [a] | "
		    "-" },
		{ "two kinds", "begin; wild CDS; wild LDS; take; LDS 1 n1 l; "
		    "CDS 7 n1 c; take", "node: CDS _ _ [] | node: LDS _ _ [] "
		    "| update LDS 1: l | update CDS 7: c | node: CDS 7 n1 [] "
		    "| node: LDS 1 n1 []" },
		{ "an ACK with a change", "begin; sub EDS a; take; EDS 1 n1 "
		    "a; sub EDS b; take; take", "node: EDS _ _ [a] | update "
		    "EDS 1: a | node: EDS 1 n1 [a b] | -" },
		{ "not asked for: ignored", "begin; sub EDS a; take; EDS 1 n1 "
		    "a b b c=bad; take; status EDS", "node: EDS _ _ [a] | "
		    "update EDS 1: a | node: EDS 1 n1 [a] | EDS: 1, 1 "
		    "accepted, 0 rejected, 0 unknown, 1 wanted, 1 held, 0 "
		    "waiting, names, since 0, \"\"" },
		{ "of a kind never asked for", "begin; wild CDS; take; LDS 1 "
		    "n1 l; take; wild LDS; take", "node: CDS _ _ [] | - | "
		    "node: LDS _ n1 []" },
		{ "of a kind no longer wanted", "begin; sub EDS a; take; "
		    "unsub EDS a; take; EDS 1 n1 a; take; status EDS",
		    "node: EDS _ _ [a] | node: EDS _ _ [] | "
		    "node: EDS _ n1 [] | EDS: _, 0 accepted, 0 rejected, 0 "
		    "unknown, 0 wanted, 0 held, 0 waiting, names, since 0, "
		    "\"\"" },
		{ "an unknown type", "begin; wild CDS; take; XXX 1 n1 a; "
		    "take; status CDS", "node: CDS _ _ [] | - | CDS: _, 0 "
		    "accepted, 0 rejected, 1 unknown, 0 wanted, 0 held, 0 "
		    "waiting, wildcard, since 0, \"\"" },
	};

	PLAY(cases);
}

/* Bad after its ACK. */
Test(ads, retracted)
{
	static const struct play_case cases[] = {
		{ "a NACK more, of no version", "begin; wild LDS; take; LDS 1 "
		    "n1 a b; take; retract LDS a; take; take; status LDS",
		    "node: LDS _ _ [] | update LDS 1: a b | node: LDS 1 n1 [] "
		    "| node: LDS _ n1 [] NACK(a: it is bad) | - | LDS: _, 1 "
		    "accepted, 1 rejected, 0 unknown, 0 wanted, 1 held, 0 "
		    "waiting, wildcard, since 0, \"a: it is bad\"" },
		{ "in place of the ACK", "begin; wild LDS; take; LDS 1 n1 a b; "
		    "retract LDS a; take; take", "node: LDS _ _ [] | update "
		    "LDS 1: a b | node: LDS _ n1 [] NACK(a: it is bad) | -" },
		{ "it may come again", "begin; wild LDS; take; LDS 1 n1 a; "
		    "take; retract LDS a; take; LDS 1 n2 a; take; status LDS",
		    "node: LDS _ _ [] | update LDS 1: a | node: LDS 1 n1 [] | "
		    "node: LDS _ n1 [] NACK(a: it is bad) | update LDS 1: a | "
		    "node: LDS 1 n2 [] | LDS: 1, 2 accepted, 1 rejected, 0 "
		    "unknown, 0 wanted, 1 held, 0 waiting, wildcard, since 0, "
		    "\"a: it is bad\"" },
		{ "not held, or gone meanwhile", "begin; wild LDS; take; LDS 1 "
		    "n1 a; take; retract LDS b; take; LDS 2 n2 b; take; "
		    "retract LDS a; take", "node: LDS _ _ [] | update LDS 1: "
		    "a | node: LDS 1 n1 [] | - | update LDS 2: b -a | node: "
		    "LDS 2 n2 [] | -" },
		{ "while an update waits: it says", "begin; wild LDS; take; "
		    "LDS 1 n1 a; take; later; LDS 2 n2 a; retract LDS a; take;"
		    " answer; take", "node: LDS _ _ [] | update LDS 1: a | "
		    "node: LDS 1 n1 [] | update LDS 2: a | - | "
		    "node: LDS 2 n2 []" },
		{ "no stream: the next one has less", "begin; wild LDS; take; "
		    "LDS 1 n1 a; take; end; retract LDS a; begin; take",
		    "node: LDS _ _ [] | update LDS 1: a | node: LDS 1 n1 [] | "
		    "node: LDS _ _ []" },
	};

	PLAY(cases);
}

#define CDS_A	"begin; wild CDS; take; CDS 1 n1 a b; take; "
#define CDS_A_LOG "node: CDS _ _ [] | update CDS 1: a b | node: CDS 1 n1 [] | "

Test(ads, parts_that_are_refused)
{
	static const struct play_case cases[] = {
		{ "of another type; nothing is removed", CDS_A "CDS 2 n2 a ^b;"
		    " take", CDS_A_LOG "update CDS 2: a | node: CDS 1 n2 [] "
		    "NACK(resource 2: it is a \"type.googleapis.com/"
		    "envoy.Other\", not a envoy.config.cluster.v3.Cluster)" },
		{ "no name", CDS_A "CDS 2 n2 0 a; take", CDS_A_LOG "update "
		    "CDS 2: a | node: CDS 1 n2 [] NACK(resource 1: it has no "
		    "name)" },
		{ "no message", CDS_A "CDS 2 n2 a % c; take", CDS_A_LOG
		    "update CDS 2: a c | node: CDS 1 n2 [] NACK(resource 2: "
		    "it can't be parsed)" },
		{ "given twice; what is held stays", CDS_A "CDS 2 n2 a=x b "
		    "a=y; take", CDS_A_LOG "update CDS 2: b | "
		    "node: CDS 1 n2 [] NACK(a: it is given twice\na: it is "
		    "given twice)" },
		{ "a bad one is not absent", CDS_A "CDS 2 n2 b=bad; take; "
		    "CDS 3 n3 b; take", CDS_A_LOG "update CDS 2: b -a | "
		    "node: CDS 1 n2 [] NACK(b: it is bad) | update CDS 3: b | "
		    "node: CDS 3 n3 []" },
		{ "xdstp", "begin; wild CDS; take; CDS 1 n1 xdstp://x/y a; "
		    "take", "node: CDS _ _ [] | update CDS 1: a | "
		    "node: CDS _ n1 [] NACK(xdstp://x/y: names of the form "
		    "xdstp:// are not supported)" },
		{ "*", "begin; wild CDS; take; CDS 1 n1 *; take",
		    "node: CDS _ _ [] | update CDS 1: | node: CDS _ n1 [] "
		    "NACK(*: no resource may be named *)" },
		{ "wrapped, another name inside", CDS_A "CDS 2 n2 b <a>c>; "
		    "take", CDS_A_LOG "update CDS 2: b | node: CDS 1 n2 [] "
		    "NACK(a: the message in it is named c)" },
		{ "wrapped, no name outside", CDS_A "CDS 2 n2 b <0>a>; take",
		    CDS_A_LOG "update CDS 2: b a | node: CDS 2 n2 []" },
		{ "wrapped rubbish", CDS_A "CDS 2 n2 b <a=x>; take",
		    CDS_A_LOG "update CDS 2: b a | node: CDS 2 n2 []" },
		{ "a ttl of nothing", CDS_A "CDS 2 n2 b <a~0>; take",
		    CDS_A_LOG "update CDS 2: b | node: CDS 1 n2 [] NACK(a: a "
		    "ttl of 0 s and 0 ns; it must be positive)" },
	};

	PLAY(cases);
}

/* ---- what goes */

Test(ads, removal)
{
	static const struct play_case cases[] = {
		{ "by absence", CDS_A "CDS 2 n2 b; CDS 3 n3; take", CDS_A_LOG
		    "update CDS 2: b -a | update CDS 3: -b | "
		    "node: CDS 3 n3 []" },
		{ "not of EDS", "begin; sub EDS a; sub EDS b; take; EDS 1 n1 "
		    "a b; EDS 2 n2 b; EDS 3 n3; take; status EDS",
		    "node: EDS _ _ [a b] | update EDS 1: a b | update EDS 2: "
		    "b | update EDS 3: | node: EDS 3 n3 [a b] | EDS: 3, 3 "
		    "accepted, 0 rejected, 0 unknown, 2 wanted, 2 held, 0 "
		    "waiting, names, since 0, \"\"" },
		{ "by ourselves: no event", "begin; sub EDS a; take; EDS 1 n1 "
		    "a; unsub EDS a; take; status EDS", "node: EDS _ _ [a] | "
		    "update EDS 1: a | node: EDS 1 n1 [] | EDS: 1, 1 "
		    "accepted, 0 rejected, 0 unknown, 0 wanted, 0 held, 0 "
		    "waiting, names, since 0, \"\"" },
		{ "a name beside the wildcard stays", CDS_A "sub CDS a; "
		    "take; unsub CDS a; take; CDS 2 n2 b; take", CDS_A_LOG
		    "node: CDS 1 n1 [* a] | node: CDS 1 n1 [*] | update CDS "
		    "2: b -a | node: CDS 2 n2 [*]" },
		{ "with the wildcard all go but those wanted", CDS_A "sub CDS "
		    "a; unwild CDS; take; status CDS", CDS_A_LOG
		    "node: CDS 1 n1 [a] | CDS: 1, 1 accepted, 0 rejected, 0 "
		    "unknown, 1 wanted, 1 held, 0 waiting, names, since 0, "
		    "\"\"" },
	};

	PLAY(cases);
}

Test(ads, an_empty_start)
{
	static const char why[] = "the first response of this stream would "
	    "remove all that is held (2); send it again if that is meant";
	char want[512];
	struct play_case cases[] = {
		{ "refused once", CDS_A "end; begin; take; CDS 9 n1; take; "
		    "CDS 9 n2; take", want },
	};

	snprintf(want, sizeof(want), CDS_A_LOG "node: CDS 1 _ [] | "
	    "node: CDS 1 n1 [] NACK(%s) | update CDS 9: -a -b | "
	    "node: CDS 9 n2 []", why);
	PLAY(cases);
	cases[0].what = "from a checkpoint; meant on the stream after";
	cases[0].lines = "hold CDS a 1; hold CDS b 1; wild CDS; begin; take; "
	    "CDS 9 n1; take; end; begin; take; CDS 9 n1; take";
	snprintf(want, sizeof(want), "node: CDS 1 _ [] | "
	    "node: CDS 1 n1 [] NACK(%s) | node: CDS 1 _ [] | "
	    "update CDS 9: -a -b | node: CDS 9 n1 []", why);
	PLAY(cases);
	cases[0].what = "a full one, and an empty start is refused anew";
	cases[0].lines = CDS_A "end; begin; take; CDS 9 n1; CDS 9 n2; CDS 10 "
	    "n3 a b; end; begin; take; CDS 9 n1; at 1000; take";
	snprintf(want, sizeof(want), CDS_A_LOG "node: CDS 1 _ [] | update "
	    "CDS 9: -a -b | update CDS 10: a b | node: CDS 10 _ [] | "
	    "node: CDS 10 n1 [] NACK(%s)", why);
	PLAY(cases);
	cases[0].what = "not when it comes later, and anew after a full one";
	cases[0].lines = CDS_A "end; begin; take; CDS 2 n1 a b; take; "
	    "CDS 3 n2; take; CDS 4 n3 a b; take; end; begin; take; "
	    "CDS 9 n1; take";
	snprintf(want, sizeof(want), CDS_A_LOG "node: CDS 1 _ [] | update "
	    "CDS 2: a b | node: CDS 2 n1 [] | update CDS 3: -a -b | "
	    "node: CDS 3 n2 [] | update CDS 4: a b | node: CDS 4 n3 [] | "
	    "node: CDS 4 _ [] | node: CDS 4 n1 [] NACK(%s)", why);
	PLAY(cases);
}

/* ---- streams */

Test(ads, reconnect)
{
	static const struct play_case cases[] = {
		{ "versions stay, nonces go", "wild CDS; sub EDS a; begin; "
		    "take; CDS 1 n1 c; EDS 5 m1 a; take; end; begin; take",
		    "node: CDS _ _ [] | node: EDS _ _ [a] | update CDS 1: c | "
		    "update EDS 5: a | node: CDS 1 n1 [] | node: EDS 5 m1 [a] "
		    "| node: CDS 1 _ [] | node: EDS 5 _ [a]" },
		{ "after a NACK all is asked for again (34334, 33607)",
		    "wild CDS; sub EDS a; sub SDS s; wild LDS; begin; take; "
		    "CDS 1 n1 c; CDS 2 n2 c=bad; SDS 1 m1 s=bad; take; end; "
		    "begin; take; take",
		    "node: CDS _ _ [] | node: EDS _ _ [a] | node: SDS _ _ [s] "
		    "| node: LDS _ _ [] | update CDS 1: c | update CDS 2: c | "
		    "update SDS 1: s | node: CDS 1 n2 [] NACK(c: it is bad) | "
		    "node: SDS _ m1 [s] NACK(s: it is bad) | "
		    "node: CDS 1 _ [] | node: EDS _ _ [a] | node: SDS _ _ [s] "
		    "| node: LDS _ _ [] | -" },
		{ "an answer that was not sent is gone", "sub EDS a; begin; "
		    "take; EDS 1 n1 a=bad; end; begin; take",
		    "node: EDS _ _ [a] | update EDS 1: a | "
		    "node: EDS _ _ [a]" },
		{ "wanted meanwhile", "sub EDS a; begin; take; end; unsub EDS "
		    "a; sub EDS b; begin; take; end; unsub EDS b; begin; take",
		    "node: EDS _ _ [a] | node: EDS _ _ [b] | -" },
		{ "a version is of all that is wanted", "begin; sub CDS a; "
		    "take; CDS 1 n1 a; take; wild CDS; end; begin; take",
		    "node: CDS _ _ [a] | update CDS 1: a | node: CDS 1 n1 [a] "
		    "| node: CDS _ _ [* a]" },
		{ "of a checkpoint", "hold CDS a 7; hold CDS b 7; hold EDS a "
		    "3; hold EDS b 4; wild CDS; sub EDS a; sub EDS b; begin; "
		    "take; status EDS", "node: CDS 7 _ [] | node: EDS _ _ [a "
		    "b] | EDS: _, 0 accepted, 0 rejected, 0 unknown, 2 "
		    "wanted, 2 held, 0 waiting, names, since 0, \"\"" },
	};

	PLAY(cases);
}

Test(ads, answered_later)
{
	static const struct play_case cases[] = {
		{ "nothing of this kind meanwhile", "later; begin; wild CDS; "
		    "take; CDS 1 n1 a=bad b; take; wild LDS; sub CDS c; take; "
		    "answer; take", "node: CDS _ _ [] | update CDS 1: a b | - "
		    "| node: LDS _ _ [] | node: CDS _ n1 [* c] NACK(a: it is "
		    "bad)" },
		{ "the stream ends meanwhile", "later; begin; wild CDS; take; "
		    "CDS 1 n1 a; end; answer; begin; take; status CDS",
		    "node: CDS _ _ [] | update CDS 1: a | node: CDS 1 _ [] | "
		    "CDS: 1, 1 accepted, 0 rejected, 0 unknown, 0 wanted, 1 "
		    "held, 0 waiting, wildcard, since 0, \"\"" },
		{ "and the next one begins", "later; begin; wild CDS; take; "
		    "CDS 1 n1 a; end; begin; take; answer; take",
		    "node: CDS _ _ [] | update CDS 1: a | - | "
		    "node: CDS 1 _ []" },
		{ "no longer wanted", "later; begin; sub EDS a; sub EDS b; "
		    "take; EDS 1 n1 a b; unsub EDS a; answer; take; status "
		    "EDS", "node: EDS _ _ [a b] | update EDS 1: a b | "
		    "node: EDS 1 n1 [b] | EDS: 1, 1 accepted, 0 rejected, 0 "
		    "unknown, 1 wanted, 1 held, 0 waiting, names, since 0, "
		    "\"\"" },
		{ "time stands still", "later; begin; sub EDS a; sub EDS b; "
		    "take; EDS 1 n1 a; at 20000; answer; at 20001; take",
		    "node: EDS _ _ [a b] | update EDS 1: a | missing EDS b | "
		    "node: EDS 1 n1 [a b]" },
		{ "never", "later; begin; wild CDS; take; CDS 1 n1 a",
		    "node: CDS _ _ [] | update CDS 1: a" },
	};

	PLAY(cases);
}

/* ---- time */

#define BAD(nonce) "CDS 2 " nonce " a=bad; take; "
#define BAD_LOG	"update CDS 2: a | "
#define NACK(nonce) "node: CDS _ " nonce " [] NACK(a: it is bad) | "

Test(ads, refused_again_after_a_pause)
{
	static const struct play_case cases[] = {
		{ "1 s, 2 s, 4 s", "begin; wild CDS; take; " BAD("n1")
		    BAD("n2") "at 999; take; at 1000; take; " BAD("n3") "at "
		    "2999; take; at 3000; take; " BAD("n4") "at 6999; take; "
		    "at 7000; take", "node: CDS _ _ [] | " BAD_LOG NACK("n1")
		    BAD_LOG "- | - | " NACK("n2") BAD_LOG "- | - | "
		    NACK("n3") BAD_LOG "- | - | "
		    "node: CDS _ n4 [] NACK(a: it is bad)" },
		{ "another version number is no other response", "begin; wild "
		    "CDS; take; " BAD("n1") "CDS 3 n2 a=bad; take; at 1000; "
		    "take", "node: CDS _ _ [] | " BAD_LOG NACK("n1") "update "
		    "CDS 3: a | - | node: CDS _ n2 [] NACK(a: it is bad)" },
		{ "another order is no other response", "begin; wild CDS; "
		    "take; CDS 2 n1 a=bad c; take; CDS 2 n2 c a=bad; take; at "
		    "1000; take", "node: CDS _ _ [] | update CDS 2: a c | "
		    NACK("n1") "update CDS 2: c a | - | node: CDS _ n2 [] "
		    "NACK(a: it is bad)" },
		{ "another response is answered at once", "begin; wild CDS; "
		    "take; " BAD("n1") BAD("n2") "CDS 3 n3 a; take; CDS 4 n4 "
		    "a=worse_bad; take", "node: CDS _ _ [] | " BAD_LOG
		    NACK("n1") BAD_LOG "- | update CDS 3: a | "
		    "node: CDS 3 n3 [] | update CDS 4: a | "
		    "node: CDS 3 n4 [] NACK(a: it is bad)" },
		{ "heartbeats of two names are not the same", "begin; wild "
		    "CDS; take; CDS 1 n1 <a?>; take; CDS 1 n2 <b?>; take",
		    "node: CDS _ _ [] | node: CDS _ n1 [] NACK(a: it has no "
		    "body, and its version \"1\" is not what is held) | "
		    "node: CDS _ n2 [] NACK(b: it has no body, and its "
		    "version \"1\" is not what is held)" },
		{ "two in turn", "begin; wild CDS; take; " BAD("n1") "CDS 2 "
		    "n2 b=bad; take; " BAD("n3") "CDS 2 n4 b=bad; take; at "
		    "1000; take", "node: CDS _ _ [] | " BAD_LOG NACK("n1")
		    "update CDS 2: b | node: CDS _ n2 [] NACK(b: it is bad) "
		    "| " BAD_LOG "- | update CDS 2: b | - | "
		    "node: CDS _ n4 [] NACK(b: it is bad)" },
		{ "on the next stream too", "begin; wild CDS; take; "
		    BAD("n1") "end; begin; take; " BAD("n1") "at 1000; take",
		    "node: CDS _ _ [] | " BAD_LOG NACK("n1")
		    "node: CDS _ _ [] | " BAD_LOG "- | "
		    "node: CDS _ n1 [] NACK(a: it is bad)" },
		{ "after a minute of quiet it is new", "begin; wild CDS; "
		    "take; " BAD("n1") "at 60001; " BAD("n2"),
		    "node: CDS _ _ [] | " BAD_LOG NACK("n1") BAD_LOG
		    "node: CDS _ n2 [] NACK(a: it is bad)" },
		{ "a change of what is wanted says it too", "begin; sub EDS "
		    "a; take; EDS 1 n1 a=bad; take; EDS 1 n2 a=bad; take; sub "
		    "EDS b; take; take", "node: EDS _ _ [a] | update EDS 1: a "
		    "| node: EDS _ n1 [a] NACK(a: it is bad) | update EDS 1: "
		    "a | - | node: EDS _ n2 [a b] NACK(a: it is bad) | -" },
	};

	PLAY(cases);
}

/* A server that resends at once, for an hour: what it gets. */
Test(ads, no_server_makes_us_spin)
{
	struct play p;
	int nacks = 0;
	size_t before;

	play_open(&p, 0, 0);
	play_lines(&p, "begin; wild CDS; take");
	for (p.now_ms = 0; p.now_ms < 3600000; p.now_ms += 100) {
		p.log_n = 0;
		play_lines(&p, "CDS 1 n1 a=bad");
		for (int i = 0; i < 10; i++, p.now_ms += 100) {
			ads_step(p.ads, p.now_ms);
			before = p.log_n;
			while (play_take(&p))
				nacks++;
			if (p.log_n > before)
				break;
		}
	}
	cr_assert_lt(nacks, 130, "%d", nacks);
	cr_assert_gt(nacks, 0, "%d", nacks);
	ads_free(p.ads);
}

Test(ads, missing)
{
	static const struct play_case cases[] = {
		{ "after 15 s, once", "begin; sub EDS a; sub EDS b; take; EDS "
		    "1 n1 b; at 14999; at 15000; at 99999; status EDS",
		    "node: EDS _ _ [a b] | update EDS 1: b | missing EDS a | "
		    "EDS: 1, 1 accepted, 0 rejected, 0 unknown, 2 wanted, 1 "
		    "held, 1 waiting, names, since 0, \"\"" },
		{ "from when it was asked for", "begin; at 5000; sub EDS a; "
		    "at 9000; take; sub EDS b; at 12000; take; at 23999; at "
		    "24000; at 26999; at 27000", "node: EDS _ _ [a] | "
		    "node: EDS _ _ [a b] | missing EDS a | missing EDS b" },
		{ "not while nobody asked", "sub EDS a; at 99999; begin; at "
		    "199999; take; at 214998; end; at 300000; begin; take; at "
		    "314999; at 315000", "node: EDS _ _ [a] | "
		    "node: EDS _ _ [a] | missing EDS a" },
		{ "not what is held", "begin; sub EDS a; take; EDS 1 n1 a; at "
		    "5000; end; begin; take; at 99999", "node: EDS _ _ [a] | "
		    "update EDS 1: a | node: EDS 1 _ [a]" },
		{ "not what a checkpoint holds", "hold EDS a 1; begin; sub "
		    "EDS a; take; at 99999", "node: EDS 1 _ [a]" },
		{ "nor when it comes late", "begin; sub EDS a; take; hold EDS "
		    "a 1; at 99999", "node: EDS _ _ [a]" },
		{ "not what came and was refused", "begin; sub EDS a; take; "
		    "EDS 1 n1 a=bad; at 99999", "node: EDS _ _ [a] | update "
		    "EDS 1: a" },
		{ "but what could not be shown", "begin; sub EDS a; take; EDS "
		    "1 n1 a a; at 15000", "node: EDS _ _ [a] | update EDS 1: "
		    "| missing EDS a" },
		{ "not what was removed", "begin; sub CDS a; take; CDS 1 n1 "
		    "a; CDS 2 n2; take; at 99999", "node: CDS _ _ [a] | "
		    "update CDS 1: a | update CDS 2: -a | "
		    "node: CDS 2 n2 [a]" },
		{ "it may come after that", "begin; sub EDS a; take; at "
		    "15000; EDS 1 n1 a; take", "node: EDS _ _ [a] | missing "
		    "EDS a | update EDS 1: a | node: EDS 1 n1 [a]" },
		{ "again on the next stream", "begin; sub EDS a; take; at "
		    "15000; end; begin; take; at 30000; at 99999",
		    "node: EDS _ _ [a] | missing EDS a | node: EDS _ _ [a] | "
		    "missing EDS a" },
		{ "again when wanted anew", "begin; sub EDS a; take; at "
		    "15000; unsub EDS a; take; sub EDS a; take; at 29999; at "
		    "30000", "node: EDS _ _ [a] | missing EDS a | "
		    "node: EDS _ _ [] | node: EDS _ _ [a] | missing EDS a" },
		{ "not who left", "begin; sub EDS a; take; unsub EDS a; at "
		    "99999", "node: EDS _ _ [a]" },
	};

	PLAY(cases);
}

Test(ads, ttl)
{
	static const struct play_case cases[] = {
		{ "ends as a removal; the version is forgotten", "begin; wild "
		    "CDS; take; CDS 1 n1 <a~50> b; take; at 49; at 50; take; "
		    "end; begin; take", "node: CDS _ _ [] | update CDS 1: a b "
		    "| node: CDS 1 n1 [] | update CDS 1: -a | - | "
		    "node: CDS _ _ []" },
		{ "a heartbeat refreshes it, and is no news; the others stay",
		    "begin; wild CDS; take; CDS 1 n1 <a~50> b; at 40; CDS 1 "
		    "n2 <a?~50>; take; at 89; at 90", "node: CDS _ _ [] | "
		    "update CDS 1: a b | node: CDS 1 n2 [] | "
		    "update CDS 1: -a" },
		{ "a heartbeat of its own version", "begin; wild CDS; take; "
		    "CDS 1 n1 <a/7~50>; at 40; CDS 1 n2 <a?/7~50>; take; at "
		    "89; at 90", "node: CDS _ _ [] | update CDS 1: a/7 | "
		    "node: CDS 1 n2 [] | update CDS 1: -a" },
		{ "a heartbeat of another version; nothing else goes",
		    "begin; wild CDS; take; CDS 1 n1 <a~50> b; CDS 2 n2 "
		    "<a?/2~50>; take; at 50", "node: CDS _ _ [] | update CDS "
		    "1: a b | node: CDS 1 n2 [] NACK(a: it has no body, and "
		    "its version \"2\" is not what is held) | update CDS 1: "
		    "-a" },
		{ "a heartbeat of nobody", "begin; wild CDS; take; CDS 1 n1 "
		    "<a?~50>; take", "node: CDS _ _ [] | node: CDS _ n1 [] "
		    "NACK(a: it has no body, and its version \"1\" is not "
		    "what is held)" },
		{ "an update without one clears it", "begin; sub EDS a; take; "
		    "EDS 1 n1 <a~50>; EDS 2 n2 a; at 99999", "node: EDS _ _ "
		    "[a] | update EDS 1: a | update EDS 2: a" },
		{ "a heartbeat without one clears it", "begin; sub EDS a; "
		    "take; EDS 1 n1 <a~50>; EDS 1 n2 <a?>; at 99999",
		    "node: EDS _ _ [a] | update EDS 1: a" },
		{ "a refused update leaves it", "begin; sub EDS a; take; EDS "
		    "1 n1 <a~50>; EDS 2 n2 <a=bad~99>; at 50", "node: EDS _ _ "
		    "[a] | update EDS 1: a | update EDS 2: a | update EDS 1: "
		    "-a" },
		{ "also when no stream is up; not missing then", "begin; sub "
		    "EDS a; take; EDS 1 n1 <a~50>; end; at 50; begin; take; "
		    "at 99999", "node: EDS _ _ [a] | update EDS 1: a | update "
		    "EDS 1: -a | node: EDS _ _ [a] | missing EDS a" },
		{ "several at once, and of two kinds", "begin; sub EDS a; sub "
		    "EDS b; wild CDS; take; EDS 1 n1 <a~30> <b~20>; CDS 1 m1 "
		    "<c~25>; at 99", "node: CDS _ _ [] | node: EDS _ _ [a b] "
		    "| update EDS 1: a b | update CDS 1: c | update EDS 1: -b "
		    "| update CDS 1: -c | update EDS _: -a" },
		{ "answered later", "later; begin; sub EDS a; sub EDS b; "
		    "take; EDS 1 n1 <a~30> <b~40>; answer; take; at 30; sub "
		    "EDS c; take; at 99; answer; take; at 100",
		    "node: EDS _ _ [a b] | update EDS 1: a b | "
		    "node: EDS 1 n1 [a b] | update EDS 1: -a | - | "
		    "node: EDS _ n1 [a b c] | update EDS _: -b" },
	};

	PLAY(cases);
}

/* ---- hostile and large */

/* Names of two-byte letters, so that a cut may fall within one. */
Test(ads, long_reasons_are_cut)
{
	struct play *p = malloc(sizeof(*p));
	char line[16000], *nack;

	for (int shift = 0; shift < 4; shift++) {
		snprintf(line, sizeof(line), "CDS 1 n1 %.*s=bad", shift + 1,
		    "abcd");
		for (int i = 0; i < 60; i++) {
			sprintf(line + strlen(line), " %d", i);
			for (int j = 0; j < 50; j++)
				strcat(line, "\xc3\xa9");
			strcat(line, "=bad");
		}
		play_open(p, 0, 0);
		play_lines(p, "begin; wild CDS; take");
		play_lines(p, line);
		p->log_n = 0;
		play_lines(p, "take");
		nack = strstr(p->log, "NACK(") + 5;
		cr_assert_gt(strlen(nack), 4000);
		cr_assert_leq(strlen(nack), 4096 + 1);
		cr_assert_not_null(strstr(nack, "... (truncated))"));
		cr_assert_null(strchr(nack, '?'), "%s", nack);
		ads_free(p->ads);
	}
	free(p);
}

/* Each TTL ends in its own millisecond, however they were set anew. */
Test(ads, many_ttls)
{
	enum { N = 300, TTL_MAX = 500, TURNS = 2000 };
	struct chance chance = { 1 };
	struct play *p = malloc(sizeof(*p));
	int64_t ends[N] = { 0 };
	char line[64];
	int ended = 0;

	play_open(p, 0, 0);
	play_lines(p, "begin; wild CDS; take");
	for (int i = 0; i < N; i++) {
		snprintf(line, sizeof(line), "sub EDS a%d", i);
		play_lines(p, line);
	}
	for (p->now_ms = 1; p->now_ms < TURNS; p->now_ms++) {
		p->log_n = 0;
		p->log[0] = '\0';
		ads_step(p->ads, p->now_ms);
		for (int i = 0; i < N; i++) {
			snprintf(line, sizeof(line), " -a%d ", i);
			strcat(p->log, " ");
			cr_assert_eq(ends[i] == p->now_ms, strstr(p->log,
			    line) != NULL, "%d at %d", i, (int)p->now_ms);
			ended += ends[i] == p->now_ms;
		}
		for (int j = 0; j < 2; j++) {
			int i = (int)chance_below(&chance, N);
			uint32_t ttl = chance_below(&chance, TTL_MAX) + 1;

			p->log_n = 0;
			snprintf(line, sizeof(line), "EDS 1 n <a%d~%u>", i,
			    (unsigned)ttl);
			play_lines(p, line);
			ends[i] = p->now_ms + ttl;
		}
	}
	cr_assert_gt(ended, TURNS / 4);
	ads_free(p->ads);
	free(p);
}

Test(ads, texts_that_are_too_long)
{
	char line[16000], text[5000];
	struct play *p = malloc(sizeof(*p));

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	play_open(p, 0, 0);
	play_lines(p, "begin; wild CDS; take");
	p->log_n = 0;
	snprintf(line, sizeof(line), "CDS 1 n1 a %s; take", text);
	play_lines(p, line);
	cr_assert_str_eq(p->log, "update CDS 1: a | node: CDS _ n1 [] "
	    "NACK(resource 2: a name of 4999 bytes; 4096 at most)");
	p->log_n = 0;
	snprintf(line, sizeof(line), "CDS 1 %s a; take", text);
	play_lines(p, line);
	cr_assert_str_eq(p->log, "end: a response whose nonce or version is "
	    "longer than 4096 bytes | -");
	ads_free(p->ads);
	free(p);
}

Test(ads, no_response_at_all)
{
	static const struct {
		const char	*bytes;
		size_t		 n;
		const char	*want;
	} cases[] = {
#define B(text)	text, sizeof(text) - 1
#define M "end: envoy.service.discovery.v3.DiscoveryResponse"
		{ B(""), "" },			/* of an unknown type: '' */
		{ B("\x0a\x05" "a"), M " field 1 (version_info): longer than "
		    "what holds it" },
		{ B("\x22\x01\xff"), M " field 4 (type_url): a string that "
		    "has a NUL or is not UTF-8" },
		{ B("\x2a\x01\x00"), M " field 5 (nonce): a string that has a "
		    "NUL or is not UTF-8" },
		{ B("\xfa\x01\x00"), "" },	/* a field we don't know */
	};
	struct play p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		play_open(&p, 0, 0);
		ads_begin(p.ads, 0);
		play_feed(&p, (const uint8_t *)cases[i].bytes, cases[i].n);
		cr_expect_str_eq(p.log, cases[i].want, "%zu: %s", i, p.log);
		ads_free(p.ads);
	}
}

Test(ads, who_the_control_plane_is)
{
	Envoy__Service__Discovery__V3__DiscoveryResponse m;
	Envoy__Config__Core__V3__ControlPlane c;
	struct ads_status s;
	uint8_t bytes[256];
	struct play p;
	char url[] = "envoy.config.cluster.v3.Cluster", id[] = "me";

	envoy__service__discovery__v3__discovery_response__init(&m);
	envoy__config__core__v3__control_plane__init(&c);
	c.identifier = id;
	m.control_plane = &c;
	m.type_url = url;
	play_open(&p, 0, 0);
	ads_begin(p.ads, 0);
	play_feed(&p, bytes,
	    envoy__service__discovery__v3__discovery_response__pack(&m, bytes));
	ads_status(p.ads, RESOURCE_ROUTE, &s);
	cr_assert_str_eq(s.control_plane, "me");
	ads_free(p.ads);
}
