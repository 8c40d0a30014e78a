"""The first place where two lists of commands differ, field by field. Equal means equal bytes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.model.commands import COMMAND
from openbell.model.enums import CANDLE, COMMAND_NAMES
from openbell.model.events import BAR_RECORD

#: Fields of a command that is no candle.
FIELDS = tuple(name for name in COMMAND.names or () if name != "bar")
CANDLE_FIELDS = tuple(name for name in BAR_RECORD.names or () if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Difference:
    """The first command that is not the same: its index in the run, its event, and each field that differs as (name, journaled, replayed).

    A command that is on one side only has no fields; `missing` is then "journaled" or "replayed".
    """

    index: int
    seq: int
    kind: str
    order_id: int
    fields: tuple[tuple[str, Any, Any], ...]
    missing: str = ""

    def __str__(self) -> str:
        order = f", order {self.order_id}" if self.order_id else ""
        place = f"command {self.index} ({self.kind} of event {self.seq}{order})"
        if self.missing:
            return f"{place} was not {self.missing}"
        return f"{place} differs: " + "; ".join(f"{name} {journaled!r} -> {replayed!r}" for name, journaled, replayed in self.fields)


def first_difference(journaled: np.ndarray[Any, Any], replayed: np.ndarray[Any, Any], first_index: int = 0) -> Difference | None:
    """The first difference between two arrays of COMMAND, or None; `first_index` is the place of their first command in the run."""
    common = min(len(journaled), len(replayed))
    same = _bytes(journaled[:common]) == _bytes(replayed[:common])
    rows = np.flatnonzero(~same.all(axis=1))
    if len(rows):
        row = int(rows[0])
        return _between(first_index + row, journaled[row], replayed[row])
    if len(journaled) == len(replayed):
        return None
    extra, missing = (journaled, "replayed") if len(journaled) > common else (replayed, "journaled")
    return _describe(first_index + common, extra[common], (), missing)


def _bytes(commands: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(commands).view(np.uint8).reshape(len(commands), COMMAND.itemsize)


def _between(index: int, journaled: Any, replayed: Any) -> Difference:
    if int(journaled["kind"]) == int(replayed["kind"]) == CANDLE:
        journaled_record, replayed_record, names = journaled["bar"], replayed["bar"], CANDLE_FIELDS
    else:
        journaled_record, replayed_record, names = journaled, replayed, FIELDS
    fields = tuple(
        (name, journaled_record[name].item(), replayed_record[name].item())
        for name in names
        if journaled_record[name].tobytes() != replayed_record[name].tobytes()
    )
    return _describe(index, journaled, fields, "")


def _describe(index: int, command: Any, fields: tuple[tuple[str, Any, Any], ...], missing: str) -> Difference:
    kind = int(command["kind"])
    order_id = 0 if kind == CANDLE else int(command["order_id"])
    return Difference(index, int(command["seq"]), COMMAND_NAMES.get(kind, f"kind {kind}"), order_id, fields, missing)
