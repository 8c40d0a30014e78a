"""What single indicators promise besides the contract."""

from fractions import Fraction

import numpy as np
import pytest
import talib
from hypothesis import example, given
from hypothesis import strategies as st

from openbell.errors import StrategyError
from openbell.indicators import Adx, Bollinger, Macd, RealisedVolatility, Rsi, Sma, StandardDeviation, Vwap, Wma
from openbell.model.jit import Record, kernel
from tests.unit.indicators.cases import market

CENTS = st.one_of(
    st.lists(st.integers(1, 5), min_size=1, max_size=150),
    st.lists(st.integers(9_998, 10_002), min_size=1, max_size=150),
    st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=150),
    st.lists(st.integers(1, 10**9), min_size=1, max_size=150),
    # The first price chooses a unit, eight times as much is all it can take.
    st.lists(st.integers(800, 9_100), min_size=1, max_size=150).map(lambda cents: [113, *cents]),
)


@given(CENTS, st.integers(1, 60), st.integers(1, 60))
@example([1, 1, 8, 8], 1, 2)
@example([100, 799, 1, 5_000_000, 2_500_000, 2_500_000], 1, 2)
def test_two_averages_are_equal_exactly_when_they_are_on_paper(cents, short, long):
    """Over prices of two decimals: equal, above and below as the exact fractions are. A tie is never a cross."""
    prices = np.array([cent / 100 for cent in cents])
    averages = np.stack([Sma(short).over(prices), Sma(long).over(prices)], axis=1)
    for end in range(max(short, long), len(cents) + 1):
        exact_short = Fraction(sum(cents[end - short : end]), short)
        exact_long = Fraction(sum(cents[end - long : end]), long)
        first, second = averages[end - 1]
        assert (first > second, first < second) == (exact_short > exact_long, exact_short < exact_long)


@given(CENTS, st.integers(1, 30))
def test_an_average_of_decimals_is_the_nearest_float(cents, length):
    """The average of prices of two decimals is the float64 nearest to the exact one, whatever came before."""
    averages = Sma(length).over(np.array([cent / 100 for cent in cents]))
    for end in range(length, len(cents) + 1):
        assert averages[end - 1] == float(Fraction(sum(cents[end - length : end]), length * 100))


def test_a_warm_average_equals_a_cold_one_exactly():
    """37 years of real prices before it change no bit of an average."""
    prices = market()["AAPL"]["close"]
    assert Sma(50).over(prices)[-1000:].tobytes() == Sma(50).over(prices[-1049:])[-1000:].tobytes()


@pytest.mark.parametrize("length", [2, 20, 49, 300])
def test_a_flat_window_has_no_deviation(length):
    """Exactly 0 and exactly the price, whatever moved before, so that a band is touched or not and never nearly."""
    wild = 100 + np.random.default_rng(1).normal(0, 5, 5 * length + 3).cumsum().round(2)
    prices = np.concatenate([wild, np.full(4 * length, 97.13)])
    lower, middle, upper = Bollinger(length).over(prices)[-3 * length :].T
    assert set(lower) == set(middle) == set(upper) == {97.13}
    assert set(StandardDeviation(length).over(prices)[-3 * length :]) == {0.0}
    assert set(Wma(length).over(prices)[-3 * length :]) == {97.13}


def test_a_small_deviation_of_a_large_price_keeps_its_digits():
    """A spread of 1e-6 around 1e6, where a plain sum of squares has no digit left."""
    prices = 1e6 + np.tile([0.0, 1e-6], 50)
    exact = np.array([np.std(prices[end - 10 : end] - 1e6) for end in range(10, 101)])
    np.testing.assert_allclose(StandardDeviation(10).over(prices)[9:], exact, rtol=1e-12)


@pytest.mark.parametrize("name", ["AAPL", "SPY", "BTCUSDT"])
def test_standard_deviation_equals_ta_lib(name):
    """To 1e-9 of the price: that is as many digits as TA-Lib's own sum of squares keeps."""
    prices = market()[name]["close"]
    expected = talib.STDDEV(prices, 20)
    assert np.nanmax(np.abs(StandardDeviation(20).over(prices) - expected) / prices) < 1e-9


