"""t/lib/plane.py - control planes for the mesh tests: t/lib/plane (Go) at
work, the resources that it serves, and the bootstrap of who asks it.

    test --set, update, remove--> Plane --xDS--> godwit, Envoy
         <--acks, nacks, events---      <-------

Resources are Python dicts of protojson, with Envoy's names; they have names of
their own, and Plane tells kinds apart: clusters, endpoints, listeners, routes,
secrets. What bootstrap() writes is the same file for godwit and for Envoy. Who
must hear what no go-control-plane would say takes t/lib/scripted.py.

What go-control-plane itself does is told in t/lib/plane/main.go: it repeats
what was refused (SotW), and waits until all that it has is asked for (ads).
"""
import http.client
import json
import os
import signal

from mesh import PATIENCE_S, ROOT, Proxy, can_connect, free_port, until

BINARY = os.path.join(ROOT, "build/plane/plane")
TYPES = "type.googleapis.com/envoy."
# In the order in which a careful server sends.
KINDS = {"secrets": "extensions.transport_sockets.tls.v3.Secret",
         "clusters": "config.cluster.v3.Cluster",
         "endpoints": "config.endpoint.v3.ClusterLoadAssignment",
         "listeners": "config.listener.v3.Listener",
         "routes": "config.route.v3.RouteConfiguration"}
CLUSTER = "plane"       # of the control plane, in a bootstrap
ADS = {"ads": {}, "resource_api_version": "V3"}


class Plane(Proxy):
    """A running plane; ends with its Mesh. restart() is the same one anew, on
    the same ports and empty."""

    def __init__(self, m, ads=True, ordered=False, tls=None,
                 client_certificates=False, heartbeat_ms=None):
        self.m, self.versions = m, {}
        self.port, self.control = free_port(), free_port()
        self.argv = [BINARY, f"-port={self.port}", f"-control={self.control}",
                     f"-ads={str(ads).lower()}",
                     f"-ordered={str(ordered).lower()}"]
        if heartbeat_ms:
            self.argv.append(f"-heartbeat={heartbeat_ms}ms")
        if tls:
            file = os.path.join(m.certificates(), tls)
            self.argv += [f"-cert={file}.pem", f"-key={file}.key"]
        if client_certificates:
            self.argv.append(f"-ca={m.certificates()}/ca.pem")
        m.n += 1
        self.title = f"plane{m.n}"
        self.start()
        m.proxies.append(self)
        m.callback(self.stop)

    def start(self):
        assert os.path.exists(BINARY), "t/lib/need plane makes what is lacking"
        super().__init__(self.m, self.argv, None, self.title)
        until(lambda: self.exited() or can_connect(self.control) and
              can_connect(self.port), "the control plane listens")
        assert not self.exited(), self.log()

    def restart(self):
        self.kill()
        self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.versions = {}

    def freeze(self):
        """As a network that swallows all; thaw() ends it."""
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        if not self.exited():
            self.thaw()
        super().stop()

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.control,
                                       timeout=PATIENCE_S)
        try:
            c.request(method, path, body and json.dumps(body))
            r = c.getresponse()
            text = r.read()
        finally:
            c.close()
        assert r.status == 200, text.decode()
        return json.loads(text)

    # ---- what it has

    def change(self, path, change):
        answer = self.ask("POST", path, change)
        self.versions.update(answer["versions"])
        return answer

    def set(self, **change):
        """Has this and nothing else. Besides KINDS: version (a number of its
        own if not given), versions={kind: version}, ttl_ms, generate=bulk().
        The answer: versions, start_ns and end_ns of telling the cache, and
        inconsistent if go-control-plane finds that clients can't ask for all.
        """
        return self.change("/set", change)

    def update(self, **change):
        """As set; what is not named stays as it is."""
        return self.change("/update", change)

    def remove(self, version="", **names):
        """remove(clusters=["a"])"""
        return self.change("/update", {"version": version, "remove": names})

    def in_order(self, node=None, **change):
        """Make before break, as a careful server does it: clusters with what
        they need; when they are in use, what leads there; at last what is in
        remove={kind: names}, the other way round. (Envoy accepts clusters no
        sooner than it has their endpoints.)"""
        remove = change.pop("remove", {})
        for kinds in ("secrets", "clusters", "endpoints"), ("listeners",
                                                            "routes"):
            for kind in kinds:
                if kind in change:
                    self.update(**{kind: change[kind]})
            for kind in {*kinds} & {*change} - {"secrets"}:
                self.until_acked(kind, node=node)
        for kind in reversed(KINDS):
            if kind in remove:
                self.remove(**{kind: remove[kind]})
                if kind in ("routes", "listeners", "clusters"):
                    self.until_acked(kind, node=node)

    def clear(self):
        """Has nothing, and says nothing."""
        self.ask("POST", "/clear")

    # ---- how it answers

    def pause(self):
        """Holds answers back; streams stay, and requests are taken."""
        self.ask("POST", "/pause")

    def resume(self):
        """Sends what it held back, all of it."""
        self.ask("POST", "/resume")

    def drop(self, connections=False):
        """Ends all streams with UNAVAILABLE, or what they are on."""
        self.ask("POST", "/drop", {"connections": connections})

    # ---- what clients said

    def report(self, since=0):
        """{"seq", "streams" (open ones), "nodes": {id: {kind: tally}},
        "events" behind since}: t/lib/plane/record.go."""
        return self.ask("GET", f"/report?since={since}")

    def seq(self):
        """Now, as since= takes it."""
        return self.report(1 << 62)["seq"]

    def streams(self):
        return self.report(1 << 62)["streams"] or []

    def tally(self, kind, node=None):
        """{node: requests, responses, acks, nacks, acked, error ...}."""
        return {id: of[kind] for id, of in
                self.report(1 << 62)["nodes"].items()
                if kind in of and node in (None, id)}

    def events(self, kind=None, node=None, since=0, what=None, answer=None):
        report = self.report(since)
        streams, found = {}, []
        for e in report["events"] or []:
            if e.get("node"):
                streams[e["stream"]] = e["node"]
            e["node"] = streams.get(e["stream"], "")
            if (kind in (None, e.get("kind")) and what in (None, e["what"]) and
                    node in (None, e["node"]) and
                    answer in (None, e.get("answer"))):
                found.append(e)
        return found

    def requests(self, kind=None, node=None, since=0):
        return self.events(kind, node, since, "request")

    def acks(self, kind=None, node=None, since=0):
        return self.events(kind, node, since, "request", "ack")

    def nacks(self, kind=None, node=None, since=0):
        return self.events(kind, node, since, "request", "nack")

    def until_acked(self, kind, version=None, node=None):
        """Until the last version of a kind, or this one, is the last that
        each node that asks for the kind, or this one, accepted."""
        version = version or self.versions[kind]
        until(lambda: (lambda t: t and all(
            n["acked"] == version for n in t.values()))(
                self.tally(kind, node)),
            lambda: f"{kind} {version} is accepted: {self.tally(kind)}")

    def until_nacked(self, kind, version=None, node=None):
        """The same of a refusal; the NACKs' texts by node."""
        version = version or self.versions[kind]
        found = until(lambda: (lambda t: t and all(
            n["nacked"] == version for n in t.values()) and t)(
                self.tally(kind, node)),
            lambda: f"{kind} {version} is refused: {self.tally(kind)}")
        return {id: n["error"] for id, n in found.items()}


