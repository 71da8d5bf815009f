"""The subscription: godwit follows a control plane of go-control-plane, state
of the world and delta, through all that one does and all that befalls it."""
import json
import os
import re
import signal
import threading
from concurrent import futures

import plane
from mesh import PATIENCE_S, free_port, http_get, occupy, until
from plane import Plane, assignment, cluster, listener, route

NODE = "godwit"
# What is refused by name, and a word of its why.
BAD, WHY = cluster("bad", [1], lb_policy="RING_HASH"), "bad"


class Followed:
    """Services a and b, a plane that leads to a, and a godwit."""

    def __init__(self, m, delta=False, **kwargs):
        self.m, self.delta = m, delta
        self.a, self.b = m.service("a"), m.service("b")
        self.port = free_port()
        self.plane = Plane(m, **kwargs)
        self.set()
        self.file = plane.bootstrap(m, self.plane.port, NODE, delta=delta)
        self.godwit = m.godwit(self.file)
        self.caller = m.caller(self.port)
        self.until_served_by("a")

    def set(self):
        self.plane.set(
            clusters=[cluster("greeter")],
            endpoints=[assignment("greeter", [self.a.port])],
            listeners=[listener("callers", self.port, "routes")],
            routes=[route("routes", [("/demo.Greeter/", "greeter")])])

    def served_by(self):
        answer = self.caller.call(b"")
        return answer.body and answer.body.decode()[:-1]

    def until_served_by(self, name):
        until(lambda: self.served_by() == name, f"{name} is asked")


def updates_and_refusals(m, delta):
    f = Followed(m, delta)
    p = f.plane
    for kind in "clusters", "endpoints", "listeners", "routes":
        p.until_acked(kind, "1", NODE)
    p.update(endpoints=[assignment("greeter", [f.b.port])])
    p.until_acked("endpoints", "2", NODE)
    f.until_served_by("b")
    p.update(clusters=[BAD, cluster("good", [f.a.port])])
    why = p.until_nacked("clusters")[NODE]
    assert "bad: lb_policy: RING_HASH is not built yet" in why, why
    p.update(routes=[route("routes", [("/demo.Greeter/", "good")])])
    f.until_served_by("a")
    p.remove(clusters=["bad"])
    p.until_acked("clusters")
    new = free_port()
    p.update(listeners=[listener("more", new, "routes")])
    assert m.caller(new).call().code == "OK" or until(
        lambda: m.caller(new).call().code == "OK", "the new listener serves")
    p.remove(listeners=["more"])
    until(lambda: m.caller(new).call().code == "UNAVAILABLE",
          "the listener is gone")
    return f


def test_state_of_the_world(m):
    updates_and_refusals(m, False)


def test_delta(m):
    updates_and_refusals(m, True)


class Calling:
    """Calls without a pause, from several callers, until the block ends."""

    def __init__(self, m, port, callers=4):
        self.answers, self.done = [], threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(
            m.caller(port),)) for _ in range(callers)]

    def call(self, caller):
        while not self.done.is_set():
            self.answers.append(caller.call(b""))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for t in self.threads:
            t.join()

    def failed(self):
        return [a for a in self.answers if a.code != "OK"]


def masters_death(m, delta):
    """Its successor has all that it had, with no word of the control plane."""
    f = Followed(m, delta)
    f.plane.kill()
    with Calling(m, f.port) as calls:
        for _ in range(3):
            pid = f.godwit.children()["master"]
            generation = f.godwit.generation()
            os.kill(pid, signal.SIGKILL)
            until(lambda: f.godwit.generation() > generation, "a successor")
    assert not calls.failed(), calls.failed()[0]
    f.plane.start()
    f.plane.set(clusters=[cluster("other", [f.b.port])],
                listeners=[listener("callers", f.port, "routes")],
                routes=[route("routes", [("/demo.Greeter/", "other")])])
    f.until_served_by("b")


