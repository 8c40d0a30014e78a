"""A strategy in a file of its own: a breakout of the Donchian channel, on daily bars of IBM from 2008 to 2011.

Run it as a strategy: `openbell backtest examples/e02_breakout.py --data us-daily-raw --symbols IBM --fee-bps 5`,
or as a program: `python examples/e02_breakout.py`.
"""

from openbell import Donchian, Strategy, backtest, param


class Breakout(Strategy):
    """Buy a close above the channel of the bars before, sell one below its middle."""

    length = param(20, 5, 200)

    def setup(self):
        self.channel = Donchian(self.length)
        self.upper = 0.0
        self.middle = 0.0

    def on_bar(self, bar, broker):
        held = broker.position(bar.instrument)
        if self.channel.ready and held == 0 and bar.close > self.upper:
            broker.buy(bar.instrument, broker.fraction(0.5))
        elif held > 0 and bar.close < self.middle:
            broker.close(bar.instrument)
        _lower, self.middle, self.upper = self.channel.update(bar.high, bar.low)


if __name__ == "__main__":
    result = backtest(__file__, "us-daily-raw", symbols="IBM", fee_bps=5)
    print(result.summary())
    print(f"{result.counts['orders']} orders, final equity {result.final_equity:,.2f}")
    assert (result.counts["orders"], round(result.final_equity, 2)) == (36, 104_216.25)
