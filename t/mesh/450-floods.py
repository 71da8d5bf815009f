"""Peers that overdo it, on either side: sent away, counted by name, and their
neighbours notice nothing. What each limit is: worker/io/h2_guard.h.
"""
import contextlib
import itertools
import re
import threading

import frames
from frames import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, RST_STREAM,
                    SETTINGS, WINDOW_UPDATE, frame)
from mesh import free_port, until

PRIORITY, UNKNOWN = 2, 200
CALM = 11
WINDOW_MAX = (1 << 31) - 1
HTTP, CLUSTER = "http.callers.http2.", "cluster.greeter.http2."
GROWTH_MAX_KB = 32 << 10
OPEN = frames.headers(1, frames.REQUEST)
# 1 is over and forgotten: worker/io/h2_ended.h.
OVER = b"".join(frames.headers(s, frames.REQUEST) + frames.reset(s, 8)
                for s in (1, 65))

ids = itertools.count(3, 2)


def number(n):
    return n.to_bytes(4, "big")


def rapid_reset():
    stream = next(ids)
    return (frames.headers(stream, frames.REQUEST) +
            frames.reset(stream, 8))


def reset_by_us():
    stream = next(ids)
    return (frames.headers(stream, frames.REQUEST) +
            frame(WINDOW_UPDATE, 0, stream, number(WINDOW_MAX)))


def bomb():
    """40 KB that would be 36 MB."""
    entry = b"\x40\x01a" + frames.number(3000, 7) + b"x" * 3000
    payload = frames.block(frames.REQUEST) + entry + b"\xbe" * 12000
    return frame(HEADERS, 4, 1, payload)


# name, where it counts, what is said first, what again and again, how often
ATTACKS = [
    ("rapid reset", "http.callers.downstream_rq_too_many_premature_resets",
     b"", rapid_reset, 3000),
    ("reset by us", "http.callers.downstream_rq_too_many_premature_resets",
     b"", reset_by_us, 3000),
    ("SETTINGS", HTTP + "inbound_settings_frames_flood", b"",
     lambda: frame(SETTINGS), 1000),
    ("PING", HTTP + "inbound_ping_frames_flood", b"",
     lambda: frame(PING, 0, 0, bytes(8)), 1000),
    ("PRIORITY", HTTP + "inbound_priority_frames_flood", b"",
     lambda: frame(PRIORITY, 0, 1, number(0) + b"\x10"), 1000),
    ("WINDOW_UPDATE", HTTP + "inbound_window_update_frames_flood", b"",
     lambda: frame(WINDOW_UPDATE, 0, 0, number(1)), 1000),
    ("empty DATA", HTTP + "inbound_empty_frames_flood", OPEN,
     lambda: frame(DATA, 0, 1), 10),
    ("DATA of 1 byte", HTTP + "inbound_tiny_frames_flood", OPEN,
     lambda: frame(DATA, 0, 1, b"x"), 3000),
    ("CONTINUATION", HTTP + "inbound_continuation_frames_flood",
     frame(HEADERS, 0, 1, frames.block(frames.REQUEST)),
     lambda: frame(CONTINUATION, 0, 1, b"\0\1b\1c"), 1000),
    ("empty CONTINUATION", HTTP + "inbound_empty_frames_flood",
     frame(HEADERS, 0, 1, frames.block(frames.REQUEST)),
     lambda: frame(CONTINUATION, 0, 1), 10),
    ("HPACK bomb", HTTP + "header_overflow", b"", bomb, 1),
    ("unknown frames", HTTP + "inbound_unknown_frames_flood", b"",
     lambda: frame(UNKNOWN), 1000),
    ("DATA of a closed stream", HTTP + "inbound_closed_stream_frames_flood",
     OVER, lambda: frames.data(1, b"x"), 3000),
]


def local(m, service_port, *options, **texts):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port, 10101: service_port,
                                       **texts})
    return m.godwit(file, "-o", "workers=1", *options), port


