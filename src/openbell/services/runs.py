"""Which run a process goes on with: the newest of its kind that has the same plan and is not over, or a new one."""

import time

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.stores.base import Journal
from openbell.engine.plan import Plan


def choose_run(journal: Journal, kind: str, plan: Plan, feed: ReplayFeed, fresh: bool) -> tuple[str, bool]:
    """The name of the run, such as `demo-3`, and whether it goes on with what is there."""
    number = 0
    for run in journal.runs():
        head, _, tail = run.id.rpartition("-")
        if head == kind and tail.isdigit():
            number = max(number, int(tail))
    if number and not fresh:
        name = f"{kind}-{number}"
        if Plan.from_dict(journal.run(name).plan) == plan and not feed.is_over(journal.cursor(name)):
            return name, True
    return f"{kind}-{number + 1}", False


def now_ns() -> int:
    """The time of day; the session has its own."""
    return time.time_ns()
