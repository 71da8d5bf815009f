"""t/lib/names.py - a server of names for the mesh tests: what it says to A and
AAAA queries is a table that the test changes.

    names = Names(m);  names.set("greeter.mesh", ["127.0.0.2", "127.0.0.3"])
    m.godwit(file, *names.options)

A name's answer is a list of addresses, None (NXDOMAIN, as of every name that is
not set), or SILENCE. queries counts them by name.
"""
import collections
import ipaddress
import socket
import struct
import threading

SILENCE = object()
TYPES = {1: 4, 28: 6}           # A, AAAA: the IP version


def name_of(query):
    """(name, type, where the question ends)."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    return ".".join(labels), *struct.unpack_from("!H", query, at + 1), at + 5


class Names:
    def __init__(self, m, ttl_s=1):
        self.table, self.ttl_s = {}, ttl_s
        self.queries = collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        port = self.socket.getsockname()[1]
        self.options = "-o", f"dns_servers=127.0.0.1:{port}"
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        m.callback(self.stop)

    def set(self, name, answer):
        self.table[name] = answer

    def run(self):
        while True:
            query, who = self.socket.recvfrom(4096)
            if not query:
                return
            name, type, end = name_of(query)
            answer = self.table.get(name)
            self.queries[name] += 1
            if answer is not SILENCE:
                self.socket.sendto(self.reply(query, type, end, answer), who)

    def reply(self, query, type, end, answer):
        found = [a for a in map(ipaddress.ip_address, answer or ())
                 if a.version == TYPES.get(type)]
        head = query[:2] + struct.pack(
            "!5H", 0x8180 | (3 if answer is None else 0), 1, len(found), 0, 0)
        return head + query[12:end] + b"".join(
            struct.pack("!3HIH", 0xc00c, type, 1, self.ttl_s, len(a.packed)) +
            a.packed for a in found)

    def stop(self):
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with end, self.socket:
            end.sendto(b"", self.socket.getsockname())
            self.thread.join()
