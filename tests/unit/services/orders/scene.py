"""An orders service with a queue before it and a venue behind it that does as it is told, for the tests of both sides."""

import asyncio
import contextlib
from collections import defaultdict

from openbell.adapters.brokers.base import Found, Report
from openbell.adapters.messages.orders import OrderInstruction, decode_execution, encode_order
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.orders import OrderStore, fills_of, orders_of
from openbell.errors import BrokerError, DataError, OrderInDoubtError, OrderRefusedError, UnreachableError
from openbell.model.plan import Listing
from openbell.services.orders.service import OrderService
from openbell.services.topics.names import ORDERS_GROUP
from tests.contracts.buses import comes
from tests.queues import QueueBus
from tests.simulation.venue import Book

NAMES = {"orders": "orders", "executions": "executions"}
LISTINGS = (Listing("A", 0.01, 0.5, "USD"),)


class ScriptedBroker:
    """A venue in this process. `troubles[op, id]` lists what becomes of the next attempts; after them everything is fine.

    unreachable, refuse: as they say; hang: done without an answer; drop: not done, without an answer; bug: done, and the adapter fails.
    """

    name = "scripted"
    settle_s = 0.0

    def __init__(self):
        self.troubles = defaultdict(list)
        self.asked = []  # (op, id)
        self.resumed = []
        self.written = []  # the venue's ledger
        self.book = Book(lambda **line: self.written.append(line), self.tell)
        self.inboxes = []
        self.is_mute = False  # what happens is then found by a query only

    def tell(self, told):
        for inbox in () if self.is_mute else self.inboxes:
            inbox.put_nowait(told)

    async def submit(self, order):
        return self.act("submit", order, self.book.submit)

    async def modify(self, order):
        return self.act("modify", order, self.book.modify)

    async def cancel(self, order):
        return self.act("cancel", order, self.book.cancel)

    def act(self, op, order, work):
        trouble = self.trouble(op, order)
        if trouble == "unreachable":
            raise UnreachableError("nobody is there")
        if trouble == "refuse":
            raise OrderRefusedError("not today")
        if trouble == "drop":
            raise OrderInDoubtError("no answer")
        refused = work({"id": order.client_order_id, "lots": order.lots, "type": order.type})
        if trouble == "hang":
            raise OrderInDoubtError("no answer")
        if trouble == "bug":
            raise KeyError("orderId")
        if refused:
            raise OrderRefusedError(refused)
        return self.report(self.book.report(order.client_order_id))

    async def query(self, order):
        if self.trouble("query", order) == "fail":
            raise BrokerError("no answer")
        told = self.book.report(order.client_order_id)
        return told and Found(self.report(told), tuple(map(self.report, told["fills"])))

    def trouble(self, op, order):
        self.asked.append((op, order.client_order_id))
        waiting = self.troubles[op, order.client_order_id]
        return waiting.pop(0) if waiting else "fine"

    def report(self, told):
        return Report(
            told["id"], told["status"], told.get("filled", -1), told.get("execution", ""), told.get("lots", 0), told.get("price", 0.0)
        )

    def resume(self, order, fills):
        self.resumed.append((order.client_order_id, len(fills)))

    async def executions(self):
        inbox = asyncio.Queue()
        self.inboxes.append(inbox)
        try:
            yield ()
            while (told := await inbox.get()) is not None:
                yield (self.report(told),)
        finally:
            self.inboxes.remove(inbox)
        raise BrokerError("the stream broke")

    def break_stream(self):
        for inbox in self.inboxes:
            inbox.put_nowait(None)

    async def close(self):
        pass


def order(number, action="submit", index=None, **changes):
    """An instruction about order `number`; 8 lots at market."""
    values = {
        "run": "r", "strategy": "s", "client_order_id": f"r-{number}", "order_id": number, "symbol": "A", "action": action, "side": "buy",
        "type": "market", "time_in_force": "gtc", "quantity": 4.0, "quantity_lots": 8, "status": "submitted", "ts": 1000 + number,
        "seq": number, "index": number * 10 if index is None else index, "venue": "outside",
    }  # fmt: skip
    return OrderInstruction(**{**values, **changes})


def resting(number, lots=8, **changes):
    """A limit order that rests; of a number of lots that three divides, one is filled at once."""
    return order(number, type="limit", limit_price=9.5, quantity_lots=lots, quantity=lots / 2, **changes)


def cancel(number, index=None):
    return order(number, "cancel", number * 10 + 1 if index is None else index, status="pending_cancel", reason="asked for by a user")


def change(number, lots, index=None):
    lots = {"quantity_lots": lots, "quantity": lots / 2}
    return order(number, "modify", number * 10 + 2 if index is None else index, type="limit", limit_price=9.0, **lots)


class Scene:
    """One database, one bus, one venue; services come and go."""

    def __init__(self, folder, broker):
        self.database = open_database(folder / "platform.db")
        self.bus = QueueBus()
        for topic in NAMES:
            self.bus.bind(topic, ORDERS_GROUP)
        self.broker = broker
        self.service = None
        self.running = None

    async def start(self):
        self.service = OrderService(self.bus, NAMES, OrderStore(self.database, "orders"), LISTINGS, self.broker)
        await self.service.start()
        self.running = asyncio.create_task(self.service.run())

    async def stop(self):
        """In good order."""
        self.running.cancel()
        await asyncio.wait({self.running})
        await self.service.stop()

    async def crash(self):
        """Nothing more is written or said: everything that runs is thrown away where it is."""
        mine = asyncio.current_task()
        while others := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
        self.service = None

    def say(self, *instructions):
        for instruction in instructions:
            self.bus.publish("orders", encode_order(instruction), instruction.run)

    def told(self, number):
        """(Status, lots filled in all) of everything that was said of an order, each once."""
        found = {}
        for payload in self.bus.published["executions"]:
            try:
                execution = decode_execution(payload)
            except DataError:
                continue  # what a test published to be refused
            if execution.order_id == number:
                found.setdefault(execution.execution_id, (execution.status, execution.filled_lots))
        return list(found.values())

    async def until(self, number, status):
        """Wait until an order is said to have a status, and everything is quiet."""
        await comes(lambda: self.told(number)[-1:] and self.told(number)[-1][0] == status, f"{number} {status}: {self.told(number)}")
        await self.quiet()

    async def quiet(self):
        queues = [queue for groups in self.bus.queues.values() for queue in groups.values()]
        await comes(lambda: not any(queues) and not self.service._subscription.unacknowledged, "every message acknowledged")

    def rows(self):
        """(Status, lots, filled) by order, and the ids of the fills."""
        return orders_of(self.database, "r"), set(fills_of(self.database, "r"))

    def sent(self, op="submit"):
        return [id for asked, id in self.broker.asked if asked == op]


@contextlib.asynccontextmanager
async def scene(folder, broker=None):
    """A scene whose service runs."""
    made = Scene(folder, broker or ScriptedBroker())
    await made.start()
    try:
        yield made
    finally:
        if made.service is not None:
            await made.stop()
        made.database.close()
