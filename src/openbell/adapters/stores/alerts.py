"""Price alerts: rows of the platform's database, in SQLite and PostgreSQL. An alert is triggered once.

Who evaluates alerts stores what was triggered together with how far the ticks have been taken, in one transaction; who tells of it marks
it afterwards, so that after a crash it is told again rather than not at all. Users add and remove alerts meanwhile: every change gets a
number that grows over all of them, in the order in which they are committed, so that asking for what is newer misses none.
"""

import math
from collections.abc import Callable, Collection, Sequence
from time import time_ns
from typing import Any, Literal, get_args

import msgspec

from openbell.adapters.stores.database import Database, Statements
from openbell.adapters.stores.progress import Advance, Progress, move, read_progress
from openbell.errors import UsageError

#: Symbols in one question.
ASKED_MAX = 500
PRICE_MAX = 1e15

#: The price is at the target or higher; at the target or lower; or it comes to the target from one side, or passes it.
Condition = Literal["above", "below", "crosses"]
Status = Literal["active", "triggered", "canceled"]


class AlertRow(msgspec.Struct, frozen=True):
    """An alert."""

    id: int
    symbol: str
    condition: Condition
    target_price: float
    status: Status
    created: int  # ns since 1970 UTC
    triggered_ts: int | None  # ns since 1970 UTC, of the tick that met the condition; None before
    triggered_price: float | None  # of that tick
    revision: int  # of its latest change by a user


class NewAlert(msgspec.Struct, frozen=True):
    """What somebody wants to be told of. UsageError when it makes no sense."""

    symbol: str
    condition: Condition
    target_price: float

    def __post_init__(self) -> None:
        if not self.symbol:
            raise UsageError("an alert without a symbol", "a symbol such as AAPL")
        if self.condition not in get_args(Condition):
            raise UsageError(f"the condition of an alert is {self.condition!r}", f"one of {', '.join(get_args(Condition))}")
        if not (math.isfinite(self.target_price) and 0.0 < self.target_price < PRICE_MAX):
            raise UsageError(f"the target price of an alert is {self.target_price}", "a finite price above 0")


class Trigger(msgspec.Struct, frozen=True):
    """The first tick that met an alert's condition."""

    id: int
    ts: int  # ns since 1970 UTC
    price: float


class AlertStore:
    """The rows. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # For users.

    def create(self, *wanted: NewAlert) -> list[AlertRow]:
        """New alerts, all of them or none."""
        created = time_ns()

        def insert(sql: Statements) -> list[AlertRow]:
            if sql.repeated and (done := _rows(sql.select(f"{_SELECT} WHERE created = ? ORDER BY id", (created,)))):
                return done
            revision = _next_revision(sql)
            values = ((one.symbol, one.condition, one.target_price, created, revision) for one in wanted)
            return [AlertRow(*sql.select(_INSERT, row)[0]) for row in values]

        return self._database.run(insert)

    def delete(self, id: int) -> bool:
        """Have an alert watched no more, and listed no more; False when there is none of this id."""

        def cancel(sql: Statements) -> bool:
            changed = sql.execute(_CANCEL, (_next_revision(sql), id))
            return bool(changed) or (sql.repeated and bool(sql.select("SELECT 1 FROM alerts WHERE id = ? AND status = 'canceled'", (id,))))

        return self._database.run(cancel)

    def find(self, symbol: str = "", status: Status | None = None) -> list[AlertRow]:
        """The alerts of a symbol, or all; of a status, or all that are not canceled; oldest first."""
        is_wanted = "status <> 'canceled'" if status is None else "status = ?"
        values: list[object] = [] if status is None else [status]
        if symbol:
            is_wanted += " AND symbol = ?"
            values.append(symbol)
        return _rows(self._database.select(f"{_SELECT} WHERE {is_wanted} ORDER BY id", values))

    # For who evaluates them.

    def active(self, symbols: Collection[str]) -> list[AlertRow]:
        """The alerts of these symbols that wait for their condition."""
        return self._of(symbols, lambda some: f"{_SELECT} WHERE symbol IN ({some}) AND status = 'active' ORDER BY id")

    def revision(self) -> int:
        """The number of the latest change by a user; 0 before the first."""
        return int(self._database.select("SELECT coalesce(max(revision), 0) FROM alerts")[0][0])

    def changes(self, since: int) -> list[AlertRow]:
        """The alerts that users changed after a revision, as they are now, in order."""
        return _rows(self._database.select(f"{_SELECT} WHERE revision > ? ORDER BY revision", (since,)))

    def progress(self, reader: str, partition: int) -> Progress:
        """How far a reader has taken a partition."""
        return read_progress(self._database, reader, partition)

    def trigger(self, triggers: Sequence[Trigger], advance: Advance) -> None:
        """Store what was triggered, and how far the ticks have been taken: both or neither. What is not active any more stays as it is.

        FencedError when another process has taken over.
        """

        def write(sql: Statements) -> None:
            if move(sql, advance) and triggers:
                sql.many(_TRIGGER, [(trigger.ts, trigger.price, trigger.id) for trigger in triggers])

        self._database.run(write)

    # For who tells of them.

    def untold(self, symbols: Collection[str], most: int) -> list[AlertRow]:
        """The alerts of these symbols that were triggered and nobody was told of, oldest first, at most so many."""
        rows = self._of(symbols, lambda some: f"{_SELECT} WHERE symbol IN ({some}) AND {_UNTOLD} ORDER BY id LIMIT {int(most)}")
        return sorted(rows, key=lambda row: row.id)[:most]

    def tell(self, ids: Sequence[int]) -> None:
        """The messages about these alerts are safe with the bus."""
        now = time_ns()
        self._database.run(lambda sql: sql.many("UPDATE alerts SET told = ? WHERE id = ? AND told IS NULL", [(now, id) for id in ids]))

    def _of(self, symbols: Collection[str], query: Callable[[str], str]) -> list[AlertRow]:
        names, found = sorted(symbols), []
        for first in range(0, len(names), ASKED_MAX):
            some = names[first : first + ASKED_MAX]
            found += self._database.select(query(", ".join("?" * len(some))), some)
        return _rows(found)


def _rows(found: list[tuple[Any, ...]]) -> list[AlertRow]:
    return [AlertRow(*values) for values in found]


def _next_revision(sql: Statements) -> int:
    """One further. The row stays locked until the transaction ends: so a smaller number is never committed after a larger one."""
    return int(sql.select(_COUNT, (b"", b"", time_ns()))[0][0])


_COLUMNS = "id, symbol, condition, target_price, status, created, triggered_ts, triggered_price, revision"
_SELECT = f"SELECT {_COLUMNS} FROM alerts"
_UNTOLD = "status = 'triggered' AND told IS NULL"
_INSERT = f"""
INSERT INTO alerts (symbol, condition, target_price, status, created, revision) VALUES (?, ?, ?, 'active', ?, ?) RETURNING {_COLUMNS}
"""
_CANCEL = "UPDATE alerts SET status = 'canceled', revision = ? WHERE id = ? AND status <> 'canceled'"
_TRIGGER = "UPDATE alerts SET status = 'triggered', triggered_ts = ?, triggered_price = ? WHERE id = ? AND status = 'active'"
_COUNT = """
INSERT INTO progress (reader, partition, position, cursor, state, updated) VALUES ('changes of alerts', 0, 1, ?, ?, ?)
ON CONFLICT (reader, partition) DO UPDATE SET position = progress.position + 1, updated = excluded.updated RETURNING position
"""
