"""The contract of the bus, applied to every implementation: see `openbell.adapters.buses.base`; the implementations are in `buses.py`."""

import asyncio
import uuid
from types import SimpleNamespace

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.errors import BusError, UnknownNameError
from tests.contracts.buses import MAKERS, SECONDS, comes, gather, gather_all, only, settled

PARTITIONS = 6


@pytest.fixture(params=MAKERS)
async def opened(request):
    """A bus of each kind; `connect` makes another connection, as another process would have it."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    topics = SimpleNamespace(
        orders=Topic(f"{prefix}orders", Overflow.BLOCK, 3),
        ticks=Topic(f"{prefix}ticks", Overflow.DROP_OLDEST, 3),
        screen=Topic(f"{prefix}screen", Overflow.CONFLATE, 3),
        many=Topic(f"{prefix}many", Overflow.BLOCK, 1000, PARTITIONS),
    )
    async with request.param.open(prefix) as make:

        def connect():
            made = make()
            made.declare(topics.orders, topics.ticks, topics.screen, topics.many)
            return made

        yield SimpleNamespace(
            connect=connect,
            bus=connect(),
            over_network=request.param.over_network,
            keeps_history=request.param.keeps_history,
            workers=f"{prefix}workers",
            topics=topics,
            **{name: topic.name for name, topic in vars(topics).items()},
        )


async def subscribe(bus, *arguments, **options):
    made = bus.subscribe(*arguments, **options)
    async with asyncio.timeout(SECONDS):
        await made.ready()
    return made


def payloads(messages):
    return [message.payload for message in messages]


def numbers(messages):
    return [int(message.payload) for message in messages]


def in_order_by_key(messages):
    """Whether the messages of each key come in the order of their numbers."""
    shares = {}
    for message in messages:
        shares.setdefault(message.key, []).append(int(message.payload))
    return all(share == sorted(share) for share in shares.values())


# --- publishing, buffers, order


async def test_a_bus_says_what_it_can_do(opened):
    """The class tells whether it keeps history, before anything is published."""
    assert opened.keeps_history == opened.bus.KEEPS_HISTORY


async def test_fan_out(opened):
    """Every subscription without a group gets every message published after it was ready, in order."""
    first = await subscribe(opened.bus, opened.orders)
    await opened.bus.send(opened.orders, b"1")
    await opened.bus.flush()
    second = await subscribe(opened.bus, opened.orders)
    await opened.bus.send(opened.orders, b"2")
    assert payloads(await gather(first, 2)) == [b"1", b"2"]
    assert payloads(await gather(second, 1)) == [b"2"]


async def test_a_message_nobody_wants_is_gone(opened):
    """Publishing without subscribers succeeds; who comes later does not get it. Over a network nobody can know who listens."""
    bus = opened.bus
    assert bus.has_subscribers(opened.orders) == opened.over_network
    for _ in range(10):
        await bus.send(opened.orders, b"x")
    await bus.flush()
    late = await subscribe(bus, opened.orders)
    assert bus.has_subscribers(opened.orders)
    assert late.take_now() == []
    await bus.send(opened.orders, b"y")
    assert payloads(await gather(late, 1)) == [b"y"]


async def test_block_refuses_when_a_buffer_is_full(opened):
    """With BLOCK the newest is refused, and nobody gets it; what was accepted is never lost."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    for number in range(3):
        assert bus.publish(opened.orders, b"%d" % number)
    assert not bus.publish(opened.orders, b"refused")
    assert numbers(await gather(reader, 3)) == [0, 1, 2]
    await bus.flush()
    assert bus.publish(opened.orders, b"3")
    assert numbers(await gather(reader, 1)) == [3]
    assert (bus.count(opened.orders).published, bus.count(opened.orders).refused) == (4, 1)


async def test_a_slow_subscriber_and_a_quick_one(opened):
    """Within a process one full buffer holds everybody back; over a network what it cannot take waits with the server, bounded here."""
    bus = opened.bus
    slow, quick = await subscribe(bus, opened.orders), await subscribe(bus, opened.orders)
    if not opened.over_network:
        for number in range(3):
            assert bus.publish(opened.orders, b"%d" % number)
            assert len(await quick.take()) == 1
        assert not bus.publish(opened.orders, b"3")
        assert quick.take_now() == []
        assert numbers(await slow.take()) == [0, 1, 2]
        return
    for number in range(40):
        await bus.send(opened.orders, b"%d" % number)
        assert numbers(await gather(quick, 1)) == [number]
        assert slow.depth <= 3
    assert numbers(await gather(slow, 40)) == list(range(40))


