"""Sources besides ADS: a stream for each kind of resources, and files; what
they bring, how they change, and what befalls them.

    callers ──TLS──> godwit ──> services a and b
                       ├── CDS, EDS, LDS, RDS, SDS: five streams of a plane,
                       └── or five files: what a test says
"""
import contextlib
import json
import os
import re
import signal
import subprocess

import plane
from load import Chat, Load, Unary
from mesh import GODWIT, PATIENCE_S, free_port, occupy, until
from plane import (KINDS, Files, Plane, assignment, cluster, listener,
                   path_source, route)
from storm import StormService

NODE = "godwit"


def certificate(m, name="server", file="eu-gateway"):
    return plane.secret(name, m.pem(f"{file}.pem").decode(),
                        m.pem(f"{file}.key").decode())


def authority(m):
    return plane.authority("ca", m.pem("ca.pem").decode())


def bootstrap(m, name, lds, cds, clusters=(), **static):
    return m.write(f"{name}.json", json.dumps({
        "node": {"id": NODE, "cluster": "mesh"},
        "dynamic_resources": {k: v for k, v in (
            ("lds_config", lds), ("cds_config", cds)) if v},
        "static_resources": {"clusters": list(clusters), **static}},
        indent=1))


class World:
    """Services, and a listener in front of them: everything by the sources
    that source(kind) says."""

    def __init__(self, m):
        self.m, self.port = m, free_port()
        self.services = {n: m.service(n, kind=StormService) for n in "ab"}

    def resources(self, source, service="a", name="greeter", routes="routes"):
        return {
            "secrets": [certificate(self.m), authority(self.m)],
            "clusters": [cluster(name, source=source("endpoints"))],
            "endpoints": [assignment(name, [self.services[service].port])],
            "listeners": [listener(
                "callers", self.port, routes, source=source("routes"),
                tls=plane.server_tls("server", "ca",
                                     source=source("secrets")))],
            "routes": [route(routes, [("/demo.Greeter/", name)])]}

    def start(self, file, **kwargs):
        self.file = file
        self.godwit = self.m.godwit(file, **kwargs)
        self.caller = self.m.caller(self.port, self.m.credentials("us-local"))

    def served_by(self):
        body = self.caller.call(b"").body
        return body and body.decode()[:-1]

    def until(self, name):
        until(lambda: self.served_by() == name,
              lambda: f"{name} is asked; {self.godwit.log()[-2000:]}")

    def load(self):
        load = Load()
        for kind in Unary, Chat:
            load.add(kind, 2, self.port, self.m.credentials("us-local"))
        return load

    def masters_death(self):
        generation = self.godwit.generation()
        os.kill(self.godwit.children()["master"], signal.SIGKILL)
        until(lambda: self.godwit.generation() > generation, "a successor")

    def ctl(self, *words):
        p = subprocess.run(
            [os.path.join(os.path.dirname(GODWIT), "godwitctl"), "-o",
             f"run_dir={self.godwit.run_dir}", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            timeout=PATIENCE_S)
        return p.stdout.decode()

    def accepted(self, kind):
        """How many responses, of all sources of the kind."""
        return int(re.search(rf"  {kind} +\S+ +(\d+) ",
                             self.ctl("status"))[1])

    def until_says(self, *words):
        """A line of the status has them all."""
        return until(lambda: next((
            line for line in self.ctl("status").splitlines()
            if all(w in line for w in words)), None),
            lambda: f"{words} in\n{self.ctl('status')}")


class Streams(World):
    def __init__(self, m, delta):
        super().__init__(m)
        self.plane, self.api = Plane(m, ads=False), plane.api_source(delta)
        self.plane.set(**self.resources(self.source))
        self.start(bootstrap(m, NODE, self.api, self.api, [
            cluster(plane.CLUSTER, [self.plane.port])]))
        self.until("a")

    def source(self, kind):
        return self.api


class Followed(World):
    """All five by files."""

    def __init__(self, m, **kwargs):
        super().__init__(m)
        self.files = Files(m)
        self.files.set(**self.resources(self.files.source))
        self.start(bootstrap(m, NODE, self.files.source("listeners"),
                             self.files.source("clusters")), **kwargs)
        self.until("a")


# ---- streams

def streams(m, delta):
    w = Streams(m, delta)
    for kind in KINDS:
        w.plane.until_acked(kind, node=NODE)
    # One of each, though two secrets are asked for.
    assert sorted(s["method"].rsplit("/", 1)[1] for s in w.plane.streams()) \
        == sorted(("Delta" if delta else "Stream") + k.capitalize()
                  for k in KINDS), w.plane.streams()
    rows = w.ctl("config", "routes", "routes")
    assert "  cluster plane, RDS  " in rows, rows
    for kind in "CDS", "EDS", "SDS", "LDS", "RDS":
        w.until_says("control plane", f"plane, {kind} at ",
                     f"127.0.0.1:{w.plane.port}",
                     "delta" if delta else "state of the world")
    load = w.load()
    w.plane.update(endpoints=[assignment("greeter", [w.services["b"].port])])
    w.until("b")
    w.plane.update(clusters=[cluster("other", source=w.api),
                             cluster("bad", [1], lb_policy="RING_HASH")],
                   endpoints=[assignment("other", [w.services["a"].port])])
    why = w.plane.until_nacked("clusters")[NODE]
    assert "bad: lb_policy: RING_HASH is not built yet" in why, why
    w.plane.remove(clusters=["bad"])
    w.plane.update(routes=[route("routes", [("/demo.Greeter/", "other")])])
    w.until("a")
    w.plane.remove(clusters=["greeter"])
    w.plane.until_acked("clusters")
    w.plane.kill()
    w.masters_death()
    w.until_says("control plane plane, RDS: not connected")
    assert w.served_by() == "a"
    w.plane.start()
    w.plane.set(**w.resources(w.source, "b"))
    w.until("b")
    load.stop()
    load.is_well()


def test_streams(m):
    streams(m, False)


def test_streams_delta(m):
    streams(m, True)


def test_a_source_that_nobody_names_is_not_followed(m):
    w = Streams(m, True)
    w.plane.update(listeners=[listener("callers", w.port, route(
        "own", [("/demo.Greeter/", "greeter")]))])
    until(lambda: {s["method"].rsplit("/", 1)[1] for s in w.plane.streams()}
          == {"DeltaClusters", "DeltaEndpoints", "DeltaListeners"},
          lambda: f"two are left: {w.plane.streams()}")
    w.plane.set(**w.resources(w.source, "b"))
    w.until("b")
    assert len(w.plane.streams()) == 5, w.plane.streams()


# ---- files

def test_files(m):
    w = Followed(m)
    f = w.files
    w.until_says("all is well")
    w.until_says("followed file", f.path("routes"), "RDS", "taken")
    assert f"  file {f.path('routes')}  " in w.ctl("config", "routes"), \
        w.ctl("config", "routes")
    assert f"  file {f.path('clusters')}  " in w.ctl("config", "cluster")
    load = w.load()
    b = w.services["b"].port
    f.set(endpoints=[assignment("greeter", [b])])
    w.until("b")
    # One file has several, and what it lacks is gone of LDS and CDS only.
    more = free_port()
    f.set(clusters=[cluster(n, source=f.source("endpoints"))
                    for n in ("greeter", "other")],
          endpoints=[assignment("greeter", [b]), assignment(
              "other", [w.services["a"].port])],
          routes=[route("routes", [("/demo.Greeter/", "other")]),
                  route("more", [("/demo.Greeter/", "greeter")])])
    w.until("a")
    # It was not asked for when the file was read.
    f.set(listeners=[*w.resources(f.source)["listeners"], listener(
        "more", more, "more", source=f.source("routes"))])
    caller = m.caller(more)
    until(lambda: caller.call(b"").body == b"b:", "more serves")
    f.set(routes=[route("routes", [("/demo.Greeter/", "greeter")])])
    w.until("b")
    assert caller.call(b"").body == b"b:", "its routes stay"
    f.set(listeners=w.resources(f.source)["listeners"])
    until(lambda: caller.call(b"").code == "UNAVAILABLE", "it is gone")
    f.set(clusters=[cluster("greeter", source=f.source("endpoints"))])
    until(lambda: "other" not in w.ctl("config", "cluster"), "it is gone")
    # One file for two kinds, and then for one again.
    f.set(listeners=[*w.resources(f.source)["listeners"], listener(
        "odd", free_port(), "odd", source=f.source("endpoints"))])
    odd = f.path("endpoints") + ", RDS"
    until(lambda: odd in w.ctl("status"), "it is read")
    f.set(listeners=w.resources(f.source)["listeners"])
    until(lambda: odd not in w.ctl("status"), "it is not any more")
    f.set(endpoints=[assignment("greeter", [w.services["a"].port])])
    w.until("a")
    load.stop()
    load.is_well()


def test_ways_to_change_a_file(m):
    """As people, editors and Kubernetes do."""
    w = Followed(m)
    path = w.files.path("endpoints")
    texts = {}
    for n in "ab":
        w.files.set(endpoints=[assignment("greeter", [w.services[n].port])])
        w.until(n)
        with open(path) as f:
            texts[n] = f.read()
    # In place.
    with open(path, "w") as f:
        f.write(texts["a"])
    w.until("a")
    # Gone and there again, in another folder's name.
    os.unlink(path)
    w.files.write("endpoints", texts["b"])
    w.until("b")
    # Kubernetes: the file is a link through ..data, which is swapped.
    for i, n in enumerate("abab"):
        os.makedirs(os.path.join(w.files.dir, f"..{i}"))
        with open(os.path.join(w.files.dir, f"..{i}", "e.json"), "w") as f:
            f.write(texts[n])
        link = os.path.join(w.files.dir, "..new")
        os.symlink(f"..{i}", link)
        os.rename(link, os.path.join(w.files.dir, "..data"))
        if i == 0:
            os.symlink("..data/e.json", os.path.join(w.files.dir, ".link"))
            os.rename(os.path.join(w.files.dir, ".link"), path)
        w.until(n)
    # Away for a while, and what it was.
    os.rename(path, path + ".away")
    code, said = w.godwit.command("reload")
    assert code == 0, said
    w.until_says("EDS: not taken", "No such file", "goes on")
    os.rename(path + ".away", path)
    w.until_says("all is well")
    # No file at all.
    os.rename(path, path + ".away")
    os.mkdir(path)
    w.godwit.command("reload")
    w.until_says("EDS: not taken", "is no file")
    os.rmdir(path)
    os.rename(path + ".away", path)
    w.until_says("all is well")
    # The same bytes are no news.
    generation = w.godwit.generation()
    w.files.write("endpoints", texts["b"])
    w.files.set(routes=[route("routes", [("/demo.Greeter/", "greeter"),
                                         ("/x/", "greeter")])])
    until(lambda: w.godwit.generation() > generation, "the other file")
    assert w.godwit.generation() == generation + 1
    # YAML too.
    with open(path, "w") as f:
        f.write("# by hand\nresources:\n- '@type': type.googleapis.com/"
                "envoy.config.endpoint.v3.ClusterLoadAssignment\n"
                "  cluster_name: greeter\n  endpoints:\n"
                "  - lb_endpoints: [{endpoint: {address: {socket_address: "
                f"{{address: 127.0.0.1, port_value: "
                f"{w.services['a'].port}}}}}}}}}]\n")
    # It is called .json, and JSON it must be then.
    w.until_says("EDS: not taken", "endpoints.json:1:1: ")
    assert w.served_by() == "b"
    os.rename(path, path.replace(".json", ".yaml"))
    os.symlink("endpoints.yaml", path)
    w.until_says("EDS: not taken", "endpoints.json:1:1: ")
    w.files.write("endpoints", texts["a"])
    w.until("a")
    w.until_says("all is well")


def test_bad_files(m):
    """What can't be read changes nothing; what does not compile is refused by
    name and place, and its siblings are used."""
    w = Followed(m)
    f = w.files
    load = w.load()
    for text, why in (("", "clusters.json:1:1: unexpected token near end"),
                      ("{", "clusters.json:1:1"),
                      ('{"resources": [{"name": "a"}]}', "clusters.json:1:16: "
                       'resources[0]: no "@type"'),
                      ('{"type_url": "a/b"}', "clusters.json:1:14: type_url")):
        f.write("clusters", text)
        w.until_says("CDS: not taken", "what it said before goes on", why)
        until(lambda: why in w.godwit.log(), "the log says so")
        assert w.served_by() == "a"
    f.set(clusters=[cluster("bad", [1], lb_policy="MAGLEV"),
                    cluster("greeter", source=f.source("endpoints")),
                    cluster("good", [w.services["b"].port])],
          routes=[route("routes", [("/demo.Greeter/", "good")])])
    w.until("b")
    with open(f.path("clusters")) as text:
        row = next(i for i, line in enumerate(text, 1) if "MAGLEV" in line)
    w.until_says('cluster "bad": ', "refused", "MAGLEV",
                 f"{f.path('clusters')}:{row}:", "resources[0].lb_policy")
    assert "resources[0].lb_policy" in w.ctl("config", "cluster", "bad")
    f.set(clusters=[cluster("good", [w.services["b"].port])])
    w.until_says("all is well")
    # Of another kind.
    f.write("routes", json.dumps({"resources": [
        {"@type": plane.TYPES + KINDS["clusters"], "name": "x"}]}))
    w.until_says("RDS: the last response was refused", "envoy.config.cluster")
    assert w.served_by() == "b"
    load.stop()
    load.is_well()


def test_an_address_that_cannot_be_bound(m):
    """Its listener is refused, its siblings serve; a reload tries again."""
    w = Followed(m)
    f, port = w.files, free_port()
    with occupy(port):
        f.set(listeners=[*w.resources(f.source, "b")["listeners"],
                         listener("taken", port, "routes",
                                  source=f.source("routes"))])
        w.until_says("LDS: the last response was refused", "taken", str(port))
        assert w.served_by() == "a"
    code, said = w.godwit.command("reload")
    assert code == 0, said
    w.until_says("all is well")
    assert m.caller(port).call(b"").body == b"a:"


def test_a_file_that_comes_late(m):
    """As a control plane that is silent: waited for as long as who waits
    says."""
    w = World(m)
    f = Files(m)
    quick, never = free_port(), free_port()
    b = cluster("b", [w.services["b"].port])
    lost = os.path.join(m.dir, "folder", "not", "there.json")
    w.start(bootstrap(
        m, NODE, f.source("listeners"), None, [b], listeners=[
            listener("quick", quick, "routes", source=path_source(
                lost, initial_fetch_timeout="0.3s")),
            listener("never", never, "routes", source=path_source(
                os.path.join(m.dir, "folder", "never.json"),
                initial_fetch_timeout="0s"))]))
    caller = m.caller(quick)
    until(lambda: caller.call().code == "UNIMPLEMENTED", "it has no routes")
    w.until_says("RDS: not taken", "No such file", lost)
    assert m.caller(never).call().code == "UNAVAILABLE"
    os.makedirs(os.path.dirname(lost))
    for path in lost, os.path.join(m.dir, "folder", "never.json"):
        f.set(routes=[route("routes", [("/demo.Greeter/", "b")])])
        os.rename(f.path("routes"), path)
    until(lambda: caller.call(b"").body == b"b:", "it has routes")
    never = m.caller(never)
    until(lambda: never.call(b"").body == b"b:", "it serves")
    port = free_port()
    f.set(listeners=[listener("late", port, route(
        "own", [("/demo.Greeter/", "b")]))])
    late = m.caller(port)
    until(lambda: late.call(b"").body == b"b:", "it serves")


def test_the_master_dies(m):
    """Its successor has what was accepted, then what the file says by now."""
    w = Followed(m)
    f = w.files
    load = w.load()
    os.rename(f.path("routes"), f.path("kept"))
    w.masters_death()
    assert w.served_by() == "a"
    w.until_says("RDS: not taken", "No such file")
    master = w.godwit.children()["master"]
    f.set(endpoints=[assignment("greeter", [w.services["b"].port])])
    w.until("b")
    os.kill(master, signal.SIGSTOP)
    f.set(endpoints=[assignment("greeter", [w.services["a"].port])])
    os.kill(master, signal.SIGKILL)
    w.until("a")
    os.rename(f.path("kept"), f.path("routes"))
    w.until_says("all is well")
    load.stop()
    load.is_well()
    # The first word may be that there is nothing.
    master = w.godwit.children()["master"]
    os.kill(master, signal.SIGSTOP)
    f.set(listeners=[])
    os.kill(master, signal.SIGKILL)
    until(lambda: w.caller.call().code == "UNAVAILABLE", "it is gone")


def kept(state, base):
    found = b""
    for end in "ab":
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(state, f"{base}.{end}"), "rb") as f:
                found = max(found, f.read(), key=len)
    return found


