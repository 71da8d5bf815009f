"""t/lib/app.py PORT NAME [HOST] - an app in a process of its own: Service of
mesh.py, and gRPC's health service, which says NOT_SERVING after USR1 and
SERVING after USR2. TERM ends it as most apps end: callers are sent away, calls
that it has are answered, and new ones are not taken. Linger is answered a
second after TERM.
"""
import signal
import sys
import threading

from registry import pack
from mesh import Service

GRACE_S, LINGER_S = 10, 1


class App(Service):
    status = 1
    ends = threading.Event()

    def check(self, request, context):
        return pack({1: self.status})

    def linger(self, request, context):
        self.ends.wait()
        threading.Event().wait(LINGER_S)
        return b"lingered"


def main():
    app = App(sys.argv[2], int(sys.argv[1]), *sys.argv[3:])

    def change(number, frame):
        app.status = 2 if number == signal.SIGUSR1 else 1
    signal.signal(signal.SIGUSR1, change)
    signal.signal(signal.SIGUSR2, change)
    signal.signal(signal.SIGTERM, lambda number, frame: app.ends.set())
    while not app.ends.wait(3600):
        pass
    app.server.stop(GRACE_S).wait()


if __name__ == "__main__":
    main()
