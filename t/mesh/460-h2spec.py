"""HTTP/2 as a stranger understands it: all 145 cases of h2spec, and the one
that it calls strict, of a godwit before a service, plain and over TLS.

The verdicts are those of its JUnit reports; of a case that fails h2spec's own
words follow: what is required, expected and was seen. Its three books run side
by side. Nothing is waited for if all goes well, so that the time allowed for
an answer is long.

h2spec has no certificate of its own, and so the gateway here asks for none:
300-tls.py has those who do.

Envoy 1.40 with the same files passes 134 of the 145, plain and over TLS. It
fails 5.1 cases 8, 9, 11 and 12 and 5.1.1 case 2 (streams that are over: there,
too, nghttp2 forgets them), generic 3.8 and 7 case 1 (it answers no PING after
the caller's GOAWAY), 5.3.1 case 2 and 6.3 case 1 (PRIORITY frames), and 6.9.1
cases 2 and 3 (windows over 2^31-1: it closes without a word).
"""
import os
import subprocess
import xml.etree.ElementTree as ElementTree

import frames
from mesh import METHOD, ROOT, STRANGERS, free_port

H2SPEC = os.path.join(ROOT, "build/h2spec/h2spec")
BOOKS = {"generic": 44, "http2": 95, "hpack": 7}
ANSWER_S = 20


def service(m):
    return frames.service(m, lambda s: [
        frames.headers(s, frames.ANSWER), frames.data(s, frames.MESSAGE),
        frames.headers(s, [("grpc-status", "0")], end=True)])


def start(m, port, book, *options):
    report = os.path.join(m.dir, f"{book}.xml")
    p = subprocess.Popen(
        [H2SPEC, book, "-h", "127.0.0.1", "-p", str(port), "-P", METHOD,
         "-S", "-o", str(ANSWER_S), "-j", report, *options], cwd=m.dir,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    m.callback(p.kill)
    return p, report


def verdicts(report):
    """(section, what is done, whether it passed) of each case."""
    return [(suite.get("package"), case.get("classname"), len(case) == 0)
            for suite in ElementTree.parse(report).iter("testsuite")
            for case in suite.iter("testcase")]


def ask(m, port, *options):
    assert os.path.exists(H2SPEC), "t/lib/need h2spec makes what is lacking"
    for book, p, report in [(b, *start(m, port, b, *options))
                            for b in BOOKS]:
        said = p.communicate()[0].decode(errors="replace")
        words = said.split("Failures:", 1)[-1]
        assert p.returncode == 0, words
        cases = verdicts(report)
        bad = [case[:2] for case in cases if not case[2]]
        assert not bad, f"{bad}\n{words}"
        assert len(cases) == BOOKS[book], (book, len(cases))


def test_plain(m):
    port = free_port()
    p = m.godwit(m.example("us-local.yaml", {10000: port,
                                             10101: service(m)}))
    ask(m, port)
    settled(p, "callers")


def test_tls(m):
    port = free_port()
    p = m.godwit(m.example("eu-gateway.yaml", {10443: port,
                                               10102: service(m),
                                               **STRANGERS}))
    ask(m, port, "-t", "-k")
    settled(p, "gateway")


def settled(p, listener):
    """Nothing is left of it, and nobody was taken for an attacker."""
    p.until_stat(f"http.{listener}.downstream_rq_active", 0)
    p.until_stat("cluster.greeter.upstream_rq_active", 0)
    p.until_stat("server.buffered_bytes", 0)
    floods = {k: v for k, v in p.stats().items() if v and "flood" in k}
    assert not floods, floods
