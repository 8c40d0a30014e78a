"""A trader to be killed: `trader_process.py FOLDER LIFE [POINT NUMBER]` feeds FOLDER/events.bin to the run `kill`, from where it stands.

It prints a line a batch, for whoever kills it from outside, and the hashes at the end. It kills itself at a point that is asked for:

    statement NUMBER    right before SQLite carries out that statement: before, inside and after each transaction, those of the recovery too
    publication NUMBER  in the middle of that publication

Each LIFE cuts its batches differently. A negative one is a feed that cannot be repeated: its prices are its own.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from openbell.adapters.stores.journal import SqliteJournal
from openbell.model.events import EVENT
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, FilePublisher

CHECKPOINT_EVENTS = 700
BATCH_MAX = 90
#: Little, so that the write-ahead log is being copied while a life ends.
LOG_BYTES = 200_000


def main(folder, life, point="", number=0):
    """Run to the end, or until killed."""
    events = np.fromfile(folder / "events.bin", np.uint8).view(EVENT)
    if life < 0:
        events["trade"]["price"] += 0.01 * life
    publisher = FilePublisher(folder / "published.bin", number if point == "publication" else 0, die)
    with SqliteJournal(folder / "journal.db", log_bytes=LOG_BYTES) as journal:
        if point == "statement":
            journal._sql.set_trace_callback(countdown(number))
        trader = Trader.open(journal, "kill", PLAN, publisher, created_ns=1, checkpoint_events=CHECKPOINT_EVENTS)
        place = int(trader.cursor or 0)
        print("ready", place, flush=True)
        while place < len(events):
            size = int(np.random.default_rng((abs(life), place)).integers(1, BATCH_MAX))
            trader.feed(events[place : place + size], str(min(place + size, len(events))).encode())
            place += size
            print("batch", trader.seq, flush=True)
        print("end", trader.state_hash(), trader.decision_hash(), journal.run("kill").recoveries, flush=True)
        trader.close()


def die():
    """As `kill -9` does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def countdown(left):
    """A trace that kills this process at the statement with that number."""

    def count(_statement):
        nonlocal left
        left -= 1
        if left == 0:
            die()

    return count


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:]))
