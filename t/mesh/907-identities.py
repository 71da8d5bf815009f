"""Who may be which proxy, and register what, at a godwit-ems that asks for
certificates: xds/ems/who.h from outside."""
import os
import shutil
import subprocess

import grpc

from ems_mesh import GREETER, EmsMesh, until_from
from mesh import ROOT, until
from registry import HEARTBEAT, Keep, endpoint, pack, unpack
from storm import StormService

REGISTRY = "/godwit.ems.v1.Registry/"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/" \
    "StreamAggregatedResources"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
US = "spiffe://mesh/region/us/"
PROXIES = US + "service/NAME or .../host/NAME"


class Door:
    """A caller of the gRPC door with a certificate."""

    def __init__(self, w, name):
        self.channel = grpc.secure_channel(
            f"127.0.0.1:{w.ems.port}", w.m.credentials(name),
            [("grpc.use_local_subchannel_pool", 1)])
        w.m.callback(self.channel.close)

    def follow(self, region, cluster="web", agent="godwit"):
        """What a stream of this node is answered: how many clusters, or
        (status, message)."""
        node = {1: "n", 2: cluster, 4: {1: region}, 6: agent}
        call = self.channel.stream_stream(ADS)(
            iter([pack({2: node, 4: CLUSTER})]), timeout=30)
        try:
            return len(unpack(next(call)).get(2, []))
        except grpc.RpcError as e:
            return e.code().name, e.details()

    def ask(self, method, message):
        """The answer's fields, or (status, message)."""
        try:
            return unpack(self.channel.unary_unary(REGISTRY + method)(
                pack(message), timeout=30))
        except grpc.RpcError as e:
            return e.code().name, e.details()

    def register(self, service, region="us", id=""):
        """Its epoch, or (status, message)."""
        answer = self.ask("RegisterEndpoint", endpoint(
            service, 80, region=region, id=id, ttl_ms=600000))
        return answer if isinstance(answer, tuple) else answer[2][0]


def test_who_follows_as_what(m):
    w = EmsMesh(m, secure=True)
    doors = {}
    for name, region, cluster, seen, expected in (
            ("web", "us", "web", None, None),
            ("host", "us", "web", None, None),
            ("eu-gateway", "eu", "eu-gw", None, None),
            ("eu-gateway", "eu", "web", None, None),
            ("web", "eu", "web", US + "service/web",
             "spiffe://mesh/region/eu/service/NAME or .../host/NAME"),
            ("host", "eu", "eu-gw", US + "host/h1",
             "spiffe://mesh/region/eu/gateway"),
            ("eu-gateway", "us", "web", "spiffe://mesh/region/eu/gateway, "
             "gateway.eu.mesh", PROXIES),
            ("writer", "us", "web", "spiffe://mesh/writer/ann", PROXIES),
            ("eu-impostor", "eu", "web", "spiffe://mesh/region/eu/impostor",
             "spiffe://mesh/region/eu/service/NAME or .../host/NAME"),
            ("us-local", "us", "web", None, None),
            ("outsider", "us", "web", "spiffe://elsewhere/service", PROXIES)):
        door = doors.setdefault(name, Door(w, name))
        answer = door.follow(region, cluster)
        if expected is None:
            assert isinstance(answer, int), (name, region, cluster, answer)
        else:
            assert answer == ("PERMISSION_DENIED", f"the certificate has "
                              f"{seen}, expected {expected}"), answer
            # A gRPC client, which may be no gateway, is asked the same.
            if cluster == "web":
                assert door.follow(region, cluster, "gRPC C++") == answer
    answer = doors["eu-gateway"].follow("us", "eu-gw")
    assert answer == ("INVALID_ARGUMENT", 'node.cluster is "eu-gw", a gateway '
                      'of region eu, and node.locality.region is "us", '
                      'expected the same'), answer
    log = w.ems.log()
    assert f'proxy "?" of 127.0.0.1:' in log and \
        f"is refused: the certificate has {US}service/web, expected" in log, \
        log
    for name in "expired", "foreign":
        assert Door(w, name).follow("us")[0] == "UNAVAILABLE"


