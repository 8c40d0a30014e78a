"""A market that never ends: trades and quotes of several instruments, computed from a seed.

Ten seconds are one chunk, and a chunk follows from the seed and its number alone, so a cursor finds its place at once, a year from the
start as quickly as at the start. The logarithm of the price is a sum of smooth noises with periods from 20 seconds to 9 days, so it
wanders at every scale and comes back over weeks. Regimes of calm and storm are a slower noise that scales the movement within a chunk;
a burst multiplies the trades of a few chunks. Within a chunk the path is a Brownian bridge; quotes stand around it, trades hit the bid
or lift the offer, more often in the direction in which the price moves.
"""

from collections.abc import Iterator, Sequence
from math import cos, exp, floor, pi, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from openbell.adapters.feeds.base import EventArray
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.model.time import SECOND

CHUNK_NS = 10 * SECOND
#: 2026-01-05T14:30:00Z, a Monday.
START_NS = 1_767_623_400 * SECOND
#: Periods (in chunks) and sizes (of the logarithm of the price) of the noises.
PERIODS = (2, 6, 18, 54, 180, 720, 4_320, 77_760)
SIZES = (0.00022, 0.0004, 0.0007, 0.0011, 0.002, 0.004, 0.010, 0.05)
REGIME_PERIOD = 36
BURST_SHARE = 0.04
TRADES_A_CHUNK = 40.0
QUOTES_A_TRADE = 1.5
#: Value of a typical trade, in the currency.
TRADE_VALUE = 500.0

_NORMAL = NormalDist()
_MASK = (1 << 64) - 1
_REGIME, _CHUNK = 100, 101


class SimulatedMarket:
    """A source of chunks without an end; see `openbell.adapters.feeds.replay.Source`."""

    def __init__(self, listings: Sequence[Listing], first_prices: Sequence[float], seed: int = 1) -> None:
        self.name = f"simulated market, seed {seed},"
        self._listings = tuple(listings)
        self._first_prices = tuple(first_prices)
        self._seed = seed

    def chunks(self, first: int) -> Iterator[EventArray]:
        """The chunks from number `first` on."""
        while True:
            yield self.chunk(first)
            first += 1

    def progress(self, ts: int) -> float | None:
        """It has no end."""
        return None

    def chunk(self, number: int) -> EventArray:
        """Ten seconds of all instruments, in order of time."""
        parts = [self._instrument(index, number) for index in range(len(self._listings))]
        # As bytes, because joining the arrays themselves would lay the union out anew.
        events = np.concatenate([part.view(np.uint8) for part in parts]).view(EVENT)
        return events[np.argsort(events["ts_available"], kind="stable")]

    def price(self, instrument: int, number: int) -> float:
        """The middle price at the start of a chunk."""
        levels = enumerate(zip(PERIODS, SIZES, strict=True))
        return self._first_prices[instrument] * exp(
            sum(size * self._noise(instrument, level, number / period) for level, (period, size) in levels)
        )

    def _noise(self, instrument: int, level: int, place: float) -> float:
        """Smooth noise of unit size: normal numbers at the whole places, a cosine between them."""
        left = floor(place)
        share = (1.0 - cos(pi * (place - left))) / 2.0
        before, after = (_NORMAL.inv_cdf(self._uniform(instrument, level, left + step)) for step in (0, 1))
        return before * (1.0 - share) + after * share

    def _uniform(self, *path: int) -> float:
        """A number between 0 and 1 that follows from the seed and the path."""
        return ((self._hash(*path) >> 11) + 0.5) / (1 << 53)

    def _hash(self, *path: int) -> int:
        """SplitMix64 over the seed and the path."""
        state = self._seed
        for part in path:
            state = (state + (part + 1) * 0x9E3779B97F4A7C15) & _MASK
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
            state ^= state >> 31
        return state

    def _instrument(self, instrument: int, number: int) -> EventArray:
        """Ten seconds of one instrument."""
        random = np.random.default_rng(self._hash(instrument, _CHUNK, number))
        storm = exp(0.7 * self._noise(instrument, _REGIME, number / REGIME_PERIOD))
        if random.random() < BURST_SHARE:
            storm *= 3.0
        trades = 1 + int(random.poisson(TRADES_A_CHUNK * storm))
        count = trades + 1 + int(random.poisson(TRADES_A_CHUNK * storm * QUOTES_A_TRADE))
        times = START_NS + number * CHUNK_NS + np.sort(random.integers(0, CHUNK_NS, count))
        middle = bridge(random, self.price(instrument, number), self.price(instrument, number + 1), count, storm)
        ticks = round(1.0 / (self._listings[instrument].price_increment or 0.01))  # in one unit of the currency
        half = 0.5 + random.integers(0, 2, count) * round(1.0 + storm)
        lower = np.floor(middle * ticks - half)
        bid, ask = lower / ticks, np.maximum(np.ceil(middle * ticks + half), lower + 1.0) / ticks
        order = random.permutation(count)
        events = np.zeros(count, EVENT)
        events["ts_event"] = events["ts_available"] = times
        events["instrument"] = instrument
        self._trades(random, events, order[:trades], bid, ask, np.gradient(middle))
        self._quotes(random, events, order[trades:], bid, ask)
        return events

    def _trades(self, random: np.random.Generator, events: EventArray, rows: Any, bid: Any, ask: Any, slope: Any) -> None:
        lifts = random.random(len(rows)) < 0.5 + 0.25 * np.sign(slope[rows])
        events["kind"][rows] = enums.TRADE
        events["side"][rows] = np.where(lifts, enums.BUY, enums.SELL)
        events["trade"]["price"][rows] = np.where(lifts, ask[rows], bid[rows])
        events["trade"]["quantity"][rows] = self._lots(random, events, rows)

    def _quotes(self, random: np.random.Generator, events: EventArray, rows: Any, bid: Any, ask: Any) -> None:
        events["kind"][rows] = enums.QUOTE
        events["quote"]["bid_price"][rows] = bid[rows]
        events["quote"]["ask_price"][rows] = ask[rows]
        events["quote"]["bid_quantity"][rows] = self._lots(random, events, rows)
        events["quote"]["ask_quantity"][rows] = self._lots(random, events, rows)

    def _lots(self, random: np.random.Generator, events: EventArray, rows: Any) -> Any:
        instrument = int(events["instrument"][0])
        typical = TRADE_VALUE / self._first_prices[instrument] / self._listings[instrument].lot_size
        return np.maximum(1, random.lognormal(0.0, 1.2, len(rows)) * typical).astype(np.int64)


def bridge(random: np.random.Generator, first: float, last: float, count: int, storm: float) -> Any:
    """A path of `count` (2 or more) points from one price to another, with small steps of its own."""
    steps = np.cumsum(random.standard_normal(count)) * first * 0.00002 * sqrt(storm)
    share = np.arange(1, count + 1) / count
    return first + (last - first) * share + steps - steps[-1] * share
