"""Stops of one trader: the tick is in its journal, and its kernel has stepped it."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.decisions import decode_decisions
from openbell.adapters.stores.base import Journal
from openbell.config import Settings
from openbell.errors import BusError, DataError, OpenbellError, StorageError
from openbell.model import enums
from openbell.services.processes.process import open_journal
from openbell.services.verify.journey import Seen
from openbell.services.verify.looking import look_until

#: Between two looks at the journal.
LOOK_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class Journaled:
    """The tick's place in a run."""

    run: str
    seq: int


class TraderStops:
    """The journal of a trader, opened beside the trader, and the topic of commands. `told_at` is the offset there, once it is known."""

    def __init__(self, trader: str, commands: Bus, topic: str) -> None:
        loop = asyncio.get_running_loop()
        self.trader = trader
        self.journaled: asyncio.Future[Journaled] = loop.create_future()
        self.told_at: asyncio.Future[int] = loop.create_future()
        self._topic = topic
        self._subscription = commands.subscribe(topic)
        self._journal: Journal | None = None
        self._failure: OpenbellError | None = None
        self._run = ""
        self._seen = 0

    @property
    def process(self) -> str:
        """What the trader's process is called."""
        return "trader" if self.trader == "main" else f"trader-{self.trader}"

    def open(self, settings: Settings) -> None:
        """Note where the trader's newest run stands; blocks. Why that cannot be is told by `in_journal`."""
        try:
            self._journal = open_journal(settings, self.trader, writable=False)
            numbers = [int(tail) for head, _, tail in (run.id.rpartition("-") for run in self._journal.runs()) if head == self.trader]
            if not numbers:
                raise StorageError(f"trader {self.trader} has no run yet", do=f"start `openbell serve trader --trader {self.trader}`")
            self._run = f"{self.trader}-{max(numbers)}"
            self._seen = self._journal.run(self._run).seq
        except OpenbellError as error:
            self._failure = error

    async def ready(self) -> None:
        """Wait until commands from now on will be read."""
        await self._subscription.ready()

    async def in_journal(self, marker: int) -> Seen:
        """Wait until the trade with this id is in the run."""
        if self._failure is not None:
            raise self._failure
        seq = await look_until(lambda: self._look(marker), "the journal", LOOK_EVERY_S)
        self.journaled.set_result(Journaled(self._run, seq))
        return Seen(f"run {self._run}, event {seq:,}", perf_counter())

    def _look(self, marker: int) -> int | None:
        assert self._journal is not None, "opened"
        for batch in self._journal.batches(self._run, self._seen):
            self._seen = batch.last_seq
            is_it = (batch.events["kind"] == enums.TRADE) & (batch.events["trade"]["trade_id"] == marker)
            if is_it.any():
                return int(batch.events["seq"][np.argmax(is_it)])
        return None

    async def stepped(self) -> Seen:
        """Wait until the kernel's answer to it comes."""
        at = await self.journaled
        while messages := await self._subscription.take():
            for message in messages:
                try:
                    decisions = decode_decisions(message.payload)
                except DataError:
                    continue  # of another version, which is no answer
                if decisions.run != at.run:
                    continue
                own = decisions.commands[decisions.commands["seq"] == at.seq]
                if len(own):
                    self.told_at.set_result(message.offset)
                    return Seen(f"{self._topic}, offset {message.offset:,}: {_told(own[0])}", perf_counter())
        raise BusError(f"reading {self._topic} ended")

    def close(self) -> None:
        """Let go of the journal; blocks."""
        if self._journal is not None:
            self._journal.close()


def _told(command: np.void) -> str:
    """A command in words."""
    kind, reason = int(command["kind"]), enums.REASONS.get(int(command["reason"]), "")
    return f"{enums.COMMAND_NAMES.get(kind, 'a command')}, {reason}" if reason else enums.COMMAND_NAMES.get(kind, "a command")
