"""Ticks through Kafka: a process that publishes chunks as the ingest service does, and processes that read them into arrays of events.

`ordered` is one reader as a trader is one: a TopicFeed, which puts the order of the feed together again from all partitions. `shared` are
members of a group as processors are: each takes its partitions and decodes. Every tick is accounted for at the end: how many there were,
the sum of their prices in cents and of their lots, and, ordered, that each came after the one before it.
"""

import asyncio
import time
import uuid

import numpy as np

from benchmarks import data
from benchmarks.load import servers
from benchmarks.load.workers import Cost, Worker, main, row, say, told

TICKS = 10_000_000
REPEATS = 3
LATENCY_TICKS, RATE = 100_000, 10_000
BASE = {"reader": "ordered", "members": 1, "symbols": 20, "partitions": 4, "chunk": 8_192, "ticks": TICKS, "rate": 0}
VARIED = [
    {},
    *({"partitions": number} for number in (1, 2, 8)),
    *({"chunk": size} for size in (512, 65_536)),
    *({"symbols": 2, "chunk": size} for size in (512, 8_192)),
    *({"reader": "shared", "partitions": number} for number in (1, 2, 4, 8)),
    *({"reader": "shared", "partitions": number, "members": 2} for number in (2, 4, 8)),
]


def measure():
    """Print a line for each case."""
    settings = servers.settings("kafka")
    for varied in VARIED:
        case = BASE | varied
        runs = [run(settings, case) for _ in range(REPEATS)]
        best = min(runs, key=lambda found: found["wall_s"])
        text = f"{case['reader']}, {case['symbols']} symbols, {case['partitions']} partitions, {case['chunk']:,} a chunk"
        text += f", {case['members']} readers" if case["members"] > 1 else ""
        row("KAFKA", text, case["ticks"], [found.pop("wall_s") for found in runs], **best)
    found = run(settings, BASE | {"ticks": LATENCY_TICKS, "rate": RATE})
    row(f"KAFKA {RATE:,} ticks/s", "ordered, 20 symbols, 4 partitions", LATENCY_TICKS, [found.pop("wall_s")], **found)


def run(settings, case):
    """One case, once."""
    case = case | {"topic": f"bench-{uuid.uuid4().hex[:8]}"}
    broker = servers.listener(servers.place(settings, "kafka"))
    readers = [Worker(__spec__.name, case["reader"], case) for _ in range(case["members"])]
    try:
        with Worker(__spec__.name, "publish", case) as publisher:
            for worker in (publisher, *readers):
                worker.hear()
            before = servers.cpu_of(broker)
            publisher.tell("go")
            sent = publisher.hear()
            for reader in readers:
                reader.tell("end")
            read = [reader.hear() for reader in readers]
            after = servers.cpu_of(broker)
    finally:
        for reader in readers:
            reader.__exit__()
        asyncio.run(remove(settings, case["topic"]))
    _, price, quantity, _ = columns(case["ticks"])
    found = [sum(one[name] for one in read) for name in ("count", "cents", "lots")]
    assert found == [case["ticks"], int(np.rint(price * 100).sum()), int(quantity.sum())], f"{case}: {found}"
    assert all(one["rises"] for one in read), f"{case}: out of order"
    ended = max(one["last"] for one in read)
    used = {"publisher": sent["cpu_s"], "readers": sum(one["cpu_s"] for one in read), "kafka": None if before is None else after - before}
    cpu_ns = {name: seconds / case["ticks"] * 1e9 for name, seconds in used.items() if seconds is not None}
    latency = next((one["latency"] for one in read if one["latency"]), {})
    return {
        "wall_s": ended - sent["began"], "publish_s": sent["wall_s"], "bytes_a_tick": sent["bytes"] / case["ticks"], "cpu_ns": cpu_ns,
        "rss_mb": max(one["rss_mb"] for one in read), **latency,
    }  # fmt: skip


def columns(count):
    """ts, price, lots, side of the first so many ticks."""
    ts, price, size, side = data.ticks(count)
    return ts, price, np.rint(size * 100).astype("i8"), side


def listings(symbols):
    """What is listed."""
    from openbell.model.plan import Listing

    return [Listing(f"S{number:02d}", 0.01, 0.01) for number in range(symbols)]


def open_bus(case):
    """A connection to Kafka that knows the topic."""
    from openbell.adapters.buses.base import Topic
    from openbell.adapters.buses.kafka import KafkaBus
    from openbell.services.processes.edge import BUFFER

    bus = KafkaBus(servers.settings().kafka, "benchmark")
    bus.declare(Topic(case["topic"], buffer=BUFFER, partitions=case["partitions"]))
    return bus


