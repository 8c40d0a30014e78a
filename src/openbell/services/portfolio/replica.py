"""A replica of the accounts, built from the commands alone: the same fold as the kernel's, in plain Python integers.

It refuses a gap: an account that missed a fill must not go on as if nothing had happened.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import floor
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.money import to_minor
from openbell.model.time import MILLISECOND
from openbell.services.names import Names, price_of, reason_of, status_of
from openbell.services.portfolio.curves import Curves
from openbell.services.portfolio.shelves import Shelves
from openbell.services.views import Fill, Order, StrategyState

#: Points of the equity curve that are kept.
POINTS_KEPT = 8_000

#: A kind of thing shown (the channel of the stream), and the thing.
Shown = tuple[str, Any]


@dataclass(slots=True)
class Holding:
    """What a strategy holds of an instrument: lots, and money in minor units."""

    quantity: int = 0
    cost: int = 0
    realised: int = 0


@dataclass(slots=True)
class Book:
    """The account of one strategy, money in minor units."""

    deposits: int
    cash: int
    state: str
    realised: int = 0
    fees: int = 0
    orders: int = 0
    fills: int = 0
    denials: int = 0
    holdings: dict[int, Holding] = field(default_factory=dict)


class State(msgspec.Struct, array_like=True):
    """A replica as it is kept."""

    index: int
    ts: int
    books: list[Book]
    orders: list[Order]
    signaled: dict[int, int]
    fills: list[Fill]
    points: list[tuple[int, float]]
    curves: dict[str, list[tuple[int, float]]] = {}
    prices: list[float] = []


class Replica:
    """Accounts, orders, fills and equity curves of a run, after `index` commands; `own` are the accounts that may be users'."""

    def __init__(self, names: Names, own: Collection[int] = ()) -> None:
        self.names = names
        self.index = 0
        self.ts = 0  # ns, of the latest command
        self.books = [
            Book(cash := to_minor(item.cash, names.plan.currency), cash, "active" if item.enabled else "paused")
            for item in names.plan.assignments
        ]
        self.shelves = Shelves(names, own)
        self._signaled: dict[int, int] = {}  # order id -> the type that was asked for, before protection made a limit order of it
        self.points: list[tuple[int, float]] = []
        self.curves = Curves(names, own)

    def snapshot(self) -> bytes:
        """Everything, for `restore`."""
        orders, fills = self.shelves.all()
        curves = {self.names.strategies[index]: points for index, points in self.curves.points.items()}
        state = State(self.index, self.ts, self.books, orders, self._signaled, fills, self.points, curves, self.curves.prices)
        return msgspec.msgpack.encode(state)

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of the same plan. JournalError when it is none."""
        try:
            known = msgspec.msgpack.decode(snapshot, type=State)
        except msgspec.DecodeError as error:
            raise JournalError(f"the snapshot of a portfolio cannot be read ({error})", "one of this version", "build it anew") from None
        self.index, self.ts, self.books, self._signaled, self.points = known.index, known.ts, known.books, known.signaled, known.points
        self.shelves.restore(known.orders, known.fills)
        self.curves.prices = known.prices or self.curves.prices
        for index in self.curves.points:
            self.curves.points[index] = known.curves.get(self.names.strategies[index], [])

    def apply(self, first: int, commands: Any) -> list[Shown]:
        """Take commands, the first of which has this index in the run; returns what changed. JournalError when one is missing before it."""
        if first > self.index:
            raise JournalError(f"commands {self.index} to {first - 1} of the run are missing", "every command, in order", "start it again")
        fresh = commands[self.index - first :]
        if not len(fresh):
            return []
        self.index += len(fresh)
        self.ts = int(fresh[-1]["ts"])
        shown: list[Shown] = []
        rows, priced = np.flatnonzero(fresh["kind"] != enums.CANDLE), 0
        for row, command in zip(rows.tolist(), fresh[rows], strict=True):
            kind = int(command["kind"])
            handler = _HANDLERS.get(kind)
            if kind == enums.EQUITY and self.curves.points:
                self.curves.price(fresh[priced:row])
                priced = row
            if handler is not None:
                handler(self, command, shown)
        if self.curves.points:
            self.curves.price(fresh[priced:])
        return shown

    def _on_signal(self, command: Any, shown: list[Shown]) -> None:
        self._signaled[int(command["order_id"])] = int(command["order_type"])
        shown.append(("signals", self.names.signal(command)))

    def _on_submit(self, command: Any, shown: list[Shown]) -> None:
        self.books[command["strategy"]].orders += 1
        self._on_order(command, shown)

    def _on_order(self, command: Any, shown: list[Shown]) -> None:
        """A new status, price or quantity."""
        shelf = self.shelves.of[command["strategy"]]
        order = shelf.orders.get(self.names.order_id(command["order_id"]))
        if order is None:
            order = shelf.keep(self.names.order(command, self._signaled.pop(int(command["order_id"]), int(command["order_type"]))))
            if command["status"] == enums.DENIED:
                self.books[command["strategy"]].denials += 1
        else:
            order.status, order.reason = status_of(command), reason_of(command)
            order.limit_price = price_of(command["price"]) if "limit" in order.type else None
            order.stop_price = price_of(command["stop_price"]) or order.stop_price
            order.ts = int(command["ts"]) // MILLISECOND
            if command["quantity"]:
                order.quantity = self.names.units(command["instrument"], int(command["quantity"]))
        shown.append(("orders", replace(order)))

    def _on_fill(self, command: Any, shown: list[Shown]) -> None:
        book, instrument = self.books[command["strategy"]], int(command["instrument"])
        self._post(book, book.holdings.setdefault(instrument, Holding()), command)
        fill = self.names.fill(command)
        shelf = self.shelves.of[command["strategy"]]
        shelf.fills.append(fill)
        shown.append(("fills", fill))
        order = shelf.orders.get(fill.order_id)
        if order is not None:
            order.status, order.ts = status_of(command), fill.ts
            order.filled = self.names.units(instrument, int(command["filled"]))
            order.quantity = max(order.quantity, order.filled)
            order.average_price = float(command["size"])
            shown.append(("orders", replace(order)))

    def _post(self, book: Book, held: Holding, command: Any) -> None:
        """Double entry; see `openbell.portfolio.accounting.apply_fill`."""
        side, lots, instrument = int(command["side"]), int(command["quantity"]), int(command["instrument"])
        notional = floor(float(command["price"]) * (self.names.lot_sizes[instrument] * self.names.scale) * lots + 0.5)
        closing = min(abs(held.quantity), lots) if held.quantity * side < 0 else 0
        removed = closed = 0
        if closing:
            removed = held.cost if closing == abs(held.quantity) else floor(held.cost * (closing / abs(held.quantity)) + 0.5)
            closed = notional if closing == lots else floor(notional * (closing / lots) + 0.5)
        realised = -side * closed - removed if closing else 0
        held.quantity += side * lots
        held.cost += side * (notional - closed) - removed
        held.realised += realised
        book.cash -= side * notional + int(command["amount"])
        book.realised += realised
        book.fees += int(command["amount"])
        book.fills += 1

    def _on_equity(self, command: Any, shown: list[Shown]) -> None:
        point = (int(command["ts"]) // MILLISECOND, self.names.money(int(command["amount"])))
        self.points.append(point)
        if len(self.points) > POINTS_KEPT:
            self.points = self.points[: POINTS_KEPT // 2 : 2] + self.points[POINTS_KEPT // 2 :]
        for index in self.curves.points:
            if self.books[index].orders:
                self.curves.add(index, point[0], self._worth(index))
        shown.append(("equity", point))

    def _worth(self, index: int) -> float:
        """What an account is worth at the latest candles; before the first candle what it holds is worth what it cost."""
        book, names = self.books[index], self.names
        worth = names.money(book.cash)
        for instrument, held in book.holdings.items():
            price = self.curves.prices[instrument]
            worth += names.units(instrument, held.quantity) * price if price else names.money(held.cost)
        return worth

    def _on_state(self, command: Any, shown: list[Shown]) -> None:
        book = self.books[command["strategy"]]
        book.state = enums.TRADING_STATE_NAMES[int(command["status"])]
        shown.append(("states", StrategyState(self.names.strategies[command["strategy"]], book.state)))


_HANDLERS = {
    enums.SIGNAL: Replica._on_signal,
    enums.SUBMIT: Replica._on_submit,
    enums.ORDER: Replica._on_order,
    enums.MODIFY: Replica._on_order,
    enums.CANCEL: Replica._on_order,
    enums.FILL: Replica._on_fill,
    enums.EQUITY: Replica._on_equity,
    enums.STATE: Replica._on_state,
}
