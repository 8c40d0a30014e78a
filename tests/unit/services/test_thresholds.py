"""Alerts compared with arrays of prices: each is met by the first price that a comparison one by one finds, however the prices are cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.services.alerts.thresholds import Thresholds


def first_met(condition, target, prices, last=None):
    """The index of the first price that meets a condition, one price after the other; None without one."""
    before = last
    for index, price in enumerate(prices):
        if condition == "above" and price >= target:
            return index
        if condition == "below" and price <= target:
            return index
        if condition == "crosses" and before is not None and (before < target <= price or before > target >= price):
            return index
        before = price
    return None


def expected(alerts, prices, last=None):
    found = [(first_met(condition, target, prices, last), id) for id, condition, target in alerts]
    return [(id, index) for index, id in sorted(item for item in found if item[0] is not None)]


def met(standing, prices):
    return standing.take(np.array(prices, float))


#: Few different prices, so that many are equal to a target.
price = st.integers(1, 12).map(lambda number: number / 2)
conditions = st.sampled_from(["above", "below", "crosses"])
wanted = st.lists(st.tuples(conditions, price), max_size=12).map(lambda found: [(id, *alert) for id, alert in enumerate(found, 1)])


@settings(max_examples=400, deadline=None)
@given(alerts=wanted, prices=st.lists(price, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=8), last=st.none() | price)
def test_any_cutting_finds_the_first_price_of_each(alerts, prices, cuts, last):
    """Every alert that is met is met once, by the price that one comparison after the other finds, in order."""
    standing = Thresholds(last)
    standing.add(alerts)
    found, edges = [], [0, *sorted(min(cut, len(prices)) for cut in cuts), len(prices)]
    for begin, end in itertools.pairwise(edges):
        found += [(id, begin + index) for id, index in met(standing, prices[begin:end])]
    assert found == expected(alerts, prices, last)
    assert len(standing) == len(alerts) - len(found)
    assert standing.last == (prices[-1] if prices else last)


@settings(max_examples=200, deadline=None)
@given(
    alerts=wanted, later=wanted, before=st.lists(price, max_size=20), prices=st.lists(price, max_size=30), gone=st.sets(st.integers(1, 12))
)
def test_alerts_that_come_and_go_between_prices(alerts, later, before, prices, gone):
    """A new one is compared with what comes after it; one that is gone is not compared any more."""
    standing = Thresholds()
    standing.add(alerts)
    first = met(standing, before)
    new = [(id + 100, condition, target) for id, condition, target in later]
    standing.add(new)
    standing.discard(gone)
    last = before[-1] if before else None
    left = {id for id, _, _ in alerts} - {id for id, _ in first} - gone
    old = [(id, first_met(condition, target, before + prices)) for id, condition, target in alerts if id in left]
    fresh = [(id, first_met(condition, target, prices, last)) for id, condition, target in new]
    shifted = [(index - len(before), id) for id, index in old if index is not None]
    assert met(standing, prices) == [(id, index) for index, id in sorted(shifted + [(at, id) for id, at in fresh if at is not None])]


@pytest.mark.parametrize(
    ("condition", "prices", "index"),
    [
        ("above", [9, 10], 1), ("above", [11], 0), ("above", [9, 9.99], None), ("below", [11, 10], 1), ("below", [9], 0),
        ("crosses", [9, 11], 1), ("crosses", [11, 9], 1), ("crosses", [9, 10], 1), ("crosses", [11, 10], 1), ("crosses", [10, 11], None),
        ("crosses", [10, 9, 9], None), ("crosses", [10, 10, 9, 9, 10], 4), ("crosses", [10, 11, 9], 2), ("crosses", [11], None),
    ],
)  # fmt: skip
def test_what_each_condition_means(condition, prices, index):
    """At the target counts for above and below; coming to the target counts for crosses, leaving it does not."""
    standing = Thresholds()
    standing.add([(1, condition, 10.0)])
    assert met(standing, prices) == ([] if index is None else [(1, index)])


def test_the_price_before_the_first_is_remembered():
    """A crossing between what was known before and the first price."""
    standing = Thresholds(last=9.0)
    standing.add([(1, "crosses", 10.0), (2, "crosses", 8.0)])
    assert met(standing, [11.0]) == [(1, 0)]
    assert met(standing, [7.0]) == [(2, 0)]


def test_ten_thousand_at_once():
    """A storm: every alert is met, each by its own price."""
    standing = Thresholds()
    standing.add((id, "above", float(id)) for id in range(1, 10_001))
    assert met(standing, np.arange(1.0, 20_001.0)) == [(id, id - 1) for id in range(1, 10_001)]
