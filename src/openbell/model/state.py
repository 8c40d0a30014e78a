"""The head of the kernel's state: counters, venue models, and where everything else is in the buffer.

The state is one buffer of bytes: this head at offset 0, then the tables it points to. A checkpoint is a copy of the buffer.
"""

from typing import Any

from openbell.model.accounts import ACCOUNT_RECORD, POSITION_RECORD, account_at, position_at
from openbell.model.candles import BUILDER_RECORD, SUBSCRIPTION_RECORD, builder_at, subscription_at
from openbell.model.commands import command_at
from openbell.model.instruments import INSTRUMENT_RECORD, instrument_at
from openbell.model.jit import Record, address_of, layout, pointer
from openbell.model.money import round_half_up
from openbell.model.orders import FILL_RECORD, INTENT_RECORD, ORDER_RECORD, fill_at, intent_at, order_at

#: Raised when the meaning of a byte changes.
STATE_VERSION = 2

#: The tables in the order they lie in the buffer: name, record, name of the count in the head.
TABLES = (
    ("instruments", INSTRUMENT_RECORD, "instrument_count"),
    ("accounts", ACCOUNT_RECORD, "strategy_count"),
    ("positions", POSITION_RECORD, ""),
    ("orders", ORDER_RECORD, "order_capacity"),
    ("intents", INTENT_RECORD, "intent_capacity"),
    ("builders", BUILDER_RECORD, "builder_count"),
    ("subscriptions", SUBSCRIPTION_RECORD, "subscription_count"),
    ("fills", FILL_RECORD, ""),
)


class EngineState(Record):
    """The head of the state, and the way from it to every table."""

    def instrument(self, index: int) -> Any:
        """One instrument."""
        return instrument_at(address_of(self) + self.instruments_offset, index)

    def account(self, strategy: int) -> Any:
        """The account of a strategy."""
        return account_at(address_of(self) + self.accounts_offset, strategy)

    def holding(self, strategy: int, instrument: int) -> Any:
        """What a strategy holds of an instrument."""
        return position_at(address_of(self) + self.positions_offset, strategy * self.instrument_count + instrument)

    def order(self, slot: int) -> Any:
        """One slot of the order table."""
        return order_at(address_of(self) + self.orders_offset, slot)

    def intent(self, index: int) -> Any:
        """One row of what handlers asked for."""
        return intent_at(address_of(self) + self.intents_offset, index)

    def builder(self, index: int) -> Any:
        """One candle builder."""
        return builder_at(address_of(self) + self.builders_offset, index)

    def subscription(self, index: int) -> Any:
        """One row of who follows what."""
        return subscription_at(address_of(self) + self.subscriptions_offset, index)

    def fill(self) -> Any:
        """The one fill record, written anew for each fill."""
        return fill_at(address_of(self) + self.fills_offset, 0)

    def next_command(self) -> Any:
        """Where the next command goes."""
        command = command_at(self.commands_address, 0)
        self.commands_address += self.commands_stride
        return command

    def emit(self, kind: int) -> Any:
        """The next command, of this kind, with everything else zero."""
        command = self.next_command()
        command.seq = self.seq
        command.ts = self.now
        command.kind = kind
        command.side = 0
        command.order_type = 0
        command.time_in_force = 0
        command.instrument = -1
        command.strategy = -1
        command.status = 0
        command.reason = 0
        command.size_kind = 0
        command.is_maker = 0
        command.order_id = 0
        command.quantity = 0
        command.filled = 0
        command.price = 0.0
        command.stop_price = 0.0
        command.amount = 0
        command.realised = 0
        command.size = 0.0
        return command

    def emit_order(self, kind: int, order: Any) -> None:
        """Tell the outside about an order as it stands."""
        command = self.emit(kind)
        command.side = order.side
        command.order_type = order.order_type
        command.time_in_force = order.time_in_force
        command.instrument = order.instrument
        command.strategy = order.strategy
        command.status = order.status
        command.reason = order.reason
        command.size_kind = order.size_kind
        command.order_id = order.order_id
        command.quantity = order.quantity
        command.filled = order.filled
        command.price = order.limit_price
        command.stop_price = order.stop_price
        command.size = order.size

    def equity(self) -> int:
        """Money of all accounts: cash and positions at their latest prices."""
        total = 0
        for strategy in range(self.strategy_count):
            total += self.strategy_equity(strategy)
        return total

    def strategy_equity(self, strategy: int) -> int:
        """Money of one account: cash and positions at their latest prices."""
        total = self.account(strategy).cash
        for index in range(self.instrument_count):
            quantity = self.holding(strategy, index).quantity
            if quantity != 0:
                total += self.value(index, quantity)
        return total

    def value(self, instrument: int, quantity: int) -> int:
        """Money that `quantity` lots are worth at the latest price."""
        record = self.instrument(instrument)
        return round_half_up(record.last_price * record.money_per_point * quantity)


