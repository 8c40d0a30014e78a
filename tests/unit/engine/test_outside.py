"""A venue outside: orders leave as commands, and its replies are taken when they are legal."""

import pytest

from openbell.model import enums
from openbell.model.time import DAY
from tests.unit.engine.scene import MIDNIGHT, USD, Scene


@pytest.fixture
def scene():
    """A market at 100, and no simulated venue."""
    scene = Scene(fill="outside", fee_taker_bps=10)
    scene.trade(100.0)
    return scene


def refusals(commands):
    return [int(row["reason"]) for row in commands if row["kind"] == enums.REFUSED]


def test_nothing_trades_by_itself(scene):
    """Market events touch no order, and its day ends when the venue says so."""
    order_id = scene.order("buy", tif="day")
    scene.play("T90 T110")
    scene.timer(MIDNIGHT + DAY)
    scene.trade(100.0)
    assert (scene.fills, scene.last(order_id)) == ([], ("submitted", 0))
    scene.reply(order_id, enums.EXPIRED)
    assert scene.last(order_id)[0] == "expired"


def test_submit_carries_the_order(scene):
    """The command has all that the venue needs."""
    order_id = scene.order("buy", "stop_limit", 7, 106.0, 105.0, "ioc")
    row = scene.kind(enums.SUBMIT)[-1]
    assert (order_id, enums.BUY, enums.STOP_LIMIT, enums.IOC, 7, 106.0, 105.0) == tuple(
        row[name] for name in ("order_id", "side", "order_type", "time_in_force", "quantity", "price", "stop_price")
    )


def test_accepted_filled_in_parts(scene):
    """Ack, 4 at 100, 6 at 101 with the venue's own fees: 400 + 606 + 3 paid."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.ACCEPTED)
    assert scene.last(order_id) == ("accepted", 0)
    scene.reply(order_id, enums.PARTIALLY_FILLED, 4, 100.0, 1 * USD)
    assert scene.last(order_id) == ("partially_filled", 0)
    scene.reply(order_id, enums.FILLED, 6, 101.0, 2 * USD)
    assert scene.last(order_id) == ("filled", 0)
    assert scene.fills == [(100, 4), (101, 6)]
    assert scene.cash == 100_000 - 400 - 606 - 3
    assert (scene.position["quantity"], scene.account["reserved"], scene.position["buying"]) == (10, 0, 0)


def test_a_fill_before_its_ack(scene):
    """A fill may overtake the ack; an ack that comes after the order is complete finds no order."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.FILLED, 10, 100.0)
    assert refusals(scene.reply(order_id, enums.ACCEPTED)) == [enums.UNKNOWN_ORDER]
    assert scene.position["quantity"] == 10


def test_overfill_is_booked_and_told(scene):
    """The venue sold us 13 where 10 were asked for: the books follow, and an ORDER command says OVERFILL."""
    order_id = scene.order("buy")
    commands = scene.reply(order_id, enums.FILLED, 13, 100.0)
    assert [(row["kind"], row["reason"], row["quantity"]) for row in commands] == [(enums.ORDER, enums.OVERFILL, 13), (enums.FILL, 0, 13)]
    assert (scene.position["quantity"], scene.position["buying"], scene.engine.head["open_orders"]) == (13, 0, 0)
    assert scene.cash == 100_000 - 1_300


def test_an_order_sized_by_money_leaves_in_lots(scene):
    """All-in with 100,000 at 100 and a fee of 10 bp buys 999; filled in parts, at another price, nothing stays pending or reserved."""
    order_id = scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    assert (scene.kind(enums.SUBMIT)[-1]["quantity"], scene.position["buying"]) == (999, 999)
    scene.reply(order_id, enums.PARTIALLY_FILLED, 400, 100.0)
    commands = scene.reply(order_id, enums.FILLED, 599, 99.0)
    assert [row["kind"] for row in commands] == [enums.FILL]
    assert (scene.position["quantity"], scene.position["buying"], scene.account["reserved"]) == (999, 0, 0)


def test_money_that_buys_no_lot_does_not_leave():
    """100 at 100, and a fee: denied with the reason, and nothing is held back for it."""
    scene = Scene(cash=100.0, fill="outside", fee_taker_bps=10)
    scene.trade(100.0)
    order_id = scene.order("buy", quantity=1, size_kind=enums.BY_CASH)
    assert scene.last(order_id) == ("denied", enums.INSUFFICIENT_CASH)
    assert (len(scene.kind(enums.SUBMIT)), scene.position["buying"], scene.account["reserved"]) == (0, 0, 0)
    assert (scene.engine.head["open_orders"], scene.engine.head["denials"], scene.engine.head["orders"]) == (0, 1, 0)
    scene.order("sell", quantity=1)
    assert scene.engine.head["denials"] == 2
    scene.order("buy", "limit", quantity=1, limit=99.0)
    assert len(scene.kind(enums.SUBMIT)) == 1


def test_rejected(scene):
    """The venue's reason is passed on, and what was held back is free."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.REJECTED, reason=enums.BY_VENUE)
    assert scene.last(order_id) == ("rejected", enums.BY_VENUE)
    assert scene.account["reserved"] == 0


def test_cancel_is_asked_for_and_confirmed(scene):
    """CANCEL leaves once; the order is open until the venue says it is not."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.ACCEPTED)
    scene.cancel(order_id)
    scene.cancel(order_id)
    assert len(scene.kind(enums.CANCEL)) == 1
    assert scene.last(order_id) == ("pending_cancel", enums.BY_USER)
    assert scene.engine.head["open_orders"] == 1
    scene.reply(order_id, enums.CANCELED, reason=enums.BY_USER)
    assert scene.last(order_id) == ("canceled", enums.BY_USER)


