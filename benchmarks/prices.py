"""`GET /price/{symbol}` through HTTP. `python -m benchmarks.prices [--rate N] [--seconds S] [--connections N ...] [--keys]`.

Requests are sent when they are due, whether or not the one before has been answered (an open loop); on one connection they then wait for
each other in line, as HTTP has it. A time is from when a request was due to when its answer is here, so that waiting is in it.
The gateway is a process of its own, and so is this one.
"""

import argparse
import os
import select
import socket
import time

import numpy as np

from benchmarks.gateway import Place, gateway

SYMBOLS = 50
#: Seconds between two looks; with the system's own slack about 0.1 ms, which is in every time.
NAP_S = 0.000_02


def measure(place: Place, rate: int, seconds: float, connections: int) -> str:
    """Ask at a rate; what it took."""
    head = f"Host: 127.0.0.1:{place.port}\r\n" + (f"Authorization: Bearer {place.key}\r\n" if place.key != "none" else "")
    requests = [f"GET /price/S{number} HTTP/1.1\r\n{head}\r\n".encode() for number in range(SYMBOLS)]
    poll, plugs, asked = select.epoll(), {}, {}
    for _ in range(connections):
        plug = socket.create_connection(("127.0.0.1", place.port))
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(plug.fileno(), select.EPOLLIN)
        plugs[plug.fileno()], asked[plug.fileno()] = plug, []
    files = list(plugs)
    number = round(rate * seconds)
    times, sent, done, late = np.zeros(number), 0, 0, 0.0
    used = place.cpu_s
    began = time.perf_counter() + 0.05
    while done < number:
        now = time.perf_counter()
        while sent < number and (due := began + sent / rate) <= now:
            file = files[sent % connections]
            asked[file].append((sent, due))
            plugs[file].send(requests[sent % SYMBOLS])
            sent += 1
            late = max(late, now - due)
        # A short nap, no spinning: two processors share a core here, and who spins takes from the gateway.
        time.sleep(NAP_S)
        for file, _ in poll.poll(0):
            data = plugs[file].recv(65_536)
            now = time.perf_counter()
            assert data.count(b"HTTP/1.1") == data.count(b"HTTP/1.1 200"), data[:300]
            answers = data.count(b'"}')  # where a body ends; its head may come by itself
            for index, due in asked[file][:answers]:
                times[index] = now - due
            del asked[file][:answers]
            done += answers
    wall, cpu = time.perf_counter() - began, place.cpu_s - used
    for plug in plugs.values():
        plug.close()
    times = times[number // 10 :] * 1e3
    p50, p99, p999 = np.percentile(times, (50, 99, 99.9))
    return (
        f"{connections} connections, {number / wall:,.0f}/s: p50 {p50:.3f} ms, p99 {p99:.3f} ms, p99.9 {p999:.3f} ms, "
        f"max {times.max():.2f} ms; {cpu / number * 1e6:.0f} us of processor a request; sent late by {late * 1e3:.2f} ms at most"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--keys", action="store_true")
    given = parser.parse_args()
    for with_keys in (True,) if given.keys else (False, True):
        with gateway(SYMBOLS, with_keys) as place:
            time.sleep(0.5)
            for connections in given.connections:
                measure(place, given.rate, 1.0, connections)
                found = measure(place, given.rate, given.seconds, connections)
                print(f"{'API key' if with_keys else 'local'}, {found}, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
