"""The venue of paper: which price fills what, and when; beyond the contract of all brokers."""

from types import SimpleNamespace

import pytest

from openbell.adapters.brokers.base import BrokerOrder
from openbell.adapters.brokers.paper import ENDED_MAX, PaperBroker
from openbell.errors import OrderRefusedError
from openbell.model.time import DAY

USD = 1_000_000


@pytest.fixture
def venue():
    """At 100, with 10 bp; `now` is its clock."""
    scene = SimpleNamespace(prices={"A": 100.0}, now=20_000 * DAY + 1)
    scene.broker = PaperBroker(lambda symbol: scene.prices.get(symbol), 10.0, "USD", lambda: scene.now)
    return scene


def order(side="buy", type="market", limit=None, stop=None, lots=10, force="gtc", symbol="A", number=1):
    return BrokerOrder(f"r-{number}", symbol, side, type, force, lots, 0.5, limit, stop)


async def outcome(venue, known, *prices):
    """(Status, price of the fill, whether it rested) after some prices."""
    await venue.broker.submit(known)
    for price in prices:
        venue.broker.on_price(known.symbol, price)
    found = await venue.broker.query(known)
    fill = found.fills[0] if found.fills else None
    return found.report.status, fill and fill.price, fill and fill.is_maker


@pytest.mark.parametrize(
    ("known", "prices", "expected"),
    [
        (order(), (), ("filled", 100.0, False)),
        (order("sell"), (), ("filled", 100.0, False)),
        (order(type="limit", limit=100.5), (), ("filled", 100.0, False)),
        (order("sell", "limit", 99.5), (), ("filled", 100.0, False)),
        (order(type="limit", limit=99.0), (99.5,), ("accepted", None, None)),
        (order(type="limit", limit=99.0), (99.5, 98.5), ("filled", 99.0, True)),
        (order("sell", "limit", 101.0), (100.5, 101.5), ("filled", 101.0, True)),
        (order(type="stop", stop=101.0), (100.5,), ("accepted", None, None)),
        (order(type="stop", stop=101.0), (101.5,), ("filled", 101.5, False)),
        (order("sell", "stop", stop=99.0), (98.0,), ("filled", 98.0, False)),
        (order(type="stop_limit", limit=101.2, stop=101.0), (101.5, 101.1), ("filled", 101.2, True)),
        (order(type="stop_limit", limit=101.2, stop=101.0), (101.5, 101.3), ("accepted", None, None)),
        (order(type="limit", limit=99.0, force="ioc"), (98.0,), ("canceled", None, None)),
        (order(type="limit", limit=100.0, force="fok"), (), ("filled", 100.0, False)),
        (order(symbol="B"), (), ("accepted", None, None)),
        (order(symbol="B"), (50.0,), ("filled", 50.0, False)),
        (order(symbol="B"), (float("nan"), -1.0), ("accepted", None, None)),
    ],
)
async def test_which_price_fills_what(venue, known, prices, expected):
    """At the latest price where it is met at once, at the limit where it rested; without a price everything rests."""
    assert await outcome(venue, known, *prices) == expected


async def test_the_fee_and_the_id_of_a_fill(venue):
    """Basis points of the value, in minor units; the id is made of the order's own."""
    await venue.broker.submit(order(lots=7))
    (fill,) = (await venue.broker.query(order())).fills
    assert (fill.execution_id, fill.lots, fill.fee, fill.ts_event) == ("r-1-1", 7, 350_000, venue.now)


async def test_a_day_order_ends_at_midnight(venue):
    """At the first price of the next day."""
    known = order(type="limit", limit=90.0, force="day")
    assert (await outcome(venue, known, 95.0))[0] == "accepted"
    venue.now += DAY
    venue.broker.on_price("A", 80.0)
    assert (await venue.broker.query(known)).report.status == "expired"


async def test_a_change_may_fill_an_order_and_may_be_refused(venue):
    """A limit that the price meets; fewer lots than are filled already."""
    await venue.broker.submit(order(type="limit", limit=90.0))
    await venue.broker.modify(order(type="limit", limit=101.0))
    assert (await venue.broker.query(order())).report.status == "filled"
    fill = (await venue.broker.query(order())).fills[0]
    venue.broker.resume(order(type="limit", limit=90.0, lots=20, number=2), [fill])
    with pytest.raises(OrderRefusedError, match="10 lots are filled"):
        await venue.broker.modify(order(type="limit", limit=90.0, lots=10, number=2))


@pytest.mark.parametrize("wrong", [order(lots=0), order(type="limit"), order(type="stop"), order(type="stop_limit", limit=9.0)])
async def test_orders_that_make_no_sense_are_refused(venue, wrong):
    """No quantity, no limit, no stop."""
    with pytest.raises(OrderRefusedError):
        await venue.broker.submit(wrong)
    assert await venue.broker.query(wrong) is None


async def test_open_orders_are_put_back(venue):
    """With what they had filled: the rest fills under the next id."""
    known = order(type="limit", limit=99.0)
    await venue.broker.submit(order(type="market", lots=4, number=9))
    fill = (await venue.broker.query(order(number=9))).fills[0]
    venue.broker.resume(known, [fill])
    venue.broker.on_price("A", 98.0)
    found = await venue.broker.query(known)
    assert [(item.execution_id, item.lots) for item in found.fills] == [("r-9-1", 4), ("r-1-2", 6)]


async def test_what_ended_long_ago_is_forgotten(venue):
    """The book does not grow for ever."""
    for number in range(ENDED_MAX + 5):
        await venue.broker.submit(order(number=number))
    assert await venue.broker.query(order(number=4)) is None
    assert (await venue.broker.query(order(number=5))).report.status == "filled"
