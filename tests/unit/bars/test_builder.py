"""Candles from ticks, against polars on the same ticks and against the minute bars of the venue that recorded them."""

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.bars.columns import candles_of
from openbell.errors import ConfigError
from openbell.model import enums, history
from openbell.model.jit import join
from openbell.model.time import DAY, MINUTE, SECOND, parse_timeframe
from tests.unit.bars.history import DATA, FIELDS, TIMEFRAMES, bitcoin, built, grouped, same, timer, trades

START = 19_000 * DAY


@pytest.fixture(scope="module")
def recorded():
    """Candles of the shipped BTCUSDT trades in five timeframes at once."""
    return built(trades(*bitcoin()))


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_real_trades_equal_polars(recorded, timeframe):
    """19,904 recorded trades: every candle of every timeframe, gaps included, is what group_by gives."""
    same(grouped(*bitcoin(), timeframe), recorded[0][timeframe])


def test_nothing_is_lost(recorded):
    """Each timeframe has every lot and every trade; no trade was late; highs and lows hold the rest between them."""
    candles, engine, _ = recorded
    ts, _, lots = bitcoin()
    for frame in candles.values():
        assert (frame["volume"].sum(), frame["trades"].sum()) == (lots.sum(), len(ts))
        assert (frame["low"] <= frame["open"]).all()
        assert (frame["low"] <= frame["close"]).all()
        assert (frame["high"] >= frame["open"]).all()
        assert (frame["high"] >= frame["close"]).all()
    assert engine.head["late"] == 0


def test_vwap(recorded):
    """Traded value by volume, within low and high."""
    _, _, commands = recorded
    candles = commands[commands["kind"] == enums.CANDLE]["bar"]
    vwap = np.array([bar.vwap for bar in candles])
    expected = candles["notional"] / candles["volume"]
    assert np.array_equal(vwap, expected)
    assert ((candles["low"] <= vwap * (1 + 1e-12)) & (vwap <= candles["high"] * (1 + 1e-12))).all()


def test_many_timeframes_are_as_one_alone(recorded):
    """A timeframe built beside others is the same as built alone."""
    alone, _, _ = built(trades(*bitcoin()), ("5s",))
    assert alone["5s"].equals(recorded[0]["5s"])


def test_columns_equal_events(recorded):
    """`candles_of` whole columns is the same to the bit, the traded value included."""
    for timeframe in TIMEFRAMES:
        bars = candles_of(*bitcoin(), parse_timeframe(timeframe))
        frame = polars.DataFrame({"ts": bars["ts_event"].copy(), **{name: bars[name].copy() for name in FIELDS}})
        assert frame.equals(recorded[0][timeframe])


def test_real_quotes_equal_the_venues_minute_bars():
    """248,039 EURUSD ticks of OANDA: the bids by minute are OANDA's own bid bars, published apart from the ticks."""
    ticks = polars.read_parquet(DATA / "fx_eurusd_ticks_oanda_201405.parquet").sort("time_utc", maintain_order=True)
    ts = ticks["time_utc"].dt.epoch("ns").to_numpy()
    candles, _, _ = built(trades(ts, ticks["bid"].to_numpy(), np.ones(len(ts))), ("1m",))
    published = polars.read_parquet(DATA / "fx_eurusd_1min_quotebars_oanda_201405.parquet")
    bars = published.select(ts=polars.col("time_utc").dt.epoch("ns"), **{name: f"bid_{name}" for name in ("open", "high", "low", "close")})
    mine = candles["1m"].select("ts", "open", "high", "low", "close")
    both = mine.join(bars, on="ts", suffix="_published")
    equal = both.filter(*(polars.col(name) == polars.col(f"{name}_published") for name in ("open", "high", "low", "close")))
    assert (len(mine), len(bars), len(both), len(equal)) == (6_967,) * 4


