"""The live stream under load. `python -m benchmarks.stream [--clients N] [--seconds S] [--symbols N] [--wishes N] [--asleep SHARE]`.

A gateway in a process of its own; all clients in this one, on raw sockets and epoll. Each client is told the prices of its symbols ten
times a second. Of one client in fifty every message is decoded: the numbers have to follow each other, and the delay is from the tick to
its arrival here. Of the others the frames are counted. Clients that are asleep subscribe and never read.
"""

import argparse
import contextlib
import json
import os
import resource
import select
import socket
import time
import urllib.request
from pathlib import Path

import numpy as np

from benchmarks.gateway import gateway

SAMPLE = 50
CONNECTING = 64
PONG = b"\x8a\x80\0\0\0\0"
HELLO = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Client:
    """One line: whole frames are taken from what has come, and a part of one waits."""

    __slots__ = ("asleep", "bytes", "closed", "frames", "gaps", "last", "left", "part", "sampled", "skip", "snapshot", "socket")

    def __init__(self, plug: socket.socket, sampled: bool, asleep: bool) -> None:
        self.socket, self.sampled, self.asleep = plug, sampled, asleep
        self.frames = self.bytes = self.gaps = self.left = 0
        self.snapshot = False
        self.closed = 0
        self.part = b""
        self.last: int | None = None

    def take(self, data: bytes, now: int, delays: list[int], newest: list[int]) -> None:
        """Count the frames of what has come."""
        if self.part:
            data = self.part + data
            self.part = b""
        at, end = 0, len(data)
        while at < end:
            size, head = (data[at + 1], 2) if end - at >= 2 else (0, end)
            if size == 126:
                size, head = (int.from_bytes(data[at + 2 : at + 4], "big"), 4) if end - at >= 4 else (0, end)
            elif size == 127:
                size, head = (int.from_bytes(data[at + 2 : at + 10], "big"), 10) if end - at >= 10 else (0, end)
            if at + head + size > end or head > 10:
                self.part = data[at:]
                return
            kind = data[at]
            if kind == 0x81:
                self.frames += 1
                if self.sampled:
                    self.check(data[at + head : at + head + size], now, delays, newest)
            elif kind == 0x89:
                with contextlib.suppress(OSError):
                    self.socket.send(PONG)
            elif kind == 0x88:
                self.closed = int.from_bytes(data[at + head : at + head + 2], "big")
            at += head + size

    def check(self, text: bytes, now: int, delays: list[int], newest: list[int]) -> None:
        """Whether it follows the one before, and how long ago its ticks were."""
        message = json.loads(text)
        if message["channel"] == "snapshot":
            self.snapshot = True
        elif message["prev"] != self.last:
            self.gaps += 1
        self.last = message["seq"]
        if message["channel"] == "prices":
            ages = [now - price["ts"] for price in message["data"].values()]
            delays += ages
            newest.append(min(ages))


def masked(text: bytes) -> bytes:
    """A text frame of a client's."""
    head = bytes((0x81, 0x80 | len(text))) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + b"\0\0\0\0" + text


