"""t/bench/scale.py - what endpoints cost beside Envoy, and what it costs to
change one of them.

    1,000 to 100,000 endpoints, in clusters of 10 and of 100
    godwit   keeper, master, 2 workers      Envoy   main thread, 2 workers
    both run, nothing calls them; they change in turn

One endpoint of one cluster gets another port, and how its proxy hears of it:

    Envoy            EDS from a file of that cluster alone, replaced by rename
    godwit reload    the whole file, replaced by rename, then -s reload: until
                     godwit subscribes to xDS this is the only way from outside
    godwit publish   build/t/bench/publish: the message is in the master, as a
                     subscription will have it; real workers

In use: until the last worker has it. Envoy's threads say so in their log, with
their clock's nanoseconds; -s reload ends with it.
CPU is of all threads and processes, until nothing moves any more.

Envoy's other clusters are static, in its bootstrap: each EDS file needs an
inotify instance of its own, and Linux grants a user 128. Its statistics are
flushed too rarely to be seen.
"""
import json
import os
import re
import resource
import statistics
import subprocess
import time
import urllib.request

import peers
from peers import API, Trouble

CELLS = ((1000, 10), (1000, 100), (10000, 10), (10000, 100), (100000, 100),
         (100000, 10))  # endpoints, in each cluster
WORKERS = 2
CHANGES = 5             # in turn; of godwit's publish, a hundred times as many
MOVING = "moving"       # the cluster whose endpoint changes
STARTS_S = 300
QUIET_S = 0.2           # nothing on a CPU for so long: it is over


def endpoints(first, n, port):
    """n endpoints by number; the first of them has this port."""
    return [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {
            "address": "10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255),
            "port_value": port if i == first else 8080}}}}
        for i in range(first, first + n)]}]


def assignment(name, first, n, port):
    return {"cluster_name": name, "endpoints": endpoints(first, n, port)}


def cluster(name, first, n, port):
    return {"name": name, "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": API
                    + "extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": assignment(name, first, n, port)}


def listener(port):
    return {"name": "bench", "address": {"socket_address": {
        "address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": peers.HCM, "stat_prefix": "bench",
                "codec_type": "HTTP2",
                "route_config": {"name": "bench", "virtual_hosts": [{
                    "name": "bench", "domains": ["*"], "routes": [{
                        "match": {"prefix": "/"},
                        "route": {"cluster": MOVING}}]}]},
                "http_filters": [{
                    "name": "envoy.filters.http.router", "typed_config": {
                        "@type": API
                        + "extensions.filters.http.router.v3.Router"}}]}}]}]}


def bootstrap(n, each, listen, port):
    """The first cluster is the one that moves."""
    return {"node": {"id": "bench", "cluster": "bench"},
            "static_resources": {"listeners": [listener(listen)], "clusters": [
                cluster(MOVING if first == 0 else "cluster-%d" % first, first,
                        min(each, n - first), port)
                for first in range(0, n, each)]}}


def put(path, what):
    """As an operator does: whole or not at all."""
    with open(path + ".new", "w") as f:
        json.dump(what, f)
    os.rename(path + ".new", path)


