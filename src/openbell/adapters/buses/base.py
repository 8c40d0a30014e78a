"""The bus: topics that services publish to and subscribe to, in words and as a protocol.

`tests/contracts/test_bus.py` holds every implementation to this:

1. *Publishing never waits.* `publish` returns at once: True when every subscriber's buffer has the message, False when the topic's policy
   is BLOCK and one of them is full; then none has it. `send` is `publish` that waits for room.
2. *Every buffer is bounded*, by its topic's number of messages. What happens at the bound is the topic's policy, never a surprise:
   BLOCK refuses the new message (back-pressure: nothing is lost), DROP_OLDEST gives up the oldest, CONFLATE keeps the newest of each key.
   What is given up is counted.
3. *Fan-out.* Every subscription without a group gets every message published after it was made.
4. *Consumer groups.* The members of a group share the messages: each goes to one member, messages of one key to the same member and in
   order while the members stay the same. When a member leaves, what it had not acknowledged goes to the others, in order (at least once).
5. *One order.* A subscriber sees the messages of a topic in the order in which they were published. A subscription to several topics
   hands over those of the topics named first, first.
6. *Whatever has arrived is one batch.* `take` waits for the first message and returns all that are there, up to a limit: idle, a batch is
   one message and costs microseconds; under load batches grow.
7. *Closing drains.* To a closed topic nothing can be published (BusError); what was published can still be taken, and then `take` returns
   nothing. So a pipeline stops stage by stage and loses nothing.

A message carries bytes, or, within one process, any object; it belongs to all subscribers, who must not change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Overflow(Enum):
    """What a topic does when a subscriber's buffer is full."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    CONFLATE = "conflate"


@dataclass(frozen=True, slots=True)
class Topic:
    """A named stream of messages, its policy, and how many messages a subscriber's buffer holds."""

    name: str
    overflow: Overflow = Overflow.BLOCK
    buffer: int = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` orders: of a symbol for market data, of a thing shown for CONFLATE."""

    topic: str
    payload: Any
    key: str = ""


@dataclass(slots=True)
class TopicCount:
    """What became of the messages of a topic."""

    published: int = 0
    refused: int = 0  # BLOCK: publish returned False
    dropped: int = 0  # DROP_OLDEST: given up; CONFLATE: replaced by a newer one


class Subscription(Protocol):
    """One subscriber's, or one group member's, view of its topics."""

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there, at most `most` (0: no limit); empty once the topics are closed and drained."""

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived, without waiting."""

    def ack(self) -> None:
        """Everything taken so far is done with; a group will not deliver it again."""

    def close(self) -> None:
        """Leave. What a group member has not acknowledged goes to the others."""

    @property
    def depth(self) -> int:
        """Messages waiting."""


class Bus(Protocol):
    """The platform's bus."""

    def declare(self, *topics: Topic) -> None:
        """Make topics known; declaring one again with another policy is a BusError."""

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message to every subscriber. BusError for an unknown topic or a closed bus."""

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room where the policy is BLOCK. BusError when the bus closes meanwhile."""

    def subscribe(self, topics: str | Sequence[str], group: str = "") -> Subscription:
        """Get the messages published from now on: all of them, or a share of them as a member of a group."""

    def has_subscribers(self, topic: str) -> bool:
        """Whether anybody would get a message; what only serves a display need not be computed otherwise."""

    def count(self, topic: str) -> TopicCount:
        """What became of the messages of a topic so far."""

    async def close(self, *topics: str) -> None:
        """No more messages to these topics, or to any; subscribers may take what is left."""
