"""Questions about many symbols against numpy's own answers."""

import numpy as np
import pandas
import pytest

from openbell.analytics.questions import aligned, anomalies, change_percent, chosen_pairs, highest, stale, strongest_pairs
from openbell.model.analytics import BURST, CLOSES_RECORD, JUMP, PARTS, READING_RECORD, RING, STALE
from openbell.model.time import MINUTE, SECOND

NOW = 1_700_000_000 * SECOND


def closes_of(prices, part=1000):
    """CLOSES of prices of shape (symbols, RING - 1)."""
    found = np.zeros(len(prices), CLOSES_RECORD)
    found["part"], found["known"] = part, RING - 1
    found["close"][:, 0], found["close"][:, 1:] = np.nan, prices
    return found


def walks(count, seed=1, volatility=1e-3):
    """Random walks that have something in common."""
    random = np.random.default_rng(seed)
    shared = random.normal(0.0, volatility, RING - 1)
    steps = random.normal(0.0, volatility, (count, RING - 1)) + random.uniform(-2.0, 2.0, (count, 1)) * shared
    return 100.0 * np.exp(np.cumsum(steps, axis=1))


def readings(count, **fields):
    """READING of so many symbols, which have just ticked."""
    found = np.zeros(count, READING_RECORD)
    found["last_ts"], found["usual_gap"] = NOW, SECOND
    for name, value in fields.items():
        found[name] = value
    return found


def test_the_highest():
    """In order, only what is above 0, the first of what is the same first."""
    assert highest(np.array([1.0, 3.0, -1.0, 3.0, 0.0, 2.0]), 3).tolist() == [1, 3, 5]
    assert highest(np.array([1.0, -1.0]), 5).tolist() == [0]
    assert highest(np.zeros(0), 5).tolist() == []
    random = np.random.default_rng(1).normal(size=1000)
    assert highest(random, 10).tolist() == np.argsort(-random)[:10].tolist()


def test_changes():
    """Per cent of the price before the window."""
    found = readings(2, price=[101.0, 99.0])
    found["windows"]["reference"][:, 1] = 100.0
    assert change_percent(found, 1) == pytest.approx([1.0, -1.0])


def test_correlations_are_those_of_pandas():
    """Of the log returns of 60 parts, for chosen symbols and for the strongest of all."""
    prices = walks(40)
    returns = np.diff(np.log(prices[:, -PARTS - 1 :]), axis=1)
    matrix = pandas.DataFrame(returns.T).corr().to_numpy()
    for first, second, value, count in chosen_pairs(closes_of(prices[:6])):
        assert (value, count) == (pytest.approx(matrix[first, second], rel=1e-9), PARTS)
    strongest = strongest_pairs(closes_of(prices), 25)
    above = [(abs(matrix[a, b]), a, b) for a in range(40) for b in range(a + 1, 40)]
    assert [(a, b) for a, b, _, _ in strongest] == [(a, b) for _, a, b in sorted(above, reverse=True)[:25]]
    assert [value for _, _, value, _ in strongest] == pytest.approx([matrix[a, b] for a, b, _, _ in strongest], rel=1e-9)


def test_blocks_change_nothing():
    """More symbols than are looked at at once."""
    prices = walks(600)
    matrix = np.corrcoef(np.diff(np.log(prices[:, -PARTS - 1 :]), axis=1))
    found = strongest_pairs(closes_of(prices), 50)
    bound = np.sort(np.abs(matrix[np.triu_indices(600, 1)]))[-50]
    assert {(a, b) for a, b, _, _ in found} == {(int(a), int(b)) for a, b in np.argwhere(np.triu(np.abs(matrix) >= bound - 1e-12, 1))}


def test_one_that_is_behind():
    """Two parts are made up for; who is further behind is left out, and so are parts that only one has."""
    prices = walks(3)
    closes = closes_of(prices)
    shifted = closes_of(np.concatenate([np.full((1, 2), 50.0), prices[1:2, :-2]], axis=1), 998)
    closes[1] = shifted[0]
    rows, known, common = aligned(closes)
    assert (rows.tolist(), known.tolist()) == ([0, 1, 2], [61, 61, 61])
    assert common[:, -1].tolist() == prices[:, -3].tolist()
    value = np.corrcoef(np.diff(np.log(prices[:, -PARTS - 3 : -2]), axis=1))[0, 1]
    assert chosen_pairs(closes)[0][2] == pytest.approx(value, rel=1e-9)
    closes["part"][2] = 990
    assert aligned(closes)[0].tolist() == [0, 1]
    assert np.isnan(chosen_pairs(closes)[1][2])


def test_too_little_to_say():
    """Fewer than twenty returns, or a price that stands, correlate with nothing; the shorter of two decides."""
    closes = closes_of(walks(3))
    closes["known"] = (63, 20, 30)
    found = chosen_pairs(closes)
    assert [count for _, _, _, count in found] == [19, 29, 19]
    assert [np.isnan(value) for _, _, value, _ in found] == [True, False, True]
    closes["known"], closes["close"][1, 1:] = 63, 100.0
    assert np.isnan(chosen_pairs(closes)[0][2])
    assert [pair[:2] for pair in strongest_pairs(closes, 5)] == [(0, 2)]
    assert strongest_pairs(closes[:0], 5) == strongest_pairs(closes[:1], 5) == []


def test_stale_while_others_trade():
    """Nothing for thirty usual gaps and thirty seconds, while half of the busy others go on."""
    found = readings(5)
    found["last_ts"][0] = NOW - 31 * SECOND
    is_stale, limit = stale(found, NOW)
    assert (is_stale.tolist(), limit[0]) == ([True] + [False] * 4, 30 * SECOND)
    found["usual_gap"][0] = 2 * SECOND
    assert not stale(found, NOW)[0].any()
    found["last_ts"][0] = NOW - 2 * MINUTE
    assert stale(found, NOW)[0].tolist() == [True] + [False] * 4
    found["last_ts"][:3] = NOW - 2 * MINUTE
    assert stale(found, NOW)[0].tolist() == [True] * 3 + [False] * 2
    found["last_ts"][:4] = NOW - 2 * MINUTE
    assert not stale(found, NOW)[0].any(), "the market is closed, or the feed is gone"
    assert not stale(readings(1, last_ts=NOW - MINUTE), NOW)[0].any()


def test_anomalies_are_the_newest_first():
    """Flags of the last fifteen minutes, and who is stale since the moment at which it was."""
    found = readings(3)
    found["flags"]["ts"][1, JUMP], found["flags"]["value"][1, JUMP] = NOW - MINUTE, 2.5
    found["flags"]["ts"][2, BURST] = NOW - 15 * MINUTE
    found["last_ts"][0] = NOW - 40 * SECOND
    seen = anomalies(found, NOW)
    assert list(zip(seen.row.tolist(), seen.kind.tolist(), strict=True)) == [(0, STALE), (1, JUMP)]
    assert seen.ts.tolist() == [NOW - 10 * SECOND, NOW - MINUTE]
    assert seen.value.tolist() == [40.0, 2.5]
    assert (seen.usual[0], seen.limit[0]) == (1.0, 30.0)
    assert len(anomalies(found[:0], NOW).row) == 0
