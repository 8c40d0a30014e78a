"""The buses on Redis, where the contract is not the whole story: groups that change, history that is gone, a server that refuses us."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter

import pytest

from openbell.adapters import redis_server
from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.redis import RedisPubSubBus, RedisStreamBus, bus
from openbell.adapters.redis_server import RedisServer
from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
from openbell.adapters.stores.speed_layer import Price
from openbell.errors import BusError, StorageError, UsageError
from tests.contracts.buses import SECONDS, comes, gather, settled
from tests.integration.kafka_member import Store
from tests.redis import OwnRedis
from tests.servers import ROOT, settings

pytestmark = pytest.mark.services

MANY = Topic("many", Overflow.BLOCK, 500, 4)
ORDERS = Topic("orders", Overflow.BLOCK, 100)


@pytest.fixture
def server():
    return RedisServer.at(settings("redis").redis)


@pytest.fixture
async def client(server):
    async with server.client() as made:
        yield made


@pytest.fixture
async def prefix(client):
    """A beginning for the keys of one test; what begins so is deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}:"
    yield name
    async for key in client.scan_iter(f"{name}*", 1000):
        await client.delete(key)


@pytest.fixture
async def connect(server, prefix):
    """Makes connections to streams, closed afterwards."""
    made = []

    def connect(*topics, **options):
        made.append(RedisStreamBus(server, "test", prefix=prefix, **options))
        made[-1].declare(*topics)
        return made[-1]

    yield connect
    for one in made:
        await one.close()


async def take(subscription):
    async with asyncio.timeout(SECONDS):
        return await subscription.take()


def numbers(messages):
    return [int(message.payload) for message in messages]


# --- groups


async def test_members_come_and_go_and_nothing_is_doubled(connect):
    """While members join and leave in mid-stream, each message is delivered once and a key's messages in order: partitions are drained."""
    publisher, total = connect(MANY), 6000
    delivered, members, tasks = [], [], []

    async def work(member):
        while messages := await member.take(100):
            await asyncio.sleep(0)  # the effect, which others may interrupt
            delivered.extend(messages)
            member.ack()

    def join():
        members.append(connect(MANY).subscribe("many", "workers"))
        tasks.append(asyncio.create_task(work(members[-1])))

    async def publish():
        for number in range(total):
            await publisher.send("many", b"%d" % number, f"key{number % 40}")
            if number % 10 == 0:
                await asyncio.sleep(0.005)  # as a market would, not all at once

    join()
    await settled(members, 4)
    publishing = asyncio.create_task(publish())
    await comes(lambda: len(delivered) > 500, "some messages")
    join()
    await settled(members, 4)
    join()
    await settled(members, 4)
    members.pop(0).close()
    await settled(members, 4)
    await publishing
    await comes(lambda: len(delivered) >= total, "all messages")
    assert Counter(numbers(delivered)) == Counter(range(total))
    for key in range(40):
        own = [int(message.payload) for message in delivered if message.key == f"key{key}"]
        assert own == sorted(own)
    for member in members:
        member.close()
    await asyncio.gather(*tasks)


async def test_a_member_that_does_not_acknowledge_does_not_hold_the_group_back(connect):
    """What was taken is waited for, a bounded time; then it goes to the others, who get it again."""
    slow = connect(MANY, lease_s=0.5)
    stuck = slow.subscribe("many", "workers")
    await settled([stuck], 4)
    for number in range(40):
        await slow.send("many", b"%d" % number, f"key{number}")
    taken = await gather(stuck, 40)
    other = connect(MANY, lease_s=0.5).subscribe("many", "workers")
    await settled([stuck, other], 4)
    again = {int(message.payload) for message in taken if ("many", message.partition) in other.held}
    assert again
    assert set(numbers(await gather(other, len(again)))) == again


