"""How far a reader has come, kept in the same transaction as the effect of what it read.

Messages come at least once. A reader stores its position with what the messages did, and what comes again from before it is dropped: so
every effect is there once, whatever is killed. The position is moved by compare-and-set: who moves it says where it believes it stands.
When somebody else has moved it meanwhile, nothing is written and FencedError is raised; read the progress again and go on from there, or
stop.
"""

from dataclasses import dataclass
from time import time_ns

from openbell.adapters.stores.database import Reading, Statements
from openbell.errors import FencedError


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a reader stands in a partition of what it reads; position 0 before it has read anything."""

    reader: str
    partition: int = 0
    position: int = 0  # what is read next: the offset in a partition, the index of a run's command
    cursor: bytes = b""  # where a feed goes on
    state: bytes = b""  # what the reader keeps from one message to the next

    def advance(self, position: int, cursor: bytes | None = None, state: bytes | None = None) -> "Advance":
        """The step to a position, which is never before this one; cursor and state stay unless they are given."""
        assert position >= self.position, "a position never moves back"
        after = Progress(
            self.reader, self.partition, position, self.cursor if cursor is None else cursor, self.state if state is None else state
        )
        return Advance(self.position, after)


@dataclass(frozen=True, slots=True)
class Advance:
    """A reader's step from where it believes it stands to where it stands with the effect that is written in the same transaction."""

    expected: int  # the position that has to be stored
    after: Progress


def read_progress(sql: Reading, reader: str, partition: int) -> Progress:
    """What is stored, or the beginning."""
    found = sql.select("SELECT position, cursor, state FROM progress WHERE reader = ? AND partition = ?", (reader, partition))
    return Progress(reader, partition, *found[0]) if found else Progress(reader, partition)


def move(sql: Statements, advance: Advance) -> bool:
    """Store the step, within the transaction that writes its effect. FencedError when another process has moved the reader.

    False when the transaction is a repetition and the one before had been committed, although its connection broke: there is nothing left
    to write then.
    """
    after = advance.after
    key, kept = (after.reader, after.partition), (after.position, after.cursor, after.state, time_ns())
    if sql.execute(_FIRST, (*key, *kept)) if advance.expected == 0 else sql.execute(_NEXT, (*kept, *key, advance.expected)):
        return True
    stored = read_progress(sql, after.reader, after.partition)
    if sql.repeated and stored == after:
        return False
    who = f"{after.reader}, partition {after.partition}"
    if stored.position < advance.expected:
        raise FencedError(
            f"{who}: the database went back to position {stored.position}", f"position {advance.expected}, which was stored",
            "go on from what is stored",
        )  # fmt: skip
    raise FencedError(
        f"{who}: another process has taken over and stands at {stored.position}", f"position {advance.expected}, where this one stood",
        "let only one of them run, or go on from what is stored",
    )  # fmt: skip


#: A row without a position counts as a row at 0.
_FIRST = """
INSERT INTO progress (reader, partition, position, cursor, state, updated) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (reader, partition) DO UPDATE
SET position = excluded.position, cursor = excluded.cursor, state = excluded.state, updated = excluded.updated
WHERE progress.position = 0
"""
_NEXT = """
UPDATE progress SET position = ?, cursor = ?, state = ?, updated = ? WHERE reader = ? AND partition = ? AND position = ?
"""
