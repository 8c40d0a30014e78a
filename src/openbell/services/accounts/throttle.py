"""How often a password may be tried: by account, by address, and by both together.

Every try counts before it is looked at, so that many at once are no way around. A stranger who tries somebody's name from one address is
stopped for that address only; from many addresses at once the name itself is closed to new sign-ins for a while, and its sessions and API
keys go on. Counts are kept in this process, or in Redis for all gateways; when Redis does not answer, in this process meanwhile.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any

import limits.errors
import structlog
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from openbell.errors import ThrottledError

if TYPE_CHECKING:
    from openbell.config import RedisSettings

#: Tries of one account from one address, of an address, and of an account from wherever.
PAIR = RateLimitItemPerMinute(5, 5)
ADDRESS = RateLimitItemPerMinute(30, 5)
ACCOUNT = RateLimitItemPerHour(50)
#: New users from an address.
SIGN_UPS = RateLimitItemPerHour(5)
#: Refusals of an address that are written down.
NEWS = RateLimitItemPerMinute(1)

log = structlog.get_logger("accounts")


@dataclass(frozen=True, slots=True)
class Count:
    """One thing that is counted: a limit, and of what."""

    limit: RateLimitItem
    what: tuple[str, ...]


class Throttle:
    """The counts. `shared` keeps them in a Redis server, under names that begin with `prefix`."""

    def __init__(self, shared: RedisSettings | None = None, prefix: str = "") -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._redis = redis_storage(shared, prefix) if shared is not None else None
        self._shared = SlidingWindowCounterRateLimiter(self._redis) if self._redis is not None else None

    async def sign_in(self, name: str, address: str) -> None:
        """Count a try to sign in; ThrottledError when there were too many."""
        await self._count(*_of_sign_in(name, address))

    async def knock(self, address: str) -> None:
        """Count a try with a one-time token; ThrottledError when there were too many."""
        await self._count(Count(ADDRESS, ("address", network(address))))

    async def signed_in(self, name: str, address: str) -> None:
        """The password or the code was right: the tries of this account from this address before it are forgotten."""
        pair = _of_sign_in(name, address)[0]
        await self._own.clear(pair.limit, *pair.what)
        if self._shared is not None:
            try:
                await self._shared.clear(pair.limit, *pair.what)
            except limits.errors.StorageError as error:
                log.warning("counts of sign-ins are out of reach", error=type(error).__name__)

    async def sign_up(self, address: str) -> None:
        """Count a new user; ThrottledError when an address makes too many."""
        await self._count(Count(SIGN_UPS, ("sign up", network(address))))

    async def is_news(self, address: str) -> bool:
        """Whether nothing was written about an address for a minute: one that knocks all the time does not fill the audit log."""
        return await self._own.hit(NEWS, "news", network(address))

    async def close(self) -> None:
        """Let go of the connections."""
        if self._redis is not None:
            server: Any = self._redis.bridge
            await server.get_connection().aclose()

    async def _count(self, *counts: Count) -> None:
        if self._shared is not None:
            try:
                await _hit(self._shared, counts)
                return
            except limits.errors.StorageError as error:
                log.warning("counts of sign-ins are out of reach, this process counts by itself", error=type(error).__name__)
        await _hit(self._own, counts)


def _of_sign_in(name: str, address: str) -> tuple[Count, ...]:
    where = network(address)
    return Count(PAIR, ("pair", name, where)), Count(ADDRESS, ("address", where)), Count(ACCOUNT, ("account", name))


async def _hit(limiter: SlidingWindowCounterRateLimiter, counts: tuple[Count, ...]) -> None:
    for count in counts:
        if not await limiter.hit(count.limit, *count.what):
            ends = (await limiter.get_window_stats(count.limit, *count.what)).reset_time
            wait = max(math.ceil(ends - time()), 1)
            raise ThrottledError("too many tries", "fewer", f"try again in {wait} s", retry_after_s=wait)


@lru_cache(4_096)
def network(address: str) -> str:
    """What of an address is counted: with IPv6 the /64, of which a household or a server has 2^64 addresses.

    >>> network("192.0.2.7"), network("2001:db8:1:2:3:4:5:6")
    ('192.0.2.7', '2001:db8:1:2::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def redis_storage(server: RedisSettings, prefix: str) -> RedisStorage:
    """Counts in a Redis server, under names that begin with `prefix`. Its errors are of `limits.errors.StorageError`."""
    # The password is no part of the address: addresses are shown where something goes wrong.
    options: dict[str, float | str | bool] = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    if server.password:
        options["password"] = server.password
    scheme = "rediss" if server.tls else "redis"
    return RedisStorage(f"async+{scheme}://{server.host}:{server.port}", True, "redispy", f"{prefix}limits", **options)
