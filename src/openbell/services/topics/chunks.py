"""The order of a feed, put together again from messages that a bus keeps in order by symbol only.

A source cuts its events into chunks, and each chunk into a message a symbol (see `openbell.adapters.messages.ticks`). A reader holds the
messages of a chunk until all are there, and hands chunks out by their place in the source's order: none twice, none left out, whatever
was sent again and however it was cut the second time.

A source that cannot say the same again after a crash (a live market) begins a new *epoch*, counted from 0. What is missing of the epoch
before will never come: when the reader has seen everything that was published before, it goes on without it, and says how much it was.

Messages of a chunk that contradict each other are put away and counted: the chunk is as if it had not come, and may come again.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np
import structlog

from openbell.adapters.messages.ticks import Part, join_parts
from openbell.errors import DataError
from openbell.model.jit import join

EventArray = np.ndarray[Any, Any]
#: A partition and an offset in it.
Place = tuple[int, int]
#: A chunk of an epoch: (place of its first event in the source's order, events).
Chunk = tuple[int, int]

log = structlog.get_logger("topic")


@dataclass(slots=True)
class Source:
    """How far one source has been handed out: its epoch, and the place of the event that comes next."""

    epoch: int
    next: int = 0
    held: dict[Chunk, dict[str, tuple[Part, Place]]] = field(default_factory=dict)
    ahead: list[Chunk] = field(default_factory=list)  # a heap: chunks that begin behind the place that is next
    due: list[Chunk] = field(default_factory=list)  # the others, one at most unless the source was cut anew; some may be gone

    def hold(self, part: Part, place: Place) -> tuple[dict[str, tuple[Part, Place]], Place | None]:
        """Hold a message; returns those of its chunk, and where the one stood that it replaces."""
        chunk = part.first, part.count
        if chunk not in self.held:
            self.held[chunk] = {}
            heappush(self.ahead, chunk)
        parts = self.held[chunk]
        before = parts.get(part.symbol)
        parts[part.symbol] = part, place
        return parts, before and before[1]

    def look(self) -> list[Chunk]:
        """The chunks that begin at the place that is next or before."""
        while self.ahead and self.ahead[0][0] <= self.next:
            self.due.append(heappop(self.ahead))
        return self.due


class Held:
    """Where messages stand that are held, however many: each is put in and taken out once, and the lowest are known at any time."""

    def __init__(self) -> None:
        self._there: dict[int, set[int]] = defaultdict(set)
        self._heaps: dict[int, list[int]] = defaultdict(list)  # the same offsets, and some that are not there any more

    def add(self, place: Place) -> None:
        """A message is held."""
        partition, offset = place
        self._there[partition].add(offset)
        heappush(self._heaps[partition], offset)

    def remove(self, place: Place) -> None:
        """It is not."""
        self._there[place[0]].discard(place[1])

    def lowest(self) -> dict[int, int]:
        """The offset of the first message that is held, by partition."""
        found = {}
        for partition, heap in self._heaps.items():
            while heap and heap[0] not in self._there[partition]:
                heappop(heap)
            if heap:
                found[partition] = heap[0]
        return found


class Assembler:
    """Takes messages as they come and hands out events (dtype EVENT) in the order of their sources."""

    def __init__(self, reached: dict[str, tuple[int, int]] | None = None) -> None:
        #: By the source's name.
        self.sources = {name: Source(*place) for name, place in (reached or {}).items()}
        #: Of epochs that have not begun here: what was read of them, in order.
        self.waiting: list[tuple[Part, Place]] = []
        self.repeated = 0  # messages that were known, or of an epoch that is over
        self.lost = 0  # events of chunks that never became whole
        self.refused = 0  # messages of chunks that cannot be put together
        self._held = Held()

    def add(self, part: Part, place: Place) -> EventArray | None:
        """Take a message; returns the events that can be handed out with it, if any."""
        source = self.sources.setdefault(part.source, Source(part.epoch))
        if part.epoch > source.epoch:
            self.waiting.append((part, place))
            self._held.add(place)
            return None
        if part.epoch < source.epoch or part.first + part.count <= source.next:
            self.repeated += 1
            return None
        parts, before = source.hold(part, place)
        if before is not None:
            self.repeated += 1
            self._held.remove(before)
        self._held.add(place)
        return self._hand_out(source) if len(parts) == part.parts else None

    def begin_epochs(self) -> list[EventArray]:
        """Everything that was published before the waiting messages has been read: go on with their epochs."""
        waiting, self.waiting = self.waiting, []
        events = []
        for part, place in waiting:
            self._held.remove(place)
            source = self.sources[part.source]
            if part.epoch > source.epoch:
                events += self._give_up(source)
                self.sources[part.source] = Source(part.epoch)
            if (found := self.add(part, place)) is not None:
                events.append(found)
        return events

    def _hand_out(self, source: Source) -> EventArray | None:
        """Whole chunks from the place that is next, as far as they follow each other."""
        found = []
        while (chunk := _whole(source)) is not None:
            if (events := self._events(source, chunk)) is not None:
                found.append(events)
        return None if not found else found[0] if len(found) == 1 else join(found)

    def _give_up(self, source: Source) -> list[EventArray]:
        """What is whole of an epoch that is over, in order; the rest is lost."""
        found = []
        ends = [first + count for first, count in source.held]
        for first, count in sorted(source.held):
            parts = source.held.get((first, count), {})
            if first + count <= source.next or not parts:
                continue
            if len(parts) == next(iter(parts.values()))[0].parts:
                self.lost += max(first - source.next, 0)
                source.next = max(source.next, first)
                if (events := self._events(source, (first, count))) is not None:
                    found.append(events)
        self.lost += max([*ends, source.next]) - source.next
        for chunk in list(source.held):
            self._put_away(source, chunk)
        return found

    def _events(self, source: Source, chunk: Chunk) -> EventArray | None:
        """The events of a chunk that has all its messages, from the place that is next on; what it covers is held no longer.

        None, and the chunk is put away, when they do not fit together.
        """
        parts = [part for part, _ in source.held[chunk].values()]
        first, count = chunk
        try:
            events = join_parts(parts) if first == source.next else _rest(parts, source.next - first)
        except DataError as error:
            self.refused += len(parts)
            self._put_away(source, chunk)
            log.error("chunk refused", messages=len(parts), error=str(error))
            return None
        source.next = first + count
        for known in source.look():
            if sum(known) <= source.next:
                self._put_away(source, known)
        source.due = [known for known in source.due if known in source.held]
        return events

    def _put_away(self, source: Source, chunk: Chunk) -> None:
        """Hold the messages of a chunk no longer."""
        for _, place in source.held.pop(chunk, {}).values():
            self._held.remove(place)

    @property
    def held(self) -> int:
        """How many messages are not handed out yet."""
        return sum(len(parts) for source in self.sources.values() for parts in source.held.values()) + len(self.waiting)

    def lowest(self) -> dict[int, int]:
        """By partition, the offset of the first message that is not handed out yet: a reader that begins anew has to go on from there."""
        return self._held.lowest()

    def reached(self) -> dict[str, tuple[int, int]]:
        """(Epoch, place that is next) of each source."""
        return {name: (source.epoch, source.next) for name, source in self.sources.items()}


def _whole(source: Source) -> Chunk | None:
    """A chunk that has all its messages and holds the place that is next."""
    for chunk in source.look():
        parts = source.held.get(chunk)
        if parts and sum(chunk) > source.next and len(parts) == next(iter(parts.values()))[0].parts:
            return chunk
    return None


def _rest(parts: list[Part], skip: int) -> EventArray:
    """The events of a chunk without its first `skip` places, which were cut otherwise before."""
    places = np.concatenate([np.arange(part.count) if part.index is None else part.index for part in parts])
    events = join([part.events for part in parts])
    order = np.argsort(places, kind="stable")
    plain = events.view(f"V{events.dtype.itemsize}")
    return plain[order[places[order] >= skip]].view(events.dtype)