def test_a_start_without_its_files(m):
    """From the checkpoint."""
    w = World(m)
    f, state = Files(m), os.path.join(m.dir, "state")
    f.set(**w.resources(f.source))
    file = bootstrap(m, NODE, f.source("listeners"), f.source("clusters"))
    w.start(file, state_dir=state)
    w.until("a")
    until(lambda: kept(state, "secrets").count(b"server") and
          kept(state, "resources").count(b"greeter") == 5, "all is kept")
    w.godwit.stop()
    os.rename(f.dir, f.dir + ".gone")
    w.start(file, state_dir=state)
    w.until("a")
    w.until_says("CDS: not taken", "No such file")
    os.rename(f.dir + ".gone", f.dir)
    w.until_says("all is well")
    f.set(endpoints=[assignment("greeter", [w.services["b"].port])])
    w.until("b")


# ---- both

def test_the_same_name_of_two_sources(m):
    """Is two resources."""
    w = World(m)
    f, p = Files(m), Plane(m, ads=False)
    ports = [free_port() for _ in range(3)]
    api, other = plane.api_source(), os.path.join(m.dir, "xds", "other.json")
    a, b = (cluster(n, [s.port]) for n, s in w.services.items())
    p.set(routes=[route("routes", [("/demo.Greeter/", "a")])])
    f.set(routes=[route("routes", [("/demo.Greeter/", "b")])])
    os.rename(f.path("routes"), other)
    f.set(routes=[route("routes", [("/demo.Greeter/", "a"), ("/x/", "b")])])
    w.start(bootstrap(
        m, NODE, None, None, [a, b, cluster(plane.CLUSTER, [p.port])],
        listeners=[listener(f"l{i}", ports[i], "routes", source=s)
                   for i, s in enumerate((api, path_source(other),
                                          f.source("routes")))]))
    callers = [m.caller(port) for port in ports]

    def served():
        return b"".join(c.call(b"").body or b"-" for c in callers)
    until(lambda: served() == b"a:b:a:", lambda: f"each by its own: {served()}")
    text = w.ctl("config", "routes")
    assert text.count("routes     routes ") == 3 and "\xff" not in text, text
    for where in f"file {other}", "cluster plane, RDS":
        assert where in text, text
        assert where in w.ctl("config", "routes", "routes")
    # One's is refused, whatever the others say.
    with open(other, "w") as text:
        json.dump({"resources": [{"@type": plane.TYPES + KINDS["routes"],
                                  **route("routes", [("/", "")])}]}, text)
    w.until_says('routes "routes": ', "refused", f"{other}:1:")
    p.set(routes=[route("routes", [("/demo.Greeter/", "b")])])
    until(lambda: served() == b"b:b:a:", served)
    w.until_says('routes "routes": ', "refused", f"{other}:1:")
    before = w.accepted("RDS")
    f.set(routes=[])
    until(lambda: w.accepted("RDS") > before, "it is read")
    w.until_says('routes "routes": ', "refused", f"{other}:1:")
    f.set(routes=[route("routes", [("/demo.Greeter/", "b")])])
    until(lambda: served() == b"b:b:b:", served)
    w.masters_death()
    assert served() == b"b:b:b:"


