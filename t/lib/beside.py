"""The same file on godwit and on Envoy: whether a caller, and the service
behind, sees the same of both.

  same(name, ours, theirs)              two Answers (mesh.py) are equal
  different(name, row, fact, ours, theirs)   they are not, as row says: fact
  case(name[, row])                     what a test compared in its own way,
                                        as with alike, same without a name

Each names a case. t/mesh/README.md lists the cases of every test, and
t/mesh/run fails a test whose cases are not those of the list (list_check):
UPDATE=1 t/mesh/run NAME writes it.

What is not compared is a row of FIELDS; what differs is one of DIFFERENCES,
whose reason README shows too. A row that no case meets fails as well.
"""
import fcntl
import os
import re

from mesh import ROOT, free_port

# Fields left out on both sides.
FIELDS = {
    "server": "Envoy says envoy; ours would say nothing new",
    "date": "Envoy adds it; a field that changes every call costs, and gRPC "
            "reads none",
    "godwit-cause": "ours: why we answered",
    "x-forwarded-proto": "Envoy tells the service the caller's scheme; ours "
                         "is in :scheme",
    "x-envoy-upstream-service-time": "Envoy's measurement, told to the "
                                     "caller; ours are in /stats",
    "x-envoy-expected-rq-timeout-ms": "Envoy's route timeout, told to the "
                                      "service; a gRPC service reads "
                                      "grpc-timeout, which is compared",
    "x-request-id": "another one for each call; 620 compares its form",
}

# A row: what differs, Envoy's way and ours, why.
DIFFERENCES = {
    "malformed request":
        ("Envoy closes the connection, we reset the stream",
         "RFC 9113, 8.1.1 calls it an error of the stream; the others on the "
         "connection did nothing wrong"),
    "rest of an answer":
        ("Envoy resets the stream, we end it with UNAVAILABLE in trailers",
         "a gRPC caller learns a status and the reason (issue 5)"),
    "not yet sent":
        ("of an answer that ends in a reset, fewer or more bytes had gone",
         "a matter of time on both"),
    "headers too large":
        ("Envoy resets the stream, we answer with 431 or UNKNOWN, request "
         "headers too large",
         "the caller learns why"),
    "host":
        ("Envoy makes an :authority of a host that comes alone, we pass it "
         "on", "RFC 9113, 8.3.1 allows both, and gRPC libraries send none"),
    "scheme":
        ("Envoy writes http where it is neither http nor https, we pass it "
         "on", "nobody routes by it"),
    "userinfo":
        ("Envoy takes user@host for malformed, we route it as it stands",
         "no domain has an @; only a * takes it"),
    "expect":
        ("Envoy answers 100 itself and drops the field, we pass it on",
         "no gRPC library sends it, and the service may answer"),
    "crumbs":
        ("Envoy joins several cookie fields, we pass them on",
         "RFC 9113, 8.2.3 lets them stay apart between HTTP/2 hops"),
    "te twice":
        ("Envoy makes one of them", "it says the same twice"),
    "joined":
        ("Envoy joins a repeated field of its own list by commas, we pass "
         "both on", "RFC 9110, 5.3: the meaning is the same"),
    "refused stream":
        ("with no retry policy Envoy gives up, we ask once more",
         "the service did nothing (RFC 9113, 8.7)"),
    "replay buffer":
        ("Envoy tries a request of over 64 KiB again, we don't",
         "it is not kept: 64 KiB a stream (issue 5); Envoy keeps 1 MiB"),
    "canonical path":
        ("Envoy asks its rules about the path's bytes, we refuse a path that "
         "can be read in two ways",
         "the service might read what the rules did not"),
    "no such limit":
        ("Envoy takes any number, we a burst and some a second",
         "each costs us an answer or a turn; no library comes near "
         "(h2_guard.h)"),
    "continuations":
        ("Envoy takes a block in 512 frames, we in 16 and one for each KiB "
         "allowed", "more are only there to cost"),
    "resets":
        ("Envoy counts streams that lived under a second, half of 500 of "
         "them; we a burst of 1000 unanswered ones and 33 a second",
         "a merged connection of many callers has that in a bad minute"),
    "late certificate":
        ("a gateway refuses our certificate after our side of TLS 1.3 is "
         "done: Envoy says connection termination, we connection failure",
         "it was refused while connecting"),
}

