"""The outbox of notifications: what is to be told, to which channels, and what became of it. In SQLite and PostgreSQL.

A thing is written once, whoever says it how often, by its id; with it, in the same transaction, one delivery for each channel that wants
it, and how far the reader has come that brought it. A delivery is marked after the sink has answered: when this process dies in between, it
is told again, with the same number. Nothing that waits is ever forgotten in silence: it is told, or a digest tells of it, or it is marked
as failed or dropped, with the reason, and the next digest counts what was dropped.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import time_ns
from typing import Any

import msgspec

from openbell.adapters.stores.database import Database, Statements
from openbell.adapters.stores.notification_rows import CRITICAL, SEVERITIES, News, State, Survey, Waiting
from openbell.adapters.stores.progress import Advance, Progress, move, read_progress

#: Deliveries that wait for one channel, at most; beyond that the least important and oldest are dropped.
WAITING_MAX = 20_000
#: Rows in one statement, and things that a digest shows.
ROWS_MAX = 100
SAMPLES_MAX = 5
#: The event of a digest.
DIGEST = "digest"
TOO_MANY = "too many waited"


class Outbox:
    """The rows. Safe for several threads and processes. `clock` gives ns since 1970 UTC."""

    def __init__(self, database: Database, waiting_max: int = WAITING_MAX, clock: Callable[[], int] = time_ns) -> None:
        self._database = database
        self._waiting_max = waiting_max
        self._clock = clock

    # For who has something to tell.

    def tell(self, news: Sequence[News], advance: Advance | None = None) -> int:
        """Write down what somebody wants to hear of, and how far its reader has come: both or neither. Returns how many were new.

        FencedError when another process has moved the reader.
        """

        def write(sql: Statements) -> int:
            if advance is not None and not move(sql, advance):
                return 0
            return self._write(sql, news)

        return self._database.run(write)

    def progress(self, reader: str, partition: int = 0) -> Progress:
        """How far a reader has come."""
        return read_progress(self._database, reader, partition)

    def _write(self, sql: Statements, news: Sequence[News]) -> int:
        known = _known(sql, [one.id for one in news])
        fresh: dict[str, News] = {}
        for one in news:
            if one.id not in known:
                fresh.setdefault(one.id, one)
        channels = _Channels(sql) if fresh else None
        wanted = {id: found for id, one in fresh.items() if channels is not None and (found := channels.wanting(one))}
        now, written, deliveries = self._clock(), 0, []
        for id, number in _insert(sql, [fresh[id] for id in wanted], now):
            deliveries += [(number, channel, SEVERITIES.index(fresh[id].severity), now, now) for channel in wanted[id]]
            written += 1
        if deliveries:
            sql.many(_DELIVER, deliveries)
            self._bound(sql, {channel for _, channel, *_ in deliveries}, now)
        return written

    def _bound(self, sql: Statements, channels: set[int], now: int) -> None:
        """Drop what is too much: information before warnings before what is critical, the oldest first."""
        for channel in sorted(channels):
            [(count,)] = sql.select("SELECT count(*) FROM deliveries WHERE channel = ? AND state = 'waiting'", (channel,))
            if count > self._waiting_max:
                sql.execute(_DROP, (TOO_MANY, now, channel, channel, count - self._waiting_max))

    # For who tells.

    def pending(self) -> dict[int, int]:
        """How many deliveries wait for each channel that is enabled."""
        return dict(tuple(found) for found in self._database.select(_PENDING))

    def waiting(self, channel: int, most: int, critical: bool = False) -> list[Waiting]:
        """What waits for a channel, or only what is critical; the critical first, then in the order in which it is due."""
        query = f"{_WAITING} AND d.severity >= ? ORDER BY d.severity < {CRITICAL}, d.due, d.notification LIMIT ?"
        found = self._database.select(query, (channel, CRITICAL if critical else 0, most))
        return [Waiting(number, severity, attempts, due, created, _news(news)) for number, severity, attempts, due, created, *news in found]

    def mark(self, channel: int, number: int, state: State, attempts: int, due: int = 0, error: str = "") -> None:
        """What came of an attempt; it stays as it is when it does not wait any more."""
        values = (state, attempts, due, error, self._clock(), number, channel)
        self._database.run(lambda sql: sql.execute(_MARK, values))

    def digest(self, channel: int, make: Callable[[Survey], News], critical: bool = False) -> int:
        """Have one message take the place of all that waits for a channel, or of what is critical; returns of how many (0: none waits).

        `make` gets the survey and is called within the transaction.
        """

        def write(sql: Statements) -> int:
            least, now = CRITICAL if critical else 0, self._clock()
            found = sql.select(
                "SELECT max(notification) FROM deliveries WHERE channel = ? AND state = 'waiting' AND severity >= ?", (channel, least)
            )
            owner = sql.select("SELECT coalesce(user_id, 0) FROM channels WHERE id = ?", (channel,))
            if found[0][0] is None or not owner:
                return 0
            # The rows are marked with the number of the digest first, so that what is counted is what it takes the place of.
            blank = News(f"digest-{channel}-{found[0][0]}", int(owner[0][0]), DIGEST, "info", now, {})
            [(_, number)] = _insert(sql, [blank], now)
            count = sql.execute(_DIGESTED, (number, now, channel, least))
            dropped = sql.execute(
                "UPDATE deliveries SET digest = ? WHERE channel = ? AND state = 'dropped' AND digest IS NULL", (number, channel)
            )
            news = make(_survey(sql, channel, blank.owner, number, dropped))
            severity = SEVERITIES.index(news.severity)
            sql.execute(
                "UPDATE notifications SET severity = ?, ts = ?, payload = ? WHERE number = ?", (severity, news.ts, _payload(news), number)
            )
            sql.many(_DELIVER, [(number, channel, severity, now, now)])
            return count

        return self._database.run(write)

    def expire(self, before: int) -> int:
        """Give up what waits and was written before a time; returns how many."""
        return self._database.run(lambda sql: sql.execute(_EXPIRE, (self._clock(), before)))

    def forget(self, before: int, most: int = 10_000) -> int:
        """Remove what was written before a time and does not wait; returns how many."""
        return self._database.run(lambda sql: sql.execute(_FORGET, (before, most)))


class _Channels:
    """Who wants what."""

    def __init__(self, sql: Statements) -> None:
        self._by_owner: dict[int, list[tuple[int, frozenset[str], int]]] = {}
        self._of_house: list[tuple[int, frozenset[str], int]] = []
        for id, owner, events, minimum, house in sql.select(_ENABLED):
            entry = (id, frozenset(events.split(",")) if events else frozenset(), minimum)
            self._by_owner.setdefault(owner, []).append(entry)
            if house and owner:
                self._of_house.append(entry)

    def wanting(self, news: News) -> list[int]:
        """The channels that something is told to."""
        severity = SEVERITIES.index(news.severity)
        entries = self._by_owner.get(news.owner, []) + (self._of_house if not news.owner else [])
        return [id for id, events, minimum in entries if severity >= minimum and (not events or news.event in events)]


def _known(sql: Statements, ids: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for some in _parts(ids):
        known.update(id for (id,) in sql.select(f"SELECT id FROM notifications WHERE id IN ({', '.join('?' * len(some))})", some))
    return known


def _insert(sql: Statements, news: Sequence[News], now: int) -> Iterator[tuple[str, int]]:
    """(Id, number) of what was not there, in order. Somebody else may write the same at the same time: then it is theirs."""
    for some in _parts(news):
        values: list[object] = []
        for one in some:
            values += (one.id, one.owner or None, one.event, SEVERITIES.index(one.severity), one.ts, _payload(one), now)
        rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(some))
        yield from sorted(((id, number) for id, number in sql.select(f"{_TELL} VALUES {rows} {_ONCE}", values)), key=lambda found: found[1])


def _parts(things: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (things[first : first + ROWS_MAX] for first in range(0, len(things), ROWS_MAX))


def _survey(sql: Statements, channel: int, owner: int, number: int, dropped: int) -> Survey:
    """What the rows that are marked with a digest's number are."""
    kinds = sql.select(_KINDS, (number,))
    events = Counter[str]()
    for event, _, count, *_ in kinds:
        events[event] += count
    samples = [_news(found) for found in sql.select(_SAMPLES, (number, SAMPLES_MAX))]
    digests = [_news(found) for found in sql.select(_DIGESTS, (number,))] if events.pop(DIGEST, 0) else []
    return Survey(
        channel, owner, max(last for *_, last in kinds), dict(events), SEVERITIES[max(severity for _, severity, *_ in kinds)],
        min(first for *_, first, _, _ in kinds), max(late for *_, late, _ in kinds), samples, digests, dropped,
    )  # fmt: skip


