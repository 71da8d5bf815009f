"""What fails, and what we answer by ourselves, on godwit and on Envoy: each
event is met by a gRPC call, by GET, HEAD and POST, and by a request that does
not end. Compared are the end, every field and every byte of the answer, and
the response flag that Envoy would log with that of our cause."""
import os
import re
import socket
from concurrent import futures

import exchange
import frames
from beside import FIELDS, case
from frames import data, headers
from mesh import ROOT, free_port

RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
MUTATES = ("response_headers_to_add: [{header: {key: x-said, value: "
           "\"<%REQ(:path)%>\"}}], response_headers_to_remove: [x-own]")

# Envoy alone says which response flag it would log.
FLAGS = "[{header: {key: x-flags, value: \"%RESPONSE_FLAGS%\"}}, "

# event: (what the route says, its cluster or None)
EVENTS = {
    "no endpoint": ("", "empty"),
    "refused": ("", "dead"),
    "refused, tried again": ("retry_policy: {retry_on: connect-failure}",
                             "dead"),
    "refused, no tries left": ("retry_policy: {retry_on: connect-failure, "
                               "num_retries: 0}", "dead"),
    "connect timeout": ("", "full"),
    "no TLS there": ("", "gateway-eu"),
    "requests overflow": ("", "no-requests"),
    "pending overflow": ("", "no-pending"),
    "overflow is not tried again": ("retry_policy: {retry_on: reset}",
                                    "no-requests"),
    "route timeout": ("timeout: 0.2s", "greeter"),
    "one try's timeout": ("retry_policy: {retry_on: refused-stream, "
                          "per_try_timeout: 0.2s}", "greeter"),
    "each try's timeout": ("retry_policy: {retry_on: reset, "
                           "per_try_timeout: 0.1s}", "greeter"),
    "max_stream_duration": ("max_stream_duration: {max_stream_duration: "
                            "0.2s}", "greeter"),
    "idle_timeout": ("timeout: 0s, idle_timeout: 0.2s", "greeter"),
    "grpc_timeout_header_max": ("timeout: 0s, max_stream_duration: "
                                "{grpc_timeout_header_max: 0.2s}",
                                "greeter"),
}
# What nothing ends: a timeout counts from the request's end, a grpc-timeout
# is gRPC's.
ENDLESS = {(name, how) for name in ("route timeout", "one try's timeout",
                                    "each try's timeout")
           for how in ("gRPC, no end", "POST, no end")} | {
    ("grpc_timeout_header_max", how)
    for how in ("GET", "HEAD", "POST", "POST, no end")}
DIRECT = (200, 204, 400, 403, 404, 429, 500, 503)
METHODS = {"GET": [], "HEAD": [], "POST": [data(1, b"abc", end=True)]}


def asks(path, method, *more, authority="greeter"):
    return [(":method", method), (":scheme", "http"), (":path", path),
            (":authority", authority), *more]


def ways(path, authority="greeter"):
    """{how: frames}."""
    grpc = asks(path, "POST", ("content-type", "application/grpc"),
                ("te", "trailers"), ("grpc-timeout", "200m"),
                authority=authority)
    all_of = {"gRPC": [headers(1, grpc), data(1, frames.MESSAGE, end=True)],
              "gRPC, no end": [headers(1, grpc), data(1, frames.MESSAGE)],
              "POST, no end": [headers(1, asks(path, "POST",
                                               authority=authority)),
                               data(1, b"abc")]}
    for method, body in METHODS.items():
        all_of[method] = [headers(1, asks(path, method, authority=authority),
                                  end=not body), *body]
    return all_of


def path_of(name):
    return f"/{re.sub('[^a-z0-9_]+', '-', name)}/"


def route(name, does):
    return f"              - {{match: {{prefix: {path_of(name)}}}, {does}}}\n"


def cluster(name, endpoints="[]", more=""):
    return f"""\
  - name: {name}
    connect_timeout: 0.3s
    {more}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.\
HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment:
      cluster_name: {name}
      endpoints: {endpoints}
"""


def at(port):
    return ("[{lb_endpoints: [{endpoint: {address: {socket_address: {"
            "address: 127.0.0.1, port_value: %d}}}}]}]" % port)


