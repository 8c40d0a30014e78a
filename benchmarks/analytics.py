"""ANALYTICS: ticks of 5,000 symbols onto their tapes, and the questions about all of them: `python -m benchmarks.analytics [--redis]`.

The kernel alone at several rates (the fewer ticks of a symbol in a second, the more of them end one), the service's path as
`openbell serve analytics` does it without the network (decode the messages, take the ticks, put what is new into the speed layer once a
second of the market), what is stored, and the answers from readings in memory to JSON. Everything is processor time of one process, the
median of several rounds, so that it means the same on a machine that does other things too. Readings are held to sums by numpy first.
"""

import asyncio
import json
import statistics
import sys
import time

import numpy as np

SYMBOLS, TICKS, SEED = 5_000, 1_000_000, 7
#: Ticks a second over all symbols.
RATES = (10_000, 100_000, 1_000_000)
BATCH = 8_192
#: Events of a chunk of the publisher, which is cut into a message a symbol.
CHUNKS = (8_192, 100_000)
NAMESPACE = "bench-analytics"
TS = 1_700_006_400_000_000_000


def row(case, work, seconds, **facts):
    """One line of results."""
    line = {
        "job": "ANALYTICS",
        "competitor": "openbell",
        "case": case,
        "work": work,
        "cpu_ns": seconds / work * 1e9,
        "per_s": work / seconds,
    }
    print(json.dumps({**line, **facts}), flush=True)


