"""Orders, their fills, and what the orders service has to do and has said: rows of the platform's database, in SQLite and PostgreSQL.

Everything may be written twice. What a row says never goes back: a status comes with a revision, and an older one changes nothing; how much
is filled, and at what price, is the sum of the fills, which are only added. One process writes: who takes over counts one further, and from
then on whatever the one before wants to write is refused (FencedError), all of it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from openbell.adapters.stores.database import Database, Reading, Statements
from openbell.adapters.stores.progress import Progress, move, read_progress

#: Names in one question.
ASKED_MAX = 500
_SAID = struct.Struct("<q")

#: An instruction is intended (written down, and perhaps sent), waiting (certainly not sent), working (an order open at the venue), or done.
State = Literal["intended", "waiting", "working", "done"]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it was asked for. Of one that is known, only what its first message did not say is taken."""

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
    """What is written together. `said`: the answers up to this number are with the bus."""

    orders: list[OrderRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)
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


class OrderStore:
    """The rows. `reader` names the service that writes them. Use it in one thread."""

    def __init__(self, database: Database, reader: str) -> None:
        self._database = database
        self._known = Progress(reader)

    def take_over(self) -> int:
        """Be the one who writes from now on; returns the number of the last answer that is with the bus for certain."""

        def take(sql: Statements) -> Progress:
            known = read_progress(sql, self._known.reader, 0)
            advance = known.advance(known.position + 1, state=known.state or _SAID.pack(0))
            move(sql, advance)
            return advance.after

        self._known = self._database.run(take)
        return int(_SAID.unpack(self._known.state)[0])

    def write(self, changes: Changes) -> None:
        """Write all of it, or nothing. FencedError when another process has taken over."""
        said = max(changes.said, _SAID.unpack(self._known.state)[0])
        advance = self._known.advance(self._known.position, state=_SAID.pack(said))

        def write(sql: Statements) -> None:
            move(sql, advance)
            for query, values, rows in (
                (_ORDER, _ORDER_VALUES, changes.orders),
                (_CHANGE, _CHANGE_VALUES, changes.changes),
                (_FILL, _FILL_VALUES, changes.fills),
                (_SUMS, _SUMS_VALUES, {row.client_order_id: row for row in changes.fills}.values()),
                (_INTENT, _INTENT_VALUES, changes.intents),
                (_STATE, _state_values, changes.states.items()),
                (_ANSWER, _ANSWER_VALUES, changes.answers),
            ):
                if rows:
                    sql.many(query, map(values, rows))

        self._database.run(write)
        self._known = advance.after

    def last_command(self, run: str) -> int:
        """The highest index of a command of a run that is written down as an intent; -1 for none."""
        found = self._database.select("SELECT max(command) FROM intents WHERE run = ?", (run,))[0][0]
        return -1 if found is None else int(found)

    def intents(self, run: str, first: int, last: int) -> dict[int, Intent]:
        """The intents of a range of commands, both ends included, by index."""
        query = f"SELECT {_INTENT_COLUMNS} FROM intents WHERE run = ? AND command BETWEEN ? AND ?"
        return {intent.command: intent for intent in map(_intent, self._database.select(query, (run, first, last)))}

    def open(self) -> list[StoredOrder]:
        """Every order that has an intent which is not done."""
        found = self._database.select("SELECT DISTINCT client_order_id FROM intents WHERE state <> 'done'")
        return self.load(sorted(id for (id,) in found))

    def load(self, ids: Sequence[str]) -> list[StoredOrder]:
        """What is known of orders by their client order ids; one that is not known is left out."""
        rows = {values[0]: OrderRow(*values) for values in _asked(self._database, f"SELECT {_ORDER_COLUMNS} FROM orders", ids)}
        fills: dict[str, list[FillRow]] = {}
        for values in _asked(self._database, f"SELECT {_FILL_COLUMNS} FROM executions", ids, "ORDER BY ts"):
            fills.setdefault(values[2], []).append(FillRow(*values))
        intents: dict[str, list[Intent]] = {}
        for intent in map(_intent, _asked(self._database, f"SELECT {_INTENT_COLUMNS} FROM intents", ids, "ORDER BY command")):
            intents.setdefault(intent.client_order_id, []).append(intent)
        counts = dict(_asked(self._database, "SELECT client_order_id, count(*) FROM answers", ids, "GROUP BY client_order_id"))
        return [StoredOrder(rows[id], tuple(fills.get(id, ())), counts.get(id, 0), tuple(intents.get(id, ()))) for id in ids if id in rows]

    def answers(self, ids: Sequence[str]) -> list[Answer]:
        """Everything that was said about orders, in order."""
        found = _asked(self._database, f"SELECT {_ANSWER_COLUMNS} FROM answers", ids, "ORDER BY number")
        return sorted((Answer(*values) for values in found), key=lambda answer: answer.number)

    def answers_after(self, number: int) -> list[Answer]:
        """Everything that was said after an answer."""
        query = f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE number > ? ORDER BY number"
        return [Answer(*values) for values in self._database.select(query, (number,))]

    def last_answer(self) -> int:
        """The number of the newest answer, 0 for none."""
        return int(self._database.select("SELECT coalesce(max(number), 0) FROM answers")[0][0])


