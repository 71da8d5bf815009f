"""godwit-ems with clients of others: Envoy as sidecar, by every protocol, and
grpcio without a proxy; alone and all at once with godwit."""
import os
import threading
import time

from ems_mesh import GREETER, EmsMesh, Proxyless, until_from, who
from mesh import PATIENCE_S, until


def world(m):
    w = EmsMesh(m)
    w.service("us1", "us")
    w.service("eu1", "eu")
    return w


# ---- Envoy

def calls_of_envoy(m, delta):
    """Where calls go, as of godwit (900)."""
    w = world(m)
    w.gateway()
    w.apply(f"service: tasks\ngrpc: [demo.Tasks, demo.More]",
            "service: pinned\ngrpc: [demo.Pinned]\nregions: {allow: [us]}",
            "service: far\ngrpc: [demo.Far]\nregions: {order: [eu]}",
            "service: slow\ngrpc: [demo.Slow]\n"
            "methods: {Wait: {deadline: 0.2s}}",
            "service: split\ngrpc: [demo.Split]\n"
            "versions: {stable: {weight: 1}, canary: {weight: 1}}")
    w.service("tasks-us", "us", "tasks")
    w.service("far-eu", "eu", "far")
    w.service("slow-us", "us", "slow")
    w.service("old", "us", "split", version="stable")
    w.service("new", "us", "split", version="canary")
    w.envoy(delta=delta)
    c = w.caller("envoy")
    until_from(c, "us1")
    until_from(c, "us1", region="us")
    until_from(c, "eu1", region="eu")
    answer = c.call(region="mars")
    assert (answer.code, answer.message) == (
        "UNIMPLEMENTED", "there is no such region"), answer
    assert c.call(method="/demo.Nobody/SayHello").code == "UNIMPLEMENTED"
    for name in "demo.Tasks", "demo.More":
        until_from(c, "tasks-us", method=f"/{name}/SayHello")
    until_from(w.caller("envoy", {"grpc.default_authority": "tasks"}),
               "tasks-us", method="/demo.More/SayHello")
    answer = c.call(method="/demo.Pinned/SayHello", region="eu")
    assert answer.code == "PERMISSION_DENIED" and \
        "not allowed in region eu" in answer.message, answer
    until_from(c, "far-eu", method="/demo.Far/SayHello")
    until_from(c, "old", "new", method="/demo.Split/SayHello")
    assert c.call(method="/demo.Slow/Wait", timeout=None).code == \
        "DEADLINE_EXCEEDED"
    w.until_settled("envoy", "gateway")


def test_calls_of_envoy(m):
    calls_of_envoy(m, False)


def test_calls_of_envoy_delta(m):
    calls_of_envoy(m, True)


def replace(w, names, load, callers):
    """us1, us2 ... each by the next, under a load, then services that are
    new: no failed call."""
    for i in range(5):
        before, after = f"us{i + 1}", f"us{i + 2}"
        w.service(after, "us")
        for c in callers:
            until_from(c, before, after)
        w.deregister(before)
        for c in callers:
            until_from(c, after)
        w.until_settled(*names)
        w.services[before].stop()
    for i in range(5):
        start = time.monotonic()
        w.service(f"other{i}", "us", f"demo.Other{i}")
        for c in callers:
            until_from(c, f"other{i}", times=3,
                       method=f"/demo.Other{i}/SayHello")
        # Nobody waits for Envoy's initial_fetch_timeout, which is 15 s.
        assert time.monotonic() - start < 10, time.monotonic() - start
    load.moved()
    load.stop()
    load.is_well()


def under_load(m, **kwargs):
    w = world(m)
    w.envoy(**kwargs)
    c = w.caller("envoy")
    until_from(c, "us1")
    replace(w, ["envoy"], w.load("envoy"), [c])
    return w


def test_envoy_under_load(m):
    under_load(m)


def test_envoy_under_load_delta(m):
    under_load(m, delta=True)


def test_removed_service_of_envoy(m):
    """Its routes go first, then its cluster; the rest is not disturbed."""
    w = world(m)
    w.service("gone", "us", "demo.Gone")
    w.envoy()
    c = w.caller("envoy")
    gone = "/demo.Gone/SayHello"
    until_from(c, "us1")
    until_from(c, "gone", method=gone)
    load = w.load("envoy")
    w.deregister("gone")
    until(lambda: c.call(method=gone).code == "UNIMPLEMENTED",
          "the service is gone")
    w.until_settled("envoy")
    load.moved()
    load.stop()
    load.is_well()


# ---- each kind by a stream of its own

def singles_of_envoy(m, delta):
    """CDS and LDS: what these name is by ADS."""
    w = under_load(m, delta=delta, ads=False)
    streams = [p["types"] for p in w.ems.rest("GET", "/v1/proxies")["proxies"]]
    assert sorted([t["type"] for t in s] for s in streams) == \
        [["CDS"], ["EDS", "RDS"], ["LDS"]], streams


def test_singles_of_envoy(m):
    singles_of_envoy(m, False)


