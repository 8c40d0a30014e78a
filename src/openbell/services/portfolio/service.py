"""The portfolio service: accounts, positions, orders and fills for whoever asks, kept up by the commands alone."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any

import msgspec

from openbell.adapters.buses.base import Bus
from openbell.engine.plan import Plan
from openbell.errors import UnknownNameError, UsageError
from openbell.model.time import MILLISECOND
from openbell.services.names import Names
from openbell.services.plans import MAIN
from openbell.services.portfolio.curves import total
from openbell.services.portfolio.replica import Book, Replica
from openbell.services.portfolio.shelves import cursor_of, number_of
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, VIEWS
from openbell.services.trader.service import Decided
from openbell.services.views import Fill, Order, Portfolio, Position, StrategyView
from openbell.strategies.load import load

#: The accounts that somebody may see, by name; None for all.
Accounts = frozenset[str] | None
#: The last price of a symbol, None before the first.
LastPrice = Callable[[str], float | None]
#: Brings the books up to where decisions begin, when those before them were missed.
Reload = Callable[[Decided], Awaitable[None]]


class PortfolioService(Service):
    """Keeps a `Replica` of each trader's accounts and values it at the latest prices; `own` are the accounts that may be users'."""

    name = "portfolio"
    reads = (COMMANDS,)

    def __init__(
        self, bus: Bus, plans: Mapping[str, Plan], last_price: LastPrice, reload: Reload | None = None, own: Collection[str] = ()
    ) -> None:
        super().__init__()
        self._own = frozenset(own)
        self._classes = {item.strategy: load(item.strategy).__name__ for plan in plans.values() for item in plan.assignments}
        #: The run that each trader is followed in; empty within one process, where there is one.
        self.runs = dict.fromkeys(plans, "")
        #: Of the message that comes next, on a bus that keeps history.
        self.offset = 0
        self._plans = dict(plans)
        self.replicas = {trader: self._replica(trader) for trader in plans}
        self._places: dict[str, tuple[str, int]] = {}
        for trader, replica in self.replicas.items():
            for index, name in enumerate(replica.names.strategies):
                self._places.setdefault(name, (trader, index))
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
        names = Names(self._plans[trader], "" if trader == MAIN else trader)
        return Replica(names, [index for index, name in enumerate(names.strategies) if name in self._own])

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

    def portfolio(self, executions: int = 0, of: Accounts = None) -> Portfolio:
        """The accounts at the latest prices, with so many of the newest executions."""
        names = next(iter(self.replicas.values())).names
        chosen = self._chosen(of)
        books = [replica.books[index] for replica, index in chosen]
        positions = [item for replica, index in chosen for item in self._positions(replica, index)]
        cash = names.money(sum(book.cash for book in books))
        return Portfolio(
            names.plan.currency,
            cash,
            cash + sum(position.value for position in positions),
            names.money(sum(book.deposits for book in books)),
            names.money(sum(book.realised for book in books)),
            sum(position.unrealised_pnl for position in positions),
            names.money(sum(book.fees for book in books)),
            max(replica.ts for replica in self.replicas.values()) // MILLISECOND,
            positions,
            self.fills(executions, of) if executions else None,
        )

    def strategies(self, of: Accounts = None) -> list[StrategyView]:
        """Every strategy with its account, those of the main trader first and the accounts for users last of them."""
        return [self._strategy(replica, index) for replica, index in self._chosen(of)]

    def find(self, strategy: str, of: Accounts = None) -> tuple[str, int]:
        """(Trader, index of the strategy there); UnknownNameError with near names, also for one that is not among `of`."""
        place = self._places.get(strategy)
        if place is None or (of is not None and strategy not in of):
            raise UnknownNameError.of("strategy", strategy, self._places if of is None else of)
        return place

    def book(self, strategy: str) -> Book:
        """The account of a strategy."""
        trader, index = self.find(strategy)
        return self.replicas[trader].books[index]

    def orders(self, limit: int, of: Accounts = None, after: str = "") -> list[Order]:
        """The newest orders, newest first; `after` is what `page` gave with those before."""
        return self.page(limit, of, after)[0]

    def page(self, limit: int, of: Accounts = None, after: str = "") -> tuple[list[Order], str]:
        """The newest orders, and what to go on after; empty at the end. UsageError for an `after` that is none of these.

        Orders of several traders have no common order but their times, which change: so it is the last order of each.
        """
        last = cursor_of(after)
        if unknown := last.keys() - self.replicas.keys():
            raise UsageError(f"after names the trader '{unknown.pop()}'", "what the page before said", "begin with the first page")
        kept = []
        for trader, replica in self.replicas.items():
            kept.append(_before(replica.shelves.orders(self._indices(trader, of)), last.get(trader)))
        found = _newest(kept, limit + 1)
        if len(found) <= limit:
            return found, ""
        for order in found[:limit]:
            last[order.id.rpartition("-")[0] or MAIN] = number_of(order.id)
        return found[:limit], ",".join(f"{trader}-{number}" for trader, number in last.items())

    def order(self, order_id: str, of: Accounts = None) -> Order | None:
        """One order; None for one of an account that is not among `of`."""
        found = next((found for replica in self.replicas.values() if (found := replica.shelves.order(order_id))), None)
        return found if found is None or of is None or found.strategy in of else None

    def fills(self, limit: int, of: Accounts = None) -> list[Fill]:
        """The newest fills, newest first."""
        return _newest([replica.shelves.fills(self._indices(trader, of)) for trader, replica in self.replicas.items()], limit)

    def equity(self, limit: int, of: Accounts = None) -> list[tuple[int, float]]:
        """The equity curve, thinned evenly to at most `limit` points; the last is always there."""
        if of is None:
            points = total([replica.points for replica in self.replicas.values()])
        else:
            chosen = self._chosen(of)
            points = total(
                [replica.curves.points.get(index, []) for replica, index in chosen],
                [replica.names.money(replica.books[index].deposits) for replica, index in chosen],
            )
        step = -(-len(points) // limit)
        return points if step <= 1 else points[::-1][::step][::-1]

    def worth(self, of: Collection[str]) -> float:
        """What accounts that may be users' are worth at the latest point of their curves."""
        chosen = self._chosen(frozenset(of))
        return sum(curve[-1][1] if (curve := replica.curves.points.get(index)) else replica.names.money(replica.books[index].deposits)
                   for replica, index in chosen)  # fmt: skip

    def _indices(self, trader: str, of: Accounts) -> list[int] | None:
        """The accounts of a trader that are among `of`; None for all."""
        return None if of is None else [index for name, (place, index) in self._places.items() if place == trader and name in of]

    def _chosen(self, of: Accounts) -> list[tuple[Replica, int]]:
        """The accounts, in the order of the plans."""
        if of is None:
            return [(replica, index) for replica in self.replicas.values() for index in range(len(replica.books))]
        places = sorted(self._places[name] for name in of if name in self._places)
        return [(self.replicas[trader], index) for trader, index in places]

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


def _before(orders: Iterator[Order], number: int | None) -> Iterator[Order]:
    """The orders before the one of a number, or with None all."""
    return (order for order in orders if number is None or number_of(order.id) < number)


def _newest(newest_first: Sequence[Iterator[Any]], limit: int) -> list[Any]:
    """The newest things of several traders."""
    if len(newest_first) == 1:
        return list(islice(newest_first[0], limit))
    return list(islice(merge(*newest_first, key=lambda thing: -thing.ts), limit))
