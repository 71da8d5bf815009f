"""t/lib/mesh.py - what the mesh tests and the demo stand on: real godwits,
real Envoys, real grpcio services and callers, in a temporary folder, on free
ports, all stopped at the end by pid.

A test waits on facts (until), never on time. GODWIT names the binary to test;
if it is a sanitizer build, its reports fail the test.
"""
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent import futures

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc                                             # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
GODWIT = os.path.abspath(os.environ.get(
    "GODWIT", os.path.join(ROOT, "build/godwit")))
EXAMPLES = os.path.join(ROOT, "conf/examples/two-regions")
PATIENCE_S = 30         # for a fact that must come; never waited out if it does
METHOD = "/demo.Greeter/SayHello"
GATEWAY = "gateway.eu.mesh"     # the DNS name in eu-gateway's certificate
# What no test asks for; -9 is what tests do themselves.
CRASH = re.compile(r"^.* died(?:: | \()(?!killed by signal 9,).*$", re.M)
held = []               # sockets of free_port


def until(fact, what, seconds=PATIENCE_S):
    """Returns fact() once it is true; an AssertionError names what is not:
    a text, or a function that makes one."""
    end = time.monotonic() + seconds
    while True:
        value = fact()
        if value:
            return value
        assert time.monotonic() < end, \
            f"never came true: {what() if callable(what) else what}"
        threading.Event().wait(0.01)


