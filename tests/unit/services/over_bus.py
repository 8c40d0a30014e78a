"""A history service and readers of its sessions in one process, for the tests of both."""

import contextlib

from openbell import backtest
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.control import DataRequest
from openbell.services.control.channel import ControlChannel
from openbell.services.history.reader import WINDOW, over_session
from openbell.services.history.service import HistoryService
from openbell.services.topics.names import control_topics, market_topics

#: Ticks of two kinds, bars of two symbols, ticks of another market: strategy, data, symbols, parameters.
JOBS = {
    "crosses": ("moving_avg_crossover", "btcusdt,btcusdt-quotes", (), {"short_period": 2, "long_period": 5}),
    "shares": ("rsi", "us-daily", ("AAPL", "MSFT"), {}),
    "bands": ("bollinger", "ethusdt", (), {"period": 4, "deviations": 0.5}),
}


def request(name, **changes):
    """The request of a job, under its name as the session id."""
    _, source, symbols, _ = JOBS[name]
    return DataRequest(**{"session": name, "source": source, "symbols": symbols, "window": WINDOW, **changes})


def run(name):
    """What a session's events are handed to."""
    strategy, _, _, params = JOBS[name]
    return lambda events: backtest(strategy, events, params=params)


def locally(name, **options):
    """The job without a bus."""
    strategy, source, symbols, params = JOBS[name]
    return backtest(strategy, source.split(","), symbols=list(symbols) or None, params=params, **options)


class Scene:
    """The buses, the service, and the channel of who asks."""

    def __init__(self, buffer=100, **options):
        self.market, self.control = InProcessBus(), InProcessBus()
        self.market.declare(*market_topics(buffer, 1))
        self.control.declare(*control_topics(1000))
        self.served, self.asking = ControlChannel(self.control, "history"), ControlChannel(self.control, "cli")
        self.history = HistoryService(self.market, self.served, **options)

    async def backtest(self, name, **changes):
        """The result of a job over the bus."""
        return await over_session(self.market, self.asking, request(name, **changes), run(name))


@contextlib.asynccontextmanager
async def scene(**options):
    """A scene that is closed in the end."""
    made = Scene(**options)
    async with made.served, made.asking:
        made.history.state = "running"  # as its supervisor would say
        try:
            yield made
        finally:
            await made.history.stop()
