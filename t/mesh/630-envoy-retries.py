"""Which calls are tried again, beside Envoy: a route for each policy, and a
service that does one thing after the other.

A word in retry_on that is no reason is refused when the file is read.
"""
import threading
import time

import frames
from beside import before, case, different, same
from mesh import METHOD, PATIENCE_S, free_port, until

ROUTES = "              routes:\n"
POLICIES = {
    "none": "",
    "refused": "retry_on: refused-stream",
    "reset": "retry_on: reset",
    "reset, three": "retry_on: reset, num_retries: 3",
    "unavailable": "retry_on: unavailable",
    "unavailable, three": "retry_on: unavailable, num_retries: 3",
    "grpc": "retry_on: 'cancelled,deadline-exceeded,internal,"
            "resource-exhausted', num_retries: 4",
    "codes": "retry_on: retriable-status-codes,"
             " retriable_status_codes: [503, 418]",
    "5xx": "retry_on: 5xx",
    "gateway": "retry_on: gateway-error",
    "4xx": "retry_on: retriable-4xx",
    "per try": "retry_on: reset, per_try_timeout: 0.3s",
    "per try alone": "retry_on: unavailable, per_try_timeout: 0.3s",
    "none at all": "retry_on: reset, num_retries: 0",
}


def named(name, act):
    act.__name__ = name
    return act


def whole(s):
    return [frames.headers(s, frames.ANSWER) + frames.data(s, frames.MESSAGE)
            + frames.headers(s, [("grpc-status", "0")], end=True)]


def status(n, *fields):
    return named(" ".join([f"status {n}", *(k for k, _ in fields)]),
                 lambda s: [frames.headers(s, [*frames.ANSWER, (
                     "grpc-status", str(n)), *fields], end=True)])


def late_status(n):
    return named(f"late status {n}", lambda s: [
        frames.headers(s, frames.ANSWER) +
        frames.headers(s, [("grpc-status", str(n))], end=True)])


def page(code):
    return named(f"page {code}", lambda s: [
        frames.headers(s, [(":status", code), ("content-type", "text/plain")])
        + frames.data(s, b"no", end=True)])


def reset(code):
    return named(f"reset {code}", lambda s: [frames.reset(s, code)])


def refusing_goaway(s):
    return [frames.goaway(0, 0), None]


def close(s):
    return [None]


def silent(s):
    return []


def broken_off(s):
    return [frames.headers(s, frames.ANSWER) + frames.reset(s, 2)]


# policy, what the service does one after the other, how many it sees
CASES = [
    ("refused", [reset(7), whole], 2),
    ("refused", [reset(2), whole], 1),
    ("refused", [close, whole], 1),
    ("reset", [reset(2), whole], 2),
    ("reset", [reset(7), whole], 2),
    ("reset", [reset(8), whole], 2),
    ("reset", [close, whole], 2),
    ("reset", [reset(2), reset(2), whole], 2),
    ("reset, three", [reset(2), close, reset(8), whole], 4),
    ("reset, three", [reset(2), close, reset(8), reset(2), whole], 4),
    ("reset", [status(14), whole], 1),
    ("unavailable", [status(14), whole], 2),
    ("unavailable", [status(14), status(14), whole], 2),
    ("unavailable, three", [status(14), status(14), status(14), whole], 4),
    ("unavailable", [late_status(14), whole], 1),
    ("unavailable", [status(13), whole], 1),
    ("unavailable", [reset(2), whole], 1),
    ("unavailable", [status(14, ("x-envoy-ratelimited", "true")), whole], 1),
    ("grpc", [status(1), status(4), status(13), status(8), whole], 5),
    ("grpc", [status(14), whole], 1),
    ("codes", [page("503"), whole], 2),
    ("codes", [page("418"), whole], 2),
    ("codes", [page("500"), whole], 1),
    ("5xx", [page("500"), whole], 2),
    ("5xx", [reset(2), whole], 2),
    ("5xx", [close, whole], 2),
    ("5xx", [page("404"), whole], 1),
    ("gateway", [page("502"), whole], 2),
    ("gateway", [page("504"), whole], 2),
    ("gateway", [page("500"), whole], 1),
    ("gateway", [page("505"), whole], 1),
    ("gateway", [reset(2), whole], 2),
    ("4xx", [page("409"), whole], 2),
    ("4xx", [page("404"), whole], 1),
    ("per try", [silent, whole], 2),
    ("per try", [silent, silent, whole], 2),
    ("per try alone", [silent, whole], 1),
    ("none at all", [reset(2), whole], 1),
    ("none", [status(14), whole], 1),
    ("none", [reset(2), whole], 1),
]


def routes(policies):
    return "".join(f"""\
              - match:
                  prefix: /
                  headers:
                  - {{ name: x-case, string_match: {{ exact: "{name}" }} }}
                route: {{ cluster: greeter, timeout: 20s,
                          retry_policy: {{ {says} }} }}
""" for name, says in policies.items())


def one(m, caller, acts, policy, body=b"hello"):
    """What the caller got, and how often the service was asked."""
    left, seen = list(acts), []

    def script(stream):
        seen.append(stream)
        return left.pop(0)(stream) if left else [None]

    m.script[:] = [script]
    answer = caller.call(body, metadata=[("x-case", policy)])
    return answer, len(seen)


def pair(m):
    m.script = []
    return before(m, frames.service(m, lambda s: m.script[0](s)),
                  **{ROUTES: ROUTES + routes(POLICIES)})


