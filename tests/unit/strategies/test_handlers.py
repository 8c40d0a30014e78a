"""When each handler is called, what it sees, and what happens when it raises."""

import numpy as np
import pytest

from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums, history
from openbell.model.jit import INTERPRETED
from openbell.model.plan import Listing, Venue
from openbell.model.time import SECOND
from openbell.strategies.strategy import Strategy
from tests.unit.engine.scene import MIDNIGHT, Scene


class Diary(Strategy):
    """Writes down what it sees."""

    timer = "10s"

    def setup(self):
        """Counts and last values."""
        self.bars, self.trades, self.quotes, self.fills, self.timers = 0, 0, 0, 0, 0
        self.close, self.volume, self.price, self.bid, self.ask, self.paid, self.last = 0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0
        self.due = 0
        self.seen = np.zeros(64, np.int64)

    def on_bar(self, bar, broker):
        """A candle; what the broker says then."""
        self.bars += 1
        self.close, self.volume, self.last = bar.close, bar.volume, broker.price(bar.instrument)

    def on_trade(self, trade, broker):
        """A trade; buys at the first."""
        self.trades += 1
        self.price = trade.price
        if self.trades == 1:
            broker.buy(trade.instrument, 2.0)

    def on_quote(self, quote, broker):
        """A quote."""
        self.quotes += 1
        self.bid, self.ask = broker.bid(quote.instrument), broker.ask(quote.instrument)

    def on_fill(self, fill, _broker):
        """A fill."""
        self.fills += 1
        self.paid = fill.price

    def on_timer(self, _event, broker):
        """The time it was due at."""
        self.due = broker.time
        self.seen[self.timers % 64] = broker.time
        self.timers += 1


class PlainDiary(Diary):
    """The same as plain Python."""

    compiled = False


DIARIES = pytest.mark.parametrize("strategy", [Diary, PlainDiary])


@DIARIES
def test_every_handler_is_called(strategy):
    """Each with its own event, and with the market as it stands after it."""
    scene = Scene(strategy=strategy, timeframe="1s")
    diary = scene.engine.records(0)[0]
    scene.trade(100.0, 7)
    assert (diary["trades"], diary["price"], diary["fills"]) == (1, 100.0, 0)
    scene.quote(100.0, 102.0)
    assert (diary["quotes"], diary["bid"], diary["ask"], diary["fills"], diary["paid"]) == (1, 100.0, 102.0, 1, 102.0)
    assert (diary["bars"], diary["close"], diary["volume"]) == (1, 100.0, 7)


@DIARIES
def test_a_candle_is_seen_before_the_trade_that_closed_it(strategy):
    """At the close of a candle the last price is that candle's, not the next trade's."""
    scene = Scene(strategy=strategy, timeframe="1s")
    scene.trade(100.0)
    scene.trade(150.0)
    diary = scene.engine.records(0)[0]
    assert (diary["bars"], diary["close"], diary["last"], diary["price"]) == (1, 100.0, 100.0, 150.0)


def test_compiled_false_gives_the_same_bytes():
    """State, commands and fields of the plain strategy equal the compiled one's."""
    ends = []
    for strategy in (Diary, PlainDiary):
        scene = Scene(strategy=strategy, timeframe="1s", fee_taker_bps=10)
        for price in (100, 101, 99.5, 103):
            scene.trade(float(price), 3)
            scene.quote(price - 0.5, price + 0.5)
            scene.timer()
        ends.append((scene.engine.state_hash(), scene.commands.tobytes()))
    assert ends[0] == ends[1]


