"""The bus over Kafka, where the contract is not the whole story: groups that change, processes that freeze, messages that are refused."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.kafka import KafkaBus, connection, producer, reader
from openbell.config import KafkaSettings
from openbell.errors import BusError, ConfigError
from tests.contracts.buses import SECONDS, comes, gather, kafka, settled
from tests.integration.kafka_member import Store
from tests.servers import ROOT, settings

pytestmark = pytest.mark.services


@pytest.fixture
async def prefix():
    """A beginning for the names of one test."""
    return f"test-{uuid.uuid4().hex[:12]}-"


@pytest.fixture
async def connect(prefix):
    """Makes connections; what they make on the server is removed afterwards."""
    async with kafka(prefix) as made:
        yield made


@pytest.fixture
def admin(prefix):
    """A client of the test's own, to do to the server what an operator would."""
    return AdminClient({"bootstrap.servers": settings("kafka").kafka.servers})


def declared(connect, *topics):
    bus = connect()
    bus.declare(*topics)
    return bus


# --- groups


async def test_members_come_and_go_and_nothing_is_doubled(connect, prefix):
    """While members join and leave in mid-stream, each message is delivered once and a key's messages in order: partitions are drained."""
    topic, group = Topic(f"{prefix}many", Overflow.BLOCK, 500, 4), f"{prefix}workers"
    publisher, total = declared(connect, topic), 6000
    delivered, members, tasks = [], [], []

    async def work(member):
        while messages := await member.take(100):
            await asyncio.sleep(0)  # the effect, which others may interrupt
            delivered.extend(messages)
            member.ack()

    def join():
        members.append(declared(connect, topic).subscribe(topic.name, group))
        tasks.append(asyncio.create_task(work(members[-1])))

    async def publish():
        for number in range(total):
            await publisher.send(topic.name, b"%d" % number, f"key{number % 40}")
            if number % 10 == 0:
                await asyncio.sleep(0.005)  # as a market would, not all at once

    join()
    await settled(members, 4)
    publishing = asyncio.create_task(publish())
    await comes(lambda: len(delivered) > 1000, "a thousand messages")
    join()
    await settled(members, 4)
    await comes(lambda: len(delivered) > 2500, "more messages")
    join()
    await settled(members, 4)
    members.pop(0).close()
    await settled(members, 4)
    await publishing
    await comes(lambda: len(delivered) >= total, "all messages")
    assert Counter(int(message.payload) for message in delivered) == Counter(range(total))
    for key in range(40):
        numbers = [int(message.payload) for message in delivered if message.key == f"key{key}"]
        assert numbers == sorted(numbers)
    for member in members:
        member.close()
    await asyncio.gather(*tasks)


async def test_a_member_that_does_not_acknowledge_does_not_hold_the_group_back(connect, prefix, monkeypatch):
    """What was taken is waited for, a bounded time; then it goes to the others, who get it again."""
    monkeypatch.setattr(reader, "DRAIN_SECONDS", 1.0)
    topic, group = Topic(f"{prefix}many", Overflow.BLOCK, 500, 2), f"{prefix}workers"
    bus = declared(connect, topic)
    stuck = bus.subscribe(topic.name, group)
    await settled([stuck], 2)
    for number in range(40):
        await bus.send(topic.name, b"%d" % number, f"key{number}")
    taken = await gather(stuck, 40)
    other = declared(connect, topic).subscribe(topic.name, group)
    await settled([stuck, other], 2)
    again = {int(message.payload) for message in taken if (topic.name, message.partition) in other.held}
    assert {int(message.payload) for message in await gather(other, len(again))} == again


