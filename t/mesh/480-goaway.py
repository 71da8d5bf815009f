"""Connections that retire, on either side, and no call is lost."""
import contextlib
import signal
import socket
import threading

import frames
from frames import DATA, END_STREAM, GOAWAY, HEADERS, PING
from mesh import free_port, until

NONE, MOST = 0, (1 << 31) - 1
CLUSTER, HTTP = "cluster.greeter.", "http.callers."


def local(m, service_port, **texts):
    port = free_port()
    return m.godwit(m.example("us-local.yaml", {
        10000: port, 10101: service_port, **texts})), port


def answer(stream):
    return (frames.headers(stream, frames.ANSWER) +
            frames.data(stream, frames.MESSAGE) +
            frames.headers(stream, [("grpc-status", "0")], end=True))


class Backend:
    """A service that is told, for each connection, what to do: serve(wire,
    the connection's number). connections: their requests, by their ends."""

    def __init__(self, m, serve):
        self.serve, self.connections, self.closed = serve, [], 0
        self.lock = threading.Lock()
        self.port = frames.raw_service(m, self.run)

    def run(self, sock):
        wire = frames.Wire(sock)
        with contextlib.suppress(OSError, EOFError), sock:
            wire.take(len(frames.PREFACE))
            wire.send(frames.frame(frames.SETTINGS))
            with self.lock:
                n = len(self.connections)
                self.connections.append([])
            self.serve(wire, n)
            while wire.read():
                pass
            self.closed += 1

    def requests(self, wire, n):
        """The streams whose requests have come to their end, as they do."""
        while got := wire.read():
            if got[0] in (DATA, HEADERS) and got[1] & END_STREAM:
                self.connections[n].append(got[2])
                yield got[2]


def test_calls_beyond_a_goaway_move_and_the_others_finish(m):
    def serve(wire, n):
        for stream in b.requests(wire, n):
            if n > 0:
                wire.send(answer(stream))
            elif len(b.connections[0]) == 3:
                wire.send(frames.goaway(1, NONE))
                until(lambda: len(b.connections) == 2 and
                      len(b.connections[1]) == 3, "they and one more moved")
                wire.send(answer(1))
                return

    b = Backend(m, serve)
    p, port = local(m, b.port)
    caller = m.caller(port)
    calls = [caller.start() for _ in range(3)]
    until(lambda: len(b.connections) > 1, "the others begin to move")
    calls.append(caller.start())            # a new one does not go there
    for call in calls:
        a = caller.answer(call)
        assert (a.code, a.body) == ("OK", b"abc"), a
    assert b.connections[0] == [1, 3, 5], b.connections
    assert len(b.connections) == 2, b.connections
    until(lambda: b.closed == 1, "the one that is over is closed")
    p.until_stat(CLUSTER + "upstream_cx_active", 1)
    assert p.stats()[CLUSTER + "upstream_cx_total"] == 2
    p.until_stat(CLUSTER + "upstream_rq_active", 0)


def test_a_service_that_retires_its_connections_loses_no_call(m):
    """After ten calls each, as it should be done: a notice, then the end with
    the last that it knows; what comes between is answered."""
    def serve(wire, n):
        for stream in b.requests(wire, n):
            wire.send(answer(stream))
            if len(b.connections[n]) == 10:
                wire.send(frames.goaway(MOST, NONE) +
                          frames.frame(PING, 0, 0, bytes(8)))
                wire.send(frames.goaway(b.connections[n][-1], NONE))
                return

    b = Backend(m, serve)
    p, port = local(m, b.port)
    callers = [m.caller(port) for _ in range(4)]
    for _ in range(25):
        calls = [(c, c.start()) for c in callers for _ in range(3)]
        for caller, call in calls:
            a = caller.answer(call)
            assert a.code == "OK", a
    assert len(b.connections) >= 30, len(b.connections)
    p.until_stat(CLUSTER + "upstream_rq_active", 0)
    until(lambda: b.closed >= len(b.connections) - 1, "all of them closed")
    assert p.stats()[HTTP + "downstream_rq_completed"] == 300


def test_an_idle_connection_to_a_service_is_closed(m):
    service = m.service("us")
    idle = ("        \"@type\": type.googleapis.com/envoy.extensions.upstreams"
            ".http.v3.HttpProtocolOptions\n        explicit")
    p, port = local(m, service.port, **{idle: idle.replace(
        "        explicit",
        "        common_http_protocol_options: { idle_timeout: 0.3s }\n"
        "        explicit")})
    caller = m.caller(port)
    for n in 1, 2, 3:
        assert caller.call(b"x").body == b"us:x"
        assert p.stats()[CLUSTER + "upstream_cx_total"] == n
        p.until_stat(CLUSTER + "upstream_cx_active", 0)
    assert not p.stats()[CLUSTER + "upstream_cx_destroy_remote"]


def test_a_callers_goaway_ends_nothing_that_runs(m):
    service = m.service("us")
    p, port = local(m, service.port)
    wire = frames.client(port)
    wire.send(frames.headers(1, frames.REQUEST) +
              frames.headers(3, frames.REQUEST) + frames.goaway(0, NONE) +
              frames.data(3, frames.MESSAGE, end=True))
    kinds = wire.until_end_of(3)
    assert kinds[0] == HEADERS and frames.RST_STREAM not in kinds, kinds
    p.signal(signal.SIGTERM)            # it needs no notice any more
    kind, _, _, payload = wire.read()
    assert (kind, payload) == (GOAWAY, frames.goaway(3, NONE)[9:]), payload
    wire.send(frames.data(1, frames.MESSAGE, end=True))
    kinds = wire.until_end_of(1)
    assert kinds[0] == HEADERS and frames.RST_STREAM not in kinds, kinds
    assert wire.read() is None, "its last call is over"
    assert p.exit_code() == 0
    assert service.calls == 2


def test_who_has_no_idle_timeout_is_drained_all_the_same(m):
    """One that is silent, one that answers no PING, and one with a call."""
    service = m.service("us")
    p, port = local(m, service.port, **{
        "stat_prefix: callers": "stat_prefix: callers\n"
        "          common_http_protocol_options: {idle_timeout: 0s}"})
    silent = socket.create_connection(("127.0.0.1", port))
    deaf = frames.client(port)
    deaf.send(frames.headers(1, frames.REQUEST) +
              frames.data(1, frames.MESSAGE, end=True))
    assert frames.RST_STREAM not in deaf.until_end_of(1)
    caller = m.caller(port)
    call = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    cx = f"listener.127.0.0.1_{port}.downstream_cx_active"
    p.until_stat(cx, 3)
    p.signal(signal.SIGTERM)
    last = []
    while got := frames.Wire.read_one(Mute(deaf.sock)):
        if got[0] == GOAWAY:
            last.append(int.from_bytes(got[3][:4], "big"))
    assert last == [MOST, 1], last
    silent.settimeout(30)
    while silent.recv(4096):
        pass
    assert not p.exited(), "the call goes on"
    service.release()
    assert call.result() == b"waited"
    assert p.exit_code() == 0
    silent.close()
    deaf.close()


class Mute(frames.Wire):
    """Reads and answers nothing."""

    def send(self, _):
        pass
