"""A control plane that is broken, hostile or only as real ones are: whatever it
says is refused in words or ends the stream in words, what is good beside it is
used, nothing grows, and calls go on all the time.

GODWIT=build/asan/godwit runs it on a build that looks at itself.
"""
import re
import time

import plane
from load import Load, Unary
from mesh import GODWIT, free_port, http_get, until
from plane import Plane, assignment, cluster, listener, route
from scripted import (WRAPPER, Over, Scripted, any_of, field,
                      hostile_clusters, hostile_messages, wrapped)
from storm import StormService, count

NODE = "godwit"
BAD = cluster("bad", [1], lb_policy="RING_HASH")
GROWTH_KB = 4096        # of the master, over rounds of the same
# Of hostile_clusters: in a field that we pass over as bytes.
TAKEN = ["a struct of 10,000 levels"]


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


class Hostile:
    """A scripted plane that says all but clusters by itself, services a and b,
    a godwit, calls that never rest; good(name) is the cluster that leads
    there."""

    def __init__(self, m, delta):
        self.delta = delta
        self.services = {n: m.service(n, kind=StormService)
                         for n in "ab"}
        self.port, self.plane = free_port(), Scripted(m)
        self.plane.auto = self.plane.pack_all(
            listeners=[listener("callers", self.port, "routes")],
            routes=[route("routes", [("/demo.Greeter/", "greeter")])])
        self.godwit = m.godwit(plane.bootstrap(m, self.plane.port, NODE,
                                               delta=delta))
        self.stream = self.plane.stream()
        self.first = self.stream.request("clusters")
        self.caller = m.caller(self.port)
        self.use("a")
        self.load = Load()
        self.load.add(Unary, 2, self.port)

    def good(self, name):
        return self.plane.pack("clusters", cluster(
            "greeter", [self.services[name].port]))

    def items(self, **clusters):
        """As respond takes them; two may have one name."""
        if self.delta:
            return [wrapped("clusters", n, b, "v") for n, b in
                    clusters.items()]
        return [any_of("clusters", b) for b in clusters.values()]

    def served_by(self, name):
        return self.caller.call(b"").body == name.encode() + b":"

    def use(self, name):
        answer = self.stream.ask("clusters", self.items(
            greeter=self.good(name)))
        assert answer.error is None, answer
        until(lambda: self.served_by(name), f"{name} is asked")

    def say(self, message):
        """A whole message that may end the stream: whether it did. The next
        stream is taken then."""
        self.stream.send(message)
        try:
            nonce = self.stream.respond("clusters", self.items(
                greeter=self.good("a")))
            assert self.stream.request("clusters", nonce).error is None
            return False
        except Over:
            pass
        self.again()
        return True

    def again(self):
        """It is asked again, for all, with what is held."""
        self.stream = self.plane.stream()
        first = self.stream.request("clusters")
        assert first.node == NODE and not first.nonce, first
        assert not self.delta or "greeter" in first.initial, first

    def master(self):
        return self.godwit.children()["master"]

    def end(self):
        """Nothing failed, nobody died."""
        self.load.moved()
        self.load.stop()
        self.load.is_well()
        assert " died" not in self.godwit.log()


def sentence(text):
    """Words for a human, a line for each resource, and not too many."""
    return text is not None and len(text.split()) > 2 and \
        text.replace("\n", "").isprintable() and len(text) <= 4096


def test_node_in_the_first_request(m):
    h = Hostile(m, False)
    assert (h.first.node, h.first.version, h.first.nonce) == (NODE, "", "")
    h.end()


def bad_clusters(m, delta):
    h, turn = Hostile(m, delta), 0
    table = hostile_clusters(h.plane.pack("clusters", cluster("x", [1])))

    def around():
        nonlocal turn
        for what, bytes in table.items():
            turn += 1
            name = "ab"[turn % 2]
            nack = h.stream.ask("clusters", h.items(
                greeter=h.good(name), x=bytes))
            assert (what in TAKEN) if nack.error is None else (
                nack.code and sentence(nack.error)), (what, nack)
            until(lambda: h.served_by(name), f"{what}: {name} is asked")
        h.use("b")

    around()
    pid, before = h.master(), resident_kb(h.master())
    for _ in range(count(4, 100)):
        around()
    assert h.master() == pid
    assert "asan" in GODWIT or resident_kb(pid) < before + GROWTH_KB, \
        (before, resident_kb(pid))
    assert not h.plane.streams, "one stream was enough"
    h.end()


def test_bad_clusters(m):
    bad_clusters(m, False)


def test_bad_clusters_delta(m):
    bad_clusters(m, True)


def bad_messages(m, delta):
    """No NACK is possible for most; who ends the stream says why in the
    log, with the plane's name."""
    h = Hostile(m, delta)
    table = hostile_messages("clusters")

    def around():
        ended = []
        for what, message in table.items():
            log = len(h.godwit.log())
            if h.say(message):
                ended.append(what)
                said = until(lambda: re.search(
                    r'control plane "plane": (.*)',
                    h.godwit.log()[log:]), what)
                assert sentence(said[1]), (what, said[1])
            assert h.served_by("a"), what
        return ended

    ended = around()
    assert "garbage" in ended and "a type that does not exist" not in ended, \
        ended
    pid, before = h.master(), resident_kb(h.master())
    for _ in range(count(1, 20)):
        around()
    assert h.master() == pid
    assert "asan" in GODWIT or resident_kb(pid) < before + GROWTH_KB, \
        (before, resident_kb(pid))
    h.end()


