"""The journal's contract, in words and as a protocol. The suite in `tests/contracts/test_journal.py` holds every implementation to it.

A journal keeps **runs**. A run is its plan, the version of the code that decides, and a chain of **batches**: the events of one step, the
cursor that says how far the feed had been read, and the commands the events caused, all in one transaction. It follows that:

1. *One writer.* A second one is refused with a StorageError, also in the same process. Readers are never in the way.
2. *All or nothing.* A batch is there as a whole or not at all, whenever the process is killed.
3. *No gap.* Batches follow each other by `seq` (from 1) and by the index of their first command (from 0).
4. *Every bit counts.* A batch carries a checksum over its content and over the checksum before it. What does not verify, is missing or
   is out of order raises a JournalError that names the range of `seq`; nothing is skipped or repaired in silence. Zeros never verify.
5. *Durable when it says so.* With `durable=True`, `append` returns after the disk has confirmed. Otherwise the batch survives a killed
   process, but not always a loss of power; then batches are lost from the end only, with the marks and checkpoints that followed them.
6. *Outbox.* `mark_sent` says that the first `count` commands have left; the mark never moves backwards.
7. *Checkpoints are a convenience.* One that is damaged, or of a batch the journal does not hold, is passed over; the newest few are kept.
8. *Trouble has a name.* A full disk, a read-only folder, a locked file raise StorageError; damage and foreign versions JournalError.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from struct import pack, unpack_from
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from openbell.model.commands import LAYOUT as LAYOUT

EventArray = np.ndarray[Any, Any]
CommandArray = np.ndarray[Any, Any]

#: Status of a run: a trader writes it, or died while it did.
OPEN = "open"
#: The same, after at least one crash that it recovered from.
RECOVERED = "crashed-recovered"
#: Closed in order; it may be taken up again.
ENDED = "ended"

CHECKSUM_SIZE = 16
#: The newest so many checkpoints are kept: one may be damaged.
CHECKPOINTS_KEPT = 3
#: Names of runs. They begin the ids that orders have at a broker, and brokers limit those to about 36 characters.
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,15}")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the journal knows it now."""

    id: str
    plan: dict[str, Any]  # of `Plan.to_dict`
    source: str  # the code that decides; see `services.trader.source_of`
    version: str  # of openbell, when it was created
    created_ns: int
    status: str  # OPEN, RECOVERED, ENDED
    recoveries: int  # crashes it came back from
    seq: int  # of its latest event
    commands: int  # written
    sent: int  # of them, handed to the publisher


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, how far the feed had been read with them, and what they caused. The arrays are read-only."""

    first_seq: int
    events: EventArray  # dtype EVENT
    cursor: bytes
    first_command: int  # index in the run, from 0
    commands: CommandArray  # dtype COMMAND
    checksum: bytes

    @property
    def last_seq(self) -> int:
        """Of its last event."""
        return self.first_seq + len(self.events) - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The engine's state after the event `seq`, when `commands` commands had been written, made by the code `source`."""

    seq: int
    commands: int
    source: str
    state: bytes


class Journal(Protocol):
    """Where runs are kept. One thread at a time."""

    def create_run(self, run: str, plan: dict[str, Any], source: str, created_ns: int) -> Run:
        """Begin a run. UsageError when the name is taken or does not match RUN_NAME."""

    def take_up(self, run: str, source: str) -> Run:
        """Go on with a run: an ended one is OPEN again, one that is still open has crashed and becomes RECOVERED. Notes the code."""

    def end_run(self, run: str) -> None:
        """Close a run in order."""

    def run(self, run: str) -> Run:
        """A run by its name, or the newest for "last"; UnknownNameError with near names."""

    def runs(self) -> list[Run]:
        """Every run, oldest first."""

    def append(self, run: str, events: EventArray, cursor: bytes, commands: CommandArray, durable: bool = False) -> None:
        """Write one batch, whose first `seq` goes on where the run stands; JournalError when it does not."""

    def mark_sent(self, run: str, count: int) -> None:
        """The first `count` commands of the run have left."""

    def batches(self, run: str, after: int = 0) -> Iterator[Batch]:
        """The batches after the event `after` (the last of a batch, or 0), verified one by one."""

    def cursor(self, run: str) -> bytes:
        """The cursor of the latest batch, empty before the first."""

    def save_checkpoint(self, run: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint taken after the latest batch, and drop the oldest."""

    def checkpoints(self, run: str) -> Iterator[Checkpoint]:
        """The checkpoints that verify, newest first."""

    def close(self) -> None:
        """Let go of the file; may be called twice."""

    def __enter__(self) -> "Journal":
        """Itself; closed at the end of the block."""

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""


def run_checksum(run: str, plan: str, created_ns: int) -> bytes:
    """The checksum (16 bytes) of a run's first lines, and the one that its first batch follows."""
    return blake2b(f"{run}\0{created_ns}\0{plan}".encode(), digest_size=CHECKSUM_SIZE, person=b"openbell-run").digest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a run stands: kept beside its batches, in the same transaction, so that a lost end is noticed."""

    seq: int  # of the latest event
    commands: int  # written
    sent: int  # of them, handed to the publisher

    def to_bytes(self, run: bytes) -> bytes:
        """The 32 bytes that are kept; `run` is the checksum of the run's first lines."""
        numbers = pack("<3q", self.seq, self.commands, self.sent)
        return numbers + blake2b(numbers, digest_size=8, key=run, person=b"openbell-mark").digest()

    @staticmethod
    def from_bytes(run: bytes, data: bytes) -> "Mark | None":
        """The inverse; None when the bytes are damaged."""
        mark = Mark(*unpack_from("<3q", data)) if len(data) == 32 else None
        return mark if mark is not None and mark.to_bytes(run) == data else None


def batch_checksum(previous: bytes, run: str, first_seq: int, cursor: bytes, first_command: int, commands: bytes, events: bytes) -> bytes:
    """The checksum (16 bytes) of a batch that follows the one with the checksum `previous`."""
    digest = blake2b(digest_size=CHECKSUM_SIZE, person=b"openbell-batch", key=previous)
    digest.update(run.encode() + b"\0" + pack("<5q", first_seq, first_command, len(cursor), len(commands), len(events)) + cursor)
    digest.update(commands)
    digest.update(events)
    return digest.digest()


def checkpoint_checksum(batch: bytes, run: str, checkpoint: Checkpoint) -> bytes:
    """The checksum (16 bytes) of a checkpoint taken after the batch with the checksum `batch`."""
    digest = blake2b(digest_size=CHECKSUM_SIZE, person=b"openbell-state", key=batch)
    digest.update(f"{run}\0{checkpoint.source}\0".encode() + pack("<2q", checkpoint.seq, checkpoint.commands))
    digest.update(checkpoint.state)
    return digest.digest()
