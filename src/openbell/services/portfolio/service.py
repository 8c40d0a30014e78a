"""The portfolio service: accounts, positions, orders and fills for whoever asks, kept up by the commands alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any

import msgspec

from openbell.adapters.buses.base import Bus
from openbell.engine.plan import Plan
from openbell.errors import UnknownNameError
from openbell.model.time import MILLISECOND
from openbell.services.names import Names
from openbell.services.plans import MAIN
from openbell.services.portfolio.replica import Book, Replica
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, VIEWS
from openbell.services.trader.service import Decided
from openbell.services.views import Fill, Order, Portfolio, Position, StrategyView
from openbell.strategies.load import load

#: The last price of a symbol, None before the first.
LastPrice = Callable[[str], float | None]
#: Brings the books up to where decisions begin, when those before them were missed.
Reload = Callable[[Decided], Awaitable[None]]


class PortfolioService(Service):
    """Keeps a `Replica` of each trader's accounts and values it at the latest prices."""

    name = "portfolio"
    reads = (COMMANDS,)

    def __init__(self, bus: Bus, plans: Mapping[str, Plan], last_price: LastPrice, reload: Reload | None = None) -> None:
        super().__init__()
        self._classes = {item.strategy: load(item.strategy).__name__ for plan in plans.values() for item in plan.assignments}
        #: The run that each trader is followed in; empty within one process, where there is one.
        self.runs = dict.fromkeys(plans, "")
        #: Of the message that comes next, on a bus that keeps history.
        self.offset = 0
        self._plans = dict(plans)
        self.replicas = {trader: self._replica(trader) for trader in plans}
        self._bus = bus
        self._last_price = last_price
        self._reload = reload
        self._inbox = bus.subscribe(COMMANDS)
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    def catch_up(self, first: int, commands: Any, trader: str = MAIN) -> None:
        """Take commands from the journal, before the service runs."""
        self.replicas[trader].apply(first, commands)

    async def run(self) -> None:
        """Until the commands are closed and drained."""
        while messages := await self._inbox.take():
            for message in messages:
                decided: Decided = message.payload
                if decided.run != self.runs[decided.trader]:
                    self._begin(decided.trader, decided.run)
                if self._reload is not None and decided.first > self.replicas[decided.trader].index:
                    await self._reload(decided)
                shown = self.replicas[decided.trader].apply(decided.first, decided.commands)
                self.processed += len(decided.commands)
                self.offset = decided.offset + 1
                if self._bus.has_subscribers(VIEWS):
                    for item in shown:
                        await self._bus.send(VIEWS, item, item[0])
            self._tell_reached()

    def _begin(self, trader: str, run: str) -> None:
        """Follow a new run of a trader."""
        self.runs[trader] = run
        self.replicas[trader] = self._replica(trader)

    def _replica(self, trader: str) -> Replica:
        return Replica(Names(self._plans[trader], "" if trader == MAIN else trader))

    def snapshot(self) -> bytes:
        """All replicas, for `restore`."""
        kept = {trader: (self.runs[trader], replica.snapshot()) for trader, replica in self.replicas.items()}
        return msgspec.msgpack.encode(kept)

    def restore(self, snapshot: bytes, offset: int) -> None:
        """Go on from a snapshot, and the offset of the message that comes next; traders that are no longer there are left out."""
        kept = msgspec.msgpack.decode(snapshot, type=dict[str, tuple[str, bytes]])
        for trader, (run, replica) in kept.items():
            if trader in self.replicas:
                self._begin(trader, run)
                self.replicas[trader].restore(replica)
        self.offset = offset

    def progress(self) -> dict[str, int]:
        """The commands of each trader that are in the books."""
        return {f"commands {trader}": replica.index for trader, replica in self.replicas.items()}

    async def reached(self, trader: str, index: int) -> None:
        """Wait until the trader's first `index` commands are in the books, so that who asked for something sees it."""
        if self.replicas[trader].index < index:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((trader, index, future))
            await future

    def _tell_reached(self) -> None:
        for trader, index, future in self._waiting:
            if index <= self.replicas[trader].index and not future.done():
                future.set_result(None)
        self._waiting = [item for item in self._waiting if not item[2].done()]

    @property
    def detail(self) -> str:
        """How many orders and fills there are."""
        books = [book for replica in self.replicas.values() for book in replica.books]
        return f"{sum(book.orders for book in books):,} orders, {sum(book.fills for book in books):,} fills"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth

    # What the gateway asks for.

    def portfolio(self, executions: int = 0) -> Portfolio:
        """All accounts at the latest prices, with so many of the newest executions."""
        replicas = list(self.replicas.values())
        names = replicas[0].names
        books = [book for replica in replicas for book in replica.books]
        positions = [item for replica in replicas for index in range(len(replica.books)) for item in self._positions(replica, index)]
        cash = names.money(sum(book.cash for book in books))
        return Portfolio(
            names.plan.currency,
            cash,
            cash + sum(position.value for position in positions),
            names.money(sum(book.deposits for book in books)),
            names.money(sum(book.realised for book in books)),
            sum(position.unrealised_pnl for position in positions),
            names.money(sum(book.fees for book in books)),
            max(replica.ts for replica in replicas) // MILLISECOND,
            positions,
            self.fills(executions) if executions else None,
        )

    def strategies(self) -> list[StrategyView]:
        """Every strategy with its account, those of the main trader first and the account for users last of them."""
        return [self._strategy(replica, index) for replica in self.replicas.values() for index in range(len(replica.books))]

    def find(self, strategy: str) -> tuple[str, int]:
        """(Trader, index of the strategy there); UnknownNameError with near names."""
        for trader, replica in self.replicas.items():
            if strategy in replica.names.strategies:
                return trader, replica.names.strategies.index(strategy)
        raise UnknownNameError.of("strategy", strategy, [name for item in self.replicas.values() for name in item.names.strategies])

    def book(self, strategy: str) -> Book:
        """The account of a strategy."""
        trader, index = self.find(strategy)
        return self.replicas[trader].books[index]

    def orders(self, limit: int) -> list[Order]:
        """The newest orders, newest first."""
        return _newest([reversed(replica.orders.values()) for replica in self.replicas.values()], limit)

    def order(self, order_id: str) -> Order | None:
        """One order."""
        return next((found for replica in self.replicas.values() if (found := replica.orders.get(order_id))), None)

    def fills(self, limit: int) -> list[Fill]:
        """The newest fills, newest first."""
        return _newest([reversed(replica.fills) for replica in self.replicas.values()], limit)

    def equity(self, limit: int) -> list[tuple[int, float]]:
        """The equity curve, thinned evenly to at most `limit` points; the last is always there."""
        points = _total([replica.points for replica in self.replicas.values()])
        step = -(-len(points) // limit)
        return points if step <= 1 else points[::-1][::step][::-1]

    def _strategy(self, replica: Replica, index: int) -> StrategyView:
        names, book = replica.names, replica.books[index]
        assignment = names.plan.assignments[index]
        value = sum(position.value for position in self._positions(replica, index))
        return StrategyView(
            assignment.id, self._classes[assignment.strategy], book.state, list(assignment.symbols),
            assignment.timeframe, dict(assignment.params), names.money(book.cash) + value, assignment.cash,
            names.money(book.realised), book.orders, book.fills, value,
        )  # fmt: skip

    def _positions(self, replica: Replica, strategy: int) -> list[Position]:
        """What one strategy holds; an instrument without a price yet is worth what it cost."""
        found, names = [], replica.names
        for instrument, held in replica.books[strategy].holdings.items():
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


def _newest(newest_first: Sequence[Iterator[Any]], limit: int) -> list[Any]:
    """The newest things of several traders."""
    if len(newest_first) == 1:
        return list(islice(newest_first[0], limit))
    return list(islice(merge(*newest_first, key=lambda thing: -thing.ts), limit))


def _total(curves: Sequence[list[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The sum of several equity curves, each worth its latest point until the next, from when all of them have one."""
    if len(curves) == 1:
        return curves[0]
    latest: dict[int, float] = {}
    points: dict[int, float] = {}
    for ts, number, equity in merge(*([(ts, number, equity) for ts, equity in curve] for number, curve in enumerate(curves))):
        latest[number] = equity
        if len(latest) == len(curves):
            points[ts] = sum(latest.values())
    return list(points.items())
