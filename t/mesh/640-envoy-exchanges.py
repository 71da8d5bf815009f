"""Requests and answers as no library makes them, on godwit and on Envoy; each
answer is asked for by GET, HEAD and gRPC. Compared are the end, every field
and every byte of what the caller gets, and of what the service is sent.

What differs is told by rows of t/lib/beside.py, for whole kinds of outcomes
(RULES) or single cases (DIFFERENT). One that is the same after all fails too.
"""
from concurrent import futures

import exchange
import frames
from beside import FIELDS as LEFT_OUT, case
from frames import data, goaway, headers, reset
from mesh import free_port

PATH, GRPC = "/demo.Greeter/a", ("content-type", "application/grpc")
OK = (":status", "200")
LIMITED = "v" * 62464


# ---- requests

def asks(method="GET", path=PATH, *more, scheme="http", authority="greeter",
         without=(), first=()):
    own = [(":method", method), (":scheme", scheme), (":path", path),
           (":authority", authority)]
    return [*first, *(f for f in own if f[0] not in without), *more]


def only(fields):
    return [headers(1, fields, end=True)]


def post(*more, bodies=(b"abc",), trailers=None, end=True, path=PATH):
    out = [headers(1, asks("POST", path, *more))]
    out += [data(1, b, end=trailers is None and b is bodies[-1])
            for b in bodies]
    return out + ([] if trailers is None
                  else [headers(1, trailers, end=end)])


def grpc(*more):
    return post(GRPC, ("te", "trailers"), *more, bodies=(b"\0\0\0\0\1x",))


