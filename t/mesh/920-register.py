"""Apps that the godwit beside them registers: when they are well, when not,
when godwit drains, when its master or the control plane dies."""
import json
import os
import re
import signal
import subprocess
import sys

from load import Calls
from mesh import GODWIT, PATIENCE_S, ROOT, free_port, until
from registry import Ems

CHECK = {"grpc": "", "interval": "0.1s", "timeout": "2s"}


class App:
    """t/lib/app.py, running."""

    def __init__(self, m, name, port=None):
        self.m, self.name, self.port = m, name, port or free_port()
        self.start()

    def start(self):
        self.process = p = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "t/lib/app.py"),
             str(self.port), self.name], stdin=subprocess.DEVNULL)
        self.m.callback(lambda: (p.kill(), p.wait()))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def is_well(self, well):
        self.process.send_signal(signal.SIGUSR2 if well else signal.SIGUSR1)

    def item(self, **more):
        return {"service": "demo.Greeter",
                "address": f"127.0.0.1:{self.port}", "check": CHECK, **more}


class Side:
    """A godwit that follows ems, beside apps that it registers."""

    def __init__(self, m, ems, *items, **settings):
        self.m, self.ems, self.settings = m, ems, settings
        self.port = free_port()
        m.n += 1
        self.name = f"side{m.n}.json"
        self.godwit = m.godwit(self.write(*items))

    def write(self, *items):
        return self.m.write(self.name, json.dumps({
            "node": {"id": self.name, "locality": {"region": "us"},
                     "metadata": {"listen": f"127.0.0.1:{self.port}"}},
            "godwit": {"ems": f"127.0.0.1:{self.ems.port}",
                       "register": list(items), **self.settings}}))

    def reload(self, *items):
        self.write(*items)
        return self.godwit.command("reload")

    def status(self):
        """What godwitctl status prints, and its exit code."""
        p = subprocess.run(
            [os.path.join(os.path.dirname(GODWIT), "godwitctl"), "-o",
             f"run_dir={self.godwit.run_dir}", "status"],
            stdout=subprocess.PIPE, timeout=30)
        return p.returncode, p.stdout.decode()

    def until_status(self, words):
        return until(lambda: (lambda s: words in s[1] and s)(self.status()),
                     lambda: f"{words}: {self.status()[1]}")

    def until_log(self, words, n=1):
        until(lambda: self.godwit.log().count(words) >= n,
              lambda: f"{n} times {words}:\n{self.godwit.log()}")


def epochs(ems):
    return [int(e) for e in re.findall(r"registered at .* epoch (\d+)",
                                       ems.log())]


def test_when_it_is_well(m):
    """A process that comes, is ill, well again, and is killed."""
    ems, port = Ems(m), free_port()
    app = App.__new__(App)
    app.m, app.name, app.port = m, "a", port
    side = Side(m, ems, app.item())
    code, text = side.until_status("could not connect: Connection refused")
    assert code == 1 and "waits for the app" in text, text
    assert not epochs(ems)
    app.start()
    side.until_status(": registered for")
    # What the control plane makes of it takes a moment to come.
    code, text = side.until_status("all is well")
    assert code == 0 and ": registered for" in text, text
    assert epochs(ems) == [1]
    assert f"demo.Greeter-127.0.0.1-{port}" in ems.log()
    assert m.caller(side.port).call().code in ("OK", "UNAVAILABLE")
    until(lambda: m.caller(side.port).call().body == b"a:hello",
          "it is called through godwit")
    app.is_well(False)
    side.until_log("deregistered\n")
    text = side.status()[1]
    assert "waits for the app" in text and "does not serve" in text, text
    app.is_well(True)
    side.until_status(": registered for")
    assert epochs(ems) == [1, 2]
    app.kill()
    side.until_log("deregistered\n", 2)
    assert "is not well" in side.godwit.log()


def test_who_goes_is_noticed(m):
    """By the connection that is held, and who comes again: the next check by
    the interval is a minute away."""
    ems = Ems(m)
    slow = {"interval": "60s", "timeout": "2s"}
    apps = [(App(m, "killed"), {"tcp": {}}, signal.SIGKILL),
            (App(m, "killed-grpc"), {"grpc": ""}, signal.SIGKILL),
            (App(m, "ended-grpc"), {"grpc": ""}, signal.SIGTERM)]
    side = Side(m, ems, *(app.item(id=app.name, check={**check, **slow})
                          for app, check, _ in apps))
    side.until_log(": registered, epoch", 3)
    for n, (app, _, number) in enumerate(apps, 1):
        app.process.send_signal(number)
        side.until_log("deregistered\n", n)
    log = side.godwit.log()
    assert log.count("the app is not well, it is deregistered: could not "
                     "connect: Connection refused") == 3, log
    for n, (app, _, _) in enumerate(apps, 4):
        app.process.wait(PATIENCE_S)
        app.start()
        side.until_log(": registered, epoch", n)