def free_port():
    """A free port, ours until the process ends: a socket that does not listen
    keeps it from whoever asks the kernel for any port, and lets in who binds
    this one with SO_REUSEADDR, as godwit, Envoy and grpcio do."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    held.append(s)
    return s.getsockname()[1]


def occupy(port):
    """Someone else listens there; close() ends it."""
    return socket.create_server(("127.0.0.1", port))
# Texts of eu-gateway.yaml without what a stranger has not: certificate and x-region.
STRANGERS = {
    "require_client_certificate: true": "require_client_certificate: false",
    "            validation_context:\n"
    "              trusted_ca: { filename: /etc/godwit/tls/ca.pem }\n"
    "              match_typed_subject_alt_names:\n"
    "              - san_type: URI\n"
    '                matcher: { prefix: "spiffe://mesh/region/" }\n': "",
    "action: ALLOW": "action: DENY",
    "                  headers:\n"
    "                  - { name: x-region, string_match: { exact: eu } }\n":
    "",
}


class UnixHttp(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("x", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self.path)


def http_get(path, target):
    """(status, text) of a GET over a unix socket."""
    with contextlib.closing(UnixHttp(path)) as c:
        c.request("GET", target)
        r = c.getresponse()
        return r.status, r.read().decode()


def stat_value(words):
    """A number; of times {"count": 3.0, "p50_ms": 0.41, ...}."""
    if words == "no values":
        return {"count": 0}
    if "=" not in words:
        return int(words)
    return {k: float(v) for k, v in (w.split("=") for w in words.split())}


class Answer:
    """What a caller got: code and message, body, metadata before and after."""

    def __init__(self, code, message, body, first, last):
        self.code, self.message, self.body = code.name, message or "", body
        self.first, self.last = list(first or ()), list(last or ())

    def __repr__(self):
        body = None if self.body is None else f"{len(self.body)} bytes"
        return (f"{self.code} {self.message!r} body={body} "
                f"first={self.first} last={self.last}")

    def meta(self, name):
        """The value of a name in trailers or headers, or None."""
        return dict(self.first + self.last).get(name)


class Caller:
    """A grpcio channel to a port of this host, or HOST:PORT; call gives an
    Answer, whatever the status."""

    def __init__(self, port, tls=None, options=()):
        target = port if isinstance(port, str) else f"127.0.0.1:{port}"
        options = {"grpc.max_receive_message_length": -1,
                   "grpc.enable_retries": 0,
                   "grpc.use_local_subchannel_pool": 1, **dict(options)}
        if tls:
            options["grpc.ssl_target_name_override"] = GATEWAY
        options = list(options.items())
        if tls:
            self.channel = grpc.secure_channel(target, tls, options)
        else:
            self.channel = grpc.insecure_channel(target, options)

    def start(self, body=b"hello", method=METHOD, region=None, metadata=(),
              timeout=PATIENCE_S):
        metadata = list(metadata)
        if region:
            metadata.append(("x-region", region))
        return self.channel.unary_unary(method).future(
            body, metadata=metadata, timeout=timeout)

    @staticmethod
    def answer(call):
        try:
            body = call.result()
        except grpc.RpcError:
            body = None
        return Answer(call.code(), call.details(), body,
                      call.initial_metadata(), call.trailing_metadata())

    def call(self, *args, **kwargs):
        return self.answer(self.start(*args, **kwargs))

    def close(self):
        self.channel.close()


class Service(grpc.GenericRpcHandler):
    """A grpcio service that says who it is.

    SayHello   NAME: and the request; metadata x-* comes back, -bin too
    Echo       the request
    Fail       NOT_FOUND, with a message and trailers
    Deadline   how many ms are left, in digits, or "none"
    Gather     the requests of a stream, one behind the other
    Wait       answers once release() was called
    """

    def __init__(self, name, port, host="127.0.0.1"):
        self.name, self.port = name, port
        self.calls, self.waiting = 0, 0
        self.gate = threading.Event()
        self.server = grpc.server(
            futures.ThreadPoolExecutor(32), handlers=[self],
            options=[("grpc.max_receive_message_length", -1),
                     ("grpc.so_reuseport", 0)])
        assert self.server.add_insecure_port(f"{host}:{port}") == port
        self.server.start()

    def service(self, details):
        reply = getattr(self, details.method.rsplit("/", 1)[1].lower(), None)
        if reply == self.gather:
            return grpc.stream_unary_rpc_method_handler(reply)
        return reply and grpc.unary_unary_rpc_method_handler(reply)

    def sayhello(self, request, context):
        self.calls += 1
        mine = [(k, v) for k, v in context.invocation_metadata()
                if k.startswith("x-") and k != "x-region"]
        context.send_initial_metadata([("x-service", self.name), *mine])
        context.set_trailing_metadata([("x-last", self.name), *mine])
        return self.name.encode() + b":" + request

    def echo(self, request, context):
        self.calls += 1
        return request

    def fail(self, request, context):
        context.set_trailing_metadata([("x-why", "because")])
        context.abort(grpc.StatusCode.NOT_FOUND, "no such th\u00efng: 100%")

    def deadline(self, request, context):
        left = context.time_remaining()
        return str(int(left * 1000)).encode() if left < 1e9 else b"none"

    def gather(self, requests, context):
        return b"".join(requests)

    def wait(self, request, context):
        self.waiting += 1
        assert self.gate.wait(PATIENCE_S)
        return b"waited"

    def release(self):
        self.gate.set()

    def stop(self):
        self.gate.set()
        self.server.stop(0).wait()


class Proxy:
    """A running godwit or Envoy."""

    def __init__(self, mesh, argv, run_dir, name, env=()):
        self.mesh, self.run_dir, self.name = mesh, run_dir, name
        self.log_file = os.path.join(mesh.dir, f"{name}.log")
        self.log_at = (os.path.getsize(self.log_file)
                       if os.path.exists(self.log_file) else 0)
        env = {**os.environ, **dict(env)}
        for variable in "ASAN_OPTIONS", "UBSAN_OPTIONS":
            env[variable] = (env.get(variable, "") +
                             f":log_path={mesh.dir}/sanitizer").strip(":")
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=mesh.dir)
        self.pid = self.process.pid

    def log(self):
        with open(self.log_file, errors="replace") as f:
            f.seek(self.log_at)
            return f.read()

    def exited(self):
        return self.process.poll() is not None

    def exit_code(self):
        return self.process.wait(PATIENCE_S)

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        if not self.exited():
            self.signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop in 10 s")

    # ---- what only godwit has

    def stats(self, worker=None):
        """{name: stat_value} of one worker, or the master's sum."""
        sock = "admin" if worker is None else f"worker-{worker}"
        status, text = http_get(f"{self.run_dir}/{sock}.sock", "/stats")
        assert status == 200, (status, text)
        return {k: stat_value(v) for k, v in
                (line.rsplit(": ", 1) for line in text.splitlines())}

    def until_stat(self, name, value):
        return until(lambda: self.stats().get(name) == value,
                     f"{self.name}: {name} is {value}, it is "
                     f"{self.stats().get(name)}")

    may_crash = False           # a test killed a child by a signal but 9

    def children(self):
        """{title: pid} of the keeper's children, "worker 0" and so on."""
        found = {}
        tasks = f"/proc/{self.pid}/task/{self.pid}/children"
        with open(tasks) as f:
            pids = f.read().split()
        for pid in pids:
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    title = f.read().split(b"\0")[0].decode()
                found[title.removeprefix("godwit: ").split(":")[0]] = \
                    int(pid)
        return found

    def generation(self):
        _, text = http_get(f"{self.run_dir}/admin.sock", "/generations")
        return int(re.search(r"published: (\d+)", text)[1])

    def command(self, word, *options):
        """godwit -s WORD: (exit code, what it printed)."""
        return self.mesh.run("-s", word, "-o", f"run_dir={self.run_dir}",
                             *options)


