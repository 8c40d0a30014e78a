"""A member of a consumer group on Redis streams: a share of the partitions by leases, and how far the group has come.

Three keys a topic and group: `members` (until when each is known to live), `leases` (which member has a partition), `offsets` (of the next
message for the group). A member says every half second that it lives, takes free partitions up to its share, and lets go of what is
above it: nothing more of that partition is handed over, what was taken may still be acknowledged for a while, then the next member goes on
behind the last acknowledged message. A member that is silent for the length of a lease has lost its partitions: the others take them,
and neither its messages nor its acknowledgements count any more. When it wakes up it is a new member, under a new name.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.buffer import Inbox
from openbell.adapters.buses.redis.log import Place, agree, look
from openbell.adapters.buses.redis.reader import StreamReader
from openbell.adapters.redis_link import RedisLink
from openbell.adapters.redis_server import TROUBLE, RedisServer
from openbell.errors import BusError

#: KEYS: members, leases, offsets. ARGV: member, length of a lease (ms), partitions. Returns the member's share, then each of its
#: partitions with the group's offset there (-1 for none).
RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
local members, alive, rank = redis.call('ZRANGE', KEYS[1], 0, -1), {}, 0
table.sort(members)
for index, member in ipairs(members) do
  alive[member] = true
  if member == ARGV[1] then rank = index end
end
local share = math.floor(ARGV[3] / #members)
if rank <= ARGV[3] % #members then share = share + 1 end
local mine, free = {}, {}
for partition = 0, ARGV[3] - 1 do
  local owner = redis.call('HGET', KEYS[2], partition)
  if owner == ARGV[1] then
    table.insert(mine, partition)
  elseif not owner or not alive[owner] then
    table.insert(free, partition)
  end
end
for index = 1, math.min(#free, share - #mine) do
  redis.call('HSET', KEYS[2], free[index], ARGV[1])
  table.insert(mine, free[index])
end
local answer = {share}
for index, partition in ipairs(mine) do
  table.insert(answer, partition)
  table.insert(answer, redis.call('HGET', KEYS[3], partition) or '-1')
end
return answer
"""
#: KEYS: leases, offsets. ARGV: member, then of each partition: number, offset acknowledged, 1 to let go of it. What another member has
#: stays as it is.
COMMIT = """
for index = 2, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[1] then
    redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
    if ARGV[index + 2] == '1' then redis.call('HDEL', KEYS[1], ARGV[index]) end
  end
end
"""
#: How long a member may be silent before its partitions go to others, and how long it may take to acknowledge what it hands over.
LEASE_S = 5.0
#: How often in that time it says that it lives.
RENEWALS = 10