def market(rate, begin):
    """Trades and quotes, as many, of all symbols in random order, so many a second."""
    from openbell.model import enums
    from openbell.model.events import EVENT

    random = np.random.default_rng(SEED + rate)
    events = np.zeros(TICKS, EVENT)
    instruments, is_quote = random.integers(0, SYMBOLS, TICKS), random.random(TICKS) < 0.5
    prices = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-5, TICKS))), 2)
    trade, quote = events["trade"], events["quote"]
    trade["kind"], trade["instrument"] = np.where(is_quote, enums.QUOTE, enums.TRADE), instruments
    trade["price"], trade["quantity"] = prices, random.integers(1, 100, TICKS)
    quote["bid_price"][is_quote], quote["ask_price"][is_quote] = prices[is_quote] - 0.01, prices[is_quote] + 0.01
    quote["bid_quantity"][is_quote] = quote["ask_quantity"][is_quote] = 1
    events["ts_event"] = events["ts_available"] = begin + np.arange(TICKS) * (1_000_000_000 // rate)
    return events


def timed(work, rounds=5):
    """The median processor time of some rounds, in seconds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def board_of(calendar):
    """A board that takes all symbols."""
    from openbell.analytics.board import Board

    board = Board([1.0] * SYMBOLS, [0.01] * SYMBOLS, calendar.sessions)
    for instrument in range(SYMBOLS):
        board.open(instrument)
    return board


def kernel(calendar):
    """The board alone. Returns it, after an hour and a half of the market."""
    board = board_of(calendar)
    begin = TS
    for rate in RATES[::-1]:
        events = market(rate, begin)
        board.take(events[:1])
        times = []
        for part in np.array_split(np.arange(1, TICKS), 5):
            began = time.process_time()
            for first in range(part[0], part[-1] + 1, BATCH):
                board.take(events[first : min(first + BATCH, part[-1] + 1)])
            times.append((time.process_time() - began) / len(part))
        row(f"kernel: {rate:,} ticks a second over {SYMBOLS:,} symbols", TICKS, statistics.median(times) * TICKS)
        check(board, events, begin)
        begin = int(events["ts_event"][-1]) + 1
    # An hour and a half, so that the windows of the questions are full, and prices that move.
    random = np.random.default_rng(SEED)
    logs = np.cumsum(random.normal(0.0, 1e-3, (90, SYMBOLS)), axis=0)
    for minute in range(90):
        events = market(RATES[0], begin)[:SYMBOLS]
        events["trade"]["kind"], events["instrument"], events["trade"]["quantity"] = 1, np.arange(SYMBOLS), 10
        events["ts_event"], events["trade"]["price"] = begin + minute * 60_000_000_000, 100.0 * np.exp(logs[minute])
        board.take(events)
    row("memory: a symbol", SYMBOLS, 1.0, bytes_each=board.nbytes // SYMBOLS)
    row("kernel: readings of all symbols", SYMBOLS, timed(lambda: board.readings(board.now + 1_000_000_000)))
    row("kernel: closes of all symbols", SYMBOLS, timed(lambda: board.closes(3, board.now)))
    row("state: everything as bytes", SYMBOLS, timed(lambda: [board.kept(instrument) for instrument in range(SYMBOLS)], 3))
    return board


def check(board, events, begin):
    """That the last minute's lots are those of the ticks."""
    from openbell.model import enums

    now = int(events["ts_event"][-1])
    start = (now // 1_000_000_000 - 59) * 1_000_000_000
    if start < begin:
        return
    own = events[(events["kind"] == enums.TRADE) & (events["ts_event"] >= start)]
    volumes = np.bincount(own["instrument"], own["trade"]["quantity"], SYMBOLS)
    instruments, readings = board.readings(now)
    assert (volumes[instruments] == readings["windows"]["volume"][:, 0]).all(), "the volumes are not those of the ticks"


def questions(board, calendar):
    """From readings in memory to JSON."""
    import msgspec

    from openbell.analytics.questions import chosen_pairs
    from openbell.services.analytics.answers import Answers
    from openbell.services.analytics.source import Table

    symbols = [f"S{instrument}" for instrument in range(SYMBOLS)]
    readings = Table(symbols, board.readings(board.now)[1], board.now)
    closes = Table(symbols, board.closes(3, board.now)[1], board.now)

    class Source:
        async def readings(self):
            return readings

        async def closes(self, _window, wanted=None):
            return closes

    async def ask():
        answers = Answers(Source(), calendar)
        for name, rounds, question in (
            ("movers", 50, lambda: answers.movers("1h", "notional", 10)),
            ("one symbol", 50, lambda: answers.of("S17")),
            ("anomalies", 50, lambda: answers.anomalies(100)),
            ("the strongest of all correlations", 3, lambda: Answers(Source(), calendar).correlations([], "1h", 20)),
        ):
            times, walls = [], []
            for _ in range(rounds):
                began, wall = time.process_time(), time.perf_counter()
                msgspec.json.encode(await question())
                times.append(time.process_time() - began)
                walls.append(time.perf_counter() - wall)
            row(f"question: {name}", 1, statistics.median(times), wall_s=statistics.median(walls))

    asyncio.run(ask())
    pairs = timed(lambda: chosen_pairs(closes.rows[:50]), 3)
    row("question: correlations of 50 symbols", 1, pairs)


async def service(calendar, chunk):
    """Messages of the topic through the service, with a beat a second of the market."""
    from openbell.adapters.buses.base import Message, Topic
    from openbell.adapters.buses.inprocess import InProcessBus
    from openbell.adapters.messages.ticks import encode_chunk
    from openbell.adapters.stores.progress import Progress
    from openbell.adapters.stores.speed_layer import MemorySpeedLayer
    from openbell.model.plan import Listing
    from openbell.services.analytics.service import AnalyticsService

    class Nothing:
        """A store that has nothing."""

        def progress(self, reader, partition=0):
            return Progress(reader, partition)

    listings = [Listing(f"S{index}", 0.01, 1.0) for index in range(SYMBOLS)]
    events = market(RATES[1], TS)
    speed = layer(MemorySpeedLayer)
    bus = InProcessBus()
    bus.declare(Topic("ticks"))
    made = AnalyticsService(bus, "ticks", listings, Nothing(), speed, calendar)
    times, beats, count = [], [], 0
    for first in range(0, TICKS, RATES[1]):
        messages = []
        for start in range(first, first + RATES[1], chunk):
            part = events[start : min(start + chunk, first + RATES[1])]
            for symbol, payload in encode_chunk(part, listings, source="bench", epoch=0, first=start, cursor=b""):
                messages.append(Message("ticks", payload, symbol, offset=count))
                count += 1
        began = time.process_time()
        await made.take(messages)
        times.append((time.process_time() - began) / RATES[1])
        began = time.process_time()
        await made.beat()
        await speed.flush()
        beats.append(time.process_time() - began)
    what = "Redis" if "--redis" in sys.argv else "memory"
    row(f"service: ticks of messages, chunks of {chunk:,}", RATES[1], statistics.median(times) * RATES[1], ticks_a_message=TICKS / count)
    row(f"service: a beat, all symbols new, {what}", SYMBOLS, statistics.median(beats))
    if "--redis" in sys.argv:
        from openbell.services.analytics.source import Stored

        walls = []
        began = time.process_time()
        for _ in range(10):
            wall = time.perf_counter()
            await Stored(speed, [item.symbol for item in listings]).readings()
            walls.append(time.perf_counter() - wall)
        row("gateway: readings of all symbols from Redis", SYMBOLS, (time.process_time() - began) / 10, wall_s=statistics.median(walls))
    await speed.close()
    if "--redis" in sys.argv:
        await forget()


async def forget():
    """Remove what was put into Redis."""
    from openbell.adapters.redis_server import RedisServer
    from openbell.config import load_settings

    async with RedisServer.at(load_settings().redis).client() as client:
        async for key in client.scan_iter(f"{NAMESPACE}.*", 1000):
            await client.delete(key)


def layer(otherwise):
    """The Redis of the environment, where it is asked for."""
    if "--redis" not in sys.argv:
        return otherwise()
    from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
    from openbell.config import load_settings

    return RedisSpeedLayer(load_settings().redis, NAMESPACE)


if __name__ == "__main__":
    from openbell.services.analytics.calendar import Calendar

    hours = Calendar.of("continuous")
    for size in CHUNKS[1:] if "--redis" in sys.argv else CHUNKS:
        asyncio.run(service(hours, size))
    if "--redis" not in sys.argv:
        questions(kernel(hours), hours)