class Reader:
    """Reads all clients that are awake."""

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}
        self.poll = select.epoll()
        self.delays: list[int] = []
        self.newest: list[int] = []

    def add(self, clients: list[Client]) -> None:
        """More of them."""
        for client in clients:
            if not client.asleep:
                self.clients[client.socket.fileno()] = client
                self.poll.register(client.socket.fileno(), select.EPOLLIN)

    def read(self, seconds: float) -> None:
        """For a while."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            for file, _ in self.poll.poll(min(left, 0.05), 2_000):
                client = self.clients[file]
                try:
                    data = client.socket.recv(262_144)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    self.poll.unregister(file)
                    client.closed = client.closed or 1006
                    continue
                client.bytes += len(data)
                client.take(data, time.monotonic_ns(), self.delays, self.newest)


def connect(port: int, number: int, given: argparse.Namespace, reader: Reader) -> list[Client]:
    """All clients, a few at a time, subscribed; those that are there already go on reading."""
    clients: list[Client] = []
    for first in range(0, number, CONNECTING):
        plugs = []
        for _ in range(first, min(first + CONNECTING, number)):
            plug = socket.create_connection(("127.0.0.1", port))
            plug.sendall(HELLO.format(port=port).encode())
            plugs.append(plug)
        for plug in plugs:
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += plug.recv(1)
            assert b" 101 " in answer, answer
            index = len(clients)
            symbols = [f"S{(index % given.wishes + step) % given.symbols}" for step in range(given.symbols if given.wishes == 1 else 10)]
            asked = {"op": "subscribe", "channels": ["prices"], "symbols": symbols}
            plug.sendall(masked(json.dumps(asked).encode()))
            plug.setblocking(False)
            asleep = given.asleep and index % round(1 / given.asleep) == 1
            clients.append(Client(plug, index % SAMPLE == 0, bool(asleep)))
        reader.add(clients[first:])
        reader.read(0.01)
    return clients


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--wishes", type=int, default=1)
    parser.add_argument("--asleep", type=float, default=0.0)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with gateway(given.symbols) as place:
        time.sleep(1.0)
        print(f"nobody: {place.rss_mb:.0f} MB, {place.files} files, load {os.getloadavg()[0]:.1f}", flush=True)
        began, used = time.monotonic(), place.cpu_s
        reader = Reader()
        clients = connect(place.port, given.clients, given, reader)
        reader.read(2.0)
        spent = time.monotonic() - began - 2.0
        print(f"{len(clients):,} clients connected in {spent:.1f} s ({(place.cpu_s - used) / len(clients) * 1e3:.2f} ms of processor each)")
        reader.delays.clear()
        reader.newest.clear()
        before, used, began, own = sum(c.frames for c in clients), place.cpu_s, time.monotonic(), time.process_time()
        size, most, kernel = sum(c.bytes for c in clients), 0.0, 0
        while time.monotonic() - began < given.seconds:
            reader.read(1.0)
            most, kernel = max(most, place.rss_mb), max(kernel, tcp_mb())
        wall, cpu, own = time.monotonic() - began, place.cpu_s - used, time.process_time() - own
        awake = [client for client in clients if not client.asleep]
        frames, size = sum(c.frames for c in clients) - before, sum(c.bytes for c in clients) - size
        delays, newest = np.array(reader.delays) / 1e6, np.array(reader.newest) / 1e6
        print(f"{frames / wall:,.0f} messages/s ({frames / wall / len(awake):.2f} a client), {size / wall / 1e6:.1f} MB/s")
        for what, found in (("each price, from its tick", delays), ("the newest price of a message", newest)):
            p50, p99 = np.percentile(found, (50, 99))
            print(f"{what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {found.max():.1f} ms ({len(found):,})")
        print(f"gateway: {cpu / wall:.0%} of a core, {cpu / frames * 1e6:.1f} us a message; this process: {own / wall:.0%}")
        print(f"memory: {most:.0f} MB at most, {place.rss_mb:.0f} MB at the end, TCP of the system {kernel} MB; {place.files} files")
        sampled = [client for client in awake if client.sampled]
        print(f"sampled {len(sampled)}: gaps {sum(c.gaps for c in sampled)}, snapshots {sum(c.snapshot for c in sampled)}")
        slowest = min(c.frames for c in awake)
        print(f"closed {sum(bool(c.closed) for c in awake)}, fewest messages of a client {slowest}")
        if given.asleep:
            print(f"asleep {len(clients) - len(awake)}; sent away: {sent_away(place.port)}")


def sent_away(port: int) -> str:
    """How many the gateway says that it has sent away, by code."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return ", ".join(line.partition("total")[2] for line in lines if line.startswith("openbell_stream_sent_away_total"))


def tcp_mb() -> int:
    """Megabytes of memory that the system holds for all TCP sockets."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.rpartition(" ")[2]) * 4096 // 1_000_000
    return 0


if __name__ == "__main__":
    main()
