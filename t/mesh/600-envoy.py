"""The same files on Envoy: what a caller gets is the same.

Left out of the comparison, each for a reason:
  server, date                 Envoy adds them; a header that changes every
                               call costs, and ours says nothing new
  x-envoy-*                    Envoy's own measurements
  x-request-id,                Envoy adds them to the request (our service
  x-forwarded-proto            gives x-* back); we add nothing to one
  godwit-cause                 ours
  user-agent                   the caller's library, the same in both
"""
from mesh import TwoRegions, until

OURS = {"server", "date", "godwit-cause", "user-agent", "x-request-id",
        "x-forwarded-proto"}


def plain(metadata):
    return sorted((k, v) for k, v in metadata
                  if k not in OURS and not k.startswith("x-envoy-"))


def same(ours, theirs):
    assert (ours.code, ours.message, ours.body) == \
        (theirs.code, theirs.message, theirs.body), (ours, theirs)
    assert plain(ours.first) == plain(theirs.first), (ours, theirs)
    assert plain(ours.last) == plain(theirs.last), (ours, theirs)


def envoys(m):
    def start(file):
        with open(file) as f:
            text = f.read()
        port = int(text.split("address: 127.0.0.1, port_value: ")[1]
                   .split()[0])
        return m.envoy(file, port)
    return TwoRegions(m, start_us=start, start_eu=start)


def test_answers_are_the_same(m):
    r, e = TwoRegions(m), envoys(m)
    mine = [("x-text", "a"), ("x-some-bin", b"\0\xff"), ("x-twice", "1"),
            ("x-twice", "2")]
    calls = [dict(region=region, method=method, metadata=metadata, body=body)
             for region in (None, "us", "eu", "ap")
             for method in ("/demo.Greeter/SayHello", "/demo.Greeter/Fail",
                            "/demo.Greeter/NoSuch", "/other.Service/M")
             for metadata in ((), mine)
             for body in (b"", b"x" * 100000)]
    for call in calls:
        same(r.caller.call(**call), e.caller.call(**call))


def test_failures_are_the_same(m):
    r, e = TwoRegions(m), envoys(m)
    for two in r, e:
        assert two.caller.call(b"x", region="eu").code == "OK"
        two.us_service.stop()
        two.eu_service.stop()

    def down(two, region):
        return until(lambda: (lambda a: a.message.endswith(
            "connection failure") and a)(two.caller.call(region=region)),
            f"{region}'s service is seen to be gone")

    for region in "us", "eu":
        same(down(r, region), down(e, region))


def test_godwit_and_envoy_are_each_others_gateway(m):
    def envoy(file):
        with open(file) as f:
            text = f.read()
        port = int(text.split("address: 127.0.0.1, port_value: ")[1]
                   .split()[0])
        return m.envoy(file, port)

    for two in TwoRegions(m, start_eu=envoy), TwoRegions(m, start_us=envoy):
        a = two.caller.call(b"hi", region="eu", metadata=[("x-a-bin", b"\0")])
        assert a.code == "OK" and a.body == b"eu:hi", a
        a = two.caller.call(b"z" * (1 << 20), method="/demo.Greeter/Echo",
                            region="eu")
        assert a.code == "OK" and len(a.body) == 1 << 20, a
