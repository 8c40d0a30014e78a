"""An orders service to be killed, with the servers of the environment: `orders_process.py FOLDER TOPICS PREFIX`.

FOLDER is the venue's. TOPICS begins the names of its topics, PREFIX everything on the server. Every attempt to reach the venue is noted in
FOLDER/attempts.jsonl, with the time.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq import RabbitBus
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.orders import OrderStore
from openbell.config import load_settings
from openbell.model.plan import Listing
from openbell.observability import configure_logging
from openbell.services.orders.service import OrderService
from openbell.services.stores import place_of
from tests.simulation.venue_broker import VenueBroker

LISTINGS = (Listing("A", 0.01, 0.5, "USD"),)
TOPICS = ("orders", "executions")
#: Shorter than in earnest, and growing.
DELAYS = (0.1, 0.3, 0.9, 2.7)


def bus_of(settings, client, topics, prefix):
    """A bus that knows the topics."""
    bus = RabbitBus(settings.rabbitmq, client, delays=DELAYS, prefix=prefix)
    bus.declare(*(Topic(f"{topics}{name}", Overflow.BLOCK, 1000) for name in TOPICS))
    return bus


class NotingBroker(VenueBroker):
    """Notes every submission before it is sent."""

    async def submit(self, order):
        with (self.folder / "attempts.jsonl").open("a") as notes:
            notes.write(json.dumps({"id": order.client_order_id, "at": time.monotonic()}) + "\n")
        return await super().submit(order)


async def main(folder, topics, prefix):
    """Serve until SIGTERM."""
    settings = load_settings(folder=folder)
    configure_logging(settings.logging)
    bus, database = bus_of(settings, f"orders-{os.getpid()}", topics, prefix), open_database(place_of(settings.database))
    store = OrderStore(database, topics)
    service = OrderService(bus, {name: f"{topics}{name}" for name in TOPICS}, store, LISTINGS, NotingBroker(folder))
    await service.start()
    running = asyncio.create_task(service.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    print("ready", flush=True)
    await asyncio.wait({running})
    await service.stop()
    await bus.close()
    database.close()
    if not running.cancelled():
        running.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
