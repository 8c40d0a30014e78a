"""The topics of the platform, what each carries, and what happens when a reader is slow.

Within a process a message is an object; between processes it is bytes, written by `openbell.adapters.messages`.
"""

from openbell.adapters.buses.base import Overflow, Topic

#: `Ticks` of a feed. A slow trader holds the feed back: no tick is lost.
TICKS = "stock-prices"
#: `Asked`: what users want. A full queue makes the gateway answer 503.
REQUESTS = "requests"
#: `Decided`: what the kernel told the outside, in order, never dropped.
COMMANDS = "commands"
#: `Journaled` events of the trader, in order, never dropped; for who has to know the place of each event in the run.
JOURNALED = "journaled"
#: `Price` by symbol: only the newest matters.
PRICES = "prices"
#: `Candle` that is still open, by symbol and timeframe: only the newest matters.
OPEN_CANDLES = "open-candles"
#: `Shown`: closed candles, orders, fills, signals, states and equity for whoever watches, in order, never dropped.
VIEWS = "views"

#: Between processes only. History for a backtest, by session id; nobody wants it once the session is over.
SESSIONS = "sessions"
SESSION_KEPT_S = 6 * 3600
#: Closed candles of the processor, by symbol.
CANDLES = "candles"
#: What the orders service has to do, and what became of it at the venue, by run.
ORDERS = "orders"
EXECUTIONS = "executions"
#: The group of the orders service, which reads both.
ORDERS_GROUP = "orders"
#: Answers to requests, by who asked.
ANSWERS = "answers"
#: Alerts that were triggered. With the orders, where a message waits for a reader that is away.
ALERTS = "alerts"
#: Typed messages for services and from them.
CONTROL = "control"
#: How the services of each process stand, by process.
SERVICES = "services"


def topics(buffer: int) -> tuple[Topic, ...]:
    """Those within a process, each with a buffer of so many messages."""
    return (
        Topic(TICKS, Overflow.BLOCK, buffer),
        Topic(REQUESTS, Overflow.BLOCK, buffer),
        Topic(COMMANDS, Overflow.BLOCK, buffer),
        Topic(JOURNALED, Overflow.BLOCK, buffer),
        Topic(PRICES, Overflow.CONFLATE, buffer),
        Topic(OPEN_CANDLES, Overflow.CONFLATE, buffer),
        Topic(VIEWS, Overflow.BLOCK, buffer),
    )


def market_topics(buffer: int, partitions: int) -> tuple[Topic, ...]:
    """Those of the bus for market data and decisions."""
    return (
        Topic(TICKS, Overflow.BLOCK, buffer, partitions),
        Topic(COMMANDS, Overflow.BLOCK, buffer),
        Topic(SESSIONS, Overflow.BLOCK, buffer, partitions, SESSION_KEPT_S),
        Topic(CANDLES, Overflow.BLOCK, buffer, partitions),
    )


def order_topics(buffer: int) -> tuple[Topic, ...]:
    """Those of the bus for orders."""
    return tuple(Topic(name, Overflow.BLOCK, buffer) for name in (ORDERS, EXECUTIONS, REQUESTS, ANSWERS, ALERTS))


def control_topics(buffer: int) -> tuple[Topic, ...]:
    """Those of the bus for control, and for what is only shown."""
    return (
        Topic(CONTROL, Overflow.DROP_OLDEST, buffer),
        Topic(PRICES, Overflow.CONFLATE, buffer),
        Topic(OPEN_CANDLES, Overflow.CONFLATE, buffer),
        Topic(SERVICES, Overflow.CONFLATE, buffer),
    )
