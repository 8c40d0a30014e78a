"""What RabbitMQ adds to the contract of the bus, and how it bears breaks: retries, dead letters, take-over, back-pressure, a cut cable."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
import uuid

import msgspec
import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq.dead_letters import DeadLetters
from openbell.errors import BusError, UnknownNameError
from tests.contracts.buses import SECONDS, comes, gather
from tests.rabbitmq import OwnBus, connected, remove
from tests.running import openbell
from tests.servers import environment, settings
from tests.simulation.proxy import Proxy

pytestmark = pytest.mark.services

ORDERS = Topic("orders", Overflow.BLOCK, 500)
SHARED = Topic("shared", Overflow.BLOCK, 1000, partitions=6)
DELAYS = (0.1, 0.4)


@pytest.fixture
def server():
    return settings("rabbitmq").rabbitmq


@pytest.fixture
def proxy(server):
    """A network to the server that can be broken; it is there as long as the buses are."""
    with Proxy(server.host, server.port) as made:
        yield made


@pytest.fixture
async def connect(server, proxy):
    """Makes buses with names of this test's own; they are closed at the end, and what they made is removed."""
    prefix, made = f"test-{uuid.uuid4().hex[:12]}", []

    def make(at=server, prefix=prefix, topics=(ORDERS, SHARED), **options):
        bus = OwnBus(at, f"client-{len(made)}", prefix, **{"delays": DELAYS, **options})
        bus.declare(*topics)
        made.append(bus)
        return bus

    yield make
    proxy.resume()
    for bus in made:
        with contextlib.suppress(BusError):
            await bus.close()
    await remove(server, *made)


def through(proxy, server):
    """The settings of a client that goes through a proxy."""
    return msgspec.structs.replace(server, host=proxy.host, port=proxy.port)


async def member(bus, topic="orders", group="desk"):
    made = bus.subscribe(topic, group)
    async with asyncio.timeout(SECONDS):
        await made.ready()
    return made


async def send(bus, numbers, key="k", topic="orders"):
    for number in numbers:
        await bus.send(topic, b"%d" % number, key)


def numbers(messages):
    return [int(message.payload) for message in messages]


def first_times(seen):
    """What was seen, without repetitions."""
    return list(dict.fromkeys(seen))


# --- retry and reject


async def test_a_retried_message_comes_again_after_growing_pauses(connect):
    """Each attempt is counted, the pauses are those of the table, and other messages go on meanwhile."""
    bus = connect()
    desk = await member(bus)
    await send(bus, [1])
    times = []
    for attempt in (1, 2, 3):
        (message,) = await gather(desk, 1)
        times.append(time.monotonic())
        assert (message.attempt, message.key, message.payload, message.topic) == (attempt, "k", b"1", "orders")
        if attempt < 3:
            await desk.retry(message, "the venue is busy")
            await send(bus, [attempt + 10])
            assert numbers(await gather(desk, 1)) == [attempt + 10]
    desk.ack()
    assert times[1] - times[0] >= DELAYS[0]
    assert times[2] - times[1] >= DELAYS[1]


async def test_after_the_last_attempt_it_is_a_dead_letter_with_its_reason(connect, server):
    """Nothing is dropped in silence: topic, group, key, attempts, the first time and the last reason are with it."""
    bus = connect()
    desk = await member(bus)
    before = time.time()
    await send(bus, [7])
    for _ in range(3):
        (message,) = await gather(desk, 1)
        await desk.retry(message, "no such symbol")
    async with DeadLetters(server, bus.prefix) as dead:
        (letter,) = await dead.letters()
    assert (letter.topic, letter.group, letter.key, letter.payload, letter.attempts) == ("orders", "desk", "k", b"7", 3)
    assert letter.reason == "no such symbol (3 attempts)"
    assert before - 1 <= letter.first_seen_ns / 1e9 <= letter.rejected_ns / 1e9 <= time.time()
    await send(bus, [8])
    assert numbers(await gather(desk, 1)) == [8]


