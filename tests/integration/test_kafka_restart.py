"""Kafka is killed in mid-stream and comes back: a broker of this test's own, so that nobody else is disturbed."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections import Counter

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.kafka import KafkaBus
from openbell.config import KafkaSettings
from openbell.errors import BusError
from tests.contracts.buses import gather
from tests.servers import ROOT

pytestmark = [pytest.mark.services, pytest.mark.slow]

SECONDS = 120.0


class OwnKafka:
    """A broker under scripts/services.sh in a folder and on ports of its own."""

    def __init__(self):
        self.folder = ROOT / "run" / f"test-{uuid.uuid4().hex[:12]}"
        self.offset = next(offset for offset in range(1000, 20000, 10) if free(29092 + offset) and free(29093 + offset))
        self.settings = KafkaSettings(servers=f"127.0.0.1:{29092 + self.offset}")
        jars = list((ROOT / "run" / "kafka").glob("jars-*[0-9]"))
        if jars:  # what was fetched once need not be fetched again
            (self.folder / "kafka").mkdir(parents=True)
            (self.folder / "kafka" / jars[0].name).symlink_to(jars[0])

    def run(self, command):
        environment = {**os.environ, "OPENBELL_SERVICES_DIR": str(self.folder), "OPENBELL_SERVICES_PORT_OFFSET": str(self.offset)}
        done = subprocess.run(
            [ROOT / "scripts/services.sh", command, "kafka"], env=environment, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr

    def bus(self, *topics):
        made = KafkaBus(self.settings, "test")
        made.declare(*topics)
        return made


def free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def broker():
    own = OwnKafka()
    own.run("up")
    try:
        yield own
    finally:
        own.run("down")
        shutil.rmtree(own.folder)


async def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(broker):
    """Publishers wait within their bound; a reader by offset and a group each get every message once, a key's in order."""
    topic, total = Topic("ticks", Overflow.BLOCK, 200, 4), 20_000
    publisher, bus = broker.bus(topic), broker.bus(topic)
    reader, member = bus.subscribe("ticks"), bus.subscribe("ticks", "workers")
    await reader.ready()
    await member.ready()
    longest = 0.0

    async def publish():
        nonlocal longest
        for number in range(total):
            begin = time.monotonic()
            await publisher.send("ticks", b"%d" % number, f"key{number % 40}")
            longest = max(longest, time.monotonic() - begin)
        await publisher.flush()

    async def read(subscription):
        taken = []
        while len(taken) < total:
            taken += await subscription.take()
            subscription.ack()
        return taken

    async def disturb():
        while publisher.count("ticks").published < total // 4:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(broker.run, "kill")
        assert publisher.count("ticks").published < total
        await asyncio.to_thread(broker.run, "start")

    async with asyncio.timeout(SECONDS):
        _, by_offset, by_group, _ = await asyncio.gather(publish(), read(reader), read(member), disturb())
    for taken in (by_offset, by_group):
        assert Counter(int(message.payload) for message in taken) == Counter(range(total))
        for key in range(40):
            numbers = [int(message.payload) for message in taken if message.key == f"key{key}"]
            assert numbers == sorted(numbers)
    assert longest > 0.5  # it did wait
    print(f"the longest wait of a publisher was {longest:.1f} s")
    await asyncio.gather(publisher.close(), bus.close())


async def test_leaving_while_the_broker_is_away_takes_a_bounded_time(broker):
    """Closing gives up after a while, says what was not confirmed, and what had arrived can still be taken."""
    topic = Topic("ticks", Overflow.BLOCK, 200, 4)
    bus = broker.bus(topic)
    member = bus.subscribe("ticks", "workers")
    await member.ready()
    for number in range(10):
        await bus.send("ticks", b"%d" % number, f"key{number}")
    await gather(member, 5)
    await asyncio.to_thread(broker.run, "kill")
    member.ack()
    bus.publish("ticks", b"late")
    begin = time.monotonic()
    with pytest.raises(BusError, match="1 messages are not confirmed"):
        await bus.close()
    assert time.monotonic() - begin < 30
    async with asyncio.timeout(5):
        while await member.take():
            pass
