"""The guard in front of the gateway: who may ask, from which page, and the headers every answer carries.

A browser that may reach the gateway visits other sites too. So a request under a foreign host name (DNS rebinding), a change asked for by
another site's page, and a WebSocket opened by one are refused before anything else sees them, but for sites that the settings name.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbell.services.gateway.errors import problem_response

#: Names and addresses under which only this machine is meant.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
#: Longest body of a request, in bytes.
BODY_MAX = 64 * 1024
#: Seconds for which a browser comes by TLS only: two years.
HSTS_S = 2 * 365 * 86_400
_POLICY_VIOLATION = 1008
_NOT_KEPT = (b"cache-control", b"no-store")


def content_policy(static: Path) -> str:
    """The Content-Security-Policy: nothing from elsewhere; inline scripts and styles by the hashes that the page's build wrote."""
    hashes: dict[str, list[str]] = {}
    if (static / "csp.json").is_file():
        hashes = json.loads((static / "csp.json").read_text(encoding="utf-8"))
    scripts, styles = (" ".join(["'self'", *hashes.get(kind, [])]) for kind in ("script-src", "style-src"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Guard:
    """ASGI middleware around the whole application. `origins` are other sites that may ask; `safe`: browsers are to come by TLS only."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], policy: str, origins: tuple[str, ...] = (), safe: bool = False) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = {host.lower() for host in (*LOOPBACK, *hosts)}
        headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
            **({"Strict-Transport-Security": f"max-age={HSTS_S}"} if safe else {}),
        }
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the headers."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal:
                await receive()
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal[1]})
            else:
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = [pair for pair in message["headers"] if pair[0] not in self._names] + self._headers
                message["headers"] = found if any(name == b"cache-control" for name, _ in found) else [*found, _NOT_KEPT]
            await send(message)

        answer: Any = problem_response(*refusal) if refusal else self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and the reason to refuse a request, or None."""
        host = headers.get("host", "").lower()
        if _name_of(host) not in self._hosts:
            return 400, "The Host header does not name this platform. Use its own address, or add the name to server.allowed_hosts."
        if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
            origin = headers.get("origin")
            is_foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
            if (is_foreign or (origin is not None and urlsplit(origin).netloc.lower() != host)) and origin not in self._origins:
                return 403, "Requests that change something are taken from the platform's own page only, not from other sites."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_MAX or "transfer-encoding" in headers:
            return 413, f"A request's body has at most {BODY_MAX} bytes, and says how many."
        return None


def _name_of(host: str) -> str:
    """The host without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