async def test_a_retry_is_for_the_own_group_only(connect):
    """Another group that has dealt with the message does not see it again."""
    bus = connect()
    desk, books = await member(bus), await member(bus, group="books")
    await send(bus, [1])
    assert numbers(await gather(books, 1)) == [1]
    books.ack()
    (message,) = await gather(desk, 1)
    await desk.retry(message, "later")
    assert (await gather(desk, 1))[0].attempt == 2
    assert books.depth == 0
    await send(bus, [2])
    assert numbers(await gather(books, 1)) == [2]


async def test_what_waits_for_another_attempt_outlives_its_reader(connect):
    """A message on the shelf is the next member's when the one who handed it back is gone."""
    first = connect()
    desk = await member(first)
    await send(first, [1])
    (message,) = await gather(desk, 1)
    await desk.retry(message, "later")
    await first.close()
    heir = await member(connect())
    (again,) = await gather(heir, 1)
    assert (again.payload, again.attempt) == (b"1", 2)


async def test_an_earlier_message_of_the_shelf_outlives_the_acknowledgement_of_a_later_one(connect):
    """A message whose pause is short overtakes one whose pause is long; that it is done with says nothing about the other."""
    first = connect(delays=(0.1, 60.0))
    desk = await member(first)
    await send(first, [1])
    (slow,) = await gather(desk, 1)
    await desk.retry(slow, "later")
    (slow,) = await gather(desk, 1)
    await desk.retry(slow, "much later")
    await send(first, [2])
    (quick,) = await gather(desk, 1)
    await desk.retry(quick, "later")
    assert numbers(await gather(desk, 1)) == [2]
    desk.ack()
    await first.close()
    async with connected(first.server) as connection:
        channel = await connection.channel()
        assert (await channel.basic_get(f"{first.prefix}.orders.desk.retry", no_ack=True)).body == b"1"
        assert (await channel.basic_get(f"{first.prefix}.orders.desk.retry", no_ack=True)).body == b""


async def test_retries_survive_a_full_queue(connect, server):
    """A queue without room refuses what is new; a message that comes back from a retry is not lost to it."""
    bus = connect(queue_max=2)
    desk = await member(bus)
    await send(bus, [1])
    (message,) = await gather(desk, 1)
    await desk.retry(message, "later")
    desk.close()
    await comes(lambda: bus.publish("orders", b"2"), "room")
    await bus.flush()
    async with connected(server) as connection:
        channel = await connection.channel()
        with contextlib.suppress(Exception):
            while True:
                await channel.basic_publish(b"3", routing_key=f"{bus.prefix}.orders.desk")
    await asyncio.sleep(DELAYS[0])  # what is tested is that time passes while the queue is full
    taken = numbers(await gather(await member(connect(queue_max=2)), 3))
    assert sorted(taken) == [1, 2, 3]


async def test_requeue_sends_back_and_drop_deletes(connect, server):
    """A person sends one letter back to its group, as a first attempt, and deletes another; the rest stays, in order."""
    bus = connect()
    desk, books = await member(bus), await member(bus, group="books")
    await send(bus, range(5))
    for message in await gather(desk, 5):
        await desk.reject(message, f"reason {message.payload.decode()}")
    assert numbers(await gather(books, 5)) == list(range(5))
    async with DeadLetters(server, bus.prefix) as dead:
        letters = await dead.letters()
        assert [letter.reason for letter in letters] == [f"reason {number}" for number in range(5)]
        with pytest.raises(UnknownNameError):
            await dead.drop([letters[0].id, "nothing"])
        assert await dead.requeue([letters[1].id]) == 1
        assert await dead.drop([letters[3].id]) == 1
        assert [int(letter.payload) for letter in await dead.letters()] == [0, 2, 4]
        assert (await dead.find(letters[4].id)).payload == b"4"
        (again,) = await gather(desk, 1)
        assert (again.payload, again.key, again.attempt) == (b"1", "k", 1)
        assert await dead.requeue() == 3
        assert await dead.letters() == []
    assert sorted(numbers(await gather(desk, 3))) == [0, 2, 4]
    assert books.depth == 0


