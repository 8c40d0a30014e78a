"""The life of an order at the simulated venue: arrival, expiry, change, cancellation, the table it lives in."""

import numpy as np
import pytest

from openbell.model import enums
from openbell.model.orders import is_legal
from openbell.model.plan import NO_LIMITS, Limits, Listing
from openbell.model.time import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from tests.unit.engine.scene import MIDNIGHT, USD, Scene

#: Which status may follow which, after the order state changes of FIX 5.0 SP2 (Volume 4, appendix D), written down by hand.
LEGAL = {
    "submitted": "accepted partially_filled filled canceled expired rejected unknown pending_cancel pending_modify",
    "accepted": "partially_filled filled canceled expired pending_cancel pending_modify unknown",
    "partially_filled": "partially_filled filled canceled expired pending_cancel pending_modify unknown",
    "pending_cancel": "accepted partially_filled filled canceled expired rejected unknown",
    "pending_modify": "accepted partially_filled filled canceled expired rejected pending_cancel unknown",
    "unknown": "accepted partially_filled filled canceled expired rejected pending_cancel",
    "filled": "", "canceled": "", "expired": "", "rejected": "", "denied": "",
}  # fmt: skip


def test_only_legal_steps():
    """Every pair of statuses, and numbers that are no status."""
    codes = {name: code for code, name in enums.STATUS_NAMES.items()}
    legal = {(codes[before], codes[after]) for before, line in LEGAL.items() for after in line.split()}
    for before in codes.values():
        for after in range(256):
            assert ((before, after) in legal) == bool(is_legal(before, after)), (before, after)


def test_latency_is_waited_for():
    """An order decided at 1 s with 500 ms of latency meets the first event at or after 1.5 s."""
    scene = Scene(latency_ns=500 * MILLISECOND)
    scene.trade(100.0)
    scene.order("buy")
    scene.trade(101.0, ts=scene.now + 499 * MILLISECOND)
    assert scene.fills == []
    scene.trade(102.0, ts=scene.now + 1 * MILLISECOND)
    assert scene.fills == [(102, 10)]


def test_latency_and_bars():
    """A bar that began before the arrival is not traded on, whatever its latency is."""
    scene = Scene(latency_ns=1)
    scene.play("B99,101,98,100")
    scene.order("buy")
    scene.play("B102,105,95,103 B104,105,95,103")
    assert scene.fills == [(104, 10)]


def test_uniform_latency_is_spread_and_repeatable():
    """Arrivals lie in [latency, latency + spread], differ between orders, fill the range, and are the same in a second run."""
    arrivals = []
    for _ in range(2):
        scene = Scene(latency_ns=SECOND, latency_spread_ns=1_000)
        scene.trade(100.0)
        for _ in range(200):
            scene.order("buy", quantity=1)
        arrivals.append(scene.open_slots()["ts_arrival"] - scene.now)
    first, second = arrivals
    assert np.array_equal(first, second)
    assert SECOND <= first.min() < SECOND + 50
    assert SECOND + 950 < first.max() <= SECOND + 1_000
    assert len(np.unique(first)) > 150


def test_day_order_expires_at_midnight():
    """A DAY order trades until the instrument's day ends, and not at or after that."""
    scene = Scene(start=MIDNIGHT + DAY - 10 * SECOND)
    scene.trade(100.0)
    kept, gone = scene.order("buy", "limit", 1, 99, tif="day"), scene.order("buy", "limit", 1, 98, tif="day")
    scene.trade(99.0, ts=MIDNIGHT + DAY - 1)
    scene.trade(97.0, ts=MIDNIGHT + DAY)
    assert scene.last(kept) == ("filled", 0)
    assert scene.last(gone) == ("expired", enums.END_OF_DAY)
    assert scene.fills == [(99, 1)]


def test_day_ends_where_the_instrument_says():
    """With a day that ends at 21:00 UTC."""
    scene = Scene(listing=Listing("X", 0.01, 1.0, "USD", day_offset_ns=21 * HOUR), start=MIDNIGHT + 20 * HOUR)
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 1, 99, tif="day")
    scene.trade(99.5, ts=MIDNIGHT + 21 * HOUR - 1)
    assert scene.last(order_id) == ("accepted", 0)
    scene.trade(99.5, ts=MIDNIGHT + 21 * HOUR)
    assert scene.last(order_id) == ("expired", enums.END_OF_DAY)


