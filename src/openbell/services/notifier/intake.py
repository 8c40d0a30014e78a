"""What happened and is not written down yet: bounded, so that nobody who says something has to wait.

When it is full the least important and oldest is given up, and counted: the count is told in its place.
"""

from collections import Counter, deque
from collections.abc import Sequence
from heapq import merge
from itertools import count

from openbell.adapters.stores.notification_rows import SEVERITIES, News
from openbell.services.notifier.events import listed

#: Things that wait to be written down.
NEWS_MAX = 10_000


class Intake:
    """In the order in which it was said, with the place of the reader that brought the latest. For the tasks of one event loop."""

    def __init__(self, most: int = NEWS_MAX) -> None:
        self.dropped = 0
        #: How far the reader has come that brought what is here; None when it does not say.
        self.position: int | None = None
        self._most = most
        self._queues = [deque[tuple[int, News]]() for _ in SEVERITIES]
        self._numbers = count()
        self._given_up: Counter[tuple[int, str, str]] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def put(self, news: Sequence[News], position: int | None = None) -> None:
        """Something happened, and the reader stands at `position` now."""
        for one in news:
            self._queues[SEVERITIES.index(one.severity)].append((next(self._numbers), one))
        while len(self) > self._most:
            _, gone = next(queue for queue in self._queues if queue).popleft()
            self._given_up[gone.owner, gone.fields.get("strategy", ""), gone.event] += 1
            self.dropped += 1
        if position is not None:
            self.position = position

    def take(self, now: int) -> tuple[list[News], int | None]:
        """All of it, with what tells of what was given up, and the reader's place."""
        news = [one for _, one in merge(*self._queues)] if len(self) else []
        for queue in self._queues:
            queue.clear()
        news += self._lost(now)
        position, self.position = self.position, None
        return news, position

    def _lost(self, now: int) -> list[News]:
        """What was given up, for whom it concerned: an owner, or the owner of a strategy."""
        whose: dict[tuple[int, str], dict[str, int]] = {}
        for (owner, strategy, event), number in sorted(self._given_up.items()):
            whose.setdefault((owner, strategy), {})[event] = number
        self._given_up.clear()
        return [
            News(
                f"lost {now} {owner} {strategy}", owner, "lost", "warning", now,
                {"count": sum(events.values()), "what": listed(events), "strategy": strategy},
            )
            for (owner, strategy), events in whose.items()
        ]  # fmt: skip