def test_longer_candles_from_shorter_ones(recorded):
    """One-second candles read as history give the same 5 s, 1 m and 5 m as the ticks, though most seconds have gaps around them."""
    rows = recorded[0]["1s"]
    columns = [rows[name].to_numpy() for name in ("ts", "open", "high", "low", "close", "volume")]
    events = history.number(history.bars(columns[0], 0, *columns[1:], SECOND), 1)
    events["bar"]["notional"], events["bar"]["trades"] = rows["notional"].to_numpy(), rows["trades"].to_numpy()
    longer, engine, _ = built(events, ("5s", "1m", "5m"), bar_timeframe="1s")
    for timeframe, frame in longer.items():
        same(recorded[0][timeframe], frame)
    assert engine.head["late"] == 0


@pytest.mark.parametrize("gap", range(1, 14))
def test_bars_across_gaps(gap):
    """A gap of any length between minute bars: each five-minute candle is told once, with its own minutes."""
    minutes = np.array([0, 1, 3, 3 + gap, 4 + gap])
    price = np.array([10.0, 12.0, 9.0, 20.0, 21.0])
    events = history.number(history.bars(START + minutes * MINUTE, 0, price, price, price, price, np.full(5, 7), MINUTE), 1)
    events["bar"]["trades"] = 1
    longer, _, _ = built(events, ("5m",), bar_timeframe="1m")
    expected = grouped(START + minutes * MINUTE, price, np.full(5, 7), "5m")
    assert longer["5m"].drop("notional").equals(expected.drop("notional"))


def test_gaps_make_no_candle():
    """Two trades an hour apart are two one-minute candles."""
    candles, _, _ = built(trades([START, START + 3_600 * SECOND], [10.0, 11.0], [1, 1]), ("1m",))
    assert candles["1m"]["ts"].to_list() == [START, START + 3_600 * SECOND]


def test_a_candle_closes_with_the_first_trade_after_it():
    """Not before, and exactly at its end."""
    ts = START + np.array([0, SECOND - 1, SECOND])
    candles, _, commands = built(trades(ts, [10.0, 11.0, 12.0], [1, 1, 1]), ("1s",), finish=False)
    assert candles["1s"].rows() == [(START, 10.0, 11.0, 10.0, 11.0, 2, 21.0, 2)]
    assert commands[commands["kind"] == enums.CANDLE]["seq"].tolist() == [3]


def test_a_timer_closes_a_quiet_candle():
    """Time alone closes it at its end, and not a nanosecond before."""
    first = trades([START], [10.0], [1])
    for ts, closed in ((START + SECOND - 1, 0), (START + SECOND, 1)):
        events = history.number(join([first, timer(ts)]), 1)
        assert len(built(events, ("1s",), finish=False)[0]["1s"]) == closed


def test_a_quote_closes_candles_too():
    """A quote says what time it is at the venue."""
    one = np.ones(1)
    quote = history.quotes(np.array([START + SECOND]), 0, one, one, one, one)
    events = history.number(join([trades([START], [10.0], [1]), quote]), 1)
    assert len(built(events, ("1s",), finish=False)[0]["1s"]) == 1


#: A tick every few milliseconds with prices that tell them apart; (delay, price) each.
TICKS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 10_000)), min_size=1, max_size=80)


@given(TICKS, st.randoms(use_true_random=False), st.sampled_from([0, 700, 3_000]))
def test_disorder_within_lateness_changes_nothing(ticks, random, lateness):
    """Trades in any order that keeps each within the bound give the candles of the same trades sorted, and none is late."""
    ts = START + np.cumsum([delay + 1 for delay, _ in ticks]) * 1_000_000
    price, lots = np.array([price for _, price in ticks], float), np.arange(1, len(ticks) + 1)
    bound = lateness * 1_000_000
    order = np.argsort([int(at) + random.randint(0, bound) for at in ts], kind="stable")
    candles, engine, _ = built(trades(ts[order], price[order], lots[order]), ("1s", "5s"), lateness_ns=bound)
    assert engine.head["late"] == 0
    for timeframe in ("1s", "5s"):
        same(grouped(ts, price, lots, timeframe), candles[timeframe])


