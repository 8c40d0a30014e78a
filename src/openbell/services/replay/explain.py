"""Why an order: replay to the event that decided it, and show what the strategy and the risk checks saw, and what became of the order."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from openbell.adapters.stores.base import Journal
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.errors import UnknownNameError, UsageError
from openbell.model import enums
from openbell.model.time import format_time
from openbell.services.replay.decision import Call, event_dict, watch
from openbell.services.replay.risk_view import Check, checks_seen
from openbell.services.trader.recovery import CommandArray, source_of

#: Bits of an order id that number the orders of one event; the rest is the event's `seq`.
LEG_BITS = 10
_TERMINAL = enums.FILLED
_MEMBERS = {
    enums.TRADE: "trade", enums.QUOTE: "quote", enums.BAR: "bar", enums.REPLY: "reply", enums.REQUEST: "request",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """One order, from what brought it to its end. Prices and money are in units, quantities in lots of `lot_size` units."""

    run: str
    order_id: int
    client_order_id: str
    symbol: str
    lot_size: float
    currency: str
    side: str
    order_type: str
    seq: int  # of the event that decided it
    time: str
    event: dict[str, Any]  # that event
    decided_by: str  # the strategy's id, or "user"
    strategy: str
    handler: str  # the handler that decided, "" for a user
    handed: dict[str, Any]  # what the handler was given: the bar, the quote, the trade
    indicators: dict[str, Any]  # what each indicator answered
    fields: dict[str, Any]  # the strategy's own numbers
    local: dict[str, Any]  # the handler's local names when it returned
    account: dict[str, Any]  # cash, free cash, position, average price at the decision
    checks: list[Check]
    life: list[dict[str, Any]]  # what became of it, oldest first
    same_source: bool  # False: explained by other code than decided

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from openbell.services.replay.explain_text import render

        return render(self)


def parse_order(text: str | int) -> tuple[str, int]:
    """`(run, order id)` of an order's id at a broker (`RUN-ID`) or of its number, for which the run is empty.

    >>> parse_order("20260131T103000-20481")
    ('20260131T103000', 20481)
    """
    run, _, number = str(text).rpartition("-")
    if not number.isdigit():
        raise UsageError(f"the order is called {text!r}", "a number, or the run, a hyphen and a number", "take it from GET /orders")
    return run, int(number)


def explain(journal: Journal, order: str | int, run: str = "last") -> Explanation:
    """Explain an order of a run; `order` is its number or its id at the broker, which names the run as well.

    Raises UnknownNameError where the run has no such order, and JournalError where the journal is damaged.
    """
    named, order_id = parse_order(order)
    found = journal.run(named or run)
    plan = Plan.from_dict(found.plan)
    seq = order_id >> LEG_BITS
    if not 1 <= seq <= found.seq or not order_id & ((1 << LEG_BITS) - 1):
        raise _unknown(found.id, order_id, found.seq)
    state, event, life = _replay_to(journal, found.id, plan, seq, order_id)
    signal = next((row for row in life if row["kind"] == enums.SIGNAL), None)
    if signal is None:
        raise _unknown(found.id, order_id, found.seq)
    strategy = int(signal["strategy"])
    is_request = int(event["kind"][0]) == enums.REQUEST
    call = None if is_request else watch(plan, state, event, strategy).of_leg(order_id & ((1 << LEG_BITS) - 1))
    return _explanation(found.id, order_id, plan, state, event[0], signal, life, call, source_of(plan) == found.source)


def _replay_to(journal: Journal, run: str, plan: Plan, seq: int, order_id: int) -> tuple[bytes, np.ndarray[Any, Any], list[Any]]:
    """The state before the event `seq`, the event (an array of one), and every command about the order."""
    engine = Engine(plan)
    after = 0
    for checkpoint in journal.checkpoints(run):
        if checkpoint.seq < seq and checkpoint.source == source_of(plan):
            engine.restore(checkpoint.state)
            after = checkpoint.seq
            break
    state, event, life = b"", None, []
    for batch in journal.batches(run, after):
        if event is None:
            ahead = min(seq - batch.first_seq, len(batch.events))
            engine.run(batch.events[:ahead])
            if ahead == len(batch.events):
                continue
            state, event = engine.checkpoint(), batch.events[ahead : ahead + 1].copy()
        life += list(_about(batch.commands, order_id))
        if life and any(_is_end(row) for row in life):
            break
    assert event is not None, "the run holds the event"
    return state, event, life


def _about(commands: CommandArray, order_id: int) -> CommandArray:
    mine: CommandArray = commands[(commands["kind"] != enums.CANDLE) & (commands["order_id"] == order_id)]
    return mine


def _is_end(command: Any) -> bool:
    return command["kind"] in (enums.ORDER, enums.FILL) and command["status"] >= _TERMINAL


def _unknown(run: str, order_id: int, seq: int) -> UnknownNameError:
    return UnknownNameError(f"run {run} has no order {order_id}", f"an order of its events 1 to {seq}", "name its run with --run")


def _explanation(
    run: str, order_id: int, plan: Plan, state: bytes, event: Any, signal: Any, life: list[Any], call: Call | None, same_source: bool
) -> Explanation:
    strategy, index = int(signal["strategy"]), int(signal["instrument"])
    assignment, listing = plan.assignments[strategy], plan.listings[index]
    engine = Engine(plan)
    engine.restore(call.state if call else state)
    head, account = engine.head, engine.table("accounts")[strategy]
    holding = engine.table("positions")[strategy * len(plan.listings) + index]
    denied = next((row for row in life if row["kind"] == enums.ORDER and row["status"] == enums.DENIED), None)
    own_limit = 0.0
    if int(signal["order_type"]) in (enums.LIMIT, enums.STOP_LIMIT):
        own_limit = next((float(row["price"]) for row in life if row["kind"] in (enums.SUBMIT, enums.ORDER)), 0.0)
    reason = enums.NONE if denied is None else int(denied["reason"])
    scale, held = float(head["money_scale"]), int(holding["quantity"])
    point = float(engine.table("instruments")[index]["money_per_point"])
    return Explanation(
        run, order_id, f"{run}-{order_id}", listing.symbol, listing.lot_size, listing.currency,
        enums.SIDE_NAMES[int(signal["side"])], enums.ORDER_TYPE_NAMES.get(int(signal["order_type"]), "?"),
        order_id >> LEG_BITS, format_time(int(event["ts_available"])), _event_dict(event),
        assignment.id if call else "user", assignment.strategy, call.handler if call else "",
        call.event if call else {}, call.indicators if call else {}, call.fields if call else {}, call.local if call else {},
        {
            "position": held, "average_price": int(holding["cost"]) / (held * point) if held else None,
            "cash": int(account["cash"]) / scale, "free_cash": (int(account["cash"]) - int(account["reserved"])) / scale,
            "open_orders": int(account["open_orders"]), "reference_price": float(signal["price"]),
        },
        checks_seen(head, account, holding, engine.table("instruments")[index], signal, own_limit, reason),
        [_step_of_life(row, scale) for row in life], same_source,
    )  # fmt: skip


def _event_dict(event: Any) -> dict[str, Any]:
    """The event's kind and its fields; a timer is its header alone."""
    kind = int(event["kind"])
    if kind in _MEMBERS:
        return event_dict(event[_MEMBERS[kind]])
    return {"seq": int(event["seq"]), "kind": enums.EVENT_NAMES.get(kind, ""), "ts_event": int(event["ts_event"])}


def _step_of_life(command: Any, scale: float) -> dict[str, Any]:
    kind = int(command["kind"])
    step: dict[str, Any] = {"seq": int(command["seq"]), "time": format_time(int(command["ts"])), "what": enums.COMMAND_NAMES[kind]}
    if kind != enums.SIGNAL:
        step["status"] = enums.STATUS_NAMES.get(int(command["status"]), "")
    step |= {"quantity": int(command["quantity"]), "filled": int(command["filled"]), "price": float(command["price"])}
    if kind == enums.FILL:
        step |= {"fee": int(command["amount"]) / scale, "realised": int(command["realised"]) / scale}
    if int(command["reason"]):
        step["reason"] = enums.REASONS[int(command["reason"])]
    return step