def test_the_control_plane_dies(m):
    """It comes back with its leases; godwit goes on with the same id."""
    ems = Ems(m)
    app = App(m, "a")
    side = Side(m, ems, app.item(), drain_time_ms=2000)
    side.until_status(": registered for")
    ems.kill()
    code, text = side.until_status(": not registered for")
    assert code == 1 and "tried again in" in text, text
    assert side.godwit.log().count("not registered") <= 3, side.godwit.log()
    ems.start()
    side.until_status(": registered for")
    assert epochs(ems) == [2], ems.log()
    ems.stop()
    side.until_status(": not registered for")
    # It drains without it too.
    side.godwit.signal(signal.SIGTERM)
    assert side.godwit.exit_code() == 0


def test_drain(m):
    """Two apps, each with a godwit; one of those drains while a caller calls
    through the other, and no call fails."""
    ems = Ems(m)
    a, b = App(m, "a"), App(m, "b")
    one, two = Side(m, ems, a.item()), Side(m, ems, b.item())
    calls = Calls(m.caller(two.port), "a", "b")
    one.godwit.signal(signal.SIGTERM)
    one.until_log("draining: ")
    log = one.godwit.log()
    assert log.index("deregistered\n") < log.index("draining: "), log
    calls.more()
    a.kill()
    calls.more()
    calls.end("b")
    assert one.godwit.exit_code() == 0
    # -s drain is the same.
    code, text = two.godwit.command("drain")
    assert code == 0, text
    assert "deregistered\n" in two.godwit.log()


def test_withdraw(m):
    """An app is withdrawn before it is told to stop, and no call fails; the
    one that is started in its place is registered."""
    ems = Ems(m)
    a, b = App(m, "a"), App(m, "b")
    one, two = Side(m, ems, a.item()), Side(m, ems, b.item(
        service="other"), b.item())
    calls = Calls(m.caller(two.port), "a", "b")
    assert one.godwit.command("withdraw=demo.Greeter") == (
        0, "withdrawn: 1\n")
    a.process.terminate()
    assert a.process.wait(PATIENCE_S) == 0
    calls.more()
    calls.end("b")
    one.until_status("could not connect")
    a.start()
    one.until_status(": registered for")
    # Others of the machine are not touched; and what can't be done is said.
    assert two.godwit.command("withdraw=other") == (0, "withdrawn: 1\n")
    code, text = two.status()
    assert code == 1 and "it was withdrawn" in text, text
    assert text.count(": registered for") == 1, text
    code, text = two.godwit.command("withdraw=nobody")
    assert code == 1 and "no app of this service or id" in text, text
    code, text = two.godwit.command("reload=now")
    assert code == 1 and "withdraw[=SERVICE]" in text, text
    ems.kill()
    two.until_log("not registered: ")
    code, text = two.godwit.command("withdraw")
    assert code == 1 and "1 of 2 could not be deregistered" in text, text


def test_the_master_dies(m):
    ems, app = Ems(m), App(m, "a")
    side = Side(m, ems, app.item())
    side.until_status(": registered for")
    os.kill(side.godwit.children()["master"], signal.SIGKILL)
    side.until_log("registered, epoch", 2)
    assert epochs(ems) == [1, 2]
    assert ems.log().count(f"lease demo.Greeter-127.0.0.1-{app.port} of "
                           "demo.Greeter: registered") == 2
    assert "drained" not in ems.log() and "gone" not in ems.log()


def test_reload(m):
    """Who is gone from the file leaves, who is new comes, who stays is not
    touched, who changes is the same lease."""
    ems = Ems(m)
    a, b, c = App(m, "a"), App(m, "b"), App(m, "c")
    side = Side(m, ems, a.item(), b.item(weight=2))
    side.until_log("registered, epoch", 2)
    assert side.reload(b.item(weight=3), a.item(), c.item())[0] == 0
    side.until_log("registered, epoch", 4)
    log = ems.log()
    assert log.count(f"127.0.0.1:{a.port} ") == 1, log
    assert log.count(f"127.0.0.1:{b.port} ") == 2, log
    assert "deregistered" not in side.godwit.log()
    assert side.reload(c.item())[0] == 0
    side.until_log("deregistered\n", 2)
    text = side.status()[1]
    assert f":{c.port}: registered" in text and f":{a.port}" not in text, text
    code, text = side.reload({"service": "a b", "address": "127.0.0.1:1"})
    assert code == 1 and "godwit.register[0].service: is \"a b\"" in text, text
    assert side.status()[0] == 0
    # Another control plane: the lease of the one before lapses.
    side.ems = Ems(m)
    assert side.reload(c.item())[0] == 0
    until(lambda: epochs(side.ems) == [1], side.ems.log)
    side.until_status(": registered for")


def test_refused(m):
    """What the control plane refuses is said, and tried again."""
    ems, app = Ems(m, intents=("region: eu", "region: us")), App(m, "a")
    side = Side(m, ems, app.item(service="a"), app.item(
        id="b", service="b", check={"tcp": {}}))
    side.until_log("registered, epoch", 2)
    file = side.write(app.item())
    with open(file) as f:
        text = f.read().replace('"region": "us"', '"region": "mars"')
    m.write("mars.json", text)
    mars = m.start(os.path.join(m.dir, "mars.json"))
    until(lambda: "INVALID_ARGUMENT: region is \"mars\"" in mars.log(),
          mars.log)