def test_another_source_by_reload(m):
    """LDS, CDS and all they name: from a plane to files and back. No call
    fails."""
    w = Streams(m, False)
    f = Files(m)
    api = cluster(plane.CLUSTER, [w.plane.port])
    load = w.load()
    for i in range(4):
        name = f"greeter{i}"
        if i % 2 == 0:
            f.set(**w.resources(f.source, "b", name, f"routes{i}"))
            bootstrap(m, NODE, f.source("listeners"), f.source("clusters"),
                      [api])
        else:
            w.plane.set(**w.resources(w.source, "a", name, f"routes{i}"))
            bootstrap(m, NODE, w.api, w.api, [api])
        code, said = w.godwit.command("reload")
        assert code == 0, said
        w.until("ba"[i % 2])
        w.until_says("all is well")
    assert len(w.plane.streams()) == 5
    load.stop()
    load.is_well()


def test_ads_beside_them(m):
    """EDS by ADS, RDS by a file, LDS by a stream of its own."""
    w = World(m)
    f, p, api = Files(m), Plane(m), plane.api_source()
    sources = {"routes": f.source("routes"), "endpoints": plane.ADS,
               "secrets": plane.ADS}
    own = w.resources(sources.get)
    p.set(**{k: v for k, v in own.items() if k != "routes"})
    f.set(routes=own["routes"])
    w.start(m.write("all.json", json.dumps({
        "node": {"id": NODE}, "dynamic_resources": {
            "ads_config": api["api_config_source"],
            "cds_config": plane.ADS, "lds_config": api},
        "static_resources": {"clusters": [cluster(plane.CLUSTER, [p.port])]}
    })))
    w.until("a")
    assert sorted(s["method"].rsplit("/", 1)[1] for s in p.streams()) == [
        "StreamAggregatedResources", "StreamListeners"], p.streams()
    p.update(endpoints=[assignment("greeter", [w.services["b"].port])])
    w.until("b")
    p.update(listeners=[])
    w.until_says("all is well")


