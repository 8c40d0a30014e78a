"""Merging histories: one order over all of them, the same as sorting everything at once."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.stores.history import Columns, merge, read_history

KINDS = ("bars", "trades", "quotes")


class Chunked:
    """A history in memory whose chunks are as small as wished, whatever is asked for."""

    def __init__(self, times, symbols, rows):
        self.kind = "trades"
        self.symbols = symbols
        self._rows = rows
        n = len(times)
        index = (np.arange(n) % len(symbols)).astype(np.int32)
        price = np.arange(1.0, n + 1)
        self.columns = Columns(
            "trades",
            symbols,
            np.array(times, np.int64),
            index,
            price=price,
            quantity=price,
            side=np.zeros(n, np.int8),
            trade_id=np.arange(n),
        )

    def chunks(self, rows=0):
        for begin in range(0, len(self.columns), self._rows):
            yield self.columns.take(slice(begin, begin + self._rows))


def flatten(merged):
    """(time, source, trade_id, symbol) of every row in merged order."""
    rows = []
    for batch in merged.batches():
        filled = np.zeros((len(batch), 3), np.int64)
        for part in batch.parts:
            filled[part.place, 0] = part.source
            filled[part.place, 1] = part.columns.trade_id
            filled[part.place, 2] = part.columns.symbol_index
            np.testing.assert_array_equal(batch.ts_event[part.place], part.columns.ts_event)
        rows += [(int(ts), *map(int, row)) for ts, row in zip(batch.ts_event, filled, strict=True)]
    return rows


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 8), max_size=12), st.integers(1, 5)), min_size=1, max_size=4).filter(
        lambda sources: any(times for times, _ in sources)
    )
)
def test_a_merge_is_a_stable_sort(sources):
    """Whatever the chunks: by time, then by the order of the histories, then by the order within one."""
    histories = [Chunked(sorted(times), (f"S{place}", "SHARED"), rows) for place, (times, rows) in enumerate(sources)]
    merged = merge(histories)
    expected = sorted((time, place, row) for place, (times, _) in enumerate(sources) for row, time in enumerate(sorted(times)))
    found = flatten(merged)
    assert expected == [row[:3] for row in found]
    for _, place, row, symbol in found:
        assert merged.symbols[symbol] == (f"S{place}", "SHARED")[row % 2]


def test_kinds_may_differ_and_symbols_are_shared():
    """Trades and quotes of one instrument have one place in the common table."""
    quotes = {"time": [1, 3], "bid": [1.0, 1.0], "ask": [2.0, 2.0]}
    trades = {"time": [2, 3], "price": [1.5, 1.5], "qty": [1.0, 1.0]}
    merged = merge([read_history(quotes, symbols="B"), read_history(trades, symbols="B")])
    batches = list(merged.batches())
    assert merged.symbols == ("B",)
    assert np.concatenate([batch.ts_event for batch in batches]).tolist() == [second * 10**9 for second in (1, 2, 3, 3)]
    assert batches[0].parts[0].columns.kind == "quotes"


def test_memory_does_not_grow_with_the_length(tmp_path):
    """What is held at once is bounded by the chunks, however long the files are."""
    rows = 400_000
    for name in ("a", "b"):
        pl.DataFrame({"ts_ns": np.arange(rows) * 10**9, "price": np.ones(rows), "qty": np.ones(rows)}).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    merged = merge([read_history(tmp_path / f"{name}.parquet") for name in ("a", "b")])
    sizes = [len(batch) for batch in merged.batches()]
    assert sum(sizes) == 2 * rows
    assert max(sizes) <= 2 * 65_536
