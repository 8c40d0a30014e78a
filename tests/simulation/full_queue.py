"""A queue of RabbitMQ that holds one message, read by a program that is none of the platform's, when it likes."""

import asyncio
import contextlib
import threading
from collections import Counter

import aiormq

#: How long (seconds) the reader that reads all the time waits before it looks again.
LOOK_S = 0.02


class FullQueue:
    """Bound to some of a session's topics: a second message is refused until the first was taken, whoever else gets it."""

    def __init__(self, session, *topics):
        known = session.settings().rabbitmq
        self._url = f"amqp://{known.user}:{known.password}@{known.host}:{known.port}/"
        self._name = f"oracle.{session.namespace}"
        self._exchanges = [f"openbell.{session.namespace}.{topic}" for topic in topics]
        self._is_over = threading.Event()
        #: How often each message was taken.
        self.taken = Counter()

    def make(self):
        """Make it, before anybody publishes."""

        async def work(channel):
            await channel.queue_declare(self._name, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
            for exchange in self._exchanges:
                await channel.exchange_declare(exchange, exchange_type="direct", durable=True)
                await channel.queue_bind(self._name, exchange, "0")

        self._run(work)

    def is_full(self):
        """Whether a message waits in it."""

        async def work(channel):
            return (await channel.queue_declare(self._name, passive=True)).message_count > 0

        return self._run(work)

    def take(self):
        """Take what waits; False when nothing did."""
        return self._run(self._take)

    @contextlib.contextmanager
    def read(self):
        """Take whatever comes within the block, and what is left at its end."""
        reading = threading.Thread(target=self._run, args=(self._read,), daemon=True)
        reading.start()
        try:
            yield
        finally:
            self._is_over.set()
            reading.join()

    async def _take(self, channel):
        came = await channel.basic_get(self._name, no_ack=True)
        if came.delivery_tag is None:
            return False
        self.taken[came.body] += 1
        return True

    async def _read(self, channel):
        while await self._take(channel) or not self._is_over.is_set():
            await asyncio.sleep(LOOK_S)  # between two looks

    def _run(self, work):
        async def connected():
            connection = await aiormq.connect(self._url)
            try:
                return await work(await connection.channel())
            finally:
                await connection.close()

        return asyncio.run(connected())
