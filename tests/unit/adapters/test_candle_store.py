"""Candles in SQLite: written in batches, read by range, and the place in the run beside them."""

import sqlite3

import pytest

from openbell.adapters.stores.candles import CandleStore
from openbell.errors import StorageError


def row(ts, symbol="A", timeframe="1s", close=1.0):
    return symbol, timeframe, ts, 1.0, 2.0, 0.5, close, 10.0, 1.2, 3


@pytest.fixture
def store(tmp_path):
    made = CandleStore(tmp_path / "deep/candles.db")
    yield made
    made.close()


def test_what_is_written_is_read(store):
    """By symbol, timeframe and half-open range, the newest, oldest first."""
    store.add("r", 5, [row(ts) for ts in range(0, 10_000, 1000)] + [row(0, timeframe="1m"), row(0, "B")])
    assert [found[2] for found in store.read("A", "1s", 2000, 5000, 100)] == [2000, 3000, 4000]
    assert [found[2] for found in store.read("A", "1s", 0, 1 << 60, 2)] == [8000, 9000]
    assert store.read("A", "1m", 0, 1 << 60, 9) == [row(0, timeframe="1m")]
    assert store.read("C", "1s", 0, 1 << 60, 9) == []


def test_the_place_in_the_run_is_kept(store):
    """With the candles, in the same transaction; a candle written again is the same candle."""
    assert store.covered("r") == 0
    store.add("r", 5, [row(0)])
    store.add("r", 9, [row(0, close=2.0), row(1000)])
    assert store.covered("r") == 9
    assert [found[6] for found in store.read("A", "1s", 0, 1 << 60, 9)] == [2.0, 1.0]


def test_a_session_that_is_played_again(store):
    """Its candles from before are forgotten from its start on; what is older stays, and so do other symbols."""
    store.add("r", 1, [row(0), row(1000), row(2000), row(2000, "B")])
    store.forget(["A"], 1000)
    assert [found[2] for found in store.read("A", "1s", 0, 1 << 60, 9)] == [0]
    assert len(store.read("B", "1s", 0, 1 << 60, 9)) == 1


def test_moved(store):
    """Open of the first, volume, trades, and start of the last since a moment."""
    store.add("r", 1, [row(ts) for ts in (0, 1000, 2000)])
    assert store.moved("A", "1s", 1000) == (1.0, 20.0, 6, 2000)
    assert store.moved("A", "1s", 9000) == (None, 0.0, 0, 0)


def test_files_that_are_not_ours(tmp_path):
    """Another program's database, a text file, a folder that is a file: a StorageError each."""
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    (tmp_path / "text.db").write_text("hello, this is no database" * 100)
    (tmp_path / "file").write_text("")
    for path in ("other.db", "text.db", "file/candles.db"):
        with pytest.raises(StorageError):
            CandleStore(tmp_path / path)
    assert (tmp_path / "text.db").read_text().startswith("hello")
