"""What conf/ has to be deployed: is it good, and does it start, serve and end in
the order in which a kubelet and systemd do that."""
import json
import os
import re
import subprocess
import sys

import kubernetes_validate

from ems import Ctl
from load import Calls
from mesh import GODWIT, METHOD, ROOT, until
from pods import FOLDER, OURS, Cluster, documents, own_address
from units import Host, analyze

CALL = METHOD.replace("demo.Greeter", "tasks.TaskStore")
US = {"tasks-us-tls": "spiffe://mesh/region/us/service/tasks.TaskStore"}


class Region:
    """The control plane of ems.yaml with the intents of mesh.yaml, and pods."""

    def __init__(self, m, more=()):
        self.m, self.cluster = m, Cluster(m, US)
        self.cluster.secret("godwit-ems-token", token="x" * 32 + "\n")
        self.ems = self.cluster.pod("ems.yaml", "StatefulSet", "godwit-ems",
                                    "godwit-ems-0").start().until_ready()
        self.cluster.names.set("godwit-ems.godwit.svc", [self.ems.ip])
        with open(os.path.join(ROOT, "conf/kubernetes/mesh.yaml")) as f:
            self.intents = f.read()

    def ctl(self, *words):
        return Ctl(self.ems.containers["godwit-ems"].exec(
            ["godwitctl", "--ems",
             f"unix:{self.ems.path('/run/godwit-ems')}/ems.sock", *words]))

    def apply(self, *replace):
        text = self.intents
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        done = self.ctl("apply", self.m.write("mesh.yaml", text))
        assert done.rc == 0, done

    def tasks(self, name, replace=()):
        return self.cluster.pod(
            "sidecar.yaml", "Deployment", "tasks", name, {"tasks": [
                sys.executable, os.path.join(ROOT, "t/lib/app.py"), "50051",
                name, "IP"]}, replace)

    def leases(self):
        """{address: its state}; one that was left drains, and then goes."""
        return {i["address"]: i["state"] for i in json.loads(
            self.ctl("-o", "json", "leases").out)["leases"]}

    def until_live(self, pod):
        until(lambda: self.leases().get(pod.ip) == "live",
              lambda: f"{pod.name} is registered: {self.leases()}")


def test_a_pod_comes_and_goes(m):
    """sidecar.yaml, twice: the second is called by the first, and goes while it
    is called, which takes its app a while; no call fails, and nothing is left
    of it."""
    region = Region(m)
    region.apply()
    one, two = region.tasks("tasks-1"), region.tasks("tasks-2")
    for pod in one, two:
        pod.start().until_ready()
        assert pod.events == ["start godwit", "started godwit",
                              "start tasks"], pod.events
        region.until_live(pod)
    calls = Calls(m.caller(f"{one.ip}:15001"), "tasks-1", "tasks-2",
                  method=CALL)
    lingers = m.caller(f"{two.ip}:50051").start(method="/a.B/Linger")
    two.end()
    assert lingers.result() == b"lingered"
    calls.more()
    calls.end("tasks-1")
    assert region.leases() == {one.ip: "live", two.ip: "draining"}
    in_order = ["preStop godwit", "preStop tasks", "TERM tasks", "end tasks",
                "TERM godwit", "end godwit"]
    assert two.events[3:] == in_order, two.events
    log = two.containers["godwit"].log()
    assert "withdrawn, it is deregistered" in log, log
    assert "could not be deregistered" not in log, log


def test_the_gateway(m):
    """gateway.yaml: a pod of region us calls by it; and it ends."""
    region = Region(m)
    gateway = region.cluster.pod("gateway.yaml", "Deployment",
                                 "godwit-gateway", "gateway-1")
    region.apply(("203.0.113.9", gateway.ip), ("0.0.0.0", gateway.ip),
                 ("region: eu\n---\n", "region: eu\n---\nregion: us\n---\n"))
    gateway.start().until_ready()
    there = region.tasks("tasks-eu").start().until_ready()
    region.until_live(there)
    secrets = region.cluster.secrets
    secrets["tasks-godwit-tls"] = secrets["tasks-us-tls"]
    here = region.tasks("tasks-us", {"region: eu": "region: us"}).start()
    region.until_live(here)
    calls = Calls(m.caller(f"{here.ip}:15001"), "tasks-eu", method=CALL,
                  region="eu")
    calls.end("tasks-eu")
    gateway.end()
    assert gateway.events == ["start godwit", "preStop godwit", "TERM godwit",
                              "end godwit"], gateway.events


