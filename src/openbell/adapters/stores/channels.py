"""Channels: where each user wants to be told of what, and in what words. Rows of the platform's database, in SQLite and PostgreSQL.

An address holds tokens: it is sealed before it comes here, with `context_of` its owner. Who sends notes how a channel stands, unless its
owner has changed it meanwhile.
"""

from time import time_ns
from typing import Any

from openbell.adapters.stores.database import Database, Statements
from openbell.adapters.stores.notification_rows import SEVERITIES, ChannelRow, Severity, Status
from openbell.errors import UnknownNameError, UsageError

#: Channels of one user.
CHANNELS_MAX = 20


def context_of(owner: int) -> str:
    """What the address of a channel is sealed for: it does not open as somebody else's."""
    return f"address of a channel of user {owner}"


class ChannelStore:
    """The rows. An owner of None means anybody's. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, owner: int, name: str, url: bytes, *, kind: str, shown: str, events: tuple[str, ...] = (), minimum: Severity = "info",
        quiet: str = "", zone: str = "UTC", house: bool = False,
    ) -> ChannelRow:  # fmt: skip
        """A new channel; `url` is sealed. UsageError when the owner has one of this name, or has too many."""
        now = time_ns()

        def insert(sql: Statements) -> ChannelRow:
            known = _found(sql.select(f"{_SELECT} WHERE {_OWNER} = ?", (owner,)))
            if sql.repeated and (done := next((row for row in known if row.name == name and row.created == now), None)):
                return done
            if any(row.name == name for row in known):
                raise UsageError(f"there is a channel {name!r} already", "another name", "remove that one first, or change it")
            if len(known) >= CHANNELS_MAX:
                raise UsageError(f"there are {len(known)} channels", f"at most {CHANNELS_MAX}", "remove one first")
            values = (owner or None, name, kind, url, shown, ",".join(events), SEVERITIES.index(minimum), quiet, zone, house, now, now)
            return _found(sql.select(_INSERT, values))[0]

        return self._database.run(insert)

    def update(self, owner: int | None, id: int, **changes: Any) -> ChannelRow:
        """Change a channel: `name`, `events`, `minimum`, `quiet`, `zone`, `house`, `enabled`, or `url` with `kind` and `shown`.

        With another address, or when it is enabled, it begins anew. UnknownNameError when there is none.
        """
        assert set(changes) <= _CHANGEABLE, changes
        values = dict(changes)
        if "events" in values:
            values["events"] = ",".join(values["events"])
        if "minimum" in values:
            values["minimum"] = SEVERITIES.index(values["minimum"])
        if "url" in values or values.get("enabled"):
            values |= {"status": "new", "error": "", "failures": 0}
        now = time_ns()

        def change(sql: Statements) -> ChannelRow:
            where, whose = _whose(owner)
            own = _found(sql.select(f"{_SELECT} WHERE id = ?{where}", (id, *whose)))
            if not own:
                raise UnknownNameError(f"there is no channel {id}")
            taken = sql.select(
                f"SELECT 1 FROM channels WHERE {_OWNER} = ? AND name = ? AND id <> ?", (own[0].owner, values.get("name"), id)
            )
            if taken:
                raise UsageError(f"there is a channel {values['name']!r} already", "another name")
            sets = ", ".join(f"{name} = ?" for name in values)
            query = f"UPDATE channels SET {sets + ', ' if sets else ''}changed = ? WHERE id = ? RETURNING {_COLUMNS}"
            # A clock that was set back must not make it look unchanged.
            return _found(sql.select(query, (*values.values(), max(now, own[0].changed + 1), id)))[0]

        return self._database.run(change)

    def delete(self, owner: int | None, id: int) -> bool:
        """Remove a channel with the log of what was told to it; False when there is none."""
        where, whose = _whose(owner)
        return self._database.run(lambda sql: bool(sql.execute(f"DELETE FROM channels WHERE id = ?{where}", (id, *whose))) or sql.repeated)

    def find(self, owner: int | None = None) -> list[ChannelRow]:
        """The channels of an owner, oldest first."""
        where, whose = _whose(owner)
        return _found(self._database.select(f"{_SELECT} WHERE id > 0{where} ORDER BY id", whose))

    def get(self, owner: int | None, id: int) -> ChannelRow:
        """One channel; UnknownNameError when there is none."""
        where, whose = _whose(owner)
        found = _found(self._database.select(f"{_SELECT} WHERE id = ?{where}", (id, *whose)))
        if not found:
            raise UnknownNameError(f"there is no channel {id}")
        return found[0]

    # For who sends.

    def any_enabled(self) -> bool:
        """Whether there is anybody to tell anything."""
        return bool(self._database.select("SELECT 1 FROM channels WHERE enabled LIMIT 1"))

    def sealed(self, id: int) -> bytes:
        """The address, sealed; empty when the channel is gone."""
        found = self._database.select("SELECT url FROM channels WHERE id = ?", (id,))
        return bytes(found[0][0]) if found else b""

    def note(self, row: ChannelRow, status: Status, error: str = "", failures: int = 0, sent: int | None = None) -> bool:
        """How a channel stands after an attempt; `disabled` takes it out of use. False when its owner has changed it since `row`."""
        return bool(
            self._database.run(lambda sql: sql.execute(_NOTE, (status, error, failures, sent, status != "disabled", row.id, row.changed)))
        )

    def moved(self, row: ChannelRow, url: bytes, shown: str) -> ChannelRow | None:
        """The sink has another address now, sealed; the channel with it, None when its owner has changed it since `row`."""
        query = f"UPDATE channels SET url = ?, shown = ?, changed = changed + 1 WHERE id = ? AND changed = ? RETURNING {_COLUMNS}"
        found = self._database.run(lambda sql: sql.select(query, (url, shown, row.id, row.changed)))
        return _found(found)[0] if found else None

    def resealed(self, id: int, old: bytes, new: bytes) -> None:
        """The same address, sealed with another key; nothing when it is another address by now."""
        self._database.run(lambda sql: sql.execute("UPDATE channels SET url = ? WHERE id = ? AND url = ?", (new, id, old)))

    # Words.

    def templates(self, owner: int) -> dict[str, str]:
        """The owner's own texts, by event."""
        found = self._database.select(f"SELECT event, text FROM templates WHERE {_OWNER} = ? ORDER BY event", (owner,))
        return dict(tuple(row) for row in found)

    def set_template(self, owner: int, event: str, text: str) -> None:
        """The owner's own text of an event; an empty one brings the usual one back."""

        def write(sql: Statements) -> None:
            sql.execute(f"DELETE FROM templates WHERE {_OWNER} = ? AND event = ?", (owner, event))
            if text:
                sql.execute("INSERT INTO templates (user_id, event, text) VALUES (?, ?, ?)", (owner or None, event, text))

        self._database.run(write)


