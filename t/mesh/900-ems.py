"""godwit-ems with godwit as sidecar and gateway: where calls go by what people
wrote, and what callers see while it changes, dies and comes back."""
import contextlib
import os
import time

from ems_mesh import GREETER, EmsMesh, until_from, who
from mesh import occupy, until


def two_regions(m):
    w = EmsMesh(m)
    w.service("us1", "us")
    w.service("eu1", "eu")
    w.gateway()
    w.sidecar()
    return w


def refused(answer, code, why):
    assert (answer.code, why in answer.message) == (code, True), answer


# ---- where calls go

def test_regions(m):
    w = two_regions(m)
    c = w.caller()
    until_from(c, "us1")
    until_from(c, "us1", region="us")
    until_from(c, "eu1", region="eu")
    refused(c.call(region="mars"), "UNIMPLEMENTED", "no such region")
    assert c.call(method="/demo.Nobody/SayHello").code == "UNIMPLEMENTED"
    # A gateway is no way through to others, nor for who has no certificate.
    refused(w.gateway_caller().call(region="us"), "UNIMPLEMENTED",
            "gateway of another region")
    assert who(w.gateway_caller().call()) == "eu1"
    assert m.caller(w.gateway_port, m.credentials("outsider")).call(
        timeout=5).code == "UNAVAILABLE"
    # A region without a gateway, and one that gets its first.
    w.apply("region: ap")
    until(lambda: "no gateway" in c.call(region="ap").message, "ap is known")
    assert c.call(region="ap").code == "UNAVAILABLE"


def test_authority(m):
    """Two services answer one gRPC name: who is meant is the host."""
    w = EmsMesh(m)
    w.gateway()
    w.apply(*(f"service: tasks-{x}\ngrpc: [{GREETER}]" for x in "ab"))
    for x in "ab":
        for region in "us", "eu":
            w.service(f"{x}-{region}", region, f"tasks-{x}")
    w.sidecar()
    for x in "ab":
        c = w.caller(options={"grpc.default_authority": f"tasks-{x}"})
        until_from(c, f"{x}-us")
        until_from(c, f"{x}-eu", region="eu")
    refused(w.caller().call(), "UNIMPLEMENTED", ":authority")
    # One of them goes: the name is the other's alone.
    w.deregister("b-us")
    w.deregister("b-eu")
    done = w.ems.ctl("delete", "service", "tasks-b", "--version", "1")
    assert done.rc == 0, done
    until_from(w.caller(), "a-us")


def test_pinned(m):
    """Refused where it is sent from, and where it comes to."""
    w = two_regions(m)
    c, gateway = w.caller(), w.gateway_caller()
    until_from(c, "eu1", region="eu")
    w.apply(f"service: {GREETER}\nregions: {{allow: [us]}}")
    w.until_settled("gateway", "sidecar")
    here = "not allowed in region eu"
    until(lambda: here in c.call(region="eu").message, "the sidecar refuses")
    assert c.call(region="eu").code == "PERMISSION_DENIED"
    until(lambda: here in gateway.call().message, "the gateway refuses")
    refused(gateway.call(region="eu"), "PERMISSION_DENIED", here)
    until_from(c, "us1")
    w.apply(f"service: {GREETER}\nregions: {{allow: [us, eu]}}")
    until_from(c, "eu1", region="eu")


def test_order(m):
    """A call without a region goes where there is somebody, and no call fails
    on the way there and back."""
    w = two_regions(m)
    w.apply(f"service: {GREETER}\nregions: {{order: [us, eu]}}")
    c = w.caller()
    until_from(c, "us1")
    load = w.load()
    w.deregister("us1")
    until_from(c, "eu1")
    load.moved()
    # It drains, and gets what nobody else could get; then it is gone.
    until(lambda: c.call(region="us").code == "UNAVAILABLE", "it is gone")
    w.register("us1", "us")
    until_from(c, "us1")
    until_from(c, "eu1", region="eu")
    load.moved()
    load.stop()
    load.is_well()


def versions(stable, canary):
    return (f"service: {GREETER}\nversions: {{stable: {{weight: {stable}}}, "
            f"canary: {{weight: {canary}}}}}")