def _payload(news: News) -> str:
    return msgspec.json.encode(news.fields).decode()


def _news(values: Sequence[Any]) -> News:
    id, owner, event, severity, ts, payload = values
    fields = {"id": id, "owner": owner, "event": event, "severity": SEVERITIES[severity], "ts": ts}
    return News(**fields, fields=msgspec.json.decode(payload))


_NEWS = "n.id, coalesce(n.user_id, 0), n.event, n.severity, n.ts, n.payload"
#: What is the house's is told to administrators, while they are some; who is disabled is told nothing.
_ENABLED = """
SELECT c.id, coalesce(c.user_id, 0), c.events, c.minimum, c.house AND u.role = 'admin'
FROM channels c LEFT JOIN users u ON u.id = c.user_id WHERE c.enabled AND u.disabled IS NULL ORDER BY c.id
"""
_TELL = "INSERT INTO notifications (id, user_id, event, severity, ts, payload, created)"
_ONCE = "ON CONFLICT (id) DO NOTHING RETURNING id, number"
_DELIVER = """
INSERT INTO deliveries (notification, channel, severity, state, attempts, due, error, updated) VALUES (?, ?, ?, 'waiting', 0, ?, '', ?)
ON CONFLICT (notification, channel) DO NOTHING
"""
_DROP = f"""
UPDATE deliveries SET state = 'dropped', error = ?, updated = ? WHERE channel = ? AND notification IN (
    SELECT d.notification FROM deliveries d JOIN notifications n ON n.number = d.notification
    WHERE d.channel = ? AND d.state = 'waiting' AND n.event <> '{DIGEST}' ORDER BY d.severity, d.notification LIMIT ?
)
"""
_PENDING = """
SELECT d.channel, count(*) FROM deliveries d JOIN channels c ON c.id = d.channel
WHERE d.state = 'waiting' AND c.enabled GROUP BY d.channel
"""
_WAITING = f"""
SELECT d.notification, d.severity, d.attempts, d.due, n.created, {_NEWS}
FROM deliveries d JOIN notifications n ON n.number = d.notification WHERE d.channel = ? AND d.state = 'waiting'
"""
_MARK = """
UPDATE deliveries SET state = ?, attempts = ?, due = ?, error = ?, updated = ?
WHERE notification = ? AND channel = ? AND state = 'waiting'
"""
_DIGESTED = """
UPDATE deliveries SET state = 'digested', digest = ?, updated = ? WHERE channel = ? AND state = 'waiting' AND severity >= ?
"""
_OF_DIGEST = "FROM deliveries d JOIN notifications n ON n.number = d.notification WHERE d.digest = ? AND d.state = 'digested'"
_KINDS = f"SELECT n.event, n.severity, count(*), min(n.ts), max(n.ts), max(n.number) {_OF_DIGEST} GROUP BY n.event, n.severity"
_SAMPLES = f"SELECT {_NEWS} {_OF_DIGEST} AND n.event <> '{DIGEST}' ORDER BY n.severity DESC, n.number LIMIT ?"
_DIGESTS = f"SELECT {_NEWS} {_OF_DIGEST} AND n.event = '{DIGEST}' ORDER BY n.number"
_EXPIRE = """
UPDATE deliveries SET state = 'failed', error = CASE WHEN error = '' THEN 'it waited too long' ELSE 'it waited too long: ' || error END,
    updated = ?
WHERE state = 'waiting' AND notification IN (SELECT number FROM notifications WHERE created < ?)
"""
_FORGET = """
DELETE FROM notifications WHERE number IN (
    SELECT number FROM notifications n WHERE created < ?
        AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.notification = n.number AND d.state = 'waiting')
    ORDER BY number LIMIT ?
)
"""
