"""What every journal does alike: verify the chain of batches as it is read, and say how the next batch continues it.

A kind of journal adds where its rows are. The contract is in `openbell.adapters.stores.base`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell import __version__
from openbell.adapters.stores.base import (
    LAYOUT,
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
from openbell.errors import JournalError, UnknownNameError, UsageError
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT

Row = tuple[Any, ...]
#: What a row of a batch has to be made of; a damaged database may say otherwise.
BATCH_TYPES = (int, int, int, int, bytes, bytes, bytes, bytes)


@dataclass(slots=True)
class Standing:
    """Where a run stands: its number in the database, the checksum of its first lines, its mark, the checksum of its latest batch."""

    number: int
    root: bytes
    mark: Mark
    checksum: bytes


@dataclass(slots=True)
class NextBatch:
    """A batch that continues a run, and the run's mark with it."""

    first_seq: int
    events: bytes
    cursor: bytes
    first_command: int
    commands: bytes
    checksum: bytes
    mark: Mark

    @property
    def counts(self) -> tuple[int, int]:
        """Events and commands in it."""
        return len(self.events) // EVENT.itemsize, len(self.commands) // COMMAND.itemsize


class JournalChain(ABC):
    """The reading half of a `Journal`. `where` is how messages name the file or the database."""

    where: object

    # Where the rows are.

    @abstractmethod
    def _run_rows(self) -> list[Row]:
        """id, plan, created_ns, checksum, source, version, layout, status, recoveries, mark of every run, oldest first."""

    @abstractmethod
    def _first_lines(self, run: str) -> Row:
        """number, created_ns, plan of a run that is there."""

    @abstractmethod
    def _last_batch(self, number: int, after: int | None = None) -> Row | None:
        """first_seq, seq at its end, commands at its end, checksum of the last batch that begins at `after` or before."""

    @abstractmethod
    def _batch_rows(self, number: int, first_seq: int) -> Iterator[Row]:
        """first_seq, event_count, first_command, command_count, cursor, checksum, commands, events from a `seq` on, in order."""

    @abstractmethod
    def _checkpoint_seqs(self, number: int) -> list[int]:
        """The `seq` of each checkpoint, newest first."""

    @abstractmethod
    def _checkpoint_row(self, number: int, seq: int) -> Row | None:
        """commands, source, checksum, state of a checkpoint."""

    # Runs.

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
        return [self._run_of(row) for row in self._run_rows()]

    def _run_of(self, row: Row) -> Run:
        run, plan, created_ns, checksum, source, version, layout, status, recoveries, kept = row
        if checksum != run_checksum(run, plan, created_ns):
            raise self._damage(run, "its plan does not match its checksum (event 1 and all after it)", 1)
        mark = Mark.from_bytes(checksum, kept) if isinstance(kept, bytes) else None
        if mark is None:
            raise self._damage(run, "the mark of where it stands does not match its checksum (event 1 and all after it)", 1)
        if layout != LAYOUT:
            raise JournalError(
                f"{self.where}, run {run}: events 1 to {mark.seq} are laid out as in openbell {version}",
                f"those of openbell {__version__}",
                f"use openbell {version} for this run, or start a new one",
            )
        return Run(run, json.loads(plan), source, version, created_ns, status, recoveries, mark.seq, mark.commands, mark.sent)

    def _check_name(self, run: str, is_taken: bool) -> None:
        if not RUN_NAME.fullmatch(run) or run == "last":
            raise UsageError(f"the run is called {run!r}", "1 to 16 letters, digits, _ or -, and not `last`")
        if is_taken:
            raise UsageError(f"there is a run {run} already", "a new name", "go on with that run, or choose another name")

    # Batches.

    def _continue(self, stands: Standing, run: str, events: EventArray, cursor: bytes, commands: CommandArray) -> NextBatch:
        """The batch that these events make where the run stands; JournalError when they would leave a gap."""
        assert events.dtype == EVENT, "events are an array of EVENT"
        assert commands.dtype == COMMAND, "commands are an array of COMMAND"
        assert len(events), "a batch has at least one event"
        first_seq, first_command = stands.mark.seq + 1, stands.mark.commands
        if int(events[0]["seq"]) != first_seq or int(events[-1]["seq"]) != first_seq + len(events) - 1:
            raise JournalError(
                f"{self.where}, run {run}: events {events[0]['seq']} to {events[-1]['seq']} would leave a gap", f"event {first_seq} next",
                "take the run up again from the journal",
            )  # fmt: skip
        data, effects = events.tobytes(), commands.tobytes()
        checksum = batch_checksum(stands.checksum, run, first_seq, cursor, first_command, effects, data)
        mark = Mark(stands.mark.seq + len(events), first_command + len(commands), stands.mark.sent)
        return NextBatch(first_seq, data, cursor, first_command, effects, checksum, mark)

    def cursor(self, run: str) -> bytes:
        """The cursor of the latest batch, verified; empty before the first."""
        last = self._last_batch(self._place(run, 0).number)
        return [batch.cursor for batch in self.batches(run, last[0] - 1)][-1] if last else b""

    def batches(self, run: str, after: int = 0) -> Iterator[Batch]:
        """The batches after the event `after`, verified one by one."""
        stands, end = self._place(run, after), self.run(run).seq
        seq, command, previous = after + 1, stands.mark.commands, stands.checksum
        rows = self._batch_rows(stands.number, after + 1)
        while row := self._next(rows, run, seq):
            if tuple(map(type, row)) != BATCH_TYPES:
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

    def _next(self, rows: Iterator[Row], run: str, seq: int) -> Row | None:
        """One row at a time, so that a long run needs the memory of one batch."""
        try:
            return next(rows, None)
        except JournalError as error:
            raise self._damage(run, f"events from {seq} on cannot be read", seq) from error

    def _place(self, run: str, after: int) -> Standing:
        """Where the run stood after the event `after`, the last of a batch or 0."""
        name = self.run(run).id
        number, created_ns, plan = self._first_lines(name)
        root = run_checksum(run, plan, created_ns)
        if after == 0:
            return Standing(number, root, Mark(0, 0, 0), root)
        before = self._last_batch(number, after)
        if before is None or tuple(map(type, before)) != (int, int, int, bytes) or before[1] != after:
            raise self._damage(run, f"the batch that ends with event {after} is missing", after)
        return Standing(number, root, Mark(after, before[2], 0), before[3])

    def _stands_now(self, run: str) -> Standing:
        """Where the run stands, by its mark."""
        known = self.run(run)
        stands = self._place(run, known.seq)
        stands.mark = Mark(known.seq, known.commands, known.sent)
        return stands

    # Checkpoints.

    def checkpoints(self, run: str) -> Iterator[Checkpoint]:
        """The checkpoints that verify, newest first."""
        number = self._place(run, 0).number
        for seq in self._checkpoint_seqs(number):
            try:
                previous = self._place(run, seq).checksum
                row = self._checkpoint_row(number, seq)
            except JournalError:
                continue  # damaged, or of a batch the journal lost; the one before it does as well
            if row is not None and tuple(map(type, row)) == (int, str, bytes, bytes):
                commands, source, checksum, state = row
                checkpoint = Checkpoint(seq, commands, source, state)
                if checksum == checkpoint_checksum(previous, run, checkpoint):
                    yield checkpoint

    def _damage(self, run: str, what: str, first: int) -> JournalError:
        whole = f"what is before event {first} is whole" if first > 1 else "nothing of this run can be used"
        return JournalError(f"{self.where}, run {run}: {what}", "the bytes that were written",
                            f"restore the file from a copy, or start a new run; {whole}")  # fmt: skip
