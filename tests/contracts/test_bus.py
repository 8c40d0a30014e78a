"""The contract of the bus, applied to every implementation: see `openbell.adapters.buses.base`.

An implementation joins by a maker in BUSES: a function that returns a fresh bus. Payloads are bytes, so that one over a network can join.
"""

import asyncio

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.errors import BusError, UnknownNameError

BUSES = [InProcessBus]

ORDERS = Topic("orders", Overflow.BLOCK, 3)
TICKS = Topic("ticks", Overflow.DROP_OLDEST, 3)
SCREEN = Topic("screen", Overflow.CONFLATE, 3)


@pytest.fixture(params=BUSES, ids=lambda make: make.__name__)
async def bus(request):
    made = request.param()
    made.declare(ORDERS, TICKS, SCREEN)
    yield made
    await made.close()


def payloads(messages):
    return [message.payload for message in messages]


async def test_fan_out(bus):
    """Every subscription without a group gets every message published after it was made, in order."""
    first = bus.subscribe("orders")
    await bus.send("orders", b"1")
    second = bus.subscribe("orders")
    await bus.send("orders", b"2")
    assert payloads(await first.take()) == [b"1", b"2"]
    assert payloads(await second.take()) == [b"2"]


async def test_a_message_nobody_wants_is_gone(bus):
    """Publishing without subscribers succeeds and keeps nothing."""
    assert not bus.has_subscribers("orders")
    for _ in range(10):
        assert bus.publish("orders", b"x")
    late = bus.subscribe("orders")
    assert bus.has_subscribers("orders")
    assert late.take_now() == []


async def test_block_refuses_when_a_buffer_is_full(bus):
    """With BLOCK the newest is refused for all as soon as one is full; what was taken is never lost."""
    slow, quick = bus.subscribe("orders"), bus.subscribe("orders")
    for number in range(3):
        assert bus.publish("orders", b"%d" % number)
        assert len(await quick.take()) == 1
    assert not bus.publish("orders", b"3")
    assert quick.take_now() == []
    assert payloads(await slow.take()) == [b"0", b"1", b"2"]
    assert bus.publish("orders", b"3")
    assert (bus.count("orders").published, bus.count("orders").refused) == (4, 1)


