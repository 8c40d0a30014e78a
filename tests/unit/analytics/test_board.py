"""Readings against the reference, on real ticks; in whatever pieces they come; and from one process to the next."""

import csv
import gzip
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.analytics.board import TAPE_BYTES, Board
from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.analytics import ANOMALIES, BURST, FORGET_NS, JUMP, PARTS, SPREAD, WINDOWS
from openbell.model.events import EVENT
from openbell.model.jit import INTERPRETED, join
from openbell.model.time import DAY, HOUR, MINUTE, SECOND
from tests.properties import market
from tests.tidy.source import ROOT
from tests.unit.analytics.reference import LOT, Ticks, assert_same, days

START = 1_700_006_400 * SECOND  # midnight


def board(count=2, sessions=days, increment=0.01):
    """A board that takes the ticks of so many instruments."""
    made = Board([LOT] * count, [increment] * count, sessions)
    for instrument in range(count):
        made.open(instrument)
    return made


def trades(ts, prices, lots=100, instrument=0):
    """Trades as events."""
    events = np.zeros(len(ts), EVENT)
    trade = events["trade"]
    trade["kind"], trade["instrument"], trade["price"], trade["quantity"] = enums.TRADE, instrument, prices, lots
    trade["ts_event"] = trade["ts_available"] = ts
    return events


def quotes(ts, bids, asks, instrument=0):
    """Quotes as events."""
    events = np.zeros(len(ts), EVENT)
    quote = events["quote"]
    quote["kind"], quote["instrument"], quote["bid_price"], quote["ask_price"] = enums.QUOTE, instrument, bids, asks
    quote["ts_event"] = quote["ts_available"] = ts
    return events


def fresh(events, count):
    """The bytes of everything after the events, and what is read then."""
    made = board(count)
    made.take(events)
    return made


def check(made, events, now, sessions=days, instruments=(0, 1)):
    """That a board at a time says of every instrument what the reference says."""
    found, readings = made.readings(now)
    assert found == list(instruments)
    for instrument, reading in zip(found, readings, strict=True):
        ticks = Ticks(events, instrument, sessions)
        assert_same(reading, ticks.session(max(now, int(ticks.ts[-1]))), "session")
        for window in range(len(WINDOWS)):
            assert_same(reading["windows"][window], ticks.window(window, max(now, int(ticks.ts[-1]))), f"{instrument}, window {window}")


def test_the_recorded_session():
    """Real trades of one instrument and real quotes of another, read at the end, in between, and long after the last tick."""
    events = market.recorded()
    for end in (1, 500, 20_000, len(events)):
        made = fresh(events[:end], 2)
        last = int(events["ts_event"][:end].max())
        there = [instrument for instrument in (0, 1) if (events["instrument"][:end] == instrument).any()]
        for later in (0, 300_000_000, 7 * SECOND, 40 * MINUTE, 5 * HOUR)[:: 1 if end < 1_000 else 2]:
            check(made, events[:end], last + later, instruments=there)


