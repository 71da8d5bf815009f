"""t/lib/scripted.py - a control plane that says what a test makes it say: each
message is bytes that the test wrote, and each request is there to be read.

    s = Scripted(m)                     a port; clients come to it
    stream = s.stream()                 the next one that a client opens
    stream.request("clusters")          the next request for a kind
    stream.send(b"...")                 one gRPC message, whatever it is
    stream.ask("clusters", [...])       a response, and its ACK or NACK
    stream.end("UNAVAILABLE", "why")    or silence, or s.stop()

No library makes these messages, so that they can be wrong in any way; only
good resources come from one (pack: plane.py's dicts, through plane -encode).
Kinds in s.auto are answered without the test.

Numbers of fields: envoy/service/discovery/v3/discovery.proto. What is broken
below a message, in gRPC's or HTTP/2's frames, is said by frames.py.
"""
import base64
import collections
import json
import subprocess
import threading
from concurrent import futures

import grpc

import plane
from mesh import PATIENCE_S, free_port
from wire import field, fields

DELTA = "DeltaAggregatedResources"


# ---- discovery.proto

def type_url(kind):
    """A kind of plane.py's, or a URL as it is."""
    return plane.TYPES + plane.KINDS[kind] if kind in plane.KINDS else kind


def any_of(kind, resource):
    """google.protobuf.Any"""
    return field(1, type_url(kind)) + field(2, resource)


def wrapped(kind, name, resource=None, version="", ttl_s=None, more=b""):
    """A Resource: what delta sends, and what SotW may put into its Any, by
    any_of(WRAPPER, wrapped(...)). Without resource: a heartbeat."""
    out = field(3, name) + field(1, version)
    if resource is not None:
        out += field(2, any_of(kind, resource))
    if ttl_s is not None:
        out += field(6, field(1, ttl_s))
    return out + more


WRAPPER = "type.googleapis.com/envoy.service.discovery.v3.Resource"


def response(kind, anys, version="1", nonce="1", more=b""):
    """A DiscoveryResponse."""
    return (field(1, version) + field(2, *anys) + field(4, type_url(kind)) +
            field(5, nonce) + more)


def delta_response(kind, resources=(), removed=(), version="1", nonce="1",
                   more=b""):
    """A DeltaDiscoveryResponse; resources: wrapped(...)."""
    return (field(1, version) + field(2, *resources) +
            field(4, type_url(kind)) + field(5, nonce) +
            field(6, *removed) + more)


class Request:
    """One that came: kind, node (its id, "" if there is none), names (asked
    for, or subscribed), gone (unsubscribed), initial {name: version},
    version, nonce, error (None: no NACK), code; bytes as they were."""

    def __init__(self, message, delta):
        self.bytes, f = message, fields(message)
        node, url, names, nonce, error = ((1, 2, 3, 6, 7) if delta else
                                          (2, 4, 3, 5, 6))

        def text(values):
            return values[-1].decode() if values else ""

        self.version = "" if delta else text(f[1])
        self.node = text(fields(f[node][0])[1]) if f[node] else ""
        self.names = [n.decode() for n in f[names]]
        self.gone = [n.decode() for n in f[4]] if delta else []
        pairs = [fields(e) for e in f[5]] if delta else []
        self.initial = {text(e[1]): text(e[2]) for e in pairs}
        self.type_url, self.nonce = text(f[url]), text(f[nonce])
        self.kind = {type_url(k): k for k in plane.KINDS}.get(
            self.type_url, self.type_url)
        status = fields(f[error][0]) if f[error] else None
        self.code = status and sum(status[1])
        self.error = None if status is None else text(status[2])

    def __repr__(self):
        return (f"{self.kind} node={self.node!r} version={self.version!r} "
                f"nonce={self.nonce!r} names={self.names} gone={self.gone} "
                f"initial={self.initial} error={self.error!r}")


# ---- the server

class Over(AssertionError):
    """The stream ended before what was waited for came."""