def test_bad_messages(m):
    bad_messages(m, False)


def test_bad_messages_delta(m):
    bad_messages(m, True)


def test_names_and_wrappers(m):
    """What is no resource's fault: two of one name, another type's, a wrapper
    that lies."""
    h = Hostile(m, False)
    good = h.good("a")
    for items, words in (
            ([any_of("clusters", good)] * 2, "twice"),
            ([any_of("routes", b"")], "type"),
            ([any_of(WRAPPER, wrapped("clusters", "another", good))],
             "another"),
            ([any_of(WRAPPER, b"\xff\xff")], ""),
            ([any_of(WRAPPER, wrapped("routes", "greeter", good))], "type"),
            ([field(1, "no type at all")], "")):
        nack = h.stream.ask("clusters", items)
        assert sentence(nack.error) and words in nack.error, (words, nack)
        assert h.served_by("a")
    h.end()


def test_types_that_nobody_asked_for(m):
    """Passed over; what was asked for goes on."""
    h = Hostile(m, False)
    for kind in "secrets", "endpoints":
        h.stream.respond(kind, {})
    h.stream.respond(plane.TYPES + "service.runtime.v3.Runtime", [])
    h.use("b")
    assert not h.plane.streams
    h.end()


def empty_after_a_restart(m, delta):
    """A server that has just begun and knows nothing yet would empty us: it
    must say so twice."""
    h = Hostile(m, delta)
    for _ in range(3):
        h.stream.end("UNAVAILABLE", "a restart")
        h.stream.until_over()
        h.again()
        gone = {"removed": ["greeter"]} if delta else {}
        nack = h.stream.ask("clusters", [], **gone)
        assert sentence(nack.error), nack
        assert h.served_by("a")
        h.use("a")
    assert h.stream.ask("clusters", [], **gone).error is None, \
        "a server that has spoken may empty us"
    h.load.stop()
    h.load.is_well()


def test_empty_after_a_restart(m):
    empty_after_a_restart(m, False)


def heartbeats(m, delta):
    """A resource with a TTL lives as long as its heartbeats come; what has
    none stays."""
    h = Hostile(m, delta)

    def say(ttl_s, bytes=None):
        one = wrapped("clusters", "brief", bytes, "v1", ttl_s=ttl_s)
        answer = h.stream.ask("clusters", [one] if delta else [
            any_of(WRAPPER, one), *h.items(greeter=h.good("a"))])
        assert answer.error is None, answer

    def there():
        return any(name.startswith("cluster.brief.")
                   for name in h.godwit.stats())

    say(3600, h.plane.pack("clusters", cluster("brief", [1])))
    until(there, "the cluster is there")
    for _ in range(10):
        say(3600)
    assert there()
    say(1)
    until(lambda: not there(), "its time is over")
    say(3600, h.plane.pack("clusters", cluster("brief", [1])))
    until(there, "it is back")
    assert h.served_by("a")
    h.end()


def test_heartbeats(m):
    heartbeats(m, False)


def test_heartbeats_delta(m):
    heartbeats(m, True)


def test_large_responses(m):
    """20 MB of good clusters are taken; what is over the limit (64 MiB) ends
    the stream, and nothing of either stays."""
    h = Hostile(m, False)
    h.use("a")
    template = h.plane.pack("clusters", cluster("c00000", [1], metadata={
        "filter_metadata": {"m": {"text": "x" * 200000}}}))
    alike = [any_of("clusters", template.replace(b"c00000", b"c%05d" % i))
             for i in range(100)]
    answer = h.stream.ask("clusters", [*alike, *h.items(greeter=h.good("b"))])
    assert answer.error is None, answer
    until(lambda: h.served_by("b"), "b is asked")
    h.use("a")
    assert h.say(b"\x12" + b"\xff" * 3 + b"\x7f" + b"\0" * (65 << 20))
    assert h.served_by("a")
    h.end()


def test_what_is_refused_is_sent_again_and_again(m):
    """go-control-plane (SotW) answers a NACK with the same again, at once, for
    ever; 500 a second with Envoy. Ours are paced, and a better version is
    taken when it comes."""
    service, other = (m.service(n, kind=StormService) for n in "ab")
    port = free_port()
    p = Plane(m)
    p.set(clusters=[cluster("greeter", [service.port])],
          listeners=[listener("callers", port, route(
              "routes", [("/demo.Greeter/", "greeter")]))])
    g = m.godwit(plane.bootstrap(m, p.port, NODE))
    caller = m.caller(port)
    until(lambda: caller.call(b"").code == "OK", "a is asked")
    load = Load()
    load.add(Unary, 2, port)
    p.update(clusters=[BAD])
    begun = time.monotonic()
    until(lambda: len(p.nacks("clusters")) >= 4, "four NACKs")
    took, n = time.monotonic() - begun, len(p.nacks("clusters"))
    assert n == 4 and took > 2.5, (n, took)
    p.set(clusters=[cluster("greeter", [other.port])],
          listeners=[listener("callers", port, route(
              "routes", [("/demo.Greeter/", "greeter")]))])
    until(lambda: caller.call(b"").body == b"b:", "the better one is used")
    p.until_acked("clusters")
    load.stop()
    load.is_well()
    assert "bad" in g.log()
