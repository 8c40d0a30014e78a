"""What the routes about alerts take and show, besides the alert itself. Times are ms since 1970 UTC."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from openbell.adapters.stores.alert_rules import Mode, Schedule, Spec
from openbell.services.views import Alert

Symbol = Annotated[str, msgspec.Meta(max_length=64)]
Condition = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Target = Annotated[float, msgspec.Meta(gt=-1e15, lt=1e15)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=31.0 * 86_400)]
Percent = Annotated[float, msgspec.Meta(ge=0.0, le=1e4)]
Moment = Annotated[int, msgspec.Meta(ge=1, le=4_000_000_000_000)]
Note = Annotated[str, msgspec.Meta(max_length=500)]


class AlertWanted(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody wants to be told of: of a price, `condition` is above, below, crosses, crosses_above or crosses_below."""

    condition: Condition
    target_price: Target  # whatever is compared with it
    symbol: Symbol = ""  # of all but a drawdown
    spec: Spec | None = None  # what is compared, where it is not the price
    mode: Mode = "once"
    cooldown_s: Seconds = 0.0
    hysteresis: Percent = 0.0
    ts_expires: Moment | None = None
    schedule: Schedule | None = None
    note: Note = ""


class AlertChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed of an alert; what is left out stays. With another rule it begins anew."""

    condition: Condition | UnsetType = UNSET
    target_price: Target | UnsetType = UNSET
    symbol: Symbol | UnsetType = UNSET
    spec: Spec | UnsetType | None = UNSET
    mode: Mode | UnsetType = UNSET
    cooldown_s: Seconds | UnsetType = UNSET
    hysteresis: Percent | UnsetType = UNSET
    ts_expires: Moment | UnsetType | None = UNSET
    schedule: Schedule | UnsetType | None = UNSET
    note: Note | UnsetType = UNSET
    status: Literal["active", "paused"] | UnsetType = UNSET


class Alerts(msgspec.Struct):
    """Alerts, oldest first."""

    alerts: list[Alert]


class AlertEvents(msgspec.Struct):
    """The times that alerts came, in order; `latest` is what to go on after."""

    events: list[Alert]
    latest: int
