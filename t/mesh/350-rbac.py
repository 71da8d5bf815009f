"""Who may call what: a gateway's list, what a route says instead, and the same
file on Envoy. Each case is a route of its own, told by the header x-case."""
import os

from beside import alike, different, same
from beside import case as told
from mesh import METHOD, free_port, until

ROUTES = "              routes:\n"
PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3" \
    ".RBACPerRoute"
LOCAL = 'exact: "spiffe://mesh/region/us/host/local"'
WHO = "us-local", "eu-impostor", "us-several"
HELLO, ECHO = METHOD, "/demo.Greeter/Echo"
ANY = "{ any: true }"


def name(rule):
    return f"{{ authenticated: {{ principal_name: {{ {rule} }} }} }}"


def path(rule):
    return f"{{ url_path: {{ path: {{ {rule} }} }} }}"


def rules(permission, principal, action="ALLOW"):
    return (f"rbac: {{ rules: {{ action: {action}, policies: {{ p: {{"
            f" permissions: [{permission}], principals: [{principal}] }}"
            " } } }")


FIRST = rules(ANY, ANY, "DENY").replace("rules:", "shadow_rules:")
TWO = ("rbac: { rules: { policies: {"
       f" a: {{ permissions: [{path('suffix: Echo')}],"
       f"       principals: [{name(LOCAL)}] }},"
       f" b: {{ permissions: [{path('suffix: SayHello')}],"
       f"       principals: [{name('suffix: /impostor')}] }} }} }} }}")

# name: (what the route says, who may call what)
CASES = {
    "off": ("", lambda who, what: True),
    "no rules": ("rbac: {}", lambda who, what: True),
    "nobody": ("rbac: { rules: {} }", lambda who, what: False),
    "deny nobody": ("rbac: { rules: { action: DENY } }",
                    lambda who, what: True),
    "shadow only": (FIRST, lambda who, what: True),
    "anybody": (rules(ANY, ANY), lambda who, what: True),
    "two policies": (TWO, lambda who, what: (who, what) in (
        ("us-local", ECHO), ("eu-impostor", HELLO))),
    "path exact": (rules(path(f"exact: {ECHO}"), ANY),
                   lambda who, what: what == ECHO),
    "path exact, another case": (rules(path("exact: /demo.greeter/echo"),
                                       ANY), lambda who, what: False),
    "path prefix": (rules(path("prefix: /demo.Greeter/S"), ANY),
                    lambda who, what: what == HELLO),
    "path contains, any case": (
        rules(path("contains: er/ECH, ignore_case: true"), ANY),
        lambda who, what: what == ECHO),
    "several permissions": (
        rules(f"{path('suffix: Nothing')}, {path(f'exact: {ECHO}')}", ANY),
        lambda who, what: what == ECHO),
    "and_rules, not_rule": (
        rules("{ and_rules: { rules: [" + path("prefix: /demo.") +
              ", { not_rule: " + path("suffix: Echo") + " }] } }", ANY),
        lambda who, what: what == HELLO),
    "or_rules": (
        rules("{ or_rules: { rules: [" + path("suffix: Nothing") + ", " +
              path("suffix: Hello") + "] } }", ANY),
        lambda who, what: what == HELLO),
    "name exact": (rules(ANY, name(LOCAL)),
                   lambda who, what: who == "us-local"),
    "name prefix": (rules(ANY, name('prefix: "spiffe://mesh/region/us/"')),
                    lambda who, what: who != "eu-impostor"),
    "the second of its names": (
        rules(ANY, name('exact: "spiffe://mesh/region/us/two"')),
        lambda who, what: who == "us-several"),
    "a DNS name": (rules(ANY, name("exact: two.mesh")),
                   lambda who, what: who == "us-several"),
    "authenticated": (rules(ANY, "{ authenticated: {} }"),
                      lambda who, what: True),
    "not_id": (rules(ANY, f"{{ not_id: {name(LOCAL)} }}"),
               lambda who, what: who != "us-local"),
    "and_ids": (
        rules(ANY, "{ and_ids: { ids: [" + name("contains: /us/") +
              ", { not_id: " + name("exact: two.mesh") + " }] } }"),
        lambda who, what: who == "us-local"),
    "or_ids": (
        rules(ANY, "{ or_ids: { ids: [" + name("suffix: /impostor") + ", " +
              name("exact: two.mesh") + "] } }"),
        lambda who, what: who != "us-local"),
    "a path among the principals": (rules(ANY, path(f"exact: {ECHO}")),
                                    lambda who, what: what == ECHO),
    "header": (
        rules("{ header: { name: x-who, string_match: { exact: us-local } }"
              " }", ANY), lambda who, what: who == "us-local"),
    "header inverted": (
        rules("{ header: { name: x-who, string_match: { prefix: us },"
              " invert_match: true } }", ANY),
        lambda who, what: who == "eu-impostor"),
    "no such header": (rules("{ header: { name: x-none } }", ANY),
                       lambda who, what: False),
    "host": (rules("{ header: { name: host, string_match: { exact:"
                   " gateway.eu.mesh } } }", ANY), lambda who, what: True),
    "deny": (rules(path("suffix: Echo"), name(LOCAL), "DENY"),
             lambda who, what: (who, what) != ("us-local", ECHO)),
}


