"""The contract of `openbell.adapters.brokers.base.Broker`, held to every implementation: the venue of paper, and that of the simulation."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import pytest

from openbell.adapters.brokers.base import BrokerOrder
from openbell.adapters.brokers.paper import PaperBroker
from openbell.errors import BrokerError, OrderInDoubtError, OrderRefusedError, UnreachableError
from tests.contracts.buses import comes
from tests.simulation.venue import Venue
from tests.simulation.venue_broker import VenueBroker


@dataclass
class Opened:
    """A broker, what it said by itself, and for the venue behind a socket the venue."""

    broker: Any
    heard: list
    venue: Any = None


@contextlib.asynccontextmanager
async def paper(folder):
    yield PaperBroker(lambda symbol: 100.0, 10.0), None


@contextlib.asynccontextmanager
async def simulation(folder):
    venue = Venue(folder, 1)
    venue.trouble = "fine"
    venue.drawn = lambda: venue.trouble
    running = asyncio.create_task(venue.run())
    await comes((folder / "port").exists)
    yield VenueBroker(folder), venue
    running.cancel()
    venue.server.close()


@pytest.fixture(params=[paper, simulation])
async def opened(request, tmp_path):
    """A broker that is listened to."""
    async with request.param(tmp_path) as (broker, venue):
        made = Opened(broker, [], venue)
        batches = []

        async def listen():
            async for reports in broker.executions():
                batches.append(reports)
                made.heard += reports

        listening = asyncio.create_task(listen())
        await comes(lambda: batches)
        assert tuple(batches[0]) == (), "the first batch says that it listens"
        yield made
        await broker.close()
        await broker.close()
        listening.cancel()
        await asyncio.wait({listening})


def order(number=1, lots=4, type="market", limit=None, **changes):
    return BrokerOrder(f"r-{number}", "A", "buy", type, "gtc", lots, 0.5, limit, **changes)


async def test_an_order_that_fills(opened):
    """Taken; then its fills come by themselves, each with an id, and the venue knows the same when it is asked."""
    report = await opened.broker.submit(order())
    assert (report.client_order_id, report.status in ("accepted", "filled")) == ("r-1", True)
    await comes(lambda: sum(told.lots for told in opened.heard) == 4)
    found = await opened.broker.query(order())
    assert (found.report.status, found.report.filled) == ("filled", 4)
    assert {(told.execution_id, told.lots, told.price) for told in opened.heard if told.lots} == {
        (fill.execution_id, fill.lots, fill.price) for fill in found.fills
    }


async def test_an_id_is_taken_once(opened):
    """Also when the first order is over, and also when the second one is another order."""
    await opened.broker.submit(order(1, type="limit", limit=90.0))
    await opened.broker.submit(order(2))
    for number, lots in ((1, 4), (2, 4), (2, 9)):
        with pytest.raises(OrderRefusedError):
            await opened.broker.submit(order(number, lots))


async def test_an_order_that_rests_is_changed_and_canceled(opened):
    """It fills no more afterwards; a second cancellation is refused, and one of an order that never was."""
    resting = order(1, 4, "limit", 90.0)
    assert (await opened.broker.submit(resting)).status == "accepted"
    assert (await opened.broker.modify(order(1, 8, "limit", 91.0))).status == "accepted"
    assert (await opened.broker.modify(order(1, 8, "limit", 91.0))).status == "accepted"
    assert (await opened.broker.cancel(resting)).status == "canceled"
    for known in (resting, order(7)):
        with pytest.raises(OrderRefusedError):
            await opened.broker.cancel(known)
    with pytest.raises(OrderRefusedError):
        await opened.broker.modify(resting)
    found = await opened.broker.query(resting)
    assert (found.report.status, found.report.filled, found.fills) == ("canceled", 0, ())


async def test_an_order_that_never_was(opened):
    """The venue answers that it has none."""
    assert await opened.broker.query(order(7)) is None


async def test_what_went_on_before_has_the_same_ids_later(opened):
    """What is told by itself, and what is found by asking, are told apart by nothing."""
    await opened.broker.submit(order(1, 7))
    await comes(lambda: sum(told.lots for told in opened.heard) == 7)
    first = await opened.broker.query(order(1, 7))
    again = await opened.broker.query(order(1, 7))
    assert first.fills == again.fills
    assert len({fill.execution_id for fill in first.fills}) == len(first.fills)


@pytest.mark.parametrize(
    ("trouble", "error", "is_there"),
    [
        ("hang", OrderInDoubtError, True),
        ("reset", OrderInDoubtError, True),
        ("drop", OrderInDoubtError, False),
        ("refuse", OrderRefusedError, True),
    ],
)
async def test_failures_are_told_apart(opened, trouble, error, is_there):
    """What was sent without an answer is in doubt, whether it arrived or not; a refusal is certain."""
    if opened.venue is None:
        return  # paper has no connection that could fail
    opened.venue.trouble = trouble
    with pytest.raises(error):
        await opened.broker.submit(order())
    opened.venue.trouble = "fine"
    opened.venue.draw.random = lambda: 1.0
    assert (await opened.broker.query(order()) is not None) == is_there


async def test_a_venue_that_is_not_there(opened):
    """Nothing has left, for certain; and a query that fails raises: that is no answer."""
    if opened.venue is None:
        return
    opened.venue.server.close()
    for ask in (opened.broker.submit, opened.broker.cancel, opened.broker.query):
        with pytest.raises(UnreachableError):
            await ask(order())
    await opened.venue.open()
    opened.venue.draw.random = lambda: 0.0
    with pytest.raises(BrokerError):
        await opened.broker.query(order())
