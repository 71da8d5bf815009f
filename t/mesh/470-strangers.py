"""Callers that speak something else than the port: answered in HTTP/1.1, in a
sentence, and counted by name; others go on.

Envoy 1.40 closes without a word (its statistics have them under
downstream_cx_protocol_error and ssl.connection_error, as ours do besides), and
to TLS without the protocol h2 only after the handshake; ours says which alert
it is.
"""
import http.client
import socket
import ssl

import frames
from mesh import free_port, until

GET = b"GET / HTTP/1.1\r\nhost: x\r\nuser-agent: browser\r\n\r\n"
HELLO = b"\x16\x03\x01\0\x05\1\0\0\1\0"
HTTP2 = frames.PREFACE + frames.frame(frames.SETTINGS)


def local(m, service_port, **texts):
    port = free_port()
    return m.godwit(m.example("us-local.yaml", {
        10000: port, 10101: service_port, **texts})), port


def gateway(m):
    port = free_port()
    return m.godwit(m.example("eu-gateway.yaml", {
        10443: port, 10102: m.service("eu").port})), port


def heard(port, *pieces):
    """All that comes to who says that, to the end of the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(30)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            s.sendall(piece)
        while more := s.recv(65536):
            got += more
    return got


def test_a_port_in_clear_text(m):
    service = m.service("us")
    p, port = local(m, service.port)
    good = m.caller(port)
    assert good.call(b"x").body == b"us:x"
    http, tls = (f"http.callers.downstream_cx_refused_{what}"
                 for what in ("http1", "tls"))
    rows = [
        ([GET], http, b"HTTP/2 only"),
        ([b"G", GET[1:]], http, b"HTTP/2 only"),
        ([b"P", b"OST / HTTP/1.1\r\nhost: x\r\n\r\n"], http, b"HTTP/2 only"),
        ([b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n",
          b"x" * 1000000], http, b"HTTP/2 only"),
        ([HELLO], tls, b"no TLS"),
    ]
    for pieces, counter, words in rows:
        before = p.stats()
        said = heard(port, *pieces)
        assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n"), said
        assert words in said and b"connection: close" in said, said
        assert said.endswith(b".\n"), said
        p.until_stat(counter, before[counter] + 1)
        both = "http.callers.downstream_cx_protocol_error"
        p.until_stat(both, before[both] + 1)
    assert "the peer speaks HTTP/1, this port HTTP/2 only" in p.log()
    # what is neither is HTTP/2's to refuse: SETTINGS, GOAWAY
    said = heard(port, b"\xff" * 30)
    assert said[3] == frames.SETTINGS, said
    assert frames.goaway(0, 1) in said, said
    assert good.call(b"x").body == b"us:x", "others go on"
    p.until_stat(f"listener.127.0.0.1_{port}.downstream_cx_active", 1)


def test_a_library_can_read_it(m):
    _, port = local(m, m.service("us").port)
    for method in "GET", "POST", "HEAD":
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request(method, "/demo.Greeter/SayHello")
        r = c.getresponse()
        body = r.read().decode()
        assert r.status == 400, (method, r.status)
        assert method == "HEAD" or "HTTP/2" in body, (method, body)
        c.close()


def test_a_port_with_tls(m):
    p, port = gateway(m)
    counter = "http.gateway.downstream_cx_refused_clear_text"
    for n, first in enumerate((GET, HTTP2, b"G"), 1):
        said = heard(port, first)
        assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n"), said
        assert b"over TLS" in said, said
        p.until_stat(counter, n)
    p.until_stat(f"listener.127.0.0.1_{port}.ssl.connection_error", 3)
    heard(port, b"\xff" * 30)               # no letter: OpenSSL's to refuse
    p.until_stat(f"listener.127.0.0.1_{port}.ssl.connection_error", 4)
    assert p.stats()[counter] == 3
    assert "the peer speaks clear text, this port TLS only" in p.log()


def test_tls_without_h2_gets_its_alert(m):
    _, port = gateway(m)
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(f"{m.certificates()}/ca.pem")
    c.load_cert_chain(f"{m.certificates()}/us-local.pem",
                      f"{m.certificates()}/us-local.key")
    c.set_alpn_protocols(["http/1.1"])
    said = ""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        try:
            c.wrap_socket(raw, server_hostname="gateway.eu.mesh")
        except ssl.SSLError as e:
            said = str(e)
    assert "no application protocol" in said, said


def test_half_a_preface_and_silence(m):
    """Nothing is said to it before the other half; its time is the idle
    timeout's, and then it hears what HTTP/2 says of that."""
    p, port = local(m, m.service("us").port, **{
        "stat_prefix: callers": "stat_prefix: callers\n"
        "          common_http_protocol_options: {idle_timeout: 0.5s}"})
    cx = f"listener.127.0.0.1_{port}.downstream_cx_active"
    for first in b"", HTTP2[:10]:
        said = heard(port, first)
        assert said[3] == frames.SETTINGS, said
        assert frames.goaway((1 << 31) - 1, 0) in said, said
        p.until_stat(cx, 0)
    assert not p.stats()["http.callers.downstream_cx_protocol_error"]
    wire = frames.Wire(socket.create_connection(("127.0.0.1", port)))
    wire.send(HTTP2[:10])
    p.until_stat(cx, 1)
    wire.sock.setblocking(False)
    try:
        said = wire.sock.recv(1)
    except BlockingIOError:
        said = None
    assert said is None, said
    wire.sock.settimeout(30)
    wire.send(HTTP2[10:] + frames.headers(1, frames.REQUEST) +
              frames.data(1, frames.MESSAGE, end=True))
    assert wire.until_end_of(1)[0] == frames.HEADERS
    wire.close()
    until(lambda: p.stats()[cx] == 0, "it is gone")
