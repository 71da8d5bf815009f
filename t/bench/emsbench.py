"""t/bench/emsbench.py - what a control plane of a thousand proxies costs: 1,000
services, 20,000 endpoints, and proxies (emsload.c) that ask for all of them.

    start    from godwit-ems's exec, with all of it in its store, to serving
    synced   until the last of the proxies, which come at once, has all
    change   an endpoint registers anew on another port: from its call being
             sent to the first and the last proxy having it; the disk's sync and
             the bench's own work are in it, on the same machine
    CPU      of godwit-ems, by change and by push to a proxy

Then 100 changes a second for a minute: how many did not come, and how late.
"""
import os
import subprocess
import tempfile
import time

from peers import TOOLS, Trouble
from scale import memory

EMS = os.path.join(os.path.dirname(os.path.dirname(TOOLS)), "godwit-ems")
SERVICES, EACH = 1000, 20
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) * TICK_S


class Ems:
    """A godwit-ems on a prepared store."""

    def __init__(self, folder, port):
        self.log = os.path.join(folder, "ems.log")
        file = os.path.join(folder, "ems.yaml")
        with open(file, "w") as f:
            f.write("state_dir: %s\nrun_dir: %s\nrest_listen: 'off'\n"
                    "listen: '127.0.0.1:%d'\n" % (folder, folder, port))
        began = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([EMS, "-c", file], stderr=log)
        while "is serving" not in self.text():
            if self.process.poll() is not None:
                raise Trouble(self.text())
            time.sleep(0.001)
        self.start_s = time.monotonic() - began

    def text(self):
        with open(self.log) as f:
            return f.read()

    def stop(self):
        self.process.kill()
        self.process.wait()


def prepared(folder):
    """A folder with the store as it is at first: what the changes of another
    run made is no change once more."""
    store = tempfile.mkdtemp(dir=folder)
    subprocess.run([os.path.join(TOOLS, "emsload"), "prepare", store,
                    str(SERVICES), str(EACH)], check=True)
    return store


def load(ems, port, proxies, changes, rate, delta, say):
    pid = ems.process.pid
    before = cpu_s(pid)
    mb = memory(pid)[0]
    p = subprocess.Popen(
        [os.path.join(TOOLS, "emsload"), "load", str(port), str(proxies),
         str(SERVICES), str(EACH), str(changes), str(rate),
         "1" if delta else "0"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    synced = p.stdout.readline().split()
    synced_cpu = cpu_s(pid) - before
    held = memory(pid)[0]
    before = cpu_s(pid)
    out, _ = p.communicate("go\n")
    if p.returncode != 0 or not synced:
        raise Trouble("emsload ended with %d: %s" % (p.returncode, out))
    used = cpu_s(pid) - before
    figures = {}
    for line in out.splitlines():
        words = line.split()
        figures[words[0]] = dict(zip(words[1::2], words[2::2]))
    last, first = figures["last_ms"], figures["first_ms"]
    say("%6s %6d %5s | %7.1f %7.1f %6.1f | %6s %6s %6s %6s | %8.2f %7.1f"
        % ("delta" if delta else "SotW", proxies, rate or "one",
           int(synced[1]) / 1e3, synced_cpu, 1e3 * (held - mb) / proxies,
           first["p50"], last["p50"], last["p99"], last["max"],
           1e3 * used / changes, 1e6 * used / changes / proxies))
    missing = int(out.split("missing ")[1].split()[0])
    if missing:
        raise Trouble("%d changes did not come" % missing)


def bench(o, folder, say):
    from mesh import free_port    # t/lib is found by then
    port = free_port()
    ems = Ems(prepared(folder), port)
    say("\ngodwit-ems: %d services, %d endpoints in its store: serving after "
        "%.0f ms, %.1f MB" % (SERVICES, SERVICES * EACH, 1e3 * ems.start_s,
                              memory(ems.process.pid)[0]))
    ems.stop()
    say("              rate  | synced            KB by | first, last proxy has "
        "it, ms   | CPU by")
    say("       proxies  1/s | s       CPU s   proxy   | p50    p50    p99    "
        "max    | change ms  push us")
    proxies = 100 if o.quick else 1000
    for delta, rate, changes in ((True, 0, 300), (False, 0, 300),
                                 (True, 100, 600 if o.quick else 6000)):
        ems = Ems(prepared(folder), port)
        try:
            load(ems, port, proxies, changes, rate, delta, say)
        finally:
            ems.stop()
