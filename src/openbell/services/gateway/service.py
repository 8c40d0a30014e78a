"""The gateway service: the routes, the live stream and the page, behind one guard."""

import asyncio
import socket
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response, WebSocket
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

import openbell
from openbell.services.gateway import errors as gateway_errors
from openbell.services.gateway import openapi as gateway_openapi
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.guard import Guard, content_policy
from openbell.services.gateway.market import market_routes
from openbell.services.gateway.server import Server
from openbell.services.gateway.stream import Hub
from openbell.services.gateway.system import system_routes
from openbell.services.gateway.trading import trading_routes
from openbell.services.service import Service

STATIC = Path(openbell.__file__).parent / "web" / "static"
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


def make_app(backstage: Backstage, hub: Hub, hosts: tuple[str, ...] = (), static: Path = STATIC) -> Guard:
    """The application of one platform."""
    app = FastAPI(title="openbell", version=openbell.__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    gateway_errors.install(app)
    for routes in (system_routes(backstage), market_routes(backstage), trading_routes(backstage)):
        app.include_router(routes)
    gateway_openapi.install(app)

    @app.websocket("/ws")
    async def stream(socket: WebSocket) -> None:
        await hub.serve(socket)

    if static.is_dir():
        app.mount("/", Page(directory=static, html=True))
    else:
        app.add_route("/", lambda _: Response(_NO_PAGE, media_type="text/html"))
    return Guard(app, hosts, content_policy(static))


class GatewayService(Service):
    """Serves the platform over HTTP and WebSocket, and its metrics on an address of their own."""

    name = "gateway"

    def __init__(self, backstage: Backstage, opened: socket.socket, metrics: socket.socket | None, hosts: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._backstage = backstage
        self._hub = Hub(backstage)
        app = make_app(backstage, self._hub, hosts)
        self._servers = [Server(self._counted(app), opened)]
        if metrics is not None:
            self._servers.append(Server(Guard(self._metrics, hosts, content_policy(STATIC)), metrics))

    async def run(self) -> None:
        """Serve until cancelled."""
        serving = [asyncio.create_task(server.run_until_stopped()) for server in self._servers]
        try:
            await asyncio.gather(*serving)
        finally:
            for server in self._servers:
                server.should_exit = True
            await asyncio.gather(*serving, return_exceptions=True)

    def _counted(self, app: Guard) -> Any:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return

            async def send_counted(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.processed += 1
                    self._backstage.metrics.requests.labels(scope["method"], message["status"]).inc()
                await send(message)

            await app(scope, receive, send_counted)

        return counted

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
        return f"http://{host}:{port}, {len(self._hub.clients)} watching"
