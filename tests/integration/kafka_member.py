"""A member of a group in a process of its own: it stores each message's effect and the offset behind it in one transaction.

    python -m tests.integration.kafka_member SERVERS TOPIC GROUP DATABASE NAME [FREEZE]

With FREEZE it stops itself (SIGSTOP) with a batch in hand once it has stored that many effects, as a process does whose machine sleeps.
It ends at SIGTERM.
"""

import asyncio
import os
import signal
import sqlite3
import sys

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.kafka import KafkaBus
from openbell.config import KafkaSettings

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (part INTEGER, place INTEGER, payload BLOB, member TEXT, PRIMARY KEY (part, place));
CREATE TABLE IF NOT EXISTS cursors (part INTEGER PRIMARY KEY, next INTEGER);
CREATE TABLE IF NOT EXISTS refused (part INTEGER, place INTEGER, next INTEGER, member TEXT);
"""


class Store:
    """Effects and offsets. What is behind the stored offset is known already, whoever delivers it; what is ahead of it is a gap."""

    def __init__(self, path: str, member: str) -> None:
        self.member = member
        self.effects = 0
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.connection.executescript("PRAGMA journal_mode = WAL;" + SCHEMA)

    def apply(self, messages: list[Message]) -> None:
        """One transaction a batch."""
        self.connection.execute("BEGIN IMMEDIATE")
        for message in messages:
            place = (message.partition, message.offset)
            row = self.connection.execute("SELECT next FROM cursors WHERE part = ?", place[:1]).fetchone()
            expected = row[0] if row else 0
            if message.offset != expected:
                self.connection.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", (*place, expected, self.member))
                continue
            self.connection.execute("INSERT INTO effects VALUES (?, ?, ?, ?)", (*place, message.payload, self.member))
            self.connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (place[0], place[1] + 1))
            self.effects += 1
        self.connection.execute("COMMIT")


async def work(servers: str, topic: str, group: str, database: str, name: str, freeze: int) -> None:
    """Take, store, acknowledge."""
    bus = KafkaBus(KafkaSettings(servers=servers), name)
    bus.declare(Topic(topic, partitions=4))
    subscription = bus.subscribe(topic, group)
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
    asyncio.run(work(*sys.argv[1:6], int((sys.argv[6:] or ["0"])[0])))
