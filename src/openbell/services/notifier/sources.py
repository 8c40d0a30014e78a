"""Where what is told comes from: the decisions of traders, and how the services stand. Alerts are in a room of their own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time_ns
from typing import Protocol

import msgspec
import structlog

from openbell.adapters.buses.base import Bus, Subscription
from openbell.adapters.stores.notification_rows import News
from openbell.services.notifier.intake import Intake
from openbell.services.notifier.trading import TradingNews
from openbell.services.processor.roster import Roster
from openbell.services.topics.names import COMMANDS
from openbell.services.trader.service import Decided
from openbell.services.views import ServiceView

#: How often (seconds) it is looked how the services stand.
LOOK_S = 1.0

log = structlog.get_logger("notifier")


class Source(Protocol):
    """Something that news comes from."""

    async def run(self) -> None:
        """Until cancelled, or until there is nothing more."""


class Decisions:
    """Reads the decisions on this process's bus, and is always quick: whoever decides never waits for what is told of it.

    `place` says where the reader stands behind a message: an index in the run, or an offset.
    """

    def __init__(
        self, bus: Bus, intake: Intake, traders: Mapping[str, TradingNews], place: Callable[[Decided], int], run: str = ""
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._traders = traders
        self._place = place
        self._run = run
        self._inbox: Subscription | None = None

    def listen(self) -> None:
        """From now on nothing is missed."""
        self._inbox = self._inbox or self._bus.subscribe(COMMANDS)

    async def run(self) -> None:
        """Until the decisions are closed and drained."""
        self.listen()
        assert self._inbox is not None
        while messages := await self._inbox.take():
            self._take([message.payload for message in messages])

    def drain(self) -> None:
        """Take what is left, and listen no more."""
        if self._inbox is not None:
            self._take([message.payload for message in self._inbox.take_now()])
            self._inbox.close()
            self._inbox = None

    def _take(self, decisions: Sequence[Decided]) -> None:
        for decided in decisions:
            trader = self._traders.get(decided.trader)
            news = trader.of(decided.run or self._run, decided.first, decided.commands) if trader is not None else ()
            self._intake.put(news, self._place(decided))


class Services:
    """Looks how the services stand, and tells of those that failed, and of those that are back."""

    def __init__(self, intake: Intake, views: Callable[[], Sequence[ServiceView]]) -> None:
        self._intake = intake
        self._views = views
        self._failed: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._intake.put(self.look(time_ns()))
            await asyncio.sleep(LOOK_S)

    def look(self, now: int) -> list[News]:
        """What has changed since it was looked last."""
        found: list[News] = []
        views = {view.name: view for view in self._views()}
        for name, view in views.items():
            if view.state == "failed" and name not in self._failed:
                self._failed[name] = view.failure
                found.append(self._news(name, "failed", view.failure or "no reason given", now))
            elif view.state in ("running", "done") and self._failed.pop(name, None) is not None:
                found.append(self._news(name, "is back", "it runs again", now))
        return found

    def _news(self, name: str, state: str, reason: str, now: int) -> News:
        fields = {"service": name, "state": state, "reason": reason}
        return News(f"service {name} {state} {now}", 0, "disconnect", "info" if state == "is back" else "critical", now, fields)


class RemoteServices:
    """Hears how the services of all processes stand, which say so on a topic of the control bus."""

    def __init__(self, bus: Bus, topic: str) -> None:
        self._roster = Roster()
        self._bus = bus
        self._topic = topic

    async def run(self) -> None:
        """Until cancelled."""
        inbox = self._bus.subscribe(self._topic)
        try:
            while messages := await inbox.take():
                for message in messages:
                    try:
                        self._roster.hear(message.key, message.payload, monotonic())
                    except msgspec.DecodeError as error:
                        log.warning("message refused", topic=message.topic, error=str(error))
        finally:
            inbox.close()

    def views(self) -> list[ServiceView]:
        """All that were heard of; one that is silent has failed."""
        return self._roster.views(monotonic())