def test_masters_death(m):
    masters_death(m, False)


def test_masters_death_delta(m):
    masters_death(m, True)


def switches(m, delta):
    """One snapshot adds a cluster, switches the routes to it and drops the
    old one; no call fails. (Envoy fails some in each.)"""
    f = Followed(m, delta)
    services = f.a, f.b
    with Calling(m, f.port) as calls:
        for i in range(20):
            name = f"greeter{i}"
            f.plane.set(
                clusters=[cluster(name)],
                endpoints=[assignment(name, [services[i % 2].port])],
                listeners=[listener("callers", f.port, "routes")],
                routes=[route("routes", [("/demo.Greeter/", name)])])
            f.until_served_by("ab"[i % 2])
    assert len(calls.answers) > 100
    assert not calls.failed(), calls.failed()[0]


def test_switches(m):
    switches(m, False)


def test_switches_delta(m):
    switches(m, True)


def test_the_control_plane_comes_and_goes(m):
    """Silent, gone and back: what is there goes on; what changed meanwhile is
    used as soon as it is back."""
    f = Followed(m)
    with Calling(m, f.port) as calls:
        f.plane.freeze()
        assert f.served_by() == "a"
        f.plane.thaw()
        for _ in range(3):
            f.plane.restart()
            f.set()
            f.plane.until_acked("routes", node=NODE)
        f.plane.drop()
        f.plane.update(endpoints=[assignment("greeter", [f.b.port])])
        f.until_served_by("b")
    assert not calls.failed(), calls.failed()[0]


def test_an_address_that_cannot_be_bound(m):
    """Its listener is in the NACK, its siblings serve."""
    f = Followed(m)
    taken, free = free_port(), free_port()
    with occupy(taken):
        f.plane.update(listeners=[listener("taken", taken, "routes"),
                                  listener("free", free, "routes")])
        why = f.plane.until_nacked("listeners")[NODE]
        assert "taken: " in why and "free" not in why and \
            str(taken) in why, why
        until(lambda: m.caller(free).call().code == "OK", "free serves")
    assert f.served_by() == "a"


def test_a_reload_beside_it(m):
    """A file's resources stand beside those of the control plane, which a
    reload leaves as they are."""
    f = Followed(m)
    own = free_port()
    with Calling(m, f.port) as calls:
        for i in range(5):
            plane.bootstrap(
                m, f.plane.port, NODE, clusters=[cluster("own", [f.b.port])],
                listeners=[listener("own", own, route(
                    "own", [("/demo.Greeter/", "own")]))][:(i + 1) % 2])
            code, said = f.godwit.command("reload")
            assert code == 0, said
            assert m.caller(own).call().code == ("UNAVAILABLE", "OK")[
                (i + 1) % 2]
    assert not calls.failed(), calls.failed()[0]


def test_a_file_of_three_lines(m):
    """Who we are, where, whom to follow."""
    service, port = m.service("a"), free_port()
    p = Plane(m, tls="ems", client_certificates=True)
    p.set(clusters=[cluster("greeter", [service.port])],
          listeners=[listener("callers", port, route(
              "routes", [("/demo.Greeter/", "greeter")]))])
    tls = m.certificates()
    file = m.write("sidecar.yaml", f"""\
node: {{id: cart-1, locality: {{region: us}}}}
godwit: {{ems: "127.0.0.1:{p.port}", ems_ca: {tls}/ca.pem,
  ems_certificate: {tls}/us-local.pem, ems_key: {tls}/us-local.key}}
""")
    g = m.godwit(file)
    until(lambda: m.caller(port).call().code == "OK", g.log)


