"""Routes beside Envoy: which one a call takes, what becomes of its path,
authority and headers, and of those of the answer. The service answers with
all that it saw, so that one comparison has both sides.
"""
import json
import re

import grpc
from beside import same
from mesh import METHOD, PATIENCE_S, Service, free_port

NOT_COMPARED = {"x-forwarded-proto", "x-envoy-expected-rq-timeout-ms"}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                   r"[0-9a-f]{12}")

FILE = """\
static_resources:
  listeners:
  - name: callers
    address:
      socket_address: { address: 127.0.0.1, port_value: %(port)d }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_\
connection_manager.v3.HttpConnectionManager
          codec_type: HTTP2
          stat_prefix: callers
          %(manager)s
          route_config:
            name: callers
            %(config)s
            virtual_hosts:
%(hosts)s
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.\
router.v3.Router
              %(router)s
  clusters:
%(clusters)s
"""
CLUSTER = """\
  - name: %s
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.\
HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    load_assignment:
      cluster_name: %s
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address:
        {address: 127.0.0.1, port_value: %d}}}}]}]
"""


class Seeing(Service):
    """Answers with [its name, path, authority, headers]."""

    def service(self, details):
        def answer(request, context):
            self.calls += 1
            # grpcio tells a handler everything but this
            host = context._rpc_event.call_details.host.decode()
            seen = sorted((k, v if isinstance(v, str) else v.hex())
                          for k, v in context.invocation_metadata()
                          if k not in NOT_COMPARED)
            context.send_initial_metadata([
                ("x-own", "1"), ("x-twice", "1"), ("x-twice", "2")])
            if details.method.endswith("/Fail"):
                context.abort(grpc.StatusCode.NOT_FOUND, "no")
            return json.dumps([self.name, details.method, host,
                               seen]).encode()

        return grpc.unary_unary_rpc_method_handler(answer)


class Both:
    """A godwit and an Envoy of one file, before the same services."""

    def __init__(self, m, hosts, config="", router="",
                 manager="generate_request_id: false"):
        self.m = m
        self.services = {}
        for name in "one", "two":
            self.services[name] = Seeing(name, free_port())
            m.callback(self.services[name].stop)
        ports = {**{n: s.port for n, s in self.services.items()},
                 "dead": free_port()}
        clusters = "".join(CLUSTER % (n, n, p) for n, p in ports.items())
        self.ports = []
        for n, start in enumerate((m.godwit, m.envoy)):
            self.ports.append(free_port())
            start(m.write(f"both{len(m.proxies)}.yaml", FILE % dict(
                port=self.ports[n], config=config, router=router,
                manager=manager, clusters=clusters, hosts=hosts)))
        self.callers = {}

    def call(self, authority="any.test", **kwargs):
        """The answers of both."""
        if authority not in self.callers:
            self.callers[authority] = [self.m.caller(port, options=[
                ("grpc.default_authority", authority)])
                for port in self.ports]
        return [c.call(**kwargs) for c in self.callers[authority]]

    def same(self, name, expected=None, **kwargs):
        """Answers that are the same; what the service saw, or the answer.
        expected, where there is one, is in that as text."""
        ours, theirs = self.call(**kwargs)
        assert ours.body == theirs.body, (name, ours.body, theirs.body)
        same(name, ours, theirs)
        got = json.loads(ours.body) if ours.body else ours
        assert expected is None or str(expected) in repr(got), (name, got)
        return got


def host(name, domains, routes, more=""):
    return (f"            - name: {name}\n"
            f"              domains: {json.dumps(domains)}\n" + more +
            "              routes:\n" + "".join(
                f"              - {{{r}}}\n" for r in routes))


def adds(direction, *fields):
    """request_headers_to_add or response_...; a field is (name, value) or
    (name, value, more of the message)."""
    return f"{direction}_headers_to_add: [" + ", ".join(
        f"{{header: {{key: {f[0]}, value: {json.dumps(f[1])}}}"
        f"{', ' + f[2] if len(f) > 2 else ''}}}" for f in fields) + "]"


# ---- which virtual host

