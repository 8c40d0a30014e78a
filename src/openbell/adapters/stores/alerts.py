"""Alerts: rows of the platform's database, in SQLite and PostgreSQL, and one row for each time that one came.

Who evaluates alerts stores what came together with how far the ticks have been taken, in one transaction; who tells of it marks it
afterwards, so that after a crash it is told again rather than not at all. Users add, change and remove alerts meanwhile: every change gets
a number that grows over all of them, in the order in which they are committed, so that asking for what is newer misses none.
"""

from collections.abc import Collection, Iterator, Sequence
from time import time_ns
from typing import Any

from openbell.adapters.stores.alert_requests import made_before, note_request
from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow, Change, Firing, Standing, Status, event_of, row_of, text_of
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.adapters.stores.database import Database, Statements
from openbell.adapters.stores.progress import Advance, Progress, move, read_progress
from openbell.errors import UnknownNameError, UsageError

__all__ = ["AlertEvent", "AlertRow", "AlertStore", "Change", "Firing", "NewAlert", "Standing", "Status"]

#: Symbols in one question, and alerts of a page.
ASKED_MAX = 100
PAGE_MAX = 10_000
#: Different things to compare, other than the price, that may be watched of one symbol.
SPECS_MAX = 200


class AlertStore:
    """The rows. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # For users.

    def create(self, owner: int, *wanted: NewAlert, quota: int | None = None, request: str = "") -> list[AlertRow]:
        """New alerts of an owner (0: the house), all of them or none.

        A `request` with an id is for one alert, which it makes once however often it comes. UsageError when it was for another one, and
        when the owner would have more than `quota` that are not over, or a symbol too many different things to watch.
        """
        created = time_ns()

        def insert(sql: Statements) -> list[AlertRow]:
            if sql.repeated and (done := _rows(sql.select(f"{_SELECT} WHERE created = ? ORDER BY id", (created,)))):
                return done
            revision = _next(sql, CHANGES)
            if request and (known := made_before(sql, owner, request, wanted[0])):
                return _rows(sql.select(f"{_SELECT} WHERE id = ?", (known,)))
            _check_room(sql, owner, wanted, quota)
            made = _rows([sql.select(_INSERT, (owner, *_values(one), created, revision))[0] for one in wanted])
            if request:
                note_request(sql, owner, request, wanted[0], made[0].id, created)
            return made

        return self._database.run(insert)

    def update(self, owner: int | None, id: int, **changes: Any) -> AlertRow:
        """Change fields of `NewAlert`, or the status to `paused` or `active`, of an owner's alert (None: anybody's); returns it.

        With another rule it begins anew; what is over stays so unless it is made active. UnknownNameError for no such alert.
        """
        status = changes.pop("status", None)
        for name in changes:
            if name not in NewAlert.__struct_fields__:
                raise UnknownNameError.of("field of an alert", name, [*NewAlert.__struct_fields__, "status"])
        if status not in (None, "active", "paused"):
            raise UsageError(f"the status of an alert is to be {status!r}", "active or paused")

        def change(sql: Statements) -> AlertRow:
            revision = _next(sql, CHANGES)
            known = _owned(sql, owner, id)
            new = NewAlert(**{**known.rule(), **changes})
            if status == "paused" and known.status not in ("active", "paused"):
                raise UsageError(f"alert {id} is {known.status}", "one that is active", "make it active in place of pausing it")
            if not status and new == NewAlert(**{**known.rule(), "note": new.note}):  # who evaluates it need not hear of a note
                return _rows(sql.select(f"UPDATE alerts SET note = ? WHERE id = ? RETURNING {_COLUMNS}", (new.note, id)))[0]
            return _rows(sql.select(_UPDATE, (*_values(new), status or known.status, revision, id)))[0]

        return self._database.run(change)

    def delete(self, owner: int | None, id: int) -> bool:
        """Have an alert watched no more, and listed no more; False when there is none of this id, or somebody else's."""

        def cancel(sql: Statements) -> bool:
            where, values = _where(owner, "")
            if sql.execute(f"{_CANCEL}{where}", (_next(sql, CHANGES), id, *values)):
                sql.execute("UPDATE alert_events SET told = ? WHERE alert_id = ? AND told IS NULL", (time_ns(), id))
                return True
            return sql.repeated and bool(sql.select(f"SELECT 1 FROM alerts WHERE id = ? AND status = 'canceled'{where}", (id, *values)))

        return self._database.run(cancel)

    def find(
        self, owner: int | None = None, symbol: str = "", status: Status | None = None, after: int = 0, limit: int = PAGE_MAX
    ) -> list[AlertRow]:
        """The alerts of an owner (None: all), of a symbol, of a status (None: all that are not canceled), with an id above `after`.

        Oldest first, at most `limit`.
        """
        query, values = _where(owner, symbol)
        query += " AND status <> 'canceled'" if status is None else " AND status = ?"
        values += [] if status is None else [status]
        found = self._database.select(f"{_SELECT} WHERE id > ?{query} ORDER BY id LIMIT ?", (after, *values, max(min(limit, PAGE_MAX), 0)))
        return _rows(found)

    def events(
        self, owner: int | None = None, since: int = 0, alert: int | None = None, symbol: str = "", limit: int = 1000
    ) -> list[AlertEvent]:
        """The firings with a `seq` above `since`, in order: of an owner's alerts (None: all), of one alert, of a symbol."""
        query, values = _where(owner, symbol, "e.")
        query += "" if alert is None else " AND e.alert_id = ?"
        values += [] if alert is None else [alert]
        return self._events(f"{_EVENTS} WHERE e.seq > ?{query} ORDER BY e.seq LIMIT ?", (since, *values, max(min(limit, PAGE_MAX), 0)))

    # For who evaluates them.

    def standing(self, symbols: Collection[str]) -> Iterator[list[Standing]]:
        """The alerts of these symbols on prices and what follows from them that wait, in parts."""
        return self._standing(symbols, "NOT ")

    def standing_of_accounts(self) -> list[Standing]:
        """Those on positions and drawdowns."""
        return _standing(self._database.select(f"{_STANDING} WHERE status = 'active' AND {_OF_ACCOUNTS} ORDER BY id"))

    def revision(self) -> int:
        """The number of the latest change by a user; 0 before the first."""
        return read_progress(self._database, CHANGES, 0).position

    def changes(self, since: int, of_accounts: bool = False) -> list[Standing]:
        """The alerts that users changed after a revision, as they are now, in order: on prices, or on positions and drawdowns."""
        which = "" if of_accounts else "NOT "
        return _standing(self._database.select(f"{_STANDING} WHERE revision > ? AND {which}{_OF_ACCOUNTS} ORDER BY revision, id", (since,)))

    def progress(self, reader: str, partition: int) -> Progress:
        """How far a reader has taken a partition."""
        return read_progress(self._database, reader, partition)

    def record(self, firings: Sequence[Firing], changes: Sequence[Change], advance: Advance) -> None:
        """Store what came and how alerts stand then, and how far the ticks have been taken: all or nothing.

        What an owner has changed since it was read stays as it is. FencedError when another process has taken over.
        """

        def write(sql: Statements) -> None:
            if not move(sql, advance):
                return
            where = (advance.after.reader, advance.after.partition)
            if firings:
                first = _next(sql, EVENTS, len(firings)) - len(firings) + 1
                sql.many(_FIRE, [(one.number, seq, *one[3:], *where, *one[:1], one.revision) for seq, one in enumerate(firings, first)])
            if changes:
                sql.many(_CHANGE, [_change(one) for one in changes])

        self._database.run(write)

    # For who tells of them.

    def untold(self, reader: str, partitions: Collection[int], most: int) -> list[AlertEvent]:
        """What came in these partitions and nobody was told of, oldest first, at most so many."""
        if not partitions:
            return []
        marks = ", ".join("?" * len(partitions))
        where = f"e.told IS NULL AND (e.reader = '' OR (e.reader = ? AND e.partition IN ({marks})))"
        return self._events(f"{_EVENTS} WHERE {where} ORDER BY e.seq LIMIT ?", (reader, *sorted(partitions), most))

    def tell(self, events: Sequence[AlertEvent]) -> None:
        """The messages about these are safe with the bus."""
        now = time_ns()
        query = "UPDATE alert_events SET told = ? WHERE alert_id = ? AND number = ? AND told IS NULL"
        self._database.run(lambda sql: sql.many(query, [(now, one.alert, one.number) for one in events]))

    def _events(self, query: str, values: Sequence[object]) -> list[AlertEvent]:
        return [event_of(found) for found in self._database.select(query, values)]

    def _standing(self, symbols: Collection[str], which: str) -> Iterator[list[Standing]]:
        """Many symbols at once, as long as their alerts fit in a page; else symbol by symbol."""
        names = sorted(symbols)
        where = f"status = 'active' AND {which}{_OF_ACCOUNTS}"
        for first in range(0, len(names), ASKED_MAX):
            some = names[first : first + ASKED_MAX]
            query = f"{_STANDING} WHERE symbol IN ({', '.join('?' * len(some))}) AND {where} LIMIT ?"
            found = _standing(self._database.select(query, (*some, PAGE_MAX)))
            if len(found) < PAGE_MAX:
                yield found
                continue
            query = f"{_STANDING} WHERE symbol = ? AND {where} AND id > ? ORDER BY id LIMIT ?"
            for name in some:
                found = _standing(self._database.select(query, (name, 0, PAGE_MAX)))
                while found:
                    yield found
                    is_last = len(found) < PAGE_MAX
                    found = [] if is_last else _standing(self._database.select(query, (name, found[-1].id, PAGE_MAX)))