class Mesh(contextlib.ExitStack):
    """A temporary folder with everything that a test starts."""

    def __enter__(self):
        super().__enter__()
        self.dir = tempfile.mkdtemp(prefix="godwit-mesh-")
        self.n = 0
        self.proxies = []
        self.push(self.leave)
        return self

    def leave(self, kind, value, trace):
        texts = []
        for name in os.listdir(self.dir):
            if name.startswith("sanitizer."):
                with open(os.path.join(self.dir, name)) as f:
                    texts.append(f.read())
        for proxy in self.proxies:
            if value is not None:
                print(f"---- {proxy.name}\n{proxy.log()}", end="")
            if not proxy.may_crash:
                texts += CRASH.findall(proxy.log())
        shutil.rmtree(self.dir)
        assert not texts, "\n".join(texts)

    def certificates(self, **more):
        """The folder of t/lib/mint's certificates; the first to ask may have
        more, each NAME its names."""
        tls = os.path.join(self.dir, "tls")
        if not os.path.exists(tls):
            words = [w for pair in more.items() for w in pair]
            subprocess.run([os.path.join(ROOT, "t/lib/mint"), tls, *words],
                           check=True, stderr=subprocess.PIPE)
        return tls

    def pem(self, name):
        with open(os.path.join(self.certificates(), name), "rb") as f:
            return f.read()

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def example(self, name, replace):
        """A copy of an example with its ports and folders replaced."""
        with open(os.path.join(EXAMPLES, name)) as f:
            text = f.read()
        replace = {**replace, "/etc/godwit/tls": self.certificates()}
        for old, new in replace.items():
            assert str(old) in text, f"{name} has no {old}"
            text = text.replace(str(old), str(new))
        return self.write(name, text)

    def service(self, name, port=None, kind=Service):
        service = kind(name, port or free_port())
        self.callback(service.stop)
        return service

    def caller(self, port, tls=None, options=()):
        caller = Caller(port, tls, options)
        self.callback(caller.close)
        return caller

    def credentials(self, name):
        return grpc.ssl_channel_credentials(
            self.pem("ca.pem"), self.pem(f"{name}.key"),
            self.pem(f"{name}.pem"))

    def run(self, *args):
        """godwit ARGS to its end: (exit code, what it printed)."""
        p = subprocess.run([GODWIT, *args], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=PATIENCE_S, cwd=self.dir)
        return p.returncode, p.stdout.decode(errors="replace")

    def start(self, file, *options, run_dir=None, workers=1, state_dir=None):
        """A godwit that need not come to serve; workers None: the file says
        how many. It has a checkpoint of its own."""
        self.n += 1
        run_dir = run_dir or os.path.join(self.dir, f"run{self.n}")
        state_dir = state_dir or os.path.join(self.dir, f"state{self.n}")
        if workers is not None:
            options = ("-o", f"workers={workers}", *options)
        proxy = Proxy(self, [GODWIT, "-c", file, "-o", f"run_dir={run_dir}",
                             "-o", f"state_dir={state_dir}", *options],
                      run_dir, f"godwit{self.n}")
        self.proxies.append(proxy)
        self.callback(proxy.stop)
        return proxy

    def godwit(self, file, *options, **kwargs):
        """A godwit that serves."""
        proxy = self.start(file, *options, **kwargs)
        until(lambda: "is serving" in proxy.log() or proxy.exited(),
              "godwit serves")
        assert not proxy.exited(), proxy.log()
        return proxy

    def envoy(self, file, port=None):
        """An Envoy whose listener, or this port of it, is open."""
        port = port or port_of(file)
        binary = os.path.join(ROOT, "build/venv/bin/envoy")
        self.n += 1
        proxy = Proxy(self, [binary, "-c", file, "--concurrency", "1",
                             "--disable-hot-restart", "--log-level", "warn"],
                      None, f"envoy{self.n}")
        self.proxies.append(proxy)
        self.callback(proxy.stop)
        until(lambda: proxy.exited() or can_connect(port), "Envoy listens")
        assert not proxy.exited(), proxy.log()
        return proxy


def port_of(file):
    """The port of the listener of a copy of an example."""
    with open(file) as f:
        return int(f.read().split("address: 127.0.0.1, port_value: ")[1]
                   .split()[0])


def gone(pid):
    """Whether a process runs no more, reaped or not."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def can_connect(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class TwoRegions:
    """us: a local godwit and a service; eu: a gateway and a service."""

    def __init__(self, mesh, us="us-local.yaml", eu="eu-gateway.yaml",
                 start_us=None, start_eu=None, replace_us=(),
                 replace_eu=(), kind=Service):
        self.us_service = mesh.service("us", kind=kind)
        self.eu_service = mesh.service("eu", kind=kind)
        self.us_port, self.eu_port = free_port(), free_port()
        self.us_file = mesh.example(us, {
            10000: self.us_port, 10101: self.us_service.port,
            10443: self.eu_port, **dict(replace_us)})
        self.eu_file = mesh.example(eu, {
            10443: self.eu_port, 10102: self.eu_service.port,
            **dict(replace_eu)})
        self.eu = (start_eu or mesh.godwit)(self.eu_file)
        self.us = (start_us or mesh.godwit)(self.us_file)
        self.caller = mesh.caller(self.us_port)
