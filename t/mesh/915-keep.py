"""godwit-ems over gRPC, besides xDS: Keep, a lease that is a call; health;
reflection."""
import contextlib
import os
import signal
import sqlite3

import grpc

from frames import (ACK, DATA, HEADERS, PING, REQUEST, client, data, frame,
                    headers)
from mesh import free_port, until
from registry import (CHECK, HEARTBEAT, KEEP, REFLECTION, WATCH, Ems, Keep,
                      endpoint, pack, unpack)

SERVICE = "tasks.TaskStore"


def begun(ems, channel, port, **more):
    """A Keep call that is registered, and its first answer."""
    keep = Keep(channel)
    keep.say({1: endpoint(SERVICE, port, **more)})
    return keep, keep.hear()


def test_keeps_and_leaves(m):
    ems = Ems(m)
    channel, port = ems.channel(), free_port()
    keep, first = begun(ems, channel, port)
    assert first == {"id": f"{SERVICE}-127.0.0.1-{port}", "epoch": 1,
                     "ttl_ms": 15000, "left": 0}, first
    keep.say({})
    assert keep.hear() == first
    keep.say({2: 1})
    assert keep.hear() == {**first, "left": 1}
    assert keep.hear() is None
    assert keep.end() == ("OK", ""), keep.end()
    try:
        channel.unary_unary(HEARTBEAT)(pack({1: first["id"], 2: 1}))
        raise AssertionError("there is still a lease")
    except grpc.RpcError as e:
        assert e.code().name == "NOT_FOUND", e


def test_a_call_that_breaks_off_does_not_leave(m):
    ems = Ems(m)
    channel, port = ems.channel(), free_port()
    keep, first = begun(ems, channel, port, ttl_ms=1000)
    keep.call.cancel()
    until(lambda: "silent for" in ems.log(), "the lease lapses")
    again, second = begun(ems, channel, port, ttl_ms=1000)
    assert second["epoch"] > first["epoch"], (first, second)
    other, third = begun(ems, channel, port)
    again.say({})
    assert again.hear() is None
    assert again.end()[0] == "ABORTED", again.end()
    other.say({})
    assert other.hear() == third


LEAVING = ("UNAVAILABLE", "the control plane is leaving")


def leave(ems):
    ems.proxy.process.send_signal(signal.SIGTERM)
    until(lambda: "leaving:" in ems.log(), "it leaves")


def ended(ems):
    """By itself: nobody had to be cut."""
    assert ems.proxy.exit_code() == 0, ems.log()
    assert "did not end" not in ems.log(), ems.log()


def leases(ems):
    return [(x["id"], x["epoch"]) for x in ems.rest("GET", "/v1/leases")[
        "leases"]]


def test_it_leaves(m):
    """Whoever listens is told; a lease is as it was."""
    ems = Ems(m)
    channel = ems.channel()
    watch = channel.unary_stream(WATCH)(pack({1: ""}), timeout=30)
    assert unpack(next(watch)) == {1: [1]}
    silent = Keep(channel)      # its stream comes before the next one's
    keep, first = begun(ems, channel, free_port())
    leave(ems)
    for k in keep, silent:
        assert k.hear() is None and k.end() == LEAVING, k.end()
    assert (watch.code().name, watch.details()) == LEAVING
    ended(ems)
    ems.start()
    assert leases(ems) == [(first["id"], first["epoch"])]


