"""What has come from the server and was not taken: the buffer, what came when that was full, and what is not due yet."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from openbell.adapters.buses.base import Message, Overflow, Topic
from openbell.adapters.buses.buffer import Inbox
from openbell.adapters.buses.rabbitmq.letters import Delivery, seconds_until_due


class Arrivals(Inbox):
    """The inbox of a subscription. Messages of shelves are held until they are due, and come whether there is room or not."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        super().__init__(topics)
        self._late: deque[Delivery] = deque()
        self._held: dict[int, tuple[Delivery, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return super().__len__() + len(self._late)

    @property
    def full(self) -> bool:
        """Whether a topic has no room."""
        return any(buffer.full for buffer in self.buffers.values())

    def arrive(self, message: Delivery) -> None:
        """A message came; what is given up for it is acknowledged."""
        buffer = self.buffers[message.topic]
        if buffer.topic.overflow is Overflow.BLOCK and (buffer.full or self._late):
            self._late.append(message)
            return
        given_up = self.put(message)
        if isinstance(given_up, Delivery):
            given_up.reader.give_up(given_up)

    def hold(self, message: Delivery) -> None:
        """A message came that waits for another attempt."""
        assert message.properties is not None
        loop = asyncio.get_running_loop()
        self._held[id(message)] = message, loop.call_later(seconds_until_due(message.properties), self._due, message)

    def take_now(self, most: int = 0) -> list[Message]:
        """What is there, without waiting; what came too late for the buffer moves up."""
        taken = super().take_now(most)
        while self._late and not self.buffers[self._late[0].topic].full:
            self.put(self._late.popleft())
        return taken

    def forget(self, unwanted: Callable[[Delivery], bool]) -> None:
        """Take out what is somebody else's now."""
        for buffer in self.buffers.values():
            buffer.remove(lambda message: isinstance(message, Delivery) and unwanted(message))
        self._late = deque(message for message in self._late if not unwanted(message))
        for message, handle in tuple(self._held.values()):
            if unwanted(message):
                handle.cancel()
                del self._held[id(message)]

    def _due(self, message: Delivery) -> None:
        del self._held[id(message)]
        self.arrive(message)
