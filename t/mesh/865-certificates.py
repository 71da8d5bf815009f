"""Certificates: until when they are good, and files of them that are replaced
while they are in use.
"""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

import plane
from load import Chat, Load, Unary
from mesh import GATEWAY, free_port, http_get, until
from plane import Plane, cluster, listener, route
from storm import StormService, count

BUILD = os.path.dirname(os.environ.get("GODWIT", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/godwit")))
DAY_S = 86400


def gateway(m, start=None, **replace):
    """A gateway of eu; the ports are the test's."""
    port, service = free_port(), m.service("eu")
    file = m.example("eu-gateway.yaml", {10443: port, 10102: service.port,
                                         **replace})
    return (start or m.godwit)(file), port


def ask(p, path):
    return http_get(f"{p.run_dir}/admin.sock", path)[1]


def certs(p):
    return json.loads(ask(p, "/certs"))["certificates"]


def ctl(p, *words):
    """godwitctl: (exit code, what it printed)."""
    done = subprocess.run(
        [f"{BUILD}/godwitctl", "-o", f"run_dir={p.run_dir}", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


def short_lived(m, name, seconds, old=0, by="ca"):
    """Certificate and key, made by `by` so many seconds ago, that expire so
    soon."""
    tls = m.certificates()
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-batch", "-subj",
         f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"],
        check=True, cwd=tls, stderr=subprocess.PIPE)
    with open(f"{tls}/{name}.ext", "w") as f:
        f.write("subjectAltName=URI:spiffe://mesh/region/eu/gateway,"
                "DNS:gateway.eu.mesh\n"
                "extendedKeyUsage=serverAuth,clientAuth\n")
    with open(f"{tls}/{name}.conf", "w") as f:
        f.write("[ca]\ndefault_ca = d\n[d]\ndatabase = index\n"
                "serial = serial\nnew_certs_dir = new\npolicy = p\n"
                "unique_subject = no\n[p]\ncommonName = supplied\n")
    os.makedirs(f"{tls}/new", exist_ok=True)
    open(f"{tls}/index", "a").close()
    with open(f"{tls}/serial", "w") as f:
        f.write(os.urandom(8).hex().upper())
    begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + s))
                  for s in (-old, seconds))
    subprocess.run(
        ["openssl", "ca", "-batch", "-notext", "-in", f"{name}.csr", "-out",
         f"{name}.pem", "-cert", f"{by}.pem", "-keyfile", f"{by}.key", "-md",
         "sha256", "-startdate", begin, "-enddate", end,
         "-extfile", f"{name}.ext", "-config", f"{name}.conf"],
        check=True, cwd=tls, stderr=subprocess.PIPE)
    return name


def test_certs_beside_envoy(m):
    """The same words of the same file, and the same number of days."""
    ours, _ = gateway(m)
    admin = free_port()
    file = m.example("eu-gateway.yaml", {10443: (port := free_port()),
                                         10102: free_port()})
    with open(file) as f:
        text = f.read()
    m.envoy(m.write("envoy.yaml", text + f"""
admin:
  address:
    socket_address: {{ address: 127.0.0.1, port_value: {admin} }}
"""), port)

    def envoy(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}") as a:
            return a.read().decode()

    theirs = json.loads(envoy("/certs"))["certificates"]
    assert certs(ours) == theirs and len(theirs) == 1, (certs(ours), theirs)
    assert ctl(ours, "certs") == (0, ask(ours, "/certs"))
    days = "server.days_until_first_cert_expiring"
    # Envoy counts every five seconds.
    until(lambda: f"{days}: {ours.stats()[days]}\n" in envoy("/stats"),
          lambda: f"{ours.stats()[days]} days of Envoy")
    assert ours.stats()[days] in (29, 30)
    assert ctl(ours, "status")[0] == 0


