"""A plan: what it refuses, what it is as plain data, and what the engine makes of it."""

import json

import numpy as np
import pytest

from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.errors import ConfigError, UnknownNameError, UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import NO_LIMITS, Limits, Listing, Venue
from openbell.model.time import HOUR, SECOND
from tests.unit.engine.scene import MIDNIGHT, USD, Idle, Scene

X, Y = Listing("X"), Listing("Y")


def hand(name="hand", symbols=("X",), **changes):
    return Assignment(name, "rsi", symbols, **changes)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((X, X), (hand(),)), ConfigError, "listings repeat a symbol"),
        (((X,), (hand(), hand())), ConfigError, "strategy ids repeat"),
        (((X, Listing("Y", currency="BTC")), (hand(),)), ConfigError, "different precision: ['BTC', 'USD']"),
        (((X,), (hand(symbols=()),)), ConfigError, "has no symbols"),
        (((X, Y), (hand(symbols=("Z",)),)), UnknownNameError, "there is no symbol 'Z'"),
        (((X,), (hand(cash=-1.0),)), ConfigError, "has cash -1.0"),
        (((X,), (hand(cash=float("nan")),)), ConfigError, "has cash nan"),
        (((X,), (hand("a", cash=1.5e12), hand("b", cash=1.5e12))), ConfigError, "3e+12 USD together"),
        (((X,), (hand(timeframe="5x"),)), UsageError, "timeframe is '5x'"),
    ],
)
def test_plans_that_make_no_sense(arguments, error, message):
    """Each says what was found."""
    with pytest.raises(error) as caught:
        Plan(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("order_capacity", 0), ("order_capacity", 1 << 21), ("intent_capacity", 1), ("intent_capacity", 2_000)]
)
def test_capacities_out_of_range(name, value):
    """Order ids keep ten bits for the intents of an event."""
    with pytest.raises(ConfigError, match=f"{name} is {value}"):
        Plan((X,), (hand(),), **{name: value})


def test_a_plan_as_plain_data():
    """Through JSON and back it is equal."""
    first = hand(params={"period": 10}, limits=Limits(position_max=5))
    second = hand("other", ("X", "Y"), timeframe="1m", enabled=False, limits=NO_LIMITS)
    plan = Plan((X, Y), (first, second), Venue(fee_taker_bps=10, participation=0.5), candles=("1s", "1m"))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_symbol_index():
    """By name, with the near name where it is not there."""
    plan = Plan((Listing("BTCUSDT"), Listing("ETHUSDT")), (hand(symbols=("BTCUSDT",)),))
    assert plan.symbol_index("ETHUSDT") == 1
    with pytest.raises(UnknownNameError, match="ETHUSDT"):
        plan.symbol_index("ETHUSD")


def test_a_strategy_that_is_not_enabled_starts_paused():
    """It sees everything, and may order nothing until it is started."""
    engine = Engine(Plan((X,), (Assignment("off", Idle, ("X",), enabled=False),)))
    assert engine.table("accounts")[0]["trading_state"] == enums.PAUSED


def test_every_account_starts_with_its_deposit():
    """In minor units; the limits beside it."""
    scene = Scene(cash=1_234.567891, limits=Limits())
    assert scene.account["cash"] == scene.account["deposits"] == 1_234_567_891
    assert scene.account["order_value_max"] == round(1_234_567_891 * 0.05)


def test_equity_is_told_once_an_interval():
    """With the first event after it, as of the event before: cash and holdings at the last price."""
    scene = Scene(plan={"equity_interval_ns": HOUR}, start=MIDNIGHT)
    scene.trade(100.0, ts=MIDNIGHT + 10 * SECOND)
    scene.order("buy")
    scene.trade(101.0, ts=MIDNIGHT + HOUR - SECOND)
    scene.trade(120.0, ts=MIDNIGHT + HOUR + SECOND)
    scene.trade(130.0, ts=MIDNIGHT + HOUR + 2 * SECOND)
    told = [(int(row["ts"]) - MIDNIGHT, row["amount"] / USD, row["realised"] / USD) for row in scene.kind(enums.EQUITY)]
    assert told == [
        (10 * SECOND, 100_000, 100_000),
        (HOUR + SECOND, 100_000 - 1_010 + 1_200, 100_000 - 1_010),
    ]
    assert scene.engine.head.equity() == (100_000 - 1_010 + 1_300) * USD


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_events_of_no_known_kind(kind):
    """Refused, whatever is in them."""
    scene = Scene()
    scene.trade(100.0)
    row = np.zeros(1, EVENT)
    row["seq"], row["ts_available"], row["kind"] = 2, scene.now, kind
    row["bar"]["open"] = row["bar"]["high"] = row["bar"]["low"] = row["bar"]["close"] = 50.0
    commands = scene.engine.run(row)
    assert [int(each["reason"]) for each in commands if each["kind"] == enums.REFUSED] == [enums.NOT_WELL_FORMED]
    assert scene.engine.table("instruments")[0]["last_price"] == 100.0
    assert scene.engine.head["trades"] == 1