async def test_a_frozen_member_doubles_no_effect(connect, prefix, tmp_path):
    """A process that was stopped past the session's end wakes up with messages in hand that others have dealt with: the offset stored with
    the effect refuses them. Nothing is lost, nothing is done twice, and each partition's messages are dealt with in order."""
    topic, group, total = Topic(f"{prefix}many", Overflow.BLOCK, 1000, 4), f"{prefix}workers", 3000
    bus, database = declared(connect, topic), str(tmp_path / "effects.db")
    Store(database, "test").connection.close()
    servers = settings("kafka").kafka.servers

    def member(name, *freeze):
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.kafka_member", servers, topic.name, group, database, name, *freeze],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "."},
        )  # fmt: skip

    def ask(question):
        with sqlite3.connect(database, timeout=30) as link:
            return link.execute(question).fetchall()

    frozen = member("frozen", "500")
    other = None
    try:
        for number in range(total // 2):
            await bus.send(topic.name, b"%d" % number, f"key{number % 40}")
        await comes(lambda: stopped(frozen.pid), "the member to freeze")
        before = ask("SELECT count(*) FROM effects")[0][0]
        assert 500 <= before < total // 2
        other = member("other")
        for number in range(total // 2, total):
            await bus.send(topic.name, b"%d" % number, f"key{number % 40}")
        await comes(lambda: ask("SELECT count(*) FROM effects")[0][0] == total, "the other member to do it all")
        frozen.send_signal(signal.SIGCONT)
        await comes(lambda: ask("SELECT count(*) FROM refused WHERE member = 'frozen'")[0][0], "the frozen member to come back")
    finally:
        frozen.send_signal(signal.SIGCONT)
        for process in (frozen, other):
            if process is not None:
                process.terminate()
                assert process.wait(SECONDS) == 0
    assert ask("SELECT count(*) FROM refused WHERE place > next") == [(0,)]
    assert sorted(int(row[0]) for row in ask("SELECT payload FROM effects")) == list(range(total))
    shares = {}
    for (payload,) in ask("SELECT payload FROM effects ORDER BY part, place"):
        shares.setdefault(int(payload) % 40, []).append(int(payload))
    assert all(share == sorted(share) for share in shares.values())


def stopped(pid):
    """Whether a process is stopped by a signal."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


# --- what is gone, and what is refused


async def test_a_start_before_the_oldest_message_says_what_is_gone(connect, prefix, admin):
    """Messages that retention removed are named; nothing is skipped in silence."""
    topic = Topic(f"{prefix}old", Overflow.BLOCK, 100)
    bus = declared(connect, topic)
    await expire(bus, topic, admin)
    with pytest.raises(BusError, match=r"messages 5 to 11 of .*old, partition 0 are gone") as raised:
        await take(bus.subscribe(topic.name, start={0: 5}))
    assert "from 12 to 20" in str(raised.value)
    assert int((await gather(bus.subscribe(topic.name, start={0: 12}), 8))[0].payload) == 12
    assert int((await gather(bus.subscribe(topic.name, start="oldest"), 8))[0].payload) == 12


async def test_a_group_that_fell_behind_says_what_is_gone(connect, prefix, admin):
    """A group whose next message is gone stops with the reason."""
    topic, group = Topic(f"{prefix}old", Overflow.BLOCK, 100), f"{prefix}workers"
    bus = declared(connect, topic)
    member = bus.subscribe(topic.name, group)
    await member.ready()
    await bus.send(topic.name, b"first")
    await gather(member, 1)
    member.ack()
    assert await member.disconnect(SECONDS)
    await expire(bus, topic, admin)
    late = bus.subscribe(topic.name, group)
    with pytest.raises(BusError, match=r"messages 1 to 11 of .* are gone"):
        await take(late)


async def test_a_start_behind_the_end_says_so(connect, prefix):
    """An offset that the topic has not reached belongs to another topic of that name."""
    topic = Topic(f"{prefix}young", Overflow.BLOCK, 100)
    bus = declared(connect, topic)
    await bus.send(topic.name, b"0")
    await bus.flush()
    with pytest.raises(BusError, match=r"ends at 1, before message 7; expected an offset from 0 to 1"):
        await take(bus.subscribe(topic.name, start={0: 7}))
    with pytest.raises(BusError, match=r"no partition 3"):
        await bus.subscribe(topic.name, start={3: 0}).ready()


async def test_a_message_that_is_too_large_is_refused_at_once(connect, prefix):
    """The error names its size and the bound, and what follows is delivered."""
    topic = Topic(f"{prefix}large", Overflow.BLOCK, 100)
    bus = declared(connect, topic)
    with pytest.raises(BusError, match=r"a message of 2000000 bytes for topic .*at most 1000000 bytes.*message.max.bytes"):
        bus.publish(topic.name, b"x" * 2_000_000)
    await bus.send(topic.name, b"x" * 1_000_000)
    assert len((await gather(bus.subscribe(topic.name, start="oldest"), 1))[0].payload) == 1_000_000


async def test_a_topic_that_takes_too_little_is_refused(connect, prefix, admin):
    """A server refuses a whole request, also of small messages, when it is larger than the topic allows: so such a topic is an error."""
    topic = Topic(f"{prefix}small", Overflow.BLOCK, 100)
    await asyncio.wrap_future(admin.create_topics([NewTopic(topic.name, 1, -1, config={"max.message.bytes": "1000"})])[topic.name])
    bus = declared(connect, topic)
    bus.publish(topic.name, b"1")
    with pytest.raises(BusError, match=r"small takes 1000 bytes at once; expected at least 1001000.*max.message.bytes"):
        await bus.flush()
    assert bus.publish(topic.name, b"2")
    with pytest.raises(BusError, match=r"max\.message\.bytes"):
        await bus.flush()


async def test_a_message_that_the_server_refuses_is_told_by_flush(connect, prefix, admin):
    """What the server does not take, is told once, and what follows is delivered."""
    topic = Topic(f"{prefix}shrinks", Overflow.BLOCK, 100)
    bus = declared(connect, topic)
    await bus.send(topic.name, b"1")
    await bus.flush()
    lower = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=[lower])
    await asyncio.wrap_future(admin.incremental_alter_configs([change])[change])
    bus.publish(topic.name, b"x" * 5000)
    with pytest.raises(BusError, match=r"a message of 5000 bytes for .* is too large.*message.max.bytes"):
        await bus.flush()
    await bus.flush()
    await bus.send(topic.name, b"2")
    assert [message.payload for message in await gather(bus.subscribe(topic.name, start="oldest"), 2)] == [b"1", b"2"]


async def test_a_topic_that_shows_gives_up_the_oldest_when_the_server_is_slower(connect, prefix):
    """As many as the buffer holds are on their way and as many wait; the newest comes last, and what is given up is counted."""
    topic = Topic(f"{prefix}ticks", Overflow.DROP_OLDEST, 3)
    bus = declared(connect, topic)
    reader = bus.subscribe(topic.name)
    await reader.ready()
    await bus.send(topic.name, b"0")
    await bus.flush()
    received = await gather(reader, 1)
    assert all(bus.publish(topic.name, b"%d" % number) for number in range(1, 51))
    assert bus.count(topic.name).dropped == 44
    while received[-1].payload != b"50":
        received += await take(reader)
    numbers = [int(message.payload) for message in received]
    assert numbers == sorted(numbers)
    assert len(received) + bus.count(topic.name).dropped == 51


# --- keys and partitions


async def test_a_key_is_where_every_language_puts_it(connect, prefix):
    """The hash is that of Kafka's Java client; numbers from its own tests (UtilsTest.testMurmur2)."""
    hashes = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829}
    topic = Topic(f"{prefix}keys", Overflow.BLOCK, 100, 7)
    bus = declared(connect, topic)
    for key in hashes:
        await bus.send(topic.name, b"", key)
    found = {message.key: message.partition for message in await gather(bus.subscribe(topic.name, start="oldest"), len(hashes))}
    assert found == {key: (number & 0x7FFFFFFF) % 7 for key, number in hashes.items()}


async def test_a_topic_that_is_there_stays_as_it_is(connect, prefix, admin):
    """Another number of partitions than declared: the server's counts."""
    name = f"{prefix}there"
    await asyncio.wrap_future(admin.create_topics([NewTopic(name, 3, -1)])[name])
    bus = declared(connect, Topic(name, Overflow.BLOCK, 100, 8))
    assert set(await bus.ends(name)) == {0, 1, 2}
    subscription = bus.subscribe(name)
    await subscription.ready()
    assert len(subscription.held) == 3


async def test_a_topic_says_how_long_it_is_kept(connect, prefix, admin):
    topic = Topic(f"{prefix}kept", Overflow.BLOCK, 100, keep_s=3600)
    assert set(await declared(connect, topic).ends(topic.name)) == {0}
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    found = await asyncio.wrap_future(admin.describe_configs([resource])[resource])
    assert found["retention.ms"].value == "3600000"


async def test_topics_are_made_at_once_by_many(connect, prefix):
    """Several processes that use a topic first at the same time: one makes it."""
    topic = Topic(f"{prefix}race", Overflow.BLOCK, 100, 4)
    buses = [declared(connect, topic) for _ in range(4)]
    ends = await asyncio.gather(*(bus.ends(topic.name) for bus in buses))
    assert ends == [dict.fromkeys(range(4), 0)] * 4


# --- servers that are not what we think


async def test_a_server_that_is_away_is_waited_for(monkeypatch):
    """Within the bound messages are accepted, then refused; who waits, waits; closing says what was not confirmed."""
    monkeypatch.setattr(producer, "CLOSE_SECONDS", 0.5)
    bus = KafkaBus(KafkaSettings(servers="127.0.0.1:1"), "away")
    bus.declare(Topic("orders", Overflow.BLOCK, 3), Topic("ticks", Overflow.DROP_OLDEST, 3))
    assert [bus.publish("orders", b"") for _ in range(5)] == [True, True, True, False, False]
    assert all(bus.publish("ticks", b"") for _ in range(5))
    assert bus.count("ticks").dropped == 2
    subscription = bus.subscribe("orders")
    for waiting in (bus.send("orders", b""), bus.flush(), subscription.take(), subscription.ready()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.2)
    with pytest.raises(BusError, match="6 messages are not confirmed"):
        await bus.close()
    assert await subscription.take() == []


async def test_a_server_that_refuses_us_is_an_error():
    """A user where none is asked for, as a wrong password: told with what to check, and without the password."""
    bus = KafkaBus(KafkaSettings(servers=settings("kafka").kafka.servers, user="trader", password="swordfish"), "stranger")
    bus.declare(Topic("orders", Overflow.BLOCK, 3))
    bus.publish("orders", b"")
    subscription = bus.subscribe("orders")
    for waiting in (bus.flush(), subscription.take(), subscription.ready(), bus.ends("orders"), bus.close()):
        with pytest.raises(BusError, match=r"refuses user 'trader'.*kafka.password") as raised:
            await asyncio.wait_for(waiting, SECONDS)
        assert "swordfish" not in str(raised.value)


async def test_a_password_is_not_sent_in_the_clear():
    """PLAIN without TLS is refused before anything is sent."""
    bus = KafkaBus(KafkaSettings(user="trader", password="swordfish", mechanism="PLAIN"), "careless")
    bus.declare(Topic("orders", Overflow.BLOCK, 3))
    with pytest.raises(ConfigError, match=r"kafka.mechanism is PLAIN without TLS.*kafka.tls"):
        bus.publish("orders", b"")
    await bus.close()


async def test_an_address_that_nobody_knows_is_an_error(monkeypatch):
    """After a while, because a name server may be slow to know a new machine."""
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.5)
    bus = KafkaBus(KafkaSettings(servers="no-such-host.invalid:9092"), "lost")
    bus.declare(Topic("orders", Overflow.BLOCK, 3))
    bus.publish("orders", b"")
    with pytest.raises(BusError, match=r"nobody knows the address no-such-host.invalid:9092.*kafka.servers"):
        await asyncio.wait_for(bus.flush(), SECONDS)
    with pytest.raises(BusError, match="nobody knows"):
        await bus.close()


async def expire(bus, topic, admin):
    """Publish up to message 19, and remove all before 12, as retention does."""
    while (await bus.ends(topic.name))[0] < 20:
        await bus.send(topic.name, b"%d" % (await bus.ends(topic.name))[0])
        await bus.flush()
    for answer in admin.delete_records([TopicPartition(topic.name, 0, 12)]).values():
        await asyncio.wrap_future(answer)


async def take(subscription):
    async with asyncio.timeout(SECONDS):
        return await subscription.take()
