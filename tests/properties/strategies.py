"""Strategies that do a bit of everything, driven by a pseudo-random number in their own state: the same in every run."""

from typing import Any

import numpy as np

from openbell.indicators.ema import Ema
from openbell.strategies.strategy import Strategy, param


class RandomOrders(Strategy):
    """Every way to place an order, to change and to cancel it, on every kind of event."""

    seed = param(1, 1, 2**30)
    timer = "3s"

    def setup(self) -> None:
        """The number, and the last orders."""
        self.number = self.seed
        self.orders = np.zeros(8, np.int64)
        self.placed = 0
        self.fills = 0
        self.average = Ema(5)

    def roll(self, sides: int) -> Any:
        """A number from 0 to `sides` - 1; the next of a linear congruence."""
        self.number = (self.number * 1_103_515_245 + 12_345) % 2_147_483_648
        return (self.number >> 8) % sides

    def remember(self, order_id: int) -> None:
        """Keep the last eight orders."""
        self.orders[self.placed % 8] = order_id
        self.placed += 1

    def act(self, instrument: int, price: float, broker: Any) -> None:
        """One of many things, or nothing."""
        choice = self.roll(24)
        units = (1 + self.roll(500)) * 0.001
        near = price * (1.0 + (self.roll(41) - 20) * 0.0005)
        limit = price * (1.0 + (self.roll(41) - 20) * 0.0005)
        tif = 1 + self.roll(4)  # GTC, DAY, IOC, FOK
        if choice == 0:
            self.remember(broker.buy(instrument, broker.all_in(price), time_in_force=tif))
        elif choice == 1:
            self.remember(broker.buy(instrument, broker.fraction(0.3), limit=limit))
        elif choice == 2:
            self.remember(broker.buy(instrument, broker.notional(500.0), time_in_force=tif))
        elif choice == 3:
            self.remember(broker.buy(instrument, units))
        elif choice == 4:
            self.remember(broker.sell(instrument, units, time_in_force=tif))
        elif choice == 5:
            self.remember(broker.buy(instrument, units, limit=limit, time_in_force=tif))
        elif choice == 6:
            self.remember(broker.sell(instrument, units, limit=limit, time_in_force=tif))
        elif choice == 7:
            self.remember(broker.buy(instrument, units, stop=near, time_in_force=tif))
        elif choice == 8:
            self.remember(broker.sell(instrument, units, stop=near, time_in_force=tif))
        elif choice == 9:
            self.remember(broker.buy(instrument, units, limit=limit, stop=near, time_in_force=tif))
        elif choice == 10:
            self.remember(broker.sell(instrument, units, limit=limit, stop=near, time_in_force=tif))
        elif choice == 11:
            self.remember(broker.sell(instrument, broker.notional(300.0), limit=limit))
        elif choice == 12:
            self.remember(broker.close(instrument))
        elif choice == 13:
            self.remember(broker.target_weight(instrument, (self.roll(7) - 3) * 0.1))
        elif choice < 17:
            broker.cancel(self.orders[self.roll(8)])
        elif choice == 17:
            broker.modify(self.orders[self.roll(8)], quantity=units)
        elif choice == 18:
            broker.modify(self.orders[self.roll(8)], limit=limit)
        elif choice == 19:
            broker.modify(self.orders[self.roll(8)], stop=near)
        elif choice == 20:
            broker.cancel(self.number)

    def on_trade(self, trade: Any, broker: Any) -> None:
        """Sometimes several at once."""
        for _ in range(self.roll(3)):
            self.act(trade.instrument, trade.price, broker)

    def on_quote(self, quote: Any, broker: Any) -> None:
        """At the offer."""
        self.act(quote.instrument, quote.ask_price, broker)

    def on_bar(self, bar: Any, broker: Any) -> None:
        """At an average of the closes."""
        self.average.update(bar.close)
        if self.average.ready:
            self.act(bar.instrument, self.average.value, broker)

    def on_fill(self, fill: Any, broker: Any) -> None:
        """An order for each second fill."""
        self.fills += 1
        if self.fills % 2 == 0:
            self.act(fill.instrument, fill.price, broker)

    def on_timer(self, _event: Any, broker: Any) -> None:
        """Without a price of its own: instrument 0 at its last one."""
        if broker.price(0) > 0.0:
            self.act(0, broker.price(0), broker)


class RandomShorts(RandomOrders):
    """The same without a timer, so that only events of its own instruments move it."""

    seed = param(77, 1, 2**30)
    timer = ""


class Rebalance(Strategy):
    """A portfolio that moves towards random weights, missing bars or not."""

    seed = param(5, 1, 2**30)

    def setup(self) -> None:
        """The number, and what was seen."""
        self.number = self.seed
        self.missing = 0

    def on_slice(self, bars: Any, broker: Any) -> None:
        """A weight for each instrument that has a bar."""
        for index in range(bars.count):
            self.number = (self.number * 1_103_515_245 + 12_345) % 2_147_483_648
            if bars.has(index):
                broker.target_weight(bars.bar(index).instrument, ((self.number >> 8) % 4) * 0.1)
            else:
                self.missing += 1


class EveryTick(Strategy):
    """Buys and sells in turn on every trade: as many orders as there are events."""

    def setup(self) -> None:
        """Nothing but the handler."""
        self.turn = 0
        self.far = 0

    def on_trade(self, trade: Any, broker: Any) -> None:
        """An order, one in four far away and canceled by the next."""
        self.turn += 1
        if self.turn % 4 == 0:
            self.far = broker.buy(trade.instrument, 0.001, limit=trade.price * 0.5)
        elif self.turn % 4 == 1 and self.turn > 4:
            broker.cancel(self.far)
        elif broker.position(trade.instrument) == 0.0:
            broker.buy(trade.instrument, 0.001)
        else:
            broker.close(trade.instrument)