def test_versions(m):
    w = EmsMesh(m)
    w.apply(versions(1, 0))
    w.service("old", "us", version="stable")
    w.service("new", "us", version="canary")
    w.sidecar()
    c = w.caller()
    until_from(c, "old")
    load = w.load()
    w.apply(versions(3, 1))
    until_from(c, "old", "new")
    seen = [who(c.call()) for _ in range(400)]
    # 100 of 400, 5 standard deviations to each side.
    assert 56 < seen.count("new") < 144, seen.count("new")
    w.apply(versions(0, 1))
    until_from(c, "new", times=100)
    # All versions are one again.
    w.apply(f"service: {GREETER}")
    until_from(c, "old", "new")
    load.moved()
    load.stop()
    load.is_well()


def one_service(m, says):
    """A sidecar, its caller, and one service whose intent says so."""
    w = EmsMesh(m)
    service = w.service("us1", "us")
    w.apply(f"service: {GREETER}\n{says}")
    w.sidecar()
    c = w.caller()
    until_from(c, "us1")
    return w, service, c


def test_deadline(m):
    w, service, c = one_service(m, "methods: {Wait: {deadline: 0.2s}}")
    start = time.monotonic()
    answer = c.call(method=f"/{GREETER}/Wait", timeout=None)
    took = time.monotonic() - start
    assert answer.code == "DEADLINE_EXCEEDED" and took >= 0.19, (answer, took)
    # Without, it waits.
    w.apply(f"service: {GREETER}")
    w.until_settled("sidecar")
    n = service.waiting
    waiting = c.start(method=f"/{GREETER}/Wait", timeout=None)
    until(lambda: service.waiting > n, "it is there")
    assert not waiting.done()
    service.release()
    assert c.answer(waiting).body == b"waited"


def test_in_flight(m):
    """So many calls at a time, and as many again when they are over."""
    _, service, c = one_service(m, "limits: {in_flight: 2}")
    for _ in range(2):
        held = [c.start(method=f"/{GREETER}/Wait", timeout=None)
                for _ in range(2)]
        until(lambda: service.waiting == 2, "they are there")
        answer = c.call()
        assert answer.code == "UNAVAILABLE" and \
            answer.meta("godwit-cause") == "overflow", answer
        service.release()
        assert all(c.answer(h).body == b"waited" for h in held)
        until_from(c, "us1")
        service.gate.clear()
        service.waiting = 0


def test_limit(m):
    """Of each service: what it says, else what names it, else what is of all."""
    w, service, c = one_service(m, "")

    def holds(n):
        def fact():
            held = [c.start(method=f"/{GREETER}/Wait", timeout=None)
                    for _ in range(n)]
            until(lambda: service.waiting == n, "they are there")
            over = c.call()
            service.release()
            assert all(c.answer(h).body == b"waited" for h in held)
            service.gate.clear()
            service.waiting = 0
            return over.code == "UNAVAILABLE" and \
                over.meta("godwit-cause") == "overflow"
        until(fact, f"{n} calls at a time")

    w.apply("limit: all\nin_flight: 3")
    holds(3)
    w.apply(f"limit: these\nservices: [{GREETER}, not.There]\nin_flight: 2")
    holds(2)
    w.apply(f"service: {GREETER}\nlimits: {{in_flight: 1}}")
    holds(1)
    w.apply(f"service: {GREETER}")
    holds(2)
    said = w.ems.ctl("apply", m.write("too.yaml", "limit: too\nservices: "
                                      f"[{GREETER}]\nin_flight: 9"))
    assert said.rc != 0 and f"limits these and too both say in_flight of " \
        f"service {GREETER}, expected one of them" in said.err, said


