"""The journal in PostgreSQL, for traders on any machine. The contract is in `openbell.adapters.stores.base`.

A batch and the mark of where the run stands are one statement, so one transaction and one way to the server. The statement changes nothing
unless the mark is the one this journal knows and the run's epoch is its own: taking up a run raises the epoch, so that a writer which was
paused, and does not know that another has taken over, is refused at its next write, whatever it writes.

Without `durable` a commit does not wait for the server's disk. A killed process of ours loses nothing. When the server itself is killed or
loses power, what it confirmed in its last second may be gone, from the end only, mark and batches together; the journal notices when it
writes again, and the trader then recovers from where the run really stands.
"""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from openbell import __version__
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
from openbell.adapters.stores.database import Address, Values
from openbell.adapters.stores.journal_chain import JournalChain, Row, Standing
from openbell.adapters.stores.postgres import PATIENCE_S, bring_to_newest, postgres_revision
from openbell.adapters.stores.postgres_link import ConnectionLostError, Link
from openbell.adapters.stores.revisions import is_newest
from openbell.errors import FencedError, StorageError

#: Bytes of batches that are read at a time.
READ_BYTES = 4 << 20


class PostgresJournal(JournalChain):
    """A `Journal` in a PostgreSQL database. `PostgresJournal(address)` is the one writer; with `writable=False` it reads beside it.

    Processes that write different runs of one database take different names: a name has one writer. `take_over` ends the connection of
    the writer that is there, for a standby whose predecessor was paused or hangs. A server that went away is waited for, `patience_s` long.
    """

    def __init__(
        self, address: Address, writable: bool = True, name: str = "", *, take_over: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self.where = address
        self._epochs: dict[str, int] = {}
        self._written: dict[str, Standing] = {}
        if writable:
            bring_to_newest(address)
        elif not is_newest(postgres_revision(address), address):
            raise StorageError(f"there is no journal in {address}", "one that openbell wrote", "run openbell database upgrade")
        self._link = Link(address, f"journal {name}".strip() if writable else "", take_over, patience_s)

    # Runs.

    def create_run(self, run: str, plan: dict[str, Any], source: str, created_ns: int) -> Run:
        """Begin a run; UsageError when the name is taken or cannot begin an order's id at a broker."""
        self._check_name(run, bool(self._link.select("SELECT 1 FROM runs WHERE id = %s", (run,))))
        text = json.dumps(plan, sort_keys=True, allow_nan=False)
        checksum = run_checksum(run, text, created_ns)
        mark = Mark(0, 0, 0).to_bytes(checksum)
        values = (run, text, created_ns, checksum, source, __version__, LAYOUT, OPEN, mark, self._link.me)
        while True:
            try:
                self._link.write(_CREATE_RUN, values, durable=True)
                break
            except ConnectionLostError:
                self._link.reconnect()
                if self._link.select("SELECT 1 FROM runs WHERE id = %s AND checksum = %s", (run, checksum)):
                    break
        self._epochs[run] = 1
        return self.run(run)

    def take_up(self, run: str, source: str) -> Run:
        """Go on with a run, by this code, as its one writer from now on; one that nobody ended has crashed."""
        before = self.run(run)
        crashed = before.status != ENDED and before.seq > 0
        status = RECOVERED if crashed or before.recoveries else OPEN
        self._claim(before.id)
        self._change(before.id, _SET_STATUS, (status, source, before.recoveries + int(crashed)))
        return self.run(run)

    def end_run(self, run: str) -> None:
        """Close a run in order."""
        known = self.run(run)
        self._change(run, _SET_STATUS, (ENDED, known.source, known.recoveries))

    def _claim(self, run: str) -> None:
        """Raise the run's epoch: who wrote it before may not any more."""
        self._written.pop(run, None)
        while True:
            try:
                ((epoch,),) = self._link.write(_CLAIM, (self._link.me, run), durable=True).fetchall()
                break
            except ConnectionLostError:
                self._link.reconnect()
        self._epochs[run] = epoch

    # Batches.

    def append(self, run: str, events: EventArray, cursor: bytes, commands: CommandArray, durable: bool = False) -> None:
        """Write one batch in one transaction."""
        stands = self._standing(run)
        batch = self._continue(stands, run, events, cursor, commands)
        event_count, command_count = batch.counts
        values = (batch.first_seq, event_count, batch.first_command, command_count, cursor, batch.checksum, batch.commands, batch.events)
        self._move(run, stands, batch.mark, _APPEND, values, durable)
        stands.checksum = batch.checksum

    def mark_sent(self, run: str, count: int) -> None:
        """The first `count` commands of the run have left."""
        stands = self._standing(run)
        if count > stands.mark.sent:
            self._move(run, stands, Mark(stands.mark.seq, stands.mark.commands, count), _SET_MARK, ())

    def _standing(self, run: str) -> Standing:
        """Where the run stands that this journal writes; remembered, so that a batch costs no reading."""
        if run not in self._written:
            if run not in self._epochs:
                self._claim(self.run(run).id)
            self._written[run] = self._stands_now(run)
        return self._written[run]

    def _move(self, run: str, stands: Standing, mark: Mark, query: str, values: Values, durable: bool = False) -> None:
        """Write something that moves the run's mark; it is done once, also when the connection breaks meanwhile."""
        before, after = stands.mark.to_bytes(stands.root), mark.to_bytes(stands.root)
        self._guarded(run, stands, query, (after, stands.number, self._epochs[run], before, *values), after, durable)
        stands.mark = mark

    def _change(self, run: str, query: str, values: Values) -> None:
        """Write something that leaves the mark where it is; doing it twice is doing it once."""
        stands = self._standing(run)
        self._guarded(run, stands, query, (stands.number, self._epochs[run], stands.mark.to_bytes(stands.root), *values), b"", durable=True)

    def _guarded(self, run: str, stands: Standing, query: str, values: Values, after: bytes, durable: bool) -> None:
        while True:
            try:
                if self._link.write(query, values, durable).rowcount < 1:
                    self._check(run, stands)
                    raise self._gone_back(run)
                return
            except ConnectionLostError:
                self._link.reconnect()
                if self._check(run, stands, after):
                    return

    def _check(self, run: str, stands: Standing, after: bytes = b"") -> bool:
        """Whether the mark is `after` already; raises when it is neither that nor where the run stands, or the run is another's."""
        epoch, writer, mark = next(iter(self._link.select(_OWNER, (stands.number,))), (0, "nobody", b""))
        if epoch != self._epochs[run]:
            raise FencedError(
                f"{self.where}, run {run}: another process ({writer}) has taken over", "this process to be its one writer",
                "leave it to that one; nothing of this write is there",
            )  # fmt: skip
        if mark == after:
            return True
        if mark != stands.mark.to_bytes(stands.root):
            raise self._gone_back(run)
        return False

    def _gone_back(self, run: str) -> StorageError:
        return StorageError(
            f"{self.where}, run {run}: the run does not stand where it was left: the server lost what it wrote last, or it was changed",
            "what was confirmed", "start again; the run goes on from what is there",
        )  # fmt: skip

    # Checkpoints.

    def save_checkpoint(self, run: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint taken after the latest batch, and drop the oldest."""
        stands = self._standing(run)
        assert (checkpoint.seq, checkpoint.commands) == (stands.mark.seq, stands.mark.commands), "a checkpoint is taken between two batches"
        checksum = checkpoint_checksum(stands.checksum, run, checkpoint)
        kept = (checkpoint.seq, checkpoint.commands, checkpoint.source, checksum, checkpoint.state)
        self._change(run, _CHECKPOINT, (stands.number, stands.number, CHECKPOINTS_KEPT - 1, *kept))

    # Where the rows are.

    def _run_rows(self) -> list[Row]:
        return self._link.select(_RUNS)

    def _first_lines(self, run: str) -> Row:
        return self._link.select("SELECT number, created_ns, plan FROM runs WHERE id = %s", (run,))[0]

    def _last_batch(self, number: int, after: int | None = None) -> Row | None:
        return next(iter(self._link.select(_LAST, (number, (1 << 62) if after is None else after))), None)

    def _batch_rows(self, number: int, first_seq: int) -> Iterator[Row]:
        count = 1
        while rows := self._link.select(_BATCHES, (number, first_seq, count)):
            yield from rows
            first_seq = rows[-1][0] + 1
            size = sum(len(commands) + len(events) for *_, commands, events in rows)
            count = max(1, min(4 * count, count * READ_BYTES // max(size, 1), 10_000))

    def _checkpoint_seqs(self, number: int) -> list[int]:
        return [seq for (seq,) in self._link.select("SELECT seq FROM checkpoints WHERE run = %s ORDER BY seq DESC", (number,))]

    def _checkpoint_row(self, number: int, seq: int) -> Row | None:
        query = "SELECT commands, source, checksum, state FROM checkpoints WHERE run = %s AND seq = %s"
        return next(iter(self._link.select(query, (number, seq))), None)

    def close(self) -> None:
        """Let go of the connection and with it of the lock; may be called twice."""
        self._link.close()

    def __enter__(self) -> "PostgresJournal":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_CREATE_RUN = """
WITH made AS (
    INSERT INTO runs (id, plan, created_ns, checksum, source, version, layout, status) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    RETURNING number
)
INSERT INTO marks (run, mark, epoch, writer) SELECT number, %s, 1, %s FROM made
"""
_CLAIM = "UPDATE marks SET epoch = epoch + 1, writer = %s WHERE run = (SELECT number FROM runs WHERE id = %s) RETURNING epoch"
_OWNER = "SELECT epoch, writer, mark FROM marks WHERE run = %s"
_SET_MARK = "UPDATE marks SET mark = %s WHERE run = %s AND epoch = %s AND mark = %s"
_APPEND = f"""
WITH held AS ({_SET_MARK} RETURNING run)
INSERT INTO batches (run, first_seq, event_count, first_command, command_count, cursor, checksum, commands, events)
SELECT run, %s, %s, %s, %s, %s, %s, %s, %s FROM held
"""
#: The row of the mark, held until the end of the transaction, so that nobody takes over meanwhile.
_HELD = "WITH held AS (SELECT run FROM marks WHERE run = %s AND epoch = %s AND mark = %s FOR UPDATE)"
_SET_STATUS = f"{_HELD} UPDATE runs SET status = %s, source = %s, recoveries = %s FROM held WHERE runs.number = held.run"
_CHECKPOINT = f"""
{_HELD}, dropped AS (
    DELETE FROM checkpoints WHERE run = %s AND run IN (SELECT run FROM held)
    AND seq NOT IN (SELECT seq FROM checkpoints WHERE run = %s ORDER BY seq DESC LIMIT %s)
)
INSERT INTO checkpoints (run, seq, commands, source, checksum, state) SELECT run, %s, %s, %s, %s, %s FROM held
ON CONFLICT (run, seq) DO UPDATE
SET commands = excluded.commands, source = excluded.source, checksum = excluded.checksum, state = excluded.state
"""
_RUNS = """
SELECT id, plan, created_ns, checksum, source, version, layout, status, recoveries, mark
FROM runs LEFT JOIN marks ON marks.run = runs.number ORDER BY number
"""
_LAST = """
SELECT first_seq, first_seq + event_count - 1, first_command + command_count, checksum
FROM batches WHERE run = %s AND first_seq <= %s ORDER BY first_seq DESC LIMIT 1
"""
_BATCHES = """
SELECT first_seq, event_count, first_command, command_count, cursor, checksum, commands, events
FROM batches WHERE run = %s AND first_seq >= %s ORDER BY first_seq LIMIT %s
"""
