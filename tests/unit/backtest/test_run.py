"""Backtests: every kind of data, flat results, and errors that say what to do."""

import json
import re

import numpy as np
import pytest

from openbell import Sma, Strategy, backtest
from openbell.errors import DataError, StorageError, StrategyError, UnknownNameError, UsageError
from openbell.model import enums
from openbell.model.plan import Venue

MINUTE = 60


def waves(count=400, symbol=None):
    """Bars of a wave that crosses its averages now and then."""
    close = 100 + 5 * np.sin(np.arange(count) / 15.0)
    columns = {"time": 1_600_000_020 + np.arange(count) * MINUTE, "open": close, "high": close + 0.5, "low": close - 0.5, "close": close}
    columns["volume"] = np.full(count, 3.0)
    return {**columns, "symbol": [symbol] * count} if symbol else columns


class Hold(Strategy):
    """Buys one unit at the first bar and keeps it."""

    def setup(self):
        """One flag."""
        self.done = 0

    def on_bar(self, bar, broker):
        """Once."""
        if self.done == 0:
            broker.buy(bar.instrument, 1.0)
            self.done = 1


PARAMS = {"short_period": 3, "long_period": 10}


def test_the_same_data_gives_the_same_result_in_every_container(tmp_path):
    """Mapping, structured array, polars, pandas, Parquet and CSV: same decisions, to the hash."""
    import pandas as pd
    import polars as pl

    columns = waves()
    frame = pl.DataFrame(columns)
    frame.write_parquet(tmp_path / "waves.parquet")
    frame.write_csv(tmp_path / "waves.csv")
    array = np.zeros(400, [(name, np.asarray(values).dtype) for name, values in columns.items()])
    for name, values in columns.items():
        array[name] = values
    sources = [columns, array, frame, frame.lazy(), pd.DataFrame(columns), str(tmp_path / "waves.parquet"), tmp_path / "waves.csv"]
    results = [backtest("moving_avg_crossover", source, params=PARAMS) for source in sources]
    assert {result.decision_hash for result in results} == {results[0].decision_hash}
    assert results[0].counts["orders"] > 5


def test_a_market_order_fills_at_the_next_open_with_its_fee():
    """One unit bought on the close of bar 0 costs the open of bar 1, and 10 bp."""
    columns = waves()
    columns["open"] = columns["close"] + 0.25
    columns["high"] = columns["open"] + 1
    result = backtest(Hold, columns, fee_bps=10.0)
    price = columns["open"][1]
    assert result.fills.price.tolist() == [price]
    assert result.fills.ts.tolist() == [int(columns["time"][1]) * 10**9]
    assert result.fills.fee[0] == pytest.approx(price * 0.001, abs=1e-6)
    assert result.final_equity == pytest.approx(100_000 - price * 1.001 + columns["close"][-1], abs=1e-5)


def test_longer_candles_are_built_from_the_bars():
    """A strategy on 5m candles sees a fifth of the 1m bars."""

    class Count(Strategy):
        """Counts bars by buying one lot for each."""

        def setup(self):
            """An average, to have state."""
            self.average = Sma(2)

        def on_bar(self, bar, broker):
            """One order a bar."""
            self.average.update(bar.close)
            broker.buy(bar.instrument, 0.001)

    columns = waves(400)
    columns["time"] = 1_600_000_200 + np.arange(400) * MINUTE
    assert backtest(Count, columns).counts["orders"] == 400
    assert backtest(Count, columns, timeframe="5m").counts["orders"] == 80


def test_shipped_ticks_with_quotes_fill_at_the_recorded_offer():
    """On trades merged with quotes a market purchase pays the offer that stood."""
    result = backtest(Hold, ["btcusdt", "btcusdt-quotes"], timeframe="5s", fee_bps=0.0)
    assert result.counts["trades"] == 19_904
    assert result.counts["quotes"] == 73_174
    assert len(result.fills) == 1
    assert result.counts["refused"] == 0


def test_the_portfolio_strategy_invests_in_many_shares():
    """Momentum over twenty shares, thirty years: positions in at most `top` names, cash never below zero."""
    result = backtest("momentum", "us-daily", params={"top": 3, "every": 63}, fee_bps=5.0)
    assert result.counts["orders"] > 200
    lots = np.zeros(20, np.int64)
    for side, symbol, quantity in zip(result.fills.side, result.fills.symbol_index, result.fills.quantity, strict=True):
        lots[symbol] += int(side) * int(quantity)
        assert lots[symbol] >= 0
        assert (lots > 0).sum() <= 3
    assert result.statistics.final_equity == result.final_equity


