"""What a trader decides, over Kafka: every command once and in order, however many a single step decides."""

import asyncio
import uuid

import msgspec
import numpy as np
import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.cli.demo_strategies import strategies
from openbell.config import TradingSettings
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.ingest.recordings import shipped_session
from openbell.services.plans import make_plan
from openbell.services.processes.edge import Edge
from openbell.services.topics.names import COMMANDS, topics
from openbell.services.trader.decisions import DecisionPublisher, DecisionReader
from openbell.services.trader.service import Decided
from tests.contracts.buses import comes
from tests.servers import settings

pytestmark = pytest.mark.services

DECIDED = 40_000  # commands, 3.8 MB: several times what Kafka takes in one message


def test_a_step_that_decides_very_much():
    """As much as a trader that was behind may decide at once comes in order, and is confirmed when all of it is safe."""
    found = settings("kafka", "rabbitmq", "redis")
    found = msgspec.structs.replace(found, bus=msgspec.structs.replace(found.bus, namespace=f"test-{uuid.uuid4().hex[:8]}"))
    plan = make_plan(TradingSettings(strategies=strategies()), shipped_session()[1])
    commands = np.zeros(DECIDED, COMMAND)
    commands["kind"], commands["seq"] = enums.CANDLE, np.arange(DECIDED)
    confirmed = []

    async def confirm(count):
        confirmed.append(count)

    async def there_and_back():
        edge, here, there = Edge(found, "test-decisions"), InProcessBus(), InProcessBus()
        for bus in (here, there):
            bus.declare(*topics(1000))
        publisher = DecisionPublisher(here, edge, "main-1", plan, confirm)
        inbox = there.subscribe(COMMANDS)
        tasks = [asyncio.create_task(service.run()) for service in (publisher, DecisionReader(there, edge, {"main": plan}))]
        try:
            await publisher.start()
            await here.send(COMMANDS, Decided(7, commands))
            parts = []
            while sum(len(part.commands) for part in parts) < DECIDED:
                parts += [message.payload for message in await asyncio.wait_for(inbox.take(), 60)]
            await comes(lambda: confirmed)
            return parts
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await edge.close()

    parts = asyncio.run(there_and_back())
    assert [part.first for part in parts] == (7 + np.cumsum([0, *(len(part.commands) for part in parts)])[:-1]).tolist()
    assert b"".join(part.commands.tobytes() for part in parts) == commands.tobytes()
    assert confirmed == [7 + DECIDED]
