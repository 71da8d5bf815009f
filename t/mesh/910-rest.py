"""The doors of godwit-ems for people and programs: REST, and godwitctl, which
stands on it.

    writers ──PUT, apply, plan, rollback──> godwit-ems ──> its store
    services ──register, heartbeat────────────┘ └──> history, /metrics
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from ems import EMS, FOLDER, GODWITCTL, Ems, Rest, refused
from mesh import PATIENCE_S, ROOT, until

SERVICE = """\
# the store of tasks
service: tasks      # as gRPC calls it

owner: storage
"""
MESH = """\
region: us
---
region: eu
---
gateway: eu-1
region: eu
addresses: ["127.0.0.1:8443"]
---
""" + SERVICE


def put(ems, noun, name, text, version, **query):
    words = "".join(f"&{k}={v}" for k, v in query.items())
    return ems.rest("PUT", f"/v1/{noun}/{name}?expect_version={version}"
                    f"{words}", text)


def history(ems):
    return ems.rest("GET", "/v1/history")["history"]


# ---- writing one

def test_one_intent(m):
    ems = Ems(m)
    refused(ems.rest("PUT", "/v1/region/us", "region: us\n"), 428,
            "is not there (version 0)", "expect_version")
    made = put(ems, "region", "us", "region: us\n", 0)
    assert made.status == 200 and made.json == {
        "revision": 1, "noun": "region", "name": "us", "action": "created",
        "from": 0, "to": 1}, made
    # Where it stands there, comments and all.
    made = put(ems, "service", "tasks", SERVICE, 0, why="first")
    assert (made["to"], made["revision"]) == (1, 2), made
    for local in False, True:
        got = ems.rest("GET", "/v1/service/tasks", local=local)
        assert got.json == {"noun": "service", "name": "tasks", "version": 1,
                            "revision": 2, "body": SERVICE}, got
    # The same again takes neither version nor revision.
    same = put(ems, "service", "tasks", SERVICE, 1)
    assert (same["action"], same["to"], same["revision"]) == \
        ("unchanged", 1, 2), same
    text = SERVICE.replace("storage", "tasks-team")
    changed = ems.rest("PUT", "/v1/service/tasks", text,
                       {"If-Match": '"1"'})
    assert (changed["action"], changed["from"], changed["to"]) == \
        ("changed", 1, 2), changed
    # As it was then.
    then = ems.rest("GET", "/v1/service/tasks?revision=2")
    assert (then["version"], then["body"]) == (1, SERVICE), then
    listed = ems.rest("GET", "/v1/service")
    assert [i["body"] for i in listed["items"]] == [text], listed
    diff = ems.rest("GET", "/v1/diff?noun=service&name=tasks")["diff"]
    assert diff.startswith("--- service/tasks v1\n+++ service/tasks v2\n@@")
    assert "-owner: storage\n+owner: tasks-team\n" in diff, diff
    # Deletion takes a version too.
    refused(ems.rest("DELETE", "/v1/service/tasks"), 428, "version 2")
    refused(ems.rest("DELETE", "/v1/service/tasks?expect_version=1"), 409)
    gone = ems.rest("DELETE", "/v1/service/tasks?expect_version=2")
    assert (gone["action"], gone["from"]) == ("deleted", 2), gone
    refused(ems.rest("GET", "/v1/service/tasks"), 404, '"tasks"')
    again = put(ems, "service", "tasks", SERVICE, 0)
    assert (again["action"], again["to"]) == ("created", 4), again


def test_of_two_writers_one_is_told(m):
    ems = Ems(m)
    put(ems, "service", "tasks", SERVICE, 0)
    mine = SERVICE.replace("storage", "mine")
    theirs = SERVICE.replace("storage", "theirs")
    put(ems, "service", "tasks", theirs, 1)
    late = refused(put(ems, "service", "tasks", mine, 1), 409, "service/tasks",
                   "version 2", "version 1", "nothing was changed")
    assert (late["expect_version"], late["current_version"],
            late["current_body"]) == (1, 2, theirs), late
    assert "-owner: theirs\n+owner: mine\n" in late["diff"], late
    # What the other one wrote too is done: nobody need be told.
    again = put(ems, "service", "tasks", theirs, 1)
    assert (again.status, again.json.get("action"),
            again.json.get("to")) == (200, "unchanged", 2), again
    # But who says there was nothing, or what never was, is.
    for version in 0, 3:
        refused(put(ems, "service", "tasks", theirs, version), 409)
    # By several at once all or nothing is done.
    both = refused(ems.rest(
        "POST", "/v1/apply", "region: us\n---\n# version: 1\n" + mine), 409)
    assert [(c["noun"], c["name"], c["current_version"])
            for c in both["conflicts"]] == [("service", "tasks", 2)], both
    refused(ems.rest("GET", "/v1/region/us"), 404)


def test_no_write_is_lost(m):
    """Four read, add one, and write, until each has added twenty."""
    ems, told, failed = Ems(m), [], []
    put(ems, "service", "tasks", "service: tasks\nowner: n0\n", 0)

    def add():
        try:
            for _ in range(20):
                while True:
                    now = ems.rest("GET", "/v1/service/tasks", local=True)
                    n = int(re.search(r"owner: n(\d+)", now["body"])[1])
                    done = ems.rest(
                        "PUT", "/v1/service/tasks?expect_version="
                        f"{now['version']}",
                        f"service: tasks\nowner: n{n + 1}\n", local=True)
                    if done.status == 200 and done["action"] == "changed":
                        break
                    if done.status == 429:
                        time.sleep(0.05)
                        continue
                    # Another wrote the same number: not an addition of ours.
                    assert done.status == 409 or \
                        done["action"] == "unchanged", done
                    told.append(done)
        except BaseException as error:
            failed.append(repr(error))

    def asked_slowly(method):
        def wait(*args, **kwargs):
            while True:
                answer = method(*args, **kwargs)
                if answer.status != 429:
                    return answer
                time.sleep(0.05)
        return wait

    ems.rest = asked_slowly(ems.rest)
    threads = [threading.Thread(target=add) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed
    now = ems.rest("GET", "/v1/service/tasks")
    assert (now["version"], now["body"]) == \
        (81, "service: tasks\nowner: n80\n"), now


# ---- several, by godwitctl

def test_apply(m):
    ems = Ems(m)
    file = m.write("mesh.yaml", MESH)
    done = ems.ctl("apply", file, "--why", "the first mesh")
    assert done.rc == 0 and "created v1" in done.out, done
    assert done.out.endswith("revision 1\n"), done
    # Again: nothing to do, in the sight of all.
    again = ems.ctl("apply", file)
    assert again.rc == 0 and again.out.count("unchanged, v1") == 4 and \
        again.out.endswith("revision 1\n"), again
    # Edited as get shows it.
    got = ems.ctl("get", "service", "tasks")
    assert got.out == "# version: 1\n" + SERVICE, got
    file = m.write("tasks.yaml", got.out.replace("storage", "queue"))
    done = ems.ctl("apply", file)
    assert "v1 -> v2" in done.out, done
    assert ems.ctl("apply", file).out.count("unchanged, v2") == 1
    # Another edit of the old version.
    file = m.write("tasks.yaml", got.out.replace("storage", "late"))
    late = ems.ctl("apply", file)
    assert late.rc == 1 and not late.out.startswith("revision"), late
    assert "-owner: queue\n+owner: late\n" in late.out, late
    assert "version 2" in late.err and "--force" in late.err, late
    # No version: only what can't overwrite; --force does.
    file = m.write("tasks.yaml", SERVICE.replace("storage", "forced"))
    assert "say from which version" in ems.ctl("apply", file).err
    assert ems.ctl("apply", "--force", file).rc == 0
    assert "owner: forced" in ems.ctl("get", "service", "tasks").out
    # A folder; from standard input; both programs' form.
    os.mkdir(os.path.join(m.dir, "many"))
    for name in "abc":
        m.write(f"many/{name}.yaml", f"service: {name}\n")
    m.write("many/ignored.txt", "not: this\n")
    done = ems.ctl("apply", os.path.join(m.dir, "many"))
    assert done.out.count("created v1") == 3, done
    done = ems.ctl("apply", "-", stdin="service: piped\n")
    assert "created v1" in done.out, done
    json_ = ems.ctl("-o", "json", "list", "service")
    names = [i["name"] for i in json.loads(json_.out)["items"]]
    assert names == ["a", "b", "c", "piped", "tasks"], names
    done = ems.rest("POST", "/v1/apply", {
        "documents": [{"file": "a.yaml", "line": 1,
                       "text": "service: a\nowner: x\n"}],
        "expect": {"service/a": 1, "service/b": 1},
        "delete": ["service/b"]})
    assert [(c["name"], c["action"]) for c in done["changes"]] == \
        [("a", "changed"), ("b", "deleted")], done


def test_plans(m):
    ems = Ems(m)
    ems.apply(MESH)
    file = m.write("plan.yaml", "service: tasks\nowner: planned\n")
    plan = ems.ctl("plan", file)
    assert plan.rc == 0 and "+owner: planned" in plan.out, plan
    word = re.search(r"--plan (p\w+)", plan.out)[1]
    assert "owner: storage" in ems.ctl("get", "service", "tasks").out
    # As it was shown, whatever the file says now.
    m.write("plan.yaml", "service: tasks\nowner: another\n")
    done = ems.ctl("apply", "--plan", word, "--why", "as shown")
    assert done.rc == 0 and "v1 -> v2" in done.out, done
    assert "owner: planned" in ems.ctl("get", "service", "tasks").out
    assert history(ems)[0]["why"] == "as shown"
    # Once.
    again = ems.ctl("apply", "--plan", word)
    assert again.rc == 1 and "there is no plan" in again.err, again
    # Not after somebody else's write.
    word = ems.rest("POST", "/v1/plan", "service: tasks\n")["plan"]
    put(ems, "service", "tasks", "service: tasks\nowner: between\n", 2)
    late = refused(ems.rest("POST", f"/v1/apply?plan={word}"), 409,
                   "service/tasks is at version 3", "made from version 2;")
    assert late["conflicts"][0]["current_body"] == \
        "service: tasks\nowner: between\n", late
    refused(ems.rest("POST", f"/v1/apply?plan={word}"), 404)
    assert "owner: between" in ems.ctl("get", "service", "tasks").out
    # What would be refused is refused as a plan.
    refused(ems.rest("POST", "/v1/plan", "gateway: g\nregion: nowhere\n"
                     "addresses: ['127.0.0.1:1']\n"), 400, "nowhere")
    refused(ems.rest("POST", f"/v1/apply?plan={word}", "service: a\n"), 400,
            "no body")


def test_rollback(m):
    ems = Ems(m)
    ems.apply(MESH)
    ems.apply("# version: 1\nservice: tasks\nowner: worse\n")
    ems.apply("service: new\n")
    plan = ems.ctl("rollback", "1")
    assert plan.rc == 0 and "-owner: worse" in plan.out, plan
    assert "owner: worse" in ems.ctl("get", "service", "tasks").out
    word = re.search(r"--plan (p\w+)", plan.out)[1]
    done = ems.ctl("apply", "--plan", word)
    assert done.rc == 0 and "v2 -> v3" in done.out and \
        "deleted, was v1" in done.out, done
    assert ems.rest("GET", "/v1/service/tasks")["body"] == SERVICE
    refused(ems.rest("GET", "/v1/service/new"), 404)
    newest = history(ems)[0]
    assert newest["why"] == "rollback to revision 1", newest
    # Forward again, at once; and where one is there is nothing to do.
    assert ems.ctl("rollback", "3", "--now").rc == 0
    assert "owner: worse" in ems.ctl("get", "service", "tasks").out
    none = ems.ctl("rollback", "5", "--now")
    assert none.rc == 0 and "nothing to change" in none.out, none
    refused(ems.rest("POST", "/v1/rollback?revision=99"), 400)
    refused(ems.rest("POST", "/v1/rollback?revision=0"), 400)


def test_history_says_who_and_why(m):
    ems = Ems(m)
    uid = os.getuid()
    ems.apply(MESH, "--why", "ticket 7, über alles")
    ems.rest("PUT", "/v1/region/ap?expect_version=0&why=more%20room",
             "region: ap\n", {"X-Godwit-Who": "deploy-bot"})
    by_tcp, *by_socket = history(ems)
    assert (by_tcp["who"], by_tcp["why"], by_tcp["action"]) == \
        ("deploy-bot (127.0.0.1)", "more room", "created"), by_tcp
    assert len(by_socket) == 4
    for past in by_socket:
        assert past["who"].endswith(f"(uid {uid})"), past
        assert past["why"] == "ticket 7, über alles", past
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                            past["when"]), past
    shown = ems.ctl("history", "region", "ap")
    assert "more room" in shown.out and "deploy-bot (127.0.0.1)" in \
        shown.out and "tasks" not in shown.out, shown
    # Pages: before a revision, so many, and none that never ends.
    page = ems.rest("GET", "/v1/history?limit=1")
    assert page["more"] is True and len(page["history"]) == 1, page
    rest = ems.rest("GET", "/v1/history?before=2")
    assert rest["more"] is False and len(rest["history"]) == 4, rest
    for limit in "0", "1001", "x", "-1":
        refused(ems.rest("GET", f"/v1/history?limit={limit}"), 400)
    for name in "a\tb", "x" * 101, "\xff":
        answer = ems.rest("GET", "/v1/history",
                          headers={"X-Godwit-Who": name})
        refused(answer, 400, "X-Godwit-Who")


def test_much_is_deleted_only_if_it_is_meant(m):
    ems = Ems(m)
    names = [f"s{i}" for i in range(10)]
    ems.apply("---\n".join(f"service: {n}\n" for n in names))
    all_ = {"expect": {f"service/{n}": 1 for n in names[:6]},
            "delete": [f"service/{n}" for n in names[:6]]}
    refused(ems.rest("POST", "/v1/apply", all_), 400,
            "deletes 6 of 10 intents", "confirm")
    assert len(ems.rest("GET", "/v1/service")["items"]) == 10
    done = ems.rest("POST", "/v1/apply?confirm=1", all_)
    assert done.status == 200, done
    assert len(ems.rest("GET", "/v1/service")["items"]) == 4
    # Back, and there again by rollback, which asks too.
    assert ems.ctl("rollback", "1", "--now").rc == 0
    late = ems.ctl("rollback", "2", "--now")
    assert late.rc == 1 and "confirm" in late.err, late
    assert ems.ctl("rollback", "2", "--now", "--confirm").rc == 0
    assert len(ems.rest("GET", "/v1/service")["items"]) == 4


# ---- who may

def test_a_token_is_asked_for(m):
    token = "0123456789abcdef-first"
    file = m.write("token", token + "\n")
    ems = Ems(m, {"rest_token_file": file})
    bearer = {"Authorization": f"Bearer {token}"}
    for headers in ({}, {"Authorization": f"Bearer {token}x"},
                    {"Authorization": f"Bearer {token[:-1]}"},
                    {"Authorization": "Bearer "},
                    {"Authorization": f"Basic {token}"}):
        for answer in (ems.rest("GET", "/metrics", headers=headers),
                       put_with(ems, headers)):
            refused(answer, 401, "token")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert token not in answer.text
    assert ems.rest("GET", "/healthz").status == 200
    assert ems.rest("GET", "/readyz").status == 200
    assert put_with(ems, bearer).status == 200
    assert [i["name"] for i in ems.rest("GET", "/v1/region",
                                        local=True)["items"]] == ["us"]
    where = f"http://127.0.0.1:{ems.rest_port}"
    assert "--token-file" in ems.ctl("list", "region", where=where).err
    listed = ems.ctl("--token-file", file, "list", "region", where=where)
    assert listed.rc == 0 and "us" in listed.out, listed
    # Another token counts from the next request on; no token is not one.
    other = "fedcba9876543210-second"
    m.write("token2", other)
    os.rename(os.path.join(m.dir, "token2"), file)
    assert ems.rest("GET", "/v1/region", headers=bearer).status == 401
    bearer = {"Authorization": f"Bearer {other}"}
    assert ems.rest("GET", "/v1/region", headers=bearer).status == 200
    m.write("token", "short")
    assert ems.rest("GET", "/v1/region", headers=bearer).status == 200
    assert "stays as it was" in ems.log()
    for secret in token, other:
        assert secret not in ems.log()


def put_with(ems, headers):
    return ems.rest("PUT", "/v1/region/us?expect_version=0", "region: us\n",
                    headers)


def test_who_guesses_tokens_is_slowed_down(m):
    ems = Ems(m, {"rest_token_file": m.write("token", "0123456789abcdef")})
    answers = [ems.rest("GET", "/v1/region", headers={
        "Authorization": f"Bearer guess{i}"}).status for i in range(60)]
    assert answers[0] == 401 and 429 in answers, answers
    assert answers.count(401) < 40, answers


def test_settings_that_are_refused(m):
    for settings, words in (
            ({"rest_listen": "0.0.0.0:1"}, "there is no rest_tls"),
            ({"listen": "0.0.0.0:1"}, "there is no tls"),
            ({"rest_token_file": "/nowhere"}, "/nowhere"),
            ({"rest_token_file": m.write("short", "abc")},
             "a token of 3 characters"),
            ({"listen": "x"}, 'listen is "x", expected ADDRESS:PORT'),
            ({"typo": 1}, "typo")):
        ems = Ems(m, settings, start=False)
        ems.begin()
        assert ems.proxy.exit_code() == 1 and words in ems.log(), \
            (settings, ems.log())


def test_pages_of_others_are_turned_away(m):
    ems = Ems(m)
    here = f"127.0.0.1:{ems.rest_port}"
    for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Host": f"evil.example:{ems.rest_port}"}, 403),
            ({"Origin": "http://evil.example",
              "Host": "evil.example"}, 403),
            ({"Origin": f"http://{here}"}, 200),
            ({"Host": "localhost"}, 200), ({"Host": "[::1]:1"}, 200)):
        answer = ems.rest("GET", "/v1/region", headers=headers)
        assert answer.status == status, (headers, answer)


# ---- how much, how often

def test_sizes(m):
    ems = Ems(m)
    large = "service: tasks\n" + "#" * ((1 << 20) - 16) + "\n"
    assert len(large) == 1 << 20
    refused(put(ems, "service", "tasks", large + "#", 0), 413, "1048576")
    # A line's end is put behind it, for which there is no room.
    refused(put(ems, "service", "tasks", large[:-1] + "#", 0), 400)
    made = put(ems, "service", "tasks", large, 0)
    assert made.status == 200, made
    assert ems.rest("GET", "/v1/service/tasks")["body"] == large
    refused(ems.rest("POST", "/v1/apply", b"#" * ((16 << 20) + 1)), 413)
    # Which says no length.
    pieces = iter([b"#" * 65536] * 17)
    with ems.connection() as c:
        c.request("PUT", "/v1/service/tasks?expect_version=1", pieces,
                  encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked"})
        refused(Rest(c.getresponse()), 413)
    # Who asks first is told before he sends it.
    with contextlib.closing(socket.create_connection(
            ("127.0.0.1", ems.rest_port), PATIENCE_S)) as s:
        s.sendall(b"PUT /v1/service/tasks?expect_version=1 HTTP/1.1\r\n"
                  b"Host: localhost\r\nContent-Length: 1048577\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 413 ")
    # A body where there is none, then the next request of the connection.
    with ems.connection() as c:
        c.request("GET", "/v1/region", b"x" * 10)
        refused(Rest(c.getresponse()), 413)
        c.request("GET", "/v1/region")
        assert Rest(c.getresponse()).status == 200
    # A head of 64 KiB, and one that never ends, are nobody's loss.
    with ems.connection() as c:
        c.request("GET", "/v1/region", headers={"X-Long": "x" * 65536})
        assert c.getresponse().status in (413, 431)
    assert ems.rest("GET", "/v1/service")["revision"] == 1


def test_rates(m):
    ems = Ems(m)
    with ems.connection() as c:
        for n in range(20000):
            c.request("GET", "/v1/region")
            answer = Rest(c.getresponse())
            if answer.status != 200:
                break
    refused(answer, 429, "127.0.0.1 asks more often than 200 times a second")
    assert n >= 400 and answer.headers["Retry-After"] == "1", (n, answer)
    # Others are not held up, nor are probes; and it passes.
    assert ems.rest("GET", "/v1/region", local=True).status == 200
    assert ems.rest("GET", "/healthz").status == 200
    until(lambda: ems.rest("GET", "/v1/region").status == 200, "it passes")


# ---- junk

def test_junk(m):
    ems = Ems(m)
    apply = "/v1/apply"
    for body, words in (
            ("", "there is no document in it"),
            ("# only this\n", "there is no document in it"),
            ("service: [", "body:2:1:"),
            ("service: a\nowner: {\n", "body:"),
            ("service: a\nownr: b\n", "body:2:1"),
            ("region: us\n---\n\nservice: a\n  owner: b\n", "body:5:"),
            ("planet: mars\n", "body:1:1"),
            ("service: 'a b'\n", "body:1:"),
            ("- a\n", "body:1:1"),
            ('{"documents": [{"text": "service: a\\nx: 1", "file": "f.yaml",'
             ' "line": 7}]}', "f.yaml:8:1"),
            ('{"documents": 1}', "body:1:15: expected a list"),
            ('{"service": "a",', "body:1:"),
            ("service: a\n---\nservice: a\n", "service/a is there twice"),
            (b"service: a\xff\n", "UTF-8"), (b"service: a\0\n", ""),
            ("&a [*a]", "body:1:"), ("[" * 5000, "body:1:")):
        refused(ems.rest("POST", apply, body), 400, words)
    file = m.write("wrong.yaml", "service: a\n---\nregion: us\nx: 1\n")
    wrong = ems.ctl("apply", file)
    assert wrong.rc == 1 and "wrong.yaml:4:1" in wrong.err, wrong
    for method, path, status in (
            ("GET", "/", 404), ("GET", "/v1/planet", 404),
            ("GET", "/v1/region/a%2fb", 404), ("GET", "/v1/region/", 404),
            ("GET", "/v1/region/" + "x" * 129, 404),
            ("POST", "/v1/region/us", 405), ("PATCH", "/v1/region/us", 405),
            ("GET", "/v1/apply", 405), ("GET", "/v1/region?x=1", 400),
            ("GET", "/v1/region?revision=one", 400),
            ("GET", "/v1/region?revision=99", 400),
            ("GET", "/v1/diff?noun=region", 400),
            ("GET", "/v1/diff?noun=region&name=us", 404),
            ("GET", "/v1/history?noun=region", 400),
            ("PUT", "/v1/region/us?expect_version=-1", 400),
            ("DELETE", "/v1/region/us?expect_version=1", 409)):
        refused(ems.rest(method, path, "region: us\n" if method == "PUT"
                         else None), status)
    refused(ems.rest("GET", "/v1/planet"), 404, "there is no /v1/planet; ",
            "of intents region, gateway, service, limit, caller")
    refused(put(ems, "region", "us", "region: eu\n", 0), 400,
            "region/eu, expected region/us")
    refused(put(ems, "region", "us", "region: us\n---\nregion: eu\n", 0), 400,
            "2 documents")
    # Bytes that are no HTTP, and callers that go in the middle.
    for text in b"\x16\x03\x01nonsense\r\n\r\n", b"GET\r\n\r\n", b"\0" * 100, \
            b"PUT /v1/region/us HTTP/1.1\r\nHost: localhost\r\n" \
            b"Content-Length: 100\r\n\r\nregion: us":
        with contextlib.closing(socket.create_connection(
                ("127.0.0.1", ems.rest_port), PATIENCE_S)) as s:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            # What is no whole request is waited for 30 s; this one is gone.
            with contextlib.suppress(OSError):
                while text.endswith(b"\r\n\r\n") and s.recv(65536):
                    pass
    assert ems.rest("GET", "/v1/region").json == {"revision": 0, "items": []}
    assert history(ems) == []


# ---- endpoints

ENDPOINT = {"service": "tasks", "region": "us", "address": "127.0.0.1",
            "port": 8080, "version": "r1"}


def test_endpoints(m):
    ems = Ems(m)
    ems.apply(MESH)
    made = ems.rest("POST", "/v1/register", ENDPOINT)
    assert made.status == 200 and made["id"] == "tasks-127.0.0.1-8080" and \
        made["ttl_ms"] == 15000, made
    first = {"id": made["id"], "epoch": made["epoch"]}
    assert ems.rest("POST", "/v1/heartbeat", first).status == 200
    lease, = ems.rest("GET", "/v1/leases")["leases"]
    assert lease["id"] == made["id"] and lease["state"] == "live" and \
        lease["version"] == "r1", lease
    service, = ems.rest("GET", "/v1/services?service=tasks")["services"]
    assert service["endpoints_n"] == 1 and service["intent"] is True
    # Registered anew, as YAML: the older one is told to leave it.
    again = ems.rest("POST", "/v1/register", "service: tasks\nregion: us\n"
                     "address: 127.0.0.1\nport: 8080\n")
    assert again["epoch"] > made["epoch"], again
    for word in "heartbeat", "deregister":
        refused(ems.rest("POST", f"/v1/{word}", first), 409,
                "another has registered")
    lease, = ems.rest("GET", "/v1/leases?service=tasks&region=us")["leases"]
    assert lease["epoch"] == again["epoch"]
    assert ems.rest("GET", "/v1/leases?region=eu")["leases"] == []
    refused(ems.rest("POST", "/v1/heartbeat", {"id": "none", "epoch": 1}),
            404, 'no lease "none"')
    for change, words in (({"region": "mars"}, "no such region"),
                          ({"port": 0}, "port is 0"),
                          ({"address": "host"}, "expected an IP address"),
                          ({"service": "eu-1"}, "is a gateway"),
                          ({"ttl_ms": 1}, "ttl_ms is 1"),
                          ({"color": "red"}, "body:1:"),
                          ({"port": "x"}, "body:1:")):
        refused(ems.rest("POST", "/v1/register", {**ENDPOINT, **change}), 400,
                words)
    refused(ems.rest("POST", "/v1/register", "x" * ((64 << 10) + 1)), 413)
    # It drains, and then is gone for who beats on.
    last = {"id": again["id"], "epoch": again["epoch"]}
    for _ in range(2):
        assert ems.rest("POST", "/v1/deregister", last).status == 200
    until(lambda: all(x["state"] == "draining" for x in
                      ems.rest("GET", "/v1/leases")["leases"]), "it drains")
    refused(ems.rest("POST", "/v1/heartbeat", last), 404)


def test_endpoints_by_godwitctl(m):
    ems = Ems(m)
    ems.apply(MESH)
    made = ems.ctl("register", "tasks", "eu", "[::1]:80", "--id", "one",
                   "--ttl", "30s", "--weight", "3", "--label", "r2")
    assert made.rc == 0 and "one is registered" in made.out, made
    listed = ems.ctl("leases")
    assert "[::1]:80" in listed.out and "r2" in listed.out and \
        "30.0s" in listed.out, listed
    shown = ems.ctl("services", "tasks")
    assert "one" in shown.out and "live" in shown.out, shown
    assert ems.ctl("deregister", "one").out == "one drains\n"
    none = ems.ctl("deregister", "two")
    assert none.rc == 1 and 'no lease "two"' in none.err, none
    assert ems.ctl("register", "tasks", "eu", "nonsense").rc == 2
    assert ems.ctl("proxies").rc == 0
    assert ems.ctl("nonsense").rc == 2 and ems.ctl("get", "region").rc == 2


# ---- probes

def metrics(ems):
    """{name with labels: number}; every line is one, or a comment."""
    answer = ems.rest("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
    found, kinds = {}, set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            kinds.add(line.split()[2])
        elif not line.startswith("# HELP "):
            name, value = re.fullmatch(
                r'([a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) '
                r"([0-9.]+)", line).groups()
            assert re.sub(r"_(sum|count)$|\{.*", "", name) in kinds or \
                re.sub(r"\{.*", "", name) in kinds, line
            assert name not in found, line
            found[name] = float(value)
    return found


def test_probes_and_metrics(m):
    ems = Ems(m)
    ems.apply(MESH)
    ems.rest("POST", "/v1/register", ENDPOINT)
    ems.rest("GET", "/none")
    assert ems.rest("GET", "/healthz").json == {"healthy": True}
    assert ems.rest("GET", "/readyz").json == {"ready": True, "revision": 1}
    assert ems.rest("HEAD", "/readyz").text == ""
    found = metrics(ems)
    name = "godwit_ems_"
    for key, value in (
            ("store_up", 1), ("revision", 1), ('items{noun="region"}', 2),
            ('items{noun="service"}', 1), ('items{noun="caller"}', 0),
            ("services", 1), ("proxies_behind", 0), ("views", 0),
            ('leases{region="us",state="live"}', 1),
            ('leases{region="eu",state="live"}', 0),
            ('proxies{region="us",role="sidecar"}', 0),
            ('lease_alarm{region="us"}', 0),
            ('rest_answers_total{class="4xx"}', 1),
            ("write_seconds_count", 1)):
        assert found.get(name + key) == value, (key, found)
    assert found[name + 'rest_answers_total{class="2xx"}'] >= 3
    assert 0 < found[name + "write_seconds_sum"] < PATIENCE_S


# ---- a life later

def everything(ems):
    leases = ems.rest("GET", "/v1/leases")["leases"]
    return ([ems.rest("GET", f"/v1/{noun}").json for noun in
             ("region", "gateway", "service", "limit", "caller")], history(ems),
            [{k: v for k, v in x.items() if k not in ("silent_ms", "state")}
             for x in leases])


def test_what_was_answered_outlives_it(m):
    ems = Ems(m)
    ems.apply(MESH, "--why", "the mesh")
    put(ems, "region", "ap", "region: ap\n", 0)
    ems.rest("DELETE", "/v1/region/ap?expect_version=1")
    made = ems.rest("POST", "/v1/register", {**ENDPOINT, "ttl_ms": 60000})
    was = everything(ems)
    assert len(was[1]) == 6 and len(was[2]) == 1
    for end in ems.stop, ems.kill:
        end()
        assert os.path.exists(ems.socket) == (end == ems.kill)
        ems.start()
        assert everything(ems) == was
        assert ems.rest("POST", "/v1/heartbeat", {
            "id": made["id"], "epoch": made["epoch"]}).status == 200
    # Versions go on where they were; plans are forgotten.
    assert put(ems, "region", "ap", "region: ap\n", 0)["to"] == 3
    word = ems.rest("POST", "/v1/plan", "service: later\n")["plan"]
    ems.kill()
    ems.start()
    refused(ems.rest("POST", f"/v1/apply?plan={word}"), 404)


def test_killed_while_it_is_written_to(m):
    """What was answered is there; one more may be, which was not."""
    ems, done = Ems(m), [0]
    put(ems, "service", "tasks", "service: tasks\nowner: n0\n", 0)
    for life in range(3):
        at = done[0]

        def write():
            with contextlib.suppress(OSError, http.client.HTTPException):
                with ems.connection(local=True) as c:
                    while True:
                        n = done[0] + 1
                        c.request("PUT", f"/v1/service/tasks?expect_version={n}",
                                  f"service: tasks\nowner: n{n}\n")
                        answer = Rest(c.getresponse())
                        if answer.status == 429:
                            time.sleep(0.01)
                            continue
                        assert answer.status == 200, answer
                        done[0] = n

        writer = threading.Thread(target=write)
        writer.start()
        until(lambda: done[0] >= at + 20 or not writer.is_alive(), "writes")
        ems.kill()
        writer.join()
        assert done[0] >= at + 20
        ems.start()
        now = ems.rest("GET", "/v1/service/tasks")
        n = now["version"] - 1
        assert n in (done[0], done[0] + 1), (n, done)
        assert now["body"] == f"service: tasks\nowner: n{n}\n", now
        done[0] = n


def test_it_ends_while_asked(m):
    """Callers that wait, or say nothing, don't keep it; none is left hanging."""
    ems = Ems(m)
    idle = socket.create_connection(("127.0.0.1", ems.rest_port), PATIENCE_S)
    half = socket.create_connection(("127.0.0.1", ems.rest_port), PATIENCE_S)
    half.sendall(b"PUT /v1/region/us?expect_version=0 HTTP/1.1\r\n"
                 b"Host: localhost\r\nContent-Length: 100\r\n\r\nregion")
    with contextlib.closing(idle), contextlib.closing(half):
        assert ems.rest("GET", "/healthz").status == 200
        ems.stop()
        assert ems.proxy.exit_code() == 0, ems.log()
        assert idle.recv(1) == b""
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(1) == b""


