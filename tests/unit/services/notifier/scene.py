"""Channels, an outbox and workers over a SQLite file, a clock that a test moves, and sinks that answer as they are told."""

import itertools

from openbell.adapters.notifiers.base import Described, Outcome, Rate
from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.model.time import SECOND
from openbell.services.notifier.worker import Tools, Worker

SENT = Outcome("sent")
#: 2023-11-14 22:13:20 UTC.
NOW = 1_700_000_000 * SECOND
#: Faster than any test, so that only what a test is about limits.
FREE = (Rate(1_000_000, 0.001),)


class MemorySink:
    """Keeps what it is sent. `answers` are given in turn, the last one from then on."""

    def __init__(self, *answers, rates=FREE):
        self.described = Described("memory", "memory://", rates)
        self.bodies = []
        self.tries = []
        self.answers = list(answers) or [SENT]
        self.aborted = False

    def send(self, letter):
        self.tries.append(letter.body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer.answer == "sent":
            self.bodies.append(letter.body)
        return answer

    def abort(self):
        self.aborted = True


class Scene:
    """One database, and workers for its channels."""

    def __init__(self, folder, storm=20, waiting_max=20_000):
        self.database = open_database(folder / "platform.db")
        self.channels = ChannelStore(self.database)
        self.now = NOW
        self.at = 100.0
        self.outbox = Outbox(self.database, waiting_max, lambda: self.now)
        self.log = DeliveryLog(self.database)
        self.sinks = {}
        self.opened = []
        self.moves = []
        self.numbers = itertools.count(1)
        self.tools = Tools(
            self.channels, self.outbox, self.open, self.move, lambda: self.now, lambda: self.at, storm=storm,
        )  # fmt: skip

    def open(self, row):
        self.opened.append(row.id)
        sink = self.sinks[row.name]
        if isinstance(sink, Exception):
            raise sink
        return sink

    def move(self, row, url):
        self.moves.append(url)
        return self.channels.moved(row, url.encode(), "moved")

    def channel(self, name="phone", sink=None, owner=0, **changes):
        self.sinks[name] = sink if sink is not None else MemorySink()
        return self.channels.create(owner, name, b"sealed", kind="memory", shown="memory://", **changes)

    def worker(self, row):
        return Worker(row, self.tools)

    def tell(self, *things):
        assert self.outbox.tell(things) == len(things)

    def news(self, event="fill", severity="info", owner=0, id=None, **fields):
        return News(id or f"n{next(self.numbers)}", owner, event, severity, self.now, fields)

    def pass_time(self, seconds):
        self.now += int(seconds * SECOND)
        self.at += seconds

    def run(self, worker, steps=200):
        """Let a worker go on until it has to wait; returns how long it wants to."""
        for _ in range(steps):
            wait = worker.step()
            if wait is None or wait > 0.0:
                return wait
        raise AssertionError(f"it was not done after {steps} steps")

    def states(self, **which):
        return {row.id: row.state for row in self.log.page(limit=1000, **which)}

    def reread(self, worker):
        """The worker hears of what its channel is now."""
        worker.wanted = self.channels.get(None, worker.row.id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.database.close()
