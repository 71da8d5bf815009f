"""The checkpoint: with the control plane dead and every process started anew,
godwit serves what it served; when one is back, what that has."""
import os
import signal
import struct

import plane
from mesh import PATIENCE_S, free_port, gone, until
from plane import Plane, assignment, cluster, listener, route

NODE = "godwit"
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

    def set(self, name, service, **more):
        """All of it leads to a cluster of this name."""
        self.plane.set(
            clusters=[cluster(name)],
            endpoints=[assignment(name, [service.port])],
            listeners=[listener("callers", self.port, "routes")],
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
