"""Reading a subscription with a clock: whatever has come, and every so often a moment to store what it did."""

import asyncio

from openbell.adapters.buses.base import Message, Subscription


class Paced:
    """Takes from a subscription. `ack` never covers messages that the reader has not been handed yet."""

    def __init__(self, subscription: Subscription, every_s: float, most: int = 0) -> None:
        self._subscription = subscription
        self._every_s = every_s
        self._most = most
        self._taking: asyncio.Task[list[Message]] | None = None
        self._due = asyncio.get_running_loop().time() + every_s

    async def take(self) -> list[Message] | None:
        """Messages; an empty list when it is time to store; None when the topics are closed and drained."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._due:
            self._due = loop.time() + self._every_s
            return []
        self._taking = self._taking or asyncio.create_task(self._subscription.take(self._most))
        await asyncio.wait({self._taking}, timeout=max(self._due - loop.time(), 0.0))
        if not self._taking.done():
            self._due = loop.time() + self._every_s
            return []
        messages, self._taking = self._taking.result(), None
        return messages or None

    def ack(self) -> None:
        """Everything handed over so far is done with. Where more was taken meanwhile, the next time says it."""
        if self._taking is None or not self._taking.done():
            self._subscription.ack()

    def stop(self) -> None:
        """Take no more."""
        if self._taking is not None:
            self._taking.cancel()
