"""t/lib/units.py - units of conf/systemd as processes of this host, started and
stopped as systemd does it.

    host = Host(m, {"/etc/godwit": folder, "10.0.0.5": address, ...})
    host.add("godwit@local", "godwit@.service")
    host.add("tasks", text, "app.service.d/godwit.conf")    a unit and a drop-in
    host.start("godwit@local", "tasks")     ExecStartPre, ExecStart, READY=1
    host.reload("godwit@local")             (exit code, what it said)
    host.stop("tasks")                      ExecStop to its end, then TERM
    host.shut_down()                        all, who is After= another before it

A text of the units is replaced as Host was told; folders that systemd makes are
in the test's. Rights, limits and users are systemd's own: systemd-analyze looks
at those. Source: systemd.service(5), systemd.unit(5), sd_notify(3).
"""
import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess

from mesh import GODWIT, PATIENCE_S, ROOT, Proxy

FOLDER = os.path.join(ROOT, "conf/systemd")
FOLDERS = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib"}


def parse(text):
    """{key: [values]}; no key of ours is in two sections."""
    found = {}
    for line in text.splitlines():
        if "=" in line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


class Unit:
    def __init__(self, host, name, text):
        self.host, self.name, self.process = host, name, None
        self.says = parse(text.replace("%i", name.partition("@")[2]))
        self.env = {}
        for key, parent in FOLDERS.items():
            for folder in self.says.get(key, []):
                path = self.env[re.sub("D", "_D", key).upper()] = \
                    host.here(f"{parent}/{folder}")
                os.makedirs(path, exist_ok=True)

    def one(self, key, otherwise=None):
        return self.says.get(key, [otherwise])[-1]

    def runs(self, key):
        """Each command of a key to its end: (exit code, what it said) of the
        last; one that may fail is passed over."""
        done = 0, ""
        for line in self.says.get(key, []):
            p = subprocess.run(
                self.command(line), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=PATIENCE_S, env={**os.environ, **self.env})
            if "-" not in re.match("[-+!:@]*", line)[0]:
                done = p.returncode, p.stdout.decode()
            self.host.happens(f"{key} {self.name}")
        return done

    def command(self, line):
        words = shlex.split(self.host.here(line.lstrip("-+!:@")))
        if words[0].startswith("/usr/bin/godwit"):
            words[0] = os.path.join(os.path.dirname(GODWIT),
                                    os.path.basename(words[0]))
        return words

    # ---- life

    def start(self):
        code, text = self.runs("ExecStartPre")
        assert code == 0, text
        with contextlib.ExitStack() as stack:
            notify = stack.enter_context(socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM))
            if self.one("Type") == "notify":
                self.env["NOTIFY_SOCKET"] = self.host.notify_path(self.name)
                notify.bind(self.env["NOTIFY_SOCKET"])
                notify.settimeout(PATIENCE_S)
            self.process = Proxy(
                self.host.m, self.command(self.one("ExecStart")),
                self.env.get("RUNTIME_DIRECTORY"), self.name, self.env)
            self.host.m.proxies.append(self.process)
            self.host.m.callback(self.kill)
            while "NOTIFY_SOCKET" in self.env and \
                    b"READY=1" not in notify.recv(4096):
                pass
        self.host.happens(f"started {self.name}")

    def kill(self):
        self.process.process.kill()
        self.process.process.wait()

    def stop(self):
        self.runs("ExecStop")
        self.host.happens(f"TERM {self.name}")
        self.process.signal(signal.SIGTERM)
        code = self.process.process.wait(float(self.one("TimeoutStopSec", 90)))
        assert code == 0, f"{self.name}: {code}: {self.process.log()}"
        self.host.happens(f"end {self.name}")

    def after(self):
        return {w.removesuffix(".service") for line in
                self.says.get("After", []) for w in line.split()}


class Host:
    def __init__(self, m, replace):
        self.m, self.units, self.events = m, {}, []
        self.replace = {**replace, **{
            f"{parent}/godwit": os.path.join(m.dir, f"{key}-godwit")
            for key, parent in FOLDERS.items()}}

    def happens(self, what):
        self.events.append(what)

    def here(self, text):
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text

    def notify_path(self, name):
        return os.path.join(self.m.dir, f"{name}.notify")

    def add(self, name, *parts):
        """A unit of these files of conf/systemd, or texts."""
        text = ""
        for part in parts:
            if "\n" not in part:
                with open(os.path.join(FOLDER, part)) as f:
                    part = f.read()
            text += part
        self.units[name] = Unit(self, name, text)

    def start(self, *names):
        for name in names:
            self.units[name].start()

    def reload(self, name):
        return self.units[name].runs("ExecReload")

    def stop(self, name):
        self.units[name].stop()

    def shut_down(self):
        left = dict(self.units)
        while left:
            name = next(n for n in left if not any(
                n in other.after() for other in left.values()))
            left.pop(name).stop()


def analyze(m, *names):
    """What systemd-analyze verify says of units, with our programs and with a
    service app that has the drop-in; and how exposed each is, of 10. None where
    there is no systemd-analyze."""
    def put(to, text):
        m.write(to, text.replace("/usr/bin/", os.path.dirname(GODWIT) + "/"))

    def run(*words):
        return subprocess.run(
            ["systemd-analyze", *words], cwd=m.dir, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=PATIENCE_S).stdout
    files = [f"./{n}.service" for n in names]
    for name, file in zip(names, files):
        with open(os.path.join(FOLDER, re.sub("@.*", "@", name) +
                               ".service")) as f:
            put(file, f.read())
    os.mkdir(os.path.join(m.dir, "app.service.d"))
    with open(os.path.join(FOLDER, "app.service.d/godwit.conf")) as f:
        put("app.service.d/godwit.conf", f.read())
    put("app.service", "[Service]\nExecStart=/bin/true\n")
    try:
        said = run("verify", "--man=no", *files, "./app.service")
    except FileNotFoundError:
        return None
    return said, [float(re.search(r"level for .*: ([0-9.]+) ", run(
        "security", "--offline=true", file))[1]) for file in files]