DOMAINS = {
    "exact": ["exact.test"],
    "port": ["port.test:81"],
    "upper": ["UPPER.Test"],
    "suffix": ["*.suffix.test", "*-dash.test"],
    "longer": ["*.long.suffix.test"],
    "prefix": ["prefix.*", "pre-*"],
    "longer-prefix": ["prefix.long.*"],
    "rest": ["*"],
}
AUTHORITIES = {
    "exact.test": "exact", "EXACT.test": "exact", "exact.test:80": "rest",
    "port.test:81": "port", "port.test": "rest", "port.test:811": "rest",
    "upper.test": "upper", "a.suffix.test": "suffix",
    "a.b.suffix.test": "suffix", ".suffix.test": "rest",
    "suffix.test": "rest", "x-dash.test": "suffix", "-dash.test": "rest",
    "a.long.suffix.test": "longer", "a.A.LONG.suffix.test": "longer",
    "prefix.a": "prefix", "prefix.": "rest", "prefix.long.a":
    "longer-prefix", "prefix.suffix.test": "suffix", "pre-x:1": "prefix",
    "else.test": "rest",
}


def which_hosts():
    return "".join(host(name, domains, [
        "match: {prefix: /}, route: {cluster: one}, " +
        adds("request", ("x-host", name))])
        for name, domains in DOMAINS.items())


def test_which_virtual_host(m):
    both = Both(m, which_hosts())
    for authority, name in AUTHORITIES.items():
        # grpcio takes no authority that begins with a dot or ends with one
        if authority.strip(".") != authority:
            continue
        got = both.same(authority, authority=authority)
        assert ["x-host", name] in got[3], (authority, got)


def test_which_virtual_host_without_port(m):
    both = Both(m, which_hosts().replace(":81", ""),
                config="ignore_port_in_host_matching: true")
    for authority, name in {**AUTHORITIES, "exact.test:80": "exact",
                            "port.test": "port",
                            "port.test:811": "port"}.items():
        if authority.strip(".") == authority:
            got = both.same(authority, authority=authority)
            assert ["x-host", name] in got[3], (authority, got)


# ---- which route

MATCHES = {                     # in this order: the first that matches
    "path": "path: /p.S/Exact",
    "any case": "path: /P.S/CASE, case_sensitive: false",
    "grpc": "prefix: /grpc/, grpc: {}",
    "separated": "path_separated_prefix: /sep/a",
    **{name: f"prefix: /h/, headers: [{{name: x-{name}, {says}}}]"
       for name, says in {
        "exact": "string_match: {exact: abc}",
        "anycase": "string_match: {exact: AbC, ignore_case: true}",
        "begin": "string_match: {prefix: ab}",
        "end": "string_match: {suffix: bc}",
        "mid": "string_match: {contains: b}",
        "old": "exact_match: abc",
        "present": "present_match: true",
        "range": 'range_match: {start: -5, end: 10}',
        "not": "string_match: {exact: abc}, invert_match: true",
        "notrange": "range_match: {start: 0, end: 5}, invert_match: true",
        "empty": "string_match: {exact: \"\"}, "
                 "treat_missing_header_as_empty: true, invert_match: true",
    }.items()},
    "absent": "prefix: /absent/, headers: [{name: x-absent, "
              "present_match: false}]",
    "two": "prefix: /h/, headers: [{name: x-two}, {name: x-too, "
           "present_match: true, invert_match: true}]",
    "prefix": "prefix: /pre",
}
TAKEN = [                       # path, headers, which route or None
    ("/p.S/Exact", {}, "path"), ("/p.S/Exact?q=1", {}, "path"),
    ("/p.S/exact", {}, None), ("/p.S/Exact/", {}, None),
    ("/p.s/case", {}, "any case"), ("/p.s/casE?A", {}, "any case"),
    ("/grpc/M", {}, "grpc"), ("/sep/a", {}, "separated"),
    ("/sep/a/M", {}, "separated"), ("/sep/a?x", {}, "separated"),
    ("/sep/ab", {}, None), ("/pre", {}, "prefix"), ("/prefix/M", {},
                                                    "prefix"),
    ("/PRE", {}, None),
    ("/h/M", {"x-exact": "abc"}, "exact"),
    ("/h/M", {"x-exact": "Abc"}, None),
    ("/h/M", {"x-anycase": "ABC"}, "anycase"),
    ("/h/M", {"x-begin": "abx"}, "begin"), ("/h/M", {"x-end": "xbc"}, "end"),
    ("/h/M", {"x-mid": "xbx"}, "mid"), ("/h/M", {"x-old": "abc"}, "old"),
    ("/h/M", {"x-present": ""}, "present"),
    ("/h/M", {"x-range": "-5"}, "range"), ("/h/M", {"x-range": "9"}, "range"),
    ("/h/M", {"x-range": "10"}, None), ("/h/M", {"x-range": "9x"}, None),
    ("/h/M", {"x-range": ""}, None), ("/h/M", {"x-range": "+9"}, "range"),
    ("/h/M", {"x-range": "0x1"}, None),
    ("/h/M", {"x-not": "abd"}, "not"), ("/h/M", {"x-not": "abc"}, None),
    ("/h/M", {"x-notrange": "7"}, "notrange"),
    ("/h/M", {"x-notrange": "x"}, "notrange"),
    ("/h/M", {"x-notrange": "4"}, None), ("/h/M", {}, None),
    ("/h/M", {"x-empty": "x"}, "empty"), ("/absent/M", {}, "absent"),
    ("/absent/M", {"x-absent": "1"}, None),
    ("/h/M", {"x-two": "1"}, "two"),
    ("/h/M", {"x-two": "1", "x-too": "1"}, None),
]


