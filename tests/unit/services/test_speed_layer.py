"""The speed layer: latest prices, and the candle that is open."""

import numpy as np
import pytest
from msgspec.structs import replace

from openbell.model import enums
from openbell.services.names import Names
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.trader.intake import concatenated
from tests.unit.services.sessions import SYMBOLS, a_plan, market, session


def test_open_candles_end_as_the_kernel_closes_them():
    """The last state of each candle that was open is the candle that the kernel closed."""
    engine, commands, events = session(6)
    names = Names(engine.plan)
    layer, last = SpeedLayer(names), {}
    ticks = events[events["kind"] != enums.REQUEST]
    for row in range(len(ticks)):
        for candle in layer.take(ticks[row : row + 1])[1]:
            last[candle.symbol, candle.timeframe, candle.ts] = replace(candle, complete=True)
    closed = [names.candle(bar) for bar in commands["bar"][commands["kind"] == enums.CANDLE]]
    assert len(closed) > 50
    for candle in closed:
        found = last[candle.symbol, candle.timeframe, candle.ts]
        assert found.vwap == pytest.approx(candle.vwap)
        assert replace(found, vwap=None) == replace(candle, vwap=None)


@pytest.mark.parametrize("size", [2, 13, 700])
def test_open_candles_are_the_same_however_ticks_are_cut(size):
    """After the same ticks the same candles are open, whether they came one by one or in arrays."""
    names = Names(a_plan())
    one_by_one, in_arrays = SpeedLayer(names), SpeedLayer(names)
    ticks = concatenated(market(4))
    for first in range(0, len(ticks), size):
        part = ticks[first : first + size]
        for row in range(len(part)):
            one_by_one.take(part[row : row + 1])
        in_arrays.take(part)
        assert one_by_one.prices == in_arrays.prices
        for key, candle in one_by_one.open.items():
            other = in_arrays.open[key]
            assert other.vwap == pytest.approx(candle.vwap)
            assert replace(other, vwap=None) == replace(candle, vwap=None)


def test_the_latest_price_and_quote():
    """The price is that of the last trade, bid and ask those of the last quote, of each symbol."""
    layer = SpeedLayer(Names(a_plan()))
    events = market(2)[1]
    assert layer.last_price("BTCUSDT") is None
    changed, _ = layer.take(events)
    assert sorted(changed) == sorted(SYMBOLS)
    for index, symbol in enumerate(SYMBOLS):
        own = events[events["instrument"] == index]
        trade = own[own["kind"] == enums.TRADE]["trade"][-1]
        quote = own[own["kind"] == enums.QUOTE]["quote"][-1]
        price = layer.prices[symbol]
        assert (price.price, price.bid, price.ask) == (trade["price"], quote["bid_price"], quote["ask_price"])


def test_bad_ticks_are_passed_over():
    """NaN and negative prices, crossed quotes and unknown instruments change nothing, and there is no price to be told."""
    layer = SpeedLayer(Names(a_plan()))
    events = market(1)[0][:6].copy()
    events["kind"] = [enums.TRADE, enums.TRADE, enums.TRADE, enums.QUOTE, enums.QUOTE, enums.TRADE]
    events["instrument"] = [0, 0, 99, 0, 0, -1]
    events["trade"]["price"][:3] = [np.nan, -1.0, 5.0]
    events["quote"]["bid_price"][3:5], events["quote"]["ask_price"][3:5] = [2.0, np.nan], [1.0, 1.0]
    assert layer.take(events) == ([], [])
    assert layer.prices == {}
    assert layer.open == {}


def test_a_trade_of_less_than_nothing_changes_nothing():
    """What the kernel refuses is not shown either: price, open candles and the time stay, and the symbol is told as one that had ticks."""
    layer = SpeedLayer(Names(a_plan()))
    events = market(2)[0]
    layer.take(events)
    before = {key: replace(candle) for key, candle in layer.open.items()}, replace(layer.prices["BTCUSDT"]), layer.now
    bad = events[(events["kind"] == enums.TRADE) & (events["instrument"] == 0)][-1:].copy()
    bad["trade"]["quantity"], bad["trade"]["price"], bad["ts_available"], bad["ts_event"] = -1, 1.0, 0, 0
    assert layer.take(bad) == (["BTCUSDT"], [])
    assert (layer.open, layer.prices["BTCUSDT"], layer.now) == before
