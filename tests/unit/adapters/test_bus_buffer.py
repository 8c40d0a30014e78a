"""The buffer that the buses over a network share: see `openbell.adapters.buses.buffer`."""

import asyncio

import pytest

from openbell.adapters.buses.base import Message, Overflow, Topic
from openbell.adapters.buses.buffer import Buffer, Inbox
from openbell.errors import BusError

ORDERS = Topic("orders", Overflow.BLOCK, 3)
TICKS = Topic("ticks", Overflow.DROP_OLDEST, 3)
SCREEN = Topic("screen", Overflow.CONFLATE, 3)


def payloads(messages):
    return [message.payload for message in messages]


def message(topic, payload, key="", partition=0):
    return Message(topic.name, payload, key, partition)


def test_block_has_room_until_it_is_full():
    """A BLOCK buffer says how much may be fetched, and is never given more."""
    buffer = Buffer(ORDERS)
    for number in range(3):
        assert (buffer.room, buffer.full) == (3 - number, False)
        assert buffer.put(message(ORDERS, number)) is None
    assert (buffer.room, buffer.full, len(buffer)) == (0, True, 3)
    with pytest.raises(AssertionError, match="ask for room"):
        buffer.put(message(ORDERS, 3))


def test_drop_oldest_gives_back_the_oldest():
    """What is given up is returned, so that a server can be told, and counted."""
    buffer = Buffer(TICKS)
    given_up = [buffer.put(message(TICKS, number)) for number in range(5)]
    assert given_up[:3] == [None] * 3
    assert payloads(given_up[3:]) == [0, 1]
    assert buffer.dropped == 2
    assert payloads(buffer.waiting()) == [2, 3, 4]


def test_conflate_keeps_the_newest_of_a_key_in_its_place():
    """A key keeps its place in the queue and gets the newest payload; a fourth key costs the one that waited longest."""
    buffer = Buffer(SCREEN)
    for key, payload in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        buffer.put(message(SCREEN, payload, key))
    assert payloads(buffer.waiting()) == [3, 2, 4]
    assert buffer.put(message(SCREEN, 5, "d")).payload == 3
    assert buffer.dropped == 2


def test_removing_is_not_dropping():
    """What goes to another member of the group is taken out without being counted."""
    buffer = Buffer(ORDERS)
    for number in range(3):
        buffer.put(message(ORDERS, number, partition=number % 2))
    assert payloads(buffer.remove(lambda each: each.partition == 0)) == [0, 2]
    assert payloads(buffer.waiting()) == [1]
    assert buffer.dropped == 0


async def test_the_topic_named_first_is_handed_over_first():
    """Also with a limit, which counts over all topics."""
    inbox = Inbox([ORDERS, TICKS])
    for number in range(2):
        inbox.put(message(TICKS, f"tick{number}"))
        inbox.put(message(ORDERS, f"order{number}"))
    assert len(inbox) == 4
    assert payloads(await inbox.take(1)) == ["order0"]
    assert payloads(await inbox.take(2)) == ["order1", "tick0"]
    assert payloads(inbox.take_now()) == ["tick1"]
    assert inbox.take_now() == []


async def test_a_reader_that_waits_is_woken():
    """By a message, and by the end."""
    inbox = Inbox([ORDERS])
    waiting = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.put(message(ORDERS, 1))
    assert payloads(await waiting) == [1]
    waiting = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.end()
    assert await waiting == []


async def test_what_is_left_comes_before_the_error():
    """A failure loses nothing that has arrived."""
    inbox = Inbox([ORDERS])
    inbox.put(message(ORDERS, 1))
    inbox.fail(BusError("the server refused the password"))
    assert payloads(await inbox.take()) == [1]
    with pytest.raises(BusError, match="password"):
        await inbox.take()


async def test_a_reader_that_gives_up_waiting_can_come_back():
    """A cancelled take leaves nothing behind."""
    inbox = Inbox([ORDERS])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.take(), 0.01)
    inbox.put(message(ORDERS, 1))
    assert payloads(await inbox.take()) == [1]
