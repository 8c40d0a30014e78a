"""A sweep: one strategy over one history with many parameter sets, all of them through the kernel that trades.

The history is cut into chunks that fit the cache, and every parameter set takes a chunk before the next chunk is touched. Threads share
the events and nothing else. A parameter set differs from its neighbours only in the bytes of its state, so all run the same machine code.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.backtest.data import Batches
from openbell.engine.engine import compile_handlers
from openbell.engine.plan import Assignment, Plan
from openbell.engine.state import first_state
from openbell.engine.step import step_many
from openbell.errors import UsageError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.model.plan import NO_LIMITS, Listing, Venue
from openbell.model.state import ENGINE_STATE
from openbell.model.time import MINUTE, format_timeframe, parse_timeframe
from openbell.strategies.load import load
from openbell.strategies.strategy import Strategy, declare, is_portfolio

#: Events that every parameter set takes before the next are touched: 400 kB, which stays in a core's second-level cache.
CHUNK_EVENTS = 4_096


@dataclass(frozen=True, eq=False)
class Sweep:
    """What came of a sweep: one row a parameter set, in the order they were tried."""

    params: list[dict[str, float]]
    final_equity: np.ndarray[Any, Any]  # float64, money
    orders: np.ndarray[Any, Any]  # int64
    fills: np.ndarray[Any, Any]  # int64
    events: int

    def best(self) -> tuple[dict[str, float], float]:
        """The parameter set that ended with the most, and what it ended with. A maximum over many tries flatters."""
        row = int(np.argmax(self.final_equity))
        return self.params[row], float(self.final_equity[row])


def grid(ranges: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Every combination of the values.

    >>> grid({"fast": [5, 10], "slow": [50]})
    [{'fast': 5, 'slow': 50}, {'fast': 10, 'slow': 50}]
    """
    return [dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())]


def sweep(
    strategy: str | type[Strategy],
    data: object,
    params: Sequence[Mapping[str, float]],
    *,
    timeframe: str = "",
    symbols: str | list[str] | None = None,
    cash: float = 100_000.0,
    fee_bps: float = 10.0,
    venue: Venue | None = None,
    lot_size: float | None = None,
    bar_timeframe: str = "",
    threads: int | None = None,
) -> Sweep:
    """Backtest a strategy once for each parameter set; the arguments are those of `backtest`, `params` the sets to try.

    Equal to calling `backtest` for each of them, to the last byte of state. Raises what `backtest` raises, and UsageError without `params`.
    """
    if not params:
        raise UsageError("a sweep of no parameter sets", "at least one")
    cls = load(strategy)
    batches = Batches(data, {"symbols": symbols} if symbols else {}, lot_size, parse_timeframe(bar_timeframe) if bar_timeframe else 0)
    timeframe = timeframe or format_timeframe(batches.bar_timeframe_ns or MINUTE)
    source = strategy if isinstance(strategy, str) else cls.__name__
    plan = Plan(
        tuple(Listing(symbol, 0.0, batches.lot_size) for symbol in batches.symbols),
        (Assignment("sweep", source, tuple(batches.symbols), timeframe, widest(params), cash, NO_LIMITS),),
        venue or Venue(fee_taker_bps=fee_bps),
        bar_timeframe=format_timeframe(batches.bar_timeframe_ns) if batches.bar_timeframe_ns else "",
        equity_interval_ns=1 << 62,
        order_capacity=64,
        intent_capacity=32,
    )
    template, seats = first_state(plan, [cls])
    seat = seats[0]
    stride = len(template) + -len(template) % 64
    states = np.zeros((len(params), stride), np.uint8)
    states[:, : len(template)] = template
    copies = 1 if is_portfolio(cls) else len(seat.instruments)
    for row, values in enumerate(params):
        record = declare(cls, dict(values), len(seat.instruments))
        place = states[row, seat.offset : seat.offset + copies * seat.dtype.itemsize].view(seat.dtype)
        _widen(place, np.asarray(record))

    faults: list[BaseException] = []
    table = np.zeros(enums.HANDLER_SLOTS, np.int64)
    kept = compile_handlers([cls], seats, faults)
    for (_, index), callback in kept.items():
        table[index] = callback.address
    workers = min(threads or os.cpu_count() or 1, len(params))
    borders = np.linspace(0, len(params), workers + 1).astype(int)
    outputs = [np.zeros(1, COMMAND) for _ in range(workers)]

    def run(worker: int, events: np.ndarray[Any, Any]) -> None:
        first, last = borders[worker], borders[worker + 1]
        for start in range(0, len(events), CHUNK_EVENTS):
            chunk = events[start : start + CHUNK_EVENTS]
            step_many(
                states.ctypes.data + int(first) * stride, stride, int(last - first), chunk.ctypes.data, len(chunk),
                outputs[worker].ctypes.data, table.ctypes.data,
            )  # fmt: skip

    run(0, np.zeros(0, EVENT))
    total = 0
    with ThreadPoolExecutor(workers) as pool:
        for events in batches:
            total += len(events)
            for done in [pool.submit(run, worker, events) for worker in range(workers)]:
                done.result()
    heads = [states[row, : ENGINE_STATE.itemsize].view(ENGINE_STATE)[0] for row in range(len(params))]
    return Sweep(
        [dict(values) for values in params],
        np.array([head.equity() / head["money_scale"] for head in heads], np.float64),
        np.array([head["orders"] for head in heads], np.int64),
        np.array([head["fills"] for head in heads], np.int64),
        total,
    )


def widest(params: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest value of each parameter: a state that has room for it has room for all."""
    names = dict.fromkeys(name for values in params for name in values)
    return {name: max(values[name] for values in params if name in values) for name in names}


def _widen(place: Any, record: Any) -> None:
    """Copy a fresh state record into one of the same fields whose windows may be larger; fresh windows are zero."""
    if record.dtype == place.dtype:
        place[...] = record
        return
    for name in record.dtype.names:
        value, target = record[name], place[name]
        if value.dtype.names:
            _widen(target, value)
        elif target.shape[target.ndim - value.ndim :] == value.shape:
            place[name] = value
        elif value.any():
            raise UsageError(
                f"field {name} has shape {value.shape} for some parameters and {target.shape} for others", "arrays of one shape"
            )
        else:
            place[name] = 0
