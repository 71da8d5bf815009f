"""How long a call may take, beside Envoy: each case is a route of its own,
told by the header x-case, and a caller with or without a deadline."""
import threading

import frames
from beside import before, case, same

ROUTES = "              routes:\n"

# name: (what the route says, the caller's deadline in s, how it ends)
UT = "UNAVAILABLE", "upstream request timeout"
DEADLINE = "DEADLINE_EXCEEDED", "downstream duration timeout"
IDLE = "UNAVAILABLE", "stream timeout"
ENDS = {
    "timeout": ("timeout: 0.2s", None, UT),
    "timeout before grpc-timeout": ("timeout: 0.2s", 30, UT),
    "max_grpc_timeout alone":
        ("timeout: 0s, max_grpc_timeout: 0.2s", None, UT),
    "max_grpc_timeout cuts":
        ("timeout: 0s, max_grpc_timeout: 0.2s", 30, UT),
    "max_grpc_timeout before timeout":
        ("timeout: 25s, max_grpc_timeout: 0.2s", None, UT),
    "grpc_timeout_offset":
        ("max_grpc_timeout: 0s, grpc_timeout_offset: 29.8s", 30, UT),
    "max_stream_duration":
        ("max_stream_duration: {max_stream_duration: 0.2s}", None, DEADLINE),
    "max_stream_duration before timeout":
        ("timeout: 0.1s, max_stream_duration: {max_stream_duration: 0.3s}",
         None, DEADLINE),
    "max_stream_duration, grpc-timeout not asked for":
        ("max_stream_duration: {max_stream_duration: 0.2s}", 30, DEADLINE),
    "grpc_timeout_header_max cuts":
        ("max_stream_duration: {grpc_timeout_header_max: 0.2s}", 30,
         DEADLINE),
    "grpc_timeout_header_offset":
        ("max_stream_duration: {grpc_timeout_header_max: 0s,"
         " grpc_timeout_header_offset: 29.8s}", 30, DEADLINE),
    "an offset that leaves nothing":
        ("max_stream_duration: {grpc_timeout_header_max: 0s,"
         " grpc_timeout_header_offset: 31s}", 30, DEADLINE),
    "no header, so its duration":
        ("max_stream_duration: {grpc_timeout_header_max: 25s,"
         " max_stream_duration: 0.2s}", None, DEADLINE),
    "idle_timeout": ("timeout: 0s, idle_timeout: 0.2s", None, IDLE),
    "timeout before idle": ("timeout: 0.2s, idle_timeout: 20s", None, UT),
}

# What the service sees is left, in ms (or None: nothing said).
LEFT = {
    "nothing said": ("timeout: 0s", 30, 30000),
    "nothing at all": ("timeout: 0s", None, None),
    "cut": ("max_grpc_timeout: 20s", 30, 20000),
    "made": ("max_grpc_timeout: 20s", None, 20000),
    "less an offset": ("max_grpc_timeout: 0s, grpc_timeout_offset: 10s", 30,
                       20000),
    "no limit": ("max_grpc_timeout: 0s", 30, 30000),
    "duration": ("max_stream_duration: {max_stream_duration: 20s}", None,
                 20000),
    "duration over grpc-timeout":
        ("max_stream_duration: {max_stream_duration: 20s}", 30, 20000),
    "header cut": ("max_stream_duration: {grpc_timeout_header_max: 20s}", 30,
                   20000),
    "header less an offset":
        ("max_stream_duration: {grpc_timeout_header_max: 0s,"
         " grpc_timeout_header_offset: 10s}", 30, 20000),
    "not for others": ("max_stream_duration: {grpc_timeout_header_max: 20s}",
                       None, None),
}


def routes(cases):
    return "".join(f"""\
              - match:
                  prefix: /
                  headers:
                  - {{ name: x-case, string_match: {{ exact: "{name}" }} }}
                route: {{ cluster: greeter, {says} }}
""" for name, (says, _, _) in cases.items())


def case_of(name):
    return [("x-case", name)]


def test_which_limit_ends_a_call(m):
    # A service that knows its deadline would answer first, now and then.
    ours, theirs = before(m, frames.service(m, lambda stream: []),
                          **{ROUTES: ROUTES + routes(ENDS)})
    calls = [(name, expected, [c.start(
        method="/demo.Greeter/Wait", metadata=case_of(name), timeout=left)
        for c in (ours, theirs)])
        for name, (_, left, expected) in ENDS.items()]
    for name, expected, (a, b) in calls:
        a, b = ours.answer(a), theirs.answer(b)
        assert (a.code, a.message) == expected, (name, a, b)
        same(name, a, b)


def test_what_the_service_sees_is_left(m):
    service = m.service("us")
    ours, theirs = before(m, service.port,
                          **{ROUTES: ROUTES + routes(LEFT)})
    for name, (_, left, expected) in LEFT.items():
        for c in ours, theirs:
            a = c.call(method="/demo.Greeter/Deadline", metadata=case_of(name),
                       timeout=left)
            assert a.code == "OK", (name, a)
            got = None if a.body == b"none" else int(a.body)
            # grpcio gives a little more than the header says
            assert got == expected or (expected and got and -5000 <
                                       got - expected < 500), (name, a.body)
        case(name)


def unfinished(caller, name):
    """A call whose request does not come to its end."""
    never = threading.Event()

    def request():
        yield b"x"
        never.wait(30)

    call = caller.channel.stream_unary("/demo.Greeter/Gather").future(
        request(), metadata=case_of(name))
    answer = caller.answer(call)
    never.set()
    return answer


def test_a_request_that_does_not_end(m):
    cases = {
        "duration": (ENDS["max_stream_duration"][0], None, DEADLINE),
        "idle": (ENDS["idle_timeout"][0], None, ("UNKNOWN",
                                                 "stream timeout")),
    }
    # It too must not know its deadline.
    ours, theirs = before(m, frames.service(m, lambda stream: []),
                          **{ROUTES: ROUTES + routes(cases)})
    for name, (_, _, expected) in cases.items():
        a, b = unfinished(ours, name), unfinished(theirs, name)
        assert (a.code, a.message) == expected, (name, a)
        same(name, a, b)


def test_the_listeners_limits(m):
    service = m.service("us")
    manager = "          stat_prefix: callers\n"
    for says, expected in (
            ("stream_idle_timeout: 0.2s", IDLE),
            ("common_http_protocol_options: {max_stream_duration: 0.2s}",
             DEADLINE)):
        ours, theirs = before(m, service.port, **{
            manager: f"{manager}          {says}\n"})
        a = ours.call(method="/demo.Greeter/Wait", timeout=None)
        assert (a.code, a.message) == expected, (says, a)
        same(says, a, theirs.call(method="/demo.Greeter/Wait", timeout=None))
