"""The jobs, each as openbell runs it, as a hand-written loop would (the limit), and as the peers that are installed would.

`python -m benchmarks.jobs J1` prints one JSON line per competitor. Every time is the minimum and the median of several calls in this
process, taken in turn (ours, theirs, ours, theirs, ...) so that a slow minute of the machine meets all of them.
"""

import importlib.metadata
import importlib.util
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import data

HERE = Path(__file__).parent
CASH = 100_000.0


def measure(job, work, competitors, repeats=7):
    """Run every competitor once to warm up, then `repeats` times in turn, and print a line for each."""
    facts = {name: function() for name, function in competitors.items()}
    walls, cpus = ({name: [] for name in competitors} for _ in range(2))
    for _ in range(repeats):
        for name, function in competitors.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    for name in competitors:
        wall = float(np.median(walls[name]))
        row = {
            "job": job, "competitor": name, "work": work, "per_s": work / wall, "per_s_best": work / min(walls[name]), "wall_s": wall,
            "wall_min_s": min(walls[name]), "cpu_min_s": min(cpus[name]), "repeats": repeats,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, **(facts[name] or {}),
        }  # fmt: skip
        print(json.dumps(row), flush=True)


def has(package):
    """Whether a peer is installed."""
    return importlib.util.find_spec(package) is not None


def version(package):
    """The peer's name with its version."""
    return f"{package} {importlib.metadata.version(package)}"


def bar_events(bars):
    """Bars as numbered events, one instrument, lots of 1e-8."""
    from openbell.model import history

    columns = (np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close"))
    return history.number(history.bars(np.ascontiguousarray(bars["ts"]), 0, *columns, bars["volume"].astype("i8"), data.MINUTE_NS), 1)


def j1(count):
    """SMA 20/50 cross, all-in, next open: the whole engine with orders, fees and checks."""
    from openbell.engine.engine import Engine
    from openbell.engine.plan import Assignment, Plan
    from openbell.model.plan import Listing, Venue

    bars = data.bars(count)
    fee_bps = 10.0 if count == 100_000 else 0.1
    events = bar_events(bars)
    plan = Plan(
        (Listing("X", 0.01),), (Assignment("j1", "moving_avg_crossover", ("X",), "1m"),), Venue(fee_taker_bps=fee_bps), bar_timeframe="1m"
    )

    def ours():
        engine = Engine(plan)
        for _commands in engine.step(events):
            pass
        return {"orders": int(engine.head["orders"]), "final_equity": round(engine.head.equity() / 1e6, 2)}

    competitors = {"openbell": ours, "hand-written loop (limit)": reference_j1(bars, fee_bps / 1e4)}
    if has("vectorbt"):
        competitors[version("vectorbt")] = vectorbt_j1(bars, fee_bps / 1e4)
    measure(f"J1 {count:,} bars", count, competitors)


def vectorbt_j1(bars, fee):
    """The same rule in vectorbt."""
    import pandas as pd
    import vectorbt as vbt

    index = pd.DatetimeIndex(np.array(bars["ts"]).astype("datetime64[ns]"))
    opens, closes = (pd.Series(np.array(bars[name]), index) for name in ("open", "close"))

    def theirs():
        fast, slow = vbt.MA.run(closes, 20), vbt.MA.run(closes, 50)
        entries, exits = (signal.vbt.signals.fshift(1) for signal in (fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)))
        portfolio = vbt.Portfolio.from_signals(closes, entries, exits, price=opens, fees=fee, init_cash=CASH, freq="1min")
        return {"orders": int(portfolio.orders.count()), "final_equity": round(float(portfolio.final_value()), 2)}

    return theirs


def reference_j1(bars, fee):
    """Sums of integer cents, cross by cross-multiplication: what exact arithmetic gives, and as fast as a loop can be."""
    from numba import njit

    @njit
    def loop(cents, opens, closes, fast, slow, fee, cash):
        fast_sum = slow_sum = previous = orders = pending = 0
        units, ready = 0.0, False
        for row in range(len(cents)):
            if pending == 1 and units == 0.0:
                units, cash, orders = cash / (opens[row] * (1 + fee)), 0.0, orders + 1
            elif pending == -1 and units > 0.0:
                cash, units, orders = units * opens[row] * (1 - fee), 0.0, orders + 1
            pending = 0
            fast_sum += cents[row] - (cents[row - fast] if row >= fast else 0)
            slow_sum += cents[row] - (cents[row - slow] if row >= slow else 0)
            if row >= slow - 1:
                difference = fast_sum * slow - slow_sum * fast
                if ready and difference > 0 and previous <= 0:
                    pending = 1
                elif ready and difference < 0 and previous >= 0:
                    pending = -1
                previous, ready = difference, True
        return orders, cash + units * closes[-1]

    cents, opens, closes = np.round(bars["close"] * 100).astype("i8"), np.array(bars["open"]), np.array(bars["close"])

    def limit():
        orders, equity = loop(cents, opens, closes, 20, 50, fee, CASH)
        return {"orders": orders, "final_equity": round(equity, 2)}

    return limit


