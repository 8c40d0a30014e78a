"""The live path: ticks through a socket, the journal, every risk check and the kernel, to the order as it is handed on.

A sender process writes frames (a 96-byte event each, with the time of sending in `trade_id`) to a loopback socket; this process reads
whatever has arrived as one batch and feeds it to a `Trader` with its SQLite journal. Latency is from the sender's clock to the moment the
publisher is given the command (CLOCK_MONOTONIC, one machine). The strategy trades about once in eleven ticks.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import data

HERE = Path(__file__).parent


def live():
    """Events a second at full speed with frames of one, and latency at 10,000 ticks a second."""
    for rate, count in ((0, 1_000_000), (10_000, 100_000)):
        row = run(rate, count)
        print(json.dumps(row), flush=True)


def run(rate, count):
    """One run: `rate` ticks a second (0: as fast as the socket takes them)."""
    from openbell.adapters.stores.journal import SqliteJournal
    from openbell.engine.plan import Assignment, Plan
    from openbell.model import enums
    from openbell.model.events import EVENT
    from openbell.model.plan import Limits, Listing, Venue
    from openbell.services.trader.trader import Trader

    limits = Limits(order_value_share=0.5, price_age_max_ns=60_000_000_000, drift_bps=None)
    plan = Plan(
        (Listing("X", 0.01, 0.01),),
        (Assignment("live", str(HERE / "flip.py"), ("X",), limits=limits),),
        Venue(fee_taker_bps=1.0),
        equity_interval_ns=1_000_000_000,
    )
    latencies, sent_at = [], np.zeros(count + 2, np.int64)

    def publish(_index, commands):
        now = time.monotonic_ns()
        submitted = commands["seq"][commands["kind"] == enums.SUBMIT]
        latencies.append(now - sent_at[submitted])

    listener = socket.create_server(("127.0.0.1", 0))
    with tempfile.TemporaryDirectory() as folder:
        journal = SqliteJournal(Path(folder) / "journal.db")
        trader = Trader.open(journal, "live", plan, publish, created_ns=0)
        arguments = map(str, (listener.getsockname()[1], rate, count))
        sender = subprocess.Popen([sys.executable, "-m", "benchmarks.live", *arguments])
        connection, _ = listener.accept()
        buffer, filled, done, batches = bytearray(1 << 21), 0, 0, 0
        view = memoryview(buffer)
        began, cpu = 0.0, 0.0
        while done < count:
            received = connection.recv_into(view[filled:])
            if not received:
                break
            if not began:
                began, cpu = time.perf_counter(), time.process_time()
            filled += received
            whole = filled // EVENT.itemsize
            if not whole:
                continue
            events = np.frombuffer(buffer, EVENT, whole)
            sent_at[done + 1 : done + 1 + whole] = events["trade"]["trade_id"]
            trader.feed(events)
            rest = filled - whole * EVENT.itemsize
            buffer[:rest] = buffer[whole * EVENT.itemsize : filled]
            filled, done, batches = rest, done + whole, batches + 1
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        sender.wait()
        connection.close()
        journal.close()
    listener.close()
    spread = np.concatenate(latencies) / 1e3
    return {
        "job": "LIVE full speed" if rate == 0 else f"LIVE {rate:,} ticks/s",
        "competitor": "openbell",
        "work": done,
        "per_s": done / wall,
        "wall_s": wall,
        "cpu_min_s": cpu,
        "events_a_batch": done / batches,
        "orders": len(spread),
        "latency_p50_us": float(np.percentile(spread, 50)),
        "latency_p99_us": float(np.percentile(spread, 99)),
        "latency_max_us": float(spread.max()),
    }


def send(port, rate, count):
    """The sender: frames of one event, at an even pace or as fast as they are taken."""
    from openbell.model import history

    ts, price, size, side = data.ticks(count)
    events = history.trades(ts, 0, price, np.rint(size * 100).astype("i8"), side)

    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if rate == 0:
        block = 64  # the sender's own cost must not be the limit: it hands the kernel 64 frames a call
        for first in range(0, count, block):
            part = events[first : first + block]
            part["trade"]["trade_id"] = time.monotonic_ns()
            connection.sendall(part.tobytes())
    else:
        start = time.monotonic_ns()
        for row in range(count):
            due = start + row * 1_000_000_000 // rate
            while (now := time.monotonic_ns()) < due:
                if due - now > 200_000:
                    time.sleep(5e-5)
            events[row]["trade"]["trade_id"] = now
            connection.sendall(events[row : row + 1].tobytes())
    connection.close()


if __name__ == "__main__":
    send(*map(int, sys.argv[1:]))
