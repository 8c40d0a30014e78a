"""The audit log: who did what to whom, when, from where, and whether it was allowed. Rows are added and never changed.

Each row holds a hash of itself and of the row before, and the hash and number of the latest are kept beside: a row that was changed, taken
out, put in or moved is found by `AuditStore.verify`. A row is written in the transaction of what it tells of, so both are there or neither.
Whoever can rewrite the whole table can also make new hashes; the program's log has the hash of every row too, for that case.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal, TypeVar

import msgspec
import structlog

from openbell.adapters.stores.database import Database, Statements

T = TypeVar("T")

Outcome = Literal["done", "refused"]
#: Characters of a field that are kept.
LENGTH_MAX = 200
#: Rows read at a time by `verify`.
ROWS_AT_ONCE = 1000

_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger("audit")


class Entry(msgspec.Struct, frozen=True):
    """What is to be written. Text is shortened, and control characters in it are escaped."""

    ts: int  # ns since 1970 UTC
    actor: str  # a user name, or `local`; empty when nobody is signed in
    action: str  # such as sign-in
    subject: str = ""  # to what or whom, such as a user name or the id of a key
    outcome: Outcome = "done"
    address: str = ""  # where it came from
    detail: str = ""


class AuditRow(msgspec.Struct, frozen=True):
    """A row of the log."""

    number: int  # 1, 2, 3, ...
    ts: int  # ns since 1970 UTC
    actor: str
    action: str
    subject: str
    outcome: Outcome
    address: str
    detail: str
    hash: bytes  # sha256 of the hash before and of all other fields


class Verdict(msgspec.Struct, frozen=True):
    """What `verify` found."""

    rows: int  # that are as they were written, from the first one on
    hash: bytes  # of the last of these
    problem: str = ""  # what is wrong with the next one; empty: nothing


class TakenBack(Exception):
    """Raised by the work of a transaction that shall leave nothing behind, its row of the log neither."""


def audited(database: Database, entry: Entry, work: Callable[[Statements], T]) -> T:
    """Do the work and add its row in one transaction, and tell of it in the program's log.

    The row comes first: until the transaction ends, others wait to add theirs. So of two changes of accounts one sees what the other did.
    """

    def run(sql: Statements) -> tuple[AuditRow | None, T]:
        return _append(sql, entry), work(sql)

    row, result = database.run(run)
    if row is not None:
        shown = msgspec.structs.asdict(row) | {"hash": row.hash.hex()}
        log.info("audit", **{name: value for name, value in shown.items() if value != ""})
    return result


def _append(sql: Statements, entry: Entry) -> AuditRow | None:
    """The row, as it was written; None when it was there already."""
    [(number, before)] = sql.select(_NEXT, (b"", b"", entry.ts))
    texts = [clean(text) for text in (entry.actor, entry.action, entry.subject, entry.outcome, entry.address, entry.detail)]
    if sql.repeated and sql.select(_SAME, (entry.ts, *texts)):
        sql.execute("UPDATE progress SET position = position - 1 WHERE reader = 'audit' AND partition = 0")
        return None
    values = (int(number), entry.ts, *texts)
    row = _row((*values, row_hash(bytes(before), values)))
    sql.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, row.hash))
    sql.execute("UPDATE progress SET state = ? WHERE reader = 'audit' AND partition = 0", (row.hash,))
    return row


def _row(values: tuple[Any, ...]) -> AuditRow:
    return AuditRow(*values)


def clean(text: str) -> str:
    r"""Text that is one line and shows what is in it.

    >>> clean("root\n2026 admin signed in")
    'root\\n2026 admin signed in'
    """
    short = text if len(text) <= LENGTH_MAX else f"{text[: LENGTH_MAX - 1]}…"
    return "".join(one if one.isprintable() and one != "\\" else one.encode("unicode_escape").decode() for one in short)


def row_hash(before: bytes, values: tuple[object, ...]) -> bytes:
    """The hash of a row: of the hash before, and of its fields as JSON."""
    return sha256(before + _ENCODER.encode(values)).digest()


class AuditStore:
    """The rows. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, entry: Entry) -> None:
        """Add a row by itself."""
        audited(self._database, entry, lambda _: None)

    def latest(self, most: int, actor: str = "", action: str = "") -> list[AuditRow]:
        """The latest rows, oldest first, at most so many; of an actor (or of what was done to them), or of an action."""
        wanted: list[str] = []
        values: list[object] = []
        if actor:
            wanted.append("(actor = ? OR subject = ?)")
            values += [actor, actor]
        if action:
            wanted.append("action = ?")
            values.append(action)
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        found = self._database.select(f"SELECT {_COLUMNS} FROM audit {where} ORDER BY number DESC LIMIT {int(most)}", values)
        return [_row(row) for row in reversed(found)]

    def verify(self) -> Verdict:
        """Follow the chain from the first row to the last, while others add to it."""
        rows, hash = 0, b""
        while True:
            head = self._database.select("SELECT position, state FROM progress WHERE reader = 'audit' AND partition = 0")
            last, last_hash = (int(head[0][0]), bytes(head[0][1])) if head else (0, b"")
            found = self._database.select(f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT {ROWS_AT_ONCE}", (rows,))
            for row in found:
                if row[0] != rows + 1:
                    return Verdict(rows, hash, f"row {rows + 1} is missing")
                if row_hash(hash, tuple(row[:-1])) != bytes(row[-1]):
                    return Verdict(rows, hash, f"row {row[0]} is not what was written, or stands in another place")
                rows, hash = int(row[0]), bytes(row[-1])
            if not found:  # all that had been written when the head was read
                problem = "" if (rows, hash) == (last, last_hash) else f"there are {rows} rows, and {last} were written"
                return Verdict(rows, hash, problem)


_COLUMNS = "number, ts, actor, action, subject, outcome, address, detail, hash"
_NEXT = """
INSERT INTO progress (reader, partition, position, cursor, state, updated) VALUES ('audit', 0, 1, ?, ?, ?)
ON CONFLICT (reader, partition) DO UPDATE SET position = progress.position + 1, updated = excluded.updated RETURNING position, state
"""
_SAME = """
SELECT 1 FROM audit WHERE ts = ? AND actor = ? AND action = ? AND subject = ? AND outcome = ? AND address = ? AND detail = ?
"""
