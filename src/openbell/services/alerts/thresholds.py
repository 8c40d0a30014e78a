"""The standing alerts of one symbol, compared with whole arrays of prices.

An alert that waits for a higher price stands on a ladder, in order of its target, and so does one that waits for a lower price, with the
sign turned. The highest price of an array says how many are met; the running maximum says by which price first. So what stands costs
nothing while it is not met, however much it is. An alert for a crossing waits on the side on which the price is not.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

IntArray = np.ndarray[Any, np.dtype[np.int64]]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class Ladder:
    """Targets (prices) in order, each with the id of its alert."""

    def __init__(self) -> None:
        self.targets: FloatArray = np.zeros(0)
        self.ids: IntArray = np.zeros(0, np.int64)

    def add(self, ids: IntArray, targets: FloatArray) -> None:
        """More of them, in any order."""
        if len(ids):
            ids, targets = np.concatenate([self.ids, ids]), np.concatenate([self.targets, targets])
            order = np.argsort(targets, kind="stable")
            self.ids, self.targets = ids[order], targets[order]

    def discard(self, ids: IntArray) -> None:
        """These stand no more, if they did."""
        stay = ~np.isin(self.ids, ids)
        self.targets, self.ids = self.targets[stay], self.ids[stay]

    def met(self, prices: FloatArray) -> tuple[IntArray, IntArray]:
        """The alerts whose target a price reaches, which then stand no more: ids, and for each the index of the first such price."""
        count = int(np.searchsorted(self.targets, prices.max(), "right"))
        if not count:
            return self.ids[:0], self.ids[:0]
        ids, targets = self.ids[:count], self.targets[:count]
        self.ids, self.targets = self.ids[count:], self.targets[count:]
        return ids, np.searchsorted(np.maximum.accumulate(prices), targets, "left")

    def __len__(self) -> int:
        return len(self.ids)


class Thresholds:
    """The alerts of one symbol; `last` is the latest price, None before the first.

    >>> standing = Thresholds(last=100.0)
    >>> standing.add([(1, "above", 102.0), (2, "crosses", 99.0), (3, "below", 90.0)])
    >>> standing.take(np.array([101.0, 102.5, 98.0]))
    [(1, 1), (2, 2)]
    """

    def __init__(self, last: float | None = None) -> None:
        self.last = last
        self._higher = Ladder()  # wait for the target or more
        self._lower = Ladder()  # wait for the target or less; their targets have the sign turned
        self._crossing = Ladder()  # the price is at the target, or not known: the next one that is not says on which side it is

    def add(self, alerts: Iterable[tuple[int, str, float]]) -> None:
        """New alerts: id, condition (above, below, crosses), target price."""
        by_condition: dict[str, list[tuple[int, float]]] = {"above": [], "below": [], "crosses": []}
        for id, condition, target in alerts:
            by_condition[condition].append((id, target))
        columns = {
            condition: (np.array([id for id, _ in found], np.int64), np.array([target for _, target in found], np.float64))
            for condition, found in by_condition.items()
        }
        self._higher.add(*columns["above"])
        self._lower.add(columns["below"][0], -columns["below"][1])
        self._stand(*columns["crosses"], self.last)

    def discard(self, ids: Iterable[int]) -> None:
        """These are not wanted any more."""
        gone = np.fromiter(ids, np.int64)
        for ladder in (self._higher, self._lower, self._crossing):
            ladder.discard(gone)

    def take(self, prices: FloatArray) -> list[tuple[int, int]]:
        """Compare with prices, in order. Returns (id, index of the price that met it) of the alerts that are met; they stand no more."""
        if not len(prices) or self._are_quiet(prices):
            self.last = float(prices[-1]) if len(prices) else self.last
            return []
        waiting, self._crossing = self._crossing, Ladder()
        is_at = waiting.targets == prices[0]
        self._stand(waiting.ids[~is_at], waiting.targets[~is_at], prices[0])
        found = [self._higher.met(prices), self._lower.met(-prices)]
        if is_at.any():
            found.append(self._leave(waiting.ids[is_at], waiting.targets[is_at], prices))
        self.last = float(prices[-1])
        ids, rows = (np.concatenate(columns) for columns in zip(*found, strict=True))
        order = np.lexsort((ids, rows))
        return list(zip(ids[order].tolist(), rows[order].tolist(), strict=True))

    def _are_quiet(self, prices: FloatArray) -> bool:
        """Whether no price meets anything, nor says on which side it is."""
        higher, lower = self._higher.targets, self._lower.targets
        return not (len(self._crossing) or (len(higher) and higher[0] <= prices.max()) or (len(lower) and -lower[0] >= prices.min()))

    def _stand(self, ids: IntArray, targets: FloatArray, price: float | None) -> None:
        """Alerts for a crossing wait on the side on which the price is not."""
        if price is None:
            self._crossing.add(ids, targets)
            return
        higher, lower = targets > price, targets < price
        is_at = ~(higher | lower)
        self._higher.add(ids[higher], targets[higher])
        self._lower.add(ids[lower], -targets[lower])
        self._crossing.add(ids[is_at], targets[is_at])

    def _leave(self, ids: IntArray, targets: FloatArray, prices: FloatArray) -> tuple[IntArray, IntArray]:
        """Alerts for a crossing whose target is the first price: to leave it is no crossing, to come back is one."""
        target, none = prices[0], ids[:0]
        away = np.flatnonzero(prices != target)
        if not len(away):
            self._crossing.add(ids, targets)
            return none, none
        rest = prices[away[0] :]
        back = np.flatnonzero(rest <= target if rest[0] > target else rest >= target)
        if not len(back):
            self._stand(ids, targets, rest[0])
            return none, none
        return ids, np.full(len(ids), away[0] + back[0])

    def __len__(self) -> int:
        return len(self._higher) + len(self._lower) + len(self._crossing)