#: Counters among the readers of `progress`: of changes by users, and of firings.
CHANGES = "changes of alerts"
EVENTS = "events of alerts"


def _next(sql: Statements, counter: str, count: int = 1) -> int:
    """So many further. The row stays locked until the transaction ends: so a smaller number is never committed after a larger one."""
    return int(sql.select(_COUNT, (counter, count, b"", b"", time_ns()))[0][0])


def _check_room(sql: Statements, owner: int, wanted: Sequence[NewAlert], quota: int | None) -> None:
    """That the new ones are not too many."""
    if quota is not None:
        query = "SELECT count(*) FROM alerts WHERE coalesce(user_id, 0) = ? AND status IN ('active', 'paused')"
        known = int(sql.select(query, (owner,))[0][0])
        if known + len(wanted) > quota:
            raise UsageError(f"{known} alerts and {len(wanted)} more", f"at most {quota}", "remove some that wait")
    specs: dict[str, set[str]] = {}
    for one in wanted:
        if text := text_of(one.spec):
            specs.setdefault(one.symbol, set()).add(text)
    for symbol, new in specs.items():
        query = "SELECT DISTINCT spec FROM alerts WHERE symbol = ? AND status IN ('active', 'paused') AND spec <> ''"
        if len(new | {spec for (spec,) in sql.select(query, (symbol,))}) > SPECS_MAX:
            raise UsageError(
                f"more than {SPECS_MAX} different things to watch of {symbol or 'the accounts'}", "fewer", "remove some alerts"
            )


