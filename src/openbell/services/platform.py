"""The whole platform in one process: one plan, one feed, one journal, and the services around them, wired."""

import socket
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.feeds.base import Feed
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.adapters.stores.journal import SqliteJournal
from openbell.config import Settings
from openbell.engine.plan import Plan
from openbell.model.time import MILLISECOND
from openbell.observability import Metrics
from openbell.services.ingest.feed import FeedService
from openbell.services.names import Names
from openbell.services.plans import MAIN, user_accounts
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processor.processor import ProcessorService
from openbell.services.service import Service
from openbell.services.stores import place_of
from openbell.services.supervisor import Supervisor
from openbell.services.topics.names import topics
from openbell.services.trader.asking import LocalAsk
from openbell.services.trader.service import TraderService
from openbell.services.trader.trader import Trader
from openbell.services.views import Price, ServiceView

if TYPE_CHECKING:
    from openbell.services.alerts.local import LocalAlerts
    from openbell.services.analytics.calendar import Calendar
    from openbell.services.analytics.local import LocalAnalytics
    from openbell.services.notifier.local import LocalNotifier

#: Events between two checkpoints of the state: some tens of milliseconds of stepping after a crash.
CHECKPOINT_EVENTS = 50_000


class Platform:
    """Everything but the gateway. Making one recovers the run, compiles what has to be, and may take seconds the very first time."""

    def __init__(
        self, plan: Plan, feed: Feed, journal: SqliteJournal, run: str, candles: Path, created_ns: int, buffer: int = 1000,
        own: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.names = Names(plan)
        self.metrics = Metrics()
        self.journal = journal
        self.bus = InProcessBus()
        self.bus.declare(*topics(buffer))
        trader = Trader.open(journal, run, plan, created_ns=created_ns, checkpoint_events=CHECKPOINT_EVENTS)
        self.processor = ProcessorService(self.bus, self.names, SqliteCandleStore(candles), run)
        self.portfolio = PortfolioService(self.bus, {MAIN: plan}, self.processor.speed_layer.last_price, own=own)
        self.trader = TraderService(self.bus, trader, self.metrics.on_step)
        self.feed = FeedService(self.bus, feed, lambda: trader.cursor)
        self.address = ""
        self.supervisor = Supervisor(self.bus, [self.processor, self.portfolio, self.trader, self.feed])
        self._catch_up()

    def add_gateway(self, opened: socket.socket, metrics: socket.socket | None, settings: Settings) -> None:
        """Serve on sockets that are open already. The gateway starts before the trader, and stops after it."""
        from openbell.services.alerts.access import StoredAlerts
        from openbell.services.analytics.answers import Answers
        from openbell.services.analytics.calendar import Calendar
        from openbell.services.gateway.backstage import Backstage
        from openbell.services.gateway.owners import Owners, owners_of
        from openbell.services.gateway.service import GatewayService

        accounts = None
        if settings.server.sign_in:
            from openbell.services.accounts.opening import open_accounts

            accounts = open_accounts(settings)
        owners = Owners(owners_of(settings), user_accounts(settings.trading), accounts)
        host, port = opened.getsockname()[:2]
        self.address = f"{'https' if settings.server.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        layer = self.processor.speed_layer

        async def price(symbol: str) -> Price | None:
            return layer.prices.get(symbol)

        calendar = Calendar.of(settings.analytics.session)
        alerts, notifier, analytics = self._alerts(settings), self._notifier(settings), self._analytics(calendar)
        backstage = Backstage(
            self.names, self.bus, self.processor.archive, price, self.portfolio, LocalAsk(self.bus, self.trader),
            lambda: self.trader.trader.id, self.views, self.metrics, self.metrics_text, owners, StoredAlerts(alerts.open_store),
            lambda: notifier.channels, Answers(analytics.source, calendar),
        )  # fmt: skip
        gateway = GatewayService(backstage, opened, metrics, settings, accounts)
        serving: list[Service] = [gateway]
        if settings.grpc.enabled and settings.grpc.addr:
            from openbell.services.rpc.opening import serve_all

            serving.append(serve_all(settings, backstage, accounts, self.is_well))
        readers = [self.processor, self.portfolio, analytics, alerts, *serving, notifier]
        self.supervisor = Supervisor(self.bus, [*readers, self.trader, self.feed])

    def _alerts(self, settings: Settings) -> "LocalAlerts":
        """Watches alerts, where somebody has some."""
        from openbell.services.alerts.local import LocalAlerts

        run, candles = self.trader.trader.id, self.processor.archive.store
        began_ns = self.journal.run(run).created_ns
        alerts = LocalAlerts(self.bus, self.names.plan, run, began_ns, place_of(settings.database), candles)
        if alerts.follows:
            for batch in self.journal.batches(run):
                alerts.catch_up(batch)
        else:
            alerts.begin_at(self.trader.trader.seq, self.portfolio.replicas[MAIN])
        return alerts

    def _analytics(self, calendar: "Calendar") -> "LocalAnalytics":
        """Computes what the market does."""
        from openbell.services.analytics.local import LocalAnalytics

        run, store = self.trader.trader.id, self.processor.archive.store
        analytics = LocalAnalytics(self.bus, self.names.plan, run, self.journal.run(run).created_ns, store, calendar)
        if analytics.seq < self.trader.trader.seq:
            for batch in self.journal.batches(run, analytics.seq):
                analytics.catch_up(batch)
        return analytics

    def _notifier(self, settings: Settings) -> "LocalNotifier":
        """Tells people what happens, where somebody wants to hear of it."""
        from openbell.services.notifier.local import LocalNotifier

        notifier = LocalNotifier(self.bus, settings, self.names, self.trader.trader.id, self.views)
        if notifier.follows:
            for batch in self.journal.batches(self.trader.trader.id):
                notifier.catch_up(batch.first_command, batch.commands)
        return notifier

    def _catch_up(self) -> None:
        """Bring the readers of commands to where the run stands, from the journal and the kernel's state."""
        for batch in self.journal.batches(self.trader.trader.id):
            self.portfolio.catch_up(batch.first_command, batch.commands)
            self.processor.catch_up(batch.first_command, batch.commands)
            self.trader.catch_up(batch)
        self._restore_prices()

    def _restore_prices(self) -> None:
        """Latest prices and open candles, as the kernel has them."""
        engine = self.trader.trader.engine
        builders = engine.table("builders")
        for index, record in enumerate(engine.table("instruments")):
            if not record["last_price"] > 0.0:
                continue
            quoted = bool(record["has_quotes"])
            bid, ask = (float(record[name]) if quoted else None for name in ("bid_price", "ask_price"))
            quantity = self.names.units(index, int(record["last_quantity"]))
            price = Price(float(record["last_price"]), bid, ask, quantity, int(record["ts_price"]) // MILLISECOND)
            own = builders[(builders["instrument"] == index) & (builders["end"] > 0)]
            opened = [self.names.open_candle(builder["bars"][builder["slot"]]) for builder in own]
            self.processor.speed_layer.restore(self.names.symbols[index], price, opened)

    def views(self) -> list[ServiceView]:
        """How every service stands."""
        return [service.view() for service in self.supervisor.services]

    def is_well(self) -> bool:
        """Whether every service runs, or has come to its end."""
        return all(service.state in ("running", "done") for service in self.supervisor.services)

    def metrics_text(self) -> bytes:
        """The metrics, with what the services and the kernel count by themselves brought up to date."""
        metrics, head = self.metrics, self.trader.trader.engine.head
        for service in self.supervisor.services:
            metrics.note(service.name, service.state in ("running", "done"), service.processed, service.queue, service.lag_ms)
        for name in ("trades", "quotes", "bars", "signals", "orders", "fills", "denials", "refused", "late"):
            metrics.kernel.labels(name).set(int(head[name]))
        for topic in topics(1):
            count = self.bus.count(topic.name)
            for fate in ("published", "refused", "dropped"):
                metrics.bus.labels(topic.name, fate).set(getattr(count, fate))
        metrics.equity.set(self.portfolio.portfolio().equity)
        return metrics.text()
