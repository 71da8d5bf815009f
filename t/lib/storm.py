"""t/lib/storm.py - a godwit in a storm: a file that is written anew and
reloaded while a load (load.py) goes through, and who carries whom.

A test says how many failures it expects, which is none unless it killed who
carried the caller. SOAK=1 (make soak-mesh) multiplies what a storm does.
"""
import contextlib
import json
import os
import re

from load import CHAT, Load
from mesh import Caller, Service, free_port, grpc, http_get, until

SOAK = bool(os.environ.get("SOAK"))
HCM = "type.googleapis.com/envoy.extensions.filters.network" \
      ".http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3" \
      ".DownstreamTlsContext"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def count(small, full):
    """How often a storm does it: in make check, and in make soak-mesh."""
    return full if SOAK else small


# ---- the file

def socket_address(address, port):
    return {"socket_address": {"address": address, "port_value": port}}


def listener(name, port, routes, tls):
    manager = {
        "@type": HCM, "codec_type": "HTTP2", "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": [
            {"name": "mesh", "domains": ["*"], "routes": [
                {"match": {"prefix": prefix},
                 "route": {"cluster": cluster, "timeout": "0s"}}
                for prefix, cluster in routes]}]},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": ROUTER}}]}
    chain = {"filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": TLS, **tls}}
    return {"name": name, "address": socket_address("127.0.0.1", port),
            "filter_chains": [chain]}


def cluster(name, addresses):
    return {"name": name, "type": "STATIC", "connect_timeout": "5s",
            "typed_extension_protocol_options": {HTTP: {
                "@type": f"type.googleapis.com/{HTTP}",
                "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address":
                                                socket_address(*address)}}
                                  for address in addresses]}]}}


# ---- services

class StormService(Service):
    """Says in x-carrier the port that the caller's connection has at
    godwit's side, which tells which worker carries it; and chats."""

    def service(self, details):
        if details.method == CHAT:
            return grpc.stream_stream_rpc_method_handler(self.chat)
        return super().service(details)

    def carrier(self, context):
        context.send_initial_metadata(
            [("x-carrier", context.peer().rsplit(":", 1)[1])])

    def sayhello(self, request, context):
        self.carrier(context)
        return self.name.encode() + b":" + request

    def chat(self, messages, context):
        self.carrier(context)
        yield from messages


# ---- the godwit in it

class Storm:
    """Two services, a godwit between, and the load. The file says what
    `said` holds."""

    def __init__(self, m, *options, **said):
        self.m = m
        self.one, self.two = (self.service(n) for n in ("one", "two"))
        self.port, self.generation = free_port(), 1
        self.said = {"listeners": {"callers": self.port}, "routes": 1,
                     "to": "a", "a": [self.one], "b": [self.two], "many": 1,
                     "settings": {"workers": 2, "drain_time_ms": 3600000},
                     "tls": {}, **said}
        self.p = m.godwit(self.write(), *options, workers=None)
        self.load = Load()
        m.callback(self.load.stop)

    def service(self, name):
        service = StormService(name, free_port())
        self.m.callback(service.stop)
        return service

    def write(self, **said):
        self.said.update(said)
        s = self.said
        routes = [(f"/demo.Other{n}/", "many") for n in range(s["routes"])]
        routes.append(("/demo.Greeter/", s["to"]))
        many = [(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 80)
                for n in range(s["many"])]
        near = {name: [("127.0.0.1", service.port) for service in s[name]]
                for name in "ab"}
        text = json.dumps({
            "node": {"id": "storm", "cluster": "storm"},
            "static_resources": {
                "listeners": [listener(name, port, routes, s["tls"])
                              for name, port in s["listeners"].items()],
                "clusters": [cluster("a", near["a"]), cluster("b", near["b"]),
                             cluster("many", many)]},
            "godwit": s["settings"]})
        path = self.m.write("storm.json.new", text)
        os.rename(path, path[:-4])
        return path[:-4]

    def settings(self, **changed):
        return {**self.said["settings"], **changed}

    def reload(self, **said):
        """Writes, reloads, and waits until every worker says that it uses
        the new generation."""
        self.write(**said)
        code, text = self.p.command("reload")
        assert code == 0, text
        self.generation = int(re.search(r"generation (\d+)", text)[1])
        self.announced()

    def call(self, port):
        """The status of a call on a connection of its own."""
        caller = Caller(port)
        with contextlib.closing(caller):
            return caller.call(b"x").code

    def generations(self):
        """{line's name: its first number}; a dead worker is not in it."""
        status, text = http_get(f"{self.p.run_dir}/admin.sock",
                                "/generations")
        assert status == 200, text
        return {name: int(n) for name, n in
                re.findall(r"^([\w ]+): (\d+)", text, re.M)}

    def workers(self):
        return {name: pid for name, pid in self.p.children().items()
                if name.startswith("worker")}

    def announced(self):
        def all_use_it():
            g = self.generations()
            return all(g.get(name, 0) >= self.generation
                       for name in self.workers()) and g
        return until(all_use_it, f"all workers use {self.generation}")

    def carriers(self):
        """{client: worker that carries it}, of those that had answers."""
        at = {}
        for name, pid in self.workers().items():
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        at[os.readlink(f"/proc/{pid}/fd/{fd}")] = name
        found = {}
        with open("/proc/net/tcp") as f:
            for line in f.readlines()[1:]:
                words = line.split()
                name = at.get(f"socket:[{words[9]}]")
                if name:
                    found[int(words[1].split(":")[1], 16)] = name
        return {c: found[c.carrier] for c in self.load.clients
                if c.carrier in found}
