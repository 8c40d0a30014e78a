"""The kernels of the board of alerts, compiled before the first alert."""

import numpy as np

from openbell.alerts.board import Board
from openbell.model.alerts import ALERT_RECORD, BEFORE, NOBODY
from openbell.model.candles import NEVER
from openbell.model.enums import TRADE
from openbell.model.events import EVENT
from openbell.model.time import SECOND
from openbell.services.compiling import compile_apart


def prepare_board() -> bool:
    """See that the kernels are compiled; returns whether they had to be."""
    return compile_apart("alerts", "from openbell.services.alerts.prepare import load_board; load_board()")


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
