"""One partition of a topic as Redis keeps it: a stream whose ids hold our own offsets, and how to notice that some of it is gone.

An id is `<epoch>-<offset + 1>`: offsets count 0, 1, 2 ... without a gap, and an epoch begins with the first message that is written after
Redis has started. So a reader sees both ways of losing messages in the id of the next one it gets. An offset that is too large: the
history was trimmed before it was read. One that is too small: Redis was restarted, had not yet written its last second to the
append-only file (`appendfsync everysec`), and other messages have taken those offsets; the newer epoch sorts their ids behind all
that was read, so they cannot be passed over.

Beside the stream stands a hash: `next` (offset), `epoch`, `run` (of the server process), and for every epoch its first offset, by which a
reader finds the id of any offset. A third key by producer holds the number of its last message, so that a batch that is sent again
after a broken connection is not written again. A script (atomic) writes all three.

Its part of the append-only file is a transaction, but one trap is left: of a file that ends in the middle of a transaction, Redis may
keep the first commands and carry them out when it loads the file once more. What such a stream has beyond `next`, or beyond the first
offset of a newer epoch, was never confirmed, or is announced as lost; `Log.limit` has readers pass over it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from redis.exceptions import ResponseError

from openbell.adapters.redis_link import RedisLink
from openbell.errors import BusError

#: KEYS: stream, hash, producer. ARGV: run, number of the first message, history, how long a producer is known (ms), then key and payload
#: of each message. Returns the next offset.
APPEND = """
local log = redis.call('HMGET', KEYS[2], 'run', 'epoch', 'next')
local epoch, offset = log[2], tonumber(log[3] or '0')
if log[1] ~= ARGV[1] then
  local time, last = redis.call('TIME'), redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  local used = math.max(tonumber(epoch or '0'), last[1] and tonumber(string.match(last[1][1], '^%d+')) or 0)
  epoch = string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000), used + 1))
  redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch, epoch, string.format('%.0f', offset))
end
local before, first, count = tonumber(redis.call('GET', KEYS[3]) or '-1'), tonumber(ARGV[2]), (#ARGV - 4) / 2
for index = math.max(0, before + 1 - first), count - 1 do
  offset = offset + 1
  redis.call('XADD', KEYS[1], epoch .. '-' .. string.format('%.0f', offset), 'k', ARGV[5 + index * 2], 'p', ARGV[6 + index * 2])
end
local after = string.format('%.0f', offset)
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
redis.call('HSET', KEYS[2], 'next', after)
redis.call('SET', KEYS[3], string.format('%.0f', math.max(before, first + count - 1)), 'PX', ARGV[4])
return after
"""
#: KEYS: stream, hash. Returns the hash, and the ids of the first and the last message.
LOOK = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {redis.call('HGETALL', KEYS[2]), first[1] and first[1][1] or '', last[1] and last[1][1] or ''}
"""


def stream_key(prefix: str, topic: str, partition: int) -> str:
    """The stream of a partition: `openbell:stock-prices:0`. Its hash is `...:log`."""
    return f"{prefix}{topic}:{partition}"


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key."""
    return crc32(key.encode()) % partitions if partitions > 1 else 0


def split_id(identity: bytes) -> tuple[int, int]:
    """Epoch and offset of an id."""
    epoch, _, number = identity.partition(b"-")
    return int(epoch), int(number) - 1


@dataclass(slots=True)
class Place:
    """Where reading stands in a partition."""

    offset: int  # of the next message wanted
    epoch: int  # of the message before it
    after: str | bytes  # the id behind which to read on
    limit: float  # messages of this epoch from this offset on do not count
    taken: int  # everything before this offset was handed over
    acknowledged: int  # and everything before this one is done with


@dataclass(frozen=True, slots=True)
class Log:
    """What the server had of a partition, when it was looked at: the offsets from `first` to before `next`."""

    name: str
    first: int
    next: int
    epochs: tuple[tuple[int, int], ...]  # (epoch, first offset), newest first
    newest: int  # the latest epoch, in the hash or the stream
    has_more: bool  # the stream has messages that the hash does not count

    @classmethod
    def of(cls, name: str, fields: dict[bytes, bytes], oldest: bytes, latest: bytes) -> "Log":
        """A log as the script LOOK returns it."""
        epochs = tuple(sorted(((int(field), int(start)) for field, start in fields.items() if field.isdigit()), reverse=True))
        following = int(fields.get(b"next", 0))
        if not latest:
            return cls(name, following, following, epochs, max((epoch for epoch, _ in epochs), default=0), False)
        epoch, offset = split_id(latest)
        log = cls(name, 0, following, epochs, max(epoch, epochs[0][0] if epochs else 0), offset >= following)
        epoch, offset = split_id(oldest)
        return cls(name, int(min(offset, log.limit(epoch))), following, epochs, log.newest, log.has_more)

    def limit(self, epoch: int) -> float:
        """The offset from which on messages of an epoch do not count; infinity when all do."""
        starts = [start for newer, start in self.epochs if newer > epoch]
        return min(starts + [self.next] * (self.has_more and epoch <= self.newest), default=math.inf)

    def at(self, offset: int) -> Place:
        """The place of an offset; BusError when it is not there any more, or not there any more after a restart."""
        if offset < self.first:
            raise gone(self.name, offset, self.first)
        if offset > self.next:
            raise lost(self.name, self.next, offset)
        epoch = next((epoch for epoch, start in self.epochs if start < offset), 0)
        return Place(offset, epoch, f"{epoch}-{offset}", self.limit(epoch), offset, offset)

    def check(self, place: Place) -> None:
        """BusError when the last message that was read there is not the one that the server has."""
        kept = min([self.next, *(start for epoch, start in self.epochs if epoch > place.epoch)])
        if kept < place.offset:
            raise lost(self.name, kept, place.offset)
        if place.offset < self.first:
            raise gone(self.name, place.offset, self.first)
        place.limit = self.limit(place.epoch)


async def look(link: RedisLink, prefix: str, topic: str, partitions: Iterable[int]) -> dict[int, Log]:
    """What the server has of some partitions of a topic."""
    wanted = list(partitions)
    keys = [stream_key(prefix, topic, partition) for partition in wanted]
    found = {}
    for partition, answer in zip(wanted, await link.calls([("EVAL", LOOK, 2, key, f"{key}:log") for key in keys]), strict=True):
        if isinstance(answer, ResponseError):
            raise answer
        flat, oldest, latest = answer
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        found[partition] = Log.of(f"{topic}, partition {partition}", fields, oldest, latest)
    return found


async def agree(link: RedisLink, prefix: str, topic: str, partitions: int) -> None:
    """See that everybody divides a topic alike, or a reader would miss partitions without noticing; BusError otherwise."""
    key = f"{prefix}topics"
    await link.call("HSETNX", key, topic, partitions)
    kept = int(await link.call("HGET", key, topic))
    if kept != partitions:
        raise BusError(f"topic {topic} has {partitions} partitions here", f"{kept}, as Redis keeps it", "use the same `bus.partitions`")


def gone(name: str, wanted: int, first: int) -> BusError:
    """The history has been trimmed before it was read."""
    return BusError(
        f"messages {wanted} to {first - 1} of {name} are gone: Redis keeps only the newest",
        f"a reader that is at most the bus's history behind, or one that goes on from offset {first}",
    )


def lost(name: str, kept: int, read: int) -> BusError:
    """Redis was restarted without its last messages."""
    return BusError(
        f"messages {kept} to {read - 1} of {name} were read and are lost: Redis was restarted without them",
        "producers that publish them again",
        f"take the effects of these messages back, then go on from offset {kept}",
    )
