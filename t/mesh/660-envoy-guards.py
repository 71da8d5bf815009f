"""How many frames of a kind a caller may send: godwit and Envoy go on after as
many, and both close after one more. Where ours is a bucket, which fills while
the test runs, "many" has room on both sides."""
import contextlib
from concurrent import futures

import frames
from beside import case
from frames import (CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PING,
                    SETTINGS, WINDOW_UPDATE, frame, headers, reset)
from mesh import free_port

PRIORITY, UNKNOWN = 2, 200
MARK = b"godwit!!"
ONE = (1).to_bytes(4, "big")
OPEN = headers(1, frames.REQUEST)
BEGUN = frame(HEADERS, 0, 1, frames.block(frames.REQUEST))
ENDED = frame(CONTINUATION, END_HEADERS, 1)
PRIORITIES = frame(PRIORITY, 0, 1, bytes(4) + b"\x10")


def resets(n):
    return b"".join(headers(s, frames.REQUEST) + reset(s, 8)
                    for s in range(1, 2 * n, 2))


# what: (first, again, at last, (how many pass, how many don't: of ours),
#        (the same of Envoy's), row of DIFFERENCES or None)
FRAMES = {
    "SETTINGS acknowledged": (b"", frame(SETTINGS, 1), b"", (1, 2), (1, 2),
                              None),
    "PRIORITY": (b"", PRIORITIES, b"", (100, 101), (100, 101), None),
    "PRIORITY, a stream": (OPEN, PRIORITIES, b"", (200, 201), (200, 201),
                           None),
    "WINDOW_UPDATE": (b"", frame(WINDOW_UPDATE, 0, 0, ONE), b"", (5, 6),
                      (5, 6), None),
    "WINDOW_UPDATE, a stream": (OPEN, frame(WINDOW_UPDATE, 0, 0, ONE), b"",
                                (7, 8), (7, 8), None),
    "WINDOW_UPDATE of a stream": (OPEN, frame(WINDOW_UPDATE, 0, 1, ONE), b"",
                                  (7, 8), (7, 8), None),
    "empty DATA": (OPEN, frame(DATA, 0, 1), b"", (1, 2), (1, 2), None),
    "empty CONTINUATION": (BEGUN, frame(CONTINUATION, 0, 1), ENDED, (0, 1),
                           (0, 1), None),
    "PING": (b"", frame(PING, 0, 0, bytes(8)), b"", (90, 500), (5000, None),
             "no such limit"),
    "SETTINGS": (b"", frame(SETTINGS), b"", (90, 500), (5000, None),
                 "no such limit"),
    "PING acknowledged": (b"", frame(PING, 1, 0, bytes(8)), b"", (90, 500),
                          (5000, None), "no such limit"),
    "unknown": (b"", frame(UNKNOWN), b"", (90, 500), (5000, None),
                "no such limit"),
    "DATA of a byte": (OPEN, frame(DATA, 0, 1, b"x"), b"", (990, 3000),
                       (5000, None), "no such limit"),
    "CONTINUATION": (BEGUN, frame(CONTINUATION, 0, 1, b"\0\1b\1c"), ENDED,
                     (70, 90), (500, 520), "continuations"),
    "reset at once": (None, None, b"", (900, 3000), (240, 260), "resets"),
}


def goes_on(port, said):
    """Whether a PING behind what was said is answered."""
    wire = frames.client(port)
    with contextlib.closing(wire):
        with contextlib.suppress(ConnectionError):
            wire.send(said + frame(PING, 0, 0, MARK))
        with contextlib.suppress(ConnectionError, EOFError):
            while True:
                head = wire.take(9)
                payload = wire.take(int.from_bytes(head[:3], "big"))
                if head[3] == PING and payload == MARK:
                    return True
                if head[3] == GOAWAY and any(payload[4:8]):
                    return False
    return False


def test_how_many(m):
    service, ports = m.service("us"), []
    for start in m.godwit, m.envoy:
        ports.append(free_port())
        start(m.example("us-local.yaml", {10000: ports[-1],
                                          10101: service.port}))
    with futures.ThreadPoolExecutor(16) as pool:
        asked = []
        for name, (first, again, last, *limits, row) in FRAMES.items():
            for side, (port, (many, more)) in enumerate(zip(ports, limits)):
                for n, expected in (many, True), (more, False):
                    if n is None:
                        continue
                    said = resets(n) if again is None else \
                        first + again * n + last
                    asked.append(((name, side, n), expected, pool.submit(
                        goes_on, port, said)))
            case(name, row)
        for where, expected, got in asked:
            assert got.result() == expected, where
