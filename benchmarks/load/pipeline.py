"""The whole way, in processes as they are deployed: a file of ticks -> ingest -> Kafka -> traders and processors -> PostgreSQL and Redis.

Twenty symbols, 1,000 ticks a second of their own time, played as fast as the slowest takes them. The traders step every tick and trade the
demo's strategies on two of the symbols, journal in PostgreSQL; the processors write candles in four timeframes into PostgreSQL and prices
into Redis. The clock runs from the first tick published until each has stored its share of all. In the end every tick is accounted for:
the traders' events, and the trades in the candles.
"""

import asyncio
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.load import kafka, redis, servers
from benchmarks.load.workers import row

TICKS = 3_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", *(f"S{number:02d}USDT" for number in range(18)))
TICKS_A_SECOND = 1_000
REPEATS = 2
PATIENCE_S = 600.0
CASES = [
    {"partitions": 4, "processors": 1, "traders": 1},
    {"partitions": 1, "processors": 1, "traders": 1},
    {"partitions": 4, "processors": 2, "traders": 1},
    {"partitions": 4, "processors": 1, "traders": 2},
]


def measure():
    """Print two lines for each case: until the traders and until the processors had all of it."""
    settings = servers.settings("postgres", "redis", "rabbitmq", "kafka")
    with tempfile.TemporaryDirectory(prefix="openbell-bench-") as folder:
        ticks = write_ticks(Path(folder), TICKS)
        for case in CASES:
            runs = [run(settings, ticks, case) for _ in range(REPEATS)]
            best = min(runs, key=lambda found: max(found["walls"].values()))
            text = ", ".join(f"{count} {name if count > 1 else name.removesuffix('s')}" for name, count in case.items())
            facts = {"commands": best["commands"], "candles": best["candles"], "cpu_ns": best["cpu_ns"]}
            for part in ("ingest", "processor", "trader"):
                row(f"PIPELINE {part}", text, TICKS, [found["walls"][part] for found in runs], **(facts if part == "trader" else {}))


def write_ticks(folder, count):
    """A Parquet file of trades."""
    import polars

    ts, price, size, side = data.ticks(count)
    times = (ts - ts[0]) * 50 // TICKS_A_SECOND + ts[0]
    which = np.random.default_rng(3).integers(0, len(SYMBOLS), count)
    columns = {
        "time": times.astype("datetime64[ns]"), "symbol": np.array(SYMBOLS)[which], "price": price, "quantity": size,
        "side": np.where(side > 0, "buy", "sell"),
    }  # fmt: skip
    path = folder / "ticks.parquet"
    polars.DataFrame(columns).write_parquet(path)
    return path


def run(settings, ticks, case):
    """One case, once."""
    from openbell.services.processes.fleet import Fleet

    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    pids = {name: servers.listener(servers.place(settings, name)) for name in ("kafka", "postgres", "redis", "rabbitmq")}
    with servers.fresh_database(settings) as database, tempfile.TemporaryDirectory(prefix="openbell-bench-") as folder:
        environment = servers.environment() | {
            "DB_NAME": database, "OPENBELL_BUS__NAMESPACE": namespace, "OPENBELL_BUS__PARTITIONS": str(case["partitions"]),
        }  # fmt: skip
        environment.pop("OPENBELL_BENCH_DATA", None)
        traders = ["main", "second"][: case["traders"]]
        config = write_config(Path(folder), ticks, traders)
        readers = {f"trader-{name}": ("trader", "--trader", name) for name in traders}
        readers |= {f"processor-{number}": ("processor",) for number in range(case["processors"])}
        try:
            with Fleet(config, Path(folder), environment) as fleet:
                for name, arguments in readers.items():
                    fleet.start(*arguments, name=name)
                fleet.wait_healthy(*readers)
                before = {name: servers.cpu_of(pid) for name, pid in pids.items()}
                found = follow(fleet, settings, namespace, list(readers))
                known = {name: pid for name, pid in pids.items() if pid is not None}
                found["cpu_ns"] |= {name: (servers.cpu_of(pid) - before[name]) / TICKS * 1e9 for name, pid in known.items()}
                fleet.stop()
            found["candles"] = check(settings, database, namespace)
        finally:
            asyncio.run(remove(settings, namespace))
    return found


