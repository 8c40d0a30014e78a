"""A circuit breaker: who did not answer several times in a row is left alone for a while, so that nobody waits for it in vain."""

from collections.abc import Callable
from math import ceil
from time import monotonic

from openbell.errors import BusError

#: Failures in a row after which it opens, and how long (seconds) it stays so before one call is tried.
FAILURES_MAX = 5
OPEN_S = 5.0


class Breaker:
    """Counts what became of calls to `name`; `clock` gives seconds.

    >>> breaker = Breaker("the alerts service", clock=lambda: 0.0)
    >>> for _ in range(FAILURES_MAX):
    ...     breaker.check()
    ...     breaker.failed()
    >>> breaker.check()
    Traceback (most recent call last):
        ...
    openbell.errors.BusError: the alerts service does not answer. Try again in 5 s.
    """

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self._name = name
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._tried_at = 0.0  # when a call was let through although it is open

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self._failures >= FAILURES_MAX

    def check(self) -> None:
        """Before a call: BusError while it is open. When that has been long enough, one call is let through, and one more each time."""
        if not self.is_open:
            return
        now = self._clock()
        left = max(self._opened_at, self._tried_at) + OPEN_S - now
        if left > 0.0:
            raise self.refusal(left)
        self._tried_at = now

    def succeeded(self) -> None:
        """It answered, whatever it said."""
        self._failures = 0

    def failed(self) -> None:
        """It did not answer."""
        self._failures += 1
        self._opened_at = self._clock()

    def refusal(self, seconds: float = 0.0) -> BusError:
        """What a caller is told."""
        return BusError(f"{self._name} does not answer", do=f"try again in {ceil(seconds)} s" if seconds else "try again in a moment")
