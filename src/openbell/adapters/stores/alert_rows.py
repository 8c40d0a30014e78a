"""The rows of alerts as structures: an alert as users see it, one of its firings, and what who evaluates them reads and writes."""

from typing import Any, Literal, NamedTuple

import msgspec

from openbell.adapters.stores.alert_rules import Mode, NewAlert, Schedule, Spec

#: It waits; it came once and is over; its owner holds it; its time is over; it was removed.
Status = Literal["active", "triggered", "paused", "expired", "canceled"]


class AlertRow(msgspec.Struct, frozen=True):
    """An alert. Times are ns since 1970 UTC."""

    id: int
    owner: int  # id of the user; 0 is the house
    symbol: str  # empty for a drawdown
    condition: str
    target_price: float
    spec: Spec | None  # None for a price
    mode: Mode
    cooldown_s: float
    hysteresis: float  # per cent
    expires: int | None
    schedule: Schedule | None
    note: str
    status: Status
    created: int
    fired: int  # how often it came
    triggered_ts: int | None  # the latest time, by the tick that met the condition; None before
    triggered_price: float | None  # the price of the symbol then
    triggered_value: float | None  # what was compared with the target then
    revision: int  # of its latest change by a user

    def rule(self) -> dict[str, Any]:
        """What it was made with, for `NewAlert`."""
        return {name: getattr(self, name) for name in NewAlert.__struct_fields__}


class AlertEvent(msgspec.Struct, frozen=True):
    """One firing of an alert, which `alert` and `number` name; the rest is what the alert was then. Times are ns since 1970 UTC."""

    seq: int  # in the order in which firings were stored, over all alerts; some numbers are left out
    alert: int
    number: int  # 1 is its first
    owner: int
    symbol: str
    condition: str
    target_price: float
    spec: Spec | None
    note: str
    mode: Mode
    created: int  # of the alert
    ts: int  # of the tick that met the condition, or of the end of the candle
    value: float  # what was compared with the target
    price: float | None  # the latest of the symbol; None without one


class Standing(NamedTuple):
    """An alert for who evaluates it."""

    id: int
    symbol: str
    condition: str
    target_price: float
    spec: str  # JSON, empty for a price
    mode: str
    cooldown_s: float
    hysteresis: float
    expires: int | None
    schedule: str  # JSON, empty for none
    status: str
    armed: int | None  # which of its sides wait for what, as who evaluates it wrote it; None before
    fired: int
    triggered_ts: int | None
    revision: int


class Firing(NamedTuple):
    """An alert came; it is recorded unless its owner changed it meanwhile."""

    alert: int
    number: int
    revision: int
    ts: int  # ns since 1970 UTC
    value: float
    price: float | None


class Change(NamedTuple):
    """How an alert stands after it was evaluated; written unless its owner changed it meanwhile."""

    alert: int
    revision: int
    status: Status
    armed: int
    fired: int
    last: Firing | None = None  # the latest that is new


def spec_of(text: str) -> Spec | None:
    """What the column says."""
    return msgspec.json.decode(text, type=Spec) if text else None


def schedule_of(text: str) -> Schedule | None:
    """What the column says."""
    return msgspec.json.decode(text, type=Schedule) if text else None


def text_of(value: Spec | Schedule | None) -> str:
    """The column of either: the same text for the same value.

    >>> text_of(Spec(window_s=60)), text_of(Spec()), text_of(None)
    ('{"window_s":60}', '', '')
    """
    return "" if value is None or value == type(value)() else msgspec.json.encode(value, order="sorted").decode()


def row_of(values: tuple[Any, ...]) -> AlertRow:
    """An alert from its columns, in the order of the fields."""
    fields = dict(zip(AlertRow.__struct_fields__, values, strict=True))
    fields["spec"], fields["schedule"] = spec_of(fields["spec"]), schedule_of(fields["schedule"])
    return AlertRow(**fields)


def event_of(values: tuple[Any, ...]) -> AlertEvent:
    """A firing from its columns, in the order of the fields."""
    fields = dict(zip(AlertEvent.__struct_fields__, values, strict=True))
    return AlertEvent(**{**fields, "spec": spec_of(fields["spec"])})
