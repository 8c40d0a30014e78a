"""What has come from a server and was not taken yet: the bounded half of a subscription, the same for every bus over a network.

An adapter gives every `Message` that arrives to `Inbox.put` and asks `room` before it fetches more of a BLOCK topic; the inbox applies the
topic's policy, hands over by `take`, and wakes whoever waits. Not safe across threads: an adapter that has threads brings a lock.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import count

from openbell.adapters.buses.base import Message, Overflow, Topic
from openbell.errors import BusError


class Buffer:
    """Messages of one topic, oldest first, at most `topic.buffer`: by key where the policy is CONFLATE, by number elsewhere."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.dropped = 0
        self._messages: OrderedDict[Hashable, Message] = OrderedDict()
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def room(self) -> int:
        """How many messages fit before something has to be given up; with BLOCK, how many may be put."""
        return self.topic.buffer - len(self._messages)

    @property
    def full(self) -> bool:
        """Whether the next message costs another one, or has to stay with the server."""
        return len(self._messages) >= self.topic.buffer

    def put(self, message: Message) -> Message | None:
        """Add a message; returns the one that was given up for it. With BLOCK there has to be room."""
        given_up = None
        place: Hashable = next(self._numbers)
        if self.topic.overflow is Overflow.CONFLATE:
            place = message.key
            given_up = self._messages.get(place)
        if given_up is None and self.full:
            assert self.topic.overflow is not Overflow.BLOCK, f"{self.topic.name}: ask for room before putting"
            given_up = self._messages.popitem(last=False)[1]
        self._messages[place] = message
        self.dropped += given_up is not None
        return given_up

    def move(self, taken: list[Message], most: int = 0) -> None:
        """Hand messages over until `taken` has `most` of them (0: all there are)."""
        number = len(self._messages) if most == 0 else min(len(self._messages), most - len(taken))
        for _ in range(number):
            taken.append(self._messages.popitem(last=False)[1])

    def waiting(self) -> list[Message]:
        """The messages, in the order in which they would be handed over; they stay."""
        return list(self._messages.values())

    def remove(self, unwanted: Callable[[Message], bool]) -> list[Message]:
        """Take messages out that are not this subscription's any more; nothing is counted as dropped."""
        places = [place for place, message in self._messages.items() if unwanted(message)]
        return [self._messages.pop(place) for place in places]


class Inbox:
    """The buffers of one subscription, the topic named first handed over first, and the one who waits in `take`."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self.buffers = {topic.name: Buffer(topic) for topic in topics}
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BusError | None = None

    def __len__(self) -> int:
        return sum(map(len, self.buffers.values()))

    def put(self, message: Message) -> Message | None:
        """Add a message and wake whoever waits; returns what was given up for it (to be acknowledged, where a server wants that)."""
        given_up = self.buffers[message.topic].put(message)
        self.wake()
        return given_up

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there, at most `most`; empty after `end`, BusError after `fail`, once all is taken."""
        while not (messages := self.take_now(most)):
            if self._error is not None:
                raise self._error
            if self._ended:
                return []
            assert self._waiting is None, "one subscription, one reader"
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return messages

    def take_now(self, most: int = 0) -> list[Message]:
        """What is there, without waiting."""
        taken: list[Message] = []
        for buffer in self.buffers.values():
            if most and len(taken) >= most:
                break
            buffer.move(taken, most)
        return taken

    def end(self) -> None:
        """Nothing more will come: `take` hands over what is left, and then nothing."""
        self._ended = True
        self.wake()

    def fail(self, error: BusError) -> None:
        """Nothing more can come: `take` hands over what is left, and then raises."""
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
