"""Reading history: every container and every name of a column gives the same columns; bad rows are named."""

import gzip
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from openbell.adapters.stores.history import Columns, concatenate, read_all, read_history
from openbell.errors import DataError, UnknownNameError

MINUTE = 60_000_000_000
START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z


def bars(rows=5):
    """A small clean table of bars."""
    close = 100.0 + np.arange(rows)
    return {
        "time": START + MINUTE * np.arange(rows),
        "open": close - 0.5,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": np.full(rows, 7.0),
    }


def frame(rows=5, **changes):
    return pl.DataFrame(bars(rows)).with_columns(**changes)


def stamped(rows=5):
    """The same bars with a datetime column, as frames usually have it."""
    return frame(rows).with_columns(pl.from_epoch("time", "ns"))


def message(call):
    with pytest.raises((DataError, UnknownNameError)) as caught:
        call()
    return str(caught.value)


def broken(row, column, value):
    """Bars with one cell changed."""
    table = bars()
    table[column] = table[column].copy()
    table[column][row] = value
    return message(lambda: read_all(read_history(table)))


def test_every_container_gives_the_same_columns(tmp_path):
    """A file, a frame of either kind, an array: the reader does not let one see the difference."""
    table = stamped(300)
    table.write_parquet(tmp_path / "AAPL.parquet")
    table.write_csv(tmp_path / "AAPL.csv")
    (tmp_path / "AAPL.csv.gz").write_bytes(gzip.compress((tmp_path / "AAPL.csv").read_bytes()))
    (tmp_path / "parts").mkdir()
    table[:100].write_parquet(tmp_path / "parts" / "a.parquet")
    table[100:].write_parquet(tmp_path / "parts" / "b.parquet")
    records = np.zeros(300, [(name, "i8" if name == "time" else "f8") for name in table.columns])
    for name, values in bars(300).items():
        records[name] = values
    panda = pd.DataFrame(bars(300)).assign(time=lambda t: pd.to_datetime(t.time, utc=True))
    sources = [
        tmp_path / "AAPL.parquet",
        str(tmp_path / "AAPL.csv"),
        tmp_path / "AAPL.csv.gz",
        tmp_path / "parts",
        table,
        table.lazy(),
        panda,
        panda.set_index("time"),
        records,
        bars(300),
    ]
    expected = bars(300)
    for source in sources:
        reader = read_history(source, symbols="AAPL")
        found = read_all(reader)
        assert found.kind == "bars"
        assert found.symbols == ("AAPL",)
        np.testing.assert_array_equal(expected["time"], found.ts_event)
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(expected[name], getattr(found, name))
            assert getattr(found, name).dtype == np.float64
        assert (found.ts_event.dtype, found.symbol_index.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("rows", [1, 7, 100, 1_000])
def test_the_size_of_chunks_changes_nothing(rows):
    """Any cut of the same history joins to the same columns, and no chunk is larger than asked."""
    reader = read_history(stamped(300))
    chunks = list(reader.chunks(rows))
    assert max(len(chunk) for chunk in chunks) <= rows
    np.testing.assert_array_equal(bars(300)["close"], concatenate(chunks).close)
    assert reader.quality.rows == 300


def test_a_reader_starts_again_from_the_beginning():
    """`chunks` is a fresh pass each time, with its own counts."""
    reader = read_history(stamped(10))
    assert [len(read_all(reader)), len(read_all(reader))] == [10, 10]
    assert reader.quality.rows == 10


def test_the_default_symbol_is_the_beginning_of_the_files_name(tmp_path):
    """A file without symbols is called as the venues name their downloads."""
    stamped().write_parquet(tmp_path / "btcusdt-1m-2024-01.parquet")
    assert read_history(tmp_path / "btcusdt-1m-2024-01.parquet").symbols == ("BTCUSDT",)
    assert read_history(stamped()).symbols == ("ASSET",)


@pytest.mark.parametrize(
    "names",
    [
        ("Date", "Open", "High", "Low", "Close", "Volume"),
        ("t", "o", "h", "l", "c", "v"),
        ("timestamp", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"),
        ("open_time", "open", "high", "low", "close", "qty"),
        ("DateTime_UTC_barEnd", "Open", "High", "Low", "Close", "Volume"),
    ],
)
def test_names_of_columns_are_recognised_liberally(names):
    """Case and the usual variants of a name do not matter."""
    table = stamped().rename(dict(zip(bars(), names, strict=True)))
    np.testing.assert_array_equal(bars()["close"], read_all(read_history(table)).close)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ([1704067200, 1704067260], "time"),
        ([1704067200.0, 1704067260.0], "time"),
        ([1704067200000, 1704067260000], "time"),
        ([1704067200000000, 1704067260000000], "time"),
        ([START, START + MINUTE], "time"),
        ([1704067200000, 1704067260000], "trade_ts_ms"),
        (["2024-01-01 00:00", "2024-01-01 00:01"], "time"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z"], "time"),
        (["2024-01-01T00:00:00.000", "2024-01-01T00:01:00.000"], "time"),
        (["2024-01-01 00:00:00", "2024-01-01 00:01:00.000000"], "time"),
        (["2024-01-01T05:30:00+05:30", "2023-12-31T19:01:00-05:00"], "time"),
        (["20240101 000000", "20240101 000100"], "DateTime"),
        (["20240101000000", "20240101000100"], "time"),
        (["1704067200000", "1704067260000"], "time"),
        (["2024-01-01 05:30:00", "2024-01-01 05:31:00"], "time_ist"),
    ],
)
def test_units_and_forms_of_time(cells, name):
    """The same two minutes in every form that is understood."""
    found = read_all(read_history({name: cells, "close": [1.0, 2.0]}))
    assert found.ts_event.tolist() == [START, START + MINUTE]


def test_decimals_of_a_second_are_kept():
    """Float seconds keep their microseconds, text its nanoseconds."""
    found = read_all(read_history({"time": [1704067200.000001], "close": [1.0]}))
    assert abs(int(found.ts_event[0]) - (START + 1_000)) < 200
    found = read_all(read_history({"time": ["2024-01-01T00:00:00.123456789"], "close": [1.0]}))
    assert found.ts_event[0] == START + 123_456_789


def test_naive_times_mean_utc_unless_a_zone_is_given():
    """The caller's zone counts for naive times; daylight saving included."""
    table = {"time": ["2024-07-01 09:30:00"], "close": [1.0]}
    assert read_all(read_history(table)).ts_event[0] == np.datetime64("2024-07-01T09:30", "ns").astype(int)
    found = read_all(read_history(table, timezone="America/New_York")).ts_event[0]
    assert found == np.datetime64("2024-07-01T13:30", "ns").astype(int)


def test_a_date_and_a_time_of_day_apart_are_joined():
    """Two text columns, as Indian and forex downloads have them."""
    table = {"Date": ["2024-01-01"] * 2, "Time": ["00:00", "00:01"], "Close": ["1.5", "2.5"]}
    assert read_all(read_history(pl.DataFrame(table))).ts_event.tolist() == [START, START + MINUTE]


def test_trades_know_who_took():
    """`side` in words or numbers, or `buyer_is_maker`; -1 stands for no trade id."""
    table = {"time": [START, START, START + 1], "price": [1.0, 2.0, 3.0], "qty": [5, 6, 7]}
    found = read_all(read_history({**table, "buyer_is_maker": [True, False, True]}))
    assert (found.kind, found.side.tolist(), found.trade_id.tolist()) == ("trades", [-1, 1, -1], [-1, -1, -1])
    found = read_all(read_history({**table, "side": ["BUY", "sell", "unknown"], "id": [7, 8, 9]}))
    assert (found.side.tolist(), found.trade_id.tolist()) == ([1, -1, 0], [7, 8, 9])
    assert read_all(read_history({**table, "side": [1, -1, 0]})).side.tolist() == [1, -1, 0]
    assert read_all(read_history(table)).side.tolist() == [0, 0, 0]


def test_quotes_without_sizes_say_so():
    """Bid and ask are enough; `sized` tells that the zeros are no quantities."""
    found = read_all(read_history({"time": [START], "Bid": [1.0], "Ask": [1.5]}))
    assert (found.kind, found.bid_price.tolist(), found.ask_price.tolist()) == ("quotes", [1.0], [1.5])
    assert not found.sized


def test_bid_and_ask_bars_become_bars_of_the_mid_price():
    """The mean of bid and ask, column by column."""
    table = {"time": [START]}
    for side, shift in (("bid", 0.0), ("ask", 2.0)):
        table |= {f"{side}_open": [10 + shift], f"{side}_high": [14 + shift]}
        table |= {f"{side}_low": [8 + shift], f"{side}_close": [12 + shift]}
    found = read_all(read_history(table))
    assert [found.open[0], found.high[0], found.low[0], found.close[0]] == [11, 15, 9, 13]


def test_a_wide_frame_is_one_close_a_symbol():
    """An empty cell is a day without that symbol; one-letter tickers are symbols, not columns of a bar."""
    table = pl.DataFrame({"Date": ["2024-01-01", "2024-01-02"], "C": [1.0, 2.0], "V": [3.0, None]})
    found = read_all(read_history(table))
    assert found.symbols == ("C", "V")
    assert found.symbol_index.tolist() == [0, 1, 0]
    assert found.close.tolist() == found.open.tolist() == [1.0, 3.0, 2.0]
    assert read_all(read_history(table, symbols="V")).close.tolist() == [3.0]


def test_symbols_are_chosen_and_indexed():
    """A long frame keeps its order; a choice keeps the caller's order of symbols."""
    table = {
        "time": [START, START, START + 1, START + 1],
        "symbol": ["A", "B", "A", "B"],
        "close": [1.0, 2, 3, 4],
    }
    found = read_all(read_history(table))
    assert (found.symbols, found.symbol_index.tolist()) == (("A", "B"), [0, 1, 0, 1])
    found = read_all(read_history(table, symbols=["B"]))
    assert (found.symbols, found.close.tolist()) == (("B",), [2.0, 4.0])
    assert read_history(table, symbols=["B", "A"]).symbols == ("B", "A")


def test_an_unknown_symbol_offers_the_near_ones():
    """The message has the file and the names that were probably meant."""
    table = {"time": [START, START], "symbol": ["BTCUSDT", "ETHUSDT"], "close": [1.0, 2.0]}
    text = message(lambda: read_history(table, symbols="BTCUSD"))
    assert text.startswith("the table of arrays has no symbol 'BTCUSD'. Did you mean 'BTCUSDT'")


def test_one_symbol_of_two_venues_is_not_mixed():
    """Spot and perpetual are two instruments; the message says how to choose."""
    table = {"time": [1, 2], "venue": ["spot", "perp"], "symbol": ["B", "B"], "close": [1.0, 2.0]}
    assert "where={'venue': 'spot'}" in message(lambda: read_history(table))
    assert read_all(read_history(table, where={"venue": "perp"})).close.tolist() == [2.0]


def test_a_range_of_time_is_half_open():
    """Start belongs to it, the end does not; text, datetime and ns mean the same."""
    for end in ("2024-01-01T00:03:00Z", datetime(2024, 1, 1, 0, 3, tzinfo=UTC), START + 3 * MINUTE):
        reader = read_history(bars(), start="2024-01-01T00:01", end=end)
        assert read_all(reader).close.tolist() == [101.0, 102.0]
    assert "has no rows between" in message(lambda: read_all(read_history(bars(), start="2030-01-01")))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -3.5])
