"""How often users and addresses may ask: counts in fixed windows, in this process or in Redis for all gateways.

A window begins when the clock says so, the same for everybody; around its border twice as much is let through, which the limits, made
for floods and not for fairness, can bear. When Redis does not answer, this process counts by itself for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import limits.errors
import structlog
from limits import RateLimitItem
from limits import parse as parse_limit
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbell.errors import ThrottledError
from openbell.services.accounts.throttle import network, redis_storage
from openbell.services.gateway.errors import response_to

if TYPE_CHECKING:
    from openbell.config import RedisSettings, ServerSettings

_TRY_AGAIN_LATER = 1013
#: How long (seconds) Redis is left alone after it did not answer.
REST_S = 5.0

log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Room:
    """What a limit leaves: of `limit` requests `remaining`, and `reset_s` seconds until all of them are there again."""

    limit: int
    remaining: int
    reset_s: int


class Rates:
    """The counts. `shared` keeps them in a Redis server, under names that begin with `prefix`."""

    def __init__(self, settings: ServerSettings, shared: RedisSettings | None = None, prefix: str = "") -> None:
        self._user, self._address = _limit(settings.rate_limit), _limit(settings.rate_limit_address)
        self._own: dict[int, tuple[int, dict[str, int]]] = {}
        self._shared = redis_storage(shared, prefix) if shared is not None else None
        self._rests_until = 0.0

    async def user(self, user_id: int) -> Room | None:
        """Count a request of a user; None without a limit. ThrottledError when it is one too many."""
        return await self._count(self._user, f"user:{user_id}")

    async def address(self, address: str) -> Room | None:
        """Count a request of an address (of IPv6 the /64)."""
        return await self._count(self._address, f"address:{network(address)}")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._shared is not None:
            server: Any = self._shared.bridge
            await server.get_connection().aclose()

    async def _count(self, limit: RateLimitItem | None, who: str) -> Room | None:
        if limit is None:
            return None
        period, now = limit.get_expiry(), time()
        window = int(now // period)
        count = await self._count_shared(f"rate/{who}/{limit.amount}/{period}/{window}", period) or self._count_own(who, period, window)
        room = Room(limit.amount, max(limit.amount - count, 0), int(period - now % period) + 1)
        if count > limit.amount:
            raise ThrottledError("too many requests", f"at most {limit}", f"try again in {room.reset_s} s", retry_after_s=room.reset_s)
        return room

    async def _count_shared(self, key: str, period: int) -> int:
        """The count in Redis; 0 where there is none."""
        if self._shared is not None and monotonic() >= self._rests_until:
            try:
                return await self._shared.incr(key, period)
            except limits.errors.StorageError as error:
                self._rests_until = monotonic() + REST_S
                log.warning("counts of requests are out of reach, this process counts by itself", error=type(error).__name__)
        return 0

    def _count_own(self, who: str, period: int, window: int) -> int:
        """The count in this process; of each period the counts of one window are kept."""
        if period not in self._own or self._own[period][0] != window:
            self._own[period] = window, {}
        counts = self._own[period][1]
        counts[who] = counts.get(who, 0) + 1
        return counts[who]


class Paced:
    """ASGI middleware: every request of an address counts, whoever sends it, and its answer says what is left."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = scope["state"]

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start" and (room := state.get("room")):
                left = ((b"limit", room.limit), (b"remaining", room.remaining), (b"reset", room.reset_s))
                message["headers"] = [*message["headers"], *((b"ratelimit-" + name, b"%d" % number) for name, number in left)]
            await send(message)

        try:
            state["room"] = await self._rates.address(state["address"])
        except ThrottledError as error:
            if scope["type"] == "http":
                await response_to(error)(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": str(error)})
            return
        await self._app(scope, receive, send_told if scope["type"] == "http" else send)


def _limit(text: str) -> RateLimitItem | None:
    return None if text == "off" else parse_limit(text)
