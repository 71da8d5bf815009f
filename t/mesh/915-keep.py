"""godwit-ems over gRPC, besides xDS: Keep, a lease that is a call; health;
reflection."""
import grpc

from mesh import free_port, until
from registry import (CHECK, HEARTBEAT, REFLECTION, WATCH, Ems, Keep,
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