def test_day_order_decided_at_the_close_meets_the_next_daily_bar():
    """A daily bar closes at midnight; an order of that moment belongs to the day that begins, and sees its bar, and no other."""
    scene = Scene()
    scene.bar(99, 101, 98, 100, timeframe_ns=DAY)
    fills, expires = scene.order("buy", tif="day"), scene.order("buy", "limit", 1, 50, tif="day")
    scene.bar(102, 105, 95, 103, timeframe_ns=DAY)
    scene.bar(50, 50, 50, 50, timeframe_ns=DAY)
    assert scene.fills == [(102, 10)]
    assert (scene.last(fills), scene.last(expires)) == (("filled", 0), ("expired", enums.END_OF_DAY))


def test_day_order_of_a_quiet_instrument_expires_with_a_timer():
    """Time alone ends a day: the cash it held back is free again."""
    scene = Scene()
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 1, 99, tif="day")
    scene.timer(MIDNIGHT + DAY - 1)
    assert scene.last(order_id) == ("submitted", 0)
    scene.timer(MIDNIGHT + DAY)
    assert scene.last(order_id) == ("expired", enums.END_OF_DAY)
    assert (scene.account["reserved"], scene.engine.head["open_orders"]) == (0, 0)


def test_gtc_stays():
    """A GTC order is there a year later."""
    scene = Scene()
    scene.trade(100.0)
    scene.order("buy", "limit", 1, 99)
    scene.trade(100.0)
    scene.trade(98.0, ts=MIDNIGHT + 365 * DAY)
    assert scene.fills == [(99, 1)]


def test_cancel():
    """A canceled order does not trade; what it held back is free; canceling it again is answered with UNKNOWN_ORDER."""
    scene = Scene()
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 10, 99)
    assert scene.account["reserved"] == 990 * USD
    scene.cancel(order_id)
    scene.trade(98.0)
    assert (scene.fills, scene.last(order_id), scene.account["reserved"]) == ([], ("canceled", enums.BY_USER), 0)
    again = scene.cancel(order_id)
    assert [(row["kind"], row["reason"]) for row in again] == [(enums.REFUSED, enums.UNKNOWN_ORDER)]


def test_modify_price_and_quantity():
    """The order trades as changed, and holds back what it now costs."""
    scene = Scene()
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 10, 99)
    scene.modify(order_id, quantity=20, limit=98)
    assert (scene.account["reserved"], scene.position["buying"]) == (20 * 98 * USD, 20)
    scene.play("T98.5 T97")
    assert scene.fills == [(98, 20)]


def test_modify_after_a_part_is_the_whole():
    """The new quantity counts what has traded: 10, of which 4 are done, becomes 6, so 2 are left."""
    scene = Scene(participation=0.5)
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 10, 100)
    scene.play("T100x8")
    scene.modify(order_id, quantity=6)
    scene.play("T100x80")
    assert scene.fills == [(100, 4), (100, 2)]
    assert scene.last(order_id) == ("filled", 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quantity": 4}, enums.NOT_WELL_FORMED),
        ({"quantity": -1}, enums.NOT_WELL_FORMED),
        ({"quantity": 10**6}, enums.INSUFFICIENT_CASH),
        ({"quantity": 10**18}, enums.MAX_ORDER_VALUE),
        ({"quantity": (1 << 63) - 1}, enums.MAX_ORDER_QUANTITY),
        ({"limit": float("nan")}, enums.NOT_WELL_FORMED),
        ({"limit": float("inf")}, enums.NOT_WELL_FORMED),
        ({"limit": -1.0}, enums.NOT_WELL_FORMED),
        ({"limit": 0.001}, enums.NOT_WELL_FORMED),
        ({"stop": 101.0}, enums.NOT_WELL_FORMED),
    ],
)
def test_a_refused_change_leaves_the_order_as_it_was(change, reason):
    """Every byte of the order and of what it holds back, but for the refusal itself."""
    scene = Scene(participation=0.5, fee_taker_bps=10)
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 10, 100)
    scene.play("T100x8 T101")
    before = scene.engine.table("orders").tobytes(), scene.position.tobytes(), scene.account.tobytes()
    refusal = scene.modify(order_id, **change)
    assert [(enums.REFUSED, reason)] == [(row["kind"], row["reason"]) for row in refusal]
    assert before == (scene.engine.table("orders").tobytes(), scene.position.tobytes(), scene.account.tobytes())


def test_modify_loses_its_place_in_time():
    """Two orders at one price: the changed one comes second."""
    scene = Scene(participation=0.5)
    scene.trade(100.0)
    first, second = scene.order("buy", "limit", 10, 99), scene.order("buy", "limit", 10, 99)
    scene.trade(100.0)
    scene.modify(first, quantity=9)
    scene.play("T100 T98x20")
    assert [second] == [row["order_id"] for row in scene.kind(enums.FILL)]


