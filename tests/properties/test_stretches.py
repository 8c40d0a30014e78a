"""A stretch of quiet events, taken in one call, gives the same bytes as event after event through the pipeline."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.engine.stretch import calm_events
from openbell.model import enums, history
from openbell.model.events import EVENT
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.model.time import MINUTE, SECOND
from openbell.strategies.strategy import Strategy
from tests.properties.market import EXAMPLES, LOT, START, VENUES
from tests.properties.strategies import RandomOrders


class Watcher(Strategy):
    """Adds up all that a handler can read, places an order now and then, and raises once."""

    timer = "50s"

    def setup(self) -> None:
        """Sums."""
        self.prices = 0.0
        self.numbers = 0
        self.count = 0
        self.ratios = np.ones(4)

    def look(self, event, broker):
        """Read everything."""
        instrument = broker.instrument(event.instrument)
        self.prices += broker.price(event.instrument) + broker.worth + broker.cash + broker.position(event.instrument)
        self.numbers += broker.seq + broker.time % 1_000_003 + broker.bars + broker.trades + broker.leg + instrument.trades
        self.numbers += instrument.ts_price % 1_000_003 + instrument.watermark % 1_000_003 + instrument.last_quantity + event.seq
        self.count += 1
        if self.count % 97 == 40:
            broker.buy(event.instrument, 0.5)
        elif self.count % 97 == 90:
            broker.close(event.instrument)

    def on_bar(self, bar, broker):
        """Look at a bar."""
        self.look(bar, broker)

    def on_trade(self, trade, broker):
        """Look at a trade, and break down at the 700th."""
        self.look(trade, broker)
        if self.count == 700:
            broker.sell(trade.instrument, 0.1)
            self.ratios[self.count] = 0.0


STRATEGIES = {"watcher": Watcher, "random": RandomOrders, "crossover": "moving_avg_crossover"}


@cache
def engines(kind, name, venue):
    """The same plan with stretches and without, and its first checkpoint."""
    params = {"short_period": 3, "long_period": 8} if name == "crossover" else {}
    symbols = ("A", "B") if name == "random" else ("A",)
    made = Plan(
        (Listing("A", 0.01, LOT), Listing("B", 0.01, LOT)),
        (Assignment("one", STRATEGIES[name], symbols, "1m" if kind == "bars" else "", params, 10_000.0),),
        VENUES[venue],
        bar_timeframe="1m" if kind == "bars" else "",
        equity_interval_ns=3_600 * SECOND,
        order_capacity=24,
    )
    pair = Engine(made), Engine(made, stretches=False)
    return pair, pair[0].checkpoint()


def market(kind, seed, count):
    """Bars or trades of mostly one instrument, with defects, time that falls back, quotes, timers and requests in between."""
    random = np.random.default_rng(seed)
    ts = START + np.cumsum(np.where(random.random(count) < 0.05, 0, random.integers(1, 3, count))) * MINUTE
    middle = 100.0 * np.exp(np.cumsum(random.normal(0, 0.003, count)))
    where = np.where(random.random(count) < 0.02, 1, 0)
    lots = random.integers(0, 10**6, count)
    if kind == "bars":
        close = middle * (1 + random.normal(0, 0.002, count))
        low, high = np.minimum(middle, close) * 0.999, np.maximum(middle, close) * 1.001
        events = history.bars(ts, where, middle, high, low, close, lots, MINUTE)
        events["bar"]["high"][random.random(count) < 0.004] = random.choice([np.nan, np.inf, -1.0, 1.0])
        events["bar"]["timeframe_ns"][random.random(count) < 0.004] = 2 * MINUTE
    else:
        events = history.trades(ts, where, np.round(middle, 2), lots)
        events["trade"]["price"][random.random(count) < 0.004] = random.choice([np.nan, np.inf, -1.0, 0.0])
    events["ts_event"] -= np.where(random.random(count) < 0.01, random.integers(0, MINUTE, count), 0)
    others = np.zeros(count // 100, EVENT)
    others["kind"] = random.choice([enums.TIMER, enums.QUOTE, enums.REQUEST], len(others))
    others["ts_available"] = others["ts_event"] = np.sort(random.choice(ts, len(others)))
    quotes = others["kind"] == enums.QUOTE
    others["quote"]["bid_price"], others["quote"]["ask_price"] = np.where(quotes, 99.0, 0.0), np.where(quotes, 99.5, 0.0)
    mixed = join([events, others])
    return history.number(join([mixed[np.argsort(mixed["ts_available"], kind="stable")]]), 1)


@pytest.mark.parametrize("venue", ["next", "prevailing", "outside"])
@pytest.mark.parametrize(
    ("kind", "name"), [("bars", "watcher"), ("bars", "random"), ("bars", "crossover"), ("trades", "watcher"), ("trades", "random")]
)
def test_stretches_change_nothing(kind, name, venue):
    """The same commands, to the byte, and the same state."""

    @EXAMPLES
    @given(st.integers(0, 10**6), st.integers(1, 1_500), st.integers(1, 400))
    def holds(seed, count, cut):
        events = market(kind, seed, count)
        (with_stretches, without), first = engines(kind, name, venue)
        found = []
        for engine in (with_stretches, without):
            engine.restore(first)
            pieces = [engine.run(events[start : start + cut]) for start in range(0, len(events), cut)]
            found.append((join(pieces).tobytes(), engine.state_hash()))
        assert found[0] == found[1]

    holds()


@pytest.mark.parametrize(
    ("field", "value"),
    [("seq", 99), ("ts_available", 0), ("ts_event", 0), ("kind", enums.QUOTE), ("instrument", 1), ("price", np.nan), ("quantity", -1)],
)
def test_what_ends_a_calm_run(field, value):
    """Ten trades alike are calm; one that differs ends the run before it."""
    events = history.number(history.trades(START + np.arange(10), 0, np.full(10, 100.0), np.ones(10, np.int64)), 1)
    assert calm_events(events.ctypes.data, 10) == 10
    row = events[6] if field in EVENT.names else events[6]["trade"]
    row[field] = value
    assert calm_events(events.ctypes.data, 10) == 6
