"""Alerts that came, from their topic on the bus."""

import asyncio
from collections.abc import Callable

import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.alerts import Alert, decode_alert
from openbell.adapters.stores.alert_rows import spec_of
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.errors import DataError, StorageError
from openbell.services.notifier.alerts import news_of

#: The group of those who tell of alerts.
GROUP = "notifier"
#: How soon (seconds) something is tried again while the database is away.
RETRY_S = 2.0

log = structlog.get_logger("notifier")


class AlertTopic:
    """Reads the topic as a member of a group of its own, and acknowledges what is written down. `told` is called when there was some."""

    def __init__(self, bus: Bus, topic: str, outbox: Outbox, told: Callable[[], None]) -> None:
        self.refused = 0
        self._bus = bus
        self._topic = topic
        self._outbox = outbox
        self._told = told

    async def run(self) -> None:
        """Until cancelled."""
        inbox = self._bus.subscribe(self._topic, GROUP)
        try:
            while messages := await inbox.take():
                await self._write([news for message in messages if (news := self._news(message.payload)) is not None])
                inbox.ack()
        finally:
            inbox.close()

    def _news(self, payload: bytes) -> News | None:
        try:
            return news_of_message(decode_alert(payload))
        except DataError as error:
            self.refused += 1
            log.warning("alert refused", error=str(error))
            return None

    async def _write(self, news: list[News]) -> None:
        """Write it down, however long the database is away: the messages wait with the bus."""
        while True:
            try:
                if await asyncio.to_thread(self._outbox.tell, news):
                    self._told()
                return
            except StorageError as error:
                log.error("alerts wait to be written down", error=str(error))
                await asyncio.sleep(RETRY_S)


def news_of_message(alert: Alert) -> News:
    """Of a message."""
    owner = int(alert.user) if alert.user.isascii() and alert.user.isdigit() else 0
    which = alert.number or alert.ts_triggered
    try:
        spec = spec_of(alert.spec)
    except ValueError as error:
        raise DataError(f"alert {alert.id}: its spec cannot be read ({error})") from None
    return news_of(f"alert {alert.id} {which}", owner, alert, spec, alert.ts_triggered, alert.triggered_price or None)