def _found(rows: list[tuple[Any, ...]]) -> list[ChannelRow]:
    return [_row(dict(zip(ChannelRow.__struct_fields__, values, strict=True))) for values in rows]


def _row(fields: dict[str, Any]) -> ChannelRow:
    fields["events"] = tuple(fields["events"].split(",")) if fields["events"] else ()
    fields |= {"minimum": SEVERITIES[fields["minimum"]], "house": bool(fields["house"]), "enabled": bool(fields["enabled"])}
    return ChannelRow(**fields)


def _whose(owner: int | None) -> tuple[str, tuple[int, ...]]:
    return ("", ()) if owner is None else (f" AND {_OWNER} = ?", (owner,))


_OWNER = "coalesce(user_id, 0)"
_COLUMNS = f"id, {_OWNER}, name, kind, shown, events, minimum, quiet, zone, house, enabled, status, error, failures, sent, created, changed"
_CHANGEABLE = {"name", "url", "kind", "shown", "events", "minimum", "quiet", "zone", "house", "enabled"}
_SELECT = f"SELECT {_COLUMNS} FROM channels"
_INSERT = f"""
INSERT INTO channels
    (user_id, name, kind, url, shown, events, minimum, quiet, zone, house, created, changed, enabled, status, error, failures)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, true, 'new', '', 0) RETURNING {_COLUMNS}
"""
_NOTE = """
UPDATE channels SET status = ?, error = ?, failures = ?, sent = coalesce(?, sent), enabled = ? WHERE id = ? AND changed = ?
"""
