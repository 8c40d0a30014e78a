"""The first ten pre-trade controls: an order exactly at the limit passes, one just beyond is denied with the reason; 0 and NaN deny."""

import pytest

from openbell.errors import ConfigError
from openbell.model import enums
from openbell.model.plan import NO_LIMITS, Limits, Listing
from openbell.model.time import MINUTE, SECOND
from tests.unit.engine.scene import USD, Scene

#: Everything absent but what a test sets.
OPEN = {
    "order_value_share": None, "collar_bps": None, "drift_bps": None, "market_protection_bps": None, "price_age_max_ns": None,
}  # fmt: skip
NAN, INF = float("nan"), float("inf")


def market(**limits):
    """A market at 100 with only these limits."""
    scene = Scene(limits=Limits(**{**OPEN, **limits}))
    scene.trade(100.0)
    return scene


def outcome(scene, *order, **fields):
    """(status, reason) right after the order was asked for."""
    return scene.last(scene.order(*order, **fields))


PASS = ("submitted", enums.NONE)


@pytest.mark.parametrize("state", sorted(enums.TRADING_STATE_NAMES))
def test_1_trading_state(state):
    """Only an active account may place orders; a reducing one may make its position smaller."""
    scene = market()
    scene.position["quantity"] = 10
    scene.account["trading_state"] = state
    denied = ("denied", enums.TRADING_STATE)
    assert (PASS if state == enums.ACTIVE else denied) == outcome(scene, "buy", quantity=1)
    assert (PASS if state in (enums.ACTIVE, enums.REDUCING) else denied) == outcome(scene, "sell", quantity=10)


def test_1_reducing_counts_open_orders():
    """Two orders that together would go beyond flat do not both reduce, shorts allowed or not."""
    for short_allowed in (False, True):
        scene = market(short_allowed=short_allowed)
        scene.position["quantity"] = 10
        scene.account["trading_state"] = enums.REDUCING
        assert outcome(scene, "sell", quantity=6) == PASS
        assert outcome(scene, "sell", quantity=5) == ("denied", enums.TRADING_STATE)
        assert outcome(scene, "sell", quantity=4) == PASS


def test_2_authorised():
    """An account that is not authorised is denied."""
    scene = market()
    scene.account["is_authorised"] = 0
    assert outcome(scene, "buy") == ("denied", enums.UNAUTHORISED)


def test_3_permitted_instrument():
    """An instrument that the configuration does not name is denied."""
    scene = market()
    scene.position["is_permitted"] = 0
    assert outcome(scene, "buy") == ("denied", enums.INSTRUMENT_NOT_PERMITTED)


@pytest.mark.parametrize(
    "order",
    [
        {"side": 0}, {"side": 2}, {"type": 0}, {"type": 5}, {"tif": 0}, {"tif": 5}, {"size_kind": 0}, {"size_kind": 4}, {"size_kind": 255},
        {"quantity": 0}, {"quantity": -1}, {"quantity": 0, "size_kind": enums.BY_NOTIONAL}, {"quantity": 2, "size_kind": enums.BY_CASH},
        {"quantity": 2 * 10**18, "size_kind": enums.BY_NOTIONAL},
        {"side": "sell", "quantity": 1, "size_kind": enums.BY_CASH},
        {"limit": 100.0}, {"limit": NAN}, {"stop": NAN}, {"stop": 100.0}, {"limit": INF}, {"limit": -1.0},
        {"type": "limit"}, {"type": "limit", "limit": NAN}, {"type": "limit", "limit": INF}, {"type": "limit", "limit": -INF},
        {"type": "limit", "limit": -5.0}, {"type": "limit", "limit": 100.0, "stop": 100.0}, {"type": "limit", "limit": 100.0, "stop": NAN},
        {"type": "limit", "limit": 1e15}, {"type": "limit", "limit": 1e300}, {"type": "limit", "limit": 0.004},
        {"type": "stop"}, {"type": "stop", "stop": NAN}, {"type": "stop", "stop": INF}, {"type": "stop", "stop": 0.004},
        {"type": "stop", "stop": 100.0, "limit": 100.0}, {"type": "stop_limit", "limit": 100.0}, {"type": "stop_limit", "stop": 100.0},
        {"type": "stop_limit", "stop": 100.0, "limit": NAN},
    ],
    ids=str,
)  # fmt: skip
def test_4_well_formed(order):
    """Side, type, time in force, size and prices make an order, or it is denied; a limit that rounds to 0 is no market order."""
    scene = market()
    scene.position["quantity"] = 10
    assert outcome(scene, order.pop("side", "buy"), **order) == ("denied", enums.NOT_WELL_FORMED)


