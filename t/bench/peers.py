"""t/bench/peers.py - the proxies of the bench: how each is started, found
ready, counted and stopped.

A peer is one piece of software in one shape:

    plain    caller ──h2c──> proxy ──h2c──> service
    routes N the same, and the last of N routes is the one that matches
    hop      caller ──h2c──> near ──mutual TLS 1.3──> far ──h2c──> service

godwit and Envoy run from the same bootstrap file (envoy_file below), nghttpx
from options that mean the same: no access log, no route timeout, no header
added where it can be turned off, one worker. CPU is on-CPU time of every
thread of every process that was started (schedstat, in nanoseconds).
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# make bench says which godwit; its tools lie beside it.
GODWIT = os.path.abspath(os.environ.get(
    "GODWIT", os.path.join(ROOT, "build", "godwit")))
TOOLS = os.path.join(os.path.dirname(GODWIT), "t", "bench")
API = "type.googleapis.com/envoy."
HCM = (API + "extensions.filters.network.http_connection_manager.v3"
       ".HttpConnectionManager")
SPIFFE = "spiffe://bench/%s"


class Trouble(Exception):
    """A sentence for whoever runs the bench."""


def cores():
    """The core of the proxies and the core of the load: the same if alone."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def parents():
    """pid -> parent of every process."""
    out = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as f:
                out[int(name)] = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            pass        # it ended meanwhile
    return out


def tree(root):
    parent = parents()
    found, more = set(), {root} & set(parent)
    while more:
        found |= more
        more = {p for p, up in parent.items() if up in more} - found
    return sorted(found)