@DIARIES
def test_timer(strategy):
    """At each multiple of ten seconds, before the first event at or after it; once in a quiet stretch; not before the first event."""
    scene = Scene(strategy=strategy)
    diary = scene.engine.records(0)[0]
    scene.trade(100.0, ts=MIDNIGHT + 3 * SECOND)
    assert diary["timers"] == 0
    scene.trade(100.0, ts=MIDNIGHT + 10 * SECOND - 1)
    assert diary["timers"] == 0
    scene.trade(101.0, ts=MIDNIGHT + 10 * SECOND)
    assert (diary["timers"], diary["due"]) == (1, MIDNIGHT + 10 * SECOND)
    scene.trade(102.0, ts=MIDNIGHT + 3_605 * SECOND)
    assert (diary["timers"], diary["due"]) == (2, MIDNIGHT + 20 * SECOND)
    scene.timer(MIDNIGHT + 3_610 * SECOND)
    assert (diary["timers"], diary["due"]) == (3, MIDNIGHT + 3_610 * SECOND)


class Ordering(Strategy):
    """Three hundred orders whenever its timer fires: more than fit."""

    timer = "1s"

    def setup(self):
        """How many were taken."""
        self.taken = 0

    def on_timer(self, _event, broker):
        """Far away limits."""
        for _ in range(300):
            if broker.buy(0, 1.0, limit=1.0) != 0:
                self.taken += 1


def test_a_timer_after_a_long_night_keeps_to_its_bounds():
    """A day of missed seconds is one call, its orders are numbered apart, and what does not fit is counted."""
    scene = Scene(strategy=Ordering, plan={"order_capacity": 1_024})
    scene.trade(100.0)
    scene.trade(100.0, ts=scene.now + 86_400 * SECOND)
    assert scene.engine.records(0)[0]["taken"] == 255
    assert scene.account["faults"] == 45
    submitted = scene.kind(enums.SUBMIT)["order_id"]
    assert len(set(submitted.tolist())) == len(submitted) == 200  # the limit on open orders
    assert scene.account["denials"] == 55


class Slices(Strategy):
    """Writes down which bars were there."""

    def setup(self):
        """A row for each slice."""
        self.count = 0
        self.present = np.zeros((16, 3), np.int64)
        self.closes = np.zeros((16, 3))
        self.times = np.zeros(16, np.int64)

    def on_slice(self, bars, _broker):
        """All bars of one time."""
        for index in range(bars.count):
            if bars.has(index):
                self.present[self.count, index] = 1
                self.closes[self.count, index] = bars.bar(index).close
        self.times[self.count] = bars.ts_end
        self.count += 1


class PlainSlices(Slices):
    """The same as plain Python."""

    compiled = False