FIELDS = [
    ("X-Up", "a"), ("x_under", "a"), ("x-empty", ""), ("", "a"),
    ("x-blank", " a "), ("x-tab", "\ta"), ("x-nul", "a\0b"),
    ("x-lf", "a\nb"), ("x-cr", "a\rb"), ("x-high", "a\xe9b"),
    ("x-del", "a\x7fb"), ("x-control", "a\1b"), ("x y", "a"), ("x:y", "a"),
    ("x\xe9", "a"), ("connection", "close"), ("keep-alive", "1"),
    ("proxy-connection", "x"), ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"), ("te", "trailers"), ("te", "gzip"),
    ("te", "trailers, gzip"), ("te", ""), ("content-length", "0"),
    ("content-length", "5"), ("content-length", "x"),
    ("content-length", "-1"), ("content-length", ""), ("cookie", "a=1"),
    ("expect", "100-continue"), ("x-forwarded-for", "1.2.3.4"),
    ("x-forwarded-proto", "https"), ("x-forwarded-proto", "ftp"),
    ("x-forwarded-host", "h"), ("x-forwarded-client-cert", "By=x"),
    ("x-envoy-internal", "true"), ("x-envoy-external-address", "1.2.3.4"),
    ("x-envoy-original-path", "/x"), ("x-envoy-attempt-count", "9"),
    ("x-envoy-decorator-operation", "x"),
    ("x-envoy-downstream-service-cluster", "x"),
    ("x-envoy-upstream-rq-timeout-ms", "60000"), ("x-envoy-retry-on", "5xx"),
    ("x-envoy-max-retries", "3"), ("x-envoy-force-trace", "1"),
    ("x-envoy-retry-grpc-on", "cancelled"), ("x-envoy-ip-tags", "a"),
    ("x-envoy-retriable-status-codes", "404"),
    ("x-envoy-retriable-header-names", "x"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "5000"),
    ("x-envoy-upstream-rq-timeout-alt-response", "1"),
    ("x-envoy-upstream-stream-duration-ms", "5000"),
    ("x-envoy-upstream-alt-stat-name", "x"),
    ("x-envoy-downstream-service-node", "n"), ("x-envoy-original-url", "u"),
    ("x-envoy-original-host", "h"), ("x-envoy-is-timeout-retry", "true"),
    ("x-envoy-not-known", "x"), ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-request-id", "mine"), ("x-client-trace-id", "t"), ("via", "1.1 a"),
    ("user-agent", "u"), ("server", "s"), ("date", "d"), ("alt-svc", "x"),
    ("accept-encoding", "gzip"), ("content-encoding", "gzip"),
    ("grpc-timeout", "1S"), ("grpc-timeout", "x"), ("forwarded", "for=1"),
    ("proxy-authorization", "x"), ("trailer", "x"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
]
PATHS = ["", "abc", "*", PATH + "#f", "/" + PATH, "/demo.Greeter//a",
         "/demo.Greeter/%2Fa", "/demo.Greeter/../a", "/demo.Greeter/./a",
         PATH + "?x=1", PATH + " b", "/demo.Greeter/\xe9", "/demo.Greeter/%",
         "http://greeter" + PATH, "/demo.Greeter", "/nowhere",
         "/demo.greeter/a", PATH + "\\b", PATH + "\x7f", PATH + "a" * 8000]
AUTHORITIES = ["", "greeter:80", "user@greeter", "GREETER", "gre eter",
               "[::1]:80", "a,b", "a/b", "a\xe9b", "a?b"]
TYPES = ["application/grpc", "application/grpc+proto", "application/grpc;x",
         "application/grpc-web", "application/grpcx", "APPLICATION/GRPC",
         "text/plain"]
OWN = {":method": "GET", ":path": PATH, ":scheme": "http",
       ":authority": "greeter"}

REQUESTS = {
    **{f"method {v!r}": only(asks(v)) for v in (
        "GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "POST", "FOO", "get",
        "", "G T")},
    "OPTIONS *": only(asks("OPTIONS", "*")),
    "PUT": [headers(1, asks("PUT")), data(1, b"abc"), data(1, b"d", end=True)],
    "no bytes, empty DATA": post(bodies=(b"",)),
    "CONNECT": [headers(1, asks("CONNECT", without=(":path", ":scheme")))],
    "CONNECT with a path": [headers(1, asks("CONNECT"))],
    "extended CONNECT": [headers(1, asks(
        "CONNECT", first=[(":protocol", "websocket")]))],
    **{f"no {name}": only(asks(without=(name,))) for name in OWN},
    **{f"two {name}": only(asks(first=[(name, OWN[name])])) for name in OWN},
    "host, no :authority": only(asks("GET", PATH, ("host", "greeter"),
                                     without=(":authority",))),
    "two hosts": only(asks("GET", PATH, ("host", "a"), ("host", "b"),
                           without=(":authority",))),
    "host the same": only(asks("GET", PATH, ("host", "greeter"))),
    "host another": only(asks("GET", PATH, ("host", "other"))),
    ":foo": only(asks(first=[(":foo", "x")])),
    ":status": only(asks(first=[OK])),
    "a pseudo-header late": only([*asks()[1:], ("x-a", "1"), asks()[0]]),
    **{f"scheme {v!r}": only(asks(scheme=v))
       for v in ("https", "ftp", "HTTP", "")},
    **{f"authority {v!r}": only(asks(authority=v)) for v in AUTHORITIES},
    **{f"path {v[:24]!r}": only(asks("GET", v)) for v in PATHS},
    **{f"{n!r}: {v!r}": only(asks("GET", PATH, (n, v))) for n, v in FIELDS},
    "cookie crumbs": only(asks("GET", PATH, ("cookie", "a=1"),
                               ("cookie", "b=2"))),
    "a name twice": only(asks("GET", PATH, ("x-2", "1"), ("x-2", "2"))),
    "te twice": only(asks("GET", PATH, *[("te", "trailers")] * 2)),
    "length right": post(("content-length", "3")),
    "length too small": post(("content-length", "2")),
    "length too large": post(("content-length", "4")),
    "length twice": post(*[("content-length", "3")] * 2),
    "two lengths": post(("content-length", "3"), ("content-length", "4")),
    "trailers": post(trailers=[("x-t", "1")]),
    "trailers, no bytes": post(bodies=(), trailers=[("x-t", "1")]),
    "trailers with :path": post(trailers=[(":path", "/")]),
    "trailers, upper-case": post(trailers=[("X-T", "1")]),
    "trailers, connection": post(trailers=[("connection", "close")]),
    "trailers, length": post(trailers=[("content-length", "4")]),
    "trailers go on": post(trailers=[("x-t", "1")], end=False),
    "trailers of 61 KiB": post(trailers=[("x-big", LIMITED)]),
    "101 trailers": post(GRPC, trailers=[(f"x-{n}", "v")
                                         for n in range(101)]),
    "XFF within, x-envoy-max-retries": only(asks(
        "GET", PATH, ("x-forwarded-for", "10.0.0.1"),
        ("x-envoy-max-retries", "1"), ("x-envoy-internal", "true"))),
    "XFF twice": only(asks("GET", PATH, ("x-forwarded-for", "1.2.3.4"),
                           ("x-forwarded-for", "5.6.7.8"))),
    **{f"{t}, no route": post(("content-type", t), path="/nowhere/x")
       for t in TYPES},
    "gRPC by GET, no route": only(asks("GET", "/nowhere/x", GRPC)),
    "HEAD, no route": only(asks("HEAD", "/nowhere/x")),
    "gRPC, a fragment": post(GRPC, path=PATH + "#f"),
    "an unknown region": only(asks("GET", PATH, ("x-region", "ap"))),
    "a header of 8 KiB": only(asks("GET", PATH, ("x-big", "b" * 8192))),
    "a header of 50 KiB": only(asks("GET", PATH, ("x-big", "b" * 51200))),
    "headers of 61 KiB": only(asks("GET", PATH, ("x-big", LIMITED))),
    "gRPC, headers of 61 KiB": grpc(("x-big", LIMITED)),
    "95 headers": only(asks("GET", PATH, *[(f"x-{n}", "v")
                                           for n in range(91)])),
    "101 headers": only(asks("GET", PATH, *[(f"x-{n}", "v")
                                            for n in range(97)])),
    "gRPC": grpc(),
    "gRPC without te": post(GRPC, bodies=(b"\0\0\0\0\1x",)),
    "gRPC by GET": only(asks("GET", PATH, GRPC)),
}

# ---- answers


def block(*fields, more=()):
    """Headers that end the answer, or after them more blocks that do."""
    def script(s):
        all_of = [fields, *more]
        return [headers(s, list(f), end=f is all_of[-1]) for f in all_of]
    return script


def page(*fields, body=b"hi", trailers=None, end=True):
    def script(s):
        out = [headers(s, list(fields)), data(s, body, end=trailers is None)]
        return out + ([] if trailers is None
                      else [headers(s, trailers, end=end)])
    return script


def raw(*pieces):
    return lambda s: [p(s) if callable(p) else p for p in pieces]


STATUSES = ["204", "404", "500", "503", "429", "299", "599", "600", "99",
            "000", "1000", "", "abc"]
ANSWERS = {
    **{f":status {v!r}": block((":status", v)) for v in STATUSES},
    "200": page(OK), "200, no bytes": block(OK),
    "200, empty DATA": page(OK, body=b""),
    "204 with bytes": page((":status", "204")),
    "304": block((":status", "304"), ("etag", "x")),
    "304 with a length": block((":status", "304"), ("content-length", "5")),
    "503 with bytes": page((":status", "503"), ("retry-after", "1")),
    "302": block((":status", "302"), ("location", "/x")),
    **{f"{v} before": block((":status", v), more=([OK],))
       for v in ("100", "101", "102", "103")},
    "two 103 before": block((":status", "103"),
                            more=([(":status", "103")], [OK])),
    "100 and no more": block((":status", "100")),
    "length right": page(OK, ("content-length", "2")),
    "length too small": page(OK, ("content-length", "1")),
    "length too large": page(OK, ("content-length", "3")),
    "length x": page(OK, ("content-length", "x")),
    "two lengths": page(OK, ("content-length", "2"), ("content-length", "3")),
    "length, no bytes": block(OK, ("content-length", "3")),
    "trailers": page(OK, trailers=[("x-t", "1")]),
    "trailers, no bytes": block(OK, more=([("x-t", "1")],)),
    "trailers with :status": page(OK, trailers=[OK]),
    "trailers, upper-case": page(OK, trailers=[("X-T", "1")]),
    "trailers, connection": page(OK, trailers=[("connection", "close")]),
    "trailers go on": page(OK, trailers=[("x-t", "1")], end=False),
    "DATA first": lambda s: [data(s, b"hi", end=True)],
    "no :status": block(("x-a", "1")), "two :status": block(OK, OK),
    ":path": block(OK, (":path", "/")),
    ":status late": block(("x-a", "1"), OK),
    **{f"{n!r}: {v!r}": block(OK, (n, v)) for n, v in [
        ("connection", "close"), ("upgrade", "h2c"), ("keep-alive", "1"),
        ("transfer-encoding", "chunked"), ("te", "trailers"), ("X-Up", "a"),
        ("x_under", "a"), ("x-empty", ""), ("", "a"), ("x-blank", " a "),
        ("x-nul", "a\0b"), ("x-lf", "a\nb"), ("x-cr", "a\rb"),
        ("x-del", "a\x7fb"), ("x-high", "a\xe9b"), ("server", "mine"),
        ("date", "then"), ("x-envoy-overloaded", "1"), ("via", "1.1 x"),
        ("alt-svc", "h3"), ("x-request-id", "r"), ("grpc-status", "0")]},
    "two cookies": block(OK, ("set-cookie", "a=1"), ("set-cookie", "b=2")),
    "a header of 50 KiB": block(OK, ("x-big", "b" * 51200)),
    "headers of 61 KiB": block(OK, ("x-big", LIMITED)),
    "95 headers": block(OK, *[(f"x-{n}", "v") for n in range(95)]),
    "101 headers": block(OK, *[(f"x-{n}", "v") for n in range(101)]),
    "gRPC": page(OK, GRPC, body=b"\0\0\0\0\1x",
                 trailers=[("grpc-status", "0")]),
    "gRPC, no status": page(OK, GRPC, body=b"\0\0\0\0\1x"),
    "gRPC, 503": block((":status", "503"), GRPC, ("grpc-status", "14")),
    **{f"grpc-status {v}": block(OK, GRPC, ("grpc-status", v),
                                 ("grpc-message", "a%20b"))
       for v in ("5", "99", "x")},
    "two grpc-status": block(OK, GRPC, ("grpc-status", "0"),
                             ("grpc-status", "5")),
    "grpc-status in both": page(OK, GRPC, ("grpc-status", "0"),
                                trailers=[("grpc-status", "5")]),
    **{f"reset {n}": (lambda s, n=n: [reset(s, n)])
       for n in (0, 1, 2, 3, 5, 7, 8, 11, 13, 99)},
    **{f"reset {n} after headers":
       (lambda s, n=n: [headers(s, [OK]), data(s, b"h"), reset(s, n)])
       for n in (0, 1, 2, 7, 8, 11)},
    "whole, then reset": lambda s: page(OK)(s) + [reset(s, 0)],
    "a close": raw(None),
    "a close after headers": raw(lambda s: headers(s, [OK]),
                                 lambda s: data(s, b"h"), None),
    "GOAWAY": raw(goaway(0, 0), None),
    "GOAWAY with an error": raw(goaway(0, 2), None),
    "GOAWAY, calm": raw(goaway(0, 11), None),
    "GOAWAY, then all": raw(lambda s: goaway(s, 0),
                            lambda s: headers(s, [OK], end=True)),
    "HTTP/1.1": raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a frame too large": lambda s: [(20000).to_bytes(3, "big") + b"\0\0" +
                                    s.to_bytes(4, "big") + bytes(20000)],
    "PUSH_PROMISE": lambda s: [frames.frame(5, 4, s, bytes(3) + b"\2")],
    "DATA of no stream": raw(data(0, b"x")),
    "an unknown frame": lambda s: [frames.frame(0x77, 0, s, b"x"),
                                   headers(s, [OK], end=True)],
    "padding": lambda s: [headers(s, [OK]),
                          frames.frame(0, 9, s, b"\3hi\0\0\0")],
    "PRIORITY": lambda s: [frames.frame(2, 0, s, bytes(4) + b"\5"),
                           headers(s, [OK], end=True)],
    "a window of 0": lambda s: [frames.frame(8, 0, s, bytes(4))],
    "a window too wide": lambda s: [frames.frame(8, 0, s,
                                                 b"\x7f\xff\xff\xff")],
}
WAYS = {"GET": only(asks()), "HEAD": only(asks("HEAD")), "gRPC": grpc()}

