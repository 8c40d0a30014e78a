"""Double entry against a naive exact model: fractions, one lot at a time, nothing clever."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openbell.model.accounts import ACCOUNT_RECORD, POSITION_RECORD
from openbell.model.orders import FILL_RECORD
from openbell.portfolio.accounting import apply_fill

#: (side, lots, money for all of them, fee in money): positions of either sign, flips, rebates, huge and tiny amounts.
FILL = st.tuples(st.sampled_from([1, -1]), st.integers(1, 10**9), st.integers(1, 10**15), st.integers(-(10**6), 10**9))
DEPOSIT = 10**16


class Exact:
    """What the books should say, in exact fractions: average cost, closed first and opened then."""

    def __init__(self):
        self.quantity, self.cost, self.realised, self.cash, self.fees = 0, Fraction(0), Fraction(0), DEPOSIT, 0

    def fill(self, side, lots, notional, fee):
        price = Fraction(notional, lots)
        closing = min(abs(self.quantity), lots) if self.quantity * side < 0 else 0
        if closing:
            average = self.cost / self.quantity
            self.realised += closing * (price - average) * (1 if self.quantity > 0 else -1)
            self.cost += side * closing * average
        self.cost += side * (lots - closing) * price
        self.quantity += side * lots
        self.cash -= side * notional + fee
        self.fees += fee


def books():
    """An account, a position, and the one fill record they are posted from."""
    account, position = np.zeros(1, ACCOUNT_RECORD), np.zeros(1, POSITION_RECORD)
    account["cash"] = account["deposits"] = DEPOSIT
    return account[0], position[0], np.zeros(1, FILL_RECORD)[0]


def post(account, position, record, fill):
    record["side"], record["quantity"], record["notional"], record["fee"] = fill
    apply_fill(account, position, record)
    return int(record["realised"])


def balance(account):
    """0 when every posting had its counterpart."""
    return int(account["cash"]) + int(account["inventory"]) + int(account["fees"]) - int(account["realised"]) - int(account["deposits"])


@given(st.lists(FILL, max_size=60))
def test_books_agree_with_exact_arithmetic(fills):
    """Cash, fees and lots to the unit; cost and profit to half a unit for each rounding; the balance is 0 after every posting."""
    account, position, record = books()
    exact = Exact()
    realised = 0
    for count, fill in enumerate(fills, 1):
        realised += post(account, position, record, fill)
        exact.fill(*fill)
        assert balance(account) == 0
        assert int(position["cost"]) == int(account["inventory"])
        assert (int(account["cash"]), int(account["fees"]), int(position["quantity"])) == (exact.cash, exact.fees, exact.quantity)
        assert int(account["realised"]) == int(position["realised"]) == realised
        # Shares of amounts beyond 2^53 are taken in float64, one part in 2^53 of the amount each time.
        allowed = 2 * count + Fraction(sum(each[2] for each in fills[:count]) * count, 2**52)
        assert abs(int(position["cost"]) - exact.cost) <= allowed
        assert abs(int(position["realised"]) - exact.realised) <= allowed


@given(st.lists(FILL, max_size=60))
def test_position_is_the_sum_of_fills(fills):
    """Lots held are lots bought less lots sold, and a flat position costs nothing."""
    account, position, record = books()
    for fill in fills:
        post(account, position, record, fill)
        assert int(position["quantity"]) == int(position["bought"]) - int(position["sold"])
        if position["quantity"] == 0:
            assert position["cost"] == 0
    assert int(position["quantity"]) == sum(side * lots for side, lots, _, _ in fills)
    assert int(position["fills"]) == int(account["fills"]) == len(fills)


@given(st.lists(FILL, min_size=1, max_size=30))
def test_closing_everything_realises_what_cash_gained(fills):
    """Once flat, the profit is the change of cash without the fees, to the unit."""
    account, position, record = books()
    for fill in fills:
        post(account, position, record, fill)
    if position["quantity"] != 0:
        side = -1 if position["quantity"] > 0 else 1
        post(account, position, record, (side, abs(int(position["quantity"])), 12_345_678, 0))
    assert int(account["realised"]) == int(account["cash"]) + int(account["fees"]) - DEPOSIT


def test_a_worked_example():
    """Bought 10 at 100 and 10 at 110 (average 105), sold 30 at 120: 300 realised, short 10 at 120."""
    account, position, record = books()
    assert [post(account, position, record, fill) for fill in ((1, 10, 1_000, 1), (1, 10, 1_100, 1), (-1, 30, 3_600, 3))] == [0, 0, 300]
    assert (int(position["quantity"]), int(position["cost"]), int(position["realised"])) == (-10, -1_200, 300)
    assert int(account["cash"]) - DEPOSIT == -1_000 - 1_100 + 3_600 - 5
