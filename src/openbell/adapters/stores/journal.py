"""The embedded journal: one SQLite file. The contract is in `openbell.adapters.stores.base`, reading and verifying in
`openbell.adapters.stores.journal_chain`, the tables and statements in `openbell.adapters.stores.journal_schema`.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from openbell import __version__
from openbell.adapters.stores import journal_schema as schema
from openbell.adapters.stores.base import (
    CHECKPOINTS_KEPT,
    ENDED,
    LAYOUT,
    OPEN,
    RECOVERED,
    Checkpoint,
    CommandArray,
    EventArray,
    Mark,
    Run,
    checkpoint_checksum,
    run_checksum,
)
from openbell.adapters.stores.journal_chain import JournalChain, Row, Standing
from openbell.adapters.stores.log_copier import LOG_BYTES, LogCopier
from openbell.adapters.stores.sqlite import FileLock, connect, storage_errors


class SqliteJournal(JournalChain):
    """A `Journal` in one file. `SqliteJournal(path)` is the one writer; `SqliteJournal(path, writable=False)` reads beside it.

    Raises StorageError and JournalError as the contract says. `log_bytes` is where copying the write-ahead log begins.
    """

    def __init__(self, path: str | Path, writable: bool = True, log_bytes: int = LOG_BYTES) -> None:
        self.path = self.where = Path(path).expanduser()
        self._lock: FileLock | None = None
        self._durable = False
        self._written: dict[str, Standing] = {}
        with storage_errors(self.path):
            if writable:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            self._sql = connect(self.path, writable, schema.APPLICATION_ID, schema.FORMAT)
            with storage_errors(self.path):
                if writable and not self._sql.execute("SELECT name FROM sqlite_schema LIMIT 1").fetchall():
                    self._sql.executescript(schema.SCHEMA)
                self._copier = LogCopier(self.path, self._sql, log_bytes) if writable else None
        except BaseException:
            self._release()
            raise

    # Runs.

    def create_run(self, run: str, plan: dict[str, Any], source: str, created_ns: int) -> Run:
        """Begin a run; UsageError when the name is taken or cannot begin an order's id at a broker."""
        self._check_name(run, bool(self._select("SELECT 1 FROM runs WHERE id = ?", run)))
        text = json.dumps(plan, sort_keys=True, allow_nan=False)
        checksum = run_checksum(run, text, created_ns)
        with self._transaction(durable=True):
            values = (run, text, created_ns, checksum, source, __version__, LAYOUT, OPEN)
            number = self._sql.execute(schema.INSERT_RUN, values).lastrowid
            self._sql.execute(schema.SET_MARK, (number, Mark(0, 0, 0).to_bytes(checksum)))
        return self.run(run)

    def take_up(self, run: str, source: str) -> Run:
        """Go on with a run, by this code; one that nobody ended has crashed."""
        before = self.run(run)
        crashed = before.status != ENDED and before.seq > 0
        with self._transaction():
            self._sql.execute(
                "UPDATE runs SET source = ?, status = ?, recoveries = recoveries + ? WHERE id = ?",
                (source, RECOVERED if crashed or before.recoveries else OPEN, int(crashed), before.id),
            )
        return self.run(run)

    def end_run(self, run: str) -> None:
        """Close a run in order."""
        with self._transaction(durable=True):
            self._sql.execute("UPDATE runs SET status = ? WHERE id = ?", (ENDED, run))

    # Batches.

    def append(self, run: str, events: EventArray, cursor: bytes, commands: CommandArray, durable: bool = False) -> None:
        """Write one batch in one transaction."""
        stands = self._standing(run)
        batch = self._continue(stands, run, events, cursor, commands)
        if self._copier is not None:
            with storage_errors(self.path):
                self._copier.before(len(batch.events) + len(batch.commands))
        with self._transaction(durable):
            place, _ = schema.places(stands.number, batch.first_seq)
            event_count, command_count = batch.counts
            self._sql.execute(
                schema.INSERT_BATCH,
                (place, event_count, batch.first_command, command_count, cursor, batch.checksum, batch.commands, batch.events),
            )
            self._sql.execute(schema.SET_MARK, (stands.number, batch.mark.to_bytes(stands.root)))
        stands.mark, stands.checksum = batch.mark, batch.checksum

    def mark_sent(self, run: str, count: int) -> None:
        """The first `count` commands of the run have left."""
        stands = self._standing(run)
        if count > stands.mark.sent:
            mark = replace(stands.mark, sent=count)
            with storage_errors(self.path):
                self._sql.execute(schema.SET_MARK, (stands.number, mark.to_bytes(stands.root)))
            stands.mark = mark

    def _standing(self, run: str) -> Standing:
        """Where the run stands that this journal writes; remembered, so that a batch costs no reading."""
        if run not in self._written:
            self._written[run] = self._stands_now(run)
        return self._written[run]

    # Checkpoints.

    def save_checkpoint(self, run: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint taken after the latest batch, and drop the oldest."""
        stands = self._standing(run)
        assert (checkpoint.seq, checkpoint.commands) == (stands.mark.seq, stands.mark.commands), "a checkpoint is taken between two batches"
        checksum = checkpoint_checksum(stands.checksum, run, checkpoint)
        with self._transaction():
            values = (stands.number, checkpoint.seq, checkpoint.commands, checkpoint.source, checksum, checkpoint.state)
            self._sql.execute(schema.INSERT_CHECKPOINT, values)
            self._sql.execute(schema.DELETE_CHECKPOINTS, (stands.number, stands.number, CHECKPOINTS_KEPT))

    # Where the rows are.

    def _run_rows(self) -> list[Row]:
        return self._select(schema.SELECT_RUNS)

    def _first_lines(self, run: str) -> Row:
        return self._select(schema.SELECT_FIRST_LINES, run)[0]

    def _last_batch(self, number: int, after: int | None = None) -> Row | None:
        places = schema.places(number, 0) if after is None else schema.places(number, 0, after)
        return next(iter(self._select(schema.SELECT_LAST, *places)), None)

    def _batch_rows(self, number: int, first_seq: int) -> Iterator[Row]:
        with storage_errors(self.path):
            rows = self._sql.execute(schema.SELECT_BATCHES, schema.places(number, first_seq))
        while row := self._fetch(rows):
            yield row

    def _fetch(self, rows: sqlite3.Cursor) -> Row | None:
        with storage_errors(self.path):
            found: Row | None = rows.fetchone()
            return found

    def _checkpoint_seqs(self, number: int) -> list[int]:
        return [seq for (seq,) in self._select("SELECT seq FROM checkpoints WHERE run = ? ORDER BY seq DESC", number)]

    def _checkpoint_row(self, number: int, seq: int) -> Row | None:
        return next(iter(self._select(schema.SELECT_CHECKPOINT, number, seq)), None)

    # The file.

    @contextmanager
    def _transaction(self, durable: bool = False) -> Iterator[None]:
        """All or nothing; `durable` returns after the disk has confirmed."""
        with storage_errors(self.path):
            if durable != self._durable:
                self._sql.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def _select(self, query: str, *values: Any) -> list[Row]:
        with storage_errors(self.path):
            return self._sql.execute(query, values).fetchall()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._copier is not None:
            self._copier.close()
        self._sql.close()
        self._release()

    def __enter__(self) -> "SqliteJournal":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
