"""Accounts, positions and limits. Every strategy trades a sub-account of its own; money is int64 minor units."""

from openbell.model.jit import Record, layout, pointer


class Account(Record):
    """Cash, counters and limits of one strategy.

    Double entry: `cash + inventory + fees - realised - deposits == 0` after every posting, exactly.
    """

    @property
    def free_cash(self) -> int:
        """Cash that no open order has reserved."""
        return self.cash - self.reserved


ACCOUNT_RECORD = layout(
    Account,
    248,
    [
        ("deposits", "i8"),  # money paid in
        ("cash", "i8"),  # money
        ("inventory", "i8"),  # money, what the open positions cost (negative for short)
        ("realised", "i8"),  # money gained by closing positions, before fees
        ("fees", "i8"),  # money paid
        ("reserved", "i8"),  # money held back for open orders
        ("orders", "i8"),  # submitted since the start
        ("fills", "i8"),
        ("denials", "i8"),
        ("signals", "i8"),
        ("faults", "i8"),  # handlers that raised
        ("open_orders", "i8"),
        ("timer_ns", "i8"),  # interval of on_timer, 0 for none
        ("timer_next", "i8"),  # ns, when it is due
        ("slice_offset", "i8"),  # where its slice is in the state, 0 for none
        ("state_offset", "i8"),  # where its first state record is
        ("instrument_first", "i4"),  # of the slice: lowest instrument index
        ("instrument_count", "i4"),
        ("trading_state", "u1"),  # ACTIVE, PAUSED, REDUCING, HALTED, FAULTED
        ("is_authorised", "u1"),  # 1 when the configuration lets it trade
        ("short_allowed", "u1"),
        ("handler_mask", "u1"),  # bit per handler kind it has
        ("open_orders_max", "i4"),
        ("order_quantity_max", "i8"),  # lots
        ("order_value_max", "i8"),  # money
        ("position_max", "i8"),  # lots, either way
        ("collar_bps", "f8"),  # limit price against the reference price
        ("drift_bps", "f8"),  # own order prices within `drift_window_ns`
        ("drift_window_ns", "i8"),
        ("market_protection_bps", "f8"),  # market orders become limits this far beyond the reference
        ("price_age_max_ns", "i8"),  # reference price older than this denies
        ("version", "i8"),  # of the limits
        ("last_intent_seq", "i8"),  # event of its latest intent
        ("equity_peak", "i8"),  # money
        ("_pad", "u1", (16,)),
    ],
)


class Position(Record):
    """What one strategy holds of one instrument."""


POSITION_RECORD = layout(
    Position,
    96,
    [
        ("quantity", "i8"),  # lots, negative for short
        ("cost", "i8"),  # money that the open quantity cost
        ("realised", "i8"),  # money, before fees
        ("fees", "i8"),  # money
        ("buying", "i8"),  # lots of open buy orders
        ("selling", "i8"),  # lots of open sell orders
        ("drift_start", "i8"),  # ns, start of the window of the price collar over time
        ("drift_price", "f8"),  # its first order price
        ("fills", "i8"),
        ("is_permitted", "u1"),  # 1 when the strategy's configuration names the instrument
        ("_pad", "u1", (7,)),
        ("bought", "i8"),  # lots bought since the start
        ("sold", "i8"),  # lots sold since the start
    ],
)

account_at = pointer(ACCOUNT_RECORD)
position_at = pointer(POSITION_RECORD)