def test_expires_while_it_is_in_use(m):
    """It is said before and when it does, and where; a call goes on, no new
    peer takes it."""
    short_lived(m, "short", 8, old=DAY_S)
    tls = m.certificates()
    p, port = gateway(m, **{"/etc/godwit/tls/eu-gateway": f"{tls}/short"})
    code, text = ctl(p, "status")
    assert code == 1
    soon = (r'^1 thing is wrong:\n  certificate of listener "gateway" \(file '
            + re.escape(f"{tls}/short.pem") + r", serial [0-9a-f]{16}, "
            r"spiffe://mesh/region/eu/gateway\) expires in \d\.\d s\n")
    assert re.match(soon, text), text
    assert p.stats()["server.days_until_first_cert_expiring"] == 0
    until(lambda: re.search(r'warn: certificate of listener "gateway" .* '
                            r"expires in", p.log()), p.log)
    until(lambda: re.search(r'error: certificate of listener "gateway" .* '
                            r"expired .* ago: peers refuse it", p.log()),
          p.log)
    assert "expired 0" in ctl(p, "status")[1] or \
        "expired 1" in ctl(p, "status")[1], ctl(p, "status")
    assert p.log().count("expires in") == 1
    assert p.log().count("ago: peers refuse it") == 1
    entry, = certs(p)
    assert entry["cert_chain"][0]["days_until_expiration"] == "0"
    name = (f"listener.127.0.0.1_{port}.ssl.certificate.{tls}/short.pem."
            "expiration_unix_time_seconds")
    assert p.stats()[name] == int(ssl.cert_time_to_seconds(
        subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in",
                        f"{tls}/short.pem"], check=True,
                       stdout=subprocess.PIPE).stdout.decode().strip()
        .removeprefix("notAfter=")))


# ---- files that are replaced


