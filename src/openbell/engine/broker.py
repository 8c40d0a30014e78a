"""What a strategy's handler sees of the world: prices, its own positions and cash, and the ways to place orders.

Quantities are in units of the instrument (floats at this border, whole lots inside), money in units of the currency.
"""

from typing import Any

import numpy as np

from openbell.model import enums
from openbell.model.accounts import position_at
from openbell.model.instruments import instrument_at
from openbell.model.jit import address_of, as_size, layout, pointer
from openbell.model.money import to_lots, whole
from openbell.model.orders import INTENTS_MAX
from openbell.model.state import ENGINE_FIELDS, ENGINE_SIZE, EngineState


class Broker(EngineState):
    """The strategy's hands. Orders go through the risk checks when the handler has returned, and fill at a later event."""

    def instrument(self, index: int) -> Any:
        """The record of an instrument; a strategy that asks for one that is not there faults."""
        if not 0 <= index < self.instrument_count:
            raise IndexError("no instrument with this index")
        return instrument_at(address_of(self) + self.instruments_offset, index)

    def holding(self, strategy: int, instrument: int) -> Any:
        """The position record of a strategy in an instrument."""
        if not 0 <= instrument < self.instrument_count:
            raise IndexError("no instrument with this index")
        return position_at(address_of(self) + self.positions_offset, strategy * self.instrument_count + instrument)

    # What is.

    @property
    def time(self) -> Any:
        """Now, in ns since 1970 UTC: when the event became available."""
        return self.now

    def price(self, instrument: int) -> Any:
        """Last price; 0.0 before the first."""
        return self.instrument(instrument).last_price

    def bid(self, instrument: int) -> Any:
        """Best bid, or the last price where the instrument has no quotes."""
        return self.instrument(instrument).sell_price

    def ask(self, instrument: int) -> Any:
        """Best offer, or the last price where the instrument has no quotes."""
        return self.instrument(instrument).buy_price

    def position(self, instrument: int) -> Any:
        """Units held by this strategy; negative for short."""
        return self.holding(self.strategy, instrument).quantity * self.instrument(instrument).lot_size

    def pending(self, instrument: int) -> Any:
        """Units of open orders, buys less sells; orders sized by money count as one lot until they fill."""
        held = self.holding(self.strategy, instrument)
        return (held.buying - held.selling) * self.instrument(instrument).lot_size

    def average_price(self, instrument: int) -> Any:
        """Average cost of a unit held; NaN when flat."""
        held = self.holding(self.strategy, instrument)
        if held.quantity == 0:
            return np.nan
        return held.cost / (held.quantity * self.instrument(instrument).money_per_point)

    @property
    def cash(self) -> Any:
        """Money not reserved for open orders, in units of the currency."""
        return self.account(self.strategy).free_cash / self.money_scale

    @property
    def worth(self) -> Any:
        """Equity of this strategy at the latest prices, in units of the currency."""
        return self.strategy_equity(self.strategy) / self.money_scale

    # Sizes.

    def all_in(self, bar: Any) -> Any:
        """A size: all free cash at the fill, fees included."""
        return (enums.BY_CASH, 1.0)

    def fraction(self, share: float) -> Any:
        """A size: this share (0 to 1) of the free cash at the fill, fees included."""
        return (enums.BY_CASH, share)

    def notional(self, money: float) -> Any:
        """A size: so many units at the fill as this much money buys, before fees."""
        return (enums.BY_NOTIONAL, money)

    # Orders.

    def buy(self, instrument: int, size: Any, limit: float = 0.0, stop: float = 0.0, time_in_force: int = enums.GTC) -> Any:
        """Buy units, or a size from `all_in`, `fraction`, `notional`; at market, or with a limit and/or stop. Returns the order id."""
        return self.intend(enums.BUY, instrument, size, limit, stop, time_in_force)

    def sell(self, instrument: int, size: Any, limit: float = 0.0, stop: float = 0.0, time_in_force: int = enums.GTC) -> Any:
        """Sell units; as `buy`."""
        return self.intend(enums.SELL, instrument, size, limit, stop, time_in_force)

    def close(self, instrument: int) -> Any:
        """Bring the position to zero at market, less what open orders already close. Returns the order id, 0 for nothing to do."""
        held = self.holding(self.strategy, instrument)
        lots = held.quantity
        if lots > 0:
            lots = max(lots - held.selling, 0)
        elif lots < 0:
            lots = min(lots + held.buying, 0)
        if lots == 0:
            return 0
        if lots > 0:
            return self.intend_lots(enums.SELL, instrument, lots)
        return self.intend_lots(enums.BUY, instrument, -lots)

    def target_weight(self, instrument: int, weight: float) -> Any:
        """Trade at market towards a share of this strategy's equity. Returns the order id, 0 when less than a lot is missing."""
        record = self.instrument(instrument)
        held = self.holding(self.strategy, instrument)
        lots = held.quantity + held.buying - held.selling
        wanted = 0.0
        if record.last_price > 0.0:
            wanted = weight * self.strategy_equity(self.strategy) / (record.last_price * record.money_per_point)
        change = wanted - lots
        if change >= 1.0:
            return self.intend_lots(enums.BUY, instrument, whole(change))
        if change <= -1.0:
            return self.intend_lots(enums.SELL, instrument, whole(-change))
        return 0

    def cancel(self, order_id: int) -> None:
        """Cancel an open order."""
        intent = self.new_intent(enums.CANCEL, -1)
        if intent.action == enums.CANCEL:
            intent.order_id = order_id
            intent.reason = enums.BY_STRATEGY

    def modify(self, order_id: int, quantity: float = 0.0, limit: float = 0.0, stop: float = 0.0) -> None:
        """Change an open order's units, limit or stop; 0 leaves one as it is."""
        intent = self.new_intent(enums.MODIFY, -1)
        if intent.action == enums.MODIFY:
            intent.order_id = order_id
            intent.size = quantity
            intent.limit_price = limit
            intent.stop_price = stop

    def new_intent(self, action: int, instrument: int) -> Any:
        """The next intent of this event, cleared and numbered; when there is no room for more, a spare row whose action stays 0."""
        full = self.intent_count >= self.intent_capacity - 1 or self.leg >= INTENTS_MAX
        intent = self.intent(self.intent_count)
        intent.action = 0 if full else action
        intent.side = 0
        intent.order_type = enums.MARKET
        intent.time_in_force = enums.GTC
        intent.size_kind = enums.BY_QUANTITY
        intent.reason = 0
        intent.strategy = self.strategy
        intent.instrument = instrument
        intent.quantity = 0
        intent.size = 0.0
        intent.limit_price = 0.0
        intent.stop_price = 0.0
        if full:
            self.account(self.strategy).faults += 1
        else:
            self.intent_count += 1
            self.leg += 1
        intent.order_id = (self.seq << 10) + self.leg
        return intent

    def intend_lots(self, side: int, instrument: int, lots: int) -> Any:
        """Note that the strategy wants this many lots at market."""
        intent = self.new_intent(enums.SUBMIT, instrument)
        if intent.action != enums.SUBMIT:
            return 0
        intent.side = side
        intent.quantity = lots
        return intent.order_id

    def intend(self, side: int, instrument: int, size: Any, limit: float, stop: float, time_in_force: int) -> Any:
        """Note what the strategy wants; it becomes an order after the risk checks."""
        if not 0 <= instrument < self.instrument_count:
            return 0
        intent = self.new_intent(enums.SUBMIT, instrument)
        if intent.action != enums.SUBMIT:
            return 0
        kind, amount = as_size(size)
        intent.side = side
        intent.time_in_force = time_in_force
        intent.size_kind = kind
        if kind == enums.BY_QUANTITY:
            intent.quantity = to_lots(amount, self.instrument(instrument).lot_size)
        elif kind == enums.BY_NOTIONAL:
            intent.size = amount * self.money_scale
        else:
            intent.size = amount
        if limit != 0.0 and stop != 0.0:
            intent.order_type = enums.STOP_LIMIT
        elif limit != 0.0:
            intent.order_type = enums.LIMIT
        elif stop != 0.0:
            intent.order_type = enums.STOP
        intent.limit_price = limit
        intent.stop_price = stop
        return intent.order_id


BROKER = layout(Broker, ENGINE_SIZE, ENGINE_FIELDS)
broker_at = pointer(BROKER)
