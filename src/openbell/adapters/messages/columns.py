"""Market events as columns: the fields that an event of its kind has, each packed one after the other, as in `proto/v1/market.proto`.

A column is read where it lies in the message. One whose entries are all 0 may be missing, where the contract says so. What is no field of
an event's kind (its `seq`, the bytes behind its last field) does not travel and comes back as 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import BAR_RECORD, EVENT, EVENT_SIZE, QUOTE_RECORD, TRADE_RECORD, header

Array = np.ndarray[Any, Any]

#: 64-bit words in an event. One of them holds kind, side and instrument.
WORDS = EVENT_SIZE // 8
_KIND, _SIDE, _INSTRUMENT = (EVENT.fields[name][1] for name in ("kind", "side", "instrument"))  # type: ignore[index]
_NAMES = _KIND // 8
assert (_KIND, _INSTRUMENT) == (8 * _NAMES, 8 * _NAMES + 4)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event, and where the fields stand in its record."""

    number: int  # TRADE, QUOTE, BAR, TIMER
    field: str  # its columns in a TickBatch
    words: tuple[tuple[str, int], ...]  # name of a column of 64-bit numbers, the word of the record it is
    optional: str  # the one of them that may be missing, if any


def _kind(number: int, field: str, record: np.dtype[Any], optional: str = "") -> Kind:
    fields = {name: place[1] for name, place in (record.fields or {}).items() if place[0].itemsize == 8 and name != "seq"}
    return Kind(number, field, tuple((name, offset // 8) for name, offset in fields.items()), optional)


TRADES = _kind(enums.TRADE, "trades", TRADE_RECORD, "trade_id")
QUOTES = _kind(enums.QUOTE, "quotes", QUOTE_RECORD)
BARS = _kind(enums.BAR, "bars", BAR_RECORD, "trades")
TIMERS = _kind(enums.TIMER, "timers", np.dtype(header()))
KINDS = {kind.number: kind for kind in (TRADES, QUOTES, BARS, TIMERS)}


def words_of(events: Array) -> Array:
    """Events as 64-bit words: int64 of shape (count, WORDS)."""
    return np.ascontiguousarray(events).view(np.int64).reshape(len(events), WORDS)


def names_of(words: Array) -> tuple[Array, Array]:
    """The kinds (uint8) and instruments (int32) of events given as words."""
    return words.view(np.uint8)[:, _KIND], words.view(np.int32)[:, _INSTRUMENT // 4]


def pack(kind: Kind, words: Array, columns: Any) -> None:
    """Write events of one kind, given as words, into the message of its columns."""
    if len(words) == 1:  # a column of one is a piece of the record
        raw = words.tobytes()
        for name, word in kind.words:
            setattr(columns, name, raw[8 * word : 8 * word + 8])
        if raw[_SIDE]:
            columns.side = raw[_SIDE : _SIDE + 1]
        if kind.optional and not any(getattr(columns, kind.optional)):
            columns.ClearField(kind.optional)
        return
    for name, word in kind.words:
        column = words[:, word]
        if name != kind.optional or column.any():
            setattr(columns, name, column.tobytes())
    side = words.view(np.uint8)[:, _SIDE]
    if side.any():
        columns.side = side.tobytes()


def length(kind: Kind, columns: Any) -> int:
    """How many events the columns have; DataError when that is not clear."""
    size = len(columns.ts_available)
    if size % 8 or not size:
        raise DataError(f"the column {kind.field}.ts_available has {size} bytes", "eight for each event")
    for name, _ in kind.words:
        found = len(getattr(columns, name))
        if found != size and (found or name != kind.optional):
            raise DataError(f"the column {kind.field}.{name} has {found} bytes", f"{size}, eight for each event")
    if len(columns.side) not in (0, size // 8):
        raise DataError(f"the column {kind.field}.side has {len(columns.side)} bytes", f"{size // 8}, one for each event")
    return size // 8


def unpack(kind: Kind, columns: Any, instrument: int, words: Array) -> None:
    """Write the events of columns whose `length` was checked into words, which are all 0."""
    words[:, _NAMES] = instrument << 32 | kind.number
    for name, word in kind.words:
        if column := getattr(columns, name):
            words[:, word] = np.frombuffer(column, "<i8")
    if columns.side:
        words.view(np.uint8)[:, _SIDE] = np.frombuffer(columns.side, np.uint8)
