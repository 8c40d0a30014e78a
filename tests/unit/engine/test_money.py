"""What a fill costs: sizes by money, fees, slippage, cash that does not reach, shorts. All numbers were worked out by hand."""

import pytest

from openbell.errors import ConfigError
from openbell.model import enums
from openbell.model.plan import Limits, Listing, Venue
from tests.unit.engine.scene import USD, Scene

COIN = Listing("X", 0.01, 1e-5, "USD")
SHORTS = Limits(
    order_value_share=None, collar_bps=None, drift_bps=None, market_protection_bps=None, price_age_max_ns=None, short_allowed=True
)


def test_all_in_buys_what_cash_and_fee_allow():
    """100,000 at 100 and 10 bps: 999 x 100 = 99,900, fee 99.90, 0.10 stays; a thousandth would be 100,100."""
    scene = Scene(fee_taker_bps=10)
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T100")
    assert (scene.fills, scene.fees, scene.cash) == ([(100, 999)], [99.9], 0.1)


def test_all_in_to_the_last_lot():
    """In lots of 0.00001: 100,000 / (100 * 1.001) is 999.000999..., so 999.00099 units: 99,900.099 + 99.900099."""
    scene = Scene(listing=COIN, fee_taker_bps=10)
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T100")
    assert (scene.fills, scene.fees, scene.cash) == ([(100, 99_900_099)], [99.900099], 0.000901)


def test_all_in_is_resolved_at_the_fill():
    """Decided at 100, filled at 125: 799 x 125 = 99,875, fee 99.875."""
    scene = Scene(fee_taker_bps=10)
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T125")
    assert (scene.fills, scene.fees, scene.cash) == ([(125, 799)], [99.875], 25.125)


def test_all_in_with_a_fee_a_unit():
    """0.005 a unit: 100,000 / 100.005 = 999.95, so 999 units and 4.995."""
    scene = Scene(fee_per_unit=0.005)
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T100")
    assert (scene.fills, scene.fees, scene.cash) == ([(100, 999)], [4.995], 95.005)


def test_all_in_with_a_least_fee():
    """At least 150 a fill: 998 x 100 + 150 = 99,950; 999 would be 100,050."""
    scene = Scene(fee_taker_bps=10, fee_min=150)
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T100")
    assert (scene.fills, scene.fees, scene.cash) == ([(100, 998)], [150], 50)


def test_by_notional():
    """5,000 at 101 buys 49."""
    scene = Scene()
    scene.play("T100")
    scene.order("buy", quantity=5_000 * USD, size_kind=enums.BY_NOTIONAL)
    scene.play("T101")
    assert scene.fills == [(101, 49)]


def test_selling_by_notional_sells_at_most_what_is_held():
    """900 at 95 would be 9; at the fill at 50 it would be 18, of which 10 are held."""
    scene = Scene()
    scene.play("T100")
    scene.order("buy", quantity=10)
    scene.play("T100")
    scene.order("sell", quantity=900 * USD, size_kind=enums.BY_NOTIONAL)
    scene.play("T50")
    assert scene.fills == [(100, 10), (50, 10)]
    assert (scene.position["quantity"], scene.position["buying"], scene.position["selling"]) == (0, 0, 0)


@pytest.mark.parametrize(("kind", "reason"), [(enums.BY_NOTIONAL, enums.NOT_WELL_FORMED), (enums.BY_CASH, enums.INSUFFICIENT_CASH)])
def test_less_than_a_lot_is_denied(kind, reason):
    """Money that buys no lot at the price that stands is no order."""
    scene = Scene(cash=99.0)
    scene.play("T100")
    order_id = scene.order("buy", quantity=99 * USD if kind == enums.BY_NOTIONAL else 1, size_kind=kind)
    assert ("denied", reason) == scene.last(order_id)


def test_money_that_buys_no_lot_at_the_fill():
    """A price that rose beyond the money ends the order, and no pending lot is left behind."""
    scene = Scene(cash=100.0)
    scene.play("T100")
    order_id = scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T101 T90")
    assert scene.last(order_id) == ("rejected", enums.INSUFFICIENT_CASH)
    assert (scene.position["buying"], scene.account["reserved"], scene.engine.head["open_orders"]) == (0, 0, 0)


def test_sized_by_money_within_the_position_limit():
    """Two orders by money, counted as one lot each until they fill, do not exceed the limit together."""
    scene = Scene(limits=Limits(order_value_share=None, market_protection_bps=None, position_max=100))
    scene.play("T100")
    for _ in range(2):
        scene.order("buy", quantity=9_000 * USD, size_kind=enums.BY_NOTIONAL)
    scene.play("T100")
    assert scene.fills == [(100, 90), (100, 10)]


