"""The bus within one process: deques, and one future a waiting subscriber. No copies, no threads, nothing runs while nobody publishes.

Not safe across threads: publish and take on the thread of the event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import chain, count
from typing import Any, ClassVar
from zlib import crc32

from openbell.adapters.buses.base import Message, Overflow, Start, Topic, TopicCount
from openbell.errors import BusError, UnknownNameError


class InProcessBus:
    """See `openbell.adapters.buses.base` for the contract."""

    KEEPS_HISTORY: ClassVar[bool] = False
    HAS_RETRY: ClassVar[bool] = False

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}
        self._counts: dict[str, TopicCount] = {}
        self._groups: dict[str, list[_Group]] = {}
        self._named: dict[tuple[str, str], _Group] = {}
        self._room: list[asyncio.Future[None]] = []
        self._closed: set[str] = set()

    def declare(self, *topics: Topic) -> None:
        """Make topics known."""
        for topic in topics:
            if self._topics.setdefault(topic.name, topic) != topic:
                raise BusError(f"topic {topic.name} is declared twice", str(self._topics[topic.name]))
            self._counts.setdefault(topic.name, TopicCount())
            self._groups.setdefault(topic.name, [])

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message to every subscriber; False when one is full and the policy is BLOCK."""
        if topic in self._closed:
            raise BusError(f"nothing can be published to {topic}: it is closed")
        policy, tally, groups = self._topic(topic), self._counts[topic], self._groups[topic]
        if policy.overflow is Overflow.BLOCK and any(group.size >= policy.buffer for group in groups):
            tally.refused += 1
            return False
        message = Message(topic, payload, key)
        for group in groups:
            tally.dropped += group.put(message)
        tally.published += 1
        return True

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room."""
        while not self.publish(topic, payload, key):
            room = asyncio.get_running_loop().create_future()
            self._room.append(room)
            await room

    async def flush(self) -> None:
        """What is published is in the subscribers' buffers already."""

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> "InProcessSubscription":
        """Get the messages published from now on."""
        assert start == "new", "this bus keeps no history"
        names = (topics,) if isinstance(topics, str) else tuple(topics)
        return InProcessSubscription(self, names, [self._join(self._topic(name), group) for name in names])

    def has_subscribers(self, topic: str) -> bool:
        """Whether anybody would get a message."""
        return bool(self._groups[self._topic(topic).name])

    def count(self, topic: str) -> TopicCount:
        """What became of the messages of a topic."""
        return self._counts[self._topic(topic).name]

    async def close(self, *topics: str) -> None:
        """No more messages to these topics, or to any; subscribers may take what is left."""
        self._closed.update(topics or self._topics)
        self.tell_room()
        for group in chain.from_iterable(self._groups[name] for name in topics or self._topics):
            for member in group.members:
                member.wake()

    def is_closed(self, topics: Sequence[str]) -> bool:
        """Whether none of the topics takes messages any more."""
        return self._closed.issuperset(topics)

    def tell_room(self) -> None:
        """Wake the senders that wait: a buffer has room."""
        waiting, self._room = self._room, []
        for room in waiting:
            if not room.done():
                room.set_result(None)

    def leave(self, member: "_Member") -> None:
        """A member is gone; a group without members is no group."""
        group = member.group
        group.remove(member)
        if not group.members:
            self._groups[group.topic.name].remove(group)
            self._named.pop((group.topic.name, group.name), None)
        self.tell_room()

    def _topic(self, name: str) -> Topic:
        if name not in self._topics:
            raise UnknownNameError.of("topic", name, self._topics)
        return self._topics[name]

    def _join(self, topic: Topic, name: str) -> "_Member":
        group = self._named.get((topic.name, name)) if name else None
        if group is None:
            group = _Group(topic, name)
            self._groups[topic.name].append(group)
            if name:
                self._named[topic.name, name] = group
        return group.add()


class InProcessSubscription:
    """One subscriber: a member of one group a topic."""

    def __init__(self, bus: InProcessBus, topics: Sequence[str], members: "list[_Member]") -> None:
        self._bus = bus
        self._topics = topics
        self._members = members
        self._waiting: asyncio.Future[None] | None = None
        self._left = False
        for member in members:
            member.wake = self._wake

    async def ready(self) -> None:
        """It is, since it was made."""

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for a message and return all that have arrived."""
        while not (messages := self.take_now(most)):
            if self._left or self._bus.is_closed(self._topics):
                return []
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return messages

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived."""
        taken: list[Message] = []
        for member in self._members:
            member.move(taken, most)
        if taken:
            self._bus.tell_room()
        return taken

    def ack(self) -> None:
        """Everything taken so far is done with."""
        for member in self._members:
            member.unacknowledged.clear()

    def close(self) -> None:
        """Leave; a waiting `take` returns nothing."""
        if not self._left:
            self._left = True
            for member in self._members:
                self._bus.leave(member)
            self._wake()

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return sum(len(member.buffer) for member in self._members)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class _Member:
    """One member of a group, with its share of the messages, oldest first: by key on a CONFLATE topic, by number elsewhere."""

    def __init__(self, group: "_Group") -> None:
        self.group = group
        self.buffer: OrderedDict[Hashable, Message] = OrderedDict()
        self.unacknowledged: list[Message] = []
        self.wake: Callable[[], None] = _nobody

    def move(self, taken: list[Message], most: int) -> None:
        """Hand messages over until `taken` has `most` of them."""
        count = len(self.buffer) if most == 0 else min(len(self.buffer), most - len(taken))
        for _ in range(count):
            taken.append(self.buffer.popitem(last=False)[1])
        self.group.size -= count
        if self.group.name and count:
            self.unacknowledged += taken[-count:]


class _Group:
    """Subscribers that share the messages of one topic; a subscription without a group is a group of one."""

    def __init__(self, topic: Topic, name: str) -> None:
        self.topic = topic
        self.name = name
        self.members: list[_Member] = []
        self.size = 0
        self._numbers = count()

    def put(self, message: Message) -> int:
        """Give the message to the member that has its key; returns how many messages were given up for it."""
        member = self._owner(message)
        dropped = 0
        place: Hashable = message.key if self.topic.overflow is Overflow.CONFLATE else next(self._numbers)
        if place in member.buffer:
            dropped = 1
        else:
            if self.size >= self.topic.buffer and self.topic.overflow is not Overflow.BLOCK:
                max(self.members, key=lambda other: len(other.buffer)).buffer.popitem(last=False)
                dropped = 1
            self.size += 1 - dropped
        member.buffer[place] = message
        member.wake()
        return dropped

    def add(self) -> _Member:
        """A new member; what waits is dealt out anew."""
        waiting = self._collect()
        self.members.append(_Member(self))
        self._deal(waiting)
        return self.members[-1]

    def remove(self, member: _Member) -> None:
        """The member leaves; what it had not acknowledged goes to the others, before what still waits."""
        waiting = member.unacknowledged + self._collect()
        self.members.remove(member)
        self._deal(waiting)

    def _owner(self, message: Message) -> _Member:
        return self.members[crc32(message.key.encode()) % len(self.members)] if len(self.members) > 1 else self.members[0]

    def _collect(self) -> list[Message]:
        """Take back what waits; messages of one key were with one member, so their order is kept."""
        waiting = [message for member in self.members for message in member.buffer.values()]
        for member in self.members:
            member.buffer.clear()
        self.size = 0
        return waiting

    def _deal(self, waiting: list[Message]) -> None:
        for message in waiting if self.members else ():
            self.put(message)


def _nobody() -> None:
    """A member that nobody waits for."""
