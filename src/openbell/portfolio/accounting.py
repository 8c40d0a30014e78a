"""Double entry for fills: six additions, all in whole minor units, that leave every account balanced."""

from typing import Any

from openbell.model.jit import kernel
from openbell.model.money import round_half_up


@kernel
def apply_fill(account: Any, position: Any, fill: Any) -> None:
    """Post a fill to its account and position, and write the realised profit into it.

    A fill that crosses zero closes the old position first and opens the rest at the fill's price. Cost is the average cost: closing a
    part takes the same part of it. `account.cash + inventory + fees - realised - deposits` stays 0.
    """
    signed = fill.quantity * fill.side
    held = position.quantity
    closing = 0
    if held * fill.side < 0:
        closing = min(abs(held), fill.quantity)
    removed = 0  # cost that leaves with the closed part; has the sign of the position
    closed_notional = 0
    if closing > 0:
        removed = position.cost if closing == abs(held) else round_half_up(position.cost * (closing / abs(held)))
        closed_notional = fill.notional if closing == fill.quantity else round_half_up(fill.notional * (closing / fill.quantity))
    opened = fill.side * (fill.notional - closed_notional)
    realised = -fill.side * closed_notional - removed
    if closing == 0:
        realised = 0

    position.quantity = held + signed
    position.cost += opened - removed
    position.realised += realised
    position.fees += fill.fee
    position.fills += 1
    account.cash -= fill.side * fill.notional + fill.fee
    account.inventory += opened - removed
    account.realised += realised
    account.fees += fill.fee
    account.fills += 1
    fill.realised = realised
    if fill.side > 0:
        position.bought += fill.quantity
    else:
        position.sold += fill.quantity
