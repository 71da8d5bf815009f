"""What an operator does while callers never rest: listeners, certificates,
the log, fewer workers; and what ps says of it."""
import os
import re
import shutil
import signal
import socket
import ssl

import frames
from load import ByHand, Chat, Connector, ShortChat, Unary
from mesh import can_connect, free_port, occupy, until
from storm import Storm, count


def calm(storm):
    storm.load.stop()
    print(storm.load.figures())
    storm.load.is_well()


# ---- listeners

def idle(port):
    """A caller that has had an answer and waits, to see frames."""
    wire = frames.client(port)
    wire.send(frames.headers(1, frames.REQUEST) +
              frames.data(1, frames.MESSAGE, end=True))
    assert wire.until_end_of(1)[-1] == frames.HEADERS
    return wire


def sent_away(wire):
    """Two GOAWAYs without an error, then the end."""
    for last in 0x7fffffff, 1:
        kind, _, _, payload = wire.read()
        assert kind == frames.GOAWAY, kind
        assert payload[:8] == last.to_bytes(4, "big") + bytes(4), payload
    assert wire.read() is None
    wire.close()


def opened(storm):
    """How many callers came, ever."""
    return sum(v for n, v in storm.p.stats().items()
               if n.endswith("downstream_cx_total"))


def test_listeners_go_and_nobody_else_notices(m):
    storm = Storm(m)
    storm.load.add(Unary, 2, storm.port)
    storm.load.add(Connector, 1, storm.port)
    storm.load.add(Chat, 1, storm.port)
    for n in range(count(4, 40)):
        there, other = free_port(), free_port()
        storm.reload(listeners={"callers": storm.port, "second": there})
        wire = idle(there)
        [chat] = storm.load.add(Chat, 1, there)
        if n % 2 == 0:      # it is removed
            listeners = {"callers": storm.port}
        else:               # it moves
            listeners = {"callers": storm.port, "second": other}
        storm.reload(listeners=listeners)
        sent_away(wire)
        until(lambda: not can_connect(there), "it is closed")
        for name, port in listeners.items():
            assert storm.call(port) == "OK", (n, name)
        storm.load.moved()      # also the chat: it ends when it wants to
        chat.over.set()
        chat.join()
        storm.load.is_well()
    calm(storm)


def test_a_listener_gets_another_name(m):
    """The address is what it is known by: nobody is sent away."""
    storm = Storm(m)
    storm.load.add(Unary, 3, storm.port)
    storm.load.add(ByHand, 3, storm.port)
    storm.load.add(Chat, 2, storm.port)
    came = opened(storm)
    for n in range(count(5, 50)):
        storm.reload(listeners={f"callers{n}": storm.port},
                     to="ab"[n % 2])
        assert f"listener callers{n}: 127.0.0.1:{storm.port}\n" in \
            storm.p.command("status")[1]
        storm.load.moved()
        storm.load.is_well()
    assert opened(storm) == came
    calm(storm)


def test_a_port_that_is_taken_changes_nothing(m):
    storm = Storm(m)
    storm.load.add(Unary, 2, storm.port)
    storm.load.add(Chat, 2, storm.port)
    taken = free_port()
    listeners = {"callers": storm.port, "second": free_port(),
                 "third": taken}
    with occupy(taken):
        storm.write(listeners=listeners, to="b")
        code, text = storm.p.command("reload")
        want = f"listener third: 127.0.0.1:{taken} is in use by another " \
               "process"
        assert (code, text) == (1, f"godwit: {want}\n"), (code, text)
        assert f"reload refused, generation 1 stays: {want}" in storm.p.log()
        assert storm.generations()["published"] == 1
        assert not can_connect(listeners["second"]), "bound, and let go"
        assert m.caller(storm.port).call(b"x").body == b"one:x"
    storm.reload()
    assert storm.call(taken) == "OK"
    assert m.caller(storm.port).call(b"x").body == b"two:x"
    storm.load.moved()
    calm(storm)


