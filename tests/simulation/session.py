"""A session to crash: real BTCUSDT ticks, a plan that trades on them, and a publisher whose file an oracle can read."""

import os
from pathlib import Path

import numpy as np

from openbell.adapters.stores.catalog import open_dataset
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.model.plan import Limits, Listing, Venue

LOT = 1e-5
#: Crosses often, so that a minute of ticks holds orders; the second one is stopped by its limits.
PLAN = Plan(
    listings=(Listing("BTCUSDT", 0.01, LOT, "USDT"),),
    assignments=(
        Assignment("crossover", "moving_avg_crossover", ("BTCUSDT",), "1s", {"short_period": 3, "long_period": 8}, 100_000.0),
        Assignment("careful", "moving_avg_crossover", ("BTCUSDT",), "5s", {"short_period": 2, "long_period": 5}, 10_000.0, Limits()),
    ),
    venue=Venue(fee_taker_bps=10.0),
    candles=("1s", "1m"),
    publish_candles=True,
    equity_interval_ns=1_000_000_000,
)
#: What the publisher's file is made of: a header, then the commands.
FRAME = np.dtype([("first", "<i8"), ("count", "<i8")])


def ticks(count=0):
    """The shipped trades as events without `seq`."""
    (columns,) = open_dataset("btcusdt").chunks()
    events = np.zeros(len(columns), EVENT)
    trade = events["trade"]
    trade["kind"], trade["price"], trade["trade_id"] = enums.TRADE, columns.price, columns.trade_id
    trade["quantity"] = np.rint(np.asarray(columns.quantity) / LOT)
    trade["ts_event"] = trade["ts_available"] = columns.ts_event
    return events[: count or len(events)]


class FilePublisher:
    """Appends what is published to a file, one write a publication. A frame that a kill cut off is taken away at the next start.

    It calls `die` in the middle of publication number `last`.
    """

    def __init__(self, path, last=0, die=None):
        self.left, self.die = last, die
        whole = sum(FRAME.itemsize + count * COMMAND.itemsize for _, count, _ in frames(path))
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self.file, whole)

    def __call__(self, first, commands):
        header = np.zeros(1, FRAME)
        header["first"], header["count"] = first, len(commands)
        frame = header.tobytes() + commands.tobytes()
        self.left -= 1
        if self.left == 0:
            os.write(self.file, frame[: len(frame) // 2])
            self.die()
        os.write(self.file, frame)


def frames(path):
    """(First index, count, bytes) of each whole publication in the file."""
    data = Path(path).read_bytes() if Path(path).exists() else b""
    found, place = [], 0
    while place + FRAME.itemsize <= len(data):
        first, count = np.frombuffer(data, FRAME, 1, place)[0].tolist()
        body = data[place + FRAME.itemsize : place + FRAME.itemsize + count * COMMAND.itemsize]
        if len(body) < count * COMMAND.itemsize:
            break
        found.append((first, count, body))
        place += FRAME.itemsize + len(body)
    return found


def received(path):
    """What a reader has that drops what it knows by index: all commands, and how many came twice. A gap or a changed copy is an error."""
    data, twice = b"", 0
    for first, count, body in frames(path):
        known = len(data) // COMMAND.itemsize - first
        assert known >= 0, f"commands {first + known} to {first - 1} are lost"
        repeated = body[: known * COMMAND.itemsize]
        assert data[first * COMMAND.itemsize :][: len(repeated)] == repeated, f"commands from {first} on were published again, and differ"
        twice += min(known, count)
        data += body[known * COMMAND.itemsize :]
    return data, twice
