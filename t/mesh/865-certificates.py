"""Certificates: until when they are good, and files of them that are replaced
while they are in use.
"""
import json
import os
import re
import ssl
import subprocess
import urllib.request

from mesh import free_port, http_get, until

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


def short_lived(m, name, seconds, by="ca"):
    """Certificate and key, made by `by`, that expire so soon."""
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
    end = subprocess.run(
        ["date", "-u", "-d", f"+{seconds} seconds", "+%Y%m%d%H%M%SZ"],
        check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    subprocess.run(
        ["openssl", "ca", "-batch", "-notext", "-in", f"{name}.csr", "-out",
         f"{name}.pem", "-cert", f"{by}.pem", "-keyfile", f"{by}.key", "-md",
         "sha256", "-startdate", "20200101000000Z", "-enddate", end,
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
    short_lived(m, "short", 8)
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