def test_a_session_of_a_stock():
    """Minutes of an ETF as trades: sessions of New York, nothing in the night, where returns are not counted."""
    zone = ZoneInfo("America/New_York")
    with gzip.open(ROOT / "tests/data/etf_spy_1min_2011.csv.gz", "rt") as file:
        rows = list(csv.reader(file))[1:]
    ts, prices = [], []
    for row in rows[: 6 * 390]:
        ts.append(moment(row[0]))
        prices.append(float(row[4]))
    moments = np.array(ts)
    dates = sorted({datetime.fromtimestamp(at // SECOND, zone).date() for at in ts})
    hours = [
        tuple(
            int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()) * SECOND
            for hour, minute in ((9, 30), (16, 0))
        )
        for day in dates
    ]
    around = [(hours[0][0] - 20 * DAY, hours[0][0] - 20 * DAY + HOUR), *hours, (hours[-1][0] + 20 * DAY, hours[-1][0] + 21 * DAY)]
    events = trades(moments, np.array(prices), 100)
    for end in (50, 389, 391, 800, len(events)):
        made = board(1, lambda _: around)
        made.take(events[:end])
        check(made, events[:end], int(moments[end - 1]) + 40 * SECOND, lambda _: around, instruments=(0,))


def moment(text):
    """A time of the file, which is in UTC or says what it is."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * SECOND


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 90_000), st.integers(2, 3_000), st.lists(st.integers(1, 2_999), max_size=6), st.integers(1, 400))
def test_however_ticks_are_cut(first, count, cuts, faster):
    """The same bytes for any batches, and whether it was read in between or not; with time that passes faster, parts and sessions end."""
    events = join([market.recorded()[first : first + count]])
    for name in ("ts_event", "ts_available"):
        events[name] = START + (events[name] - events[name][0]) * faster
    whole, pieces = board(), board()
    whole.take(events)
    edges = sorted({0, *(cut for cut in cuts if cut < len(events)), len(events)})
    for begin, end in pairwise(edges):
        pieces.take(events[begin:end])
        pieces.readings(pieces.now + SECOND)
        pieces.closes(1, pieces.now + HOUR)
    assert pieces.now == whole.now
    for instrument in (0, 1):
        assert pieces.kept(instrument) == whole.kept(instrument)


def test_a_restart_goes_on():
    """A board that goes on from what another has kept ends with the same bytes."""
    events = market.recorded()
    whole = fresh(events, 2)
    for cut in (1, 33, 40_000):
        before = fresh(events[:cut], 2)
        after = Board([LOT, LOT], [0.01, 0.01], days)
        for instrument in (1, 0):
            after.open(instrument, before.kept(instrument))
        assert after.now == before.now
        after.take(events[cut:])
        assert [after.kept(instrument) for instrument in (0, 1)] == [whole.kept(instrument) for instrument in (0, 1)]
    with pytest.raises(JournalError, match="bytes"):
        Board([LOT], [0.0], days).open(0, b"x" * (TAPE_BYTES - 1))


def digest():
    """A hash of everything that boards keep and say after some ticks."""
    real = join([market.recorded()[:400]])
    real["ts_event"] = START + (real["ts_event"] - real["ts_event"][0]) * 2_000
    found = hashlib.sha256()
    for events in (real, usual()):
        made = board()
        made.take(events)
        _, readings = made.readings(made.now + 5 * SECOND)
        _, closes = made.closes(2, made.now)
        found.update(b"".join(made.kept(instrument) for instrument in (0, 1)) + readings.tobytes() + closes.tobytes())
    return found.hexdigest()


def test_compiled_and_interpreted_alike():
    """The same source, run as plain Python, to the same bytes."""
    code = "from tests.unit.analytics.test_board import digest; print(digest())"
    other = "0" if INTERPRETED else "1"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBELL_INTERPRETED": other},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == digest(), done.stderr


def test_late_ticks_count_when_they_come():
    """A tick whose time is before that of the one before it counts at the later time, as for alerts."""
    made = board(1)
    late = trades([START + 90 * SECOND, START + 5 * SECOND], [100.0, 101.0])
    made.take(late)
    now = trades([START + 90 * SECOND, START + 90 * SECOND], [100.0, 101.0])
    expected = fresh(now, 1)
    assert made.kept(0) == expected.kept(0)
    check(made, late, made.now, instruments=(0,))


def test_what_makes_no_sense_is_passed_over():
    """Prices that are none, crossed quotes, instruments without a tape, other kinds of events: nothing changes."""
    good = trades([START, START + SECOND], [100.0, 101.0])
    bad = [
        trades([START + 9 * SECOND] * 3, [np.nan, -1.0, np.inf]),
        trades([START + 9 * SECOND], [100.0], -1),
        quotes([START + 9 * SECOND], [101.0], [100.0]),
        trades([START + 9 * SECOND], [100.0], 1, 1),
        trades([START + 9 * SECOND], [100.0], 1, 99),
        trades([START + 9 * SECOND], [100.0], 1, -1),
    ]
    for kind in (enums.BAR, enums.REPLY, enums.REQUEST):
        other = trades([START + 9 * SECOND], [100.0])
        other["kind"] = kind
        bad.append(other)
    plain, made = board(1), Board([LOT] * 3, [0.01] * 3, days)
    made.open(0)
    plain.take(good)
    made.take(join([good[:1], *bad, good[1:]]))
    assert made.kept(0) == plain.kept(0)
    assert made.now == plain.now


def test_timers_are_time():
    """A quiet market gets later with them: what was traded leaves its windows."""
    made = fresh(trades([START], [100.0]), 1)
    assert made.readings(made.now)[1]["windows"]["trades"][0, 0] == 1
    timer = np.zeros(1, EVENT)
    timer["kind"], timer["instrument"], timer["ts_event"] = enums.TIMER, -1, START + 2 * MINUTE
    made.take(timer)
    assert made.now == START + 2 * MINUTE
    assert made.readings(made.now)[1]["windows"]["trades"][0, :2].tolist() == [0, 1]


def test_long_silence():
    """Within a week a gap is as if each part of it had been seen; after a week a symbol begins anew."""
    ticks = quotes([START, START + 1 * SECOND, START + 2 * SECOND], [99.0, 100.0, 101.0], [101.0, 102.0, 103.0])
    for gap in (61 * SECOND, 65 * SECOND, HOUR, 3 * HOUR):
        later = quotes([START + gap, START + gap + 7 * SECOND], [100.0, 101.0], [101.0, 102.0])
        events = join([ticks, later])
        check(fresh(events, 1), events, int(events["ts_event"][-1]) + SECOND, instruments=(0,))
    again = trades([START + FORGET_NS + 3 * SECOND], [50.0])
    made = fresh(join([ticks, again]), 1)
    _, readings = made.readings(made.now)
    assert readings["windows"]["reference"][0].tolist() == [50.0] * len(WINDOWS)
    assert readings["windows"]["parts"][0].tolist() == [0] * len(WINDOWS)
    assert made.readings(made.now + FORGET_NS + SECOND)[0] == []


def test_memory_is_bounded():
    """What a symbol costs does not depend on how much it trades."""
    made = fresh(market.recorded(), 2)
    before = made.nbytes
    made.take(market.recorded())
    assert made.nbytes == before
    many = board(5_000)
    assert many.nbytes / 5_000 < 1.35 * TAPE_BYTES


def test_closes():
    """The prices at the ends of parts, the newest last; NaN before the first tick."""
    made = fresh(trades(START + np.arange(70) * 5 * SECOND, 100.0 + np.arange(70)), 1)
    _, closes = made.closes(1, made.now)
    assert (closes["part"][0], closes["known"][0]) == (made.now // (5 * SECOND) - 1, 63)
    assert closes["close"][0, 1:].tolist() == list(100.0 + np.arange(6, 69))
    few = fresh(trades([START, START + 5 * SECOND], [100.0, 101.0]), 1)
    _, closes = few.closes(1, few.now + 12 * SECOND)
    assert closes["known"][0] == 3
    assert closes["close"][0, -3:].tolist() == [100.0, 101.0, 101.0]
    assert np.isnan(closes["close"][0, :-3]).all()


# Anomalies.


def usual(parts=62, seed=3):
    """A quarter of an hour and more of a market that does what it does: trades and quotes of each of its parts."""
    random = np.random.default_rng(seed)
    ts = START + np.arange(parts * 5) * 3 * SECOND
    prices = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-4, len(ts)))), 2)
    made = join([trades(ts, prices, random.integers(50, 150, len(ts))), quotes(ts, prices - 0.01, prices + 0.01)])
    return made[np.argsort(made["ts_event"], kind="stable")]


def flags(events, later=0):
    """The flags after events, by what they are about."""
    made = fresh(events, 1)
    _, readings = made.readings(made.now + later)
    return {ANOMALIES[kind]: reading for kind, reading in enumerate(readings["flags"][0]) if reading["ts"]}


def test_nothing_is_flagged_in_a_usual_market():
    """Neither in what varies as it always does, nor before there is enough to know."""
    assert flags(usual(120)) == {}
    few = usual(20)
    wild = trades([int(few["ts_event"][-1]) + 1], [150.0], 10**6)
    assert flags(join([few, wild])) == {}


def test_a_price_jump():
    """The first tick beyond eight robust deviations is the time; the farthest in that part of 15 seconds the value."""
    events = usual()
    last, price = int(events["ts_event"][-1]), float(events["trade"]["price"][events["kind"] == enums.TRADE][-1])
    begin = (last // (15 * SECOND) + 1) * 15 * SECOND
    jump = trades([begin, begin + SECOND, begin + 2 * SECOND], [price * 1.02, price * 1.03, price * 1.01])
    found = flags(join([events, jump]))["price_jump"]
    assert found["ts"] == begin
    assert found["value"] == pytest.approx(3.0, abs=0.1)
    closes = Ticks(events, 0)
    prices = [closes.price_before(begin - part * 15 * SECOND) for part in range(PARTS, -1, -1)]
    returns = np.diff(np.log(prices))
    away = np.abs(returns - np.median(returns))
    deviation = max(1.482602218505602 * np.median(away), 1.2533141373155003 * away.mean(), 0.01 / prices[-1])
    assert found["usual"] == pytest.approx(100.0 * deviation, rel=1e-9)
    assert found["limit"] == pytest.approx(100.0 * np.expm1(np.median(returns) + 8.0 * deviation), rel=1e-9)
    down = flags(join([events, trades([begin], [price * 0.97])]))["price_jump"]
    assert (down["value"] < down["limit"] < 0.0, JUMP) == (True, 0)


def test_a_burst_of_volume():
    """Ten robust deviations above the usual part, and at least five times as much."""
    events = usual()
    last, price = int(events["ts_event"][-1]), float(events["trade"]["price"][events["kind"] == enums.TRADE][-1])
    begin = (last // (15 * SECOND) + 1) * 15 * SECOND
    ticks = Ticks(events, 0)
    parts = [
        int(ticks.lots[(ticks.ts >= begin - (part + 1) * 15 * SECOND) & (ticks.ts < begin - part * 15 * SECOND)].sum())
        for part in range(PARTS)
    ]
    middle = np.median(parts)
    away = np.abs(np.array(parts) - middle)
    limit = max(middle + 10.0 * max(1.482602218505602 * np.median(away), 1.2533141373155003 * away.mean()), 5.0 * middle)
    below, above = int(limit), int(limit) + 1
    assert "volume_burst" not in flags(join([events, trades([begin], [price], below)]))
    found = flags(join([events, trades([begin, begin + SECOND], [price, price], [below, above - below])]))["volume_burst"]
    assert found["ts"] == begin + SECOND
    assert found["value"] == pytest.approx(above * LOT, rel=1e-9)
    assert (found["usual"], found["limit"]) == (pytest.approx(middle * LOT, rel=1e-9), pytest.approx(limit * LOT, rel=1e-9))
    assert BURST == 1


def test_a_wide_spread():
    """By its mean over a part of 15 seconds, so that a flicker is none; seen when the part is over, with a tick or without one."""
    events = usual()
    last, price = int(events["ts_event"][-1]), float(events["trade"]["price"][events["kind"] == enums.TRADE][-1])
    begin = (last // (15 * SECOND) + 1) * 15 * SECOND
    flicker = quotes([begin, begin + SECOND // 100], [price - 5.0, price - 0.01], [price + 5.0, price + 0.01])
    assert flags(join([events, flicker]), 20 * SECOND) == {}
    wide = join([events, quotes([begin], [price - 1.0], [price + 1.0])])
    assert "spread_wide" not in flags(wide, 14 * SECOND)
    found = flags(wide, 16 * SECOND)["spread_wide"]
    assert found["ts"] == begin
    assert found["value"] == pytest.approx(10_000.0 * 2.0 / price, rel=1e-9)
    assert found["value"] > found["limit"] > found["usual"] > 0.0
    assert flags(join([wide, trades([begin + 40 * SECOND], [price])]))["spread_wide"]["value"] == pytest.approx(found["value"])
    assert SPREAD == 2
