"""The gateway service: the routes, the live stream and the page, behind one guard."""

import asyncio
import gc
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI, Response, WebSocket
from prometheus_client import Counter
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import openbell
from openbell.config import ServerSettings, Settings
from openbell.services.gateway import errors as gateway_errors
from openbell.services.gateway import openapi as gateway_openapi
from openbell.services.gateway.access import Access, Reader, check_routes
from openbell.services.gateway.addresses import Proxies
from openbell.services.gateway.alerts import alert_routes
from openbell.services.gateway.auth import auth_routes
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.front import Front
from openbell.services.gateway.guard import Guard, content_policy
from openbell.services.gateway.market import market_routes
from openbell.services.gateway.notifications import notification_routes
from openbell.services.gateway.people import people_routes
from openbell.services.gateway.quick import Quick
from openbell.services.gateway.server import Server, is_loopback, raise_file_limit, tls_context
from openbell.services.gateway.stream import Hub
from openbell.services.gateway.system import system_routes
from openbell.services.gateway.trading import trading_routes
from openbell.services.service import Service

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.gateway.rates import Rates

STATIC = Path(openbell.__file__).parent / "web" / "static"
#: What pages of other sites may send and read, where the settings name them.
CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID", "X-Requested-With")
CORS_EXPOSED = ("ETag", "Link", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-ID")
SECRET_PATHS = ("/auth", "/keys", "/profile", "/users")
#: A thousand candles take 1 ms, and a sixth of their size.
GZIP_LEVEL = 4
#: Built files whose name holds their content's hash.
_HASHED = "/_next/static/"
_NO_PAGE = "<!doctype html><title>openbell</title><p>The web page is not built; run <code>make setup</code>. The API is at /api.</p>"


class Page(StaticFiles):
    """The built page; files that never change may be kept, all others are asked for anew."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """A file with its Cache-Control."""
        response = super().file_response(*arguments, **options)
        scope: Scope = arguments[2]
        forever = _HASHED in scope["path"]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if forever else "no-cache"
        return response


def make_app(backstage: Backstage, hub: Hub, access: Access, settings: ServerSettings, static: Path = STATIC) -> ASGIApp:
    """The application of one platform, behind its guard."""
    app = FastAPI(title="openbell", version=openbell.__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.access = access
    gateway_errors.install(app)
    for routes in (
        system_routes(backstage, access), market_routes(backstage), trading_routes(backstage), alert_routes(backstage, access),
        notification_routes(backstage), auth_routes(access), people_routes(access),
    ):  # fmt: skip
        app.include_router(routes)
    gateway_openapi.install(app)

    @app.websocket("/ws")
    async def stream(socket: WebSocket, caller: Reader) -> None:
        await hub.serve(socket, caller)

    check_routes(app.routes)
    if static.is_dir():
        app.mount("/", Page(directory=static, html=True))
    else:
        app.add_route("/", lambda _: Response(_NO_PAGE, media_type="text/html"))
    answering: ASGIApp = Quick(Compressed(app), app)
    if settings.cors_origins:
        answering = CORSMiddleware(
            answering, settings.cors_origins, CORS_METHODS, CORS_HEADERS, allow_credentials=True, expose_headers=CORS_EXPOSED
        )
    if access.rates is not None:
        from openbell.services.gateway.rates import Paced

        answering = Paced(answering, access.rates)
    return Guard(answering, settings.allowed_hosts, content_policy(static), settings.cors_origins, access.is_safe)


class Compressed:
    """ASGI middleware: gzip for what is read and larger than a kilobyte. Never where secrets are shown: their size would tell of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=1_000, compresslevel=GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        is_plain = scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith(SECRET_PATHS)
        await (self._app if is_plain else self._gzip)(scope, receive, send)


def rates_of(settings: Settings) -> "Rates | None":
    """How often may be asked; None where only this machine can ask, and nobody signs in."""
    if not settings.server.sign_in and is_loopback(settings.server.host):
        return None
    from openbell.services.gateway.rates import Rates

    shared = settings.redis if settings.bus.control == "redis" else None
    return Rates(settings.server, shared, settings.bus.namespace)


#: Open files that clients of the stream leave to everything else.
FILES_OF_OTHERS = 1_000

log = structlog.get_logger("gateway")


class GatewayService(Service):
    """Serves the platform over HTTP and WebSocket, and its metrics on an address of their own."""

    name = "gateway"

    def __init__(
        self,
        backstage: Backstage,
        opened: socket.socket,
        metrics: socket.socket | None,
        settings: Settings,
        accounts: "Accounts | None" = None,
    ) -> None:
        super().__init__()
        server = settings.server
        self._backstage = backstage
        self._answered: dict[tuple[str, int], Counter] = {}
        self._accounts = accounts
        self._access = Access(accounts, bool(server.tls_cert or server.proxies), rates_of(settings))
        self._hub = Hub(backstage, self._access, server.stream_clients)
        app = make_app(backstage, self._hub, self._access, server)
        self._servers = [Server(Front(app, Proxies(server.proxies), self._count), opened, tls_context(server))]
        if metrics is not None:
            self._servers.append(Server(Guard(self._metrics, server.allowed_hosts, content_policy(STATIC)), metrics))

    async def start(self) -> None:
        """Connections are open files: the stream leaves enough of them to everything else."""
        gc.freeze()  # what is there by now stays, and a look through all of it would hold every answer up for tens of milliseconds
        files, wanted = raise_file_limit(), self._hub.most
        self._hub.most = max(min(wanted, files - FILES_OF_OTHERS), min(wanted, files // 2))
        if self._hub.most < wanted:
            log.warning(
                "fewer clients of the stream than the settings allow", clients=self._hub.most, stream_clients=wanted, open_files=files,
                do="raise the limit of open files (ulimit -n, LimitNOFILE)",
            )  # fmt: skip

    async def run(self) -> None:
        """Serve until cancelled."""
        serving = [asyncio.create_task(server.run_until_stopped()) for server in self._servers]
        try:
            await asyncio.gather(*serving)
        finally:
            for server in self._servers:
                server.should_exit = True
            await asyncio.gather(*serving, return_exceptions=True)

    async def stop(self) -> None:
        """Let go of the accounts, and of what counts requests."""
        if self._access.rates is not None:
            await self._access.rates.close()
        if self._accounts is not None:
            await self._accounts.close()

    def _count(self, method: str, status: int) -> None:
        self.processed += 1
        if (method, status) not in self._answered:
            self._answered[method, status] = self._backstage.metrics.requests.labels(method, status)
        self._answered[method, status].inc()

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The metrics alone."""
        if scope["type"] == "http" and scope["path"] == "/metrics" and scope["method"] == "GET":
            self._backstage.metrics.clients.set(len(self._hub.clients))
            answer = Response(self._backstage.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")
        else:
            answer = gateway_errors.problem_response(404, "Only GET /metrics is here.")
        await answer(scope, receive, send)

    @property
    def detail(self) -> str:
        """Where it listens, and for how many."""
        host, port = self._servers[0].opened.getsockname()[:2]
        scheme = "https" if self._servers[0].is_safe else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}, {len(self._hub.clients)} watching"
