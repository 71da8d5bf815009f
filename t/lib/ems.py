"""t/lib/ems.py - a real godwit-ems, in the test's folder and on free ports,
asked by REST (http.client) and by godwitctl.

    ems = Ems(m)                       serving; stopped with the test
    ems.rest("PUT", "/v1/region/us", "region: us\n")      -> Rest
    ems.ctl("get", "region", "us")                        -> Ctl
    ems.stop(), ems.kill(), ems.start()                   the same state

EMS names the binary to test, GODWITCTL the other one; by default they are
beside GODWIT.
"""
import contextlib
import http.client
import json
import os
import subprocess
import threading

from mesh import GODWIT, PATIENCE_S, Proxy, UnixHttp, free_port, until

FOLDER = os.path.dirname(GODWIT)
EMS = os.path.abspath(os.environ.get(
    "EMS", os.path.join(FOLDER, "godwit-ems")))
GODWITCTL = os.path.abspath(os.environ.get(
    "GODWITCTL", os.path.join(FOLDER, "godwitctl")))


class Rest:
    """An answer: status, headers, text, and what the text is as JSON."""

    def __init__(self, answer):
        self.status = answer.status
        self.headers = dict(answer.getheaders())
        self.text = answer.read().decode()
        self.json = (json.loads(self.text) if self.text and "json" in
                     self.headers.get("Content-Type", "") else None)

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return f"{self.status} {self.text[:2000]}"


def refused(answer, status, *words):
    """A Rest that is one sentence, with these words."""
    assert answer.status == status, answer
    for word in words:
        assert word in answer["error"], (word, answer)
    assert "\n" not in answer["error"], answer
    return answer


class Ctl:
    """What a godwitctl did: exit code, what it printed to out and to err."""

    def __init__(self, process):
        self.rc = process.returncode
        self.out = process.stdout.decode()
        self.err = process.stderr.decode()

    def __repr__(self):
        return f"exit code {self.rc}\n{self.out}{self.err}"


class Ems:
    """settings: fields of the file beside those that are set here, such as
    rest_token_file; listen, rest_listen: ports to take instead of new ones."""

    def __init__(self, m, settings=None, listen=None, rest_listen=None,
                 start=True):
        m.n += 1
        self.m, self.name = m, f"ems{m.n}"
        self.dir = os.path.join(m.dir, self.name)
        self.socket = os.path.join(self.dir, "run/ems.sock")
        self.port = listen or free_port()
        self.rest_port = rest_listen or free_port()
        self.proxy = None
        os.mkdir(self.dir)
        self.settings = {
            "state_dir": os.path.join(self.dir, "state"),
            "run_dir": os.path.join(self.dir, "run"),
            "listen": f"127.0.0.1:{self.port}",
            "rest_listen": f"127.0.0.1:{self.rest_port}",
            **(settings or {})}
        self.file = m.write(f"{self.name}.yaml", json.dumps(self.settings))
        m.callback(self.stop)
        if start:
            self.start()

    # ---- life

    def begin(self):
        """Started, which need not come to serve."""
        self.proxy = Proxy(self.m, [EMS, "-c", self.file], None, self.name)
        self.m.proxies.append(self.proxy)

    def start(self):
        self.begin()
        until(lambda: "is serving" in self.proxy.log() or
              self.proxy.exited(), lambda: f"it serves: {self.proxy.log()}")
        assert not self.proxy.exited(), self.proxy.log()

    def stop(self):
        """As an operator does: INT, and it ends well."""
        if self.proxy is None:
            return
        exited = self.proxy.exited()
        self.proxy.stop()
        code = self.proxy.exit_code()
        assert exited or code == 0, (code, self.proxy.log())

    def kill(self):
        """kill -9."""
        self.proxy.process.kill()
        self.proxy.process.wait()

    def log(self):
        return self.proxy.log()

    # ---- asking

    def connection(self, local=False):
        c = (UnixHttp(self.socket) if local else http.client.HTTPConnection(
            "127.0.0.1", self.rest_port, timeout=PATIENCE_S))
        return contextlib.closing(c)

    def rest(self, method, path, body=None, headers=None, local=False,
             via=None):
        """One request on a connection of its own (or via); a body that is
        neither text nor bytes goes as JSON. local: by the unix socket."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        with via or self.connection(local) as c:
            c.request(method, path, body, headers or {})
            return Rest(c.getresponse())

    def ctl(self, *words, stdin=None, where=None, env=None):
        """godwitctl --ems (the socket, or where) WORDS, to its end."""
        argv = [GODWITCTL, "--ems", where or f"unix:{self.socket}", *words]
        return Ctl(subprocess.run(
            argv, input=(stdin or "").encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=PATIENCE_S, cwd=self.m.dir,
            env={**os.environ, **(env or {})}))

    def apply(self, text, *options):
        """godwitctl apply of a text, which must be taken."""
        file = self.m.write(f"{self.name}-{threading.get_native_id()}.yaml",
                            text)
        done = self.ctl("apply", file, *options)
        assert done.rc == 0, done
        return done