def test_singles_of_envoy_delta(m):
    singles_of_envoy(m, True)


def field(tag, value):
    value = value.encode() if isinstance(value, str) else value
    return bytes([tag << 3 | 2, len(value)]) + value


SINGLES = {         # kind: service, type, a name of it that a sidecar gets
    "Clusters": ("cluster.v3.ClusterDiscoveryService",
                 "cluster.v3.Cluster", GREETER),
    "Endpoints": ("endpoint.v3.EndpointDiscoveryService",
                  "endpoint.v3.ClusterLoadAssignment", GREETER),
    "Listeners": ("listener.v3.ListenerDiscoveryService",
                  "listener.v3.Listener", "mesh"),
    "Routes": ("route.v3.RouteDiscoveryService",
               "route.v3.RouteConfiguration", "mesh")}


def test_singles(m):
    """All of them, by who says what these messages hold by hand."""
    w = world(m)
    node = field(1, "hand") + field(4, field(1, "us")) + field(
        6, "by hand")
    channel = m.caller(w.ems.port).channel
    for kind, (service, type, name) in SINGLES.items():
        url = f"type.googleapis.com/envoy.config.{type}"
        for delta in False, True:
            first = (field(1, node) + field(2, url) + field(3, name)
                     if delta else
                     field(2, node) + field(3, name) + field(4, url))
            over = threading.Event()

            def say():
                yield first
                over.wait(PATIENCE_S)
            call = channel.stream_stream(
                f"/envoy.service.{service}/"
                f"{'Delta' if delta else 'Stream'}{kind}")(say())
            answer = next(call)
            over.set()
            assert url.encode() in answer and name.encode() in answer, \
                (kind, delta, answer)


# ---- gRPC without a proxy

def proxyless(m, library):
    w = world(m)
    p = Proxyless(w, library=library)
    p.until_from("us1")
    w.service("us2", "us")
    p.until_from("us1", "us2")
    w.deregister("us1")
    p.until_from("us2")
    w.until_settled("proxyless")
    w.services["us1"].stop()
    p.until_from("us2", times=200)
    # It goes on without godwit-ems, and follows it again.
    w.ems.kill()
    p.until_from("us2")
    w.ems.start()
    w.service("us3", "us")
    p.until_from("us2", "us3")
    assert not p.failures, p.failures[:10]


def test_grpcio(m):
    proxyless(m, "grpcio")


def test_grpc_go(m):
    proxyless(m, "grpc-go")


def versions(m, library):
    """Each new version gets its first calls, and none fails: all were loaded
    while they had a weight of 0."""
    w = EmsMesh(m)
    new = [f"new{i}" for i in range(5)]

    def apply(begun):
        weights = ", ".join(f"{v}: {{weight: {int(v in begun)}}}"
                            for v in ["old"] + new)
        w.apply(f"service: {GREETER}\nversions: {{{weights}}}")

    apply(["old"])
    for v in ["old"] + new:
        w.service(v, "us", version=v)
    p = Proxyless(w, library=library)
    p.until_from("old", times=100)
    for i in range(len(new)):
        apply(["old"] + new[:i + 1])
        p.until_from("old", *new[:i + 1], times=60)
    assert not p.failures, p.failures[:10]


def test_grpcio_versions(m):
    versions(m, "grpcio")


def test_grpc_go_versions(m):
    versions(m, "grpc-go")


# make interop, which has node.
if os.environ.get("INTEROP"):
    def test_grpc_js(m):
        proxyless(m, "grpc-js")

    def test_grpc_js_versions(m):
        versions(m, "grpc-js")


# ---- all at once

def test_all_at_once(m):
    """godwit, Envoy by both protocols, grpcio, grpc-go: one change, all
    follow."""
    w = world(m)
    w.sidecar()
    w.envoy()
    w.envoy("envoy-delta", delta=True)
    names = "sidecar", "envoy", "envoy-delta"
    callers = {n: w.caller(n) for n in names}
    libraries = {n: Proxyless(w, name=n, library=n)
                 for n in ("grpcio", "grpc-go")}
    for p in libraries.values():
        p.until_from("us1")
    for c in callers.values():
        until_from(c, "us1")
    load = w.load(*names, n=1)
    start = time.monotonic()
    w.service("us2", "us")
    took = {}
    until(lambda: all([n in took or who(c.call()) == "us2" and took.update(
        {n: time.monotonic() - start}) is None for n, c in callers.items()] +
        [n in took or p.last == "us2" and took.update(
            {n: time.monotonic() - start}) is None
         for n, p in libraries.items()]),
        lambda: f"all use us2: {took}")
    print({n: f"{t * 1000:.0f} ms" for n, t in took.items()})
    w.deregister("us1")
    for c in callers.values():
        until_from(c, "us2")
    for p in libraries.values():
        p.until_from("us2")
    w.until_settled(*names, *libraries)
    load.moved()
    load.stop()
    load.is_well()
    for p in libraries.values():
        assert not p.failures, p.failures[:10]
