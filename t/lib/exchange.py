"""t/lib/exchange.py - one HTTP/2 exchange, told completely: what a caller that
writes its own frames gets, and what a service that writes its own is sent.

    ask(port, frames)        -> Side of stream 1: how it ended, blocks, bytes
    r = Recorder(m); r.port; r.script = lambda stream: [frames]
                             r.seen: the Sides of what it was asked

Fields are decoded by hpack, so that all of them can be compared.
"""
import contextlib
import socket

import hpack

import frames
from frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY,
                    HEADERS, RST_STREAM)

PADDED, PRIORITY = 8, 32


class Side:
    """One direction of a stream: blocks of sorted (name, value), bytes, and
    its end: "whole", "reset CODE" or "closed CODE" (the connection's)."""

    def __init__(self):
        self.blocks, self.body, self.end = [], b"", None


def unpadded(payload, flags):
    return payload[1:len(payload) - payload[0]] if flags & PADDED else payload


class Reader:
    """Gathers what a wire brings; HPACK has one state for all its streams."""

    def __init__(self, wire):
        self.wire, self.decoder = wire, hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.sides, self.block, self.block_ends = {}, b"", 0
        self.goaway = None

    def step(self):
        """(stream, Side) of one that ended; (0, None) of another frame;
        (None, None) at the end of the connection."""
        got = self.wire.read()
        if got is None:
            return None, None
        kind, flags, stream, payload = got
        if kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
            return 0, None
        side = self.sides.setdefault(stream, Side())
        if kind in (HEADERS, CONTINUATION):
            self.headers(side, kind, flags, payload)
        elif kind == DATA:
            side.body += unpadded(payload, flags)
            side.end = "whole" if flags & END_STREAM else None
        elif kind == RST_STREAM:
            side.end = f"reset {int.from_bytes(payload, 'big')}"
        return (stream, self.sides.pop(stream)) if side.end else (0, None)

    def headers(self, side, kind, flags, payload):
        if kind == HEADERS:
            self.block = unpadded(payload, flags)[5 * bool(flags & PRIORITY):]
            self.block_ends = flags & END_STREAM
        else:
            self.block += payload
        if flags & END_HEADERS:
            side.blocks.append(sorted((bytes(n), bytes(v)) for n, v in
                                      self.decoder.decode(self.block,
                                                          raw=True)))
            side.end = "whole" if self.block_ends else None


def ask(port, pieces):
    wire = frames.client(port)
    with contextlib.closing(wire):
        reader, stream = Reader(wire), 0
        with contextlib.suppress(ConnectionError):
            wire.send(b"".join(pieces))
            while stream is not None:
                stream, side = reader.step()
                if stream == 1:
                    return side
        side = reader.sides.get(1, Side())
        side.end = f"closed {reader.goaway}"
        return side


class Recorder:
    """A service that answers each whole request by script(stream), a list of
    frames; None among them: it closes."""

    def __init__(self, m):
        self.seen, self.script = [], None
        self.port = frames.raw_service(m, self.serve)

    def serve(self, sock):
        wire = frames.Wire(sock)
        with contextlib.suppress(OSError, EOFError), sock:
            wire.take(len(frames.PREFACE))
            wire.send(frames.frame(frames.SETTINGS))
            reader, stream = Reader(wire), 0
            while stream is not None:
                stream, side = reader.step()
                if stream:
                    self.seen.append(side)
                if stream and side.end == "whole":
                    self.answer(wire, sock, stream)

    def answer(self, wire, sock, stream):
        for piece in self.script(stream):
            if piece is not None:
                wire.send(piece)
                continue
            sock.shutdown(socket.SHUT_WR)
            while wire.read():
                pass
            raise EOFError
