"""What breaks, and what the caller is told."""
import os
import signal
import socket

import exchange
import frames
from mesh import TwoRegions, can_connect, free_port, gone, until

BEFORE = ("upstream connect error or disconnect/reset before headers. "
          "reset reason: ")


def local(m, service_port, *options, **kwargs):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port, 10101: service_port,
                                       **kwargs})
    return m.godwit(file, *options), port


def test_no_service_there(m):
    p, port = local(m, free_port())
    a = m.caller(port).call()
    assert (a.code, a.message) == (
        "UNAVAILABLE", BEFORE + "remote connection failure"), a
    assert a.meta("godwit-cause") == "connect_failure"
    assert p.stats()["cluster.greeter.upstream_cx_connect_fail"] == 1
    assert "Connection refused" in p.log()


def test_a_service_comes_back(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    assert caller.call(b"x").body == b"us:x"
    service.stop()
    until(lambda: not can_connect(service.port), "the service is gone")
    p.until_stat("cluster.greeter.upstream_cx_active", 0)
    assert caller.call().code == "UNAVAILABLE"
    m.service("again", service.port)
    assert caller.call(b"x").body == b"again:x"


def test_a_service_that_closes_before_it_answers(m):
    def answer(s):
        s.settimeout(30)
        s.recv(24)
        s.close()

    p, port = local(m, frames.raw_service(m, answer))
    a = m.caller(port).call()
    assert (a.code, a.message) == ("UNAVAILABLE",
                                   BEFORE + "connection termination"), a
    assert a.meta("godwit-cause") == "connection_lost"


def test_a_service_that_speaks_something_else(m):
    def answer(s):
        s.settimeout(30)
        s.recv(24)
        s.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        s.recv(1 << 16)

    p, port = local(m, frames.raw_service(m, answer))
    a = m.caller(port).call()
    assert (a.code, a.message) == ("UNAVAILABLE",
                                   BEFORE + "protocol error"), a
    assert a.meta("godwit-cause") == "service_protocol_error"


def test_the_routes_timeout(m):
    service = m.service("us")
    p, port = local(m, service.port, **{
        "route: { cluster: greeter, timeout: 0s }":
        "route: { cluster: greeter, timeout: 0.2s }"})
    a = m.caller(port).call(method="/demo.Greeter/Wait")
    assert (a.code, a.message) == ("UNAVAILABLE",
                                   "upstream request timeout"), a
    assert a.meta("godwit-cause") == "route_timeout"
    assert p.stats()["cluster.greeter.upstream_rq_timeout"] == 1
    p.until_stat("cluster.greeter.upstream_rq_active", 0)


def test_headers_too_large(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    a = caller.call(metadata=[(f"x-{i}", "v" * 16000) for i in range(4)])
    assert a.code == "UNKNOWN", a
    assert a.meta("godwit-cause") == "headers_too_large"
    a = caller.call(metadata=[(f"x-{i}", "v") for i in range(120)])
    assert a.meta("godwit-cause") == "headers_too_large", a
    assert caller.call(b"x").body == b"us:x", "the connection goes on"
    for method, body in ("GET", b"request headers too large"), ("HEAD", b""):
        side = exchange.ask(port, [frames.headers(1, [
            (":method", method), *frames.REQUEST[1:4],
            ("x-big", "v" * 62000)], end=True)])
        assert (b":status", b"431") in side.blocks[0], side.blocks
        assert side.body == body, side.body
    assert p.stats()["http.callers.downstream_rq_too_large"] == 4


def test_the_cause_can_be_switched_off(m):
    p, port = local(m, free_port(), "-o", "godwit_cause=off")
    a = m.caller(port).call()
    assert a.code == "UNAVAILABLE" and a.meta("godwit-cause") is None, a


def test_a_killed_worker_is_replaced(m):
    service = m.service("us")
    p, port = local(m, service.port)
    assert m.caller(port).call(b"x").body == b"us:x"
    for _ in range(5):
        pid = p.children()["worker 0"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid), "the worker is dead")
        a = m.caller(port).call(b"x")       # waits in the socket, not lost
        assert a.body == b"us:x", a
    stats = p.stats()
    assert stats["http.callers.downstream_rq_active"] == 0
    assert p.log().count("died: killed by signal 9") == 5, p.log()


def test_a_killed_master_stops_nothing(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    os.kill(p.children()["master"], signal.SIGKILL)
    until(lambda: "master died" in p.log(), "the keeper says so")
    assert caller.call(b"x").body == b"us:x"
    assert p.command("reload")[0] == 0, "its successor does it"
    assert p.generation() == 3, "the successor's first is the second"
    assert caller.call(b"y").body == b"us:y"


def test_a_dead_workers_last_words(m):
    service = m.service("us")
    p, port = local(m, service.port)
    assert m.caller(port).call(b"x").body == b"us:x"
    p.may_crash = True
    os.kill(p.children()["worker 0"], signal.SIGABRT)
    until(lambda: "worker 0 serves" in p.log(), "its successor does")
    line = next(ln for ln in p.log().split("\n") if "died" in ln)
    assert "Aborted" in line, line
    assert "the last request that it began" in line, line
    assert "/demo.Greeter/Say" in line, line
    assert m.caller(port).call(b"y").body == b"us:y"


def test_the_successor_starts_from_what_was_accepted(m):
    service = m.service("us")
    port = free_port()
    file = m.example("us-local.yaml", {10000: port, 10101: service.port})
    p = m.godwit(file)
    caller = m.caller(port)
    with open(file, "a") as f:
        f.write("nonsense: {\n")
    os.kill(p.children()["master"], signal.SIGKILL)
    until(lambda: p.generation() == 2, "the successor publishes")
    assert caller.call(b"x").body == b"us:x"
    code, text = p.command("reload")
    assert code == 1 and file in text, text
    assert p.generation() == 2


def test_term_lets_a_call_finish(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    call = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    p.signal(signal.SIGTERM)
    until(lambda: not can_connect(port), "nobody is accepted any more")
    assert not p.exited()
    service.release()
    assert caller.answer(call).body == b"waited"
    assert p.exit_code() == 0


def test_int_stops_at_once(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    call = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    p.signal(signal.SIGINT)
    assert p.exit_code() == 0
    assert caller.answer(call).code == "UNAVAILABLE"


def test_a_second_term_stops_at_once(m):
    service = m.service("us")
    p, port = local(m, service.port)
    caller = m.caller(port)
    call = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    p.signal(signal.SIGTERM)
    until(lambda: "draining" in p.log(), "it drains")
    assert not p.exited()
    p.signal(signal.SIGTERM)
    assert p.exit_code() == 0
    assert caller.answer(call).code == "UNAVAILABLE"


def test_a_drain_is_bounded(m):
    service = m.service("us")
    p, port = local(m, service.port, "-o", "drain_time_ms=200")
    caller = m.caller(port)
    call = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    p.signal(signal.SIGQUIT)
    assert p.exit_code() == 0
    assert "drain time is over" in p.log(), p.log()
    assert caller.answer(call).code == "UNAVAILABLE"


def test_a_drain_sends_idle_callers_away(m):
    service = m.service("us")
    p, port = local(m, service.port)
    idle = frames.client(port)
    idle.send(frames.headers(1, frames.REQUEST) +
              frames.data(1, frames.MESSAGE, end=True))
    assert frames.RST_STREAM not in idle.until_end_of(1)
    call = m.caller(port).start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the call arrived")
    p.signal(signal.SIGTERM)
    for last in 0x7fffffff, 1:
        kind, _, _, payload = idle.read()
        assert kind == frames.GOAWAY, kind
        assert payload[:8] == last.to_bytes(4, "big") + bytes(4), payload
    assert idle.read() is None, "and its connection is closed"
    assert not p.exited(), "before the last call ends"
    service.release()
    assert call.result() == b"waited"
    assert p.exit_code() == 0


def test_what_crosses_a_drain_is_served(m):
    service = m.service("us")
    p, port = local(m, service.port)
    c = frames.client(port)
    call = frames.headers(1, frames.REQUEST) + frames.data(
        1, frames.MESSAGE, end=True)
    c.send(call)
    assert frames.RST_STREAM not in c.until_end_of(1)
    p.signal(signal.SIGTERM)
    until(lambda: "draining" in p.log(), "it drains")
    # Nothing is read yet, and no PING answered: so this one crosses.
    c.send(frames.headers(3, frames.REQUEST) + frames.data(
        3, frames.MESSAGE, end=True))
    last, ended = [], False
    while got := c.read():
        kind, flags, stream, payload = got
        if kind == frames.GOAWAY:
            last.append(int.from_bytes(payload[:4], "big"))
            if len(last) == 2:          # late, and against the rules
                c.send(frames.headers(5, frames.REQUEST) + frames.data(
                    5, bytes(16384)))
        ended = ended or stream == 3 and flags & frames.END_STREAM
    assert (last, bool(ended)) == ([0x7fffffff, 3], True), (last, ended)
    c.close()
    assert p.exit_code() == 0
    assert service.calls == 2


def test_an_answer_that_breaks_off(m):
    rows = [        # after headers, what comes
        ([None], "connection_lost"),
        ([frames.data(1, frames.MESSAGE[:6]), None], "connection_lost"),
        ([frames.reset(1, 2)], "service_reset"),
        ([frames.data(1, frames.MESSAGE), frames.reset(1, 0)],
         "service_reset"),
        ([frames.goaway(1, 2), None], "connection_lost"),
        ([b"\0\0\1\0\0\0\0\0\0x"], "service_protocol_error"),
    ]
    for rest, cause in rows:
        port = frames.service(m, lambda s: [
            frames.headers(s, frames.ANSWER), *rest])
        p, here = local(m, port)
        a = m.caller(here).call()
        assert (a.code, a.meta("godwit-cause")) == ("UNAVAILABLE", cause), \
            (rest, a)
        p.until_stat("http.callers.downstream_rq_active", 0)
        p.until_stat("cluster.greeter.upstream_rq_active", 0)
        p.until_stat("server.buffered_bytes", 0)


def test_what_is_no_http2_is_ended_and_counted(m):
    service = m.service("us")
    p, port = local(m, service.port)
    good = m.caller(port)
    assert good.call(b"x").body == b"us:x"
    rows = [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\0\x05",
            frames.PREFACE + b"\xff" * 64,
            frames.PREFACE + frames.frame(frames.SETTINGS) +
            frames.data(1, b"x"),
            frames.PREFACE + frames.frame(frames.SETTINGS) +
            frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x80")]
    for n, row in enumerate(rows, 1):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(row)
            if len(row) < len(frames.PREFACE):
                s.shutdown(socket.SHUT_WR)
            wire = frames.Wire(s)
            while wire.read():
                pass
    p.until_stat("listener.127.0.0.1_%d.downstream_cx_active" % port, 1)
    assert p.stats()["http.callers.downstream_cx_protocol_error"] >= 4
    assert good.call(b"x").body == b"us:x", "others go on"


def test_a_caller_that_is_killed_leaves_nothing(m):
    r = TwoRegions(m)
    calls = [r.caller.start(method="/demo.Greeter/Wait", region="eu")
             for _ in range(5)]
    until(lambda: r.eu_service.waiting == 5, "the calls arrived")
    r.caller.close()
    for p, prefix in (r.us, "http.callers."), (r.eu, "http.gateway."):
        p.until_stat(prefix + "downstream_rq_active", 0)
        p.until_stat("server.buffered_bytes", 0)
    assert len(calls) == 5
