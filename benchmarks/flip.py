"""The strategy of the live benchmark: in and out by the last digits of the price, so that orders are frequent and spread evenly."""

from openbell import Ema, Strategy


class Flip(Strategy):
    """Buy one unit when the price crosses its short average upwards, sell when it crosses downwards."""

    def setup(self):
        """One average."""
        self.average = Ema(20)

    def on_trade(self, trade, broker):
        """Compare the trade with the average."""
        average = self.average.update(trade.price)
        if trade.price > average and broker.position(trade.instrument) == 0 and broker.pending(trade.instrument) == 0:
            broker.buy(trade.instrument, 1.0)
        elif trade.price < average and broker.position(trade.instrument) > 0:
            broker.close(trade.instrument)
