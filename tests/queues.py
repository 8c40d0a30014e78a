"""A bus of durable queues within one process, with retries and dead letters: what a service that needs those is tested with.

Queues outlive their readers, as on a server: what a reader had not acknowledged goes to the next one, in order.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import replace
from typing import ClassVar

from openbell.adapters.buses.base import Message


class QueueBus:
    """Every group has a queue a topic, from the first time that somebody subscribes or `bind` names it."""

    KEEPS_HISTORY: ClassVar[bool] = False
    HAS_RETRY: ClassVar[bool] = True

    def __init__(self, delays=(0.01, 0.02, 0.04)):
        self.delays = delays
        self.queues = defaultdict(dict)
        self.dead = []  # (message, reason)
        self.retries = []  # (payload, attempt, reason)
        self.published = defaultdict(list)  # payloads by topic
        self.wake = asyncio.Event()

    def bind(self, topic, group):
        """Have messages wait for a group."""
        return self.queues[topic].setdefault(group, deque())

    def publish(self, topic, payload, key=""):
        self.published[topic].append(payload)
        for queue in self.queues[topic].values():
            queue.append(Message(topic, payload, key))
        self.wake.set()
        return True

    async def send(self, topic, payload, key=""):
        self.publish(topic, payload, key)

    async def flush(self):
        await asyncio.sleep(0)

    def subscribe(self, topics, group="", start="new"):
        names = (topics,) if isinstance(topics, str) else tuple(topics)
        return QueueSubscription(self, [self.bind(name, group) for name in names])


class QueueSubscription:
    """One reader of some queues."""

    def __init__(self, bus, queues):
        self.bus, self.queues = bus, queues
        self.unacknowledged = []

    async def ready(self):
        pass

    async def take(self, most=0):
        while not any(self.queues):
            self.bus.wake.clear()
            await self.bus.wake.wait()
        return self.take_now(most)

    def take_now(self, most=0):
        taken = []
        for queue in self.queues:
            while queue and (not most or len(taken) < most):
                message = queue.popleft()
                taken.append(message)
                self.unacknowledged.append((queue, message))
        return taken

    def ack(self):
        self.unacknowledged.clear()

    async def retry(self, message, reason):
        if message.attempt > len(self.bus.delays):
            await self.reject(message, f"{reason} ({message.attempt} attempts)")
            return
        queue = self._done(message)
        self.bus.retries.append((message.payload, message.attempt, reason))
        again = replace(message, attempt=message.attempt + 1)
        asyncio.get_running_loop().call_later(self.bus.delays[message.attempt - 1], self._back, queue, again)

    async def reject(self, message, reason):
        self._done(message)
        self.bus.dead.append((message, reason))

    def close(self):
        for queue, message in reversed(self.unacknowledged):
            queue.appendleft(message)
        self.unacknowledged.clear()
        self.bus.wake.set()

    @property
    def depth(self):
        return sum(map(len, self.queues))

    def _done(self, message):
        """Take a message off; returns its queue."""
        place = next(at for at, (_, known) in enumerate(self.unacknowledged) if known is message)
        return self.unacknowledged.pop(place)[0]

    def _back(self, queue, message):
        queue.append(message)
        self.bus.wake.set()