def memory(pid):
    """(RSS, PSS) in MB."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        kb = dict(re.findall(r"^(\w+): +(\d+) kB", f.read(), re.M))
    return int(kb["Rss"]) / 1e3, int(kb["Pss"]) / 1e3


def children_s():
    """Seconds of CPU of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Proxy:
    """One proxy with n endpoints; change() gives (seconds until it is in use,
    seconds of CPU)."""

    def __init__(self, folder, n, each):
        self.n, self.each, self.port = n, each, 8081
        self.listen = peers.free_port()
        self.folder = os.path.join(folder, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.file = os.path.join(self.folder, "bootstrap.json")
        put(self.file, self.configuration())
        self.program = peers.Program(self.name, self.command(), None, folder)
        try:
            self.program.wait_port(self.listen, STARTS_S)
            self.start_cpu_s = self.quiet()
        except BaseException:
            self.program.stop()
            raise

    def quiet(self):
        """Seconds of CPU so far, once it uses no more."""
        was, now = None, peers.on_cpu(self.program.pids())
        while was is None or now - was > QUIET_S * 1e9 / 100:
            time.sleep(QUIET_S)
            was, now = now, peers.on_cpu(self.program.pids())
        return now / 1e9

    def memory(self):
        both = [memory(pid) for pid in self.program.pids()]
        return sum(b[0] for b in both), sum(b[1] for b in both)

    def change(self):
        self.port += 1
        self.prepare()
        was = self.quiet()
        in_use = self.move()
        return in_use, self.quiet() - was + self.helper_s

    helper_s = 0            # of a program that only says what to do


class Godwit(Proxy):
    name = "godwit"

    def configuration(self):
        return bootstrap(self.n, self.each, self.listen, self.port)

    def command(self, *words):
        return [peers.GODWIT, "-c", self.file, "-o", "workers=%d" % WORKERS,
                "-o", "run_dir=" + self.folder] + list(words)

    def generations(self):
        """The numbers of /generations by name."""
        done = subprocess.run(
            ["curl", "-sS", "--unix-socket", self.folder + "/admin.sock",
             "http://x/generations"], capture_output=True, text=True)
        return {k: int(v) for k, v in
                re.findall(r"^([\w ]+): (\d+)", done.stdout, re.M)}

    def prepare(self):
        with open(self.file + ".next", "w") as f:
            json.dump(self.configuration(), f)

    def move(self):
        number = self.generations()["published"]
        helper = children_s()
        begun = time.monotonic()
        os.rename(self.file + ".next", self.file)
        done = subprocess.run(self.command("-s", "reload"),
                              capture_output=True, text=True)
        took = time.monotonic() - begun
        if done.returncode != 0:
            raise Trouble("godwit: " + done.stdout + done.stderr)
        self.helper_s = children_s() - helper
        at = self.generations()
        if any(at[k] != number + 1 for k in at
               if k == "published" or k.startswith("worker ")):
            raise Trouble("godwit: not every worker uses generation %d: %s"
                          % (number + 1, at))
        return took


class Envoy(Proxy):
    name = "envoy"
    binary = None

    def configuration(self):
        self.eds = os.path.join(self.folder, "eds.json")
        self.eds_put(self.eds)
        self.admin = peers.free_port()
        b = bootstrap(self.n, self.each, self.listen, self.port)
        moving = b["static_resources"]["clusters"][0]
        del moving["load_assignment"]
        moving["type"] = "EDS"
        moving["eds_cluster_config"] = {"eds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": self.eds}}}
        b["stats_flush_interval"] = "299s"
        b["admin"] = {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": self.admin}}}
        return b

    def eds_put(self, path):
        with open(path, "w") as f:
            json.dump({"version_info": str(self.port), "resources": [
                {"@type": API + "config.endpoint.v3.ClusterLoadAssignment",
                 **assignment(MOVING, 0, min(self.n, self.each),
                              self.port)}]}, f)

    def command(self):
        return [self.binary, "-c", self.file, "--concurrency", str(WORKERS),
                "--disable-hot-restart", "-l", "error",
                "--enable-fine-grain-logging", "--log-format", "%E.%F %v"]

    def ask(self, path, method="GET"):
        with urllib.request.urlopen(urllib.request.Request(
                "http://127.0.0.1:%d%s" % (self.admin, path),
                method=method)) as r:
            return r.read()

    def allocated(self):
        return int(json.loads(self.ask("/memory"))["allocated"]) / 1e6

    def threads_said(self):
        """When each thread took a changed endpoint, seconds of the day."""
        with open(self.program.said, errors="replace") as f:
            f.seek(self.said_before)
            return [float(t) for t in re.findall(
                r"^(\d+\.\d+) removing hosts for TLS cluster %s removed 1$"
                % MOVING, f.read(), re.M)]

    def prepare(self):
        self.ask("/logging?paths=cluster_manager_impl:debug", "POST")
        self.eds_put(self.eds + ".new")
        self.said_before = os.path.getsize(self.program.said)

    def move(self):
        begun = time.time()
        os.rename(self.eds + ".new", self.eds)
        while len(said := self.threads_said()) < WORKERS + 1:
            if time.time() - begun > STARTS_S:
                raise Trouble("envoy: %d of %d threads have the endpoint" % (
                    len(said), WORKERS + 1))
            time.sleep(0.005)
        return max(said) - begun


# ---- what was measured

def publish(n, each, changes):
    """A row of build/t/bench/publish: CPU of reading the message and of all
    that the master does then, and (least, median) until it is in use;
    seconds."""
    done = subprocess.run(
        [os.path.join(peers.TOOLS, "publish"), "-w", str(WORKERS), "-n",
         str(changes), "-c", str(each), str(n)], capture_output=True,
        text=True)
    if done.returncode != 0:
        raise Trouble(done.stderr.strip())
    words = done.stdout.splitlines()[-1].split()
    decode, assign, reclaim = (float(words[i]) / 1e6 for i in (6, 7, 9))
    return {"live": float(words[3]), "decode": decode,
            "cpu": assign + reclaim, "in_use": [float(w) / 1e6 for w in words[10:12]]}


def cell(folder, n, each, changes, envoy):
    """Everything about n endpoints in clusters of `each`."""
    figures = {"publish": publish(n, each, 100 * changes)}
    proxies = []
    try:
        for kind in (Godwit,) + ((Envoy,) if envoy else ()):
            proxies.append(kind(folder, n, each))
        for p in proxies:
            figures[p.name] = {"start_cpu": p.start_cpu_s, "changes": []}
        for _ in range(changes):
            for p in proxies:
                figures[p.name]["changes"].append(p.change())
        for p in proxies:
            figures[p.name]["rss"], figures[p.name]["pss"] = p.memory()
        if envoy:
            figures["envoy"]["allocated"] = proxies[1].allocated()
    finally:
        for p in proxies:
            p.program.stop()
    return figures


def least_and_middle(f):
    """[in use, CPU] of all changes: (least, median) of each."""
    return [(min(x), statistics.median(x)) for x in zip(*f["changes"])]


def line(say, name, in_use, cpu, bar, more=""):
    """in_use, cpu: (least, median); bar: both of Envoy's, or None. Ratios are
    of the least."""
    text = "".join(" %8s %8.2f" % (
        "-" if least is None else "%.2f" % (least * 1e3), median * 1e3)
        for least, median in (in_use, cpu))
    share = "".join(" %8.3f" % ((x[0] or x[1]) / b[0])
                    for x, b in zip((in_use, cpu), bar or ()))
    say("  %-15s%s%18s%s" % (name, text, share, more))


def table(say, n, each, f):
    say("\n%d endpoints, %d in each of %d clusters" % (
        n, each, (n - 1) // each + 1))
    say("  %-15s %17s %17s %17s %8s %7s %7s" % (
        "one changes", "in use ms", "CPU ms", "of Envoy's", "start", "RSS",
        "PSS"))
    say("  %-15s %8s %8s %8s %8s %8s %8s %8s %7s %7s" % (
        "", "min", "median", "min", "median", "in use", "CPU", "CPU s", "MB",
        "MB"))
    e, g, p = f.get("envoy"), f["godwit"], f["publish"]
    bar = e and least_and_middle(e)
    for name, x in (("envoy EDS file", e), ("godwit reload", g)):
        if x is not None:
            line(say, name, *least_and_middle(x), bar,
                 " %8.2f %7.1f %7.1f" % (x["start_cpu"], x["rss"], x["pss"]))
    for name, more in (("godwit publish", 0), (" and its JSON", p["decode"])):
        line(say, name, [t + more for t in p["in_use"]],
             (None, p["cpu"] + more), bar)
    say("  the image: %.2f MB live%s" % (p["live"], "" if e is None else
        "; Envoy's allocator has given out %.1f MB" % e["allocated"]))


def bench(o, folder, say):
    Envoy.binary = peers.envoy_binary()
    if Envoy.binary is None:
        say("envoy is not here: its rows are left out")
    for n, each in CELLS[:4] if o.quick else CELLS:
        f = cell(folder, n, each, 2 if o.quick else CHANGES,
                 Envoy.binary is not None)
        table(say, n, each, f)
