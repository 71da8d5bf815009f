"""t/lib/proxyless.py TARGET - calls SayHello until stdin ends, and says of each
call "OK ID", or the status and why. GRPC_XDS_BOOTSTRAP_CONFIG is who it asks."""
import sys
import threading

import grpc

over = threading.Event()


def call(channel):
    try:
        body = channel.unary_unary("/demo.Greeter/SayHello")(b"", timeout=10)
        return "OK " + body.decode().split(":")[0]
    except grpc.RpcError as e:
        return f"{e.code().name} {e.details()!r}"


def main():
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()),
                     daemon=True).start()
    with grpc.insecure_channel(sys.argv[1]) as channel:
        while not over.is_set():
            print(call(channel), flush=True)


main()
