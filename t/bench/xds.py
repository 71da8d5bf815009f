"""t/bench/xds.py - following a control plane, beside Envoy: how soon a proxy
has what it is told, what that costs, and how much it holds.

    plane (go-control-plane) ──ADS──> proxy, 2 workers ──> services a and b
                                        ^ one caller, call after call
    a plane for each proxy: what one is told does not disturb the other; they
    take turns, and have the same clusters of EDS, 10 endpoints in each

    start    from the proxy's exec to the first OK of a call through the last
             cluster, which needs its route, cluster and endpoints
    in use   from go-control-plane's cache being told (plane's clock, the same
             machine) to the first answer of the other service: one endpoint of
             one cluster became another; both proxies connect to it anew
    sent     of that: until the plane's server has packed it for gRPC
    CPU      of all that the proxy is, from the push until nothing moves

A changed assignment is sent alone by delta, and with all others by the state of
the world: there the plane packs, and the proxy reads, thousands to change one.
"""
import os
import statistics
import sys
import time
from concurrent import futures

import peers
from peers import Trouble
from scale import QUIET_S, memory

sys.path.insert(0, os.path.join(peers.ROOT, "t/lib"))
import grpc    # noqa: E402
import plane    # noqa: E402
from mesh import Mesh, free_port    # noqa: E402

CELLS = ((1000, False, 200), (1000, True, 200), (10000, False, 30),
         (10000, True, 200))    # clusters, delta, changes in turn
EACH = 10               # endpoints of a cluster
WORKERS = 2
PATIENCE_S = 300
SOAK_PER_S = 100        # updates; the plane can't say more with 10,000 clusters
SOAK_S = 60
NODE = "bench"


class Named(grpc.GenericRpcHandler):
    """A service on all of 127/8 that answers who it is."""

    def __init__(self, m, name):
        self.name, self.port = name, free_port()
        self.server = grpc.server(futures.ThreadPoolExecutor(4),
                                  handlers=[self],
                                  options=[("grpc.so_reuseport", 0)])
        if self.server.add_insecure_port("0.0.0.0:%d" % self.port) == 0:
            raise Trouble("no port for a service")
        self.server.start()
        m.callback(lambda: self.server.stop(0).wait())

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self.name.encode())


class Follower:
    """A proxy, the plane that it follows, and its caller."""

    def __init__(self, m, n, delta, services):
        self.m, self.n, self.delta, self.services = m, n, delta, services
        self.port, self.turn = free_port(), 0
        self.plane = plane.Plane(m)
        self.fill()
        self.file = plane.bootstrap(
            m, self.plane.port, NODE + self.name, delta=delta, admin=
            free_port() if self.name == "envoy" else None)
        begun = time.monotonic()
        self.program = peers.Program(self.name, self.command(), None, m.dir)
        m.callback(self.program.stop)
        self.caller = m.caller(self.port, options={
            "grpc.initial_reconnect_backoff_ms": 10,
            "grpc.min_reconnect_backoff_ms": 10,
            "grpc.max_reconnect_backoff_ms": 10})
        self.until(self.ready(), services[0], begun, 0.005)
        self.start_s = time.monotonic() - begun
        self.start_cpu_s = self.quiet()

    def fill(self):
        self.plane.set(
            generate=plane.bulk(self.n, EACH, [self.services[0].port],
                                route="routes"),
            listeners=[plane.listener("callers", self.port, "routes")])

    def ready(self):
        """The cluster that is called first."""
        return self.n - 1

    def answer(self, i):
        return self.caller.call(
            b"", method="/c%d.Greeter/SayHello" % i).body

    def until(self, i, service, begun, pause_s=0.0):
        """Until cluster i's answer comes of that service."""
        while self.answer(i) != service.name.encode():
            if time.monotonic() - begun > PATIENCE_S:
                raise Trouble("%s: cluster %d never led to %s: %s" % (
                    self.name, i, service.name, self.program.last_words()))
            if pause_s:
                time.sleep(pause_s)

    def cpu(self):
        return peers.on_cpu(self.program.pids())

    def quiet(self):
        """Seconds of CPU so far, once it uses no more."""
        was, now = None, self.cpu()
        while was is None or now - was > QUIET_S * 1e9 / 100:
            time.sleep(QUIET_S)
            was, now = now, self.cpu()
        return now / 1e9

    def memory(self):
        """PSS of all processes in MB."""
        return sum(memory(pid)[1] for pid in self.program.pids())

    def assign(self, i, service):
        """All endpoints of cluster i are that service's."""
        return self.plane.update(endpoints=[plane.assignment(
            "c%d" % i, [("127.0.0.%d" % (1 + j), service.port)
                        for j in range(EACH)])])

    def change(self, i):
        """Seconds from the push until the plane sent it, and to the use."""
        self.turn += 1
        service, seq = self.services[self.turn % 2], self.plane.seq()
        pushed = self.assign(i, service)["start_ns"]
        self.until(i, service, time.monotonic())
        in_use = time.time() - pushed / 1e9
        sent, = self.plane.events("endpoints", what="response", since=seq)
        return (sent["time_ns"] - pushed) / 1e9, in_use


