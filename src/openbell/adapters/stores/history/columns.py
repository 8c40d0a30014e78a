"""What history looks like once it is read: columns of one kind, a chunk at a time.

    reader.chunks() -> Columns, Columns, Columns, ...

A chunk is a handful of NumPy arrays of one length, so that whoever builds events from it copies whole
columns, never rows. Time is int64 nanoseconds UTC. Prices and quantities are float64 in the source's own
units (no lots yet: the instrument's step is not the reader's business).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["bars", "trades", "quotes"]
FloatArray: TypeAlias = NDArray[np.float64]
Int8Array: TypeAlias = NDArray[np.int8]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]

#: The columns of a kind, besides `ts_event` and `symbol_index`.
FIELDS: dict[Kind, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume"),
    "trades": ("price", "quantity", "side", "trade_id"),
    "quotes": ("bid_price", "ask_price", "bid_quantity", "ask_quantity"),
}

CHUNK_ROWS = 65_536


def _no_floats() -> FloatArray:
    return np.empty(0, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """One chunk of history. The columns of the other kinds are empty arrays.

    >>> columns = Columns(
    ...     "bars",
    ...     ("AAPL",),
    ...     np.array([0, 60_000_000_000]),
    ...     np.zeros(2, np.int32),
    ...     open=np.ones(2),
    ...     high=np.ones(2),
    ...     low=np.ones(2),
    ...     close=np.ones(2),
    ...     volume=np.ones(2),
    ... )
    >>> len(columns), len(columns.price)
    (2, 0)
    """

    kind: Kind
    symbols: tuple[str, ...]  # the same tuple in every chunk of a reader
    ts_event: Int64Array  # ns since 1970 UTC, never falling within a reader
    symbol_index: Int32Array  # place in `symbols`
    open: FloatArray = field(default_factory=_no_floats)
    high: FloatArray = field(default_factory=_no_floats)
    low: FloatArray = field(default_factory=_no_floats)
    close: FloatArray = field(default_factory=_no_floats)
    volume: FloatArray = field(default_factory=_no_floats)  # units traded in the bar; 0 when not `sized`
    price: FloatArray = field(default_factory=_no_floats)
    quantity: FloatArray = field(default_factory=_no_floats)  # units
    side: Int8Array = field(default_factory=lambda: np.empty(0, np.int8))  # +1 buyer took, -1 seller took, 0 unknown
    trade_id: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))  # -1 when the source has none
    bid_price: FloatArray = field(default_factory=_no_floats)
    ask_price: FloatArray = field(default_factory=_no_floats)
    bid_quantity: FloatArray = field(default_factory=_no_floats)  # units; 0 when not `sized`
    ask_quantity: FloatArray = field(default_factory=_no_floats)
    sized: bool = True  # whether the source gives volumes (bars) or quantities (quotes)

    def __post_init__(self) -> None:
        for name in ("symbol_index", *FIELDS[self.kind]):
            assert len(getattr(self, name)) == len(self.ts_event), f"{name} is not as long as ts_event"

    def __len__(self) -> int:
        return len(self.ts_event)

    def take(self, rows: "slice | Int64Array | NDArray[np.bool_]") -> "Columns":
        """Rows of this chunk: a slice (no copy), positions or a mask."""
        arrays = {name: getattr(self, name)[rows] for name in FIELDS[self.kind]}
        return Columns(self.kind, self.symbols, self.ts_event[rows], self.symbol_index[rows], **arrays, sized=self.sized)

    def with_symbols(self, symbols: tuple[str, ...], index_of: Int32Array) -> "Columns":
        """The same rows over another table of symbols; `index_of[old]` is the new place."""
        arrays = {name: getattr(self, name) for name in FIELDS[self.kind]}
        return Columns(self.kind, symbols, self.ts_event, index_of[self.symbol_index], **arrays, sized=self.sized)


def concatenate(chunks: Sequence[Columns]) -> Columns:
    """Join chunks of one reader into one.

    Raises an assertion when kinds or symbols differ, or there is nothing to join.
    """
    assert chunks, "nothing to concatenate"
    first = chunks[0]
    if len(chunks) == 1:
        return first
    assert all(chunk.kind == first.kind and chunk.symbols == first.symbols for chunk in chunks)
    arrays = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in FIELDS[first.kind]}
    return Columns(
        first.kind,
        first.symbols,
        np.concatenate([chunk.ts_event for chunk in chunks]),
        np.concatenate([chunk.symbol_index for chunk in chunks]),
        **arrays,
        sized=all(chunk.sized for chunk in chunks),
    )


@runtime_checkable
class History(Protocol):
    """A reader of history, as backtests see it.

    Contract: `kind` and `symbols` are known before the first chunk and never change. `chunks` may be called
    again and starts from the beginning. Every chunk holds 1 to `rows` rows, `ts_event` never falls within or
    between chunks, every price is finite and above zero, and memory does not grow with the length of the
    history. What cannot be read so is a DataError.
    """

    @property
    def kind(self) -> Kind:
        """What the rows are."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that can occur, in the order of `symbol_index`."""
        ...

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Columns]:
        """The history from its beginning, at most `rows` rows at a time."""
        ...
