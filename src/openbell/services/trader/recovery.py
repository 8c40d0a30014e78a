"""From a journal back to a running engine: start-up and crash recovery are this one path.

the newest checkpoint that verifies   (or the first state of the plan)
+ the batches journaled after it      stepped again, each command compared with the journaled one
= the state when the process ended
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.adapters.stores.base import Journal
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.errors import JournalError, ReplayDifferenceError
from openbell.model.commands import COMMAND
from openbell.model.jit import file_hash, source_hash
from openbell.services.replay.difference import first_difference

CommandArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What it took to get back."""

    crashed: bool  # the process before was killed
    checkpoint: int  # seq of the checkpoint, 0 for none
    seq: int  # of the latest event
    commands: int  # written so far
    events_replayed: int
    unsent: tuple[tuple[int, CommandArray], ...]  # (index of the first, commands, one at least) that had not left


def source_of(plan: Plan) -> str:
    """The code that decides for this plan: a hash of the kernel, and one more of the strategies that are files of the user's."""
    files = sorted({_path(item.strategy) for item in plan.assignments if ".py" in item.strategy})
    return f"{source_hash()}+{file_hash(files)}" if files else source_hash()


def _path(strategy: str) -> str:
    before, colon, _ = strategy.partition(".py:")
    return f"{before}.py" if colon else strategy


def recover(journal: Journal, run: str, engine: Engine, source: str) -> Recovery:
    """Bring an engine that has seen nothing to where the run stands.

    Checkpoints count only when the same code made them; after a change of code the whole run is stepped again, so that going on with
    the new code is allowed exactly when it agrees with every decision made so far. Raises ReplayDifferenceError when it does not, and
    JournalError when the journal is damaged where it is needed.
    """
    before = journal.run(run)
    if before.sent > before.commands:
        raise JournalError(
            f"run {run}: {before.sent} commands have left, and the journal holds {before.commands}, up to event {before.seq}",
            "every command that left",
            "restore the journal from a copy, or start a new run",
        )
    seq = commands = 0
    for checkpoint in journal.checkpoints(run):
        if checkpoint.source == source and checkpoint.commands <= before.sent:
            engine.restore(checkpoint.state)
            seq, commands = checkpoint.seq, checkpoint.commands
            break
    start, unsent = seq, []
    for batch in journal.batches(run, seq):
        derived = engine.run(batch.events)
        if difference := first_difference(batch.commands, derived, batch.first_command):
            raise _disagreement(run, difference, before.source, source)
        seq, commands = batch.last_seq, batch.first_command + len(derived)
        skip = max(before.sent - batch.first_command, 0)
        if skip < len(derived):
            unsent.append((batch.first_command + skip, derived[skip:]))
    crashed = journal.take_up(run, source).recoveries > before.recoveries
    return Recovery(crashed, start, seq, commands, seq - start, tuple(unsent))


def _disagreement(run: str, difference: Any, journaled: str, current: str) -> ReplayDifferenceError:
    cause = f"the code has changed since ({journaled} -> {current})" if journaled != current else "the code is the same"
    return ReplayDifferenceError(
        f"run {run}: {difference}; {cause}", "the commands that were journaled", "start a new run, or go back to the code of this one"
    )


def decision_digest(journal: Journal, run: str, after: int = 0, digest: Any = None) -> Any:
    """SHA-256 over the bytes of every command of the run in order, going on from a digest that stands at the event `after`."""
    digest = hashlib.sha256() if digest is None else digest
    for batch in journal.batches(run, after):
        digest.update(batch.commands.tobytes())
    return digest


def no_commands() -> CommandArray:
    """An empty array of COMMAND."""
    return np.zeros(0, COMMAND)
