"""Which run a process goes on with: the newest of its kind that has the same plan and is not over, or a new one."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from openbell.adapters.stores.base import Journal
from openbell.engine.plan import Plan
from openbell.services.trader.recovery import source_of


@dataclass(frozen=True, slots=True)
class Chosen:
    """The name of the run, such as `demo-3`, and why it is this one."""

    run: str
    why: str


def choose_run(journal: Journal, kind: str, plan: Plan, is_over: Callable[[bytes], bool], fresh: bool, keep: bool = False) -> Chosen:
    """Go on with the newest run of a kind, or begin one; `is_over(cursor)` tells whether its feed has nothing more after a cursor.

    `keep` is for a run that matters more than being up to date: it is gone on with although the code has changed since, and the trader
    then compares every decision made so far.
    """
    numbers = [int(tail) for head, _, tail in (run.id.rpartition("-") for run in journal.runs()) if head == kind and tail.isdigit()]
    if not numbers:
        return Chosen(f"{kind}-1", "new")
    newest = journal.run(f"{kind}-{max(numbers)}")
    following = f"{kind}-{max(numbers) + 1}"
    if fresh:
        return Chosen(following, "new, as asked for")
    if Plan.from_dict(newest.plan) != plan:
        return Chosen(following, f"new, because the strategies or their settings differ from {newest.id}")
    if newest.source != source_of(plan) and not keep:
        return Chosen(following, f"new, because the code has changed since {newest.id}")
    if is_over(journal.cursor(newest.id)):
        return Chosen(following, f"new, because {newest.id} had come to the end of its recording")
    return Chosen(newest.id, "goes on where it stopped")


def now_ns() -> int:
    """The time of day; the session has its own."""
    return time.time_ns()
