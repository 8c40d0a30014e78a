"""Who asks, and what for: every route says which permission it needs, and none is open because somebody forgot.

A caller shows an API key (`Authorization: Bearer obk_...`), or a browser the cookie of a session. A page of another site can make a browser
send the cookie too: so whoever changes something with it has to send the header X-Requested-With as well, which such a page cannot.
Without `server.sign_in` everybody is the user `local`.
"""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from openbell.errors import AccountError, ForbiddenError, NotSignedInError
from openbell.services.accounts.callers import LOCAL, Caller, Permission
from openbell.services.gateway.front import path_of
from openbell.services.gateway.guard import SAFE_METHODS

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.gateway.rates import Rates

#: The cookie of a session: where the way is safe the browser sees to it that only this host sets and gets it.
COOKIE, PLAIN_COOKIE = "__Host-openbell", "openbell"
#: How long (seconds) a browser keeps it; the session may end sooner.
COOKIE_S = 12 * 3600
#: What a WebSocket offers besides its ticket, `ticket.<ticket>`, and is given.
PROTOCOL, TICKET = "openbell.v1", "ticket."


class Access:
    """Tells who asks. `accounts` None: nobody signs in, and everybody is the user `local`. `safe`: the way to the browser is encrypted."""

    def __init__(self, accounts: "Accounts | None" = None, safe: bool = False, rates: "Rates | None" = None) -> None:
        self._accounts = accounts
        self.is_safe = safe
        self.cookie = COOKIE if safe else PLAIN_COOKIE
        self.rates = rates

    @property
    def accounts(self) -> "Accounts":
        """The accounts; ForbiddenError where there are none."""
        if self._accounts is None:
            raise ForbiddenError("there are no accounts here", "a platform where users sign in", "set server.sign_in")
        return self._accounts

    @property
    def has_accounts(self) -> bool:
        """Whether users sign in."""
        return self._accounts is not None

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Who asks; None for nobody. NotSignedInError for a token that does not hold, ForbiddenError for a cookie without the header."""
        if self._accounts is None:
            return LOCAL
        if (shown := connection.headers.get("authorization")) is not None:
            scheme, _, key = shown.partition(" ")
            if scheme.lower() != "bearer":
                raise NotSignedInError("nobody is signed in", "a session, or an API key", "sign in")
            return await self._accounts.by_key(key.strip())
        if connection.scope["type"] == "websocket" and (ticket := _ticket(connection)):
            return await self._accounts.by_ticket(ticket)
        if token := connection.cookies.get(self.cookie):
            caller = await self._accounts.by_session(token)
            if connection.scope.get("method", "GET") not in SAFE_METHODS and "x-requested-with" not in connection.headers:
                raise ForbiddenError("the header X-Requested-With is missing", "it, whenever a cookie says who asks", "send it")
            return caller
        return None

    def sign_in(self, response: Response, token: str) -> None:
        """Give the browser its session."""
        response.set_cookie(self.cookie, token, max_age=COOKIE_S, path="/", secure=self.is_safe, httponly=True, samesite="strict")

    def sign_out(self, response: Response) -> None:
        """Take it back."""
        response.delete_cookie(self.cookie, path="/", secure=self.is_safe, httponly=True, samesite="strict")


class Needs:
    """What a route needs: a permission, or with None nothing at all; the caller is then who asks, if anybody does."""

    def __init__(self, permission: Permission | None) -> None:
        self.permission = permission

    async def __call__(self, connection: HTTPConnection) -> Caller | None:
        """The caller. Errors as of `Access.caller` and `Caller.need`, ThrottledError for a user who asks too often."""
        access: Access = connection.app.state.access
        caller = None
        try:
            caller = await access.caller(connection)
            connection.state.caller = "" if caller is None else caller.name
            if caller is not None and caller.user_id and access.rates is not None:
                connection.state.room = await access.rates.user(caller.user_id)
            if self.permission is not None:
                if caller is None:
                    raise NotSignedInError("nobody is signed in", "a session, or an API key", "sign in")
                caller.need(self.permission)
        except (NotSignedInError, ForbiddenError) as error:
            if self.permission is None:
                return None
            await _note(access, caller, connection, error)
            raise
        return caller


def needs(permission: Permission | None) -> Any:
    """The dependency of a route that needs a permission, or with None says that it is open to everybody."""
    return Depends(Needs(permission))


Anybody = Annotated[Caller | None, needs(None)]
Reader = Annotated[Caller, needs("read")]
Watcher = Annotated[Caller, needs("alerts")]
Dealer = Annotated[Caller, needs("trade")]
Administrator = Annotated[Caller, needs("admin")]


def needed_by(route: BaseRoute) -> Needs | None:
    """What a route says that it needs; None when it says nothing."""
    dependant = getattr(route, "dependant", None)
    found = [one.call for one in dependant.dependencies if isinstance(one.call, Needs)] if dependant is not None else []
    return found[0] if len(found) == 1 else None


def routes_of(routes: list[BaseRoute]) -> list[Any]:
    """All routes of an application but the page's files, also those of included routers."""
    found: list[Any] = []
    for route in routes:
        included = getattr(route, "original_router", None)
        found += routes_of(included.routes) if included is not None else [] if isinstance(route, Mount) else [route]
    return found


def check_routes(routes: list[BaseRoute]) -> None:
    """That every route says what it needs."""
    silent = [route.path for route in routes_of(routes) if needed_by(route) is None]
    assert not silent, f"routes that do not say what they need: {silent}"


async def _note(access: Access, caller: Caller | None, connection: HTTPConnection, error: AccountError) -> None:
    """A refusal is written down; that somebody has not signed in yet is none."""
    if access.has_accounts and (caller is not None or _shows_something(access, connection)):
        what = f"{connection.scope.get('method', 'WS')} {path_of(connection.scope)}: {type(error).__name__}"
        await access.accounts.note_refusal(caller, what, connection.state.address)


def _shows_something(access: Access, connection: HTTPConnection) -> bool:
    return "authorization" in connection.headers or access.cookie in connection.cookies or bool(_ticket(connection))


def _ticket(connection: HTTPConnection) -> str:
    offered = [name.strip() for name in connection.headers.get("sec-websocket-protocol", "").split(",")]
    return next((name.removeprefix(TICKET) for name in offered if name.startswith(TICKET)), "")
