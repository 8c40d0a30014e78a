"""Asking the trader of the same process."""

import asyncio

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import EventArray
from openbell.errors import BusError
from openbell.services.topics.names import REQUESTS
from openbell.services.trader.service import Answer, Asked, TraderService

#: How long (seconds) a user waits for the trader before the gateway says that it did not answer.
PATIENCE = 5.0


class LocalAsk:
    """Puts a request onto the bus and waits until the trader has carried it out."""

    def __init__(self, bus: Bus, trader: TraderService) -> None:
        self._bus = bus
        self._trader = trader

    async def __call__(self, trader: str, event: EventArray) -> Answer:
        """Have it carried out. BusError when the trader cannot take it, or does not answer: its fate is then unknown."""
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._trader.state != "running":
            raise BusError("the trader does not run", do="look at /services")
        if not self._bus.publish(REQUESTS, Asked(event, reply)):
            raise BusError("too many requests wait for the trader", do="try again in a moment")
        try:
            async with asyncio.timeout(PATIENCE):
                return await reply
        except TimeoutError:
            raise BusError("the trader did not answer in time", do="look at /orders before asking again") from None