def test_a_result_is_written_whole_as_json_and_as_a_page(tmp_path):
    """JSON without NaN, the plan in it; the page is one file."""
    result = backtest("moving_avg_crossover", waves(), params=PARAMS, keep_candles=True)
    result.write_json(tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["orders"] == result.counts["orders"]
    assert content["plan"]["assignments"][0]["params"]["short_period"] == 3
    page = result.report(tmp_path / "report.html").read_text()
    assert "moving_avg_crossover" in page
    with pytest.raises(StorageError, match="cannot be written"):
        result.write_json(tmp_path / "no" / "out.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "report.html"]


def test_a_limit_on_the_venue_changes_only_what_it_says():
    """Slippage of 5 bp makes a purchase 5 bp dearer and changes nothing else."""
    plain = backtest(Hold, waves(), venue=Venue())
    slipped = backtest(Hold, waves(), venue=Venue(slippage_bps=5.0))
    assert slipped.fills.price[0] == pytest.approx(plain.fills.price[0] * 1.0005)
    assert slipped.counts == plain.counts


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"close": np.nan}, DataError, "row"),
        ({"close": -1.0}, DataError, "row"),
        ({"low": 1e9}, DataError, "row"),
        ({"time": 5}, DataError, "time"),
    ],
)
def test_bad_rows_stop_with_the_row_and_the_column(change, error, words):
    """The message names the row; nothing is run."""
    columns = waves()
    for name, value in change.items():
        columns[name] = columns[name].copy()
        columns[name][7] = value
    with pytest.raises(error, match=words):
        backtest(Hold, columns)


def test_a_wrong_column_name_lists_what_was_found():
    """Columns that cannot be recognised are listed with what is needed."""
    with pytest.raises(DataError, match="cloze"):
        backtest(Hold, {"time": [1, 2], "open": [1.0, 2.0], "cloze": [1.0, 2.0]})


def test_unknown_names_offer_near_ones():
    """Strategy, data set, symbol and parameter."""
    with pytest.raises(UnknownNameError, match="moving_avg_crossover"):
        backtest("moving_avg_crosover", waves())
    with pytest.raises(UnknownNameError, match="btcusdt"):
        backtest(Hold, "btcusd")
    with pytest.raises(UnknownNameError, match="AAPL"):
        backtest(Hold, "us-daily", symbols="AAPLE")
    with pytest.raises(StrategyError, match="short_period"):
        backtest("moving_avg_crossover", waves(), params={"short_perid": 3})
    with pytest.raises(UsageError, match="timeframe"):
        backtest(Hold, waves(), timeframe="1 fortnight")


def test_an_unusual_spacing_of_bars_is_asked_about():
    """Bars 61 seconds apart: say the timeframe."""
    columns = waves()
    columns["time"] = 1_600_000_000 + np.arange(400) * 61
    with pytest.raises(DataError, match="bar_timeframe"):
        backtest(Hold, columns)


def test_bars_and_ticks_do_not_mix():
    """Either bars, or trades and quotes."""
    with pytest.raises(DataError, match="either bars"):
        backtest(Hold, ["btcusdt", "sp500"])


def test_denials_are_counted_by_reason():
    """A strategy that wants more than its cash is told why."""

    class Greedy(Strategy):
        """Buys a million units at every bar."""

        def on_bar(self, bar, broker):
            """Too much."""
            broker.buy(bar.instrument, 1e6)

    result = backtest(Greedy, waves(50))
    assert result.counts["orders"] == 0
    assert result.denials() == {enums.REASONS[enums.INSUFFICIENT_CASH]: 50}


def test_a_handler_that_raises_is_reported():
    """A compiled handler that raises stops its strategy, and the result says so."""

    class Broken(Strategy):
        """Raises at the third bar."""

        def setup(self):
            """A counter."""
            self.seen = 0

        def on_bar(self, bar, broker):
            """Count, then fail."""
            self.seen += 1
            if self.seen == 3:
                raise ValueError("three")

    result = backtest(Broken, waves(50))
    assert any(re.search("raised", note) for note in result.notes)
