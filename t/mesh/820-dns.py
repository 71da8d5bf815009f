"""Clusters of host names: STRICT_DNS and LOGICAL_DNS, and what befalls names:
they change, are unknown, nobody answers, the master dies."""
import functools
import json
import os
import re
import signal
import threading

import plane
from mesh import Service, free_port, until
from names import SILENCE, Names
from plane import cluster, listener, route

NAME, OTHER = "greeter.mesh", "other.mesh"
A, B = "127.0.0.2", "127.0.0.3"


def named(name, port, *hosts, kind="STRICT_DNS", **more):
    """A cluster of host names, asked for often."""
    return cluster(name, [(h, port) for h in hosts],
                   **{"type": kind, "dns_refresh_rate": "0.05s", **more})


class Named:
    """Services a and b at one port of two addresses, a server of names, and a
    godwit whose cluster has NAME."""

    def __init__(self, m, answer, *hosts, **more):
        self.m, self.port, self.to = m, free_port(), free_port()
        for name, host in ("a", A), ("b", B):
            m.service(name, self.to, functools.partial(Service, host=host))
        self.names = Names(m)
        self.names.set(NAME, answer)
        self.file = self.write(named("greeter", self.to, NAME, *hosts,
                                     **more))
        self.godwit = m.godwit(self.file, *self.names.options)
        self.caller = m.caller(self.port)

    def write(self, *clusters, to="greeter", **more):
        return self.m.write("dns.json", json.dumps({"static_resources": {
            "clusters": clusters, "listeners": [
                listener("callers", self.port, route(
                    "routes", [("/demo.Greeter/", to)]))]}, **more}))

    def served_by(self):
        """Who answers, of some calls, and their other codes."""
        answers = [self.caller.call(b"") for _ in range(6)]
        return {a.body.decode()[:-1] if a.body else a.code for a in answers}

    def until_served_by(self, *names):
        until(lambda: self.served_by() == {*names},
              lambda: f"{names} are asked, it is {self.served_by()}")


def test_addresses_change(m):
    n = Named(m, [A, B])
    n.until_served_by("a", "b")
    n.names.set(NAME, [B])
    n.until_served_by("b")
    n.names.set(NAME, [A])
    n.until_served_by("a")
    n.names.set(NAME, [B, A])
    n.until_served_by("a", "b")


def test_failures(m):
    """A name that is unknown from the start has no endpoints, the others
    serve; one that becomes unknown or silent keeps what it had."""
    n = Named(m, [A], OTHER)
    n.until_served_by("a")
    n.names.set(OTHER, [B])
    n.until_served_by("a", "b")
    for answer in None, [], SILENCE:
        n.names.set(NAME, answer)
        before = n.names.queries[NAME]
        until(lambda: n.names.queries[NAME] > before + 2, "it is asked again")
        assert n.served_by() == {"a", "b"}
    assert f"host name {OTHER} can't be resolved" in n.godwit.log()


def test_logical(m):
    """One address, the same for as long as it is in the answer."""
    n = Named(m, [A, B], kind="LOGICAL_DNS", respect_dns_ttl=True,
              dns_lookup_family="V4_ONLY")
    n.until_served_by("a")
    n.names.set(NAME, [B, A])
    before = n.names.queries[NAME]
    until(lambda: n.names.queries[NAME] > before, "it is asked again")
    n.names.set(NAME, [B])
    n.until_served_by("b")
    n.names.set(NAME, [A, B])
    before = n.names.queries[NAME]
    until(lambda: n.names.queries[NAME] > before + 1, "it is asked again")
    assert n.served_by() == {"b"}