def on_cpu(pids):
    """Nanoseconds on a CPU of all threads; schedstat of a process is only its
    first thread, so its tasks are summed."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                    total += int(f.read().split()[0])
        except OSError:
            pass
    return total


class Program:
    """A started program, pinned, its output in a file."""

    def __init__(self, name, command, core, folder, env=None):
        self.name = name
        self.said = os.path.join(folder, name + ".out")
        with open(self.said, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env=env,
                preexec_fn=None if core is None else
                lambda: os.sched_setaffinity(0, {core}))

    def pids(self):
        return tree(self.process.pid)

    def last_words(self):
        with open(self.said, errors="replace") as f:
            return "".join(f.readlines()[-8:]).strip()

    def wait_line(self, pattern, seconds=10):
        """What the program said: the first group of the pattern."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.said, errors="replace") as f:
                found = re.search(pattern, f.read())
            if found:
                return found.group(1)
            time.sleep(0.02)
        raise Trouble("%s did not start: %s" % (self.name, self.last_words()))

    def wait_port(self, port, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Trouble("%s does not listen: %s"
                      % (self.name, self.last_words()))

    def stop(self):
        """Every process that came of it, by its id. The first gets the time
        to end the others; what is left then is killed."""
        pids = self.pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for pid in set(pids) & set(parents()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def mint(folder):
    """A CA and one identity for each side of the hop, for this run only."""
    def openssl(*words):
        done = subprocess.run(("openssl",) + words, cwd=folder,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble("openssl: " + done.stderr.strip())

    key = ("req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-batch")
    openssl(*key, "-subj", "/CN=bench ca", "-keyout", "ca.key", "-out",
            "ca.pem", "-addext", "keyUsage=critical,keyCertSign")
    for side in ("near", "far"):
        openssl(*key, "-subj", "/CN=" + side, "-keyout", side + ".key",
                "-out", side + ".pem", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-addext", "subjectAltName=URI:%s,DNS:%s.bench"
                % (SPIFFE % side, side),
                "-addext", "basicConstraints=critical,CA:FALSE",
                "-addext", "extendedKeyUsage=serverAuth,clientAuth")


def tls_context(kind, side, other, folder):
    """The transport socket of one side of the hop; only the other side's
    identity is let through."""
    is_server = kind == "DownstreamTlsContext"
    extra = ("require_client_certificate: true" if is_server
             else "sni: %s.bench" % other)
    return """transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": {api}extensions.transport_sockets.tls.v3.{kind}
    {extra}
    common_tls_context:
      alpn_protocols: [h2]
      tls_params:
        tls_minimum_protocol_version: TLSv1_3
        tls_maximum_protocol_version: TLSv1_3
      tls_certificates:
      - certificate_chain: {{filename: "{at}/{side}.pem"}}
        private_key: {{filename: "{at}/{side}.key"}}
      validation_context:
        trusted_ca: {{filename: "{at}/ca.pem"}}
        match_typed_subject_alt_names:
        - san_type: URI
          matcher: {{exact: "{uri}"}}
""".format(api=API, kind=kind, extra=extra, at=folder, side=side,
           uri=SPIFFE % other)


def indent(text, columns):
    return "".join(" " * columns + line + "\n" for line in text.splitlines())


def other_routes(n):
    """n routes that no call of ours matches, half of them whole paths."""
    return "".join(
        "              - match: {%s: /company.team%d.Service%d/%s}\n"
        "                route: {cluster: back, timeout: 0s}\n" % (
            ("path", i % 97, i, "Method4") if i % 2 == 0 else
            ("prefix", i % 97, i, "")) for i in range(n))


def envoy_file(path, listen, to, tls_in="", tls_out="", routes_n=1,
               http2="{}"):
    """One bootstrap, as it is for Envoy and for godwit."""
    with open(path, "w") as f:
        f.write("""node: {{id: bench, cluster: bench}}
static_resources:
  listeners:
  - name: bench
    address:
      socket_address: {{address: 127.0.0.1, port_value: {listen}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {hcm}
          stat_prefix: bench
          codec_type: HTTP2
          http2_protocol_options: {http2}
          generate_request_id: false
          route_config:
            name: bench
            virtual_hosts:
            - name: bench
              domains: ["*"]
              routes:
{others}              - match: {{prefix: "/"}}
                route: {{cluster: back, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {api}extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
{tls_in}  clusters:
  - name: back
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address: {{address: 127.0.0.1, port_value: {to}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": {api}extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options: {http2}
{tls_out}""".format(listen=listen, to=to, hcm=HCM, api=API, http2=http2,
                    tls_in=indent(tls_in, 6), tls_out=indent(tls_out, 4),
                    others=other_routes(routes_n - 1)))
    return path


class Peer:
    """One software; its proxies, by role: near and far of the hop, and each
    other shape."""
    shapes = ("plain", "hop")

    def __init__(self, name, binary, folder, back_port):
        self.name, self.binary, self.folder = name, binary, folder
        self.back_port = back_port
        self.programs = {}
        self.ports = {}

    def launch(self, role, command, port, core, env=None):
        p = Program("%s-%s" % (self.name, role), command, core, self.folder,
                    env)
        self.programs[role] = p
        p.wait_port(port)
        self.ports[role] = port

    def start(self, core, shapes):
        for shape in set(shapes) & set(self.shapes) - {"hop"}:
            self.start_one(shape, free_port(), self.back_port, core)
        if "hop" in shapes and "hop" in self.shapes:
            near, far = free_port(), free_port()
            self.start_one("far", far, self.back_port, core)
            self.start_one("near", near, far, core)

    def stop(self):
        for p in self.programs.values():
            p.stop()

    def roles(self, shape):
        return ("near", "far") if shape == "hop" else (shape,)

    def front(self, shape):
        return self.ports[self.roles(shape)[0]]

    def start_one(self, role, listen, to, core):
        raise NotImplementedError


class Direct(Peer):
    """No proxy: what load and backend cost by themselves."""
    shapes = ("plain",)

    def start(self, core, shapes):
        self.ports["plain"] = self.back_port

    def roles(self, shape):
        return ()

    def front(self, shape):
        return self.back_port


class Nghttpx(Peer):
    def command(self, role, listen, to):
        at = self.folder
        front = "--frontend=127.0.0.1,%d" % listen
        back = "--backend=127.0.0.1,%d;;proto=h2" % to
        words = [self.binary, "--conf=/dev/null", "--workers=1", "--no-via",
                 "--no-add-x-forwarded-proto", "--no-server-rewrite",
                 "--tls-min-proto-version=TLSv1.3", "--no-ocsp"]
        if role == "near":
            words += [front + ";no-tls", back + ";tls;sni=far.bench",
                      "--cacert=%s/ca.pem" % at,
                      "--client-cert-file=%s/near.pem" % at,
                      "--client-private-key-file=%s/near.key" % at]
        elif role == "far":
            words += [front, back, "--verify-client",
                      "--verify-client-cacert=%s/ca.pem" % at,
                      "%s/far.key" % at, "%s/far.pem" % at]
        else:
            words += [front + ";no-tls", back]
        return words

    def start_one(self, role, listen, to, core):
        self.launch(role, self.command(role, listen, to), listen, core)

    def single(self, listen):
        return (self.command("plain", listen, self.back_port)
                + ["--single-process", "--single-thread"])


class FromFile(Peer):
    """Envoy and godwit: the same file."""
    shapes = ("plain", "hop", "routes 10", "routes 10000")
    http2 = "{}"

    def file(self, role, listen, to):
        tls_in = tls_out = ""
        if role == "far":
            tls_in = tls_context("DownstreamTlsContext", "far", "near",
                                 self.folder)
        if role == "near":
            tls_out = tls_context("UpstreamTlsContext", "near", "far",
                                  self.folder)
        path = os.path.join(self.folder, "%s-%s.yaml" % (self.name, role))
        return envoy_file(path, listen, to, tls_in, tls_out,
                          int(role.split()[1]) if " " in role else 1,
                          self.http2)

    def start_one(self, role, listen, to, core):
        command = self.command(role, self.file(role, listen, to))
        self.launch(role, command, listen, core)


class Envoy(FromFile):
    def command(self, role, path):
        return [self.binary, "-c", path, "-l", "error", "--concurrency", "1",
                "--disable-hot-restart", "--drain-time-s", "1"]


class Godwit(FromFile):
    def command(self, role, path):
        run_dir = os.path.join(self.folder, "run-" + role)
        os.makedirs(run_dir, exist_ok=True)
        return [self.binary, "-c", path, "-o", "workers=1", "-o",
                "run_dir=" + run_dir]

    def single(self, listen):
        path = self.file("single", listen, self.back_port)
        return self.command("single", path) + ["-1"]


def envoy_binary():
    """Where Envoy is, or None."""
    venv = os.path.join(ROOT, "build", "venv", "bin", "envoy")
    return venv if os.access(venv, os.X_OK) else shutil.which("envoy")


def peers(folder, back_port, only, say):
    """The peers that are here; a sentence for each that is not."""
    rows = (("direct", Direct, "-"),
            ("godwit", Godwit, GODWIT if os.access(GODWIT, os.X_OK)
             else None),
            ("nghttpx", Nghttpx, shutil.which("nghttpx")),
            ("envoy", Envoy, envoy_binary()))
    out = []
    for name, kind, binary in rows:
        if only and name not in only:
            continue
        if binary is None:
            say("%s is not here: its rows are left out" % name)
            continue
        out.append(kind(name, binary, folder, back_port))
    return out
