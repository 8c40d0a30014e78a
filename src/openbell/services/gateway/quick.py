"""A short way to the routes that are asked most: the same handler, the same permission, without what finds and calls handlers in general.

What stands in front of all routes stands in front of this too: ids, hosts, limits, headers, metrics.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Response
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from openbell.services.gateway.access import Needs, needed_by, routes_of
from openbell.services.gateway.errors import answer_to

#: The beginning of the path, and the route: its handler takes the rest of the path and nothing else.
PREFIX, ROUTE = "/price/", "/price/{symbol}"


class Quick:
    """ASGI middleware around `app`, which has the routes of `routed` behind it."""

    def __init__(self, app: ASGIApp, routed: FastAPI) -> None:
        self._app = app
        self._routed = routed
        route = next(route for route in routes_of(routed.routes) if getattr(route, "path", "") == ROUTE)
        needs = needed_by(route)
        assert needs is not None, "a permission or that it needs none"
        assert len(route.dependant.path_params) == 1, "one parameter"
        assert not route.dependant.query_params, "and nothing else"
        self._needs: Needs = needs
        self._answer: Callable[[str], Awaitable[Response]] = route.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        rest = scope["path"][len(PREFIX) :] if scope["type"] == "http" and scope["path"].startswith(PREFIX) else ""
        if not rest or "/" in rest or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        scope["app"] = self._routed
        try:
            await self._needs(HTTPConnection(scope))
            response = await self._answer(rest)
        except Exception as error:  # as of every route: whatever it is becomes an answer
            response = answer_to(error)
        await response(scope, receive, send)
