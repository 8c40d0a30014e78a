"""Alerts of the platform in one process: by the place of each event in the run, whatever is killed, and nothing at all without alerts."""

import asyncio
import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Message
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.alert_rules import NewAlert, Series, Spec
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.adapters.stores.journal import SqliteJournal
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums
from openbell.model.plan import Limits, Listing
from openbell.model.time import MILLISECOND, MINUTE, SECOND
from openbell.services.alerts import local
from openbell.services.alerts.local import LocalAlerts
from openbell.services.topics.names import COMMANDS, JOURNALED, VIEWS, topics
from openbell.services.trader.intake import request_event
from openbell.services.trader.service import Decided, Journaled
from openbell.services.trader.trader import Trader
from tests.unit.services.test_alerts import trades

RUNS = itertools.count(1)
PLAN = Plan((Listing("AAPL", 0.01, 1.0),), (Assignment("manual", "manual", ("AAPL",), "", {}, 1000.0, Limits(order_value_share=1.0)),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("local")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Changes are noticed whenever it is looked."""
    monkeypatch.setattr(local, "NOTICE_EVERY_S", 0.0)


class Run:
    """A run of one symbol, its journal, and who watches it."""

    def __init__(self, folder, candles=None):
        self.folder = folder
        self.candles = candles
        self.place = folder / "platform.db"
        self.journal = SqliteJournal(folder / f"journal-{next(RUNS)}.db")
        self.trader = Trader.open(self.journal, "r1", PLAN, created_ns=1)
        self.name = f"r{next(RUNS)}"
        self.sent = []
        self.begin()

    def begin(self):
        """A process has just been started."""
        self.bus = InProcessBus()
        self.bus.declare(*topics(1000))
        self.views = self.bus.subscribe(VIEWS)
        self.alerts = LocalAlerts(self.bus, PLAN, self.name, 1, self.place, self.candles)
        for batch in self.journal.batches("r1"):
            self.alerts.catch_up(batch)
        self.sent = []

    def tick(self, *prices, quantity=1):
        """Trades, journaled, and on their way."""
        events = trades(prices, 0)
        events["trade"]["quantity"] = quantity
        events["ts_event"] = events["ts_available"] = 1_700_000_000 * SECOND + (self.trader.seq + np.arange(len(prices))) * SECOND
        self.step(events)

    def step(self, events):
        first, begin = self.trader.seq + 1, self.trader.commands
        commands = self.trader.feed(events)
        self.sent.append(Message(JOURNALED, Journaled(first, events)))
        if len(commands):
            self.sent.append(Message(COMMANDS, Decided(begin, commands)))

    async def take(self):
        """What is on its way arrives; what came is stored."""
        self.alerts.take(self.sent)
        self.sent = []
        await self.alerts.keep()
        await self.notice()

    async def notice(self):
        await self.alerts.notice()
        if self.alerts._preparing is not None and not self.alerts._preparing.done():
            await self.alerts._preparing
            await self.alerts.notice()

    def came(self, row):
        return [(event.number, event.price) for event in self.alerts.open_store().events(alert=row.id)]

    def shown(self):
        return [(message.payload[1].id, message.payload[1].number) for message in self.views.take_now()]


async def test_nothing_is_opened_without_alerts(tmp_path):
    """No database is made, and nothing of the run is kept."""
    run = Run(tmp_path)
    run.tick(1.0, 2.0)
    await run.take()
    await run.alerts.stop()
    assert not run.place.exists()
    assert run.alerts.detail == "0 alerts waiting, 0 triggered"


async def test_an_alert_that_is_made_while_it_runs(tmp_path):
    """It is compared with what comes after it was noticed, stored and shown; then nothing is computed any more."""
    run = Run(tmp_path)
    run.tick(5.0, 3.0)
    await run.take()
    [row] = run.alerts.open_store().create(0, NewAlert("AAPL", "above", 4.0))
    await run.notice()
    assert run.alerts.progress()["standing"] == 1
    run.tick(3.0, 4.5, 5.0)
    await run.take()
    assert run.came(row) == [(1, 4.5)]
    assert run.shown() == [(str(row.id), 1)]
    assert run.alerts.progress() == {"taken": 5, "stored": 5, "revision": run.alerts.open_store().revision(), "standing": 0}


steps = st.lists(st.tuples(st.sampled_from(["tick", "tick", "take", "kill", "keep"]), st.integers(1, 8)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_each_crossing_once_whatever_is_killed(folder, steps):
    """The price goes up and down through the target; killed with events journaled and not taken, taken and not stored."""

    async def go():
        run = Run(folder)
        store = run.alerts.open_store()
        [row] = store.create(0, NewAlert("AAPL", "crosses", 5.0, mode="every"))
        await run.notice()
        prices = []
        for step, count in [*steps, ("take", 0), ("take", 0)]:
            if step == "tick":
                new = [float((len(prices) + number) * 7 % 10 + 1) for number in range(count)]
                prices += new
                run.tick(*new)
            elif step == "take":
                await run.take()
            elif step == "keep":
                run.alerts.take(run.sent[:1])
                del run.sent[:1]
                await run.alerts.keep()
            else:
                run.begin()
        expected = [new for old, new in itertools.pairwise(prices) if old < 5.0 <= new or old > 5.0 >= new]
        assert run.came(row) == list(enumerate(expected, 1))
        store.delete(0, row.id)

    asyncio.run(go())


async def test_what_was_recorded_and_not_shown_is_shown_by_the_next(tmp_path):
    """And once only."""
    run = Run(tmp_path)
    [row] = run.alerts.open_store().create(0, NewAlert("AAPL", "above", 4.0))
    await run.notice()
    run.tick(4.5)
    shown, run.alerts._show = run.alerts._show, lambda _: asyncio.sleep(0)
    await run.take()
    assert run.shown() == []
    assert shown is not None
    run.begin()
    await run.alerts.start()
    assert run.shown() == [(str(row.id), 1)]
    run.begin()
    await run.alerts.start()
    assert run.shown() == []


async def test_alerts_on_accounts(tmp_path):
    """A position that a user's order makes; and what it loses."""
    run = Run(tmp_path)
    run.tick(100.0)
    await run.take()
    held, lost = run.alerts.open_store().create(
        0, NewAlert("AAPL", "position_above", 5.0), NewAlert("", "drawdown_above", 0.4, Spec(accounts=("manual",)))
    )
    await run.notice()
    start = request_event(enums.REQUEST_START, strategy=0)
    order = request_event(enums.REQUEST_SUBMIT, strategy=0, instrument=0, side=enums.BUY, quantity=5)
    run.step(start)
    run.step(order)
    run.tick(100.0)
    run.tick(100.0, 99.0)
    await run.take()
    assert run.came(held) == [(1, None)]
    assert run.came(lost) == []
    run.begin()
    run.step(request_event(enums.REQUEST_SUBMIT, strategy=0, instrument=0, side=enums.SELL, quantity=5))
    run.tick(99.0)
    run.tick(99.0)
    await run.take()
    [event] = run.alerts.open_store().events(alert=lost.id)
    assert event.value == pytest.approx(0.5)


async def test_an_indicator_goes_by_what_is_stored_until_it_has_seen_a_candle(tmp_path):
    """The alert comes with the next tick, not a day later; and each candle counts once when its own are there."""
    candles = SqliteCandleStore(tmp_path / "candles.db")
    with contextlib.closing(candles):
        start = 1_700_000_000 * SECOND // MINUTE * MINUTE

        def candle(number, close):
            return "AAPL", "1m", (start + number * MINUTE) // MILLISECOND, 1.0, 1.0, 1.0, close, 1.0, 1.0, 1

        candles.add([candle(-3, 4.0), candle(-2, 5.0), candle(-1, 6.0)])
        run = Run(tmp_path, candles)
        run.tick(5.5)
        await run.take()
        spec = Spec(indicator=Series("price"), against=Series("sma", "1m", {"length": 2}))
        [row] = run.alerts.open_store().create(0, NewAlert("AAPL", "indicator_above", 0.0, spec, "every"))
        await run.notice()
        run.tick(5.0)  # its first tick says what time it is
        await run.take()
        await run.alerts.notice()
        run.tick(5.49, 5.5)
        await run.take()
        assert run.came(row) == [(1, 5.5)]
        for _ in range(200):
            run.tick(7.0)
        await run.take()
        candles.add([candle(number, 7.0) for number in range(3)])
        for _ in range(11):
            await run.alerts.notice()
        run.tick(6.9, 7.0)
        await run.take()
        assert run.came(row) == [(1, 5.5), (2, 7.0)]
