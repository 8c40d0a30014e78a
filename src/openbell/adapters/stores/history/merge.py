"""Several histories as one, in time order, with flat memory: a k-way merge of whole chunks.

Rows of one source stay columns of one kind, so a batch is the sources' columns and, for each of their rows,
its place in the common order. Filling an array of events is one assignment a column:
`events["price"][part.place] = part.columns.price`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openbell.adapters.stores.history.columns import (
    CHUNK_ROWS,
    Columns,
    History,
    Int32Array,
    Int64Array,
    concatenate,
)

_MERGED_ROWS = 4 * CHUNK_ROWS
_LEAST_ROWS = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of one source in a batch, and where each of them goes.

    `columns.symbols` is the table of all sources.
    """

    source: int
    columns: Columns
    place: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of all sources up to one moment.

    `ts_event` is in merged order; the parts' places are a permutation of it.
    """

    ts_event: Int64Array
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return len(self.ts_event)


class MergedHistory:
    """Several histories in time order; equal times in the order in which the histories were given."""

    def __init__(self, histories: Sequence[History]) -> None:
        assert histories, "nothing to merge"
        self._histories = tuple(histories)
        self.symbols: tuple[str, ...] = tuple(dict.fromkeys(s for history in histories for s in history.symbols))
        place = {symbol: index for index, symbol in enumerate(self.symbols)}
        self._tables: list[Int32Array] = [np.array([place[symbol] for symbol in history.symbols], np.int32) for history in histories]

    def batches(self) -> Iterator[Batch]:
        """All rows from the beginning. At most one chunk a history is held, about 262,144 rows together.

        With more than sixteen histories a chunk has 16,384 rows, and memory grows with their number, never
        their length.
        """
        rows = min(CHUNK_ROWS, max(_LEAST_ROWS, _MERGED_ROWS // len(self._histories)))
        streams = [history.chunks(rows) for history in self._histories]
        held: list[Columns | None] = [self._next(source, streams) for source in range(len(streams))]
        while any(columns is not None for columns in held):
            # Whoever's chunk ends first bounds what can be given out. At that very moment, histories before
            # it are complete (their chunk goes on later), those after it must wait for the rest of its rows.
            ends = [(columns.ts_event[-1], source) for source, columns in enumerate(held) if columns is not None]
            border, first = min(ends)
            taken: list[tuple[int, Columns]] = []
            for source, columns in enumerate(held):
                if columns is None:
                    continue
                side = "right" if source <= first else "left"
                count = int(np.searchsorted(columns.ts_event, border, side))  # type: ignore[call-overload]
                if count:
                    taken.append((source, columns.take(slice(0, count))))
                held[source] = columns.take(slice(count, None)) if count < len(columns) else self._next(source, streams)
            yield _interleave(taken)

    def _next(self, source: int, streams: list[Iterator[Columns]]) -> Columns | None:
        columns = next(streams[source], None)
        return None if columns is None else columns.with_symbols(self.symbols, self._tables[source])


def merge(histories: Sequence[History]) -> MergedHistory:
    """Merge histories of any kinds and symbols by time, stable; the rows come from its `batches`."""
    return MergedHistory(histories)


def _interleave(taken: list[tuple[int, Columns]]) -> Batch:
    ts = np.concatenate([columns.ts_event for _, columns in taken])
    if len(taken) == 1:
        return Batch(ts, (Part(taken[0][0], taken[0][1], np.arange(len(ts))),))
    order = np.argsort(ts, kind="stable")
    place = np.empty(len(ts), np.int64)
    place[order] = np.arange(len(ts))
    parts, begin = [], 0
    for source, columns in taken:
        parts.append(Part(source, columns, place[begin : begin + len(columns)]))
        begin += len(columns)
    return Batch(ts[order], tuple(parts))


def read_all(history: History) -> Columns:
    """The whole history as one chunk, for what fits in memory."""
    return concatenate(list(history.chunks()))
