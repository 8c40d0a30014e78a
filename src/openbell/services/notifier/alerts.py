"""Alerts that came, as something to tell; and where they are watched in this process, read from their table."""

import asyncio
from collections.abc import Callable
from typing import Any

from openbell.adapters.stores.alert_rows import AlertEvent
from openbell.adapters.stores.alert_rules import Spec, split_condition
from openbell.adapters.stores.alert_words import sentence
from openbell.adapters.stores.alerts import EVENTS, AlertStore
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.adapters.stores.progress import Progress
from openbell.services.notifier.events import shown

#: How often (seconds) it is looked whether an alert came, and how many rows are read at once.
LOOK_S = 0.5
EVENTS_MAX = 1000


class AlertTable:
    """Reads the rows of alerts that came, and stores how far it has come with what it tells. It reads also while nobody is told: what comes
    before there is a channel is not told later.
    """

    READER = "notifier of alerts"

    def __init__(self, store: AlertStore, outbox: Outbox, told: Callable[[], None]) -> None:
        self._store = store
        self._outbox = outbox
        self._told = told

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await asyncio.to_thread(self.look):
                self._told()
            await asyncio.sleep(LOOK_S)

    def begin(self) -> Progress:
        """How far it has come: the first time, behind everything that is there."""
        known = self._outbox.progress(self.READER)
        if not known.state:
            advance = known.advance(self._store.progress(EVENTS, 0).position, state=b"begun")
            self._outbox.tell((), advance)
            known = advance.after
        return known

    def look(self) -> int:
        """Write down what came since it looked last. Returns how much it was. It blocks, for a thread."""
        known = self.begin()
        events = self._store.events(since=known.position, limit=EVENTS_MAX)
        if not events:
            return 0
        return self._outbox.tell([news_of_event(event) for event in events], known.advance(events[-1].seq))


def news_of_event(event: AlertEvent) -> News:
    """Of a row."""
    return news_of(f"alert {event.alert} {event.number}", event.owner, event, event.spec, event.ts, event.price)


def news_of(id: str, owner: int, alert: Any, spec: Spec | None, ts: int, price: float | None) -> News:
    """Of either; the id is that of the alert and which time it came."""
    kind, _ = split_condition(alert.condition)
    what = sentence(alert.symbol, alert.condition, alert.target_price, spec)
    now = f"at {price:,.10g}" if kind == "price" and price is not None else f"now {alert.value:,.10g}"
    fields = {
        "what": f"{what}, {now}{f': {shown(alert.note)}' if alert.note else ''}", "alert": id.split(" ")[1], "symbol": alert.symbol,
        "condition": alert.condition, "target": alert.target_price, "value": alert.value, "price": price, "note": alert.note,
    }  # fmt: skip
    return News(id, owner, "alert", "warning", ts, fields)