class Godwit(Follower):
    name = "godwit"

    def command(self):
        return [peers.GODWIT, "-c", self.file, "-o", "workers=%d" % WORKERS,
                "-o", "run_dir=%s/run" % self.m.dir]


class Envoy(Follower):
    name = "envoy"

    def command(self):
        return [peers.envoy_binary(), "-c", self.file, "--concurrency",
                str(WORKERS), "--disable-hot-restart", "-l", "error"]


# ---- what is measured

def changes(followers, n, count):
    """{name: (changes, CPU of one)}"""
    delays = {f.name: [] for f in followers}
    cpu = {f.name: [] for f in followers}
    for i in range(count):
        for f in followers[i % 2:] + followers[:i % 2]:
            measured = i % 10 == 0      # it waits for silence
            was = f.quiet() if measured else 0
            delays[f.name].append(f.change(n - 1))
            if measured:
                cpu[f.name].append(f.quiet() - was)
    return {name: (delays[name], cpu[name]) for name in delays}


def cell(n, delta, count, kinds, soak_s):
    with Mesh() as m:
        services = Named(m, "a"), Named(m, "b")
        followers = [kind(m, n, delta, services) for kind in kinds]
        figures = {f.name: {"start": f.start_s, "start_cpu": f.start_cpu_s,
                            "pss": f.memory()} for f in followers}
        for name, (delays, cpu) in changes(followers, n, count).items():
            sent, in_use = zip(*delays)
            figures[name].update(sent=sent, in_use=sorted(in_use), cpu=cpu)
        for f in followers:
            figures[f.name]["pss_after"] = f.memory()
        if delta and n == CELLS[0][0]:
            for f in followers:
                figures[f.name]["soak"] = soak(f, n, soak_s)
        return figures


def soak(f, n, seconds):
    """Updates of 100 clusters, SOAK_PER_S: (updates, updates a second, PSS
    before, in the middle, after, CPU of one); all of the last arrive."""
    last, sizes = {}, [f.memory()]
    was, begun = f.quiet(), time.monotonic()
    count = int(seconds * SOAK_PER_S)
    for k in range(count):
        i = n - 1 - k * 37 % 100
        last[i] = f.services[(k // 100 + k) % 2]
        f.assign(i, last[i])
        if k == count // 2:
            sizes.append(f.memory())
        time.sleep(max(0, begun + (k + 1) / SOAK_PER_S - time.monotonic()))
    took = time.monotonic() - begun
    for i, service in last.items():
        f.until(i, service, time.monotonic(), 0.005)
    spent = f.quiet() - was
    sizes.append(f.memory())
    return count, count / took, sizes, spent / count


# ---- the table

def quantile(values, q):
    return values[min(len(values) - 1, int(len(values) * q))]


HEAD = "  %-8s" + " %8s" * 9
ROW = "  %-8s" + " %8.2f" * 9


def table(say, n, delta, figures):
    say("\n%d clusters, %d endpoints in each, %s" % (
        n, EACH, "delta" if delta else "state of the world"))
    say(HEAD % ("", "start", "start", "PSS MB", "PSS MB", "sent ms",
                "in use", "in use", "in use", "CPU ms"))
    say(HEAD % ("", "s", "CPU s", "", "changed", "median", "min ms", "p50 ms",
                "p99 ms", "median"))
    for name, f in figures.items():
        d = [s * 1e3 for s in f["in_use"]]
        say(ROW % (name, f["start"], f["start_cpu"], f["pss"],
                   f["pss_after"], statistics.median(f["sent"]) * 1e3, d[0],
                   quantile(d, 0.5), quantile(d, 0.99),
                   statistics.median(f["cpu"]) * 1e3))
    for name, f in figures.items():
        if "soak" in f:
            count, rate, sizes, cpu = f["soak"]
            say("  %s: %d updates, %.0f a second, %.2f ms of CPU each; PSS %s "
                "MB" % (name, count, rate, cpu * 1e3, ", ".join(
                    "%.1f" % s for s in sizes)))


def bench(o, folder, say):
    kinds = [Godwit]
    if peers.envoy_binary() is None:
        say("envoy is not here: its rows are left out")
    elif not o.only or "envoy" in o.only:
        kinds.append(Envoy)
    for n, delta, count in CELLS[:2] if o.quick else CELLS:
        if o.quick:
            count = count // 10
        table(say, n, delta, cell(n, delta, count, kinds,
                                  2 if o.quick else SOAK_S))
