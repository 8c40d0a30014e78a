"""The kernels of the board of analytics, compiled before the first tick."""

import numpy as np

from openbell.analytics.board import Board
from openbell.model.enums import TRADE
from openbell.model.events import EVENT
from openbell.services.analytics.calendar import CONTINUOUS, Calendar
from openbell.services.compiling import compile_apart


def prepare_analytics() -> bool:
    """See that the kernels are compiled; returns whether they had to be."""
    return compile_apart("analytics", "from openbell.services.analytics.prepare import load_analytics; load_analytics()")


def load_analytics() -> None:
    """Call every kernel once, which loads or compiles it."""
    board = Board([1.0], [0.0], Calendar.of(CONTINUOUS).sessions)
    board.open(0)
    trade = np.zeros(1, EVENT)
    trade["trade"]["kind"], trade["trade"]["price"] = TRADE, 1.0
    board.take(trade)
    board.readings(board.now)
    board.closes(0, board.now)
