"""client.py PORT AUTHORITY CA|- CASE... - the cases of gRPC's interoperability
tests, and ours, on grpcio; for each one line, "ok CASE" or "FAILED CASE: why".

What a case does and asserts is in grpc/doc/interop-test-descriptions.md; ours
are in t/interop/README.md.
"""
import queue
import sys

import grpc

import messages as ms

PATIENCE_S = 30
BIG, CHUNK = 64 << 20, 64 << 10
UP, DOWN = 271828, 314159           # the sizes of large_unary
SIZES = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP " \
    "\U0001f608\t\n"
SOAK, UNKNOWN, GZIP = 10, 2, grpc.Compression.Gzip


class Client:
    """A channel, and its methods by name."""

    def __init__(self, port, authority, ca):
        self.where = port, authority, ca
        options = [("grpc.max_receive_message_length", -1),
                   ("grpc.max_send_message_length", -1),
                   ("grpc.enable_retries", 0),
                   ("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{port}"
        if ca == "-":
            options.append(("grpc.default_authority", authority))
            self.channel = grpc.insecure_channel(target, options)
        else:
            options.append(("grpc.ssl_target_name_override", authority))
            with open(ca, "rb") as f:
                self.channel = grpc.secure_channel(
                    target, grpc.ssl_channel_credentials(f.read()), options)
        for path, (kind, request, response) in ms.METHODS.items():
            method = getattr(self.channel, kind)(
                path, request.SerializeToString, response.FromString)
            setattr(self, path.rsplit("/", 1)[1], self.patient(method))

    @staticmethod
    def patient(method):
        def call(*args, timeout=PATIENCE_S, **kwargs):
            return method(*args, timeout=timeout, **kwargs)
        call.future = lambda *args, **kwargs: method.future(
            *args, timeout=PATIENCE_S, **kwargs)
        return call


class Requests:
    """A stream of requests that is fed one by one; None ends it."""

    def __init__(self, *first):
        self.queue = queue.Queue()
        for request in first:
            self.queue.put(request)

    def put(self, request):
        self.queue.put(request)

    def __iter__(self):
        return iter(self.queue.get, None)


def simple(up=UP, down=DOWN, **fields):
    return ms.SimpleRequest(response_size=down, payload=ms.payload(up),
                            **fields)


def output(up, *sizes, **fields):
    return ms.OutputRequest(payload=ms.payload(up), response_parameters=[
        ms.Parameters(size=size) for size in sizes], **fields)


def same(got, want):
    assert got == want, f"got {got!r:.200}, expected {want!r:.200}"


def sized(answers, *sizes):
    same([len(answer.payload.body) for answer in answers], list(sizes))


def fails(call, code, message=None):
    """The call ends with this status."""
    try:
        call()
    except grpc.RpcError as e:
        same(e.code(), code)
        if message is not None:
            same(e.details(), message)
    else:
        raise AssertionError("it succeeded")


# ---- gRPC's


def empty_unary(c):
    same(c.EmptyCall(ms.Empty()), ms.Empty())


def large_unary(c):
    sized([c.UnaryCall(simple())], DOWN)


def client_streaming(c):
    answer = c.StreamingInputCall(
        ms.InputRequest(payload=ms.payload(up)) for up, _ in SIZES)
    same(answer.aggregated_payload_size, 74922)


def server_streaming(c):
    downs = [down for _, down in SIZES]
    sized(c.StreamingOutputCall(output(0, *downs)), *downs)


def ping_pong(c):
    requests = Requests()
    answers = c.FullDuplexCall(iter(requests))
    for up, down in SIZES:
        requests.put(output(up, down))
        sized([next(answers)], down)
    requests.put(None)
    sized(answers)


def empty_stream(c):
    sized(c.FullDuplexCall(iter(())))


def metadata_comes_back(c, text, value):
    sent = [(INITIAL, text), (TRAILING, value)]
    call = c.UnaryCall.future(simple(), metadata=sent)
    sized([call.result()], DOWN)
    stream = c.FullDuplexCall(iter([output(UP, DOWN)]), metadata=sent)
    sized(stream, DOWN)
    for done in call, stream:
        same(dict(done.initial_metadata()).get(INITIAL), text)
        same(dict(done.trailing_metadata()).get(TRAILING), value)


def custom_metadata(c):
    metadata_comes_back(c, "test_initial_metadata_value", b"\xab\xab\xab")


def status_comes_back(c, message, both=True):
    wanted = {"response_status": {"code": UNKNOWN, "message": message}}
    fails(lambda: c.UnaryCall(ms.SimpleRequest(**wanted)),
          grpc.StatusCode.UNKNOWN, message)
    if both:
        fails(lambda: list(c.FullDuplexCall(iter(
            [ms.OutputRequest(**wanted)]))), grpc.StatusCode.UNKNOWN, message)


def status_code_and_message(c):
    status_comes_back(c, "test status message")


def special_status_message(c):
    status_comes_back(c, SPECIAL, False)


def unimplemented(c, service):
    call = c.channel.unary_unary(f"/grpc.testing.{service}/UnimplementedCall")
    fails(lambda: call(b"", timeout=PATIENCE_S),
          grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_method(c):
    unimplemented(c, "TestService")


def unimplemented_service(c):
    unimplemented(c, "UnimplementedService")


def cancel_after_begin(c):
    call = c.StreamingInputCall.future(iter(Requests()))
    call.cancel()
    same(call.code(), grpc.StatusCode.CANCELLED)


def cancel_after_first_response(c):
    up, down = SIZES[0]
    answers = c.FullDuplexCall(iter(Requests(output(up, down))))
    sized([next(answers)], down)
    answers.cancel()
    fails(lambda: next(answers), grpc.StatusCode.CANCELLED)


def timeout_on_sleeping_server(c):
    answers = c.FullDuplexCall(iter(Requests(output(27182))), timeout=0.001)
    fails(lambda: next(answers), grpc.StatusCode.DEADLINE_EXCEEDED)


def pick_first_unary(c):
    ids = {c.UnaryCall(simple(1, 1, fill_server_id=True)).server_id
           for _ in range(20)}
    assert len(ids) == 1 and ids != {""}, ids


def rpc_soak(c):
    for _ in range(SOAK):
        large_unary(c)


def channel_soak(c):
    for _ in range(SOAK):
        another = Client(*c.where)
        large_unary(another)
        another.channel.close()


def client_compressed_unary_noprobe(c):
    for compression in GZIP, grpc.Compression.NoCompression:
        sized([c.UnaryCall(simple(expect_compressed={
            "value": compression == GZIP}), compression=compression)], DOWN)


def client_compressed_streaming_noprobe(c):
    answer = c.StreamingInputCall(iter(
        [ms.InputRequest(payload=ms.payload(up), expect_compressed={
            "value": True}) for up in (27182, 45904)]), compression=GZIP)
    same(answer.aggregated_payload_size, 73086)


def server_compressed_unary(c):
    for wanted in True, False:
        sized([c.UnaryCall(simple(response_compressed={"value": wanted}))],
              DOWN)


def server_compressed_streaming(c):
    request = output(0, 31415, 92653)
    request.response_parameters[0].compressed.value = True
    request.response_parameters[1].compressed.value = False
    sized(c.StreamingOutputCall(request), 31415, 92653)


# ---- ours


def flood(first):
    """A first request, and others without end."""
    yield first
    more = output(CHUNK)
    while True:
        yield more


def early_status(c):
    first = output(CHUNK, response_status={"code": 9, "message": "enough"})
    fails(lambda: list(c.FullDuplexCall(flood(first))),
          grpc.StatusCode.FAILED_PRECONDITION, "enough")


def early_ok(c):
    sized(c.EndEarly(flood(output(CHUNK, 31415))), 31415)


def half_close(c):
    sized(c.FullDuplexCall(iter([output(8, 100000, 1)] * 3)),
          *[100000, 1] * 3)


def binary_metadata(c):
    metadata_comes_back(c, 'a b;c="d"%20', bytes(range(256)))


def large_up(c):
    sized([c.UnaryCall(simple(BIG, 9))], 9)


def large_down(c):
    sized([c.UnaryCall(simple(9, BIG))], BIG)


def large_both(c):
    sized([c.UnaryCall(simple(BIG, BIG))], BIG)


def main(port, authority, ca, *cases):
    client = Client(port, authority, ca)
    for name in cases:
        try:
            globals()[name](client)
            print("ok", name, flush=True)
        except Exception as e:
            why = f"{type(e).__name__}: {e}".replace("\n", " ")
            print(f"FAILED {name}: {why}", flush=True)


main(*sys.argv[1:])
