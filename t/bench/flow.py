"""t/bench/flow.py - what small calls wait while others stand still or come in
bulk: `make bench T=flow`.

    flow ──> proxy ──> flowback        one proxy at a time
     │ small calls, each timed
     │ 10 connections x 100 calls for 800,000 bytes whose reader stops
     └ a call without end, on the connection of the small ones

Each row is run alone and beside its disturbance, peer by peer and repeat by
repeat; a figure is the median of the repeats, a share is beside / alone of
the same repeat. Memory is the proxy's, before and while the readers stand.

Two of the rows leave CPU to spare (100 MB/s) and show what waits behind what;
as fast as it goes, the bulk takes a core from somebody, and `direct` says how
much of that is the tools' own.
"""
import json
import os
import statistics
import subprocess
import time

import peers
from peers import TOOLS, Program, Trouble

# What Envoy's documentation has for edge proxies; nghttpx's default is the
# same for a stream.
EDGE = ("{initial_stream_window_size: 65536, "
        "initial_connection_window_size: 1048576}")
STALLED = ["-k", "10", "-m", "100"]
ROWS = (        # name, connections, streams, calls of a repeat, disturbance
    ("10x1, unread", 10, 1, 5000, STALLED),
    ("10x1, window shut", 10, 1, 5000, STALLED + ["-w"]),
    ("1x1, answer 100 MB/s", 1, 1, 2000, ["-b", "-r", "100"]),
    ("1x1, request 100 MB/s", 1, 1, 2000, ["-u", "-r", "100"]),
    ("1x10, answer 100 MB/s", 1, 10, 10000, ["-b", "-r", "100"]),
    ("1x10, request 100 MB/s", 1, 10, 10000, ["-u", "-r", "100"]),
    ("1x100, answer, all it can", 1, 100, 10000, ["-b"]),
    ("1x100, request, all it can", 1, 100, 10000, ["-u"]),
)


def memory_kb(pids):
    """What all of them have in memory, a shared page once."""
    total = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += sum(int(line.split()[1]) for line in f
                         if line.startswith("Pss:"))
    return total


def settle(pids, seconds=20):
    """Until the proxy has poured what it pours: a tenth of a second idle."""
    end, was = time.monotonic() + seconds, -1
    while time.monotonic() < end:
        now = peers.on_cpu(pids)
        if 0 <= now - was < 1e6:
            return
        was = now
        time.sleep(0.1)


def once(peer, row, disturbance):
    """One run of flow: its figures, or None when small calls got nothing."""
    _, connections, streams, calls, _ = row
    flow = subprocess.Popen(
        [os.path.join(TOOLS, "flow"), "-c", str(connections), "-s",
         str(streams), "-n", str(calls)] + disturbance
        + [str(peer.front("plain"))], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if flow.stdout.readline() != "ready\n":
            raise Trouble(flow.communicate()[1].strip())
        pids = [p for role in peer.roles("plain")
                for p in peer.programs[role].pids()]
        settle(pids)
        kb = memory_kb(pids)
        out, err = flow.communicate("go\n", timeout=120)
    except BaseException:
        flow.kill()
        flow.wait()
        raise
    if not out and "no small call ended" in err:
        return None
    if not out:
        raise Trouble(err.strip())
    got = json.loads(out)
    if got["errors"]:
        raise Trouble("%d of %d answers were wrong" % (
            got["errors"], got["calls"]))
    return dict(got, kb=kb)


def measure(every, repeats, say):
    """(row, peer) -> [(alone, beside)]"""
    cells = {}
    for repeat in range(repeats):
        for row in ROWS:
            for p in every:
                try:
                    pair = once(p, row, []), once(p, row, row[4])
                except Trouble as e:
                    raise Trouble("%s, %s: %s" % (p.name, row[0], e))
                cells.setdefault((row[0], p.name), []).append(pair)
        say("repeat %d of %d" % (repeat + 1, repeats))
    return cells


def middle(pairs, side, key):
    return statistics.median(pair[side][key] for pair in pairs)


def line(name, pairs):
    if any(beside is None for _, beside in pairs):
        return "  %-8s %8.0f %8.0f   no small call ended in 10 s" % (
            name, middle(pairs, 0, "p50_us"), middle(pairs, 0, "p99_us"))
    share = statistics.median(b["p99_us"] / a["p99_us"] for a, b in pairs)
    grown = middle(pairs, 1, "kb") - middle(pairs, 0, "kb")
    return "  %-8s %8.0f %8.0f %8.0f %8.0f %7.2f %9.1f %9.0f" % (
        name, middle(pairs, 0, "p50_us"), middle(pairs, 0, "p99_us"),
        middle(pairs, 1, "p50_us"), middle(pairs, 1, "p99_us"), share,
        grown / 1024, statistics.median(
            b["bulk_bytes"] / b["seconds"] / 1e6 for _, b in pairs))


def report(cells, every, say):
    for row in ROWS:
        say("\n%s" % row[0])
        say("  %-8s %17s %17s %7s %9s %9s" % (
            "", "alone, us", "beside it, us", "p99", "memory", "bulk"))
        say("  %-8s %8s %8s %8s %8s %7s %9s %9s" % (
            "", "p50", "p99", "p50", "p99", "share", "MB more", "MB/s"))
        for p in every:
            say(line(p.name, cells[row[0], p.name]))


def peers_all(folder, port, only, say):
    """Each peer; those of the same file once more, with EDGE's windows."""
    every = peers.peers(folder, port, only, say)
    for p in list(every):
        if isinstance(p, peers.FromFile):
            narrow = type(p)(p.name + "64", p.binary, os.path.join(
                folder, p.name), port)
            os.makedirs(narrow.folder)
            narrow.http2 = EDGE
            every.append(narrow)
    return every


def bench(o, folder, say):
    back = Program("flowback", [os.path.join(TOOLS, "flowback"), "0"], None,
                   folder)
    running = []
    try:
        port = int(back.wait_line(r"port (\d+)"))
        for p in peers_all(folder, port, o.only, say):
            running.append(p)
            p.start(None, ["plain"])
        report(measure(running, 1 if o.quick else o.repeats, say), running,
               say)
    finally:
        for p in running:
            p.stop()
        back.stop()
