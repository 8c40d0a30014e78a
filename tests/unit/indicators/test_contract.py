"""What holds for every indicator. One that is exported is tested because it exists."""

import inspect
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import openbell.indicators
from openbell.errors import StrategyError
from openbell.indicators.indicator import Indicator
from tests.unit.indicators.cases import ROOT, Case, cases, digest, market, parameters_of, part, stream
from tests.unit.indicators.references import REFERENCES

CASES = cases()
CLASSES = [getattr(openbell.indicators, name) for name in openbell.indicators.__all__]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)

#: Indicators of everything since the start, which never forget.
CUMULATIVE = {"Obv()", "Vwap()"}
#: Values after which the weight of older ones is below 1e-12, in lengths: averages of averages forget slowly.
MEMORY = 80


def close(expected, actual):
    """Equal to 1e-9, relative above 1, and NaN in the same places."""
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


def restored(indicator):
    """The same indicator out of its bytes, in other memory."""
    return np.frombuffer(bytearray(indicator.tobytes()), indicator.dtype)[0]


def longest(case):
    """The largest of the parameters of a case, or of the defaults."""
    defaults = [each.default for each in parameters_of(case.cls).values() if each.default is not each.empty]
    return int(max([*defaults, *(value for _, value in case.parameters), 2]))


def test_exports_are_sorted_indicators():
    """`__all__` is sorted and holds indicators only."""
    assert openbell.indicators.__all__ == sorted(set(openbell.indicators.__all__))
    assert all(issubclass(cls, Indicator) for cls in CLASSES)


@every_class
def test_documented(cls):
    """The docstring has an example and names its source; the file is short enough to be read at once."""
    assert ">>> " in cls.__doc__
    assert "Source: " in cls.__doc__
    assert len(inspect.getsource(inspect.getmodule(cls)).splitlines()) <= 110


@every_class
def test_an_outside_source_is_named(cls):
    """Every indicator is compared with numbers that are not ours."""
    assert cls.__name__ in REFERENCES, f"add {cls.__name__} to tests/unit/indicators/references.py"


@every_case
@pytest.mark.parametrize("name", ["AAPL", "SPY", "BTCUSDT"])
def test_equal_to_the_reference(case, name):
    """To 1e-9 on real bars, start-up included: NaN and numbers in the same rows."""
    bars = market()[name]
    expected = REFERENCES[case.cls.__name__](bars, **dict(case.parameters))
    if case.cls.outputs:
        expected = np.stack(expected, axis=1)
    close(expected, case.make().over(*case.columns(bars)))


@every_case
def test_ready_exactly_at_the_first_number(case):
    """`ready` is 0 and all outputs are NaN, then `ready` is 1 and all are numbers; `count` starts at 0."""
    indicator = case.make()
    assert (indicator.count, indicator.ready) == (0, 0)
    for row in zip(*case.columns(part(market()["BTCUSDT"], 0, 200)), strict=True):
        numbers = np.atleast_1d(indicator.update(*row))
        assert indicator.ready in (0, 1)
        assert np.isfinite(numbers).all() if indicator.ready else np.isnan(numbers).all()
    assert indicator.ready == 1
    assert indicator.count > 0


@every_case
def test_streaming_equals_batch(case):
    """Value by value in plain Python, in compiled batches of any size, all at once: the same bytes out and in the state."""
    columns = case.columns(part(market()["SPY"], 0, 250))
    whole, pieces, single = case.make(), case.make(), case.make()
    expected = whole.over(*columns)
    cuts = [0, 1, 2, 30, 31, 100, 250]
    parts = [pieces.over(*(column[a:b] for column in columns)) for a, b in itertools.pairwise(cuts)]
    assert np.concatenate(parts).tobytes() == expected.tobytes()
    assert pieces.tobytes() == whole.tobytes()
    assert stream(single, columns).tobytes() == expected.tobytes()
    assert single.tobytes() == whole.tobytes()


@pytest.mark.integration
def test_interpreted_equals_compiled():
    """A process without any compiled code returns the same bytes and ends in the same states, bad values included."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.unit.indicators.cases"],
        env=os.environ | {"OPENBELL_INTERPRETED": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    interpreted = dict(line.split("\t") for line in done.stdout.splitlines())
    assert interpreted == {str(case): digest(case) for case in CASES}


@every_case
def test_a_checkpoint_is_the_bytes(case):
    """Saved in the middle and restored elsewhere, it goes on as if nothing had happened."""
    columns = case.columns(part(market()["BTCUSDT"], 0, 400))
    whole = case.make()
    expected = whole.over(*columns)
    for cut in (1, 17, 150):
        first = case.make()
        first.over(*(column[:cut] for column in columns))
        second = restored(first)
        assert type(second) is case.cls
        assert second.over(*(column[cut:] for column in columns)).tobytes() == expected[cut:].tobytes()
        assert second.tobytes() == whole.tobytes()


@every_case
def test_warm_equals_cold(case):
    """What lies further back than an indicator's memory does not matter, to 1e-9."""
    if str(case) in CUMULATIVE:
        pytest.skip("it is the sum of everything since its start")
    bars = market()["AAPL"]
    rows = len(bars["close"])
    start = rows - 2000 - MEMORY * longest(case)
    warm = case.make().over(*case.columns(bars))
    cold = case.make().over(*case.columns(part(bars, start, rows)))
    close(warm[-2000:], cold[-2000:])


