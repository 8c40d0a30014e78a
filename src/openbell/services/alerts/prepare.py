"""Compiling the board's kernels in a process of its own, so that who watches alerts never holds the compiler's memory.

The first time it takes some seconds; loading from the user's cache takes a part of one. A marker beside the compiled code says that it is
there; should it lie, the board compiles by itself.
"""

import contextlib
import subprocess
import sys

import numpy as np

from openbell.alerts.board import Board
from openbell.model.alerts import ALERT_RECORD, BEFORE, NOBODY
from openbell.model.candles import NEVER
from openbell.model.enums import TRADE
from openbell.model.events import EVENT
from openbell.model.jit import INTERPRETED, cache_folder
from openbell.model.time import SECOND


def prepare_board() -> bool:
    """See that the kernels are compiled; returns whether they had to be."""
    marker = cache_folder() / "prepared-alerts"
    if INTERPRETED or marker.exists():
        return False
    code = "from openbell.services.alerts.prepare import load_board; load_board()"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        with contextlib.suppress(OSError):  # without the cache everything works, slower
            marker.touch()
    return True


def load_board() -> None:
    """Call every kernel once, which loads or compiles it: an alert that comes, and a candle that closes."""
    board = Board([1.0], [0], lambda _schedule, ts: (ts, ts, ts + 1))
    board.open_book(0)
    row = np.zeros(1, ALERT_RECORD)
    row["id"], row["stream"], row["up"], row["down"] = 1, board.stream(0, ("indicator", (("close", ()), SECOND, ""))), 0, NOBODY
    row["schedule"], row["expires"], row["fired_ts"], row["is_level"], row["is_repeated"] = NOBODY, NEVER, BEFORE, 1, 1
    board.add(row)
    trades = np.zeros(2, EVENT)
    trades["trade"]["kind"], trades["trade"]["price"], trades["trade"]["ts_event"] = TRADE, 1.0, (0, 2 * SECOND)
    assert len(board.take(trades)) == 1, "the candle of the first trade closes with the second"
    board.changes()
    board.remove([1])