def test_it_ends_while_its_store_is_locked(m):
    """A request that waits for the store is let go, and its answer, which
    comes later, finds nobody."""
    ems = Ems(m)
    path = os.path.join(ems.settings["state_dir"], "ems.db")
    with contextlib.closing(sqlite3.connect(path)) as db, \
            contextlib.closing(socket.create_connection(
                ("127.0.0.1", ems.rest_port), PATIENCE_S)) as s:
        db.execute("BEGIN IMMEDIATE")
        s.sendall(b"PUT /v1/region/us?expect_version=0 HTTP/1.1\r\n"
                  b"Host: localhost\r\nContent-Length: 11\r\n\r\n"
                  b"region: us\n")
        assert ems.rest("GET", "/healthz").status == 200
        ems.proxy.signal(signal.SIGINT)
        assert not s.recv(100).startswith(b"HTTP/1.1 200")
        db.rollback()
    assert ems.proxy.exit_code() == 0, ems.log()
    ems.start()
    assert len(history(ems)) <= 1


def test_it_ends_while_it_begins(m):
    """Told to end as soon as it listens to signals: what it had asked of the
    store comes too late to open a door."""
    ems = Ems(m, start=False)
    for _ in range(100):
        ems.begin()
        # The store's thread is made when signals are ours already.
        until(lambda: ems.proxy.exited() or len(os.listdir(
            f"/proc/{ems.proxy.pid}/task")) > 1, "the store is open")
        ems.proxy.signal(signal.SIGINT)
        assert ems.proxy.exit_code() == 0, ems.log()
        assert not os.path.exists(ems.socket), ems.log()