# ---- what may differ


def broken(ours, theirs):
    return ours == ("reset 1", [], b"") and theirs[0].startswith("closed")


def rest_lost(ours, theirs):
    return (theirs[0] == "reset 2" and ours[0] == "whole" and
            ours[1][:-1] == theirs[1] and
            (b"grpc-status", b"14") in ours[1][-1])


def unsent(ours, theirs):
    """Also where nothing is: the row must not depend on time."""
    return ours[0] == theirs[0] == "reset 2" and all(
        a[:len(b)] == b[:len(a)] for a, b in zip(ours[1:], theirs[1:]))


def too_large(ours, theirs):
    return theirs[0] == "reset 2" and (b"grpc-message",
                                       b"request headers too large") in \
        ours[1][0] or (theirs[0] == "reset 2" and ours[2] ==
                       b"request headers too large")


RULES = [       # of what the caller gets: (a row of DIFFERENCES, is it so)
    ("malformed request", broken), ("rest of an answer", rest_lost),
    ("not yet sent", unsent), ("headers too large", too_large),
]
DIFFERENT = {   # single cases, for the caller or in what the service sees
    "host, no :authority": "host", "scheme 'ftp'": "scheme",
    "scheme 'HTTP'": "scheme", "authority 'user@greeter'": "userinfo",
    "'expect': '100-continue'": "expect", "cookie crumbs": "crumbs",
    "te twice": "te twice",
    "XFF twice": "joined", "two grpc-status": "joined",
}