def test_who_registers_what(m):
    w = EmsMesh(m, secure=True)
    app, web, host, writer, gateway = (
        Door(w, name) for name in ("app", "web", "host", "writer",
                                   "eu-gateway"))
    expected = f"expected {US}service/{GREETER} or .../host/NAME"
    epoch = app.register(GREETER)
    assert isinstance(epoch, int), epoch
    for door, seen in ((web, US + "service/web"),
                       (gateway, "spiffe://mesh/region/eu/gateway, "
                        "gateway.eu.mesh")):
        assert door.register(GREETER) == (
            "PERMISSION_DENIED", f"the certificate has {seen}, {expected}")
    assert app.register(GREETER, "eu")[0] == "PERMISSION_DENIED"
    assert app.register("demo.Other")[0] == "PERMISSION_DENIED"
    assert isinstance(host.register("demo.Other"), int)
    assert host.register("demo.Other", "eu")[0] == "PERMISSION_DENIED"
    assert isinstance(writer.register("demo.Other", "eu"), int)

    # Another's lease: not a word of it, nor its id for a service of one's own.
    id = f"{GREETER}-127.0.0.1-80"
    refused = ("PERMISSION_DENIED", f"lease {id} is of service {GREETER} in "
               f"us: the certificate has {US}service/web, {expected}")
    assert web.ask("Heartbeat", {1: id, 2: epoch}) == refused
    assert web.ask("DeregisterEndpoint", {1: id, 2: epoch}) == refused
    assert web.register("web", id=id) == refused
    keep = Keep(web.channel)
    keep.say({1: endpoint("web", 80, id=id)})
    assert keep.hear() is None and keep.end() == refused, keep.end()
    assert app.ask("Heartbeat", {1: id, 2: epoch}) == {}
    assert f"{GREETER} may not register in us: the certificate has" in \
        w.ems.log()

    # Who may, may: a higher epoch, and the end.
    epoch = host.register(GREETER, id=id)
    assert isinstance(epoch, int), epoch
    assert app.ask("DeregisterEndpoint", {1: id, 2: epoch}) == {}
    assert isinstance(web.register("web", id=id), int)


def test_any_certificate(m):
    w = EmsMesh(m, secure=True, any_certificate=True)
    door = Door(w, "outsider")
    assert isinstance(door.follow("us"), int)
    assert isinstance(door.register(GREETER), int)
    assert Door(w, "foreign").follow("us")[0] == "UNAVAILABLE"


def test_renewed_by_itself(m):
    """Other files, of another CA: for who comes from then on, both doors."""
    w = EmsMesh(m, secure=True)
    other = os.path.join(m.dir, "other")
    subprocess.run([os.path.join(ROOT, "t/lib/mint"), other, "web",
                    US + "service/web"], check=True, stderr=subprocess.PIPE)
    door = Door(w, "web")
    assert isinstance(door.follow("us"), int)
    # A pair that is half replaced changes nothing.
    shutil.copy(f"{other}/ems.pem", f"{m.dir}/tls/ems.pem")
    until(lambda: "the certificates stay as they were" in w.ems.log(),
          w.ems.log)
    assert isinstance(Door(w, "web").follow("us"), int)
    for name in os.listdir(other):
        shutil.copy(f"{other}/{name}", f"{m.dir}/tls/{name}")
    until(lambda: "the certificates were read anew" in w.ems.log(), w.ems.log)
    assert isinstance(Door(w, "web").follow("us"), int)
    assert isinstance(door.follow("us"), int)


def test_a_mesh_of_certificates(m):
    """godwit as sidecar, registrar and gateway, and Envoy."""
    w = EmsMesh(m, secure=True)
    w.service("eu1", "eu")
    w.services["us1"] = m.service("us1", kind=StormService)
    w.gateway()
    w.sidecar("app", tls="app", register=[{
        "service": GREETER, "address": f"127.0.0.1:{w.services['us1'].port}",
        "id": "us1"}])
    w.sidecar()
    w.envoy()
    for name in "sidecar", "envoy":
        until_from(w.caller(name), "us1")
        until_from(w.caller(name), "eu1", region="eu")
    w.until_settled("app", "sidecar", "envoy", "gateway")


def test_a_sidecar_with_anothers_certificate(m):
    """It says what it was told, its app is not registered, and it has what it
    needs as soon as the certificate is the right one."""
    w = EmsMesh(m, secure=True)
    service = m.service("us1", kind=StormService)
    node = w.sidecar_node("app", tls="eu-gateway")
    proxy = m.godwit(w.godwit_file(node, register=[{
        "service": GREETER, "address": f"127.0.0.1:{service.port}"}]))
    said = f"expected {PROXIES}"
    until(lambda: said in proxy.log(), proxy.log)
    until(lambda: f"expected {US}service/{GREETER} or .../host/NAME" in
          proxy.log(), proxy.log)
    for file in "tls.crt", "tls.key":
        with open(f"{w.tls('app')}/{file}", "rb") as right, \
                open(f"{w.tls('eu-gateway')}/{file}", "wb") as wrong:
            wrong.write(right.read())
    w.until_listens(proxy, w.listens["app"])
    until_from(w.caller("app"), "us1")