def test_modify_a_stop():
    """A stop moved closer triggers there."""
    scene = Scene()
    scene.trade(100.0)
    order_id = scene.order("buy", "stop", 10, stop=110)
    scene.modify(order_id, stop=105)
    scene.play("T106")
    assert scene.fills == [(106, 10)]


def test_modify_a_triggered_stop_limit():
    """Once triggered it is a limit order: its limit may change, and a stop cannot be given back to it."""
    scene = Scene()
    scene.trade(100.0)
    order_id = scene.order("buy", "stop_limit", 10, 106, 105)
    scene.play("T107")
    scene.modify(order_id, limit=106.5)
    assert tuple(scene.modify(order_id, stop=110)[0][["kind", "reason"]]) == (enums.REFUSED, enums.NOT_WELL_FORMED)
    scene.play("T107 T106.2")
    assert scene.fills == [(106.5, 10)]


def test_modify_a_triggered_stop():
    """A stop that triggered and traded in part is a market order for the rest; its quantity may change."""
    scene = Scene(participation=0.5)
    scene.trade(100.0)
    order_id = scene.order("buy", "stop", 10, stop=105)
    scene.play("T106x8")
    scene.modify(order_id, quantity=6)
    scene.play("T104x80")
    assert scene.fills == [(106, 4), (104, 2)]


def test_modify_an_order_sized_by_money():
    """A quantity makes it an order by quantity; without one it stays sized by money, at the new limit."""
    scene = Scene()
    scene.trade(100.0)
    counted = scene.order("buy", "limit", 500 * USD, 90, size_kind=enums.BY_NOTIONAL)
    money = scene.order("buy", "limit", 500 * USD, 90, size_kind=enums.BY_NOTIONAL)
    scene.modify(counted, quantity=7)
    scene.modify(money, limit=95)
    scene.play("T99 T80")
    assert {(90, 7), (95, 5)} == set(scene.fills)
    assert (scene.position["buying"], scene.account["reserved"]) == (0, 0)


def test_modify_an_order_sized_by_money_that_has_traded():
    """500 at 100 became 5, of which 2 are done: the rest is 3, whatever 500 would buy at the new limit."""
    scene = Scene(participation=0.5)
    scene.trade(100.0)
    order_id = scene.order("buy", "limit", 500 * USD, 100, size_kind=enums.BY_NOTIONAL)
    scene.play("T100x4")
    scene.modify(order_id, limit=50)
    assert (scene.account["reserved"], scene.position["buying"]) == (150 * USD, 3)
    scene.play("T60 T49x80")
    assert scene.fills == [(100, 2), (50, 3)]


def test_order_table_full():
    """The order after the last slot is denied, and a slot that becomes free is used again."""
    scene = Scene(plan={"order_capacity": 3}, limits=NO_LIMITS)
    scene.trade(100.0)
    orders = [scene.order("buy", "limit", 1, 90) for _ in range(4)]
    assert [scene.last(order_id)[0] for order_id in orders] == ["submitted"] * 3 + ["denied"]
    assert scene.last(orders[3])[1] == enums.ORDER_TABLE_FULL
    scene.cancel(orders[1])
    assert scene.last(scene.order("buy", "limit", 1, 90))[0] == "submitted"


@pytest.mark.parametrize(("maximum", "statuses"), [(2, ["submitted", "submitted", "denied"]), (0, ["denied"] * 3)])
def test_open_orders_limit(maximum, statuses):
    """At most so many open orders of a strategy; 0 denies."""
    scene = Scene(limits=Limits(order_value_share=None, market_protection_bps=None, open_orders_max=maximum))
    scene.trade(100.0)
    assert statuses == [scene.last(scene.order("buy", "limit", 1, 99))[0] for _ in range(3)]


def test_first_come_first_served():
    """Orders at one price trade in the order they came, and share one event's quantity."""
    scene = Scene(participation=0.5)
    scene.trade(100.0)
    orders = [scene.order("buy", "limit", 4, 99) for _ in range(3)]
    scene.play("T100 T98x12")
    assert [(orders[0], 4), (orders[1], 2)] == [(row["order_id"], row["quantity"]) for row in scene.kind(enums.FILL)]


def test_kill_cancels_everything_and_start_arms_again():
    """KILL: no open order, every new one denied; START: orders pass again."""
    scene = Scene()
    scene.trade(100.0)
    orders = [scene.order("buy", "limit", 1, 90) for _ in range(5)]
    scene.feed(enums.REQUEST, action=enums.REQUEST_KILL)
    assert [scene.last(order_id) for order_id in orders] == [("canceled", enums.KILLED)] * 5
    assert scene.last(scene.order("buy")) == ("denied", enums.TRADING_STATE)
    scene.feed(enums.REQUEST, action=enums.REQUEST_START)
    assert scene.last(scene.order("buy")) == ("submitted", 0)