async def test_a_letter_without_a_way_back_stays(connect, server):
    """When the group's queue is gone, the letter says so and is kept."""
    bus = connect()
    desk = await member(bus)
    await send(bus, [1])
    (message,) = await gather(desk, 1)
    await desk.reject(message, "no")
    await bus.close()
    async with connected(server) as connection:
        await (await connection.channel(publisher_confirms=False)).queue_delete(f"{bus.prefix}.orders.desk")
    async with DeadLetters(server, bus.prefix) as dead:
        with pytest.raises(BusError, match="there is no queue"):
            await dead.requeue()
        assert len(await dead.letters()) == 1


async def test_dead_letters_on_the_command_line(connect, server, tmp_path):
    """List, show, requeue and drop, as text and as JSON."""
    topic = Topic(f"test-{uuid.uuid4().hex[:12]}", Overflow.BLOCK, 10)
    bus = connect(prefix="openbell", topics=[topic])
    desk = await member(bus, topic.name)
    for payload in (b'{"symbol": "AAPL"}', b"\x00\x01"):
        await bus.send(topic.name, payload, "AAPL")
    for message in await gather(desk, 2):
        await desk.reject(message, "limit\nreached")

    async def run(*arguments):
        return await asyncio.to_thread(openbell, "dead-letters", *arguments, folder=tmp_path, **environment())

    listed = [letter for letter in json.loads((await run("list", "--json")).stdout) if letter["topic"] == topic.name]
    assert [letter["attempts"] for letter in listed] == [1, 1]
    lines = (await run("list")).stdout.splitlines()
    assert lines[0].split() == ["id", "rejected", "topic", "group", "key", "attempts", "reason"]
    assert any(line.startswith(listed[0]["id"]) and line.endswith("limit reached") for line in lines)
    shown = await run("show", listed[0]["id"])
    assert '{"symbol": "AAPL"}' in shown.stdout
    assert "limit\nreached" in shown.stdout
    assert json.loads((await run("show", listed[1]["id"], "--json")).stdout)["payload"] == "00 01"
    assert (await run("requeue", listed[0]["id"])).stdout == "1 sent back\n"
    assert [message.payload for message in await gather(desk, 1)] == [b'{"symbol": "AAPL"}']
    desk.ack()
    assert (await run("drop", listed[1]["id"])).stdout == "1 dropped\n"
    missing = await run("show", listed[1]["id"])
    assert (missing.returncode, "there is no dead letter" in missing.stderr) == (2, True)
    assert (await run("requeue")).returncode == 2
    assert (await run("drop")).returncode == 2
    wrong = await asyncio.to_thread(
        openbell, "dead-letters", "list", folder=tmp_path, **environment() | {"OPENBELL_RABBITMQ__PASSWORD": "not-the-word"}
    )
    assert wrong.returncode == 8
    assert "not-the-word" not in wrong.stderr


# --- members


