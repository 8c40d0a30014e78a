"""`openbell serve gateway`: the API and the page, over readers of what the other processes publish. Any number of them may run."""

import asyncio
from collections.abc import Callable

from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
from openbell.errors import JournalError
from openbell.services.accounts.opening import open_accounts
from openbell.services.alerts.access import Alerts, StoredAlerts
from openbell.services.analytics.answers import Answers
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.source import Stored
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.owners import Owners, own_accounts, owners_of
from openbell.services.gateway.service import GatewayService
from openbell.services.names import Names
from openbell.services.notifier.channels import Channels
from openbell.services.plans import MAIN, user_accounts
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processes.portfolio import take_up
from openbell.services.processes.process import Process, database_place
from openbell.services.processor.archive import CandleArchive
from openbell.services.processor.display import AlertReader, ClosedCandleReader, DisplayReader
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.rpc.opening import alerts_client, serve_all
from openbell.services.stores import sealer_of
from openbell.services.topics.names import ALERTS
from openbell.services.trader.decisions import DecisionReader
from openbell.services.trader.requests import RemoteAsk
from openbell.services.trader.service import Decided

#: How long (seconds) to wait for the portfolio service to store what was missed.
PATIENCE_S = 10.0


async def build(process: Process) -> None:
    """Serve on the process's socket."""
    assert process.opened is not None, "a gateway has a socket"
    bus, edge = process.bus, process.edge
    database = process.database()
    names = Names(process.plans[MAIN])
    layer = SpeedLayer(names)
    prices = RedisSpeedLayer(process.settings.redis, process.settings.bus.namespace)
    process.stack.push_async_callback(prices.close)
    for symbol, price in (await prices.get_prices(names.symbols)).items():
        layer.restore(symbol, price, [])

    async def reload(decided: Decided) -> None:
        """Decisions were missed, on a bus that keeps no history: wait until the portfolio service has stored them."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while portfolio.replicas[decided.trader].index < decided.first:
            if asyncio.get_running_loop().time() > deadline:
                raise JournalError("decisions were missed", "a portfolio service that follows", "start `openbell serve portfolio`")
            await asyncio.sleep(0.1)
            await take_up(process, portfolio, database)

    settings = process.settings
    portfolio = PortfolioService(
        bus, process.plans, layer.last_price, None if edge.market.KEEPS_HISTORY else reload, own_accounts(settings)
    )
    _, start = await take_up(process, portfolio, database)
    display = DisplayReader(bus, edge, layer)
    ask = RemoteAsk(edge)
    archive = CandleArchive(open_candles(database_place(process.settings)), layer)
    process.stack.callback(archive.close)
    accounts = open_accounts(settings) if settings.server.sign_in else None
    owners = Owners(owners_of(settings), user_accounts(settings.trading), accounts)
    backstage = Backstage(
        names, bus, archive, prices.get_price, portfolio, ask, lambda: portfolio.runs[MAIN], lambda: display.services() or process.views(),
        process.metrics, process.metrics_text, owners, _alerts(process, database), _channels(process, database),
        Answers(Stored(prices, names.symbols), Calendar.of(settings.analytics.session)),
    )  # fmt: skip
    gateway = GatewayService(backstage, process.opened, None, settings, accounts)
    process.services += [
        portfolio,
        display,
        ClosedCandleReader(bus, edge, names),
        AlertReader(bus, edge.orders, edge.name(ALERTS)),
        ask,
        gateway,
        *([serve_all(settings, backstage, accounts, process.is_well)] if settings.grpc.addr else []),
        DecisionReader(bus, edge, process.plans, start),
    ]


def _alerts(process: Process, database: Database) -> Alerts:
    """The alerts service by gRPC; where it has no address, the alerts in the database."""
    if not process.settings.grpc.alerts_addr:
        return StoredAlerts(AlertStore(database))
    client = alerts_client(process.settings)
    process.stack.push_async_callback(client.close)
    return client


def _channels(process: Process, database: Database) -> Callable[[], Channels]:
    """The channels in the database: whoever tells people looks there for what has changed."""
    channels = Channels(database, lambda: sealer_of(process.settings), process.settings.notify.allow_private)
    return lambda: channels