def test_it_leaves_while_it_stores(m):
    """What was asked for before is answered before."""
    ems = Ems(m)
    wire, message = client(ems.port), pack({1: endpoint(SERVICE, 1, id="a")})
    m.callback(wire.close)
    fields = [(":path", KEEP) if k == ":path" else (k, v)
              for k, v in REQUEST]
    with contextlib.closing(sqlite3.connect(os.path.join(
            ems.dir, "state/ems.db"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wire.send(headers(1, fields) + data(1, b"\0" + len(
            message).to_bytes(4, "big") + message) +
            frame(PING, payload=bytes(8)))
        while wire.read_one()[:2] != (PING, ACK):
            pass
        leave(ems)
        other.execute("ROLLBACK")
    assert wire.until_end_of(1) == [HEADERS, DATA, HEADERS]
    ended(ems)
    ems.start()
    assert leases(ems) == [("a", 1)]


def refusal(channel, *messages):
    keep = Keep(channel)
    for message in messages:
        keep.say(message)
    keep.words.put(None)
    while keep.hear():
        pass
    return keep.end()


def test_refuses(m):
    ems = Ems(m)
    channel = ems.channel()
    good = endpoint(SERVICE, 1)
    for messages, words in [
            ([], "there was no message"),
            ([{}], "has no endpoint"),
            ([{1: good, 2: 1}], "or leave"),
            ([{1: endpoint(SERVICE, 1, region="mars")}], "no such region"),
            ([{1: good}, {1: good}], "one call for each"),
            ([{1: "\xff"}], "")]:
        code, text = refusal(channel, *messages)
        assert code == "INVALID_ARGUMENT" and words in text, (code, text)
    # Leave may be said before the answer: both are answered.
    keep = Keep(channel)
    keep.say({1: good})
    keep.say({2: 1})
    assert (keep.hear()["left"], keep.hear()["left"]) == (0, 1)
    assert keep.hear() is None and keep.end()[0] == "OK"
    # Who half-closes keeps it no longer, and has not left.
    assert refusal(channel, {1: good}) == ("OK", "")


def test_too_many_calls(m):
    """Of one connection; others are not held up by it, and it may call again."""
    ems = Ems(m)
    one, other = ems.channel(), ems.channel()

    def check(channel, n=1):
        calls = [channel.unary_unary(CHECK).future(pack({}), timeout=30)
                 for _ in range(n)]
        return [(c.code().name, c.details()) for c in calls]
    said = set(check(one, 3000))
    assert said == {("OK", ""), (
        "RESOURCE_EXHAUSTED", "this connection has begun 1000 calls and "
        "begins more than 200 a second, come again later")}, said
    assert check(other) == [("OK", "")]
    until(lambda: check(one) == [("OK", "")], "it may call again")


def test_health(m):
    channel = Ems(m).channel()

    def check(service):
        try:
            return unpack(channel.unary_unary(CHECK)(pack({1: service})))
        except grpc.RpcError as e:
            return e.code().name
    assert check("") == check("godwit.ems.v1.Registry") == {1: [1]}
    assert check("a.B") == "NOT_FOUND"
    for service, status in ("", 1), ("a.B", 3):
        watch = channel.unary_stream(WATCH)(pack({1: service}), timeout=30)
        assert unpack(next(watch)) == {1: [status]}
        assert not watch.done()
        watch.cancel()


def test_reflection(m):
    channel = Ems(m).channel()
    for path in REFLECTION, REFLECTION.replace("v1", "v1alpha"):
        asked = [{7: "*"}, {4: "godwit.ems.v1.Registry"},
                 {4: "grpc.health.v1.HealthCheckResponse.ServingStatus"},
                 {3: "xds/proto/godwit/ems/registry.proto"},
                 {4: "godwit.ems.v1.Regis"}, {4: "a.B"}, {3: "a.proto"},
                 {6: "a.B"}]
        got = [unpack(r) for r in channel.stream_stream(path)(
            (pack(q) for q in asked), timeout=30)]
        assert [unpack(g[2][0]) for g in got] == [
            unpack(pack(q)) for q in asked]
        names = [unpack(s)[1][0] for s in unpack(got[0][6][0])[1]]
        assert names == [b"godwit.ems.v1.Registry", b"grpc.health.v1.Health",
                         b"grpc.reflection.v1.ServerReflection"], names
        registry, health, file = (
            unpack(unpack(g[4][0])[1][0]) for g in got[1:4])
        assert registry[2] == [b"godwit.ems.v1"] and registry == file
        assert health[2] == [b"grpc.health.v1"]
        methods = [unpack(x)[1][0] for x in unpack(registry[6][0])[2]]
        assert b"Keep" in methods, methods
        for g in got[4:]:
            assert unpack(g[7][0])[1] == [5], g
