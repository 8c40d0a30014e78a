"""The strategy of the benchmark of orders: one lot at market every so many ticks, while not more than so many are on their way."""

from openbell import Strategy, param


class Flood(Strategy):
    """It only buys: what it may lose is not the question."""

    every = param(1, 1, 1_000_000)
    window = param(500, 1, 1_000_000)

    def setup(self):
        """How many ticks there were, and how many orders are on their way."""
        self.ticks = 0
        self.flying = 0

    def on_trade(self, trade, broker):
        """Order, when it is time and there is room."""
        self.ticks += 1
        if self.ticks % self.every == 0 and self.flying < self.window:
            broker.buy(trade.instrument, 1.0)
            self.flying += 1

    def on_fill(self, fill, broker):
        """One has come back."""
        self.flying -= 1
