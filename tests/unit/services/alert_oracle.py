"""Alerts by brute force: every value computed from all ticks so far, every alert looked at with every value, in plain Python."""

import math
from collections import defaultdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from openbell import indicators
from openbell.adapters.stores.alert_rows import schedule_of, spec_of
from openbell.adapters.stores.alert_rules import Spec, split_condition
from openbell.model.time import SECOND, parse_timeframe

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: A window is known to a fiftieth.
PARTS = 50


def is_open(schedule, ts):
    """Whether a moment is within a schedule, by the clock on the wall."""
    zone, days, start, end = schedule.hours
    local = datetime.fromtimestamp(ts // SECOND, ZoneInfo(zone))
    clock, today, before = local.strftime("%H:%M"), DAYS[local.weekday()], DAYS[(local - timedelta(days=1)).weekday()]
    if start < end:
        return today in days and start <= clock < end
    return (today in days and clock >= start) or (before in days and clock < end)


class Side:
    """One side of an alert: from below (+1) or from above (-1)."""

    def __init__(self, sign, is_level):
        self.sign = sign
        self.state = "armed" if is_level else "fresh"


class OracleAlert:
    """One alert, as its rule says."""

    def __init__(self, row):
        self.row = row
        self.kind, comparison = split_condition(row.condition)
        self.spec = spec_of(row.spec) or Spec()
        self.schedule = schedule_of(row.schedule)
        self.is_level = comparison in ("above", "below")
        signs = {"above": [1], "crosses_above": [1], "below": [-1], "crosses_below": [-1], "crosses": [1, -1]}[comparison]
        self.sides = [Side(sign, self.is_level) for sign in signs]
        self.band = row.hysteresis if self.spec.against else abs(row.target_price) * row.hysteresis / 100.0
        self.number = 0
        self.fired_ts = None
        self.status = "active"

    def may_come(self, ts):
        if self.fired_ts is not None and ts < self.fired_ts + round(self.row.cooldown_s * SECOND):
            return False
        return self.schedule is None or is_open(self.schedule, ts)

    def look(self, ts, value, is_whole=True):
        """Whether it comes with this value."""
        came = False
        for side in self.sides:
            target, beyond = self.row.target_price, value * side.sign >= self.row.target_price * side.sign
            if side.state == "armed":
                if not beyond or (side.sign < 0 and not is_whole):
                    continue
                if self.may_come(ts):
                    self.number += 1
                    self.fired_ts = ts
                    side.state = "spent"
                    came = True
                    if self.row.mode == "once":
                        self.status = "triggered"
                        break
                elif not self.is_level:
                    side.state = "spent"
            elif not beyond and (side.sign < 0 or is_whole):
                back = target - side.sign * (self.band if side.state == "spent" else 0.0)
                if value * side.sign <= back * side.sign:
                    side.state = "armed"
        return came


class OracleBook:
    """The ticks of one symbol so far."""

    def __init__(self, alerts, lot_size):
        self.alerts = alerts
        self.lot_size = lot_size
        self.price, self.now, self.has_traded = math.nan, None, False
        self.prices, self.trades = [], []  # (part by step) is computed when it is asked for
        self.closed = defaultdict(list)  # by timeframe: (end, candle)
        self.open = defaultdict(dict)  # by timeframe, by start: trades
        self.computed = {}
        self.timeframes = {timeframe for alert in alerts for timeframe in timeframes_of(alert)}

    def tick(self, ts, kind, price, lots):
        """One tick; returns groups of (id, number, ts, value, price) in order."""
        groups = self.pass_time(ts)
        if kind == "quote" and self.has_traded:
            return groups
        self.price = price
        self.prices.append((ts, price))
        if kind == "trade":
            self.has_traded = True
            self.trades.append((ts, price, lots))
            for timeframe in self.timeframes:
                start = ts // timeframe * timeframe
                if start + timeframe > self.now:
                    self.open[timeframe].setdefault(start, []).append((ts, price, lots))
        return [*groups, self.compare(ts, lambda alert: self.by_tick(alert))]

    def pass_time(self, ts):
        groups = []
        if self.now is None or ts > self.now:
            while ends := [start + timeframe for timeframe in self.timeframes for start in self.open[timeframe] if start + timeframe <= ts]:
                end = min(ends)
                touched = [timeframe for timeframe in self.timeframes if end - timeframe in self.open[timeframe]]
                for timeframe in touched:
                    self.closed[timeframe].append(candle_of(self.open[timeframe].pop(end - timeframe), self.lot_size))
                self.now = max(end, self.now)
                self.expire()
                groups.append(self.compare(self.now, lambda alert, touched=touched: self.by_candle(alert, touched)))
            self.now = ts
        self.expire()
        return groups

    def expire(self):
        for alert in self.alerts:
            if alert.status == "active" and alert.row.expires is not None and alert.row.expires <= self.now:
                alert.status = "expired"

    def compare(self, ts, value_of):
        found = []
        for alert in self.alerts:
            value, is_whole = value_of(alert) if alert.status == "active" else (math.nan, True)
            if not math.isnan(value) and alert.look(ts, value, is_whole):
                found.append((alert.row.id, alert.number, ts, value, None if math.isnan(self.price) else self.price))
        return sorted(found)

    def by_tick(self, alert):
        spec = alert.spec
        if alert.kind == "price":
            return self.price, True
        if alert.kind == "move":
            step = spec.window_s * SECOND // PARTS
            parts = parts_of(self.prices, step)
            before = [price for part, (_, price) in zip(parts, self.prices, strict=True) if part <= parts[-1] - PARTS]
            return 100.0 * (self.price / (before[-1] if before else self.prices[0][1]) - 1.0), True
        if alert.kind == "volume" and spec.window_s:
            step = spec.window_s * SECOND // PARTS
            found = [(ts, 0) for ts, _ in self.prices] if not self.has_traded else []
            found += [(ts, lots) for ts, _, lots in self.trades]
            parts = parts_of(found, step)
            lots = sum(lots for part, (_, lots) in zip(parts, found, strict=True) if part > parts[-1] - PARTS)
            return lots * self.lot_size, self.now >= self.prices[0][0] + PARTS * step
        if spec.against and spec.indicator.name == "price":
            return distance(self.price, self.series(spec.against)), True
        return math.nan, True

    def by_candle(self, alert, touched):
        spec = alert.spec
        if not set(timeframes_of(alert)) & set(touched):
            return math.nan, True
        if alert.kind == "volume":
            return self.closed[parse_timeframe(spec.timeframe)][-1][3], True
        if spec.indicator.name == "price":
            return math.nan, True
        if spec.against:
            return distance(self.series(spec.indicator), self.series(spec.against)), True
        return self.series(spec.indicator), True

    def series(self, series):
        """The latest value, from all candles."""
        candles = self.closed[parse_timeframe(series.timeframe)]
        if series.name == "close":
            return candles[-1][2] if candles else math.nan
        known = str(series), len(candles)
        if known not in self.computed:
            self.computed[known] = self.compute(series, candles)
        return self.computed[known]

    def compute(self, series, candles):
        """The indicator from its beginning."""
        indicator = getattr(indicators, "".join(word.capitalize() for word in series.name.split("_")))(**series.params)
        found = math.nan
        for high, low, close, volume, vwap in candles:
            columns = {"value": close, "close": close, "high": high, "low": low, "volume": volume, "price": vwap}
            found = indicator.update(*(columns[name] for name in indicator.inputs))
            found = found[indicator.outputs.index(series.output)] if series.output else found
        return float(found)


def timeframes_of(alert):
    spec = alert.spec
    found = [series.timeframe for series in (spec.indicator, spec.against) if series is not None and series.timeframe]
    return [parse_timeframe(text) for text in [*found, *([spec.timeframe] if spec.timeframe else [])]]


def parts_of(ticks, step):
    """The part that each tick falls in: never one before."""
    parts, newest = [], -1
    for ts, *_ in ticks:
        newest = max(newest, ts // step)
        parts.append(newest)
    return parts


def candle_of(trades, lot_size):
    """High, low, close, volume, volume-weighted price."""
    prices, volume = [price for _, price, _ in trades], sum(lots for _, _, lots in trades)
    close = sorted(trades, key=lambda trade: trade[0])[-1][1]
    notional = 0.0
    for _, price, lots in trades:
        notional += price * lots
    return max(prices), min(prices), close, volume * lot_size, notional / volume if volume else close


def distance(value, level):
    if level == 0.0:
        return value if value == 0.0 or math.isnan(value) else math.copysign(1e300, value)
    return 100.0 * (value - level) / abs(level)
