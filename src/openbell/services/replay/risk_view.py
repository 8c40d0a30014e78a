"""What the risk checks saw before one order: for each check, in their order, the figure, its limit, and the verdict."""

import math
from dataclasses import dataclass
from typing import Any

from openbell.model import enums

#: The checks in the order of `openbell.risk.checks.check`, and what they are about.
CHECKS = (
    (enums.TRADING_STATE, "trading state"),
    (enums.UNAUTHORISED, "authorised"),
    (enums.INSTRUMENT_NOT_PERMITTED, "instrument permitted"),
    (enums.NOT_WELL_FORMED, "well formed"),
    (enums.MAX_ORDER_QUANTITY, "order quantity (lots)"),
    (enums.MAX_ORDER_VALUE, "order value"),
    (enums.PRICE_COLLAR, "price collar (bps from reference)"),
    (enums.PRICE_COLLAR_OVER_TIME, "price drift (bps in its window)"),
    (enums.MARKET_PROTECTION, "market protection (bps)"),
    (enums.STALE_PRICE, "age of the price (ms)"),
    (enums.MAX_OPEN_ORDERS, "open orders"),
    (enums.POSITION_LIMIT, "position after it (lots)"),
    (enums.INSUFFICIENT_CASH, "cash needed"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it saw (None: nothing to measure), its limit (None: no limit), and `passed`, `denied` or `not reached`."""

    name: str
    saw: float | str | None
    limit: float | str | None
    verdict: str


def checks_seen(head: Any, account: Any, holding: Any, instrument: Any, signal: Any, limit_price: float, reason: int) -> list[Check]:
    """The checks of one order: the state at its decision, its SIGNAL command, its own limit price (0: none), the reason to deny it."""
    figures = _figures(head, account, holding, instrument, signal, limit_price)
    order = [code for code, _ in CHECKS]
    stop = order.index(reason) if reason in order else len(order)
    no_reference = reason == enums.STALE_PRICE and not signal["price"] > 0.0
    rows = []
    for place, (code, name) in enumerate(CHECKS):
        saw, limit = figures[code]
        verdict = "passed" if place < stop else "denied" if place == stop else "not reached"
        if no_reference and enums.MAX_ORDER_QUANTITY <= code <= enums.MARKET_PROTECTION:
            verdict = "not reached"
        rows.append(Check(name, _finite(saw), _finite(limit), verdict))
    if reason != enums.NONE and stop == len(order):
        rows.append(Check(enums.REASONS.get(reason, str(reason)), None, None, "denied"))
    return rows


def _figures(head: Any, account: Any, holding: Any, instrument: Any, signal: Any, limit_price: float) -> dict[int, tuple[Any, Any]]:
    scale, side, kind = float(head["money_scale"]), int(signal["side"]), int(signal["size_kind"])
    reference = float(signal["price"])
    price = limit_price if limit_price > 0.0 else float(signal["stop_price"]) if signal["stop_price"] > 0.0 else reference
    point = float(instrument["money_per_point"])
    free = int(account["cash"]) - int(account["reserved"])
    value = price * point * int(signal["quantity"])
    if kind == enums.BY_NOTIONAL:
        value = float(signal["size"])
    elif kind == enums.BY_CASH:
        value = free * float(signal["size"])
    quantity = value / (price * point) if price > 0.0 else math.nan
    held = int(holding["quantity"])
    pending = int(holding["buying"]) if side > 0 else -int(holding["selling"])
    drift = float(holding["drift_price"])
    in_window = drift > 0.0 and int(head["now"]) - int(holding["drift_start"]) <= int(account["drift_window_ns"])
    fee = 1.0 + float(head["fee_taker"]) / 10_000.0 if kind == enums.BY_QUANTITY else 1.0
    lowest = -int(account["position_max"]) if account["short_allowed"] else 0
    covered = min(max(-held - int(holding["buying"]), 0), quantity) if side > 0 and quantity > 0 else 0.0
    return {
        enums.TRADING_STATE: (enums.TRADING_STATE_NAMES.get(int(account["trading_state"]), "?"), "active"),
        enums.UNAUTHORISED: (_yes(account["is_authorised"]), "yes"),
        enums.INSTRUMENT_NOT_PERMITTED: (_yes(holding["is_permitted"]), "yes"),
        enums.NOT_WELL_FORMED: (None, None),
        enums.MAX_ORDER_QUANTITY: (quantity, _limit(min(int(account["order_quantity_max"]), int(instrument["quantity_max"])))),
        enums.MAX_ORDER_VALUE: (value / scale, _limit(int(account["order_value_max"]), scale)),
        enums.PRICE_COLLAR: (abs(price / reference - 1.0) * 10_000.0 if reference > 0.0 else math.nan, _limit(account["collar_bps"])),
        enums.PRICE_COLLAR_OVER_TIME: (abs(price / drift - 1.0) * 10_000.0 if in_window else None, _limit(account["drift_bps"])),
        enums.MARKET_PROTECTION: (None, _limit(account["market_protection_bps"])),
        enums.STALE_PRICE: (
            (int(head["now"]) - int(instrument["ts_price"])) / 1e6 if reference > 0.0 else math.nan,
            _limit(int(account["price_age_max_ns"]), 1e6),
        ),
        enums.MAX_OPEN_ORDERS: (int(account["open_orders"]), int(account["open_orders_max"])),
        enums.POSITION_LIMIT: (held + pending + side * quantity, _limit(int(account["position_max"])) if side > 0 else _limit(lowest)),
        enums.INSUFFICIENT_CASH: (value * (1.0 - covered / quantity) * fee / scale if side > 0 and quantity > 0 else 0.0, free / scale),
    }


def _limit(value: Any, scale: float = 1.0) -> float | None:
    """A limit as a figure; None where it is meant to be absent."""
    number = float(value)
    return None if abs(number) >= float(enums.UNLIMITED) or number >= enums.UNLIMITED_BPS else number / scale


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _yes(flag: Any) -> str:
    return "yes" if flag else "no"
