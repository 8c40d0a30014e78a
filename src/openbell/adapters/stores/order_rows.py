"""The rows of `openbell.adapters.stores.orders`: orders, fills, what has to be done about them, and what was said."""

from dataclasses import dataclass, field
from typing import Literal

#: An instruction is intended (written down, and perhaps sent), waiting (certainly not sent), working (an order open at the venue), or done.
State = Literal["intended", "waiting", "working", "done"]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it was asked for, and how it stands. Of one that is known, what was asked for is taken where nobody had said it yet."""

    client_order_id: str
    run: str
    order_id: int
    strategy: str
    symbol: str
    side: str
    type: str  # empty where a status came before the order itself
    time_in_force: str
    status: str
    quantity: int  # lots
    lot_size: float  # units
    limit_price: float | None
    stop_price: float | None
    reason: str | None  # None: as it was
    ts: int  # ns
    revision: int
    filled: int = 0  # lots; it never gets less
    average_price: float | None = None  # of what was filled


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """An order's quantity and prices from now on; a quantity of 0 leaves it."""

    client_order_id: str
    quantity: int
    limit_price: float | None
    stop_price: float | None


@dataclass(frozen=True, slots=True)
class FillRow:
    """A fill."""

    run: str
    execution_id: str
    client_order_id: str
    strategy: str
    symbol: str
    side: str
    quantity: int  # lots
    lot_size: float  # units
    price: float
    fee: int  # minor units
    ts: int  # ns
    seq: int


@dataclass(frozen=True, slots=True)
class Intent:
    """An instruction, by its command's index in the run, and what became of it."""

    run: str
    command: int
    client_order_id: str
    action: str
    state: State
    instruction: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A message about an order, in the order in which they were said."""

    number: int
    client_order_id: str
    run: str
    execution: bytes


@dataclass(slots=True)
class Changes:
    """What is written together.

    `summed` names the orders whose row takes what is filled from the fills that are written. `said`: the answers up to this number are with
    the bus.
    """

    orders: list[OrderRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)
    summed: set[str] = field(default_factory=set)
    intents: list[Intent] = field(default_factory=list)
    states: dict[tuple[str, int], State] = field(default_factory=dict)  # of intents that are written, by run and command
    answers: list[Answer] = field(default_factory=list)
    said: int = 0

    def __bool__(self) -> bool:
        return bool(self.orders or self.changes or self.fills or self.intents or self.states or self.answers)


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """All that is known of an order: its row, the fills, how many answers were given, and its instructions."""

    row: OrderRow
    fills: tuple[FillRow, ...]
    answers: int
    intents: tuple[Intent, ...]
