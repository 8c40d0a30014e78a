"""Plans, and events to feed them: real ticks, and generated ones with everything in them that may come."""

import os
from functools import cache

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from openbell.adapters.stores.catalog import open_dataset
from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums, history
from openbell.model.events import EVENT
from openbell.model.jit import join
from openbell.model.plan import NO_LIMITS, Limits, Listing, Venue
from openbell.model.time import DAY, MILLISECOND, SECOND
from tests.properties.strategies import RandomOrders, RandomShorts, Rebalance

#: Examples of each property: few by default, so that the whole suite is quick; OPENBELL_EXAMPLES=2000 to look harder.
EXAMPLES = settings(max_examples=int(os.environ.get("OPENBELL_EXAMPLES", "25")))

LOT = 1e-5
START = 19_000 * DAY + DAY - 40 * SECOND  # so that a midnight comes, and DAY orders end
TIGHT = Limits(order_value_share=0.2, position_max=10**7, open_orders_max=6, drift_bps=200.0)
SHORTS = Limits(
    order_value_share=None, collar_bps=None, drift_bps=None, market_protection_bps=None, price_age_max_ns=None, short_allowed=True,
    open_orders_max=20,
)  # fmt: skip
SHIPPED = (
    ("moving_avg_crossover", {"short_period": 2, "long_period": 3}),
    ("rsi", {"period": 2, "oversold": 45.0, "overbought": 55.0}),
    ("bollinger", {"period": 3, "deviations": 0.5}),
    ("momentum", {"lookback": 2, "top": 2, "every": 2}),
)
VENUES = {
    "next": Venue(fee_taker_bps=10, fee_maker_bps=-1, slippage_bps=2),
    "prevailing": Venue(fill="prevailing", fee_per_unit=0.5, fee_min=0.01, slippage_increments=1),
    "shared": Venue(fee_taker_bps=5, participation=0.3, latency_ns=30 * MILLISECOND, latency_spread_ns=200 * MILLISECOND),
    "outside": Venue(fill="outside", fee_taker_bps=10),
}
SYMBOLS = ("A", "B", "C")


def plan(venue="next", kind="ticks", assignments=None, **changes):
    """Three instruments and every strategy there is, on ticks or on one-second bars."""
    listings = tuple(
        Listing(symbol, 0.01, LOT, "USD", lateness_ns=lateness) for symbol, lateness in zip(SYMBOLS, (0, SECOND, 0), strict=True)
    )
    chosen = assignments or [
        *(Assignment(name, name, SYMBOLS, "1s", params, 10_000.0) for name, params in SHIPPED),
        Assignment("random", RandomOrders, SYMBOLS, "1s", {}, 10_000.0, NO_LIMITS),
        Assignment("tight", RandomOrders, ("A", "C"), "2s", {"seed": 9}, 20_000.0, TIGHT),
        Assignment("shorts", RandomShorts, ("B",), "", {}, 10_000.0, SHORTS),
        Assignment("rebalance", Rebalance, SYMBOLS, "2s", {}, 10_000.0, SHORTS),
    ]
    options = {
        "candles": ("1s", "5s"),
        "publish_candles": True,
        "equity_interval_ns": 10 * SECOND,
        "order_capacity": 24,
        "intent_capacity": 32,
    }
    if kind == "bars":
        options["bar_timeframe"] = "1s"
    return Plan(listings, tuple(chosen), VENUES[venue], **{**options, **changes})


class Machine:
    """A plan's engine, started anew for each run."""

    def __init__(self, made):
        self.plan, self.engine = made, Engine(made)
        self.first = self.engine.checkpoint()

    def start(self, checkpoint=None):
        self.engine.restore(checkpoint or self.first)
        return self.engine

    def run(self, events, cuts=()):
        """(commands, hash of the state) after the events, fed in pieces cut at these places."""
        engine = self.start()
        pieces = [engine.run(piece) for piece in np.split(events, sorted(cuts))]
        return join(pieces).tobytes(), engine.state_hash()


@cache
def machine(venue="next", kind="ticks"):
    return Machine(plan(venue, kind))


