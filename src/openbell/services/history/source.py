"""What a session is made of: the data sets that a request names, merged, or the stored candles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openbell.adapters.messages.control import DataRequest
from openbell.adapters.stores.catalog import CATALOG
from openbell.adapters.stores.history import Columns
from openbell.adapters.stores.history.stored import CandleReader, StoredCandles
from openbell.backtest.candles import CandlesOf
from openbell.backtest.data import Batches, EventSource
from openbell.errors import DataError, UnknownNameError, UsageError
from openbell.model.time import format_time, format_timeframe, parse_timeframe

#: The timeframe of a request that wants ticks and nothing else.
TICKS_ONLY = "ticks"


def open_source(request: DataRequest, candles: CandleReader | None = None, folder: Path | None = None) -> EventSource:
    """The events a request asks for, the same as a backtest of that data in one process steps.

    A data set is a shipped one, or a file of `folder`; nothing else of the machine can be named. Raises UnknownNameError, UsageError and
    DataError.
    """
    for name, moment in (("start", request.start), ("end", request.end)):
        if abs(moment) >= 1 << 62:
            raise UsageError(f"the {name} of session {request.session} is {moment}", "nanoseconds since 1970, of the years 1900 to 2100")
    if request.start and request.end and request.start >= request.end:
        raise UsageError(
            f"the range of session {request.session} is from {format_time(request.start)} to {format_time(request.end)}",
            "a start before the end",
        )
    timeframe = "" if request.timeframe == TICKS_ONLY else request.timeframe
    timeframe_ns = parse_timeframe(timeframe) if timeframe else None
    names = [name.strip() for name in request.source.split(",") if name.strip()]
    if not names:
        return Batches(_stored(request, candles, timeframe_ns), {}, None, timeframe_ns)
    options = {
        "symbols": list(request.symbols) or None, "start": request.start or None, "end": request.end or None, "sort": request.sort or None,
    }  # fmt: skip
    chosen = {name: value for name, value in options.items() if value is not None}
    batches = Batches(
        [_find(name, folder) for name in names], {**chosen, "on_bad": "drop" if request.drop_bad else "raise"}, None, timeframe_ns
    )
    batches.name = ", ".join(names)
    if timeframe_ns is not None and batches.bar_timeframe_ns:
        _check_spacing(batches.first, timeframe_ns, batches.name)
    if request.timeframe == TICKS_ONLY and batches.bar_timeframe_ns:
        raise DataError(f"{batches.name} holds {format_timeframe(batches.bar_timeframe_ns)} bars", "ticks", "ask for no timeframe")
    return CandlesOf(batches, timeframe) if timeframe and not batches.bar_timeframe_ns else batches


def _stored(request: DataRequest, candles: CandleReader | None, timeframe_ns: int | None) -> StoredCandles:
    if candles is None:
        raise UsageError(f"session {request.session} names no data set, and no candles are stored here", f"one of {', '.join(CATALOG)}")
    if timeframe_ns is None:
        raise UsageError(f"session {request.session} names no timeframe", "that of the stored candles, such as 1m")
    return StoredCandles(candles, request.symbols, request.timeframe, timeframe_ns, request.start or None, request.end or None)


def _find(name: str, folder: Path | None) -> str:
    """A shipped name, or the path of a file or folder inside `folder`."""
    if name in CATALOG:
        return name
    own: list[str] = []
    if folder is not None and folder.is_dir():
        own = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        path = (folder / name).resolve()
        if path.is_relative_to(folder.resolve()) and path != folder.resolve() and path.exists():
            return str(path)
    raise UnknownNameError.of("data set", name, [*CATALOG, *own])


def _check_spacing(first: Sequence[Columns], timeframe_ns: int, name: str) -> None:
    """Raise DataError for bars that are plainly longer or shorter than asked for: another timeframe makes no candles of them."""
    gaps = [np.diff(columns.ts_event[columns.symbol_index == index]) for columns in first for index in np.unique(columns.symbol_index)[:16]]
    distances, counts = np.unique(np.concatenate(gaps), return_counts=True)
    if len(distances) and (distances[0] > timeframe_ns or distances[np.argmax(counts)] < timeframe_ns):
        found = format_timeframe(int(distances[np.argmax(counts)]))
        raise DataError(f"{name} holds {found} bars", f"{format_timeframe(timeframe_ns)} bars", f"ask for {found}, or for no timeframe")
