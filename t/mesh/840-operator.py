"""What an operator sees of the subscription: godwitctl and admin.sock with a
control plane that sends good, bad and incomplete things, or is gone; and
/config_dump beside a real Envoy's on the same control plane."""
import http.client
import json
import os
import signal
import socket
import subprocess

import plane
from mesh import GODWIT, PATIENCE_S, can_connect, free_port, http_get, until
from plane import Plane, assignment, cluster, listener, route

NODE = "godwit"
BAD, WHY = cluster("bad", [1], lb_policy="RING_HASH"), \
    "lb_policy: RING_HASH is not built yet"


def ctl(*words, run_dir):
    """(exit code, what it printed, what it complained of)."""
    p = subprocess.run(
        [os.path.join(os.path.dirname(GODWIT), "godwitctl"), "-o",
         f"run_dir={run_dir}", *words], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


class Watched:
    """A service, a plane that leads to it, and a godwit that is asked."""

    def __init__(self, m, delta=False, **resources):
        self.a = m.service("a")
        self.port = free_port()
        self.plane = Plane(m)
        self.resources = {
            "clusters": [cluster("greeter")],
            "endpoints": [assignment("greeter", [self.a.port])],
            "listeners": [listener("callers", self.port, "routes")],
            "routes": [route("routes", [("/demo.Greeter/", "greeter")])],
            **resources}
        self.plane.set(**self.resources)
        self.godwit = m.godwit(plane.bootstrap(m, self.plane.port, NODE,
                                               delta=delta))
        for kind in "clusters", "endpoints", "listeners", "routes":
            self.plane.until_acked(kind, node=NODE)

    def ctl(self, *words):
        return ctl(*words, run_dir=self.godwit.run_dir)

    def until_says(self, *parts):
        """The status that has all of these in one line."""
        return until(lambda: (lambda code, text, _: any(
            all(p in line for p in parts) for line in text.splitlines()) and
            (code, text))(*self.ctl("status")),
            lambda: f"status says {parts}: {self.ctl('status')}")

    def rows(self, *words):
        """{(kind, name): [columns behind them of each version]}"""
        code, text, _ = self.ctl("config", *words)
        assert code == 0, text
        found = {}
        for line in text.splitlines()[1:]:
            kind, name, rest = line.split(None, 2)
            found.setdefault((kind, name), []).append(rest)
        return found

    def dump(self, query=""):
        status, text = http_get(f"{self.godwit.run_dir}/admin.sock",
                                f"/config_dump{query}")
        return status, json.loads(text) if status == 200 else text


def test_ready(m):
    """Callers can come once what was sent of listeners is listened to; what
    happens later takes nobody out of service."""
    a, port = m.service("a"), free_port()
    p = Plane(m)
    file = plane.bootstrap(m, p.port, NODE)
    godwit = m.start(file, state_dir=m.dir)

    def ready():
        return ctl("ready", run_dir=godwit.run_dir)

    def until_ready(words, code=0):
        """The exit code, and where it belongs the sentence."""
        until(lambda: (lambda c, out, err: c == code and words in
                       (out, err)[c])(*ready()),
              lambda: f"{words}: {ready()}")
    until_ready("who sends listeners has not answered yet", 1)
    routes = [route("routes", [("/demo.Greeter/", "greeter")])]
    p.set(clusters=[cluster("greeter")],
          listeners=[listener("callers", port, "routes")],
          endpoints=[assignment("greeter", [a.port])])
    until_ready('not ready: listener "callers" waits for routes "routes"', 1)
    assert not can_connect(port)
    p.update(routes=routes)
    until_ready("ready: 1 listener\n")
    assert m.caller(port).call().body == b"a:hello"
    # A start without a control plane: from what was kept, or not at all.
    kept = os.path.join(m.dir, "resources.a")
    until(lambda: os.path.exists(kept) and b"callers" in
          open(kept, "rb").read(), "it is kept")
    p.kill()
    godwit.signal(signal.SIGTERM)
    assert godwit.exit_code() == 0
    godwit = m.start(file)
    until_ready("none was kept", 1)
    godwit.stop()
    godwit = m.start(file, state_dir=m.dir)
    until_ready("ready: 1 listener\n")
    # One more that waits, one that is refused, a dead master, a dead plane.
    p.restart()
    p.set(clusters=[cluster("greeter")], routes=routes,
          endpoints=[assignment("greeter", [a.port])],
          listeners=[listener("more", free_port(), "none"),
                     listener("callers", port, "routes")])
    until(lambda: 'listener "more": version' in
          ctl("status", run_dir=godwit.run_dir)[1], "it waits")
    assert ready() == (0, "ready: 1 listener\n", "")
    p.update(clusters=[cluster("greeter"), BAD])
    p.until_nacked("clusters")
    assert ready() == (0, "ready: 1 listener\n", "")
    p.kill()
    os.kill(godwit.children()["master"], signal.SIGKILL)
    until(lambda: ready()[0] == 0 or "not ready" in ready()[2],
          "the successor answers")
    assert ready() == (0, "ready: 1 listener\n", "")
    # Without a control plane.
    godwit = m.godwit(m.write("none.yaml", "{}"))
    until_ready("not ready: there is no listener", 1)
    godwit = m.godwit(m.example("us-local.yaml", {10000: free_port()}))
    until_ready("ready: 1 listener\n")


def test_all_is_well(m):
    w = Watched(m)
    code, text = w.until_says("all is well")
    assert code == 0 and text.startswith("all is well\n"), text
    assert f"plane at 127.0.0.1:{w.plane.port}" in text, text
    rows = w.rows()
    for kind, name in (("cluster", "greeter"), ("endpoints", "greeter"),
                       ("listener", "callers"), ("routes", "routes")):
        row, = rows[kind, name]
        assert row.startswith("control plane  1 ") and \
            row.endswith(" live"), row
    row, = rows["cluster", "plane"]
    assert row.startswith("file           - ") and row.endswith(" live"), row
    assert set(w.rows("CDS")) == {("cluster", "greeter"),
                                  ("cluster", "plane")}
    code, text, _ = w.ctl("config", "cluster", "greeter")
    body = json.loads(text[text.index("{"):])
    assert code == 0 and body["name"] == "greeter" and \
        body["connect_timeout"] == "5s", text
    code, text, _ = w.ctl("generations")
    assert code == 0 and "published: " in text, text
    code, text, _ = w.ctl("stats", "cluster.greeter.")
    assert code == 0 and text and all("cluster.greeter." in line for line in
                                      text.splitlines()), text


def refused(m, delta):
    """The line says which and why; what was live goes on; nothing is left of
    it when it is mended."""
    w = Watched(m, delta)
    w.plane.update(clusters=[BAD, cluster("greeter", lb_policy="MAGLEV")])
    w.plane.until_nacked("clusters")
    # Delta: go-control-plane gives each resource a version, a hash of it.
    version = "" if delta else " 2 "
    code, text = w.until_says('cluster "bad"', f"{version or ' '}refused", WHY)
    assert code == 1 and text.startswith("2 things are wrong:\n"), text
    live, refused = w.rows("cluster")["cluster", "greeter"]
    assert live.endswith(" live"), live
    assert version in refused and "refused: lb_policy: MAGLEV" in refused
    code, text, _ = w.ctl("config", "cluster", "bad")
    assert code == 0 and WHY in text, text
    assert json.loads(text[text.index("{"):])["lb_policy"] == "RING_HASH"
    _, dump = w.dump("?resource=dynamic_active_clusters")
    state, = [c["error_state"] for c in dump["configs"]]
    assert "MAGLEV" in state["details"] and (
        delta or state["version_info"] == "2") and \
        state["failed_configuration"]["lb_policy"] == "MAGLEV", state
    _, dump = w.dump("?resource=dynamic_warming_clusters&name_regex=b.d")
    item, = dump["configs"]
    assert item["client_status"] == "NACKED", item
    w.plane.update(clusters=[cluster("greeter")])
    w.plane.remove(clusters=["bad"])
    w.plane.until_acked("clusters")
    code, text = w.until_says("all is well")
    assert code == 0


def test_refused(m):
    refused(m, False)


def test_refused_delta(m):
    refused(m, True)


def test_waiting(m):
    w = Watched(m)
    w.plane.update(clusters=[cluster("late")],
                   routes=[route("routes", [("/demo.Greeter/", "later")])])
    w.until_says('cluster "late": version 2 waits for endpoints "late"')
    w.until_says('routes "routes": version 2 waits for cluster "later"')
    live, waits = w.rows("routes")["routes", "routes"]
    assert live.endswith(" live") and \
        waits.endswith(' waits for cluster "later"'), waits
    row, = w.rows("EDS")["endpoints", "late"]
    assert row.endswith("asked for"), row
    _, dump = w.dump("?resource=dynamic_warming_clusters")
    late = [c for c in dump["configs"] if c["cluster"]["name"] == "late"]
    assert late[0]["version_info"] == "2" and \
        late[0]["client_status"] == "ACKED", dump
    w.plane.update(clusters=[cluster("later", [w.a.port])],
                   endpoints=[assignment("late", [w.a.port])])
    w.until_says("all is well")


def test_not_connected(m):
    w = Watched(m)
    w.plane.kill()
    code, text = w.until_says("control plane plane: not connected for",
                              "tried again in", "refused")
    assert code == 1 and text.startswith("1 thing is wrong:\n"), text
    assert len(w.rows("routes")) == 1
    w.plane.start()
    w.plane.set(**w.resources)
    code, text = w.until_says("all is well")
    assert "last failure " in text, text


def test_nobody_answers(m):
    nowhere = os.path.join(m.dir, "nowhere")
    for word in "status", "config", "stats", "generations":
        code, said, why = ctl(word, run_dir=nowhere)
        assert code == 1 and not said and \
            f"nobody answers at {nowhere}/admin.sock: " in why, why
    for words in (), ("stat",), ("status", "now"), ("config", "a", "b", "c"):
        code, said, why = ctl(*words, run_dir=nowhere)
        assert code == 2 and not said and "godwitctl -h" in why, why


def test_what_is_not_there(m):
    w = Watched(m)
    code, _, why = w.ctl("config", "cluster", "not there?")
    assert code == 1 and 'there is no cluster "not there?"' in why, why
    code, _, why = w.ctl("config", "cloud")
    assert code == 2 and "expected cluster, endpoints, secret, listener or " \
        "routes" in why, why
    for query, status, word in (
            ("?mask=name", 400, "mask= is not built"),
            ("?resource=nothing", 404, "nothing not found in config dump"),
            ("?name_regex=(", 400, "is no regular expression"),
            ("?name=a", 400, "not name")):
        got, text = w.dump(query)
        assert got == status and word in text, (query, got, text)


def test_keys_are_hidden(m):
    """Of a file, of a control plane, accepted or refused: no byte of them."""
    def text(name):
        return m.pem(name).decode()

    keys = [text("us-local.key"), text("eu-gateway.key")]
    w = Watched(
        m, secrets=[plane.secret("own", text("eu-gateway.pem"), keys[1]),
                    plane.secret("torn", text("us-local.pem"), keys[1])],
        listeners=[listener("callers", free_port(), "routes",
                            tls=plane.server_tls("own")),
                   listener("torn", free_port(), "routes",
                            tls=plane.server_tls("torn"))])
    plane.bootstrap(m, w.plane.port, NODE, secrets=[
        plane.secret("filed", text("us-local.pem"), keys[0])])
    code, said = w.godwit.command("reload")
    assert code == 0, said
    w.until_says('secret "torn"', "refused")
    dump = json.dumps(w.dump()[1])
    assert dump.count("[redacted]") == 3, dump      # filed is there twice
    seen = [dump] + [w.ctl("config", "secret", name)[1] for name in
                     ("own", "filed", "torn")]
    for answer, hidden in zip(seen, (True, True, True, False)):
        assert ("[redacted]" in answer) == hidden, answer
        for key in keys:
            assert key.splitlines()[1] not in answer


# ---- beside Envoy

# What Envoy works out for itself, or sees later than we do.
LEFT_OUT = {"last_updated", "client_status", "error_state"}


def without(value, names):
    if isinstance(value, dict):
        return {k: without(v, names) for k, v in value.items()
                if k not in names}
    if isinstance(value, list):
        return [without(v, names) for v in value]
    return value


def sections(dump):
    return {c["@type"].rsplit(".", 1)[1]: c for c in dump["configs"]}


def name_of(item):
    for field in "cluster", "listener", "route_config", "secret":
        if "name" in item.get(field, {}):
            return item[field]["name"]
    return item.get("name") or item["endpoint_config"]["cluster_name"]


def by_name(items):
    found = {name_of(i): without(i, LEFT_OUT) for i in items}
    assert len(found) == len(items), items
    return found


def addresses(item):
    """Of endpoints all that Envoy's answer has of what was sent."""
    return {"name": item["endpoint_config"]["cluster_name"], "at": [
        e["endpoint"]["address"] for group in
        item["endpoint_config"].get("endpoints", ())
        for e in group["lb_endpoints"]]}


class Slow:
    """Asks for a dump and reads nothing of it until it is told to."""

    def __init__(self, godwit, query):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{godwit.run_dir}/admin.sock")
        self.socket.sendall(f"GET /config_dump{query} HTTP/1.1\r\n"
                            "Host: x\r\n\r\n".encode())
        self.socket.recv(1, socket.MSG_PEEK)

    def read(self):
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        assert answer.getheader("Transfer-Encoding") == "chunked"
        return json.loads(answer.read())

    def close(self):
        self.socket.close()


def test_a_dump_is_of_one_moment(m):
    """A dump that nobody reads holds nobody up, and what it says is what was
    there when it was asked for."""
    n, port = 2000, free_port()

    def file(word):
        return m.write("godwit.yaml", json.dumps({"static_resources": {
            "listeners": [listener("callers", port, route("routes", [
                ("/", f"{word}0")]))],
            "clusters": [cluster(f"{word}{i}", [1]) for i in range(n)]}}))

    def names(dump):
        return sorted(item["cluster"]["name"]
                      for section in dump["configs"] for item in
                      section.get("static_clusters", ()))

    godwit = m.godwit(file("before"))
    slow = Slow(godwit, "?include_eds")
    file("after")
    assert godwit.command("reload")[0] == 0
    status, text = http_get(f"{godwit.run_dir}/admin.sock", "/config_dump")
    assert status == 200
    assert names(json.loads(text)) == sorted(f"after{i}" for i in range(n))
    assert names(slow.read()) == sorted(f"before{i}" for i in range(n))
    slow.close()
    left = Slow(godwit, "")
    left.close()
    code, _, _ = ctl("generations", run_dir=godwit.run_dir)
    assert code == 0


def envoy_dump(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        c.request("GET", "/config_dump?include_eds")
        return json.loads(c.getresponse().read())
    finally:
        c.close()


class Both:
    """A control plane that a godwit and an Envoy follow, each with its own
    ports, which are all that differs in what they are sent."""

    def __init__(self, m):
        def text(name):
            return m.pem(name).decode()
        self.a = m.service("a")
        self.plane = Plane(m, ordered=True)
        self.static = {
            "clusters": [cluster("own", [self.a.port])],
            "secrets": [plane.secret("filed", text("us-local.pem"),
                                     text("us-local.key"))]}
        self.plane.set(
            clusters=[cluster("greeter"), cluster("fixed", [self.a.port]),
                      cluster("secure", tls=plane.client_tls(
                          "x", ca="ca"), circuit_breakers={"thresholds": [
                              {"max_requests": 5}]})],
            endpoints=[assignment("greeter", [self.a.port]),
                       assignment("secure", [self.a.port])],
            listeners=[
                listener("callers", free_port(), "routes",
                         tls=plane.server_tls("own", "ca")),
                listener("inline", free_port(), route(
                    "inlined", [("/", "fixed")]))],
            routes=[route("routes", [
                ({"prefix": "/demo.Greeter/", "headers": [
                    {"name": "x-region",
                     "string_match": {"exact": "eu"}}]},
                 {"timeout": "1.5s", "weighted_clusters": {
                     "clusters": [{"name": "greeter", "weight": 1},
                                  {"name": "secure", "weight": 2}]}}),
                ("/", "greeter")])],
            secrets=[plane.authority("ca", text("ca.pem")),
                     plane.secret("own", text("eu-gateway.pem"),
                                  text("eu-gateway.key"))])
        self.admin = free_port()

    def follow(self, m):
        # Both would bind the same ports: one after the other.
        file = plane.bootstrap(m, self.plane.port, NODE, admin=self.admin,
                               **self.static)
        envoy = m.envoy(file, self.admin)
        theirs = until(lambda: (lambda d: len(sections(d)[
            "ListenersConfigDump"].get("dynamic_listeners", ())) == 2 and all(
                "active_state" in i for i in sections(d)[
                    "ListenersConfigDump"]["dynamic_listeners"]) and
            len(sections(d)["SecretsConfigDump"].get(
                "dynamic_active_secrets", ())) == 2 and d)(
                    envoy_dump(self.admin)), "Envoy has all")
        envoy.stop()
        godwit = m.godwit(file)
        for kind in plane.KINDS:
            self.plane.until_acked(kind, node=NODE)
        code, text = until(lambda: (lambda code, text, _: code == 0 and (
            code, text))(*ctl("status", run_dir=godwit.run_dir)),
            lambda: ctl("status", run_dir=godwit.run_dir))
        _, ours = http_get(f"{godwit.run_dir}/admin.sock",
                           "/config_dump?include_eds")
        return json.loads(ours), theirs


def test_config_dump_beside_envoy(m):
    ours, theirs = Both(m).follow(m)
    assert [c["@type"] for c in ours["configs"]] == \
        [c["@type"] for c in theirs["configs"]]
    own, other = sections(ours), sections(theirs)
    compared = 0
    for section in own.keys() - {"BootstrapConfigDump"}:
        assert own[section].keys() == other[section].keys(), section
        for field, items in own[section].items():
            if not isinstance(items, list):
                assert items == other[section][field], (section, field)
                continue
            if section == "EndpointsConfigDump":
                assert sorted(map(addresses, items), key=str) == sorted(
                    map(addresses, other[section][field]), key=str)
                compared += len(items)
                continue
            mine, its = by_name(items), by_name(other[section][field])
            assert mine.keys() == its.keys(), (section, field)
            for name in mine:
                assert mine[name] == its[name], (
                    section, field, name, mine[name], its[name])
                compared += 1
    assert compared == 17, compared
    mine, its = (without(s["BootstrapConfigDump"]["bootstrap"], {
        "user_agent_name", "user_agent_build_version", "extensions"})
        for s in (own, other))
    for field in "node", "dynamic_resources", "admin":
        assert mine[field] == its[field], field
    for field, items in mine["static_resources"].items():
        assert sorted(items, key=str) == sorted(
            its["static_resources"][field], key=str), field
    assert mine["static_resources"].keys() == its["static_resources"].keys()
