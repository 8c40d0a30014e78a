"""Who calls, and what for: every method says which permission it needs, and none is open because somebody forgot.

A program shows an API key (`authorization: Bearer obk_...`). A gateway, which has found out who asks it, vouches for her: it seals her id
with the key that only the services of the platform have, for a minute. Without `server.sign_in` everybody is the user `local`.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from openbell.errors import ForbiddenError, NotSignedInError, StorageError
from openbell.model.time import MINUTE
from openbell.services.accounts.callers import LOCAL, Caller, Permission

if TYPE_CHECKING:
    from openbell.adapters.sealing import Sealer
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.gateway.rates import Rates

#: The permission that each method needs; None: it is open to everybody.
METHODS: dict[str, Permission | None] = {
    "/openbell.v1.AlertsService/CreateAlert": "alerts",
    "/openbell.v1.AlertsService/GetAlerts": "alerts",
    "/openbell.v1.AlertsService/UpdateAlert": "alerts",
    "/openbell.v1.AlertsService/DeleteAlert": "alerts",
    "/openbell.v1.AlertsService/GetTriggers": "alerts",
    "/openbell.v1.AlertsService/StreamTriggers": "alerts",
    "/openbell.v1.MarketDataService/GetPrice": "read",
    "/openbell.v1.MarketDataService/GetCandles": "read",
    "/openbell.v1.MarketDataService/StreamPrices": "read",
    "/openbell.v1.MarketDataService/GetMovers": "read",
    "/openbell.v1.OrdersService/SubmitOrder": "trade",
    "/openbell.v1.OrdersService/CancelOrder": "trade",
    "/openbell.v1.OrdersService/GetOrders": "read",
    "/openbell.v1.OrdersService/StreamOrders": "read",
    "/openbell.v1.PortfolioService/GetPortfolio": "read",
    "/openbell.v1.PortfolioService/GetEquity": "read",
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/Watch": "read",
    "/grpc.health.v1.Health/List": "read",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "read",
}
#: Metadata with a sealed caller, what it is sealed as, and how long (ns) it holds, and may be ahead, since clocks differ.
SEALED, CONTEXT, HOLDS_NS = "openbell-caller-bin", "caller of a gateway", MINUTE

_current: ContextVar[Caller] = ContextVar("caller of this call")


class Vouched(Caller, frozen=True):
    """A caller whom a gateway vouches for."""


def caller() -> Caller:
    """Who calls, within a method that needs a permission."""
    return _current.get()


def seal(sealer: "Sealer", owner: int | None) -> bytes:
    """What a gateway sends for a user whose id is `owner`; None for who may see all."""
    return sealer.seal(msgspec.msgpack.encode((owner, time_ns())), CONTEXT)


class Door:
    """Tells who calls. `accounts` None: nobody signs in, and everybody is the user `local`. `sealer` opens what gateways seal."""

    def __init__(
        self, accounts: "Accounts | None" = None, sealer: "Callable[[], Sealer] | None" = None, rates: "Rates | None" = None
    ) -> None:
        self._accounts = accounts
        self._sealer = sealer
        self._rates = rates

    async def enter(self, method: str, metadata: Mapping[str, str | bytes], peer: str) -> Caller | None:
        """Let a caller in; None for one who need not say who it is. NotSignedInError, ForbiddenError, ThrottledError."""
        needed = METHODS.get(method, "admin")
        found = None
        try:
            found = self._vouched(metadata)
            if found is None and self._rates is not None:
                await self._rates.address(address_of(peer))
            if needed is None:
                return None
            found = found or await self._caller(metadata)
            if found.user_id and self._rates is not None and not isinstance(found, Vouched):
                await self._rates.user(found.user_id)
            found.need(needed)
        except (NotSignedInError, ForbiddenError) as error:
            if self._accounts is not None and (found is not None or "authorization" in metadata or SEALED in metadata):
                await self._accounts.note_refusal(found, f"{method}: {type(error).__name__}", address_of(peer))
            raise
        _current.set(found)
        return found

    async def close(self) -> None:
        """Let go of what counts calls."""
        if self._rates is not None:
            await self._rates.close()

    async def again(self, known: Caller, needed: Permission | None) -> None:
        """That a caller may still listen. NotSignedInError when the key has ended, ForbiddenError when it may less than before."""
        if self._accounts is not None and known.origin and needed is not None:
            (await self._accounts.renewed(known)).need(needed)

    async def _caller(self, metadata: Mapping[str, str | bytes]) -> Caller:
        if self._accounts is None:
            return LOCAL
        scheme, _, key = str(metadata.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedInError("nobody is signed in", "an API key", "send the metadata authorization: Bearer obk_...")
        return await self._accounts.by_key(key.strip())

    def _vouched(self, metadata: Mapping[str, str | bytes]) -> Caller | None:
        sealed = metadata.get(SEALED)
        if self._accounts is None or self._sealer is None or not isinstance(sealed, bytes):
            return None
        try:
            owner, at = msgspec.msgpack.decode(self._sealer().open(sealed, CONTEXT), type=tuple[int | None, int])
        except (StorageError, msgspec.DecodeError):
            raise NotSignedInError("what vouches for the caller was not sealed by this platform", "the same secrets everywhere") from None
        if abs(time_ns() - at) > HOLDS_NS:
            raise NotSignedInError("what vouches for the caller is too old", "clocks that agree to a minute") from None
        if owner is None:
            return Vouched(0, LOCAL.name, LOCAL.role, LOCAL.scopes, "ticket")
        return Vouched(owner, f"user {owner}", "viewer", frozenset[Permission]({"read", "alerts"}), "ticket")


def address_of(peer: str) -> str:
    """The address of a client, as gRPC writes it.

    >>> address_of("ipv4:192.0.2.7:53012"), address_of("ipv6:%5B2001:db8::7%5D:53012"), address_of("unix:/run/a")
    ('192.0.2.7', '2001:db8::7', '')
    """
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
