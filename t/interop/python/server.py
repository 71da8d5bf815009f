"""server.py PLAIN_PORT TLS_PORT CERTIFICATE KEY - the service of gRPC's
interoperability tests on grpcio. What the API does not show, whether a
request was compressed, it can't refuse."""
import os
import sys
import time
from concurrent import futures

import grpc

import messages as ms

INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SERVER_ID = f"python-{os.getpid()}"
CODES = {code.value[0]: code for code in grpc.StatusCode}


def echo_metadata(context):
    given = context.invocation_metadata()
    first = [(k, v) for k, v in given if k == INITIAL]
    if first:
        context.send_initial_metadata(first)
    context.set_trailing_metadata(
        [(k, v) for k, v in given if k == TRAILING])


def echo_status(request, context):
    if request.HasField("response_status"):
        wanted = request.response_status
        context.abort(CODES[wanted.code], wanted.message)


def compress_first(wanted, context):
    """Chooses gzip if the first answer is to be compressed."""
    if wanted:
        context.set_compression(grpc.Compression.Gzip)


def answers(request, context):
    for p in request.response_parameters:
        time.sleep(p.interval_us / 1e6)
        if p.HasField("compressed") and not p.compressed.value:
            context.disable_next_message_compression()
        yield ms.OutputResponse(payload=ms.payload(p.size))


class Service:
    def emptycall(self, request, context):
        return ms.Empty()

    def unarycall(self, request, context):
        echo_status(request, context)
        compress_first(request.response_compressed.value, context)
        echo_metadata(context)
        return ms.SimpleResponse(
            payload=ms.payload(request.response_size),
            server_id=SERVER_ID if request.fill_server_id else "")

    def streamingoutputcall(self, request, context):
        compress_first(any(p.compressed.value for p in
                           request.response_parameters), context)
        yield from answers(request, context)

    def streaminginputcall(self, requests, context):
        return ms.InputResponse(aggregated_payload_size=sum(
            len(request.payload.body) for request in requests))

    def fullduplexcall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            echo_status(request, context)
            yield from answers(request, context)

    def endearly(self, requests, context):
        yield ms.OutputResponse(payload=ms.payload(
            next(requests).response_parameters[0].size))


class Handler(grpc.GenericRpcHandler):
    def __init__(self):
        self.found = {}
        for path, (kind, request, response) in ms.METHODS.items():
            make = getattr(grpc, kind + "_rpc_method_handler")
            self.found[path] = make(
                getattr(Service(), path.rsplit("/", 1)[1].lower()),
                request.FromString, response.SerializeToString)

    def service(self, details):
        return self.found.get(details.method)


def main(plain, tls, certificate, key):
    server = grpc.server(futures.ThreadPoolExecutor(16), [Handler()], options=[
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1)])
    with open(certificate, "rb") as c, open(key, "rb") as k:
        credentials = grpc.ssl_server_credentials([(k.read(), c.read())])
    assert server.add_insecure_port(f"127.0.0.1:{plain}")
    assert server.add_secure_port(f"127.0.0.1:{tls}", credentials)
    server.start()
    server.wait_for_termination()


main(*sys.argv[1:])
