"""A RabbitMQ server that is killed in the middle of everything: a server of this module's own, which nobody else uses."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq.dead_letters import DeadLetters
from openbell.config import load_settings
from tests.rabbitmq import OwnBus
from tests.servers import ROOT

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(600)]

ORDERS = Topic("orders", Overflow.BLOCK, 500)
SHARED = Topic("shared", Overflow.BLOCK, 1000, partitions=4)
KILLS = 3
MESSAGES = 3000
SECONDS = 120.0


class OwnServer:
    """A server in a folder and on ports of its own."""

    def __init__(self):
        self.folder = ROOT / "run" / f"test-{uuid.uuid4().hex[:12]}"
        offset = next(offset for offset in range(3000, 9000, 10) if all(_is_free(port + offset) for port in (15672, 15674, 14369)))
        self._environment = {**os.environ, "OPENBELL_SERVICES_DIR": str(self.folder), "OPENBELL_SERVICES_PORT_OFFSET": str(offset)}

    def run(self, command):
        done = subprocess.run(
            [ROOT / "scripts/services.sh", command, *(["rabbitmq"] if command != "env" else [])],
            env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def settings(self):
        lines = (line.removeprefix("export ").split("=", 1) for line in self.run("env").splitlines())
        return load_settings(environment=dict(lines), folder=ROOT / "tests").rabbitmq

    async def crash(self):
        """SIGKILL, and a start with what is on the disk."""
        await asyncio.to_thread(self.run, "kill")
        await asyncio.to_thread(self.run, "start")


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def server():
    own = OwnServer()
    own.run("up")
    yield own
    own.run("down")
    shutil.rmtree(own.folder, ignore_errors=True)


@pytest.fixture
async def connect(server):
    prefix, made, settings = f"test-{uuid.uuid4().hex[:12]}", [], server.settings()

    def make():
        bus = OwnBus(settings, f"client-{len(made)}", prefix, delays=(0.2, 0.2, 0.2))
        bus.declare(ORDERS, SHARED)
        made.append(bus)
        return bus

    yield make
    await asyncio.gather(*(bus.close() for bus in made))


async def member(bus, topic, group=""):
    made = bus.subscribe(topic, group)
    async with asyncio.timeout(SECONDS):
        await made.ready()
    return made


async def comes(condition, what):
    """Wait until the answer is true; fails at the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what}"
        await asyncio.sleep(0.02)  # between two looks; the deadline decides


def first_times(seen):
    return list(dict.fromkeys(seen))


async def read(subscription, seen):
    """Take and acknowledge for ever."""
    while messages := await subscription.take():
        seen += [(message.key, int(message.payload)) for message in messages]
        subscription.ack()


@contextlib.asynccontextmanager
async def at_work(*coroutines):
    """Run these beside the block; one that fails ends the test."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
        for task in tasks:
            assert not task.done() or task.exception() is None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_server_killed_in_mid_stream_loses_nothing(connect, server):
    """Kills while messages are published, shared by a group and read by all: each that was accepted arrives, in order of its key."""
    publisher, workers, watcher = connect(), [connect(), connect()], connect()
    members = [await member(bus, "shared", "workers") for bus in workers]
    desk, everything = await member(workers[0], "orders", "desk"), await member(watcher, "orders")
    seen = {"desk": [], "everything": [], "workers": []}
    accepted = 0

    async def publish():
        nonlocal accepted
        for number in range(MESSAGES):
            await publisher.send("orders", b"%d" % number, "k")
            await publisher.send("shared", b"%d" % number, f"key{number % 20}")
            accepted = number + 1
        await publisher.flush()

    readers = [read(desk, seen["desk"]), read(everything, seen["everything"]), *(read(each, seen["workers"]) for each in members)]
    async with at_work(*readers):
        publishing = asyncio.create_task(publish())
        for kill in range(KILLS):
            await comes(lambda kill=kill: accepted >= MESSAGES * (kill + 1) // (KILLS + 2), "messages on their way")
            await server.crash()
        await asyncio.wait_for(publishing, SECONDS)
        await comes(lambda: all(len(set(each)) == MESSAGES for each in seen.values()), "everything")
    for name in ("desk", "everything"):
        assert first_times(seen[name]) == [("k", number) for number in range(MESSAGES)]
    for key in range(20):
        own = [number for name, number in first_times(seen["workers"]) if name == f"key{key}"]
        assert own == sorted(own)


async def test_retries_and_dead_letters_survive_a_kill(connect, server):
    """Messages are retried to the end and rejected while the server is killed: each is among the dead letters, none is missing."""
    bus = connect()
    desk = await member(bus, "orders", "desk")
    for number in range(200):
        await bus.send("orders", b"%d" % number, "k")
    await bus.flush()
    handed_back = 0

    async def hand_back():
        nonlocal handed_back
        while messages := await desk.take(20):
            for message in messages:
                await desk.retry(message, "no")
                handed_back += 1

    async def letters():
        async with DeadLetters(server.settings(), bus.prefix) as dead:
            return {int(letter.payload) for letter in await dead.letters()}

    async with at_work(hand_back()):
        for kill in range(2):
            await comes(lambda kill=kill: handed_back >= 150 * (kill + 1), "messages handed back")
            await server.crash()
        async with asyncio.timeout(SECONDS):
            while await letters() != set(range(200)):
                await asyncio.sleep(0.2)  # between two looks; the deadline decides