class GroupReader(StreamReader):
    """Reads the partitions of a topic that a member of a group has leased."""

    def __init__(self, server: RedisServer, prefix: str, topic: Topic, inbox: Inbox, group: str, lease_s: float) -> None:
        self._keys = [f"{prefix}{topic.name}:group:{group}:{part}" for part in ("members", "leases", "offsets")]
        self._lease_s = lease_s
        self._member = secrets.token_hex(8)
        self._valid_until = 0.0  # by our own clock, from before the server was asked
        self._leaving: dict[int, tuple[Place, float]] = {}  # what is handed over, and until when it may be acknowledged
        self._committed: dict[int, int] = {}
        self._times: dict[int, int] = {}
        self._wake = asyncio.Event()
        super().__init__(server, prefix, topic, inbox, "oldest")
        self._tasks.append(self._task(self._keep, "sharing"))

    @property
    def held(self) -> Mapping[int, int]:
        """The partitions that are this member's, and how often each was given to it."""
        return {part: self._times[part] for part in self.places}

    def taken(self, messages: Sequence[Message]) -> None:
        """Messages of this topic were handed over."""
        for message in messages:
            if message.partition in self.places:
                self.places[message.partition].taken = message.offset + 1
        super().taken(messages)

    def acknowledge(self) -> None:
        """What was handed over is done with."""
        for place in (*self.places.values(), *(place for place, _ in self._leaving.values())):
            place.acknowledged = place.taken
        self._wake.set()

    def check(self) -> None:
        """After a silence longer than a lease nothing is this member's any more: others may have it."""
        if self.places and time.monotonic() > self._valid_until:
            self._drop(list(self.places))
            self._leaving.clear()
            self._committed.clear()
            self._member = secrets.token_hex(8)
            self._wake.set()

    async def stop(self) -> None:
        """Let go of everything, as far as it is acknowledged, and disconnect."""
        await super().stop()
        with contextlib.suppress(*TROUBLE, BusError):  # then the lease runs out, and some messages come again
            async with RedisLink.to(self._server) as link:
                if self.failure is None:
                    await self._verify(link)
                    await self._commit(link, [*self.places, *self._leaving])
                await link.call("ZREM", self._keys[0], self._member)
        self._drop(list(self.places))

    def _drop(self, partitions: Sequence[int]) -> None:
        """Hand over nothing more of some partitions."""
        for partition in partitions:
            self.places.pop(partition, None)
        self._inbox.buffers[self.topic.name].remove(lambda message: message.partition in partitions)
        self._room.set()

    async def _begin(self, link: RedisLink) -> None:
        if self.ready.is_set():
            await self._verify(link)
        else:
            await agree(link, self._prefix, self.topic.name, self.topic.partitions)

    def _known(self) -> dict[int, Place]:
        return self.places | {part: place for part, (place, _) in self._leaving.items()}

    # The lease.

    async def _keep(self, link: RedisLink) -> None:
        """Renew, take, let go and commit, also when everything is read."""
        self._committed.clear()  # a server that was restarted may have forgotten the last ones
        while self.failure is None:
            await self._renew(link)
            next_renewal = time.monotonic() + self._lease_s / RENEWALS
            while (left := next_renewal - time.monotonic()) > 0.0:
                await self._commit(link, self._released())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._wake.wait()
                self._wake.clear()
                if time.monotonic() > self._valid_until:
                    break

    async def _renew(self, link: RedisLink) -> None:
        self.check()
        member, asked = self._member, time.monotonic()
        answer = await link.call("EVAL", RENEW, 3, *self._keys, member, int(self._lease_s * 1000), self.topic.partitions)
        if member != self._member:  # lapsed meanwhile
            return
        self._valid_until = asked + self._lease_s
        share, offsets = int(answer[0]), dict(zip(map(int, answer[1::2]), map(int, answer[2::2]), strict=True))
        self._drop([part for part in self.places if part not in offsets])
        gained = [part for part in offsets if part not in self.places and part not in self._leaving]
        logs = await look(link, self._prefix, self.topic.name, gained)
        self._logs |= logs
        for part in gained:
            log = logs[part]
            self.places[part] = log.at(log.first if offsets[part] < 0 else offsets[part])
            self._committed[part] = offsets[part]
            self._times[part] = self._times.get(part, 0) + 1
        for part in sorted(self.places, reverse=True)[: max(len(offsets) - share - len(self._leaving), 0)]:
            self._leaving[part] = (self.places[part], time.monotonic() + self._lease_s)
            self._drop([part])
        self.ready.set()
        self._room.set()

    def _released(self) -> list[int]:
        """Partitions that can be let go of: what was taken is acknowledged, or has had its time."""
        now = time.monotonic()
        return [part for part, (place, until) in self._leaving.items() if place.acknowledged >= place.taken or now > until]

    async def _commit(self, link: RedisLink, released: Sequence[int]) -> None:
        """Tell the server what is acknowledged, and let go of partitions."""
        changes: list[Any] = []
        for part, place in self._known().items():
            if part in released or place.acknowledged > self._committed.get(part, -1):
                changes += [part, place.acknowledged, int(part in released)]
        if changes:
            await link.call("EVAL", COMMIT, 2, *self._keys[1:], self._member, *changes)
            for part, offset, let_go in zip(changes[::3], changes[1::3], changes[2::3], strict=True):
                self._committed[part] = offset
                if let_go:
                    self._leaving.pop(part, None)