def write_config(folder, ticks, traders):
    """The demo's strategies, dealt out to the traders, on the file of ticks."""
    from openbell.cli.demo_processes import write_config as demo_config

    dealt = ("crossover", "rsi", "bollinger-btc", "bollinger-eth")
    config = demo_config(folder, "max", {name: traders[number % len(traders)] for number, name in enumerate(dealt)})
    config.write_text(config.read_text().replace('"source":"recorded"', f'"source":"{ticks}"'))
    return config


def follow(fleet, settings, namespace, readers):
    """Start the source and wait until everybody has all of it; when each had, and what it cost."""
    fleet.start("ingest")
    fleet.wait("ingest", lambda health: health.progress.get("publisher", {}).get("published", 0) > 0, "publishing", PATIENCE_S)
    pids = {name: fleet.members[name].process.pid for name in (*readers, "ingest")}
    before = {name: servers.cpu_of(pid) for name, pid in pids.items()}
    began, done, commands = time.monotonic(), {}, 0
    ends = None
    while len(done) < len(pids):
        assert time.monotonic() < began + PATIENCE_S, f"only {list(done)} have everything: {[fleet.health(name) for name in pids]}"
        health = {name: fleet.health(name) for name in pids if name not in done}
        told = {name: one.progress for name, one in health.items() if one is not None}
        now = time.monotonic() - began
        if "ingest" in told and told["ingest"]["publisher"]["confirmed"] > TICKS:  # the ticks and the timer at their end
            ends = sum(asyncio.run(topic_ends(settings, namespace)).values())
            done["ingest"] = now
        for name, progress in told.items():
            own = progress.get("trader", {})
            if own and own["events"] > TICKS and own["sent"] == own["commands"]:
                done[name], commands = now, commands + own["commands"]
        stored = {name: progress["processor"] for name, progress in told.items() if name.startswith("processor")}
        if ends is not None and stored and sum(taken(progress) for progress in stored.values()) >= ends:
            done |= dict.fromkeys(stored, now)
        time.sleep(0.02)
    used = {name: (servers.cpu_of(pid) - before[name]) / TICKS * 1e9 for name, pid in pids.items()}
    parts = {name.partition("-")[0]: 0 for name in pids}
    return {
        "walls": {part: max(done[name] for name in pids if name.startswith(part)) for part in parts}, "commands": commands,
        "cpu_ns": {part: sum(used[name] for name in pids if name.startswith(part)) for part in parts},
    }  # fmt: skip


def taken(progress):
    """The messages that a processor has stored the effect of."""
    return sum(offset for name, offset in progress.items() if name.startswith("partition "))


async def topic_ends(settings, namespace):
    """How many messages each partition of the ticks has."""
    from openbell.adapters.buses.base import Topic
    from openbell.adapters.buses.kafka import KafkaBus
    from openbell.services.topics.names import TICKS as TOPIC

    bus = KafkaBus(settings.kafka, "benchmark")
    bus.declare(Topic(f"{namespace}.{TOPIC}"))
    try:
        return await bus.ends(f"{namespace}.{TOPIC}")
    finally:
        await bus.close()


def check(settings, database, namespace):
    """Every tick is in a candle of each timeframe; returns how many candles there are."""
    import psycopg

    known = settings.database
    with psycopg.connect(host=known.host, port=known.port, user=known.user, password=known.password, dbname=database) as connection:
        found = connection.execute("SELECT timeframe, sum(trades), count(*) FROM candles GROUP BY timeframe").fetchall()
    assert {trades for _, trades, _ in found} == {TICKS}, found
    return sum(count for *_, count in found)


async def remove(settings, namespace):
    """Take topics and keys away."""
    await kafka.remove(settings, f"{namespace}.")
    await redis.remove(settings, namespace)


if __name__ == "__main__":
    measure()