cases = []              # (name, row or None), of this process's test
README = os.path.join(ROOT, "t/mesh/README.md")
GENERATED = "<!-- below: UPDATE=1 t/mesh/run; checked by each test -->\n"
HEAD = re.compile(r"^### (\S+) \((\d+)\)$", re.M)


def case(name, row=None):
    name = " ".join(str(name).split())
    assert row is None or row in DIFFERENCES, row
    assert (name, row) not in cases, f"{name}: twice"
    cases.append((name, row))


def plain(metadata):
    return sorted((k, v) for k, v in metadata if k not in FIELDS)


def equal(ours, theirs):
    return (ours.code, ours.message, ours.body, plain(ours.first),
            plain(ours.last)) == (theirs.code, theirs.message, theirs.body,
                                  plain(theirs.first), plain(theirs.last))


def alike(name, ours, theirs):
    assert equal(ours, theirs), f"{name}:\n{ours}\n{theirs}"


def same(name, ours, theirs):
    alike(name, ours, theirs)
    case(name)


def different(name, row, fact, ours, theirs):
    assert fact and not equal(ours, theirs), f"{name}:\n{ours}\n{theirs}"
    case(name, row)


def before(m, port, **replace):
    """Callers of a godwit and of an Envoy of us before the same service."""
    callers = []
    for start in m.godwit, m.envoy:
        here = free_port()
        start(m.example("us-local.yaml", {10000: here, 10101: port,
                                          **replace}))
        callers.append(m.caller(here))
    return callers


# ---- the list

def packed(names):
    """As many to a line as fit; no name is cut."""
    lines = [""]
    for name in names:
        more = f"{lines[-1]}; {name}" if lines[-1] else name
        if len(more) > 112 and lines[-1]:
            lines.append(name)
        else:
            lines[-1] = more
    return ";\n".join(lines)


def section(label):
    names = [n if row is None else f"{n} [{row}]" for n, row in cases]
    return f"### {label} ({len(cases)})\n\n```\n{packed(names)}\n```\n"


def head(parts):
    """Numbers and tables, above the sections."""
    n = sum(int(HEAD.match(p)[2]) for p in parts.values())
    rows = "".join(f"| `{f}` | {why} |\n" for f, why in FIELDS.items())
    more = "".join(f"| {row} | {what} | {why} |\n"
                   for row, (what, why) in DIFFERENCES.items())
    return (f"{n} cases in {len(parts)} tests.\n\n"
            f"| field not compared | why |\n|---|---|\n{rows}\n"
            f"| difference | what | why |\n|---|---|---|\n{more}\n")


def test_exists(label):
    file, name = label.split(".")
    try:
        with open(os.path.join(ROOT, f"t/mesh/{file}.py")) as f:
            return f"def test_{name}(" in f.read()
    except OSError:
        return False


def listed(text):
    """{label: section} of README's text."""
    parts = text.partition(GENERATED)[2].split("\n### ")[1:]
    parts = ["### " + p.rstrip("\n") + "\n" for p in parts]
    return {HEAD.match(p)[1]: p for p in parts
            if test_exists(HEAD.match(p)[1])}


def list_text(text, label):
    """README as it should be once this test has its section."""
    parts = {**listed(text), label: section(label)}
    parts = dict(sorted(parts.items()))
    return (text.partition(GENERATED)[0] + GENERATED + "\n" + head(parts) +
            "\n".join(parts.values()))


def list_check(label):
    """The list is true of the test that just ran; or, with UPDATE, is made
    so."""
    if not cases:
        return
    with open(README, "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        was = f.read()
        text = list_text(was, label)
        if os.environ.get("UPDATE") and was != text:
            f.seek(0)
            f.truncate()
            f.write(text)
    unmet = [row for row in DIFFERENCES if f"[{row}]" not in text]
    if os.environ.get("UPDATE"):
        return
    assert was == text, ("t/mesh/README.md does not list what was compared: "
                         f"UPDATE=1 t/mesh/run {label}")
    assert not unmet, f"met by no case: {unmet}"
