"""A member of a group on Redis in a process of its own: it stores each message's effect and the offset behind it in one transaction.

    python -m tests.integration.redis_member PORT PREFIX GROUP DATABASE NAME [FREEZE]

With FREEZE it stops itself (SIGSTOP) with a batch in hand once it has stored that many effects. It ends at SIGTERM.
"""

import asyncio
import os
import signal
import sys

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.redis import RedisStreamBus
from openbell.adapters.redis_server import RedisServer
from tests.integration.kafka_member import Store

LEASE_S = 1.0


async def work(port: int, prefix: str, group: str, database: str, name: str, freeze: int) -> None:
    """Take, store, acknowledge."""
    bus = RedisStreamBus(RedisServer("127.0.0.1", port), name, lease_s=LEASE_S, prefix=prefix)
    bus.declare(Topic("many", partitions=4))
    subscription = bus.subscribe("many", group)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, subscription.close)
    store = Store(database, name)
    while messages := await subscription.take():
        if freeze and store.effects >= freeze:
            freeze = 0
            os.kill(os.getpid(), signal.SIGSTOP)
        store.apply(messages)
        subscription.ack()
    await bus.close()


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), *sys.argv[2:6], int((sys.argv[6:] or ["0"])[0])))
