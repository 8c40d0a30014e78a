"""Instructions for a venue outside, each known by its command: written down before it is carried out, and carried out once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbell.adapters.buses.base import Message
from openbell.adapters.messages.orders import OrderInstruction
from openbell.adapters.stores.order_rows import Intent, StoredOrder
from openbell.model.plan import Listing
from openbell.services.orders.desk import Desk
from openbell.services.orders.order import VenueOrder
from openbell.services.orders.outbox import Outbox


@dataclass(slots=True)
class Item:
    """A message, its order when there is something to do, and why it has to come again."""

    message: Message
    instruction: OrderInstruction
    order: VenueOrder | None = None
    reason: str = ""

    def intent(self, state: str = "intended") -> Intent:
        """What is written down."""
        told = self.instruction
        return Intent(told.run, told.index, told.client_order_id, told.action, state, self.message.payload)  # type: ignore[arg-type]

    @property
    def is_waiting(self) -> bool:
        """Whether it was certainly not sent, and has to be."""
        if self.order is None:
            return False
        if self.instruction.action == "submit":
            return self.order.state == "waiting"
        return self.order.changes.get(self.instruction.index, ("done",))[0] == "waiting"


class Ledger:
    """Between the messages and the desk."""

    def __init__(self, desk: Desk, outbox: Outbox, listings: Mapping[str, Listing]) -> None:
        self._desk = desk
        self._outbox = outbox
        self._listings = listings
        self._highest: dict[str, int] = {}

    async def write_down(self, items: Sequence[Item]) -> list[tuple[Item, str]]:
        """Note what is to be done, for the next flush of the outbox; returns what makes no sense, and why.

        Of what is written down already, the answers are said again, and only what was certainly not sent is to be done.
        """
        known = await self._known(items)
        closed = {item.instruction.client_order_id for item in items if item.instruction.action != "submit"} - self._desk.orders.keys()
        ended = {order.id for order in await self.load(sorted(closed))} if closed else set()
        refused: list[tuple[Item, str]] = []
        repeated: dict[str, None] = {}
        for item in items:
            told = item.instruction
            item.order = self._desk.orders.get(told.client_order_id)
            intent = known.get((told.run, told.index))
            refusal = ""
            if intent is None:
                refusal = self._begin(item, ended)
                known[told.run, told.index] = item.intent()
            elif intent.instruction != item.message.payload:
                refusal = f"command {told.index} of run {told.run} is written down as another instruction"
            else:
                repeated[told.client_order_id] = None
                self._begin_again(item)
            if refusal:
                refused.append((item, refusal))
                item.order = None
            self._highest[told.run] = max(self._highest[told.run], told.index)
        if repeated:
            self._outbox.repeat(await self._outbox.in_thread(lambda: self._outbox.store.answers(list(repeated))))
        return refused

    async def _known(self, items: Sequence[Item]) -> dict[tuple[str, int], Intent]:
        """The instructions among these that are written down already. Usually there are none, and nothing has to be asked."""
        known: dict[tuple[str, int], Intent] = {}
        store, indexes = self._outbox.store, dict[str, list[int]]()
        for item in items:
            indexes.setdefault(item.instruction.run, []).append(item.instruction.index)
        for run, found in indexes.items():
            if run not in self._highest:
                self._highest[run] = await self._outbox.in_thread(lambda run=run: store.last_command(run))  # type: ignore[misc]
            first, last = min(found), max(found)
            if first <= self._highest[run]:
                intents = await self._outbox.in_thread(lambda run=run, first=first, last=last: store.intents(run, first, last))  # type: ignore[misc]
                known.update(((run, index), intent) for index, intent in intents.items())
        return known

    def _begin(self, item: Item, ended: set[str]) -> str:
        """Note a new instruction; returns why that makes no sense."""
        told, order = item.instruction, item.order
        if told.action == "submit":
            if order is not None:
                return f"order {told.client_order_id} is there already, by another command"
            listing = self._listings.get(told.symbol)
            lot_size = lot_size_of(self._listings, told.symbol, told.quantity, told.quantity_lots)
            item.order = order = VenueOrder(told, lot_size, listing.currency if listing is not None else "")
            self._desk.orders[order.id] = order
        elif order is not None:
            order.note(told)
        elif told.client_order_id in ended:
            self._outbox.intend(item.intent("done"))
            return ""
        else:
            return f"there is no order {told.client_order_id}"
        self._outbox.intend(item.intent())
        self._outbox.stand(order, told.ts)
        return ""

    def _begin_again(self, item: Item) -> None:
        """It was certainly not sent; from here on nobody can be certain."""
        told, order = item.instruction, item.order
        if order is None or not item.is_waiting:
            item.order = None
        elif told.action == "submit":
            order.state = "intended"
            self._outbox.settle(told.run, told.index, "intended")
        else:
            order.changes[told.index] = "intended", told
            self._outbox.settle(told.run, told.index, "intended")

    async def carry_out(self, items: Sequence[Item]) -> None:
        """All orders at once, the instructions of one in their order."""
        lines: dict[str, list[Item]] = {}
        for item in items:
            if item.order is not None:
                lines.setdefault(item.instruction.client_order_id, []).append(item)
        await asyncio.gather(*map(self._carry_out, lines.values()))

    async def _carry_out(self, line: Sequence[Item]) -> None:
        for item in line:
            assert item.order is not None, "it is written down"
            if item.instruction.action == "submit":
                item.reason = await self._desk.submit(item.order) or ""
            else:
                item.reason = await self._desk.change(item.order, item.instruction) or ""
        for item in line:
            if not item.is_waiting:
                item.reason = ""  # a cancellation behind it has made it needless

    async def load(self, ids: Sequence[str]) -> list[VenueOrder]:
        """Orders as they are stored, whether they have ended or not. What is known of them here is stored before."""
        await self._outbox.flush()
        stored = await self._outbox.in_thread(lambda: self._outbox.store.load(ids))
        return [order_of(self._listings, item) for item in stored]


def order_of(listings: Mapping[str, Listing], stored: StoredOrder) -> VenueOrder:
    """An order as it is stored."""
    listing = listings.get(stored.row.symbol)
    return VenueOrder.of(stored, stored.row.lot_size, listing.currency if listing is not None else "")


def lot_size_of(listings: Mapping[str, Listing], symbol: str, quantity: float, lots: int) -> float:
    """Units in a lot; of a symbol that is not listed here, what its quantity says."""
    listing = listings.get(symbol)
    return listing.lot_size if listing is not None else quantity / lots if lots else 1.0
