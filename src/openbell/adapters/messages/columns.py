"""Market events as columns: the fields that an event of its kind has, each packed one after the other, as in `proto/v1/market.proto`.

A column whose entries are all 0 may be missing, where the contract says so. What is no field of an event's kind (its `seq`, the bytes
behind its last field) does not travel and comes back as 0.

Between records and columns stands a *block*: the words of the records as rows of their own, int64 of shape (words, count), so that
each column lies in one piece. Word 0, `seq`, is left out: the row 0 of a block is the word 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import BAR_RECORD, EVENT, EVENT_SIZE, QUOTE_RECORD, TRADE_RECORD, header

Array = np.ndarray[Any, Any]

#: 64-bit words in an event.
WORDS = EVENT_SIZE // 8
#: The row of a block that holds kind (byte 0), side (byte 1) and instrument (bytes 4 to 7).
NAMES = 1
assert [EVENT.fields[name][1] - 8 * (NAMES + 1) for name in ("kind", "side", "instrument")] == [0, 1, 4]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event, and where the fields stand in its record."""

    number: int  # TRADE, QUOTE, BAR, TIMER
    field: str  # its columns in a TickBatch
    columns: tuple[str, ...]  # of 64-bit numbers, by the row of the block; empty for NAMES
    optional: str  # the one of them that may be missing, if any


def _kind(number: int, field: str, record: np.dtype[Any], optional: str = "") -> Kind:
    fields = {place[1] // 8: name for name, place in (record.fields or {}).items() if place[0].itemsize == 8}
    return Kind(number, field, tuple(fields.get(word, "") for word in range(1, record.itemsize // 8)), optional)


TRADES = _kind(enums.TRADE, "trades", TRADE_RECORD, "trade_id")
QUOTES = _kind(enums.QUOTE, "quotes", QUOTE_RECORD)
BARS = _kind(enums.BAR, "bars", BAR_RECORD, "trades")
TIMERS = _kind(enums.TIMER, "timers", np.dtype(header()))
KINDS = {kind.number: kind for kind in (TRADES, QUOTES, BARS, TIMERS)}


def words_of(events: Array) -> Array:
    """Records of 96 bytes as 64-bit words: int64 of shape (count, WORDS)."""
    return np.frombuffer(np.ascontiguousarray(events), np.int64).reshape(len(events), WORDS)


def block_of(words: Array, rows: int = WORDS - 1) -> Array:
    """The first rows of the block of records given as words."""
    return np.ascontiguousarray(words[:, 1 : 1 + rows].T)


def pack(kind: Kind, block: Array, columns: Any) -> None:
    """Write the block of events of one kind into the message of its columns."""
    data, size = block.tobytes(), 8 * block.shape[1]
    for row, name in enumerate(kind.columns):
        column = data[row * size : (row + 1) * size]
        if name and (name != kind.optional or column != bytes(size)):
            setattr(columns, name, column)
    side = data[NAMES * size + 1 : (NAMES + 1) * size : 8]
    if side != bytes(len(side)):
        columns.side = side


def checked(kind: Kind, columns: Any) -> tuple[int, list[bytes]]:
    """How many events the columns have, and the columns by the row of the block; DataError when they do not fit together."""
    found = [getattr(columns, name) if name else columns.side for name in kind.columns]
    size = len(found[0])
    if size % 8 or not size:
        raise DataError(f"the column {kind.field}.{kind.columns[0]} has {size} bytes", "eight for each event")
    for name, column in zip(kind.columns, found, strict=True):
        wanted = size if name else size // 8
        if len(column) != wanted and (column or name not in ("", kind.optional)):
            raise DataError(f"the column {kind.field}.{name or 'side'} has {len(column)} bytes", f"{wanted}, for {size // 8} events")
    return size // 8, found


def unpack(kind: Kind, columns: list[bytes], instrument: int, words: Array) -> None:
    """Write the events of `checked` columns into words (int64 of shape (count, WORDS)), which are all 0."""
    names = (instrument << 32 | kind.number).to_bytes(8, "little", signed=True) * len(words)
    rows = [*columns[:NAMES], names, *columns[NAMES + 1 :]]
    if not rows[-1]:
        rows.pop()  # the optional column is the last
    words[:, 1 : 1 + len(rows)] = np.frombuffer(b"".join(rows), "<i8").reshape(len(rows), -1).T
    if columns[NAMES]:
        words.view(np.uint8)[:, 8 * (NAMES + 1) + 1] = np.frombuffer(columns[NAMES], np.uint8)