def test_callers(m):
    """The gateway asks the certificate."""
    w = two_regions(m)
    w.service("eu-open", "eu", "demo.Open")
    w.sidecar("batch", tls="batch")
    web, batch = w.caller(), w.caller("batch")
    for c in web, batch:
        until_from(c, "eu1", region="eu")
    w.apply(f"caller: web\nmay: [{GREETER}/SayHello]")
    until(lambda: batch.call(region="eu").code == "PERMISSION_DENIED",
          "batch is refused")
    w.until_settled("gateway")
    until_from(web, "eu1", region="eu")
    echo = f"/{GREETER}/Echo"
    assert web.call(method=echo, region="eu").code == "OK"
    w.apply(f"caller: batch\nmay: [{GREETER}/Echo]")
    until(lambda: web.call(method=echo, region="eu").code ==
          "PERMISSION_DENIED", "web may not")
    until(lambda: batch.call(method=echo, region="eu").code == "OK",
          "batch may")
    assert batch.call(region="eu").code == "PERMISSION_DENIED"
    # Who calls at the gateway itself, and what nobody names.
    assert who(w.gateway_caller("web").call()) == "eu1"
    assert w.gateway_caller("batch").call().code == "PERMISSION_DENIED"
    for c in web, batch:
        assert who(c.call(method="/demo.Open/SayHello",
                          region="eu")) == "eu-open"


# ---- while it changes

def one_region(m):
    w = EmsMesh(m)
    w.service("us1", "us")
    w.sidecar()
    c = w.caller()
    until_from(c, "us1")
    return w, c, w.load()


def test_only(m):
    """A caller that is told only of what it may call, and of all again."""
    w = two_regions(m)
    other = f"/demo.Other/SayHello"
    w.service("other", "us", "demo.Other")
    c, load = w.caller(), w.load()
    until_from(c, "other", method=other)
    w.apply(f"caller: web\nmay: [{GREETER}]\nonly: true")
    said = until(lambda: (lambda a: a.code == "UNIMPLEMENTED" and a)(
        c.call(method=other)), "it is not told of it")
    assert said.message == "caller web is told only of the services that it " \
        "may call, and this is none of them", said
    until_from(c, "us1")
    until_from(c, "eu1", region="eu")
    w.until_settled("sidecar")
    # It hears of its own services alone.
    sent = w.proxies()["sidecar"]
    w.service("third", "us", "demo.Third")
    w.deregister("other")
    w.service("us2", "us")
    until_from(c, "us1", "us2")
    now = w.proxies()["sidecar"]
    assert all(now[t]["accepted_n"] == sent[t]["accepted_n"]
               for t in ("LDS", "RDS", "CDS")), (sent, now)
    w.apply(f"caller: web\nmay: [{GREETER}, demo.Third]\nonly: true")
    until_from(c, "third", method="/demo.Third/SayHello")
    w.apply(f"caller: web\nmay: [{GREETER}]")
    w.service("fourth", "us", "demo.Fourth")
    until_from(c, "fourth", method="/demo.Fourth/SayHello")
    w.until_settled("sidecar")
    load.moved()
    load.stop()
    load.is_well()


def test_endpoints_under_load(m):
    """Added, drained, stopped: no failed call; how soon the first call of a
    new one comes is printed."""
    w, c, load = one_region(m)
    took = []
    for i in range(10):
        before, after = f"us{i + 1}", f"us{i + 2}"
        service = w.services[after] = m.service(after, kind=type(
            w.services[before]))
        start = time.monotonic()
        w.register(after, "us")
        until(lambda: who(c.call()) == after, f"{after} is used")
        took.append((time.monotonic() - start) * 1000)
        w.deregister(before)
        until_from(c, after)
        w.until_settled("sidecar")
        w.services[before].stop()
    print(f"ms from register to its first call: "
          f"{sorted(round(t, 1) for t in took)}")
    load.moved()
    load.stop()
    load.is_well()


def test_a_new_service_under_load(m):
    w, c, load = one_region(m)
    for i in range(10):
        w.service(f"other{i}", "us", f"demo.Other{i}")
        until_from(c, f"other{i}", times=3,
                   method=f"/demo.Other{i}/SayHello")
    load.moved()
    load.stop()
    load.is_well()


def test_killed(m):
    """Calls go on, leases stay, proxies come back, and follow again."""
    w = two_regions(m)
    c = w.caller()
    until_from(c, "eu1", region="eu")
    leases = w.ems.rest("GET", "/v1/leases")["leases"]
    load = w.load()
    for i in range(3):
        w.ems.kill()
        load.moved()
        assert who(c.call(region="eu")) == "eu1"
        w.ems.start()
        kept = w.ems.rest("GET", "/v1/leases")["leases"]
        assert [(x["id"], x["epoch"], x["state"]) for x in kept] == \
            [(x["id"], x["epoch"], x["state"]) for x in leases], kept
        w.until_settled("sidecar", "gateway")
        # The epoch from before is the lease's.
        beat = w.ems.rest("POST", "/v1/heartbeat", {
            "id": "us1", "epoch": w.epochs["us1"]})
        assert beat.status == 200, beat
    w.service("us2", "us")
    until_from(c, "us1", "us2")
    # As an operator stops it: proxies are sent away, and stay as they are.
    w.ems.stop()
    load.moved()
    w.ems.start()
    w.deregister("us1")
    until_from(c, "us2")
    load.stop()
    load.is_well()