async def test_send_waits_for_room(opened):
    """A sender on a full topic goes on as soon as there is room, and order is kept."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    for number in range(3):
        await bus.send(opened.orders, b"%d" % number)
    waiting = asyncio.create_task(bus.send(opened.orders, b"3"))
    await asyncio.sleep(0)
    assert opened.over_network or not waiting.done()
    assert numbers(await gather(reader, 1)) == [0]
    await asyncio.wait_for(waiting, SECONDS)
    assert numbers(await gather(reader, 3)) == [1, 2, 3]


async def test_drop_oldest_counts(opened):
    """With DROP_OLDEST the newest stay, and what was given up is counted."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.ticks)
    for number in range(5):
        assert bus.publish(opened.ticks, b"%d" % number)
    await comes(lambda: reader.depth == 3 and bus.count(opened.ticks).dropped == 2, "three ticks and two dropped")
    assert numbers(await reader.take()) == [2, 3, 4]


async def test_conflate_keeps_the_newest_of_each_key(opened):
    """With CONFLATE one message a key waits, the newest, in the order in which the keys began to wait."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.screen)
    for key, payload in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        assert bus.publish(opened.screen, payload, key)
    await comes(lambda: reader.depth == 2 and bus.count(opened.screen).dropped == 1, "two keys and one dropped")
    taken = await reader.take()
    assert [(message.key, message.payload) for message in taken] == [("a", b"3"), ("b", b"2")]
    bus.publish(opened.screen, b"4", "a")
    assert payloads(await gather(reader, 1)) == [b"4"]


async def test_conflate_is_bounded_too(opened):
    """More keys than the buffer holds: the one that waited longest is given up."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.screen)
    for key in "abcd":
        bus.publish(opened.screen, key.encode(), key)
    await comes(lambda: reader.depth == 3 and bus.count(opened.screen).dropped == 1, "three keys and one dropped")
    assert payloads(await reader.take()) == [b"b", b"c", b"d"]


async def test_several_topics_in_one_subscription(opened):
    """One subscription to several topics hands over the first-named topics first, and wakes for any."""
    bus, both = opened.bus, await subscribe(opened.bus, (opened.orders, opened.ticks))
    bus.publish(opened.ticks, b"tick")
    bus.publish(opened.orders, b"order")
    await comes(lambda: both.depth == 2, "a tick and an order")
    assert [message.topic for message in await both.take()] == [opened.orders, opened.ticks]
    waiting = asyncio.create_task(both.take())
    await asyncio.sleep(0)
    bus.publish(opened.ticks, b"again")
    assert payloads(await asyncio.wait_for(waiting, SECONDS)) == [b"again"]


async def test_take_takes_what_has_arrived_up_to_a_limit(opened):
    """Adaptive batches: everything that is there, or as much as asked for."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    for number in range(3):
        bus.publish(opened.orders, b"%d" % number)
    await comes(lambda: reader.depth == 3, "three messages")
    assert numbers(await reader.take(2)) == [0, 1]
    assert numbers(await reader.take(2)) == [2]
    assert reader.depth == 0


async def test_keys_keep_their_order_over_partitions(opened):
    """However many partitions a topic has, a key's messages come in order, and none is missing."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.many)
    for number in range(500):
        await bus.send(opened.many, b"%d" % number, f"key{number % 17}")
    taken = await gather(reader, 500)
    assert sorted(numbers(taken)) == list(range(500))
    assert in_order_by_key(taken)


async def test_bytes_and_keys_come_as_they_were(opened):
    """Any bytes, none at all, and any text as a key."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    sent = [(bytes(range(256)) * 400, "BRK.A"), (b"", "Übung/€ & more"), (b"\x00", "")]
    for payload, key in sent:
        assert bus.publish(opened.orders, payload, key)
    assert [(message.payload, message.key) for message in await gather(reader, 3)] == sent


# --- closing


async def test_closing_a_topic_drains_it(opened):
    """After closing nothing can be published, what was published can be taken, and then take returns nothing; other topics go on."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    bus.publish(opened.orders, b"1")
    await bus.close(opened.orders)
    with pytest.raises(BusError):
        bus.publish(opened.orders, b"2")
    assert payloads(await gather(reader, 1)) == [b"1"]
    assert await asyncio.wait_for(reader.take(), SECONDS) == []
    assert bus.publish(opened.ticks, b"on")


