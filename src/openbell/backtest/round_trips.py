"""From fills to round trips: which entry an exit closed, and what it earned.

First in, first out needs no walk through the fills. Number the units bought 1, 2, 3 ... and the units sold
likewise: whatever the order, and through every turn from long to short, the k-th unit sold meets the k-th
unit bought; the earlier of the two opened. So the round trips are the pieces between the running totals of
both sides.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from openbell.errors import DataError

FloatArray: TypeAlias = NDArray[np.float64]
Int64Array: TypeAlias = NDArray[np.int64]
Method: TypeAlias = Literal["fifo", "average"]


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """Executions in the order they happened, as arrays of one length.

    `lot_size` turns lots into units: one number for all, or one a symbol. Value of a fill = quantity x
    lot_size x price.
    """

    ts: Int64Array  # ns UTC, never falling
    symbol_index: NDArray[np.int32]
    side: NDArray[np.int8]  # +1 bought, -1 sold
    quantity: Int64Array  # lots, above 0
    price: FloatArray  # of one unit
    fee: FloatArray  # money paid, negative for a rebate
    lot_size: float | FloatArray = 1.0

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in ("symbol_index", "side", "quantity", "price", "fee")}
        assert lengths == {len(self.ts)}, "fills are arrays of one length"
        if not np.issubdtype(self.quantity.dtype, np.integer):
            raise DataError(
                f"quantities of fills are {self.quantity.dtype}",
                expected="whole lots (int64), so that what is bought and sold cancels exactly",
                do="divide by the instrument's step and round",
            )
        if len(self.ts) and (self.quantity.min() <= 0 or not np.isin(self.side, (1, -1)).all()):
            raise DataError("a fill has no quantity or no side", expected="quantity above 0, side +1 or -1")
        assert not len(self.ts) or np.diff(self.ts, prepend=self.ts[0]).min() >= 0, "fills are in time order"

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def units(self) -> FloatArray:
        """Quantity of each fill in units."""
        lots = np.asarray(self.lot_size, np.float64)
        return self.quantity * (lots if lots.ndim == 0 else lots[self.symbol_index])

    @property
    def value(self) -> FloatArray:
        """Money that changed hands in each fill, fees aside."""
        return self.units * self.price


@dataclass(frozen=True, slots=True, eq=False)
class RoundTrips:
    """Positions opened and closed, one row a matched piece, ordered by their exit."""

    symbol_index: NDArray[np.int32]
    side: NDArray[np.int8]  # +1 long, -1 short
    quantity: Int64Array  # lots
    entry_ts: Int64Array  # ns UTC
    exit_ts: Int64Array  # ns UTC
    entry_price: FloatArray
    exit_price: FloatArray
    fee: FloatArray  # money, of both ends, in proportion to the quantity
    pnl: FloatArray  # money, after fees
    returns: FloatArray  # pnl divided by the value at entry

    def __len__(self) -> int:
        return len(self.pnl)


def round_trips(fills: Fills, method: Method = "fifo") -> RoundTrips:
    """Match exits with entries.

    Parameters
    ----------
    fills
        All fills of a run. What is still open at the end makes no round trip.
    method
        "fifo": the oldest units are closed first; one row for each pair of fills that met.
        "average": units have no age; one row for each fill that reduced the position, entered at the average price.

    >>> day = 86_400_000_000_000
    >>> fills = Fills(
    ...     np.array([0, day, 2 * day]),
    ...     np.zeros(3, np.int32),
    ...     np.array([1, 1, -1], np.int8),
    ...     np.array([10, 10, 15]),
    ...     np.array([100.0, 110.0, 120.0]),
    ...     np.array([1.0, 1.0, 1.5]),
    ... )
    >>> round_trips(fills).pnl
    array([198.,  49.])
    >>> round_trips(fills, "average").pnl
    array([222.])
    """
    match = _fifo if method == "fifo" else _average
    order = np.argsort(fills.symbol_index, kind="stable")
    borders = np.flatnonzero(np.diff(fills.symbol_index[order])) + 1
    pieces = [match(fills, rows) for rows in np.split(order, borders) if len(rows)]
    if not pieces:
        pieces = [_Pieces.none()]
    entry, exit_, quantity, price, fee, opened = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in _Pieces.__slots__)
    by_exit = np.lexsort((entry, exit_))
    entry, exit_, quantity, price, fee, opened = (column[by_exit] for column in (entry, exit_, quantity, price, fee, opened))
    side = (-fills.side[exit_]).astype(np.int8)
    units = quantity * (fills.units / np.maximum(fills.quantity, 1))[exit_] if len(fills) else np.zeros(0)
    pnl = side * units * (fills.price[exit_] - price) - fee
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(price != 0, pnl / np.abs(units * price), np.nan)
    return RoundTrips(
        fills.symbol_index[exit_],
        side,
        quantity,
        fills.ts[opened],
        fills.ts[exit_],
        price,
        fills.price[exit_],
        fee,
        pnl,
        returns,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Matched pieces of one symbol; the first two and the last are rows of the fills."""

    entry: Int64Array
    exit: Int64Array
    quantity: Int64Array
    price: FloatArray  # at entry
    fee: FloatArray
    opened: Int64Array  # the fill whose time the entry has

    @classmethod
    def none(cls) -> "_Pieces":
        rows, money = np.zeros(0, np.int64), np.zeros(0, np.float64)
        return cls(rows, rows, rows, money, money, rows)


