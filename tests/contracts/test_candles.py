"""The contract of `openbell.adapters.stores.candles_base.CandleStore`, held to every implementation, in SQLite and in PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.candles_base import COLUMNS, Series
from openbell.errors import DataError, FencedError, JournalError, StorageError
from tests.contracts.stores import ENGINES, change, place_for, rows

#: 2025-01-31T23:00:00Z: an hour before a month ends.
LATE_JANUARY = 1_738_364_400_000
HOUR = 3_600_000
FAR = 1 << 60


def row(ts, symbol="A", timeframe="1s", close=1.0, vwap=1.2):
    return symbol, timeframe, ts, 1.0, 2.0, 0.5, close, 10.0, vwap, 3


def series(first, count, symbol="A", timeframe="1m", step=60_000, close=1.0):
    ts = first + np.arange(count, dtype=np.int64) * step
    vwap = np.where(np.arange(count) % 3, 1.25, np.nan)
    ones = np.ones(count)
    return Series(symbol, timeframe, ts, ones, ones * 2, ones * 0.5, ones * close, ones * 10, vwap, np.full(count, 3))


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's candles are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def opening(place):
    """Opens the store of this test again and again; closes what is left open."""
    opened = []

    def open_store():
        opened.append(open_candles(place))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(opening):
    """An empty store."""
    return opening()


def starts(store, symbol="A", timeframe="1s", start=-FAR, end=FAR, limit=10_000):
    return [found[2] for found in store.read(symbol, timeframe, start, end, limit)]


def test_what_is_written_is_read(store):
    """By symbol, timeframe and half-open range, the newest, oldest first."""
    store.add([row(ts) for ts in range(0, 10_000, 1000)] + [row(0, timeframe="1m", vwap=None), row(0, "B")])
    assert starts(store, start=2000, end=5000) == [2000, 3000, 4000]
    assert starts(store, limit=2) == [8000, 9000]
    assert store.read("A", "1m", 0, FAR, 9) == [row(0, timeframe="1m", vwap=None)]
    assert store.read("A", "1s", 0, 1, 9) == [row(0)]
    assert store.read("C", "1s", 0, FAR, 9) == []


def test_numbers_come_back_bit_for_bit(store):
    """The largest, the smallest, and those without an end in decimals."""
    written = ("A", "1s", 1, 0.1, 1.7976931348623157e308, 5e-324, 0.0, 1 / 3, 2.2250738585072014e-308, (1 << 62) + 1)
    store.add([written])
    (found,) = store.read("A", "1s", 0, 2, 1)
    assert repr(found) == repr(written)


def test_a_candle_written_again_is_replaced(store):
    """The later one counts, also within one call."""
    store.add([row(0), row(1000)])
    store.add([row(0, close=2.0), row(0, close=3.0, vwap=None)])
    assert store.read("A", "1s", 0, FAR, 9) == [row(0, close=3.0, vwap=None), row(1000)]


def test_candles_of_any_time(store):
    """Months that end, years long ago and to come."""
    days = [-3_000_000_000_000, -1, 0, LATE_JANUARY, LATE_JANUARY + HOUR - 1, LATE_JANUARY + HOUR, 4_102_444_800_000]
    store.add([row(ts) for ts in days])
    assert starts(store) == days
    assert starts(store, start=LATE_JANUARY, end=LATE_JANUARY + HOUR) == days[3:5]
    assert starts(store, end=0, limit=1) == [-1]


def test_progress_goes_with_the_candles(store, opening):
    """Position, cursor and state are there for the next process; each reader and partition has its own."""
    beginning = store.progress("r")
    assert (beginning.position, beginning.cursor, beginning.state) == (0, b"", b"")
    first = beginning.advance(5, cursor=b"\0here", state=b"\xff\0")
    store.add([row(0)], first)
    store.add([], store.progress("r", 1).advance(7))
    store.add([row(1000)], first.after.advance(9, cursor=b"there"))
    again = opening()
    assert again.progress("r") == store.progress("r")
    stored = again.progress("r")
    assert (stored.position, stored.cursor, stored.state) == (9, b"there", b"\xff\0")
    assert again.progress("r", 1).position == 7
    assert again.progress("s").position == 0


def test_whoever_was_overtaken_writes_nothing(store, opening):
    """Not the candles, not the position; it says where the other one stands, and going on from there is allowed."""
    other = opening()
    here, there = store.progress("r"), other.progress("r")
    other.add([row(0)], there.advance(10))
    with pytest.raises(FencedError, match="r, partition 0: another process has taken over and stands at 10; expected position 0"):
        store.add([row(0, close=9.0), row(1000)], here.advance(4))
    assert store.read("A", "1s", 0, FAR, 9) == [row(0)]
    assert store.progress("r").position == 10
    store.add([row(1000)], store.progress("r").advance(12))
    with pytest.raises(FencedError, match="stands at 12; expected position 10"):
        other.add([row(2000)], there.advance(10).after.advance(11))
    assert starts(store) == [0, 1000]


def test_progress_that_vanished_is_not_begun_again(store, place):
    """A position that was stored and is gone means another database, or one that was restored from a copy."""
    step = store.progress("r").advance(3)
    store.add([], step)
    change(place, "DELETE FROM progress")
    with pytest.raises(FencedError, match="went back to position 0"):
        store.add([row(0)], step.after.advance(4))
    assert starts(store) == []


def test_of_two_that_race_one_writes(store, opening):
    """At every step; whoever lost reads where it stands and goes on, and every step is there once."""
    written = []

    def race(mine):
        stood, wrote = mine.progress("race"), 0
        while stood.position < 40:
            step = stood.advance(stood.position + 1)
            try:
                mine.add([row(stood.position, close=float(threading.get_native_id()))], step)
            except FencedError:
                stood = mine.progress("race")
            else:
                written.append(stood.position)
                stood, wrote = step.after, wrote + 1
        return wrote

    with ThreadPoolExecutor(2) as threads:
        wrote = list(threads.map(race, [store, opening()]))
    assert sorted(written) == list(range(40))
    assert sum(wrote) == 40
    assert starts(store) == list(range(40))


def test_threads_may_share_a_store(store):
    """Each call is a transaction of its own."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.add([row(number * 1000)], store.progress(f"r{number}").advance(1)), range(40)))
    assert len(starts(store)) == 40


