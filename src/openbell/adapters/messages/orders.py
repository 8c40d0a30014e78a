"""Orders on the wire: what the orders service is told to do, and what a venue answered.

Quantities stand there twice: in units for people and brokers, in lots for the kernel. Times are ns since 1970 UTC.
"""

from typing import Annotated, Literal

import msgspec

from openbell.adapters.messages.structs import StructCodec
from openbell.proto.v1 import trading_pb2

Side = Literal["buy", "sell"]
OrderType = Literal["", "market", "limit", "stop", "stop_limit"]
TimeInForce = Literal["", "gtc", "day", "ioc", "fok"]
Action = Literal["submit", "modify", "cancel"]
Venue = Literal["paper", "outside"]
Status = Literal[
    "", "submitted", "accepted", "partially_filled", "pending_cancel", "pending_modify", "unknown", "filled", "canceled", "expired",
    "rejected", "denied",
]  # fmt: skip
Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Units = Annotated[float, msgspec.Meta(ge=0.0, lt=1e18)]
Price = Annotated[float, msgspec.Meta(gt=0.0, lt=1e15)]


class OrderInstruction(msgspec.Struct, frozen=True, kw_only=True):
    """What the orders service is told: send this order, change it, cancel it; or note it, where the venue is the simulated one."""

    run: Text
    strategy: str  # its id
    client_order_id: Text  # the same however often it is derived
    order_id: Count  # of the kernel, unique in the run
    symbol: Text
    action: Action
    side: Side
    type: OrderType = ""  # empty where the action has no use for it
    time_in_force: TimeInForce = ""
    quantity: Units = 0.0  # units
    quantity_lots: Count = 0
    limit_price: Price | None = None
    stop_price: Price | None = None
    status: Status = ""
    reason: str = ""  # why it was denied or ended, in words
    ts: int  # ns
    seq: Count  # of the event that caused it
    index: Count  # of its command in the run, from 0
    venue: Venue


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue answered about an order: a new status, or a fill."""

    run: Text
    strategy: str = ""  # its id
    client_order_id: Text
    order_id: Count  # of the kernel, unique in the run
    execution_id: str = ""  # the venue's id of the fill, empty for none
    symbol: Text
    side: Side
    status: Status
    last_quantity: Units = 0.0  # units of this fill, 0 when only the status changed
    last_lots: Count = 0
    last_price: Price | None = None  # of this fill
    filled_quantity: Units = 0.0  # units of the order filled so far
    filled_lots: Count = 0
    fee: int = 0  # money: minor units of the currency; negative is a rebate
    currency: str = ""
    is_maker: bool = False
    reason: str = ""  # why it was refused or ended, in words
    ts: int  # ns, when it was known
    ts_event: int = 0  # ns, the venue's time; 0 when it gives none
    seq: Count = 0  # of the event in the run, 0 when it has none yet
    index: int = -1  # of its command in the run, -1 when it has none yet
    venue: Venue


_ORDER = StructCodec(trading_pb2.Order, OrderInstruction)
_EXECUTION = StructCodec(trading_pb2.Execution, Execution)


def encode_order(order: OrderInstruction) -> bytes:
    """The message of an instruction; DataError where `decode_order` would raise one.

    >>> order = OrderInstruction(
    ...     run="r1",
    ...     strategy="sma",
    ...     client_order_id="r1-79873",
    ...     order_id=79873,
    ...     symbol="AAPL",
    ...     action="submit",
    ...     side="buy",
    ...     type="limit",
    ...     time_in_force="day",
    ...     quantity=3.0,
    ...     quantity_lots=3,
    ...     limit_price=150.25,
    ...     ts=1_700_000_000_000_000_000,
    ...     seq=78,
    ...     index=4,
    ...     venue="outside",
    ... )
    >>> decode_order(encode_order(order)) == order
    True
    """
    return _ORDER.encode(order)


def decode_order(payload: bytes) -> OrderInstruction:
    """The inverse; DataError when it cannot be used: without an id, or with a word that this version does not know."""
    return _ORDER.decode(payload)


def encode_execution(execution: Execution) -> bytes:
    """The message of an execution; DataError where `decode_execution` would raise one.

    >>> fill = Execution(
    ...     run="r1",
    ...     client_order_id="r1-79873",
    ...     order_id=79873,
    ...     execution_id="e7",
    ...     symbol="AAPL",
    ...     side="buy",
    ...     status="filled",
    ...     last_quantity=3.0,
    ...     last_lots=3,
    ...     last_price=150.2,
    ...     filled_quantity=3.0,
    ...     filled_lots=3,
    ...     fee=450_600,
    ...     currency="USD",
    ...     ts=1_700_000_000_250_000_000,
    ...     venue="outside",
    ... )
    >>> decode_execution(encode_execution(fill)) == fill
    True
    """
    return _EXECUTION.encode(execution)


def decode_execution(payload: bytes) -> Execution:
    """The inverse; DataError when it cannot be used."""
    return _EXECUTION.decode(payload)
