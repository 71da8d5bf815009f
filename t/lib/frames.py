"""t/lib/frames.py - HTTP/2 frame by frame, to say what no gRPC library would.

Field blocks are written as plain literals (RFC 7541, 6.2.2) and never read:
a test looks at the kinds of frames that come, at statuses through a real
client, or at statistics.
"""
import contextlib
import socket
import threading

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM = ACK = 1
END_HEADERS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_MAX = 16384
WAIT_S = 30

REQUEST = [(":method", "POST"), (":scheme", "http"),
           (":path", "/demo.Greeter/SayHello"), (":authority", "greeter"),
           ("content-type", "application/grpc"), ("te", "trailers")]
ANSWER = [(":status", "200"), ("content-type", "application/grpc")]
MESSAGE = b"\0\0\0\0\3abc"
WINDOW_SETTING, WINDOW_BYTES = b"\0\4", 1 << 20


def frame(kind, flags=0, stream=0, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + payload)


def number(n, prefix):
    """An integer with a prefix of so many bits, RFC 7541, 5.1."""
    most = (1 << prefix) - 1
    if n < most:
        return bytes([n])
    out, n = [most], n - most
    while n >= 128:
        out.append(n % 128 + 128)
        n //= 128
    return bytes([*out, n])


def block(fields):
    out = b""
    for pair in fields:
        out += b"\0"
        for text in pair:
            text = text.encode("latin-1")
            out += number(len(text), 7) + text
    return out


def headers(stream, fields, end=False):
    """HEADERS, and CONTINUATION where one frame is too small."""
    left = block(fields)
    parts = [left[i:i + FRAME_MAX] for i in range(0, len(left), FRAME_MAX)]
    out = b""
    for n, part in enumerate(parts):
        flags = END_HEADERS * (n == len(parts) - 1)
        out += frame(CONTINUATION if n else HEADERS,
                     flags | END_STREAM * (end and n == 0), stream, part)
    return out


def data(stream, body, end=False):
    return frame(DATA, END_STREAM * end, stream, body)


def reset(stream, code):
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last, code):
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") +
                 code.to_bytes(4, "big"))


class Wire:
    """One end of a connection; answers SETTINGS and PING by itself."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(WAIT_S)

    def send(self, frames):
        self.sock.sendall(frames)

    def take(self, n):
        got = b""
        while len(got) < n:
            more = self.sock.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def read_one(self):
        """(kind, flags, stream, payload) of the next frame, or None at the
        end of the connection."""
        try:
            head = self.take(9)
            kind, flags = head[3], head[4]
            payload = self.take(int.from_bytes(head[:3], "big"))
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.send(frame(kind, ACK, 0,
                                payload if kind == PING else b""))
        except (EOFError, ConnectionError):
            return None
        return kind, flags, int.from_bytes(head[5:], "big"), payload

    def read(self):
        """The same of the next frame that matters."""
        while True:
            got = self.read_one()
            if not got or got[0] not in (SETTINGS, PING, WINDOW_UPDATE):
                return got

    def until_end_of(self, stream):
        """The kinds of this stream's frames, to the one that ends it; the
        code of a reset, or None at the end of the connection, is last."""
        kinds = []
        while True:
            got = self.read()
            if got is None:
                return [*kinds, None]
            kind, flags, of, payload = got
            if of != stream:
                continue
            kinds.append(kind)
            if kind == RST_STREAM:
                return [*kinds, int.from_bytes(payload, "big")]
            if flags & END_STREAM:
                return kinds

    def close(self):
        self.sock.close()


def client(port):
    wire = Wire(socket.create_connection(("127.0.0.1", port)))
    wire.send(PREFACE + frame(SETTINGS))
    return wire


def raw_service(m, serve):
    """The port of a service whose connections are served by serve(socket),
    each in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    m.callback(listener.close)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],),
                                 daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def service(m, script):
    """A service at the port that is returned: to the end of each request it
    says script(stream), then, if that ends with None, closes."""
    def serve(sock):
        wire = Wire(sock)
        with contextlib.suppress(OSError, EOFError), sock:
            wire.take(len(PREFACE))
            wire.send(frame(SETTINGS, payload=WINDOW_SETTING +
                            WINDOW_BYTES.to_bytes(4, "big")) +
                      frame(WINDOW_UPDATE,
                            payload=WINDOW_BYTES.to_bytes(4, "big")))
            while got := wire.read():
                _, flags, stream, _ = got
                if not flags & END_STREAM or got[0] not in (DATA, HEADERS):
                    continue
                for piece in script(stream):
                    if piece is None:       # what was sent must arrive
                        sock.shutdown(socket.SHUT_WR)
                        while wire.read():
                            pass
                        return
                    wire.send(piece)

    return raw_service(m, serve)
