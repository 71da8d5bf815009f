"""t/lib/app.py PORT NAME - an app in a process of its own: demo.Greeter of
mesh.py, and gRPC's health service, which says NOT_SERVING after USR1 and
SERVING after USR2. TERM ends it as most apps end: callers are sent away, calls
that it has are answered, and new ones are not taken.
"""
import signal
import sys
import threading

from registry import pack
from mesh import Service


GRACE_S = 10


class App(Service):
    status = 1

    def check(self, request, context):
        return pack({1: self.status})


def main():
    app = App(sys.argv[2], int(sys.argv[1]))

    def change(number, frame):
        app.status = 2 if number == signal.SIGUSR1 else 1
    signal.signal(signal.SIGUSR1, change)
    signal.signal(signal.SIGUSR2, change)
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ends.set())
    while not ends.wait(3600):
        pass
    app.server.stop(GRACE_S).wait()


if __name__ == "__main__":
    main()
