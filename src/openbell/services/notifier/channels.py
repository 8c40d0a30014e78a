"""Channels for whoever asks on behalf of a user: the gateway and the command line. What is given is checked, and addresses are sealed here.

An address goes in and never comes out: what is shown of it has no secrets. All calls block, for a thread.
"""

from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from openbell.adapters.notifiers.base import Outcome, Sink, open_sink
from openbell.adapters.stores.channels import ChannelStore, context_of
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.adapters.stores.notification_rows import ChannelRow, News, Severity
from openbell.errors import UnknownNameError, UsageError
from openbell.services.notifier.events import CHOICES
from openbell.services.notifier.hours import quiet_hours, zone_named
from openbell.services.notifier.texts import check_template, letter_of

if TYPE_CHECKING:
    from openbell.adapters.sealing import Sealer

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="1 to 64 characters")]
Url = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=2000, description="an address of apprise's, with its tokens",
        extra_json_schema={"writeOnly": True, "format": "password"},
    ),
]  # fmt: skip
Events = Annotated[tuple[str, ...], msgspec.Meta(max_length=32)]
Short = Annotated[str, msgspec.Meta(max_length=64)]


class _Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Without the address in its text."""

    def __repr__(self) -> str:
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return f"{type(self).__name__}({', '.join(f'{name}=' + ('***' if name == 'url' else repr(fields[name])) for name in fields)})"


class NewChannel(_Quiet, frozen=True):
    """Where somebody wants to be told of what. `events` empty: of everything; `quiet`: hours such as 22:00-07:00 by the clock of `zone`."""

    name: Name
    url: Url
    events: Events = ()
    minimum: Severity = "info"
    quiet: Short = ""
    zone: Short = "UTC"
    house: bool = False  # also of what concerns the house: its strategies, the services; for administrators


class ChannelChanges(_Quiet, frozen=True):
    """What is to be different."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    minimum: Severity | UnsetType = UNSET
    quiet: Short | UnsetType = UNSET
    zone: Short | UnsetType = UNSET
    house: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Channels:
    """The channels of users, their words, and the log. `changed` is called after each change, in the thread that made it.

    An owner is the id of a user, 0 is the house; where None is allowed it means anybody. What belongs to somebody else is not there:
    UnknownNameError. What makes no sense is a UsageError.
    """

    def __init__(
        self, database: Database, sealer: "Callable[[], Sealer]", allow_private: bool = False, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.log = DeliveryLog(database)
        self._store = ChannelStore(database)
        self._sealer = sealer
        self._allow_private = allow_private
        self._changed = changed

    def create(self, owner: int, new: NewChannel) -> ChannelRow:
        """A new channel, which is told from now on."""
        values: dict[str, Any] = msgspec.structs.asdict(new)
        _check(values, values["zone"])
        row = self._store.create(owner, **{**values, **self._sealed(owner, new.url)})
        self._changed()
        return row

    def list(self, owner: int | None) -> list[ChannelRow]:
        """The channels of an owner, oldest first."""
        return self._store.find(owner)

    def update(self, owner: int | None, id: int, changes: ChannelChanges) -> ChannelRow:
        """Change a channel. One that was disabled because its sink refused us is tried again when it is enabled, or has another address."""
        known = self._store.get(owner, id)
        values = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
        _check({"quiet": known.quiet, **values}, values.get("zone", known.zone))
        if "url" in values:
            values |= self._sealed(known.owner, values["url"])
        row = self._store.update(owner, id, **values)
        self._changed()
        return row

    def delete(self, owner: int | None, id: int) -> None:
        """Remove a channel, and the log of what was told to it."""
        if not self._store.delete(owner, id):
            raise UnknownNameError(f"there is no channel {id}")
        self._changed()

    def test(self, owner: int | None, id: int) -> Outcome:
        """Send a message now, past quiet hours and whatever waits, and note how the channel stands. It may take some seconds."""
        row = self._store.get(owner, id)
        news = News("", row.owner, "test", "info", time_ns(), {"channel": row.name})
        outcome = self.sink(row).send(letter_of(news, 0, zone_named(row.zone), self._store.templates(row.owner)))
        if outcome.answer == "sent":
            self._store.note(row, "ok" if row.enabled else "disabled", sent=time_ns())
        elif row.enabled and outcome.answer == "refused":
            self._store.note(row, "disabled", outcome.reason, row.failures + 1)
        return outcome

    def sink(self, row: ChannelRow) -> Sink:
        """Where a channel leads; its address is sealed anew when there is a newer key.

        Raises also what `Sealer.open` does, and ConfigError when what sends is not installed.
        """
        sealer, sealed = self._sealer(), self._store.sealed(row.id)
        url = sealer.open(sealed, context_of(row.owner)).decode()
        if not sealer.is_newest(sealed):
            self._store.resealed(row.id, sealed, sealer.seal(url, context_of(row.owner)))
        return open_sink(url, self._allow_private)

    def reseal(self, row: ChannelRow, url: str) -> ChannelRow | None:
        """The sink of a channel says that it has another address; None when the owner has changed the channel meanwhile."""
        sealed = self._sealed(row.owner, url)
        return self._store.moved(row, sealed["url"], sealed["shown"])

    def templates(self, owner: int) -> dict[str, str]:
        """The owner's own words, by event."""
        return self._store.templates(owner)

    def set_template(self, owner: int, event: str, text: str) -> None:
        """The owner's own words for an event; empty: the usual ones."""
        self._store.set_template(owner, event, check_template(event, text))
        self._changed()

    def _sealed(self, owner: int, url: str) -> dict[str, Any]:
        described = open_sink(url, self._allow_private).described
        return {"url": self._sealer().seal(url, context_of(owner)), "kind": described.kind, "shown": described.shown}


def _check(values: dict[str, Any], zone: str) -> None:
    """That the parts make sense, apart from the address."""
    if "name" in values and (not values["name"].isprintable() or values["name"] != values["name"].strip()):
        raise UsageError("the name of the channel has blanks around it, or cannot be printed", "a name such as telephone")
    for event in values.get("events", ()):
        if event not in CHOICES:
            raise UnknownNameError.of("event", event, CHOICES)
    if "events" in values:
        values["events"] = tuple(dict.fromkeys(values["events"]))
    quiet_hours(values.get("quiet", ""), zone)
