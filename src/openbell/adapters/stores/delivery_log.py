"""The log of notifications: what was told to whom, and what was not. In SQLite and PostgreSQL."""

from typing import Any

import msgspec

from openbell.adapters.stores.database import Reading
from openbell.adapters.stores.notification_rows import SEVERITIES, DeliveryRow, State

#: Rows of a page.
PAGE_MAX = 1000


class DeliveryLog:
    """Pages of the log. An owner of None means everybody."""

    def __init__(self, database: Reading) -> None:
        self._database = database

    def page(
        self, owner: int | None = None, *, channel: int | None = None, state: State | None = None, before: tuple[int, int] | None = None,
        limit: int = 100,
    ) -> list[DeliveryRow]:  # fmt: skip
        """What was told to the channels of an owner (None: of everybody), newest first; of a channel, of a state.

        `before` is the (number, channel) of the last row of the page before.
        """
        query, values = "", list[object]()
        for condition, value in (("coalesce(c.user_id, 0) = ?", owner), ("d.channel = ?", channel), ("d.state = ?", state)):
            if value is not None:
                query += f" AND {condition}"
                values.append(value)
        if before is not None:
            query += " AND (d.notification, d.channel) < (?, ?)"
            values += before
        limit = max(min(limit, PAGE_MAX), 0)
        found = self._database.select(f"{_LOG}{query} ORDER BY d.notification DESC, d.channel DESC LIMIT ?", (*values, limit))
        return [_delivery(dict(zip(DeliveryRow.__struct_fields__, row, strict=True))) for row in found]

    def counts(self, owner: int | None = None) -> dict[State, int]:
        """How many deliveries to the channels of an owner are in each state."""
        where, values = ("", ()) if owner is None else (" WHERE coalesce(c.user_id, 0) = ?", (owner,))
        query = f"SELECT d.state, count(*) FROM deliveries d JOIN channels c ON c.id = d.channel{where} GROUP BY d.state"
        return dict(tuple(found) for found in self._database.select(query, values))


def _delivery(fields: dict[str, Any]) -> DeliveryRow:
    return DeliveryRow(**{**fields, "severity": SEVERITIES[fields["severity"]], "fields": msgspec.json.decode(fields["fields"])})


_LOG = """
SELECT n.number, n.id, n.event, n.severity, n.ts, n.payload, d.channel, c.name, d.state, d.attempts, d.due, d.error, d.digest, n.created,
    d.updated
FROM deliveries d JOIN notifications n ON n.number = d.notification JOIN channels c ON c.id = d.channel WHERE true
"""
