"""h2load, which forgives nothing: every call of many ends with 200 and all of
its bytes, plain and over TLS. 20,000 in make check, a million of each in make
soak-mesh."""
import os
import re
import subprocess

from mesh import GODWIT, STRANGERS, free_port

CALLS = 1_000_000 if os.environ.get("SOAK") else 20_000
BYTES = 100


def backend(m):
    """The port of the bench's service, which is quicker than any proxy."""
    p = subprocess.Popen(
        [os.path.join(os.path.dirname(GODWIT), "t/bench/flowback"), "0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    m.callback(p.wait)
    m.callback(p.kill)
    return int(p.stdout.readline().split()[1])


def load(m, p, url, listener):
    body = m.write("body", "x" * BYTES)
    said = subprocess.run(
        ["h2load", "-n", str(CALLS), "-c", "50", "-m", "20", "-d", body,
         "-H", "content-type: application/grpc", "-H", "te: trailers",
         f"{url}/demo.Greeter/{BYTES}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    print(said)
    assert f"{CALLS} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert f"status codes: {CALLS} 2xx" in said, said
    assert f"({CALLS * BYTES}) data\n" in said, said     # no reply of ours
    p.until_stat(f"http.{listener}.downstream_rq_completed", CALLS)
    p.until_stat("cluster.greeter.upstream_rq_active", 0)
    p.until_stat("server.buffered_bytes", 0)
    failed = {k: v for k, v in p.stats().items() if v and
              re.search("flood|reset|refused|_fail", k)}
    assert not failed, failed


def test_plain(m):
    port = free_port()
    p = m.godwit(m.example("us-local.yaml", {10000: port,
                                             10101: backend(m)}))
    load(m, p, f"http://127.0.0.1:{port}", "callers")


def test_tls(m):
    port = free_port()
    p = m.godwit(m.example("eu-gateway.yaml", {10443: port,
                                               10102: backend(m),
                                               **STRANGERS}))
    load(m, p, f"https://127.0.0.1:{port}", "gateway")
