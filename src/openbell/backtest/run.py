"""A backtest: history in batches through the same kernel that trades live."""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from openbell.backtest.candles import CandlesOf
from openbell.backtest.data import Batches, EventSource
from openbell.backtest.report_data import Candles
from openbell.backtest.result import Result
from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.errors import UsageError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.plan import NO_LIMITS, Limits, Listing, Venue
from openbell.model.time import DAY, HOUR, MINUTE, SECOND, format_timeframe, parse_timeframe
from openbell.strategies.load import load
from openbell.strategies.strategy import Strategy, parameters

#: Commands that a result keeps; candles are kept as candles.
_KEPT = np.zeros(256, bool)
_PLAIN = f"V{COMMAND.itemsize}"  # moved as bytes, 20 times faster than field by field
_KEPT[[enums.SUBMIT, enums.MODIFY, enums.CANCEL, enums.ORDER, enums.FILL, enums.EQUITY, enums.REFUSED, enums.STATE]] = True


def backtest(
    strategy: str | type[Strategy],
    data: object,
    *,
    timeframe: str = "",
    symbols: str | list[str] | None = None,
    cash: float = 100_000.0,
    fee_bps: float = 10.0,
    params: Mapping[str, float] | None = None,
    venue: Venue | None = None,
    limits: Limits = NO_LIMITS,
    currency: str = "USD",
    lot_size: float | None = None,
    price_increment: float = 0.0,
    bar_timeframe: str = "",
    start: str | int | None = None,
    end: str | int | None = None,
    sort: bool = False,
    on_bad: str = "raise",
    keep_candles: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Run a strategy over history and return what came of it.

    Parameters
    ----------
    strategy
        A shipped name, the path of a file with a Strategy class, or the class.
    data
        The name of a shipped data set, the path of a Parquet or CSV file or folder, a polars or pandas frame, a NumPy structured array or a
        mapping of columns; or a list of several, merged in time order (trades and quotes of one market). Or an EventSource, such as a
        session that another process sends, where what to read was chosen already.
    timeframe
        Of the strategy's bars, such as "1m"; by default that of the bars in the data, or 1m when the data is ticks.
    cash, fee_bps, currency
        What the strategy starts with, the fee in basis points of the value of every fill, and the money's name.
    bar_timeframe
        Of the bars in the data, where it cannot be told from them; when the data is ticks, they become candles of it first.
    venue
        The whole venue (slippage, latency, maker fees, ...) in place of `fee_bps`.
    limits
        Risk limits; by default none beyond form, permission, holdings and cash.
    lot_size, price_increment
        Smallest quantity (units) and price step; by default a millionth of a unit, and any price.
    keep_candles
        Keep the candles for the report.
    progress
        Called with the number of events done after each batch.

    Raises DataError, StrategyError and UsageError, each saying what was found, what was expected and what to do.

    >>> import numpy as np
    >>> result = backtest(
    ...     "moving_avg_crossover",
    ...     {"time": np.arange(200) * 60, "close": 100 + np.sin(np.arange(200) / 9.0)},
    ...     params={"short_period": 3, "long_period": 8},
    ... )
    >>> result.counts["orders"]
    7
    """
    cls = load(strategy)
    asked = {"symbols": symbols, "start": start, "end": end, "sort": sort or None, "on_bad": on_bad}
    options = {name: value for name, value in asked.items() if value is not None}  # what is not asked is the data set's own choice
    if isinstance(data, EventSource):
        if lot_size or bar_timeframe or options != {"on_bad": "raise"}:
            raise UsageError(f"{data.name} is made already", "no symbols, start, end, sort, on_bad, lot_size or bar_timeframe beside it")
        batches: EventSource = data
    else:
        batches = Batches(data, options, lot_size, parse_timeframe(bar_timeframe) if bar_timeframe else 0)
        if bar_timeframe and not batches.bar_timeframe_ns:
            batches = CandlesOf(batches, bar_timeframe)
    if not timeframe:
        timeframe = format_timeframe(batches.bar_timeframe_ns or MINUTE)
    known = parameters(cls)
    chosen = {**{name: parameter.default for name, parameter in known.items()}, **(params or {})}
    listings = tuple(Listing(symbol, price_increment, batches.lot_size, currency) for symbol in batches.symbols)
    source = strategy if isinstance(strategy, str) else cls.__name__
    plan = Plan(
        listings,
        (Assignment(Path(source).stem, source, tuple(batches.symbols), timeframe, chosen, cash, limits),),
        venue or Venue(fee_taker_bps=fee_bps),
        bar_timeframe=format_timeframe(batches.bar_timeframe_ns) if batches.bar_timeframe_ns else "",
        publish_candles=keep_candles and not batches.bar_timeframe_ns,
        equity_interval_ns=equity_interval(batches.bar_timeframe_ns),
    )
    engine = Engine(plan, classes=[cls])
    digest, kept, candles = hashlib.sha256(), [], CandleKeeper(batches.symbols, keep_candles)
    start_ts = end_ts = events_done = 0
    began = time.perf_counter()
    for events in batches:
        if not events_done:
            start_ts = int(events[0]["ts_event"])
        for commands in engine.step(events):
            digest.update(commands.tobytes())
            kept.append(commands.view(_PLAIN)[_KEPT[commands["kind"]]])
            candles.add_commands(commands)
        candles.add_bars(events)
        events_done += len(events)
        end_ts = int(events[-1]["ts_available"])
        if progress is not None:
            progress(events_done)
    if engine.faults:
        raise engine.faults[0]
    head = engine.head
    names = ("trades", "quotes", "bars", "signals", "orders", "fills", "denials", "refused", "late")
    counts = {"events": events_done, **{name: int(head[name]) for name in names}}
    notes = batches.notes()
    if int(engine.table("accounts")["faults"].sum()):
        notes.append("a handler of the strategy raised an exception and it was stopped; run with OPENBELL_INTERPRETED=1 to see where")
    return Result(
        plan=plan,
        commands=np.concatenate(kept).view(COMMAND) if kept else np.zeros(0, COMMAND),
        counts=counts,
        final_equity=head.equity() / float(head["money_scale"]),
        start_ts=start_ts,
        end_ts=end_ts,
        seconds=time.perf_counter() - began,
        decision_hash=digest.hexdigest(),
        state_hash=engine.state_hash(),
        candles=candles.columns(),
        notes=notes,
        data_name=batches.name,
    )


def equity_interval(bar_timeframe_ns: int) -> int:
    """How often (ns) equity is sampled: once a second for ticks, sixty times rarer than intraday bars up to a day."""
    if not bar_timeframe_ns:
        return SECOND
    return bar_timeframe_ns if bar_timeframe_ns >= HOUR else min(60 * bar_timeframe_ns, DAY)


class CandleKeeper:
    """Collects the candles that a report draws; nothing unless asked to."""

    def __init__(self, symbols: Any, wanted: bool) -> None:
        self.symbols, self.wanted = symbols, wanted
        self._parts: list[dict[str, Any]] = []

    def add_bars(self, events: Any) -> None:
        """Bars that came as events."""
        if self.wanted:
            self._keep(events[events["kind"] == enums.BAR]["bar"])

    def add_commands(self, commands: Any) -> None:
        """Candles that the kernel built."""
        if self.wanted:
            self._keep(commands[commands["kind"] == enums.CANDLE]["bar"])

    def _keep(self, bars: Any) -> None:
        if len(bars):
            names = ("instrument", "ts_event", "open", "high", "low", "close", "volume")
            self._parts.append({name: bars[name].copy() for name in names})

    def columns(self) -> list[Candles]:
        """The candles of each symbol that has any."""
        if not self._parts:
            return []
        whole: dict[str, Any] = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        found = []
        for index, symbol in enumerate(self.symbols):
            rows = whole["instrument"] == index
            if rows.any():
                part = {name: values[rows] for name, values in whole.items()}
                volume = part["volume"].astype(np.float64)
                found.append(Candles(symbol, part["ts_event"], part["open"], part["high"], part["low"], part["close"], volume))
        return found
