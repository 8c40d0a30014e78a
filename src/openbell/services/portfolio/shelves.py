"""What is kept of accounts besides their books: the newest orders and fills.

The accounts of the house share one shelf. An account that may be a user's has a shelf of its own, so that what others do never pushes her
orders out.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from typing import Any

from openbell.errors import UsageError
from openbell.services.names import Names
from openbell.services.views import Fill, Order

#: What is kept for whoever asks, of the house and of each account of a user; the journal has everything.
ORDERS_KEPT, FILLS_KEPT = 2_000, 1_000
OWN_ORDERS_KEPT, OWN_FILLS_KEPT = 500, 250

_OPEN = ("submitted", "accepted", "partially_filled")


class Shelf:
    """The newest orders and fills of some accounts."""

    def __init__(self, orders_max: int, fills_max: int) -> None:
        self.orders: dict[str, Order] = {}
        self.fills: deque[Fill] = deque(maxlen=fills_max)
        self._orders_max = orders_max

    def keep(self, order: Order) -> Order:
        """A new order; the oldest that is over has to go when there are too many."""
        if len(self.orders) >= self._orders_max:
            del self.orders[next((key for key, old in self.orders.items() if old.status not in _OPEN), next(iter(self.orders)))]
        return self.orders.setdefault(order.id, order)


class Shelves:
    """The shelves of one trader's accounts; `own` are the accounts (indices) that may be users'."""

    def __init__(self, names: Names, own: Collection[int]) -> None:
        house = Shelf(ORDERS_KEPT, FILLS_KEPT)
        self._strategies = names.strategies
        #: The shelf of each account.
        self.of = [Shelf(OWN_ORDERS_KEPT, OWN_FILLS_KEPT) if index in own else house for index in range(len(names.strategies))]

    def orders(self, accounts: Iterable[int] | None = None) -> Iterator[Order]:
        """The orders of accounts (None: all), newest first."""
        kept = (_own(reversed(shelf.orders.values()), names) for shelf, names in self._wanted(accounts))
        return merge(*kept, key=lambda order: -number_of(order.id))

    def fills(self, accounts: Iterable[int] | None = None) -> Iterator[Fill]:
        """The fills of accounts (None: all), newest first."""
        return merge(*(_own(reversed(shelf.fills), names) for shelf, names in self._wanted(accounts)), key=lambda fill: -fill.seq)

    def order(self, id: str) -> Order | None:
        """One order."""
        return next((found for shelf, _ in self._wanted(None) if (found := shelf.orders.get(id))), None)

    def all(self) -> tuple[list[Order], list[Fill]]:
        """Everything, oldest first on each shelf, for `restore`."""
        shelves = [shelf for shelf, _ in self._wanted(None)]
        return [order for shelf in shelves for order in shelf.orders.values()], [fill for shelf in shelves for fill in shelf.fills]

    def restore(self, orders: Iterable[Order], fills: Iterable[Fill]) -> None:
        """Put everything where it belongs, also what was on other shelves before."""
        places = dict(zip(self._strategies, self.of, strict=True))
        for order in sorted(orders, key=lambda order: number_of(order.id)):
            places[order.strategy].orders[order.id] = order
        for fill in sorted(fills, key=lambda fill: fill.seq):
            places[fill.strategy].fills.append(fill)

    def _wanted(self, accounts: Iterable[int] | None) -> list[tuple[Shelf, set[str]]]:
        """The shelves to look at, each with the accounts to take from it; with none of them it is all."""
        found: dict[int, tuple[Shelf, set[str]]] = {}
        for index in range(len(self.of)) if accounts is None else accounts:
            _, names = found.setdefault(id(self.of[index]), (self.of[index], set()))
            if accounts is not None:
                names.add(self._strategies[index])
        return list(found.values())


def number_of(order_id: str) -> int:
    """What orders of one trader are sorted by: the number behind its name.

    >>> number_of("two-1025")
    1025
    """
    return int(order_id.rpartition("-")[2])


def cursor_of(after: str) -> dict[str, int]:
    """The last order of each trader, from `trader-number`, several with commas. UsageError when it is something else.

    >>> cursor_of("main-2049,two-1025")
    {'main': 2049, 'two': 1025}
    """
    found = {}
    for part in after.split(",") if after else ():
        trader, _, number = part.rpartition("-")
        if not trader or not (number.isascii() and number.isdigit()):
            raise UsageError(f"after is {after[:80]!r}", "what the page before said", "begin with the first page")
        found[trader] = int(number)
    return found


def _own(things: Iterator[Any], names: set[str]) -> Iterator[Any]:
    return (thing for thing in things if not names or thing.strategy in names)