# ---- resources

def any_of(type, **fields):
    return {"@type": TYPES + type, **fields}


def socket_address(where):
    """A port of 127.0.0.1, or (host, port)."""
    host, port = ("127.0.0.1", where) if isinstance(where, int) else where
    return {"socket_address": {"address": host, "port_value": port}}


def assignment(name, endpoints):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": socket_address(e)}} for e in endpoints]}]}


def cluster(name, endpoints=None, service_name=None, source=ADS, tls=None,
            **more):
    """Of static endpoints, or, without, of EDS: by its own name or
    service_name. tls: client_tls(...)."""
    it = {"name": name, "connect_timeout": "5s",
          "typed_extension_protocol_options": {
              "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
              any_of("extensions.upstreams.http.v3.HttpProtocolOptions",
                     explicit_http_config={"http2_protocol_options": {}})}}
    if endpoints is not None:
        it.update(type="STATIC", load_assignment=assignment(name, endpoints))
    else:
        it.update(type="EDS", eds_cluster_config={"eds_config": source})
        if service_name:
            it["eds_cluster_config"]["service_name"] = service_name
    if tls:
        it["transport_socket"] = tls
    return {**it, **more}


def bulk(n, endpoints, ports, name="c", route="", **kwargs):
    """generate= of set and update: clusters NAME0 ... of EDS, their endpoints,
    and a route that has /NAMEi.Greeter/ to each; store.go says more."""
    template = cluster("template", **kwargs)
    del template["name"]
    return {"n": n, "endpoints": endpoints, "ports": ports, "name": name,
            "route": route, "cluster": template}


def route(name, rules, **host):
    """rules: (match, action): a prefix or a RouteMatch, a cluster's name or a
    RouteAction."""
    def rule(match, action):
        return {"match": {"prefix": match} if isinstance(match, str) else
                match, "route": {"cluster": action, "timeout": "0s"}
                if isinstance(action, str) else action}
    return {"name": name, "virtual_hosts": [
        {"name": "all", "domains": ["*"],
         "routes": [rule(*r) for r in rules], **host}]}