def orders_of(database: Reading, run: str) -> dict[str, tuple[str, int, int]]:
    """(Status, lots, lots filled) of every order of a run by its client order id."""
    found = database.select("SELECT client_order_id, status, quantity, filled FROM orders WHERE run = ?", (run,))
    return {id: (status, quantity, filled) for id, status, quantity, filled in found}


def fills_of(database: Reading, run: str) -> dict[str, tuple[str, int, float, int]]:
    """(Client order id, lots, price, fee) of every fill of a run by its execution id."""
    found = database.select("SELECT execution_id, client_order_id, quantity, price, fee FROM executions WHERE run = ?", (run,))
    return {id: tuple(values) for id, *values in found}


def _asked(sql: Reading, query: str, ids: Sequence[str], rest: str = "") -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(ids), ASKED_MAX):
        some = ids[first : first + ASKED_MAX]
        yield from sql.select(f"{query} WHERE client_order_id IN ({', '.join('?' * len(some))}) {rest}", some)


def _intent(values: tuple[Any, ...]) -> Intent:
    return Intent(*values)


def _state_values(item: tuple[tuple[str, int], State]) -> tuple[State, str, int]:
    (run, command), state = item
    return state, run, command


_ORDER_COLUMNS = (
    "client_order_id, run, order_id, strategy, symbol, side, type, time_in_force, status, quantity, lot_size, limit_price, stop_price, "
    "reason, ts, revision"
)
_FILL_COLUMNS = "run, execution_id, client_order_id, strategy, symbol, side, quantity, lot_size, price, fee, ts, seq"
_INTENT_COLUMNS = "run, command, client_order_id, action, state, instruction"
_ANSWER_COLUMNS = "number, client_order_id, run, execution"
_ORDER_VALUES = attrgetter(*_ORDER_COLUMNS.split(", ")[:-2], "ts", "ts", "revision")
_CHANGE_VALUES = attrgetter("quantity", "quantity", "limit_price", "stop_price", "client_order_id")
_FILL_VALUES = attrgetter(*_FILL_COLUMNS.split(", "))
_SUMS_VALUES = attrgetter("client_order_id", "client_order_id")
_INTENT_VALUES = attrgetter(*_INTENT_COLUMNS.split(", "))
_ANSWER_VALUES = attrgetter(*_ANSWER_COLUMNS.split(", "))


def _newer(column: str, value: str) -> str:
    return f"{column} = CASE WHEN excluded.revision > orders.revision THEN {value} ELSE orders.{column} END"


def _stated(column: str) -> str:
    return f"{column} = CASE WHEN orders.type = '' THEN excluded.{column} ELSE orders.{column} END"


_ORDER = f"""
INSERT INTO orders ({_ORDER_COLUMNS.removesuffix(", ts, revision")}, created, ts, revision, filled)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (client_order_id) DO UPDATE SET
    {", ".join(map(_stated, ("type", "time_in_force", "lot_size", "limit_price", "stop_price", "created")))},
    quantity = CASE WHEN orders.type = '' AND excluded.quantity > orders.quantity THEN excluded.quantity ELSE orders.quantity END,
    {_newer("status", "excluded.status")}, {_newer("reason", "coalesce(excluded.reason, orders.reason)")},
    {_newer("ts", "excluded.ts")}, {_newer("revision", "excluded.revision")}
"""
_CHANGE = """
UPDATE orders SET quantity = CASE WHEN ? = 0 THEN quantity ELSE ? END, limit_price = ?, stop_price = ? WHERE client_order_id = ?
"""
_FILL = f"""
INSERT INTO executions ({_FILL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, execution_id) DO NOTHING
"""
#: An order sized by money has no lots of its own before it is filled.
_SUMS = """
UPDATE orders SET filled = sums.lots, average_price = sums.cost / sums.lots,
    quantity = CASE WHEN quantity < sums.lots THEN sums.lots ELSE quantity END
FROM (
    SELECT CAST(sum(quantity) AS BIGINT) AS lots, sum(price * quantity) AS cost FROM executions WHERE client_order_id = ?
) AS sums
WHERE client_order_id = ?
"""
_INTENT = f"INSERT INTO intents ({_INTENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run, command) DO NOTHING"
_STATE = "UPDATE intents SET state = ? WHERE run = ? AND command = ?"
_ANSWER = f"INSERT INTO answers ({_ANSWER_COLUMNS}) VALUES (?, ?, ?, ?) ON CONFLICT (number) DO NOTHING"
