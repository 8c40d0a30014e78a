"""What stands behind the gateway: readers of what the other services publish, and a way to ask the traders.

In one process these are the services themselves; in a process of its own the gateway has readers of the same kind, fed by the bus.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import EventArray
from openbell.observability import Metrics
from openbell.services.alerts.access import Alerts
from openbell.services.analytics.answers import Answers
from openbell.services.gateway.owners import Owners
from openbell.services.names import Names
from openbell.services.notifier.channels import Channels
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processor.archive import CandleArchive
from openbell.services.trader.service import Answer
from openbell.services.views import Price, ServiceView

#: Has a trader carry out a REQUEST event. BusError when it cannot take it, or does not answer: its fate is then unknown.
Ask = Callable[[str, EventArray], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Backstage:
    """Everything the routes and the stream need."""

    names: Names
    bus: Bus  # of this process, with the topics PRICES, OPEN_CANDLES and VIEWS
    archive: CandleArchive
    price: Callable[[str], Awaitable[Price | None]]
    portfolio: PortfolioService
    ask: Ask
    run: Callable[[], str]
    services: Callable[[], list[ServiceView]]
    metrics: Metrics
    metrics_text: Callable[[], bytes]
    owners: Owners = field(default_factory=Owners)
    alerts: Alerts | None = None
    channels: Callable[[], Channels] | None = None  # it blocks, for a thread
    analytics: Answers | None = None