def listener(name, port, route, source=ADS, tls=None, **manager):
    """route: the name of an RDS resource, or a RouteConfiguration. tls:
    server_tls(...)."""
    manager = {"codec_type": "HTTP2", "stat_prefix": name, "http_filters": [
        {"name": "envoy.filters.http.router", "typed_config":
         any_of("extensions.filters.http.router.v3.Router")}], **manager}
    if isinstance(route, str):
        manager["rds"] = {"route_config_name": route, "config_source": source}
    else:
        manager["route_config"] = route
    chain = {"filters": [
        {"name": "envoy.filters.network.http_connection_manager",
         "typed_config": any_of("extensions.filters.network."
                                "http_connection_manager.v3."
                                "HttpConnectionManager", **manager)}]}
    if tls:
        chain["transport_socket"] = tls
    return {"name": name, "address": socket_address(port),
            "filter_chains": [chain]}


def secret(name, chain, key):
    """A certificate; chain and key are texts of PEM."""
    return {"name": name, "tls_certificate": {
        "certificate_chain": {"inline_string": chain},
        "private_key": {"inline_string": key}}}


def authority(name, ca, **validation):
    """A CA as a secret."""
    return {"name": name, "validation_context": {
        "trusted_ca": {"inline_string": ca}, **validation}}


def common_tls(certificate, ca, source):
    """Secrets by name."""
    common = {"alpn_protocols": ["h2"]}
    if certificate:
        common["tls_certificate_sds_secret_configs"] = [
            {"name": certificate, "sds_config": source}]
    if ca:
        common["validation_context_sds_secret_config"] = {
            "name": ca, "sds_config": source}
    return common


def transport_socket(context, **fields):
    return {"name": "envoy.transport_sockets.tls", "typed_config": any_of(
        f"extensions.transport_sockets.tls.v3.{context}TlsContext", **fields)}


def client_tls(sni, certificate=None, ca=None, source=ADS):
    return transport_socket(
        "Upstream", sni=sni,
        common_tls_context=common_tls(certificate, ca, source))


def server_tls(certificate, ca=None, source=ADS):
    return transport_socket(
        "Downstream", require_client_certificate=bool(ca),
        common_tls_context=common_tls(certificate, ca, source))


# ---- who asks

def api_source(delta=False, cluster=CLUSTER):
    """A ConfigSource with a stream of its own for each type."""
    return {"api_config_source": {
        "api_type": "DELTA_GRPC" if delta else "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": cluster}}]},
        "resource_api_version": "V3"}


def path_source(path, **more):
    """A ConfigSource that is a file."""
    return {"path_config_source": {"path": path},
            "resource_api_version": "V3", **more}


class Files:
    """A folder of DiscoveryResponses, one of each kind."""

    def __init__(self, m, name="xds"):
        self.dir, self.n = os.path.join(m.dir, name), 0
        os.makedirs(self.dir)

    def path(self, kind):
        return os.path.join(self.dir, f"{kind}.json")

    def source(self, kind, **more):
        return path_source(self.path(kind), **more)

    def set(self, **kinds):
        """Each by a rename over what is there."""
        for kind, resources in kinds.items():
            self.n += 1
            self.write(kind, json.dumps({
                "version_info": str(self.n), "resources": [
                    {"@type": TYPES + KINDS[kind], **r}
                    for r in resources]}, indent=1))

    def write(self, kind, text):
        new = os.path.join(self.dir, f".{kind}")
        with open(new, "w") as f:
            f.write(text)
        os.rename(new, self.path(kind))


def files_tls(m, name, sni):
    """As client_tls, of files that t/lib/mint made."""
    tls = m.certificates()
    return transport_socket("Upstream", sni=sni, common_tls_context={
        "alpn_protocols": ["h2"], "tls_certificates": [{
            "certificate_chain": {"filename": f"{tls}/{name}.pem"},
            "private_key": {"filename": f"{tls}/{name}.key"}}],
        "validation_context": {"trusted_ca": {"filename": f"{tls}/ca.pem"}}})


def bootstrap(m, port, node, ads=True, delta=False, tls=None, timeout_s=None,
              admin=None, **static):
    """The file of a proxy called node that has all from a control plane on
    port. timeout_s: initial_fetch_timeout; admin: a port, for Envoy; static:
    more static_resources."""
    api = api_source(delta)
    source = dict(ADS if ads else api)
    if timeout_s is not None:
        source["initial_fetch_timeout"] = f"{timeout_s}s"
    dynamic = {"cds_config": source, "lds_config": source}
    if ads:
        dynamic["ads_config"] = api["api_config_source"]
    plane = cluster(CLUSTER, [port], tls=tls)
    it = {"node": {"id": node, "cluster": "mesh"},
          "dynamic_resources": dynamic, "static_resources": {
              **static, "clusters": [plane, *static.get("clusters", ())]}}
    if admin:
        it["admin"] = {"address": socket_address(admin)}
    return m.write(f"{node}.json", json.dumps(it, indent=1))


def envoy(m, port, node, **kwargs):
    """An Envoy that asks the control plane on port."""
    admin = free_port()
    return m.envoy(bootstrap(m, port, node, admin=admin, **kwargs), admin)
