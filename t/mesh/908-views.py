"""godwit-ems and proxies of many kinds, by what they say of themselves: what is
made for a kind goes with it, and only kinds at once are limited."""
import contextlib
import os
import queue

import grpc

from ems import Ems
from mesh import until
from registry import pack, unpack

ADS = ("/envoy.service.discovery.v3.AggregatedDiscoveryService/"
       "DeltaAggregatedResources")
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
LISTENERS = "type.googleapis.com/envoy.config.listener.v3.Listener"
WHOLE_MAX, IDLE_MAX = 1024, 32       # xds/ems/view_set.h
SERVICES, STREAMS = 50, 100


def node(listen="127.0.0.1:1", tls="/tls"):
    metadata = {1: [{1: k, 2: {3: v}} for k, v in (("listen", listen),
                                                   ("tls", tls))]}
    return {1: "p", 3: metadata, 4: {1: "us"}, 6: "godwit"}


class Proxies:
    """Streams, as many as wanted, on as many connections as it takes."""

    def __init__(self, m, ems):
        self.m, self.ems, self.channels = m, ems, []
        self.n = 0

    def open(self, asks=CLUSTERS, **about):
        """A stream, and its first answer, which is acknowledged."""
        if self.n % STREAMS == 0:
            self.channels.append(grpc.insecure_channel(
                f"127.0.0.1:{self.ems.port}",
                [("grpc.use_local_subchannel_pool", 1)]))
            self.m.callback(self.channels[-1].close)
        self.n += 1
        words = queue.Queue()
        words.put(pack({1: node(**about), 2: asks}))
        call = self.channels[-1].stream_stream(ADS)(
            iter(words.get, None), timeout=60)
        call.add_callback(lambda: words.put(None))
        answer = unpack(next(call))
        words.put(pack({2: asks, 6: answer[5]}))
        return call, answer


def mesh(m):
    # With make asan: what is freed goes, as without.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get(
        "ASAN_OPTIONS"), "quarantine_size_mb=1"]))
    ems = Ems(m)
    ems.apply("\n---\n".join(["region: us", *(
        f"service: s{i}" for i in range(SERVICES))]))
    return ems, Proxies(m, ems)


def views(ems):
    line, = (x for x in ems.rest("GET", "/metrics").text.splitlines()
             if x.startswith("godwit_ems_views "))
    return int(line.split()[1])


def memory_mb(ems):
    with open(f"/proc/{ems.proxy.process.pid}/statm") as f:
        return int(f.read().split()[1]) * 4096 / 1e6


def all_end(calls):
    for call in calls:
        call.cancel()


def test_one_after_the_other(m):
    """More kinds than there may be at once: no more memory than for a few."""
    ems, proxies = mesh(m)

    def come(n):
        call, answer = proxies.open(tls=f"/tls{n}")
        assert len(answer[2]) == SERVICES, len(answer[2])
        call.cancel()
    for n in range(100):
        come(n)
    before = memory_mb(ems)
    for n in range(100, 200 + WHOLE_MAX):
        come(n)
    until(lambda: views(ems) <= IDLE_MAX + 1, lambda: f"{views(ems)} are left")
    more = memory_mb(ems) - before
    print(f"{before:.1f} MB, and {more:.1f} more after {100 + WHOLE_MAX} kinds")
    assert more < before / 4, (before, more)


def test_at_once(m):
    """A limit, said in a sentence, on those alone for whom much is made."""
    ems, proxies = mesh(m)
    calls = [proxies.open(tls=f"/tls{n}")[0] for n in range(WHOLE_MAX)]
    with contextlib.suppress(grpc.RpcError):
        proxies.open(tls="/one-more")
    why = f"are of {WHOLE_MAX} kinds (by role, region, tls and caller)"
    until(lambda: why in ems.log(), "it says why")
    before = memory_mb(ems)
    light = [proxies.open(LISTENERS, listen=f"127.0.0.1:{n}", tls="/tls0")
             for n in range(2, 302)]
    assert all(len(answer[2]) == 1 for _, answer in light)
    assert views(ems) == WHOLE_MAX + len(light)
    print(f"{(memory_mb(ems) - before) * 1e3 / len(light):.1f} KB for a proxy "
          "that listens elsewhere, its stream and log included")
    # All follow what changes; one of a new kind may come when one has gone.
    ems.apply("service: t")
    assert all(len(unpack(next(c))[2]) == 1 for c in calls)
    calls.pop().cancel()
    until(lambda: "\"p\": disconnected" in ems.log(), "it went")
    calls.append(proxies.open(tls="/one-more")[0])
    all_end(calls + [c for c, _ in light])
    until(lambda: views(ems) <= IDLE_MAX + 1, lambda: f"{views(ems)} are left")
