"""Reload: a new generation, or the old one and the reason."""
import signal

from mesh import TwoRegions, free_port, until


def local(m, service):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port, 10101: service.port})
    return port, file


def change(file, old, new):
    with open(file) as f:
        text = f.read()
    assert str(old) in text
    with open(file, "w") as f:
        f.write(text.replace(str(old), str(new)))


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
    change(file, f"port_value: {port}", f"port_value: {free_port()}")
    code, text = p.command("reload")
    assert code == 1 and "callers" in text and "restart" in text, text
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
