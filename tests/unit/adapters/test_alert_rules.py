"""What an alert may say, and what it may not."""

import pytest

from openbell import indicators
from openbell.adapters.stores.alert_rows import schedule_of, spec_of, text_of
from openbell.adapters.stores.alert_rules import (
    FACTORS,
    INDICATORS,
    LENGTH_MAX,
    SESSIONS,
    NewAlert,
    Schedule,
    Series,
    Spec,
    condition_of,
    split_condition,
)
from openbell.errors import UnknownNameError, UsageError

RSI = Spec(indicator=Series("rsi", "5m"))


def class_of(name):
    return getattr(indicators, "".join(word.capitalize() for word in name.split("_")))


@pytest.mark.parametrize("name", sorted(INDICATORS.keys() - {"price", "close"}))
def test_the_indicators_are_those_that_there_are(name):
    """With their parameters, outputs, and lengths from the shortest to the longest."""
    defaults, outputs = INDICATORS[name]
    assert class_of(name)(**defaults).outputs == outputs
    lengths = [parameter for parameter in defaults if parameter not in FACTORS]
    class_of(name)(**{**defaults, **dict.fromkeys(lengths[-1:], LENGTH_MAX)})


def test_no_indicator_is_left_out():
    """All that are public may be watched."""
    assert {class_of(name) for name in INDICATORS.keys() - {"price", "close"}} == {getattr(indicators, name) for name in indicators.__all__}


@pytest.mark.parametrize(
    ("symbol", "condition", "price"),
    [
        ("", "above", 1.0), ("A", "over", 1.0), ("A", "above", 0.0), ("A", "below", -1.0), ("A", "crosses", float("nan")),
        ("A", "above", 1e15), ("A", "above", float("inf")), ("A\n", "above", 1.0), ("A" * 65, "above", 1.0), ("A", None, 1.0),
    ],
)  # fmt: skip
def test_an_alert_on_a_price_that_makes_no_sense(symbol, condition, price):
    """Is refused when it is made."""
    with pytest.raises(UsageError):
        NewAlert(symbol, condition, price)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"mode": "twice"}, "once or every"), ({"cooldown_s": 5.0}, "come every time"), ({"mode": "every", "cooldown_s": -1.0}, "from 0"),
        ({"mode": "every", "cooldown_s": float("nan")}, "from 0"), ({"mode": "every", "hysteresis": float("inf")}, "from 0"),
        ({"expires": 0}, "nanoseconds"), ({"note": "a\x1b[31m"}, "printable"), ({"note": "a" * 501}, "at most 500"),
        ({"spec": RSI}, "nothing but the target"), ({"spec": Spec(window_s=60)}, "nothing but the target"),
    ],
)  # fmt: skip
def test_what_else_it_may_not_say(said, expected):
    """Each is refused by what would be right."""
    with pytest.raises(UsageError, match=expected):
        NewAlert("AAPL", "above", 150.0, **said)


@pytest.mark.parametrize(
    ("condition", "target", "spec"),
    [
        ("move_above", 5.0, None), ("move_above", 5.0, Spec(timeframe="5m")), ("move_above", 5.0, Spec(window_s=8 * 86_400)),
        ("volume_above", 5.0, None), ("volume_above", 5.0, Spec(window_s=60, timeframe="5m")), ("volume_above", 0.0, Spec(window_s=60)),
        ("volume_above", 5.0, Spec(timeframe="250ms")), ("volume_above", 5.0, Spec(timeframe="2w")),
        ("indicator_below", 30.0, None), ("indicator_below", 30.0, Spec(against=Series("sma", "5m"))),
        ("indicator_below", 30.0, Spec(indicator=Series("price"))), ("indicator_below", 3.0, Spec(indicator=RSI.indicator, window_s=5)),
        ("indicator_below", 0.0, Spec(indicator=RSI.indicator, against=Series("price"))),
        ("indicator_below", 0.0, Spec(indicator=RSI.indicator, against=RSI.indicator)),
        ("position_above", 1.0, RSI), ("position_above", 1.0, Spec(accounts=("a", "a"))), ("position_above", 1.0, Spec(accounts=("",))),
        ("drawdown_above", 1.0, None), ("position_above", float("nan"), None),
    ],
)  # fmt: skip
def test_specs_that_do_not_fit(condition, target, spec):
    """The kind of a condition says what has to be there, and what may be."""
    with pytest.raises(UsageError):
        NewAlert("AAPL", condition, target, spec)


