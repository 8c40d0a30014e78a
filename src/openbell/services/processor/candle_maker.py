"""Candles of single symbols from ticks, by the kernel that also builds the candles strategies see: the same ticks make the same candles.

A processor that shares the market with others keeps one maker a symbol, so that symbols can move between processors on their own.
"""

from typing import Any, cast

import msgspec
import numpy as np

from openbell.adapters.messages.ticks import Part
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.services.topics.places import Places, Reached
from openbell.services.trader.intake import EventArray, numbered

#: No equity is told: there are no accounts.
_NEVER_NS = 1 << 62


def candle_plan(listing: Listing, timeframes: tuple[str, ...]) -> Plan:
    """A plan that only builds candles of one listing."""
    return Plan(
        listings=(listing,), assignments=(), candles=timeframes, publish_candles=True, equity_interval_ns=_NEVER_NS,
        order_capacity=1, intent_capacity=2,
    )  # fmt: skip


class Kept(msgspec.Struct, array_like=True):
    """A maker as it is kept."""

    places: Reached
    state: bytes


class CandleMaker:
    """The candles of one symbol, in several timeframes, and how far each source of its ticks has been taken."""

    def __init__(self, listing: Listing, instrument: int, timeframes: tuple[str, ...]) -> None:
        self._instrument = instrument
        self._engine = Engine(candle_plan(listing, timeframes))
        self._places = Places()

    def fresh(self, part: Part) -> EventArray:
        """The events of a message that were not taken yet, by their place in the source's order."""
        return self._places.fresh(part)

    def take(self, events: EventArray) -> EventArray:
        """Take ticks; returns the candles (dtype COMMAND, kind CANDLE, with the platform's instrument) that closed."""
        own = join([events])
        own["instrument"][own["instrument"] >= 0] = 0
        batch, _ = numbered(own, int(self._engine.head["seq"]), int(self._engine.head["now"]))
        commands = self._engine.run(batch)
        candles: Any = join([commands[commands["kind"] == enums.CANDLE]])
        candles["instrument"] = self._instrument
        return cast(EventArray, candles)

    def open_bars(self) -> EventArray:
        """The candles that are open (BAR records, with the platform's instrument), one a timeframe at most."""
        builders = self._engine.table("builders")
        found = [builder["bars"][builder["slot"]] for builder in builders if builder["end"] > 0]
        bars: Any = np.array(found) if found else builders["bars"][:0, 0].copy()
        bars["instrument"] = self._instrument
        return cast(EventArray, bars)

    def kept(self) -> Kept:
        """Everything, for `restore`."""
        return Kept(self._places.reached, self._engine.checkpoint())

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept. JournalError when it is of another version, or of other timeframes."""
        self._engine.restore(kept.state)
        self._places = Places(kept.places)