def shown(m, port, name="us-local"):
    """The serial number of the certificate that a new connection sees."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = m.certificates()
    c.load_verify_locations(f"{tls}/ca.pem")
    c.load_cert_chain(f"{tls}/{name}.pem", f"{tls}/{name}.key")
    c.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with c.wrap_socket(raw, server_hostname="gateway.eu.mesh") as s:
            return s.getpeercert()["serialNumber"].lower()


def serial(m, name):
    out = subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-in", f"{name}.pem"],
        check=True, cwd=m.certificates(), stdout=subprocess.PIPE).stdout
    return out.decode().strip().removeprefix("serial=").lower()


def put(source, target, how):
    """Replaces a file: over it by a rename, or in its place."""
    if how == "rename":
        shutil.copy(source, f"{target}.tmp")
        os.replace(f"{target}.tmp", target)
    else:
        shutil.copyfile(source, target)


class Files:
    """A gateway whose certificate and key are files of their own."""

    def __init__(self, m, folder="used", start=None, **replace):
        self.m, self.tls = m, m.certificates()
        self.folder = f"{self.tls}/{folder}"
        os.makedirs(self.folder, exist_ok=True)
        for name in "a", "b", "c":
            short_lived(m, name, DAY_S, old=DAY_S)
        put(f"{self.tls}/ca.pem", f"{self.folder}/ca.pem", "write")
        if start is None:
            self.put("a")
            self.gateway, self.port = gateway(
                m, **{"/etc/godwit/tls/eu-gateway": f"{self.folder}/x",
                      "tls/ca.pem": f"tls/{folder}/ca.pem",
                      **replace})

    def put(self, name, how="rename", parts=("key", "pem")):
        for part in parts:
            put(f"{self.tls}/{name}.{part}", f"{self.folder}/x.{part}", how)

    def shows(self, name):
        want = serial(self.m, name)
        until(lambda: shown(self.m, self.port) == want, f"{name} is shown")

    def whole(self):
        return ctl(self.gateway, "status")


def test_replaced_by_rename_and_in_place(m):
    f = Files(m)
    f.shows("a")
    before = f.gateway.generation()
    f.put("b")
    f.shows("b")
    f.put("c", "write", ("pem", "key"))
    f.shows("c")
    f.put("a", "rename", ("pem",))
    f.put("a", "write", ("key",))
    f.shows("a")
    assert f.whole()[0] == 0, f.whole()
    after = f.gateway.generation()
    assert before + 3 <= after <= before + 6
    f.put("a")                  # the same bytes are no change
    f.put("b", parts=("pem",))
    f.put("a")
    f.put("c")
    f.shows("c")
    assert after + 1 <= f.gateway.generation() <= after + 2
    assert "can't be used" not in f.gateway.log()
    assert f"{f.folder}/x.pem changed and is in use" in f.gateway.log()


def test_kubernetes(m):
    """..data is a link that is swapped; ca.pem too is in it."""
    f = Files(m, start=False)

    def version(n, name):
        os.makedirs(f"{f.folder}/..{n}")
        for part in "key", "pem":
            shutil.copy(f"{f.tls}/{name}.{part}", f"{f.folder}/..{n}/x.{part}")
        os.symlink(f"..{n}", f"{f.folder}/..data_tmp")
        os.replace(f"{f.folder}/..data_tmp", f"{f.folder}/..data")

    version(1, "a")
    for part in "key", "pem":
        os.symlink(f"..data/x.{part}", f"{f.folder}/x.{part}")
    f.gateway, f.port = gateway(m, **{"/etc/godwit/tls/eu-gateway":
                                      f"{f.folder}/x"})
    f.shows("a")
    version(2, "b")
    shutil.rmtree(f"{f.folder}/..1")
    f.shows("b")
    version(3, "c")
    f.shows("c")
    assert "can't be used" not in f.gateway.log()


def test_refused_ones(m):
    """Each is said, by file and reason; the old one goes on, over the master's
    death too, and the next good one is taken."""
    f = Files(m)
    f.shows("a")
    m.write("junk", "junk")
    for source, part, words in (
            (f"{m.dir}/junk", "pem", "holds no certificate in PEM form"),
            (f"{f.tls}/b.pem", "pem", "does not belong to the certificate"),
            (f"{f.tls}/expired.pem", "pem", None),
            (f"{m.dir}/junk", "key", "holds no private key")):
        put(source, f"{f.folder}/x.{part}", "rename")
        if words is None:       # the pair is right, and too old
            put(f"{f.tls}/expired.key", f"{f.folder}/x.key", "rename")
            words = "has expired"
        until(lambda: words in f.whole()[1], lambda: (words, f.whole()))
        code, text = f.whole()
        assert code == 1 and "1 thing is wrong:" in text, text
        assert f"{f.folder}/x.{part}" in text
        assert "changed and can't be used" in text
        assert re.search(f"error: {f.folder}/.*{words}", f.gateway.log())
        assert shown(m, f.port) == serial(m, "a")
    master = f.gateway.children()["master"]
    os.kill(master, 9)
    until(lambda: f.gateway.children().get("master", master) != master,
          "there is another master")
    until(lambda: "holds no private key" in f.whole()[1], f.whole)
    assert shown(m, f.port) == serial(m, "a")
    assert f.gateway.command("reload")[0] == 1
    f.put("b")
    f.shows("b")
    until(lambda: f.whole()[0] == 0, f.whole)


def edit(m, old, new):
    """The file on disk, which nobody reloads."""
    path = f"{m.dir}/eu-gateway.yaml"
    with open(path) as f:
        text = f.read()
    assert old in text
    with open(path, "w") as f:
        f.write(text.replace(old, new))


def test_of_what_was_accepted(m):
    """A file that was edited meanwhile waits for its reload, a bad file keeps
    no other back, and a successor begins with what was taken."""
    f = Files(m)
    f.shows("a")
    edit(m, "stat_prefix: gateway", "stat_prefix: edited")
    m.write("junk", "junk")
    put(f"{m.dir}/junk", f"{f.folder}/ca.pem", "rename")
    f.put("b")
    f.shows("b")
    put(f"{m.dir}/junk", f"{f.folder}/x.pem", "rename")
    until(lambda: "2 things are wrong" in f.whole()[1], f.whole)
    assert f"{f.folder}/ca.pem changed" in f.whole()[1]
    assert "http.gateway.downstream_rq_total" in f.gateway.stats()
    shutil.rmtree(f.folder)
    master = f.gateway.children()["master"]
    os.kill(master, 9)
    until(lambda: f.gateway.children().get("master", master) != master and
          f.whole()[0] == 0, f.whole)
    assert shown(m, f.port) == serial(m, "b")
    assert "http.gateway.downstream_rq_total" in f.gateway.stats()
    os.makedirs(f.folder)
    put(f"{f.tls}/ca.pem", f"{f.folder}/ca.pem", "rename")
    f.put("c")
    f.shows("c")
    assert f.gateway.command("reload", "-c", f"{m.dir}/eu-gateway.yaml")[0] \
        == 0
    assert "http.edited.downstream_rq_total" in f.gateway.stats()
    f.put("a")
    f.shows("a")


def file_pair(folder, name="x"):
    return {"certificate_chain": {"filename": f"{folder}/{name}.pem"},
            "private_key": {"filename": f"{folder}/{name}.key"},
            "watched_directory": {"path": folder}}


class Followed(Files):
    """outer ──mutual TLS──> inner ──> service, both of a control plane, which
    names files: outer's cluster itself, inner in a secret. "own", which stands
    in our file, serves by the same files."""

    def __init__(self, m):
        super().__init__(m, start=False)
        self.put("a")
        self.service = m.service("a", kind=StormService)
        self.outer, self.port, self.own = (free_port() for _ in range(3))
        self.plane = Plane(m)
        self.plane.set(
            clusters=[self.cluster("inner"),
                      cluster("late", [self.service.port]),
                      cluster("service", [self.service.port])],
            listeners=[
                listener("outer", self.outer, route("outer", [
                    ("/late.", "late"), ("/", "inner")])),
                listener("inner", self.port, route("inner", [
                    ("/", "service")]), tls=plane.server_tls("server", "ca"))],
            secrets=[{"name": "server", "tls_certificate":
                      file_pair(self.folder)},
                     {"name": "ca", "validation_context": {"trusted_ca": {
                         "filename": f"{self.folder}/ca.pem"}}}])
        own = plane.transport_socket("Downstream", common_tls_context={
            "tls_certificates": [file_pair(self.folder)]})
        self.gateway = m.godwit(plane.bootstrap(
            m, self.plane.port, "godwit", delta=True,
            clusters=[cluster("own", [self.service.port])],
            listeners=[listener("own", self.own, route("own", [("/", "own")]),
                                tls=own)]))
        self.caller = m.caller(self.outer)
        until(lambda: self.caller.call(b"").code == "OK", "a is asked")

    def cluster(self, name, files="x"):
        return cluster(name, [self.port], tls=plane.transport_socket(
            "Upstream", sni=GATEWAY, common_tls_context={
                "tls_certificates": [file_pair(self.folder, files)],
                "validation_context": {"trusted_ca": {
                    "filename": f"{self.folder}/ca.pem"}}}))

    def shows(self, name):
        want = serial(self.m, name)
        until(lambda: [shown(self.m, p) for p in (self.port, self.own)] ==
              [want] * 2, f"{name} is shown")

    def another_master(self):
        before = self.gateway.children()["master"]
        os.kill(before, 9)
        until(lambda: self.gateway.children().get("master", before) != before
              and self.whole()[0] == 0, self.whole)


def test_under_load(m):
    """Callers with TLS, and connections by it, all the time: no call fails."""
    f = Followed(m)
    load = Load()
    tls = m.credentials("us-local")
    for kind in Unary, Chat:
        load.add(kind, 2, f.outer)
        load.add(kind, 2, f.port, tls)
        load.add(kind, 2, f.own, tls)
    for i in range(count(20, 200)):
        name = "bca"[i % 3]
        f.put(name, ("rename", "write")[i % 2])
        f.shows(name)
        load.moved()
    load.stop()
    load.is_well()
    assert f.whole()[0] == 0, f.whole()
    assert "can't be used" not in f.gateway.log()


def test_files_of_a_control_plane(m):
    """They too are kept for a successor, and neither a reload nor a change of
    something else reads what is half written."""
    f = Followed(m)
    f.put("b")
    f.shows("b")
    for part in "pem", "key":
        shutil.copy(f"{f.tls}/us-local.{part}", f"{f.folder}/late.{part}")
    f.plane.update(clusters=[f.cluster("late", "late")])
    late = "/late.Greeter/SayHello"
    until(lambda: "cluster.late.ssl.certificate" in ask(f.gateway, "/stats"),
          "late has a certificate")
    assert f.caller.call(b"", method=late).code == "OK"
    os.rename(f.folder, f"{f.folder}.gone")
    f.another_master()
    f.shows("b")
    for method in late, "/demo.Greeter/SayHello":
        assert f.caller.call(b"", method=method).code == "OK", method
    f.plane.update(clusters=[{**f.cluster("late", "late"),
                              "connect_timeout": "4s"}])
    f.plane.until_acked("clusters")
    assert not f.plane.nacks("clusters") and not f.plane.nacks("secrets")
    os.rename(f"{f.folder}.gone", f.folder)
    short_lived(m, "d", DAY_S, old=DAY_S)
    f.put("d")
    f.shows("d")
    assert f.gateway.command("reload", "-c", f"{m.dir}/godwit.json")[0] == 0
    f.another_master()
    f.shows("d")
    put(f"{f.tls}/foreign-ca.pem", f"{f.folder}/ca.pem", "rename")
    until(lambda: f.caller.call(b"").code == "UNAVAILABLE",
          "nobody is trusted any more")
