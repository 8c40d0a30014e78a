"""The answers to questions: readings as records, ranked."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from openbell.adapters.stores.speed_layer import Number
from openbell.analytics.questions import Found, annualised, anomalies, change_percent, chosen_pairs, highest, strongest_pairs
from openbell.errors import UnknownNameError, UsageError
from openbell.model.analytics import ANOMALIES, BEFORE, PARTS, RETURNS_MIN, WINDOW_NAMES, WINDOWS
from openbell.model.time import MILLISECOND, SECOND
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.records import (
    Activity,
    Anomalies,
    Anomaly,
    Correlations,
    CorrelationWindow,
    Mover,
    Movers,
    Pair,
    SessionFigures,
    SymbolFigures,
    WindowFigures,
    WindowName,
)
from openbell.services.analytics.source import Source, Table

#: What the value of each kind of anomaly is in.
UNITS = {"price_jump": "percent", "volume_burst": "units", "spread_wide": "bps", "stale": "seconds"}
#: Symbols whose correlations may be asked for at once.
SYMBOLS_MAX = 50
#: The strongest pairs of all, at most.
STRONGEST_MAX = 100
#: (Row, row, correlation, returns) each.
Pairs = list[tuple[int, int, float, int]]


class Answers:
    """Answers from one source, for a market with a calendar."""

    def __init__(self, source: Source, calendar: Calendar) -> None:
        self._source = source
        self._year_ns = calendar.year_ns
        self._strongest: dict[int, tuple[tuple[int, int], Pairs]] = {}
        self._computing = asyncio.Lock()

    async def movers(self, window: WindowName, by: Activity, limit: int) -> Movers:
        """What rose most, fell most and traded most within a window."""
        table = await self._source.readings()
        number = window_number(window)
        changes = change_percent(table.rows, number)
        active = table.rows["windows"][by][:, number].astype(np.float64)

        def movers(rows: Any) -> list[Mover]:
            return [_mover(table, row, number, float(changes[row])) for row in rows.tolist()]

        gainers, losers, most = (movers(highest(values, limit)) for values in (changes, -changes, active))
        return Movers(window, by, _ms(table.now), gainers, losers, most)

    async def of(self, symbol: str) -> SymbolFigures | None:
        """A symbol as it stands, None before its first tick."""
        table = await self._source.readings()
        reading = table.of(symbol)
        if reading is None:
            return None
        own = _anomalies(table, symbol=symbol)
        windows = {name: self._window(reading, number) for number, name in enumerate(WINDOW_NAMES)}
        session = SessionFigures(
            _ms(int(reading["session_from"])), _change(reading["price"], reading["session_price"]), _number(reading["session_volume"]),
            _number(reading["session_notional"]), int(reading["session_trades"]), _known(reading["session_vwap"]),
        )  # fmt: skip
        return SymbolFigures(
            _ms(max(table.now, int(reading["last_ts"]))), float(reading["price"]), _known(reading["bid"]), _known(reading["ask"]),
            _known(reading["spread"]), session, windows, own,
        )  # fmt: skip

    def _window(self, reading: Any, number: int) -> WindowFigures:
        one, step_ns = reading["windows"][number], WINDOWS[number] // PARTS
        returns = int(one["returns"])
        realised = annualised(float(one["squares"]) / returns, step_ns, self._year_ns) if returns >= RETURNS_MIN else None
        weighted = annualised(float(one["ewma"]), step_ns, self._year_ns) if returns >= RETURNS_MIN else None
        return WindowFigures(
            _change(reading["price"], one["reference"]), _number(one["volume"]), _number(one["notional"]), int(one["trades"]),
            _known(one["vwap"]), _known(one["sma"]), _known(one["ema"]), realised, weighted, _known(one["spread"]), returns,
            self._year_ns / step_ns,
        )  # fmt: skip

    async def anomalies(self, limit: int) -> Anomalies:
        """What is out of the ordinary, the newest first."""
        table = await self._source.readings()
        return Anomalies(_ms(table.now), _anomalies(table, limit))

    async def correlations(self, symbols: Sequence[str], window: CorrelationWindow, limit: int) -> Correlations:
        """All pairs of some symbols, or of none the strongest among all. UsageError for one symbol, or too many."""
        wanted = list(dict.fromkeys(symbols))
        if len(wanted) == 1 or len(wanted) > SYMBOLS_MAX:
            raise UsageError(f"{len(wanted)} symbols", f"2 to {SYMBOLS_MAX}, or none for the strongest pairs of all")
        number = window_number(window)
        table = await self._source.closes(number, wanted or None)
        found = await asyncio.to_thread(chosen_pairs, table.rows) if wanted else (await self._strongest_of(number, table))[:limit]
        pairs = [Pair((table.symbols[a], table.symbols[b]), _known(value), count) for a, b, value, count in found]
        there = set(table.symbols)
        pairs += [Pair((a, b), None, 0) for at, a in enumerate(wanted) for b in wanted[at + 1 :] if not {a, b} <= there]
        pairs.sort(key=lambda pair: -1.0 if pair.correlation is None else abs(pair.correlation), reverse=True)
        return Correlations(window, WINDOWS[number] / PARTS / SECOND, _ms(table.now), pairs)

    async def _strongest_of(self, number: int, table: Table) -> Pairs:
        """The strongest pairs, computed once for the same parts of the same symbols, however many ask."""
        key = hash(tuple(table.symbols)), int(table.rows["part"].max(initial=0))
        async with self._computing:
            known, pairs = self._strongest.get(number, ((0, 0), []))
            if known != key:
                pairs = await asyncio.to_thread(strongest_pairs, table.rows, STRONGEST_MAX)
                self._strongest[number] = key, pairs
        return pairs


def window_number(name: str) -> int:
    """The number of a window in WINDOWS. UnknownNameError for another name."""
    if name not in WINDOW_NAMES:
        raise UnknownNameError.of("window", name, WINDOW_NAMES)
    return WINDOW_NAMES.index(name)


def _mover(table: Table, row: int, number: int, change: float) -> Mover:
    reading = table.rows[row]
    one = reading["windows"][number]
    volume, notional = _number(one["volume"]), _number(one["notional"])
    return Mover(table.symbols[row], float(reading["price"]), change, volume, notional, int(one["trades"]))


def _anomalies(table: Table, limit: int = -1, symbol: str = "") -> list[Anomaly]:
    """Those of all symbols, the newest `limit`; or all of one."""
    found: Found = anomalies(table.rows, table.now)
    wanted = np.flatnonzero(found.row == table.symbols.index(symbol)) if symbol else slice(None if limit < 0 else limit)
    columns = zip(*(getattr(found, name)[wanted].tolist() for name in Found.__slots__), strict=True)
    return [
        Anomaly(table.symbols[row], cast(Any, ANOMALIES[kind]), _ms(ts), value, usual, limit, UNITS[ANOMALIES[kind]])
        for row, kind, ts, value, usual, limit in columns
    ]


def _change(price: Any, reference: Any) -> float:
    return 100.0 * (float(price) / float(reference) - 1.0)


def _ms(ts: int) -> int:
    return 0 if ts == BEFORE else ts // MILLISECOND


def _number(value: Any) -> float:
    """A sum of lots, without the dust of binary fractions."""
    return round(float(value), 10)


def _known(value: Any) -> Number:
    return float(value) if math.isfinite(value) else None