def test_4_prices_snap_to_the_increment():
    """A limit between two increments is taken at the nearest."""
    scene = market()
    scene.order("buy", "stop_limit", 1, 100.126, 100.124)
    row = scene.kind(enums.SUBMIT)[-1]
    assert (row["price"], row["stop_price"]) == (100.13, 100.12)


@pytest.mark.parametrize(("quantity_max", "quantity", "passes"), [(10, 10, True), (10, 11, False), (0, 1, False), (None, 500, True)])
def test_5_order_quantity(quantity_max, quantity, passes):
    """At most so many lots in one order."""
    expected = PASS if passes else ("denied", enums.MAX_ORDER_QUANTITY)
    assert outcome(market(order_quantity_max=quantity_max), "buy", quantity=quantity) == expected


def test_5_the_venues_maximum():
    """The listing's own maximum holds with no other."""
    scene = Scene(limits=NO_LIMITS, listing=Listing("X", 0.01, 1.0, "USD", quantity_max=10))
    scene.trade(100.0)
    assert outcome(scene, "buy", quantity=10) == PASS
    assert outcome(scene, "buy", quantity=11) == ("denied", enums.MAX_ORDER_QUANTITY)


def test_5_sized_by_money_is_cut_at_the_fill():
    """900 at 100 are 9 lots when decided and 18 when filled at 50: the limit of 10 holds."""
    scene = market(order_quantity_max=10)
    scene.order("buy", quantity=900 * USD, size_kind=enums.BY_NOTIONAL)
    scene.trade(50.0)
    assert scene.fills == [(50, 10)]


@pytest.mark.parametrize(("share", "quantity", "passes"), [(0.05, 50, True), (0.05, 51, False), (0.0, 1, False), (None, 500, True)])
def test_6_order_value(share, quantity, passes):
    """5 % of 100,000 is 50 at 100."""
    assert (PASS if passes else ("denied", enums.MAX_ORDER_VALUE)) == outcome(market(order_value_share=share), "buy", quantity=quantity)


@pytest.mark.parametrize("size_kind", [enums.BY_NOTIONAL, enums.BY_CASH])
def test_6_order_value_of_money(size_kind):
    """Sizes stated in money count as that money."""
    scene = market(order_value_share=0.05)
    quantity = 5_000 * USD if size_kind == enums.BY_NOTIONAL else 1
    expected = PASS if size_kind == enums.BY_NOTIONAL else ("denied", enums.MAX_ORDER_VALUE)
    assert expected == outcome(scene, "buy", quantity=quantity, size_kind=size_kind)
    assert outcome(scene, "buy", quantity=5_000 * USD + 1, size_kind=enums.BY_NOTIONAL) == ("denied", enums.MAX_ORDER_VALUE)


@pytest.mark.parametrize(
    ("bps", "side", "limit", "passes"),
    [
        (500.0, "buy", 105.00, True), (500.0, "buy", 105.01, False), (500.0, "buy", 95.00, True), (500.0, "buy", 94.99, False),
        (500.0, "sell", 95.00, True), (500.0, "sell", 94.99, False), (1.0, "buy", 100.01, True), (1.0, "buy", 100.02, False),
        (0.0, "buy", 100.00, False), (None, "buy", 150.0, True),
    ],
)  # fmt: skip
def test_7_price_collar(bps, side, limit, passes):
    """A limit at most so many basis points from the price that stands, either way."""
    scene = market(collar_bps=bps)
    scene.position["quantity"] = 1
    assert (PASS if passes else ("denied", enums.PRICE_COLLAR)) == outcome(scene, side, "limit", 1, limit)


