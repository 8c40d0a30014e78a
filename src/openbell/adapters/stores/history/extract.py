"""A frame of the source becomes Columns.

Cells that cannot be read are marked (NaN, NO_TIME, -1), and judged in `checks`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from openbell.adapters.stores.history.columns import Columns, FloatArray, Int8Array, Int32Array, Int64Array
from openbell.adapters.stores.history.layout import Layout
from openbell.adapters.stores.history.sources import Frame

if TYPE_CHECKING:
    import polars

#: A side that is neither a buyer nor a seller nor unknown.
BAD_SIDE = 2

_SIDES = {
    **dict.fromkeys(("buy", "b", "bid", "1", "+1", "1.0", "buyer"), 1),
    **dict.fromkeys(("sell", "s", "ask", "-1", "-1.0", "seller"), -1),
    **dict.fromkeys(("0", "0.0", "n", "none", "unknown", ""), 0),
}
_TRUE = {"true": -1, "1": -1, "t": -1, "false": 1, "0": 1, "f": 1}


@dataclass(frozen=True, slots=True)
class Extract:
    """The columns, and where each of their rows stood in the frame."""

    columns: Columns
    place: Int64Array
    frame: Frame
    layout: Layout

    def take(self, rows: Int64Array) -> "Extract":
        """Some of the rows."""
        return Extract(self.columns.take(rows), self.place[rows], self.frame, self.layout)


def extract(frame: Frame, layout: Layout, symbols: tuple[str, ...], chosen: bool) -> Extract:
    """Read every cell of the layout's columns.

    `chosen` says that `symbols` is a choice: rows of other symbols are left out. Otherwise they are marked
    with index -1.
    """
    data = frame.data
    place = np.arange(data.height)
    if "symbol" in layout.roles:
        index = symbol_places(data[layout.roles["symbol"]], symbols)
        if chosen and (index < 0).any():
            place = np.flatnonzero(index >= 0)
            data, index = data[place], index[place]
    else:
        index = np.zeros(data.height, np.int32)
    cells = data[layout.time]
    if layout.clock is not None:
        cells = cells + " " + data[layout.clock]
    ts = layout.rule.read(cells)
    if layout.wide:
        return _wide(frame, layout, symbols, ts)
    return Extract(_columns(data, layout, symbols, ts, index), place, frame, layout)


def symbol_places(cells: "polars.Series", symbols: tuple[str, ...]) -> Int32Array:
    """Place of each cell in `symbols`, -1 where it is not among them."""
    import polars

    codes = cells.cast(polars.String).cast(polars.Enum(list(symbols)), strict=False).to_physical()
    return codes.cast(polars.Int32).fill_null(-1).to_numpy()


def numbers(cells: "polars.Series") -> FloatArray:
    """Cells as float64; empty ones, and text that is no number, become NaN."""
    import polars

    if cells.dtype == polars.String:
        cells = cells.str.strip_chars()
    values = cells.cast(polars.Float64, strict=False)
    return (values.fill_null(float("nan")) if values.null_count() else values).to_numpy()


def _columns(data: "polars.DataFrame", layout: Layout, symbols: tuple[str, ...], ts: Int64Array, index: Int32Array) -> Columns:
    def column(role: str) -> Any:
        return numbers(data[layout.roles[role]]) if role in layout.roles else np.zeros(data.height)

    roles = layout.roles
    if layout.is_quote_bar:
        mids = {part: (column(f"bid_{part}") + column(f"ask_{part}")) / 2 for part in ("open", "high", "low", "close")}
        return Columns("bars", symbols, ts, index, **mids, volume=np.zeros(len(ts)), sized=False)
    if layout.kind == "bars":
        close = column("close")
        whole = "open" in roles
        return Columns(
            "bars",
            symbols,
            ts,
            index,
            open=column("open") if whole else close,
            high=column("high") if whole else close,
            low=column("low") if whole else close,
            close=close,
            volume=column("volume"),
            sized="volume" in roles,
        )
    if layout.kind == "quotes":
        names = ("bid_price", "ask_price", "bid_quantity", "ask_quantity")
        sized = "bid_quantity" in roles and "ask_quantity" in roles
        return Columns("quotes", symbols, ts, index, **{name: column(name) for name in names}, sized=sized)
    return Columns(
        "trades",
        symbols,
        ts,
        index,
        price=column("price"),
        quantity=column("quantity"),
        side=_sides(data, layout),
        trade_id=_trade_ids(data, layout),
    )


def _wide(frame: Frame, layout: Layout, symbols: tuple[str, ...], ts: Int64Array) -> Extract:
    """One bar for each filled cell, row by row; an empty cell is a day without that symbol."""
    closes = np.column_stack([numbers(frame.data[name]) for name in symbols])
    filled = np.column_stack([_is_filled(frame.data[name]) for name in symbols])
    place, index = np.nonzero(filled)
    close = closes[place, index]
    columns = Columns(
        "bars",
        symbols,
        ts[place],
        index.astype(np.int32),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.zeros(len(close)),
        sized=False,
    )
    return Extract(columns, place, frame, layout)


def _is_filled(cells: "polars.Series") -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    filled = cells.is_not_null()
    if cells.dtype.is_float():
        filled = filled & cells.is_not_nan().fill_null(False)
    return filled.to_numpy()


def _sides(data: "polars.DataFrame", layout: Layout) -> Int8Array:
    """Who took: from `side`, else from whether the buyer was the maker, else unknown."""
    import polars

    if "side" in layout.roles:
        cells, meaning = data[layout.roles["side"]], _SIDES
    elif "buyer_is_maker" in layout.roles:
        cells, meaning = data[layout.roles["buyer_is_maker"]], _TRUE
        if cells.dtype == polars.Boolean and cells.null_count() == 0:
            return np.where(cells.to_numpy(), np.int8(-1), np.int8(1))
    else:
        return np.zeros(data.height, np.int8)
    if cells.dtype.is_integer() and meaning is _SIDES:
        plain = cells.cast(polars.Int8, strict=False).fill_null(BAD_SIDE).to_numpy()
        return np.where(np.abs(plain) <= 1, plain, np.int8(BAD_SIDE))
    text = cells.cast(polars.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(meaning, default=BAD_SIDE, return_dtype=polars.Int8).fill_null(0).to_numpy()


def _trade_ids(data: "polars.DataFrame", layout: Layout) -> Int64Array:
    """The venue's number of the trade; -1 where there is none, or it is no whole number."""
    import polars

    if "trade_id" not in layout.roles:
        return np.full(data.height, -1)
    return data[layout.roles["trade_id"]].cast(polars.Int64, strict=False).fill_null(-1).to_numpy()