def test_cancel_race_lost(scene):
    """A fill that crosses the cancellation is booked; the order stays pending until the rest is canceled, and is not canceled twice."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.ACCEPTED)
    scene.cancel(order_id)
    scene.reply(order_id, enums.PARTIALLY_FILLED, 4, 100.0)
    assert list(scene.open_slots()["status"]) == [enums.PENDING_CANCEL]
    scene.cancel(order_id)
    assert len(scene.kind(enums.CANCEL)) == 1
    scene.reply(order_id, enums.CANCELED)
    assert (scene.position["quantity"], scene.position["buying"], scene.account["reserved"]) == (4, 0, 0)


def test_cancel_before_the_ack_of_an_order_that_is_rejected(scene):
    """The cancellation overtook; the order itself was refused: it ends."""
    order_id = scene.order("buy")
    scene.cancel(order_id)
    scene.reply(order_id, enums.REJECTED)
    assert (*scene.last(order_id), scene.engine.head["open_orders"]) == ("rejected", 0, 0)


def test_cancel_refused_by_the_venue(scene):
    """The order works on; one that has traded in part is partially filled, not merely accepted."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.PARTIALLY_FILLED, 1, 100.0)
    scene.cancel(order_id)
    scene.reply(order_id, enums.ACCEPTED)
    assert scene.last(order_id) == ("partially_filled", enums.BY_USER)


def test_modify_is_asked_for_and_confirmed(scene):
    """MODIFY leaves with the new numbers; no second change while it is pending."""
    order_id = scene.order("buy", "limit", 10, 99.0)
    scene.reply(order_id, enums.ACCEPTED)
    scene.modify(order_id, quantity=8, limit=98.0)
    row = scene.kind(enums.MODIFY)[-1]
    assert (row["quantity"], row["price"], row["status"]) == (8, 98.0, enums.PENDING_MODIFY)
    assert refusals(scene.modify(order_id, limit=97.0)) == [enums.ILLEGAL_TRANSITION]
    scene.reply(order_id, enums.ACCEPTED)
    assert scene.last(order_id) == ("accepted", 0)


def test_unknown_stays_reserved(scene):
    """An order in doubt keeps what it holds back, and may turn out to be anything."""
    order_id = scene.order("buy")
    held = int(scene.account["reserved"])
    scene.reply(order_id, enums.UNKNOWN)
    assert (held, 10, 1) == (scene.account["reserved"], scene.position["buying"], scene.engine.head["open_orders"])
    scene.reply(order_id, enums.FILLED, 10, 100.0)
    assert (scene.account["reserved"], scene.position["buying"], scene.position["quantity"]) == (0, 0, 10)


def test_unknown_id(scene):
    """A reply about an order that is not open is refused, whatever it says."""
    scene.order("buy")
    for reply in ({"status": enums.ACCEPTED}, {"status": enums.FILLED, "quantity": 1, "price": 1.0}, {"quantity": 5, "price": 1.0}):
        for order_id in (0, -1, 77, (1 << 62)):
            assert refusals(scene.reply(order_id, **reply)) == [enums.UNKNOWN_ORDER]
    assert scene.position["quantity"] == 0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"status": 0}, enums.ILLEGAL_TRANSITION),
        ({"status": enums.SUBMITTED}, enums.ILLEGAL_TRANSITION),
        ({"status": enums.ACCEPTED}, enums.ILLEGAL_TRANSITION),
        ({"status": enums.REJECTED}, enums.ILLEGAL_TRANSITION),
        ({"status": enums.DENIED}, enums.ILLEGAL_TRANSITION),
        ({"status": 12}, enums.ILLEGAL_TRANSITION),
        ({"status": 64 + enums.CANCELED}, enums.ILLEGAL_TRANSITION),
        ({"status": 255}, enums.ILLEGAL_TRANSITION),
        ({"status": enums.FILLED}, enums.BAD_QUANTITY),
        ({"status": enums.PARTIALLY_FILLED}, enums.BAD_QUANTITY),
        ({"status": enums.FILLED, "quantity": -1, "price": 100.0}, enums.BAD_QUANTITY),
        ({"status": enums.FILLED, "quantity": 1, "price": float("nan")}, enums.BAD_PRICE),
        ({"status": enums.FILLED, "quantity": 1, "price": 0.0}, enums.BAD_PRICE),
    ],
)
def test_illegal_replies(scene, reply, reason):
    """An accepted order is left as it is, to the byte, by a reply that is no legal step; the refusal says why."""
    order_id = scene.order("buy")
    scene.reply(order_id, enums.ACCEPTED)
    before = scene.engine.table("orders").tobytes(), scene.position.tobytes(), scene.account.tobytes()
    assert [reason] == refusals(scene.reply(order_id, **reply))
    assert before == (scene.engine.table("orders").tobytes(), scene.position.tobytes(), scene.account.tobytes())


def test_kill_asks_the_venue_to_cancel(scene):
    """KILL sends one CANCEL for each open order, and none for one whose cancellation is on its way."""
    orders = [scene.order("buy", "limit", 1, 90.0) for _ in range(3)]
    scene.cancel(orders[0])
    scene.feed(enums.REQUEST, action=enums.REQUEST_KILL)
    assert sorted(orders) == sorted(int(row["order_id"]) for row in scene.kind(enums.CANCEL))
