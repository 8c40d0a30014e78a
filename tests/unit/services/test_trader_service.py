"""The trader as a service: requests of one key, many at once."""

import asyncio

import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.journal import SqliteJournal
from openbell.errors import UsageError
from openbell.model import enums
from openbell.services.topics.names import COMMANDS, REQUESTS, topics
from openbell.services.trader.intake import request_event
from openbell.services.trader.service import Asked, TraderService
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN


def order(quantity, key):
    """A request for an order, and who waits for it."""
    event = request_event(
        enums.REQUEST_SUBMIT,
        strategy=0,
        instrument=0,
        side=enums.BUY,
        order_type=enums.LIMIT,
        quantity=quantity,
        limit_price=1.0,
        order_id=key,
    )
    return Asked(event, asyncio.get_running_loop().create_future())


async def test_requests_of_one_key_in_one_batch(tmp_path):
    """Who repeats a request that has not been carried out yet is answered when it has been: the order is in the commands by then."""
    bus = InProcessBus()
    bus.declare(*topics(100))
    with SqliteJournal(tmp_path / "journal.db") as journal:
        service = TraderService(bus, Trader.open(journal, "r", PLAN, created_ns=1), lambda *_: None)
        told = bus.subscribe(COMMANDS)
        same, other = [order(1, 77) for _ in range(3)], order(2, 77)
        for asked in (*same, other):
            assert bus.publish(REQUESTS, asked)
        running = asyncio.create_task(service.run())
        answers = await asyncio.wait_for(asyncio.gather(*(asked.reply for asked in same)), 20)
        assert [answer.repeated for answer in answers] == [False, True, True]
        assert len({answer.seq for answer in answers}) == 1
        decided = [message.payload for message in told.take_now()]
        assert {answer.commands for answer in answers} == {sum(len(one.commands) for one in decided)}
        assert {int(id) for one in decided for id in one.commands["order_id"] if id} == {answers[0].order_id}
        with pytest.raises(UsageError, match="another order"):
            await other.reply
        again = order(1, 77)
        bus.publish(REQUESTS, again)
        assert (await asyncio.wait_for(again.reply, 20)).seq == answers[0].seq
        await bus.close(REQUESTS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.stop()
