"""Analytics the slow way: every number straight from all ticks of a symbol by its definition in docs/guides/analytics.md."""

import math

import numpy as np

from openbell.model import enums
from openbell.model.analytics import DECAY, PARTS, SMOOTHING, WINDOWS
from openbell.model.time import DAY

LOT = 1e-5


def days(ts):
    """A market that never closes: its sessions are the days of UTC."""
    first = ts // DAY - 20
    return [((first + number) * DAY, (first + number + 1) * DAY) for number in range(60)]


class Ticks:
    """The ticks of one symbol that count, each at the time at which it counts: no earlier than the one before."""

    def __init__(self, events, instrument, sessions=days):
        own = events[(events["instrument"] == instrument) & np.isin(events["kind"], (enums.TRADE, enums.QUOTE))]
        trade, quote, is_trade = own["trade"], own["quote"], own["kind"] == enums.TRADE
        prices = np.where(is_trade, trade["price"], quote["bid_price"])
        good = np.isfinite(prices) & (prices > 0.0)
        good &= np.where(is_trade, trade["quantity"] >= 0, (quote["ask_price"] >= quote["bid_price"]) & np.isfinite(quote["ask_price"]))
        own = own[good]
        self.is_trade = own["kind"] == enums.TRADE
        self.ts = np.maximum.accumulate(own["ts_event"])
        self.bid, self.ask = own["quote"]["bid_price"], own["quote"]["ask_price"]
        before = np.cumsum(self.is_trade) == 0
        self.price = np.where(self.is_trade, own["trade"]["price"], np.where(before, (self.bid + self.ask) / 2.0, np.nan))
        self.lots = np.where(self.is_trade, own["trade"]["quantity"], 0)
        self.money = np.where(self.is_trade, own["trade"]["price"] * self.lots, 0.0)
        self.sessions = sessions
        self.priced, self.prices = self.ts[~np.isnan(self.price)], self.price[~np.isnan(self.price)]

    def price_before(self, ts):
        """The latest price before a time, None without one."""
        count = int(np.searchsorted(self.priced, ts))
        return float(self.prices[count - 1]) if count else None

    def spread(self, start, end):
        """(Integral of the quoted spread in bps over time, how long there was one) from start to end, ns."""
        rows = np.flatnonzero(~self.is_trade & (self.ts < end))
        if not len(rows):
            return 0.0, 0
        bps = 10_000.0 * (self.ask[rows] - self.bid[rows]) / ((self.ask[rows] + self.bid[rows]) / 2.0)
        edges = np.clip(np.append(self.ts[rows], end), start, end)
        return math.fsum(bps * np.diff(edges)), int(edges[-1] - edges[0])

    def is_open(self, start, end):
        """Whether the market was for some of the time."""
        return any(opens < end and closes > start for opens, closes in self.sessions(start))

    def window(self, window, now):
        """Everything of a WINDOW_READING."""
        step = WINDOWS[window] // PARTS
        part, first = now // step, int(self.ts[0]) // step
        start = max(part - PARTS + 1, first) * step
        inside = (self.ts >= start) & (self.ts <= now)
        lots, money = int(self.lots[inside].sum()), math.fsum(self.money[inside])
        reference = self.price_before((part - PARTS + 1) * step) if part - first >= PARTS else None
        total, quoted = self.spread(start, now)
        closes = {p: self.price_before((p + 1) * step) for p in range(first, part)}
        inner = [p for p in closes if p >= part - PARTS]
        returns = [math.log(closes[p] / closes[p - 1]) for p in inner if p > first and self.is_open(p * step, (p + 1) * step)]
        ema = ewma = math.nan
        for p, price in closes.items():
            ema = price if p == first else ema + SMOOTHING * (price - ema)
            if p > first and self.is_open(p * step, (p + 1) * step):
                square = math.log(price / closes[p - 1]) ** 2
                ewma = square if math.isnan(ewma) else DECAY * ewma + (1.0 - DECAY) * square
        return {
            "reference": float(self.price[0]) if reference is None else reference,
            "volume": lots * LOT,
            "notional": money * LOT,
            "trades": int((inside & self.is_trade).sum()),
            "vwap": money / lots if lots else math.nan,
            "squares": math.fsum(change * change for change in returns),
            "returns": len(returns),
            "ewma": ewma,
            "sma": float(np.mean([closes[p] for p in inner])) if inner else math.nan,
            "ema": ema,
            "spread": total / quoted if quoted else math.nan,
            "parts": len(inner),
        }

    def session(self, now):
        """What a reading says of the session."""
        opens = max(opens for opens, _ in self.sessions(now) if opens <= now)
        inside = (self.ts >= opens) & (self.ts <= now)
        lots, money = int(self.lots[inside].sum()), math.fsum(self.money[inside])
        before = self.price_before(opens)
        return {
            "session_from": opens,
            "session_price": float(self.price[inside][0]) if before is None else before,
            "session_volume": lots * LOT,
            "session_notional": money * LOT,
            "session_vwap": money / lots if lots else math.nan,
            "session_trades": int((inside & self.is_trade).sum()),
        }


def assert_same(found, expected, where=""):
    """Every field of a record is what is expected, to 1e-9 of it."""
    for name, value in expected.items():
        got = found[name]
        if isinstance(value, float):
            # What is left of sums that cancel: far below any price, squared return or spread of interest.
            same = (math.isnan(value) and math.isnan(got)) or math.isclose(got, value, rel_tol=1e-9, abs_tol=1e-18)
            assert same, f"{where} {name}: {got!r}, expected {value!r}"
        else:
            assert got == value, f"{where} {name}: {got!r}, expected {value!r}"