def routes(cases):
    return "".join(f"""\
              - match:
                  prefix: /
                  headers:
                  - {{ name: x-case, string_match: {{ exact: "{case}" }} }}
                route: {{ cluster: greeter, timeout: 0s }}
                typed_per_filter_config:
                  envoy.filters.http.rbac:
                    {{ "@type": {PER_ROUTE}{says and ', '}{says} }}
""" for case, (says, _) in cases.items())


def gateway(m, start, service, **replace):
    """A started gateway and its callers, {certificate: caller}."""
    port = free_port()
    p = start(m.example("eu-gateway.yaml", {10443: port, 10102: service.port,
                                            **replace}))
    return p, {who: m.caller(port, m.credentials(who)) for who in WHO}


def ask(caller, who, what, case=None):
    more = [("x-case", case)] if case else []
    return caller.call(b"x", method=what, region="eu",
                       metadata=[("x-who", who), *more])


def denied(answer):
    return (answer.code, answer.message) == ("PERMISSION_DENIED",
                                             "RBAC: access denied")


def test_the_gateways_list(m):
    service = m.service("eu")
    p, callers = gateway(m, m.godwit, service)
    assert ask(callers["us-local"], "us-local", HELLO).body == b"eu:x"
    a = ask(callers["eu-impostor"], "eu-impostor", HELLO)
    assert denied(a) and a.meta("godwit-cause") == "rbac_denied", a
    a = ask(callers["us-local"], "us-local", "/demo.Oracle/Ask")
    assert denied(a), "what is there is nobody's business: no UNIMPLEMENTED"
    assert service.calls == 1
    stats = p.stats()
    assert stats["http.gateway.rbac.allowed"] == 1, stats
    assert stats["http.gateway.rbac.denied"] == 2, stats
    assert stats["godwit.cause.rbac_denied"] == 2, stats


def test_beside_envoy(m):
    service = m.service("eu")
    replace = {ROUTES: ROUTES + routes(CASES)}
    ours, our_callers = gateway(m, m.godwit, service, **replace)
    _, their_callers = gateway(m, m.envoy, service, **replace)
    passed = refused = 0
    for case, (_, may) in CASES.items():
        for who in WHO:
            for what in HELLO, ECHO:
                a = ask(our_callers[who], who, what, case)
                b = ask(their_callers[who], who, what, case)
                alike((case, who, what), a, b)
                assert a.code == "OK" if may(who, what) else denied(a), \
                    (case, who, what, a)
                passed += a.code == "OK"
                refused += a.code != "OK"
        told(f"{case}: {len(WHO)} callers, 2 methods")
    stats = ours.stats()
    asked_n = 6 * len(CASES) - 18       # not by "off", "no rules", "shadow"
    assert stats["http.gateway.rbac.denied"] == refused > 50, stats
    assert stats["http.gateway.rbac.allowed"] == asked_n - refused, stats
    assert stats["http.gateway.rbac.shadow_denied"] == 6, stats
    assert stats["http.gateway.rbac.shadow_allowed"] == 0, stats
    assert passed > 50
    for who in WHO:
        for what in HELLO, "/demo.Oracle/Ask":
            a = ask(our_callers[who], who, what)
            same(f"the gateway's list, {who}, {what}", a,
                 ask(their_callers[who], who, what))
            assert denied(a) == (who != "us-local" or what != HELLO), a


