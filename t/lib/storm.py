"""t/lib/storm.py - a godwit in a storm: callers that never rest, a file that
is written anew and reloaded, and what the callers saw.

   Unary      one call after the other on one channel        closed loop
   Chat       a stream whose messages come back, for long    closed loop
   Connector  a fresh TCP connection and one call, always

Each is a thread and notes every failure with its status, message and
godwit-cause; a test says how many it expects, which is none unless it killed
who carried them. SOAK=1 (make soak-mesh) multiplies what a storm does.
"""
import contextlib
import json
import os
import queue
import random
import re
import threading
import time

import frames
from mesh import Caller, METHOD, PATIENCE_S, Service, free_port, grpc, http_get, until

SOAK = bool(os.environ.get("SOAK"))
CHAT = "/demo.Greeter/Chat"
STREAM_S = 3600
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


# ---- callers

class Client(threading.Thread):
    """One closed loop: turn() until it is over."""

    def __init__(self, load, port, tls):
        super().__init__(daemon=True)
        self.load, self.port, self.tls = load, port, tls
        self.turns, self.longest_s, self.failures = 0, 0, []
        self.carrier = None             # of the last answer
        self.over = threading.Event()

    def run(self):
        try:
            self.open()
            while not self.over.is_set():
                self.turn()
            self.close()
        except Exception as e:
            self.fail("client", repr(e))

    def open(self):
        self.caller = Caller(self.port, self.tls)
        self.channel = self.caller.channel

    def close(self):
        self.caller.close()

    def good(self, begun):
        self.longest_s = max(self.longest_s, time.monotonic() - begun)
        self.turns += 1

    def fail(self, code, message, cause=None):
        self.failures.append((code, message, cause))
        self.load.saw(f"{self.name}: {code} {message!r} cause={cause}, "
                      f"after {self.turns} turns")

    def failed(self, call):
        last = dict(call.trailing_metadata() or ())
        first = dict(call.initial_metadata() or ())
        self.fail(call.code().name, call.details(),
                  last.get("godwit-cause", first.get("godwit-cause")))

    def carried(self, call):
        self.carrier = int(dict(call.initial_metadata())["x-carrier"])


class Unary(Client):
    def turn(self):
        begun, body = time.monotonic(), os.urandom(16)
        try:
            answer, call = self.channel.unary_unary(METHOD).with_call(
                body, timeout=PATIENCE_S)
        except grpc.RpcError as e:
            self.failed(e)
            return
        assert answer.split(b":", 1)[1] == body, "another one's answer"
        self.carried(call)
        self.good(begun)


class Chat(Client):
    """A turn is a message and its echo; a stream has `messages` of them, or
    lives as long as the load."""
    messages = None

    def turn(self):
        say = queue.SimpleQueue()
        call = self.channel.stream_stream(CHAT)(iter(say.get, None),
                                                timeout=STREAM_S)
        try:
            self.chat(call, say)
        except grpc.RpcError:
            self.failed(call)
        finally:
            say.put(None)

    def chat(self, call, say):
        n = 0
        while not self.over.is_set() and n != self.messages:
            begun = time.monotonic()
            body = os.urandom(random.choice((1, 100, 40000)))
            say.put(body)
            assert next(call) == body, "another one's message"
            self.carried(call)
            self.good(begun)
            n += 1
        say.put(None)
        assert next(call, None) is None and call.code().name == "OK"


class ShortChat(Chat):
    messages = 50


class Connector(Client):
    """A refused connection, or one that is reset, is a failure."""

    def open(self):
        pass

    close = open

    def turn(self):
        begun = time.monotonic()
        try:
            with contextlib.closing(frames.client(self.port)) as wire:
                wire.send(frames.headers(1, frames.REQUEST) + frames.data(
                    1, frames.MESSAGE, end=True))
                kinds = wire.until_end_of(1)
        except OSError as e:
            self.fail(type(e).__name__, str(e))
            return
        if kinds == [frames.HEADERS, frames.DATA, frames.HEADERS]:
            self.good(begun)
        else:
            self.fail("frames", str(kinds))


class Load:
    """Who calls, and what they saw."""

    def __init__(self):
        self.clients, self.log = [], []
        self.begun = time.monotonic()

    def add(self, kind, n, port, tls=None):
        """So many more of a kind, which are returned once they got on."""
        new = [kind(self, port, tls) for _ in range(n)]
        for client in new:
            client.name = f"{kind.__name__} {len(self.clients)}"
            self.clients.append(client)
            client.start()
        self.moved(new)
        return new

    def saw(self, text):
        self.log.append(f"{time.monotonic() - self.begun:.3f} s: {text}")

    def moved(self, clients=None):
        """Each of them gets on: another turn is done."""
        before = [(c, c.turns) for c in clients or self.clients]
        for client, turns in before:
            until(lambda: client.turns > turns or not client.is_alive(),
                  f"{client.name} gets on")

    def is_well(self):
        """No failure, ever."""
        assert not self.log, "\n".join([f"{len(self.log)} failures:",
                                        *self.log[:30]])

    def stop(self):
        for client in self.clients:
            client.over.set()
        for client in self.clients:
            client.join(PATIENCE_S)
            assert not client.is_alive(), f"{client.name} hangs"

    def figures(self):
        kinds = {}
        for c in self.clients:
            n, turns, longest_s = kinds.get(type(c).__name__, (0, 0, 0))
            kinds[type(c).__name__] = (n + 1, turns + c.turns,
                                       max(longest_s, c.longest_s))
        return ", ".join(
            [f"{time.monotonic() - self.begun:.1f} s"] +
            [f"{n} {kind} {turns} turns (longest {longest_s * 1000:.0f} ms)"
             for kind, (n, turns, longest_s) in kinds.items()] +
            [f"{len(self.log)} failures"])


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
