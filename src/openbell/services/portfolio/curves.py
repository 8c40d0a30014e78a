"""What accounts were worth in time: points of time (ms) and equity."""

from collections.abc import Collection, Sequence
from heapq import merge
from typing import Any

from openbell.model import enums
from openbell.services.names import Names

#: Points of the curve of one account.
OWN_POINTS_KEPT = 2_000

Points = list[tuple[int, float]]


class Curves:
    """What each account that may be a user's was worth in time: at the close of the latest candles."""

    def __init__(self, names: Names, own: Collection[int]) -> None:
        self.points: dict[int, Points] = {index: [] for index in own}
        self.prices = [0.0] * len(names.symbols)

    def price(self, commands: Any) -> None:
        """Take the closes of the candles among commands."""
        bars = commands["bar"][commands["kind"] == enums.CANDLE]
        for instrument, close in zip(bars["instrument"].tolist(), bars["close"].tolist(), strict=True):
            self.prices[instrument] = close

    def add(self, index: int, ts: int, equity: float) -> None:
        """A point of an account; when there are too many, every second of the older half goes."""
        points = self.points[index]
        points.append((ts, equity))
        if len(points) > OWN_POINTS_KEPT:
            self.points[index] = points[: OWN_POINTS_KEPT // 2 : 2] + points[OWN_POINTS_KEPT // 2 :]


def total(curves: Sequence[Points], before: Sequence[float] = ()) -> Points:
    """The sum of several curves, each worth its latest point until the next.

    It begins when all of them have a point, or with the first of any where `before` says what each was worth until its own first.

    >>> total([[(1, 10.0), (3, 12.0)], [(2, 5.0)]]), total([[(1, 10.0)], [(2, 6.0)]], [9.0, 5.0])
    ([(2, 15.0), (3, 17.0)], [(1, 15.0), (2, 16.0)])
    """
    if len(curves) == 1:
        return curves[0]
    latest: dict[int, float] = dict(enumerate(before))
    points: dict[int, float] = {}
    for ts, number, equity in merge(*([(ts, number, equity) for ts, equity in curve] for number, curve in enumerate(curves))):
        latest[number] = equity
        if len(latest) == len(curves):
            points[ts] = sum(latest.values())
    return list(points.items())
