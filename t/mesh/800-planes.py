"""The control planes that the tests behind this one run against, with a real
Envoy as their client: what t/lib/plane.py and t/lib/scripted.py say that a
client said is what it said, and what they serve is what is used."""
import plane
from mesh import GATEWAY, free_port, until
from plane import Plane, assignment, cluster, listener, route
from scripted import (Over, Scripted, any_of, hostile_clusters,
                      hostile_messages, wrapped)

NODE = "envoy"
# What Envoy refuses, and a word of its why.
BAD, WHY = cluster("bad", [1], lb_policy="CLUSTER_PROVIDED"), "bad"

ENVOY_TAKES = ["a name with a NUL"]     # of what a client must refuse


class Mesh:
    """Services a and b, a plane that leads to a, and an Envoy."""

    def __init__(self, m, delta=False, ads=True, tls=None, plane_tls=None,
                 secrets=(), **kwargs):
        self.a, self.b = m.service("a"), m.service("b")
        self.port = free_port()
        self.source = plane.ADS if ads else plane.api_source(delta)
        self.plane = Plane(m, ads=ads, tls=plane_tls, **kwargs)
        self.plane.set(
            clusters=[cluster("greeter", source=self.source)],
            endpoints=[assignment("greeter", [self.a.port])],
            listeners=[listener(
                "callers", self.port, "routes", self.source,
                tls=secrets and plane.server_tls("own", "ca"))],
            routes=[route("routes", [("/demo.Greeter/", "greeter")])],
            secrets=secrets)
        self.envoy = plane.envoy(m, self.plane.port, NODE, delta=delta,
                                 ads=ads, tls=tls)
        self.caller = m.caller(self.port,
                               secrets and m.credentials("us-local"))
        self.until_served_by("a")

    def served_by(self):
        answer = self.caller.call(b"")
        return answer.body and answer.body.decode()[:-1]

    def until_served_by(self, name):
        until(lambda: self.served_by() == name, f"{name} is asked")


def goes_through(m, said=None, **kwargs):
    """An update, and what is refused; said: the version in its NACK."""
    mesh = Mesh(m, **kwargs)
    p = mesh.plane
    for kind in "clusters", "endpoints", "listeners", "routes":
        p.until_acked(kind, "1", NODE)
    seq = p.seq()
    p.update(endpoints=[assignment("greeter", [mesh.b.port])])
    p.until_acked("endpoints", "2", NODE)
    mesh.until_served_by("b")
    sent, = p.events(what="response", since=seq)
    ack, = p.requests(since=seq)
    assert ack["kind"] == sent["kind"] == "endpoints" and \
        ack["answer"] == "ack" and ack["nonce"] == sent["nonce"] and \
        ack["time_ns"] > sent["time_ns"], (sent, ack)
    p.update(clusters=[BAD])
    assert WHY in p.until_nacked("clusters", "3")[NODE]
    p.remove(clusters=["bad"])
    p.until_acked("clusters", "4", NODE)
    assert p.nacks("clusters", NODE)[0].get("version") == said
    assert mesh.served_by() == "b"
    return mesh


def test_state_of_the_world(m):
    p = goes_through(m, said="1").plane
    first = p.requests("endpoints")[0]
    assert first["node"] == NODE and first["names"] == ["greeter"] and \
        "nonce" not in first, first


def test_delta(m):
    mesh = goes_through(m, delta=True)
    p = mesh.plane
    p.drop()
    until(lambda: len(p.streams()) == 1, "Envoy is back")
    again = until(lambda: p.requests("clusters", since=p.events(
        what="close")[-1]["seq"]), "Envoy asks again")[0]
    assert set(again["initial"]) == {"greeter"}, again
    assert mesh.served_by() == "b"


def test_single_types(m):
    p = goes_through(m, said="1", ads=False).plane
    assert {s["method"].rsplit("/", 1)[1] for s in p.streams()} == {
        "StreamClusters", "StreamEndpoints", "StreamListeners",
        "StreamRoutes"}, p.streams()


def test_secrets_of_a_plane_with_mutual_tls(m):
    def text(name):
        return m.pem(name).decode()

    mesh = Mesh(
        m, ordered=True, plane_tls="eu-gateway", client_certificates=True,
        tls=plane.files_tls(m, "us-local", GATEWAY),
        secrets=[plane.authority("ca", text("ca.pem")), plane.secret(
            "own", text("eu-gateway.pem"), text("eu-gateway.key"))])
    mesh.plane.until_acked("secrets", "1", NODE)
    mesh.plane.in_order(
        clusters=[cluster("late")], endpoints=[assignment("late", [])],
        routes=[route("routes", [("/demo.Greeter/", "late")])])
    until(lambda: mesh.caller.call().code == "UNAVAILABLE",
          "the route leads nowhere")


def test_pause_and_restart(m):
    mesh = Mesh(m)
    p = mesh.plane
    p.pause()
    p.update(endpoints=[assignment("greeter", [mesh.b.port])])
    assert p.tally("endpoints")[NODE]["responses"] == 1
    assert mesh.served_by() == "a" and len(p.streams()) == 1
    p.resume()
    p.until_acked("endpoints", "2")
    mesh.until_served_by("b")
    p.restart()
    again = until(lambda: p.requests("clusters"), "Envoy asks again")[0]
    assert again["version"] == "1" and "nonce" not in again, again
    assert p.report()["nodes"][NODE]["clusters"]["responses"] == 0
    assert mesh.served_by() == "b"
    p.drop(connections=True)
    until(lambda: len(p.events(what="open")) > 1, "Envoy is back")


