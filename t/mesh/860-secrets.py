"""Secrets by name: certificates, keys and CAs that a control plane sends, in
use, replaced, and bad.

    callers ──> outer ──mutual TLS──> inner ──> service
                  └──── mutual TLS──> spy: says which certificate it was shown
    callers ──mutual TLS──────────────^
    outer and inner are listeners of one godwit: inner's certificate is the
    secret "server", outer's towards it is "client", both check by "ca"
"""
import contextlib
import glob
import os
import re
import socket
import ssl
import subprocess
import threading

import plane
from load import Chat, Load, Unary
from mesh import GATEWAY, free_port, http_get, until
from plane import Files, Plane, cluster, listener, route
from storm import StormService, count

NODE = "godwit"
URI = "spiffe://mesh/region/us/host/local"


def make(m, name, ca="ca"):
    """A certificate by a CA of t/lib/mint's, and a key of its own; their
    names are all a server or a client needs."""
    tls = m.certificates()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-batch", "-subj",
         f"/CN={name}", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-keyout",
         f"{name}.key", "-out", f"{name}.pem", "-addext",
         f"subjectAltName=URI:{URI},DNS:{GATEWAY}", "-addext",
         "basicConstraints=critical,CA:FALSE", "-addext",
         "extendedKeyUsage=serverAuth,clientAuth"],
        check=True, cwd=tls, stderr=subprocess.PIPE)
    return name


def secret(m, name, certificate, key=None):
    """A secret: certificate and key by the names of their files."""
    return plane.secret(name, m.pem(f"{certificate}.pem").decode(),
                        m.pem(f"{key or certificate}.key").decode())


def authority(m, name="ca", file="ca"):
    return plane.authority(name, m.pem(f"{file}.pem").decode())


def common_name(certificate):
    return dict(pair for rdn in certificate["subject"] for pair in rdn)[
        "commonName"]


