"""What is usual in the parts of fifteen minutes, by medians, which a single jump does not move; and what is beyond it.

The median distance from the median times 1.4826 is the standard deviation of what is normal, and so is the mean distance times 1.2533. The
first knows nothing of how far the rest is away; where prices stand still most of the time it is nearly 0, so the larger one counts.
"""

import math
from typing import Any

import numpy as np

from openbell.analytics.hours import is_open
from openbell.model.analytics import (
    BURST,
    BURST_SCORE,
    BURST_TIMES,
    JUMP,
    JUMP_SCORE,
    PARTS,
    RING,
    SPREAD,
    SPREAD_SCORE,
    SPREAD_TIMES,
    TAPE_FLAGS,
    USUAL_MIN,
    USUAL_STEP,
    flag_at,
    number_at,
)
from openbell.model.jit import address_of, kernel

#: Of the normal distribution: standard deviation over median absolute deviation, and over mean absolute deviation.
OF_MEDIAN, OF_MEAN = 1.482602218505602, 1.2533141373155003


@kernel
def measure(head: Any, tape: Any, span: Any, ring: Any) -> None:
    """A part begins: find its limits from the 60 parts before it. Without enough of them, or with the market closed, it has none."""
    tape.part_lots = 0
    start = span.part * span.step_ns
    opened = is_open(head, start, start + span.step_ns)
    measure_returns(head, tape, span, ring, opened)
    measure_volumes(head, tape, span, ring, opened)
    measure_spreads(head, tape, span, ring, opened)


@kernel
def measure_returns(head: Any, tape: Any, span: Any, ring: Any, opened: bool) -> None:
    """The prices that would be a jump."""
    tape.jump_from = ring.close[(span.part - 1) & (RING - 1)]
    count = 0
    for part in range(span.part - min(PARTS, span.known - 1), span.part):
        slot = part & (RING - 1)
        if ring.is_open[slot] == 1:
            change = math.log(ring.close[slot] / ring.close[(slot - 1) & (RING - 1)])
            count = insert(head.numbers, count, change)
    tape.jump_low, tape.jump_high, tape.jump_usual = np.nan, np.nan, np.nan
    if count < USUAL_MIN or not opened:
        return
    middle = median(head.numbers, count)
    usual = max(deviation(head.numbers, count, middle), tape.price_increment / tape.jump_from)
    if usual > 0.0:
        tape.jump_usual = usual
        tape.jump_low = tape.jump_from * math.exp(middle - JUMP_SCORE * usual)
        tape.jump_high = tape.jump_from * math.exp(middle + JUMP_SCORE * usual)


@kernel
def measure_volumes(head: Any, tape: Any, span: Any, ring: Any, opened: bool) -> None:
    """The lots that would be a burst; only of what trades in most parts."""
    count = 0
    for part in range(span.part - min(PARTS, span.known), span.part):
        slot = part & (RING - 1)
        if ring.is_open[slot] == 1:
            count = insert(head.numbers, count, float(ring.lots[slot]))
    tape.burst_limit, tape.burst_usual = np.nan, np.nan
    if count < USUAL_MIN or not opened:
        return
    middle = median(head.numbers, count)
    if middle > 0.0:
        tape.burst_usual = middle
        tape.burst_limit = max(middle + BURST_SCORE * deviation(head.numbers, count, middle), BURST_TIMES * middle)


@kernel
def measure_spreads(head: Any, tape: Any, span: Any, ring: Any, opened: bool) -> None:
    """The spread that would be wide."""
    count = 0
    for part in range(span.part - min(PARTS, span.known), span.part):
        slot = part & (RING - 1)
        if ring.is_open[slot] == 1 and ring.quoted_ns[slot] > 0:
            count = insert(head.numbers, count, ring.spread_sum[slot] / ring.quoted_ns[slot])
    tape.spread_limit, tape.spread_usual = np.nan, np.nan
    if count < USUAL_MIN or not opened:
        return
    middle = median(head.numbers, count)
    floor = 20_000.0 * tape.price_increment / tape.price  # two increments, in bps
    tape.spread_usual = middle
    tape.spread_limit = max(middle + SPREAD_SCORE * deviation(head.numbers, count, middle), SPREAD_TIMES * middle, middle + floor)


@kernel
def insert(numbers: int, count: int, value: float) -> int:
    """Put a number into a list in order; returns how many there are."""
    place = count
    while place > 0 and number_at(numbers, place - 1).value > value:
        number_at(numbers, place).value = number_at(numbers, place - 1).value
        place -= 1
    number_at(numbers, place).value = value
    return count + 1


@kernel
def median(numbers: int, count: int) -> Any:
    """Of a list in order."""
    return 0.5 * (number_at(numbers, (count - 1) // 2).value + number_at(numbers, count // 2).value)


@kernel
def deviation(numbers: int, count: int, middle: float) -> Any:
    """How far the numbers of a list are from their median, as a standard deviation: by the median distance or the mean one."""
    known = 0
    total = 0.0
    for place in range(count):
        away = abs(number_at(numbers, place).value - middle)
        total += away
        known = insert_after(numbers, known, away)
    found = OF_MEDIAN * 0.5 * (number_at(numbers, RING + (count - 1) // 2).value + number_at(numbers, RING + count // 2).value)
    return max(found, OF_MEAN * total / count)


@kernel
def insert_after(numbers: int, count: int, value: float) -> int:
    """Put a number into the second list in order."""
    place = count + RING
    while place > RING and number_at(numbers, place - 1).value > value:
        number_at(numbers, place).value = number_at(numbers, place - 1).value
        place -= 1
    number_at(numbers, place).value = value
    return count + 1


@kernel
def raise_flag(tape: Any, kind: int, ts: int, value: float, usual: float, limit: float) -> None:
    """Something is beyond its limit; of one part the first time and the farthest value stay."""
    flag = flag_at(address_of(tape) + TAPE_FLAGS, kind)
    if flag.ts // USUAL_STEP != ts // USUAL_STEP or flag.ts == 0 or (value > 0.0) != (flag.value > 0.0):
        flag.ts = ts
    elif abs(value) <= abs(flag.value):
        return
    flag.value, flag.usual, flag.limit = value, usual, limit


@kernel
def check_price(tape: Any, ts: int) -> None:
    """The price is outside of its limits."""
    bound = tape.jump_high if tape.price > tape.jump_high else tape.jump_low
    moved, limit = 100.0 * (tape.price / tape.jump_from - 1.0), 100.0 * (bound / tape.jump_from - 1.0)
    raise_flag(tape, JUMP, ts, moved, 100.0 * tape.jump_usual, limit)


@kernel
def check_volume(tape: Any, ts: int) -> None:
    """More was traded than the limit."""
    raise_flag(tape, BURST, ts, tape.part_lots * tape.lot_size, tape.burst_usual * tape.lot_size, tape.burst_limit * tape.lot_size)


@kernel
def check_spread(tape: Any, span: Any, opened: bool) -> None:
    """A part is over: see whether its spread was wide."""
    if opened and span.quoted_ns > 0 and span.spread_sum / span.quoted_ns > tape.spread_limit:
        raise_flag(tape, SPREAD, span.part * span.step_ns, span.spread_sum / span.quoted_ns, tape.spread_usual, tape.spread_limit)
