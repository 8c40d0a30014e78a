"""Questions that are about many symbols: what moves, what stands still while others trade, what moves together. Of readings and closes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.model.analytics import BEFORE, PARTS, RETURNS_MIN, RING, STALE, USUAL, WINDOWS
from openbell.model.time import SECOND

Array = np.ndarray[Any, Any]

#: A tick within so long (ns) is trading; whoever usually has one in a fifth of it is expected to.
STALE_NS = 30 * SECOND
#: So many times the usual gap between two ticks is stale.
STALE_TIMES = 30.0
#: How far (parts) the closes of one symbol may be behind those of another.
BEHIND_MAX = RING - 2 - PARTS
#: Symbols whose correlations with all others are computed at once.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Found:
    """Anomalies as columns, the newest first; `row` is that of the reading."""

    row: Array
    kind: Array  # index in ANOMALIES
    ts: Array  # ns, when it began
    value: Array
    usual: Array
    limit: Array


def change_percent(readings: Array, window: int) -> Array:
    """How far each price is from that before the window, per cent."""
    change: Array = 100.0 * (readings["price"] / readings["windows"]["reference"][:, window] - 1.0)
    return change


def highest(values: Array, limit: int) -> Array:
    """The rows of the highest values above 0, the highest first; of the same value the first row comes first."""
    limit = min(limit, len(values))
    if not limit:
        return np.zeros(0, np.int64)
    bound = np.partition(values, len(values) - limit)[len(values) - limit]
    rows = np.flatnonzero((values >= bound) & (values > 0.0))
    return rows[np.argsort(-values[rows], kind="stable")][:limit]


def stale(readings: Array, now: int) -> tuple[Array, Array]:
    """(Which have had no tick for longer than their limit while others trade, those limits in ns) at `now` (ns).

    Others trade when at least one, and half of those other symbols that usually have a tick every six seconds, had one within thirty.
    """
    age = now - readings["last_ts"]
    limit = np.maximum(STALE_TIMES * readings["usual_gap"], STALE_NS)
    is_busy = readings["usual_gap"] <= STALE_NS / 5
    is_heard = is_busy & (age <= STALE_NS)
    others, heard = is_busy.sum() - is_busy, is_heard.sum() - is_heard
    return (age > limit) & (heard > 0) & (2 * heard >= others), limit


def anomalies(readings: Array, now: int) -> Found:
    """The flags of the fifteen minutes to `now` (ns), and what is stale."""
    flags = readings["flags"]
    rows, kinds = np.nonzero((flags["ts"] > max(now - WINDOWS[USUAL], BEFORE)) & (flags["ts"] != 0))
    flagged = flags[rows, kinds]
    is_stale, limit = stale(readings, now)
    still = np.flatnonzero(is_stale)
    found = Found(
        np.concatenate([rows, still]),
        np.concatenate([kinds, np.full(len(still), STALE)]),
        np.concatenate([flagged["ts"], readings["last_ts"][still] + limit[still].astype(np.int64)]),
        np.concatenate([flagged["value"], (now - readings["last_ts"][still]) / SECOND]),
        np.concatenate([flagged["usual"], readings["usual_gap"][still] / SECOND]),
        np.concatenate([flagged["limit"], limit[still] / SECOND]),
    )
    order = np.lexsort((found.kind, found.row, -found.ts))
    return Found(*(getattr(found, name)[order] for name in Found.__slots__))


def aligned(closes: Array) -> tuple[Array, Array, Array]:
    """Prices at the ends of the same parts, up to the last one that all have.

    Returns (rows that are not too far behind the newest, how many prices from the end each has, prices of shape (rows, PARTS + 1)).
    """
    if not len(closes):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, PARTS + 1))
    rows = np.flatnonzero(closes["part"] >= closes["part"].max() - BEHIND_MAX)
    part = closes["part"][rows]
    shift = part - part.min()
    columns = RING - PARTS - 1 + np.arange(PARTS + 1)[None, :] - shift[:, None]
    known = np.minimum(closes["known"][rows] - shift, PARTS + 1)
    return rows, known, closes["close"][rows[:, None], columns]


def correlation(first: Array, second: Array) -> float:
    """Pearson's coefficient of two series of log returns; NaN when one of them does not vary."""
    a, b = first - first.mean(), second - second.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0.0 else float("nan")


def chosen_pairs(closes: Array) -> list[tuple[int, int, float, int]]:
    """(Row, row, correlation, log returns it is of) of all pairs; NaN for fewer returns than RETURNS_MIN, or those of a price that stands.

    Of each pair the returns count that both have.
    """
    rows, known, prices = aligned(closes)
    place = {int(row): index for index, row in enumerate(rows)}
    found = []
    for first in range(len(closes)):
        for second in range(first + 1, len(closes)):
            count = 0
            value = float("nan")
            if first in place and second in place:
                count = max(int(min(known[place[first]], known[place[second]])) - 1, 0)
                if count >= RETURNS_MIN:
                    logs = np.log(prices[[place[first], place[second]], PARTS - count :])
                    value = correlation(*np.diff(logs, axis=1))
            found.append((first, second, value, count))
    return found


def strongest_pairs(closes: Array, limit: int) -> list[tuple[int, int, float, int]]:
    """The pairs, as `chosen_pairs`, whose correlation is the farthest from 0, among symbols whose price changed in RETURNS_MIN parts.

    The returns are those that at least half of the symbols have; who has fewer is left out.
    """
    rows, known, prices = aligned(closes)
    if len(rows) < 2:
        return []
    count = int(np.median(known)) - 1
    if count < RETURNS_MIN:
        return []
    is_in = known > count
    rows, prices = rows[is_in], prices[is_in, PARTS - count :]
    returns = np.diff(np.log(prices), axis=1)
    moves = (returns != 0.0).sum(axis=1) >= RETURNS_MIN
    rows, returns = rows[moves], returns[moves]
    returns -= returns.mean(axis=1, keepdims=True)
    scaled = returns / np.sqrt((returns * returns).sum(axis=1, keepdims=True))
    return [(int(rows[a]), int(rows[b]), value, count) for a, b, value in _strongest(scaled, limit)]


def _strongest(scaled: Array, limit: int) -> list[tuple[int, int, float]]:
    """The rows of unit length with the greatest products, and the products; in blocks, so that the matrix is never there as a whole."""
    first, second, value = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    bound = -1.0
    for start in range(0, len(scaled), _BLOCK):
        block = scaled[start : start + _BLOCK]
        products = block @ scaled[start:].T
        strength = np.abs(products)
        strength[np.tril_indices(len(block), 0, len(scaled) - start)] = -1.0
        a, b = np.nonzero(strength > bound)
        first, second = np.concatenate([first, a + start]), np.concatenate([second, b + start])
        value = np.concatenate([value, products[a, b]])
        if len(value) > limit:
            best = np.argpartition(-np.abs(value), limit - 1)[:limit]
            first, second, value = first[best], second[best], value[best]
            bound = float(np.abs(value).min())
    order = np.lexsort((second, first, -np.abs(value)))
    return [(int(first[at]), int(second[at]), float(np.clip(value[at], -1.0, 1.0))) for at in order.tolist()]


def annualised(variance: float, step_ns: int, year_ns: float) -> float:
    """The volatility of a year (a fraction) from the variance of one part's log return, where a year has so much trading time."""
    return float(np.sqrt(variance * year_ns / step_ns))


def rows_of(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where those that are wanted are, -1 for one that is not there."""
    places = {name: index for index, name in enumerate(known)}
    return [places.get(name, -1) for name in wanted]