ENGINE_FIELDS = [
    ("magic", "u1", (8,)),  # b"openbell"
    ("version", "i8"),  # STATE_VERSION
    ("size", "i8"),  # bytes of the whole state
    ("seq", "i8"),  # of the latest event
    ("now", "i8"),  # ns, `ts_available` of the latest event
    # Tables: how many rows, and where.
    ("instrument_count", "i4"),
    ("strategy_count", "i4"),
    ("order_capacity", "i4"),
    ("intent_capacity", "i4"),
    ("builder_count", "i4"),
    ("subscription_count", "i4"),
    ("instruments_offset", "i8"),
    ("accounts_offset", "i8"),
    ("positions_offset", "i8"),
    ("orders_offset", "i8"),
    ("intents_offset", "i8"),
    ("builders_offset", "i8"),
    ("subscriptions_offset", "i8"),
    ("fills_offset", "i8"),
    # The order table.
    ("order_free", "i4"),  # first free slot, -1 when full
    ("open_orders", "i4"),
    # The simulated venue.
    ("fill_model", "u1"),  # FILL_OUTSIDE, FILL_NEXT, FILL_PREVAILING
    ("slippage_model", "u1"),
    ("fee_model", "u1"),
    ("latency_model", "u1"),
    ("publish_candles", "u1"),  # 1 when closed candles are commands
    ("_pad", "u1", (3,)),
    ("slippage", "f8"),  # basis points, or price increments
    ("fee_taker", "f8"),  # basis points, or money a unit
    ("fee_maker", "f8"),  # basis points, or money a unit
    ("fee_min", "i8"),  # money, at least this a fill
    ("latency_ns", "i8"),  # from a decision to the venue
    ("latency_spread_ns", "i8"),  # LATENCY_UNIFORM: up to this much more
    ("participation", "f8"),  # share of an event's quantity that orders may take; 0 for all
    # Time.
    ("equity_interval_ns", "i8"),
    ("equity_next", "i8"),  # ns
    ("timer_next", "i8"),  # ns, earliest timer of all strategies
    ("slices_open", "i8"),
    # Counters since the start.
    ("trades", "i8"),
    ("quotes", "i8"),
    ("bars", "i8"),  # bars read and candles closed
    ("signals", "i8"),
    ("orders", "i8"),
    ("fills", "i8"),
    ("denials", "i8"),
    ("refused", "i8"),
    ("late", "i8"),
    ("money_scale", "f8"),  # minor units in one unit of the currency
    # While one step runs; zero between steps.
    ("commands_address", "i8"),  # where the next command goes
    ("commands_stride", "i8"),  # bytes to the one after it; 0 when commands are not kept
    ("handlers_address", "i8"),
    ("calm_end", "i8"),  # where the events that are known to be calm end; -1 when stretches are off
    ("intent_count", "i4"),
    ("leg", "i4"),  # orders decided on this event so far
    ("strategy", "i4"),  # whose handler runs
    ("_pad2", "u1", (4,)),
]

ENGINE_SIZE = 360
ENGINE_STATE = layout(EngineState, ENGINE_SIZE, ENGINE_FIELDS)
engine_at = pointer(ENGINE_STATE)


class Word(Record):
    """One int64: an entry of the handler table, the address of a handler."""


WORD = layout(Word, 8, [("value", "i8")])
word_at = pointer(WORD)
