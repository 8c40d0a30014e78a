"""Accounts of several owners: what each may see, what is kept for each, and what each was worth."""

from dataclasses import replace

import numpy as np
import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.config import StrategySettings, TradingSettings
from openbell.engine.engine import Engine
from openbell.errors import UnknownNameError, UsageError
from openbell.model import enums
from openbell.services.names import Names
from openbell.services.plans import MAIN, make_plan, make_plans, user_accounts
from openbell.services.portfolio.replica import Replica
from openbell.services.portfolio.service import PortfolioService
from openbell.services.portfolio.shelves import OWN_ORDERS_KEPT
from openbell.services.topics.names import topics
from openbell.services.trader.intake import concatenated, request_event
from tests.unit.services.sessions import LIMITS, LISTINGS, market

TRADING = TradingSettings(
    strategies=(
        StrategySettings(
            "house", "moving_avg_crossover", True, ("BTCUSDT",), "1s", {"short_period": 3, "long_period": 8}, 50_000.0, LIMITS
        ),
        StrategySettings("annas", "bollinger", True, ("ETHUSDT",), "1s", {"period": 8, "deviations": 1.0}, 50_000.0, LIMITS, owner="anna"),
    ),
    user_accounts=3,
    timeframes=("1s",),
)
PLAN = make_plan(TRADING, LISTINGS)
INDEX = {assignment.id: index for index, assignment in enumerate(PLAN.assignments)}
OWN = [INDEX["annas"], *(INDEX[name] for name in user_accounts(TRADING))]
ANNA = frozenset({"annas", "user-1"})


def submit(account, quantity, instrument=0):
    """A user's market order."""
    return request_event(enums.REQUEST_SUBMIT, strategy=INDEX[account], instrument=instrument, side=enums.BUY, quantity=quantity)


@pytest.fixture(scope="module")
def played():
    """(engine, commands) of a session in which two users trade."""
    engine = Engine(PLAN)
    parts = market()
    parts.insert(4, submit("user-1", 1_000))
    parts.insert(9, submit("user-2", 2_000))
    parts.insert(15, submit("user-1", 500))
    events = concatenated(parts).copy()
    events["seq"] = np.arange(1, len(events) + 1)
    events["ts_available"] = np.maximum.accumulate(events["ts_available"])
    return engine, engine.run(events)


def service_of(plans, prices=None):
    """A portfolio service that has not read anything yet."""
    bus = InProcessBus()
    bus.declare(*topics(10))
    return PortfolioService(bus, plans, (prices or {}).get, own=["annas", *user_accounts(TRADING)])


@pytest.fixture(scope="module")
def books(played):
    """The session in the books."""
    engine, commands = played
    prices = {listing.symbol: float(row["last_price"]) for listing, row in zip(PLAN.listings, engine.table("instruments"), strict=True)}
    service = service_of({MAIN: PLAN}, prices)
    service.catch_up(0, commands)
    return service


def test_the_accounts_of_users_are_in_the_plan():
    """After the one for everybody; a strategy may not be called so; without users there are none."""
    assert [assignment.id for assignment in PLAN.assignments] == ["house", "annas", "manual", "user-1", "user-2", "user-3"]
    assert [assignment.id for assignment in make_plan(TradingSettings(strategies=TRADING.strategies), LISTINGS).assignments][-1] == "manual"
    plans = make_plans(TradingSettings(strategies=(*TRADING.strategies, StrategySettings("x", "rsi", symbols=("BTCUSDT",), trader="two")),
                                       user_accounts=1), LISTINGS)  # fmt: skip
    assert [[item.id for item in plan.assignments] for plan in plans.values()] == [["house", "annas", "manual", "user-1"], ["x"]]


def test_a_set_of_accounts_is_seen_by_itself(books):
    """Cash, positions, executions, orders and strategies of these, and of no other."""
    shown = books.portfolio(100, ANNA)
    assert shown.initial_cash == 150_000.0
    assert {position.strategy for position in shown.positions} <= ANNA
    assert {fill.strategy for fill in shown.executions} == ANNA
    assert {order.strategy for order in books.orders(1000, ANNA)} == ANNA
    assert [strategy.id for strategy in books.strategies(ANNA)] == ["annas", "user-1"]
    nobody = books.portfolio(100, frozenset())
    assert (nobody.equity, nobody.positions, nobody.executions) == (0.0, [], [])
    assert books.orders(10, frozenset()) == []
    assert books.equity(10, frozenset()) == []


def test_the_parts_are_the_whole(books):
    """Every account in one set or another: cash, equity, fees and orders add up."""
    sets = [ANNA, frozenset({"user-2"}), frozenset({"user-3", "house", "manual"})]
    whole, parts = books.portfolio(), [books.portfolio(of=names) for names in sets]
    for name in ("cash", "equity", "initial_cash", "realised_pnl", "fees"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(part, name) for part in parts), abs=1e-6)
    everything = {order.id for order in books.orders(5000)}
    assert everything == {order.id for names in sets for order in books.orders(5000, names)}


