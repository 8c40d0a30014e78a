"""Partitions shared by a group: whatever is read twice, refused or taken over, every message has its effect once, in order."""

import asyncio
import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import move, read_progress
from openbell.services.topics.shares import Shares

COUNT = 40
#: The name of each example's group.
NAMES = map(str, itertools.count())


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with contextlib.closing(open_database(tmp_path_factory.mktemp("shares") / "platform.db")) as opened:
        yield opened


class Reader:
    """A member of the group, whose effect is the list of messages it has seen; `committed` is where the bus begins to deliver to it."""

    def __init__(self, database, name, committed=0):
        self.database, self.name = database, name
        self.next = committed
        bus = InProcessBus()
        bus.declare(Topic("t"))
        self.shares = Shares(bus, "t", name, self.begin)

    async def begin(self, partition):
        stored = read_progress(self.database, self.name, partition)
        return stored, msgspec.msgpack.decode(stored.state) if stored.state else []

    async def take(self, count):
        end = min(self.next + count, COUNT)
        delivered = [Message("t", offset, offset=offset) for offset in range(self.next, end)]
        self.next = end
        async for share, message in self.shares.fresh([*self.shares.again(), *delivered]):
            share.own.append(message.payload)

    async def keep(self):
        """Store; returns the offset to commit, None while something has to be taken again first."""
        is_all = True
        for share in self.shares.unstored():
            state = msgspec.msgpack.encode(share.own)
            is_all &= await self.shares.store(share, state, lambda advance: self.database.run(lambda sql: move(sql, advance)))
        return self.next if is_all and not self.shares._again else None


class Acks:
    """A subscription of which nobody wants to know more."""

    count = 0

    def ack(self):
        self.count += 1


steps = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["take", "keep", "begin"]), st.integers(1, 9)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_two_that_believe_the_partition_is_theirs(database, steps):
    """Either may take, store, be refused and begin anew at any time: in the end every message was seen once, in order."""

    name = next(NAMES)

    async def run():
        committed = 0
        readers = [Reader(database, name), Reader(database, name)]
        for number, step, count in [*steps, (0, "take", COUNT), (0, "keep", 0), (0, "take", COUNT), (0, "keep", 0)]:
            if step == "begin":
                readers[number] = Reader(database, name, committed)
            elif step == "take":
                await readers[number].take(count)
            elif (done := await readers[number].keep()) is not None:
                committed = max(committed, done)
        return msgspec.msgpack.decode(read_progress(database, name, 0).state)

    assert asyncio.run(run()) == list(range(COUNT))


@pytest.mark.parametrize("is_late", [False, True])
async def test_who_stops_acknowledges_what_is_stored(database, is_late):
    """What another one has stored less of is not acknowledged: it would be lost."""
    name = next(NAMES)
    reader, other = Reader(database, name), Reader(database, name)
    reader.shares._subscription = acks = Acks()
    await reader.take(2)
    if is_late:
        await other.take(1)
        await other.keep()
    await reader.shares.stop(reader.keep)
    assert acks.count == (0 if is_late else 1)
    assert read_progress(database, name, 0).position == (1 if is_late else 2)


async def test_a_message_that_could_not_be_taken_is_not_passed_over(database):
    """Who fails in the middle of a message stores nothing of it: it comes again."""
    reader = Reader(database, next(NAMES))
    with contextlib.suppress(ZeroDivisionError):
        async for share, message in reader.shares.fresh([Message("t", offset, offset=offset) for offset in range(5)]):
            share.own.append(message.payload // (3 - message.offset) and message.payload)
    await reader.keep()
    assert read_progress(database, reader.name, 0).position == 3


async def test_a_bus_without_offsets_is_counted(database):
    """The position says how many messages were taken."""
    reader = Reader(database, next(NAMES))
    async for share, message in reader.shares.fresh([Message("t", number) for number in range(5)]):
        share.own.append(message.payload)
    await reader.keep()
    assert reader.shares.progress() == {"partition 0": 5, "behind": -1, "looks": 0}


async def test_a_new_partition_was_not_looked_at(database):
    """How much there is of it is not known, whatever was known before of the others: nobody is told that it is all done."""
    name, seen = next(NAMES), []
    bus = InProcessBus()
    bus.declare(Topic("t"))

    async def begin(partition):
        return read_progress(database, name, partition), []

    async def take(messages):
        async for _, message in shares.fresh(messages):
            seen.append((message.payload, shares.progress()["behind"]))

    async def keep():
        for share in shares.unstored():
            await shares.store(share, b"", lambda advance: database.run(lambda sql: move(sql, advance)))

    async def knows(behind):
        async with asyncio.timeout(20):
            while shares.progress()["behind"] != behind:
                await asyncio.sleep(0.01)

    shares = Shares(bus, "t", name, begin)
    reading = asyncio.create_task(shares.run(take, keep))
    try:
        await knows(0)  # of no partition at all
        bus.publish("t", "first")
        async with asyncio.timeout(20):
            while not seen:
                await asyncio.sleep(0.01)
        await knows(0)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    assert seen == [("first", -1)]
