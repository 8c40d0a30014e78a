"""What a trader told the outside, on the wire: its command records as they are, so that a reader sees every bit of them.

Records have a layout, which a new version may change; a reader of another layout refuses them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.adapters.messages.parsing import parsed
from openbell.errors import DataError
from openbell.model.commands import COMMAND, COMMAND_SIZE, LAYOUT
from openbell.proto.v1.trading_pb2 import DecisionBatch

CommandArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Commands of a run in their order."""

    run: str
    plan: str  # hash of the run's plan
    first: int  # index of the first command in the run, from 0
    seq: int  # of the run's latest event when they were sent
    commands: CommandArray  # dtype COMMAND, read-only


def encode_decisions(run: str, plan_hash: str, first: int, commands: CommandArray, seq: int) -> bytes:
    """The message of commands (dtype COMMAND) of a run, of which the first has the index `first`.

    >>> command = np.zeros(2, COMMAND)
    >>> decisions = decode_decisions(encode_decisions("r1", "5f3a", 10, command, 77))
    >>> decisions.run, decisions.first, len(decisions.commands), decisions.seq
    ('r1', 10, 2, 77)
    """
    assert (commands.dtype, commands.ndim) == (COMMAND, 1), f"{commands.dtype} of shape {commands.shape}"
    return DecisionBatch(
        run=run, plan=plan_hash, layout=LAYOUT, first=first, count=len(commands), seq=seq, commands=commands.tobytes()
    ).SerializeToString()


def decode_decisions(payload: bytes) -> Decisions:
    """The inverse. DataError when it cannot be read, or when the records have another layout than here."""
    message = parsed(DecisionBatch, payload)
    if message.layout != LAYOUT:
        raise DataError(
            f"decisions of run {message.run!r} have the record layout {message.layout!r}: they were written by another version",
            f"the layout {LAYOUT}", "run one version of openbell for the trader and for who follows it",
        )  # fmt: skip
    data = message.commands
    if len(data) != message.count * COMMAND_SIZE or message.first < 0 or not message.run:
        raise DataError(
            f"decisions of run {message.run!r} from {message.first} on: {message.count} commands in {len(data)} bytes",
            f"a run, and {COMMAND_SIZE} bytes for each command",
        )
    return Decisions(message.run, message.plan, message.first, message.seq, np.frombuffer(data, COMMAND))
