"""The sessions of the market, as the board has them around a time."""

from typing import Any

from openbell.model.analytics import FORGET_NS, hours_at
from openbell.model.jit import inline_kernel, kernel


@inline_kernel
def is_covered(head: Any, ts: int) -> Any:
    """Whether the sessions around `ts` (ns), and those that a tick before it may be of, are known."""
    return ts < head.covers_until and ts - FORGET_NS >= head.covers_from


@kernel
def session_at(head: Any, ts: int) -> int:
    """The row of the latest session that began at `ts` (ns) or before."""
    row = 0
    while row + 1 < head.hours_count and hours_at(head.hours, row + 1).opens <= ts:
        row += 1
    return row


@kernel
def is_open(head: Any, start: int, end: int) -> Any:
    """Whether the market was open for some of the time from `start` to before `end` (ns)."""
    return hours_at(head.hours, session_at(head, end - 1)).closes > start


@kernel
def open_parts(head: Any, first: int, end: int, step_ns: int) -> int:
    """How many of the parts from `first` to before `end` the market was open in."""
    count = 0
    part = first
    for row in range(head.hours_count):
        hours = hours_at(head.hours, row)
        begin, after = max(part, hours.opens // step_ns), min(end, (hours.closes - 1) // step_ns + 1)
        if after > begin:
            count += after - begin
            part = after
    return count