def test_sized_by_money_and_no_room_left():
    """The limit that was free when it was decided is full when it fills: it ends with the reason."""
    scene = Scene(limits=Limits(order_value_share=None, market_protection_bps=None, position_max=90))
    scene.play("T100")
    order_id = scene.order("buy", quantity=8_900 * USD, size_kind=enums.BY_NOTIONAL)
    scene.position["quantity"] = 90  # as an overfill of another order may leave it
    scene.play("T100")
    assert (scene.fills, scene.last(order_id)) == ([], ("rejected", enums.POSITION_LIMIT))
    assert (scene.position["buying"], scene.account["reserved"]) == (0, 0)


@pytest.mark.parametrize(
    ("venue", "order", "expected"),
    [
        ({"fee_taker_bps": 10}, ("buy", "market"), 1.01),
        ({"fee_taker_bps": 10, "fee_maker_bps": 2}, ("buy", "market"), 1.01),
        ({"fee_taker_bps": 10, "fee_maker_bps": 2}, ("buy", "limit", 10, 99), 0.198),
        ({"fee_taker_bps": 10, "fee_maker_bps": -1}, ("buy", "limit", 10, 99), -0.099),
        ({"fee_taker_bps": 10, "fee_maker_bps": -1, "fee_min": 1}, ("buy", "limit", 10, 99), -0.099),
        ({"fee_taker_bps": 10, "fee_maker_bps": 0}, ("buy", "limit", 10, 99), 0),
        ({"fee_taker_bps": 10, "fee_min": 5}, ("buy", "market"), 5),
        ({"fee_per_unit": 0.35}, ("buy", "market"), 3.5),
        ({"fee_per_unit": 0.005, "fee_min": 1}, ("buy", "market"), 1),
    ],
)
def test_fees(venue, order, expected):
    """10 units: a taker at 101, a maker at 99."""
    scene = Scene(**venue)
    scene.play("T100")
    scene.order(*order)
    scene.play("T101 T98")
    assert [expected] == scene.fees


@pytest.mark.parametrize(
    ("venue", "order", "expected"),
    [
        ({"slippage_bps": 10}, ("buy", "market"), 101.101),
        ({"slippage_bps": 10}, ("sell", "market"), 100.899),
        ({"slippage_increments": 3}, ("buy", "market"), 101.03),
        ({"slippage_increments": 3}, ("sell", "market"), 100.97),
        ({"slippage_increments": 3}, ("buy", "limit", 10, 101.01), 101.01),
        ({"slippage_increments": 3}, ("sell", "limit", 10, 100.99), 100.99),
        ({"slippage_increments": 3}, ("buy", "limit", 10, 101.05), 101.03),
        ({"slippage_increments": 3}, ("sell", "limit", 10, 100.95), 100.97),
        ({"slippage_increments": 3}, ("buy", "limit", 10, 99), 99),
        ({"slippage_increments": 3}, ("buy", "stop", 10, 0, 100.5), 101.03),
        ({"slippage_increments": 1e9}, ("sell", "market"), 0.01),
    ],
)
def test_slippage(venue, order, expected):
    """A taker gets a worse price, never beyond its limit nor below one increment; a maker gets its limit."""
    scene = Scene(**venue)
    scene.play("T100")
    scene.position["quantity"] = 10
    scene.order(*order)
    scene.play("T101 T98")
    assert [(expected, 10)] == scene.fills


def test_unaffordable_at_the_fill():
    """A price that rose: the lots cash reaches for are bought, then the order ends."""
    scene = Scene(cash=1_000.0)
    scene.play("T100")
    order_id = scene.order("buy", quantity=10)
    scene.play("T125 T125")
    assert scene.fills == [(125, 8)]
    assert scene.last(order_id) == ("canceled", enums.INSUFFICIENT_CASH)
    assert scene.account["reserved"] == 0


def test_unaffordable_fok_is_not_filled_in_part():
    """All or nothing holds for cash too."""
    scene = Scene(cash=1_000.0)
    scene.play("T100")
    order_id = scene.order("buy", quantity=10, tif="fok")
    scene.play("T125")
    assert scene.fills == []
    assert scene.last(order_id) == ("canceled", enums.NOT_FILLED_AT_ONCE)


def test_purchases_reserve_their_cost():
    """Two orders of 600 out of 1,000: the second is denied while the first is open, and allowed when that was canceled."""
    scene = Scene(cash=1_000.0)
    scene.play("T100")
    first = scene.order("buy", "limit", 6, 100)
    assert scene.last(scene.order("buy", "limit", 6, 100)) == ("denied", enums.INSUFFICIENT_CASH)
    scene.cancel(first)
    assert scene.last(scene.order("buy", "limit", 6, 100)) == ("submitted", enums.NONE)


@pytest.mark.parametrize("venue", [{"fee_taker_bps": 10}, {"fee_per_unit": 0.1}, {"fee_min": 1.0}])
def test_what_is_reserved_includes_the_fee(venue):
    """10 x 100 and the fee of 1 in each model: 1,001 is enough and 1,000.99 is not."""
    for cash, status in ((1_001.0, "submitted"), (1_000.99, "denied")):
        scene = Scene(cash=cash, **venue)
        scene.play("T100")
        assert status == scene.last(scene.order("buy"))[0]
        assert (1_001 if status == "submitted" else 0) == scene.account["reserved"] / USD


