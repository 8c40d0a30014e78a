"""What a trader's commands mean for the orders service: orders to place, change and cancel, and what the simulated venue did with them.

An order that our own checks denied never leaves. It is told for the record, as one of the simulated venue, so that nobody sends it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from openbell.adapters.messages.orders import Execution, OrderInstruction
from openbell.model import enums
from openbell.services.names import Names, price_of, reason_of, side_of

_ACTIONS: dict[int, Any] = {enums.SUBMIT: "submit", enums.MODIFY: "modify", enums.CANCEL: "cancel"}
_ANSWERS = (enums.ORDER, enums.FILL)


def instructions(names: Names, run: str, first: int, commands: Any) -> Iterator[OrderInstruction | Execution]:
    """The instructions and, where the venue is simulated, its answers among commands of a run, the first of which has this index."""
    is_outside = names.plan.venue.fill_model == enums.FILL_OUTSIDE
    wanted = tuple(_ACTIONS) if is_outside else (*_ACTIONS, *_ANSWERS)
    is_denied = (commands["kind"] == enums.ORDER) & (commands["status"] == enums.DENIED)
    for row in np.flatnonzero(np.isin(commands["kind"], wanted) | is_denied):
        command = commands[row]
        make = _instruction if is_denied[row] or int(command["kind"]) in _ACTIONS else _execution
        yield make(names, run, first + int(row), command)


def _instruction(names: Names, run: str, index: int, command: Any) -> OrderInstruction:
    instrument, lots = int(command["instrument"]), int(command["quantity"])
    order_type: Any = enums.ORDER_TYPE_NAMES.get(int(command["order_type"]), "")
    force: Any = enums.TIME_IN_FORCE_NAMES.get(int(command["time_in_force"]), "")
    status: Any = enums.STATUS_NAMES.get(int(command["status"]), "")
    is_denied = command["status"] == enums.DENIED
    return OrderInstruction(
        run=run,
        strategy=names.strategies[command["strategy"]],
        client_order_id=f"{run}-{command['order_id']}",
        order_id=int(command["order_id"]),
        symbol=names.symbols[instrument],
        action="submit" if is_denied else _ACTIONS[int(command["kind"])],
        side=side_of(command),
        type=order_type,
        time_in_force=force,
        quantity=names.units(instrument, lots),
        quantity_lots=lots,
        limit_price=price_of(command["price"]) if "limit" in order_type else None,
        stop_price=price_of(command["stop_price"]),
        status=status,
        reason=reason_of(command) or "",
        ts=int(command["ts"]),
        seq=int(command["seq"]),
        index=index,
        venue="outside" if names.plan.venue.fill_model == enums.FILL_OUTSIDE and not is_denied else "paper",
    )


def _execution(names: Names, run: str, index: int, command: Any) -> Execution:
    instrument, is_fill = int(command["instrument"]), command["kind"] == enums.FILL
    lots, filled = int(command["quantity"]) if is_fill else 0, int(command["filled"])
    status: Any = enums.STATUS_NAMES.get(int(command["status"]), "unknown")
    return Execution(
        run=run,
        strategy=names.strategies[command["strategy"]],
        client_order_id=f"{run}-{command['order_id']}",
        order_id=int(command["order_id"]),
        execution_id=f"{run}:{index}" if is_fill else "",
        symbol=names.symbols[instrument],
        side=side_of(command),
        status=status,
        last_quantity=names.units(instrument, lots),
        last_lots=lots,
        last_price=float(command["price"]) if is_fill else None,
        filled_quantity=names.units(instrument, filled),
        filled_lots=filled,
        fee=int(command["amount"]) if is_fill else 0,
        currency=names.plan.currency,
        is_maker=bool(command["is_maker"]),
        reason="" if is_fill else reason_of(command) or "",
        ts=int(command["ts"]),
        ts_event=int(command["ts_event"]) if is_fill else 0,
        seq=int(command["seq"]),
        index=index,
        venue="paper",
    )
