"""t/bench/emsbench.py - what a control plane of a thousand proxies costs: 1,000
services, 20,000 endpoints, and proxies (emsload.c) that ask for all of them.

    start    from godwit-ems's exec, with all of it in its store, to serving
    kinds    what one more kind of proxies costs (view.c)
    synced   until the last of the proxies, which come at once, has all
    change   an endpoint registers anew on another port: from its call being
             sent to the first and the last proxy having it; the disk's sync and
             the bench's own work are in it, on the same machine
    ACK      until godwit-ems has read the last proxy's, as its /metrics say,
             which are asked again and again from when the last proxy has it:
             of other changes, for asking costs too
    CPU      of godwit-ems, by change and by push to a proxy

Then 100 changes a second for a minute: how many did not come, and how late;
what changes while a proxy is sent something is in its next response, so a push
to one is fewer responses there than changes. --proxies 5000: that many.
"""
import contextlib
import os
import resource
import subprocess
import tempfile
import time

from peers import TOOLS, Trouble
from scale import memory

EMS = os.path.join(os.path.dirname(os.path.dirname(TOOLS)), "godwit-ems")
SERVICES, EACH, ACKS = 1000, 20, 60
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) * TICK_S


class Ems:
    """A godwit-ems on a prepared store."""

    def __init__(self, folder, port):
        self.log = os.path.join(folder, "ems.log")
        self.socket = os.path.join(folder, "ems.sock")
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


class Load:
    """An emsload beside a godwit-ems: lines out, lines in."""

    def __init__(self, port, *numbers):
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "emsload"), "load", str(port),
             *(str(int(n)) for n in numbers)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def read(self):
        """The words of the next line."""
        words = self.process.stdout.readline().split()
        if not words:
            raise Trouble("emsload ended with %d" % self.process.wait())
        return words

    def until(self, first):
        """{name: {figure: value}} of the lines up to that which begins so."""
        found = {}
        while first not in found:
            words = self.read()
            found[words[0]] = dict(zip(words[1::2], words[2::2]))
        return found

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.go()
        self.process.wait()


def is_acknowledged(http):
    http.request("GET", "/metrics")
    return "godwit_ems_proxies_behind 0\n" in http.getresponse().read(
        ).decode()


def acks_ms(ems, load):
    """How long each took, sorted."""
    from mesh import UnixHttp
    took = []
    with contextlib.closing(UnixHttp(ems.socket)) as http:
        for _ in range(ACKS):
            load.go()
            sent = int(load.read()[1])
            while not is_acknowledged(http):
                pass
            took.append((time.monotonic_ns() - sent) / 1e6)
    return sorted(took)


def measure(ems, port, proxies, changes, rate, delta, say):
    pid = ems.process.pid
    before = cpu_s(pid)
    mb = memory(pid)[0]
    acks = 0 if rate else ACKS
    load = Load(port, proxies, SERVICES, EACH, changes, rate, delta, acks)
    synced_s = int(load.read()[1]) / 1e3
    synced_cpu = cpu_s(pid) - before
    held = memory(pid)[0]
    before = cpu_s(pid)
    load.go()
    found = load.until("all_ms")
    used = cpu_s(pid) - before
    took = acks_ms(ems, load) if acks else []
    load.end()
    last, first = found["last_ms"], found["first_ms"]
    say("%6s %6d %5s | %7.1f %7.1f %6.1f | %6s %6s %6s %6s | %6s %6s | "
        "%8.2f %7.1f"
        % ("delta" if delta else "SotW", proxies, rate or "one",
           synced_s, synced_cpu, 1e3 * (held - mb) / proxies,
           first["p50"], last["p50"], last["p99"], last["max"],
           *("%.1f" % took[len(took) * n // 100] if took else "-"
             for n in (50, 99)),
           1e3 * used / changes, 1e6 * used / changes / proxies))
    if int(found["changes"]["broken"]):
        say("        of these proxies' streams %s broke and began again"
            % found["changes"]["broken"])
    if int(found["changes"]["missing"]):
        raise Trouble("%s changes did not come" % found["changes"]["missing"])


def bench(o, folder, say):
    from mesh import free_port    # t/lib is found by then
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port = free_port()
    ems = Ems(prepared(folder), port)
    say("\ngodwit-ems: %d services, %d endpoints in its store: serving after "
        "%.0f ms, %.1f MB" % (SERVICES, SERVICES * EACH, 1e3 * ems.start_s,
                              memory(ems.process.pid)[0]))
    ems.stop()
    subprocess.run([os.path.join(TOOLS, "view"), str(SERVICES), str(EACH)],
                   check=True)
    say("              rate  | synced            KB by | first, last proxy has "
        "it, ms   | last ACK, ms  | CPU by")
    say("       proxies  1/s | s       CPU s   proxy   | p50    p50    p99    "
        "max    | p50    p99    | change ms  push us")
    for proxies in o.proxies or [100 if o.quick else 1000]:
        for delta, rate, changes in (
                (True, 0, 300), (False, 0, 300),
                (True, 100, 600 if o.quick else 6000)):
            ems = Ems(prepared(folder), port)
            try:
                measure(ems, port, proxies, changes, rate, delta, say)
            finally:
                ems.stop()