def test_short_is_denied_unless_allowed():
    """Nothing is sold that is not held."""
    scene = Scene()
    scene.play("T100")
    assert scene.last(scene.order("sell", quantity=1)) == ("denied", enums.POSITION_LIMIT)


def test_short_and_cover():
    """Sold at 100, bought back at 90: 100 of profit on 10."""
    scene = Scene(limits=SHORTS)
    scene.play("T100")
    scene.order("sell")
    scene.play("T100 T90")
    scene.order("buy")
    scene.play("T90")
    assert scene.fills == [(100, 10), (90, 10)]
    assert (scene.cash, scene.account["realised"], scene.position["quantity"]) == (100_100, 100 * USD, 0)


def test_covering_needs_no_free_cash():
    """A short of 10 at 100 with 10 of own cash is covered at 150 though that leaves a debt: 10 + 1,000 - 1,500 = -490."""
    scene = Scene(cash=10.0, limits=SHORTS)
    scene.play("T100")
    scene.order("sell")
    scene.play("T100 T150")
    order_id = scene.order("buy")
    scene.play("T150")
    assert scene.last(order_id) == ("filled", 0)
    assert scene.cash == -490


def test_all_in_covers_a_short_and_goes_long():
    """All-in spends the cash that is there, proceeds of the short included: 101,000 / 100 = 1,010, of which 10 cover."""
    scene = Scene(limits=SHORTS)
    scene.play("T100")
    scene.order("sell")
    scene.play("T100")
    scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    scene.play("T100")
    assert scene.fills == [(100, 10), (100, 1_010)]
    assert (scene.cash, scene.position["quantity"]) == (0, 1_000)


def test_flip_through_zero():
    """Long 10 at 100, sold 25 at 110: 100 realised, short 15 that cost 110 each."""
    scene = Scene(limits=SHORTS)
    scene.play("T100")
    scene.order("buy")
    scene.play("T100 T110")
    scene.order("sell", quantity=25)
    scene.play("T110")
    position = scene.position
    assert (position["quantity"], position["cost"], position["realised"]) == (-15, -15 * 110 * USD, 100 * USD)


@pytest.mark.parametrize(("position_max", "status"), [(15, "submitted"), (14, "denied")])
def test_short_limit(position_max, status):
    """Short 10 and 5 more: at most `position_max`."""
    limits = Limits(order_value_share=None, market_protection_bps=None, short_allowed=True, position_max=position_max)
    scene = Scene(limits=limits)
    scene.play("T100")
    scene.order("sell")
    scene.play("T100")
    assert status == scene.last(scene.order("sell", quantity=5))[0]


ABSURD = (1 << 53, 10**17, enums.UNLIMITED - 1, enums.UNLIMITED, 9 * 10**18, (1 << 63) - 1)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("quantity", ABSURD)
@pytest.mark.parametrize("price", [0.01, 100.0, 9e14])
def test_absurd_quantities_are_denied(side, quantity, price):
    """Quantities whose value fits no account are denied; nothing wraps, nothing is reserved."""
    scene = Scene(limits=SHORTS)
    scene.trade(price)
    order_id = scene.order(side, quantity=quantity)
    status, reason = scene.last(order_id)
    if status != "denied":  # a short that is absurd but fits: 2^53 lots at 0.01
        assert (side, price) == ("sell", 0.01)
        assert quantity * price * USD < enums.UNLIMITED
        scene.trade(price)
        assert quantity * 10_000 + 100_000 * USD == scene.account["cash"]
    else:
        assert reason in (enums.MAX_ORDER_QUANTITY, enums.MAX_ORDER_VALUE, enums.INSUFFICIENT_CASH)
        assert (scene.account["reserved"], scene.position["buying"]) == (0, 0)


def test_prices_on_a_fine_increment_do_not_wrap():
    """A limit of 123,456.5 on an increment of 1e-15 is further from 0 than an int64 of increments; it stays what it is."""
    scene = Scene(listing=Listing("X", 1e-15, 1.0, "USD"), cash=10_000_000.0)
    scene.trade(123_456.0)
    scene.order("buy", "limit", 1, 123_456.5)
    assert [row["price"] for row in scene.kind(enums.SUBMIT)] == [123_456.5]


def test_venue_settings_out_of_range():
    """Models that make no sense are refused when the plan is made."""
    for settings in ({"slippage_bps": 10_000}, {"fee_taker_bps": 1e5}, {"participation": 1.1}, {"fee_min": float("nan")}, {"fill": "best"},
                     {"latency_ns": -1}):  # fmt: skip
        with pytest.raises(ConfigError):
            Venue(**settings)


def test_more_cash_than_64_bits_hold():
    """All accounts together must fit the integers they are kept in."""
    with pytest.raises(ConfigError, match="at most 2e\\+12"):
        Scene(cash=3e12)
    with pytest.raises(ConfigError, match="finite"):
        Scene(cash=float("inf"))
