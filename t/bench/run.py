#!/usr/bin/env python3
"""t/bench/run.py - `make bench`: what one small gRPC call costs in a proxy,
and with T=NAME or as the last of all, what the rest costs (BENCHES).

    calls:
    proxies on one core (all started, one loaded at a time)
    gload and rawback on the other
    for each repeat, for each shape, for each peer: one cell

CPU is read while nothing is under way, before and after each cell (gload.c).
Repeats are interleaved, so that what disturbs the machine disturbs all. How
to read the table, and its traps: README.md here.

Exit: 0 all answers right; 1 something did not start or an answer was wrong;
3 with --bar, when godwit costs more than that share of nghttpx in a shape.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import emsbench    # noqa: E402
import flow    # noqa: E402
import giant as giants    # noqa: E402
import instr    # noqa: E402
import peers    # noqa: E402
import scale    # noqa: E402
import selftest    # noqa: E402
import xds    # noqa: E402
from peers import TOOLS, Trouble    # noqa: E402

SHAPES = (("10x10", "plain", 10, 10), ("1x100", "plain", 1, 100),
          ("100x1", "plain", 100, 1), ("routes 10", "routes 10", 10, 10),
          ("routes 10000", "routes 10000", 10, 10),
          ("hop 10x10", "hop", 10, 10),
          ("hop 100x1", "hop", 100, 1))


def say(text):
    print(text, flush=True)


def check_tools(back_port):
    """The tools see wrong answers, or nothing is measured."""
    wrong, n = selftest.failures(TOOLS, back_port)
    if wrong:
        raise Trouble("the tools miss what they must see: "
                      + ", ".join(wrong))
    say("tools: %d ways to answer or ask told apart" % n)


def busy():
    """Seconds of CPU the whole machine has spent."""
    with open("/proc/stat") as f:
        t = [int(word) for word in f.readline().split()[1:]]
    return (sum(t[:3]) + sum(t[5:8])) / os.sysconf("SC_CLK_TCK")


class Load:
    """One run of gload, stopped at the place where it waits for a line."""

    def __init__(self, words, core, port):
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "gload")] + words + [str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        try:
            if self.process.stdout.readline() != "ready\n":
                raise Trouble(self.process.communicate()[1].strip())
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def run(self):
        out, err = self.process.communicate("go\n")
        if not out:
            raise Trouble(err.strip())
        result = json.loads(out)
        if result["errors"]:
            raise Trouble("%d of %d answers were wrong, the first: %s" % (
                result["errors"], result["calls"], result["first_error"]))
        return result


def cell(peer, shape, seconds, back, extra):
    """One peer under one shape: a dict of figures."""
    _, kind, connections, streams = shape
    load = Load(["-c", str(connections), "-s", str(streams), "-t",
                 str(seconds)] + extra, peers.cores()[1], peer.front(kind))
    trees = [peer.programs[role].pids() for role in peer.roles(kind)]
    back_pids = back.pids()
    was = [peers.on_cpu(t) for t in trees + [back_pids]]
    busy_was, begun = busy(), time.monotonic()
    result = load.run()
    took, machine = time.monotonic() - begun, busy() - busy_was
    now = [peers.on_cpu(t) for t in trees + [back_pids]]
    if trees != [peer.programs[role].pids() for role in peer.roles(kind)]:
        raise Trouble("a process of %s died or was born under load"
                      % peer.name)
    spent = [(b - a) / 1000.0 for a, b in zip(was, now)]
    load_us = spent.pop() + result["cpu_seconds"] * 1e6
    calls = result["calls"]
    return {"cpu": sum(spent) / calls, "parts": [s / calls for s in spent],
            "rate": calls / result["seconds"], "load_cpu": load_us / calls,
            "proxy_core": sum(spent) / took / 1e4,
            "load_core": load_us / took / 1e4,
            "foreign": max(0.0, machine - (sum(spent) + load_us) / 1e6)
            / took * 100}


def system_calls(peer, shape):
    """Per call, counted by perf in a run of its own; None without perf."""
    _, kind, connections, streams = shape
    pids = [str(p) for role in peer.roles(kind)
            for p in peer.programs[role].pids()]
    if not pids:
        return None
    load = Load(["-c", str(connections), "-s", str(streams), "-t", "0.5"],
                peers.cores()[1], peer.front(kind))
    try:
        perf = subprocess.Popen(
            ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p",
             ",".join(pids)], stderr=subprocess.PIPE, text=True)
    except OSError:
        load.run()
        return None
    time.sleep(0.3)
    calls = load.run()["calls"]
    perf.send_signal(signal.SIGINT)
    count = perf.communicate()[1].split(",")[0].strip()
    return int(count) / calls if count.isdigit() else None


def ratios(cells, bar_cells):
    """(of the minima, median of the ratios repeat by repeat) or None. Others
    on the machine only ever add, so that the first needs enough repeats and
    then is the truer; the second needs no luck and scatters more."""
    pairs = [(a["cpu"], b["cpu"]) for a, b in
             zip(cells or (), bar_cells or ())]
    if not all(a and b for a, b in pairs) or not pairs:
        return None
    return (min(a for a, _ in pairs) / min(b for _, b in pairs),
            statistics.median(a / b for a, b in pairs))


def table(shape, rows, counted):
    """rows: peer name -> list of cells. Prints one shape."""
    bar = "nghttpx" if "nghttpx" in rows else "envoy"
    say("\n%s%s" % (shape[0], {
        "hop": "  (near + far, mutual TLS 1.3 between)",
        "plain": ""}.get(shape[1], "  (10x10; the last of them matches)")))
    say("  %-8s %8s %8s %13s %10s %8s %7s %7s %9s  %s" % (
        "", "CPU us", "CPU us", "of " + bar, "calls/s", "syscalls", "proxy",
        "load", "load CPU", "foreign"))
    say("  %-8s %8s %8s %13s %10s %8s %7s %7s %9s  %s" % (
        "", "min", "median", "min   median", "median", "per call", "core %",
        "core %", "us", "% max"))
    for name, cells in rows.items():
        middle = {k: statistics.median(c[k] for c in cells) for k in
                  ("cpu", "rate", "proxy_core", "load_core", "load_cpu")}
        share = ratios(cells, rows.get(bar))
        parts = "+".join("%.2f" % statistics.median(c["parts"][i] for c in
                         cells) for i in range(len(cells[0]["parts"])))
        calls = counted.get((shape[0], name))
        say("  %-8s %8.2f %8.2f %13s %10.0f %8s %7.0f %7.0f %9.2f  %.0f%s" % (
            name, min(c["cpu"] for c in cells), middle["cpu"],
            "-" if share is None else "%s   %s  " % tuple(
                "%.*f" % (2 if x > 0.1 else 3, x) for x in share),
            middle["rate"], "-" if calls is None else "%.2f" % calls,
            middle["proxy_core"], middle["load_core"], middle["load_cpu"],
            max(c["foreign"] for c in cells),
            "   " + parts if "+" in parts else ""))


def verdict(figures, shapes, bar):
    """One line on godwit against nghttpx; 3 when the bar is not held."""
    own = {}
    for shape in shapes:
        share = ratios(*(figures[shape[0]].get(name)
                         for name in ("godwit", "nghttpx")))
        if share:
            own[shape[0]] = share[0]
    if not own:
        return 0
    worst = max(own, key=own.get)
    say("\ngodwit costs %.2f of nghttpx at worst (%s), %.2f at best" % (
        own[worst], worst, min(own.values())))
    return 3 if bar and own[worst] > bar else 0


def measure(all_peers, shapes, back, o):
    figures = {s[0]: {} for s in shapes}
    extra = ["-x"] if o.changing else []
    for repeat in range(o.repeats):
        for shape in shapes:
            turn = [p for p in all_peers if shape[1] in p.shapes]
            first = repeat % len(turn) if turn else 0
            for p in turn[first:] + turn[:first]:
                try:
                    got = cell(p, shape, o.seconds, back, extra)
                except Trouble as e:
                    raise Trouble("%s, %s: %s" % (p.name, shape[0], e))
                figures[shape[0]].setdefault(p.name, []).append(got)
        say("repeat %d of %d" % (repeat + 1, o.repeats))
    return figures


def report(figures, all_peers, shapes, o):
    counted = {}
    for shape in shapes:
        for p in all_peers:
            if shape[1] in p.shapes:
                counted[shape[0], p.name] = system_calls(p, shape)
    for shape in shapes:
        rows = {p.name: figures[shape[0]][p.name] for p in all_peers
                if p.name in figures[shape[0]]}
        table(shape, rows, counted)
    if o.json:
        with open(o.json, "w") as f:
            json.dump(figures, f, indent=1)


def calls(o, folder):
    shapes = [s for s in SHAPES if not o.shape or s[0] in o.shape]
    proxy_core, load_core = peers.cores()
    if proxy_core == load_core:
        say("only one core: proxies and load share it, ratios are all that "
            "can be read")
    if not os.path.exists(os.path.join(TOOLS, "gload")):
        raise Trouble("no %s/gload: make bench builds it" % TOOLS)
    peers.mint(folder)
    back = peers.Program("rawback", [os.path.join(TOOLS, "rawback"), "0"],
                         load_core, folder)
    running = []
    try:
        port = int(back.wait_line(r"port (\d+)"))
        check_tools(port)
        for p in peers.peers(folder, port, o.only, say):
            running.append(p)
            p.start(proxy_core, [s[1] for s in shapes])
        figures = measure(running, shapes, back, o)
        report(figures, running, shapes, o)
        for p in running:
            p.stop()
        if not o.no_instructions:
            instr.report(running, folder, say)
        return verdict(figures, shapes, o.bar)
    finally:
        for p in running:
            p.stop()
        back.stop()


def program(name, words):
    """One that prints its own table."""
    say("")
    done = subprocess.run([os.path.join(TOOLS, name)] + words)
    if done.returncode != 0:
        raise Trouble("%s ended with %d" % (name, done.returncode))


def route(o, folder):
    program("route", ["10", "10000"] if o.quick else [])


def publish(o, folder):
    program("publish", ["-n", "100", "1000", "10000"] if o.quick else [])


def giant(o, folder):
    program("giant", ["1000", "10000"] if o.quick else
            ["1000", "10000", "50000"])
    giants.bench(o, folder, say)


BENCHES = {"calls": calls, "route": route, "publish": publish,
           "scale": lambda o, folder: scale.bench(o, folder, say),
           "flow": lambda o, folder: flow.bench(o, folder, say),
           "xds": lambda o, folder: xds.bench(o, folder, say),
           "giant": giant,
           "ems": lambda o, folder: emsbench.bench(o, folder, say)}


def bench(o, folder):
    """The exit code is calls'."""
    codes = [BENCHES[name](o, folder) for name in o.names or BENCHES]
    return max(code or 0 for code in codes)