def _owned(sql: Statements, owner: int | None, id: int) -> AlertRow:
    query, values = _where(owner, "")
    found = _rows(sql.select(f"{_SELECT} WHERE id = ? AND status <> 'canceled'{query}", (id, *values)))
    if not found:
        raise UnknownNameError(f"there is no alert {id}", do="list the alerts to see their ids")
    return found[0]


def _where(owner: int | None, symbol: str, table: str = "") -> tuple[str, list[object]]:
    query, values = "", list[object]()
    if owner is not None:
        query, values = f" AND coalesce({table}user_id, 0) = ?", [owner]
    if symbol:
        query, values = f"{query} AND {table}symbol = ?", [*values, symbol]
    return query, values


def _values(new: NewAlert) -> tuple[object, ...]:
    return (
        new.symbol, new.condition, new.target_price, text_of(new.spec), new.mode, new.cooldown_s, new.hysteresis, new.expires,
        text_of(new.schedule), new.note,
    )  # fmt: skip


def _change(change: Change) -> tuple[object, ...]:
    last = (None, None, None) if change.last is None else (change.last.ts, change.last.price, change.last.value)
    return change.status, change.armed, change.fired, *last, change.alert, change.revision


def _rows(found: list[tuple[Any, ...]]) -> list[AlertRow]:
    return [row_of(values) for values in found]


def _standing(found: list[tuple[Any, ...]]) -> list[Standing]:
    return list(map(Standing._make, found))


_RULE = "symbol, condition, target_price, spec, mode, cooldown_s, hysteresis, expires, schedule, note"
_COLUMNS = f"id, coalesce(user_id, 0), {_RULE}, status, created, fired, triggered_ts, triggered_price, triggered_value, revision"
_SELECT = f"SELECT {_COLUMNS} FROM alerts"
_STANDING = f"SELECT {', '.join(Standing._fields)} FROM alerts"
_OF_ACCOUNTS = "(substr(condition, 1, 8) IN ('position', 'drawdown'))"
_EVENTS = """
SELECT e.seq, e.alert_id, e.number, coalesce(e.user_id, 0), e.symbol, e.condition, e.target_price, e.spec, e.note, a.mode, a.created, e.ts,
e.value, e.price FROM alert_events e JOIN alerts a ON a.id = e.alert_id
"""
_INSERT = f"""
INSERT INTO alerts (user_id, {_RULE}, status, created, revision)
VALUES (nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', ?, ?) RETURNING {_COLUMNS}
"""
_UPDATE = f"""
UPDATE alerts SET ({_RULE}, status, revision, armed) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) WHERE id = ? RETURNING {_COLUMNS}
"""
_CANCEL = "UPDATE alerts SET status = 'canceled', revision = ? WHERE id = ? AND status <> 'canceled'"
_FIRE = """
INSERT INTO alert_events
(alert_id, number, seq, user_id, symbol, condition, target_price, spec, note, ts, value, price, reader, partition)
SELECT id, ?, ?, user_id, symbol, condition, target_price, spec, note, ?, ?, CAST(? AS DOUBLE PRECISION), ?, ?
FROM alerts WHERE id = ? AND status = 'active' AND revision = ?
"""
_CHANGE = """
UPDATE alerts SET status = ?, armed = ?, fired = ?, triggered_ts = coalesce(CAST(? AS BIGINT), triggered_ts),
triggered_price = coalesce(CAST(? AS DOUBLE PRECISION), triggered_price),
triggered_value = coalesce(CAST(? AS DOUBLE PRECISION), triggered_value)
WHERE id = ? AND status = 'active' AND revision = ?
"""
_COUNT = """
INSERT INTO progress (reader, partition, position, cursor, state, updated) VALUES (?, 0, ?, ?, ?, ?)
ON CONFLICT (reader, partition) DO UPDATE SET position = progress.position + excluded.position, updated = excluded.updated
RETURNING position
"""
