"""A venue of paper outside the kernel: it knows the latest prices, fills what they reach, and keeps the rest until they do.

A market order, and a limit order that the latest price meets, fill at that price at once and whole. Others rest until a price meets them
(`on_price`) and fill at their limit; a stop is triggered by a price and is a market or limit order from then on. Before the first price
everything rests. A day ends at midnight UTC. Its book is of this process: who starts it again puts the open orders back by `resume`.
"""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from openbell.adapters.brokers.base import BrokerOrder, Found, Report, VenueStatus
from openbell.errors import OrderRefusedError
from openbell.model.money import exponent
from openbell.model.time import DAY

#: Orders that ended are remembered, the newest so many.
ENDED_MAX = 100_000


@dataclass(slots=True)
class _Entry:
    """An order in the book."""

    order: BrokerOrder
    ends: int  # ns, of a DAY order; 0 for none
    status: VenueStatus = "accepted"
    filled: int = 0
    is_triggered: bool = False
    reason: str = ""
    fills: list[Report] = field(default_factory=list)


class PaperBroker:
    """See `openbell.adapters.brokers.base` for the contract.

    `price(symbol)` is the latest price, None before the first; `fee_bps` basis points of the value, in minor units of `currency`.
    """

    name = "paper"
    settle_s = 0.0

    def __init__(
        self, price: Callable[[str], float | None], fee_bps: float = 0.0, currency: str = "USD", clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._price, self._fee_bps, self._scale, self._clock = price, fee_bps, 10.0 ** exponent(currency), clock
        self._book: dict[str, _Entry] = {}
        self._resting: dict[str, dict[str, _Entry]] = defaultdict(dict)
        self._ended: deque[str] = deque()
        self._inboxes: list[_Inbox] = []

    async def submit(self, order: BrokerOrder) -> Report:
        """Place an order; what it fills at once is told as an execution."""
        if order.client_order_id in self._book:
            raise OrderRefusedError(f"the client order id {order.client_order_id} was used before")
        if order.lots <= 0:
            raise OrderRefusedError("quantity not positive")
        if "limit" in order.type and not order.limit_price:
            raise OrderRefusedError("a limit order without a limit")
        if "stop" in order.type and not order.stop_price:
            raise OrderRefusedError("a stop order without a stop")
        entry = self._enter(order)
        accepted = Report(order.client_order_id, "accepted", 0, ts_event=self._clock())
        self._meet(entry, self._price(order.symbol), is_maker=False)
        if order.time_in_force in ("ioc", "fok") and entry.status == "accepted":
            self._end(entry, "canceled", "could not be filled at once")
        return accepted

    async def modify(self, order: BrokerOrder) -> Report:
        """Change an order that rests; it may fill with that."""
        entry = self._open(order)
        if order.lots <= entry.filled:
            raise OrderRefusedError(f"{entry.filled} lots are filled already")
        entry.order = order
        self._meet(entry, self._price(order.symbol), is_maker=False)
        return Report(order.client_order_id, "accepted", entry.filled, ts_event=self._clock())

    async def cancel(self, order: BrokerOrder) -> Report:
        """Cancel an order that rests."""
        entry = self._open(order)
        self._end(entry, "canceled", "")
        return Report(order.client_order_id, "canceled", entry.filled, ts_event=self._clock())

    async def query(self, order: BrokerOrder) -> Found | None:
        """What the book says."""
        entry = self._book.get(order.client_order_id)
        if entry is None:
            return None
        report = Report(order.client_order_id, entry.status, entry.filled, reason=entry.reason, ts_event=self._clock())
        return Found(report, tuple(entry.fills))

    async def executions(self) -> AsyncIterator[Sequence[Report]]:
        """What happens from now on."""
        inbox = _Inbox()
        self._inboxes.append(inbox)
        try:
            yield ()
            while reports := await inbox.take():
                yield reports
        finally:
            self._inboxes.remove(inbox)

    async def close(self) -> None:
        """End the streams of executions."""
        for inbox in self._inboxes:
            inbox.end()

    def resume(self, order: BrokerOrder, fills: Sequence[Report]) -> None:
        """Put an order back that was open when this venue was closed, with its fills."""
        entry = self._enter(order)
        entry.fills, entry.filled = list(fills), sum(fill.lots for fill in fills)

    def on_price(self, symbol: str, price: float) -> None:
        """A symbol has a new price."""
        for entry in tuple(self._resting.get(symbol, {}).values()):
            if entry.ends and self._clock() >= entry.ends:
                self._end(entry, "expired", "day order at the end of its day")
            else:
                self._meet(entry, price, is_maker=True)

    def _enter(self, order: BrokerOrder) -> _Entry:
        ends = (self._clock() // DAY + 1) * DAY if order.time_in_force == "day" else 0
        entry = _Entry(order, ends)
        self._book[order.client_order_id] = self._resting[order.symbol][order.client_order_id] = entry
        return entry

    def _open(self, order: BrokerOrder) -> _Entry:
        entry = self._resting[order.symbol].get(order.client_order_id)
        if entry is None:
            raise OrderRefusedError("no open order with this id")
        return entry

    def _meet(self, entry: _Entry, price: float | None, is_maker: bool) -> None:
        """Let a price meet an order; one that rested gets its limit."""
        order, sign = entry.order, 1 if entry.order.side == "buy" else -1
        if price is None or not 0.0 < price < 1e15:
            return
        if order.stop_price is not None and not entry.is_triggered:
            if sign * (price - order.stop_price) < 0.0:
                return
            entry.is_triggered, is_maker = True, False
        if order.limit_price is not None:
            if sign * (price - order.limit_price) > 0.0:
                return
            price = order.limit_price if is_maker else price
        lots = order.lots - entry.filled
        notional = math.floor(price * order.lot_size * self._scale * lots + 0.5)
        entry.filled = order.lots
        fill = Report(
            order.client_order_id, "filled", order.lots, f"{order.client_order_id}-{len(entry.fills) + 1}", lots, price,
            math.floor(notional * self._fee_bps / 10_000.0 + 0.5), is_maker and order.limit_price is not None, ts_event=self._clock(),
        )  # fmt: skip
        entry.fills.append(fill)
        self._close(entry, "filled")
        self._tell(fill)

    def _end(self, entry: _Entry, status: VenueStatus, reason: str) -> None:
        entry.reason = reason
        self._close(entry, status)
        self._tell(Report(entry.order.client_order_id, status, entry.filled, reason=reason, ts_event=self._clock()))

    def _close(self, entry: _Entry, status: VenueStatus) -> None:
        entry.status = status
        id = entry.order.client_order_id
        del self._resting[entry.order.symbol][id]
        self._ended.append(id)
        if len(self._ended) > ENDED_MAX:
            del self._book[self._ended.popleft()]

    def _tell(self, report: Report) -> None:
        for inbox in self._inboxes:
            inbox.put(report)


class _Inbox:
    """What one listener has not taken yet."""

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._wake = asyncio.Event()
        self._is_over = False

    def put(self, report: Report) -> None:
        self._reports.append(report)
        self._wake.set()

    def end(self) -> None:
        self._is_over = True
        self._wake.set()

    async def take(self) -> Sequence[Report]:
        """All there are; empty at the end."""
        while not self._reports and not self._is_over:
            await self._wake.wait()
            self._wake.clear()
        taken, self._reports = self._reports, []
        return taken