async def test_more_members_than_partitions(connect):
    """Those without a share wait, and take over when one leaves."""
    members = [connect(ORDERS).subscribe("orders", "workers") for _ in range(3)]
    for member in members:
        await member.ready()
    await comes(lambda: sum(len(member.held) for member in members) == 1, "one reader")
    reading = next(member for member in members if member.held)
    await connect(ORDERS).send("orders", b"1")
    assert numbers(await gather(reading, 1)) == [1]
    reading.close()
    others = [member for member in members if member is not reading]
    await comes(lambda: sum(len(member.held) for member in others) == 1, "another reader")
    heir = next(member for member in others if member.held)
    assert numbers(await gather(heir, 1)) == [1]


async def test_a_dead_member_s_partitions_go_to_the_others(connect, server, prefix, tmp_path):
    """A process that is killed holds its partitions for the length of a lease, no longer; nothing is lost, no effect is doubled."""
    database = str(tmp_path / "effects.db")
    Store(database, "test").connection.close()
    publisher = connect(MANY)
    with members(server, prefix, database) as start:
        dies, _ = start("dies"), start("lives")
        number = 0
        async with asyncio.timeout(SECONDS):
            while len(ask(database, "SELECT DISTINCT member FROM effects")) < 2:
                await publisher.send("many", b"%d" % number, f"key{number % 40}")
                number += 1
        dies.kill()
        first, total = number, number + 1000
        for number in range(first, total):
            await publisher.send("many", b"%d" % number, f"key{number % 40}")
        await comes(lambda: ask(database, "SELECT count(*) FROM effects")[0][0] == total, "all effects")
    see_that_all_was_done_once(database, total)


