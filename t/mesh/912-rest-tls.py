"""REST over TLS: who may what by certificate or token, and what becomes of
callers who are no friends.

    curl, godwitctl, Python ──TLS 1.2, 1.3──> rest_tls ──plain──> REST
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from ems import GODWITCTL, Ems, Rest, refused
from ems_https import PEOPLE, US, EmsHttps, mint
from mesh import PATIENCE_S, free_port, until

TOKEN = "0123456789abcdef-token"
WRITER = "spiffe://mesh/writer/NAME"
APP = {"service": "web", "region": "us", "address": "127.0.0.1", "port": 8080}


def region(ems, name="us", version=0, **kwargs):
    return ems.rest("PUT", f"/v1/region/{name}?expect_version={version}",
                    f"region: {name}\n", **kwargs)


def revision(ems):
    return ems.rest("GET", "/v1/region", local=True)["revision"]


# ---- who may what

def test_who_may_what(m):
    ems = EmsHttps(m, {"rest_token_file": m.write("token", TOKEN)})
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert region(ems).status == 200
    writes = (("PUT", "/v1/region/eu?expect_version=0"),
              ("DELETE", "/v1/region/us?expect_version=1"),
              ("POST", "/v1/apply"), ("POST", "/v1/plan"),
              ("POST", "/v1/rollback?revision=1"),
              ("POST", "/v1/rollback?revision=1&apply=1"))
    for who, headers, status, words in (
            (None, {}, 401, ["a token or a certificate by the mesh's CA"]),
            (None, wrong, 401, ["that is not the token"]),
            ("alice", wrong, 401, ["that is not the token"]),
            ("web", {}, 403, [US + "service/web", WRITER, "or the token"]),
            ("host", {}, 403, [US + "host/h1", WRITER]),
            ("eu-gateway", {}, 403, ["region/eu/gateway", WRITER]),
            ("us-several", {}, 403, ["region/us/one", "two.mesh", WRITER]),
            ("outsider", {}, 403, ["spiffe://elsewhere/service", WRITER])):
        for method, path in writes:
            answer = ems.rest(method, path, "region: eu\n", headers, who=who)
            refused(answer, status, *words)
        for path in "/v1/region", "/v1/region/us", "/metrics", "/v1/history":
            answer = ems.rest("GET", path, headers=headers, who=who)
            assert answer.status == (401 if status == 401 else 200), answer
        for path in "/healthz", "/readyz":
            assert ems.rest("GET", path, headers=headers,
                            who=who).status == 200
    # Nothing was changed, and the log says who tried.
    assert revision(ems) == 1
    assert f"REST, 127.0.0.1: PUT /v1/region/eu is refused: the certificate " \
        f"has {US}service/web, which may not write" in ems.log(), ems.log()
    assert TOKEN not in ems.log()
    # The token may, with or without a certificate, and so may a writer.
    for n, (who, headers) in enumerate(((None, bearer), ("web", bearer),
                                        ("alice", bearer), ("alice", {}))):
        made = ems.rest("PUT", f"/v1/region/r{n}?expect_version=0",
                        f"region: r{n}\n", headers, who=who)
        assert made.status == 200, (who, made)
    # Without a token, certificates alone; without a CA, the token alone.
    ems = EmsHttps(m)
    refused(region(ems, who=None, headers=bearer), 401,
            "a certificate by the mesh's CA is asked for here")
    answer = refused(region(ems, who="web"), 403, WRITER)
    assert "token" not in answer["error"], answer
    ems = EmsHttps(m, {"rest_token_file": m.write("token", TOKEN)}, ca=False)
    for who in None, "alice":
        refused(region(ems, who=who), 401,
                "a token is asked for here: Authorization")
    assert region(ems, headers=bearer, who=None).status == 200


def test_who_may_register_what(m):
    ems = EmsHttps(m)
    region(ems)
    region(ems, "eu")

    def register(who, **more):
        return ems.rest("POST", "/v1/register", {**APP, **more}, who=who)

    def word(what, lease, who):
        return ems.rest("POST", f"/v1/{what}", {
            "id": lease["id"], "epoch": lease["epoch"]}, who=who)

    refused(register(None), 401, "certificate")
    for who, more, seen, expected in (
            ("web", {"service": "api"}, "service/web", "us/service/api"),
            ("web", {"region": "eu"}, "service/web", "eu/service/web"),
            ("host", {"region": "eu"}, "host/h1", "eu/service/web"),
            ("eu-gateway", {"region": "eu"}, "eu/gateway", "eu/service/web"),
            ("outsider", {}, "elsewhere", "us/service/web")):
        refused(register(who, **more), 403, seen, expected)
    assert ems.rest("GET", "/v1/leases")["leases"] == []
    mine = register("web")
    theirs = register("host", service="api", port=8081, id="x")
    assert (mine.status, theirs.status) == (200, 200), (mine, theirs)
    # Nobody speaks for another's lease, or takes its id.
    for what in "heartbeat", "deregister":
        refused(word(what, theirs, "web"), 403, "lease x is of service api")
    refused(register("web", id="x"), 403, "lease x is of service api")
    assert "lease x is of service api" in ems.log()
    for lease, who in (mine, "web"), (theirs, "host"), (theirs, "alice"):
        assert word("heartbeat", lease, who).status == 200
    leases = ems.rest("GET", "/v1/leases", who="web")["leases"]
    assert {(x["id"], x["service"]) for x in leases} == {
        ("x", "api"), (mine["id"], "web")}, leases
    assert register("alice", region="eu", service="any").status == 200
    assert word("deregister", theirs, "host").status == 200


def test_any_certificate(m):
    """Where the operator says that names don't count; writers' still do."""
    pem = f"{m.dir}/tls/"
    ems = EmsHttps(m, {"any_certificate": True, "tls": {
        "certificate": pem + "ems.pem", "key": pem + "ems.key",
        "ca": pem + "ca.pem"}})
    region(ems)
    assert ems.rest("POST", "/v1/register", APP,
                    who="outsider").status == 200
    refused(ems.rest("POST", "/v1/register", APP, who=None), 401)
    refused(region(ems, "eu", who="web"), 403, WRITER)


def test_history_names_the_writer(m):
    ems = EmsHttps(m, {"rest_token_file": m.write("token", TOKEN)})
    region(ems, "a")
    region(ems, "b", headers={"X-Godwit-Who": "bob"})
    region(ems, "c", headers={"X-Godwit-Who": "alice",
                              "Authorization": f"Bearer {TOKEN}"})
    m.write("d.yaml", "region: d\n")
    done = ems.ctl("apply", os.path.join(m.dir, "d.yaml"))
    assert done.rc == 0, done
    who = [h["who"] for h in ems.rest("GET", "/v1/history")["history"]]
    assert who[1:] == ["alice (127.0.0.1)", "bob (alice)", "alice"], who
    assert who[0].endswith(" (alice)"), who
    assert "region a: version 0 -> 1, revision 1, by alice" in ems.log()


# ---- handshakes

def test_bad_certificates(m):
    """They come no further than the handshake, which says why."""
    ems = EmsHttps(m)
    for who, heard, said in (
            ("foreign", "unknown ca", "unable to get local issuer"),
            ("expired", "certificate expired", "certificate has expired")):
        for answer in (ems.ctl("list", "region", who=who),
                       ems.curl("/healthz", who=who)):
            assert answer.rc != 0 and heard in answer.err, answer
        assert "is not one that a CA we trust vouches for now: " + said in \
            ems.log(), ems.log()
    # The names of the server's, and its CA, are looked at by us.
    other = ems.ctl("list", "region", ca="foreign-ca")
    assert other.rc == 1 and f"127.0.0.1:{ems.rest_port}: the peer's " \
        "certificate (spiffe://mesh/ems) is not one that a CA we trust" in \
        other.err and "--ca is " + ems.pem("foreign-ca") in other.err, other
    assert ems.curl("/healthz", ca="foreign-ca").rc == 60
    assert ems.rest("GET", "/healthz").status == 200


def test_names_of_the_server(m):
    for name, where, good in (("ems", "127.0.0.1", True),
                              ("ems", "localhost", True),
                              ("alice", "127.0.0.1", False),
                              ("alice", "localhost", False),
                              ("eu-gateway", "localhost", False)):
        ems = EmsHttps(m, start=False)
        settings = {**ems.settings, "rest_tls": {
            "certificate": ems.pem(name), "key": ems.pem(name, "key")}}
        m.write(f"{ems.name}.yaml", json.dumps(settings))
        ems.start()
        done = ems.ctl("list", "region", who=None,
                       where=f"https://{where}:{ems.rest_port}")
        assert (done.rc == 0) == good, (name, where, done)
        if not good:
            assert "the peer's certificate names spiffe://mesh/" in done.err \
                and f"expected {where}" in done.err, done
        ems.stop()


def test_versions_and_protocols(m):
    ems = EmsHttps(m)

    def shake(**set):
        c = ems.context("web")
        for name, value in set.items():
            setattr(c, name, value)
        with socket.create_connection(("127.0.0.1", ems.rest_port),
                                      PATIENCE_S) as s, \
                c.wrap_socket(s, server_hostname="127.0.0.1") as tls:
            return tls.version(), tls.cipher()[0]

    assert shake()[0] == "TLSv1.3"
    version, cipher = shake(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert version == "TLSv1.2" and "ECDHE" in cipher and "GCM" in cipher
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        shake(minimum_version=ssl.TLSVersion.TLSv1,
              maximum_version=ssl.TLSVersion.TLSv1_1)
        assert False, "TLS 1.1 is spoken"
    for option in "--http1.1", "--no-alpn", "--http2":
        done = ems.curl("/healthz", option, who="web")
        assert done.rc == 0 and "healthy" in done.out, (option, done)


def test_other_protocols(m):
    """Clear text where TLS is spoken, and the other way round."""
    ems, plain = EmsHttps(m), Ems(m)

    def heard(bytes):
        with contextlib.closing(socket.create_connection(
                ("127.0.0.1", ems.rest_port), PATIENCE_S)) as s:
            s.sendall(bytes)
            s.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(ConnectionError):
                while more := s.recv(4096):
                    got += more
            return got

    got = heard(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 ") and \
        got.endswith(b'{"error": "this port speaks TLS only: https://"}\n')
    assert "the peer speaks clear text, this port TLS only" in ems.log()
    for junk in b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 20000, \
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x80\x2e\x01":
        heard(junk)
    assert "TLS failed: " in ems.log()
    wrong = ems.ctl("list", "region", who=None,
                    where=f"http://127.0.0.1:{ems.rest_port}")
    assert wrong.rc == 1 and "this port speaks TLS only: https://" in \
        wrong.err, wrong
    wrong = ems.ctl("list", "region",
                    where=f"https://127.0.0.1:{plain.rest_port}")
    assert wrong.rc == 1 and "http://" in wrong.err, wrong
    wrong = ems.ctl("list", "region", where=f"https://127.0.0.1:{plain.port}")
    assert wrong.rc == 1 and "it speaks clear text: http://" in wrong.err
    assert ems.rest("GET", "/healthz").status == 200


# ---- godwitctl

def test_options(m):
    ems = EmsHttps(m)
    ems.apply("region: us\n")
    env = {"GODWIT_EMS": ems.where, "GODWIT_EMS_CA": ems.pem("ca"),
           "GODWIT_EMS_CERT": ems.pem("web"),
           "GODWIT_EMS_KEY": ems.pem("web", "key")}
    listed = subprocess.run([GODWITCTL, "list", "region"],
                            env={**os.environ, **env}, capture_output=True)
    assert listed.returncode == 0 and b"us" in listed.stdout, listed
    for options, rc, words in (
            ({"ca": None, "who": None}, 2, "https:// needs --ca FILE"),
            ({"ca": "none"}, 1, 'none.pem": No such file'),
            ({"who": None}, 1, "--token-file FILE has it, or --cert and")):
        done = ems.ctl("list", "region", **options)
        assert done.rc == rc and words in done.err, (options, done)
    for words, rc, expected in (
            (["--cert", ems.pem("web")], 2, "--cert and --key go together"),
            (["--cert", ems.pem("web"), "--key", ems.pem("host", "key")], 1,
             "the private key does not belong to the certificate"),
            (["--cert", ems.pem("ca", "key"), "--key", ems.pem("web", "key")],
             1, "no certificate in PEM")):
        done = ems.ctl(*words, "list", "region", who=None)
        assert done.rc == rc and expected in done.err, (words, done)
    closed = ems.ctl("list", "region",
                     where=f"https://127.0.0.1:{free_port()}")
    assert closed.rc == 1 and "nobody answers" in closed.err, closed
    # A word that stays connected to it for long, and one that writes much.
    many = "---\n".join(f"service: s{n}\nowner: {'x' * 1000}\n"
                        for n in range(1000))
    done = ems.ctl("apply", "-", stdin=many)
    assert done.out.count("created v1") == 1000, done
    out = ems.ctl("-o", "json", "list", "service").out
    assert len(json.loads(out)["items"]) == 1000


# ---- much, and slowly

def test_sizes_and_pieces(m):
    ems = EmsHttps(m)
    large = "service: tasks\n" + "#" * ((1 << 20) - 16) + "\n"
    with ems.https("alice") as c:
        c.request("PUT", "/v1/service/tasks?expect_version=0", large)
        assert Rest(c.getresponse()).status == 200
        for _ in range(20):
            c.request("GET", "/v1/service/tasks")
            assert Rest(c.getresponse())["body"] == large
        c.request("PUT", "/v1/service/tasks?expect_version=1", large + "#")
        refused(Rest(c.getresponse()), 413, "1048576")
        c.request("GET", "/healthz")
        assert Rest(c.getresponse()).status == 200
    refused(ems.rest("POST", "/v1/apply", b"#" * ((16 << 20) + 1)), 413)
    # Asked for much at once, and nothing taken, until all was asked for; each
    # byte of a request in a record of its own.
    request = b"GET /v1/service/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ems.https("alice") as c:
        c.connect()
        for n in range(len(request)):
            c.sock.sendall(request[n:n + 1])
        c.sock.sendall(request * 9)
        got, n = c.sock.makefile("rb"), 0
        for _ in range(10):
            while (line := got.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    n = int(line.split()[1])
            assert json.loads(got.read(n))["body"] == large
    # Those who leave in the middle are nobody's loss.
    for part in 1, 30, len(request):
        with ems.https("alice") as c:
            c.connect()
            c.sock.sendall(request[:part])
    with ems.https("alice") as c:
        c.connect()
        c.sock.sendall(request * 20)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    assert ems.rest("GET", "/healthz").status == 200


def hold(address, port, n, hello):
    held = []
    for _ in range(n):
        s = socket.socket()
        s.bind((address, 0))
        s.settimeout(PATIENCE_S)
        s.connect(("127.0.0.1", port))
        s.sendall(hello)
        held.append(s)
    return held


def is_open(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_who_only_connects_keeps_nobody_out(m):
    """1,200 who begin a handshake, of a thousand that there may be."""
    ems = EmsHttps(m)
    half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with contextlib.ExitStack() as stack:
        held = []
        for n in range(2, 6):
            held += hold(f"127.0.0.{n}", ems.rest_port, 300, half)
        for s in held:
            stack.callback(s.close)
        until(lambda: "all 1000 connections are taken" in ems.log(), "full")
        assert ems.log().count("connections are taken") == 1
        until(lambda: sum(map(is_open, held)) <= 1000, "some made room")
        for _ in range(20):
            assert ems.rest("GET", "/healthz").status == 200
    assert ems.rest("GET", "/v1/region").status == 200


def test_an_address_begins_handshakes_at_a_rate(m):
    ems = EmsHttps(m)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        held = hold("127.0.0.9", ems.rest_port, 900, b"\x16")
        for s in held:
            stack.callback(s.close)
        most = 400 + 200 * (time.monotonic() - began + 1)
        until(lambda: sum(map(is_open, held)) <= most, "the rest are closed")
        # Not by the ten seconds that a handshake has.
        assert time.monotonic() - began < 9
        assert ems.rest("GET", "/healthz").status == 200


# ---- life

def replace(ems, folder):
    """Its files by those of another folder, as one who rotates does."""
    for name in "ems.pem", "ems.key", "ca.pem":
        shutil.copy(f"{folder}/{name}", f"{ems.tls}/{name}.new")
        os.rename(f"{ems.tls}/{name}.new", f"{ems.tls}/{name}")


def hup(ems, words):
    n = ems.log().count(words)
    ems.proxy.signal(signal.SIGHUP)
    until(lambda: ems.log().count(words) > n, lambda: (words, ems.log()))


def serial(ems, ca):
    c = ssl.create_default_context(cafile=ca)
    with socket.create_connection(("127.0.0.1", ems.rest_port),
                                  PATIENCE_S) as s, \
            c.wrap_socket(s, server_hostname="127.0.0.1") as tls:
        return tls.getpeercert()["serialNumber"]


def test_other_certificates_by_hup(m):
    ems = EmsHttps(m)
    other = os.path.join(m.dir, "other")
    mint(other)
    before = serial(ems, ems.pem("ca"))
    alice = ems.context("alice")
    with ems.https("alice") as kept:
        kept.request("GET", "/v1/region")
        assert Rest(kept.getresponse()).status == 200
        port = kept.sock.getsockname()
        replace(ems, other)
        hup(ems, "REST's certificates were read anew")
        now = serial(ems, ems.pem("ca"))
        assert now != before
        # Who is connected goes on; who comes with the old CA's does not.
        kept.request("PUT", "/v1/region/us?expect_version=0", "region: us\n")
        assert Rest(kept.getresponse()).status == 200
        assert kept.sock.getsockname() == port
        alice.load_verify_locations(ems.pem("ca"))
        with contextlib.closing(ems.https().thing) as late:
            late._context = alice
            try:
                late.request("GET", "/v1/region")
                answer = Rest(late.getresponse())
                assert False, answer
            except (ssl.SSLError, ConnectionError):
                pass
        for name in PEOPLE:
            for end in "pem", "key":
                shutil.copy(f"{other}/{name}.{end}", ems.pem(name, end))
        assert region(ems, "eu").status == 200
        # What can't be used leaves all as it was.
        for name, text in (("ems.key", "no key"), ("ca.pem", ""),
                           ("ems.pem", "nothing")):
            file = f"{ems.tls}/{name}"
            os.rename(file, file + ".kept")
            m.write(f"tls/{name}", text)
            hup(ems, "REST's certificates stay as they were: ")
            os.rename(file + ".kept", file)
            assert serial(ems, ems.pem("ca")) == now
        kept.request("GET", "/v1/region")
        assert Rest(kept.getresponse()).status == 200


def test_it_ends_while_asked(m):
    """Callers in every state don't keep it, and none is left hanging."""
    ems = EmsHttps(m)
    request = b"PUT /v1/region/us?expect_version=0 HTTP/1.1\r\n" \
        b"Host: localhost\r\nContent-Length: 100\r\n\r\nregion"
    with ems.https("alice") as idle, ems.https("alice") as half, \
            contextlib.closing(socket.create_connection(
                ("127.0.0.1", ems.rest_port), PATIENCE_S)) as silent:
        idle.request("GET", "/v1/region")
        assert Rest(idle.getresponse()).status == 200
        half.connect()
        half.sock.sendall(request)
        assert ems.rest("GET", "/healthz").status == 200
        ems.stop()
        for s in idle.sock, silent, half.sock:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert s.recv(1) == b""


