"""Replay: step a journaled run again from its first event, and compare every command bit for bit."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from openbell.adapters.stores.base import Journal
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.errors import ReplayDifferenceError
from openbell.services.replay.difference import Difference, first_difference
from openbell.services.trader.recovery import source_of


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay found; `difference` is None when every command is the same to the bit."""

    run: str
    identical: bool
    events: int  # stepped, up to the end or to the first difference
    commands: int  # compared
    decision_hash: str  # SHA-256 over the commands the replay wrote
    journaled_hash: str  # the same over those of the journal
    state_hash: str  # of the state after the last event stepped
    journaled_source: str
    current_source: str
    version: str  # of openbell that began the run
    difference: Difference | None

    @property
    def same_source(self) -> bool:
        """Whether the code that decides is the one that wrote the journal."""
        return self.journaled_source == self.current_source

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "same_source": self.same_source}

    def raise_if_different(self) -> None:
        """ReplayDifferenceError with the first difference, if there is one."""
        if self.difference is not None:
            code = "the same code" if self.same_source else f"other code ({self.journaled_source} -> {self.current_source})"
            raise ReplayDifferenceError(
                f"run {self.run}, replayed by {code}: {self.difference}", "the same bytes", f"`openbell explain {self.difference.order_id}`"
                if self.difference.order_id else "",
            )  # fmt: skip

    def __str__(self) -> str:
        lines = [f"run {self.run}: {self.events:,} events, {self.commands:,} commands compared bit for bit"]
        if not self.same_source:
            lines.append(f"  the code has changed since: {self.journaled_source} (openbell {self.version}) -> {self.current_source}")
        lines.append(f"  {'identical' if self.identical else f'first difference: {self.difference}'}")
        lines.append(f"  decision hash {self.decision_hash}" + ("" if self.identical else f", journaled {self.journaled_hash}"))
        lines.append(f"  state hash    {self.state_hash}")
        return "\n".join(lines)


def replay(journal: Journal, run: str = "last") -> ReplayResult:
    """Replay a run from its plan and its events; stops at the first batch with a difference.

    Raises UnknownNameError for an unknown run, and JournalError where the journal is damaged.
    """
    found = journal.run(run)
    plan = Plan.from_dict(found.plan)
    engine = Engine(plan)
    replayed_hash, journaled_hash = sha256(), sha256()
    events = commands = 0
    difference = None
    for batch in journal.batches(found.id):
        derived = engine.run(batch.events)
        replayed_hash.update(derived.tobytes())
        journaled_hash.update(batch.commands.tobytes())
        events, commands = events + len(batch.events), commands + len(batch.commands)
        difference = first_difference(batch.commands, derived, batch.first_command)
        if difference is not None:
            break
    return ReplayResult(
        found.id, difference is None, events, commands, replayed_hash.hexdigest(), journaled_hash.hexdigest(), engine.state_hash(),
        found.source, source_of(plan), found.version, difference,
    )  # fmt: skip