def test_7_collar_of_a_market_order():
    """A market order has no limit to be wrong; with a collar of 0 it is denied all the same."""
    assert outcome(market(collar_bps=1.0), "buy") == PASS
    assert outcome(market(collar_bps=0.0), "buy") == ("denied", enums.PRICE_COLLAR)


def test_7_collar_of_a_stop():
    """A stop may be far away, as protective ones are; the limit of a stop-limit is judged from its stop."""
    scene = market(collar_bps=500.0)
    scene.position["quantity"] = 10
    assert outcome(scene, "sell", "stop", 1, stop=80.0) == PASS
    assert outcome(scene, "sell", "stop_limit", 1, 76.0, 80.0) == PASS
    assert outcome(scene, "sell", "stop_limit", 1, 75.99, 80.0) == ("denied", enums.PRICE_COLLAR)


def test_7_collar_between_bid_and_offer():
    """The reference is the middle where there are quotes."""
    scene = Scene(limits=Limits(**{**OPEN, "collar_bps": 100.0}))
    scene.quote(90.0, 110.0)
    assert outcome(scene, "buy", "limit", 1, 101.0) == PASS
    assert outcome(scene, "buy", "limit", 1, 101.01) == ("denied", enums.PRICE_COLLAR)


def test_8_price_collar_over_time():
    """Within five minutes own prices stay within 10 % of the first; then a new window starts."""
    scene = market(drift_bps=1_000.0, drift_window_ns=5 * MINUTE)
    drifted = ("denied", enums.PRICE_COLLAR_OVER_TIME)
    start = scene.now
    assert outcome(scene, "buy", "limit", 1, 100.0) == PASS
    assert outcome(scene, "buy", "limit", 1, 110.0) == PASS
    assert drifted == outcome(scene, "buy", "limit", 1, 110.01)
    assert outcome(scene, "buy", "limit", 1, 90.0) == PASS
    assert drifted == outcome(scene, "buy", "limit", 1, 89.99)
    scene.trade(120.0, ts=start + 5 * MINUTE)
    assert drifted == outcome(scene, "buy", "limit", 1, 120.0)
    scene.trade(120.0, ts=start + 5 * MINUTE + 1)
    assert outcome(scene, "buy", "limit", 1, 120.0) == PASS


def test_8_zero_denies_every_time():
    """Not only the first order of a window."""
    scene = market(drift_bps=0.0)
    assert [outcome(scene, "buy", "limit", 1, 100.0) for _ in range(3)] == [("denied", enums.PRICE_COLLAR_OVER_TIME)] * 3


@pytest.mark.parametrize(("side", "limit"), [("buy", 101.0), ("sell", 99.0)])
def test_9_market_protection(side, limit):
    """A market order becomes a limit 1 % beyond the price; beyond that it rests instead of trading at any price."""
    scene = market(market_protection_bps=100.0)
    scene.position["quantity"] = 10
    scene.order(side)
    row = scene.kind(enums.SUBMIT)[-1]
    assert (enums.LIMIT, limit) == (row["order_type"], row["price"])
    scene.trade(limit + (0.01 if side == "buy" else -0.01))
    assert scene.fills == []
    scene.trade(limit)
    assert [(limit, 10)] == scene.fills


@pytest.mark.parametrize(("bps", "side"), [(0.0, "buy"), (0.0, "sell"), (10_000.0, "sell")])
def test_9_no_protection_denies(bps, side):
    """A protection of 0, or one that reaches a price of 0, denies."""
    scene = market(market_protection_bps=bps)
    scene.position["quantity"] = 10
    assert outcome(scene, side) == ("denied", enums.MARKET_PROTECTION)
    assert outcome(scene, side, "limit", 1, 100.0) == PASS


def test_9_what_protection_may_cost_is_held_back():
    """10 at 100, at most 101 each: 1,010 are needed."""
    for cash, expected in ((1_010.0, PASS), (1_009.99, ("denied", enums.INSUFFICIENT_CASH))):
        scene = Scene(cash=cash, limits=Limits(**{**OPEN, "market_protection_bps": 100.0}))
        scene.trade(100.0)
        assert expected == outcome(scene, "buy")


