"""The same file on godwit and on Envoy, and whether a caller sees the same.

Left out of the comparison, each for a reason:
  server, date                 Envoy adds them; a header that changes every
                               call costs, and ours says nothing new
  x-envoy-*                    Envoy's own measurements
  x-request-id                 another one for each call (our service gives
                               x-* back)
  x-forwarded-proto            Envoy adds it to the request, we don't
  godwit-cause                 ours
  user-agent                   the caller's library, the same in both
"""
from mesh import free_port

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


def before(m, port, **replace):
    """Callers of a godwit and of an Envoy of us before the same service."""
    callers = []
    for start in m.godwit, m.envoy:
        here = free_port()
        start(m.example("us-local.yaml", {10000: here, 10101: port,
                                          **replace}))
        callers.append(m.caller(here))
    return callers
