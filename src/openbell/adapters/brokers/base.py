"""The broker's contract, in words and as a protocol: what a venue outside is told, and what it says.

`tests/contracts/test_brokers.py` holds every implementation to this:

1. *One order, one id.* Whoever calls chooses the client order id, at most 36 characters. An id that was taken is never accepted a second
   time, whatever became of the first.
2. *Three kinds of failure, never mixed up.* `OrderRefusedError`: the venue said no, for certain. `UnreachableError`: nothing has left this
   machine, for certain. Everything else is `OrderInDoubtError`: an answer that did not come in time, that broke off, that makes no sense.
   When in doubt, it is the third: an order is queried then, and never sent again on a guess.
3. *A failed query is no answer.* `query` returns None only when the venue answered that it has no such order. Even that is no proof before
   `settle_s`: an order on its way may be found later.
4. *What happened is told once it is listened to.* `executions` yields an empty batch when it listens, and from then on everything in order.
   What happened before is found by `query`, whose fills have the same execution ids. When the connection breaks it raises a BrokerError.
5. *Every fill has an id*, the same however often and by whichever way it is told.
6. *Bounded.* No call waits for ever: after the venue's own time-outs it raises.

A broker knows orders, not runs or strategies. Quantities are whole lots; times are ns since 1970 UTC; money is minor units.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit"]
TimeInForce = Literal["gtc", "day", "ioc", "fok"]
#: What a venue can say of an order.
VenueStatus = Literal["accepted", "partially_filled", "filled", "canceled", "expired", "rejected"]
#: Those after which nothing comes.
ENDED: tuple[VenueStatus, ...] = ("filled", "canceled", "expired", "rejected")


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as a venue is told of it; after a change, as it is meant to be from then on."""

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    lots: int  # in all, filled ones included
    lot_size: float  # units in a lot
    limit_price: float | None = None
    stop_price: float | None = None

    @property
    def quantity(self) -> float:
        """Units, without the dust of binary fractions."""
        return round(self.lots * self.lot_size, 10)


@dataclass(frozen=True, slots=True)
class Report:
    """What a venue says of an order: how it stands, and with `lots` above 0 a fill."""

    client_order_id: str
    status: VenueStatus
    filled: int = -1  # lots in all, where the venue says so: then an end is believed when all of these are there
    execution_id: str = ""  # of a fill
    lots: int = 0  # of a fill
    price: float = 0.0  # of a fill
    fee: int = 0  # of a fill: minor units; negative is a rebate
    is_maker: bool = False
    reason: str = ""
    ts_event: int = 0  # ns, the venue's time; 0 when it gives none


@dataclass(frozen=True, slots=True)
class Found:
    """What a venue knows of an order: how it stands, and all of its fills."""

    report: Report
    fills: tuple[Report, ...] = ()


class Broker(Protocol):
    """One account at one venue."""

    name: str
    #: For so many seconds after it was sent, an order may still turn up that a query does not find.
    settle_s: float

    async def submit(self, order: BrokerOrder) -> Report:
        """Have an order placed; returns when the venue has it."""

    async def modify(self, order: BrokerOrder) -> Report:
        """Have an open order changed to this quantity and these prices. Asked for again, it changes nothing more."""

    async def cancel(self, order: BrokerOrder) -> Report:
        """Have an open order canceled. OrderRefusedError when it is not open any more."""

    async def query(self, order: BrokerOrder) -> Found | None:
        """What the venue knows of an order by its client order id; None when it answered that there is none. BrokerError for no answer."""

    def resume(self, order: BrokerOrder, fills: Sequence[Report]) -> None:
        """An order is open since before this process began, with these fills. Called before anything else."""

    def executions(self) -> AsyncIterator[Sequence[Report]]:
        """What happens, in batches; the first one is empty and says that from here on nothing is missed."""

    async def close(self) -> None:
        """Disconnect; may be called twice. Open orders stay."""
