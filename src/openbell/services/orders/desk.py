"""The desk: carries instructions out at a broker, listens to what it says, and settles what is in doubt.

The rule is that an order is sent once. It is written down before; an answer that does not come makes it unknown, and then it is asked for
by its client order id, however long that takes. It is sent again only where the venue has answered, often and long enough, that it has no
such order, and never had.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import monotonic, time_ns
from typing import Any

import structlog

from openbell.adapters.brokers.base import Broker, Found, Report
from openbell.adapters.messages.orders import OrderInstruction
from openbell.errors import BrokerError, OrderRefusedError, UnreachableError
from openbell.services.orders.order import VenueOrder
from openbell.services.orders.outbox import Outbox

#: How long (seconds) a broker may take at the very most.
ANSWER_S = 30.0
#: How many orders are with the broker at the same time.
SENDING_MAX = 64
#: So many times the venue has to answer that it does not know an order.
ABSENT_TIMES = 3
#: The first pause between two questions about an order, and the longest; between two attempts to listen.
PAUSES_S = (0.05, 5.0)

log = structlog.get_logger("desk")


class Desk:
    """The orders that are open at one venue. `spawn` starts a task that ends with the service, and takes it down when it fails."""

    def __init__(self, broker: Broker, outbox: Outbox, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.broker = broker
        self.orders: dict[str, VenueOrder] = {}
        self.strangers = 0  # reports about orders that are not ours
        self._outbox = outbox
        self._spawn = spawn
        self._room = asyncio.Semaphore(SENDING_MAX)

    @property
    def in_doubt(self) -> int:
        """Orders that the venue is asked about."""
        return sum(order.is_settling for order in self.orders.values())

    @property
    def waiting(self) -> int:
        """Orders that are certainly not sent."""
        return sum(order.state == "waiting" for order in self.orders.values())

    # Instructions.

    async def submit(self, order: VenueOrder) -> str | None:
        """Send an order that is written down; returns why it has to wait, when it was certainly not sent."""
        async with order.sending:
            reason = await self._submit(order)
            if reason is not None:
                order.state = "waiting"
                self._outbox.settle(order.instruction.run, order.instruction.index, "waiting")
            return reason

    async def _submit(self, order: VenueOrder, again: bool = False) -> str | None:
        order.absences = []
        try:
            report = await self._ask(self.broker.submit(order.wanted()))
        except OrderRefusedError as refusal:
            if again:
                order.refusal = refusal.found
            else:
                self._change(order, order.end("rejected", refusal.found, time_ns()))
        except UnreachableError as error:
            return str(error)
        except Exception as error:  # whatever it is, nobody knows whether the venue has the order
            self._log_doubt("order in doubt", order, error)
            if order.state == "intended":
                self._change(order, order.doubt(f"no answer that can be understood: {_told(error)}", time_ns()))
                self.settle_soon(order)
        else:
            self.hear(order, report)
        return None

    async def change(self, order: VenueOrder, instruction: OrderInstruction) -> str | None:
        """Carry out a change or a cancellation that is noted; returns why it has to wait, when it was certainly not sent."""
        if order.is_settling:
            return None  # it is carried out when it is known what there is to change
        async with order.sending:
            if order.state == "waiting":
                self._change_unsent(order, instruction)
            elif instruction.index in order.changes and not order.has_ended:
                reason = await self._send_change(order, instruction)
                if reason is not None:
                    order.changes[instruction.index] = "waiting", instruction
                    self._outbox.settle(instruction.run, instruction.index, "waiting")
                return reason
        return None

    def _change_unsent(self, order: VenueOrder, instruction: OrderInstruction) -> None:
        """The venue has never heard of the order: nobody has to be told but ourselves."""
        if instruction.action == "cancel":
            self._change(order, order.end("canceled", instruction.reason, time_ns()))
        else:
            self._outbox.resize(order.change(instruction))
            self._done(order, instruction)

    async def _send_change(self, order: VenueOrder, instruction: OrderInstruction) -> str | None:
        is_cancel = instruction.action == "cancel"
        try:
            if is_cancel:
                report = await self._ask(self.broker.cancel(order.wanted()))
            else:
                report = await self._ask(self.broker.modify(order.wanted(instruction)))
        except OrderRefusedError as refusal:
            order.question = refusal.found
            self._done(order, instruction)
            self.settle_soon(order)
        except UnreachableError as error:
            return str(error)
        except Exception as error:  # it may be said again, but not before it is known how the order stands
            self._log_doubt("change in doubt", order, error)
            self.settle_soon(order)
        else:
            self._done(order, instruction)
            if not is_cancel:
                self._outbox.resize(order.change(instruction))
                self._change(order, order.still_works("", time_ns()))
            self.hear(order, report)
        return None

    # What the venue says.

    def hear(self, order: VenueOrder, *reports: Report) -> None:
        """Take the venue's word about an order."""
        before = order.state
        told = [execution for report in reports for execution in order.hear(report, time_ns())]
        if told or order.state != before:
            self._change(order, told)
        if order.ending is not None:
            self.settle_soon(order)

    async def listen(self, load: Callable[[Sequence[str]], Awaitable[list[VenueOrder]]]) -> None:
        """Until cancelled: take what the venue says, and ask about every open order whenever something may have been missed."""
        pause = PAUSES_S[0]
        while True:
            try:
                async for reports in self.broker.executions():
                    if not reports:
                        self._ask_about_all()
                    pause = PAUSES_S[0]
                    unknown = {report.client_order_id for report in reports} - self.orders.keys()
                    ended = {order.id: order for order in await load(sorted(unknown))} if unknown else {}
                    for report in reports:
                        order = self.orders.get(report.client_order_id) or ended.get(report.client_order_id)
                        if order is None:
                            self.strangers += 1
                            log.warning("not our order", order=report.client_order_id, status=report.status, lots=report.lots)
                        else:
                            self.hear(order, report)
                    await self._outbox.flush()
            except BrokerError as error:
                log.warning("venue not heard", broker=self.broker.name, error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSES_S[1])

    def _ask_about_all(self) -> None:
        for order in self.orders.values():
            if order.state == "working":
                order.question = order.question or ""
                self.settle_soon(order)

    # Doubt.

    def settle_soon(self, order: VenueOrder) -> None:
        """Ask about an order until it is known how it stands."""
        if not order.is_settling:
            order.is_settling = True
            self._spawn(self._settle(order))

    async def _settle(self, order: VenueOrder) -> None:
        pause, longest = PAUSES_S[0], min(PAUSES_S[1], max(PAUSES_S[0], self.broker.settle_s / ABSENT_TIMES))
        while True:
            async with order.sending:
                if order.state == "intended":
                    self._change(order, order.doubt("it may have been sent, and nothing was heard", time_ns()))
                if order.is_in_doubt:
                    await self._inquire(order)
                    await self._outbox.flush()
                if not order.is_in_doubt:
                    order.is_settling = False
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _inquire(self, order: VenueOrder) -> None:
        """Ask once, and do what the answer allows. A failed query is no answer."""
        try:
            found = await self._ask(self.broker.query(order.wanted()))
        except Exception as error:  # the order stays as it is, and is asked for again
            log.warning("no answer about an order", order=order.id, error=_told(error))
            return
        if found is None:
            await self._absent(order)
        else:
            await self._adopt(order, found)

    async def _adopt(self, order: VenueOrder, found: Found) -> None:
        """The venue's word is the truth."""
        refusal, order.question, order.absences = order.question, None, []
        self.hear(order, *found.fills, found.report)
        if refusal and order.status.startswith("pending"):
            self._change(order, order.still_works(refusal, time_ns()))
        for state, instruction in tuple(order.changes.values()):
            if state == "intended" and not order.has_ended and order.ending is None:
                await self._send_change(order, instruction)

    async def _absent(self, order: VenueOrder) -> None:
        """The venue answered that it has no such order."""
        order.absences.append(monotonic())
        if len(order.absences) < ABSENT_TIMES or order.absences[-1] - order.absences[0] < self.broker.settle_s:
            return
        cancel = next((change for _, change in order.changes.values() if change.action == "cancel"), None)
        if order.is_acknowledged:
            log.error("the venue has lost an order", order=order.id, status=order.status)
            self._change(order, order.end("canceled", "the venue does not know the order any more", time_ns()))
        elif cancel is not None:
            self._change(order, order.end("canceled", cancel.reason, time_ns()))
        elif order.refusal:
            self._change(order, order.end("rejected", order.refusal, time_ns()))
        else:
            for _, change in tuple(order.changes.values()):
                self._change_unsent(order, change)
            log.warning("order sent again: the venue never had it", order=order.id)
            await self._submit(order, again=True)

    # Within.

    async def _ask(self, question: Awaitable[Any]) -> Any:
        async with self._room, asyncio.timeout(ANSWER_S):
            return await question

    def _log_doubt(self, what: str, order: VenueOrder, error: Exception) -> None:
        is_foreseen = isinstance(error, BrokerError | TimeoutError)
        log.error(what, order=order.id, broker=self.broker.name, error=_told(error), exc_info=not is_foreseen)

    def _done(self, order: VenueOrder, instruction: OrderInstruction) -> None:
        order.changes.pop(instruction.index, None)
        self._outbox.settle(instruction.run, instruction.index, "done")

    def _change(self, order: VenueOrder, told: list[Any]) -> None:
        self._outbox.change(order, told, time_ns())
        if order.has_ended:
            self.orders.pop(order.id, None)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
