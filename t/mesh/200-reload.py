"""Reload: a new generation, or the old one and the reason."""
import os
import signal
from concurrent import futures

from mesh import TwoRegions, free_port, until


def local(m, service):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port, 10101: service.port})
    return port, file


def change(file, old, new):
    with open(file) as f:
        text = f.read()
    assert str(old) in text
    with open(file + ".new", "w") as f:
        f.write(text.replace(str(old), str(new)))
    os.rename(file + ".new", file)


def test_traffic_moves(m):
    one, two = m.service("one"), m.service("two")
    port, file = local(m, one)
    p = m.godwit(file, workers=2)
    caller = m.caller(port)
    assert caller.call(b"x").body == b"one:x"
    change(file, one.port, two.port)
    code, text = p.command("reload")
    assert code == 0 and "generation 2" in text, text
    assert caller.call(b"x").body == b"two:x", "the same connection"
    change(file, two.port, one.port)
    p.signal(signal.SIGHUP)
    until(lambda: p.generation() == 3, "generation 3")
    until(lambda: caller.call(b"x").body == b"one:x", "traffic moved")
    stats = p.stats()
    assert stats["cluster.greeter.upstream_cx_total"] == 3
    p.until_stat("cluster.greeter.upstream_cx_active", 1)


def test_a_bad_file_is_refused_with_its_reason(m):
    service = m.service("one")
    port, file = local(m, service)
    p = m.godwit(file)
    change(file, "prefix: /demo.Greeter/", "prefox: /demo.Greeter/")
    code, text = p.command("reload")
    assert code == 1 and f"{file}:31:19: " in text and "prefox" in text, text
    assert "prefox" in p.log()
    p.signal(signal.SIGHUP)
    until(lambda: p.log().count("prefox") >= 2, "the log says it again")
    assert p.generation() == 1
    assert m.caller(port).call(b"x").body == b"one:x"
    change(file, "prefox", "prefix")
    assert p.command("reload")[0] == 0
    assert p.generation() == 2


def test_what_needs_a_restart_is_named(m):
    service = m.service("one")
    port, file = local(m, service)
    p = m.godwit(file)
    with open(file, "a") as f:
        f.write("godwit: {user: nobody}\n")
    code, text = p.command("reload")
    assert code == 1 and "setting user" in text and "restart" in text, text
    assert m.caller(port).call(b"x").body == b"one:x"


def test_calls_in_flight_are_not_lost(m):
    r = TwoRegions(m)
    calls = [r.caller.start(method="/demo.Greeter/Wait", region=region)
             for region in ("us", "eu") * 5]
    until(lambda: r.us_service.waiting + r.eu_service.waiting == 10,
          "ten calls wait")
    for n in range(20):
        change(r.us_file, "timeout: 0s" if n % 2 == 0 else "timeout: 77s",
               "timeout: 77s" if n % 2 == 0 else "timeout: 0s")
        assert r.us.command("reload")[0] == 0
        assert r.eu.command("reload")[0] == 0
        assert r.caller.call(b"x", region="eu").body == b"eu:x"
    r.us_service.release()
    r.eu_service.release()
    for call in calls:
        a = r.caller.answer(call)
        assert a.body == b"waited", a
    assert r.us.generation() == 21
    assert r.us.stats()["cluster.gateway-eu.upstream_cx_total"] == 1


def test_no_call_fails_while_generations_come(m):
    one, two = m.service("one"), m.service("two")
    port, file = local(m, one)
    p = m.godwit(file, workers=2)
    caller = m.caller(port)
    here, there = one.port, two.port
    answers = set()
    for n in range(30):
        calls = [caller.start(b"x") for _ in range(50)]
        change(file, here, there)
        here, there = there, here
        assert p.command("reload")[0] == 0
        for call in calls:
            a = caller.answer(call)
            assert a.code == "OK", a
            answers.add(a.body)
    assert answers == {b"one:x", b"two:x"}


def test_what_is_removed_finishes_its_calls(m):
    r = TwoRegions(m)
    call = r.caller.start(method="/demo.Greeter/Wait", region="eu")
    until(lambda: r.eu_service.waiting == 1, "the call arrived")
    with open(r.us_file) as f:
        text = f.read()
    route, after, cluster = (text.index(s) for s in (
        "              - name: greeter-eu", "              - name: greeter-us",
        "  # Another region"))
    m.write("us-local.yaml", text[:route] + text[after:cluster])
    assert r.us.command("reload")[0] == 0
    a = r.caller.call(region="eu")
    assert (a.code, a.meta("godwit-cause")) == ("UNIMPLEMENTED", "no_route")
    r.eu_service.release()
    assert r.caller.answer(call).body == b"waited"
    m.write("us-local.yaml", text)
    assert r.us.command("reload")[0] == 0
    assert r.caller.call(b"x", region="eu").body == b"eu:x"


def test_a_reload_among_reloads_reads_the_file_anew(m):
    """Who asks while one runs waits for one that began after it asked."""
    one, two = m.service("one"), m.service("two")
    port, file = local(m, one)
    p = m.godwit(file)
    caller = m.caller(port)
    done = []
    with futures.ThreadPoolExecutor(3) as pool:
        def again():
            while not done:
                assert p.command("reload")[0] == 0

        others = [pool.submit(again) for _ in range(3)]
        try:
            for here, there in ((one, two), (two, one)) * 5:
                change(file, here.port, there.port)
                assert p.command("reload")[0] == 0
                assert caller.call(b"x").body.decode() == there.name + ":x"
                p.signal(signal.SIGHUP)
        finally:
            done.append(True)
        for other in others:
            other.result()


def test_certificates_that_are_not_there_are_refused(m):
    r = TwoRegions(m)
    rows = [("eu-gateway.pem", None, "No such file"),
            ("eu-gateway.key", None, "No such file"),
            ("ca.pem", None, "No such file"),
            ("eu-gateway.key", b"", "has 0 bytes"),
            ("ca.pem", m.pem("eu-gateway.key"), "holds no certificate")]
    for name, text, want in rows:
        path = f"{m.certificates()}/{name}"
        good = m.pem(name)
        os.unlink(path)
        if text is not None:
            m.write(f"tls/{name}", text.decode())
        code, said = r.eu.command("reload")
        assert code == 1 and want in said, (name, said)
        assert said.startswith(f"godwit: {r.eu_file}:"), said
        # Good again, they may be another generation by themselves (watch.h).
        m.write(f"tls/{name}", good.decode())
    assert r.eu.log().count("reload refused") == len(rows), r.eu.log()
    assert r.caller.call(b"x", region="eu").body == b"eu:x"