def test_hysteresis_needs_something_to_be_a_part_of():
    """Per cent of 0 is nothing; against another indicator it is per cent of that one."""
    with pytest.raises(UsageError, match="which is 0"):
        NewAlert("AAPL", "move_above", 0.0, Spec(window_s=60), "every", hysteresis=1.0)
    NewAlert("AAPL", "indicator_above", 0.0, Spec(indicator=Series("price"), against=Series("sma", "1h")), "every", hysteresis=1.0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"name": "rsy"}, "Did you mean"), ({"name": "rsi"}, "timeframe"), ({"name": "rsi", "timeframe": "5x"}, "timeframe"),
        ({"name": "rsi", "timeframe": "5m", "params": {"period": 3}}, "parameter of rsi"),
        ({"name": "rsi", "timeframe": "5m", "params": {"length": 0}}, "whole number"),
        ({"name": "rsi", "timeframe": "5m", "params": {"length": 2.5}}, "whole number"),
        ({"name": "rsi", "timeframe": "5m", "params": {"length": 1001}}, "from 1 to 1000"),
        ({"name": "rsi", "timeframe": "5m", "params": {"length": True}}, "finite number"),
        ({"name": "rsi", "timeframe": "5m", "output": "upper"}, "none"), ({"name": "bollinger", "timeframe": "5m"}, "lower, middle, upper"),
        ({"name": "bollinger", "timeframe": "5m", "output": "upper", "params": {"width": 0.0}}, "above 0"),
        ({"name": "macd", "timeframe": "5m", "output": "macd", "params": {"fast": 30}}, "fast below slow"),
        ({"name": "price", "timeframe": "5m"}, "the close of a timeframe"),
    ],
)  # fmt: skip
def test_indicators_that_cannot_be(said, expected):
    """Names, parameters, outputs and timeframes are those that there are."""
    with pytest.raises(UsageError, match=expected):
        Series(**said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"session": "moon"}, "session"), ({"session": "us", "zone": "Asia/Tokyo"}, "one of them"), ({"zone": "Asia/Tokio"}, "a name"),
        ({"zone": "../../etc/passwd"}, "a name"), ({"zone": ""}, "a name"), ({"days": ()}, "one at least"),
        ({"days": ("mon", "mon")}, "once"), ({"start": "9:30"}, "hours and minutes"), ({"end": "24:30"}, "hours and minutes"),
        ({"start": "09:00", "end": "09:00"}, "different"), ({"start": "24:00", "end": "09:00"}, "different"),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be(said, expected):
    """A session is known by name, and everything else has to be said right."""
    with pytest.raises(UsageError, match=expected):
        Schedule(**said)


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_sessions_are_schedules(name):
    """Their own hours pass the same checks."""
    zone, days, start, end = SESSIONS[name]
    assert Schedule(name).hours == Schedule(zone=zone, days=days, start=start, end=end).hours


def test_texts_of_the_columns():
    """A value and its text are the same, with defaults filled in, so that equal things have equal texts."""
    assert text_of(Spec(indicator=Series("rsi", "5m", {"length": 14.0}))) == text_of(RSI)
    assert spec_of(text_of(RSI)) == RSI
    schedule = Schedule(days=("mon",))
    assert schedule_of(text_of(schedule)) == schedule
    assert text_of(Schedule()) == text_of(None) == text_of(Spec()) == ""
    assert spec_of("") is None


def test_unknown_names_are_near_ones():
    """A typing error is answered with what was meant."""
    with pytest.raises(UnknownNameError, match="rsi"):
        Series("rsii", "5m")


def test_conditions_are_one_word():
    """Of a price the comparison alone."""
    for condition in ("above", "crosses_below", "move_above", "indicator_crosses", "drawdown_above"):
        assert condition_of(*split_condition(condition)) == condition