def cycle(bars, rows):
    """Bars repeated to a number of rows."""
    return {name: np.resize(column, rows) for name, column in bars.items()}


@every_case
def test_no_drift_in_ten_million_updates(case):
    """After 10 M values it equals one that has just begun, to 1e-9."""
    if str(case) in CUMULATIVE:
        pytest.skip("see test_sums_over_everything_stay_exact")
    bars = cycle(part(market()["SPY"], 0, 12_500), 1_000_000)
    columns = case.columns(bars)
    old, new = case.make(), case.make()
    for _ in range(10):
        rows = old.over(*columns)
    close(new.over(*columns)[-12_500:], rows[-12_500:])


@pytest.mark.parametrize("case", [case for case in CASES if str(case) in CUMULATIVE], ids=str)
def test_sums_over_everything_stay_exact(case):
    """10 M bars with fractional volume: still the exact sum, to 1e-12."""
    bars = cycle(part(market()["BTCUSDT"], 0, 500), 1_000_000)
    indicator = case.make()
    for _ in range(10):
        rows = indicator.over(*case.columns(bars))
    price, volume = (bars[name][:500].astype(np.longdouble) for name in ("close", "volume"))
    if case.cls.__name__ == "Vwap":
        expected = (price * volume).sum() / volume.sum()
    else:
        # Every cycle adds the same, the first bar of the first one apart: it has no bar before it.
        around = np.sign(price - np.roll(price, 1)) * volume
        expected = around.sum() * 20_000 - around[0] + volume[0]
    assert rows[-1] == pytest.approx(float(expected), rel=1e-12)


@every_case
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e100, -1e300])
def test_a_bad_value_costs_one_answer(case, bad):
    """NaN comes back, the state keeps every byte: as the first value, while warming up, and when ready."""
    columns = case.columns(part(market()["BTCUSDT"], 0, 120))
    indicator = case.make()
    for row in zip(*columns, strict=True):
        if indicator.count in (0, 1, 5, 119):
            before = indicator.tobytes()
            for place in range(len(row)):
                numbers = indicator.update(*row[:place], bad, *row[place + 1 :])
                assert np.isnan(numbers).all()
                assert indicator.tobytes() == before
        indicator.update(*row)


@every_case
def test_a_wild_value_is_forgotten(case):
    """A finite price a thousand million times too high is gone once it has left the window."""
    if str(case) in CUMULATIVE or case.cls.__name__ in {"Adx", "Atr", "Ema", "Macd", "Rsi"}:
        pytest.skip("exponential averages and totals keep a part of it")
    bars = {name: column.copy() for name, column in market()["SPY"].items()}
    for name in ("open", "high", "low", "close", "value", "price"):
        bars[name][50] *= 1e9
    columns = case.columns(part(bars, 0, 600))
    calm = case.columns(part(bars, 300, 600))
    close(case.make().over(*calm)[-200:], case.make().over(*columns)[-200:])


@pytest.mark.parametrize("wrong", [0, -3, 2.5, float("nan"), float("inf"), True, "20", None, (1 << 24) + 1])
@every_class
def test_lengths_are_checked(cls, wrong):
    """A length that makes no sense is a StrategyError that names the indicator and what it got."""
    lengths = {name for name, each in parameters_of(cls).items() if each.annotation is int or each.annotation == "int"}
    for name in lengths:
        if cls.__name__ == "Vwap" and wrong == 0 and wrong is not False:
            continue
        with pytest.raises(StrategyError, match=cls.__name__) as caught:
            cls(**{name: wrong})
        assert repr(wrong) in str(caught.value)
    assert lengths or parameters_of(cls) == {}


def test_over_checks_its_columns():
    """The number of columns and their lengths are checked."""
    case = Case(openbell.indicators.Atr)
    with pytest.raises(TypeError, match="high, low, close"):
        case.make().over([1.0])
    with pytest.raises(ValueError, match="equal length"):
        case.make().over([1.0, 2.0], [1.0, 2.0], [1.0])
