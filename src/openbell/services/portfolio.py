"""The portfolio service: accounts, positions, orders and fills for whoever asks, kept up by the commands alone."""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any

from openbell.adapters.buses.base import Bus
from openbell.model.time import MILLISECOND
from openbell.services.names import MANUAL, Names
from openbell.services.replica import Book, Replica
from openbell.services.service import Service
from openbell.services.topics import COMMANDS, VIEWS
from openbell.services.trading import Decided
from openbell.services.views import Fill, Order, Portfolio, Position, StrategyView

#: The last price of a symbol, None before the first.
LastPrice = Callable[[str], float | None]


class PortfolioService(Service):
    """Keeps a `Replica` and values it at the latest prices."""

    name = "portfolio"

    def __init__(self, bus: Bus, names: Names, last_price: LastPrice, classes: list[str]) -> None:
        super().__init__()
        self.replica = Replica(names)
        self._bus = bus
        self._names = names
        self._last_price = last_price
        self._classes = classes
        self._inbox = bus.subscribe(COMMANDS)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def catch_up(self, first: int, commands: Any) -> None:
        """Take commands from the journal, before the service runs."""
        self.replica.apply(first, commands)

    async def run(self) -> None:
        """Until the commands are closed and drained."""
        while messages := await self._inbox.take():
            for message in messages:
                decided: Decided = message.payload
                shown = self.replica.apply(decided.first, decided.commands)
                self.processed += len(decided.commands)
                if self._bus.has_subscribers(VIEWS):
                    for item in shown:
                        await self._bus.send(VIEWS, item, item[0])
            self._tell_reached()

    async def reached(self, index: int) -> None:
        """Wait until the run's first `index` commands are in the books, so that who asked for something sees it."""
        if self.replica.index < index:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((index, future))
            await future

    def _tell_reached(self) -> None:
        for index, future in self._waiting:
            if index <= self.replica.index and not future.done():
                future.set_result(None)
        self._waiting = [item for item in self._waiting if not item[1].done()]

    @property
    def detail(self) -> str:
        """How many orders and fills there are."""
        books = self.replica.books
        return f"{sum(book.orders for book in books):,} orders, {sum(book.fills for book in books):,} fills"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth

    # What the gateway asks for.

    def portfolio(self, executions: int = 0) -> Portfolio:
        """All accounts at the latest prices, with so many of the newest executions."""
        names, books = self._names, self.replica.books
        positions = [position for index in range(len(books)) for position in self._positions(index)]
        cash = names.money(sum(book.cash for book in books))
        return Portfolio(
            names.plan.currency,
            cash,
            cash + sum(position.value for position in positions),
            names.money(sum(book.deposits for book in books)),
            names.money(sum(book.realised for book in books)),
            sum(position.unrealised_pnl for position in positions),
            names.money(sum(book.fees for book in books)),
            self.replica.ts // MILLISECOND,
            positions,
            self.fills(executions) if executions else None,
        )

    def strategies(self) -> list[StrategyView]:
        """Every strategy with its account."""
        return [self._strategy(index, book) for index, book in enumerate(self.replica.books)]

    def orders(self, limit: int) -> list[Order]:
        """The newest orders, newest first."""
        return list(islice(reversed(self.replica.orders.values()), limit))

    def order(self, order_id: str) -> Order | None:
        """One order."""
        return self.replica.orders.get(order_id)

    def fills(self, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        return list(islice(reversed(self.replica.fills), limit))

    def equity(self, limit: int) -> list[tuple[int, float]]:
        """The equity curve, thinned evenly to at most `limit` points; the last is always there."""
        points = self.replica.points
        step = -(-len(points) // limit)
        return points if step <= 1 else points[::-1][::step][::-1]

    def _strategy(self, index: int, book: Book) -> StrategyView:
        assignment = self._names.plan.assignments[index]
        value = sum(position.value for position in self._positions(index))
        return StrategyView(
            assignment.id, "Manual" if assignment.id == MANUAL else self._classes[index], book.state, list(assignment.symbols),
            assignment.timeframe, dict(assignment.params), self._names.money(book.cash) + value, assignment.cash,
            self._names.money(book.realised), book.orders, book.fills, value,
        )  # fmt: skip

    def _positions(self, strategy: int) -> list[Position]:
        """What one strategy holds; an instrument without a price yet is worth what it cost."""
        found, names = [], self._names
        for instrument, held in self.replica.books[strategy].holdings.items():
            if held.quantity == 0:
                continue
            symbol, quantity, cost = names.symbols[instrument], names.units(instrument, held.quantity), names.money(held.cost)
            price = self._last_price(symbol) or cost / quantity
            found.append(
                Position(
                    symbol,
                    names.strategies[strategy],
                    quantity,
                    cost / quantity,
                    price,
                    quantity * price,
                    quantity * price - cost,
                    names.money(held.realised),
                )
            )
        return found
