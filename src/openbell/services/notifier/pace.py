"""How fast a sink may be talked to: its rates, and the growing pauses while it is in trouble.

Times are seconds of any clock that only grows.
"""

from collections import deque
from collections.abc import Sequence

from openbell.adapters.notifiers.base import Rate

#: The first pause after a failure, and the longest, seconds.
PAUSE_S = 2.0
PAUSE_MAX_S = 60.0
#: After so many failures in a row the breaker opens: one attempt in a while shows whether the sink is back.
FAILURES_MAX = 5
OPEN_S = 60.0
OPEN_MAX_S = 600.0


class Pace:
    """The rates of one sink: never more than `count` in any stretch of `seconds`, which is stricter than a bucket that refills."""

    def __init__(self, rates: Sequence[Rate] = ()) -> None:
        self._rates = tuple(rates)
        self._windows = [(rate.seconds, deque[float](maxlen=rate.count)) for rate in rates]
        self._not_before = 0.0

    def renewed(self, rates: Sequence[Rate]) -> "Pace":
        """The same with other rates; with the same ones what was sent still counts."""
        return self if tuple(rates) == self._rates else Pace(rates)

    def wait(self, at: float) -> float:
        """How long until the next message may be sent.

        >>> pace = Pace([Rate(2, 10.0)])
        >>> pace.sent(0.0), pace.sent(1.0)
        (None, None)
        >>> pace.wait(4.0), pace.wait(10.0)
        (6.0, 0.0)
        """
        full = (times[0] + seconds - at for seconds, times in self._windows if len(times) == times.maxlen)
        return max(0.0, self._not_before - at, *full)

    def sent(self, at: float) -> None:
        """An attempt was made: a message that was refused counts as well."""
        for _, times in self._windows:
            times.append(at)

    def hold(self, until: float) -> None:
        """The sink wants to be left alone until then."""
        self._not_before = max(self._not_before, until)

    def release(self) -> None:
        """It need not be left alone any more."""
        self._not_before = 0.0


def pause_after(failures: int) -> float:
    """Seconds until a sink is tried again after so many failures in a row.

    >>> [pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 9, 1000)]
    [2.0, 4.0, 8.0, 16.0, 60.0, 120.0, 600.0, 600.0]
    """
    if failures < FAILURES_MAX:
        return min(PAUSE_S * 2.0 ** (failures - 1), PAUSE_MAX_S)
    return min(OPEN_S * 2.0 ** min(failures - FAILURES_MAX, 10), OPEN_MAX_S)
