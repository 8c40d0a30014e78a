"""A desk: a board with its schedules, the alerts that users change, and what came since it was asked."""

from collections.abc import Iterable, Sequence

from openbell.adapters.stores.alert_rows import Change, Firing, Standing, schedule_of
from openbell.adapters.stores.alert_rules import Schedule
from openbell.alerts.board import Array, Board
from openbell.model.alerts import EXPIRED, LAST, NOBODY
from openbell.services.alerts.rules import key_of, rows_of
from openbell.services.alerts.schedules import hours_around

#: How often (seconds) it is looked whether users have added, changed or removed alerts.
NOTICE_EVERY_S = 0.5


class Desk:
    """Base of the desks: who has one says which book an alert is in. Not safe for two threads at once."""

    def __init__(self, lot_sizes: Sequence[float], lateness: Sequence[int]) -> None:
        self.board = Board(lot_sizes, lateness, self._hours)
        self._schedules: dict[str, int] = {}
        self._parsed: dict[int, Schedule] = {}
        self._fired: list[Array] = []

    def book_of(self, row: Standing) -> int:
        """The book of an alert; -1 for one that does not belong here."""
        raise AssertionError("each desk says it")

    def is_continued(self, book: int) -> bool:
        """Whether the times of a book go on from where its alerts came last, so that their cool-down holds."""
        raise AssertionError("each desk says it")

    def change(self, found: Iterable[Standing]) -> None:
        """Alerts are new or were changed by their owners; those that do not belong here are passed over."""
        gone: list[int] = []
        new: dict[int, list[Standing]] = {}
        for row in found:
            book = self.book_of(row)
            if book >= 0 and row.status == "active":
                new.setdefault(book, []).append(row)
            elif book >= 0:
                gone.append(row.id)
        if gone:
            self.board.remove(gone)
        for is_continued in (True, False):
            books = [book for book in new if self.is_continued(book) == is_continued]
            self._add([row for book in books for row in new[book]], [book for book in books for _ in new[book]], is_continued)

    def _add(self, rows: list[Standing], books: list[int], is_continued: bool) -> None:
        if not rows:
            return
        known: dict[tuple[str, str, str], int] = {}
        streams = []
        for row, book in zip(rows, books, strict=True):
            key = row.symbol, row.condition, row.spec
            if key not in known:
                known[key] = self.board.stream(book, key_of(row))
            streams.append(known[key])
        schedules = [self._schedule(row.schedule) if row.schedule else NOBODY for row in rows]
        self.board.add(rows_of(rows, streams, schedules, is_continued))

    def _schedule(self, text: str) -> int:
        if text not in self._schedules:
            number = self._schedules[text] = self.board.schedule()
            schedule = schedule_of(text)
            assert schedule is not None, "an empty text is no schedule"
            self._parsed[number] = schedule
        return self._schedules[text]

    def _hours(self, number: int, ts: int) -> tuple[int, int, int]:
        return hours_around(self._parsed[number], ts)

    def state(self) -> bytes:
        """What has to be stored for another desk to go on from here."""
        raise AssertionError("each desk says it")

    def note(self, fired: Array) -> None:
        """Alerts came (FIRED)."""
        if len(fired):
            self._fired.append(fired)

    @property
    def has_news(self) -> bool:
        """Whether something came since it was asked."""
        return bool(self._fired)

    def came(self) -> tuple[list[Firing], list[Change]]:
        """What came since it was asked, in order, and how the alerts stand that changed with it."""
        firings: list[Firing] = []
        changes: dict[int, Change] = {}
        last: dict[int, Firing] = {}
        for fired in self._fired:
            for _, id, revision, number, ts, value, price, fate in fired.tolist():
                if fate != EXPIRED:
                    last[id] = Firing(id, number, revision, ts, value, None if price != price else price)
                    firings.append(last[id])
                if fate in (LAST, EXPIRED):
                    changes[id] = Change(id, revision, "triggered" if fate == LAST else "expired", 0, number, last.get(id))
        self._fired = []
        for id, revision, armed, number in self.board.changes().tolist():
            changes[id] = Change(id, revision, "active", armed, number, last.get(id))
        return firings, list(changes.values())
