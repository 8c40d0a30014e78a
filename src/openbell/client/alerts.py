"""Alerts and notifications, as a client asks for them: what to watch, whom to tell, and what was told."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

from openbell.adapters.stores.alert_rows import Status
from openbell.adapters.stores.notification_rows import State
from openbell.client.asking import Asking
from openbell.services.gateway import alert_records, notification_records
from openbell.services.gateway.notification_records import Channel, Delivery, Template, Tried
from openbell.services.views import Alert

#: Alerts, and lines of the log, in one answer.
ALERTS_MAX, LOG_MAX = 200, 1_000
#: Seconds for what has to do with sending: a sink may take some, and so does loading what sends the first time.
SENDING_S = 60.0


class Alerts(Asking):
    """A part of the client."""

    def alerts(self, *, symbol: str = "", status: Status | None = None, owner: str = "", limit: int = 100) -> list[Alert]:
        """Alerts, oldest first; removed ones for `status="canceled"` only."""
        query = {"symbol": symbol, "status": status, "owner": owner}
        return self._pages("/alerts", alert_records.Alerts, lambda page: page.alerts, limit, ALERTS_MAX, **query)

    def create_alert(self, symbol: str, condition: str, target_price: float, *, idempotency_key: str = "", **more: Any) -> Alert:
        """An alert. `more` are other fields of it: `mode`, `cooldown_s`, `hysteresis`, `ts_expires`, `schedule`, `note`, `spec`.

        It is sent again when no answer comes, and made once.
        """
        body = {"symbol": symbol, "condition": condition, "target_price": target_price, **more}
        return self._send("POST", "/alerts", Alert, body, idempotency_key or uuid4().hex)

    def change_alert(self, id: str, **changes: Any) -> Alert:
        """Change fields of an alert, or its `status` to `paused` or `active`. With another rule it begins anew."""
        return self._send("PATCH", f"/alerts/{quote(id, safe='')}", Alert, changes)

    def delete_alert(self, id: str) -> None:
        """Remove an alert."""
        self._delete(f"/alerts/{quote(id, safe='')}")

    def alert_events(self, *, after: int = 0, symbol: str = "", owner: str = "", limit: int = 100) -> alert_records.AlertEvents:
        """The times that alerts came, in order, after the `latest` of what was asked for before; at most 200."""
        return self._get("/alerts/events", alert_records.AlertEvents, after=after, symbol=symbol, owner=owner, limit=limit)

    def channels(self) -> list[Channel]:
        """Where the caller is told of what, and how each channel stands."""
        return self._get("/channels", notification_records.Channels).channels

    def create_channel(self, name: str, url: str, **more: Any) -> Channel:
        """A channel. `url` is an address of apprise's, never shown again; `more`: `events`, `minimum`, `quiet`, `zone`, `house`."""
        return self._send("POST", "/channels", Channel, {"name": name, "url": url, **more}, timeout_s=SENDING_S)

    def change_channel(self, id: int, **changes: Any) -> Channel:
        """Change fields of a channel; `enabled=True` tries one again that its sink refused."""
        return self._send("PATCH", f"/channels/{id}", Channel, changes, timeout_s=SENDING_S)

    def delete_channel(self, id: int) -> None:
        """Remove a channel, and the log of what was told to it."""
        self._delete(f"/channels/{id}")

    def test_channel(self, id: int) -> Tried:
        """Send a message to a channel now, and say what came of it."""
        return self._send("POST", f"/channels/{id}/test", Tried, timeout_s=SENDING_S)

    def notifications(self, *, channel: int | None = None, state: State | None = None, limit: int = 100) -> list[Delivery]:
        """What was told to the caller's channels, newest first, and what was not, and why."""
        rows = notification_records.Deliveries
        return self._pages("/notifications", rows, lambda page: page.deliveries, limit, LOG_MAX, channel=channel, state=state)

    def templates(self) -> list[Template]:
        """The words in which the caller is told of each event."""
        return self._get("/notifications/templates", notification_records.Templates).templates

    def set_template(self, event: str, text: str) -> Template:
        """Own words for an event; empty: the usual ones."""
        path = f"/notifications/templates/{quote(event, safe='')}"
        return self._send("PUT", path, Template, notification_records.TemplateText(text))