async def remove(settings, beginning):
    """Take away the topics whose names begin so."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": settings.kafka.servers})
    there = (await asyncio.to_thread(admin.list_topics, timeout=10)).topics
    mine = [topic for topic in there if topic.startswith(beginning)]
    for answer in (admin.delete_topics(mine) if mine else {}).values():
        await asyncio.wrap_future(answer)


async def publish(case):
    """The publisher: chunks at full speed, or what is due every millisecond."""
    from openbell.adapters.messages.ticks import encode_chunk
    from openbell.model import history

    ts, price, lots, side = columns(case["ticks"])
    instruments = np.random.default_rng(3).integers(0, case["symbols"], case["ticks"]).astype("i4")
    events, listed = history.trades(ts, instruments, price, lots, side), listings(case["symbols"])
    bus, topic, size = open_bus(case), case["topic"], 0
    await bus.ends(topic)  # now it is there
    say(ready=True)
    await told("go")
    cost, first = Cost(), 0
    while first < len(events):
        end = first + case["chunk"]
        if case["rate"]:
            await asyncio.sleep(0.001)
            end = max(int((time.monotonic() - cost.began) * case["rate"]), first + 1)
            events["trade"]["trade_id"][first:end] = time.monotonic_ns()
        for symbol, payload in encode_chunk(events[first:end], listed, source="bench", epoch=0, first=first, cursor=b"%d" % end):
            size += len(payload)
            await bus.send(topic, payload, symbol)
        first = end
    await bus.flush()
    say(began=cost.began, bytes=size, **cost.facts())
    await bus.close()


class Tally:
    """What a reader has seen."""

    def __init__(self, rate):
        self.count = self.cents = self.lots = self.now = 0
        self.rises, self.last, self.latencies, self.rate = True, 0.0, [], rate

    def take(self, events):
        """Account for an array of events."""
        if self.rate:
            self.latencies.append(time.monotonic_ns() - events["trade"]["trade_id"])
        times = events["ts_event"]
        self.rises &= bool(times[0] > self.now and (times[1:] > times[:-1]).all())
        self.now = int(times[-1])
        self.count += len(events)
        self.cents += int(np.rint(events["trade"]["price"] * 100).sum())
        self.lots += int(events["trade"]["quantity"].sum())
        self.last = time.monotonic()

    def facts(self):
        """The sums, and the latencies after the first second."""
        spread = np.concatenate(self.latencies)[self.rate :] / 1e3 if self.rate else None
        latency = {f"latency_p{q}_us": float(np.percentile(spread, q)) for q in (50, 99, 100)} if self.rate else {}
        return {name: getattr(self, name) for name in ("count", "cents", "lots", "rises", "last")} | {"latency": latency}


async def ordered(case):
    """The reader as a trader is one."""
    from openbell.services.topics.topic_feed import TopicFeed

    bus, tally = open_bus(case), Tally(case["rate"])
    feed = TopicFeed(bus, case["topic"], listings(case["symbols"]), "oldest")
    reading = asyncio.create_task(drain(feed, tally))
    await feed.is_ready.wait()
    await report(bus, case, tally, reading)


async def drain(feed, tally):
    """Take everything of a feed."""
    async for ticks in feed.stream(b""):
        tally.take(ticks.events)


async def shared(case):
    """A reader as a processor is one."""
    bus, tally = open_bus(case), Tally(0)
    subscription = bus.subscribe(case["topic"], f"{case['topic']}-group")
    await subscription.ready()
    while len(subscription.held) != case["partitions"] // case["members"]:
        await asyncio.sleep(0.01)
    await report(bus, case, tally, asyncio.create_task(share(subscription, case, tally)))


async def share(subscription, case, tally):
    """Decode what comes of our partitions."""
    from openbell.adapters.messages.ticks import decode_ticks

    listed = listings(case["symbols"])
    instruments = {listing.symbol: number for number, listing in enumerate(listed)}
    while messages := await subscription.take(512):
        for message in messages:
            tally.now = 0  # within a message: a partition has several symbols, each in its own order
            tally.take(decode_ticks(message.payload, instruments, listed).events)
        subscription.ack()


async def report(bus, case, tally, reading):
    """Say that we are ready, read to the end once everything is published, and say what there was."""
    cost = Cost()
    say(ready=True)
    await told("end")
    await bus.close(case["topic"])
    await reading
    say(**tally.facts(), **cost.facts())
    await bus.close()


async def work(role, case):
    """One of the workers."""
    await {"publish": publish, "ordered": ordered, "shared": shared}[role](case)


if __name__ == "__main__":
    main(measure, work)