def _fifo(fills: Fills, rows: Int64Array) -> _Pieces:
    bought, sold = rows[fills.side[rows] > 0], rows[fills.side[rows] < 0]
    if not len(bought) or not len(sold):
        return _Pieces.none()
    bought_total, sold_total = np.cumsum(fills.quantity[bought]), np.cumsum(fills.quantity[sold])
    edges = np.union1d(bought_total, sold_total)
    edges = edges[edges <= min(bought_total[-1], sold_total[-1])]
    buy = bought[np.searchsorted(bought_total, edges)]
    sell = sold[np.searchsorted(sold_total, edges)]
    quantity = np.diff(edges, prepend=0)
    entry, exit_ = np.minimum(buy, sell), np.maximum(buy, sell)
    fee = quantity * (fills.fee[entry] / fills.quantity[entry] + fills.fee[exit_] / fills.quantity[exit_])
    return _Pieces(entry, exit_, quantity, fills.price[entry], fee, entry)


def _average(fills: Fills, rows: Int64Array) -> _Pieces:
    """One walk through the fills: the average depends on every fill before."""
    found: list[tuple[int, int, float, float, int]] = []
    position, cost, entry_fee, opened = 0, 0.0, 0.0, 0
    signed = (fills.side[rows].astype(np.int64) * fills.quantity[rows]).tolist()
    table = zip(rows.tolist(), signed, fills.price[rows].tolist(), fills.fee[rows].tolist(), strict=True)
    for row, change, price, fee in table:
        if position * change < 0:
            closed = min(abs(position), abs(change))
            share, part = closed / abs(position), closed / abs(change)
            found.append((row, closed, cost / abs(position), entry_fee * share + fee * part, opened))
            cost, entry_fee = cost * (1 - share), entry_fee * (1 - share)
            position += closed if change > 0 else -closed
            change += -closed if change > 0 else closed
            fee *= 1 - part
            if position == 0:
                cost = entry_fee = 0.0
        if change:
            opened = row if position == 0 else opened
            position += change
            cost += abs(change) * price
            entry_fee += fee
    if not found:
        return _Pieces.none()
    exits, quantity, prices, fees, opens = zip(*found, strict=True)
    entry = np.array(opens, np.int64)
    return _Pieces(entry, np.array(exits, np.int64), np.array(quantity, np.int64), np.array(prices), np.array(fees), entry)