class Spy:
    """A TLS server that only asks who calls, again and again."""

    def __init__(self, m):
        tls = m.certificates()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{tls}/eu-gateway.pem",
                                     f"{tls}/eu-gateway.key")
        self.context.load_verify_locations(f"{tls}/ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.set_alpn_protocols(["h2"])
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.seen = self.socket.getsockname()[1], None
        threading.Thread(target=self.run, daemon=True).start()
        m.callback(self.stop)

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def run(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(raw, server_side=True) as s:
                    self.seen = common_name(s.getpeercert())
            except OSError:
                raw.close()


class Secrets:
    """The mesh above. source: of the secrets, in place of ADS."""

    def __init__(self, m, delta, source=plane.ADS, plane_tls=False):
        self.m, self.delta = m, delta
        self.service = m.service("a", kind=StormService)
        self.outer, self.inner = free_port(), free_port()
        self.spy = Spy(m)
        for name in "server0", "client0":
            make(m, name)
        self.plane = Plane(m, tls="ems" if plane_tls else None)
        client = plane.client_tls(GATEWAY, "client", "ca", source)
        self.plane.set(
            clusters=[cluster("inner", [self.inner], tls=client),
                      cluster("spy", [self.spy.port], tls=client),
                      cluster("service", [self.service.port])],
            listeners=[
                listener("outer", self.outer, route("outer", [
                    ("/spy.", "spy"), ("/", "inner")])),
                listener("inner", self.inner, route("inner", [
                    ("/", "service")]),
                    tls=plane.server_tls("server", "ca", source))],
            secrets=[authority(m), secret(m, "server", "server0"),
                     secret(m, "client", "client0")])
        self.godwit = m.godwit(plane.bootstrap(
            m, self.plane.port, NODE, delta=delta, tls=plane.files_tls(
                m, "us-local", "localhost") if plane_tls else None))
        self.caller = m.caller(self.outer)
        until(lambda: self.caller.call(b"").code == "OK", "a is asked")

    def shown(self):
        """Whose certificate inner shows to a new connection."""
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls = self.m.certificates()
        c.load_verify_locations(f"{tls}/ca.pem")
        c.load_cert_chain(f"{tls}/us-local.pem", f"{tls}/us-local.key")
        c.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", self.inner)) as raw:
            with c.wrap_socket(raw, server_hostname=GATEWAY) as s:
                return common_name(s.getpeercert())

    def spied(self):
        """Whose certificate outer shows to a new server."""
        self.spy.seen = None
        self.caller.call(method="/spy.Spy/Look")
        return self.spy.seen

    def refused(self, what, *words):
        """It is, in these words; what was there goes on."""
        before = self.shown(), self.spied()
        self.plane.update(secrets=[what])
        why = self.plane.until_nacked("secrets")[NODE]
        assert all(w in why for w in (what["name"], *words)), why
        assert (self.shown(), self.spied()) == before
        assert self.caller.call(b"").code == "OK"
        return why


def rotates(s, put):
    """put(i, server, client): certificates by the names of their files."""
    m, load = s.m, Load()
    tls = m.credentials("us-local")
    for kind in Unary, Chat:
        load.add(kind, 2, s.outer)
        load.add(kind, 2, s.inner, tls)
    for i in range(1, count(21, 201)):
        new = [make(m, f"server{i}"), make(m, f"client{i}")]
        put(i, *new)
        until(lambda: [s.shown(), s.spied()] == new, f"{new} are shown")
        load.moved()
    load.stop()
    load.is_well()
    chats = [c for c in load.clients if type(c) is Chat]
    assert all(c.turns > 20 for c in chats)


def rotates_by_plane(m, delta):
    s = Secrets(m, delta)
    rotates(s, lambda i, server, client: s.plane.update(
        secrets=[secret(m, "server", server), secret(m, "client", client)]))
    assert not s.plane.nacks("secrets")


def test_rotation(m):
    rotates_by_plane(m, False)


def test_rotation_delta(m):
    rotates_by_plane(m, True)


def test_rotation_by_file(m):
    """As Kubernetes mounts them: a folder that ..data leads to, which is
    swapped. Keys stand in the file, or in files that it names."""
    f, tls = Files(m, "mounted"), m.certificates()

    def named(name, certificate):
        return {"name": name, "tls_certificate": {
            "certificate_chain": {"filename": f"{tls}/{certificate}.pem"},
            "private_key": {"filename": f"{tls}/{certificate}.key"}}}

    def put(i, server, client):
        one = Files(m, f"mounted/..{i}")
        one.set(secrets=[authority(m), secret(m, "server", server) if i % 2
                         else named("server", server),
                         named("client", client) if i % 2 else
                         secret(m, "client", client)])
        os.symlink(f"..{i}", f"{f.dir}/..new")
        os.rename(f"{f.dir}/..new", f"{f.dir}/..data")

    for name in "server0", "client0":
        make(m, name)
    put(0, "server0", "client0")
    os.symlink("..data/secrets.json", f.path("secrets"))
    s = Secrets(m, False, f.source("secrets"))
    rotates(s, put)
    assert not s.plane.tally("secrets"), "no control plane is asked"
    # A pair that is none: refused, with its place; what is there goes on.
    last = s.shown()
    f.set(secrets=[authority(m), secret(m, "server", "server1", "client1"),
                   secret(m, "client", "client1")])
    until(lambda: "does not belong" in s.godwit.log(), s.godwit.log)
    assert f"{f.path('secrets')}:" in s.godwit.log()
    until(lambda: s.spied() == "client1", "its sibling is used")
    assert s.shown() == last
    for name in "server1", "client1":
        key = m.pem(f"{name}.key").splitlines()[1].decode()
        assert key not in s.godwit.log()


def bad_ones(m, delta):
    """Each is refused by name; the old one goes on, and good siblings are
    used."""
    s = Secrets(m, delta)
    make(m, "other")
    text = m.pem("other.pem").decode()
    s.refused(plane.secret("server", "junk", "junk"), "PEM")
    s.refused(plane.secret("server", text, "junk"), "key")
    s.refused(plane.secret("server", text[:200] + text[220:],
                           m.pem("other.key").decode()), "certificate")
    s.refused(secret(m, "server", "other", key="server0"),
              "does not belong")
    s.refused(secret(m, "client", "other", key="server0"),
              "does not belong")
    s.refused(secret(m, "server", "expired"), "expired")
    s.refused(plane.authority("ca", "junk"), "PEM")
    s.refused({"name": "server"}, "empty")
    # Good by themselves, and of no use to who has them.
    s.refused(authority(m, "server"), "is no certificate")
    s.refused(secret(m, "ca", "other"), "is a certificate")
    s.refused({"name": "ca", "validation_context": {}}, "trusted_ca")
    s.plane.update(secrets=[
        secret(m, "server", "other", key="server0"), authority(m),
        secret(m, "client", "other")])
    until(lambda: s.spied() == "other", "a good sibling is used")
    assert s.shown() == "server0"
    why = s.plane.until_nacked("secrets")[NODE]
    assert "server: " in why and "client" not in why, why
    s.plane.update(secrets=[secret(m, "server", "other")])
    s.plane.until_acked("secrets")
    assert s.shown() == "other"


def test_bad_ones(m):
    bad_ones(m, False)


def test_bad_ones_delta(m):
    bad_ones(m, True)


def test_one_that_never_comes(m):
    """Its listener is not served, its cluster's calls fail; neither keeps
    others back, and both are there as soon as it is."""
    s = Secrets(m, True)
    port, later = free_port(), secret(m, "later", "client0")
    s.plane.update(
        clusters=[cluster("late", [s.inner], tls=plane.client_tls(
            GATEWAY, "later", "ca"))],
        listeners=[listener("late", port, route("late", [("/", "service")]),
                            tls=plane.server_tls("later", "ca")),
                   listener("outer", s.outer, route("outer", [
                       ("/late.", "late"), ("/spy.", "spy"),
                       ("/", "inner")]))])
    until(lambda: any("later" in (e.get("names") or ()) for e in
                      s.plane.requests("secrets")), "it is asked for")
    s.plane.until_acked("clusters")
    s.plane.until_acked("listeners")
    caller = m.caller(port, m.credentials("us-local"))
    assert caller.call(timeout=1).code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert s.caller.call(b"").code == "OK"
    s.plane.update(secrets=[later])
    until(lambda: caller.call(b"").code == "OK", "the listener serves")
    until(lambda: s.caller.call(b"", method="/late.Greeter/SayHello").code ==
          "OK", "its cluster is used")


def written(file):
    """The bytes of a sparse file, without its holes."""
    size, at, found = os.fstat(file.fileno()).st_size, 0, []
    while at < size:
        try:
            at = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:         # nothing behind it
            break
        end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
        found.append(os.pread(file.fileno(), end - at, at))
        at = end
    return b"".join(found)


def memories(pids):
    """{inode: bytes} of all memfds that they have open."""
    found = {}
    for path in (p for pid in pids for p in glob.glob(f"/proc/{pid}/fd/*")):
        with contextlib.suppress(FileNotFoundError):    # closed meanwhile
            if os.readlink(path).startswith("/memfd:"):
                with open(path, "rb") as f:
                    found[os.fstat(f.fileno()).st_ino] = written(f)
    return found


def mapped(pid):
    """{inode: whether it is in no core} of the memfds that it maps."""
    found = {}
    with open(f"/proc/{pid}/smaps") as f:
        for inode, flags in re.findall(
                r"(\d+) +/memfd:godwit-[^\n]*\n.*?\nVmFlags:([^\n]*)",
                f.read(), re.S):
            found[int(inode)] = "dd" in flags.split()
    return found


def test_keys_stay_where_they_belong(m):
    """In the arena of secrets, which is in no core: not in what else the
    processes share, not in what the admin says, not in the log."""
    s = Secrets(m, True)
    make(m, "server1")
    s.plane.update(secrets=[secret(m, "server", "server1")])
    until(lambda: s.shown() == "server1", "the new one is used")
    pids = s.godwit.children().values()
    for name in "server1", "client0":
        key = m.pem(f"{name}.key").splitlines()[1]
        shared = memories([s.godwit.pid, *pids])
        where, = {inode for inode, text in shared.items() if key in text}
        assert m.pem("ca.pem").splitlines()[1] not in shared[where]
        assert [mapped(pid)[where] for pid in pids] == [True] * 2
        assert not all(mapped(s.godwit.children()["master"]).values())
        for path in "/", "/generations", "/stats", "/config_dump":
            _, text = http_get(f"{s.godwit.run_dir}/admin.sock", path)
            assert key.decode() not in text, path
        assert key.decode() not in s.godwit.log()


def private(pid, text):
    """Where text is in the memory that a process has for itself alone; None: we
    may not look."""
    found = []
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as mem, \
                open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                place, rights, *_, name = (line.rstrip("\n") + " ").split(
                    " ", 5)
                if rights[0] != "r" or "/" in name or "[v" in name:
                    continue
                begin, end = (int(x, 16) for x in place.split("-"))
                if end - begin > 1 << 28:       # a sanitizer's own
                    continue
                mem.seek(begin)
                with contextlib.suppress(OSError):
                    found += [f"{place} {name.strip()}"] * mem.read(
                        end - begin).count(text)
    except PermissionError:
        return None
    return found


def no_copy_is_left(m, delta, plane_tls):
    s = Secrets(m, delta, plane_tls=plane_tls)
    for i in range(3):
        make(m, f"server{i + 1}")
        s.plane.update(secrets=[secret(m, "server", f"server{i + 1}")])
        until(lambda: s.shown() == f"server{i + 1}", "it is used")
    s.plane.update(secrets=[secret(m, "server", "server1", key="client0")])
    s.plane.until_nacked("secrets")
    for name in "server1", "server3", "client0":
        key = m.pem(f"{name}.key").splitlines()[1]
        for child, pid in s.godwit.children().items():
            found = private(pid, key)
            if found is None:
                print("not run: that needs root")
                return
            assert found == [], (name, child, found)
    assert private(s.godwit.children()["master"], b"GODWIT"), "we can look"


def test_no_copy_is_left(m):
    """What a control plane sent passes through buffers that keep nothing."""
    no_copy_is_left(m, False, False)


def test_no_copy_is_left_tls(m):
    no_copy_is_left(m, True, True)