@pytest.mark.parametrize("strategy", [Slices, PlainSlices])
def test_slices(strategy):
    """A complete slice at once; one with a missing bar when time moves on; an index follows the order of the listings."""
    listings = tuple(Listing(symbol, 0.01, 1.0) for symbol in "ABC")
    engine = Engine(Plan(listings, (Assignment("s", strategy, ("A", "B", "C"), "1s"),), Venue(), bar_timeframe="1s"))
    rows = [(0, 0, 10.0), (0, 1, 20.0), (0, 2, 30.0), (1, 0, 11.0), (1, 2, 31.0), (2, 1, 22.0), (3, 0, 13.0)]
    second, where, close = (np.array(column) for column in zip(*rows, strict=True))
    events = history.number(history.bars(MIDNIGHT + second * SECOND, where, close, close, close, close, np.ones(len(rows)), SECOND), 1)
    seen = engine.records(0)[0]
    engine.run(events[:3])
    assert (seen["count"], seen["present"][0].tolist(), seen["closes"][0].tolist()) == (1, [1, 1, 1], [10, 20, 30])
    engine.run(events[3:5])
    assert seen["count"] == 1
    engine.run(events[5:6])
    assert (seen["count"], seen["present"][1].tolist(), seen["closes"][1].tolist()) == (2, [1, 0, 1], [11, 0, 31])
    engine.run(events[6:])
    assert (seen["count"], seen["present"][2].tolist()) == (3, [0, 1, 0])
    assert ((seen["times"][:3] - MIDNIGHT) // SECOND).tolist() == [1, 2, 3]


class Raises(Strategy):
    """Places an order, and then makes a mistake at the third trade."""

    def setup(self):
        """Three numbers to look at."""
        self.trades = 0
        self.values = np.zeros(3)

    def on_trade(self, trade, broker):
        """A limit far away; the mistake after the order."""
        self.trades += 1
        broker.buy(trade.instrument, 1.0, limit=50.0)
        if self.trades == 3:
            self.mistake(broker)

    def mistake(self, _broker):
        """An explicit one."""
        raise ValueError("not today")


class BeyondArray(Raises):
    """Writes beyond an array."""

    def mistake(self, _broker):
        """At 3, of 3."""
        self.values[self.trades] = 1.0


class NoInstrument(Raises):
    """Asks for an instrument that is not there."""

    def mistake(self, broker):
        """Number 7, of 1."""
        self.values[0] = broker.price(7)


class PlainRaises(Raises):
    """The explicit one in plain Python."""

    compiled = False


class PlainBeyondArray(BeyondArray):
    """The index in plain Python."""

    compiled = False


class PlainZeroDivision(Raises):
    """Python's own."""

    compiled = False

    def mistake(self, _broker):
        """Plain integers."""
        self.values[0] = 1 // int(self.values[1])


MISTAKES = (Raises, BeyondArray, NoInstrument, PlainRaises, PlainBeyondArray, PlainZeroDivision)


@pytest.mark.parametrize("strategy", MISTAKES)
def test_a_handler_that_raises_takes_its_strategy_out(strategy):
    """FAULTED, told once, not called again; the order of the same call is denied; open orders stay and trade; START brings it back."""
    scene = Scene(strategy=strategy)
    for _ in range(5):
        scene.trade(100.0)
    record = scene.engine.records(0)[0]
    assert (record["trades"], scene.account["trading_state"], scene.account["faults"]) == (3, enums.FAULTED, 1)
    assert [(row["status"], row["reason"]) for row in scene.kind(enums.STATE)] == [(enums.FAULTED, enums.STRATEGY_FAULT)]
    assert [row["reason"] for row in scene.kind(enums.ORDER) if row["status"] == enums.DENIED] == [enums.TRADING_STATE]
    assert len(scene.engine.faults) == (0 if strategy.compiled and not INTERPRETED else 1)
    scene.trade(40.0)
    assert scene.fills == [(50, 1), (50, 1)]
    scene.feed(enums.REQUEST, action=enums.REQUEST_START)
    scene.trade(100.0)
    assert (record["trades"], scene.account["trading_state"]) == (4, enums.ACTIVE)


def test_others_go_on():
    """One strategy faults; one that trades beside it has the same fills as without it."""
    ends = []
    for chosen in ((Raises, Diary), (Diary,)):
        assignments = tuple(Assignment(cls.__name__, cls, ("X",), "1s") for cls in chosen)
        engine = Engine(Plan((Listing("X", 0.01, 1.0),), assignments, Venue(fee_taker_bps=10)))
        price = np.array([100.0, 101.0, 102.0, 103.0, 104.0])
        engine.run(history.number(history.trades(MIDNIGHT + np.arange(5) * SECOND, 0, price, np.ones(5, np.int64)), 1))
        ends.append((engine.table("accounts")[-1]["cash"], engine.records(len(chosen) - 1)[0].tobytes()))
    assert ends[0] == ends[1]


def test_a_faulted_portfolio_is_not_called_again():
    """on_slice too."""

    class Portfolio(Strategy):
        compiled = False

        def setup(self):
            self.calls = 0

        def on_slice(self, bars, _broker):
            self.calls += 1
            raise ValueError

    engine = Engine(Plan((Listing("X"), Listing("Y")), (Assignment("p", Portfolio, ("X", "Y"), "1s"),), Venue(), bar_timeframe="1s"))
    price = np.full(6, 10.0)
    ts = MIDNIGHT + np.arange(6) // 2 * SECOND
    engine.run(history.number(history.bars(ts, np.arange(6) % 2, price, price, price, price, price, SECOND), 1))
    assert (engine.records(0)[0]["calls"], engine.table("accounts")[0]["trading_state"]) == (1, enums.FAULTED)


class Looks(Strategy):
    """What the broker says of the account."""

    def setup(self):
        """The answers."""
        self.answers = np.zeros(8)

    def on_trade(self, trade, broker):
        """All of them; an order at the first."""
        where = trade.instrument
        self.answers[0] = broker.position(where)
        self.answers[1] = broker.pending(where)
        self.answers[2] = broker.average_price(where)
        self.answers[3] = broker.cash
        self.answers[4] = broker.worth
        self.answers[5] = broker.bid(where)
        self.answers[6] = broker.ask(where)
        self.answers[7] = broker.time
        if self.answers[0] == 0.0 and self.answers[1] == 0.0:
            broker.buy(where, 2.0)
        elif self.answers[0] == 2.0 and self.answers[1] == 0.0:
            broker.buy(where, 3.0, limit=50.0)


class PlainLooks(Looks):
    """The same as plain Python."""

    compiled = False


@pytest.mark.parametrize("strategy", [Looks, PlainLooks])
def test_what_the_broker_says(strategy):
    """In units and in money: flat, with a position, with an order open that holds back its cost."""
    scene = Scene(strategy=strategy)
    answers = scene.engine.records(0)[0]["answers"]
    start = scene.now
    scene.trade(100.0)
    assert np.isnan(answers[2])
    assert [*answers[:2], *answers[3:]] == [0, 0, 100_000, 100_000, 100, 100, start + SECOND]
    scene.trade(110.0)
    assert answers[:7].tolist() == [2, 0, 110, 99_780, 100_000, 110, 110]
    scene.trade(120.0)
    assert answers[:7].tolist() == [2, 3, 110, 99_630, 100_020, 120, 120]


class Sizes(Strategy):
    """What the broker makes of units."""

    def setup(self):
        """Ids of the orders."""
        self.ids = np.zeros(8, np.int64)

    def on_trade(self, trade, broker):
        """One of each."""
        where = trade.instrument
        self.ids[0] = broker.buy(where, 0.3)
        self.ids[1] = broker.buy(where, 1)
        self.ids[2] = broker.buy(where, np.nan)
        self.ids[3] = broker.buy(where, np.inf)
        self.ids[4] = broker.buy(where, 1e300)
        self.ids[5] = broker.buy(where, -1.0)
        self.ids[6] = broker.buy(99, 1.0)
        self.ids[7] = broker.target_weight(where, np.inf)


class PlainSizes(Sizes):
    """The same as plain Python."""

    compiled = False


@pytest.mark.parametrize("strategy", [Sizes, PlainSizes])
def test_sizes(strategy):
    """0.3 units are three lots of 0.1; what is no size is denied, or no order at all; the numbers go up by one."""
    scene = Scene(strategy=strategy, listing=Listing("X", 0.01, 0.1), cash=1e6)
    scene.trade(100.0)
    ids = scene.engine.records(0)[0]["ids"]
    assert ids.tolist() == [1_025, 1_026, 1_027, 1_028, 1_029, 1_030, 0, 1_031]
    orders = {int(row["order_id"]): row for row in scene.commands if row["kind"] in (enums.SUBMIT, enums.ORDER)}
    assert [int(orders[order]["quantity"]) for order in ids[:2]] == [3, 10]
    assert [int(orders[order]["reason"]) for order in ids[2:6]] == [
        enums.NOT_WELL_FORMED, enums.MAX_ORDER_VALUE, enums.MAX_ORDER_VALUE, enums.NOT_WELL_FORMED,
    ]  # fmt: skip
    assert orders[int(ids[7])]["reason"] == enums.MAX_ORDER_VALUE
