"""What comes in to a trader: batches of events joined into one, and what a user asks for as an event of the same order."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from openbell.errors import UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.jit import join

EventArray = np.ndarray[Any, Any]

#: Events in one batch at most: one transaction, and the memory that recovery needs.
BATCH_MAX = 1 << 18


def concatenated(parts: Sequence[EventArray]) -> EventArray:
    """Arrays of EVENT as one; a single one is handed back as it is."""
    return parts[0] if len(parts) == 1 else join(parts)


def by_instrument(events: EventArray) -> list[tuple[int, EventArray]]:
    """The events of each instrument, in order; one pass, however many instruments there are."""
    instruments = events["instrument"]
    if not len(events) or (instruments == instruments[0]).all():
        return [(int(instruments[0]), events)] if len(events) else []
    key = instruments.astype(np.int16) if instruments.min() >= -(1 << 15) and instruments.max() < 1 << 15 else instruments
    order = np.argsort(key, kind="stable")  # of 16 bits, in linear time
    key = key[order]
    cuts = [0, *(np.flatnonzero(key[1:] != key[:-1]) + 1).tolist(), len(events)]
    plain = np.ascontiguousarray(events).view(f"V{events.dtype.itemsize}").take(order)
    return [(int(key[first]), plain[first:end].view(events.dtype)) for first, end in pairwise(cuts)]


def by_symbol(events: EventArray, symbols: Sequence[str]) -> list[tuple[str, EventArray]]:
    """The events of each symbol, in order; `symbols` are the names of the instruments."""
    return [(symbols[instrument], own) for instrument, own in by_instrument(events)]


def numbered(events: EventArray, seq: int, now: int) -> tuple[EventArray, int]:
    """A copy of events in their place in a total order after the event `seq` at the time `now` (ns), and how many times were raised.

    `seq` goes on, and `ts_available` never falls. UsageError for something else than at most BATCH_MAX events.
    """
    if events.dtype != EVENT or events.ndim != 1 or len(events) > BATCH_MAX:
        raise UsageError(f"events are {events.dtype} of shape {events.shape}", f"at most {BATCH_MAX} EVENT records", "cut the batch")
    batch = join([events])
    words = batch.view(np.int64).reshape(len(batch), -1)  # the first is `seq`, the second `ts_available`
    words[:, 0] = np.arange(seq + 1, seq + 1 + len(batch))
    available, raised = words[:, 1], 0
    if available[0] < now or (len(batch) > 1 and (available[1:] < available[:-1]).any()):
        told = available.copy()
        np.maximum.accumulate(np.maximum(told, now), out=available)
        raised = int(np.count_nonzero((available != told) & (told > 0)))
    return batch, raised


def request_event(
    action: int, *, strategy: int, now_ns: int = 0, instrument: int = -1, side: int = 0, order_type: int = enums.MARKET,
    time_in_force: int = enums.GTC, size_kind: int = enums.BY_QUANTITY, quantity: int = 0, limit_price: float = 0.0,
    stop_price: float = 0.0, order_id: int = 0,
) -> EventArray:  # fmt: skip
    """One REQUEST event (an array of one, without `seq`).

    `now_ns` 0 means the session's own time, which a recorded session needs: the time of day would end all of its candles.
    `quantity` is lots, or money for BY_NOTIONAL.
    """
    event = np.zeros(1, EVENT)
    request = event["request"]
    request["ts_available"], request["ts_event"], request["kind"] = now_ns, now_ns, enums.REQUEST
    for name, value in (
        ("action", action), ("strategy", strategy), ("instrument", instrument), ("side", side), ("order_type", order_type),
        ("time_in_force", time_in_force), ("size_kind", size_kind), ("quantity", quantity), ("limit_price", limit_price),
        ("stop_price", stop_price), ("order_id", order_id),
    ):  # fmt: skip
        request[name] = value
    return event
