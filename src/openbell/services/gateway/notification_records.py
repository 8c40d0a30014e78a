"""What the routes about notifications take and show. Times are ms since 1970 UTC. An address goes in and never comes out."""

from typing import Annotated, Any

import msgspec

from openbell.adapters.notifiers.base import Answer
from openbell.adapters.stores.notification_rows import Severity, State, Status
from openbell.services.notifier.channels import ChannelChanges as ChannelChanges
from openbell.services.notifier.channels import NewChannel as NewChannel
from openbell.services.notifier.texts import TEMPLATE_MAX

Words = Annotated[str, msgspec.Meta(max_length=TEMPLATE_MAX)]


class Channel(msgspec.Struct):
    """Where somebody is told of what, and how it stands."""

    id: int
    name: str
    kind: str  # telegram, discord, email, webhook, ...
    shown: str  # the address without its secrets
    events: list[str]  # empty: of everything
    minimum: Severity
    quiet: str  # hours such as 22:00-07:00, by the clock of `zone`
    zone: str
    house: bool  # also of what concerns the house; for administrators
    enabled: bool
    status: Status
    error: str  # of the latest attempt that went wrong
    failures: int  # since the latest success
    ts_sent: int | None  # the latest success
    ts_created: int


class Channels(msgspec.Struct):
    """Channels, oldest first. A user has twenty at most."""

    channels: list[Channel]


class Tried(msgspec.Struct):
    """What a sink answered to a test: `sent` is good."""

    answer: Answer
    reason: str
    wait_s: float  # how long it wants to be left alone


class Template(msgspec.Struct):
    """The words for an event; `own` where they are not the usual ones. `{field}` stands for a field."""

    event: str
    about: str
    fields: list[str]
    text: str
    own: bool


class Templates(msgspec.Struct):
    """The words for every event."""

    templates: list[Template]


class TemplateText(msgspec.Struct, forbid_unknown_fields=True):
    """Own words for an event; empty: the usual ones."""

    text: Words


class Delivery(msgspec.Struct):
    """What was told to a channel, or was not."""

    number: int  # stands at the end of the message: (#17)
    event: str
    severity: Severity
    ts: int  # when it happened
    fields: dict[str, Any]
    channel: int
    channel_name: str
    state: State
    attempts: int
    ts_due: int  # when it is tried next, while it waits
    error: str
    digest: int | None  # the number of the message that told of many
    ts_updated: int


class Deliveries(msgspec.Struct):
    """The log of what was told, newest first."""

    deliveries: list[Delivery]
