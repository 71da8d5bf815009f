"""The checkpoint: with the control plane dead and every process started anew,
godwit serves what it served; when one is back, what that has."""
import os
import resource
import signal
import struct
import time

import plane
from mesh import PATIENCE_S, free_port, gone, occupy, until
from plane import Plane, assignment, cluster, listener, route

NODE = "godwit"
ROOM_BYTES = 200000        # for our log, not for 2,000 clusters
HEAD = struct.Struct("=QIIQ")       # magic, layout, identity, sequence


class Kept:
    """Services a and b, a plane that leads to a, and a godwit whose folders
    stay when it ends."""

    def __init__(self, m, delta=False):
        self.m = m
        self.a, self.b = m.service("a"), m.service("b")
        self.port = free_port()
        self.plane = Plane(m)
        self.set("greeter", self.a)
        self.file = plane.bootstrap(m, self.plane.port, NODE, delta=delta)
        self.state = os.path.join(m.dir, "state")
        self.start()
        self.until_served_by("a")
        self.until_kept("greeter")

    def set(self, name, service, clusters=(), tls=None, **more):
        """All of it leads to a cluster of this name."""
        self.plane.set(
            clusters=[cluster(name), *clusters],
            endpoints=[assignment(name, [service.port])],
            listeners=[listener("callers", self.port, "routes", tls=tls)],
            routes=[route("routes", [("/demo.Greeter/", name)])], **more)

    def start(self, **kwargs):
        self.godwit = self.m.godwit(
            self.file, run_dir=os.path.join(self.m.dir, "run"),
            state_dir=self.state, **kwargs)
        self.caller = self.m.caller(self.port)

    def end(self):
        """Every process at once, as a machine does that loses its power."""
        pids = self.godwit.children().values()
        self.godwit.signal(signal.SIGKILL)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.godwit.exit_code()
        until(lambda: all(gone(pid) for pid in pids), "all are gone")

    def restart(self, **kwargs):
        self.end()
        self.start(**kwargs)

    # ---- what is on the disk

    def files(self, base="resources"):
        """{path: bytes}, the newest last."""
        found = {}
        for end in "ab":
            path = os.path.join(self.state, f"{base}.{end}")
            try:
                with open(path, "rb") as f:
                    found[path] = f.read()
            except FileNotFoundError:
                pass
        return dict(sorted(found.items(),
                           key=lambda i: HEAD.unpack_from(i[1])[3]))

    def newest(self, base="resources"):
        return list(self.files(base).items())[-1]

    def until_kept(self, name):
        """What set made is on the disk, all of it: cluster and endpoints say
        their name twice, routes once."""
        until(lambda: self.files() and
              self.newest()[1].count(name.encode()) == 5,
              lambda: f"{name} is kept: {self.files()}")

    def half(self):
        """The file that is being written, or that a death left."""
        try:
            found = os.stat(os.path.join(self.state, "resources.new"))
            return found.st_ino, found.st_ctime_ns
        except FileNotFoundError:
            return None

    def until_writing(self, change):
        """Looked for without a pause: it is there for a moment. On a busy
        machine that may be missed, and then it is written."""
        left, end = self.half(), time.monotonic() + PATIENCE_S
        before = self.files()
        change()
        while self.half() in (None, left) and self.files() == before:
            assert time.monotonic() < end, "it is never written"

    def flip(self, path):
        with open(path, "r+b") as f:
            data = bytearray(f.read())
            data[len(data) // 2] ^= 1
            f.seek(0)
            f.write(data)

    # ---- calls

    def served_by(self):
        answer = self.caller.call(b"")
        return answer.body and answer.body.decode()[:-1]

    def until_served_by(self, name):
        until(lambda: self.served_by() == name, f"{name} is asked")


def starts_without_a_control_plane(m, delta):
    """The first call is answered, and all that come back later counts."""
    k = Kept(m, delta)
    k.plane.kill()
    k.restart()
    assert k.served_by() == "a", k.godwit.log()
    assert "4 resources are used" in k.godwit.log(), k.godwit.log()
    k.restart()
    assert k.served_by() == "a", k.godwit.log()
    k.plane.start()
    k.set("other", k.b)
    k.until_served_by("b")
    k.until_kept("other")
    assert b"greeter" not in k.newest()[1]
    k.plane.kill()
    k.restart()
    assert k.served_by() == "b", k.godwit.log()


def test_no_control_plane(m):
    starts_without_a_control_plane(m, False)


def test_no_control_plane_delta(m):
    starts_without_a_control_plane(m, True)


def what_is_told(m, delta):
    """A server whose numbers began anew, so that one means something else, is
    heard; and what it has no more goes."""
    k = Kept(m, delta)
    k.plane.update(clusters=[cluster("greeter"), cluster("more", [1])],
                   version="7")
    until(lambda: b"more" in k.newest()[1], "more is kept")
    k.end()
    since = k.plane.seq()
    k.set("other", k.b, version="1")
    k.start()
    k.until_served_by("b")
    until(lambda: b"more" not in k.newest()[1], "more is gone")
    first = {e["kind"]: e for e in
             reversed(k.plane.requests(node=NODE, since=since))}
    assert not any(e.get("version") for e in first.values()), first
    assert [*(first["clusters"].get("initial") or ())] == (
        ["greeter", "more"] if delta else []), first


def test_what_is_told(m):
    what_is_told(m, False)


def test_what_is_told_delta(m):
    what_is_told(m, True)


class KeptSecrets(Kept):
    """Its listener has its certificate from the plane."""

    def set(self, name, service, **more):
        chain, key = (self.m.pem(f"eu-gateway.{end}").decode()
                      for end in ("pem", "key"))
        super().set(name, service, tls=plane.server_tls("own"),
                    secrets=[plane.secret("own", chain, key)], **more)

    def start(self, **kwargs):
        super().start(**kwargs)
        self.caller = self.m.caller(self.port, self.m.credentials("us-local"))


def secrets(m, delta):
    """TLS too is there at once; keys are in the files of secrets alone, which
    nobody else reads."""
    k = KeptSecrets(m, delta)
    key = m.pem("eu-gateway.key").splitlines()[1]
    k.plane.kill()
    for _ in range(2):
        assert any(key in data for data in k.files("secrets").values())
        assert not any(key in data for data in k.files().values())
        for path in [*k.files("secrets"), *k.files()]:
            assert os.stat(path).st_mode & 0o777 == 0o600, path
        k.restart()
        assert k.served_by() == "a", k.godwit.log()
    k.plane.start()
    k.set("other", k.b)
    k.until_served_by("b")


def test_secrets(m):
    secrets(m, False)


def test_secrets_delta(m):
    secrets(m, True)


def test_damage(m):
    """The newest is damaged: the older one is used, and said; both are: a
    start as without any."""
    k = Kept(m)
    k.set("other", k.b)
    k.until_kept("other")
    k.end()
    k.plane.kill()
    k.flip(k.newest()[0])
    k.start()
    log = k.godwit.log()
    assert "is damaged; the older one is used" in log, log
    assert k.served_by() == "a", log
    k.end()
    for path, data in k.files().items():
        with open(path, "wb") as f:
            f.write(data[:-1])
    k.start()
    log = k.godwit.log()
    assert log.count("is damaged") == 2 and "no checkpoint of node" in log, log
    assert k.caller.call(b"").code == "UNAVAILABLE"
    k.plane.start()
    k.set("greeter", k.a)
    k.until_served_by("a")
    k.until_kept("greeter")


def test_a_full_disk(m):
    """No room for what is sent: it is served, and said once not to be kept;
    what is on the disk stays, and the next is written when there is room."""
    k = Kept(m)
    master = k.godwit.children()["master"]
    _, most = resource.prlimit(master, resource.RLIMIT_FSIZE)
    resource.prlimit(master, resource.RLIMIT_FSIZE, (ROOM_BYTES, most))
    before = k.files()
    more = [cluster(f"more-{i}", [k.a.port]) for i in range(2000)]
    k.set("other", k.b, more)
    k.until_served_by("b")
    until(lambda: "the checkpoint is not written: can't write "
          f"{k.state}/resources: File too large; it is tried again" in
          k.godwit.log(), k.godwit.log)
    assert "can't be kept for a master's successor" in k.godwit.log()
    assert k.files() == before and k.half() is None
    # Its successor begins with what was kept, and is told the rest.
    os.kill(master, signal.SIGKILL)
    until(lambda: k.godwit.children().get("master", master) != master,
          "another master is there")
    k.until_served_by("b")
    # The first's limit has ended with it.
    until(lambda: k.files() != before, k.godwit.log)
    k.plane.kill()
    k.restart()
    assert k.served_by() == "b", k.godwit.log()
    assert "2004 resources are used" in k.godwit.log(), k.godwit.log()


def test_another_node(m):
    """What is another's is not served."""
    k = Kept(m)
    k.end()
    k.plane.kill()
    with open(k.file) as f:
        text = f.read().replace(f'"id": "{NODE}"', '"id": "another"')
    m.write(os.path.basename(k.file), text)
    k.start()
    log = k.godwit.log()
    assert f'is of "{NODE}", not of "another"' in log, log
    assert k.caller.call(b"").code == "UNAVAILABLE"


def test_deaths_while_it_is_written(m):
    """All processes, or the master alone, die while a file is half there."""
    k = Kept(m)
    for i in range(6):
        k.until_writing(lambda: k.plane.update(generate=plane.bulk(
            400, 2, [k.a.port], name=f"n{i}-"), clusters=[cluster("greeter")],
            endpoints=[assignment("greeter", [k.a.port])]))
        if i % 2 == 0:
            os.kill(k.godwit.children()["master"], signal.SIGKILL)
            until(lambda: f"n{i}-399".encode() in k.newest()[1],
                  "its successor writes it")
        else:
            k.end()
            k.plane.freeze()
            k.start()
            assert k.served_by() == "a", k.godwit.log()
            k.plane.thaw()


def test_addresses_that_cannot_be_bound(m):
    """A listener of the checkpoint is left out, its siblings serve at once;
    one of the file is a reason not to start. The plane hears of it."""
    k = Kept(m)
    taken, free, own = free_port(), free_port(), free_port()
    k.plane.update(listeners=[listener(n, p, "routes") for n, p in (
        ("callers", k.port), ("taken", taken), ("free", free))])
    until(lambda: b"taken" in k.newest()[1], "all are kept")
    k.end()
    k.plane.freeze()
    with occupy(taken):
        k.start()
        log = k.godwit.log()
        assert 'listener "taken" of the checkpoint is left out: listener ' \
            f"taken: 127.0.0.1:{taken} is in use" in log, log
        assert k.served_by() == "a" and m.caller(free).call().code == "OK"
        k.plane.thaw()
        assert "taken: " in k.plane.until_nacked("listeners", node=NODE)[NODE]
    k.end()
    plane.bootstrap(m, k.plane.port, NODE, listeners=[
        listener("own", own, route("own", [("/", plane.CLUSTER)]))])
    with occupy(own):
        refused = m.start(k.file, state_dir=k.state)
        assert refused.exit_code() == 1
        assert f"listener own: 127.0.0.1:{own} is in use" in refused.log()
    k.start()
    until(lambda: m.caller(taken).call().code == "OK", "taken is free")


def test_none_is_kept(m):
    """A folder that can't be: said once, and all else goes on."""
    k = Kept(m)
    k.end()
    k.state = m.write("no-folder", "")
    k.start()
    k.set("other", k.b)
    k.until_served_by("b")
    k.plane.kill()
    log = k.godwit.log()
    assert log.count("no checkpoint is kept") == 1, log
    k.state = "off"
    k.restart()
    assert "the setting state_dir is off" in k.godwit.log()
    code, said = m.run("-c", k.file, "-o", "state_dir=here", "-o",
                       f"run_dir={m.dir}/other")
    assert code == 1 and "expected /FOLDER or off" in said, said


def test_a_check_does_not_touch_it(m):
    k = Kept(m)
    k.end()
    before = k.files()
    code, said = m.run("-t", "-c", k.file, "-o", f"state_dir={k.state}")
    assert code == 0, said
    assert k.files() == before
    code, said = m.run("-t", "-c", k.file, "-o", f"state_dir={m.dir}/none")
    assert code == 0 and not os.path.exists(f"{m.dir}/none"), said


def test_two_of_them(m):
    """A folder is one godwit's."""
    k = Kept(m)
    other = m.godwit(k.file, state_dir=k.state)
    assert "another godwit uses the folder" in other.log(), other.log()
