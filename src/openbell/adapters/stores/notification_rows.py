"""The rows of notifications as structures: where they go, what is told, and what became of telling it. Times are ns since 1970 UTC."""

from typing import Any, Literal, NamedTuple, get_args

import msgspec

Severity = Literal["info", "warning", "critical"]
#: In the order of their weight; their places here are the numbers in the tables.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
CRITICAL = SEVERITIES.index("critical")

#: New: nothing was sent to it yet; failing: it is tried less and less often; disabled: it refused us, and waits for its owner.
Status = Literal["new", "ok", "failing", "disabled"]
#: What became of telling one thing to one channel. Digested: a digest told of it; the reason of `failed` and `dropped` stands beside it.
State = Literal["waiting", "sent", "failed", "dropped", "digested"]
STATES: tuple[State, ...] = get_args(State)


class ChannelRow(msgspec.Struct, frozen=True):
    """A channel. Its address is sealed, and not in here."""

    id: int
    owner: int  # id of the user; 0 is the house
    name: str
    kind: str  # telegram, discord, email, webhook, ...
    shown: str  # the address without its secrets
    events: tuple[str, ...]  # what it wants to hear of; empty for everything
    minimum: Severity
    quiet: str  # 22:00-07:00, by the clock of `zone`; empty for never
    zone: str  # IANA name
    house: bool  # wants what concerns the house as well
    enabled: bool
    status: Status
    error: str  # of the latest attempt that went wrong; empty after one that did not
    failures: int  # since the latest success
    sent: int | None  # the latest success
    created: int
    changed: int  # by its owner; what is found out about an older one is not noted


class News(msgspec.Struct, frozen=True):
    """One thing to tell. The same `id` is the same thing, however often it is said."""

    id: str
    owner: int  # id of the user it concerns; 0 is the house
    event: str
    severity: Severity
    ts: int  # when it happened
    fields: dict[str, Any]


class Waiting(NamedTuple):
    """Something that is to be told to a channel."""

    number: int  # of the notification, in the order in which they were written
    severity: int
    attempts: int
    due: int
    created: int  # of the notification
    news: News


class Survey(msgspec.Struct, frozen=True):
    """What a digest takes the place of."""

    channel: int
    owner: int  # of the channel
    last: int  # the highest number of a notification in it
    events: dict[str, int]  # how many of each event
    worst: Severity
    first_ts: int
    last_ts: int
    samples: list[News]  # some of them, the weightiest first
    digests: list[News]  # earlier ones, not told either
    dropped: int  # given up since the last digest, because too many waited


class DeliveryRow(msgspec.Struct, frozen=True):
    """One line of the log: what was told to a channel, or was not."""

    number: int
    id: str  # of the thing told
    event: str
    severity: Severity
    ts: int
    fields: dict[str, Any]
    channel: int
    channel_name: str
    state: State
    attempts: int
    due: int  # when it is tried next, while it waits
    error: str
    digest: int | None  # the number of the digest that told of it
    created: int
    updated: int
