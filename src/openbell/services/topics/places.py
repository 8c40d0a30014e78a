"""How far the sources of a symbol's ticks have been taken. What a source says again is known by its place in the source's order."""

from typing import TYPE_CHECKING

import numpy as np

from openbell.services.trader.intake import EventArray

if TYPE_CHECKING:
    from openbell.adapters.messages.ticks import Part

#: (Epoch, place of the event that comes next) by source.
Reached = dict[str, tuple[int, int]]


class Places:
    """The places of one symbol."""

    def __init__(self, reached: Reached | None = None) -> None:
        self.reached: Reached = dict(reached or {})

    def fresh(self, part: "Part") -> EventArray:
        """The events of a message that were not taken yet; they count as taken from now on."""
        epoch, place = self.reached.get(part.source, (part.epoch, 0))
        if part.epoch < epoch or not len(part.events):
            return part.events[:0]
        if part.epoch > epoch:
            place = 0
        index = np.arange(part.count) if part.index is None else part.index.astype(np.int64)
        events = part.events
        if part.first < place:
            events = events[int(np.searchsorted(index, place - part.first)) :]
        self.reached[part.source] = part.epoch, max(place, part.first + int(index[-1]) + 1)
        return events
