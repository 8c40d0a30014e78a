"""The gateway's application without a server around it: real accounts and real books, and a trader that is not there."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.adapters.stores.database import open_database
from openbell.config import NotifySettings, Settings, StrategySettings, TradingSettings
from openbell.errors import BusError
from openbell.observability import Metrics
from openbell.services.alerts.access import StoredAlerts
from openbell.services.analytics.answers import Answers
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.source import Local
from openbell.services.analytics.tapes import Tapes
from openbell.services.gateway.access import Access
from openbell.services.gateway.addresses import Proxies
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.front import Front
from openbell.services.gateway.owners import Owners, own_accounts, owners_of
from openbell.services.gateway.service import make_app, rates_of
from openbell.services.gateway.stream import Hub
from openbell.services.names import Names
from openbell.services.notifier.channels import Channels
from openbell.services.plans import MAIN, make_plan, simulated_listing, user_accounts
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processor.archive import CandleArchive
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.topics.names import topics
from openbell.services.views import Price
from tests.accounts import PASSWORD

LISTINGS = tuple(simulated_listing(symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
STRATEGIES = (
    StrategySettings("house", "rsi", True, ("ETHUSDT",), "1s"),
    StrategySettings("annas", "rsi", True, ("BTCUSDT",), "1s", owner="anna"),
)
HOST = "http://127.0.0.1:8081"


async def nobody_trades(_trader: str, _event: Any) -> Any:
    """A trader that is away."""
    raise BusError("the trader does not run", do="look at /services")


def settings_of(private: bool = False, **server: Any) -> Settings:
    """Settings of a platform where users sign in; `private`: whose channels may lead to this machine."""
    given = msgspec.structs.replace(Settings().server, **{"sign_in": True, **server})
    return Settings(
        server=given,
        notify=NotifySettings(allow_private=private),
        trading=TradingSettings(strategies=STRATEGIES, user_accounts=3, timeframes=("1s", "1m")),
    )


class Desk:
    """An application, and what stands behind it."""

    def __init__(self, folder: Path, settings: Settings, accounts: Any) -> None:
        plan = make_plan(settings.trading, LISTINGS)
        self.names = Names(plan)
        self.bus = InProcessBus()
        self.bus.declare(*topics(100))
        self.layer = SpeedLayer(self.names)
        self.layer.restore("BTCUSDT", Price(61_600.0, 61_599.0, 61_601.0, 1.0, 1), [])
        self.archive = CandleArchive(SqliteCandleStore(folder / "candles.db"), self.layer)
        self.portfolio = PortfolioService(self.bus, {MAIN: plan}, self.layer.last_price, own=own_accounts(settings))
        self.metrics = Metrics()
        self.database = open_database(folder / "alerts.db")
        self.channels = Channels(self.database, lambda: Sealer(b"k" * 32), settings.notify.allow_private)
        self.owners = Owners(owners_of(settings), user_accounts(settings.trading), accounts)
        calendar = Calendar.of("continuous")
        self.tapes = Tapes(LISTINGS, calendar)
        self.backstage = Backstage(
            self.names, self.bus, self.archive, self._price, self.portfolio, nobody_trades, lambda: "run-1", list, self.metrics,
            self.metrics.text, self.owners, StoredAlerts(AlertStore(self.database), quota=20),
            lambda: self.channels, Answers(Local(self.tapes.symbols, self._readings, self._closes), calendar),
        )  # fmt: skip
        server = settings.server
        self.access = Access(accounts, bool(server.tls_cert or server.proxies), rates_of(settings))
        self.hub = Hub(self.backstage, self.access)
        self.answered: list[tuple[str, int]] = []
        guarded = make_app(self.backstage, self.hub, self.access, server)
        self.app = Front(guarded, Proxies(server.proxies), lambda *answer: self.answered.append(answer))

    def _readings(self) -> Any:
        return *self.tapes.board.readings(self.tapes.board.now), self.tapes.board.now

    def _closes(self, window: int) -> Any:
        return *self.tapes.board.closes(window, self.tapes.board.now), self.tapes.board.now

    async def _price(self, symbol: str) -> Price | None:
        return self.layer.prices.get(symbol)

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx2.AsyncClient:
        """Somebody with a browser at an address."""
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 50_000))
        return httpx2.AsyncClient(transport=transport, base_url=HOST, headers={"X-Requested-With": "test", **headers})

    async def sign_in(self, name: str, address: str = "127.0.0.1", **more: str) -> httpx2.AsyncClient:
        """Somebody who has signed in."""
        client = self.client(address)
        answer = await client.post("/auth/sign-in", json={"name": name, "password": PASSWORD, **more})
        assert answer.status_code == 200, answer.text
        return client


@contextlib.asynccontextmanager
async def desk(folder: Path, accounts: Any, private: bool = False, **server: Any) -> AsyncIterator[Desk]:
    """The application of a platform; with `accounts` None of one where nobody signs in."""
    made = Desk(folder, settings_of(private, sign_in=accounts is not None, **server), accounts)
    try:
        yield made
    finally:
        made.archive.close()
        made.database.close()
        if made.access.rates is not None:
            await made.access.rates.close()
