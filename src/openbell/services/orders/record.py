"""What the simulated venue does, for the record: its orders and fills as rows. Also orders that our own checks denied: they never left."""

from openbell.adapters.messages.orders import Execution, OrderInstruction
from openbell.adapters.stores.order_rows import ChangeRow, OrderRow
from openbell.services.orders.order import fill_row
from openbell.services.orders.outbox import Outbox


def is_for_the_record(instruction: OrderInstruction) -> bool:
    """Whether nothing has to be sent: the venue is the simulated one, or the order was denied."""
    return instruction.venue == "paper" or instruction.status == "denied"


def record_order(outbox: Outbox, instruction: OrderInstruction, lot_size: float) -> None:
    """An order of the simulated venue is placed or changed. Its status comes with its executions."""
    if instruction.action == "modify":
        outbox.resize(ChangeRow(instruction.client_order_id, instruction.quantity_lots, instruction.limit_price, instruction.stop_price))
    elif instruction.action == "submit":
        outbox.keep(
            OrderRow(
                instruction.client_order_id, instruction.run, instruction.order_id, instruction.strategy, instruction.symbol,
                instruction.side, instruction.type, instruction.time_in_force, instruction.status or "submitted",
                instruction.quantity_lots, lot_size, instruction.limit_price, instruction.stop_price, instruction.reason or None,
                instruction.ts, instruction.index,
            )
        )  # fmt: skip


def record_execution(outbox: Outbox, execution: Execution, lot_size: float) -> None:
    """The simulated venue answered."""
    outbox.keep(
        OrderRow(
            execution.client_order_id, execution.run, execution.order_id, execution.strategy, execution.symbol, execution.side, "", "",
            execution.status, 0, lot_size, None, None, execution.reason or None, execution.ts, execution.index,
        )
    )  # fmt: skip
    if execution.last_lots:
        outbox.keep_fill(fill_row(execution, lot_size))
