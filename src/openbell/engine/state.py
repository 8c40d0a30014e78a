"""The first state of a plan: every table sized and filled, every strategy's records in place."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.engine.plan import Assignment, Plan
from openbell.errors import ConfigError
from openbell.model import enums
from openbell.model.candles import NEVER, OPEN_BARS, SLICE_RECORD
from openbell.model.events import BAR_RECORD
from openbell.model.money import exponent, to_minor
from openbell.model.orders import INTENTS_MAX
from openbell.model.state import ENGINE_STATE, STATE_VERSION, TABLES
from openbell.model.time import parse_timeframe
from openbell.strategies.strategy import Strategy, declare, handlers, is_portfolio

MAGIC = np.frombuffer(b"openbell", "u1")
_LINE = 64


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a strategy's records are in the state."""

    cls: type[Strategy]
    dtype: np.dtype[Any]
    offset: int
    instruments: tuple[int, ...]


def first_state(plan: Plan, classes: list[type[Strategy]]) -> tuple[np.ndarray[Any, Any], list[Seat]]:
    """The state buffer (uint8) of a plan before its first event, and where each strategy's records are."""
    symbols = {listing.symbol: index for index, listing in enumerate(plan.listings)}
    followed = [tuple(sorted(symbols[symbol] for symbol in assignment.symbols)) for assignment in plan.assignments]
    builders = _builders(plan, followed)
    subscriptions = sorted(
        (instrument, strategy, position) for strategy, items in enumerate(followed) for position, instrument in enumerate(items)
    )
    rows = {
        "instruments": len(plan.listings),
        "accounts": len(plan.assignments),
        "positions": len(plan.listings) * len(plan.assignments),
        "orders": plan.order_capacity,
        "intents": plan.intent_capacity,
        "builders": len(builders),
        "subscriptions": len(subscriptions),
        "fills": 1,
    }
    offsets, end = {}, _align(ENGINE_STATE.itemsize)
    for name, dtype, _ in TABLES:
        offsets[name] = end
        end = _align(end + rows[name] * dtype.itemsize)
    first_records = []
    seats = []
    for cls, assignment, instruments in zip(classes, plan.assignments, followed, strict=True):
        record = declare(cls, assignment.params, len(instruments))
        copies = 1 if is_portfolio(cls) else len(instruments)
        first_records.append(np.repeat(np.asarray(record)[None], copies))
        seats.append(Seat(cls, record.dtype, end, instruments))
        end = _align(end + copies * record.dtype.itemsize)
    slices = {}
    for row, (cls, instruments) in enumerate(zip(classes, followed, strict=True)):
        if is_portfolio(cls):
            slices[row] = end
            end = _align(end + SLICE_RECORD.itemsize + len(instruments) * BAR_RECORD.itemsize)

    state = _aligned(end)
    head = state[: ENGINE_STATE.itemsize].view(ENGINE_STATE)[0]
    head["magic"] = MAGIC
    head["version"], head["size"] = STATE_VERSION, end
    for name, _, count in TABLES:
        head[f"{name}_offset"] = offsets[name]
        if count:
            head[count] = rows[name]
    _fill_head(head, plan)
    tables = {name: state[offsets[name] : offsets[name] + rows[name] * dtype.itemsize].view(dtype) for name, dtype, _ in TABLES}
    _fill_instruments(tables["instruments"], plan)
    _fill_orders(tables["orders"])
    for seat, records in zip(seats, first_records, strict=True):
        state[seat.offset : seat.offset + records.nbytes].view(records.dtype)[:] = records
    for row, (instrument, timeframe) in enumerate(builders):
        builder = tables["builders"][row]
        builder["timeframe_ns"], builder["instrument"], builder["due"], builder["first_ts"] = timeframe, instrument, NEVER, NEVER
        owner = tables["instruments"][instrument]
        if owner["builder_count"] == 0:
            owner["builder_first"] = row
        owner["builder_count"] += 1
    for index, (assignment, seat) in enumerate(zip(plan.assignments, seats, strict=True)):
        _fill_account(tables["accounts"][index], plan, assignment, seat, slices.get(index, 0))
        for instrument in seat.instruments:
            tables["positions"][index * len(plan.listings) + instrument]["is_permitted"] = 1
        if index in slices:
            record = state[slices[index] : slices[index] + SLICE_RECORD.itemsize].view(SLICE_RECORD)[0]
            record["count"], record["strategy"] = len(seat.instruments), index
            record["timeframe_ns"] = parse_timeframe(assignment.timeframe)
    timers = [int(account["timer_next"]) for account in tables["accounts"] if account["timer_ns"] > 0]
    head["timer_next"] = min(timers, default=NEVER)
    for row, (instrument, strategy, position) in enumerate(subscriptions):
        seat, assignment = seats[strategy], plan.assignments[strategy]
        mask = _mask(seat.cls)
        place = 0 if is_portfolio(seat.cls) else position * seat.dtype.itemsize
        subscription = tables["subscriptions"][row]
        subscription["timeframe_ns"] = parse_timeframe(assignment.timeframe) if assignment.timeframe else 0
        subscription["state_offset"], subscription["strategy"] = seat.offset + place, strategy
        subscription["handler_mask"], subscription["slice_index"] = mask, position
        owner = tables["instruments"][instrument]
        if owner["subscription_count"] == 0:
            owner["subscription_first"] = row
        owner["subscription_count"] += 1
        owner["handler_mask"] |= mask
    return state, seats


