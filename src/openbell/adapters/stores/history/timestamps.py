"""Which moment a cell of a time column means: one rule, found once for a source, applied to every chunk.

* A date or datetime type says its unit itself. With a time zone it is converted; naive means UTC.
* A whole or decimal number counts from 1970 UTC. The column's name decides the unit when it ends in `_ns`,
  `_us` or `_ms`; otherwise the size of the first value does: below 1e11 seconds, below 1e14 milliseconds,
  below 1e17 microseconds, else nanoseconds. (Each reading then gives the years 1973 to 5138; milliseconds
  before March 1973 need the name.)
* Text is ISO 8601 (`2024-01-31`, `2024-01-31T09:30:00.123Z`, `2024-01-31 09:30:00+05:30`), `20240131`,
  `20240131 093000`, `20240131093000`, `2024/01/31`, or a number as above. Day-first and month-first dates
  cannot be told apart: refused.
* Naive means UTC, unless the column's name ends in `_ist` (Asia/Kolkata) or the caller gives a time zone.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openbell.adapters.stores.history.columns import Int64Array
from openbell.errors import DataError

if TYPE_CHECKING:
    import polars

#: A cell that cannot be read, and anything outside the years 1900 to 2199.
NO_TIME = np.int64(np.iinfo(np.int64).min)

_FACTOR = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EARLIEST = -2_208_988_800 * 1_000_000_000
_LATEST = 7_258_118_400 * 1_000_000_000
_SHAPES = (
    (r"\d{4}-\d\d-\d\d", "%Y-%m-%d"),
    (r"\d{4}/\d\d/\d\d", "%Y/%m/%d"),
    (r"(19|20)\d{6}", "%Y%m%d"),
    (r"(19|20)\d{12}", "%Y%m%d%H%M%S"),
    (r"\d{8} \d{6}", "%Y%m%d %H%M%S"),
    (r"\d{8} \d\d:\d\d:\d\d", "%Y%m%d %H:%M:%S"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", "%Y-%m-%d %H:%M"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.]\d+)?", "%Y-%m-%d %H:%M:%S%.f"),
    (r"\d{4}/\d\d/\d\d[T ]\d\d:\d\d:\d\d([.]\d+)?", "%Y/%m/%d %H:%M:%S%.f"),
)
_OFFSET = re.compile(r"(.*\d)\s*([+-]\d\d:?\d\d)")


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How to read one time column. `shape` is `dtype`, `number` or a chrono format; `unit` is for numbers."""

    shape: str
    unit: str = "ns"
    zone: str | None = None  # the zone of naive times; None is UTC
    offset: bool = False  # every value ends in its own offset from UTC

    def read(self, cells: "polars.Series") -> Int64Array:
        """Convert to int64 ns UTC; a cell that does not fit the rule becomes NO_TIME."""
        import polars

        if self.shape == "number":
            ts = _count(cells, _FACTOR[self.unit])
        else:
            moments = cells.cast(polars.Datetime("ns")) if cells.dtype == polars.Date else cells
            if self.shape != "dtype":
                moments = self._parse(cells)
            dtype = moments.dtype
            assert isinstance(dtype, polars.Datetime)
            if self.zone is not None and dtype.time_zone is None:
                moments = moments.dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null")
            factor = _FACTOR[dtype.time_unit]
            ts = _filled(moments.to_physical(), factor)
        return np.where((ts >= _EARLIEST) & (ts < _LATEST), ts, NO_TIME)

    def _parse(self, cells: "polars.Series") -> "polars.Series":
        """Text to datetime[ns]; a `T` between date and time and a final `Z` carry no meaning of their own."""
        import polars

        text = cells.str.strip_chars().str.strip_suffix("Z").str.replace("T", " ", literal=True)
        shape = self.shape + ("%z" if self.offset else "")
        if "%H" not in self.shape:
            return text.str.to_date(shape, strict=False).cast(polars.Datetime("ns"))
        if self.offset:
            text = text.str.replace(r"\s*([+-]\d\d):?(\d\d)$", "$1$2")
        return text.str.to_datetime(shape, strict=False, time_unit="ns")


def find_rule(name: str, cells: "polars.Series", source: str, timezone: str | None = None) -> TimeRule:
    """Find the rule for a column from its name, its type and its first values.

    `timezone` is an IANA name for naive times and wins over the column's name. Raises DataError when no rule
    fits.
    """
    import polars

    lower = name.lower()
    zone = timezone or ("Asia/Kolkata" if re.search(r"(^|_)ist(_|$)", lower) else None)
    zone = None if zone is not None and zone.upper() == "UTC" else zone
    if cells.dtype == polars.Date or isinstance(cells.dtype, polars.Datetime):
        return TimeRule("dtype", zone=zone)
    filled = cells.drop_nulls()
    if cells.dtype.is_numeric() and not filled.is_empty():
        return TimeRule("number", unit=_unit(lower, float(filled[0])))
    if cells.dtype == polars.String and not filled.is_empty():
        rule = _text_rule(filled[0].strip(), lower, zone)
        if rule is not None:
            return rule
    found = repr(filled[0]) if not filled.is_empty() else "nothing"
    raise DataError(
        f"{source}, column '{name}': found {found} as the first time",
        expected="ISO text such as 2024-01-31T09:30:00Z, 20240131, or a count of s, ms, us or ns since 1970",
        do="write the times as ISO 8601 UTC",
    )


def _text_rule(value: str, lower_name: str, zone: str | None) -> TimeRule | None:
    for pattern, shape in _SHAPES:
        if re.fullmatch(pattern + "Z?", value):
            return TimeRule(shape, zone=None if value.endswith("Z") else zone)
    with_offset = _OFFSET.fullmatch(value)
    if with_offset:
        for pattern, shape in _SHAPES:
            if "%H" in shape and re.fullmatch(pattern, with_offset[1]):
                return TimeRule(shape, offset=True)
    if re.fullmatch(r"-?\d+([.]\d+)?", value):
        return TimeRule("number", unit=_unit(lower_name, float(value)))
    return None


def _unit(lower_name: str, value: float) -> str:
    for unit in ("ns", "us", "ms"):
        if lower_name.endswith("_" + unit):
            return unit
    size = abs(value)
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def _count(cells: "polars.Series", factor: int) -> Int64Array:
    """Numbers since 1970; decimals are split, because a float64 of nanoseconds would be 256 ns coarse."""
    import polars

    if cells.dtype == polars.String:
        whole = cells.str.strip_chars().cast(polars.Int64, strict=False)
        cells = whole if whole.null_count() == cells.null_count() else cells.cast(polars.Float64, strict=False)
    if not cells.dtype.is_float():
        return _filled(cells.cast(polars.Int64, strict=False), factor)
    values = cells.cast(polars.Float64).fill_null(float("nan")).to_numpy()
    inside = np.abs(values) < _LATEST / factor
    values = np.where(inside, values, 0.0)
    base = np.floor(values)
    ts = base.astype(np.int64) * factor + np.rint((values - base) * factor).astype(np.int64)
    return np.where(inside, ts, NO_TIME)


def _filled(ticks: "polars.Series", factor: int) -> Int64Array:
    if ticks.null_count() == 0:
        values = ticks.to_numpy().astype(np.int64, copy=False)
        known = np.abs(values) <= _LATEST // factor
        if known.all():
            return values * factor
    else:
        values = ticks.fill_null(0).to_numpy().astype(np.int64, copy=False)
        known = ticks.is_not_null().to_numpy() & (np.abs(values) <= _LATEST // factor)
    return np.where(known, np.where(known, values, 0) * factor, NO_TIME)