def test_a_session_that_is_played_again(store):
    """Its candles from before are forgotten from its start on; what is older stays, and so do other symbols."""
    store.add([row(0), row(1000), row(2000), row(2000, timeframe="1m"), row(2000, "B")])
    store.forget(["A", "unknown"], 1000)
    assert starts(store) == [0]
    assert starts(store, timeframe="1m") == []
    assert starts(store, "B") == [2000]


def test_history_is_loaded_in_columns(store):
    """Over the ends of months, with and without a vwap; what is read is what was loaded."""
    count = store.load(series(LATE_JANUARY, 300), series(LATE_JANUARY, 50, "B", "1h", HOUR), series(0, 0, "C"))
    assert count == 350
    found = store.read("A", "1m", 0, FAR, 1000)
    assert found == list(series(LATE_JANUARY, 300).rows())
    assert found[0][8] is None
    assert found[1][8] == 1.25
    assert starts(store, "B", "1h") == [LATE_JANUARY + hour * HOUR for hour in range(50)]


def test_loading_again_changes_nothing_and_newer_numbers_replace_older(store):
    """Whether it is all there, some of it, or just beside it."""
    store.load(series(LATE_JANUARY, 100))
    store.load(series(LATE_JANUARY, 100))
    assert len(starts(store, timeframe="1m")) == 100
    store.load(series(LATE_JANUARY + 50 * 60_000, 100, close=7.0), series(LATE_JANUARY, 10, "B"))
    store.load(series(LATE_JANUARY - 200 * 60_000, 100))
    found = store.read("A", "1m", 0, FAR, 1000)
    assert [candle[6] for candle in found] == [1.0] * 150 + [7.0] * 100
    assert len(starts(store, "B", "1m")) == 10


def test_two_that_load_at_once(store, opening):
    """The same months, of which none is there yet; both come to their end."""
    other = opening()
    with ThreadPoolExecutor(2) as threads:
        loads = [(store, "A"), (other, "B"), (store, "C"), (other, "C")]
        counts = list(threads.map(lambda load: load[0].load(series(LATE_JANUARY, 5000, load[1])), loads))
    assert counts == [5000] * 4
    assert all(len(starts(store, symbol, "1m")) == 5000 for symbol in "ABC")


def test_live_candles_and_history_at_once(store, opening):
    """Neither hinders the other, also where a month begins."""
    other = opening()

    def live():
        stood = other.progress("live")
        for number in range(50):
            step = stood.advance(number + 1)
            other.add([row(LATE_JANUARY + HOUR + number * 1000, "LIVE")], step)
            stood = step.after

    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(live), threads.submit(store.load, series(LATE_JANUARY, 20_000))]
        for one in done:
            one.result()
    assert len(starts(store, "LIVE")) == 50
    assert len(starts(store, timeframe="1m", limit=30_000)) == 20_000


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("ts", [3, 2, 1], "their starts do not grow"),
        ("ts", [1, 2, 2], "their starts do not grow"),
        ("close", [1.0, float("nan"), 1.0], "close is not finite"),
        ("volume", [1.0, 2.0], "volume has the shape"),
    ],
)
def test_columns_that_make_no_sense(column, values, problem):
    """Named, before anything is written."""
    whole = {name: getattr(series(0, 3), name) for name in COLUMNS}
    with pytest.raises(DataError, match=problem):
        Series(**{**whole, column: np.array(values)})


def test_a_store_without_its_tables(store, place):
    """An error that says so, whatever is asked."""
    change(place, "DROP TABLE candles")
    change(place, "DROP TABLE progress")
    for ask in (store.check, lambda: store.read("A", "1s", 0, 1, 1), lambda: store.add([row(0)], store.progress("r").advance(1))):
        with pytest.raises(JournalError):
            ask()


def test_closing_twice_is_closing(store, opening, place):
    """So that a `with` and a supervisor may both do it; what was written is there."""
    store.add([row(0)])
    store.close()
    store.close()
    opening().check()
    assert rows(place, "SELECT count(*) FROM candles") == [(1,)]
    with pytest.raises(StorageError):
        store.check()
