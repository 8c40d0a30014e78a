"""The trader: events in one total order, journaled before they have any effect, and the commands they cause.

    feed -> number -> step -> journal (events, cursor, commands: one transaction) -> publish -> mark sent

It is synchronous and has no clock, so a test drives it as the platform does; `openbell.services.trader.service` is the shell around it.
Kill it anywhere: what was not journaled has had no effect, and what was journaled is derived again, with the same order ids.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from openbell.adapters.stores.base import Checkpoint, Journal
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.errors import ConfigError, StorageError
from openbell.model import enums
from openbell.services.trader.intake import EventArray, numbered, request_event
from openbell.services.trader.recovery import CommandArray, Recovery, decision_digest, no_commands, recover, source_of

#: Takes (index of the first command in the run, commands). The same index may come again after a crash, with the same bytes.
Publish = Callable[[int, CommandArray], None]
PublishSoon = Callable[[int, CommandArray], Awaitable[None]]

#: Events between two checkpoints. Stepping them again takes some tens of milliseconds.
CHECKPOINT_EVENTS = 250_000


class Trader:
    """One run of one plan. Not safe for two threads at once. Make it with `Trader.open`, which also recovers it."""

    def __init__(
        self, journal: Journal, run: str, plan: Plan, publish: Publish | None = None, checkpoint_events: int = CHECKPOINT_EVENTS
    ) -> None:
        self.journal, self.id, self.plan = journal, run, plan
        self.publish, self.checkpoint_events = publish, checkpoint_events
        self.source = source_of(plan)
        self.engine = Engine(plan)
        #: How far the feed has been read, as it was told with the latest batch; where it goes on after a restart.
        self.cursor = b""
        #: Events whose `ts_available` was raised so that it never falls.
        self.raised = 0
        self.commands = self.sent = 0
        self._origin = self.engine.checkpoint()
        self._pending: deque[tuple[int, CommandArray]] = deque()
        self._checkpoint = 0
        self._digest: Any = None
        self._whole = False

    @classmethod
    def open(
        cls, journal: Journal, run: str, plan: Plan, publish: Publish | None = None, *, created_ns: int,
        checkpoint_events: int = CHECKPOINT_EVENTS,
    ) -> "Trader":  # fmt: skip
        """Begin the run, or go on with it where it stopped or was killed; what had not left is published first.

        `created_ns` is the time now, for a new run. ConfigError when the run has another plan.
        """
        trader = cls(journal, run, plan, publish, checkpoint_events)
        known = {item.id: item for item in journal.runs()}
        if run not in known:
            journal.create_run(run, plan.to_dict(), trader.source, created_ns)
        elif Plan.from_dict(known[run].plan) != plan:
            raise ConfigError(
                f"run {run} was begun with another plan", "the same listings, strategies and venue", "give the new plan a new run"
            )
        trader.recover()
        return trader

    def recover(self) -> Recovery:
        """Go to where the journal stands, whatever happened before, and publish what had not left."""
        self._whole = False
        self.engine.restore(self._origin)
        recovery = recover(self.journal, self.id, self.engine, self.source)
        self.cursor = self.journal.cursor(self.id)
        self.commands, self.sent = recovery.commands, self.journal.run(self.id).sent
        self._pending = deque(recovery.unsent)
        self._checkpoint, self._digest, self._whole = recovery.checkpoint, None, True
        if self.publish is not None:
            self.flush()
        return recovery

    @property
    def seq(self) -> int:
        """Of the latest event."""
        return int(self.engine.head["seq"])

    # Events in.

    def feed(self, events: EventArray, cursor: bytes | None = None) -> CommandArray:
        """Take events (dtype EVENT; `seq` is assigned here), publish the commands they cause, and return these.

        `cursor` says how far the feed has been read with these events; None leaves it. Raises StorageError when the journal refuses:
        nothing has left then, and `recover` or a restart goes on from the journal.
        """
        commands = self.commit(events, cursor)
        self.flush()
        return commands

    def commit(self, events: EventArray, cursor: bytes | None = None) -> CommandArray:
        """`feed` without publishing: the commands wait in `pending` until `flush` or `deliver`."""
        if not self._whole:
            raise StorageError(
                f"run {self.id} stopped at a fault after event {self.seq}", "a trader in order", "start it again; it recovers"
            )
        if not len(events):
            return no_commands()
        batch, raised = numbered(events, self.seq, int(self.engine.head["now"]))
        self.raised += raised
        self._whole = False  # until the batch is journaled, the engine is ahead of what a restart would find
        commands = self.engine.run(batch)
        outside = self.plan.venue.fill_model == enums.FILL_OUTSIDE and bool((commands["kind"] <= enums.CANCEL).any())
        is_once = bool((batch["kind"] >= enums.REPLY).any())  # nobody can say again what a user asked for, or a broker answered
        cursor = self.cursor if cursor is None else cursor
        self.journal.append(self.id, batch, cursor, commands, durable=outside or is_once)
        self._whole = True
        self.cursor = cursor
        if len(commands):
            self._pending.append((self.commands, commands))
            self.commands += len(commands)
            if self._digest is not None:
                self._digest.update(commands.tobytes())
        if self.seq - self._checkpoint >= self.checkpoint_events:
            self.checkpoint()
        return commands

    def request(self, action: int, **fields: Any) -> CommandArray:
        """What a user asks for, as one event of the same order; the fields are those of `request_event`."""
        return self.feed(request_event(action, **fields))

    # Commands out.

    @property
    def pending(self) -> tuple[tuple[int, CommandArray], ...]:
        """(Index of the first, commands) that are journaled and have not left."""
        return tuple(self._pending)

    def flush(self) -> None:
        """Publish what is pending, in order. What a failing publisher did not take stays pending; without one the caller has it all."""
        before = self.sent
        try:
            while self._pending:
                if self.publish is not None:
                    self.publish(*self._pending[0])
                self._leave()
        finally:
            if self.sent > before:
                self.journal.mark_sent(self.id, self.sent)

    def _leave(self) -> None:
        index, commands = self._pending.popleft()
        self.sent = index + len(commands)

    async def deliver(self, publish: PublishSoon) -> None:
        """`flush` for an asynchronous publisher."""
        while self._pending:
            await publish(*self._pending[0])
            self._leave()
            self.journal.mark_sent(self.id, self.sent)

    def hand_out(self) -> Iterator[tuple[int, CommandArray]]:
        """What is pending, in order, for a publisher that says later, by `confirm`, what has left."""
        while self._pending:
            yield self._pending.popleft()

    def confirm(self, count: int) -> None:
        """The first `count` commands of the run have left."""
        if count > self.sent:
            self.journal.mark_sent(self.id, count)
            self.sent = count

    # State.

    def checkpoint(self) -> None:
        """Keep the state, so that a restart steps only what came after."""
        self.journal.save_checkpoint(self.id, Checkpoint(self.seq, self.commands, self.source, self.engine.checkpoint()))
        self._checkpoint = self.seq

    def state_hash(self) -> str:
        """SHA-256 of the state, in hex."""
        return self.engine.state_hash()

    def decision_hash(self) -> str:
        """SHA-256 over the bytes of every command of the run in order, in hex; restarts and the cutting of batches leave it the same."""
        if self._digest is None:
            self._digest = decision_digest(self.journal, self.id)
        return str(self._digest.hexdigest())

    def close(self, ended: bool = True) -> None:
        """Keep a checkpoint and close the run in order; a run that is not in order is left as a crash would leave it."""
        if not self._whole:
            return
        if self.seq > self._checkpoint:
            self.checkpoint()
        if ended and self.sent == self.commands:
            self.journal.end_run(self.id)