def j2():
    """A sweep of 1,000 pairs on 100,000 bars."""
    from openbell.research.sweep import grid, sweep

    bars = np.array(data.bars(100_000))
    pairs = grid({"short_period": range(5, 45), "long_period": range(50, 175, 5)})

    def ours():
        found = sweep("moving_avg_crossover", bars, pairs)
        row = pairs.index({"short_period": 20, "long_period": 50})
        return {
            "orders": int(found.orders.sum()),
            "orders_20_50": int(found.orders[row]),
            "equity_20_50": round(float(found.final_equity[row]), 2),
        }

    measure("J2 1,000 pairs x 100,000 bars", len(pairs) * len(bars), {"openbell": ours}, repeats=3)


def j3():
    """Ten million trades to one-second candles."""
    import polars as pl

    from openbell.bars.columns import candles_of

    ts, price, size, _side = data.ticks()
    lots = np.rint(size * 100).astype("i8")
    frame = pl.DataFrame({"ts": ts.astype("datetime64[ns]"), "price": price, "size": size}).with_columns(pl.col("ts").set_sorted())
    columns = [getattr(pl.col("price"), name)().alias(name) for name in ("first", "max", "min", "last")] + [pl.col("size").sum()]

    def ours():
        bars = candles_of(ts, price, lots, 1_000_000_000)
        return {
            "bars": len(bars),
            "checksum": round(float(sum(bars[n].sum() for n in ("open", "high", "low", "close")) + bars["volume"].sum() / 100), 2),
        }

    def polars():
        bars = frame.group_by_dynamic("ts", every="1s").agg(columns)
        return {"bars": bars.height, "checksum": round(float(sum(bars[name].sum() for name in ("first", "max", "min", "last", "size"))), 2)}

    measure("J3 10,000,000 ticks", len(ts), {"openbell": ours, version("polars"): polars})


def j4():
    """EMA 50/200 on a million trades, 6,404 market orders."""
    from openbell.engine.engine import Engine
    from openbell.engine.plan import Assignment, Plan
    from openbell.model import history
    from openbell.model.plan import Listing, Venue

    ts, price, size, side = data.ticks(1_000_000)
    events = history.number(history.trades(ts, 0, price, np.rint(size * 100).astype("i8"), side), 1)
    strategy = Assignment("j4", str(HERE / "ema_cross.py"), ("X",))
    plan = Plan((Listing("X", 0.01, 0.01),), (strategy,), Venue(fill="prevailing", fee_taker_bps=10.0))

    def ours():
        engine = Engine(plan)
        for _commands in engine.step(events):
            pass
        return {"orders": int(engine.head["orders"]), "final_equity": round(engine.head.equity() / 1e6, 2)}

    measure("J4 1,000,000 ticks", len(ts), {"openbell": ours})


def j6():
    """One update of SMA 20, EMA 20, RSI 14 and Bollinger 20, all four in one loop."""
    from openbell.indicators import Bollinger, Ema, Rsi, Sma
    from openbell.model.jit import kernel

    closes = np.array(data.bars(1_000_000)["close"])

    @kernel
    def together(values, sma, ema, rsi, bollinger):
        total = 0.0
        for row in range(len(values)):
            lower, _middle, upper = bollinger.update(values[row])
            one = sma.update(values[row]) + ema.update(values[row]) + rsi.update(values[row]) + lower + upper
            if one == one:
                total += one
        return total

    def ours():
        return {"checksum": float(together(closes, Sma(20), Ema(20), Rsi(14), Bollinger(20, 2.0)))}

    competitors = {"openbell": ours}
    if has("talib"):
        import talib

        def batch():
            talib.SMA(closes, 20), talib.EMA(closes, 20), talib.RSI(closes, 14), talib.BBANDS(closes, 20)

        competitors[version("TA-Lib") + " (batch, not streaming)"] = batch
    measure("J6 four indicators", len(closes), competitors)


def first_result():
    """What a newcomer waits for: imports, compiled code, J1 on 100,000 bars."""
    from openbell import backtest

    bars = np.array(data.bars(100_000))
    assert backtest("moving_avg_crossover", bars, fee_bps=10.0).counts["orders"] == 2215


JOBS = {"J1": lambda: j1(100_000), "J1M": lambda: j1(1_000_000), "J2": j2, "J3": j3, "J4": j4, "J6": j6}


def main(names):
    """Run jobs by name."""
    from benchmarks.live import live

    for name in names:
        {**JOBS, "LIVE": live}[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
