"""What a row must fulfil before anything trades on it: finite prices above zero, a bar that is one, time that
never falls.

Checks run on whole columns. Only when one fails is the first bad row looked up, and the cell shown as it
stands in the source.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from openbell.adapters.stores.history.columns import FloatArray, Int64Array
from openbell.adapters.stores.history.extract import BAD_SIDE, Extract
from openbell.adapters.stores.history.sources import Frame
from openbell.adapters.stores.history.timestamps import NO_TIME
from openbell.errors import DataError

OnBad: TypeAlias = Literal["raise", "drop"]
_Mask: TypeAlias = NDArray[np.bool_]

_PRICE = "a finite price above 0"
_AMOUNT = "a finite number, 0 or more"


@dataclass(slots=True)
class Quality:
    """What a pass over the source met; complete when its last chunk was read."""

    rows: int = 0  # handed over
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> rows left out
    out_of_order: int = 0  # rows that stood after a later one, and were sorted

    def notes(self) -> list[str]:
        """Sentences for the user; none when all was well."""
        lines = [f"{count:,} rows dropped: {reason}" for reason, count in sorted(self.dropped.items())]
        if self.out_of_order:
            lines.append(f"{self.out_of_order:,} rows stood out of time order and were sorted")
        return lines


def moment(ts: int) -> str:
    """ISO text of a time in ns UTC, no longer than needed."""
    text = str(np.datetime64(int(ts), "ns"))
    date, _, clock = text.partition("T")
    clock = clock.rstrip("0").rstrip(".") if "." in clock else clock
    clock = clock + ":00" * (2 - clock.count(":")) if clock else "00:00:00"
    return f"{date}T{clock}Z"


def where_is(frame: Frame, place: int) -> str:
    """`prices.csv, row 7 (line 8)`."""
    row = frame.first_row + int(place)
    line = "" if frame.header_lines is None else f" (line {row + frame.header_lines:,})"
    return f"{frame.source}, row {row:,}{line}"


def check_values(part: Extract, on_bad: OnBad, quality: Quality) -> Extract:
    """Refuse or drop rows whose values make no sense.

    Raises DataError with the row, the column and the cell found.
    """
    if _all_good(part):
        return part
    bad = np.zeros(len(part.columns), bool)
    first: tuple[int, str, str] | None = None
    for role, expected, mask in _masks(part):
        hits = np.flatnonzero(mask & ~bad)
        if len(hits):
            bad |= mask
            quality.dropped[f"{role} was not {expected}"] += len(hits)
            if first is None or hits[0] < first[0]:
                first = (int(hits[0]), role, expected)
    if first is None:
        return part
    if on_bad == "raise":
        raise _bad_cell(part, *first)
    return part.take(np.flatnonzero(~bad))


def _is_price(values: FloatArray) -> bool:
    return bool(values.min() > 0 and values.max() < np.inf)


def _is_amount(values: FloatArray) -> bool:
    return bool(values.min() >= 0 and values.max() < np.inf)


def _all_good(part: Extract) -> bool:
    """The quick pass over a clean chunk: a minimum and a maximum a column, both NaN when one value is."""
    columns = part.columns
    if not len(columns):
        return True
    if columns.ts_event.min() == NO_TIME or columns.symbol_index.min() < 0:
        return False
    if columns.kind == "quotes":
        return (
            _is_price(columns.bid_price)
            and _is_price(columns.ask_price)
            and _is_amount(columns.bid_quantity)
            and _is_amount(columns.ask_quantity)
        )
    if columns.kind == "trades":
        return _is_price(columns.price) and _is_price(columns.quantity) and bool(columns.side.max() < BAD_SIDE)
    if columns.open is columns.close:
        return _is_price(columns.close) and _is_amount(columns.volume)
    return (
        _is_price(columns.low)
        and _is_price(columns.high)
        and bool((columns.low <= np.minimum(columns.open, columns.close)).all())
        and bool((columns.high >= np.maximum(columns.open, columns.close)).all())
        and _is_amount(columns.volume)
    )


def _masks(part: Extract) -> list[tuple[str, str, _Mask]]:
    """Every rule as (role, what was expected, rows that break it)."""
    columns = part.columns

    def price(role: str) -> tuple[str, str, _Mask]:
        values = getattr(columns, role)
        return role, _PRICE, ~((values > 0) & (values < np.inf))

    def amount(role: str) -> tuple[str, str, _Mask]:
        values = getattr(columns, role)
        return role, _AMOUNT, ~((values >= 0) & (values < np.inf))

    rules = [
        (
            "time",
            "a time of the years 1900 to 2199, in the form of the first row",
            columns.ts_event == NO_TIME,
        ),
        ("symbol", "a symbol", columns.symbol_index < 0),
    ]
    if columns.kind == "quotes":
        return [
            *rules,
            price("bid_price"),
            price("ask_price"),
            amount("bid_quantity"),
            amount("ask_quantity"),
        ]
    if columns.kind == "trades":
        positive = price("quantity")[2]
        known = columns.side == BAD_SIDE
        return [
            *rules,
            price("price"),
            ("quantity", "a finite number above 0", positive),
            ("side", "buy or sell", known),
        ]
    if columns.open is columns.close:
        return [*rules, price("close"), amount("volume")]
    rules += [price(role) for role in ("open", "high", "low", "close")]
    body_high = np.maximum(columns.open, columns.close)
    body_low = np.minimum(columns.open, columns.close)
    rules += [
        ("high", "at or above the low", columns.high < columns.low),
        ("high", "at or above open and close", columns.high < body_high),
        ("low", "at or below open and close", columns.low > body_low),
    ]
    return [*rules, amount("volume")]


def _bad_cell(part: Extract, row: int, role: str, expected: str) -> DataError:
    """The error for one row: the cell as the source has it, and for a bar that is none, the whole bar."""
    layout, frame, columns = part.layout, part.frame, part.columns
    place = int(part.place[row])
    if role == "time":
        column = layout.time
    elif layout.wide:
        column = columns.symbols[columns.symbol_index[row]]
    elif layout.is_quote_bar:
        bid, ask = layout.roles[f"bid_{role}"], layout.roles[f"ask_{role}"]
        cell = frame.data[bid][place]
        column = ask if isinstance(cell, float) and 0 < cell < np.inf else bid
    elif role == "side":
        column = layout.roles.get("side", layout.roles.get("buyer_is_maker", "side"))
    else:
        column = layout.roles.get(role, layout.roles.get("close", role))
    cell = frame.data[column][place]
    found = "an empty cell" if cell is None else repr(cell)
    if expected.startswith("at "):
        values = ", ".join(f"{name} {getattr(columns, name)[row]:g}" for name in ("open", "high", "low", "close"))
        found += f" in a bar of {values}"
        expected = f"a {role} {expected}"
    remedy = "correct the row, or leave such rows out with on_bad='drop'"
    return DataError(f"{where_is(frame, place)}, column '{column}': found {found}", expected=expected, do=remedy)


class OrderCheck:
    """Time must not fall, and a symbol has one bar a time; carried from chunk to chunk."""

    def __init__(self, symbols: int, on_bad: OnBad, quality: Quality) -> None:
        self._last = NO_TIME
        self._last_bar = np.full(symbols, NO_TIME)
        self._on_bad = on_bad
        self._quality = quality

    def check(self, part: Extract) -> Extract:
        """The rows, without second bars when they are to be dropped.

        Raises DataError with the row and both times.
        """
        ts = part.columns.ts_event
        if not len(ts):
            return part
        steps = np.diff(ts, prepend=self._last if self._last != NO_TIME else ts[0] - 1)
        if steps.min() < 0:
            raise self._falling(part, int(np.argmax(steps < 0)))
        twice = self._second_bars(part, steps) if part.columns.kind == "bars" else None
        self._last = ts[-1]
        if twice is None or not twice.any():
            return part
        if self._on_bad == "raise":
            row = int(np.argmax(twice))
            symbol = part.columns.symbols[part.columns.symbol_index[row]]
            place = where_is(part.frame, int(part.place[row]))
            raise DataError(
                f"{place}: a second bar of {symbol} at {moment(ts[row])}",
                expected="one bar of a symbol at a time",
                do="remove one, or keep the first with on_bad='drop'",
            )
        self._quality.dropped["a second bar at the same time"] += int(twice.sum())
        return part.take(np.flatnonzero(~twice))

    def _second_bars(self, part: Extract, steps: Int64Array) -> _Mask | None:
        ts, index = part.columns.ts_event, part.columns.symbol_index
        if len(self._last_bar) == 1:
            return steps == 0 if not steps.all() else None
        order = np.argsort(index, kind="stable")
        symbol, time = index[order], ts[order]
        same = np.empty(len(ts), bool)
        same[1:] = (symbol[1:] == symbol[:-1]) & (time[1:] == time[:-1])
        starts = np.flatnonzero(np.r_[True, symbol[1:] != symbol[:-1]])
        same[starts] = time[starts] == self._last_bar[symbol[starts]]
        ends = np.r_[starts[1:], len(ts)] - 1
        self._last_bar[symbol[ends]] = time[ends]
        twice = np.empty(len(ts), bool)
        twice[order] = same
        return twice

    def _falling(self, part: Extract, row: int) -> DataError:
        columns = part.columns
        before = columns.ts_event[row - 1] if row else self._last
        symbol = columns.symbols[columns.symbol_index[row]]
        other = columns.symbols[columns.symbol_index[row - 1]] if row else symbol
        change = f" (where {symbol} follows {other})" if other != symbol else ""
        place = where_is(part.frame, int(part.place[row]))
        later, earlier = moment(int(before)), moment(columns.ts_event[row])
        return DataError(
            f"{place}: time runs backwards, {earlier} after {later}{change}",
            expected="times that never fall",
            do="read with sort=True, which holds all rows in memory" + (", or choose one symbol" if change else ""),
        )
