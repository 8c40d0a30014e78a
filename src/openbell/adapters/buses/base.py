"""The bus: topics that services publish to and subscribe to, in words and as a protocol.

`tests/contracts/test_bus.py` holds every implementation to this:

1. *Publishing never waits.* `publish` returns at once: True when the message is on its way, False when the topic's policy is BLOCK and
   there is no room; then nobody has it. `send` is `publish` that waits for room; `flush` waits until all that was published is safe with
   the bus: in the subscribers' buffers within one process, confirmed by the server over a network.
2. *Every buffer is bounded*, by its topic's number of messages. What happens at the bound is the topic's policy, never a surprise: BLOCK
   refuses the new message (back-pressure: nothing is lost), DROP_OLDEST gives up the oldest, CONFLATE keeps the newest of each key. What
   is given up is counted. Over a network there are two buffers: what the server has not confirmed yet, whose bound makes BLOCK refuse, and
   what a subscriber has not taken yet, where DROP_OLDEST and CONFLATE give up, and BLOCK leaves the rest with the server.
3. *Fan-out.* Every subscription without a group gets every message published after it was `ready`.
4. *Consumer groups.* The members of a group share the messages: each goes to one member, messages of one key to the same member and in
   order while the members stay the same. When a member leaves, or dies, what it had not acknowledged goes to the others, in order (at
   least once). Over a network a group is known by its name and outlives its members: what is published while there are none waits.
5. *One order.* A subscriber sees the messages of a topic and key in the order in which they were published; of a topic with one
   partition, all of them. A subscription to several topics hands over those of the topics named first, first.
6. *Whatever has arrived is one batch.* `take` waits for the first message and returns all that are there, up to a limit: idle, a batch is
   one message and costs microseconds; under load batches grow.
7. *Closing drains.* To a closed topic nothing can be published (BusError); what was published can still be taken, and then `take` returns
   nothing. So a pipeline stops stage by stage and loses nothing. Over a network `close` is this process's own: others go on.
8. *Trouble heals or has a name.* A server that is away is waited for, with growing pauses; what was published meanwhile waits within the
   bound. `send`, `flush` and `take` raise BusError for what waiting cannot mend: a wrong address or password, a message that is too large.

Two abilities go beyond this, and a class says whether it has them:

* `KEEPS_HISTORY`: messages stay on the server for a time, each at an `offset` of its partition, and a subscription may `start` anywhere.
  Who stores the offset with the effect, in one transaction, sees every message once, whatever is killed.
* `HAS_RETRY`: a message that cannot be dealt with now is handed back by `retry` and comes again later, after a growing pause, and one that
  never can is put aside by `reject`, with the reason, for a person to look at.

A message carries bytes, or, within one process, any object; it belongs to all subscribers, who must not change it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol


class Overflow(Enum):
    """What a topic does when a buffer is full."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    CONFLATE = "conflate"


@dataclass(frozen=True, slots=True)
class Topic:
    """A named stream of messages, its policy, how many messages a buffer holds, and in how many partitions a server keeps it.

    `keep_s` is for how many seconds a Kafka server keeps its messages; 0: as the server is set.
    """

    name: str
    overflow: Overflow = Overflow.BLOCK
    buffer: int = 1000
    partitions: int = 1
    keep_s: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` orders: of a symbol for market data, of a thing shown for CONFLATE.

    `offset` is its place in its partition on a bus that keeps history, otherwise -1; `attempt` counts its deliveries where HAS_RETRY.
    """

    topic: str
    payload: Any
    key: str = ""
    partition: int = 0
    offset: int = -1
    attempt: int = 1


@dataclass(slots=True)
class TopicCount:
    """What became of the messages of a topic."""

    published: int = 0
    refused: int = 0  # BLOCK: publish returned False
    dropped: int = 0  # DROP_OLDEST: given up; CONFLATE: replaced by a newer one


#: Where a subscription begins on a bus that keeps history: what comes from now on, the oldest that is there, or the offset of the first
#: message wanted by partition (a partition that is not named begins with its oldest). A group goes on where it had acknowledged.
Start = Literal["new", "oldest"] | Mapping[int, int]


class Subscription(Protocol):
    """One subscriber's, or one group member's, view of its topics."""

    async def ready(self) -> None:
        """Wait until messages published from now on will come."""

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


class LogSubscription(Subscription, Protocol):
    """A subscription of a bus that KEEPS_HISTORY.

    When a partition goes to another member of the group, the bus hands over nothing more of it, waits a while for `ack` of what was taken,
    and only then lets it go; so who acknowledges after the effect drains in order, and who is too late is found out by the stored offset.
    """

    @property
    def held(self) -> Mapping[tuple[str, int], int]:
        """The partitions (topic, number) that are this subscription's, and how often each has been given to it: what was remembered of one
        that came back may be out of date."""


class RetrySubscription(Subscription, Protocol):
    """A subscription of a bus that HAS_RETRY."""

    async def retry(self, message: Message, reason: str) -> None:
        """Have a message that was taken delivered again after a pause that grows with `attempt`; after the last attempt it is rejected."""

    async def reject(self, message: Message, reason: str) -> None:
        """Put a message that was taken aside with the reason: the dead-letter queue."""


class Bus(Protocol):
    """The platform's bus."""

    KEEPS_HISTORY: ClassVar[bool]
    HAS_RETRY: ClassVar[bool]

    def declare(self, *topics: Topic) -> None:
        """Make topics known; declaring one again with another policy is a BusError."""

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message. BusError for an unknown topic or a closed bus."""

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room where the policy is BLOCK. BusError when the bus closes meanwhile."""

    async def flush(self) -> None:
        """Wait until everything published so far is safe; BusError when the server refused some of it."""

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> Subscription:
        """Get the messages published from now on, or from `start`: all of them, or a share of them as a member of a group."""

    def has_subscribers(self, topic: str) -> bool:
        """Whether anybody would get a message; what only serves a display need not be computed otherwise. True where nobody can know."""

    def count(self, topic: str) -> TopicCount:
        """What became of the messages that this process published to a topic, and of those its subscriptions gave up."""

    async def close(self, *topics: str) -> None:
        """No more messages to these topics, or to any; subscribers may take what is left. Without topics: flush and disconnect."""


class LogBus(Bus, Protocol):
    """A bus that KEEPS_HISTORY."""

    async def ends(self, topic: str) -> dict[int, int]:
        """The offset of the next message of every partition."""

    async def identity(self, topic: str) -> str:
        """Which topic of this name it is: another one once it was removed and made anew, and offsets begin again. Empty: not known."""
