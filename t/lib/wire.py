"""t/lib/wire.py - protobuf's wire format, by hand: messages as tests say and
read them, field by field, good or bad.
"""
import collections


def varint(n):
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, *values):
    """A field, once for each value: text, bytes, a whole number."""
    out = b""
    for v in values:
        if isinstance(v, int):
            out += varint(number << 3) + varint(v)
        else:
            v = v.encode() if isinstance(v, str) else v
            out += varint(number << 3 | 2) + varint(len(v)) + v
    return out


def take_varint(b, at):
    n = shift = 0
    while True:
        n |= (b[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if b[at - 1] < 128:
            return n, at


def fields(b):
    """{number: [values]} of a message: bytes, or whole numbers."""
    found, at = collections.defaultdict(list), 0
    while at < len(b):
        tag, at = take_varint(b, at)
        if tag & 7 == 0:
            value, at = take_varint(b, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(tag & 7) or \
                take_varint(b, at)
            value, at = b[at:at + size], at + size
        found[tag >> 3].append(value)
    return found
