"""Orders there and back, in processes as they are deployed: a strategy in a trader -> RabbitMQ -> orders service -> RabbitMQ -> trader.

2,000 ticks a second of one symbol come over Kafka at the pace of the clock. The trader journals in PostgreSQL what it decides before it
says so; the orders service writes every order into PostgreSQL before it sends it to its venue of paper, and every answer before it says
it; the trader journals the answers. Every message is confirmed by RabbitMQ and acknowledged after its effect. An order counts when its
fill has come back and is journaled. Two loads: as many as go, with so many on their way at most; and 1,000 a second, for the time there
and back.
"""

import asyncio
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from benchmarks.load import servers
from benchmarks.load.workers import row

TICKS_A_SECOND = 2_000
SECONDS = 20
REPEATS = 3
PATIENCE_S = 120.0
#: When nothing has come back for so long (seconds), everything has.
QUIET_S = 2.0
CASES = {
    "as many as go, 200 on their way": {"every": 1, "window": 200},
    "as many as go, 800 on their way": {"every": 1, "window": 800},
    "1,000 a second": {"every": 2, "window": 900},
}
SYMBOL = "BTCUSDT"


def measure():
    """Print a line for each load."""
    settings = servers.settings("postgres", "redis", "rabbitmq", "kafka")
    with tempfile.TemporaryDirectory(prefix="openbell-bench-") as folder:
        ticks = write_ticks(Path(folder))
        for case, params in CASES.items():
            runs = [run(settings, ticks, params) for _ in range(REPEATS)]
            middle = sorted(runs, key=lambda found: found["per_s"])[len(runs) // 2]
            facts = {name: middle[name] for name in ("orders", "latency_p50_us", "latency_p99_us", "cpu_us")}
            row("ORDERS", case, middle["orders"], [middle["orders"] / found["per_s"] for found in runs], **facts)


def write_ticks(folder):
    """A Parquet file of trades, evenly spaced."""
    import polars

    count = TICKS_A_SECOND * SECONDS
    times = 1_700_000_000_000_000_000 + np.arange(count) * (1_000_000_000 // TICKS_A_SECOND)
    steps = np.random.default_rng(1).normal(0.0, 0.5, count)
    columns = {
        "time": times.astype("datetime64[ns]"), "symbol": [SYMBOL] * count, "price": np.round(60_000 + np.cumsum(steps), 2),
        "quantity": np.ones(count), "side": ["buy"] * count,
    }  # fmt: skip
    path = folder / "ticks.parquet"
    polars.DataFrame(columns).write_parquet(path)
    return path


def write_config(folder, ticks, params):
    """One strategy, without the limits that would stop it; the account for users stays idle."""
    import msgspec

    limits = dict.fromkeys(("order_value_share", "position_max", "drift_bps", "collar_bps", "market_protection_bps"))
    strategy = {
        "id": "flood", "strategy": str(Path(__file__).with_name("flood.py")), "symbols": [SYMBOL], "timeframe": "", "params": params,
        "cash": 1e12, "limits": {**limits, "open_orders_max": 1_000_000},
    }  # fmt: skip
    config = folder / "orders.yaml"
    trading = {"fill": "outside", "strategies": [strategy], "timeframes": ["1m"]}
    config.write_bytes(msgspec.json.encode({"feed": {"source": str(ticks), "speed": "1"}, "trading": trading}))
    return config


def run(settings, ticks, params):
    """One load, once."""
    from openbell.services.processes.fleet import Fleet

    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    pids = {name: servers.listener(servers.place(settings, name)) for name in ("kafka", "postgres", "rabbitmq")}
    with servers.fresh_database(settings) as database, tempfile.TemporaryDirectory(prefix="openbell-bench-") as folder:
        environment = servers.environment() | {
            "DB_NAME": database, "OPENBELL_BUS__NAMESPACE": namespace, "OPENBELL_BUS__PARTITIONS": "1",
            "OPENBELL_LOGGING__LEVEL": "WARNING",
        }  # fmt: skip
        try:
            with Fleet(write_config(Path(folder), ticks, params), Path(folder), environment) as fleet:
                fleet.start("orders")
                fleet.start("trader")
                fleet.wait_healthy("orders", "trader")
                known = {name: pid for name, pid in pids.items() if pid is not None}
                known |= {name: member.process.pid for name, member in fleet.members.items()}
                before = {name: servers.cpu_of(pid) for name, pid in known.items()}
                wall = follow(fleet)
                used = {name: servers.cpu_of(pid) - before[name] for name, pid in known.items()}
                fleet.stop()
            found = results(servers.address(settings, database))
        finally:
            asyncio.run(remove(settings, namespace))
    found["cpu_us"] = {name: round(seconds / found["orders"] * 1e6, 1) for name, seconds in used.items()}
    return {**found, "per_s": found["orders"] / wall}


def follow(fleet):
    """Play the ticks, and wait until every order has come back; the seconds that it took."""
    fleet.start("ingest")
    fleet.wait("ingest", lambda health: health.progress.get("publisher", {}).get("published", 0) > 0, "publishing", PATIENCE_S)
    began = time.monotonic()
    count = TICKS_A_SECOND * SECONDS
    fleet.wait("trader", lambda health: health.progress["ticks"]["published"] >= count, "at the last tick", PATIENCE_S)
    ended, last = time.monotonic(), {}
    while time.monotonic() < ended + QUIET_S:
        trader, orders = fleet.health("trader"), fleet.health("orders")
        if trader.progress != last or " 0 open" not in orders.checks["orders"].detail:
            last, ended = trader.progress, time.monotonic()
        time.sleep(0.05)
    return ended - began


def results(address):
    """What the journal says: how many orders came back filled, and how long each took in the session's time."""
    from openbell.adapters.stores.postgres_journal import PostgresJournal
    from openbell.model import enums
    from openbell.model.jit import join

    with PostgresJournal(address, writable=False) as journal:
        commands = join([batch.commands for batch in journal.batches("main-1") if len(batch.commands)])
    sent = commands[commands["kind"] == enums.SUBMIT]
    filled = commands[commands["kind"] == enums.FILL]
    assert len(sent) == len(filled), f"{len(sent)} orders, {len(filled)} fills"
    assert sorted(sent["order_id"].tolist()) == sorted(filled["order_id"].tolist())
    there = dict(zip(sent["order_id"].tolist(), sent["ts"].tolist(), strict=True))
    spread = np.array([back - there[id] for id, back in zip(filled["order_id"].tolist(), filled["ts"].tolist(), strict=True)]) / 1e3
    denied = int(((commands["kind"] == enums.ORDER) & (commands["status"] == enums.DENIED)).sum())
    assert denied == 0, f"{denied} orders were denied"
    return {
        "orders": len(filled), "latency_p50_us": float(np.percentile(spread, 50)), "latency_p99_us": float(np.percentile(spread, 99)),
    }  # fmt: skip


async def remove(settings, namespace):
    """Take topics, keys, queues and exchanges away."""
    from benchmarks.load.pipeline import remove as remove_topics
    from openbell.adapters.buses.rabbitmq.server import connect
    from openbell.services.topics.names import ANSWERS, EXECUTIONS, ORDERS, ORDERS_GROUP, REQUESTS

    await remove_topics(settings, namespace)
    connection = await connect(settings.rabbitmq, "benchmark")
    channel = await connection.channel(publisher_confirms=False)
    for topic in (ORDERS, EXECUTIONS, REQUESTS, ANSWERS):
        name = f"openbell.{namespace}.{topic}"
        for group in (ORDERS_GROUP, "trader main"):
            for queue in (f"{name}.{group}", f"{name}.{group}.retry"):
                await channel.queue_delete(queue)
        await channel.queue_delete(f"openbell-partitions.{namespace}.{topic}")
        await channel.exchange_delete(name)
    await connection.close()


if __name__ == "__main__":
    measure()
