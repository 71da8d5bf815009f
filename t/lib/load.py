"""t/lib/load.py - callers that never rest, and what they saw.

   Unary      one call after the other on one channel          grpcio
   Chat       a stream whose messages come back, for long      grpcio
   ShortChat  such streams, one after the other                grpcio
   ByHand     one call after the other on one connection       frames.py
   Connector  a fresh TCP connection and one call, always      frames.py

Each is a thread and notes every failure with its status, message and
godwit-cause. grpcio is as real callers have it: it may send a call elsewhere
that it never sent, or that GOAWAY says was not taken (transparent retries;
without them it fails calls that it gave to a connection which GOAWAY had just
closed). The two by hand forgive nothing: what was sent before a GOAWAY was
read must be answered.
"""
import os
import queue
import random
import select
import socket
import threading
import time

import frames
from mesh import Caller, GATEWAY, METHOD, PATIENCE_S, grpc, until

CHAT = "/demo.Greeter/Chat"
RETRIES = {"grpc.enable_retries": 1}
STREAM_S = 3600
WINDOW = (0x7fff0000).to_bytes(4, "big")    # enough for every answer


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
        self.caller = Caller(self.port, self.tls, RETRIES)
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


class ByHand(Client):
    """tls is an SSLContext."""

    def open(self):
        self.wire = None

    def close(self):
        if self.wire:
            self.wire.close()
            self.wire = None

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port))
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_hostname=GATEWAY)
        self.wire, self.stream = frames.Wire(sock), -1
        self.wire.send(frames.PREFACE + frames.frame(frames.SETTINGS) +
                       frames.frame(frames.WINDOW_UPDATE, payload=WINDOW))

    def said_something(self):
        sock = self.wire.sock
        return self.tls and sock.pending() or \
            select.select([sock], [], [], 0)[0]

    def sent_away(self):
        """What is there already is read before we call again."""
        while self.said_something():
            got = self.wire.read_one()
            if got is None or got[0] == frames.GOAWAY:
                return True
        return False

    def turn(self):
        begun = time.monotonic()
        try:
            if self.wire and self.sent_away():
                self.close()
            if not self.wire:
                self.connect()
            leaves, said = self.call()
        except OSError as e:
            leaves, said = True, f"{type(e).__name__}: {e}"
        if leaves:
            self.close()
        if said:
            self.fail("by hand", said)
        else:
            self.good(begun)

    def call(self):
        """(whether the connection is over, what went wrong)."""
        self.stream += 2
        self.wire.send(frames.headers(self.stream, frames.REQUEST) +
                       frames.data(self.stream, frames.MESSAGE, end=True))
        kinds, leaves = [], False
        while True:
            got = self.wire.read()
            if got is None:
                return True, f"the end in a call, after {kinds}"
            kind, flags, stream, _ = got
            kinds.append(kind)
            leaves = leaves or kind == frames.GOAWAY
            if stream != self.stream:
                continue
            if kind == frames.RST_STREAM:
                return leaves, f"reset, after {kinds}"
            if flags & frames.END_STREAM:
                return leaves, "" if frames.DATA in kinds else \
                    f"an answer of {kinds}"


class Connector(ByHand):
    def turn(self):
        super().turn()
        self.close()


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




class Calls:
    """One call after the other by a caller of mesh.py, once each of these
    answers there (by mesh.py's Service)."""

    def __init__(self, caller, *names, **call):
        self.caller, self.kwargs, self.seen = caller, call, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        until(lambda: self.who(caller.call(**call) for _ in range(
            4 * len(names))) == set(names), lambda: f"{names} are called: "
            f"{caller.call(**call)}")
        self.thread.start()
        self.more(20)

    @staticmethod
    def who(answers):
        return {(c.body or b"").split(b":")[0].decode() for c in answers}

    def run(self):
        while not self.over.is_set():
            self.seen.append(self.caller.call(**self.kwargs))

    def failed(self):
        return [c for c in self.seen if c.code != "OK"]

    def more(self, n=50):
        before = len(self.seen)
        until(lambda: len(self.seen) > before + n, "calls")

    def end(self, *names):
        """None failed, and only these answered in the end."""
        self.over.set()
        self.thread.join()
        assert not self.failed(), (len(self.failed()), self.failed()[:3])
        assert self.who(self.seen[-50:]) == set(names)