def resident_kb(p):
    with open(f"/proc/{p.children()['worker 0']}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def last_code(wire):
    """Of the GOAWAY that ends the connection, or None."""
    code = None
    while got := wire.read():
        if got[0] == GOAWAY:
            code = int.from_bytes(got[3][4:8], "big")
    return code


def steady(p, caller):
    for _ in range(200):
        assert caller.call(b"x").body == b"us:x"
    return resident_kb(p)


def test_attackers_are_cut(m):
    service = m.service("us")
    p, port = local(m, service.port)
    good = m.caller(port)
    before_kb = steady(p, good)
    for name, counter, first, again, times in ATTACKS:
        before = p.stats()[counter]
        for _ in range(3):
            wire = frames.client(port)
            with contextlib.suppress(ConnectionError):
                wire.send(first + b"".join(again() for _ in range(times)))
            code = last_code(wire)
            assert code == CALM, (name, code)
            wire.close()
            assert good.call(b"x").body == b"us:x", name
        p.until_stat(counter, before + 3)
    p.until_stat("http.callers.downstream_rq_active", 0)
    p.until_stat("cluster.greeter.upstream_rq_active", 0)
    assert "takes" not in p.log()
    assert "the peer sent too many PING frames" in p.log(), p.log()
    assert resident_kb(p) - before_kb < GROWTH_MAX_KB


def test_who_is_heavy_is_not_cut(m):
    """2,000 calls, a ping and a window for each, as grpc-go does."""
    service = m.service("us")
    p, port = local(m, service.port)
    wire = frames.client(port)
    call = frames.data(0, frames.MESSAGE, end=True)
    for first in range(1, 4001, 200):
        for stream in range(first, first + 200, 2):
            wire.send(frames.headers(stream, frames.REQUEST) +
                      call[:5] + number(stream) + call[9:])
        ended = 0
        while ended < 100:
            kind, flags, _, payload = wire.read()
            assert kind not in (GOAWAY, RST_STREAM), (kind, payload)
            if kind == DATA:
                wire.send(frame(PING, 0, 0, bytes(8)) +
                          frame(WINDOW_UPDATE, 0, 0, number(8)))
            ended += bool(flags & frames.END_STREAM)
    p.until_stat("http.callers.downstream_rq_completed", 2000)
    wire.close()


def generous(m):
    """The port of a service whose answers are large."""
    return frames.service(m, lambda s: [
        frames.headers(s, frames.ANSWER), *[frames.data(s, bytes(15000))] * 3,
        frames.data(s, bytes(15000), end=True)])


def greedy(port, window, calls):
    """Asks for much and reads nothing."""
    wire = frames.client(port)
    wire.send(frame(SETTINGS, 0, 0, b"\0\4" + number(window)) +
              frame(WINDOW_UPDATE, 0, 0, number(WINDOW_MAX - 65535)))
    for stream in range(1, 2 * calls, 2):
        wire.send(frames.headers(stream, frames.REQUEST, end=True))
    return wire


def modest(port):
    """One call, on a connection of its own; all of it is read."""
    wire = frames.client(port)
    wire.send(frames.headers(1, frames.REQUEST, end=True))
    kinds = wire.until_end_of(1)
    wire.close()
    assert kinds[0] == HEADERS and set(kinds[1:]) == {DATA}, kinds


def test_who_takes_nothing_costs_no_more_than_the_budget(m):
    """By windows that are shut, and by a socket that is full."""
    budget = 4 << 20
    for window in 0, WINDOW_MAX:
        p, port = local(m, generous(m), "-o",
                        f"buffer_budget_bytes={budget}")
        modest(port)
        before_kb = resident_kb(p)
        wires = [greedy(port, window, 500) for _ in range(2)]   # 60 MB
        p.until_stat("http.callers.downstream_rq_total", 1001)
        p.until_stat("cluster.greeter.upstream_rq_active", 0)
        assert p.stats()["server.over_budget"] > 100
        until(lambda: p.stats()["server.buffered_bytes"] <= budget,
              "the budget holds")
        was = p.stats()["server.over_budget"]
        for _ in range(20):
            modest(port)
        assert p.stats()["server.over_budget"] - was <= 20
        assert resident_kb(p) - before_kb < GROWTH_MAX_KB
        for wire in wires:
            wire.close()
        p.until_stat("http.callers.downstream_rq_active", 0)
        p.until_stat("server.buffered_bytes", 0)


def test_an_answer_that_nobody_takes_has_its_time(m):
    p, port = local(m, generous(m), **{
        "stat_prefix: callers": "stat_prefix: callers\n"
        "          stream_idle_timeout: 0.3s"})
    wire = greedy(port, 0, 1)
    kinds = wire.until_end_of(1)
    assert kinds == [HEADERS, RST_STREAM, 8], kinds
    assert p.stats()["http.callers.http2.tx_flush_timeout"] == 1
    p.until_stat("http.callers.downstream_rq_active", 0)
    p.until_stat("server.buffered_bytes", 0)


def test_services_that_overdo_it(m):
    rows = [
        ("PING", "inbound_ping_frames_flood",
         lambda s: frame(PING, 0, 0, bytes(8)) * 1000),
        ("SETTINGS", "inbound_settings_frames_flood",
         lambda s: frame(SETTINGS) * 1000),
        ("WINDOW_UPDATE", "inbound_window_update_frames_flood",
         lambda s: frame(WINDOW_UPDATE, 0, 0, number(1)) * 1000),
        ("empty DATA", "inbound_empty_frames_flood",
         lambda s: frame(DATA, 0, s) * 10),
        ("DATA of 1 byte", "inbound_tiny_frames_flood",
         lambda s: frame(DATA, 0, s, b"x") * 3000),
        ("unknown frames", "inbound_unknown_frames_flood",
         lambda s: frame(UNKNOWN) * 1000),
    ]
    for name, counter, flood in rows:
        bad = frames.service(m, lambda s: [
            frames.headers(s, frames.ANSWER), flood(s)])
        p, port = local(m, bad)
        a = m.caller(port).call()
        assert (a.code, a.meta("godwit-cause")) == (
            "UNAVAILABLE", "service_protocol_error"), (name, a)
        p.until_stat(CLUSTER + counter, 1)
        p.until_stat("cluster.greeter.upstream_rq_active", 0)


def test_the_limits_are_the_files(m):
    service = m.service("us")
    p, port = local(m, service.port, **{
        "codec_type: HTTP2": "codec_type: HTTP2\n"
        "          http2_protocol_options: {"
        "max_consecutive_inbound_frames_with_empty_payload: 20}"})
    for empty, code in (20, None), (21, CALM):
        wire = frames.client(port)
        wire.send(OPEN + frame(DATA, 0, 1) * empty)
        if code is None:
            wire.send(frames.data(1, frames.MESSAGE, end=True))
            assert RST_STREAM not in wire.until_end_of(1)
        else:
            assert last_code(wire) == code
        wire.close()
    p.until_stat(HTTP + "inbound_empty_frames_flood", 1)
