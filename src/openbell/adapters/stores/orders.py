"""Orders, their fills, and what the orders service has to do and has said: rows of the platform's database, in SQLite and PostgreSQL.

Everything may be written twice. What a row says never goes back: a status comes with a revision, and an older one changes nothing; how much
is filled, and at what price, is the sum of the fills, which are only added. One process writes: who takes over counts one further, and from
then on whatever the one before wants to write is refused (FencedError), all of it.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from openbell.adapters.stores.database import Database, Reading, Statements, Values
from openbell.adapters.stores.order_rows import Answer, Changes, FillRow, Intent, OrderRow, StoredOrder
from openbell.adapters.stores.progress import Progress, move, read_progress

#: Names in one question.
ASKED_MAX = 500
_SAID = struct.Struct("<q")


class OrderStore:
    """The rows. `reader` names the service that writes them; it sees its own intents and answers. Use it in one thread."""

    def __init__(self, database: Database, reader: str) -> None:
        self._database = database
        self._reader = reader
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
            for query, rows in self._statements(changes):
                sql.many(query, rows)

        self._database.run(write)
        self._known = advance.after

    def _statements(self, changes: Changes) -> Iterator[tuple[str, Iterable[Values]]]:
        own = (self._reader,)
        for query, rows in (
            (_ORDER, [_ORDER_VALUES(row) for row in changes.orders]),
            (_CHANGE, [_CHANGE_VALUES(row) for row in changes.changes]),
            (_FILL, [_FILL_VALUES(row) for row in changes.fills]),
            (_SUMS, [(id, id) for id in sorted(changes.summed)]),
            (_INTENT, [own + _INTENT_VALUES(row) for row in changes.intents]),
            (_STATE, [(state, *own, run, command) for (run, command), state in changes.states.items()]),
            (_ANSWER, [own + _ANSWER_VALUES(row) for row in changes.answers]),
        ):
            if rows:
                yield query, rows

    def last_command(self, run: str) -> int:
        """The highest index of a command of a run that is written down as an intent; -1 for none."""
        found = self._select("SELECT max(command) FROM intents WHERE reader = ? AND run = ?", run)[0][0]
        return -1 if found is None else int(found)

    def intents(self, run: str, first: int, last: int) -> dict[int, Intent]:
        """The intents of a range of commands, both ends included, by index."""
        query = f"SELECT {_INTENT_COLUMNS} FROM intents WHERE reader = ? AND run = ? AND command BETWEEN ? AND ?"
        return {values[1]: Intent(*values) for values in self._select(query, run, first, last)}

    def open(self) -> list[StoredOrder]:
        """Every order that has an intent which is not done."""
        found = self._select("SELECT DISTINCT client_order_id FROM intents WHERE reader = ? AND state <> 'done'")
        return self.load(sorted(id for (id,) in found))

    def load(self, ids: Sequence[str]) -> list[StoredOrder]:
        """What is known of orders of this service by their client order ids; one that is not known is left out."""
        intents: dict[str, list[Intent]] = {}
        for values in self._asked(_INTENT_COLUMNS, "intents", ids, "ORDER BY command"):
            intents.setdefault(values[2], []).append(Intent(*values))
        fills: dict[str, list[FillRow]] = {}
        for values in self._asked(_FILL_COLUMNS, "executions", ids, "ORDER BY ts"):
            fills.setdefault(values[2], []).append(FillRow(*values))
        rows = {values[0]: OrderRow(*values) for values in self._asked(_ORDER_COLUMNS, "orders", ids)}
        answers = self._asked("client_order_id, count(*)", "answers", ids, "GROUP BY client_order_id")
        counts = dict(tuple(values) for values in answers)
        return [StoredOrder(rows[id], tuple(fills.get(id, ())), counts.get(id, 0), tuple(intents[id])) for id in ids if id in intents]

    def answers(self, ids: Sequence[str]) -> list[Answer]:
        """Everything that was said about orders, in order."""
        return sorted((Answer(*values) for values in self._asked(_ANSWER_COLUMNS, "answers", ids)), key=attrgetter("number"))

    def answers_after(self, number: int) -> list[Answer]:
        """Everything that was said after an answer."""
        query = f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE reader = ? AND number > ? ORDER BY number"
        return [Answer(*values) for values in self._select(query, number)]

    def last_answer(self) -> int:
        """The number of the newest answer, 0 for none."""
        return int(self._select("SELECT coalesce(max(number), 0) FROM answers WHERE reader = ?")[0][0])

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.select(query, (self._reader, *values))

    def _asked(self, columns: str, table: str, ids: Sequence[str], rest: str = "") -> Iterator[tuple[Any, ...]]:
        own = {"intents": (self._reader,), "answers": (self._reader,)}.get(table, ())
        for first in range(0, len(ids), ASKED_MAX):
            some = ids[first : first + ASKED_MAX]
            which = f"{'reader = ? AND ' if own else ''}client_order_id IN ({', '.join('?' * len(some))})"
            yield from self._database.select(f"SELECT {columns} FROM {table} WHERE {which} {rest}", (*own, *some))


def orders_of(database: Reading, run: str) -> dict[str, tuple[str, int, int]]:
    """(Status, lots, lots filled) of every order of a run by its client order id."""
    found = database.select("SELECT client_order_id, status, quantity, filled FROM orders WHERE run = ?", (run,))
    return {id: (status, quantity, filled) for id, status, quantity, filled in found}


def fills_of(database: Reading, run: str) -> dict[str, tuple[str, int, float, int]]:
    """(Client order id, lots, price, fee) of every fill of a run by its execution id."""
    found = database.select("SELECT execution_id, client_order_id, quantity, price, fee FROM executions WHERE run = ?", (run,))
    return {id: tuple(values) for id, *values in found}


_ORDER_COLUMNS = (
    "client_order_id, run, order_id, strategy, symbol, side, type, time_in_force, status, quantity, lot_size, limit_price, stop_price, "
    "reason, ts, revision, filled, average_price"
)
_FILL_COLUMNS = "run, execution_id, client_order_id, strategy, symbol, side, quantity, lot_size, price, fee, ts, seq"
_INTENT_COLUMNS = "run, command, client_order_id, action, state, instruction"
_ANSWER_COLUMNS = "number, client_order_id, run, execution"
_ORDER_VALUES = attrgetter(*_ORDER_COLUMNS.split(", "), "ts")
_CHANGE_VALUES = attrgetter("quantity", "quantity", "limit_price", "stop_price", "client_order_id")
_FILL_VALUES = attrgetter(*_FILL_COLUMNS.split(", "))
_INTENT_VALUES = attrgetter(*_INTENT_COLUMNS.split(", "))
_ANSWER_VALUES = attrgetter(*_ANSWER_COLUMNS.split(", "))


def _newer(column: str, value: str) -> str:
    return f"{column} = CASE WHEN excluded.revision > orders.revision THEN {value} ELSE orders.{column} END"


def _stated(column: str) -> str:
    return f"{column} = CASE WHEN orders.type = '' THEN excluded.{column} ELSE orders.{column} END"


_ORDER = f"""
INSERT INTO orders ({_ORDER_COLUMNS}, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (client_order_id) DO UPDATE SET
    {", ".join(map(_stated, ("type", "time_in_force", "lot_size", "limit_price", "stop_price", "created")))},
    quantity = CASE WHEN orders.type = '' AND excluded.quantity > orders.quantity THEN excluded.quantity ELSE orders.quantity END,
    {_newer("status", "excluded.status")}, {_newer("reason", "coalesce(excluded.reason, orders.reason)")},
    {_newer("ts", "excluded.ts")}, {_newer("revision", "excluded.revision")},
    filled = CASE WHEN excluded.filled > orders.filled THEN excluded.filled ELSE orders.filled END,
    average_price = CASE WHEN excluded.filled > orders.filled THEN excluded.average_price ELSE orders.average_price END
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
_INTENT = f"""
INSERT INTO intents (reader, {_INTENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (reader, run, command) DO NOTHING
"""
_STATE = "UPDATE intents SET state = ? WHERE reader = ? AND run = ? AND command = ?"
_ANSWER = f"INSERT INTO answers (reader, {_ANSWER_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (reader, number) DO NOTHING"
