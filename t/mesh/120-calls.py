"""Calls of all four kinds, and the ways in which they end: in plain through
one godwit (region us), and through two with mutual TLS between (region eu). Unary calls, their metadata
and deadlines are in 100-regions.py; four gRPC implementations in t/interop.
"""
import os
import queue
import threading

import grpc

import frames
from mesh import PATIENCE_S, Service, TwoRegions, free_port

REGIONS = "us", "eu"
TEXT = [("x-text", "a b;c=\"d\""), ("x-some-bin", bytes(range(256))),
        ("x-twice", "1"), ("x-twice", "2")]
BIG = 64 << 20
CHUNK = bytes(64 << 10)
# What a worker may need to pass a message of any size on: a stream's window,
# 16 MiB if the file does not say, and some more. The answer comes when the
# request has passed, in the same memory.
PASS_KIB = 24 << 10
if "ASAN_OPTIONS" in os.environ:        # a part of what was freed, and margins
    PASS_KIB *= 2


class Streams(Service):
    """Besides Service's methods:

    Upload     how many bytes came, in digits, after the caller's half close
    Download   three answers, of the request; the caller has closed its half
    Chat       each message comes back at once
    EarlyFail  after the first message: FAILED_PRECONDITION, and trailers
    EarlyEnd   after the first message: one answer and OK
    Watch      answers the first message, then waits to be cancelled

    The metadata of the call comes back in headers and in trailers.
    """
    KINDS = {"upload": grpc.stream_unary_rpc_method_handler,
             "download": grpc.unary_stream_rpc_method_handler,
             **dict.fromkeys(("chat", "earlyfail", "earlyend", "watch"),
                             grpc.stream_stream_rpc_method_handler)}

    def __init__(self, name, port):
        self.taken, self.cancelled = 0, threading.Event()
        super().__init__(name, port)

    def service(self, details):
        name = details.method.rsplit("/", 1)[1].lower()
        kind = self.KINDS.get(name)
        return kind(getattr(self, name)) if kind else super().service(details)

    @staticmethod
    def greet(context):
        mine = [(k, v) for k, v in context.invocation_metadata()
                if k in dict(TEXT)]
        context.send_initial_metadata(mine)
        context.set_trailing_metadata(mine)

    def upload(self, requests, context):
        self.greet(context)
        return b"%d" % sum(map(len, requests))

    def download(self, request, context):
        self.greet(context)
        yield from [request] * 3

    def chat(self, requests, context):
        self.greet(context)
        yield from requests

    def earlyfail(self, requests, context):
        next(requests)
        self.taken += 1
        context.set_trailing_metadata(TEXT)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "enough")

    def earlyend(self, requests, context):
        yield next(requests)

    def watch(self, requests, context):
        assert context.add_callback(self.cancelled.set)
        yield next(requests)
        assert self.cancelled.wait(PATIENCE_S)


def start(r, region, method, requests, metadata=(), **kwargs):
    """A call of any kind; requests: bytes, or an iterable of them."""
    kind = {"Upload": "stream_unary", "Download": "unary_stream",
            "Echo": "unary_unary"}.get(method, "stream_stream")
    make = getattr(r.caller.channel, kind)(f"/demo.Greeter/{method}")
    if kind.endswith("unary"):
        make = make.future
    return make(requests, metadata=[("x-region", region), *metadata],
                timeout=PATIENCE_S, **kwargs)


def mine(metadata):
    return [kv for kv in metadata if kv[0] in dict(TEXT)]


def empty(*proxies):
    """Nothing is left of any call."""
    for p, prefix in proxies:
        p.until_stat(f"http.{prefix}.downstream_rq_active", 0)
        p.until_stat("server.buffered_bytes", 0)


def flood(sent):
    """Messages until nobody asks for one; counts them."""
    while True:
        sent.append(1)
        yield CHUNK


def conversation(r, region):
    """Neither side waits for more than the other's last message."""
    say = queue.Queue()
    chat = start(r, region, "Chat", iter(say.get, None))
    for n in range(50):
        say.put(b"%d" % n)
        assert next(chat) == b"%d" % n, region
    say.put(None)
    assert list(chat) == [] and chat.code() == grpc.StatusCode.OK


