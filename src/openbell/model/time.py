"""Time is int64 nanoseconds since 1970 UTC, and always an argument; timeframes are lengths of candles in nanoseconds."""

import re
from datetime import UTC, datetime

from openbell.errors import UsageError
from openbell.model.jit import kernel

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNITS = {"ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}


def parse_timeframe(text: str) -> int:
    """`"1s"`, `"5m"`, `"4h"`, `"1d"`, `"250ms"` in nanoseconds.

    >>> parse_timeframe("5m")
    300000000000
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})\s*(ms|s|m|h|d|w)", str(text).strip().lower())
    if match is None:
        raise UsageError(f"timeframe is {text!r}; expected a number and one of ms, s, m, h, d, w, such as 1s, 5m, 4h, 1d")
    return int(match[1]) * _UNITS[match[2]]


def format_timeframe(timeframe_ns: int) -> str:
    """The shortest name of a timeframe: the inverse of `parse_timeframe`."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if timeframe_ns % _UNITS[unit] == 0:
            return f"{timeframe_ns // _UNITS[unit]}{unit}"
    return f"{timeframe_ns}ns"


def format_time(ts_ns: int) -> str:
    """ISO 8601 in UTC with milliseconds, such as `2024-08-09T00:00:01.250Z`."""
    whole = datetime.fromtimestamp(ts_ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ts_ns % SECOND // MILLISECOND:03d}Z"


@kernel
def day_end(ts_ns: int, offset_ns: int) -> int:
    """End (ns) of the trading day that `ts_ns` is in, where days end `offset_ns` after midnight UTC."""
    return ((ts_ns - offset_ns) // DAY + 1) * DAY + offset_ns
