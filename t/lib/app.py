"""t/lib/app.py PORT NAME - an app in a process of its own: demo.Greeter of
mesh.py, and gRPC's health service, which says NOT_SERVING after USR1 and
SERVING after USR2.
"""
import signal
import sys

from registry import pack
from mesh import Service


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
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