def test_thousands_of_clusters(m):
    """They need not cross as JSON, and one that changes is cheap."""
    service, port = m.service("a"), free_port()
    p = Plane(m)
    p.set(generate=plane.bulk(2000, 1, [service.port], route="routes"),
          listeners=[listener("callers", port, "routes")])
    plane.envoy(m, p.port, NODE, delta=True)
    caller = m.caller(port)
    until(lambda: caller.call(method="/c1999.Greeter/SayHello").code == "OK",
          "the last cluster's service answers")
    for kind in "clusters", "endpoints", "routes":
        p.until_acked(kind)
    seq = p.seq()
    p.update(endpoints=[assignment("c1999", [])])
    p.until_acked("endpoints")
    sent, = p.events("endpoints", what="response", since=seq)
    assert sent["names"] == ["c1999"], sent
    until(lambda: caller.call(method="/c1999.Greeter/SayHello").code ==
          "UNAVAILABLE", "it has no endpoint")


def scripted_mesh(m, delta):
    """A scripted plane that leads Envoy to service a, but for clusters."""
    service, port = m.service("a"), free_port()
    s = Scripted(m)
    s.auto = s.pack_all(
        endpoints=[assignment("greeter", [service.port])],
        listeners=[listener("callers", port, "routes")],
        routes=[route("routes", [("/demo.Greeter/", "greeter")])])
    plane.envoy(m, s.port, NODE, delta=delta)
    return s, s.stream(), m.caller(port)


def hostile(good):
    return [(name, bytes) for name, bytes in hostile_clusters(good).items()
            if name not in ENVOY_TAKES]


def test_scripted(m):
    s, stream, caller = scripted_mesh(m, delta=False)
    first = stream.request("clusters")
    assert stream.how == "StreamAggregatedResources"
    assert (first.node, first.version, first.nonce, first.names, first.error
            ) == (NODE, "", "", [], None), first
    good = s.pack("clusters", cluster("greeter"))
    ack = stream.ask("clusters", {"greeter": good}, version="v1")
    assert (ack.version, ack.error) == ("v1", None), ack
    until(lambda: caller.call().code == "OK", "a is asked")
    for name, bytes in hostile(good):
        nack = stream.ask("clusters", [any_of("clusters", bytes)])
        assert (nack.version, nack.code) == ("v1", 13), (name, nack)
        assert caller.call().code == "OK", name
    nack = stream.ask("clusters", [any_of("clusters", good)] * 2)
    assert "duplicate" in nack.error, nack
    assert "type" in stream.ask("clusters", [any_of("routes", b"")]).error
    stream.end("UNAVAILABLE", "enough")
    stream.until_over()
    again = s.stream().request("clusters")
    assert (again.version, again.nonce) == ("v1", ""), again
    assert caller.call().code == "OK"


def test_scripted_delta(m):
    s, stream, caller = scripted_mesh(m, delta=True)
    assert stream.how == "DeltaAggregatedResources"
    assert stream.request("clusters").node == NODE
    good = s.pack("clusters", cluster("greeter"))
    assert stream.ask("clusters", {"greeter": good}).error is None
    until(lambda: caller.call().code == "OK", "a is asked")
    for name, bytes in hostile(good):
        nack = stream.ask("clusters", [wrapped("clusters", "x", bytes, "2")])
        assert nack.error, (name, nack)
        assert caller.call().code == "OK", name
    assert stream.ask("clusters", [], removed=["nobody"]).error is None
    s.stop()
    stream.until_over()
    s.start()
    again = s.stream().request("clusters")
    assert again.initial == {"greeter": "1"}, again
    assert caller.call().code == "OK"


def test_scripted_heartbeats(m):
    """A resource that lives as long as the server says that it does."""
    s, stream, caller = scripted_mesh(m, delta=True)
    stream.request("clusters")
    good = s.pack("clusters", cluster("greeter"))
    for heartbeat in False, True:
        ack = stream.ask("clusters", [wrapped(
            "clusters", "greeter", None if heartbeat else good, "v1",
            ttl_s=1 if heartbeat else 100)])
        assert ack.error is None, ack
        if not heartbeat:
            until(lambda: caller.call().code == "OK", "a is asked")
    until(lambda: caller.call().code != "OK", "the cluster is gone")


def test_messages_that_are_none(m):
    """Envoy lives on, on this stream or on its next."""
    s, stream, caller = scripted_mesh(m, delta=False)
    stream.request("clusters")
    good = {"greeter": s.pack("clusters", cluster("greeter"))}
    assert stream.ask("clusters", good).error is None
    until(lambda: caller.call().code == "OK", "a is asked")
    ended = []
    for name, message in hostile_messages("clusters").items():
        stream.send(message)
        try:
            answer = stream.ask("clusters", good)
        except Over:
            ended.append(name)
            stream = s.stream()
            stream.request("clusters")
            answer = stream.ask("clusters", good)
        assert answer.error is None, (name, answer)
        assert caller.call().code == "OK", name
    assert "garbage" in ended and "nothing" not in ended, ended
