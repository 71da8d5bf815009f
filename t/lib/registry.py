"""t/lib/registry.py - what is said to a godwit-ems (ems.py) over gRPC. Messages
are {number: value}, where a text or bytes has a length, a number is a varint and
a list is a field that is there more than once.
"""
import grpc

import ems
from wire import field, fields

KEEP = "/godwit.ems.v1.Registry/Keep"
HEARTBEAT = "/godwit.ems.v1.Registry/Heartbeat"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def pack(message):
    out = b""
    for number, values in message.items():
        for v in values if isinstance(values, list) else [values]:
            out += field(number, pack(v) if isinstance(v, dict) else v)
    return out


def unpack(b):
    """{number: [values]}: numbers, and bytes."""
    return dict(fields(b))


def endpoint(service, port, address="127.0.0.1", region="us", ttl_ms=0,
             id="", version=""):
    """A RegisterRequest."""
    return {1: id, 2: service, 3: region, 5: address, 6: port, 8: version,
            9: ttl_ms}


class Keep:
    """A Keep call: say() sends, hear() waits for one answer (None: it ended,
    and code and details say how)."""

    def __init__(self, channel):
        import queue
        self.words = queue.Queue()
        self.call = channel.stream_stream(KEEP)(iter(self.words.get, None),
                                                timeout=30)

    def say(self, message):
        self.words.put(pack(message))

    def hear(self):
        try:
            m = unpack(next(self.call))
        except (StopIteration, grpc.RpcError):
            return None
        return {"id": m.get(1, [b""])[0].decode(), "epoch": m[2][0],
                "ttl_ms": m[3][0], "left": m.get(4, [0])[0]}

    def end(self):
        return self.call.code().name, self.call.details()


class Ems(ems.Ems):
    """A godwit-ems that has these intents."""

    def __init__(self, m, intents=("region: us",)):
        super().__init__(m)
        self.apply("\n---\n".join(intents) + "\n")

    def channel(self):
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}",
            [("grpc.use_local_subchannel_pool", 1)])
        self.m.callback(channel.close)
        return channel
