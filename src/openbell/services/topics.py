"""The topics of the platform, what each carries, and what happens when a reader is slow."""

from openbell.adapters.buses.base import Overflow, Topic

#: `Ticks` of a feed. A slow trader holds the feed back: no tick is lost.
TICKS = "stock-prices"
#: `Asked`: what users want. A full queue makes the gateway answer 503.
REQUESTS = "requests"
#: `Decided`: what the kernel told the outside, in order, never dropped.
COMMANDS = "commands"
#: `Price` by symbol: only the newest matters.
PRICES = "prices"
#: `Candle` that is still open, by symbol and timeframe: only the newest matters.
OPEN_CANDLES = "open-candles"
#: `Shown`: closed candles, orders, fills, signals, states and equity for whoever watches, in order, never dropped.
VIEWS = "views"


def topics(buffer: int) -> tuple[Topic, ...]:
    """All of them, each with a buffer of so many messages."""
    return (
        Topic(TICKS, Overflow.BLOCK, buffer),
        Topic(REQUESTS, Overflow.BLOCK, buffer),
        Topic(COMMANDS, Overflow.BLOCK, buffer),
        Topic(PRICES, Overflow.CONFLATE, buffer),
        Topic(OPEN_CANDLES, Overflow.CONFLATE, buffer),
        Topic(VIEWS, Overflow.BLOCK, buffer),
    )
