"""What of a trader's decisions is told: fills, refusals, what the risk checks denied, strategies that were killed or failed.

The id of each follows from the run and the index of its command. Whose it is, is found out when it is written down.
"""

from typing import Any

import numpy as np

from openbell.adapters.stores.notification_rows import News, Severity
from openbell.model import enums
from openbell.services.names import Names, reason_of, side_of

CommandArray = np.ndarray[Any, np.dtype[Any]]
#: Statuses of an order that are told, and states of a strategy.
_STATUSES = np.array((enums.REJECTED, enums.DENIED, enums.UNKNOWN), np.uint8)
_STATES = np.array((enums.ACTIVE, enums.REDUCING, enums.HALTED, enums.FAULTED), np.uint8)
_KINDS = np.array((enums.FILL, enums.ORDER, enums.STATE), np.uint8)


class TradingNews:
    """Of one trader. What is told of a strategy that is active again depends on what it was before."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._stopped: set[str] = set()  # strategies that were told of as halted

    def of(self, run: str, first: int, commands: CommandArray) -> list[News]:
        """What is told of commands (dtype COMMAND), of which the first has this index in the run."""
        kinds, statuses = commands["kind"], commands["status"]
        wanted = (kinds == enums.FILL) | ((kinds == enums.ORDER) & np.isin(statuses, _STATUSES))
        wanted |= (kinds == enums.STATE) & np.isin(statuses, _STATES)
        if not wanted.any():
            return []
        found = (self._one(f"{run}:{first + row}", commands[row]) for row in np.flatnonzero(wanted).tolist())
        return [news for news in found if news is not None]

    def _one(self, id: str, command: Any) -> News | None:
        strategy = self._names.strategies[command["strategy"]]
        if command["kind"] == enums.STATE:
            return self._state(id, strategy, command)
        if command["kind"] == enums.FILL:
            return self._fill(id, strategy, command)
        return self._order(id, strategy, command)

    def _fill(self, id: str, strategy: str, command: Any) -> News:
        fill = self._names.fill(command)
        fields = {
            "symbol": fill.symbol, "side": fill.side, "quantity": fill.quantity, "price": fill.price, "fee": fill.fee,
            "profit": fill.realised_pnl, "strategy": strategy, "order": fill.order_id,
            "status": enums.STATUS_NAMES.get(int(command["status"]), ""),
        }  # fmt: skip
        return _news(id, "fill", "info", command, fields)

    def _order(self, id: str, strategy: str, command: Any) -> News:
        instrument, status = int(command["instrument"]), int(command["status"])
        symbol, side, order = self._names.symbols[instrument], side_of(command), self._names.order_id(command["order_id"])
        quantity = self._names.units(instrument, int(command["quantity"]))
        reason = reason_of(command) or "no reason given"
        if status == enums.REJECTED:
            fields = {"symbol": symbol, "side": side, "quantity": quantity, "strategy": strategy, "order": order, "reason": reason}
            return _news(id, "rejection", "warning", command, fields)
        asked = f"{side} {quantity:,.10g} {symbol}" if quantity else f"{side} {symbol}"  # one sized by money has no lots yet
        is_denied = status == enums.DENIED
        what = f"{asked} was denied" if is_denied else f"nobody knows what became of {asked}"
        fields = {
            "what": what, "symbol": symbol, "strategy": strategy, "order": order, "state": enums.STATUS_NAMES[status],
            "reason": reason if is_denied else "it was sent, and no answer came that can be understood",
        }  # fmt: skip
        return _news(id, "risk", "warning" if is_denied else "critical", command, fields)

    def _state(self, id: str, strategy: str, command: Any) -> News | None:
        state = enums.TRADING_STATE_NAMES[int(command["status"])]
        reason = reason_of(command) or "no reason given"
        if state == "active":
            if strategy not in self._stopped:
                return None
            self._stopped.discard(strategy)
            return _news(id, "kill", "warning", command, {"strategy": strategy, "state": state, "reason": reason})
        if state == "halted":
            self._stopped.add(strategy)
            return _news(id, "kill", "critical", command, {"strategy": strategy, "state": state, "reason": reason})
        fields = {"what": f"the strategy is {state}", "symbol": "", "strategy": strategy, "order": "", "state": state, "reason": reason}
        return _news(id, "risk", "critical", command, fields)


def _news(id: str, event: str, severity: Severity, command: Any, fields: dict[str, Any]) -> News:
    return News(id, 0, event, severity, int(command["ts"]), fields)
