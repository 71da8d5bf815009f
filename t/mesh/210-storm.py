"""Storms: reloads and deaths while callers never rest. Small counts here, full
ones under SOAK=1 (make soak-mesh), which prints the figures too."""
import os
import random
import signal
import time
from concurrent import futures

import frames
from load import RETRIES, ByHand, Chat, Connector, ShortChat, Unary
from mesh import can_connect, free_port, gone, until
from storm import Storm, count


def blow(storm, chats=4):
    """The load that most storms have; everyone gets on when it returns."""
    storm.load.add(Chat, chats, storm.port)
    storm.load.add(ShortChat, 2, storm.port)
    storm.load.add(Unary, 3, storm.port)
    storm.load.add(ByHand, 2, storm.port)
    storm.load.add(Connector, 1, storm.port)


def calm(storm):
    """The load stops, and nothing is left of it in any gauge."""
    storm.load.stop()
    p = storm.p
    print(f"{storm.load.figures()}; a worker's longest turn was "
          f"{p.stats()['server.loop_turn_time']['max_ms']:.0f} ms")

    def left():
        return {name: value for name, value in p.stats().items()
                if value and name.endswith(("downstream_cx_active",
                                            "rq_active", "buffered_bytes"))}

    until(lambda: not left(), lambda: f"all gauges are zero: {left()}")
    for service in storm.one, storm.two:
        service.stop()
    until(lambda: not any(v for n, v in p.stats().items()
                          if n.endswith("upstream_cx_active")),
          "no connection to a service is left")


# ---- reloads

