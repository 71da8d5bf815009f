"""t/lib/pods.py - pods of conf/kubernetes as processes of this host, in the
order in which a kubelet starts and ends containers.

    cluster = Cluster(m)                            names, certificates, addresses
    pod = cluster.pod("sidecar.yaml", "Deployment", "tasks", "tasks-1", apps)
    pod.start()      sidecars one after the other, each behind its startup probe,
                     then the containers
    pod.until_ready()
    pod.end()        preStop of all at once; TERM to the containers, and, when all
                     of them have ended, to the sidecars, last one first

A pod has an address of its own, out of 127.0.0.0/8, and its ports are those of
the manifest. It stands for 0.0.0.0 and for 127.0.0.1 too, which in a pod is
nobody else's. A folder of a container is one of the test's: its name is replaced
wherever the manifest says it. An app has no image here: apps has its command.

Source of the order: kubelet's killContainer and terminationOrdering
(kubernetes, pkg/kubelet/kuberuntime), its computePodActions for the start.
"""
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import yaml

from mesh import GODWIT, PATIENCE_S, ROOT, Proxy, grpc, until
from names import Names
from registry import CHECK, pack, unpack

FOLDER = os.path.join(ROOT, "conf/kubernetes")
OURS = {name: os.path.join(os.path.dirname(GODWIT), name)
        for name in ("godwit", "godwitctl", "godwit-ems")}
PORTS = 8443, 15001, 18000, 18001, 50051
SECOND = 0.2            # how long a second of preStop.sleep is here


def documents(name):
    with open(os.path.join(FOLDER, name)) as f:
        return list(yaml.safe_load_all(f))


def own_address():
    """A loopback address where these ports are free."""
    while True:
        host = "127.%d.%d.%d" % tuple(random.randint(1, 254)
                                      for _ in range(3))
        try:
            for port in PORTS:
                socket.create_server((host, port)).close()
            return host
        except OSError:
            pass


class Cluster:
    """What pods find there: names of services, and secrets, those of
    certificates.yaml and more, {secret: URI of its certificate}."""

    def __init__(self, m, more=()):
        self.m, self.names, self.secrets = m, Names(m), {}
        found = {c["spec"]["secretName"]: ",".join(
            [",URI:".join(c["spec"]["uris"]),
             *(f"DNS:{n}" for n in c["spec"].get("dnsNames", []))])
            for c in documents("certificates.yaml")}
        self.mint({**found, **dict(more)})

    def mint(self, names):
        tls = os.path.join(self.m.dir, "tls")
        subprocess.run([os.path.join(ROOT, "t/lib/mint"), tls, *(
            w for pair in names.items() for w in pair)], check=True,
            stderr=subprocess.PIPE)
        for secret in names:
            to = self.secrets[secret] = os.path.join(self.m.dir,
                                                     f"secret-{secret}")
            os.mkdir(to)
            for old, new in ((f"{secret}.pem", "tls.crt"),
                             (f"{secret}.key", "tls.key"),
                             ("ca.pem", "ca.crt")):
                shutil.copy(f"{tls}/{old}", f"{to}/{new}")

    def secret(self, name, **files):
        to = os.path.join(self.m.dir, f"secret-{name}")
        os.mkdir(to)
        for file, text in files.items():
            with open(os.path.join(to, file), "w") as f:
                f.write(text)
        self.secrets[name] = to

    def pod(self, *args, **kwargs):
        return Pod(self, *args, **kwargs)


class Container(Proxy):
    """A process; what Proxy knows of a godwit is true of ours."""

    def __init__(self, pod, spec, command):
        self.pod, self.spec = pod, spec
        super().__init__(pod.m, command, pod.path("/run/godwit"),
                         f"{pod.name}-{spec['name']}",
                         {e["name"]: pod.env(e) for e in spec.get("env", [])})
        pod.m.proxies.append(self)
        pod.m.callback(self.kill)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.kill()

    # ---- what a kubelet asks

    def exec(self, command):
        return subprocess.run(
            self.pod.command(command), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=PATIENCE_S)

    def port(self, name):
        return name if isinstance(name, int) else next(
            p["containerPort"] for p in self.spec["ports"]
            if p["name"] == name)

    def probe(self, probe):
        """(whether it is good, what it said)."""
        if "exec" in probe:
            p = self.exec(probe["exec"]["command"])
            return p.returncode == 0, (p.stdout + p.stderr).decode()
        try:
            if "httpGet" in probe:
                get = probe["httpGet"]
                return self.probe_http(get)
            with grpc.insecure_channel(
                    f"{self.pod.ip}:{probe['grpc']['port']}") as channel:
                said = unpack(channel.unary_unary(CHECK)(
                    pack({}), timeout=PATIENCE_S))
            return said.get(1) == [1], said
        except (OSError, grpc.RpcError) as e:
            return False, repr(e)

    def probe_http(self, get):
        """As a kubelet: whatever the certificate is."""
        with urllib.request.urlopen(
                f"{get.get('scheme', 'HTTP').lower()}://{self.pod.ip}:"
                f"{self.port(get['port'])}{get['path']}", timeout=PATIENCE_S,
                context=ssl._create_unverified_context()) as answer:
            return answer.status == 200, answer.read().decode()

    def until_good(self, kind):
        probe = self.spec.get(kind)
        until(lambda: not probe or self.probe(probe)[0] or self.exited(),
              lambda: f"{self.name}: {kind}: {self.probe(probe)}")
        assert not self.exited(), f"{self.name}: {self.log()}"

    def pre_stop(self):
        what = self.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in what:
            threading.Event().wait(what["sleep"]["seconds"] * SECOND)
        elif what:
            p = self.exec(what["exec"]["command"])
            assert p.returncode == 0, p.stdout + p.stderr
        self.pod.happens(f"preStop {self.spec['name']}")

    def term(self, until_s):
        self.pod.happens(f"TERM {self.spec['name']}")
        self.signal(signal.SIGTERM)
        code = self.process.wait(max(2, until_s - time.monotonic()))
        assert code == 0, f"{self.name} exited with {code}: {self.log()}"
        self.pod.happens(f"end {self.spec['name']}")


