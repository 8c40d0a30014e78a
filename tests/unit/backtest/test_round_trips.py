"""Round trips against tables worked by hand, a slow second model, and the cash that moved."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest.round_trips import Fills, round_trips
from openbell.errors import DataError


def make_fills(rows, lot_size=1.0):
    """Fills from rows of (symbol_index, side, quantity, price, fee), one a second."""
    table = np.array(rows, float).reshape(-1, 5)
    return Fills(
        np.arange(len(table)) * 10**9,
        table[:, 0].astype(np.int32),
        table[:, 1].astype(np.int8),
        table[:, 2].astype(np.int64),
        table[:, 3],
        table[:, 4],
        lot_size,
    )


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([1, -1]),
        st.integers(1, 9),
        st.integers(50, 150).map(float),
        st.integers(0, 4).map(float),
    ),
    max_size=40,
)


def walk(rows):
    """First in, first out with a queue of lots: the obvious way, as the second model."""
    queues, found = {}, []
    for exit_, (symbol, side, quantity, price, fee) in enumerate(rows):
        queue = queues.setdefault(symbol, deque())
        left = quantity
        while left and queue and queue[0][1] != side:
            entry, entry_side, size, entry_price, entry_fee = queue[0]
            closed = min(left, size)
            paid = closed * (entry_fee + fee / quantity)
            found.append((exit_, entry, entry_side, closed, entry_side * closed * (price - entry_price) - paid))
            left -= closed
            queue.popleft()
            if size > closed:
                queue.appendleft((entry, entry_side, size - closed, entry_price, entry_fee))
        if left:
            queue.append((exit_, side, left, price, fee / quantity))
    return found


@given(ROWS)
def test_first_in_first_out_is_the_queue(rows):
    """Piece for piece what a queue of lots gives, through every turn from long to short."""
    trips = round_trips(make_fills(rows))
    found = [
        (exit_ts // 10**9, entry_ts // 10**9, side, quantity)
        for exit_ts, entry_ts, side, quantity in zip(trips.exit_ts, trips.entry_ts, trips.side, trips.quantity, strict=True)
    ]
    expected = walk(rows)
    assert [row[:4] for row in expected] == found
    np.testing.assert_allclose(trips.pnl, [row[4] for row in expected], atol=1e-9)


@given(ROWS, st.sampled_from(["fifo", "average"]))
def test_what_was_earned_is_the_cash_that_moved(rows, method):
    """Once everything is closed, the round trips add up to sales minus purchases minus fees."""
    closing = []
    for symbol in range(3):
        position = sum(side * quantity for s, side, quantity, *_ in rows if s == symbol)
        if position:
            closing.append((symbol, -1 if position > 0 else 1, abs(position), 101.0, 1.0))
    everything = [*rows, *closing]
    cash = sum(-side * quantity * price - fee for _, side, quantity, price, fee in everything)
    trips = round_trips(make_fills(everything), method)
    assert trips.pnl.sum() == pytest.approx(cash, abs=1e-6)
    assert trips.fee.sum() == pytest.approx(sum(fee for *_, fee in everything), abs=1e-9)


def test_first_in_first_out_by_hand():
    """Buy 10 at 100, buy 10 at 110, sell 15 at 120: ten earn 20 each, five earn 10 each, fees in proportion."""
    trips = round_trips(make_fills([(0, 1, 10, 100, 10), (0, 1, 10, 110, 20), (0, -1, 15, 120, 30)]))
    assert trips.quantity.tolist() == [10, 5]
    assert trips.fee.tolist() == [10 + 20, 10 + 10]
    assert trips.pnl.tolist() == [200 - 30, 50 - 20]
    np.testing.assert_allclose(trips.returns, [170 / 1000, 30 / 550])


def test_average_cost_by_hand():
    """The same fills at the average of 105; then a turn from long to short keeps the rest at its own price."""
    rows = [(0, 1, 10, 100, 10), (0, 1, 10, 110, 20), (0, -1, 25, 120, 50), (0, 1, 5, 90, 0)]
    trips = round_trips(make_fills(rows), "average")
    assert trips.side.tolist() == [1, -1]
    assert trips.quantity.tolist() == [20, 5]
    assert trips.entry_price.tolist() == [105, 120]
    assert trips.pnl.tolist() == [20 * 15 - 30 - 40, 5 * 30 - 10]
    assert trips.entry_ts.tolist() == [0, 2 * 10**9]


def test_lots_become_money_by_the_lot_size_of_the_symbol():
    """One number for all, or one a symbol."""
    rows = [(0, 1, 3, 10, 0), (1, 1, 3, 10, 0), (0, -1, 3, 11, 0), (1, -1, 3, 11, 0)]
    assert round_trips(make_fills(rows, 0.5)).pnl.tolist() == [1.5, 1.5]
    fills = make_fills(rows, np.array([1.0, 100.0]))
    assert round_trips(fills).pnl.tolist() == [3.0, 300.0]
    assert fills.value.tolist() == [30, 3000, 33, 3300]


@pytest.mark.parametrize("method", ["fifo", "average"])
def test_no_round_trips(method):
    """No fills, or none that closes anything."""
    assert len(round_trips(make_fills([]), method)) == 0
    assert len(round_trips(make_fills([(0, 1, 3, 10, 0), (0, 1, 3, 10, 0)]), method)) == 0


def test_quantities_are_whole_lots():
    """0.1 + 0.2 - 0.3 would leave a position of dust for ever."""
    one = np.ones(1)
    with pytest.raises(DataError, match="whole lots"):
        Fills(one.astype(np.int64), one.astype(np.int32), one.astype(np.int8), one, one, one)
    with pytest.raises(DataError, match="no quantity or no side"):
        make_fills([(0, 1, 0, 10, 0)])