def test_which_route(m):
    both = Both(m, host("all", ["*"], [
        f"match: {{{says}}}, route: {{cluster: one}}, " +
        adds("request", ("x-route", name))
        for name, says in MATCHES.items()]))
    for path, headers, name in TAKEN:
        what = f"{path} {headers or ''}".strip()
        got = both.same(what, method=path, metadata=list(headers.items()))
        if isinstance(got, list):
            route = dict(map(tuple, got[3]))["x-route"]
            assert name == route, (what, got)
        else:
            assert (name, got.code) == (None, "UNIMPLEMENTED"), (what, got)


# ---- what becomes of it: one route each, whose prefix is its name

A = [("x-a", "abc"), ("x-gone", "g"), ("x-m", "1"), ("x-m", "2"),
     ("x-multi", "p"), ("x-multi", "q"), ("x-e", "")]
ACTIONS = [f"append_action: {a}" for a in (
    "APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD",
    "OVERWRITE_IF_EXISTS")]
KEEP = "keep_empty_value: true"
ONE = "route: {cluster: one}, "
VALUES = ("plain", "%%", "100%% of %%x", "%REQ(x-a)%", "<%REQ(X-A)%>",
          "%REQ(x-none)%", "<%REQ(x-none)%>", "%REQ(x-none?x-a)%",
          "%REQ(x-a?x-none)%", "%REQ(x-e?x-a)%", "%REQ(x-a):2%",
          "%REQ(x-a):3%", "%REQ(x-a):99%", "%REQ(x-a):0%", "%REQ(x-multi)%",
          "%REQ(:path)%", "%REQ(:AUTHORITY)%", "%REQ(:method)%",
          "%REQ(host)%", "%PROTOCOL%", "%UPSTREAM_CLUSTER%",
          "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
          "%PROTOCOL%%REQ(x-a)%%UPSTREAM_CLUSTER%", " spaces in it ",
          "%REQ(x-gone)%", "")
