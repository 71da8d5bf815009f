"""The same files on Envoy: what a caller gets is the same, but for what
t/lib/beside.py leaves out."""
import frames
from beside import before, case, different, same
from mesh import TwoRegions, until


def envoys(m, **kwargs):
    return TwoRegions(m, start_us=m.envoy, start_eu=m.envoy, **kwargs)


def test_answers_are_the_same(m):
    r, e = TwoRegions(m), envoys(m)
    mine = [("x-text", "a"), ("x-some-bin", b"\0\xff"), ("x-twice", "1"),
            ("x-twice", "2")]
    calls = {f"{region}, {method}, {len(metadata)} fields, {len(body)} bytes":
             dict(region=region, method=method, metadata=metadata, body=body)
             for region in (None, "us", "eu", "ap")
             for method in ("/demo.Greeter/SayHello", "/demo.Greeter/Fail",
                            "/demo.Greeter/NoSuch", "/other.Service/M")
             for metadata in ((), mine)
             for body in (b"", b"x" * 100000)}
    for name, call in calls.items():
        same(name, r.caller.call(**call), e.caller.call(**call))


def test_failures_are_the_same(m):
    r, e = TwoRegions(m), envoys(m)
    for two in r, e:
        assert two.caller.call(b"x", region="eu").code == "OK"
        two.us_service.stop()
        two.eu_service.stop()

    def down(two, region):
        return until(lambda: (lambda a: a.message.endswith(
            "connection failure") and a)(two.caller.call(region=region)),
            f"{region}'s service is seen to be gone")

    for region in "us", "eu":
        same(f"{region}, gone", down(r, region), down(e, region))


def test_godwit_and_envoy_are_each_others_gateway(m):
    for two in TwoRegions(m, start_eu=m.envoy), TwoRegions(m,
                                                           start_us=m.envoy):
        a = two.caller.call(b"hi", region="eu", metadata=[("x-a-bin", b"\0")])
        assert a.code == "OK" and a.body == b"eu:hi", a
        a = two.caller.call(b"z" * (1 << 20), method="/demo.Greeter/Echo",
                            region="eu")
        assert a.code == "OK" and len(a.body) == 1 << 20, a
    case("godwit before Envoy"), case("Envoy before godwit")


def whole(stream):
    return (frames.headers(stream, frames.ANSWER) +
            frames.data(stream, frames.MESSAGE) +
            frames.headers(stream, [("grpc-status", "0")], end=True))


def says(*fields, base=frames.ANSWER):
    """Only headers, which end the answer."""
    return lambda s: [frames.headers(s, [*base, *fields], end=True)]


def page(status, *fields):
    """An answer of someone who knows no gRPC."""
    return lambda s: [frames.headers(s, [(":status", status), ("content-type",
                                          "text/html"), *fields]) +
                      frames.data(s, b"<html>", end=True)]


ODD_SERVICES = {
    "a whole answer": lambda s: [whole(s)],
    "trailers only": says(("grpc-status", "5"), ("grpc-message", "n%20h"),
                          ("x-a", "1")),
    "no status": lambda s: [frames.headers(s, frames.ANSWER) +
                            frames.data(s, frames.MESSAGE, end=True)],
    "headers and no more": says(),
    "103 before": lambda s: [frames.headers(s, [(":status", "103"),
                                                ("link", "x")]) + whole(s)],
    "a page, 200": page("200"),
    "a page, 404": page("404"),
    "a page, 503": page("503", ("retry-after", "1")),
    "204": says(base=[(":status", "204")]),
    "headers of its own": says(("grpc-status", "0"), ("x-obs", "a\xe9b"),
                               ("x-empty", "")),
    "no :status": says(base=[("content-type", "application/grpc")]),
    "two :status": says((":status", "200")),
    "a :status of letters": says(base=[(":status", "abc")]),
    "a connection header": says(("connection", "close")),
    "an upper-case name": says(("X-Up", "a")),
    "a value of two lines": says(("x-nl", "a\nb")),
    **{f"reset {n} before headers": lambda s, n=n: [frames.reset(s, n)]
       for n in (0, 1, 2, 3, 5, 7, 8, 11, 13, 99)},
    "GOAWAY, not for you": lambda s: [frames.goaway(0, 0), None],
    "GOAWAY with an error": lambda s: [frames.goaway(0, 2), None],
    "a close": lambda s: [None],
    "nonsense": lambda s: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
}


def test_odd_services_are_the_same(m):
    now = []
    ours, theirs = before(m, frames.service(m, lambda s: now[0](s)))
    for name, script in ODD_SERVICES.items():
        now[:] = [script]
        a, b = ours.call(), theirs.call()
        assert a.code == "OK" or name != "a whole answer", a
        same(name, a, b)


def test_what_is_not_the_same(m):
    """Where we differ, told here so that nobody finds it by accident."""
    now = []
    ours, theirs = before(m, frames.service(m, lambda s: now[0](s)))

    # The rest of an answer does not come: grpc-status in trailers instead of
    # a reset, which every gRPC library reports as an error of its own.
    for rest in [], [frames.reset(1, 2)]:
        now[:] = [lambda s: [frames.headers(s, frames.ANSWER),
                             *(rest and [frames.reset(s, 2)]), None]]
        a, b = ours.call(), theirs.call()
        assert a.code == "UNAVAILABLE" and a.meta("godwit-cause"), (rest, a)
        different("reset 2 after headers" if rest else "close after headers",
                  "rest of an answer", b.code == "INTERNAL" and
                  "RST_STREAM" in b.message, a, b)

    # More headers than allowed: a status instead of a reset.
    now[:] = [ODD_SERVICES["a whole answer"]]
    many = [(f"x-{n}", "v") for n in range(100)]
    a, b = ours.call(metadata=many), theirs.call(metadata=many)
    assert (a.code, a.message) == ("UNKNOWN", "request headers too large"), a
    different("100 fields", "headers too large", b.code == "INTERNAL" and
              "RST_STREAM" in b.message, a, b)
    few = many[:80]
    same("80 fields", ours.call(metadata=few), theirs.call(metadata=few))


def test_the_routes_timeout_is_the_same(m):
    service = m.service("us")
    ours, theirs = before(m, service.port, **{
        "route: { cluster: greeter, timeout: 0s }":
        "route: { cluster: greeter, timeout: 0.2s }"})
    a = ours.call(method="/demo.Greeter/Wait")
    assert a.message == "upstream request timeout", a
    same("timeout", a, theirs.call(method="/demo.Greeter/Wait"))


def test_gateways_that_are_not_are_the_same(m):
    for identity in "eu-impostor", "foreign", "expired":
        replace = {"eu-gateway.pem": f"{identity}.pem",
                   "eu-gateway.key": f"{identity}.key"}
        r, e = (two(m, replace_eu=replace) for two in (TwoRegions, envoys))
        a = r.caller.call(region="eu")
        assert a.meta("godwit-cause") == "tls_failure", (identity, a)
        same(identity, a, e.caller.call(region="eu"))


def test_the_gateway_refuses_the_same(m):
    """A caller of region us that the gateway does not let in. With TLS 1.3
    it learns so after its own side is done: Envoy says "connection
    termination" then, we still name it a connection failure."""
    replace = {"us-local.pem": "foreign.pem", "us-local.key": "foreign.key"}
    for two in TwoRegions, envoys:
        r = two(m, replace_us=replace)
        a = r.caller.call(region="eu")
        assert a.code == "UNAVAILABLE" and r.eu_service.calls == 0, a
        assert a.message.startswith("upstream connect error or "), a
    case("a caller of another mesh", "late certificate")