READER = """
import asyncio, sys
from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq import RabbitBus
from openbell.config import load_settings

async def main():
    bus = RabbitBus(load_settings().rabbitmq, "child", prefix=sys.argv[1])
    bus.declare(Topic("orders", Overflow.BLOCK, 500))
    desk = bus.subscribe("orders", "desk")
    done = []
    for stop in (10, 30):
        while len(done) < stop:
            done += [message.payload.decode() for message in await desk.take(stop - len(done))]
        if stop == 10:
            desk.ack()
    print(*done, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_in_hand_goes_to_the_next(connect, tmp_path):
    """kill -9 after 30 messages, 10 of them acknowledged: the next member begins with the first that was not, in order."""
    bus = connect()
    heir = bus.subscribe("orders", "desk")
    await heir.ready()
    heir.close()
    await send(bus, range(100))
    await bus.flush()
    child = subprocess.Popen(
        [sys.executable, "-c", READER, bus.prefix], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**environment(), "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        line = await asyncio.wait_for(asyncio.to_thread(child.stdout.readline), SECONDS)
        seen = [int(word) for word in line.split()]
        standby = await member(connect())
        assert standby.take_now() == []
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
    assert seen == list(range(30))
    assert numbers(await gather(standby, 90)) == list(range(10, 100))


async def test_a_member_that_is_cut_off_is_replaced_in_order(connect, proxy, server):
    """The connection of the active member breaks: the one behind it goes on with the first message that was not acknowledged."""
    publisher = connect()
    active = await member(connect(through(proxy, server)))
    standby = await member(connect())
    await send(publisher, range(300))
    assert numbers(await gather(active, 100)) == list(range(100))
    active.ack()
    await publisher.flush()
    in_hand = numbers(await gather(active, 50))
    assert standby.depth == 0
    proxy.cut()
    left = numbers(await gather(standby, 200))
    first = left[0]
    left += numbers(await gather(standby, 100 - first)) if first < 100 else []  # the acknowledgement was on its way when the line was cut
    assert left == list(range(first, 300))
    assert first in (0, 100)
    assert set(in_hand) <= set(left)


async def test_members_share_partitions_and_inherit_them(connect, proxy, server):
    """Three members read two partitions each; when one is cut off, the others have all, and each key keeps its order."""
    publisher = connect()
    members = [await member(connect(through(proxy, server) if number == 2 else server), "shared") for number in range(3)]
    await comes(lambda: [len(each.held) for each in members] == [2, 2, 2], "two partitions each")
    for number in range(600):
        await publisher.send("shared", b"%d" % number, f"key{number % 24}")
    await publisher.flush()
    seen, shares = [], [0, 0, 0]

    def take(*readers):
        for reader in readers:
            taken = numbers(members[reader].take_now(7))
            seen.extend(taken)
            shares[reader] += len(taken)
            members[reader].ack()

    await comes(lambda: take(0, 1, 2) or min(shares) >= 28, "a share for each")
    in_hand = numbers(members[2].take_now(5))
    proxy.cut()
    await comes(lambda: take(0, 1) or len(set(seen)) == 600, "everything")
    await comes(lambda: len(members[0].held) + len(members[1].held) == 6, "the partitions of the third")
    assert set(in_hand) <= set(seen)
    for key in range(24):
        own = first_times(number for number in seen if number % 24 == key)
        assert own == sorted(own)


# --- a network that breaks


async def test_nothing_is_lost_when_the_publisher_is_cut_off(connect, proxy, server):
    """Ten cuts while 5,000 messages are sent: all arrive, in order, and what comes twice is what had not been confirmed."""
    desk = await member(connect())
    publisher = connect(through(proxy, server))

    async def cut():
        for turn in range(10):
            await comes(lambda turn=turn: publisher.count("orders").published >= 450 * (turn + 1), "messages sent")
            proxy.cut()
            proxy.resume()

    cutting = asyncio.create_task(cut())
    sending = asyncio.create_task(send(publisher, range(5000)))
    seen = []
    while len(first_times(seen)) < 5000:
        async with asyncio.timeout(SECONDS):
            seen += numbers(await desk.take())
        desk.ack()
    await asyncio.gather(cutting, sending)
    await publisher.flush()
    assert proxy.connections > 5
    assert first_times(seen) == list(range(5000))
    assert publisher.count("orders").published == 5000


async def test_unconfirmed_messages_are_sent_again_and_bounded(connect, proxy, server):
    """Answers are held back: the buffer fills and publish refuses; after a cut everything is sent again, in order, in the same ids."""
    desk = await member(connect())
    publisher = connect(through(proxy, server))
    await send(publisher, [0])
    await publisher.flush()
    proxy.stall("answers")
    accepted = 1
    while publisher.publish("orders", b"%d" % accepted, "k"):
        accepted += 1
    assert accepted == 1 + ORDERS.buffer
    once = numbers(await gather(desk, 1))
    desk.ack()
    once += numbers(await gather(desk, accepted - 1))
    desk.ack()
    proxy.cut()
    proxy.resume()
    await publisher.flush()
    again = await gather(desk, ORDERS.buffer)
    assert once == list(range(accepted))
    assert numbers(again) == list(range(1, accepted))
    assert len({message.properties.message_id for message in again}) == ORDERS.buffer


async def test_a_stalled_network_delays_and_loses_nothing(connect, proxy, server):
    """Nothing moves for a while, in both directions; then everything arrives."""
    bus = connect(through(proxy, server))
    desk, everything = await member(bus), bus.subscribe("orders")
    await everything.ready()
    await send(bus, range(10))
    proxy.stall()
    sending = asyncio.create_task(send(bus, range(10, 900)))
    await comes(lambda: bus.count("orders").refused > 0, "a full buffer")
    proxy.resume()
    seen = []
    while len(seen) < 900:
        async with asyncio.timeout(SECONDS):
            seen += numbers(await desk.take())
        desk.ack()
    await sending
    assert seen == list(range(900))
    assert numbers(await gather(everything, 900)) == list(range(900))


async def test_a_pulled_cable_is_noticed_on_both_sides(connect, proxy, server, monkeypatch):
    """Nobody says goodbye: the server gives the queue to the next member, and the one that was cut off connects anew."""
    monkeypatch.setattr("openbell.adapters.buses.rabbitmq.server.HEARTBEAT_SECONDS", 1)
    publisher = connect()
    active = await member(connect(through(proxy, server)))
    standby = await member(connect())
    await send(publisher, range(20))
    assert numbers(await gather(active, 20)) == list(range(20))
    before = proxy.connections
    proxy.stall()
    assert numbers(await gather(standby, 20)) == list(range(20))
    standby.ack()
    await comes(lambda: proxy.connections > before, "another connection")
    proxy.resume()
    standby.close()
    await send(publisher, range(20, 40))
    assert numbers(await gather(active, 20)) == list(range(20, 40))


async def test_a_subscription_without_a_group_misses_nothing_while_it_is_cut_off(connect, proxy, server):
    """Its queue waits for it: what others publish meanwhile comes when it is back."""
    publisher = connect()
    reader = connect(through(proxy, server)).subscribe("orders")
    await reader.ready()
    await send(publisher, range(10))
    assert numbers(await gather(reader, 10)) == list(range(10))
    proxy.cut()
    await send(publisher, range(10, 100))
    await publisher.flush()
    proxy.resume()
    seen = []
    while 99 not in seen:
        async with asyncio.timeout(SECONDS):
            seen += numbers(await reader.take())
    assert first_times(number for number in seen if number >= 10) == list(range(10, 100))


async def test_a_rejection_in_a_cut_leaves_one_letter_or_the_message(connect, proxy, server):
    """The connection breaks around a rejection: the message is among the dead letters or comes again, and never neither."""
    publisher = connect()
    desk = await member(connect(through(proxy, server)))
    await send(publisher, range(50))
    rejected, letters = 0, set()
    while len(letters) < 50:
        for message in await asyncio.wait_for(desk.take(5), SECONDS):
            if rejected % 10 == 5:
                proxy.cut()
                proxy.resume()
            await desk.reject(message, "no")
            rejected += 1
        async with DeadLetters(server, publisher.prefix) as dead:
            letters = {letter.id for letter in await dead.letters()}
    async with DeadLetters(server, publisher.prefix) as dead:
        letters = await dead.letters()
        assert {int(letter.payload) for letter in letters} == set(range(50))
        assert await dead.requeue() == 50


# --- a queue that is full


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_a_full_queue_holds_publishers_back(connect, server, queue_type):
    """The server refuses what has no room, the publisher keeps it and tries again; when somebody reads, all arrive, in order."""
    topic = Topic(f"small-{queue_type}", Overflow.BLOCK, 20)
    options = {"queue_max": 50, "queue_type": queue_type}
    bus = connect(**options)
    bus.declare(topic)
    desk = await member(bus, topic.name)
    desk.close()
    accepted = 0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and accepted < 1000:
        if bus.publish(topic.name, b"%d" % accepted, "k"):
            accepted += 1
        else:
            await asyncio.sleep(0.001)  # between two offers; the deadline decides
    assert 60 <= accepted <= 200
    assert bus.count(topic.name).refused > 0
    heir = connect(**options)
    heir.declare(topic)
    reader = await member(heir, topic.name)
    sending = asyncio.create_task(send(bus, range(accepted, accepted + 300), topic=topic.name))
    seen = []
    while len(first_times(seen)) < accepted + 300:
        async with asyncio.timeout(SECONDS):
            seen += numbers(await reader.take())
        reader.ack()
    await sending
    assert sorted(set(seen)) == list(range(accepted + 300))
    assert seen[:50] == list(range(50))


# --- what waiting cannot mend


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "not-the-word"}, "refuses user"),
        ({"virtual_host": "nowhere"}, "virtual host 'nowhere'"),
        ({"port": 1}, "connection refused"),
        ({"host": "nowhere.invalid"}, "cannot be reached"),
        ({"tls": True}, "TLS handshake failed"),
    ],
)
async def test_a_wrong_address_has_a_name(server, change, words):
    """Who sends, flushes, waits or reads gets the error: what was found, expected, and to do, and never the password."""
    wrong = msgspec.structs.replace(server, **change)
    bus = OwnBus(wrong, "client", "test-never", patience=0.3)
    bus.declare(Topic("orders", Overflow.BLOCK, 1))
    reader = bus.subscribe("orders")
    bus.publish("orders", b"1")
    waiting_for_it = [reader.take(), reader.ready(), bus.flush(), bus.send("orders", b"2")]
    errors = await asyncio.wait_for(asyncio.gather(*waiting_for_it, return_exceptions=True), SECONDS)
    assert [type(error) for error in errors] == [BusError] * 4
    for error in errors:
        assert words in str(error)
        assert error.do
        assert wrong.password not in str(error)
    with pytest.raises(BusError):
        bus.publish("orders", b"3")
    with pytest.raises(BusError):
        await bus.subscribe("orders").take()
    await bus.close()


async def test_another_number_of_partitions_is_refused(connect, server):
    """Two processes that disagree about a topic's partitions would lose messages; the second hears so."""
    await member(connect(), "shared")
    other = OwnBus(server, "other", connect().prefix)
    other.declare(Topic("shared", Overflow.BLOCK, 1000, partitions=4))
    other.publish("shared", b"1")
    with pytest.raises(BusError, match=r"has 6 partitions on the server; expected 4"):
        await other.flush()
    await other.close()