def test_all_four_kinds(m):
    r = TwoRegions(m, kind=Streams)
    for region in REGIONS:
        assert start(r, region, "Echo", b"x").result() == b"x"
        up = start(r, region, "Upload", iter([b"abc", CHUNK, b""]), TEXT)
        assert up.result() == b"%d" % (3 + len(CHUNK))
        down = start(r, region, "Download", CHUNK, TEXT)
        assert list(down) == [CHUNK] * 3
        messages = [b"", b"x", CHUNK, os.urandom(100000)]
        chat = start(r, region, "Chat", iter(messages), TEXT)
        assert list(chat) == messages
        tight = start(r, region, "Chat", iter(messages), TEXT,
                      compression=grpc.Compression.Gzip)
        assert list(tight) == messages
        for call in up, down, chat, tight:
            assert call.code() == grpc.StatusCode.OK
            for got in call.initial_metadata(), call.trailing_metadata():
                assert mine(got) == TEXT, (region, got)
        conversation(r, region)
    empty((r.us, "callers"), (r.eu, "gateway"))


def test_a_service_that_ends_first(m):
    """While the caller still sends: its status or its OK comes through, what
    the caller had sent is dropped, and the connections go on."""
    r = TwoRegions(m, kind=Streams)
    for region in REGIONS:
        for _ in range(10):
            sent = []
            call = start(r, region, "EarlyFail", flood(sent))
            try:
                assert not list(call), "an answer"
            except grpc.RpcError:
                pass
            assert (call.code(), call.details()) == (
                grpc.StatusCode.FAILED_PRECONDITION, "enough"), call
            assert mine(call.trailing_metadata()) == TEXT, call
            call = start(r, region, "EarlyEnd", flood(sent))
            assert list(call) == [CHUNK], "one answer, and OK"
    empty((r.us, "callers"), (r.eu, "gateway"))
    assert r.us_service.taken == r.eu_service.taken == 10
    stats = r.us.stats()
    assert stats[f"listener.127.0.0.1_{r.us_port}.downstream_cx_total"] == 1
    for cluster in "greeter", "gateway-eu":
        assert stats[f"cluster.{cluster}.upstream_cx_total"] == 1, cluster
    assert start(r, "eu", "Echo", b"x").result() == b"x"


def test_cancelled_is_cancelled_at_once(m):
    """In the middle of a conversation: the service's own context says so."""
    r = TwoRegions(m, kind=Streams)
    for region, service in ("us", r.us_service), ("eu", r.eu_service):
        say = queue.Queue()
        say.put(b"x")
        call = start(r, region, "Watch", iter(say.get, None))
        assert next(call) == b"x" and not service.cancelled.is_set()
        call.cancel()
        say.put(None)
        assert service.cancelled.wait(PATIENCE_S), region
    empty((r.us, "callers"), (r.eu, "gateway"))
    assert r.us.stats()["godwit.cause.caller_reset"] == 2


def raw_regions(m, serve):
    """Two godwits in a row before a service of frames: a connection to the
    first; its calls go to eu."""
    service = frames.raw_service(m, serve)
    us, eu = free_port(), free_port()
    m.godwit(m.example("eu-gateway.yaml", {10443: eu, 10102: service}))
    m.godwit(m.example("us-local.yaml", {10000: us, 10443: eu}))
    wire = frames.client(us)
    m.callback(wire.close)
    return wire


def answering(answer):
    """A service that says answer(stream, body) to a request's end."""
    def serve(sock):
        wire = frames.Wire(sock)
        with sock:
            wire.take(len(frames.PREFACE))
            wire.send(frames.frame(frames.SETTINGS))
            body = b""
            while got := wire.read():
                kind, flags, stream, payload = got
                body += payload if kind == frames.DATA else b""
                if flags & frames.END_STREAM and kind in (
                        frames.DATA, frames.HEADERS):
                    wire.send(answer(stream, body))
                    body = b""
    return serve


