"""Statistics: by worker and in sum, and they are right."""
import time

from mesh import free_port, http_get, until

REQUEST = "http.callers.downstream_rq_time"
ATTEMPT = "cluster.greeter.upstream_rq_time"
TURN = "server.loop_turn_time"


def test_the_sum_is_the_sum(m):
    service = m.service("us")
    port = free_port()
    p = m.godwit(m.example("us-local.yaml", {10000: port,
                                             10101: service.port}), workers=3)
    for n in range(30):         # a connection each, so that workers share
        caller = m.caller(port, options=[("n", n)])
        assert caller.call(b"x").code == "OK"
        caller.close()
    for n in range(5):
        m.caller(port).call(region="ap")
    p.until_stat("listener.127.0.0.1_%d.downstream_cx_total" % port, 35)
    workers = [p.stats(w) for w in range(3)]
    total = p.stats()
    for name in ("http.callers.downstream_rq_total",
                 "cluster.greeter.upstream_rq_completed",
                 "godwit.cause.no_route"):
        assert total[name] == sum(w[name] for w in workers), name
    for name, count in (REQUEST, 35), (ATTEMPT, 30):
        times = [w[name] for w in workers if w[name]["count"]]
        assert total[name]["count"] == count, (name, total[name])
        assert count == sum(t["count"] for t in times), (name, times)
        # Thousandths are microseconds: the whole is its parts, to the last.
        assert round(total[name]["sum_ms"] * 1000) == sum(
            round(t["sum_ms"] * 1000) for t in times), (name, total, times)
        assert total[name]["max_ms"] == max(t["max_ms"] for t in times)
        assert total[name]["p50_ms"] <= total[name]["p99_ms"] <= \
            total[name]["max_ms"] <= total[name]["sum_ms"], total[name]
    for w in workers:           # the turn that answers is not over
        assert w[TURN]["count"] == w["server.worker_turns"] - 1, w
    assert total["http.callers.downstream_rq_total"] == 35
    assert total["cluster.greeter.upstream_rq_total"] == 30
    assert total["http.callers.no_route"] == 5
    assert sum(w["http.callers.downstream_rq_total"] > 0
               for w in workers) >= 2, "one worker took every connection"


def timed(call):
    """The caller's own view, in ms."""
    start = time.monotonic()
    assert call().code == "OK"
    return (time.monotonic() - start) * 1000


def test_times_are_what_callers_wait(m):
    service = m.service("us")
    port = free_port()
    p = m.godwit(m.example("us-local.yaml", {10000: port,
                                             10101: service.port}), workers=1)
    assert p.stats()[REQUEST] == p.stats()[ATTEMPT] == {"count": 0}

    caller = m.caller(port)
    quick_ms = max(timed(lambda: caller.call(b"x")) for _ in range(9))
    start = time.monotonic()
    slow = caller.start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the service has the call")
    before = p.stats()
    assert before[REQUEST]["count"] == 9, "a call that is not over counts"
    time.sleep(0.3)
    idle_ms = p.stats()[TURN]["sum_ms"] - before[TURN]["sum_ms"]
    assert idle_ms < 300, "the wait is part of a turn"
    service.release()
    assert slow.result() == b"waited"
    slow_ms = (time.monotonic() - start) * 1000

    for name in REQUEST, ATTEMPT:
        t = p.stats()[name]
        assert t["count"] == 10, (name, t)
        assert 300 <= t["max_ms"] <= slow_ms, (name, t, slow_ms)
        assert t["p50_ms"] <= quick_ms * 1.125, (name, t, quick_ms)
        assert t["max_ms"] <= t["sum_ms"] <= 9 * quick_ms + slow_ms, (name, t)


def test_the_time_of_who_gives_up(m):
    service = m.service("us")
    port = free_port()
    p = m.godwit(m.example("us-local.yaml", {10000: port,
                                             10101: service.port}), workers=1)
    call = m.caller(port).start(method="/demo.Greeter/Wait")
    until(lambda: service.waiting == 1, "the service has the call")
    time.sleep(0.1)
    call.cancel()
    p.until_stat("http.callers.downstream_rq_rx_reset", 1)
    assert p.stats()[REQUEST]["count"] == 1, "it waited, as others did"
    assert p.stats()[REQUEST]["max_ms"] >= 100
    assert p.stats()[ATTEMPT] == {"count": 0}, "the service did not answer"


def test_what_else_the_sockets_answer(m):
    p = m.godwit(m.example("us-local.yaml", {10000: free_port()}), workers=2)
    status, text = http_get(f"{p.run_dir}/admin.sock", "/generations")
    assert status == 200 and "published: 1" in text, text
    assert "worker 1: 1" in text, text
    for sock in "admin", "worker-0":
        status, text = http_get(f"{p.run_dir}/{sock}.sock", "/nothing")
        assert status == 404 and "/stats" in text, text
