"""Tells others of alerts that came, at least once, with the same id and number however often."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.alerts import Alert, encode_alert
from openbell.adapters.stores.alert_rows import text_of
from openbell.adapters.stores.alerts import AlertEvent, AlertStore
from openbell.services.service import Service

#: Who recorded it, and in which partitions that are ours now.
Source = tuple[str, Callable[[], Collection[int]]]
#: Alerts told of before the bus has to confirm them, and how long (seconds) the last ones may take when the process stops.
TOLD_MAX = 500
LAST_WORDS_S = 2.0

log = structlog.get_logger("alerts")


class AlertTeller(Service):
    """Tells of what came at its sources, and marks them once the bus has them; looks when there is `news`."""

    name = "teller"

    def __init__(self, bus: Bus, topic: str, store: AlertStore, sources: Sequence[Source], news: asyncio.Event) -> None:
        super().__init__()
        self._bus = bus
        self._topic = topic
        self._store = store
        self._sources = tuple(sources)
        self._news = news

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.tell()

    async def tell(self) -> None:
        """Tell of everything that is stored and not marked."""
        for reader, partitions in self._sources:
            while events := await asyncio.to_thread(self._store.untold, reader, partitions(), TOLD_MAX):
                for event in events:
                    await self._bus.send(self._topic, encode_alert(alert_of(event)), event.symbol)
                await self._bus.flush()
                await asyncio.to_thread(self._store.tell, events)
                self.processed += len(events)

    async def stop(self) -> None:
        """Tell of what the last ticks triggered; what cannot be told now, the next one tells."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self.tell()
        except TimeoutError:
            log.warning("alerts are left to be told by the next one")

    def progress(self) -> dict[str, int]:
        """How many were told of."""
        return {"told": self.processed}

    @property
    def detail(self) -> str:
        """What it did."""
        return f"{self.processed:,} alerts told"


def alert_of(event: AlertEvent) -> Alert:
    """A firing, as the message about it."""
    condition: Any = event.condition
    is_repeated = event.mode == "every"
    return Alert(
        id=str(event.alert), user=str(event.owner or ""), symbol=event.symbol, condition=condition, target_price=event.target_price,
        status="active" if is_repeated else "triggered", note=event.note, ts_created=event.created, ts_triggered=event.ts,
        triggered_price=event.price or 0.0, repeat=is_repeated, number=event.number, value=event.value, spec=text_of(event.spec),
    )  # fmt: skip
