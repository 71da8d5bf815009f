"""Who gets in, and whom we trust."""
import os
import signal
import socket
import ssl

import grpc

from mesh import TwoRegions, free_port, until


def gateway(m, **replace):
    """A gateway of eu and its service."""
    port, service = free_port(), m.service("eu")
    file = m.example("eu-gateway.yaml", {10443: port, 10102: service.port,
                                         **replace})
    return m.godwit(file), port


def shake(m, port, name=None, alpn=("h2",), version=None):
    """(version, alpn) of a handshake that the gateway let stand, or what it
    did instead. With TLS 1.3 a client learns of a refusal when it reads."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(f"{m.certificates()}/ca.pem")
    if name:
        c.load_cert_chain(f"{m.certificates()}/{name}.pem",
                          f"{m.certificates()}/{name}.key")
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if version:
        c.minimum_version = c.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            with c.wrap_socket(raw, server_hostname="gateway.eu.mesh") as s:
                s.settimeout(30)
                s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                          b"\0\0\0\4\0\0\0\0\0")
                if not s.recv(9):
                    return "closed"
                return s.version(), s.selected_alpn_protocol()
    except (ssl.SSLError, ConnectionError) as e:
        return type(e).__name__ + ": " + str(e)


def test_who_gets_in(m):
    p, port = gateway(m)
    listener = f"listener.127.0.0.1_{port}."
    rows = [
        (None, "ssl.fail_verify_no_cert"),
        ("foreign", "ssl.fail_verify_error"),
        ("expired", "ssl.fail_verify_error"),
        ("outsider", "ssl.fail_verify_san"),
    ]
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        for name, counter in rows:
            before = p.stats()
            said = shake(m, port, name, version=version)
            assert isinstance(said, str), (name, version, said)
            p.until_stat(listener + counter, before[listener + counter] + 1)
            p.until_stat(listener + "ssl.connection_error",
                         before[listener + "ssl.connection_error"] + 1)
        good = shake(m, port, "us-local", version=version)
        assert good[1] == "h2", good
    assert p.stats()[listener + "ssl.handshake"] == 2
    assert p.stats()["http.gateway.downstream_rq_total"] == 0
    log = p.log()
    assert "sent no certificate" in log, log
    assert "names spiffe://elsewhere/service, expected" in log, log


def test_who_gets_in_where_none_is_required(m):
    """The same on Envoy: rules for names require a certificate, too."""
    sans = ("              match_typed_subject_alt_names:\n"
            "              - san_type: URI\n"
            '                matcher: { prefix: "spiffe://mesh/region/" }\n')
    rows = [
        ({}, {None: False, "us-local": True, "outsider": False}),
        ({sans: ""}, {None: True, "us-local": True, "outsider": True,
                      "foreign": False}),
    ]
    for replace, callers in rows:
        for start in m.godwit, m.envoy:
            port = free_port()
            start(m.example("eu-gateway.yaml", {
                10443: port, 10102: free_port(),
                "require_client_certificate: true":
                "require_client_certificate: false", **replace}))
            for name, gets_in in callers.items():
                said = shake(m, port, name)
                assert (said == ("TLSv1.3", "h2")) == gets_in, \
                    (start, replace, name, said)


def test_versions_and_alpn(m):
    p, port = gateway(m)
    assert shake(m, port, "us-local") == ("TLSv1.3", "h2")
    assert shake(m, port, "us-local",
                 version=ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "h2")
    for alpn in (), ("http/1.1",):
        said = shake(m, port, "us-local", alpn=alpn)
        assert isinstance(said, str), (alpn, said)
    said = shake(m, port, "us-local", alpn=("http/1.1", "h2"))
    assert said == ("TLSv1.3", "h2"), said


def test_grpcio_straight_to_the_gateway(m):
    p, port = gateway(m)
    good = m.caller(port, m.credentials("us-local"))
    assert good.call(b"x", region="eu").body == b"eu:x"
    a = good.call(b"x", region="us")
    assert a.code == "UNIMPLEMENTED", "a request that is not for eu"
    none = m.caller(port, grpc.ssl_channel_credentials(m.pem("ca.pem")))
    a = none.call(b"x", region="eu", timeout=5)
    assert a.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), a
    assert p.stats()["http.gateway.downstream_rq_total"] == 2


def test_a_gateway_that_is_not_the_gateway(m):
    for identity in "eu-impostor", "foreign", "expired":
        r = TwoRegions(m, replace_eu={
            "eu-gateway.pem": f"{identity}.pem",
            "eu-gateway.key": f"{identity}.key"})
        a = r.caller.call(region="eu")
        assert a.code == "UNAVAILABLE", a
        assert a.meta("godwit-cause") == "tls_failure", (identity, a)
        assert r.eu_service.calls == 0
        assert r.us.stats()["cluster.gateway-eu.ssl.connection_error"] >= 1
        assert r.caller.call(b"x").body == b"us:x", "us goes on"


def test_a_half_handshake_is_ended(m):
    p, port = gateway(m, **{"connect_timeout: 10s": "connect_timeout: 0.3s"})
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(30)
        s.sendall(b"\x16\x03\x01")
        assert s.recv(1) == b""
    p.until_stat(f"listener.127.0.0.1_{port}."
                 "downstream_cx_transport_socket_connect_timeout", 1)
    until(lambda: "handshake took too long" in p.log(), "the log says so")


def test_a_certificate_is_replaced_by_reload(m):
    r = TwoRegions(m)
    assert r.caller.call(b"x", region="eu").body == b"eu:x"
    tls = m.certificates()
    for end in "pem", "key":
        with open(f"{tls}/eu-impostor.{end}", "rb") as f:
            text = f.read()
        with open(f"{tls}/eu-gateway.{end}", "wb") as f:
            f.write(text)
    assert r.eu.command("reload")[0] == 0
    assert r.caller.call(b"y", region="eu").body == b"eu:y", \
        "an open connection goes on"
    r.us.stop()
    us = m.godwit(r.us_file)
    a = r.caller.call(region="eu")
    assert a.meta("godwit-cause") == "tls_failure", a
    assert us.stats()["cluster.gateway-eu.ssl.connection_error"] >= 1


def test_a_certificate_out_of_the_environment(m):
    """Of the master and its successor; a worker is not told."""
    os.environ["GATEWAY_CERTIFICATE"] = m.pem("eu-gateway.pem").decode()
    try:
        p, port = gateway(m, **{
            "certificate_chain: { filename: /etc/godwit/tls/eu-gateway.pem }":
            "certificate_chain:"
            " { environment_variable: GATEWAY_CERTIFICATE }"})
    finally:
        del os.environ["GATEWAY_CERTIFICATE"]
    assert shake(m, port, "us-local") == ("TLSv1.3", "h2")
    with open(f"/proc/{p.children()['worker 0']}/environ", "rb") as f:
        assert b"GATEWAY_CERTIFICATE" not in f.read()
    master = p.children()["master"]
    os.kill(master, signal.SIGKILL)
    until(lambda: p.children().get("master", master) != master, p.log)
    assert p.command("reload")[0] == 0, p.log()
    assert shake(m, port, "us-local") == ("TLSv1.3", "h2")