def commands_max(plan: Plan, builders: int) -> int:
    """Commands that one event may write at most.

    Every open order trades and ends, or is canceled; every intent is a signal and an order; every open candle closes; every handler faults.
    """
    return 2 * plan.order_capacity + 2 * INTENTS_MAX + OPEN_BARS * builders + len(plan.assignments) + 16


def _align(offset: int) -> int:
    return (offset + _LINE - 1) // _LINE * _LINE


def _aligned(size: int) -> np.ndarray[Any, Any]:
    """Zeroed bytes that start at a cache line."""
    raw = np.zeros(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size]


def _mask(cls: type[Strategy]) -> int:
    return sum(1 << index for index in handlers(cls))


def _builders(plan: Plan, followed: list[tuple[int, ...]]) -> list[tuple[int, int]]:
    """(instrument, timeframe) of every candle builder, by instrument, shortest timeframe first."""
    source = parse_timeframe(plan.bar_timeframe) if plan.bar_timeframe else 0
    wanted = {(index, parse_timeframe(text)) for index in range(len(plan.listings)) for text in plan.candles}
    for assignment, instruments in zip(plan.assignments, followed, strict=True):
        if assignment.timeframe:
            wanted |= {(index, parse_timeframe(assignment.timeframe)) for index in instruments}
    for index, timeframe in wanted:
        if source and (timeframe < source or timeframe % source):
            raise ConfigError(
                f"timeframe of {timeframe // 1_000_000} ms asked of {plan.bar_timeframe} bars", "a multiple of the bars' own timeframe"
            )
        if plan.listings[index].lateness_ns > 3 * timeframe:
            raise ConfigError(
                f"{plan.listings[index].symbol} waits {plan.listings[index].lateness_ns} ns for late trades",
                f"at most three candles of {timeframe} ns",
            )
    return sorted(pair for pair in wanted if pair[1] != source)


def _fill_head(head: Any, plan: Plan) -> None:
    venue, scale = plan.venue, 10.0 ** exponent(plan.currency)
    head["fill_model"] = venue.fill_model
    head["fee_model"] = enums.FEE_PER_UNIT if venue.fee_per_unit else enums.FEE_BPS
    head["fee_taker"] = venue.fee_per_unit * scale if venue.fee_per_unit else venue.fee_taker_bps
    maker = venue.fee_taker_bps if venue.fee_maker_bps is None else venue.fee_maker_bps
    head["fee_maker"] = venue.fee_per_unit * scale if venue.fee_per_unit else maker
    head["fee_min"] = to_minor(venue.fee_min, plan.currency)
    if venue.slippage_bps:
        head["slippage_model"], head["slippage"] = enums.SLIPPAGE_BPS, venue.slippage_bps
    elif venue.slippage_increments:
        head["slippage_model"], head["slippage"] = enums.SLIPPAGE_INCREMENTS, venue.slippage_increments
    head["latency_model"] = enums.LATENCY_UNIFORM if venue.latency_spread_ns else enums.LATENCY_CONSTANT
    head["latency_ns"], head["latency_spread_ns"] = venue.latency_ns, venue.latency_spread_ns
    head["participation"] = venue.participation
    head["publish_candles"] = plan.publish_candles
    head["equity_interval_ns"] = plan.equity_interval_ns
    head["money_scale"] = scale
    head["equity_next"] = 1  # no equity is told before the first event has set the clock


def _fill_instruments(table: Any, plan: Plan) -> None:
    for record, listing in zip(table, plan.listings, strict=True):
        record["price_increment"], record["lot_size"] = listing.price_increment, listing.lot_size
        record["money_per_point"] = listing.lot_size * 10.0 ** exponent(listing.currency)
        record["quantity_max"], record["day_offset_ns"] = listing.quantity_max, listing.day_offset_ns
        record["lateness_ns"], record["order_first"], record["order_last"] = listing.lateness_ns, -1, -1


def _fill_orders(table: Any) -> None:
    table["next"] = np.arange(1, len(table) + 1)
    table["previous"] = -1
    table["next"][-1] = -1


def _fill_account(account: Any, plan: Plan, assignment: Assignment, seat: Seat, slice_offset: int) -> None:
    limits = assignment.limits
    cash = to_minor(assignment.cash, plan.currency)
    unlimited, unlimited_bps = enums.UNLIMITED, enums.UNLIMITED_BPS
    account["deposits"], account["cash"], account["equity_peak"] = cash, cash, cash
    account["slice_offset"], account["state_offset"] = slice_offset, seat.offset
    account["instrument_first"], account["instrument_count"] = seat.instruments[0], len(seat.instruments)
    account["trading_state"] = enums.ACTIVE if assignment.enabled else enums.PAUSED
    account["is_authorised"], account["short_allowed"] = 1, limits.short_allowed
    account["handler_mask"] = _mask(seat.cls)
    account["open_orders_max"] = limits.open_orders_max
    account["order_quantity_max"] = unlimited if limits.order_quantity_max is None else limits.order_quantity_max
    account["order_value_max"] = unlimited if limits.order_value_share is None else round(cash * limits.order_value_share)
    account["position_max"] = unlimited if limits.position_max is None else limits.position_max
    account["collar_bps"] = unlimited_bps if limits.collar_bps is None else limits.collar_bps
    account["drift_bps"] = unlimited_bps if limits.drift_bps is None else limits.drift_bps
    account["drift_window_ns"] = limits.drift_window_ns
    account["market_protection_bps"] = unlimited_bps if limits.market_protection_bps is None else limits.market_protection_bps
    account["price_age_max_ns"] = unlimited if limits.price_age_max_ns is None else limits.price_age_max_ns
    account["version"] = 1
    if seat.cls.timer:
        account["timer_ns"] = parse_timeframe(seat.cls.timer)
