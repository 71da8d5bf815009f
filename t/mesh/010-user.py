"""Started as root with the setting user: who the children are, and that all
goes on when the master no more is who started it.

Only where the tests run as root, in a mount namespace with a /run and a
/var/lib of its own; elsewhere each says so and passes.
"""
import os
import pwd
import subprocess

import plane
from mesh import GODWIT, Proxy, can_connect, free_port, http_get, until
from plane import Plane, cluster, listener, route

USER = "nobody"
OWN = "mount -t tmpfs own /run && mount -t tmpfs own /var/lib"


def possible():
    if os.geteuid() != 0 or subprocess.run(
            ["unshare", "-m", "sh", "-c", OWN],
            stderr=subprocess.DEVNULL).returncode != 0:
        print("not run: that needs root, and a mount namespace")
        return False
    return True


class Ours:
    """A godwit of the defaults for root, and its control plane."""

    def __init__(self, m, before="true"):
        self.m, self.port, self.plane = m, free_port(), Plane(m)
        self.plane.set(
            clusters=[cluster("a", [free_port()])],
            listeners=[listener("a", self.port, route("a", [("/", "a")]))])
        file = plane.bootstrap(m, self.plane.port, "godwit")
        os.chmod(m.dir, 0o755)
        self.godwit = Proxy(m, [
            "unshare", "-m", "sh", "-c",
            f'{OWN} && {before} && exec "$@"', "sh", GODWIT, "-c", file,
            "-o", f"user={USER}", "-o", "workers=1"], None, "godwit")
        m.proxies.append(self.godwit)
        m.callback(self.godwit.stop)
        until(lambda: "is serving" in self.godwit.log() or
              self.godwit.exited(), self.godwit.log)
        assert not self.godwit.exited(), self.godwit.log()
        self.root = f"/proc/{self.godwit.pid}/root"
        self.godwit.run_dir = f"{self.root}/run/godwit"
        until(lambda: can_connect(self.port), "it listens")

    def children(self):
        """{name: user}"""
        found = {}
        for name, pid in self.godwit.children().items():
            with open(f"/proc/{pid}/status") as f:
                ids = next(x for x in f if x.startswith("Uid:")).split()[1:]
            assert len(set(ids)) == 1, ids
            found[name] = pwd.getpwuid(int(ids[0])).pw_name
        return found

    def are_nobody(self):
        assert self.children() == {"master": USER, "worker 0": USER}

    def reloads(self):
        code, text = self.godwit.command("reload")
        assert code == 0, text

    def another(self, child):
        before = self.godwit.children()[child]
        os.kill(before, 9)
        until(lambda: self.godwit.children().get(child, before) != before and
              http_get(f"{self.godwit.run_dir}/admin.sock", "/status")[0] ==
              200, f"another {child}")
        self.are_nobody()


def test_children_and_reloads(m):
    if not possible():
        return
    o = Ours(m)
    o.are_nobody()
    o.reloads()
    o.another("master")
    o.reloads()
    o.another("worker 0")
    assert "run_dir" not in o.godwit.log().split("is serving")[1] \
        .split("\n", 1)[1]


def owner(path):
    return pwd.getpwuid(os.stat(path).st_uid).pw_name


def test_state_dir_is_theirs(m):
    if not possible():
        return
    o = Ours(m)
    state = f"{o.root}/var/lib/godwit"
    assert owner(state) == USER
    until(lambda: os.path.exists(f"{state}/resources.a") or
          os.path.exists(f"{state}/resources.b"), o.godwit.log)
    o.another("master")
    for name in os.listdir(state):
        assert owner(f"{state}/{name}") == USER
    assert "no checkpoint is kept" not in o.godwit.log()


def test_state_dir_is_not_theirs(m):
    """It serves, and says whose it is and what is missing."""
    if not possible():
        return
    o = Ours(m, "mkdir -m 755 /var/lib/godwit")
    said = o.godwit.log().split("no checkpoint is kept: ")[1].split("\n")[0]
    assert "/var/lib/godwit" in said and USER in said, said
    o.reloads()