def breaker(what, n=0):
    return f"circuit_breakers: {{thresholds: [{{{what}: {n}}}]}}"


def full_port(m):
    """A port whose queue of connections is full: another one waits."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    m.callback(listener.close)
    for _ in range(3):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
        m.callback(s.close)
    return listener.getsockname()[1]


def texts(m, service):
    own = "".join(route(name, f"route: {{cluster: {to}, {says}}}, {MUTATES}")
                  for name, (says, to) in EVENTS.items())
    own += "".join(route(f"direct {n}", f"direct_response: {{status: {n}, "
                         f"body: {{inline_string: said}}}}, {MUTATES}") +
                   route(f"bare {n}", f"direct_response: {{status: {n}}}")
                   for n in DIRECT)
    own += route("denied", f"route: {{cluster: greeter}}, {MUTATES}")
    own += route("denied alone", "route: {cluster: greeter}")
    others = cluster("empty") + \
        cluster("dead", at(free_port()), breaker("max_retries", 99)) + \
        cluster("full", at(full_port(m))) + \
        cluster("no-requests", at(service.port), breaker("max_requests")) + \
        cluster("no-pending", at(service.port),
                breaker("max_pending_requests"))
    rules = ("{action: DENY, policies: {p: {principals: [{any: true}], "
             "permissions: [{url_path: {path: {prefix: /denied}}}]}}}")
    return {
        'domains: ["*"]': 'domains: ["greeter"]',
        "              routes:\n": "              routes:\n" + own,
        "  clusters:\n": "  clusters:\n" + others,
        "          http_filters:\n": "          http_filters:\n"
        "          - name: envoy.filters.http.rbac\n"
        f"            typed_config: {{\"@type\": {RBAC}, rules: {rules}}}\n",
        10101: service.port, 10443: service.port,
    }


def field(side, name):
    """The value of the first field of that name, or None."""
    return next((v.decode() for block in side.blocks for n, v in block
                 if n == name), None)


def flags_of(cause):
    """Envoy's response flag, of worker/cause.def's row."""
    with open(os.path.join(ROOT, "worker/cause.def")) as f:
        return re.search(rf'^CAUSE\({cause}, \w+, \d+, \d+, "([^"]+)"',
                         f.read(), re.M)[1]


def clean(side):
    return (side.end, [[(n, v) for n, v in block
                        if n.decode("latin-1") not in (*FIELDS, "x-flags")]
                       for block in side.blocks], side.body)


def calls():
    """{name: frames} of all."""
    where = {name: ways(path_of(name) + "M") for name in EVENTS}
    for n in DIRECT:
        for kind in "direct", "bare":
            where[f"{kind} {n}"] = ways(path_of(f"{kind} {n}") + "M")
    for kind in "denied", "denied alone":
        where[kind] = ways(path_of(kind) + "M")
    where["no route"] = ways("/nowhere/M")
    where["no host"] = ways("/demo.Greeter/M", "other")
    return {f"{name}, {how}": pieces for name, all_of in where.items()
            for how, pieces in all_of.items() if (name, how) not in ENDLESS}


def test_failures_and_replies(m):
    service, ports = exchange.Recorder(m), []
    service.script = lambda stream: []
    with_texts = texts(m, service)
    for start in m.godwit, m.envoy:
        if start == m.envoy:
            with_texts = {k: str(v).replace(MUTATES, MUTATES.replace(
                "[", FLAGS, 1)) for k, v in with_texts.items()}
        ports.append(free_port())
        start(m.example("us-local.yaml", {10000: ports[-1], **with_texts}))
    with futures.ThreadPoolExecutor(32) as pool:
        asked = {name: [pool.submit(exchange.ask, port, pieces)
                        for port in ports] for name, pieces in
                 calls().items()}
        for name, (a, b) in asked.items():
            ours, theirs = clean(a.result()), clean(b.result())
            flags = flags_of(field(a.result(), b"godwit-cause"))
            # URX only says that no more tries were left.
            assert field(b.result(), b"x-flags") in (
                None, flags, f"URX,{flags}"), (name, flags, b.result().blocks)
            assert ours == theirs, f"{name}:\n{ours}\n{theirs}"
            case(name)