def test_a_price_that_is_none_is_refused(value):
    """NaN, infinite, zero and negative prices, with row, column and what was found."""
    text = broken(2, "close", value)
    assert "row 3, column 'close'" in text
    assert f"found {value}" in text
    assert "a finite price above 0" in text


def test_a_bar_that_is_none_is_refused():
    """High and low must hold the whole bar; the message shows it."""
    text = broken(1, "high", 50.0)
    assert "row 2, column 'high': found 50.0 in a bar of open 100.5, high 50, low 100, close 101" in text
    assert "column 'low'" in broken(1, "low", 100.75)
    assert "column 'volume': found -1.0" in broken(0, "volume", -1.0)


def test_bad_rows_can_be_dropped_and_are_counted():
    """`on_bad="drop"` leaves them out and says how many, and why."""
    table = frame(
        high=pl.Series([101.0, 50.0, 103.0, 104.0, 105.0]),
        close=pl.Series([100.0, 101.0, np.nan, 103.0, 104.0]),
    )
    reader = read_history(table, on_bad="drop")
    assert read_all(reader).close.tolist() == [100.0, 103.0, 104.0]
    assert reader.quality.notes() == [
        "1 rows dropped: close was not a finite price above 0",
        "1 rows dropped: high was not at or above the low",
    ]