# ---- beside Envoy

class Pair(World):
    """godwit and Envoy of the same files, but for LDS: a port can't be both's.
    Of other kinds Envoy takes one resource of a file: each has a file."""

    def __init__(self, m):
        super().__init__(m)
        self.files = f = Files(m)
        self.own = {n: Files(m, n) for n in ("godwit", "envoy")}
        self.ports = {n: free_port() for n in self.own}
        f.set(clusters=[cluster("greeter", source=f.source("endpoints"))],
              endpoints=[assignment("greeter", [self.services["a"].port])],
              routes=[route("routes", [("/demo.Greeter/", "greeter")])],
              secrets=[certificate(m)])
        for n in self.own:
            self.own[n].set(listeners=[self.listener(n)])
        self.godwit = m.godwit(self.file("godwit"))
        admin = free_port()
        self.envoy = m.envoy(self.file("envoy", admin={
            "address": plane.socket_address(admin)}), admin)
        tls = m.credentials("us-local")
        self.callers = {n: m.caller(p, tls) for n, p in self.ports.items()}

    def file(self, name, **more):
        return self.m.write(f"{name}.json", json.dumps({
            "node": {"id": name, "cluster": "mesh"}, **more,
            "dynamic_resources": {
                "lds_config": self.own[name].source("listeners"),
                "cds_config": self.files.source("clusters")}}))

    def listener(self, name, port=None):
        return listener("callers", port or self.ports[name], "routes",
                        source=self.files.source("routes"),
                        tls=plane.server_tls(
                            "server", source=self.files.source("secrets")))

    def both(self, code, body=None):
        for name, caller in self.callers.items():
            until(lambda: (lambda a: a.code == code and a.body == body)(
                caller.call(b"")), lambda: f"{name}: {code} {body}, not "
                f"{caller.call(b'')}")


