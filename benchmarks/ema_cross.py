"""The strategy of job J4: an EMA 50/200 cross on every trade, one unit, at market."""

from openbell import Strategy, param


class EmaCross(Strategy):
    """Buy one unit when the fast average crosses above the slow one, sell it when it crosses below."""

    fast = param(50, 2, 1000)
    slow = param(200, 3, 5000)

    def setup(self):
        """Averages seeded with the first price, as the peers' scripts do."""
        self.fast_weight = 2.0 / (self.fast + 1.0)
        self.slow_weight = 2.0 / (self.slow + 1.0)
        self.fast_average = 0.0
        self.slow_average = 0.0
        self.count = 0
        self.difference = 0.0

    def on_trade(self, trade, broker):
        """Update both averages and look for a cross."""
        price = trade.price
        if self.count == 0:
            self.fast_average = price
            self.slow_average = price
            self.count = 1
            return
        self.fast_average += self.fast_weight * (price - self.fast_average)
        self.slow_average += self.slow_weight * (price - self.slow_average)
        difference = self.fast_average - self.slow_average
        if self.count >= self.slow:
            if difference > 0 and self.difference <= 0 and broker.position(trade.instrument) == 0:
                broker.buy(trade.instrument, 1.0)
            elif difference < 0 and self.difference >= 0 and broker.position(trade.instrument) > 0:
                broker.close(trade.instrument)
        self.difference = difference
        self.count += 1
