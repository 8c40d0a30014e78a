"""Alerts on the wire: that one came, for whoever notifies people or shows it. Times are ns since 1970 UTC.

A message may come more than once: its `id` with its `number` says whether it is known.
"""

from typing import Annotated, Literal

import msgspec

from openbell.adapters.messages.structs import StructCodec
from openbell.proto.v1 import alerts_pb2

Text = Annotated[str, msgspec.Meta(min_length=1)]
Size = Annotated[float, msgspec.Meta(gt=-1e15, lt=1e15)]
Condition = Literal[
    "above", "below", "crosses", "crosses_above", "crosses_below",
    "move_above", "move_below", "move_crosses", "move_crosses_above", "move_crosses_below",
    "volume_above", "volume_below", "volume_crosses", "volume_crosses_above", "volume_crosses_below",
    "indicator_above", "indicator_below", "indicator_crosses", "indicator_crosses_above", "indicator_crosses_below",
    "position_above", "position_below", "position_crosses", "position_crosses_above", "position_crosses_below",
    "drawdown_above", "drawdown_below", "drawdown_crosses", "drawdown_crosses_above", "drawdown_crosses_below",
]  # fmt: skip


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants to hear when a value meets a condition; or has to, because it did."""

    id: Text
    user: str = ""  # id of who asked, empty when there is only one user
    symbol: str  # empty for a drawdown
    condition: Condition
    target_price: Size  # whatever is compared with it
    status: Literal["active", "triggered", "paused", "expired", "canceled"]
    note: str = ""  # in the words of who asked
    ts_created: int  # ns
    ts_triggered: int = 0  # ns, of the tick that met the condition; 0 before
    triggered_price: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)] = 0.0  # of that tick; 0 before
    repeat: bool = False  # stays active after it came true
    number: Annotated[int, msgspec.Meta(ge=0)] = 0  # how often it came true, this time included
    value: float = 0.0  # what was compared with the target the latest time
    spec: str = ""  # what is compared, as JSON; empty for a price
    cooldown_s: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)] = 0.0
    hysteresis: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)] = 0.0  # per cent
    ts_expires: int = 0  # ns; 0 for never
    schedule: str = ""  # when it may be told, as JSON; empty for always

    def __post_init__(self) -> None:
        if (not self.symbol) != self.condition.startswith("drawdown"):
            raise ValueError("a symbol that does not fit the condition")


_ALERT = StructCodec(alerts_pb2.Alert, Alert)


def encode_alert(alert: Alert) -> bytes:
    """The message of an alert; DataError where `decode_alert` would raise one.

    >>> alert = Alert(
    ...     id="7",
    ...     symbol="AAPL",
    ...     condition="above",
    ...     target_price=150.0,
    ...     status="triggered",
    ...     ts_created=1_700_000_000_000_000_000,
    ...     ts_triggered=1_700_000_100_000_000_000,
    ...     triggered_price=150.25,
    ... )
    >>> decode_alert(encode_alert(alert)) == alert
    True
    """
    return _ALERT.encode(alert)


def decode_alert(payload: bytes) -> Alert:
    """The inverse; DataError when it cannot be used."""
    return _ALERT.decode(payload)