async def test_a_message_too_large_is_refused_at_once(connect):
    """It never reaches the server, and the bus goes on."""
    bus = connect()
    desk = await member(bus)
    with pytest.raises(BusError, match="too large"):
        bus.publish("orders", bytes((16 << 20) + 1))
    await bus.send("orders", bytes(1 << 20))
    assert len((await gather(desk, 1))[0].payload) == 1 << 20


async def test_a_bus_that_closes_without_its_server_says_what_is_missing(connect, proxy, server, monkeypatch):
    """What was not confirmed in time is an error, not silence."""
    monkeypatch.setattr("openbell.adapters.buses.rabbitmq.bus.CLOSE_SECONDS", 0.2)
    bus = connect(through(proxy, server))
    await send(bus, [1])
    await bus.flush()
    proxy.cut()
    await send(bus, [2, 3])
    with pytest.raises(BusError, match="2 messages are not confirmed"):
        await bus.close()


async def test_a_stalled_network_does_not_keep_a_bus_from_closing(connect, proxy, server, monkeypatch):
    """The other end takes nothing and answers nothing: the bus hangs up after a while."""
    monkeypatch.setattr("openbell.adapters.buses.rabbitmq.bus.CLOSE_SECONDS", 0.2)
    monkeypatch.setattr("openbell.adapters.buses.rabbitmq.server.CLOSE_SECONDS", 0.2)
    bus = connect(through(proxy, server))
    await member(bus)
    await member(bus, "shared")
    proxy.stall()
    while bus.publish("orders", bytes(20_000)):
        await asyncio.sleep(0)
    with pytest.raises(BusError, match="500 messages are not confirmed"):
        await asyncio.wait_for(bus.close(), 10)