# ---- certificates

def server_tls(m, ca):
    tls = m.certificates()
    return {
        "require_client_certificate": True,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [{
                "certificate_chain": {"filename": f"{tls}/now.pem"},
                "private_key": {"filename": f"{tls}/now.key"}}],
            "validation_context": {
                "trusted_ca": {"filename": f"{tls}/{ca}.pem"}}}}


def certify(m, name):
    """The listener's certificate from the next reload on."""
    for end in "pem", "key":
        shutil.copy(f"{m.certificates()}/{name}.{end}",
                    f"{m.certificates()}/now.{end}")


def identity(m, name):
    """What a caller by hand has; he does not ask who the other one is."""
    c = ssl.create_default_context(cafile=f"{m.certificates()}/ca.pem")
    c.check_hostname = False
    c.load_cert_chain(f"{m.certificates()}/{name}.pem",
                      f"{m.certificates()}/{name}.key")
    c.set_alpn_protocols(["h2"])
    return c


def shown(m, port, name):
    """The certificate that a new caller is shown; name is his."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with identity(m, name).wrap_socket(raw) as s:
            return ssl.DER_cert_to_PEM_cert(s.getpeercert(True))


def test_a_new_certificate_sends_nobody_away(m):
    certify(m, "eu-gateway")
    storm = Storm(m, tls=server_tls(m, "ca"))
    us = m.credentials("us-local")
    storm.load.add(Unary, 2, storm.port, us)
    storm.load.add(ShortChat, 1, storm.port, us)
    storm.load.add(Chat, 2, storm.port, us)
    for n in range(count(4, 40)):
        # No name of the impostor's is one that our callers would accept.
        name = ("eu-impostor", "eu-gateway")[n % 2]
        certify(m, name)
        storm.reload()
        before = opened(storm)
        assert m.pem(f"{name}.pem").decode() == \
            shown(m, storm.port, "us-local")
        storm.load.moved()
        assert opened(storm) == before + 1, "someone came anew"
    calm(storm)


def test_other_rules_send_callers_away_to_be_checked(m):
    """A CA is trusted too, then no more: whom it vouched for is out."""
    certify(m, "eu-gateway")
    m.write("tls/both.pem", (m.pem("ca.pem") +
                             m.pem("foreign-ca.pem")).decode())
    storm = Storm(m, tls=server_tls(m, "ca"))
    us, foreign = m.credentials("us-local"), m.credentials("foreign")
    storm.load.add(Unary, 2, storm.port, us)
    storm.load.add(ShortChat, 1, storm.port, us)
    storm.load.add(ByHand, 2, storm.port, identity(m, "us-local"))
    chats = storm.load.add(Chat, 2, storm.port, us)
    for n in range(count(2, 20)):
        before = opened(storm)
        storm.reload(tls=server_tls(m, "both"))
        storm.load.moved()
        until(lambda: opened(storm) >= before + 4, "callers come anew")
        stranger = m.caller(storm.port, foreign)
        assert stranger.call(b"x").code == "OK"
        storm.reload(tls=server_tls(m, "ca"))
        until(lambda: stranger.call(b"x", timeout=10).code == "UNAVAILABLE",
              "the stranger is out")
        stranger.close()
        storm.load.moved()
        storm.load.is_well()
    assert all(c.turns for c in chats)
    calm(storm)


# ---- the log

def worker_speaks(storm, log):
    """Each worker has something to say, until all of it is in the file."""
    def said():
        with socket.create_connection(("127.0.0.1", storm.port)) as s:
            s.sendall(b"nonsense" * 4)
            s.settimeout(30)
            while s.recv(1000):
                pass
        text = read(log)
        return all(re.search(rf"^\S+ godwit {name}: ", text, re.M)
                   for name in storm.workers())
    until(said, f"all workers write to {log}")


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def test_logs_are_rotated(m):
    storm = Storm(m)
    storm.load.add(Unary, 1, storm.port)
    log = f"{m.dir}/godwit.log"
    storm.reload(settings=storm.settings(log_file=log))
    storm.reload()
    assert f"generation {storm.generation}: " in read(log), "the master's"
    worker_speaks(storm, log)
    for n in range(count(4, 40)):
        os.rename(log, f"{log}.{n}")
        if n % 2 == 0:
            storm.p.signal(signal.SIGUSR1)
            until(lambda: os.path.exists(log), "a new file")
        else:
            assert storm.p.command("reopen") == (
                0, f"the log goes to {log}\n")
        worker_speaks(storm, log)
        old = read(f"{log}.{n}")
        storm.reload()
        worker_speaks(storm, log)
        text = read(log)
        assert f"generation {storm.generation}: " in text, text
        assert read(f"{log}.{n}") == old, "the old one is left alone"
        assert " died" not in text, text
    calm(storm)


def test_a_log_that_cannot_be_is_refused(m):
    storm = Storm(m)
    log = f"{m.dir}/logs/godwit.log"
    want = f"the setting log_file: {log} can't be opened: No such file or " \
           "directory\n"
    storm.write(settings=storm.settings(log_file=log))
    assert storm.p.command("reload") == (1, f"godwit: {want}")
    assert storm.generations()["published"] == 1
    os.mkdir(f"{m.dir}/logs")
    storm.reload()
    shutil.rmtree(f"{m.dir}/logs")
    assert storm.p.command("reopen") == (1, f"godwit: {want}")
    storm.reload(settings=storm.settings(log_file=""))
    assert f"generation {storm.generation}: " in storm.p.log()


# ---- fewer workers

def titles(storm):
    """What ps says of each worker, by its name."""
    found = {}
    for name, pid in storm.workers().items():
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            found[name] = f.read().split(b"\0")[0].decode()
    return found


def leaving(storm):
    return set(re.findall(r"^(worker \d+): pid \d+, leaving",
                          storm.p.command("status")[1], re.M))


def test_ps_says_who_drains(m):
    storm = Storm(m, "--debuggable", settings={
        "workers": 3, "drain_time_ms": 3600000})
    chats = storm.load.add(Chat, 8, storm.port)
    carried = storm.carriers()
    storm.reload(settings=storm.settings(workers=1))
    streams = {name: sum(carried[c] == name for c in chats)
               for name in set(carried.values()) - {"worker 0"}}
    assert streams, "8 connections, and all at one worker"
    while streams:
        want = {name: f"godwit: {name}: draining, {n} stream" +
                ("" if n == 1 else "s") for name, n in streams.items()}
        until(lambda: titles(storm) == {"worker 0": "godwit: worker 0",
                                        **want},
              lambda: f"{want}, they are {titles(storm)}")
        until(lambda: leaving(storm) == set(want), "the status says so too")
        storm.load.moved([c for c in chats if c.is_alive()])
        name = min(streams)
        chat = next(c for c in chats if carried[c] == name and c.is_alive())
        chat.over.set()
        chat.join()
        streams[name] -= 1
        if not streams[name]:
            del streams[name]
    until(lambda: set(storm.workers()) == {"worker 0"}, "they are gone")
    calm(storm)


def test_who_does_not_leave_in_time_is_cut(m):
    storm = Storm(m, "--debuggable", settings={
        "workers": 3, "drain_time_ms": 3600000})
    chats = storm.load.add(Chat, 8, storm.port)
    carried = storm.carriers()
    storm.reload(settings=storm.settings(workers=1, drain_time_ms=300))
    until(lambda: set(storm.workers()) == {"worker 0"}, "they are gone")
    assert "drain time is over" in storm.p.log()
    storm.load.moved()
    for c in chats:
        codes = {code for code, _, _ in c.failures}
        assert codes == (set() if carried[c] == "worker 0" else
                         {"UNAVAILABLE"}), (c.name, carried[c], c.failures)
    storm.load.stop()