def clean(side):
    """(end, blocks, bytes) without the fields of beside.py."""
    def kept(name):
        return name.decode("latin-1") not in LEFT_OUT
    return (side.end, [[f for f in block if kept(f[0])]
                       for block in side.blocks], side.body)


class Both:
    def __init__(self, m):
        self.service, self.ports = exchange.Recorder(m), []
        for start in m.godwit, m.envoy:
            port = free_port()
            start(m.example("us-local.yaml", {10000: port,
                                              10101: self.service.port}))
            self.ports.append(port)

    def ask(self, port, pieces):
        self.service.seen.clear()
        got = clean(exchange.ask(port, pieces))
        return got, [clean(s) for s in self.service.seen
                     if s.end == "whole"]

    def closed(self, requests):
        """{name: answer} of those after which Envoy closes: that takes it a
        second, and so they are asked at once."""
        with futures.ThreadPoolExecutor(16) as pool:
            all_of = pool.map(lambda p: clean(exchange.ask(self.ports[1], p)),
                              requests.values())
            return {name: answer for name, answer in zip(requests, all_of)
                    if answer[0].startswith("closed")}

    def same(self, name, pieces, closed=None):
        """closed: those that are, and what the service sees of the others
        that go well is compared too; how much it sees of a broken request is
        a matter of time."""
        ours, asked = self.ask(self.ports[0], pieces)
        theirs, they_asked = (closed[name], []) if name in (closed or {}) \
            else self.ask(self.ports[1], pieces)
        equal = ours == theirs and (closed is None or ours[0] != "whole" or
                                    asked == they_asked)
        rule = next((row for row, is_so in RULES if is_so(ours, theirs)), None)
        row = DIFFERENT.get(name, rule)
        assert (name not in DIFFERENT) if equal else row, \
            f"{name}:\n{ours}\n{asked}\n{theirs}\n{they_asked}"
        case(name, row)


def test_requests(m):
    both = Both(m)
    both.service.script = page(OK, ("x-mine", "1"))
    closed = both.closed(REQUESTS)
    for name, pieces in REQUESTS.items():
        both.same(name, pieces, closed)


def answers(m, way):
    both = Both(m)
    for name, script in ANSWERS.items():
        both.service.script = script
        both.same(name, WAYS[way])


def test_answers_to_get(m):
    answers(m, "GET")


def test_answers_to_head(m):
    answers(m, "HEAD")


def test_answers_to_grpc(m):
    answers(m, "gRPC")
