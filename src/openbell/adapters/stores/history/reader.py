"""The reader: source -> frames -> columns -> checks -> chunks, each step a generator, nothing held longer
than a frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openbell.adapters.stores.history.checks import OnBad, OrderCheck, Quality, check_values, moment
from openbell.adapters.stores.history.columns import CHUNK_ROWS, Columns, Kind, concatenate
from openbell.adapters.stores.history.extract import Extract, extract
from openbell.adapters.stores.history.frames import open_source
from openbell.adapters.stores.history.layout import Layout, recognise, squash
from openbell.adapters.stores.history.sources import Frame, Source, head
from openbell.errors import DataError, UnknownNameError, suggest

if TYPE_CHECKING:
    import polars

#: Rows read from the source at once: large enough that a Parquet row group is decoded few times, small enough
#: to stay flat.
_READ_ROWS = 262_144


def read_history(
    data: object,
    *,
    symbols: str | Sequence[str] | None = None,
    kind: Kind | None = None,
    where: Mapping[str, object] | None = None,
    start: str | int | datetime | None = None,
    end: str | int | datetime | None = None,
    time: str | None = None,
    timezone: str | None = None,
    sort: bool = False,
    on_bad: OnBad = "raise",
) -> "HistoryReader":
    """Open history for reading; the rows stream from `HistoryReader.chunks`.

    Parameters
    ----------
    data
        Path of a Parquet or CSV (.csv, .csv.gz) file or of a folder of them (parts of one history, in the
        order of their names), polars DataFrame or LazyFrame, pandas DataFrame, NumPy structured array, or
        mapping of names to arrays.
    symbols
        Which symbols to read, all by default. A source without a column of symbols holds one instrument, and
        this names it (by default the beginning of the file's name).
    kind
        "bars", "trades" or "quotes" where the columns allow several readings.
    where
        Only rows with these values, such as `{"venue": "binance_spot"}`.
    start, end
        Half-open range of time: ISO text, datetime (naive is UTC) or int ns.
    time
        The column of times where there are several; otherwise the venue's own is taken before the time of
        arrival.
    timezone
        IANA name for naive times. Naive means UTC otherwise; the whole rule is in `timestamps`.
    sort
        Sort by time (stable) when the source is not in order, which holds all rows in memory. `quality`
        counts them.
    on_bad
        "raise" stops at the first row that makes no sense, "drop" leaves them out; `quality` counts.

    Raises DataError for what cannot be read, UnknownNameError for a symbol that is not there.

    >>> reader = read_history({"time": [1704067200, 1704067260], "close": [10.0, 10.5]}, symbols="AAPL")
    >>> for columns in reader.chunks():
    ...     print(columns.kind, columns.symbols, columns.close)
    bars ('AAPL',) [10.  10.5]
    """
    source = open_source(data)
    layout = recognise(head(source), source.name, kind, time, timezone)
    asked = (symbols,) if isinstance(symbols, str) else tuple(symbols) if symbols is not None else None
    default = Path(data).name.partition(".")[0].partition("-")[0].upper() if isinstance(data, str | Path) else "ASSET"
    filters = _filters(source, where or {})
    found = _symbols(source, layout, filters, asked, default)
    span = (nanoseconds(start, "start"), nanoseconds(end, "end"))
    return HistoryReader(source, layout, found, filters, asked is not None, span, sort, on_bad)


class HistoryReader:
    """One history, read any number of times from its beginning. Made by `read_history`; a `History`.

    `quality` tells what the last pass met: rows, dropped rows by reason, rows out of order.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        symbols: tuple[str, ...],
        filters: dict[str, str],
        chosen: bool,
        span: tuple[int | None, int | None],
        sort: bool,
        on_bad: OnBad,
    ) -> None:
        self.name = source.name
        self.kind: Kind = layout.kind
        self.symbols = symbols
        self.quality = Quality()
        self._source, self._layout, self._filters, self._chosen = source, layout, filters, chosen
        self._span, self._sort, self._on_bad = span, sort, on_bad

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Columns]:
        """The history from its beginning, at most `rows` rows at a time.

        Raises DataError at the row that cannot be used; rows before it were handed over already.
        """
        assert rows > 0, "a chunk has at least one row"
        self.quality = quality = Quality()
        parts = self._extracts(max(rows, _READ_ROWS if rows >= CHUNK_ROWS else rows * 4), quality)
        if self._sort:
            parts = self._sorted(parts, quality)
        order = OrderCheck(len(self.symbols), self._on_bad, quality)
        for part in parts:
            columns = self._in_span(order.check(part).columns)
            quality.rows += len(columns)
            for begin in range(0, len(columns), rows):
                yield columns if len(columns) <= rows else columns.take(slice(begin, begin + rows))
        if not quality.rows:
            raise self._nothing()

    def _extracts(self, rows: int, quality: Quality) -> Iterator[Extract]:
        """Columns of each frame that passed the checks of values."""
        layout, symbols = self._layout, self.symbols
        if layout.wide:
            rows = max(1, rows // len(symbols))
        columns = list(dict.fromkeys([*layout.needed(), *self._filters]))
        for frame in self._source.frames(columns, rows):
            part = extract(frame, layout, symbols, self._chosen)
            for name, value in self._filters.items():
                matches = _matches(frame.data[name], value)
                part = part.take(np.flatnonzero(matches[part.place]))
            yield check_values(part, self._on_bad, quality)

    def _sorted(self, parts: Iterator[Extract], quality: Quality) -> Iterator[Extract]:
        """All rows as one part in time order. Rows keep the number they had over the whole source."""
        chunks, places, rows_before = [], [], 0
        frame = None
        for part in parts:
            frame = part.frame
            chunks.append(part.columns)
            places.append(part.place + rows_before)
            rows_before += frame.data.height
        if frame is None:
            return
        columns, place = concatenate(chunks), np.concatenate(places)
        ts = columns.ts_event
        if len(ts) and (np.diff(ts) < 0).any():
            quality.out_of_order = int((ts < np.maximum.accumulate(ts)).sum())
            order = np.argsort(ts, kind="stable")
            columns, place = columns.take(order), place[order]
        whole = Frame(frame.data.clear(), self.name, 1, frame.header_lines)
        yield Extract(columns, place, whole, self._layout)

    def _in_span(self, columns: Columns) -> Columns:
        start, end = self._span
        low = 0 if start is None else int(np.searchsorted(columns.ts_event, start))
        high = len(columns) if end is None else int(np.searchsorted(columns.ts_event, end))
        return columns if high - low == len(columns) else columns.take(slice(low, high))

    def _nothing(self) -> DataError:
        why = []
        if self._span != (None, None):
            start, end = (("open" if t is None else moment(t)) for t in self._span)
            why.append(f"between {start} and {end}")
        if self._filters:
            why.append("where " + ", ".join(f"{name} is {value!r}" for name, value in self._filters.items()))
        dropped = sum(self.quality.dropped.values())
        if dropped:
            why.append(f"after {dropped:,} bad rows were dropped")
        return DataError(
            f"{self.name} has no rows {' '.join(why)}".rstrip(),
            expected="at least one",
            do="widen the choice",
        )


def _filters(source: Source, where: Mapping[str, object]) -> dict[str, str]:
    """The columns' own names and the values as text. Raises DataError for a column that is not there."""
    if not where:
        return {}
    names = {squash(name): name for name in head(source).columns}
    for asked in where:
        if squash(asked) not in names:
            raise DataError(
                f"{source.name} has no column '{asked}' to choose by",
                expected=f"one of {', '.join(names.values())}",
            )
    return {names[squash(asked)]: str(value) for asked, value in where.items()}


def _symbols(source: Source, layout: Layout, filters: dict[str, str], asked: tuple[str, ...] | None, default: str) -> tuple[str, ...]:
    """The symbols to read, from one pass over the columns that name them.

    Raises UnknownNameError and DataError.
    """
    if layout.wide:
        known: tuple[str, ...] = layout.wide
    elif "symbol" in layout.roles:
        known = _distinct(source, layout, filters, asked)
    else:
        if asked is not None and len(asked) != 1:
            raise DataError(
                f"{source.name} has no column of symbols, so it holds one; {len(asked)} were asked for",
                do="ask for one",
            )
        return asked or (default,)
    for symbol in asked or ():
        if symbol not in known:
            raise UnknownNameError(f"{source.name} has no symbol '{symbol}'", do=suggest(symbol, known))
    return asked or known


def _distinct(source: Source, layout: Layout, filters: dict[str, str], asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Symbols in the order they first occur.

    One symbol of two venues is two instruments: refused, not mixed.
    """
    import polars

    symbol, venue = layout.roles["symbol"], layout.roles.get("venue")
    pairs: dict[tuple[str | None, str | None], None] = {}
    columns = [symbol] if venue is None else [symbol, venue]
    for frame in source.frames(list(dict.fromkeys([*columns, *filters])), _READ_ROWS):
        data = frame.data
        for name, value in filters.items():
            data = data.filter(polars.Series(_matches(data[name], value)))
        for row in data.select(polars.col(columns).cast(polars.String)).unique(maintain_order=True).rows():
            pairs.setdefault((row[0], row[1] if venue is not None else None))
    venues: dict[str, list[str | None]] = {}
    for found, place in pairs:
        if found is not None:
            venues.setdefault(found, []).append(place)
    for name, places in venues.items():
        if len(places) > 1 and (asked is None or name in asked):
            raise DataError(
                f"{source.name} holds {name} of {len(places)} venues ({', '.join(map(str, places))})",
                expected="one venue a symbol",
                do=f"choose one with where={{'{venue}': '{places[0]}'}}",
            )
    if not venues:
        raise DataError(
            f"{source.name} has no rows with a symbol" + "".join(f" where {name} is {value!r}" for name, value in filters.items()),
            expected="at least one",
            do="check the choice",
        )
    return tuple(venues)


def _matches(cells: "polars.Series", value: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    import polars

    return (cells.cast(polars.String) == value).fill_null(False).to_numpy()


def nanoseconds(moment_asked: str | int | datetime | None, name: str) -> int | None:
    """A border of a range as ns UTC; DataError for a text that is no time."""
    if moment_asked is None or isinstance(moment_asked, int):
        return moment_asked
    try:
        when = datetime.fromisoformat(moment_asked) if isinstance(moment_asked, str) else moment_asked
    except ValueError as error:
        raise DataError(f"{name} is {moment_asked!r}", expected="ISO text such as 2024-01-31T09:30:00Z") from error
    naive = when if when.tzinfo is None else (when - when.utcoffset()).replace(tzinfo=None)  # type: ignore[operator]
    return int(np.datetime64(naive, "ns").astype(np.int64))