# What a service may read as /demo.Greeter/Echo.
ODD = ["/demo.Greeter%2FEcho", "/demo.Greeter/%45cho", "//demo.Greeter/Echo",
       "/demo.Greeter//Echo", "/x/../demo.Greeter/Echo",
       "/./demo.Greeter/Echo", "/demo.Greeter/Echo/", "/demo.Greeter;v=1/Echo",
       "/demo.Greeter\\Echo"]


def test_a_path_that_can_be_read_in_two_ways(m):
    """Envoy asks its rules about the bytes, and lets a service find out what
    they mean. We refuse, and that is a difference we want."""
    service = m.service("eu")
    cases = {"deny": (rules(path("prefix: /demo.Greeter/"), ANY, "DENY"),
                      None)}
    replace = {ROUTES: ROUTES + routes(cases)}
    p, ours = gateway(m, m.godwit, service, **replace)
    _, theirs = gateway(m, m.envoy, service, **replace)
    passed = 0
    for what in ODD:
        a = ask(ours["us-local"], "us-local", what, "deny")
        assert (a.code, a.message, a.meta("godwit-cause")) == (
            "INTERNAL", "the path is not canonical",
            "path_not_canonical"), (what, a)
        b = ask(theirs["us-local"], "us-local", what, "deny")
        passed += not denied(b)
        different(what, "canonical path", b.message != a.message, a, b)
    assert passed >= 5, "Envoy asked the service, which knows no such method"
    assert p.stats()["godwit.cause.path_not_canonical"] == len(ODD)
    assert p.stats()["http.gateway.rbac.denied"] == len(ODD)
    a = ask(ours["us-local"], "us-local", "/demo.Oracle/Ask?x=//%2F", "deny")
    assert a.code == "UNIMPLEMENTED", ("a query is no path", a)


def test_another_list_by_reload(m):
    service = m.service("eu")
    p, callers = gateway(m, m.godwit, service)
    file = os.path.join(m.dir, "eu-gateway.yaml")
    with open(file) as f:
        text = f.read()
    us, eu = callers["us-local"], callers["eu-impostor"]
    assert ask(us, "us-local", HELLO).code == "OK"
    assert denied(ask(eu, "eu-impostor", HELLO))
    waiting = us.start(method="/demo.Greeter/Wait", region="eu")
    until(lambda: service.waiting == 1, "the call is at the service")
    for round in range(3):
        swapped = round % 2 == 0
        with open(file, "w") as f:
            f.write(text.replace("us/host/local", "eu/impostor") if swapped else
                    text)
        code, said = p.command("reload")
        assert code == 0, said
        assert denied(ask(us, "us-local", HELLO)) == swapped
        assert denied(ask(eu, "eu-impostor", HELLO)) != swapped
    service.release()
    assert us.answer(waiting).body == b"waited", "what had begun goes on"
    total = next(v for k, v in p.stats().items()
                 if k.endswith(".downstream_cx_total"))
    assert total == 2, "nobody had to come again"


def test_in_clear_text_nobody_has_a_name(m):
    service, port = m.service("us"), free_port()
    rbac = ("          http_filters:\n"
            "          - name: envoy.filters.http.rbac\n"
            "            typed_config:\n"
            "              \"@type\": type.googleapis.com/envoy.extensions"
            ".filters.http.rbac.v3.RBAC\n"
            "              rules: { action: %s, policies: { p: {"
            " permissions: [{ any: true }],"
            " principals: [{ authenticated: {} }] } } }\n")
    for action, code in ("ALLOW", "PERMISSION_DENIED"), ("DENY", "OK"):
        port = free_port()
        for start in m.godwit, m.envoy:
            p = start(m.example("us-local.yaml", {
                10000: port, 10101: service.port,
                "          http_filters:\n": rbac % action}))
            a = m.caller(port).call(b"x")
            assert a.code == code, (action, a)
            p.stop()
        told(f"{action} who has a name")