# ---- hosts

HOSTS = os.path.join(ROOT, "conf/examples/hosts")
APP = "[Service]\nExecStart={} {} 50051 tasks {}\n"


class Hosts:
    """10.0.0.1 with the control plane, and a host that stands for 10.0.0.5:
    their units, and the files of conf/examples/hosts in their folders."""

    def __init__(self, m):
        self.m, self.ips = m, {"10.0.0.1": own_address(),
                               "10.0.0.5": own_address()}
        ems, here = self.ips.values()
        self.secrets = Cluster(m, {
            "ems": f"spiffe://mesh/ems,IP:{ems}",
            "local": "spiffe://mesh/region/eu/host/host-5",
            "gateway": "spiffe://mesh/region/eu/gateway"}).secrets
        self.host = Host(m, {"/etc/godwit": m.dir})
        for name in "ems", "local", "gateway":
            self.file(name, ems if name == "ems" else here)
        self.host.add("godwit-ems", "godwit-ems.service")
        for name in "local", "gateway":
            self.host.add(f"godwit@{name}", "godwit@.service")

    def file(self, name, ip):
        with open(os.path.join(HOSTS, f"{name}.yaml")) as f:
            text = self.host.here(f.read().replace(
                "/etc/godwit/tls", self.secrets[name]))
        for old, new in {**self.ips, "127.0.0.1": ip}.items():
            text = text.replace(old, new)
        return self.m.write(f"{name}.yaml", text)

    def ctl(self, *words):
        unit = self.host.units["godwit-ems"]
        return Ctl(subprocess.run(
            [OURS["godwitctl"], "--ems", "unix:" + unit.env[
                "RUNTIME_DIRECTORY"] + "/ems.sock", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def test_hosts(m):
    """The units of a host, with an app whose unit has the drop-in: they start
    in their order, reload with the result, and stop so that a caller elsewhere
    loses no call."""
    hosts = Hosts(m)
    host, here = hosts.host, hosts.ips["10.0.0.5"]
    host.start("godwit-ems")
    until(lambda: hosts.ctl("list", "region").rc == 0, "godwit-ems answers")
    done = hosts.ctl("apply", m.write("mesh.yaml", "region: eu\n---\n"
                     f"gateway: eu-gateway\nregion: eu\naddresses: "
                     f"['{here}:8443']\nlisten: {here}:8443\n"))
    assert done.rc == 0, done
    host.add("tasks", APP.format(sys.executable, os.path.join(
        ROOT, "t/lib/app.py"), here), "app.service.d/godwit.conf")
    host.start("godwit@local", "godwit@gateway", "tasks")
    # Another one of the same service, which is asked too.
    other = m.service("other")
    assert hosts.ctl("register", "tasks.TaskStore", "eu",
                     f"127.0.0.1:{other.port}", "--ttl", "600s").rc == 0
    calls = Calls(m.caller(f"{here}:15001"), "tasks", "other", method=CALL)
    code, text = host.reload("godwit@local")
    assert code == 0 and "is published" in text, text
    with open(hosts.file("local", here), "a") as f:
        f.write("no_such_key: 1\n")
    code, text = host.reload("godwit@local")
    assert code == 1 and "no_such_key" in text, text
    lingers = m.caller(f"{here}:50051").start(method="/a.B/Linger")
    host.stop("tasks")
    assert lingers.result() == b"lingered"
    calls.more()
    calls.end("other")
    del host.units["godwit-ems"]        # the proxies' host is shut down
    del host.units["tasks"]
    host.shut_down()
    log = host.units["godwit@local"].process.log()
    assert log.index("withdrawn, it is") < log.index("draining: "), log


def test_a_host_shuts_down(m):
    """Apps first, though nobody says so but their units."""
    host = Host(m, {})
    for name, text in (("godwit@local", "godwit@.service"),
                       ("godwit-ems", "godwit-ems.service"),
                       ("tasks", "app.service.d/godwit.conf")):
        host.add(name, text)
    order = []
    for name, unit in host.units.items():
        unit.stop = lambda name=name: order.append(name)
    host.shut_down()
    assert order.index("tasks") < order.index("godwit@local"), order


def test_units(m):
    """By systemd-analyze, where it is."""
    found = analyze(m, "godwit@local", "godwit-ems")
    assert found is None or found[0] == "" and max(found[1]) <= 1.5, found


# ---- the files

def test_examples(m):
    """Those that no other test starts."""
    for program, name in (("godwit", "sidecar.yaml"),
                          ("godwit", "first-day/us.yaml"),
                          ("godwit-ems", "first-day/ems.yaml"),
                          ("godwit-ems", "ems.yaml")):
        said(OURS[program], "-t", "-c",
             os.path.join(ROOT, "conf/examples", name))


def test_the_control_plane_beyond_loopback(m):
    """Its settings are good with the addresses of the files too, which tests
    replace by loopback ones; those are held to less."""
    cluster = Cluster(m)
    cluster.secret("godwit-ems-token", token="x" * 32 + "\n")
    pod = cluster.pod("ems.yaml", "StatefulSet", "godwit-ems", "godwit-ems-0",
                      replace={"0.0.0.0": "0.0.0.0"})
    said(OURS["godwit-ems"], "-t", "-c", pod.path("/etc/godwit/ems.yaml"))
    said(OURS["godwit-ems"], "-t", "-c", os.path.join(HOSTS, "ems.yaml"))


def manifests():
    return [(name, d) for name in sorted(os.listdir(FOLDER))
            if name.endswith(".yaml") and name != "mesh.yaml"
            for d in documents(name)]


def refused(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError:
        return True


def test_schemas(m):
    """As Kubernetes' own schemas want it, of the least version that will do
    and of a new one: no field that they don't have."""
    done = 0
    for version in "1.30", "1.37":
        for name, d in manifests():
            if d["apiVersion"].startswith("cert-manager.io/"):
                continue
            kubernetes_validate.validate(d, version, strict=True)
            done += 1
        assert refused({**d, "speck": {}}, version), name
    assert done > 20, done


def pods():
    return [(name, d["spec"]["template"]["spec"]) for name, d in manifests()
            if "template" in d.get("spec", {})]


def test_what_names_what(m):
    """Names lead somewhere; and what all of our containers may not do."""
    made = {(d["kind"], d["metadata"]["name"]) for _, d in manifests()}
    secrets = {d["spec"]["secretName"] for _, d in manifests()
               if d["kind"] == "Certificate"} | {"godwit-ems-token"}
    for name, spec in pods():
        volumes = {v["name"]: v for v in spec["volumes"]}
        for v in volumes.values():
            assert v.get("secret", {"secretName": "godwit-ems-token"})[
                "secretName"] in secrets, (name, v)
            assert "configMap" not in v or ("ConfigMap", v["configMap"][
                "name"]) in made, (name, v)
        assert spec["securityContext"]["runAsNonRoot"], name
        assert not spec["automountServiceAccountToken"], name
        for c in spec.get("initContainers", []) + spec["containers"]:
            assert c["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]}}, (name, c["name"])
            assert c["resources"]["requests"], (name, c["name"])


def ports_of(labels):
    """Names of the ports of the pods that have these labels."""
    return {p["name"] for _, d in manifests() if labels.items() <= d.get(
        "spec", {}).get("template", {}).get("metadata", {}).get(
            "labels", {}).items() for p in
        d["spec"]["template"]["spec"]["containers"][0]["ports"]}


def test_ports(m):
    """What leads to a port leads to one that the pods have."""
    for name, d in manifests():
        if d["kind"] == "Service":
            ports = [p["targetPort"] for p in d["spec"]["ports"]]
            labels = d["spec"]["selector"]
        elif d["kind"] == "NetworkPolicy":
            ports = [p["port"] for i in d["spec"]["ingress"]
                     for p in i["ports"]]
            labels = d["spec"]["podSelector"]["matchLabels"]
        else:
            continue
        assert ports and set(ports) <= ports_of(labels), (name, ports, labels)


def test_the_image(m):
    """The packages that the Containerfile installs have the libraries that the
    programs want."""
    if os.path.basename(os.path.dirname(GODWIT)) != "build":
        return                      # a sanitizer's; it is not deployed
    with open(os.path.join(FOLDER, "Containerfile")) as f:
        installed = set(re.findall(r"\blib[a-z0-9.-]+", f.read()))
    for program in OURS.values():
        wanted = set(re.findall(r"NEEDED +(\S+)", said("objdump", "-p",
                                                       program)))
        for line in said("ldd", program).splitlines():
            name, _, path = line.strip().partition(" => ")
            if name not in wanted or name.startswith(("libc.", "libm.")):
                continue
            package = said("dpkg", "-S", os.path.realpath(
                path.split(" (")[0])).split(":")[0]
            assert package in installed, (program, name, package)


def said(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True).stdout