def test_beside_envoy(m):
    """What both make of the same files, and of their changes."""
    p = Pair(m)
    f = p.files
    a, b = (p.services[n].port for n in "ab")
    p.both("OK", b"a:")
    f.set(endpoints=[assignment("greeter", [b])])
    p.both("OK", b"b:")
    f.set(clusters=[cluster("greeter", source=f.source("endpoints")),
                    cluster("other", [a])])
    f.set(routes=[route("routes", [("/demo.Greeter/", "other")])])
    p.both("OK", b"a:")
    # Junk changes nothing, an empty file neither.
    for text in "{", "":
        f.write("routes", text)
        f.write("clusters", text)
    until(lambda: "clusters.json" in p.godwit.log(), "it is seen")
    f.set(endpoints=[assignment("greeter", [a])])
    p.both("OK", b"a:")
    # What is bad is refused, and its siblings are used.
    f.set(clusters=[cluster("bad", lb_policy="CLUSTER_PROVIDED", type="STATIC",
                            eds_cluster_config=None),
                    cluster("more", [b]), cluster("other", [a])])
    f.set(routes=[route("routes", [("/demo.Greeter/", "more")])])
    p.both("OK", b"b:")
    # What LDS lacks is gone.
    for n in p.own:
        p.own[n].set(listeners=[])
    p.both("UNAVAILABLE")
    for n in p.own:
        p.own[n].set(listeners=[p.listener(n)])
    p.both("OK", b"b:")


def test_beside_envoy_what_differs(m):
    """godwit takes several resources of a file, and writes in place."""
    p = Pair(m)
    f = p.files
    a, b = (p.services[n].port for n in "ab")
    p.both("OK", b"a:")
    f.set(endpoints=[assignment("greeter", [b]), assignment("more", [b])])
    until(lambda: p.callers["godwit"].call(b"").body == b"b:", "both are read")
    until(lambda: "Unexpected EDS resource length: 2" in p.envoy.log(),
          "Envoy refuses them")
    assert p.callers["envoy"].call(b"").body == b"a:"
    f.set(endpoints=[assignment("greeter", [a])])
    p.both("OK", b"a:")
    with open(f.path("endpoints")) as text:
        changed = text.read().replace(f": {a}", f": {b}")
    with open(f.path("endpoints"), "w") as text:
        text.write(changed)
    until(lambda: p.callers["godwit"].call(b"").body == b"b:", "it is read")
    assert p.callers["envoy"].call(b"").body == b"a:"