CHANGES = {
    "nothing": ONE,
    "remove": ONE + "request_headers_to_remove: [x-gone, x-m, x-none]",
    "remove and add": ONE + "request_headers_to_remove: [x-gone], " +
    adds("request", ("x-gone", "new")),
    "remove, then overwrite": ONE + "request_headers_to_remove: [x-gone], " +
    adds("request", ("x-gone", "new", ACTIONS[3])),
    **{f"{a} {what}": ONE + adds("request", (name, "z", a))
       for a in ACTIONS for what, name in (("absent", "x-none"),
                                           ("present", "x-gone"),
                                           ("twice", "x-m"))},
    **{f"two of {a}": ONE + adds("request", ("x-n", "1", a), ("x-n", "2", a))
       for a in ACTIONS},
    "append: true": ONE + adds("request", ("x-gone", "z", "append: true")),
    "append: false": ONE + adds("request", ("x-m", "z", "append: false")),
    "overwritten first": ONE + adds("request", ("x-m", "y"),
                                    ("x-m", "z", ACTIONS[2])),
    "upper case": ONE + adds("request", ("X-Upper", "Y")),
    "values before the level": ONE + adds(
        "request", ("x-a", "new", ACTIONS[2]), ("x-b", "%REQ(x-a)%")),
    **{f"value {v}": ONE + "request_headers_to_remove: [x-gone], " +
       adds("request", ("x-v", v), ("x-keep", v, KEEP)) + ", " +
       adds("response", ("x-v", v), ("x-keep", v, KEEP))
       for v in VALUES},
    **{f"list {name}": ONE + adds("request", (name, "1"), (name, "2"))
       for name in ("user-agent", "via", "authorization", "accept",
                    "cache-control", "origin", "referer", "x-forwarded-for",
                    "x-forwarded-host", "x-request-id", "cookie", "x-b3",
                    "accept-language", "forwarded")},
    **{f"answer's list {name}": ONE + adds("response", (name, "1"),
                                           (name, "2"))
       for name in ("via", "vary", "etag", "location", "cache-control",
                    "x-request-id", "x-b3", "set-cookie", "age")},
    "answer: remove": ONE + "response_headers_to_remove: [x-own, x-twice]",
    "answer: overwrite": ONE + adds("response", ("x-twice", "z", ACTIONS[3]),
                                    ("x-none", "z", ACTIONS[3])),
    "answer: of the request as it went": ONE + adds(
        "request", ("x-a", "new", ACTIONS[2])) + ", " + adds(
        "response", ("x-copy", "%REQ(x-a)%"), ("x-own", "%REQ(x-own)%")),
    "path": "route: {cluster: one, prefix_rewrite: /other/}",
    "path, to the root": "route: {cluster: one, prefix_rewrite: /}",
    "path in a value": "route: {cluster: one, prefix_rewrite: /other/}, " +
    adds("request", ("x-p", "%REQ(:path)%")) + ", " +
    adds("response", ("x-p", "%REQ(:path)%")),
    "host": "route: {cluster: one, host_rewrite_literal: \"o.test:99\"}",
    "host and path": "route: {cluster: one, prefix_rewrite: /other/, "
    "host_rewrite_literal: o.test}, " + adds(
        "request", ("x-h", "%REQ(:authority)%")),
    "one share": "route: {weighted_clusters: {clusters: [{name: one, "
    "weight: 0}, {name: two, weight: 1, host_rewrite_literal: share.test, "
    "request_headers_to_remove: [x-gone], " +
    adds("request", ("x-order", "share"), ("x-o", "share", ACTIONS[2]),
         ("x-to", "%UPSTREAM_CLUSTER%")) + ", " +
    adds("response", ("x-order", "share")) + "}]}}, " +
    adds("request", ("x-order", "route"), ("x-o", "route", ACTIONS[2])) +
    ", " + adds("response", ("x-order", "route")),
    "share and path": "route: {prefix_rewrite: /, weighted_clusters: "
    "{runtime_key_prefix: x, total_weight: 3, clusters: [{name: two, "
    "weight: 3}]}}",
    **{f"direct {status}": f"direct_response: {{status: {status}, "
       "body: {inline_string: \"100% of it\"}}" for status in
       (200, 400, 401, 403, 404, 408, 409, 418, 429, 500, 502, 503, 504)},
    "direct, bytes": "direct_response: {status: 503, "
    "body: {inline_bytes: w7zCoA==}}",
    "direct, no body": "direct_response: {status: 403}",
    "direct, 4096 bytes": "direct_response: {status: 503, "
    f"body: {{inline_string: {'x' * 4096}}}}}",
    "direct, a status of its own": "direct_response: {status: 200}, " +
    adds("response", ("grpc-status", "5"), ("grpc-message", "m"),
         ("content-type", "x/y"), ("content-length", "3"),
         ("x-to", "<%UPSTREAM_CLUSTER%%REQ(x-a)%>")),
    "direct, OK": "direct_response: {status: 200}, " +
    adds("response", ("grpc-status", "0")),
    "dead": "route: {cluster: dead}, " + adds("response", ("x-d", "1")),
}
SAME_NAMES = {k: f"/case-{n}/" for n, k in enumerate(CHANGES)}
LEVEL = [adds("request", ("x-order", "%s"), ("x-o", "%s", ACTIONS[2])),
         adds("response", ("x-order", "%s"), ("x-o", "%s", ACTIONS[2]))]


def level(name, indent):
    return "".join(f"{' ' * indent}{says % (name, name)}\n" for says in LEVEL)


def changing(m, config=""):
    return Both(m, host("all", ["*"], [
        f"match: {{prefix: {SAME_NAMES[name]}}}, {says}".rstrip(", ")
        for name, says in CHANGES.items()], level("host", 14)),
        config=config + level("config", 12).lstrip())


