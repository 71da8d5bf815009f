"""t/lib/ems_mesh.py - two regions under one godwit-ems: sidecars in us, the
gateway of eu, services in both, and the certificates between them.

    callers ──> sidecar (web, batch) ──mutual TLS──> gateway eu-gw ──> eu
                     └──> us            all by xDS of godwit-ems

A sidecar is a godwit or an Envoy; a proxyless caller is grpcio in a process of
its own (t/lib/proxyless.py).
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import plane
from ems import Ems
from load import Load, Unary
from mesh import PATIENCE_S, ROOT, can_connect, free_port, until
from storm import StormService

GREETER = "demo.Greeter"
CALLERS = "web", "batch"
# Of a mesh whose control plane asks who comes; those of t/lib/mint besides.
PEOPLE = {
    "app": "spiffe://mesh/region/us/service/demo.Greeter",
    "host": "spiffe://mesh/region/us/host/h1",
    "writer": "spiffe://mesh/writer/ann",
}
TTL_MS = 600000         # no test lasts as long


class EmsMesh:
    def __init__(self, m, secure=False, **settings):
        """secure: the control plane asks for certificates."""
        self.m, self.secure = m, secure
        self.gateway_port = free_port()
        self.certificates()
        if secure:
            settings["tls"] = {
                "certificate": f"{m.dir}/tls/ems.pem",
                "key": f"{m.dir}/tls/ems.key", "ca": f"{m.dir}/tls/ca.pem"}
        self.ems = Ems(m, settings)
        self.services, self.epochs, self.listens = {}, {}, {}
        self.apply("region: us", "region: eu",
                   f"gateway: eu-gw\nregion: eu\n"
                   f"addresses: ['127.0.0.1:{self.gateway_port}']\n"
                   f"listen: 127.0.0.1:{self.gateway_port}")

    # ---- certificates

    def certificates(self):
        """Folders tls-NAME with tls.crt, tls.key, ca.crt, as proxies read."""
        people = {c: f"spiffe://mesh/region/us/service/{c}" for c in CALLERS}
        if self.secure:
            people.update(PEOPLE)
        tls = self.m.certificates(**people)
        for name in *people, "eu-gateway":
            to = self.tls(name)
            os.mkdir(to)
            for old, new in ((f"{name}.pem", "tls.crt"), ("ca.pem", "ca.crt"),
                             (f"{name}.key", "tls.key")):
                shutil.copy(f"{tls}/{old}", f"{to}/{new}")

    def tls(self, name):
        return f"{self.m.dir}/tls-{name}"

    # ---- what the mesh is to be

    def apply(self, *intents):
        """Whatever was there."""
        return self.ems.apply("\n---\n".join(intents), "--force")

    def service(self, id, region, name=GREETER, kind=StormService, **more):
        """A service that says ID, registered by that id."""
        self.services[id] = self.m.service(id, kind=kind)
        self.register(id, region, name, **more)
        return self.services[id]

    def register(self, id, region, name=GREETER, port=None, **more):
        port = port or self.services[id].port
        answer = self.ems.rest("POST", "/v1/register", {
            "id": id, "service": name, "region": region,
            "address": "127.0.0.1", "port": port, "ttl_ms": TTL_MS, **more})
        assert answer.status == 200, answer
        self.epochs[id] = answer["epoch"]

    def deregister(self, id):
        answer = self.ems.rest("POST", "/v1/deregister",
                               {"id": id, "epoch": self.epochs[id]})
        assert answer.status == 200, answer

    # ---- proxies

    def node(self, id, cluster, region, **metadata):
        return {"id": id, "cluster": cluster, "locality": {"region": region},
                "metadata": metadata}

    def godwit_file(self, node, **settings):
        if self.secure:
            tls = node["metadata"]["tls"]
            settings = {"ems_ca": f"{tls}/ca.crt",
                        "ems_certificate": f"{tls}/tls.crt",
                        "ems_key": f"{tls}/tls.key", **settings}
        return self.m.write(f"{node['id']}.json", json.dumps({
            "node": node, "godwit": {"ems": f"127.0.0.1:{self.ems.port}",
                                     **settings}}))

    def sidecar_node(self, name, region="us", tls="web"):
        self.listens.setdefault(name, free_port())
        return self.node(name, "web", region, tls=self.tls(tls),
                         listen=f"127.0.0.1:{self.listens[name]}")

    def until_listens(self, proxy, port):
        until(lambda: can_connect(port) or proxy.exited(),
              lambda: f"{proxy.name} listens: {proxy.log()[-3000:]}")
        assert not proxy.exited(), proxy.log()
        return proxy

    def sidecar(self, name="sidecar", region="us", tls="web", register=(),
                **kwargs):
        """A godwit; callers reach it by port(name)."""
        node = self.sidecar_node(name, region, tls)
        more = {"register": list(register)} if register else {}
        return self.until_listens(
            self.m.godwit(self.godwit_file(node, **more), **kwargs),
            self.listens[name])

    def gateway(self):
        node = self.node("gateway", "eu-gw", "eu", tls=self.tls("eu-gateway"))
        return self.until_listens(self.m.godwit(self.godwit_file(node)),
                                  self.gateway_port)

    def envoy(self, name="envoy", delta=False, ads=True):
        """An Envoy as sidecar; ads False: CDS and LDS are streams of their
        own, what these name is by ADS as ever."""
        tls = plane.files_tls(self.m, "web", "spiffe://mesh/ems") \
            if self.secure else None
        file = plane.bootstrap(self.m, self.ems.port, name, delta=delta,
                               timeout_s=2, tls=tls)
        with open(file) as f:
            it = json.load(f)
        it["node"] = self.sidecar_node(name)
        if not ads:
            it["dynamic_resources"].update({k: plane.api_source(delta) for k
                                            in ("cds_config", "lds_config")})
        self.m.write(f"{name}.json", json.dumps(it))
        return self.m.envoy(file, self.listens[name])

    def caller(self, name="sidecar", options=()):
        return self.m.caller(self.listens[name], options=options)

    def gateway_caller(self, who="web"):
        return self.m.caller(self.gateway_port, self.m.credentials(who))

    def load(self, *names, n=2):
        load = Load()
        self.m.callback(load.stop)
        for name in names or ("sidecar",):
            load.add(Unary, n, self.listens[name])
        return load

    # ---- what proxies have

    def proxies(self):
        """{node: {type: about}}"""
        found = {}
        for p in self.ems.rest("GET", "/v1/proxies")["proxies"]:
            found.setdefault(p["node"], {}).update(
                {t["type"]: t for t in p["types"]})
        return found

    def until_settled(self, *nodes):
        """These have acknowledged all that there is."""
        def settled():
            have = self.proxies()
            return have.keys() >= {*nodes} and all(
                t["newest"] <= t["acknowledged"] and not t["outstanding"] and
                "refused" not in t for n in nodes for t in have[n].values())
        until(settled, lambda: f"{nodes} are settled: {self.proxies()}")


def who(answer):
    """Who answered, or the status."""
    return answer.code if answer.body is None else \
        answer.body.decode().split(":")[0]


def until_from(caller, *ids, times=20, **call):
    """Until so many calls one after the other were all answered by these, and
    by each of them."""
    seen = []

    def fact():
        seen[:] = [who(caller.call(**call)) for _ in range(times)]
        return set(seen) == set(ids)
    until(fact, lambda: f"{ids} answer: {seen}")


# Who calls without a proxy: a gRPC library and its program.
LIBRARIES = {
    "grpcio": [sys.executable, os.path.join(ROOT, "t/lib/proxyless.py")],
    "grpc-go": [plane.BINARY, "-call"],
    "grpc-js": [os.path.join(ROOT, "build/interop/bin/node"),
                os.path.join(ROOT, "build/interop/node/proxyless.js")],
}


class Proxyless:
    """A gRPC library that asks godwit-ems itself, in a process of its own, and
    calls without rest."""

    def __init__(self, mesh, service=GREETER, name="proxyless",
                 library="grpcio"):
        node = mesh.node(name, "web", "us")
        boot = {"xds_servers": [{
            "server_uri": f"127.0.0.1:{mesh.ems.port}",
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"]}], "node": node}
        env = dict(os.environ, GRPC_XDS_BOOTSTRAP_CONFIG=json.dumps(boot))
        self.process = subprocess.Popen(
            [*LIBRARIES[library], f"xds:///{service}"], stdin=subprocess.PIPE, env=env,
            stdout=subprocess.PIPE, text=True)
        self.n, self.failures, self.last = 0, [], None
        self.began = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        mesh.m.callback(self.stop)

    def read(self):
        for line in self.process.stdout:
            good, said = line.rstrip("\n").split(" ", 1)
            self.began = self.began or good == "OK"
            if good == "OK":
                self.last = said
            elif self.began:
                self.failures.append(line)
            else:
                self.last = line
            self.n += 1

    def until_from(self, *ids, times=20):
        seen = []

        def fact():
            n, seen[:] = self.n, []
            while self.n < n + times:
                seen.append(self.last)
                assert self.process.poll() is None, "it died"
                time.sleep(0.001)
            return set(seen) == set(ids)
        until(fact, lambda: f"{ids} answer: {set(seen)}")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.thread.join(PATIENCE_S)
        self.process.stdout.close()
