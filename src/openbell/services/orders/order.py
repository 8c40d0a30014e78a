"""One order at a venue outside: what is known of it, and what the others are told when something new is heard.

Nothing here is stored or sent; see `openbell.services.orders.desk`.
"""

import asyncio
from typing import Any, Final

import structlog
from msgspec.structs import replace

from openbell.adapters.brokers.base import ENDED, BrokerOrder, Report
from openbell.adapters.messages.orders import Execution, OrderInstruction, Status, decode_order
from openbell.adapters.stores.order_rows import ChangeRow, FillRow, Intent, OrderRow, State, StoredOrder

log = structlog.get_logger("orders")


class VenueOrder:
    """What is known of one order.

    `state` is that of its submission: intended (perhaps sent), waiting (certainly not), working, done. `changes` are the instructions to
    change or cancel it that are not done, with their state, by the index of their command.
    """

    def __init__(self, instruction: OrderInstruction, lot_size: float, currency: str) -> None:
        self.id: Final = instruction.client_order_id
        self.instruction = instruction
        self.lot_size, self.currency = lot_size, currency
        self.state: State = "intended"
        self.status: Status = "submitted"
        self.filled = 0  # lots
        self.cost = 0.0  # of them, in price times lots
        self.reason = ""  # the latest that there was
        self.revision = 0
        self.fills: dict[str, tuple[int, float]] = {}  # lots and price by execution id
        self.changes: dict[int, tuple[State, OrderInstruction]] = {}
        #: An end that the venue told before we have heard of all fills.
        self.ending: Report | None = None
        #: When (monotonic seconds) the venue answered that it does not know the order, since it was sent the last time.
        self.absences: list[float] = []
        #: Set where the venue has to be asked how the order stands: the reason for which it refused a change, empty for another cause.
        self.question: str | None = None
        #: What the venue said when it refused the order that was sent again: perhaps because it has it.
        self.refusal = ""
        #: Held while something is being sent.
        self.sending = asyncio.Lock()
        self.is_settling = False
        self._answers = 0

    @classmethod
    def of(cls, stored: StoredOrder, lot_size: float, currency: str) -> "VenueOrder":
        """As it was stored. The quantity and the prices are those of its row, which has the changes."""
        submit = next(intent for intent in stored.intents if intent.action == "submit")
        row, status = stored.row, stored.row.status
        instruction = replace(
            decode_order(submit.instruction), quantity_lots=row.quantity, quantity=round(row.quantity * row.lot_size, 10),
            limit_price=row.limit_price, stop_price=row.stop_price,
        )  # fmt: skip
        order = cls(instruction, lot_size, currency)
        order.state, order.status, order.revision, order._answers = submit.state, status, row.revision, stored.answers  # type: ignore[assignment]
        order.fills = {fill.execution_id: (fill.quantity, fill.price) for fill in stored.fills}
        order.filled = sum(fill.quantity for fill in stored.fills)
        order.cost = sum(fill.quantity * fill.price for fill in stored.fills)
        order.reason = row.reason or ""
        for intent in stored.intents:
            if intent.action != "submit" and intent.state != "done":
                order.changes[intent.command] = intent.state, decode_order(intent.instruction)
        return order

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""
        return self.status in ENDED

    @property
    def is_acknowledged(self) -> bool:
        """Whether the venue has had it, for certain."""
        return self.state == "working"

    @property
    def is_in_doubt(self) -> bool:
        """Whether the venue has to be asked: how the order stands, or what became of a change."""
        unanswered = any(state == "intended" for state, _ in self.changes.values())
        return not self.has_ended and (self.state == "intended" or unanswered or self.ending is not None or self.question is not None)

    def wanted(self, change: OrderInstruction | None = None) -> BrokerOrder:
        """What the venue is told; with a change, as it is meant to be after it."""
        base, told = self.instruction, change or self.instruction
        kind: Any = base.type
        force: Any = base.time_in_force or "gtc"
        return BrokerOrder(
            self.id, base.symbol, base.side, kind, force, told.quantity_lots, self.lot_size, told.limit_price, told.stop_price
        )  # fmt: skip

    # What is heard.

    def hear(self, report: Report, now: int) -> list[Execution]:
        """Take the venue's word; returns what the others are to be told: nothing, when it is known."""
        if report.lots > 0:
            told = self._fill(report, now)
        else:
            told = self._stand(report, now)
        if self.ending is not None and self.ending.filled <= self.filled:
            told += self.end(self.ending.status, self.ending.reason, now, self.ending.ts_event)
        return told

    def _fill(self, report: Report, now: int) -> list[Execution]:
        known = self.fills.get(report.execution_id)
        if known is not None:
            if known != (report.lots, report.price):
                log.error("two fills with one id", order=self.id, execution=report.execution_id, first=known, second=report)
            return []
        if self.has_ended:
            log.error("a fill after the order had ended", order=self.id, status=self.status, execution=report.execution_id)
        self.fills[report.execution_id] = report.lots, report.price
        self.filled += report.lots
        self.cost += report.lots * report.price
        self._is_there()
        is_whole = self.filled >= self.instruction.quantity_lots
        if is_whole or not self.has_ended:
            is_pending = self.status.startswith("pending")  # a change or a cancellation is still to be answered
            self._become("filled" if is_whole else self.status if is_pending else "partially_filled")
        return [self._execution("filled" if is_whole else "partially_filled", report.reason, now, report.ts_event, report)]

    def _stand(self, report: Report, now: int) -> list[Execution]:
        if self.has_ended:
            return []
        if report.status not in ENDED:
            self._is_there()
            if self.status in ("submitted", "unknown"):
                self._become("accepted")
                return [self._execution("accepted", report.reason, now, report.ts_event)]
        elif report.status == "filled" or report.filled > self.filled:
            self._is_there()
            self.ending = report
        else:
            return self.end(report.status, report.reason, now, report.ts_event)
        return []

    def end(self, status: Status, reason: str, now: int, ts_event: int = 0) -> list[Execution]:
        """The order is over."""
        self.ending = None
        if self.has_ended:
            return []
        self._become(status)
        return [self._execution(status, reason, now, ts_event)]

    def doubt(self, reason: str, now: int) -> list[Execution]:
        """Nobody knows whether the venue has it."""
        if self.status == "unknown":
            return []
        self._become("unknown")
        return [self._execution("unknown", reason, now)]

    def still_works(self, reason: str, now: int) -> list[Execution]:
        """What was asked for has been done, or refused: the order is open as before."""
        if self.has_ended:
            return []
        self._become("partially_filled" if self.filled else "accepted")
        return [self._execution("accepted", reason, now)]

    def note(self, instruction: OrderInstruction, state: State = "intended") -> None:
        """An instruction to change or cancel it is to be carried out."""
        self.changes[instruction.index] = state, instruction
        self.revision += 1
        self.reason = instruction.reason or self.reason
        if not self.has_ended and self.status != "unknown":
            self.status = "pending_cancel" if instruction.action == "cancel" else "pending_modify"

    def change(self, instruction: OrderInstruction) -> ChangeRow:
        """A change took effect; of an order that the venue never had it is a part."""
        if self.state != "working" and self.status == "pending_modify":
            self.status = "submitted"
        lots = instruction.quantity_lots or self.instruction.quantity_lots
        self.instruction = replace(
            self.instruction, quantity_lots=lots, quantity=round(lots * self.lot_size, 10), limit_price=instruction.limit_price,
            stop_price=instruction.stop_price,
        )  # fmt: skip
        return ChangeRow(self.id, lots, instruction.limit_price, instruction.stop_price)

    def _is_there(self) -> None:
        if not self.has_ended:
            self.state, self.absences = "working", []

    def _become(self, status: Status) -> None:
        self.status = status
        self.revision += 1
        if self.has_ended:
            self.state, self.question = "done", None

    def _execution(self, status: Status, reason: str, now: int, ts_event: int = 0, fill: Report | None = None) -> Execution:
        self._answers += 1
        self.reason = reason or self.reason
        order, lots = self.instruction, fill.lots if fill is not None else 0
        return Execution(
            run=order.run,
            strategy=order.strategy,
            client_order_id=self.id,
            order_id=order.order_id,
            execution_id=fill.execution_id if fill is not None else f"{self.id}#{self._answers}",
            symbol=order.symbol,
            side=order.side,
            status=status,
            last_quantity=round(lots * self.lot_size, 10),
            last_lots=lots,
            last_price=fill.price if fill is not None else None,
            filled_quantity=round(self.filled * self.lot_size, 10),
            filled_lots=self.filled,
            fee=fill.fee if fill is not None else 0,
            currency=self.currency,
            is_maker=fill is not None and fill.is_maker,
            reason=reason,
            ts=now,
            ts_event=ts_event,
            venue="outside",
        )

    # What is stored.

    def row(self, now: int) -> OrderRow:
        """How it stands."""
        order = self.instruction
        return OrderRow(
            self.id, order.run, order.order_id, order.strategy, order.symbol, order.side, order.type, order.time_in_force, self.status,
            order.quantity_lots, self.lot_size, order.limit_price, order.stop_price, self.reason or None, now, self.revision, self.filled,
            self.cost / self.filled if self.filled else None,
        )  # fmt: skip

    def intent(self, message: bytes) -> Intent:
        """Its submission, with the message it came by."""
        return Intent(self.instruction.run, self.instruction.index, self.id, "submit", self.state, message)


def fill_row(execution: Execution, lot_size: float) -> FillRow:
    """A fill as it is stored."""
    return FillRow(
        execution.run, execution.execution_id, execution.client_order_id, execution.strategy, execution.symbol, execution.side,
        execution.last_lots, lot_size, execution.last_price or 0.0, execution.fee, execution.ts_event or execution.ts, execution.seq,
    )  # fmt: skip