def test_a_reload_waits(m):
    """A cluster that asks for a name that nobody answers yet leaves the old
    one serve, and a listener that leads there the old listener."""
    n = Named(m, [A])
    n.until_served_by("a")
    n.names.set(OTHER, SILENCE)
    n.write(named("greeter", n.to, OTHER), named("more", n.to, OTHER),
            to="more")
    code, said = n.godwit.command("reload")
    assert code == 0, said
    until(lambda: n.names.queries[OTHER] > 0, "it is asked for")
    assert n.served_by() == {"a"}
    n.names.set(OTHER, [B])
    n.until_served_by("b")
    asked = n.names.queries[OTHER]
    n.write(named("greeter", n.to, B))
    code, said = n.godwit.command("reload")
    assert code == 0, said
    n.until_served_by("b")
    assert n.names.queries[OTHER] - asked < 100


class Calling:
    """Calls from another thread until the block ends; all must be good."""

    def __init__(self, n):
        self.n, self.done, self.answers = n, threading.Event(), []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        caller = self.n.m.caller(self.n.port)
        while not self.done.is_set():
            self.answers.append(caller.call(b""))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        failed = [a for a in self.answers if a.code != "OK"]
        assert self.answers and not failed, failed[0]


def test_masters_death(m):
    """Its successor has the addresses at once, with no server of names; and
    follows them as its predecessor did."""
    n = Named(m, [A, B], OTHER)
    n.until_served_by("a", "b")
    with Calling(n):
        for answer in SILENCE, None, SILENCE:
            n.names.set(NAME, answer)
            n.names.set(OTHER, answer)
            generation = n.godwit.generation()
            os.kill(n.godwit.children()["master"], signal.SIGKILL)
            until(lambda: n.godwit.generation() > generation, "a successor")
            before = n.names.queries[NAME]
            until(lambda: n.names.queries[NAME] > before + 3 * (not answer),
                  "it asks, and is told")
            n.until_served_by("a", "b")
        n.names.set(NAME, [B])
        n.until_served_by("b")
    published = re.findall("generation .* from .*", n.godwit.log())
    assert len(published) == 4 and all(
        "1 listener, 1 cluster, 2 endpoints" in p for p in published[1:])


def test_a_control_plane_by_name(m):
    """Its name is unknown when godwit starts, and what it sends has names."""
    names, port, to = Names(m), free_port(), free_port()
    m.service("a", to, functools.partial(Service, host=A))
    p = plane.Plane(m)
    p.set(clusters=[named("greeter", to, NAME)],
          listeners=[listener("callers", port, "routes")],
          routes=[route("routes", [("/demo.Greeter/", "greeter")])])
    file = plane.bootstrap(m, p.port, "godwit")
    with open(file) as f:
        it = json.load(f)
    it["static_resources"]["clusters"] = [
        named(plane.CLUSTER, p.port, "plane.mesh")]
    # Never again by itself in this test.
    it["dynamic_resources"]["ads_config"]["grpc_services"][0]["envoy_grpc"][
        "retry_policy"] = {"retry_back_off": {
            "base_interval": "1000s", "max_interval": "1000s"}}
    godwit = m.godwit(m.write("named.json", json.dumps(it)), *names.options)
    until(lambda: "plane.mesh can't be resolved" in godwit.log(),
          "the name is unknown")
    names.set("plane.mesh", ["127.0.0.1"])
    p.until_acked("clusters", node="godwit")
    names.set(NAME, [A])
    caller = m.caller(port)
    until(lambda: caller.call(b"").body == b"a:", "a serves")


def test_without_a_master(m):
    """godwit -t takes names and asks nobody; -1 warns of each."""
    n = Named(m, [A])
    n.until_served_by("a")
    n.names.queries.clear()
    n.names.set(NAME, SILENCE)
    n.godwit.stop()
    n.names.queries.clear()
    code, said = m.run("-t", "-c", n.file, *n.names.options)
    assert code == 0 and "1 cluster, 0 endpoints" in said, said
    single = m.godwit(n.file, "-1", *n.names.options)
    assert f"host name {NAME} is not resolved" in single.log()
    assert n.served_by() == {"UNAVAILABLE"}
    assert not n.names.queries