class Pod:
    """apps: {container: command} of those that have none in the manifest, where
    IP is the pod's address. replace: texts of the manifest."""

    def __init__(self, cluster, file, kind, controller, name, apps=(),
                 replace=()):
        self.cluster, self.m, self.name = cluster, cluster.m, name
        self.ip, self.apps = own_address(), dict(apps)
        self.replace = {"0.0.0.0": self.ip, "127.0.0.1": self.ip,
                        **dict(replace)}
        self.documents = documents(file)
        self.template = self.find(kind, controller)["spec"]["template"]
        self.spec = self.template["spec"]
        self.claims = self.find(kind, controller)["spec"].get(
            "volumeClaimTemplates", [])
        self.folder = os.path.join(self.m.dir, name)
        self.events, self.containers = [], {}
        os.mkdir(self.folder)
        self.volumes()

    def find(self, kind, name):
        return next(d for d in self.documents if d["kind"] == kind and
                    d["metadata"]["name"] == name)

    def happens(self, what):
        self.events.append(what)

    def at(self, what):
        return self.events.index(what)

    # ---- what is in its containers

    def all_specs(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]

    def volumes(self):
        """{folder or file of a container: one of ours}"""
        own = {v["name"]: v for v in self.spec.get("volumes", [])}
        texts, self.mounts = [], {}
        for name in [*own, *(c["metadata"]["name"] for c in self.claims)]:
            v, to = own.get(name, {}), os.path.join(self.folder, name)
            if "secret" in v:
                shutil.copytree(
                    self.cluster.secrets[v["secret"]["secretName"]], to)
                continue
            os.mkdir(to)
            data = self.find("ConfigMap", v["configMap"]["name"])["data"] \
                if "configMap" in v else {}
            texts += [(os.path.join(to, file), text)
                      for file, text in data.items()]
        for spec in self.all_specs():
            for mount in spec.get("volumeMounts", []):
                assert mount["name"] in own or self.claims, mount
                self.mounts[mount["mountPath"]] = os.path.join(
                    self.folder, mount["name"], mount.get("subPath", ""))
        for file, text in texts:
            with open(file, "w") as f:
                f.write(self.here(text))

    def path(self, path):
        return self.mounts.get(path, path)

    def here(self, text):
        """A text of the manifest, as it is on this host."""
        words = {**self.replace, **self.mounts}
        found = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
        return re.sub(f"(?:{found})(?![0-9])", lambda m: words[m[0]], text)

    def command(self, words):
        words = [self.here(w) for w in words]
        return [OURS.get(words[0], words[0]), *words[1:]]

    def env(self, e):
        path = e["valueFrom"]["fieldRef"]["fieldPath"]
        label = re.fullmatch(r"metadata\.labels\['(.*)'\]", path)
        if label:
            return self.template["metadata"]["labels"][label[1]]
        return {"metadata.name": self.name, "status.podIP": self.ip}[path]

    # ---- life

    def run(self, spec):
        name = spec["name"]
        command = self.command(spec["command"]) if "command" in spec else [
            w.replace("IP", self.ip) for w in self.apps[name]]
        if command[0] == OURS["godwit"]:
            command += self.cluster.names.options
        self.containers[name] = Container(self, spec, command)
        self.happens(f"start {name}")
        return self.containers[name]

    def start(self):
        for spec in self.spec.get("initContainers", []):
            assert spec["restartPolicy"] == "Always", spec
            self.run(spec).until_good("startupProbe")
            self.happens(f"started {spec['name']}")
        for spec in self.spec["containers"]:
            self.run(spec).until_good("startupProbe")
        return self

    def until_ready(self):
        for c in self.containers.values():
            c.until_good("readinessProbe")
        return self

    def end(self):
        """All containers at once, each as its turn comes."""
        until_s = time.monotonic() + self.spec["terminationGracePeriodSeconds"]
        main = [c["name"] for c in self.spec["containers"]]
        sidecars = [c["name"] for c in self.spec.get("initContainers", [])]
        over = {name: threading.Event() for name in self.containers}
        failed = []

        def one(name, waits_for):
            try:
                self.containers[name].pre_stop()
                for other in waits_for:
                    over[other].wait(until_s - time.monotonic())
                self.containers[name].term(until_s)
            except Exception as e:          # noqa: B902
                failed.append(e)
            over[name].set()
        threads = [threading.Thread(target=one, args=(name, [])) for name in
                   main] + [threading.Thread(target=one, args=(
                       name, main + sidecars[i + 1:])) for i, name in
                       enumerate(sidecars)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed, failed