async def test_send_waits_for_room(bus):
    """A sender on a full topic goes on as soon as there is room, and order is kept."""
    reader = bus.subscribe("orders")
    for number in range(3):
        await bus.send("orders", b"%d" % number)
    waiting = asyncio.create_task(bus.send("orders", b"3"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert payloads(await reader.take(1)) == [b"0"]
    await asyncio.wait_for(waiting, 5)
    assert payloads(await reader.take()) == [b"1", b"2", b"3"]


async def test_drop_oldest_counts(bus):
    """With DROP_OLDEST the newest stay, and what was given up is counted."""
    reader = bus.subscribe("ticks")
    for number in range(5):
        assert bus.publish("ticks", b"%d" % number)
    assert payloads(await reader.take()) == [b"2", b"3", b"4"]
    assert bus.count("ticks").dropped == 2


async def test_conflate_keeps_the_newest_of_each_key(bus):
    """With CONFLATE one message a key waits, the newest, in the order in which the keys began to wait."""
    reader = bus.subscribe("screen")
    for key, payload in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        assert bus.publish("screen", payload, key)
    taken = await reader.take()
    assert [(message.key, message.payload) for message in taken] == [("a", b"3"), ("b", b"2")]
    assert bus.count("screen").dropped == 1
    bus.publish("screen", b"4", "a")
    assert payloads(await reader.take()) == [b"4"]


async def test_conflate_is_bounded_too(bus):
    """More keys than the buffer holds: the one that waited longest is given up."""
    reader = bus.subscribe("screen")
    for key in "abcd":
        bus.publish("screen", key.encode(), key)
    assert payloads(await reader.take()) == [b"b", b"c", b"d"]


async def test_a_group_shares_and_keeps_a_keys_order(bus):
    """Each message of a group goes to one member, those of one key to the same member in order."""
    bus.declare(Topic("many", Overflow.BLOCK, 1000))
    members = [bus.subscribe("many", "workers") for _ in range(3)]
    everything = bus.subscribe("many")
    for number in range(100):
        await bus.send("many", b"%d" % number, f"key{number % 7}")
    taken = [await member.take() for member in members]
    assert sorted(int(message.payload) for share in taken for message in share) == list(range(100))
    assert len(await everything.take()) == 100
    owners = {}
    for index, share in enumerate(taken):
        for message in share:
            assert owners.setdefault(message.key, index) == index
        for key in {message.key for message in share}:
            own = [int(message.payload) for message in share if message.key == key]
            assert own == sorted(own)
    assert len(set(owners.values())) > 1


async def test_what_a_leaving_member_had_in_hand_goes_to_the_others(bus):
    """Rebalance: unacknowledged and waiting messages reach the members that stay, once, in order of each key."""
    bus.declare(Topic("many", Overflow.BLOCK, 1000))
    leaving, staying = bus.subscribe("many", "workers"), bus.subscribe("many", "workers")
    for number in range(20):
        await bus.send("many", b"%d" % number, f"key{number % 5}")
    done = payloads(await leaving.take(2))
    leaving.ack()
    in_hand = payloads(await leaving.take(3))
    leaving.close()
    left = payloads(await staying.take())
    assert set(in_hand) <= set(left)
    assert sorted(map(int, done + left)) == list(range(20))
    for key in range(5):
        own = [int(payload) for payload in left if int(payload) % 5 == key]
        assert own == sorted(own)


async def test_a_new_member_gets_its_share(bus):
    """A member that joins takes over some keys, also of what waits already."""
    bus.declare(Topic("many", Overflow.BLOCK, 1000))
    first = bus.subscribe("many", "workers")
    for number in range(50):
        await bus.send("many", b"%d" % number, f"key{number}")
    second = bus.subscribe("many", "workers")
    shares = [await first.take(), await second.take()]
    assert all(shares)
    assert sorted(int(message.payload) for share in shares for message in share) == list(range(50))


async def test_several_topics_in_one_subscription(bus):
    """One subscription to several topics hands over the first-named topics first, and wakes for any."""
    both = bus.subscribe(("orders", "ticks"))
    bus.publish("ticks", b"tick")
    bus.publish("orders", b"order")
    assert [message.topic for message in await both.take()] == ["orders", "ticks"]
    waiting = asyncio.create_task(both.take())
    await asyncio.sleep(0)
    bus.publish("ticks", b"again")
    assert payloads(await asyncio.wait_for(waiting, 5)) == [b"again"]


async def test_take_takes_what_has_arrived_up_to_a_limit(bus):
    """Adaptive batches: everything that is there, or as much as asked for."""
    reader = bus.subscribe("orders")
    for number in range(3):
        bus.publish("orders", b"%d" % number)
    assert reader.depth == 3
    assert payloads(await reader.take(2)) == [b"0", b"1"]
    assert payloads(await reader.take(2)) == [b"2"]
    assert reader.depth == 0


async def test_closing_a_topic_drains_it(bus):
    """After closing nothing can be published, what was published can be taken, and then take returns nothing; other topics go on."""
    reader = bus.subscribe("orders")
    bus.publish("orders", b"1")
    await bus.close("orders")
    with pytest.raises(BusError):
        bus.publish("orders", b"2")
    assert payloads(await reader.take()) == [b"1"]
    assert await asyncio.wait_for(reader.take(), 5) == []
    assert bus.publish("ticks", b"on")


async def test_closing_wakes_whoever_waits(bus):
    """A reader that waits gets nothing, a sender that waits gets the error."""
    idle = bus.subscribe("ticks")
    full = bus.subscribe("orders")
    reading = asyncio.create_task(idle.take())
    for number in range(3):
        bus.publish("orders", b"%d" % number)
    sending = asyncio.create_task(bus.send("orders", b"3"))
    await asyncio.sleep(0)
    await bus.close()
    assert await asyncio.wait_for(reading, 5) == []
    with pytest.raises(BusError):
        await asyncio.wait_for(sending, 5)
    assert len(full.take_now()) == 3


async def test_leaving_makes_room(bus):
    """A subscriber that closes no longer holds the others back."""
    gone = bus.subscribe("orders")
    for number in range(3):
        bus.publish("orders", b"%d" % number)
    sending = asyncio.create_task(bus.send("orders", b"3"))
    await asyncio.sleep(0)
    gone.close()
    await asyncio.wait_for(sending, 5)
    assert await gone.take() == []


async def test_unknown_topics_and_second_opinions(bus):
    """A topic has to be declared, and has one policy."""
    with pytest.raises(UnknownNameError, match="Did you mean"):
        bus.publish("order", b"")
    with pytest.raises(UnknownNameError):
        bus.subscribe("nothing")
    with pytest.raises(BusError):
        bus.declare(Topic("orders", Overflow.CONFLATE, 3))
    bus.declare(ORDERS)
