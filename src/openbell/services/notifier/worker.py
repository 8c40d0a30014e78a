"""One channel's worker: what is told next, and what is made of the sink's answer.

The critical comes first. When too much waits, a digest takes the place of all of it. In quiet hours only the critical is told. A sink that
is in trouble is left alone for growing pauses; one that refuses us takes its channel out of use, and the owner hears of it over the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import structlog
from msgspec.structs import replace

from openbell.adapters.notifiers.base import Outcome, Sink
from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.notification_rows import CRITICAL, ChannelRow, News, State, Status, Waiting
from openbell.adapters.stores.notifications import Outbox
from openbell.errors import OpenbellError, UsageError
from openbell.model.time import MINUTE, SECOND
from openbell.services.notifier.hours import quiet_hours, zone_named
from openbell.services.notifier.pace import FAILURES_MAX, Pace, pause_after
from openbell.services.notifier.texts import digest_of, letter_of

#: More waiting messages than this become one digest.
STORM = 20
#: How often a message is offered to a sink that does not want it.
FAULTS_MAX = 3
#: How often it is noted that a channel still works.
NOTE_EVERY_NS = MINUTE
#: How long (seconds) a channel waits whose sink cannot be opened here.
UNOPENED_S = 60.0

log = structlog.get_logger("notifier")


@dataclass(frozen=True, slots=True)
class Tools:
    """What all workers share. `now` is ns since 1970 UTC, `at` seconds of a clock that only grows."""

    channels: ChannelStore
    outbox: Outbox
    open: Callable[[ChannelRow], Sink]
    moved: Callable[[ChannelRow, str], ChannelRow | None]
    now: Callable[[], int]
    at: Callable[[], float]
    may_send: Callable[[], bool] = lambda: True
    storm: int = STORM


class Worker:
    """One thread at a time works; `wanted` may be set by another."""

    def __init__(self, row: ChannelRow, tools: Tools) -> None:
        #: The channel as its owner wants it.
        self.wanted = row
        self.sink: Sink | None = None
        self.sent = 0
        self._tools = tools
        self._noted = 0
        self._unmarked: tuple[int, State, int, int, str] | None = None
        self._alone = Lock()
        self._pace = Pace()
        self._take_up(row)

    def _take_up(self, row: ChannelRow) -> None:
        self.row = row
        self.sink = None
        self._pace.release()
        self._zone = zone_named(row.zone)
        self._quiet = quiet_hours(row.quiet, row.zone)
        self._failures = row.failures

    def step(self) -> float | None:
        """Do one thing. Returns seconds until there may be another, None when there is none until something comes.

        Raises StorageError; what was sent is not sent again because of that, as long as this worker lives.
        """
        with self._alone:
            return self._step()

    def _step(self) -> float | None:
        tools = self._tools
        if self._unmarked is not None:
            tools.outbox.mark(self.row.id, *self._unmarked)
            self._unmarked = None
        wanted = self.wanted
        if wanted.changed != self.row.changed:
            self._take_up(wanted)
        if not self.row.enabled or not tools.may_send():
            return None
        if wait := self._pace.wait(tools.at()):
            return wait
        now = tools.now()
        quiet_until = self._quiet.until(now) if self._quiet else None
        found = tools.outbox.waiting(self.row.id, tools.storm + 1, critical=quiet_until is not None)
        if not found:
            return None if quiet_until is None else (quiet_until - now) / SECOND
        ready = [one for one in found if one.due <= now]
        urgent = sum(one.severity == CRITICAL for one in found)
        if len(found) > tools.storm and not (0 < urgent <= tools.storm and ready and ready[0].severity == CRITICAL):
            count = tools.outbox.digest(self.row.id, digest_of, critical=quiet_until is not None)
            log.info("digest", channel=self.row.id, messages=count)
            return 0.0
        if not ready:
            return (min(one.due for one in found) - now) / SECOND
        if self.sink is None and not self._open():
            return UNOPENED_S
        self._take_answer(ready[0], self._attempt(ready[0]))
        return 0.0

    def abort(self) -> None:
        """From another thread: end the attempt that runs."""
        if self.sink is not None:
            self.sink.abort()

    def _open(self) -> bool:
        try:
            self.sink = self._tools.open(self.row)
        except OpenbellError as error:
            if isinstance(error, UsageError):
                self._disable(str(error))
            else:  # a key or a library that this process does not have
                self._pace.hold(self._tools.at() + UNOPENED_S)
                self._note_failing(str(error))
            return False
        self._pace = self._pace.renewed(self.sink.described.rates)
        return True

    def _attempt(self, one: Waiting) -> Outcome:
        assert self.sink is not None
        letter = letter_of(one.news, one.number, self._zone, self._tools.channels.templates(self.row.owner))
        self._pace.sent(self._tools.at())
        try:
            return self.sink.send(letter)
        except Exception as error:  # whatever a sink does, it is one that failed; the message stays
            log.error("a sink failed in an unexpected way", channel=self.row.id, error=type(error).__name__, exc_info=True)
            return Outcome("failed", f"it failed in an unexpected way ({type(error).__name__})")

    def _take_answer(self, one: Waiting, outcome: Outcome) -> None:
        now, at, attempts = self._tools.now(), self._tools.at(), one.attempts + 1
        if outcome.wait_s:
            self._pace.hold(at + outcome.wait_s)
        if outcome.answer == "sent":
            self.sent += 1
            self._mark(one.number, "sent", attempts, now, "")
            self._note_ok(now)
            return
        log.warning("not told", channel=self.row.id, number=one.number, answer=outcome.answer, reason=outcome.reason)
        if outcome.answer == "fault" and attempts >= FAULTS_MAX and not outcome.moved:
            self._mark(one.number, "failed", attempts, now, outcome.reason)
            return
        pause = 0.0 if outcome.moved else max(pause_after(attempts), outcome.wait_s)
        self._mark(one.number, "waiting", attempts, now + int(pause * SECOND), outcome.reason)
        if outcome.moved:
            self._move(outcome)
        elif outcome.answer == "refused":
            self._disable(outcome.reason)
        elif outcome.answer == "failed":
            self._pace.hold(at + pause_after(self._failures + 1))
            self._note_failing(outcome.reason)

    def _mark(self, number: int, state: State, attempts: int, due: int, error: str) -> None:
        """Note what came of it. While the database is away it is kept here, so that it is not sent again."""
        self._unmarked = (number, state, attempts, due, error)
        self._tools.outbox.mark(self.row.id, number, state, attempts, due, error)
        self._unmarked = None

    def _move(self, outcome: Outcome) -> None:
        """The sink has another address."""
        row = self._tools.moved(self.row, outcome.moved)
        if row is not None:
            self.wanted = row
            self._take_up(row)

    def _note_ok(self, now: int) -> None:
        if self._failures or self.row.status != "ok" or now - self._noted > NOTE_EVERY_NS:
            self._failures, self._noted = 0, now
            self._stands("ok", "", now)

    def _note_failing(self, reason: str) -> None:
        self._failures += 1
        self._stands("failing" if self._failures >= FAILURES_MAX else self.row.status, reason)
        if self._failures == FAILURES_MAX:
            self._tell(reason)

    def _disable(self, reason: str) -> None:
        self._failures += 1
        self._stands("disabled", reason)
        self._tell(reason)

    def _stands(self, status: Status, error: str, sent: int | None = None) -> None:
        if self._tools.channels.note(self.row, status, error, self._failures, sent):
            self.row = replace(self.row, status=status, error=error, failures=self._failures, enabled=status != "disabled")
            if self.wanted.changed == self.row.changed:
                self.wanted = self.row

    def _tell(self, reason: str) -> None:
        """The owner hears of it over the other channels, and later over this one."""
        now = self._tools.now()
        fields = {"channel": self.row.name, "reason": reason}
        self._tools.outbox.tell([News(f"channel-{self.row.id}-{now}", self.row.owner, "channel", "warning", now, fields)])