def test_what_becomes_of_headers(m):
    both = changing(m)
    assert len(CHANGES) >= 40
    for name, path in SAME_NAMES.items():
        got = both.same(name, method=path + "M?q=" + path, metadata=A)
        if isinstance(got, list):
            orders = [v for k, v in got[3] if k == "x-order"]
            assert ["x-o", "config"] in got[3] and "host" in orders, got
    got = both.same("an answer without a message", method=SAME_NAMES[
        "answer: remove"] + "Fail", metadata=A)
    assert got.code == "NOT_FOUND" and not got.meta("x-own"), got


def test_the_most_specific_wins(m):
    both = changing(m, "most_specific_header_mutations_wins: true\n" +
                    " " * 12)
    for name in "nothing", "one share", "direct 200", "dead", "remove":
        both.same(name, method=SAME_NAMES[name] + "M", metadata=A)
    got = both.same("split", method=SAME_NAMES["one share"] + "M",
                    metadata=A)
    assert ["x-o", "route"] in got[3], got


def test_paths_of_all_kinds_are_rewritten(m):
    both = Both(m, host("all", ["*"], [
        f"match: {{{match}}}, route: {{cluster: one, prefix_rewrite: {to}}}"
        for match, to in (
            ("path: /exact/M", "/other/N"),
            ("path_separated_prefix: /sep", "/other"),
            ("prefix: /CASE/, case_sensitive: false", "/other/"),
            ("prefix: /part", "/whole"), ('prefix: ""', "/all"))]))
    for path, to in (
            ("/exact/M?q=/exact/M", "/other/N?q=/exact/M"),
            ("/sep/M?q", "/other/M?q"), ("/sep", "/other"),
            ("/sep?q", "/other?q"), ("/cAsE/M", "/other/M"),
            ("/partly/M?x", "/wholely/M?x"), ("/x/M?y", "/all/x/M?y")):
        got = both.same(path, method=path)
        assert got[1] == to, (path, got)
        assert ["x-envoy-original-path", path] in got[3], got


def test_originals_are_not_told(m):
    both = Both(m, host("all", ["*"], [
        "match: {prefix: /a/}, route: {cluster: one, prefix_rewrite: /b/, "
        "host_rewrite_literal: other.test}"]),
        router="suppress_envoy_headers: true")
    got = both.same("suppressed", method="/a/M")
    assert got[1:3] == ["/b/M", "other.test"], got
    assert "original" not in repr(got), got


# ---- request ids

def request_ids(m, manager):
    both = Both(m, host("all", ["*"], [
        "match: {prefix: /none/}, direct_response: {status: 404}",
        "match: {prefix: /}, route: {cluster: one}"]), manager=manager)
    for mine in None, "mine", "":
        metadata = [] if mine is None else [("x-request-id", mine)]
        for method in METHOD, "/none/M":
            ours, theirs = both.call(method=method, metadata=metadata)
            ids = [(a.meta("x-request-id"), a.body and dict(map(
                tuple, json.loads(a.body)[3])).get("x-request-id"))
                for a in (ours, theirs)]
            for a in ours, theirs:
                a.body = a.body and UUID4.sub("UUID", a.body.decode())
            same(f"{manager}, {mine!r}, {method}", ours, theirs)
            yield mine, *ids


def form(text):
    return UUID4.sub("UUID", text) if text else text


def test_request_ids(m):
    seen = set()
    for manager in (
            "generate_request_id: false", "generate_request_id: true",
            "",                         # which is true
            "always_set_request_id_in_response: true",
            "preserve_external_request_id: true",
            "generate_request_id: false\n          "
            "always_set_request_id_in_response: true"):
        for mine, ours, theirs in request_ids(m, manager):
            assert [form(x) for x in ours] == [form(x) for x in theirs], \
                (manager, mine, ours, theirs)
            assert ours[0] is None or not ours[1] or ours[0] == ours[1], ours
            seen |= set(ours)
    made = [x for x in seen if x and UUID4.fullmatch(x)]
    assert len(made) >= 6, "they differ"


# ---- by chance

def test_a_split_is_as_wide_as_its_weights(m):
    """400 calls at 1 to 3: 20 or 180 of one would be one in 10^15."""
    both = Both(m, host("all", ["*"], [
        "match: {prefix: /}, route: {weighted_clusters: {clusters: "
        "[{name: one, weight: 1}, {name: two, weight: 3}]}}"]))
    one = both.services["one"]
    caller = m.caller(both.ports[0])
    calls = [caller.start(timeout=PATIENCE_S) for _ in range(400)]
    assert {caller.answer(c).code for c in calls} == {"OK"}
    assert 20 < one.calls < 180, one.calls
