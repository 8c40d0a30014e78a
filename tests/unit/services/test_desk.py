"""Alerts of every kind against brute force: the same come, with the same numbers, however ticks are cut and wherever it starts again."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.stores.alert_rows import Standing, text_of
from openbell.adapters.stores.alert_rules import NewAlert, Schedule, Series, Spec, condition_of
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.model.time import HOUR, SECOND
from openbell.services.alerts.symbols import SymbolDesk, stored
from tests.unit.services.alert_oracle import OracleAlert, OracleBook

LISTINGS = [Listing("AAPL", 0.01, 0.5), Listing("MSFT", 0.01, 1.0)]
#: Some hours before the clocks go forward in Europe, on a Saturday.
TS = 1_711_800_000 * SECOND

SPECS = {
    "price": [None],
    "move": [Spec(window_s=50), Spec(window_s=100), Spec(window_s=3600)],
    "volume": [Spec(window_s=50), Spec(window_s=200), Spec(timeframe="10s"), Spec(timeframe="1m")],
    "indicator": [
        Spec(indicator=Series("close", "10s")), Spec(indicator=Series("rsi", "10s", {"length": 2})),
        Spec(indicator=Series("bollinger", "10s", {"length": 2}, "upper")), Spec(indicator=Series("vwap", "1m", {"length": 2})),
        Spec(indicator=Series("price"), against=Series("sma", "10s", {"length": 2})),
        Spec(indicator=Series("close", "10s"), against=Series("sma", "10s", {"length": 3})),
        Spec(indicator=Series("ema", "10s", {"length": 2}), against=Series("ema", "30s", {"length": 2})),
        Spec(indicator=Series("macd", "10s", {"fast": 1, "slow": 2, "signal": 2}, "macd"),
             against=Series("macd", "10s", {"fast": 1, "slow": 2, "signal": 2}, "signal")),
        Spec(indicator=Series("obv", "10s")),
    ],
}  # fmt: skip
NIGHTS = Schedule(zone="Europe/Berlin", days=("sat", "sun"), start="18:00", end="04:00")
SCHEDULES = [None, None, NIGHTS, Schedule(start="12:00", end="13:00")]


@st.composite
def rules(draw):
    """Any alert, with a target that its values come near to."""
    kind = draw(st.sampled_from(sorted(SPECS)))
    spec = draw(st.sampled_from(SPECS[kind]))
    comparison = draw(st.sampled_from(["above", "below", "crosses", "crosses_above", "crosses_below"]))
    near = {"price": range(2, 14), "move": range(-40, 41, 20), "volume": range(1, 30, 4), "indicator": range(1, 9)}[kind]
    target = float(draw(st.sampled_from(near)))
    if spec is not None and spec.indicator is not None:
        target = {"rsi": 10.0 * target, "obv": 2.0 * target - 8.0}.get(spec.indicator.name, target)
        target = float(draw(st.sampled_from([-20, 0, 10]))) if spec.against else target
    every = draw(st.booleans())
    has_band = every and (target != 0.0 or (spec is not None and spec.against is not None))
    return NewAlert(
        draw(st.sampled_from(["AAPL", "MSFT"])), condition_of(kind, comparison), target, spec, "every" if every else "once",
        draw(st.sampled_from([0.0, 0.0, 7.0, 90.5])) if every else 0.0, draw(st.sampled_from([0.0, 20.0, 50.0])) if has_band else 0.0,
        draw(st.sampled_from([None, None, TS + 40 * SECOND, TS + 3 * HOUR])), draw(st.sampled_from(SCHEDULES)),
    )  # fmt: skip


def rules_of(generator, count):
    """Many alerts of every kind, near the values of `walk`."""
    found = []
    while len(found) < count:
        kind = str(generator.choice(sorted(SPECS)))
        spec = SPECS[kind][generator.integers(len(SPECS[kind]))]
        comparison = str(generator.choice(["above", "below", "crosses", "crosses_above", "crosses_below"]))
        target = {"price": 8.0, "move": 0.0, "volume": 8.0, "indicator": 8.0}[kind] + float(generator.integers(-5, 6))
        if spec is not None and spec.indicator is not None:
            target = {"rsi": 10.0 * (target - 3.0), "obv": target - 8.0}.get(spec.indicator.name, target)
            target = float(generator.integers(-3, 4) * 5) if spec.against else target
        target = 5.0 * target if kind in ("move", "volume") else target
        has_band = generator.random() < 0.4 and (target != 0.0 or (spec is not None and spec.against is not None))
        every = {"mode": "every", "cooldown_s": float(generator.choice([0, 0, 3, 45])), "hysteresis": 15.0 * has_band}
        found.append(
            NewAlert(
                str(generator.choice(["AAPL", "MSFT"])), condition_of(kind, comparison), target, spec,
                expires=TS + int(generator.integers(1, 8 * 3600)) * SECOND if generator.random() < 0.2 else None,
                schedule=NIGHTS if generator.random() < 0.2 else None, **(every if generator.random() < 0.7 else {}),
            )
        )  # fmt: skip
    return found


def walk(generator, count):
    """Prices that go up and down, now and then after a long silence."""
    waits = generator.choice([0, 1, 2, 5, 11, -1], count, p=[0.2, 0.3, 0.2, 0.17, 0.1, 0.03])
    waits = np.where(generator.random(count) < 0.01, generator.integers(60, 4 * 3600, count), waits)
    prices = np.abs((np.cumsum(generator.integers(-1, 2, count)) + 6) % 24 - 12) + 2
    kinds = generator.choice(["trade", "quote", "bad"], count, p=[0.8, 0.15, 0.05])
    columns = (waits, generator.integers(0, 2, count), kinds, prices, generator.integers(0, 5, count))
    return timed([(int(wait), int(book), str(kind), int(price), int(lots)) for wait, book, kind, price, lots in zip(*columns, strict=True)])


ticks = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 3, 5, 9, 20, 61]) | st.sampled_from([-2, 300, 3599, 7 * 3600]), st.integers(0, 1),
        st.sampled_from(["trade", "trade", "trade", "quote", "bad"]), st.integers(2, 14), st.integers(0, 4),
    ),
    max_size=70,
)  # fmt: skip
cuts = st.lists(st.integers(0, 70), max_size=8)


def standing(number, rule):
    """The row of an alert that nobody has evaluated yet."""
    return Standing(
        number, rule.symbol, rule.condition, rule.target_price, text_of(rule.spec), rule.mode, rule.cooldown_s, rule.hysteresis,
        rule.expires, text_of(rule.schedule), "active", None, 0, None, 1,
    )  # fmt: skip


def timed(found):
    """Ticks with their times."""
    now, done = TS, []
    for wait, *rest in found:
        now += wait * SECOND
        done.append((now, *rest))
    return done


def events_of(found):
    events = np.zeros(len(found), EVENT)
    for row, (ts, instrument, kind, price, lots) in enumerate(found):
        record = events["quote" if kind == "quote" else "trade"]
        record["kind"][row] = enums.QUOTE if kind == "quote" else enums.TRADE
        record["instrument"][row], record["ts_event"][row] = instrument, ts
        if kind == "quote":
            record["bid_price"][row], record["ask_price"][row] = price - 0.5, price + 0.5
        else:
            record["price"][row], record["quantity"][row] = float("nan") if kind == "bad" else price, lots
    return events


def oracle(rows, found):
    """(What comes in order, how each alert stands in the end)."""
    alerts = [OracleAlert(row) for row in rows]
    books = [OracleBook([alert for alert in alerts if alert.row.symbol == item.symbol], item.lot_size) for item in LISTINGS]
    came = []
    for ts, instrument, kind, price, lots in found:
        if kind != "bad":
            for group in books[instrument].tick(ts, kind, float(price), lots):
                came += group
    return came, {alert.row.id: (alert.status, alert.number) for alert in alerts}


def begin(rows, state=b""):
    desk = SymbolDesk(LISTINGS)
    kept = stored(state) if state else {}
    for item in LISTINGS:
        desk.open(item.symbol, kept.get(item.symbol))
    desk.change([row for row in rows.values() if row.status == "active"])
    return desk


def store(desk, rows, came):
    """What is recorded, and the state."""
    firings, changes = desk.came()
    came += [(one.alert, one.number, one.ts, one.value, one.price) for one in firings]
    for one in changes:
        row = rows[one.alert]
        ts = row.triggered_ts if one.last is None else one.last.ts
        rows[one.alert] = row._replace(status=one.status, armed=one.armed, fired=one.fired, triggered_ts=ts)
    return desk.state()


def compare(wanted, found, edges, restarts):
    """Take the ticks in batches between edges, begin anew after some of them, and hold what came to brute force; returns how many came."""
    rows = {number: standing(number, rule) for number, rule in enumerate(wanted, 1)}
    expected, states = oracle(rows.values(), found)
    desk, came = begin(rows), []
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        desk.take(events_of(found[first:last]), ["AAPL", "MSFT"])
        if number in restarts:
            state = store(desk, rows, came)
            desk = begin(rows, state)
    store(desk, rows, came)
    assert came == expected
    assert {id: (row.status, row.fired) for id, row in rows.items()} == states
    assert desk.board.standing == sum(status == "active" for status, _ in states.values())
    return len(came)


@settings(max_examples=300, deadline=None)
@given(wanted=st.lists(rules(), max_size=8), found=ticks, cuts=cuts, restarts=st.sets(st.integers(0, 8)))
def test_every_kind_as_by_brute_force(wanted, found, cuts, restarts):
    """In batches of any size, stored and started again between any two of them."""
    found = timed(found)
    compare(wanted, found, [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)], restarts)


@pytest.mark.parametrize("seed", range(int(os.environ.get("ALERT_SEEDS", "6"))))
def test_many_alerts_as_by_brute_force(seed):
    """Hundreds that come and come again on a long walk, in batches from one tick to many."""
    generator = np.random.default_rng(seed)
    found = walk(generator, 400)
    edges = [0, *sorted(generator.integers(0, 400, int(generator.integers(0, 100))).tolist()), 400]
    restarts = {number for number in range(len(edges)) if generator.random() < 0.3}
    assert compare(rules_of(generator, 200), found, edges, restarts) > 200