def options():
    o = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    o.add_argument("names", nargs="*", metavar="NAME", default=[],
                   help=", ".join(BENCHES) + "; all of them if none is given")
    o.add_argument("--quick", action="store_true",
                   help="3 repeats of 0.5 s, and no 100,000 endpoints: a first "
                   "look")
    o.add_argument("--repeats", type=int, default=5)
    o.add_argument("--seconds", type=float, default=2.0, help="of each cell")
    o.add_argument("--only", action="append", metavar="PEER",
                   help="direct, godwit, nghttpx or envoy; may be repeated")
    o.add_argument("--shape", action="append", metavar="SHAPE",
                   choices=[s[0] for s in SHAPES])
    o.add_argument("--changing", action="store_true",
                   help="three headers that change with every call")
    o.add_argument("--no-instructions", action="store_true")
    o.add_argument("--bar", type=float, metavar="RATIO",
                   help="exit 3 when godwit costs more of nghttpx than this")
    o.add_argument("--proxies", type=int, action="append", metavar="N",
                   help="of ems, 1000 if none is said; may be repeated")
    o.add_argument("--json", metavar="FILE", help="every cell")
    asked, o = o, o.parse_args()
    for name in set(o.names) - set(BENCHES):
        asked.error("there is no %s, expected %s" % (
            name, ", ".join(BENCHES)))
    if o.quick:
        o.repeats, o.seconds = 3, 0.5
    return o


def main():
    # A terminated bench must stop its proxies too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="godwit-bench.") as folder:
        try:
            return bench(options(), folder)
        except Trouble as e:
            say("bench: %s" % e)
            return 1


if __name__ == "__main__":
    sys.exit(main())
