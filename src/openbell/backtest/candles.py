"""Ticks as candles: the same events that a feed of candles would bring, built by the kernel as it builds them live."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from openbell.backtest.data import EventSource
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums, history
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.model.time import parse_timeframe

_PLAIN = f"V{EVENT.itemsize}"  # moved as bytes


class CandlesOf(EventSource):
    """The closed candles of another source's trades; the last candle of each symbol is left out, for it has not closed."""

    def __init__(self, ticks: EventSource, timeframe: str) -> None:
        assert not ticks.bar_timeframe_ns, "candles are built from ticks"
        self.ticks = ticks
        self.name = ticks.name
        self.symbols, self.lot_size = ticks.symbols, ticks.lot_size
        self.bar_timeframe_ns = parse_timeframe(timeframe)
        listings = tuple(Listing(symbol, 0.0, ticks.lot_size) for symbol in ticks.symbols)
        self._plan = Plan(listings, (), candles=(timeframe,), publish_candles=True)

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        """Arrays of BAR events, in the order in which the candles ended."""
        engine, seq = Engine(self._plan), 1
        for events in self.ticks:
            for commands in engine.step(events):
                bars = commands[commands["kind"] == enums.CANDLE]["bar"]
                if len(bars):
                    yield history.number(self._events(bars), seq)
                    seq += len(bars)

    def _events(self, bars: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Candles that closed, as events. Those that one tick closed may have ended at several times: they are put in order."""
        events = np.zeros(len(bars), EVENT)
        events["bar"] = bars
        events["kind"] = enums.BAR
        events["ts_available"] = bars["ts_event"] + self.bar_timeframe_ns
        return events.view(_PLAIN)[np.argsort(events["ts_available"], kind="stable")].view(EVENT)

    def notes(self) -> list[str]:
        """Those of the ticks."""
        return self.ticks.notes()