def change_route(storm, n):
    """Where calls go: through another cluster, or to other endpoints, and how
    many routes are there."""
    s = storm.said
    if n % 3 == 0:
        storm.reload(to="b" if s["to"] == "a" else "a", routes=n % 40)
    else:
        storm.reload(**{s["to"]: [[storm.one], [storm.two],
                                  [storm.one, storm.two]][n // 3 % 3]})


def change_listener(storm, n):
    listeners = dict(storm.said["listeners"])
    port = listeners.pop("second", None)
    if port:
        storm.reload(listeners=listeners)
        until(lambda: not can_connect(port), "the second listener is gone")
    else:
        listeners["second"] = port = free_port()
        storm.reload(listeners=listeners)
        assert storm.call(port) == "OK"


def change_workers(storm, n):
    s = storm.said["settings"]
    workers = s["workers"] % 4 + 1 if n % 2 else (s["workers"] + 1) % 4 + 1
    storm.reload(settings=storm.settings(workers=workers))
    code, text = storm.p.command("status")
    assert code == 0 and text.count("serving") + text.count("starting") - 1 \
        == workers, (workers, text)


def change_else(storm, n):
    """Nothing, a setting, or endpoints that nobody calls."""
    if n % 3 == 0:
        storm.reload()
    elif n % 3 == 1:
        storm.reload(settings=storm.settings(
            buffer_budget_bytes=(256 + n) << 20))
    else:
        storm.reload(many=n % 500 + 1)


def test_reloads(m):
    storm = Storm(m)
    blow(storm)
    caller = m.caller(storm.port, options=RETRIES)
    n = count(40, 1000)
    turns = ([change_route] * (n // 2) + [change_listener] * (n // 10) +
             [change_workers] * (n // 10))
    turns += [change_else] * (n - len(turns))
    random.Random(4).shuffle(turns)
    for i, change in enumerate(turns):
        change(storm, i)
        storm.load.is_well()
        to = storm.said[storm.said["to"]]
        a = caller.call(b"x")
        assert a.body and a.body.decode().split(":")[0] in {
            s.name for s in to}, (change, a)
        if i % 4 == 0:
            storm.load.moved()
    assert storm.generation >= n + 1
    caller.close()
    calm(storm)
    storm.load.is_well()
    assert "hangs" not in storm.p.log(), storm.p.log()


# ---- compaction

def test_an_arena_is_left_for_another(m):
    """Many endpoints come and go: twice what is live is dead."""
    storm = Storm(m)
    blow(storm)
    for n in range(1, 1 + count(2, 20)):
        storm.reload(many=30000 + n)
        storm.reload(many=n)
        until(lambda: storm.generations()["compactions"] >= n,
              f"compaction {n}")
        storm.load.moved()
        storm.load.is_well()
    calm(storm)
    storm.load.is_well()
    assert storm.generations()["used_bytes"] < 1 << 20


# ---- deaths

def test_masters_die(m):
    storm = Storm(m)
    blow(storm)
    for n in range(count(5, 100)):
        pid = storm.p.children()["master"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: storm.p.children().get("master", pid) != pid,
              "a successor")
        before = storm.generation
        change_route(storm, n)
        assert storm.generation >= before + 2, "the successor's and this one"
        storm.load.moved()
        storm.load.is_well()
    calm(storm)
    storm.load.is_well()


def stat_words(pid):
    """Of /proc/PID/stat, from the state on, which proc(5) calls field 3."""
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


def worked_ticks(pid):
    """utime and stime."""
    return sum(int(word) for word in stat_words(pid)[11:13])


def lived_s(pid):
    return (time.clock_gettime(time.CLOCK_BOOTTIME) -
            int(stat_words(pid)[19]) / os.sysconf("SC_CLK_TCK"))


def asked(storm):
    """A reload that somebody else may end: who asked is told in any case."""
    code, text = storm.p.command("reload")
    assert code == 0 or "the master d" in text, (code, text)
    return code


def test_masters_die_while_they_reload(m):
    """Killed after so many ticks of work on a large file, or just behind."""
    storm = Storm(m)
    blow(storm)
    codes = []
    with futures.ThreadPoolExecutor(1) as pool:
        for n in range(count(6, 100)):
            pid = storm.p.children()["master"]
            before = worked_ticks(pid)
            storm.write(many=10000 + n)
            answer = pool.submit(asked, storm)
            until(lambda: worked_ticks(pid) > before + 3 * (n % 6) or
                  answer.done(), "it works")
            os.kill(pid, signal.SIGKILL)
            storm.write(many=1)
            codes.append(answer.result())
            until(lambda: storm.p.children().get("master", pid) != pid,
                  "a successor")
            change_route(storm, n)
            storm.load.moved()
            storm.load.is_well()
    calm(storm)
    storm.load.is_well()
    assert 1 in codes, "none died in time"
    print(f"{codes.count(1)} of {len(codes)} reloads ended with their master")


def kill_a_worker(storm, name):
    """Its own calls fail, and nobody else's. One may fail again where grpcio
    begins it on the connection before it looks whether that still is."""
    load, pid = storm.load, storm.workers()[name]
    callers = [c for c in load.clients if not isinstance(c, ByHand)]
    # Three quick deaths in a row would make its successor wait (keeper.c).
    until(lambda: lived_s(pid) > 1.1, f"{name} is no newborn")
    load.moved()
    before = {c: len(c.failures) for c in load.clients}
    carried = storm.carriers()
    assert set(carried) == set(callers), "whom nobody carries"
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), "the worker is dead")
    assert storm.call(storm.port) == "OK", "at once"
    load.moved()
    for c in callers:
        new = c.failures[before[c]:]
        assert {code for code, _, _ in new} <= {"UNAVAILABLE"}, load.log
        most = 3 if carried[c] == name else 0
        least = 1 if most and type(c) is Chat else 0
        assert least <= len(new) <= most, (c.name, carried[c], name,
                                           load.log[-9:])
    for c in set(load.clients) - set(callers):
        new = c.failures[before[c]:]
        assert len(new) <= 1 and "efused" not in str(new), (name, new)
    return sum(len(c.failures) - before[c] for c in load.clients)


def test_workers_die(m):
    storm = Storm(m, "--debuggable", settings={
        "workers": 3, "drain_time_ms": 3600000})
    blow(storm, 6)
    failures = 0
    n = count(5, 100)
    for i in range(n):
        failures += kill_a_worker(storm, f"worker {i % 3}")
    assert storm.p.log().count("died: killed by signal 9") == n
    assert failures == len(storm.load.log) > 0, "nobody was carried"
    calm(storm)
    assert "successor waits" not in storm.p.log()


def test_all_at_once(m):
    """Nobody waits for anybody: what remains is that callers learn of the
    deaths and of nothing else, and that all comes to rest."""
    storm = Storm(m, settings={"workers": 3, "drain_time_ms": 3600000})
    blow(storm)
    chance = random.Random(5)
    changes = (change_route, change_else, change_workers)
    deaths = 0
    with futures.ThreadPoolExecutor(1) as pool:
        for n in range(count(20, 300)):
            answer = pool.submit(asked, storm)
            name, pid = chance.choice(list(storm.workers().items()) +
                                      [("master", None)])
            pid = pid or storm.p.children().get("master")
            if pid and lived_s(pid) > 1.1:
                os.kill(pid, signal.SIGKILL)
                deaths += 1
            answer.result()
            chance.choice(changes)(storm, n)
            storm.load.moved()
    for c in storm.load.clients:
        for code, message, _ in c.failures:
            assert code in ("UNAVAILABLE", "by hand") and \
                "efused" not in message, storm.load.log
    calm(storm)
    print(f"{deaths} deaths")


def test_a_worker_hangs(m):
    """Said, killed and replaced; the others go on meanwhile. The times are
    for machines with too much to do, on which others stand still too."""
    storm = Storm(m, "-o", "stuck_alarm_ms=500", "-o", "stuck_kill_ms=2000")
    storm.load.add(Chat, 6, storm.port)
    for n in range(count(1, 10)):
        storm.load.moved()
        carried = storm.carriers()
        assert len(carried) == 6
        name = carried[storm.load.clients[n % 6]]
        others = [c for c in carried if carried[c] != name]
        pid = storm.workers()[name]
        before = {c: len(c.failures) for c in carried}
        os.kill(pid, signal.SIGSTOP)
        until(lambda: stat_words(pid)[0] == "T", "it is stopped")
        # Some of them wait in its queue, for its successor.
        wires = [frames.client(storm.port) for _ in range(16)]
        for wire in wires:
            wire.send(frames.headers(1, frames.REQUEST) +
                      frames.data(1, frames.MESSAGE, end=True))
        said = f"{name}, pid {pid}, hangs"
        until(lambda: f"{said}: no turn for" in storm.p.log(), "it is said")
        storm.load.moved(others)
        until(lambda: f"{said} for" in storm.p.log() and gone(pid),
              "it is killed")
        until(lambda: storm.workers().get(name, pid) != pid, "a successor")
        storm.load.moved()
        for wire in wires:
            assert wire.until_end_of(1)[-1] == frames.HEADERS
            wire.close()
        for c in carried:
            new = len(c.failures) - before[c]
            assert 1 <= new <= 3 if c not in others else not new, \
                (c.name, name, carried[c], storm.load.log)
    calm(storm)
    assert {code for c in carried for code, _, _ in c.failures} == {
        "UNAVAILABLE"}
