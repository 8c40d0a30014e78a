"""Routes about the platform itself: health, services, metrics, and where everything is."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from openbell import __version__
from openbell.errors import StorageError
from openbell.services.gateway.access import Access, Anybody, needs
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import json_response
from openbell.services.gateway.openapi import answers
from openbell.services.views import Check, Health, Root, Services, ServiceView

LINKS = {
    "health": "/health", "price": "/price/{symbol}", "candles": "/candles/{symbol}?timeframe=1m", "portfolio": "/portfolio",
    "equity": "/portfolio/equity", "orders": "/orders", "alerts": "/alerts", "channels": "/channels",
    "notifications": "/notifications", "sign_in": "/auth/sign-in",
    "movers": "/analytics/movers", "analytics": "/analytics/{symbol}", "correlations": "/analytics/correlations",
    "anomalies": "/analytics/anomalies", "strategies": "/strategies", "services": "/services", "metrics": "/metrics", "stream": "/ws",
}  # fmt: skip


def system_routes(backstage: Backstage, access: Access) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["system"])

    @routes.get("/health", dependencies=[needs(None)], responses=answers(Health, ok_too=503))
    async def health() -> Response:
        """Whether the platform works; 503 when a part that is needed does not. Where users sign in, what fails is in the log only."""
        checks = {service.name: _check(service) for service in backstage.services()}
        try:
            await backstage.archive.in_thread(backstage.archive.store.check)
            checks["database"] = Check("healthy")
        except (StorageError, RuntimeError) as error:
            checks["database"] = Check("unhealthy", str(error))
        if access.has_accounts:
            checks = {name: Check(check.status) for name, check in checks.items()}
        healthy = all(check.status == "healthy" for check in checks.values())
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_response(Health("healthy" if healthy else "unhealthy", stamp, __version__, checks), 200 if healthy else 503)

    @routes.get("/services", dependencies=[needs("read")], responses=answers(Services))
    async def services() -> Response:
        """How every service stands."""
        return json_response(Services(backstage.services()))

    @routes.get("/api", responses=answers(Root))
    async def api(caller: Anybody) -> Response:
        """Name, version, where everything is, and whether one has to sign in."""
        is_open = access.has_accounts and access.accounts.people.sign_up_open
        return json_response(Root("openbell", __version__, LINKS, "/openapi.json", access.has_accounts, is_open, caller is not None))

    @routes.get(
        "/metrics", dependencies=[needs("admin")], response_class=PlainTextResponse,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}},
    )  # fmt: skip
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(backstage.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _check(service: ServiceView) -> Check:
    return Check("healthy") if service.state in ("running", "done") else Check("unhealthy", service.failure or service.state)
