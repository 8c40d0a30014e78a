"""What the orders service has to write down and to say: first it is stored, then said, then it counts as said.

Whoever adds something and waits for `flush` may rely on it. What several add meanwhile goes together. After a crash, what was stored and
perhaps not said is said again; readers know it by its execution id.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.orders import Execution, encode_execution
from openbell.adapters.stores.order_rows import Answer, ChangeRow, Changes, FillRow, Intent, OrderRow, State
from openbell.adapters.stores.orders import OrderStore
from openbell.services.orders.order import VenueOrder, fill_row

T = TypeVar("T")


class Outbox:
    """Writes to the store, which it uses in a thread of its own, and publishes to one topic."""

    def __init__(self, store: OrderStore, bus: Bus, topic: str) -> None:
        self.store = store
        self._bus = bus
        self._topic = topic
        self._changes = Changes()
        self._standing: dict[str, tuple[VenueOrder, int]] = {}
        self._again: list[Answer] = []
        self._number = self._said = 0
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "orders")

    async def take_over(self) -> None:
        """Be the one who writes, and say again what may not have been said."""
        self._said = await self.in_thread(self.store.take_over)
        self._number = await self.in_thread(self.store.last_answer)
        self._again = await self.in_thread(lambda: self.store.answers_after(self._said))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Use the store."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # What is to be written.

    def intend(self, intent: Intent) -> None:
        """An instruction is to be carried out."""
        self._changes.intents.append(intent)

    def settle(self, run: str, command: int, state: State) -> None:
        """What became of an instruction."""
        self._changes.states[run, command] = state

    def stand(self, order: VenueOrder, now: int) -> None:
        """How an order stands; only the latest of it is written."""
        self._standing[order.id] = order, now

    def keep(self, row: OrderRow) -> None:
        """How an order of the simulated venue stands."""
        self._changes.orders.append(row)

    def keep_fill(self, row: FillRow) -> None:
        """A fill of the simulated venue."""
        self._changes.fills.append(row)
        self._changes.summed.add(row.client_order_id)

    def change(self, order: VenueOrder, told: Sequence[Execution], now: int) -> None:
        """An order stands otherwise than before, and the others are told."""
        for execution in told:
            self._number += 1
            self._changes.answers.append(Answer(self._number, order.id, execution.run, encode_execution(execution)))
            if execution.last_lots:
                self._changes.fills.append(fill_row(execution, order.lot_size))
        self.stand(order, now)
        self.settle(order.instruction.run, order.instruction.index, order.state)
        if order.has_ended:
            for command in order.changes:
                self.settle(order.instruction.run, command, "done")
            order.changes.clear()

    def resize(self, row: ChangeRow) -> None:
        """An order has another quantity, or other prices."""
        self._changes.changes.append(row)

    def repeat(self, answers: Sequence[Answer]) -> None:
        """Say again what is stored."""
        self._again += answers

    async def flush(self) -> None:
        """Returns when all that was added before is stored, said, and confirmed."""
        async with self._lock:
            changes, self._changes = self._changes, Changes()
            changes.orders += [order.row(now) for order, now in self._standing.values()]
            self._standing.clear()
            again, self._again = self._again, []
            if changes:
                changes.said = self._said
                await self.in_thread(lambda: self.store.write(changes))
            for answer in (*again, *changes.answers):
                await self._bus.send(self._topic, answer.execution, answer.run)
        await self._bus.flush()
        if changes.answers:
            self._said = max(self._said, changes.answers[-1].number)

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown()