def test_what_is_not_among_them_is_not_there(books):
    """An order or a strategy of another owner is unknown, and its name is not offered."""
    other = books.orders(1, frozenset({"user-2"}))[0]
    assert books.order(other.id) is not None
    assert books.order(other.id, ANNA) is None
    with pytest.raises(UnknownNameError) as caught:
        books.find("user-2", ANNA)
    assert "user-2" not in caught.value.do
    assert books.find("user-1", ANNA) == (MAIN, INDEX["user-1"])


def test_a_curve_of_ones_own(played, books):
    """Worth what was paid in before the first order; at the end what the account is worth; cut anyhow it is the same."""
    _, commands = played
    curve = books.equity(10_000, ANNA)
    assert [ts for ts, _ in curve] == sorted({ts for ts, _ in curve})
    assert curve[-1][1] == pytest.approx(books.portfolio(of=ANNA).equity, rel=1e-3)
    assert books.worth(ANNA) == curve[-1][1]
    alone = books.equity(10_000, frozenset({"user-1"}))
    assert alone[0][1] == pytest.approx(100_000.0, rel=1e-3)
    assert books.worth({"user-3"}) == 100_000.0
    for size in (1, 13):
        pieces = Replica(Names(PLAN), OWN)
        for first in range(0, len(commands), size):
            pieces.apply(first, commands[first : first + size])
        assert pieces.curves.points == books.replicas[MAIN].curves.points


def test_a_snapshot_keeps_everything(played):
    """Curves, prices and shelves go on where they were; one that was written without them is taken too."""
    _, commands = played
    half = len(commands) // 2
    first, second, whole = [Replica(Names(PLAN), OWN) for _ in range(3)]
    first.apply(0, commands[:half])
    second.restore(first.snapshot())
    second.apply(half, commands[half:])
    whole.apply(0, commands)
    assert second.curves.points == whole.curves.points
    assert list(second.shelves.orders()) == list(whole.shelves.orders())
    assert list(second.shelves.fills([INDEX["user-1"]])) == list(whole.shelves.fills([INDEX["user-1"]]))
    plain = Replica(Names(PLAN))
    plain.restore(whole.snapshot())
    assert [order.id for order in plain.shelves.orders()] == [order.id for order in whole.shelves.orders()]


def test_others_never_push_ones_orders_out(played):
    """A strategy that trades all day fills the shelf of the house, a user's orders stay on hers."""
    _, commands = played
    replica = Replica(Names(PLAN), OWN)
    replica.apply(0, commands)
    mine = [order.id for order in replica.shelves.orders([INDEX["user-1"]])]
    order = next(replica.shelves.orders([INDEX["house"]]))
    for number in range(5_000):
        order.status = "filled"
        replica.shelves.of[INDEX["house"]].keep(
            type(order)(**{**{f: getattr(order, f) for f in order.__struct_fields__}, "id": str(1 << 40 | number)})
        )
    assert [order.id for order in replica.shelves.orders([INDEX["user-1"]])] == mine
    assert len(list(replica.shelves.orders([INDEX["house"]]))) <= 2_000
    assert OWN_ORDERS_KEPT >= 100


def test_pages_have_every_order_once(books):
    """Whatever the size of a page; the last page says that it is the last."""
    whole = [order.id for order in books.orders(5_000)]
    for size in (1, 7, 1_000):
        seen, after = [], ""
        while True:
            found, after = books.page(size, None, after)
            seen += [order.id for order in found]
            if not after:
                break
        assert seen == whole


def test_pages_over_several_traders(played):
    """Orders of two traders whose times change meanwhile: each once."""
    _, commands = played
    other = replace(PLAN, assignments=tuple(replace(item, id=f"{item.id}.two") for item in PLAN.assignments))
    books = service_of({MAIN: PLAN, "two": other})
    books.catch_up(0, commands)
    books.catch_up(0, commands, "two")
    assert {order.id for order in books.orders(5_000) if order.id.startswith("two-")}
    seen, after = [], ""
    while True:
        found, after = books.page(5, None, after)
        for order in found:
            order.ts += 10**9  # it changes after it was shown
        seen += [order.id for order in found]
        if not after:
            break
    assert len(seen) == len(set(seen)) == len(books.orders(5_000))


@pytest.mark.parametrize("after", ["x", "main-", "main-x", "-1", "nobody-1", "main-1,", "main-\u0661"])
def test_a_page_after_nonsense(books, after):
    """Refused with what was expected."""
    with pytest.raises(UsageError):
        books.page(5, None, after)
