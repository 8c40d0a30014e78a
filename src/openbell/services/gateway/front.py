"""What every request meets first: it is given an id and the address it is from, it is counted, and its answer is told in one line.

The id comes from the client where it sends one (X-Request-ID), goes back with the answer, and is in every line of the log that the request
causes, so that the two can be put together. Paths are logged, queries and bodies are not.
"""

import logging
import re
from collections.abc import Callable
from secrets import token_hex
from time import perf_counter

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbell.services.gateway.addresses import Proxies
from openbell.services.gateway.guard import SAFE_METHODS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Characters of a path that are logged.
PATH_MAX = 120
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger("gateway")


class Front:
    """ASGI middleware around the guard. `answered(method, status)` hears of every answer."""

    def __init__(self, app: ASGIApp, proxies: Proxies, answered: Callable[[str, int], None]) -> None:
        self._app = app
        self._proxies = proxies
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell what came of it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("x-request-id", "")
        id, began = wanted if _ID.fullmatch(wanted) else token_hex(8), perf_counter()
        scope.setdefault("state", {})["address"] = self._proxies.address(scope)

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", id.encode())]
                self._tell(scope, message["status"], perf_counter() - began)
            await send(message)

        before = structlog.contextvars.bind_contextvars(request=id)
        try:
            await self._app(scope, receive, send_told if scope["type"] == "http" else send)
        finally:
            structlog.contextvars.reset_contextvars(**before)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._answered(method, status)
        if method not in SAFE_METHODS or status in (401, 403, 429):
            level = logging.INFO
        elif logging.getLogger("gateway").isEnabledFor(logging.DEBUG):
            level = logging.DEBUG
        else:
            return
        state = scope["state"]
        log.log(
            level, "request", method=method, path=path_of(scope), status=status, ms=round(1000 * seconds, 1),
            caller=state.get("caller", ""), address=state["address"],
        )  # fmt: skip


def path_of(scope: Scope) -> str:
    """The path of a request as it came, without its query: percent-encoded, so that it is one line."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("unicode_escape")
    return raw.partition(b"?")[0][:PATH_MAX].decode("latin-1").encode("unicode_escape").decode()