@pytest.mark.parametrize(
    ("age_max", "age", "passes"),
    [(5 * SECOND, 5 * SECOND, True), (5 * SECOND, 5 * SECOND + 1, False), (0, 0, False), (None, 365 * 24 * 60 * MINUTE, True)],
)
def test_10_price_freshness(age_max, age, passes):
    """A price at most so old."""
    scene = market(price_age_max_ns=age_max)
    assert (PASS if passes else ("denied", enums.STALE_PRICE)) == outcome(scene, "buy", ts=scene.now + age)


def test_10_no_price():
    """Before the first price every order is denied."""
    assert outcome(Scene(), "buy") == ("denied", enums.STALE_PRICE)
    assert outcome(Scene(), "buy", "limit", 1, 100.0) == ("denied", enums.STALE_PRICE)


def test_10_a_refused_price_is_not_fresh():
    """A NaN trade does not make the price that stands any younger."""
    scene = market(price_age_max_ns=SECOND)
    scene.trade(NAN)
    scene.trade(NAN)
    assert outcome(scene, "buy") == ("denied", enums.STALE_PRICE)


@pytest.mark.parametrize(
    ("position_max", "held", "quantity", "passes"),
    [(10, 0, 10, True), (10, 0, 11, False), (10, 4, 6, True), (10, 4, 7, False), (0, 0, 1, False), (None, 0, 500, True)],
)
def test_position_limit(position_max, held, quantity, passes):
    """Held and asked for together; open purchases count."""
    expected = PASS if passes else ("denied", enums.POSITION_LIMIT)
    scene = market(position_max=position_max)
    scene.position["quantity"] = held
    assert expected == outcome(scene, "buy", quantity=quantity)
    scene = market(position_max=position_max)
    scene.position["buying"] = held
    assert expected == outcome(scene, "buy", quantity=quantity)


def test_the_defaults_of_an_unattended_account():
    """5 % of the cash a day order, 5 % of price collar, five seconds of age, no shorts."""
    scene = Scene(limits=Limits())
    scene.trade(100.0)
    assert outcome(scene, "buy", quantity=49) == PASS
    assert outcome(scene, "buy", quantity=51) == ("denied", enums.MAX_ORDER_VALUE)
    assert outcome(scene, "buy", "limit", 1, 105.01) == ("denied", enums.PRICE_COLLAR)
    assert outcome(scene, "sell", quantity=1) == ("denied", enums.POSITION_LIMIT)


def test_every_denial_is_told_and_counted():
    """A denial is a signal and an ORDER with its reason, never a SUBMIT; a submission passed exactly one check before."""
    scene = market(order_quantity_max=10)
    for quantity in (11, 10, 12):
        scene.order("buy", quantity=quantity)
    assert tuple(scene.engine.head[name] for name in ("signals", "denials", "orders")) == (3, 2, 1)
    assert [row["kind"] for row in scene.commands if row["kind"] in (enums.SIGNAL, enums.ORDER, enums.SUBMIT)] == [
        enums.SIGNAL,
        enums.ORDER,
        enums.SIGNAL,
        enums.SUBMIT,
        enums.SIGNAL,
        enums.ORDER,
    ]


@pytest.mark.parametrize(
    "name", ["order_value_share", "collar_bps", "drift_bps", "market_protection_bps", "position_max", "order_quantity_max"]
)
@pytest.mark.parametrize("value", [NAN, INF, -1.0])
def test_limits_that_are_no_limits(name, value):
    """NaN, infinity and negatives are refused when the limits are set."""
    with pytest.raises(ConfigError):
        Limits(**{name: value})


def test_limits_hold_for_changes():
    """A change is checked like a new order."""
    scene = market(order_quantity_max=10, collar_bps=500.0)
    order_id = scene.order("buy", "limit", 10, 100.0)
    for change, reason in (({"quantity": 11}, enums.MAX_ORDER_QUANTITY), ({"limit": 94.99}, enums.PRICE_COLLAR)):
        assert (enums.REFUSED, reason) == tuple(scene.modify(order_id, **change)[0][["kind", "reason"]])