# ---- what is written about it

def read(*path):
    with open(os.path.join(ROOT, *path)) as f:
        return f.read()


def settings_known():
    """Fields of the file, those in tls too."""
    return set(re.findall(r"^\t+(?:string|bool|uint32|Tls) (\w+) = \d+;",
                          read("xds/proto/godwit/ems/settings.proto"), re.M))


def test_the_example_has_all_settings(m):
    text = read("conf/examples/ems.yaml")
    assert set(re.findall(r"^#? *(\w+):(?: |$)", text, re.M)) == \
        settings_known()
    manual = read("conf/man/godwit-ems.8").replace("\\", "")
    for name in settings_known():
        assert name in manual, name
    # As it is, and with every default in it.
    for name, text in ("as", text), ("all", re.sub(
            r"^#(\w+: )", r"\1", text, flags=re.M)):
        file = m.write(f"{name}.yaml", text)
        p = subprocess.run([EMS, "-t", "-c", file], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        assert p.returncode == 0, p.stdout


def test_the_manual_has_all_words(m):
    manual = read("conf/man/godwitctl.1").replace("\\", "")
    rest = read("conf/man/godwit-ems.8").replace("\\", "")
    words = re.findall(r'^WORD\("(\w+)"', read("master/ctl/ems.def"), re.M)
    options = re.findall(r'{ "([a-z-]+)", \w+_argument',
                         read("master/ctl/ems.h") + read("master/ctl/ems.c"))
    assert len(words) >= 13 and len(options) >= 16
    for word in words + ["status", "config", "certs", "stats", "generations"]:
        assert re.search(rf"^\.(B|BR) {word}( |$)", manual, re.M), word
    for option in options:
        assert f"--{option}" in manual, option
    for line in re.findall(r"^ROUTE\((.*?)\)", read("xds/ems/rest.def"),
                           re.M | re.S):
        method, path, *_, arguments = re.findall(r'"([^"]*)"', line)
        there = [at for at in rest.splitlines()
                 if path in at.split() and (at.startswith(method))]
        assert there, (method, path)
        for argument in arguments.split():
            assert f"{argument}=" in there[0], (path, argument)


def completed(m, line, env=None):
    """What bash offers at the end of a line."""
    script = (f". {ROOT}/conf/completion/godwitctl.bash\n"
              'COMP_LINE=$1 COMP_POINT=${#1}\nread -ra COMP_WORDS <<<"$1"\n'
              '[[ $1 == *" " ]] && COMP_WORDS+=("")\n'
              "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
              '_godwitctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n')
    path = f"{os.path.dirname(GODWITCTL)}:{os.environ['PATH']}"
    p = subprocess.run(["bash", "-uc", script, "bash", line], cwd=m.dir,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env={**os.environ, "PATH": path, **(env or {})})
    assert p.returncode == 0 and not p.stderr, (line, p.stderr)
    return p.stdout.decode().split()


def test_completion(m):
    ems = Ems(m)
    ems.apply(MESH)
    ems.rest("POST", "/v1/register", ENDPOINT)
    words = re.findall(r'^WORD\("(\w+)"', read("master/ctl/ems.def"), re.M)
    options = re.findall(r'{ "([a-z-]+)", \w+_argument',
                         read("master/ctl/ems.h") + read("master/ctl/ems.c"))
    assert set(completed(m, "godwitctl ")) == {
        *words, "status", "ready", "config", "certs", "stats",
        "generations"}
    assert {f"--{o}" for o in options} <= set(completed(m, "godwitctl get -"))
    nouns = ["region", "gateway", "service", "limit", "caller"]
    asked = f"godwitctl --ems unix:{ems.socket} "
    env = {"GODWIT_EMS": f"unix:{ems.socket}"}
    m.write("tasks.yaml", "")
    for line, want in (
            ("godwitctl hi", ["history"]), ("godwitctl get ", nouns),
            (asked + "get region ", ["eu", "us"]),
            (asked + "delete --version 1 service ", ["tasks"]),
            (asked + "--confirm diff service t", ["tasks"]),
            (asked + "register tasks ", ["eu", "us"]),
            (asked + "deregister ", ["tasks-127.0.0.1-8080"]),
            (asked + "apply --why x tas", ["tasks.yaml"]),
            ("godwitctl --ems un", ["unix:"]), ("godwitctl -o j", ["json"]),
            ("godwitctl --ca tas", ["tasks.yaml"]),
            ("godwitctl get region us ", []),
            ("godwitctl config r", ["routes"]),
            ("godwitctl --ems unix:/none get region ", [])):
        assert completed(m, line) == want, (line, completed(m, line))
    assert completed(m, "godwitctl services ", env) == ["tasks"]


def test_install(m):
    """What make install puts where, and takes away again."""
    if os.path.basename(FOLDER) != "build":
        return                      # a sanitizer's; it is not installed
    root = os.path.join(m.dir, "root")
    make = ["make", "-s", "-C", ROOT, f"DESTDIR={root}"]
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    subprocess.run([*make, "install"], check=True, env=env)
    found = {os.path.join(folder, f)[len(root):]
             for folder, _, files in os.walk(root) for f in files}
    for end in ("/bin/godwit", "/bin/godwitctl", "/bin/godwit-ems",
                "/man1/godwitctl.1", "/man8/godwit-ems.8",
                "/bash-completion/completions/godwitctl",
                "/examples/ems.yaml", "/godwit/README.md",
                "/systemd/godwit@.service", "/kubernetes/sidecar.yaml"):
        assert [f for f in found if f.endswith(end)], (end, found)
    subprocess.run([*make, "uninstall"], check=True, env=env)
    assert not [f for _, _, files in os.walk(root) for f in files]