@given(TICKS, st.randoms(use_true_random=False))
def test_every_late_trade_leaves_one_record(ticks, random):
    """Shuffled far beyond the bound: each trade is in its candle or leaves one REFUSED with reason LATE, and volumes add up."""
    ts = START + np.cumsum([delay + 1 for delay, _ in ticks]) * 1_000_000
    price, lots = np.array([price for _, price in ticks], float), np.arange(1, len(ticks) + 1)
    order = np.array(random.sample(range(len(ticks)), len(ticks)))
    candles, engine, commands = built(trades(ts[order], price[order], lots[order]), ("1s",), lateness_ns=SECOND)
    refused = commands[commands["kind"] == enums.REFUSED]
    assert set(refused["reason"].tolist()) <= {enums.LATE}
    assert len(refused) == engine.head["late"] == engine.head["refused"] == engine.table("instruments")[0]["late"]
    late = set((refused["seq"] - 1).tolist())
    kept = np.array([row for place, row in enumerate(order) if place not in late])
    same(grouped(ts[kept], price[kept], lots[kept], "1s"), candles["1s"])


def test_exactly_at_the_bound():
    """With 2 s of lateness the candle of second 0 closes when second 3 begins: a trade of 0.999 is in time before, late after."""
    for newest, late in ((3 * SECOND - 1, 0), (3 * SECOND, 1)):
        ts = START + np.array([0, newest, SECOND - 1])
        _, engine, _ = built(trades(ts, [10.0, 11.0, 12.0], [1, 1, 1]), ("1s",), lateness_ns=2 * SECOND)
        assert engine.head["late"] == late


@pytest.mark.parametrize("minutes", [(0, 10, 1), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9)])
def test_a_late_bar_leaves_one_record(minutes):
    """However many longer candles it would have entered; one that comes twice is late too, at the very end of its candle."""
    ts, price = START + np.array(minutes) * MINUTE, np.full(len(minutes), 10.0)
    events = history.number(history.bars(ts, 0, price, price, price, price, np.ones(len(minutes)), MINUTE), 1)
    _, engine, commands = built(events, ("2m", "5m"), bar_timeframe="1m")
    assert [row["reason"] for row in commands if row["kind"] == enums.REFUSED] == [enums.LATE]
    assert engine.head["late"] == 1


def test_bars_out_of_order_within_lateness():
    """Minute bars in any order that keeps each within the bound give the five-minute candles of the same bars sorted."""
    minutes, price = np.arange(17), np.random.default_rng(3).integers(1, 1_000, 17).astype(float)
    for seed in range(20):
        order = np.argsort(minutes + np.random.default_rng(seed).integers(0, 4, 17), kind="stable")
        at = START + minutes[order] * MINUTE
        events = history.number(history.bars(at, 0, *[price[order]] * 4, np.full(17, 7), MINUTE), 1)
        events["bar"]["trades"] = 1
        longer, engine, _ = built(events, ("5m",), bar_timeframe="1m", lateness_ns=5 * MINUTE)
        assert engine.head["late"] == 0
        assert longer["5m"].drop("notional").equals(grouped(START + minutes * MINUTE, price, np.full(17, 7), "5m").drop("notional"))


def test_lateness_beyond_three_candles_is_refused():
    """The ring has four places."""
    built(trades([START], [10.0], [1]), ("1s",), lateness_ns=3 * SECOND)
    with pytest.raises(ConfigError, match="at most three candles"):
        built(trades([START], [10.0], [1]), ("1s",), lateness_ns=3 * SECOND + 1)


def test_a_timeframe_that_is_no_multiple_is_refused():
    """Three-minute candles cannot be made of two-minute bars."""
    with pytest.raises(ConfigError, match="multiple"):
        built(trades([START], [10.0], [1]), ("3m",), bar_timeframe="2m")