def test_clusters_by_name(m):
    """Without a cds_config only what routes name is asked for, and forgotten
    with the last route that names it."""
    port, names = free_port(), ("a", "b")
    services = {n: m.service(n) for n in names}
    p = Plane(m)

    def set(name):
        p.set(clusters=[cluster(n) for n in ("unused", *names)],
              endpoints=[assignment(n, [s.port]) for n, s in
                         services.items()],
              listeners=[listener("callers", port, "routes")],
              routes=[route("routes", [("/demo.Greeter/", name)])])
    set("a")
    file = plane.bootstrap(m, p.port, NODE, delta=True)
    with open(file) as f:
        text = f.read()
    it = json.loads(text)
    del it["dynamic_resources"]["cds_config"]
    g = m.godwit(m.write("named.json", json.dumps(it)))
    caller = m.caller(port)
    for name in "aba":
        set(name)
        until(lambda: caller.call(b"").body == name.encode() + b":", name)
        until(lambda: clusters(g) == 2, "the control plane's and this one")
    asked = {n for r in p.requests("clusters", NODE) for n in
             r.get("subscribe") or r.get("names") or ()}
    assert asked == {"a", "b"}, asked


def clusters(g):
    _, text = http_get(f"{g.run_dir}/admin.sock", "/generations")
    return int(re.search(r"clusters: (\d+)", text)[1])


def test_masters_death_after_removals(m):
    """What came and went is in the journal that its successor reads."""
    f = Followed(m)
    for name in "xyz":
        f.plane.update(clusters=[cluster("greeter"),
                                 cluster(name, [f.b.port])])
        f.plane.until_acked("clusters")
        f.plane.remove(clusters=[name])
        f.plane.until_acked("clusters")
    f.plane.kill()
    generation = f.godwit.generation()
    os.kill(f.godwit.children()["master"], signal.SIGKILL)
    until(lambda: f.godwit.generation() > generation, "a successor")
    assert f.served_by() == "a"


def with_own(m, f, port):
    """Its file with a listener of its own there, after this."""
    plane.bootstrap(m, f.plane.port, NODE, clusters=[cluster("own",
                                                             [f.b.port])],
                    listeners=[listener("own", port, route(
                        "own", [("/demo.Greeter/", "own")]))])


def test_a_refused_file_is_nobodys(m):
    """Neither a change that follows nor a dead master's successor has it."""
    f = Followed(m)
    taken, new = free_port(), free_port()
    with occupy(taken):
        with_own(m, f, taken)
        code, said = f.godwit.command("reload")
        assert code == 1 and str(taken) in said, said
        f.plane.update(listeners=[listener("new", new, "routes")])
        until(lambda: m.caller(new).call().code == "OK", "new serves")
        generation = f.godwit.generation()
        os.kill(f.godwit.children()["master"], signal.SIGKILL)
        until(lambda: f.godwit.generation() > generation, "a successor")
        assert f.served_by() == "a" and m.caller(new).call().code == "OK"


def slept(pid):
    """How often a process had nothing to do."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(),
                             re.M)[1])


def test_a_reload_waits_for_a_change_that_is_refused(m):
    """It is asked for while a listener that can't be bound is on its way."""
    f = Followed(m)
    taken, own = free_port(), free_port()
    master = f.godwit.children()["master"]
    with_own(m, f, own)
    with occupy(taken), futures.ThreadPoolExecutor() as pool:
        os.kill(master, signal.SIGSTOP)
        seq = f.plane.seq()
        f.plane.update(listeners=[listener("taken", taken, "routes")])
        until(lambda: f.plane.events("listeners", since=seq,
                                     what="response"), "it is sent")
        before = slept(f.godwit.pid)
        reload = pool.submit(f.godwit.command, "reload")
        until(lambda: slept(f.godwit.pid) > before + 1, "the keeper passes it")
        os.kill(master, signal.SIGCONT)
        code, said = reload.result(PATIENCE_S)
        assert code == 0, said
        why = f.plane.until_nacked("listeners")[NODE]
    assert "taken" in why, why
    until(lambda: m.caller(own).call(b"").body == b"b:", "own serves")
    assert f.served_by() == "a"
