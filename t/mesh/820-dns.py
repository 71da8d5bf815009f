"""Clusters of host names: STRICT_DNS and LOGICAL_DNS, and what befalls names:
they change, are unknown, nobody answers, the master dies."""
import functools
import json
import os
import signal

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
