"""Compiling the board's kernels in a process of its own, so that who computes analytics never holds the compiler's memory.

The first time it takes some seconds; loading from the user's cache takes a part of one. A marker beside the compiled code says that it is
there; should it lie, the board compiles by itself.
"""

import contextlib
import subprocess
import sys

import numpy as np

from openbell.analytics.board import Board
from openbell.model.enums import TRADE
from openbell.model.events import EVENT
from openbell.model.jit import INTERPRETED, cache_folder
from openbell.services.analytics.calendar import CONTINUOUS, Calendar


def prepare_analytics() -> bool:
    """See that the kernels are compiled; returns whether they had to be."""
    marker = cache_folder() / "prepared-analytics"
    if INTERPRETED or marker.exists():
        return False
    code = "from openbell.services.analytics.prepare import load_analytics; load_analytics()"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        with contextlib.suppress(OSError):  # without the cache everything works, slower
            marker.touch()
    return True


def load_analytics() -> None:
    """Call every kernel once, which loads or compiles it."""
    board = Board([1.0], [0.0], Calendar.of(CONTINUOUS).sessions)
    board.open(0)
    trade = np.zeros(1, EVENT)
    trade["trade"]["kind"], trade["trade"]["price"] = TRADE, 1.0
    board.take(trade)
    board.readings(board.now)
    board.closes(0, board.now)
