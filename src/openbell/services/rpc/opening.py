"""The gRPC server of each kind of process, with what it serves, and the way of a gateway to the alerts service."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from openbell.adapters.stores.alerts import AlertStore
from openbell.config import Settings
from openbell.proto.v1 import (
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    market_service_pb2,
    market_service_pb2_grpc,
    orders_service_pb2,
    orders_service_pb2_grpc,
    portfolio_service_pb2,
    portfolio_service_pb2_grpc,
)
from openbell.services.accounts.callers import Caller
from openbell.services.accounts.opening import open_accounts
from openbell.services.alerts.access import Alerts, StoredAlerts
from openbell.services.alerts.callers import CallerAlerts
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.owners import Owners, owners_of
from openbell.services.gateway.server import is_loopback
from openbell.services.plans import user_accounts
from openbell.services.rpc.alerts import AlertsServicer
from openbell.services.rpc.alerts_client import AlertsClient
from openbell.services.rpc.callers import Door, Vouched, seal
from openbell.services.rpc.market import MarketDataServicer
from openbell.services.rpc.orders import OrdersServicer
from openbell.services.rpc.places import channel_to, check_certificates
from openbell.services.rpc.portfolio import PortfolioServicer
from openbell.services.rpc.server import Offered, RpcService
from openbell.services.service import Service
from openbell.services.stores import sealer_of

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.gateway.rates import Rates
    from openbell.services.processes.process import Process


def serve_alerts(process: "Process", store: AlertStore) -> list[Service]:
    """The server of an alerts process, on `grpc.alerts_addr`, where there is one."""
    settings = process.settings
    if not settings.grpc.alerts_addr:
        return []
    accounts = open_accounts(settings) if settings.server.sign_in else None
    door = Door(accounts, None, _rates(settings))
    if accounts is not None:
        process.stack.push_async_callback(accounts.close)
        sealer = sealer_of(settings)
        door = Door(accounts, lambda: sealer, _rates(settings))
    owners = Owners(owners_of(settings), user_accounts(settings.trading), accounts)
    symbols = {listing.symbol for listing in process.listings}
    offered = [offer_alerts(StoredAlerts(store), symbols, owners, accounts)]
    return [RpcService("alerts_addr", settings, door, offered, process.metrics, process.is_well)]


def serve_all(settings: Settings, backstage: Backstage, accounts: "Accounts | None", healthy: Callable[[], bool]) -> RpcService:
    """The server of a gateway, or of the platform in one process, on `grpc.addr`."""
    offered = [
        Offered(
            market_service_pb2.DESCRIPTOR.services_by_name["MarketDataService"],
            market_service_pb2_grpc.add_MarketDataServiceServicer_to_server, MarketDataServicer(backstage),
        ),
        Offered(
            orders_service_pb2.DESCRIPTOR.services_by_name["OrdersService"],
            orders_service_pb2_grpc.add_OrdersServiceServicer_to_server, OrdersServicer(backstage),
        ),
        Offered(
            portfolio_service_pb2.DESCRIPTOR.services_by_name["PortfolioService"],
            portfolio_service_pb2_grpc.add_PortfolioServiceServicer_to_server, PortfolioServicer(backstage),
        ),
    ]  # fmt: skip
    if backstage.alerts is not None:
        offered.append(offer_alerts(backstage.alerts, backstage.names.instruments, backstage.owners, accounts))
    return RpcService("addr", settings, Door(accounts, None, _rates(settings)), offered, backstage.metrics, healthy)


def offer_alerts(alerts: Alerts, symbols: Collection[str], owners: Owners, accounts: "Accounts | None") -> Offered:
    """AlertsService over alerts, of this process or of another."""

    async def visible(caller: Caller) -> frozenset[str] | None:
        """The gateway that vouches for a caller has looked."""
        return None if isinstance(caller, Vouched) else await owners.visible(caller)

    return Offered(
        alerts_service_pb2.DESCRIPTOR.services_by_name["AlertsService"],
        alerts_service_pb2_grpc.add_AlertsServiceServicer_to_server,
        AlertsServicer(CallerAlerts(alerts, symbols, visible, accounts)),
    )


def alerts_client(settings: Settings) -> AlertsClient:
    """The way of a gateway to the alerts service, at `grpc.alerts_addr`. ConfigError for settings that make no sense together."""
    check_certificates(settings.grpc)
    sealer = sealer_of(settings) if settings.server.sign_in else None
    vouch = None if sealer is None else lambda owner: seal(sealer, owner)
    return AlertsClient(lambda: channel_to(settings.grpc.alerts_addr, settings.grpc), vouch)


def _rates(settings: Settings) -> "Rates | None":
    """How often may be asked; None where only this machine can ask, and nobody signs in."""
    if not settings.server.sign_in and is_loopback(settings.server.host):
        return None
    from openbell.services.gateway.rates import Rates

    return Rates(settings.server, settings.redis if settings.bus.control == "redis" else None, settings.bus.namespace)
