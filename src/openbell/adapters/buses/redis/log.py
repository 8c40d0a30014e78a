"""One partition of a topic as Redis keeps it: a stream whose ids hold our own offsets, and how to notice that some of it is gone.

An id is `<epoch>-<offset + 1>`: offsets count 0, 1, 2 ... without a gap, and an epoch begins with the first message that is written after
Redis has started. So a reader sees both ways of losing messages in the id of the next one it gets. An offset that is too large: the
history was trimmed before it was read. One that is too small: Redis was restarted, had not yet written its last second to the
append-only file (`appendfsync everysec`), and other messages have taken those offsets; the newer epoch sorts their ids behind all
that was read, so they cannot be passed over.

Beside the stream stands a hash: `next` (offset), `epoch`, `run` (of the server process), and for every epoch its first offset, by which a
reader finds the id of any offset. A third key by producer holds the number of its last message, so that a batch that is sent again
after a broken connection is not written again. A script (atomic, also in the append-only file) writes all three.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from redis.exceptions import ResponseError

from openbell.adapters.redis_server import RedisLink
from openbell.errors import BusError

#: KEYS: stream, hash, producer. ARGV: run, number of the first message, history, how long a producer is known (ms), then key and payload
#: of each message. Returns the producer's number before, and the next offset after.
APPEND = """
local log = redis.call('HMGET', KEYS[2], 'run', 'epoch', 'next')
local epoch, offset = log[2], tonumber(log[3] or '0')
if log[1] ~= ARGV[1] then
  local time = redis.call('TIME')
  epoch = string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(epoch or '0') + 1))
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
return {string.format('%.0f', before), after}
"""


def stream_key(prefix: str, topic: str, partition: int) -> str:
    """The stream of a partition: `openbell:stock-prices:0`. Its hash is `...:log`."""
    return f"{prefix}{topic}:{partition}"


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key."""
    return crc32(key.encode()) % partitions if partitions > 1 else 0


@dataclass(slots=True)
class Place:
    """Where reading stands in a partition."""

    offset: int  # of the next message wanted
    epoch: int = 0  # of the message before it
    taken: int = 0  # everything before this offset was handed over
    acknowledged: int = 0  # and everything before this one is done with

    @property
    def id(self) -> str:
        """The id behind which the next message stands."""
        return f"{self.epoch}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Log:
    """What the server has of a partition: the offsets from `first` to before `next`, and the first offset of each epoch."""

    name: str
    first: int
    next: int
    epochs: tuple[tuple[int, int], ...]  # (epoch, first offset), newest first

    def at(self, offset: int) -> Place:
        """The place of an offset; BusError when it is not there any more, or not there any more after a restart."""
        if offset < self.first:
            raise gone(self.name, offset, self.first)
        if offset > self.next:
            raise lost(self.name, self.next, offset)
        return Place(offset, self._epoch(offset), offset, offset)

    def check(self, place: Place) -> None:
        """BusError when the last message that was read there is not the one that the server has."""
        if place.offset > self.next:
            raise lost(self.name, self.next, place.offset)
        overwritten = [start for epoch, start in self.epochs if epoch > place.epoch and start < place.offset]
        if overwritten:
            raise lost(self.name, min(overwritten), place.offset)
        if place.offset < self.first:
            raise gone(self.name, place.offset, self.first)

    def _epoch(self, offset: int) -> int:
        """The epoch of the message before an offset."""
        return next((epoch for epoch, start in self.epochs if start < offset), 0)


async def look(link: RedisLink, prefix: str, topic: str, partitions: Iterable[int]) -> dict[int, Log]:
    """What the server has of some partitions of a topic."""
    wanted = list(partitions)
    keys = [stream_key(prefix, topic, partition) for partition in wanted]
    questions = [question for key in keys for question in (("HGETALL", f"{key}:log"), ("XRANGE", key, "-", "+", "COUNT", 1))]
    answers = await link.calls(questions)
    found = {}
    for index, partition in enumerate(wanted):
        flat, oldest = answers[2 * index : 2 * index + 2]
        for answer in (flat, oldest):
            if isinstance(answer, ResponseError):
                raise answer
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        following = int(fields.get(b"next", 0))
        epochs = sorted(((int(name), int(start)) for name, start in fields.items() if name.isdigit()), reverse=True)
        first = int(oldest[0][0].split(b"-")[1]) - 1 if oldest else following
        found[partition] = Log(f"{topic}, partition {partition}", min(first, following), following, tuple(epochs))
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
