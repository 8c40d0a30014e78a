"""How a process stands, over HTTP on its metrics address: GET /health, /services and /metrics."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from openbell import __version__
from openbell.services.service import Service
from openbell.services.views import Check

if TYPE_CHECKING:
    from openbell.services.processes.process import Process


class ProcessHealth(msgspec.Struct):
    """Whether a process works, and how far each of its services is."""

    status: str
    timestamp: str
    version: str
    process: str
    checks: dict[str, Check]
    progress: dict[str, dict[str, int]]


class StatusService(Service):
    """Answers for one process."""

    name = "status"

    def __init__(self, process: Process, opened: socket.socket) -> None:
        super().__init__()
        self._process = process
        self._opened = opened

    async def run(self) -> None:
        """Serve until cancelled."""
        from openbell.services.gateway.guard import Guard
        from openbell.services.gateway.server import Server

        server = Server(Guard(self._answer, self._process.settings.server.allowed_hosts, "default-src 'none'"), self._opened)
        try:
            await server.run_until_stopped()
        finally:
            server.should_exit = True

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = Response(b'{"detail":"GET /health, /services or /metrics"}', 404, media_type="application/json")
        if scope["method"] == "GET" and scope["path"] == "/health":
            health = self.health()
            answer = Response(msgspec.json.encode(health), 200 if health.status == "healthy" else 503, media_type="application/json")
        elif scope["method"] == "GET" and scope["path"] == "/services":
            answer = Response(msgspec.json.encode({"services": self._process.views()}), media_type="application/json")
        elif scope["method"] == "GET" and scope["path"] == "/metrics":
            answer = Response(self._process.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")
        await answer(scope, receive, send)

    def health(self) -> ProcessHealth:
        """Every service has to run, or to have come to its end."""
        services = self._process.supervisor.services
        checks = {
            service.name: Check("healthy", service.detail) if service.state in ("running", "done") else Check("unhealthy", service.failure)
            for service in services
        }
        progress = {service.name: told for service in services if (told := service.progress())}
        healthy = all(check.status == "healthy" for check in checks.values())
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return ProcessHealth("healthy" if healthy else "unhealthy", stamp, __version__, self._process.name, checks, progress)