def test_text_among_the_numbers_is_shown(tmp_path):
    """A CSV cell is quoted as it stands, with the line an editor shows."""
    stamped().write_csv(tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text().replace("102.0,7.0", "n/a,7.0")
    (tmp_path / "x.csv").write_text(text)
    found = message(lambda: read_all(read_history(tmp_path / "x.csv")))
    assert found.startswith("x.csv, row 3 (line 4), column 'close': found 'n/a'; expected a finite price")


def test_time_that_falls_is_refused_or_sorted():
    """The default names the row and both times; sorting is stable and counted."""
    table = frame(time=pl.Series([START, START + 3, START + 1, START + 2, START + 4]))
    text = message(lambda: read_all(read_history(table)))
    assert "row 3: time runs backwards" in text
    assert "sort=True" in text
    reader = read_history(table, sort=True)
    assert read_all(reader).close.tolist() == [100, 102, 103, 101, 104]
    assert reader.quality.notes() == ["2 rows stood out of time order and were sorted"]


def test_order_is_checked_between_chunks():
    """The last time of a chunk is remembered, so a cut hides nothing."""
    table = frame(time=pl.Series([START, START + 3, START + 1, START + 5, START + 6]))
    assert "row 3: time runs backwards" in message(lambda: list(read_history(table).chunks(1)))


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_second_bar_at_one_time_is_refused_or_dropped(rows):
    """A symbol has one bar a time, in whatever chunks it comes; trades may share one."""
    times, names = [1, 1, 2, 2, 2], ["A", "B", "A", "B", "A"]
    table = {"time": START + MINUTE * np.array(times), "symbol": names, "close": [1.0, 2, 3, 4, 5]}
    text = message(lambda: list(read_history(table).chunks(rows)))
    assert "row 5: a second bar of A at 2024-01-01T00:02:00Z" in text
    reader = read_history(table, on_bad="drop")
    assert concatenate(list(reader.chunks(rows))).close.tolist() == [1, 2, 3, 4]
    assert reader.quality.dropped["a second bar at the same time"] == 1
    single = {"time": [START, START], "close": [1.0, 2.0]}
    assert "row 2: a second bar" in message(lambda: list(read_history(single).chunks(rows)))
    trades = {"time": [START, START], "price": [1.0, 2.0], "size": [1.0, 1.0]}
    assert len(read_all(read_history(trades))) == 2


def test_a_time_that_cannot_be_read_is_named():
    """One cell of another form than the first is refused, not guessed."""
    table = {"time": ["2024-01-01", "01/02/2024"], "close": [1.0, 2.0]}
    assert "row 2, column 'time': found '01/02/2024'" in message(lambda: read_all(read_history(table)))
    day_first = {"time": ["31/01/2024"], "close": [1.0]}
    assert "Write the times as ISO 8601" in message(lambda: read_history(day_first))


def test_wrong_columns_are_listed_with_near_names():
    """What was found, what is needed, what was probably meant."""
    text = message(lambda: read_history(stamped().rename({"low": "lwo"})))
    assert "has the columns time, open, high, lwo, close, volume" in text
    assert "'lwo' to 'low'" in text
    text = message(lambda: read_history({"price": [1.0], "size": [2.0]}))
    assert "no column of times" in text
    assert "order book" in message(lambda: read_history({"ts": [1], "last_update_id": [1], "price": [1.0]}))


def test_files_that_cannot_be_read(tmp_path):
    """Missing, empty, truncated, of another kind: each a DataError that names the file."""
    stamped(3_000).write_parquet(tmp_path / "half.parquet")
    whole = (tmp_path / "half.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "header.csv").write_bytes(b"time,close\n")
    (tmp_path / "numbers.csv").write_bytes(b"1,2\n3,4\n")
    (tmp_path / "wide.csv").write_bytes(b"time,close\n2024-01-01,1\n2024-01-02,2,3\n")
    stamped(3_000).write_csv(tmp_path / "whole.csv")
    packed = gzip.compress((tmp_path / "whole.csv").read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "photo.jpg").write_bytes(b"x")
    (tmp_path / "none").mkdir()
    expected = {
        "missing.csv": "there is no file",
        "half.parquet": "half.parquet cannot be read",
        "empty.csv": "empty.csv is empty",
        "header.csv": "header.csv has no rows",
        "numbers.csv": "expected a header line",
        "wide.csv": "row 2 (line 3) has 3 cells",
        "cut.csv.gz": "cut.csv.gz cannot be read",
        "photo.jpg": "ends in '.jpg'",
        "none": "holds no Parquet or CSV",
    }
    for name, text in expected.items():
        assert text in message(lambda name=name: read_all(read_history(tmp_path / name)))
    assert "cannot read a" in message(lambda: read_history(42))


def test_a_folder_needs_one_set_of_columns(tmp_path):
    """A file with other columns is named."""
    stamped().write_parquet(tmp_path / "a.parquet")
    stamped().drop("close").write_parquet(tmp_path / "b.parquet")
    assert "b.parquet has the columns" in message(lambda: read_all(read_history(tmp_path)))


def test_columns_of_unequal_length_are_our_bug():
    """The dataclass asserts what every reader promises."""
    with pytest.raises(AssertionError, match="close"):
        Columns("bars", ("A",), np.zeros(2, np.int64), np.zeros(2, np.int32), *[np.ones(2)] * 3, close=np.ones(3))