async def test_closing_wakes_whoever_waits(opened):
    """A reader that waits gets nothing, a sender that waits gets the error."""
    bus = opened.bus
    idle, full = await subscribe(bus, opened.ticks), await subscribe(bus, opened.orders)
    reading = asyncio.create_task(idle.take())
    for number in range(3):
        bus.publish(opened.orders, b"%d" % number)
    sending = asyncio.create_task(bus.send(opened.orders, b"3"))
    await asyncio.sleep(0)
    await bus.close()
    assert await asyncio.wait_for(reading, SECONDS) == []
    with pytest.raises(BusError):
        await asyncio.wait_for(sending, SECONDS)
    left = full.take_now()
    assert numbers(left) == [0, 1, 2][: len(left)]
    assert opened.over_network or len(left) == 3


async def test_what_has_arrived_can_be_taken_after_closing(opened):
    """Disconnecting throws nothing away that is here."""
    bus, reader = opened.bus, await subscribe(opened.bus, opened.orders)
    for number in range(3):
        bus.publish(opened.orders, b"%d" % number)
    await comes(lambda: reader.depth == 3, "three messages")
    await bus.close()
    assert numbers(await reader.take()) == [0, 1, 2]
    assert await asyncio.wait_for(reader.take(), SECONDS) == []


async def test_leaving_makes_room(opened):
    """A subscriber that closes no longer holds the others back, and gets nothing more."""
    bus, gone = opened.bus, await subscribe(opened.bus, opened.orders)
    for number in range(3):
        bus.publish(opened.orders, b"%d" % number)
    sending = asyncio.create_task(bus.send(opened.orders, b"3"))
    await asyncio.sleep(0)
    gone.close()
    await asyncio.wait_for(sending, SECONDS)
    assert await asyncio.wait_for(gone.take(), SECONDS) == []


async def test_unknown_topics_and_second_opinions(opened):
    """A topic has to be declared, and has one policy."""
    bus = opened.bus
    with pytest.raises(UnknownNameError, match="Did you mean"):
        bus.publish(opened.orders[:-1], b"")
    with pytest.raises(UnknownNameError):
        bus.subscribe("nothing")
    with pytest.raises(BusError):
        bus.declare(Topic(opened.orders, Overflow.CONFLATE, 3))
    bus.declare(opened.topics.orders)


# --- groups


@only(has_groups=True)
async def test_a_group_shares_and_keeps_a_keys_order(opened):
    """Each message of a group goes to one member, those of one key to the same member in order."""
    bus = opened.bus
    members = [bus.subscribe(opened.many, opened.workers) for _ in range(3)]
    await settled(members, PARTITIONS)
    everything = await subscribe(bus, opened.many)
    for number in range(200):
        await bus.send(opened.many, b"%d" % number, f"key{number % 20}")
    shares = await gather_all(members, 200)
    assert sorted(number for share in shares for number in numbers(share)) == list(range(200))
    assert sorted(numbers(await gather(everything, 200))) == list(range(200))
    assert all(in_order_by_key(share) for share in shares)
    owners = [{message.key for message in share} for share in shares]
    assert sum(map(len, owners)) == 20
    assert sum(map(bool, owners)) > 1


@only(has_groups=True)
async def test_what_a_leaving_member_had_in_hand_goes_to_the_others(opened):
    """Rebalance: unacknowledged and waiting messages reach the members that stay, once, in order of each key."""
    bus = opened.bus
    leaving, staying = (bus.subscribe(opened.many, opened.workers) for _ in range(2))
    await settled([leaving, staying], PARTITIONS)
    for number in range(100):
        await bus.send(opened.many, b"%d" % number, f"key{number % 20}")
    done = numbers(await gather(leaving, 2))
    leaving.ack()
    in_hand = numbers(await gather(leaving, 3))
    leaving.close()
    (left,) = await gather_all([staying], 98)
    assert set(in_hand) <= set(numbers(left))
    assert sorted(done + numbers(left)) == list(range(100))
    assert in_order_by_key(left)


@only(has_groups=True)
async def test_a_new_member_gets_its_share(opened):
    """A member that joins takes over some keys, also of what waits already."""
    bus = opened.bus
    first = await subscribe(bus, opened.many, opened.workers)
    for number in range(100):
        await bus.send(opened.many, b"%d" % number, f"key{number}")
    second = bus.subscribe(opened.many, opened.workers)
    await settled([first, second], PARTITIONS)
    shares = await gather_all([first, second], 100)
    assert all(shares)
    assert sorted(number for share in shares for number in numbers(share)) == list(range(100))


@only(over_network=True, has_groups=True)
async def test_a_group_outlives_its_members(opened):
    """What is published while a group has no member waits for the next one; what was acknowledged does not come again."""
    publisher = opened.bus
    member = await subscribe(opened.connect(), opened.many, opened.workers)
    for number in range(10):
        await publisher.send(opened.many, b"%d" % number, "key")
    assert numbers(await gather(member, 6)) == list(range(6))
    member.ack()
    assert numbers(await gather(member, 2)) == [6, 7]
    member.close()
    for number in range(10, 15):
        await publisher.send(opened.many, b"%d" % number, "key")
    heir = await subscribe(opened.connect(), opened.many, opened.workers)
    assert numbers(await gather(heir, 9)) == list(range(6, 15))


