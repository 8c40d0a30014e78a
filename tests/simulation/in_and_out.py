"""A strategy that buys and sells at market, and now and then rests an order far away, to change it and to cancel it later."""

from openbell import Strategy, param


class InAndOut(Strategy):
    """Every so many trades something happens."""

    every = param(40, 1, 10_000)

    def setup(self):
        """How many trades there were, and the order that rests."""
        self.trades = 0
        self.step = 0
        self.resting = 0

    def on_trade(self, trade, broker):
        """In, out, rest, change, cancel."""
        self.trades += 1
        if self.trades % self.every != 0:
            return
        self.step += 1
        choice = self.step % 6
        if choice == 1:
            broker.buy(trade.instrument, 0.01)
        elif choice == 2:
            self.resting = broker.buy(trade.instrument, 0.01, limit=trade.price * 0.97)
        elif choice == 3:
            broker.modify(self.resting, 0.02, limit=trade.price * 0.98)
        elif choice == 4 and broker.position(trade.instrument) > 0:
            broker.sell(trade.instrument, 0.01)
        elif choice == 5:
            broker.cancel(self.resting)
