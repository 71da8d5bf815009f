"""t/bench/instr.py - instructions per call, by callgrind.

A number that a busy machine can't blur: user space only, the same within 1 %
from run to run, so that a change of 5 % is a change. Two runs of the same
proxy in one process, with 500 and with 2,500 calls (10 x 10); the difference
divided by 2,000 leaves start, handshake and first headers out.

callgrind's file names the object (ob=) and the function (fn=) that the cost
lines after it belong to; the line after calls= is the callee's, which has its
own lines.
"""
import collections
import os
import re
import shutil
import subprocess

import peers

FEW, MANY = 500, 2500
TOP = 12
NAMED = re.compile(r"(ob|fn)=\((\d+)\)(?: (.*))?$")


def parse(path):
    """{(object, function): instructions of its own}"""
    names = {"ob": {}, "fn": {}}
    at = {"ob": "?", "fn": "?"}
    cost = collections.Counter()
    skip = False
    with open(path, errors="replace") as f:
        for line in f:
            m = NAMED.match(line)
            if m:
                kind, number, name = m.groups()
                if name:
                    names[kind][number] = name
                at[kind] = names[kind].get(number, "?")
            elif line.startswith("calls="):
                skip = True
            elif line.startswith(("cob=", "cfn=")):
                m = NAMED.match(line[1:].strip())
                if m and m.group(3):
                    names[m.group(1)][m.group(2)] = m.group(3)
            elif line[:1] in "+-*0123456789":
                words = line.split()
                if not skip and len(words) > 1:
                    cost[at["ob"], at["fn"]] += int(words[1])
                skip = False
    return cost


def once(peer, calls, folder, core):
    port = peers.free_port()
    out = os.path.join(folder, "callgrind.%s.%d" % (peer.name, calls))
    program = peers.Program(
        "%s-callgrind" % peer.name,
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out]
        + peer.single(port), core, folder)
    try:
        program.wait_port(port, 60)
        done = subprocess.run(
            [os.path.join(peers.TOOLS, "gload"), "-w", "0", "-n",
             str(calls), str(port)], input="go\n", text=True,
            capture_output=True)
        if done.returncode != 0:
            raise peers.Trouble("%s under callgrind: %s%s" % (
                peer.name, done.stdout, done.stderr))
    finally:
        program.stop()
    if not os.path.exists(out):
        raise peers.Trouble("callgrind wrote nothing: "
                            + program.last_words())
    return parse(out)


def measure(peer, folder, core):
    """{(object, function): instructions per call}"""
    few = once(peer, FEW, folder, core)
    many = once(peer, MANY, folder, core)
    return {k: (many[k] - few[k]) / (MANY - FEW) for k in many}


def by_object(cost):
    out = collections.Counter()
    for (name, _), n in cost.items():
        out[re.sub(r"\.so.*", "", os.path.basename(name))] += n
    return out


def report(all_peers, folder, say):
    if shutil.which("valgrind") is None:
        say("\nvalgrind is not here: no instruction counts")
        return
    say("\ninstructions per call in user space (callgrind, 10x10)")
    for p in all_peers:
        if not hasattr(p, "single"):
            continue
        cost = measure(p, folder, peers.cores()[0])
        parts = by_object(cost)
        say("  %-8s %7.0f   %s" % (p.name, sum(parts.values()), ", ".join(
            "%s %.0f" % (name, n) for name, n in parts.most_common(6)
            if n >= 1)))
        if p.name == "godwit":
            own = [(n, name) for (where, name), n in cost.items()
                   if os.path.basename(where) == "godwit"]
            for n, name in sorted(own, reverse=True)[:TOP]:
                say("    %7.0f  %s" % (n, name))
