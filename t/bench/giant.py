"""t/bench/giant.py - one endpoint of a giant assignment gets another weight, for
godwit and Envoy that follow a control plane by delta (xds.py).

    plane ──ADS──> proxy, 2 workers ──> all endpoints but one: service a
                     ^ one caller       the one, whose weight is 1 or most: b

    in use   from go-control-plane's cache being told to the first answer of the
             service that is now almost always picked
    sent     of that: until the plane has packed it for gRPC
    CPU      of all that the proxy is, from the push until nothing moves
"""
import statistics

import xds    # finds the modules of t/lib
import plane    # noqa: E402
from mesh import Mesh    # noqa: E402

SIZES = (1000, 60), (10000, 60), (50000, 20)    # endpoints, changes
MOST = 1 << 31


class Giant:
    """Of xds.Follower, with one cluster of all that are n."""

    def giant(self, heavy):
        a, b = (s.port for s in self.services)
        it = plane.assignment("c0", [
            ("127.%d.%d.%d" % (1 + i // 65025, i // 255 % 255, 1 + i % 255), a)
            for i in range(self.n - 1)] + [("127.0.0.1", b)])
        last = it["endpoints"][0]["lb_endpoints"][-1]
        last["load_balancing_weight"] = MOST if heavy else 1
        return it

    def fill(self):
        self.plane.set(
            generate=plane.bulk(1, 1, [self.services[0].port],
                                route="routes"),
            listeners=[plane.listener("callers", self.port, "routes")])
        self.plane.update(endpoints=[self.giant(False)])

    def ready(self):
        return 0

    def assign(self, i, service):
        return self.plane.update(
            endpoints=[self.giant(service is self.services[1])])


class Godwit(Giant, xds.Godwit):
    pass


class Envoy(Giant, xds.Envoy):
    pass


def cell(n, count, kinds):
    with Mesh() as m:
        services = xds.Named(m, "a"), xds.Named(m, "b")
        followers = [kind(m, n, True, services) for kind in kinds]
        figures = {}
        for name, (delays, cpu) in xds.changes(followers, 1, count).items():
            sent, in_use = zip(*delays)
            figures[name] = statistics.median(sent), sorted(in_use), cpu
        return figures


def bench(o, folder, say):
    kinds = [Godwit]
    if xds.peers.envoy_binary() is None:
        say("envoy is not here: its rows are left out")
    elif not o.only or "envoy" in o.only:
        kinds.append(Envoy)
    say("\none endpoint of a giant assignment, by delta; ms")
    say("  %-9s %-8s" % ("endpoints", "") + " %8s" * 5 % (
        "sent", "in use", "p50", "p99", "CPU"))
    for n, count in SIZES[:2] if o.quick else SIZES:
        for name, (sent, in_use, cpu) in cell(n, count, kinds).items():
            say("  %-9d %-8s" % (n, name) + " %8.2f" * 5 % tuple(
                s * 1e3 for s in (
                    sent, in_use[0], xds.quantile(in_use, 0.5),
                    xds.quantile(in_use, 0.99), statistics.median(cpu))))
