"""Statistics: by worker and in sum, and they are right."""
from mesh import free_port, http_get


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
    assert total["http.callers.downstream_rq_total"] == 35
    assert total["cluster.greeter.upstream_rq_total"] == 30
    assert total["http.callers.no_route"] == 5
    assert sum(w["http.callers.downstream_rq_total"] > 0
               for w in workers) >= 2, "one worker took every connection"


def test_what_else_the_sockets_answer(m):
    p = m.godwit(m.example("us-local.yaml", {10000: free_port()}), workers=2)
    status, text = http_get(f"{p.run_dir}/admin.sock", "/generations")
    assert status == 200 and "published: 1" in text, text
    assert "worker 1: 1" in text, text
    for sock in "admin", "worker-0":
        status, text = http_get(f"{p.run_dir}/{sock}.sock", "/nothing")
        assert status == 404 and "/stats" in text, text
