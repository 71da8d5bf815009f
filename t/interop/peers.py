"""t/interop/peers.py - the four gRPC implementations: how their servers start
and how their clients run cases.

Every server is started as  server PLAIN_PORT TLS_PORT CERTIFICATE KEY,  every
client of ours as  client PORT AUTHORITY CA|- CASE...  and prints "ok CASE" or
"FAILED CASE: why" for each. Go's own client is another; it takes one case.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "../../build/interop")
# The balancer of the clients' own cases about load, which reads what is said.
LOAD = '{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}'
CASE_S = 60             # the longest that a case may take

COMMON = """empty_unary large_unary client_streaming server_streaming ping_pong
    empty_stream custom_metadata status_code_and_message
    special_status_message unimplemented_method unimplemented_service
    cancel_after_begin cancel_after_first_response timeout_on_sleeping_server
    pick_first_unary rpc_soak channel_soak""".split()
# A server says what load it has; grpcio and grpc-js have nothing that does.
ORCA = "orca_per_rpc orca_oob".split()
# Without the probe before, which asks the server to refuse what is not
# compressed: none of the four does.
UNPROBED = """client_compressed_unary_noprobe
    client_compressed_streaming_noprobe""".split()
SERVER_COMPRESSED = """server_compressed_unary
    server_compressed_streaming""".split()
UNNAMED = ["pick_first_unary"]          # the server tells no server_id
EXTRA = """early_status early_ok half_close binary_metadata large_up large_down
    large_both""".split()


def output_of(argv, seconds):
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           errors="replace", timeout=seconds)
        return p.returncode, p.stdout
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode(errors="replace") + "timed out"


def verdicts(argv, cases):
    """{case: None, or why it failed} of a client of ours."""
    code, text = output_of(argv, CASE_S * len(cases))
    found = dict.fromkeys(cases, "not run: " + text[-500:])
    for good, case, why in re.findall(
            r"^(ok|FAILED) (\w+)(?:: (.*))?$", text, re.M):
        found[case] = None if good == "ok" else why or "no reason given"
    return found


class Python:
    name = "python"
    lacks = ORCA
    cases = COMMON + UNPROBED + SERVER_COMPRESSED + EXTRA

    def server(self, *args):
        return [sys.executable, f"{HERE}/python/server.py", *args]

    def run(self, port, authority, ca, cases):
        return verdicts([sys.executable, f"{HERE}/python/client.py", port,
                         authority, ca or "-", *cases], cases)


class Node(Python):
    name = "node"
    lacks = ORCA + SERVER_COMPRESSED

    def server(self, *args):
        return [f"{BUILT}/bin/node", f"{BUILT}/node/server.js", *args]

    def run(self, port, authority, ca, cases):
        return verdicts([f"{BUILT}/bin/node", f"{BUILT}/node/client.js", port,
                         authority, ca or "-", *cases], cases)


class Go:
    """Its own client, and ours for our own cases."""
    name = "go"
    lacks = UNNAMED
    cases = COMMON + ORCA + EXTRA

    def server(self, *args):
        return [f"{BUILT}/bin/server", *args]

    def run(self, port, authority, ca, cases):
        found = {}
        ours = [case for case in cases if case in EXTRA]
        flags = ["-server_host=127.0.0.1", f"-server_port={port}"]
        if ca:
            flags += ["-use_tls", "-use_test_ca", f"-ca_file={ca}",
                      f"-server_host_override={authority}"]
        for case in cases:
            if case not in ours:
                load = [f"-service_config_json={LOAD}"] * case.startswith("orca")
                code, text = output_of([
                    f"{BUILT}/bin/client", *flags, *load,
                    f"-test_case={case}"], CASE_S)
                found[case] = None if code == 0 else text.strip()[-500:]
        if ours:
            found.update(verdicts([f"{BUILT}/bin/extra", port, authority,
                                   ca or "-", *ours], ours))
        return found


class Java:
    """Its own client, many cases in one machine, and ours for our own. Its
    certificates are resources; a folder before the jars replaces them."""
    name = "java"
    lacks = UNNAMED
    cases = (COMMON + ORCA + UNPROBED + SERVER_COMPRESSED +
             ["very_large_request"] + EXTRA)

    def java(self, folder, program, *args):
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Xshare:auto", "-cp",
                f"{folder}/java:{BUILT}/java/classes:{BUILT}/java/jars/*",
                f"io.grpc.testing.integration.{program}", *args]

    def server(self, plain, tls, certificate, key):
        return self.java(os.path.dirname(certificate), "Server", plain, tls)

    def run(self, port, authority, ca, cases):
        folder = os.path.dirname(ca) if ca else "."
        found = {}
        # A machine for each: its balancer is registered once.
        alone = [[c] for c in cases if c.startswith("orca")]
        for some in alone + [[c for c in cases if [c] not in alone]]:
            if some:
                found.update(verdicts(self.java(
                    folder, "Client", port, authority, ca or "-", *some),
                    some))
        return found


ALL = [Go(), Java(), Python(), Node()]
BY_NAME = {peer.name: peer for peer in ALL}
