"""The orders service: takes instructions from the bus, has them carried out, and says what became of them.

A batch of messages is written down in one transaction before anything is sent; the answers are stored, then said, then the messages are
acknowledged. Killed anywhere in between, the messages come again and are known: what was said is said again, and nothing is sent twice.
A message that makes no sense goes to the dead letters at once; one whose venue cannot be reached comes again after a growing pause.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, cast

import structlog

from openbell.adapters.brokers.base import Broker, Report
from openbell.adapters.buses.base import Bus, Message, RetrySubscription
from openbell.adapters.messages.orders import decode_execution, decode_order
from openbell.adapters.stores.orders import OrderStore
from openbell.errors import DataError
from openbell.model.plan import Listing
from openbell.services.orders.desk import Desk
from openbell.services.orders.ledger import Item, Ledger, lot_size_of, order_of
from openbell.services.orders.outbox import Outbox
from openbell.services.orders.record import is_for_the_record, record_execution, record_order
from openbell.services.service import Service
from openbell.services.topics.names import EXECUTIONS, ORDERS, ORDERS_GROUP

#: Messages in one batch.
MESSAGES_MAX = 512

log = structlog.get_logger("orders")


class OrderService(Service):
    """One such service a platform: a second takes over, and the first one ends. `bus` HAS_RETRY.

    `names` says what ORDERS and EXECUTIONS are called there. Without a broker, orders of the simulated venue are recorded, and one for a
    venue outside makes no sense.
    """

    name = "orders"

    def __init__(
        self, bus: Bus, names: Mapping[str, str], store: OrderStore, listings: Sequence[Listing], broker: Broker | None = None
    ) -> None:
        super().__init__()
        self.refused = 0
        self._bus = bus
        self._orders, self._executions = names[ORDERS], names[EXECUTIONS]
        self._listings = {listing.symbol: listing for listing in listings}
        self._broker = broker
        self._outbox = Outbox(store, bus, self._executions)
        self._desk = Desk(broker, self._outbox, self._spawn) if broker is not None else None
        self._ledger = Ledger(self._desk, self._outbox, self._listings) if self._desk is not None else None
        self._recorded: dict[str, int] = {}
        self._subscription: RetrySubscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Take over from whoever wrote before, and take up the orders that are open."""
        await self._outbox.take_over()
        for stored in await self._outbox.in_thread(self._outbox.store.open):
            order = order_of(self._listings, stored)
            if self._desk is None:
                log.error("an order is open at a venue, and there is no broker", order=order.id, status=order.status)
                continue
            self._desk.orders[order.id] = order
            if order.state == "working":
                fills = [
                    Report(order.id, "partially_filled", -1, fill.execution_id, fill.quantity, fill.price, fill.fee)
                    for fill in stored.fills
                ]
                self._desk.broker.resume(order.wanted(), fills)

    async def run(self) -> None:
        """Until cancelled; the batch in hand is finished then."""
        self._over = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(self._ended)
        try:
            if self._desk is not None and self._ledger is not None:
                self._spawn(self._desk.listen(self._ledger.load))
                for order in self._desk.orders.values():
                    if order.state == "intended":
                        self._desk.settle_soon(order)
            await self._over
        finally:
            reading.cancel()
            await asyncio.wait({reading})
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Let go of the venue and of the store."""
        if self._broker is not None:
            await self._broker.close()
        self._outbox.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A task failed: the service does."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self._over is not None and not self._over.done():
            self._over.set_exception(error)

    async def _read(self) -> None:
        subscription = cast(RetrySubscription, self._bus.subscribe((self._orders, self._executions), ORDERS_GROUP))
        self._subscription = subscription
        try:
            await subscription.ready()
            await self._outbox.flush()
            while messages := await subscription.take(MESSAGES_MAX):
                batch = asyncio.create_task(self._batch(subscription, messages))
                try:
                    await asyncio.shield(batch)
                except asyncio.CancelledError:
                    await batch
                    raise
        finally:
            subscription.close()

    async def _batch(self, subscription: RetrySubscription, messages: Sequence[Message]) -> None:
        recorded: dict[str, int] = {}
        items: list[Item] = []
        for message in messages:
            try:
                items += self._take(message, recorded)
            except DataError as error:
                await self._refuse(subscription, message, str(error))
        if self._ledger is not None:
            for item, why in await self._ledger.write_down(items):
                await self._refuse(subscription, item.message, why)
            await self._outbox.flush()
            await self._ledger.carry_out(items)
        await self._outbox.flush()
        await asyncio.gather(*(self._come_again(subscription, item) for item in items if item.reason))
        subscription.ack()
        self.processed += len(messages)
        for name, index in recorded.items():
            self._recorded[name] = max(self._recorded.get(name, 0), index + 1)

    def _take(self, message: Message, recorded: dict[str, int]) -> list[Item]:
        """Record what is for the record; returns what has to be carried out. DataError for what makes no sense."""
        if message.topic == self._executions:
            execution = decode_execution(message.payload)
            if execution.venue == "paper":  # those from outside were said by this service
                lot_size = lot_size_of(self._listings, execution.symbol, execution.last_quantity, execution.last_lots)
                record_execution(self._outbox, execution, lot_size)
                recorded[f"{EXECUTIONS} {execution.run}"] = execution.index
            return []
        told = decode_order(message.payload)
        recorded[f"{ORDERS} {told.run}"] = told.index
        if is_for_the_record(told):
            record_order(self._outbox, told, lot_size_of(self._listings, told.symbol, told.quantity, told.quantity_lots))
            return []
        if self._ledger is None:
            raise DataError("an order for a venue outside", "a broker here", "set trading.fill to outside for this service as well")
        return [Item(message, told)]

    async def _refuse(self, subscription: RetrySubscription, message: Message, why: str) -> None:
        self.refused += 1
        log.error("message refused; it is among the dead letters", topic=message.topic, key=message.key, reason=why)
        await subscription.reject(message, why)

    async def _come_again(self, subscription: RetrySubscription, item: Item) -> None:
        log.warning("order waits for its venue", order=item.instruction.client_order_id, attempt=item.message.attempt, reason=item.reason)
        await subscription.retry(item.message, item.reason)

    # How it stands.

    @property
    def detail(self) -> str:
        """What is open, in doubt, waiting, refused."""
        told = ["for the record"]
        if self._desk is not None:
            told = [f"{self._desk.broker.name}: {len(self._desk.orders):,} open"]
            told += [f"{count:,} {what}" for count, what in ((self._desk.in_doubt, "in doubt"), (self._desk.waiting, "waiting")) if count]
        return ", ".join(told + ([f"{self.refused:,} refused"] if self.refused else []))

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return 0 if self._subscription is None else self._subscription.depth

    def progress(self) -> dict[str, int]:
        """By topic and run, the index behind the last command that is stored."""
        return dict(self._recorded)
