"""The alerts service: each alert is triggered once, by the first tick that meets it, whatever is cut, repeated or killed."""

import asyncio
import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.alerts import Alert, decode_alert, encode_alert
from openbell.adapters.messages.ticks import encode_chunk
from openbell.adapters.stores.alerts import AlertStore, NewAlert
from openbell.adapters.stores.database import open_database
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.services.alerts.service import AlertService
from openbell.services.alerts.teller import AlertTeller
from openbell.services.processor.display import AlertReader
from openbell.services.topics.names import VIEWS, topics
from openbell.services.views import Alert as AlertView

#: Of the topic and the symbols of each test, so that one database does for all.
NUMBERS = itertools.count()
TS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with contextlib.closing(open_database(tmp_path_factory.mktemp("alerts") / "platform.db")) as opened:
        yield AlertStore(opened)


class Market:
    """A topic of two symbols, and the members of a group that take it."""

    def __init__(self, store, prices=(), instruments=()):
        self.store = store
        self.topic = f"ticks-{next(NUMBERS)}"
        self.symbols = [f"{name}-{self.topic}" for name in ("AAPL", "MSFT")]
        self.listings = [Listing(symbol, 0.01, 1.0) for symbol in self.symbols]
        self.events = trades(prices, instruments)
        self.log = []

    def publish(self, cuts=(), begin=0, end=None):
        """Put events on the topic, cut into chunks where `cuts` says."""
        end = len(self.events) if end is None else end
        edges = sorted({begin, end, *(begin + cut % (end - begin + 1) for cut in cuts)})
        for first, last in itertools.pairwise(edges):
            for symbol, payload in encode_chunk(self.events[first:last], self.listings, source="test", epoch=0, first=first, cursor=b""):
                self.append(symbol, payload)

    def append(self, symbol, payload):
        self.log.append(Message(self.topic, payload, symbol, offset=len(self.log)))

    async def member(self):
        """A process that has just been started."""
        bus = InProcessBus()
        bus.declare(Topic(self.topic))
        service = AlertService(bus, self.topic, self.listings, self.store)
        await service.start()
        return service

    def create(self, alerts):
        return self.store.create(0, *(NewAlert(self.symbols[instrument], condition, target) for instrument, condition, target in alerts))

    def found(self):
        """(Time, price) of what was triggered, by id."""
        rows = [row for symbol in self.symbols for row in self.store.find(None, symbol)]
        return {row.id: (row.triggered_ts, row.triggered_price) if row.status == "triggered" else None for row in rows}

    def expected(self, rows, begin=0):
        """The same by comparing one tick after the other, from a place on."""
        wanted = {}
        for row in rows:
            own = [event for event in self.events if self.symbols[event["instrument"]] == row.symbol]
            later = [event for event in own if event["ts_event"] >= TS + begin]
            before = own[len(own) - len(later) - 1]["trade"]["price"] if len(later) < len(own) else None
            at = first_met(row.condition, row.target_price, [event["trade"]["price"] for event in later], before)
            wanted[row.id] = None if at is None else (int(later[at]["ts_event"]), float(later[at]["trade"]["price"]))
        return wanted


def first_met(condition, target, prices, last=None):
    """The index of the first price that meets a condition, one price after the other; None without one."""
    before = last
    for index, price in enumerate(prices):
        if condition == "above" and price >= target:
            return index
        if condition == "below" and price <= target:
            return index
        if condition == "crosses" and before is not None and (before < target <= price or before > target >= price):
            return index
        before = price
    return None


def trades(prices, instruments):
    """Trades whose time tells their place."""
    events = np.zeros(len(prices), EVENT)
    trade = events["trade"]
    trade["kind"], trade["price"], trade["instrument"], trade["quantity"] = enums.TRADE, prices, instruments, 1
    trade["ts_event"] = trade["ts_available"] = TS + np.arange(len(prices))
    return events