def ticks(seed, count):
    """Trades and quotes of three instruments, timers, requests and replies; some out of order, some that make no sense."""
    random = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    kinds = random.choice([enums.TRADE, enums.QUOTE, enums.TIMER, enums.REQUEST, enums.REPLY], count, p=[0.55, 0.2, 0.03, 0.07, 0.15])
    steps = np.where(random.random(count) < 0.3, 0, random.exponential(0.15, count)) + np.where(random.random(count) < 0.01, 9.0, 0.0)
    now = START + np.cumsum((steps * SECOND).astype(np.int64))
    prices = np.round(100.0 * np.exp(np.cumsum(random.normal(0, 0.0015, (3, count)), axis=1)), 2)
    events["kind"], events["ts_available"] = kinds, now
    events["ts_event"] = now - np.where(random.random(count) < 0.1, random.integers(0, 2 * SECOND, count), 0)
    events["instrument"] = where = np.where(random.random(count) < 0.01, random.integers(-2, 6, count), random.integers(0, 3, count))
    price = prices[np.clip(where, 0, 2), np.arange(count)]
    price = np.where(random.random(count) < 0.01, random.choice([np.nan, np.inf, 0.0, -1.0], count), price)
    lots = random.integers(0, 200_000, count)
    for row in range(count):
        kind = kinds[row]
        if kind == enums.TRADE:
            trade = events[row]["trade"]
            trade["price"], trade["quantity"] = price[row], lots[row]
        elif kind == enums.QUOTE:
            quote = events[row]["quote"]
            spread = random.integers(-1, 5) * 0.01
            quote["bid_price"], quote["ask_price"], quote["bid_quantity"], quote["ask_quantity"] = (
                price[row],
                price[row] + spread,
                lots[row],
                9_000,
            )
        elif kind == enums.REQUEST:
            ask(events[row]["request"], random, price[row], lots[row])
        elif kind == enums.REPLY:
            answer(events[row]["reply"], random, row, price[row], lots[row])
    return history.number(events, 1)


def ask(request, random, price, lots):
    """A user's request: mostly an order, sometimes a change, a kill, or nonsense."""
    request["action"] = random.choice([1, 1, 1, 1, 2, 3, 4, 5, 6, 0, 9])
    request["strategy"] = random.choice([0, 1, 4, 5, 6, 7, -1, 99]) if random.random() < 0.9 else -1
    request["side"], request["order_type"], request["time_in_force"] = random.choice([1, -1]), random.integers(0, 6), random.integers(1, 5)
    request["size_kind"] = random.choice([1, 1, 1, 2, 3, 7])
    request["quantity"] = random.choice([lots, 1, 0, -1, 9 * 10**18, lots * 10**4])
    request["order_id"] = (random.integers(1, 500) << 10) + 1
    request["limit_price"] = random.choice([0.0, price, price * 1.01, price * 0.99])
    request["stop_price"] = random.choice([0.0, price * 1.01, price * 0.99])


def answer(reply, random, row, price, lots):
    """A broker's reply about an order of some earlier event."""
    reply["order_id"] = (random.integers(max(row - 12, 1), row + 2) << 10) + random.integers(1, 3)
    reply["status"], reply["reason"] = random.integers(1, 13), random.integers(0, 30)
    if random.random() < 0.3:
        reply["quantity"], reply["price"], reply["fee"] = lots - 1, price, random.integers(-10, 1_000)


def bars(seed, count):
    """One-second bars of three instruments, with gaps."""
    random = np.random.default_rng(seed)
    second = np.sort(random.integers(0, count, count))
    middle = 100.0 * np.exp(np.cumsum(random.normal(0, 0.003, count)))
    open, close = middle, middle * (1 + random.normal(0, 0.002, count))
    high, low = np.maximum(open, close) * (1 + random.random(count) * 0.002), np.minimum(open, close) * (1 - random.random(count) * 0.002)
    ts = START + second * SECOND
    return history.number(
        history.bars(ts, random.integers(0, 3, count), open, high, low, close, random.integers(0, 10**6, count), SECOND), 1
    )


@cache
def recorded():
    """Real trades of instrument A and real quotes of instrument B, BTCUSDT both, merged by time."""
    parts = []
    for name, where in (("btcusdt", 0), ("btcusdt-quotes", 1)):
        for chunk in open_dataset(name).chunks():
            if chunk.kind == "trades":
                parts.append(history.trades(chunk.ts_event, where, chunk.price, history.to_lots(chunk.quantity, LOT, "quantity")))
            else:
                sizes = (history.to_lots(size, LOT, "quantity") for size in (chunk.bid_quantity, chunk.ask_quantity))
                parts.append(history.quotes(chunk.ts_event, where, chunk.bid_price, chunk.ask_price, *sizes))
    events = join(parts)
    return events[np.argsort(events["ts_available"], kind="stable")]


def window(first, count):
    """Some of the real events, numbered from 1."""
    return history.number(recorded()[first : first + count].copy(), 1)


#: (venue, kind of events, the events).
SEEDS, COUNTS, SIMULATED = st.integers(0, 10**6), st.integers(1, 400), st.sampled_from(["next", "prevailing", "shared"])
STREAMS = st.one_of(
    st.tuples(st.sampled_from(sorted(VENUES)), st.just("ticks"), st.builds(ticks, SEEDS, COUNTS)),
    st.tuples(SIMULATED, st.just("bars"), st.builds(bars, SEEDS, COUNTS)),
    st.tuples(SIMULATED, st.just("ticks"), st.builds(window, st.integers(0, 90_000), st.integers(1, 1_500))),
)
