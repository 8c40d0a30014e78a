"""A short session through the kernel, for the tests of what reads its commands."""

import numpy as np

from openbell.adapters.feeds.simulated import SimulatedMarket
from openbell.config import StrategySettings, TradingSettings
from openbell.engine.engine import Engine
from openbell.model import enums
from openbell.services.plans import first_price, make_plan, simulated_listing
from openbell.services.trader.intake import concatenated, request_event

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LISTINGS = tuple(simulated_listing(symbol) for symbol in SYMBOLS)
LIMITS = {"order_value_share": 1.0}


def a_plan():
    """Strategies that trade often, and the account for users."""
    strategies = (
        StrategySettings("cross", "moving_avg_crossover", True, SYMBOLS, "1s", {"short_period": 3, "long_period": 8}, 50_000.0, LIMITS),
        StrategySettings("bands", "bollinger", True, ("ETHUSDT",), "1s", {"period": 8, "deviations": 1.0}, 50_000.0, LIMITS),
    )
    return make_plan(TradingSettings(strategies=strategies), LISTINGS)


def market(chunks=30, seed=5):
    """Minutes of a simulated market, ten seconds a chunk."""
    source = SimulatedMarket(LISTINGS, [first_price(symbol) for symbol in SYMBOLS], seed)
    return [source.chunk(number) for number in range(chunks)]


def session(chunks=30):
    """(engine at the end, all its commands, all its events), with requests of a user's in between."""
    plan = a_plan()
    engine = Engine(plan)
    manual = len(plan.assignments) - 1
    parts = market(chunks)
    parts.insert(3, request_event(enums.REQUEST_SUBMIT, strategy=manual, instrument=0, side=enums.BUY, quantity=1_000))
    parts.insert(9, request_event(enums.REQUEST_SUBMIT, strategy=manual, instrument=0, side=enums.SELL, quantity=400))
    parts.insert(12, request_event(enums.REQUEST_SUBMIT, strategy=manual, instrument=0, side=enums.BUY, quantity=10**12))
    parts.insert(15, request_event(enums.REQUEST_PAUSE, strategy=1))
    events = concatenated(parts).copy()
    events["seq"] = np.arange(1, len(events) + 1)
    events["ts_available"] = np.maximum.accumulate(events["ts_available"])
    return engine, engine.run(events), events
