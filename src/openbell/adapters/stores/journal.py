"""The embedded journal: one SQLite file. The contract is in `openbell.adapters.stores.base`,
the tables and statements are in `openbell.adapters.stores.journal_schema`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from openbell import __version__
from openbell.adapters.stores import journal_schema as schema
from openbell.adapters.stores.base import (
    CHECKPOINTS_KEPT,
    ENDED,
    LAYOUT,
    OPEN,
    RECOVERED,
    RUN_NAME,
    Batch,
    Checkpoint,
    CommandArray,
    EventArray,
    Mark,
    Run,
    batch_checksum,
    checkpoint_checksum,
    run_checksum,
)
from openbell.adapters.stores.log_copier import LOG_BYTES, LogCopier
from openbell.adapters.stores.sqlite import FileLock, connect, storage_errors
from openbell.errors import JournalError, UnknownNameError, UsageError
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT


@dataclass(slots=True)
class _Standing:
    """Where a run stands: its number in the file, the checksum of its first lines, its mark, the checksum of its latest batch."""

    number: int
    root: bytes
    mark: Mark
    checksum: bytes


class SqliteJournal:
    """A `Journal` in one file. `SqliteJournal(path)` is the one writer; `SqliteJournal(path, writable=False)` reads beside it.

    Raises StorageError and JournalError as the contract says. `log_bytes` is where copying the write-ahead log begins.
    """

    def __init__(self, path: str | Path, writable: bool = True, log_bytes: int = LOG_BYTES) -> None:
        self.path = Path(path).expanduser()
        self._lock: FileLock | None = None
        self._durable = False
        self._written: dict[str, _Standing] = {}
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
        if not RUN_NAME.fullmatch(run) or run == "last":
            raise UsageError(f"the run is called {run!r}", "1 to 16 letters, digits, _ or -, and not `last`")
        if self._select("SELECT 1 FROM runs WHERE id = ?", run):
            raise UsageError(f"there is a run {run} already", "a new name", "go on with that run, or choose another name")
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

    def run(self, run: str) -> Run:
        """A run by its name, or the newest for "last"; UnknownNameError with near names."""
        known = self.runs()  # all are read and verified, so that a damaged index cannot hide one
        for candidate in known:
            if candidate.id == run:
                return candidate
        if run == "last" and known:
            return known[-1]
        raise UnknownNameError.of("run", run, [candidate.id for candidate in known])

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return [self._run_of(row) for row in self._select(schema.SELECT_RUNS)]

    def _run_of(self, row: tuple[Any, ...]) -> Run:
        run, plan, created_ns, checksum, source, version, layout, status, recoveries, kept = row
        if checksum != run_checksum(run, plan, created_ns):
            raise self._damage(run, "its plan does not match its checksum (event 1 and all after it)", 1)
        mark = Mark.from_bytes(checksum, kept) if isinstance(kept, bytes) else None
        if mark is None:
            raise self._damage(run, "the mark of where it stands does not match its checksum (event 1 and all after it)", 1)
        if layout != LAYOUT:
            raise JournalError(
                f"{self.path}, run {run}: events 1 to {mark.seq} are laid out as in openbell {version}", f"those of openbell {__version__}",
                f"use openbell {version} for this run, or start a new one",
            )  # fmt: skip
        return Run(run, json.loads(plan), source, version, created_ns, status, recoveries, mark.seq, mark.commands, mark.sent)

    # Batches.

    def append(self, run: str, events: EventArray, cursor: bytes, commands: CommandArray, durable: bool = False) -> None:
        """Write one batch in one transaction."""
        assert events.dtype == EVENT, "events are an array of EVENT"
        assert commands.dtype == COMMAND, "commands are an array of COMMAND"
        assert len(events), "a batch has at least one event"
        stands = self._standing(run)
        first_seq, first_command = stands.mark.seq + 1, stands.mark.commands
        if int(events[0]["seq"]) != first_seq or int(events[-1]["seq"]) != first_seq + len(events) - 1:
            raise JournalError(
                f"{self.path}, run {run}: events {events[0]['seq']} to {events[-1]['seq']} would leave a gap", f"event {first_seq} next",
                "take the run up again from the journal",
            )  # fmt: skip
        data, effects = events.tobytes(), commands.tobytes()
        checksum = batch_checksum(stands.checksum, run, first_seq, cursor, first_command, effects, data)
        mark = Mark(stands.mark.seq + len(events), first_command + len(commands), stands.mark.sent)
        if self._copier is not None:
            with storage_errors(self.path):
                self._copier.before(len(data) + len(effects))
        with self._transaction(durable):
            place, _ = schema.places(stands.number, first_seq)
            values = (place, len(events), first_command, len(commands), cursor, checksum, effects, data)
            self._sql.execute(schema.INSERT_BATCH, values)
            self._sql.execute(schema.SET_MARK, (stands.number, mark.to_bytes(stands.root)))
        stands.mark, stands.checksum = mark, checksum

    def mark_sent(self, run: str, count: int) -> None:
        """The first `count` commands of the run have left."""
        stands = self._standing(run)
        if count > stands.mark.sent:
            mark = replace(stands.mark, sent=count)
            with storage_errors(self.path):
                self._sql.execute(schema.SET_MARK, (stands.number, mark.to_bytes(stands.root)))
            stands.mark = mark

    def cursor(self, run: str) -> bytes:
        """The cursor of the latest batch, verified; empty before the first."""
        last = self._select(schema.SELECT_LAST, *schema.places(self._place(run, 0).number, 0))
        return [batch.cursor for batch in self.batches(run, last[0][0] - 1)][-1] if last else b""

    def batches(self, run: str, after: int = 0) -> Iterator[Batch]:
        """The batches after the event `after`, verified one by one."""
        stands, end = self._place(run, after), self.run(run).seq
        seq, command, previous = after + 1, stands.mark.commands, stands.checksum
        with storage_errors(self.path):
            rows = self._sql.execute(schema.SELECT_BATCHES, schema.places(stands.number, after + 1))
        while row := self._next(rows, run, seq):
            if tuple(map(type, row)) != schema.BATCH_TYPES:
                raise self._damage(run, f"events from {seq} on cannot be read", seq)
            first_seq, event_count, first_command, command_count, cursor, checksum, commands, events = row
            last = first_seq + max(event_count, 1) - 1
            if first_seq > seq:
                raise self._damage(run, f"events {seq} to {first_seq - 1} are missing", seq)
            if first_seq < seq:
                raise self._damage(run, f"events {first_seq} to {last} are there twice", first_seq)
            sizes = len(events) == event_count * EVENT.itemsize > 0 and len(commands) == command_count * COMMAND.itemsize
            expected = batch_checksum(previous, run, first_seq, cursor, command, commands, events)
            if not sizes or first_command != command or checksum != expected:
                raise self._damage(run, f"events {first_seq} to {last} do not match their checksum", first_seq)
            yield Batch(first_seq, np.frombuffer(events, EVENT), cursor, first_command, np.frombuffer(commands, COMMAND), checksum)
            seq, command, previous = last + 1, command + command_count, checksum
        if seq <= end:
            raise self._damage(run, f"events {seq} to {end} are missing", seq)

    def _place(self, run: str, after: int) -> "_Standing":
        """Where the run stood after the event `after`, the last of a batch or 0."""
        name = self.run(run).id
        number, created_ns, plan = self._select(schema.SELECT_FIRST_LINES, name)[0]
        root = run_checksum(run, plan, created_ns)
        if after == 0:
            return _Standing(number, root, Mark(0, 0, 0), root)
        before = self._select(schema.SELECT_LAST, *schema.places(number, 0, after))
        if not before or tuple(map(type, before[0])) != (int, int, int, bytes) or before[0][1] != after:
            raise self._damage(run, f"the batch that ends with event {after} is missing", after)
        return _Standing(number, root, Mark(after, before[0][2], 0), before[0][3])

    def _standing(self, run: str) -> "_Standing":
        """Where the run stands that this journal writes; remembered, so that a batch costs no reading."""
        if run not in self._written:
            known = self.run(run)
            stands = self._place(run, known.seq)
            stands.mark = Mark(known.seq, known.commands, known.sent)
            self._written[run] = stands
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

    def checkpoints(self, run: str) -> Iterator[Checkpoint]:
        """The checkpoints that verify, newest first."""
        number = self._place(run, 0).number
        for (seq,) in self._select("SELECT seq FROM checkpoints WHERE run = ? ORDER BY seq DESC", number):
            try:
                previous = self._place(run, seq).checksum
                row = self._select(schema.SELECT_CHECKPOINT, number, seq)[0]
            except JournalError:
                continue  # damaged, or of a batch the journal lost; the one before it does as well
            if tuple(map(type, row)) == (int, str, bytes, bytes):
                commands, source, checksum, state = row
                checkpoint = Checkpoint(seq, commands, source, state)
                if checksum == checkpoint_checksum(previous, run, checkpoint):
                    yield checkpoint

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

    def _select(self, query: str, *values: Any) -> list[Any]:
        with storage_errors(self.path):
            return self._sql.execute(query, values).fetchall()

    def _next(self, rows: Any, run: str, seq: int) -> Any:
        """One row at a time, so that a long run needs the memory of one batch."""
        try:
            with storage_errors(self.path):
                return rows.fetchone()
        except JournalError as error:
            raise self._damage(run, f"events from {seq} on cannot be read", seq) from error

    def _damage(self, run: str, what: str, first: int) -> JournalError:
        whole = f"what is before event {first} is whole" if first > 1 else "nothing of this run can be used"
        return JournalError(f"{self.path}, run {run}: {what}", "the bytes that were written",
                            f"restore the file from a copy, or start a new run; {whole}")  # fmt: skip

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
