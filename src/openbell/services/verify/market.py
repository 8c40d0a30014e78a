"""The first stops: the bus for market data has the tick, and hands it back."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from openbell.adapters.buses.base import Bus
from openbell.errors import BusError
from openbell.services.verify.journey import Journey, Seen

#: What the buses that keep history are called.
SHOWN = {"kafka": "Kafka", "redis": "Redis streams"}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message is."""

    partition: int
    offset: int


class MarketStops:
    """The topic of ticks, as a publisher and as a reader. `placed` is known when the message was read back."""

    def __init__(self, market: Bus, topic: str) -> None:
        self.placed: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        self._market = market
        self._topic = topic
        self._subscription = market.subscribe(topic)

    async def ready(self) -> None:
        """Wait until what is published from now on will be read."""
        await self._subscription.ready()

    async def confirmed(self, journey: Journey, payload: bytes, key: str) -> Seen:
        """Publish, and wait until the server has confirmed."""
        journey.begin()
        await self._market.send(self._topic, payload, key)
        await self._market.flush()
        return Seen(f"{self._topic}, key {key}", perf_counter())

    async def read_back(self, payload: bytes) -> Seen:
        """Wait until the message comes."""
        while messages := await self._subscription.take():
            for message in messages:
                if message.payload == payload:
                    self.placed.set_result(Placed(message.partition, message.offset))
                    return Seen(f"{self._topic}, partition {message.partition}, offset {message.offset:,}", perf_counter())
        raise BusError(f"reading {self._topic} ended")