@pytest.mark.parametrize("length", [2, 14])
def test_directional_indicators_equal_ta_lib(length):
    """The fields `plus_di` and `minus_di` are TA-Lib's `PLUS_DI` and `MINUS_DI`."""
    high, low, close = (market()["BTCUSDT"][name][:500] for name in ("high", "low", "close"))
    adx = Adx(length)
    fields = []
    for bar in zip(high, low, close, strict=True):
        adx.update(*bar)
        fields.append((adx.plus_di, adx.minus_di))
    expected = [function(high, low, close, length) for function in (talib.PLUS_DI, talib.MINUS_DI)]
    np.testing.assert_allclose(np.array(fields), np.stack(expected, axis=1), rtol=1e-9, atol=1e-9)


def test_rsi_without_movement_is_zero():
    """As in TA-Lib; and once a movement has faded to nothing, where TA-Lib divides what rounding has left."""
    flat = np.full(50, 5.5)
    assert Rsi(3).over(flat)[-1] == talib.RSI(flat, 3)[-1] == 0.0
    prices = np.array([5.0, 6.0, *[5.5] * 2500])
    averages = Rsi(3).over(prices)
    np.testing.assert_allclose(averages[:1600], talib.RSI(prices, 3)[:1600], rtol=1e-9)
    assert averages[-1] == 0.0


def test_vwap_of_a_session_starts_anew():
    """After `reset()` only what follows counts, in both forms, to the bit."""
    price, volume = market()["BTCUSDT"]["close"], market()["BTCUSDT"]["volume"]
    for length in (0, 5):
        vwap = Vwap(length)
        vwap.over(price[:100], volume[:100])
        vwap.reset()
        assert (vwap.count, vwap.ready) == (0, 0)
        assert vwap.over(price[100:150], volume[100:150]).tobytes() == (Vwap(length).over(price[100:150], volume[100:150]).tobytes())


def test_vwap_without_volume_is_not_ready():
    """NaN while nothing was traded in the window; a negative volume is ignored."""
    vwap = Vwap(2)
    assert [float(vwap.update(10.0, volume)) for volume in (0.0, 0.0, 1.0)][2] == 10.0
    assert np.isnan(vwap.update(10.0, -1.0))
    assert (vwap.count, vwap.ready) == (3, 1)
    vwap.update(11.0, 0.0)
    assert np.isnan(vwap.update(12.0, 0.0))
    assert vwap.ready == 0


def test_realised_volatility_ignores_prices_without_a_logarithm():
    """Zero and negative prices are ignored."""
    volatility = RealisedVolatility(2)
    for price in (100.0, 0.0, -5.0, 101.0, 99.0):
        volatility.update(price)
    assert (volatility.count, volatility.ready) == (3, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Macd(26, 12), "fast below slow"),
        (lambda: Bollinger(20, 0.0), "Bollinger: width is 0.0"),
        (lambda: Bollinger(20, float("nan")), "a finite number above 0"),
        (lambda: RealisedVolatility(20, -252), "RealisedVolatility: periods is -252"),
    ],
)
def test_other_parameters_are_checked(make, words):
    """A StrategyError says what was found or expected."""
    with pytest.raises(StrategyError, match=words):
        make()


class Pair(Record):
    """A record as a strategy's state is: indicators in a field and in an array of them."""

    def __new__(cls):
        return cls.allocate([("bands", Bollinger(5).dtype), ("averages", Sma(3).dtype, (2,))])

    def __init__(self):
        self.bands = Bollinger(5)
        self.averages[0] = Sma(3)
        self.averages[1] = Sma(4)

    def spread(self, value):
        _, middle, _ = self.bands.update(value)
        return middle + self.averages[0].update(value) - self.averages[1].update(value)


@kernel
def spreads(pair, values, out):
    for i in range(len(values)):
        out[i] = pair.spread(values[i])


def test_indicators_nest_in_records():
    """In a field and in an array of records, interpreted and compiled to the same bytes."""
    values = np.random.default_rng(2).normal(100, 1, 40).round(2)
    compiled, interpreted, out = Pair(), Pair(), np.empty(40)
    spreads(compiled, values, out)
    assert np.array([interpreted.spread(value) for value in values]).tobytes() == out.tobytes()
    assert interpreted.tobytes() == compiled.tobytes()
    assert compiled.averages[1].length == 4
