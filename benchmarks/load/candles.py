"""Candles into PostgreSQL: history in columns by `load`, and rows in small transactions by `add`, as the processor writes what closes.

Each case has a database of its own. What is measured is the call, from columns or rows in memory to the commit; how many candles are in the
table at the end, and how many trades they add up to, is asked by SQL.
"""

import time

import numpy as np

from benchmarks.load import servers
from benchmarks.load.workers import Cost, Worker, main, row, say, told

CANDLES = 5_000_000
ADDED = 200_000
REPEATS = 2
START_MS, MINUTE_MS = 1_577_836_800_000, 60_000
BASE = {"way": "load", "symbols": 20, "count": CANDLES, "writers": 1, "rows": 0}
VARIED = [
    {},
    *({"symbols": number} for number in (2, 500)),
    {"writers": 2},
    {"way": "load again"},
    *({"way": "add", "count": ADDED, "rows": rows} for rows in (100, 2_000)),
    {"way": "add", "count": ADDED, "rows": 2_000, "writers": 2},
]


def measure():
    """Print a line for each case."""
    settings = servers.settings("postgres")
    for varied in VARIED:
        case = BASE | varied
        runs = [run(settings, case) for _ in range(REPEATS)]
        best = min(runs, key=lambda found: found["wall_s"])
        text = f"{case['symbols']} symbols" + (f", {case['rows']:,} a transaction" if case["rows"] else "")
        text += f", {case['writers']} writers" if case["writers"] > 1 else ""
        row(f"CANDLES {case['way']}", text, case["count"], [found.pop("wall_s") for found in runs], **best)


def run(settings, case):
    """One case, once."""
    import psycopg

    postgres = servers.listener(servers.place(settings, "postgres"))
    with servers.fresh_database(settings) as name:
        workers = [Worker(__spec__.name, "write", case | {"database": name, "writer": number}) for number in range(case["writers"])]
        try:
            for worker in workers:
                worker.hear()
            before = servers.cpu_of(postgres)
            began = time.monotonic()
            for worker in workers:
                worker.tell("go")
            done = [worker.hear() for worker in workers]
            wall, after = time.monotonic() - began, servers.cpu_of(postgres)
        finally:
            for worker in workers:
                worker.__exit__()
        known = settings.database
        with psycopg.connect(host=known.host, port=known.port, user=known.user, password=known.password, dbname=name) as connection:
            found = connection.execute("SELECT count(*), sum(trades), pg_total_relation_size('candles') FROM candles").fetchone()
            size = connection.execute("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits").fetchone()
    assert found[:2] == (case["count"], sum(one["trades"] for one in done)), f"{case}: {found}"
    used = {"writers": sum(one["cpu_s"] for one in done), "postgres": None if before is None else after - before}
    cpu_ns = {who: seconds / case["count"] * 1e9 for who, seconds in used.items() if seconds is not None}
    return {
        "wall_s": wall, "cpu_ns": cpu_ns, "bytes_a_candle": int(size[0] or found[2]) / case["count"],
        "rss_mb": max(one["rss_mb"] for one in done),
    }  # fmt: skip


def series(case):
    """The candles of one writer, as a Series a symbol."""
    from openbell.adapters.stores.candles_base import Series

    count = case["count"] // case["symbols"]
    found = []
    for symbol in range(case["writer"], case["symbols"], case["writers"]):
        random = np.random.default_rng(symbol)
        closes = 100.0 * np.exp(np.cumsum(random.standard_normal(count)) * 1e-4)
        opens = np.concatenate(([100.0], closes[:-1]))
        high, low = np.maximum(opens, closes) * 1.0001, np.minimum(opens, closes) * 0.9999
        ts = START_MS + MINUTE_MS * np.arange(count)
        volume, trades = random.lognormal(3.0, 1.0, count), random.integers(1, 500, count)
        found.append(Series(f"S{symbol:03d}", "1m", ts, opens, high, low, closes, volume, (high + low) / 2.0, trades))
    return found


async def write(case):
    """A process that writes its symbols."""
    from openbell.adapters.stores.postgres_candles import PostgresCandleStore

    store = PostgresCandleStore(servers.address(servers.settings(), case["database"]))
    mine = series(case)
    again = case["way"] == "load again"
    if again:  # the partitions are there, with candles of other symbols
        store.load(*mine[: len(mine) // 2])
        mine = mine[len(mine) // 2 :]
    rows = sorted((candle for one in mine for candle in one.rows()), key=lambda candle: candle[2]) if case["rows"] else []
    say(ready=True)
    await told("go")
    cost = Cost()
    if rows:
        add(store, rows, case)
    else:
        store.load(*mine)
    say(trades=int(sum(one.trades.sum() for one in series(case))), **cost.facts())
    store.close()


def add(store, rows, case):
    """Add rows in the order of time, each transaction with the step of progress that it belongs to."""
    progress = store.progress("benchmark", case["writer"])
    for first in range(0, len(rows), case["rows"]):
        advance = progress.advance(first + case["rows"])
        store.add(rows[first : first + case["rows"]], advance)
        progress = advance.after


async def work(_, case):
    """The only kind of worker."""
    await write(case)


if __name__ == "__main__":
    main(measure, work)
