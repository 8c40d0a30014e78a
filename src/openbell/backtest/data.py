"""From whatever a user calls data to batches of events in one total order, with flat memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openbell.adapters.stores.catalog import open_history
from openbell.adapters.stores.history import Columns, History, HistoryReader, merge
from openbell.errors import DataError
from openbell.model import history
from openbell.model.events import EVENT
from openbell.model.time import DAY, HOUR, MINUTE, SECOND, WEEK, format_timeframe

_SPACINGS = tuple(
    count * unit
    for unit, counts in (
        (SECOND, (1, 5, 10, 15, 30)),
        (MINUTE, (1, 2, 3, 5, 10, 15, 30)),
        (HOUR, (1, 2, 4, 6, 8, 12)),
        (DAY, (1,)),
        (WEEK, (1,)),
    )
    for count in counts
)


class EventSource(ABC):
    """Numbered events in batches, wherever they come from, and what a plan has to know of them."""

    name: str  # what a result calls it
    symbols: Sequence[str]  # an event's `instrument` is a place in it
    bar_timeframe_ns: int  # of the bars in it, 0 when there are none
    lot_size: float  # units in one lot, of every symbol

    @abstractmethod
    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        """Arrays of EVENT in time order, never empty, with `seq` 1, 2, 3, ... Raises DataError at what cannot be used."""

    def notes(self) -> list[str]:
        """Sentences about the data for the user, once all of it was read; none when all was well."""
        return []


class Batches(EventSource):
    """Histories as numbered events, merged in time order.

    `data` is what `open_history` takes, or a `History`; `options` are those of `read_history`.
    """

    def __init__(self, data: object, options: dict[str, Any], lot_size: float | None, bar_timeframe_ns: int | None = None) -> None:
        sources = data if isinstance(data, list | tuple) else [data]
        self.name = name_of(data)
        self.readers: list[History] = [source if isinstance(source, History) else open_history(source, **options) for source in sources]
        self.kinds = {reader.kind for reader in self.readers}
        if "bars" in self.kinds and len(self.kinds) > 1:
            raise DataError(f"data holds {' and '.join(sorted(self.kinds))}", "either bars, or trades and quotes", "leave one of them out")
        merged = merge(self.readers)
        self.symbols: Sequence[str] = merged.symbols
        heads = [next(iter(reader.chunks()), None) for reader in self.readers]
        self.first: list[Columns] = [head for head in heads if head is not None]
        if not self.first:
            raise DataError("the data has no rows", "at least one", "look at start, end and symbols")
        self.bar_timeframe_ns = 0
        if "bars" in self.kinds:
            self.bar_timeframe_ns = bar_timeframe_ns or bar_spacing(self.first)
        self.lot_size = lot_size or _lot_size(self.first)

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        """Batches of events with `seq` 1, 2, 3, ..."""
        seq = 1
        for batch in merge(self.readers).batches():
            if len(batch.parts) == 1:
                events = self.events(batch.parts[0].columns)
            else:
                events = np.zeros(len(batch), EVENT)
                for part in batch.parts:
                    events[part.place] = self.events(part.columns)
            yield history.number(events, seq)
            seq += len(events)

    def notes(self) -> list[str]:
        """What the readers left out or sorted."""
        return [note for reader in self.readers if isinstance(reader, HistoryReader) for note in reader.quality.notes()]

    def events(self, columns: Columns) -> np.ndarray[Any, Any]:
        """The rows of one source as events."""
        lot, where = self.lot_size, columns.symbol_index
        if columns.kind == "bars":
            volume = history.to_lots(columns.volume, lot, "volume")
            return history.bars(
                columns.ts_event, where, columns.open, columns.high, columns.low, columns.close, volume, self.bar_timeframe_ns
            )
        if columns.kind == "trades":
            quantity = history.to_lots(columns.quantity, lot, "quantity")
            return history.trades(columns.ts_event, where, columns.price, quantity, columns.side, columns.trade_id)
        bid, ask = (history.to_lots(size, lot, "quantity") for size in (columns.bid_quantity, columns.ask_quantity))
        return history.quotes(columns.ts_event, where, columns.bid_price, columns.ask_price, bid, ask)


def name_of(data: object) -> str:
    """What to call data in a result: names and paths as they are, a frame by its type."""
    if isinstance(data, str | Path):
        return str(data)
    if isinstance(data, list | tuple):
        return ", ".join(name_of(item) for item in data)
    return type(data).__name__


def bar_spacing(first: list[Columns]) -> int:
    """The timeframe (ns) of bars: the commonest distance between neighbours of one symbol, which must be a usual timeframe."""
    gaps = []
    for columns in first:
        for symbol in np.unique(columns.symbol_index)[:16]:
            gaps.append(np.diff(columns.ts_event[columns.symbol_index == symbol]))
    distances, counts = np.unique(np.concatenate(gaps), return_counts=True)
    if len(distances) == 0:
        return DAY
    found = int(distances[np.argmax(counts)])
    if found not in _SPACINGS:
        raise DataError(
            f"bars are {format_timeframe(found) if found > 0 else found} apart",
            f"a usual timeframe such as {', '.join(format_timeframe(spacing) for spacing in (SECOND, MINUTE, HOUR, DAY))}",
            "say which with bar_timeframe",
        )
    return found


def _lot_size(first: list[Columns]) -> float:
    """A millionth of a unit, or as much more as the volumes need to stay far from the end of int64."""
    largest = 1.0
    for columns in first:
        sizes = columns.volume if columns.kind == "bars" else columns.quantity if columns.kind == "trades" else columns.bid_quantity
        largest = max(largest, float(sizes.max(initial=0.0)))
    lot = 1e-6
    while largest / lot > 1e16:
        lot *= 10.0
    return lot
