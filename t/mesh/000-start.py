"""Options, start, and what is said when it can't start."""
import os
import signal

from mesh import EXAMPLES, free_port, occupy, until


def test_check_says_good_and_binds_nothing(m):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port})
    with occupy(port):
        code, text = m.run("-t", "-c", file)
    assert (code, text) == (0, f"{file}: the configuration is good: "
                            "1 listener, 2 clusters, 2 endpoints\n"), text


def test_check_says_where_and_what(m):
    with open(os.path.join(EXAMPLES, "eu-gateway.yaml")) as f:
        text = f.read().replace("/etc/godwit/tls", m.certificates())
    hcm = ("static_resources.listeners[0].filter_chains[0].filters[0]."
           "typed_config.")
    host = hcm + "route_config.virtual_hosts[0]."
    rows = [        # what is changed, what of it is wrong, what is said
        ("cluster: greeter, timeout", "cluster: greater, timeout", "greater",
         f"{host}routes[0].route.cluster: there is no cluster \"greater\""),
        ("codec_type: HTTP2", "codec_type: HTTP9", "HTTP9",
         f"{hcm}codec_type: "),
        ("port_value: 10443", "port_value: 104430", "104430",
         "static_resources.listeners[0].address.socket_address.port_value: "),
        ("domains: [\"*\"]", "domian: [\"*\"]", "domian",
         f"{host}domian: "),
        ("connect_timeout: 1s", "connect_timeout: soon", "soon",
         "static_resources.clusters[0].connect_timeout: "),
        ("static_resources:", "static_resources: [", None, ""),
    ]
    for old, new, wrong, want in rows:
        assert text.count(old) >= 1, old
        bad = text.replace(old, new, 1)
        file = m.write("bad.yaml", bad)
        code, said = m.run("-t", "-c", file)
        assert code == 1, (new, said)
        assert said.count("\n") == 1, f"not one line: {said}"
        if wrong:
            before = bad[:bad.index(wrong)].split("\n")
            want = f"{len(before)}:{len(before[-1]) + 1}: {want}"
        assert said.startswith(f"{file}:{want}"), (said, want)


def test_what_only_the_environment_knows(m):
    """${NAME} below node and godwit; who tells a godwit needs its place
    only."""
    file = m.write("env.yaml", "node: {id: '${POD_NAME}'}\n"
                   "godwit:\n  run_dir: ${PLACE}\n  drain_time_ms: ${MS}\n")
    os.environ.update(PLACE=os.path.join(m.dir, "here"), MS="123")
    os.environ.pop("POD_NAME", None)
    assert m.run("-t", "-c", file) == (1, f"{file}:1:12: node.id: the "
                                       "environment has no POD_NAME\n")
    os.environ["POD_NAME"] = "a-1"
    code, text = m.run("-t", "-c", file)
    assert code == 0, text
    os.environ["MS"] = "many"
    code, text = m.run("-t", "-c", file)
    assert code == 1 and 'drain_time_ms: "many" is not a number' in text, text
    file = m.write("place.yaml", "node: {id: '${NONE}'}\n"
                   "godwit: {run_dir: '${PLACE}'}\n")
    code, text = m.run("-s", "status", "-c", file)
    assert code == 1 and f"{m.dir}/here" in text, text


def test_version_and_help(m):
    code, text = m.run("-V")
    assert code == 0 and "nghttp2 1." in text and "OpenSSL 3." in text, text
    code, text = m.run("-h")
    assert code == 0 and "drain_time_ms" in text, text
    file = m.example("us-local.yaml", {})
    code, text = m.run("-o", "workers=banana", "-t", "-c", file)
    assert code != 0 and "workers" in text and "banana" in text, text


def test_a_bad_file_at_start(m):
    p = m.start(m.write("bad.yaml", "static_resources: {listners: []}\n"))
    assert p.exit_code() == 1
    log = p.log()
    assert log.count("\n") == 1 and "bad.yaml:1:20: " in log, log


def test_a_taken_port_is_named(m):
    port = free_port()
    file = m.example("us-local.yaml", {10000: port})
    with occupy(port):
        p = m.start(file)
        assert p.exit_code() == 1
    assert f"127.0.0.1:{port} is in use" in p.log(), p.log()


def test_a_second_godwit_on_the_port_or_the_folder(m):
    file = m.example("us-local.yaml", {10000: free_port()})
    first = m.godwit(file)
    second = m.start(file)
    assert second.exit_code() == 1 and "is in use" in second.log()
    other = m.example("us-local.yaml", {10000: free_port()})
    third = m.start(other, run_dir=first.run_dir)
    assert third.exit_code() == 1
    assert "another godwit" in third.log(), third.log()
    assert first.generation() == 1, "the first one serves on"


def test_one_process(m):
    port = free_port()
    service = m.service("us")
    file = m.example("us-local.yaml", {10000: port, 10101: service.port})
    p = m.godwit(file, "-1")
    assert m.caller(port).call(b"x").body == b"us:x"
    assert p.children() == {}
    p.signal(signal.SIGHUP)
    until(lambda: "generation 2" in p.log(), "the second generation")
    assert m.caller(port).call(b"y").body == b"us:y"
    p.signal(signal.SIGTERM)
    assert p.exit_code() == 0


def test_titles_and_workers(m):
    file = m.example("us-local.yaml", {10000: free_port()})
    p = m.godwit(file, workers=3)
    assert sorted(p.children()) == ["master", "worker 0", "worker 1",
                                    "worker 2"]
    assert sorted(os.listdir(p.run_dir))[0] == "admin.sock"
    p.signal(signal.SIGTERM)
    assert p.exit_code() == 0
    left = [f for f in os.listdir(p.run_dir) if f.endswith(".sock")]
    assert left == [], left


def test_the_words_of_s(m):
    file = m.example("us-local.yaml", {10000: free_port()})
    p = m.godwit(file, workers=2)
    code, text = p.command("status")
    assert code == 0 and "serving, generation 1" in text, text
    for title, pid in p.children().items():
        assert f"{title}: pid {pid}" in text, text
    assert p.command("reopen")[0] == 0
    code, text = p.command("dance")
    assert code != 0 and "dance" in text and "reload" in text, text
    for word in "drain", "stop":
        assert p.command(word) == (0, "godwit is down\n")
        assert p.exit_code() == 0
        code, text = p.command("status")
        assert code == 1 and p.run_dir in text, text
        p = m.godwit(file)
