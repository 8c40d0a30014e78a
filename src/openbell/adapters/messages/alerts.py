"""Alerts on the wire: that one was triggered, for whoever notifies people or shows it. Times are ns since 1970 UTC.

A message may come more than once: its `id` with `ts_triggered` says whether it is known.
"""

from typing import Annotated, Literal

import msgspec

from openbell.adapters.messages.structs import StructCodec
from openbell.proto.v1 import alerts_pb2

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants to hear when a price meets a condition."""

    id: Text
    user: str = ""  # id of who asked, empty when there is only one user
    symbol: Text
    condition: Literal["above", "below", "crosses"]
    target_price: Annotated[float, msgspec.Meta(gt=0.0, lt=1e15)]
    status: Literal["active", "triggered", "paused"]
    note: str = ""  # in the words of who asked
    ts_created: int  # ns
    ts_triggered: int = 0  # ns, of the tick that met the condition; 0 before
    triggered_price: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)] = 0.0  # of that tick; 0 before
    repeat: bool = False  # stays active after it came true


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
