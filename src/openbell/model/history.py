"""Columns of history into events: the one place where units become lots."""

from typing import Any

import numpy as np

from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import EVENT

Array = np.ndarray[Any, Any]


def to_lots(units: Array, lot_size: Array | float, what: str) -> Array:
    """Units (float64) as whole lots (int64), to the nearest; DataError when they do not fit."""
    lots = np.rint(units / lot_size)
    if len(lots) and not (np.abs(lots) < 2.0**62).all():
        worst = float(units[np.argmax(np.abs(lots))])
        raise DataError(f"{what} of {worst:g} units in lots of {np.max(lot_size):g}", "less than 4.6e18 lots", "give a larger lot_size")
    return lots.astype(np.int64)


def number(events: Array, first_seq: int) -> Array:
    """Number events from `first_seq` on."""
    events["seq"] = np.arange(first_seq, first_seq + len(events))
    return events


def bars(ts: Array, instrument: Array | int, open: Array, high: Array, low: Array, close: Array, volume: Array, timeframe_ns: int) -> Array:
    """Bar events (seq 0) from columns: `ts` (int64 ns) is the start of each bar, `volume` in lots."""
    events = np.zeros(len(ts), EVENT)
    bar = events["bar"]
    bar["ts_event"], bar["ts_available"], bar["kind"], bar["instrument"] = ts, ts + timeframe_ns, enums.BAR, instrument
    bar["timeframe_ns"], bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"] = timeframe_ns, open, high, low, close, volume
    bar["notional"] = (high + low + close) / 3.0 * volume
    return events


def trades(ts: Array, instrument: Array | int, price: Array, quantity: Array, side: Array | int = 0, trade_id: Array | int = 0) -> Array:
    """Trade events (seq 0) from columns: `quantity` in lots, available at the venue's own time."""
    events = np.zeros(len(ts), EVENT)
    trade = events["trade"]
    trade["ts_event"], trade["ts_available"], trade["kind"], trade["instrument"] = ts, ts, enums.TRADE, instrument
    trade["price"], trade["quantity"], trade["side"], trade["trade_id"] = price, quantity, side, trade_id
    return events


def quotes(ts: Array, instrument: Array | int, bid_price: Array, ask_price: Array, bid_quantity: Array, ask_quantity: Array) -> Array:
    """Quote events (seq 0) from columns: quantities in lots, available at the venue's own time."""
    events = np.zeros(len(ts), EVENT)
    quote = events["quote"]
    quote["ts_event"], quote["ts_available"], quote["kind"], quote["instrument"] = ts, ts, enums.QUOTE, instrument
    quote["bid_price"], quote["ask_price"] = bid_price, ask_price
    quote["bid_quantity"], quote["ask_quantity"] = bid_quantity, ask_quantity
    return events
