"""t/lib/ems_https.py - a godwit-ems whose REST door speaks TLS (rest_tls), and
those who ask there, each with a certificate.

    ems = EmsHttps(m)
    ems.rest("GET", "/v1/region", who="alice")      None: no certificate
    ems.ctl("list", "region", who="web")            godwitctl by https://
    ems.curl("/v1/region", who="web")
"""
import contextlib
import http.client
import os
import ssl
import subprocess

from ems import Ctl, Ems
from mesh import PATIENCE_S, ROOT, until

US = "spiffe://mesh/region/us/"
PEOPLE = {"alice": "spiffe://mesh/writer/alice", "web": US + "service/web",
          "host": US + "host/h1"}


def mint(folder):
    names = [w for pair in PEOPLE.items() for w in pair]
    subprocess.run([os.path.join(ROOT, "t/lib/mint"), folder, *names],
                   check=True, stderr=subprocess.PIPE)


class EmsHttps(Ems):
    """ca False: certificates are not asked for."""

    def __init__(self, m, settings=None, ca=True, **kwargs):
        self.tls = os.path.join(m.dir, "tls")
        if not os.path.isdir(self.tls):
            mint(self.tls)
        files = {"certificate": self.pem("ems"), "key": self.pem("ems", "key")}
        if ca:
            files["ca"] = self.pem("ca")
        super().__init__(m, {"rest_tls": files, **(settings or {})}, **kwargs)
        self.where = f"https://127.0.0.1:{self.rest_port}"

    def pem(self, name, end="pem"):
        return f"{self.tls}/{name}.{end}"

    def context(self, who=None, ca="ca"):
        c = ssl.create_default_context(cafile=self.pem(ca))
        if who is not None:
            c.load_cert_chain(self.pem(who), self.pem(who, "key"))
        return c

    def https(self, who=None, **kwargs):
        return contextlib.closing(http.client.HTTPSConnection(
            "127.0.0.1", self.rest_port, timeout=PATIENCE_S,
            context=self.context(who), **kwargs))

    def rest(self, method, path, body=None, headers=None, local=False,
             who="alice"):
        """A fast machine asks more often than it may (429), and again."""
        ask, answers = super().rest, []

        def fact():
            answers.append(ask(method, path, body, headers, local,
                               None if local else self.https(who)))
            return answers[-1].status != 429
        until(fact, lambda: answers[-1])
        return answers[-1]

    def ctl(self, *words, who="alice", ca="ca", where=None, **kwargs):
        files = ["--ca", self.pem(ca)] if ca else []
        if who is not None:
            files += ["--cert", self.pem(who), "--key", self.pem(who, "key")]
        return super().ctl(*files, *words, where=where or self.where,
                           **kwargs)

    def curl(self, path, *options, who="alice", ca="ca"):
        argv = ["curl", "-sS", "--max-time", str(PATIENCE_S), "--noproxy", "*",
                "--cacert", self.pem(ca), *options, self.where + path]
        if who is not None:
            argv += ["--cert", self.pem(who), "--key", self.pem(who, "key")]
        return Ctl(subprocess.run(argv, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE))
