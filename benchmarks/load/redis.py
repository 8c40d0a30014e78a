"""Latest prices in Redis: look-ups one by one and many at a time, and updates as the processor writes them, by one process and by two.

An update is one symbol's price and its open candles in four timeframes: five keys, and five messages to the displays. What was updated
while a write was on its way goes with the next one; here each round is waited for, so that every key that counts was written.
"""

import asyncio
import time
import uuid

import numpy as np

from benchmarks.load import servers
from benchmarks.load.workers import Cost, Worker, main, row, say, told

SYMBOLS = 500
TIMEFRAMES = ("1s", "5s", "1m", "5m")
SECONDS = 3.0
REPEATS = 3
CASES = [
    *({"way": "look-ups", "text": "one by one", "many": 1, "clients": number} for number in (1, 2)),
    {"way": "look-ups", "text": "16 at a time, one by one each", "many": 1, "tasks": 16, "clients": 1},
    *({"way": "look-ups", "text": f"{many} in one command", "many": many, "clients": 1} for many in (20, 500)),
    {"way": "look-ups", "text": "500 in one command", "many": 500, "clients": 2},
    *({"way": "updates", "text": f"of {many} symbols a round", "many": many, "clients": 1} for many in (1, 20, 500)),
    {"way": "updates", "text": "of 500 symbols a round", "many": 500, "clients": 2},
]


def measure():
    """Print a line for each case."""
    settings = servers.settings("redis")
    for case in CASES:
        runs = [run(settings, case) for _ in range(REPEATS)]
        best = max(runs, key=lambda found: found["work"] / found["wall_s"])
        text = case["text"] + (f", {case['clients']} processes" if case["clients"] > 1 else "")
        work = best.pop("work")
        walls = [found["wall_s"] * work / found.get("work", work) for found in runs]  # the rounds are as many as fit in the time
        best.pop("wall_s")
        row(f"REDIS {case['way']}", text, work, walls, **best)


def run(settings, case):
    """One case, once."""
    namespace = f"bench-{uuid.uuid4().hex[:8]}"
    redis = servers.listener(servers.place(settings, "redis"))
    asyncio.run(fill(settings, namespace))
    workers = [Worker(__spec__.name, case["way"], case | {"namespace": namespace, "client": number}) for number in range(case["clients"])]
    try:
        for worker in workers:
            worker.hear()
        before = servers.cpu_of(redis)
        for worker in workers:
            worker.tell("go")
        done = [worker.hear() for worker in workers]
        after = servers.cpu_of(redis)
    finally:
        for worker in workers:
            worker.__exit__()
        asyncio.run(remove(settings, namespace))
    work = sum(one["count"] for one in done)
    used = {"clients": sum(one["cpu_s"] for one in done), "redis": None if before is None else after - before}
    cpu_ns = {who: seconds / work * 1e9 for who, seconds in used.items() if seconds is not None}
    latency = {f"latency_p{q}_us": max(one[f"p{q}"] for one in done) for q in (50, 99)}
    return {"work": work, "wall_s": max(one["wall_s"] for one in done), "cpu_ns": cpu_ns, **latency}


def names(case):
    """The symbols of one client."""
    return [f"S{number:03d}" for number in range(case["client"], SYMBOLS, case["clients"])]


def open_layer(settings, namespace):
    """The speed layer."""
    from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer

    return RedisSpeedLayer(settings.redis, namespace, "benchmark")


async def fill(settings, namespace):
    """A price for every symbol."""
    layer = open_layer(settings, namespace)
    await layer.update(dict(zip(names({"client": 0, "clients": 1}), map(price, range(SYMBOLS)), strict=True)))
    await layer.flush()
    await layer.close()


async def remove(settings, namespace):
    """Take the keys away."""
    from openbell.adapters.redis_server import RedisServer

    client = RedisServer.at(settings.redis, "benchmark").client()
    keys = [key async for key in client.scan_iter(f"{namespace}.*", 1000)]
    if keys:
        await client.delete(*keys)
    await client.aclose()


def price(number):
    """Prices that differ."""
    from openbell.adapters.stores.speed_layer import Price

    value = 100.0 + number / 100
    return Price(value, value - 0.01, value + 0.01, 3.0, 1_700_000_000_000 + number)


def candles(symbol, number):
    """The open candles of a symbol."""
    from openbell.adapters.stores.speed_layer import Candle

    value = 100.0 + number / 100
    return [Candle(symbol, text, 1_700_000_000_000, value, value, value, value, 3.0, value, number + 1, False) for text in TIMEFRAMES]


async def look_up(layer, case):
    """One look-up of a round; returns how many prices it found."""
    number = case["round"] = case.get("round", 0) + 1
    symbols = case["names"]
    if case["many"] == 1:
        found = await layer.get_price(symbols[number % len(symbols)])
        assert found is not None
        return 1
    wanted = [symbols[(number + place) % len(symbols)] for place in range(case["many"])]
    return len(wanted) if len(await layer.get_prices(wanted)) == len(set(wanted)) else 0


async def update(layer, case):
    """One round of updates; returns how many keys were written."""
    number = case["round"] = case.get("round", 0) + 1
    symbols = case["names"][: case["many"]]
    open_ones = [candle for symbol in symbols for candle in candles(symbol, number)]
    await layer.update({symbol: price(number) for symbol in symbols}, open_ones, positions=dict.fromkeys(symbols, number))
    await layer.flush()
    return len(symbols) + len(open_ones)


async def work(role, case):
    """A client."""
    layer, act = open_layer(servers.settings(), case["namespace"]), {"look-ups": look_up, "updates": update}[role]
    case["names"] = names(case)
    await act(layer, case)
    spread, counts = [], []

    async def go_on(until):
        while (began := time.monotonic()) < until:
            counts.append(await act(layer, case))
            spread.append(time.monotonic() - began)

    say(ready=True)
    await told("go")
    cost = Cost()
    await asyncio.gather(*(go_on(cost.began + SECONDS) for _ in range(case.get("tasks", 1))))
    p50, p99 = np.percentile(spread, (50, 99)) * 1e6
    say(count=sum(counts), p50=p50, p99=p99, **cost.facts())
    await layer.close()


if __name__ == "__main__":
    main(measure, work)