class Stream:
    """One that a client opened; how: the method's name."""

    def __init__(self, server, how, context):
        self.server, self.how, self.context = server, how, context
        self.delta = how.startswith("Delta")
        self.changed = threading.Condition()
        self.inbox, self.outbox = [], collections.deque()
        self.over, self.n, self.auto_names = False, 0, {}
        self.metadata = dict(context.invocation_metadata())

    # ---- what came

    def hear(self, messages):
        """A thread of its own."""
        try:
            for message in messages:
                request = Request(message, self.delta)
                if not self.answer_itself(request):
                    with self.changed:
                        self.inbox.append(request)
                        self.changed.notify_all()
        except grpc.RpcError:
            pass
        except Exception as e:          # our own parser's, for who waits
            with self.changed:
                self.inbox.append(e)
        self.leave()

    def leave(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def answer_itself(self, r):
        """Whether the kind is one of server.auto."""
        auto = self.server.auto.get(r.kind)
        if auto is None:
            return False
        if not r.nonce or r.names != self.auto_names.get(r.kind):
            self.auto_names[r.kind] = r.names
            self.respond(r.kind, auto)
        return True

    def wait(self, fact, what):
        with self.changed:
            assert self.changed.wait_for(fact, PATIENCE_S), \
                f"{self.how}: never came: {what}; there is {self.inbox}"
            return fact()

    def request(self, kind=None, nonce=None):
        """Takes the first that has come and not been taken, of a kind, with a
        nonce; waits for it."""
        def find():
            for r in self.inbox:
                if isinstance(r, Exception):
                    raise r
                if kind in (None, r.kind) and nonce in (None, r.nonce):
                    return r
            return self.over and "over"

        r = self.wait(find, f"a request for {kind} with nonce {nonce}")
        if r == "over":
            raise Over(f"{self.how} is over; there is {self.inbox}")
        self.inbox.remove(r)
        return r

    def until_over(self):
        """The client, or we, ended it."""
        self.wait(lambda: self.over, "the end")

    # ---- what is said

    def send(self, message):
        """One message; empty ones are some, too."""
        with self.changed:
            self.outbox.append(message)
            self.changed.notify_all()

    def nonce(self):
        self.n += 1
        return f"n{self.n}"

    def respond(self, kind, items, removed=(), version=None, more=b""):
        """A response of good form with a nonce of its own, which is returned.
        items: {name: resource's bytes}; or what response or delta_response
        take, a list."""
        nonce, version = self.nonce(), version or str(self.n)
        if isinstance(items, dict) and self.delta:
            items = [wrapped(kind, n, b, version) for n, b in items.items()]
        elif isinstance(items, dict):
            items = [any_of(kind, b) for b in items.values()]
        if self.delta:
            self.send(delta_response(kind, items, removed, version, nonce,
                                     more))
        else:
            self.send(response(kind, items, version, nonce, more))
        return nonce

    def ask(self, kind, items, **kwargs):
        """respond, and the request that answers it."""
        return self.request(kind, self.respond(kind, items, **kwargs))

    def end(self, code="OK", message=""):
        """When all is sent that was to be."""
        self.send((getattr(grpc.StatusCode, code), message))

    def talk(self):
        """What goes out; grpcio asks for it in a thread of its own."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.outbox or self.over)
                if not self.outbox:
                    return
                message = self.outbox.popleft()
            if isinstance(message, tuple):
                self.context.set_code(message[0])
                self.context.set_details(message[1])
                return
            yield message


class Scripted(grpc.GenericRpcHandler):
    """Takes every stream, of whatever method. auto: {kind: {name: resource's
    bytes}} of those that are answered without a test."""

    def __init__(self, m, tls=None, client_certificates=False):
        self.m, self.port, self.auto = m, free_port(), {}
        self.changed, self.streams = threading.Condition(), []
        self.credentials = self.server = self.encoder = None
        if tls:
            self.credentials = grpc.ssl_server_credentials(
                [(m.pem(f"{tls}.key"), m.pem(f"{tls}.pem"))],
                m.pem("ca.pem") if client_certificates else None,
                client_certificates)
        self.start()
        m.callback(self.close)

    def start(self):
        self.server = grpc.server(
            futures.ThreadPoolExecutor(32), handlers=[self],
            options=[("grpc.max_receive_message_length", -1),
                     ("grpc.max_send_message_length", -1),
                     ("grpc.so_reuseport", 0)])
        where = f"127.0.0.1:{self.port}"
        port = (self.server.add_secure_port(where, self.credentials)
                if self.credentials else self.server.add_insecure_port(where))
        assert port == self.port
        self.server.start()

    def stop(self):
        """Connections and all; start() takes the same port again."""
        if self.server:
            self.server.stop(0).wait()
            self.server = None

    def close(self):
        self.stop()
        if self.encoder:
            self.encoder.communicate()

    def service(self, details):
        how = details.method.rsplit("/", 1)[1]

        def come(messages, context):
            stream = Stream(self, how, context)
            threading.Thread(target=stream.hear, args=(messages,),
                             daemon=True).start()
            with self.changed:
                self.streams.append(stream)
                self.changed.notify_all()
            yield from stream.talk()
            stream.leave()
        return grpc.stream_stream_rpc_method_handler(come)

    def stream(self, how=None):
        """Takes the first stream that came and was not taken."""
        def find():
            return next((s for s in self.streams if how in (None, s.how)),
                        None)
        with self.changed:
            assert self.changed.wait_for(find, PATIENCE_S), \
                f"never came: a stream {how or ''}"
            stream = find()
            self.streams.remove(stream)
            return stream

    def pack(self, kind, resource):
        """The bytes of a dict of plane.py's."""
        if not self.encoder:
            self.encoder = subprocess.Popen(
                [plane.BINARY, "-encode"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE)
        line = json.dumps({"kind": kind, "resource": resource})
        self.encoder.stdin.write(line.encode() + b"\n")
        self.encoder.stdin.flush()
        answer = self.encoder.stdout.readline().decode().strip()
        assert answer and answer[0] != "!", answer
        return base64.b64decode(answer)

    def pack_all(self, **kinds):
        """{kind: {name: bytes}} of plane.py's dicts, as auto takes it."""
        return {kind: {r.get("name") or r["cluster_name"]: self.pack(kind, r)
                       for r in resources}
                for kind, resources in kinds.items()}


# ---- what no honest server says

def nested(number, depth, inmost=b""):
    """A message in itself."""
    out = inmost
    for _ in range(depth):
        out = field(number, out)
    return out


def deep_struct(depth):
    """google.protobuf.Struct, lists in lists: Struct.fields {key 1, value 2:
    Value.list_value 6: ListValue.values 1}."""
    value = b""
    for _ in range(depth):
        value = field(6, field(1, value))
    return field(1, field(1, "a") + field(2, value))


def hostile_clusters(good):
    """{what: bytes} of clusters that a client must refuse, and live on. good:
    a cluster's bytes."""
    metadata = 25       # Metadata.filter_metadata 1: map of Structs
    return {
        "garbage": b"\xff" * 64,
        "cut off": good[:-3],
        "a length beyond the end": good + b"\x0a\xff\xff\xff\xff\x0f",
        "a varint of eleven bytes": good + b"\x20" + b"\xff" * 11,
        "field number 0": good + b"\x02\x01a",
        "wire type 7": good + b"\x0f",
        "a group that nobody ends": good + b"\xc3\x3e" * 3,
        "groups in groups":
        good + b"\xc3\x3e" * 100000 + b"\xc4\x3e" * 100000,
        "a struct of 10,000 levels": good + field(metadata, field(
            1, field(1, "m") + field(2, deep_struct(10000)))),
        "a name of no UTF-8": field(1, b"\xff\xfe"),
        "a name with a NUL": good + field(1, "a\0b"),
        "no name": good + field(1, ""),
        "no resource": b"",
    }


def hostile_messages(kind):
    """{what: bytes} of messages that are no response for a kind at all: a
    client may refuse, pass over or end the stream, and lives on."""
    return {
        "nothing": b"",
        "garbage": b"\xff" * 64,
        "cut off": response(kind, [any_of(kind, b"abc")])[:-3],
        "a version of no UTF-8": response(kind, [], b"\xff", "m"),
        "a nonce of no UTF-8": response(kind, [], "1", b"\xff"),
        "a type of no UTF-8": response(b"\xff", [], "1", "m"),
        "a type that does not exist": response("a/b.C", [], "1", "m"),
        "a type that nobody asked for": response(
            plane.TYPES + "service.runtime.v3.Runtime", [], "1", "m"),
        "groups in groups": b"\xc3\x3e" * 100000 + b"\xc4\x3e" * 100000,
        "a control plane in itself": response(kind, [], "1", "m", nested(
            6, 10000)),
    }
