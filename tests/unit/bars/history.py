"""Ticks for candles: real ones, the oracle that groups them, and an engine that only builds."""

from functools import cache
from pathlib import Path

import numpy as np
import polars

from openbell.adapters.stores.catalog import open_dataset
from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums, history
from openbell.model.events import EVENT
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.model.time import parse_timeframe
from tests.unit.engine.scene import Idle

DATA = Path(__file__).resolve().parents[2] / "data"
LOT = 1e-5
TIMEFRAMES = ("250ms", "1s", "5s", "1m", "5m")
FIELDS = ("open", "high", "low", "close", "volume", "notional", "trades")


def trades(ts, price, lots, available=None):
    """Trade events of instrument 0, numbered from 1."""
    events = history.number(history.trades(np.asarray(ts, np.int64), 0, np.asarray(price, np.float64), np.asarray(lots, np.int64)), 1)
    if available is not None:
        events["ts_available"] = available
    return events


@cache
def bitcoin():
    """The shipped BTCUSDT trades as (ts, price, lots)."""
    chunks = list(open_dataset("btcusdt").chunks())
    ts = np.concatenate([chunk.ts_event for chunk in chunks])
    price = np.concatenate([chunk.price for chunk in chunks])
    quantity = np.concatenate([chunk.quantity for chunk in chunks])
    return ts, price, np.rint(quantity / LOT).astype(np.int64)


def timer(ts):
    """One TIMER event, without a seq."""
    event = np.zeros(1, EVENT)
    event["kind"], event["ts_event"], event["ts_available"] = enums.TIMER, ts, ts
    return event


def built(events, timeframes=TIMEFRAMES, *, lateness_ns=0, bar_timeframe="", finish=True):
    """({timeframe: candles as columns}, the engine, all commands); `finish` closes what is open with a timer far away."""
    plan = Plan(
        (Listing("X", 0.01, LOT, lateness_ns=lateness_ns),),
        (Assignment("idle", Idle, ("X",)),),
        candles=tuple(timeframes),
        publish_candles=True,
        bar_timeframe=bar_timeframe,
        equity_interval_ns=1 << 62,
    )
    if finish:
        events = history.number(join([events, timer(int(events["ts_available"].max()) + 10**15)]), 1)
    engine = Engine(plan)
    commands = engine.run(events)
    candles = commands[commands["kind"] == enums.CANDLE]["bar"]
    found = {}
    for text in timeframes:
        rows = candles[candles["timeframe_ns"] == parse_timeframe(text)]
        found[text] = polars.DataFrame({"ts": rows["ts_event"].copy(), **{name: rows[name].copy() for name in FIELDS}})
    return found, engine, commands


def grouped(ts, price, lots, timeframe):
    """The same by polars: group by the multiple of the timeframe, in order of time."""
    length = parse_timeframe(timeframe)
    frame = polars.DataFrame({"ts": ts, "price": price, "lots": lots}).sort("ts", maintain_order=True)
    return (
        frame.group_by((polars.col("ts") // length * length).alias("start"), maintain_order=True)
        .agg(
            open=polars.col("price").first(),
            high=polars.col("price").max(),
            low=polars.col("price").min(),
            close=polars.col("price").last(),
            volume=polars.col("lots").sum(),
            notional=(polars.col("price") * polars.col("lots")).sum(),
            trades=polars.len().cast(polars.Int64),
        )
        .rename({"start": "ts"})
    )


def same(expected, actual):
    """Equal candles: everything exact but the traded value, whose float sum depends on the order of addition."""
    exact = ["ts", "open", "high", "low", "close", "volume", "trades"]
    assert actual.select(exact).equals(expected.select(exact))
    np.testing.assert_allclose(actual["notional"], expected["notional"], rtol=1e-12)