def is_kept(state):
    """Routes come last."""
    for end in "ab":
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(state, f"resources.{end}"), "rb") as f:
                if f"/{GREETER}/".encode() in f.read():
                    return True
    return False


def test_started_without_it(m):
    """A proxy that starts while there is no godwit-ems has its checkpoint."""
    w = EmsMesh(m)
    w.service("us1", "us")
    state = os.path.join(m.dir, "state")
    first = w.sidecar(state_dir=state)
    until_from(w.caller(), "us1")
    w.until_settled("sidecar")
    until(lambda: is_kept(state), "a checkpoint that has the routes")
    first.stop()
    w.ems.kill()
    w.sidecar(state_dir=state)
    c = w.caller()
    until_from(c, "us1")
    w.ems.start()
    w.service("us2", "us")
    until_from(c, "us1", "us2")


# ---- what is refused

def test_before_its_region(m):
    """Sent away with the reason, until the region is there."""
    w = EmsMesh(m)
    node = w.sidecar_node("early", region="ap")
    early = m.start(w.godwit_file(node))
    until(lambda: '"ap", and there is no such region' in early.log(),
          lambda: f"it says why: {early.log()}")
    w.apply("region: ap")
    w.service("ap1", "ap")
    w.until_listens(early, w.listens["early"])
    until_from(w.caller("early"), "ap1")


def test_a_refusal(m):
    """One can't use what it is sent: proxies says who and why; the others go
    on, and so does it once it can."""
    w = two_regions(m)
    node = w.sidecar_node("poor")
    node["metadata"]["tls"] = here = f"{m.dir}/not-there"
    poor = m.start(w.godwit_file(node))
    said = until(lambda: (lambda t: "refused" in t and t)(
        w.ems.ctl("proxies").out), "it says who refused")
    line, = (x for x in said.splitlines() if "refused" in x)
    assert line.startswith("poor ") and "CDS refused: " in line and \
        f"{here}/tls.crt" in line, said
    w.service("us2", "us")
    until_from(w.caller(), "us1", "us2")
    # What it could use, it uses at once.
    w.until_listens(poor, w.listens["poor"])
    c = w.caller("poor")
    until_from(c, "us1", "us2")
    assert c.call(region="eu").code == "UNAVAILABLE"
    # Its operator puts them there; another gateway makes it another cluster.
    os.rename(w.tls("batch"), here)
    w.apply("gateway: eu-two\nregion: eu\naddresses: ['127.0.0.2:"
            f"{w.gateway_port}']")
    until(lambda: "refused" not in w.ems.ctl("proxies").out,
          lambda: f"all is well: {w.ems.ctl('proxies')}")


def test_a_port_in_use(m):
    """The control plane is told, though the listener was acknowledged before
    its routes came, with which it is opened. The others go on; so does this
    one, when it is sent again and the port is free."""
    w = EmsMesh(m)
    w.service("us1", "us")
    w.sidecar()
    node = w.sidecar_node("poor")
    stranger = occupy(w.listens["poor"])
    m.callback(stranger.close)
    poor = m.start(w.godwit_file(node))
    said = f"{w.listens['poor']} is in use"
    until(lambda: said in poor.log(), "it says so")
    until(lambda: said in w.proxies().get("poor", {}).get("LDS", {}).get(
        "refused", ""), lambda: f"the control plane knows: {w.proxies()}")
    w.service("us2", "us")
    until_from(w.caller(), "us1", "us2")
    stranger.close()
    w.ems.kill()
    w.ems.start()
    w.until_listens(poor, w.listens["poor"])
    until_from(w.caller("poor"), "us1", "us2")
    w.until_settled("poor", "sidecar")