def test_what_is_tried_again(m):
    ours, theirs = pair(m)
    for policy, acts, n in CASES:
        (a, mine), (b, its) = (one(m, c, acts, policy)
                               for c in (ours, theirs))
        name = f"{policy}: {', '.join(act.__name__ for act in acts)}"
        assert (mine, its) == (n, n), (name, mine, its, a, b)
        same(name, a, b)


def test_an_answer_that_began_is_not(m):
    ours, theirs = pair(m)
    (a, mine), (b, its) = (one(m, c, [broken_off, whole], "reset, three")
                           for c in (ours, theirs))
    different("broken off", "rest of an answer", (mine, its) == (1, 1) and
              (a.code, b.code) == ("UNAVAILABLE", "INTERNAL"), a, b)


def test_an_answer_that_began_has_its_time(m):
    """Longer than per_try_timeout: that limits how long it takes to begin.
    A call that never begins tells how long that is."""
    ours, theirs = pair(m)
    answers = []
    for c in ours, theirs:
        late = threading.Event()

        def script(stream, late=late):
            yield frames.headers(stream, frames.ANSWER)
            late.wait(PATIENCE_S)
            yield frames.data(stream, frames.MESSAGE) + frames.headers(
                stream, [("grpc-status", "0")], end=True)

        m.script[:] = [script]
        begun = c.channel.unary_stream(METHOD)(
            b"x", metadata=[("x-case", "per try")], timeout=PATIENCE_S)
        begun.initial_metadata()
        m.script[:] = [silent]
        other = c.call(metadata=[("x-case", "per try")])
        assert other.message == "upstream request timeout", other
        late.set()
        answers.append([list(begun), begun.code().name])
    assert answers == [[[b"abc"], "OK"]] * 2, answers
    case("per try: an answer that began")


def test_what_is_not_the_same(m):
    ours, theirs = pair(m)
    for act in reset(7), refusing_goaway:
        (a, mine), (b, its) = (one(m, c, [act, whole], "none")
                               for c in (ours, theirs))
        different(act.__name__, "refused stream", (
            a.code, mine, b.code, its) == ("OK", 2, "UNAVAILABLE", 1), a, b)
    large = b"x" * 100000
    (a, mine), (b, its) = (one(m, c, [reset(2), whole], "reset", large)
                           for c in (ours, theirs))
    different("100 kB again", "replay buffer", (
        a.code, mine, b.code, its) == ("UNAVAILABLE", 1, "OK", 2), a, b)


def beside_one_that_is_gone(m, service, policy, **replace):
    """Callers of a cluster of service and of an endpoint that is gone."""
    more = ("        - endpoint:\n            address:\n"
            "              socket_address: "
            f"{{ address: 127.0.0.1, port_value: {free_port()} }}\n")
    return before(m, service.port, **{
        "route: { cluster: greeter, timeout: 0s }":
        "route: { cluster: greeter, timeout: 0s, retry_policy: "
        f"{{ retry_on: connect-failure{policy} }} }}",
        "      - lb_endpoints:\n": "      - lb_endpoints:\n" + more,
        **replace})


def test_an_endpoint_that_is_gone(m):
    """Half of the calls meet it first; none fails."""
    for c in beside_one_that_is_gone(m, m.service("us"), ""):
        for _ in range(20):
            a = c.call(b"x")
            assert a.code == "OK" and a.body == b"us:x", a
    case("connect-failure, one endpoint gone")


def test_an_endpoint_that_was_not_tried(m):
    """One that is gone looks the less busy: it is met first, and would be again.
    Envoy picks until it has another."""
    service = m.service("us")
    callers = beside_one_that_is_gone(
        m, service, ", retry_host_predicate: [{ name: previous, typed_config: "
        '{ "@type": type.googleapis.com/envoy.extensions.retry.host.'
        "previous_hosts.v3.PreviousHostsPredicate } }], "
        "host_selection_retry_max_attempts: 200",
        **{"- name: greeter\n    type": "- name: greeter\n    "
           "lb_policy: LEAST_REQUEST\n    type"})
    for n, c in enumerate(callers, 1):
        held = c.start(method="/demo.Greeter/Wait", timeout=None)
        until(lambda n=n: service.waiting == n, "it is there")
        for _ in range(20):
            a = c.call(b"x")
            assert a.code == "OK" and a.body == b"us:x", a
        assert not held.done()
    service.release()
    case("connect-failure, an endpoint that was not tried")


def answers_early(sock):
    """Its answer begins with the request and goes on for twice the
    per_try_timeout after the request's end."""
    wire = frames.Wire(sock)
    wire.take(len(frames.PREFACE))
    wire.send(frames.frame(frames.SETTINGS))
    while got := wire.read():
        kind, flags, stream, _ = got
        if kind == frames.HEADERS:
            wire.send(frames.headers(stream, frames.ANSWER))
        if kind == frames.DATA and flags & frames.END_STREAM:
            time.sleep(0.6)
            wire.send(frames.data(stream, frames.MESSAGE) + frames.headers(
                stream, [("grpc-status", "0")], end=True))


def test_no_try_times_out_once_its_answer_began(m):
    port = frames.raw_service(m, answers_early)
    for start in m.godwit, m.envoy:
        here = free_port()
        start(m.example("us-local.yaml", {
            10000: here, 10101: port, ROUTES: ROUTES + routes(POLICIES)}))
        wire = frames.client(here)
        wire.send(frames.headers(1, [*frames.REQUEST,
                                     ("x-case", "per try")]))
        assert wire.read()[0] == frames.HEADERS
        wire.send(frames.data(1, frames.MESSAGE, end=True))
        assert wire.until_end_of(1) == [frames.DATA, frames.HEADERS], start
        wire.close()
    case("per try: an answer before the request's end")
