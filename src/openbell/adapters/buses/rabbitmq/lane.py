"""What one process has to say to one topic and the server has not confirmed yet: bounded, in order, sent again after a break.

Nothing here touches the network: `Publisher` sends what `next` hands out and reports what became of it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from openbell.adapters.buses.base import Message, Overflow, Topic, TopicCount
from openbell.adapters.buses.buffer import Buffer

#: How many messages of a topic may be with the server unconfirmed: enough to keep it busy; it is asked for each.
IN_FLIGHT_MAX = 2000
#: Pauses before a full queue is tried again.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing(Message):
    """A message on its way: `number` counts the messages of this bus, and with it the message has the same id however often it is sent."""

    number: int = 0
    at: datetime | None = None


class Lane:
    """The messages of one topic, oldest first: those in flight, those to be sent again, those that wait."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.count = TopicCount()
        #: Seconds until a full queue is to be tried again; None while none is full.
        self.pause: float | None = None
        self._waiting = Buffer(topic)
        self._again: OrderedDict[int, Outgoing] = OrderedDict()
        self._in_flight: OrderedDict[int, Outgoing] = OrderedDict()
        self._window = self._widest = min(topic.buffer, IN_FLIGHT_MAX)
        self._next_pause = FIRST_PAUSE_SECONDS

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again) + len(self._in_flight)

    def offer(self, message: Outgoing) -> bool:
        """Take a message, or refuse it where the policy is BLOCK and there is no room; elsewhere the buffer is of those not sent yet."""
        if self.topic.overflow is Overflow.BLOCK and len(self) >= self.topic.buffer:
            self.count.refused += 1
            return False
        self.count.dropped += self._waiting.put(message) is not None
        self.count.published += 1
        return True

    @property
    def can_send(self) -> bool:
        """Whether `next` would hand anything out."""
        return self.pause is None and len(self._in_flight) < self._window and (bool(self._again) or len(self._waiting) > 0)

    def next(self, most: int) -> list[Outgoing]:
        """The messages to send now, in order; they are in flight from here on."""
        number = min(most, self._window - len(self._in_flight))
        taken: list[Outgoing] = []
        while self._again and len(taken) < number:
            taken.append(self._again.popitem(last=False)[1])
        if len(taken) < number:
            self._waiting.move(taken, number)  # type: ignore[arg-type]  # a lane is given Outgoing only
        self._in_flight.update((message.number, message) for message in taken)
        return taken

    def confirmed(self, number: int) -> None:
        """The server has the message."""
        self._in_flight.pop(number, None)
        if self._window:
            self._next_pause = FIRST_PAUSE_SECONDS
            self._window = min(2 * self._window, self._widest)
        self._pause_when_full()

    def refused(self, number: int) -> None:
        """A queue is full. What is in flight comes back first, then the lane pauses, and goes on with one message at a time.

        What was in flight behind the refused message may have found room and then came before it. Only a full queue that is being
        emptied at that moment changes the order so.
        """
        message = self._in_flight.pop(number, None)
        if message is not None:
            self._send_again([message])
        self._window = 0
        self._pause_when_full()

    def resume(self) -> None:
        """The pause is over; a break may have ended it before."""
        if self.pause is not None:
            self.pause, self._window = None, 1

    def lost(self) -> None:
        """The connection broke: what was in flight may be there or not, so it is sent again, first and in order."""
        self._send_again(list(self._in_flight.values()))
        self._in_flight.clear()
        self.pause, self._window = None, self._widest

    def give_up(self, size: int) -> Outgoing | None:
        """Take out the first message in flight, or about to be sent again, that is larger than `size` bytes."""
        for messages in (self._in_flight, self._again):
            for number, message in messages.items():
                if len(message.payload) > size:
                    return messages.pop(number)
        return None

    def oldest(self) -> float:
        """The number of the oldest message that is not confirmed; infinity when all are."""
        numbers = [next(iter(messages)) for messages in (self._again, self._in_flight) if messages]
        if not numbers and len(self._waiting):
            numbers = [message.number for message in self._waiting.waiting() if isinstance(message, Outgoing)]
        return min(numbers, default=float("inf"))

    def _pause_when_full(self) -> None:
        if self._window == 0 and not self._in_flight and self.pause is None:
            self.pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE_SECONDS)

    def _send_again(self, messages: list[Outgoing]) -> None:
        for message in messages:
            self._again[message.number] = message
        for number in sorted(self._again):
            self._again.move_to_end(number)