async def test_a_frozen_member_doubles_no_effect(connect, server, prefix, tmp_path):
    """A process that was stopped past its lease wakes up with messages in hand that others have dealt with: the offset stored with the
    effect refuses them, its acknowledgement changes nothing, and it takes part again."""
    database, total = str(tmp_path / "effects.db"), 3000
    Store(database, "test").connection.close()
    publisher = connect(MANY)
    with members(server, prefix, database) as start:
        frozen = start("frozen", "500")
        for number in range(total // 2):
            await publisher.send("many", b"%d" % number, f"key{number % 40}")
        await comes(lambda: stopped(frozen.pid), "the member to freeze")
        start("other")
        for number in range(total // 2, total):
            await publisher.send("many", b"%d" % number, f"key{number % 40}")
        await comes(lambda: ask(database, "SELECT count(*) FROM effects")[0][0] == total, "the other member to do it all")
        frozen.send_signal(signal.SIGCONT)
        await comes(lambda: ask(database, "SELECT count(*) FROM refused WHERE member = 'frozen'")[0][0], "the frozen member to come back")
        for number in range(total, total + 400):
            await publisher.send("many", b"%d" % number, f"key{number % 40}")
        await comes(lambda: ask(database, "SELECT count(*) FROM effects")[0][0] == total + 400, "the rest")
    see_that_all_was_done_once(database, total + 400)


@contextlib.contextmanager
def members(server, prefix, database):
    """Starts processes of `redis_member` by name, and how many effects before it freezes; they end with the block."""
    processes = []
    command = [sys.executable, "-m", "tests.integration.redis_member", str(server.port), prefix, "workers", database]

    def start(*wanted):
        processes.append(subprocess.Popen([*command, *wanted], cwd=ROOT))
        return processes[-1]

    try:
        yield start
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(SECONDS)


def ask(database, question):
    with sqlite3.connect(database, timeout=30) as link:
        return link.execute(question).fetchall()


def stopped(pid):
    """Whether a process is stopped by a signal."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def see_that_all_was_done_once(database, total):
    assert ask(database, "SELECT count(*) FROM refused WHERE place > next") == [(0,)]
    assert sorted(int(row[0]) for row in ask(database, "SELECT payload FROM effects")) == list(range(total))
    shares = {}
    for (payload,) in ask(database, "SELECT payload FROM effects ORDER BY part, place"):
        shares.setdefault(int(payload) % 40, []).append(int(payload))
    assert all(share == sorted(share) for share in shares.values())


# --- history


async def test_a_start_before_the_oldest_message_says_what_is_gone(connect, client, prefix):
    """Messages that were trimmed are named; nothing is skipped in silence."""
    made = connect(ORDERS)
    await expire(made, client, prefix)
    with pytest.raises(BusError, match=r"messages 5 to 11 of orders, partition 0 are gone.*from offset 12"):
        await take(made.subscribe("orders", start={0: 5}))
    assert numbers(await gather(made.subscribe("orders", start={0: 12}), 8))[0] == 12
    assert numbers(await gather(made.subscribe("orders", start="oldest"), 8))[0] == 12


async def test_a_reader_that_is_overtaken_by_the_trimming_is_told(connect, client, prefix):
    """What could be read is handed over, then the gap is an error."""
    made = connect(Topic("orders", Overflow.BLOCK, 3))
    slow = made.subscribe("orders", start="oldest")
    await slow.ready()
    await expire(made, client, prefix)
    assert numbers(await gather(slow, 3)) == [0, 1, 2]
    with pytest.raises(BusError, match=r"messages 3 to 11 of orders"):
        await take(slow)
    with pytest.raises(BusError, match=r"messages 3 to 11 of orders"):
        await take(slow)


async def test_a_group_that_fell_behind_says_what_is_gone(connect, client, prefix):
    """A group whose next message is gone stops with the reason; a new group begins with the oldest that is there."""
    made = connect(ORDERS)
    member = made.subscribe("orders", "workers")
    await made.send("orders", b"0")
    await gather(member, 1)
    member.ack()
    member.close()
    await expire(made, client, prefix)
    with pytest.raises(BusError, match=r"messages 1 to 11 of orders"):
        await take(made.subscribe("orders", "workers"))
    assert numbers(await gather(made.subscribe("orders", "newcomers"), 8))[0] == 12


async def test_only_the_newest_messages_are_kept(connect):
    """About as many as the history says, at least; the offsets go on."""
    made = connect(ORDERS, history=1000)
    for number in range(5000):
        await made.send("orders", b"%d" % number)
    await made.flush()
    reader = made.subscribe("orders", start="oldest")
    first = int((await gather(reader, 1))[0].payload)
    assert 5000 - 1300 < first <= 4000
    assert numbers(await gather(reader, 4999 - first)) == list(range(first + 1, 5000))
    assert await made.ends("orders") == {0: 5000}


async def test_a_start_behind_the_end_says_so(connect):
    """An offset that the topic has not reached was of messages that are lost."""
    made = connect(ORDERS)
    await made.send("orders", b"0")
    await made.flush()
    with pytest.raises(BusError, match=r"messages 1 to 6 of orders, partition 0.*lost"):
        await take(made.subscribe("orders", start={0: 7}))
    with pytest.raises(BusError, match=r"no partition 3"):
        await made.subscribe("orders", start={3: 0}).ready()
    assert await made.subscribe("orders", start={0: 1}).ready() is None


async def test_everybody_divides_a_topic_alike(connect):
    """Who believes in another number of partitions is refused, or it would miss some."""
    await connect(MANY).send("many", b"0")
    other = connect(Topic("many", Overflow.BLOCK, 500, 2))
    await connect(MANY).ends("many")
    subscription = other.subscribe("many")
    for waiting in (subscription.ready(), other.ends("many"), subscription.take()):
        with pytest.raises(BusError, match=r"many has 2 partitions here; expected 4"):
            await asyncio.wait_for(waiting, SECONDS)
    other.publish("many", b"1")
    with pytest.raises(BusError, match="partitions"):
        await asyncio.wait_for(other.flush(), SECONDS)
    with pytest.raises(BusError, match="partitions"):
        await other.close()


async def test_publishers_share_the_offsets(connect):
    """Several processes write to one partition: the offsets have no gap, and each one's messages are in order."""
    writers = [connect(ORDERS) for _ in range(4)]

    async def write(index):
        for number in range(300):
            await writers[index].send("orders", b"%d" % (index * 1000 + number))

    await asyncio.gather(*map(write, range(4)))
    for writer in writers:
        await writer.flush()
    found = await gather(connect(ORDERS).subscribe("orders", start="oldest"), 1200)
    assert [message.offset for message in found] == list(range(1200))
    for index in range(4):
        assert [number for number in numbers(found) if number // 1000 == index] == list(range(index * 1000, index * 1000 + 300))


async def expire(made, client, prefix):
    """Publish up to message 19, and remove all before 12, as a short history does."""
    while (end := (await made.ends("orders"))[0]) < 20:
        await made.send("orders", b"%d" % end)
        await made.flush()
    await client.xtrim(f"{prefix}orders:0", maxlen=8, approximate=False)


# --- channels


async def test_people_take_part_in_the_control_channel(server, client):
    """A plain text from redis-cli arrives as it is, without a key; a message without a key is the plain payload for them."""
    name = f"test-{uuid.uuid4().hex[:12]}-control"
    made = RedisPubSubBus(server)
    made.declare(Topic(name))
    subscription = made.subscribe(name)
    await subscription.ready()
    listening = client.pubsub(ignore_subscribe_messages=True)
    await listening.subscribe(name)
    await listening.get_message(timeout=SECONDS)
    assert await client.publish(name, '{"type": "pause"}') == 2
    (message,) = await gather(subscription, 1)
    assert (message.topic, message.payload, message.key) == (name, b'{"type": "pause"}', "")
    await made.send(name, b'{"type": "resume"}')
    heard = []
    while len(heard) < 2:
        if found := await listening.get_message(timeout=SECONDS):
            heard.append(found["data"])
    assert heard == [b'{"type": "pause"}', b'{"type": "resume"}']
    await listening.aclose()
    await made.close()


async def test_channels_have_no_groups(server):
    """A group is refused at once, with what to do."""
    made = RedisPubSubBus(server)
    made.declare(ORDERS)
    with pytest.raises(UsageError, match=r"no groups.*without one"):
        made.subscribe("orders", "workers")
    await made.close()


# --- servers that are not what we think


async def test_a_message_that_is_too_large_is_refused_at_once(connect):
    """The error names its size and the bound, and what follows is delivered."""
    made = connect(ORDERS)
    with pytest.raises(BusError, match=r"a message to orders has 8000001 bytes; expected at most 8000000"):
        made.publish("orders", b"x" * 8_000_001)
    await made.send("orders", b"x" * 8_000_000)
    assert len((await gather(made.subscribe("orders", start="oldest"), 1))[0].payload) == 8_000_000


async def test_large_messages_go_through_in_bounded_loads(tmp_path):
    """A hundred messages of 2 MB, written and read in several round trips each."""
    own = OwnRedis(tmp_path, "--appendonly", "no").start()
    try:
        made = own.streams(Topic("large", Overflow.BLOCK, 200))
        subscription = made.subscribe("large")
        await subscription.ready()
        sent = [bytes([number]) * 2_000_000 for number in range(100)]

        async def write():
            for payload in sent:
                await made.send("large", payload)

        async with asyncio.timeout(SECONDS):
            _, found = await asyncio.gather(write(), gather(subscription, 100))
        assert [message.payload for message in found] == sent
    finally:
        await own.end()


@pytest.mark.parametrize("kind", [RedisStreamBus, RedisPubSubBus])
async def test_a_server_that_is_away_is_waited_for(kind, monkeypatch):
    """Within the bound messages are accepted, then refused; who waits, waits; closing says what was not confirmed."""
    monkeypatch.setattr(bus, "CLOSE_S", 0.3)
    made = kind(RedisServer("127.0.0.1", 1))
    made.declare(Topic("orders", Overflow.BLOCK, 3), Topic("ticks", Overflow.DROP_OLDEST, 3))
    assert [made.publish("orders", b"") for _ in range(5)] == [True, True, True, False, False]
    assert all(made.publish("ticks", b"") for _ in range(5))
    assert made.count("ticks").dropped == 2
    subscription = made.subscribe("orders")
    for waiting in (made.send("orders", b""), made.flush(), subscription.take(), subscription.ready()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.2)
    with pytest.raises(BusError, match="6 messages were not confirmed"):
        await made.close()
    assert await subscription.take() == []


@pytest.mark.parametrize("kind", [RedisStreamBus, RedisPubSubBus])
@pytest.mark.parametrize("given", ["", "swordfish"])
async def test_a_server_that_refuses_us_is_an_error(kind, given, tmp_path):
    """No password, or a wrong one: told with what to check, without the password."""
    own = OwnRedis(tmp_path, "--requirepass", "trout").start()
    made = kind(RedisServer("127.0.0.1", own.port, given))
    try:
        made.declare(ORDERS)
        made.publish("orders", b"")
        subscription = made.subscribe("orders")
        for waiting in (made.flush(), subscription.take(), subscription.ready(), made.close()):
            with pytest.raises(BusError, match=r"password.*OPENBELL_REDIS__PASSWORD") as raised:
                await asyncio.wait_for(waiting, SECONDS)
            assert "swordfish" not in f"{raised.value} {raised.value!r} {made!r} {made._server!r}"
    finally:
        own.kill()


async def test_the_right_password_opens(tmp_path):
    """And is not shown."""
    own = OwnRedis(tmp_path, "--requirepass", "trout").start()
    server = RedisServer("127.0.0.1", own.port, "trout")
    made = RedisStreamBus(server)
    try:
        made.declare(ORDERS)
        await made.send("orders", b"1")
        assert numbers(await gather(made.subscribe("orders", start="oldest"), 1)) == [1]
        assert "trout" not in repr(server)
        await made.close()
    finally:
        own.kill()


@pytest.mark.parametrize(
    ("port", "said"),
    [("rabbitmq", r"what answers at .* is not Redis.*REDIS_ADDR"), (None, r"nobody knows a machine called no-such-host.invalid")],
)
async def test_an_address_that_is_wrong_is_an_error(port, said, monkeypatch):
    """Another server, or, after a while, a name that nobody knows."""
    monkeypatch.setattr(redis_server, "PATIENCE_S", 0.5)
    server = RedisServer("no-such-host.invalid")
    if port is not None:
        server = RedisServer(settings(port).rabbitmq.host, settings(port).rabbitmq.port)
    made = RedisStreamBus(server)
    made.declare(ORDERS)
    made.publish("orders", b"")
    subscription = made.subscribe("orders")
    for waiting in (made.flush(), subscription.ready(), made.ends("orders"), made.close()):
        with pytest.raises(BusError, match=said):
            await asyncio.wait_for(waiting, SECONDS)


async def test_a_speed_layer_without_a_server(tmp_path):
    """Updates wait, the newest of each key; a question is answered with an error that says what to do, and so is a wrong password."""
    layer = RedisSpeedLayer(RedisServer("127.0.0.1", 1))
    for number in range(5):
        await layer.update({"AAPL": Price(1.0, None, None, None, number)})
    with pytest.raises(StorageError, match=r"127.0.0.1:1 does not answer.*See whether it runs"):
        await layer.get_price("AAPL")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.flush(), 0.2)
    await layer.close()
    own = OwnRedis(tmp_path, "--requirepass", "trout").start()
    closed = RedisSpeedLayer(own.server)
    try:
        await closed.update({"AAPL": Price(1.0, None, None, None, 1)})
        for asking in (closed.flush(), closed.get_price("AAPL"), closed.close()):
            with pytest.raises(StorageError, match="asks for a password"):
                await asyncio.wait_for(asking, SECONDS)
    finally:
        own.kill()