price = st.integers(1, 10).map(lambda number: number / 4)
wanted = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["above", "below", "crosses"]), price), max_size=10)
ticks = st.lists(st.tuples(price, st.integers(0, 1)), min_size=1, max_size=60)
cuts = st.lists(st.integers(0, 60), max_size=8)
steps = st.lists(st.tuples(st.sampled_from(["take", "keep", "kill", "again"]), st.integers(0, 1), st.integers(1, 6)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(alerts=wanted, ticks=ticks, first=cuts, second=cuts, crash=st.integers(0, 60), back=st.integers(0, 60), steps=steps)
def test_each_alert_once_by_its_first_tick(store, alerts, ticks, first, second, crash, back, steps):
    """A publisher says some ticks again, cut otherwise; two members are killed, are handed messages twice and overtake each other."""

    async def run():
        market = Market(store, *zip(*ticks, strict=True))
        crash_at = crash % (len(ticks) + 1)
        if crash_at:
            market.publish(first, 0, crash_at)
        if crash_at < len(ticks):
            market.publish(second, back % (crash_at + 1))
        rows = market.create(alerts)
        members, places, committed = [await market.member(), await market.member()], [0, 0], 0
        for step, number, count in [*steps, ("take", 0, 999), ("keep", 0, 0), ("take", 0, 999), ("keep", 0, 0)]:
            member = members[number]
            if step == "kill":
                members[number], places[number] = await market.member(), committed
            elif step == "again":
                places[number] = max(places[number] - count, 0)
            elif step == "take":
                messages = market.log[places[number] : places[number] + count]
                places[number] += len(messages)
                await member.take([*member.shares.again(), *messages])
            else:
                await member.keep()
                taken_back = member.shares.again()
                if not taken_back:
                    committed = max(committed, min(places[number], member.progress().get("partition 0", 0)))
                await member.take(taken_back)
        assert market.found() == market.expected(rows)

    asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(alerts=wanted, ticks=ticks, cuts=cuts, place=st.integers(0, 60), back=st.integers(0, 60))
def test_an_alert_made_meanwhile_is_compared_with_what_comes_after_it(store, alerts, ticks, cuts, place, back):
    """Not with what is said again of before it was noticed; a crossing may be between the tick before and the one after."""

    async def run():
        market = Market(store, *zip(*ticks, strict=True))
        begin = place % (len(ticks) + 1)
        service = await market.member()
        if begin:
            market.publish(cuts, 0, begin)
        await service.take(market.log)
        rows = market.create(alerts)
        await service.keep()
        if begin < len(ticks):
            market.publish(cuts, back % (begin + 1))
        await service.take(market.log)
        await service.keep()
        assert market.found() == market.expected(rows, begin)

    asyncio.run(run())


async def test_an_alert_that_is_removed_is_not_triggered(store):
    """Whether it was noticed or not."""
    market = Market(store, [1.0, 2.0, 3.0], [0, 0, 0])
    [one, two] = market.create([(0, "above", 2.0), (0, "above", 3.0)])
    service = await market.member()
    market.publish((), 0, 1)
    await service.take(market.log)
    store.delete(0, one.id)
    await service.keep()
    assert service.progress()["standing"] == 1
    store.delete(0, two.id)
    market.publish((), 1)
    await service.take(market.log)
    await service.keep()
    assert market.found() == {}
    assert [row.triggered_ts for row in store.find(None, market.symbols[0], "canceled")] == [None, None]


async def test_ticks_in_json_and_nonsense(store):
    """Ticks of several symbols in one message count; what cannot be read is counted and passed over, and so is what is not listed."""
    market = Market(store)
    one, two = market.create([(0, "above", 150.0), (1, "below", 400.0)])
    service = await market.member()
    aapl, msft = market.symbols
    market.append(aapl, b"\xff nonsense")
    market.append(aapl, b'{"symbol":"TSLA","price":200,"quantity":3,"ts":1700000000000}')
    told = [(aapl, 149.0, 1_700_000_000_000), (msft, 399.0, 1_700_000_000_001), (aapl, 151.0, 1_700_000_000_002)]
    parts = ",".join(f'{{"symbol":"{symbol}","price":{price},"quantity":3,"ts":{ts}}}' for symbol, price, ts in told)
    market.append(aapl, f"[{parts}]".encode())
    await service.take(market.log)
    await service.keep()
    assert market.found() == {one.id: (1_700_000_000_002_000_000, 151.0), two.id: (1_700_000_000_001_000_000, 399.0)}
    assert service.refused == 1
    assert "0 alerts waiting on 2 symbols of partitions 0, 2 triggered, 1 messages refused" in service.detail


async def test_the_prices_of_ticks_are_those_that_are_shown(store):
    """Trades; before the first trade the middle of quotes; never what the kernel refuses."""
    market = Market(store, [1.0, np.nan, 3.0, 4.0, 0.0, 6.0, 7.0], [0] * 7)
    quote = market.events["quote"]
    for row, (bid, ask) in {0: (10.0, 12.0), 2: (12.0, 10.0), 3: (7.0, 8.0), 6: (90.0, 92.0)}.items():
        market.events[row] = np.zeros((), EVENT)
        quote["kind"][row], quote["bid_price"][row], quote["ask_price"][row] = enums.QUOTE, bid, ask
        quote["ts_event"][row] = TS + row
    rows = market.create([(0, "above", 11.0), (0, "below", 7.5), (0, "below", 6.0), (0, "below", 5.9), (0, "above", 11.1)])
    service = await market.member()
    market.publish()
    await service.take(market.log)
    await service.keep()
    assert [market.found()[row.id] for row in rows] == [(TS, 11.0), (TS + 3, 7.5), (TS + 5, 6.0), None, None]


class Heard:
    """What a bus brought, and a teller that may be killed between two of its steps."""

    def __init__(self, store, reader):
        self.bus = InProcessBus()
        self.bus.declare(Topic("alerts"))
        self.subscription = self.bus.subscribe("alerts")
        self.teller = AlertTeller(self.bus, "alerts", store, [(reader, lambda: [0])], asyncio.Event())

    def ids(self):
        return [int(decode_alert(message.payload).id) for message in self.subscription.take_now()]


async def test_what_was_triggered_is_told_of_until_it_is_marked(store):
    """Killed before it is marked, it is told again with the same id; then never more."""
    market = Market(store, [1.0, 2.0, 3.0], [0, 0, 0])
    rows = market.create([(0, "above", 2.0), (0, "crosses", 3.0), (1, "above", 2.0)])
    service = await market.member()
    market.publish()
    await service.take(market.log)
    heard = Heard(store, service.reader)
    await heard.teller.tell()
    assert heard.ids() == []  # it is not stored
    await service.keep()
    assert service.news.is_set()
    untold = store.untold(service.reader, [0], 10)
    assert [event.alert for event in untold] == [rows[0].id, rows[1].id]
    await heard.teller.tell()
    assert heard.ids() == [rows[0].id, rows[1].id]
    await heard.teller.tell()
    assert heard.ids() == []


async def test_who_takes_over_tells_what_was_not_told(store):
    """Killed between storing and telling: the next one begins with it, even when no tick comes any more."""
    market = Market(store, [1.0, 2.0], [0, 0])
    [row] = market.create([(0, "above", 2.0)])
    service = await market.member()
    market.publish()
    await service.take(market.log)
    await service.keep()
    after = await market.member()
    await after.take([market.log[-1]])  # known: it has no effect but that the partition is taken up
    assert after.news.is_set()
    heard = Heard(store, after.reader)
    await heard.teller.tell()
    assert heard.ids() == [row.id]


async def test_the_gateway_shows_each_alert_once():
    """However often it is told of; what is no alert is passed over."""
    told, bus = InProcessBus(), InProcessBus()
    told.declare(Topic("alerts"))
    bus.declare(*topics(10))
    views = bus.subscribe(VIEWS)
    reading = asyncio.create_task(AlertReader(bus, told, "alerts").run())
    await asyncio.sleep(0)  # it subscribes
    alerts = [
        Alert(
            id=id, symbol="AAPL", condition="above", target_price=150.0, status="active", ts_created=TS, ts_triggered=TS + 7_000_000,
            triggered_price=150.5, repeat=True, number=number, value=150.5, user="3",
        )
        for id, number in (("7", 1), ("7", 2))
    ]  # fmt: skip
    for payload in (encode_alert(alerts[0]), b"\xff", encode_alert(alerts[0]), encode_alert(alerts[1]), encode_alert(alerts[0])):
        await told.send("alerts", payload)
    await told.close()
    await reading
    shown = [message.payload for message in views.take_now()]
    ts = TS // 1_000_000
    expected = [
        AlertView(
            id="7", owner=3, symbol="AAPL", condition="above", target_price=150.0, mode="every", status="active", ts_created=ts,
            number=number, ts_triggered=ts + 7, triggered_price=150.5, triggered_value=150.5,
        )
        for number in (1, 2)
    ]  # fmt: skip
    assert shown == [("alerts", view) for view in expected]
