"""A feed: where market data comes from, in words and as a protocol. `tests/contracts/test_feeds.py` holds every implementation to this:

1. *Arrays of events.* `stream` yields arrays of dtype EVENT, never empty, with `seq` 0: whoever merges the feeds numbers them.
2. *Time never runs back.* `ts_available` never falls, within an array and from one to the next.
3. *A cursor for every array.* A feed begun anew with the cursor of an array goes on right after it: the same events, none twice, none
   left out. An empty cursor is the beginning.
4. *Back-pressure.* A feed that can wait does so while nobody asks for the next array; one that cannot says what it had to leave out.
5. *No surprise.* Prices are finite and positive where the source is checked beforehand; whatever else comes in is for the kernel to refuse.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

EventArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Some events (dtype EVENT, `seq` 0), and where the feed goes on after them."""

    events: EventArray
    cursor: bytes


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What a feed has to say about itself."""

    detail: str  # such as "replay 2x, 48% of the session"
    lag_ms: float  # how far it is behind its own schedule
    done: bool  # whether it has come to its end


class Feed(Protocol):
    """One source of market data."""

    def stream(self, cursor: bytes) -> AsyncIterator[Ticks]:
        """The events after the cursor, as they come."""

    def status(self) -> FeedStatus:
        """How it stands."""


@runtime_checkable
class Positioned(Protocol):
    """A feed whose sources count their events."""

    def positions(self) -> dict[str, int]:
        """By source, how many of its events were handed out."""
