"""Calls within a region and across two."""
import os

from mesh import TwoRegions, until


def test_own_region_and_the_other(m):
    r = TwoRegions(m)
    for region, want in (None, b"us"), ("us", b"us"), ("eu", b"eu"):
        a = r.caller.call(b"hi", region=region)
        assert a.code == "OK" and a.body == want + b":hi", (region, a)
    assert r.us.stats()["cluster.gateway-eu.ssl.handshake"] == 1
    eu = r.eu.stats()
    assert eu["http.gateway.downstream_rq_total"] == 1, "only eu's call"
    assert eu[f"listener.127.0.0.1_{r.eu_port}.ssl.handshake"] == 1
    assert (r.us_service.calls, r.eu_service.calls) == (2, 1)


def test_an_unknown_region_is_told_so(m):
    r = TwoRegions(m)
    a = r.caller.call(region="ap")
    assert (a.code, a.message) == ("UNIMPLEMENTED", ""), a
    assert a.meta("godwit-cause") == "no_route"
    a = r.caller.call(method="/other.Service/Method")
    assert a.code == "UNIMPLEMENTED" and a.meta("godwit-cause") == "no_route"
    stats = r.us.stats()
    assert stats["http.callers.no_route"] == 2
    assert stats["godwit.cause.no_route"] == 2


def test_metadata_and_trailers_pass(m):
    r = TwoRegions(m)
    mine = [("x-text", "a b;c=\"d\""), ("x-some-bin", bytes(range(256))),
            ("x-twice", "1"), ("x-twice", "2")]
    for region in "us", "eu":
        a = r.caller.call(region=region, metadata=mine)
        assert a.code == "OK", a
        for got in a.first, a.last:
            assert [kv for kv in got if kv[0] in dict(mine)] == mine, got
        assert a.meta("x-service") == region


def test_large_messages_both_ways(m):
    r = TwoRegions(m)
    for size in 0, 1, 16383, 16384, 16385, 1 << 20, 8 << 20:
        body = os.urandom(size)
        for region in "us", "eu":
            a = r.caller.call(body, method="/demo.Greeter/Echo",
                              region=region)
            assert a.code == "OK" and a.body == body, (size, region, a)


def test_many_at_once(m):
    r = TwoRegions(m)
    callers = [m.caller(r.us_port) for _ in range(4)]
    calls = [(i, callers[i % 4].start(b"%d" % i,
                                      region=("us", "eu")[i % 3 == 0]))
             for i in range(400)]
    for i, call in calls:
        a = callers[0].answer(call)
        want = b"eu:%d" if i % 3 == 0 else b"us:%d"
        assert a.code == "OK" and a.body == want % i, a
    assert r.us.stats()["cluster.greeter.upstream_cx_total"] == 1
    assert r.us.stats()["cluster.gateway-eu.upstream_cx_total"] == 1


def test_a_services_own_error_passes(m):
    r = TwoRegions(m)
    for region in "us", "eu":
        a = r.caller.call(method="/demo.Greeter/Fail", region=region)
        assert (a.code, a.message) == ("NOT_FOUND",
                                       "no such th\u00efng: 100%"), a
        assert a.meta("x-why") == "because"
        assert a.meta("godwit-cause") is None
        a = r.caller.call(method="/demo.Greeter/NoSuch", region=region)
        assert a.code == "UNIMPLEMENTED" and a.message, a


def test_the_service_sees_the_deadline(m):
    r = TwoRegions(m)
    a = r.caller.call(method="/demo.Greeter/Deadline", region="eu",
                      timeout=20)
    assert 15000 < int(a.body) <= 20000, a


def test_a_cancelled_call_is_cancelled_behind_both(m):
    r = TwoRegions(m)
    call = r.caller.start(method="/demo.Greeter/Wait", region="eu")
    until(lambda: r.eu_service.waiting == 1, "the call arrived")
    call.cancel()
    r.eu.until_stat("cluster.greeter.upstream_rq_tx_reset", 1)
    r.us.until_stat("cluster.gateway-eu.upstream_rq_active", 0)
    r.eu.until_stat("http.gateway.downstream_rq_active", 0)
    assert r.us.stats()["godwit.cause.caller_reset"] == 1