def test_asked_by_many_at_once(m):
    """Each by a connection of his own, while certificates are read anew."""
    ems, failed = EmsHttps(m), []
    region(ems)

    def ask():
        try:
            for _ in range(10):
                answer = ems.rest("GET", "/v1/region", who="web")
                assert answer.status == 200, answer
        except BaseException as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        hup(ems, "REST's certificates were read anew")
    for t in threads:
        t.join()
    assert not failed, failed


# ---- settings

def test_settings_that_are_refused(m):
    mint(f"{m.dir}/tls")
    tls = {"certificate": f"{m.dir}/tls/ems.pem",
           "key": f"{m.dir}/tls/ems.key"}
    token = {"rest_token_file": m.write("token", TOKEN)}
    ca = {"ca": f"{m.dir}/tls/ca.pem"}
    out = {"rest_listen": "0.0.0.0:1"}     # t/unit/intent.c: what is taken
    for settings, words in (
            ({"rest_tls": ca}, "rest_tls has not both"),
            ({"rest_tls": {"key": tls["key"]}}, "rest_tls has not both"),
            ({"rest_tls": {**tls, "key": "/nowhere"}},
             'can\'t read "/nowhere"'),
            ({"rest_tls": {**tls, "ca": tls["key"]}},
             "the trusted CA has no certificate"),
            ({"rest_tls": {**tls, "key": f"{m.dir}/tls/ca.key"}},
             "the private key does not belong"),
            (out, "there is no rest_tls: expected certificates, or "
             "clear_text: true"),
            ({**out, **token}, "there is no rest_tls"),
            ({**out, "clear_text": True}, "neither rest_token_file nor a ca"),
            ({**out, "rest_tls": tls}, "neither rest_token_file nor a ca")):
        ems = Ems(m, settings, start=False)
        ems.begin()
        assert ems.proxy.exit_code() == 1 and words in ems.log(), \
            (settings, ems.log())


def test_pages_of_others_are_turned_away(m):
    ems = EmsHttps(m)
    here = f"127.0.0.1:{ems.rest_port}"
    for headers, status in (({"Origin": "https://evil.example"}, 403),
                            ({"Origin": f"http://{here}"}, 403),
                            ({"Origin": f"https://{here}"}, 200),
                            ({"Host": "ems.mesh"}, 200)):
        answer = ems.rest("GET", "/v1/region", headers=headers)
        assert answer.status == status, (headers, answer)