# --- over a network


@only(over_network=True)
async def test_one_process_hears_another(opened):
    """Connections that know nothing of each other meet on the server."""
    reader = await subscribe(opened.connect(), opened.orders)
    for number in range(10):
        await opened.bus.send(opened.orders, b"%d" % number)
    assert numbers(await gather(reader, 10)) == list(range(10))


@only(over_network=True)
async def test_closing_is_for_one_process(opened):
    """Another connection goes on publishing to, and reading from, a topic that one has closed."""
    other = opened.connect()
    reader = await subscribe(other, opened.orders)
    await opened.bus.send(opened.orders, b"1")
    await opened.bus.close()
    await other.send(opened.orders, b"2")
    assert payloads(await gather(reader, 2)) == [b"1", b"2"]


@only(over_network=True, keeps_history=True)
async def test_flush_is_a_promise(opened):
    """What is flushed is with the server, even when the publisher is gone."""
    publisher = opened.connect()
    for number in range(500):
        await publisher.send(opened.many, b"%d" % number, f"key{number % 7}")
    await publisher.flush()
    await publisher.close()
    taken = await gather(await subscribe(opened.bus, opened.many, start="oldest"), 500)
    assert sorted(numbers(taken)) == list(range(500))


# --- history


@only(keeps_history=True)
async def test_a_subscription_may_start_anywhere(opened):
    """From now on, from the oldest, or from an offset by partition; each message says where it is."""
    bus = opened.bus
    for number in range(6):
        await bus.send(opened.orders, b"%d" % number)
    await bus.flush()
    oldest = await gather(await subscribe(bus, opened.orders, start="oldest"), 6)
    assert numbers(oldest) == list(range(6))
    assert [message.offset for message in oldest] == sorted({message.offset for message in oldest})
    new = await subscribe(bus, opened.orders, start="new")
    fourth = await subscribe(bus, opened.orders, start={0: oldest[4].offset})
    await bus.send(opened.orders, b"6")
    assert numbers(await gather(new, 1)) == [6]
    assert numbers(await gather(fourth, 3)) == [4, 5, 6]


@only(keeps_history=True)
async def test_a_stored_offset_goes_on_exactly_there(opened):
    """Who stores the offset with the effect sees every message once, wherever it stopped."""
    bus, seen, offsets = opened.bus, [], {}
    for number in range(300):
        await bus.send(opened.many, b"%d" % number, f"key{number % 20}")
    for most in (1, 10, 100, 189):
        reader = await subscribe(bus, opened.many, start=dict(offsets) or "oldest")
        for message in await gather(reader, most):
            seen.append(message)
            offsets[message.partition] = message.offset + 1
        reader.close()
    assert sorted(numbers(seen)) == list(range(300))
    assert in_order_by_key(seen)


@only(keeps_history=True)
async def test_the_ends_tell_how_far_one_is_behind(opened):
    """By partition, the offset behind the last message."""
    bus = opened.bus
    for number in range(60):
        await bus.send(opened.many, b"%d" % number, f"key{number % 20}")
    await bus.flush()
    taken = await gather(await subscribe(bus, opened.many, start="oldest"), 60)
    reached = dict.fromkeys(range(PARTITIONS), 0)
    for message in taken:
        reached[message.partition] = message.offset + 1
    ends = await bus.ends(opened.many)
    assert {partition: ends[partition] for partition in {message.partition for message in taken}} == {
        partition: offset for partition, offset in reached.items() if offset
    }
    assert set(ends) == set(range(PARTITIONS))


@only(has_groups=True, keeps_history=True)
async def test_a_member_knows_what_it_holds(opened):
    """The partitions of a group are shared out, and one that comes back has a higher number."""
    first = await subscribe(opened.bus, opened.many, opened.workers)
    await settled([first], PARTITIONS)
    before = dict(first.held)
    assert set(before) == {(opened.many, partition) for partition in range(PARTITIONS)}
    second = opened.connect().subscribe(opened.many, opened.workers)
    await settled([first, second], PARTITIONS)
    moved = set(second.held)
    assert moved
    assert moved.isdisjoint(first.held)
    second.close()
    await comes(lambda: len(first.held) == PARTITIONS, "what the other one held")
    assert all(first.held[place] == before[place] + (place in moved) for place in before)