def test_pause_keeps_orders_and_denies_new_ones():
    """PAUSE: what is open stays and may be canceled; new ones and changes are denied."""
    scene = Scene()
    scene.trade(100.0)
    kept, canceled = scene.order("buy", "limit", 1, 90), scene.order("buy", "limit", 1, 90)
    scene.feed(enums.REQUEST, action=enums.REQUEST_PAUSE)
    assert scene.last(scene.order("buy")) == ("denied", enums.TRADING_STATE)
    assert tuple(scene.modify(kept, quantity=2)[0][["kind", "reason"]]) == (enums.REFUSED, enums.TRADING_STATE)
    scene.cancel(canceled)
    scene.play("T100 T80")
    assert scene.fills == [(90, 1)]


def test_a_pause_does_not_lift_a_kill():
    """PAUSE after KILL leaves the strategy halted."""
    scene = Scene()
    scene.trade(100.0)
    scene.feed(enums.REQUEST, action=enums.REQUEST_KILL)
    scene.feed(enums.REQUEST, action=enums.REQUEST_PAUSE)
    assert scene.account["trading_state"] == enums.HALTED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"action": enums.REQUEST_SUBMIT, "instrument": 1}, enums.UNKNOWN_INSTRUMENT),
        ({"action": enums.REQUEST_SUBMIT, "instrument": -1}, enums.UNKNOWN_INSTRUMENT),
        ({"action": enums.REQUEST_SUBMIT, "strategy": 1}, enums.UNAUTHORISED),
        ({"action": enums.REQUEST_KILL, "strategy": -1}, enums.UNAUTHORISED),
        ({"action": 0}, enums.NOT_WELL_FORMED),
        ({"action": 200, "instrument": -5}, enums.NOT_WELL_FORMED),
        ({"action": enums.REQUEST_CANCEL, "order_id": 12345, "instrument": -1}, enums.UNKNOWN_ORDER),
        ({"action": enums.REQUEST_MODIFY, "order_id": 12345, "instrument": 99}, enums.UNKNOWN_ORDER),
    ],
)
def test_requests_that_make_no_sense(fields, reason):
    """Each is refused with its reason; nothing is read beyond a table."""
    scene = Scene()
    scene.trade(100.0)
    assert [(enums.REFUSED, reason)] == [(row["kind"], row["reason"]) for row in scene.feed(enums.REQUEST, **fields)]


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (enums.TRADE, {"price": float("nan")}, enums.BAD_PRICE),
        (enums.TRADE, {"price": float("inf")}, enums.BAD_PRICE),
        (enums.TRADE, {"price": 0.0}, enums.BAD_PRICE),
        (enums.TRADE, {"price": -1.0}, enums.BAD_PRICE),
        (enums.TRADE, {"price": 1.0, "quantity": -1}, enums.BAD_QUANTITY),
        (enums.TRADE, {"price": 1.0, "instrument": 1}, enums.UNKNOWN_INSTRUMENT),
        (enums.TRADE, {"price": 1.0, "instrument": -1}, enums.UNKNOWN_INSTRUMENT),
        (enums.QUOTE, {"bid_price": 1.0, "ask_price": float("nan")}, enums.BAD_PRICE),
        (enums.QUOTE, {"bid_price": 0.0, "ask_price": 1.0}, enums.BAD_PRICE),
        (enums.QUOTE, {"bid_price": 2.0, "ask_price": 1.0}, enums.CROSSED_QUOTE),
        (enums.BAR, {"open": 1.0, "high": 2.0, "low": 1.0, "close": float("nan"), "timeframe_ns": MINUTE}, enums.BAD_PRICE),
        (enums.BAR, {"open": 3.0, "high": 2.0, "low": 1.0, "close": 1.0, "timeframe_ns": MINUTE}, enums.BAD_PRICE),
        (enums.BAR, {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": -1, "timeframe_ns": MINUTE}, enums.BAD_QUANTITY),
    ],
)
def test_market_events_that_cannot_be_used(kind, fields, reason):
    """Each is refused with its reason, and changes neither prices nor orders."""
    scene = Scene()
    scene.trade(100.0)
    scene.order("buy")
    before = scene.engine.table("instruments")[0]["last_price"]
    assert [(enums.REFUSED, reason)] == [(row["kind"], row["reason"]) for row in scene.feed(kind, **fields)]
    assert (before, [], 1) == (scene.engine.table("instruments")[0]["last_price"], scene.fills, scene.engine.head["refused"])
