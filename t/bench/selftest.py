"""t/bench/selftest.py - the bench's tools see a wrong answer. A rig that
counts wrong answers as calls measures nothing, so `make bench` begins here.

Backends of a few lines answer gload in their own way, one way a row; and
rawback is asked wrongly by hand. A row says how many errors gload must count
in five calls, one after the other, and what it must say.
"""
import json
import os
import socket
import struct
import subprocess
import threading

DATA, HEADERS, RESET, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CALLS = 5
BYTES = bytes((i * 7 + 13) & 255 for i in range(100))
MESSAGE = b"\0" + struct.pack(">I", 100) + BYTES
OK = b"\x88"    # :status 200


def frame(kind, flags, stream, body):
    return (struct.pack(">I", len(body))[1:]
            + struct.pack(">BBI", kind, flags, stream) + body)


def literal(name, value, indexed=False):
    return (b"\x40" if indexed else b"\0") + b"".join(
        bytes([len(s)]) + s.encode() for s in (name, value))


STATUS_0 = literal("grpc-status", "0")


def answer(head=OK, data=MESSAGE, tail=STATUS_0):
    return lambda s, n: (
        frame(HEADERS, END_HEADERS, s, head) + frame(DATA, 0, s, data)
        + frame(HEADERS, END_HEADERS | END_STREAM, s, tail))


def split(s, n):
    return (frame(HEADERS, END_HEADERS, s, OK)
            + frame(DATA, PADDED, s, b"\x03" + MESSAGE[:50] + b"\0\0\0")
            + frame(DATA, 0, s, MESSAGE[50:]) + frame(DATA, 0, s, b"")
            + frame(HEADERS, END_HEADERS | END_STREAM, s, STATUS_0))


def only_trailers(s, n):
    return frame(HEADERS, END_HEADERS | END_STREAM, s,
                 OK + literal("grpc-status", "14"))


def moving_table(s, n):
    """The same byte, 0xbe, is grpc-status 0 in calls 2 and 3, and what call 4
    put into the table from then on: what is remembered must go."""
    put = {1: literal("grpc-status", "0", True),
           4: literal("grpc-status", "7", True)}
    return answer(tail=put.get(n, b"\xbe"))(s, n)


# name, answer to call n on stream s, errors of five, what gload says
ROWS = (
    ("right", answer(), 0, ""),
    ("split and padded", split, 0, ""),
    ("status", answer(head=literal(":status", "503")), 5, ":status"),
    ("short", answer(data=MESSAGE[:-1]), 5, "message"),
    ("long", answer(data=MESSAGE + b"x"), 5, "message"),
    ("a byte", answer(data=MESSAGE[:40] + b"?" + MESSAGE[41:]), 5, "message"),
    ("grpc-status", answer(tail=literal("grpc-status", "13")), 5,
     "grpc-status"),
    ("no trailers", answer(tail=literal("x", "y")), 5, "grpc-status"),
    ("only trailers", only_trailers, 5, "message"),
    ("moving table", moving_table, 2, "grpc-status"),
    ("reset", lambda s, n: frame(RESET, 0, s, b"\0\0\0\2"), 5, "reset"),
    ("GOAWAY", lambda s, n: frame(GOAWAY, 0, 0, bytes(8)), None, "GOAWAY"),
    ("CONTINUATION", lambda s, n: frame(HEADERS, 0, s, b"")
     + frame(CONTINUATION, END_HEADERS, s, OK), None, "HPACK"),
    ("closed", lambda s, n: None, None, "closed"),
)


def frames(sock, rest=b""):
    """(kind, flags, stream, body) until the other side closes."""
    while True:
        while len(rest) >= 9:
            n = struct.unpack(">I", b"\0" + rest[:3])[0]
            if len(rest) < 9 + n:
                break
            yield (rest[3], rest[4], struct.unpack(">I", rest[5:9])[0],
                   rest[9:9 + n])
            rest = rest[9 + n:]
        more = sock.recv(65536)
        if not more:
            return
        rest += more


def serve(listener, way):
    sock = listener.accept()[0]
    n = 0
    with sock:
        rest = b""
        while len(rest) < len(PREFACE):
            rest += sock.recv(65536)
        sock.sendall(frame(SETTINGS, 0, 0, b""))
        for kind, flags, stream, _ in frames(sock, rest[len(PREFACE):]):
            if kind == DATA and flags & END_STREAM:
                n += 1
                reply = way(stream, n)
                if reply is None:
                    return
                sock.sendall(reply)


def gload(tools, port):
    return subprocess.run(
        [os.path.join(tools, "gload"), "-c", "1", "-s", "1", "-w", "0", "-n",
         str(CALLS), str(port)], input="go\n", capture_output=True,
        text=True, timeout=30)


def check_row(tools, name, way, errors, says):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, way),
                                  daemon=True)
        thread.start()
        done = gload(tools, listener.getsockname()[1])
        thread.join(5)
    if errors is None:
        return done.returncode == 1 and says in done.stderr
    seen = json.loads(done.stdout.splitlines()[1])
    return (seen["calls"] == CALLS and seen["errors"] == errors
            and says in seen["first_error"]
            and done.returncode == (2 if errors else 0))


def ask(port, headers, message):
    """What rawback answers to one request."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0, b"")
                     + frame(HEADERS, END_HEADERS, 1, b"".join(
                         literal(*h) for h in headers))
                     + frame(DATA, END_STREAM, 1, message))
        for kind, flags, stream, body in frames(sock):
            if kind == HEADERS and flags & END_STREAM:
                return body
    return b""


RIGHT = ((":method", "POST"), (":scheme", "http"),
         (":path", "/bench.Echo/Unary"), ("te", "trailers"),
         ("content-type", "application/grpc"))


def check_rawback(port):
    """Each wrong request, and the right one, by rawback's answer."""
    wrong = literal("grpc-status", "13")
    yield "rawback: right", wrong not in ask(port, RIGHT, MESSAGE)
    for i, (name, _) in enumerate(RIGHT):
        if name != ":scheme":
            bad = RIGHT[:i] + ((name, "other"),) + RIGHT[i + 1:]
            yield "rawback: " + name, ask(port, bad, MESSAGE) == wrong
    yield "rawback: short", ask(port, RIGHT, MESSAGE[:-1]) == wrong
    yield "rawback: a byte", ask(port, RIGHT, MESSAGE[:-1] + b"?") == wrong


def failures(tools, back_port):
    """The names of the rows that are not as they must be; how many rows."""
    rows = [(row[0], check_row(tools, *row)) for row in ROWS]
    rows += check_rawback(back_port)
    return [name for name, right in rows if not right], len(rows)
