"""The partitions of a topic, shared among the members of a group, each taken up where its effects are stored.

A reader takes messages, and now and then stores what they did together with how far each partition has been taken, and only then are they
acknowledged. So after a crash, or when a partition moves, nothing is missing and nothing is doubled: the store is asked where it stands,
and what comes again from before that is passed over. Who has lost a partition without noticing finds that the store has moved on, and goes
on from there, if it is still its partition at all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.stores.progress import Advance, Progress
from openbell.errors import FencedError
from openbell.services.topics.paced import Paced

Own = TypeVar("Own")

#: Messages looked at before their effect is stored, at most, and how long (seconds) it may wait for more.
MESSAGES_MAX = 512
STORE_EVERY_S = 0.2
#: How often (seconds) the server is asked how far the topic goes.
LOOK_EVERY_S = 0.5

log = structlog.get_logger("shares")


@dataclass(slots=True)
class Share(Generic[Own]):
    """One partition while it is this process's, and what the reader keeps of it."""

    partition: int
    stored: Progress
    own: Own
    times_given: int
    offset: int  # of the message that comes next
    taken: list[Message] = field(default_factory=list)  # since it was stored


class Shares(Generic[Own]):
    """The partitions that `group` gives to this process. `begin` says how far one is stored, and what the reader keeps of it from there."""

    def __init__(self, market: Bus, topic: str, group: str, begin: Callable[[int], Awaitable[tuple[Progress, Own]]]) -> None:
        self.fenced = 0
        self._market = market
        self._topic = topic
        self._group = group
        self._begin = begin
        self._shares: dict[int, Share[Own]] = {}
        self._again: list[Message] = []
        self._subscription: Any = None
        self._look_at = 0.0
        self._behind = -1
        self._looks = 0
        self._identity = b""

    async def run(self, take: Callable[[Sequence[Message]], Awaitable[None]], keep: Callable[[], Awaitable[bool | None]]) -> None:
        """Read until cancelled: `take` gets messages, of which `fresh` says what they are to do; `keep` stores what they did.

        When `keep` says False it has left that for later, and nothing is acknowledged.
        """
        subscription: Any = self._market.subscribe(self._topic, self._group)
        self._subscription = subscription
        if self._market.KEEPS_HISTORY:
            market: Any = self._market
            self._identity = (await market.identity(self._topic)).encode()
        paced = Paced(subscription, STORE_EVERY_S, MESSAGES_MAX)
        try:
            await subscription.ready()
            while (messages := await paced.take()) is not None:
                await take([*self.again(), *messages])
                if not messages:
                    if await self._is_all_kept(keep):
                        paced.ack()
                    await self._follow()
                    await self._look_ahead()
        finally:
            paced.stop()
            subscription.close()

    async def fresh(self, messages: Sequence[Message]) -> AsyncIterator[tuple[Share[Own], Message]]:
        """The messages whose effect is not stored, each with its share. A message counts as taken when the next one is asked for."""
        for message in messages:
            share = await self._share(message.partition)
            if 0 <= message.offset < share.offset:
                continue
            yield share, message
            share.offset = (message.offset if message.offset >= 0 else share.offset) + 1  # without offsets it counts
            share.taken.append(message)

    def again(self) -> list[Message]:
        """What was taken of partitions that another process had written to, and is to be taken again from where that one left them."""
        messages, self._again = self._again, []
        return messages

    def __iter__(self) -> Iterator[Share[Own]]:
        return iter(self._shares.values())

    def unstored(self, has_news: Callable[[Own], bool] = lambda _: False) -> list[Share[Own]]:
        """Those of which something was taken since they were stored, or of which the reader has something to store anyway."""
        return [share for share in self if share.offset != share.stored.position or has_news(share.own)]

    async def store(self, share: Share[Own], state: bytes, write: Callable[[Advance], None]) -> bool:
        """Have the effect of what was taken of a share written, in a thread. False when another process has taken it over: it is gone."""
        after = replace(share.stored, position=share.offset, cursor=self._identity, state=state)
        advance = Advance(share.stored.position, after)
        try:
            await asyncio.to_thread(write, advance)
        except FencedError as error:
            self.fenced += 1
            log.warning("partition was taken over", topic=self._topic, partition=share.partition, error=str(error))
            del self._shares[share.partition]
            if not self._market.KEEPS_HISTORY or share.partition in self._held():
                self._again += share.taken  # it is ours all the same
            return False
        share.stored, share.taken = advance.after, []
        return True

    async def stop(self, keep: Callable[[], Awaitable[bool | None]]) -> None:
        """Store what is left, and acknowledge it; what has to be taken again goes to the next one."""
        if self._shares and await self._is_all_kept(keep):
            self._subscription.ack()

    async def _is_all_kept(self, keep: Callable[[], Awaitable[bool | None]]) -> bool:
        """Whether all that was taken is stored now, so that it may be acknowledged."""
        return await keep() is not False and not self._again

    async def _share(self, partition: int) -> Share[Own]:
        """The share of a partition, as the store has it when it is new, or was away."""
        times = self._held().get(partition, 0)
        share = self._shares.get(partition)
        if share is None or share.times_given != times:
            stored, own = await self._begin(partition)
            share = self._shares[partition] = Share(partition, stored, own, times, self._place(stored))
            self._behind, self._look_at = -1, 0.0  # what there is of it was not looked at yet
        return share

    def _place(self, stored: Progress) -> int:
        """The offset to go on from: the first one where the topic was removed and made anew, since then it is another message's."""
        if stored.position == 0 or stored.cursor in (b"", self._identity):
            return stored.position
        log.warning("topic was made anew, and is read from its beginning", topic=self._topic, partition=stored.partition)
        return 0

    def _held(self) -> Mapping[int, int]:
        """How often each partition that is ours was given to us, where the bus knows for certain."""
        if not self._market.KEEPS_HISTORY:
            return {}
        return {partition: times for (topic, partition), times in self._subscription.held.items() if topic == self._topic}

    async def _follow(self) -> None:
        """Begin with partitions that became ours, and forget those that are not ours any more; all is stored."""
        held = self._held()
        for partition in held:
            await self._share(partition)
        if self._market.KEEPS_HISTORY:
            self._shares = {partition: share for partition, share in self._shares.items() if partition in held}

    async def _look_ahead(self) -> None:
        """See how much there is in our partitions that is not stored yet, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        behind = self.depth
        if self._market.KEEPS_HISTORY:
            market: Any = self._market
            ends: dict[int, int] = await market.ends(self._topic)
            stored = {share.partition: share.stored.position for share in self}
            behind = sum(max(ends.get(partition, 0) - stored.get(partition, 0), 0) for partition in self._held())
        self._behind = behind
        self._looks += 1

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return self._subscription.depth if self._subscription is not None else 0

    def progress(self) -> dict[str, int]:
        """The offset stored by partition; how many messages there were behind them (-1: not known) when it was looked, and how often."""
        stored = {f"partition {share.partition}": share.stored.position for share in sorted(self, key=lambda share: share.partition)}
        return {**stored, "behind": self._behind, "looks": self._looks}

    @property
    def detail(self) -> str:
        """Which they are."""
        return f"partitions {', '.join(map(str, sorted(self._shares))) or 'none yet'}"
