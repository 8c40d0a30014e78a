"""The small swappable models of the simulated venue: slippage, fees, latency, and how much money buys."""

from typing import Any

from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import round_half_up, whole


@kernel
def slip(engine: Any, instrument: Any, side: int, price: float) -> float:
    """The price a taker gets: worse than `price` by basis points, or by price increments; never below the smallest price."""
    if engine.slippage_model == enums.SLIPPAGE_BPS:
        return price * (1.0 + side * engine.slippage / 10_000.0)
    if engine.slippage_model == enums.SLIPPAGE_INCREMENTS:
        return max(price + side * engine.slippage * instrument.price_increment, min(price, instrument.price_increment))
    return price


@kernel
def fee(engine: Any, instrument: Any, quantity: int, notional: int, is_maker: bool) -> int:
    """Money charged for a fill: basis points of its value, or an amount a unit; at least `fee_min`, unless it is a rebate."""
    rate = engine.fee_maker if is_maker else engine.fee_taker
    if engine.fee_model == enums.FEE_BPS:
        charge = round_half_up(notional * rate / 10_000.0)
    else:
        charge = round_half_up(quantity * instrument.lot_size * rate)
    return max(charge, engine.fee_min) if rate >= 0.0 else charge


@kernel
def arrival(engine: Any, order_id: int) -> int:
    """When (ns) an order decided now reaches the venue. LATENCY_UNIFORM draws from a hash of the order id, so a replay draws the same."""
    ts = engine.now + engine.latency_ns
    if engine.latency_model == enums.LATENCY_UNIFORM and engine.latency_spread_ns > 0:
        high = scatter(order_id ^ (order_id >> 31))
        ts += ((high << 31) | scatter(high ^ order_id)) % (engine.latency_spread_ns + 1)
    return ts


@kernel
def scatter(number: int) -> int:
    """A hash of 31 bits of a number, in 31 bits; no product in it is beyond an int64."""
    mixed = number & 0x7FFFFFFF
    for _ in range(2):
        mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0x7FFFFFFF
    return mixed ^ (mixed >> 16)


@kernel
def notional_of(instrument: Any, price: float, quantity: int) -> int:
    """Money that `quantity` lots cost at `price`, without fees."""
    return round_half_up(price * instrument.money_per_point * quantity)


@kernel
def affordable(engine: Any, instrument: Any, price: float, budget: int) -> int:
    """The most lots that `budget` money buys at `price`, fee included."""
    if budget <= 0:
        return 0
    unit = price * instrument.money_per_point
    if engine.fee_model == enums.FEE_BPS:
        lots = whole(budget / (unit * (1.0 + engine.fee_taker / 10_000.0)))
    else:
        lots = whole(budget / (unit + instrument.lot_size * engine.fee_taker))
    for _ in range(3):
        notional = notional_of(instrument, price, lots)
        over = notional + fee(engine, instrument, lots, notional, False) - budget
        if over <= 0:
            return max(lots, 0)
        lots -= whole(over / unit) + 1
    return max(lots, 0)