EU = [*frames.REQUEST, ("x-region", "eu")]


def test_what_is_sent_too_late_is_dropped(m):
    """The service ends at the first message and says no more: it is told to
    expect nothing, the caller to send nothing, and what crosses is gone."""
    seen = queue.Queue()

    def serve(sock):
        wire = frames.Wire(sock)
        with sock:
            wire.take(len(frames.PREFACE))
            wire.send(frames.frame(frames.SETTINGS))
            while got := wire.read():
                kind, flags, stream, payload = got
                seen.put((stream, kind, payload))
                if kind == frames.DATA:
                    wire.send(frames.headers(stream, [
                        *frames.ANSWER, ("grpc-status", "9")], end=True))

    wire = raw_regions(m, serve)
    wire.send(frames.headers(1, EU) + frames.data(1, frames.MESSAGE))
    assert wire.until_end_of(1) == [frames.HEADERS]
    kind, _, stream, code = wire.read()
    assert (kind, stream, code) == (frames.RST_STREAM, 1, bytes(4))
    wire.send(frames.data(1, bytes(frames.FRAME_MAX)) * 10)
    wire.send(frames.headers(3, EU) + frames.data(3, frames.MESSAGE,
                                                  end=True))
    assert wire.until_end_of(3) == [frames.HEADERS]
    got = [seen.get(timeout=PATIENCE_S) for _ in range(5)]
    assert [(stream, kind) for stream, kind, _ in got] == [
        (1, frames.HEADERS), (1, frames.DATA), (1, frames.RST_STREAM),
        (3, frames.HEADERS), (3, frames.DATA)], got
    assert got[1][2] == got[4][2] == frames.MESSAGE


def test_trailers_only(m):
    """One HEADERS frame stays one, which ends the stream."""
    wire = raw_regions(m, answering(lambda stream, body: frames.headers(
        stream, [*frames.ANSWER, ("grpc-status", "5"), ("x-why", "so")],
        end=True)))
    for stream in 1, 3:
        wire.send(frames.headers(stream, EU) +
                  frames.data(stream, frames.MESSAGE, end=True))
        assert wire.until_end_of(stream) == [frames.HEADERS]


def test_compressed_messages_are_not_touched(m):
    """Flag and bytes come as they went, whatever they are."""
    went = b"\1\0\0\0\5\x1f\x8b\0\xff!" + b"\0\0\0\0\1y"
    seen = []

    def answer(stream, body):
        seen.append(body)
        return (frames.headers(stream, [*frames.ANSWER,
                                        ("grpc-encoding", "gzip")]) +
                frames.data(stream, body) +
                frames.headers(stream, [("grpc-status", "0")], end=True))

    wire = raw_regions(m, answering(answer))
    wire.send(frames.headers(1, [*EU, ("grpc-encoding", "gzip")]) +
              frames.data(1, went, end=True))
    came, flags = b"", 0
    while not flags & frames.END_STREAM:
        kind, flags, stream, payload = wire.read()
        assert stream == 1 and kind in (frames.DATA, frames.HEADERS), kind
        came += payload if kind == frames.DATA else b""
    assert seen == [went] and came == went, (seen, came)


def peak_kib(proxy):
    with open(f"/proc/{proxy.children()['worker 0']}/status") as f:
        return int(f.read().split("VmHWM:")[1].split()[0])


def test_64_mib(m):
    """Up and down in one call; no godwit holds more than a little of it."""
    r = TwoRegions(m, kind=Streams)
    body = os.urandom(1 << 20) * (BIG >> 20)
    for region in REGIONS:
        assert start(r, region, "Echo", b"x").result() == b"x"
        before = [peak_kib(p) for p in (r.us, r.eu)]
        assert start(r, region, "Echo", body).result() == body, region
        grown = [peak_kib(p) - b for p, b in zip((r.us, r.eu), before)]
        assert max(grown) < PASS_KIB, (region, grown)
    empty((r.us, "callers"), (r.eu, "gateway"))
