#!/usr/bin/env python3
"""t/interop/run.py [WORD]... - gRPC's interoperability cases, every client with
every server through one godwit, plain and over TLS.

WORD picks: names of clients, of servers as to-NAME, "plain", "tls", cases.
What a server lacks (peers.py) is not run. A case that fails is run again without godwit, up to five times: what fails
there too is the pair's own and said so, not counted as failed. The last line is "N passed, N
failed"; the table stays in build/interop/result.txt.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
import config                                               # noqa: E402
import peers                                                # noqa: E402
from mesh import Mesh, can_connect, free_port, until        # noqa: E402

TRIES = 5               # without godwit; races of a client's own are seldom
RESULT = os.path.join(peers.BUILT, "result.txt")


def certificates(m):
    """The mesh's, one for all here, and a folder with Java's names."""
    folder = os.path.join(m.dir, "tls")
    subprocess.run([os.path.join(HERE, "../lib/mint"), folder, "interop",
                    f"{config.URI},DNS:*.{config.DOMAIN}"],
                   check=True, stderr=subprocess.PIPE)
    java = os.path.join(folder, "java/certs")
    os.makedirs(java)
    for ours, name in (("ca.pem", "ca.pem"), ("interop.pem", "server1.pem"),
                       ("interop.key", "server1.key")):
        shutil.copy(os.path.join(folder, ours), os.path.join(java, name))
    return folder


def start(m, peer, ports, folder):
    """A server's process, once both its ports are open."""
    log = open(os.path.join(m.dir, peer.name + ".log"), "ab")
    p = subprocess.Popen(
        peer.server(*map(str, ports), f"{folder}/interop.pem",
                    f"{folder}/interop.key"),
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop():
        p.kill()
        p.wait()
        log.close()

    def said():
        with open(log.name, errors="replace") as f:
            return f"{peer.name}'s server is up: {f.read()[-2000:]}"

    m.callback(stop)
    until(lambda: p.poll() is not None or all(map(can_connect, ports)), said)
    assert p.poll() is None, said()
    return p


class Run:
    """The servers, godwit, and what came out so far."""

    def __init__(self, m, words):
        self.words, self.lines = words, []
        self.passed = self.failed = self.own = 0
        self.folder = certificates(m)
        self.services = {p.name: (free_port(), free_port())
                         for p in self.picked(peers.ALL, "to-")}
        self.plain = {n: free_port() for n in self.services}
        self.tls = free_port()
        self.processes = {
            p.name: start(m, p, self.services[p.name], self.folder)
            for p in self.picked(peers.ALL, "to-")}
        self.godwit = m.godwit(m.write("interop.json", config.bootstrap(
            self.services, self.plain, self.tls, self.folder)), workers=2)

    def picked(self, things, mark=""):
        """Those that a word names, or all if none is named."""
        some = [t for t in things
                if mark + getattr(t, "name", t) in self.words]
        return some or things

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def ports(self, server, tls, direct):
        if direct:
            return self.services[server][tls]
        return self.tls if tls else self.plain[server]

    def cases(self, client, server, tls, direct, cases):
        ca = f"{self.folder}/ca.pem" if tls else None
        return client.run(str(self.ports(server, tls, direct)),
                          f"{server}.{config.DOMAIN}", ca, cases)

    def pair(self, client, server, tls):
        start_s = time.monotonic()
        lacks = peers.BY_NAME[server].lacks
        cases = [case for case in self.picked(client.cases)
                 if case not in lacks]
        found = self.cases(client, server, tls, False, cases)
        bad = [case for case in cases if found[case] is not None]
        own = self.own_of(client, server, tls, bad)
        failed = [case for case in bad if case not in own]
        passed = len(cases) - len(bad)
        self.passed += passed
        self.failed += len(failed)
        self.own += len(own)
        self.say(f"{client.name:6} {server:6} {'TLS' if tls else 'plain':5} "
                 f"{passed:6} {len(failed):6} "
                 f"{time.monotonic() - start_s:6.1f}   {' '.join(own)}")
        for case in bad:
            self.say(f"    {'FAILED' if case in failed else 'own'} {case}: "
                     f"{found[case]}")
        self.nothing_is_left()

    def own_of(self, client, server, tls, bad):
        """Which of these fail without godwit too, in one try at least."""
        own = set()
        for _ in range(TRIES):
            left = [case for case in bad if case not in own]
            if left:
                found = self.cases(client, server, tls, True, left)
                own.update(case for case in left if found[case] is not None)
        return [case for case in bad if case in own]

    def nothing_is_left(self):
        """Whatever was cancelled or broken off is gone; who serves is not."""
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name}'s server died"
        names = [f"http.plain-{n}." for n in self.services] + ["http.tls."]
        for name in names:
            self.godwit.until_stat(name + "downstream_rq_active", 0)
        self.godwit.until_stat("server.buffered_bytes", 0)

    def all(self):
        self.say(f"{'client':6} {'server':6} {'':5} {'passed':>6} "
                 f"{'failed':>6} {'s':>6}   fails without godwit too")
        for tls in (False, True):
            if ("tls" if tls else "plain") not in self.picked(
                    ["plain", "tls"]):
                continue
            for client in self.picked(peers.ALL):
                for server in self.services:
                    self.pair(client, server, tls)
        self.say(f"{self.own} fail without godwit too")
        self.say(f"{self.passed} passed, {self.failed} failed")


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Mesh() as m:
        run = Run(m, sys.argv[1:] or os.environ.get("T", "").split())
        run.all()
        with open(RESULT, "w") as f:
            f.write("\n".join(run.lines) + "\n")
        return run.failed != 0


sys.exit(main())
