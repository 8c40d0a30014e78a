"""ALERTS: a million standing alerts over 500 symbols, every tick compared with those of its symbol: the kernel, and the service's path.

The service's path is what `openbell serve alerts` does on one core without the network: decode the messages of the market-data topic,
compare every tick, and store what came with how far the topic was taken (SQLite). What came is counted against an oracle that knows nothing
of the kernel: the first price of the symbol beyond each target, by running maximum and minimum.
"""

import asyncio
import contextlib
import json
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ALERTS, SYMBOLS, TICKS, SEED = 1_000_000, 500, 1_000_000, 7
#: Events of one chunk of the publisher, cut into a message a symbol: under load, and when ticks arrive in moments of ten milliseconds.
CHUNKS = {"chunks of 8,192": 8_192, "chunks of 3,000": 3_000, "chunks of 1,000": 1_000}
#: How often (seconds) what came is stored.
KEEP_EVERY_S = 0.2
TS = 1_700_000_000_000_000_000


def market():
    """Trades of all symbols in turn, each a random walk from 100, 100,000 a second."""
    from openbell.model import enums
    from openbell.model.events import EVENT

    generator = np.random.default_rng(SEED)
    events = np.zeros(TICKS, EVENT)
    steps = generator.normal(0.0, 2e-4, (TICKS // SYMBOLS, SYMBOLS))
    prices = np.round(100.0 * np.exp(np.cumsum(steps, axis=0)), 2)
    trade = events["trade"]
    trade["kind"], trade["quantity"] = enums.TRADE, 1
    trade["instrument"] = np.tile(np.arange(SYMBOLS), TICKS // SYMBOLS)
    trade["price"] = prices.reshape(-1)
    events["ts_event"] = events["ts_available"] = TS + np.arange(TICKS) * 10_000
    return events, prices


def alerts():
    """Columns of alerts: symbol, condition (0 above, 1 below, 2 crosses), target; a hundredth of them near enough to come."""
    generator = np.random.default_rng(SEED + 1)
    symbol, condition = generator.integers(0, SYMBOLS, ALERTS), generator.integers(0, 3, ALERTS)
    far = np.where(generator.random(ALERTS) < 0.02, 0.03, 0.5) * generator.random(ALERTS) + 0.002
    sign = np.where(condition == 0, 1.0, np.where(condition == 1, -1.0, generator.choice([-1.0, 1.0], ALERTS)))
    return symbol, condition, np.round(100.0 * (1.0 + sign * far), 4)


def expected(prices, symbol, condition, target):
    """The tick (number among those of its symbol) by which each alert comes, -1 for none."""
    found = np.full(ALERTS, -1)
    for index in range(SYMBOLS):
        own = np.flatnonzero(symbol == index)
        column = prices[:, index]
        highest, lowest = np.maximum.accumulate(column), np.minimum.accumulate(column)
        up = (condition[own] == 0) | ((condition[own] == 2) & (target[own] > column[0]))
        rows = np.where(up, np.searchsorted(highest, target[own], "left"), np.searchsorted(-lowest, -target[own], "left"))
        found[own] = np.where(rows < len(column), rows, -1)
    return found


def row(case, work, seconds, **facts):
    """One line of results."""
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = {"job": "ALERTS", "competitor": "openbell", "case": case, "work": work, "per_s": work / seconds, "wall_s": seconds}
    print(json.dumps({**line, "rss_mb": rss, **facts}), flush=True)


def kernel(events, prices, columns):
    """The board alone: adding a million, comparing, one more among a million."""
    from openbell.alerts.board import ALERT_RECORD, BEFORE, NEVER, NOBODY, Board

    symbol, condition, target = columns
    board = Board([1.0] * SYMBOLS, [0] * SYMBOLS, lambda _schedule, ts: (ts, ts, ts + 1))
    streams = np.array([(board.open_book(book), board.stream(book, ("price",)))[1] for book in range(SYMBOLS)])
    rows = np.zeros(ALERTS, ALERT_RECORD)
    rows["id"], rows["stream"], rows["target"] = np.arange(1, ALERTS + 1), streams[symbol], target
    rows["up"], rows["down"] = np.where(condition != 1, 0, NOBODY), np.where(condition != 0, 0, NOBODY)
    rows["is_level"], rows["schedule"], rows["expires"], rows["fired_ts"] = condition != 2, NOBODY, NEVER, BEFORE
    board.add(rows[:1])
    board.remove([1])
    board.take(events[:0])
    began = time.process_time()
    board.add(rows)
    row("kernel: alerts added", ALERTS, time.process_time() - began, bytes_each=board.nbytes // ALERTS)
    began = time.process_time()
    came = np.concatenate([board.take(events[first : first + 8_192]) for first in range(0, TICKS, 8_192)])
    took = time.process_time() - began
    check(came["id"], ((came["ts"] - TS) // 10_000) // SYMBOLS, expected(prices, *columns))
    row("kernel: ticks, all of them compared", TICKS, took, came=len(came), standing=board.standing)
    began = time.process_time()
    for id in range(ALERTS + 1, ALERTS + 1001):
        rows["id"][0] = id
        board.add(rows[:1])
        board.remove([id])
    row("kernel: one more and one less among them", 1000, time.process_time() - began)


def check(ids, ticks, wanted):
    """That exactly those came that should, each once, by the right tick."""
    assert len(set(ids.tolist())) == len(ids), "an alert came twice"
    assert set(ids.tolist()) == set((np.flatnonzero(wanted >= 0) + 1).tolist()), "some are missing, or too many"
    assert (wanted[ids - 1] == ticks).all(), "by another tick"


def fill(path, columns):
    """The database with all alerts; the last of them by the store itself, to see what one costs."""
    from openbell.adapters.stores.alerts import AlertStore, NewAlert
    from openbell.adapters.stores.database import open_database

    symbol, condition, target = columns
    names = ("above", "below", "crosses")
    with contextlib.closing(open_database(path)) as database:
        began = time.process_time()
        AlertStore(database).create(0, *(NewAlert("S0", "above", 1e6) for _ in range(10_000)))
        row("database: alerts created", 10_000, time.process_time() - began)
    with contextlib.closing(sqlite3.connect(path)) as sql:
        sql.execute("DELETE FROM alerts")
        insert = "INSERT INTO alerts (id, symbol, condition, target_price, status, created, revision) VALUES (?, ?, ?, ?, 'active', 0, 1)"
        values = zip(range(1, ALERTS + 1), symbol.tolist(), condition.tolist(), target.tolist(), strict=True)
        sql.executemany(insert, ((id, f"S{book}", names[kind], price) for id, book, kind, price in values))
        sql.commit()


async def service(path, events, prices, columns, name, chunk):
    """Messages of the topic through the service, from the first to what came of the last being stored."""
    from openbell.adapters.buses.base import Message, Topic
    from openbell.adapters.buses.inprocess import InProcessBus
    from openbell.adapters.messages.ticks import encode_chunk
    from openbell.adapters.stores.alerts import AlertStore
    from openbell.adapters.stores.database import open_database
    from openbell.model.plan import Listing
    from openbell.services.alerts.service import AlertService

    listings = [Listing(f"S{index}", 0.01, 1.0) for index in range(SYMBOLS)]
    messages = []
    for first in range(0, TICKS, chunk):
        part = events[first : first + chunk]
        for symbol, payload in encode_chunk(part, listings, source="bench", epoch=0, first=first, cursor=b""):
            messages.append(Message(f"ticks {name}", payload, symbol, offset=len(messages)))
    bus = InProcessBus()
    bus.declare(Topic(f"ticks {name}"))
    with contextlib.closing(open_database(path)) as database:
        store = AlertStore(database)
        watching = AlertService(bus, f"ticks {name}", listings, store)
        await watching.start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        await watching.take(messages[:SYMBOLS])
        loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row(f"service: alerts loaded, {name}", ALERTS, time.process_time() - began, rss_more_mb=(loaded - before) // 1024)
        began, wall, due = time.process_time(), time.perf_counter(), time.perf_counter()
        for first in range(SYMBOLS, len(messages), 512):
            await watching.take(messages[first : first + 512])
            if time.perf_counter() >= due:
                await watching.keep()
                due = time.perf_counter() + KEEP_EVERY_S
        await watching.keep()
        took, wall = time.process_time() - began, time.perf_counter() - wall
        found = database.select("SELECT alert_id, ts FROM alert_events WHERE reader = ? ORDER BY seq", (watching.reader,))
        ids, times = (np.array(column) for column in zip(*found, strict=True))
        check(ids, ((times - TS) // 10_000) // SYMBOLS, expected(prices, *columns))
        facts = {"came": len(ids), "ticks_per_message": round(TICKS / len(messages), 1), "cpu_ns": {"tick": took / TICKS * 1e9}}
        row(f"service: ticks, all of them compared, {name}", TICKS, wall, per_cpu_s=TICKS / took, **facts)


def main():
    """Every row; each service row in a process of its own, over a copy of the database."""
    if len(sys.argv) > 2:
        events, prices = market()
        asyncio.run(service(Path(sys.argv[1]), events, prices, alerts(), sys.argv[2], CHUNKS[sys.argv[2]]))
        return
    import shutil
    import subprocess

    events, prices = market()
    kernel(events, prices, alerts())
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / "alerts.db"
        fill(filled, alerts())
        for name in CHUNKS:
            shutil.copy(filled, path := Path(folder) / f"{CHUNKS[name]}.db")
            subprocess.run([sys.executable, "-m", "benchmarks.alerts", path, name], check=True)


if __name__ == "__main__":
    main()
