"""Routes about who asks: signing up, in and out, the password, the second factor, the sessions, and tickets for WebSockets."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request, Response

from openbell.errors import CodeNeededError, ForbiddenError, NotSignedInError, UnknownNameError, UsageError
from openbell.model.time import MILLISECOND
from openbell.services.accounts.callers import PERMISSIONS, Caller
from openbell.services.gateway.access import Access, Anybody, Reader
from openbell.services.gateway.account_records import (
    CodeGiven,
    FactorView,
    FirstPassword,
    PasswordChange,
    ProfileView,
    Proof,
    RecoveryCodes,
    RecoveryLeft,
    SignedInView,
    SignedInViews,
    SignIn,
    SignUp,
    TicketView,
    WhoView,
)
from openbell.services.gateway.bodies import body_of, json_response
from openbell.services.gateway.openapi import NOTHING, answers, takes
from openbell.services.gateway.people import HexId, profile_view

#: Seconds within which a ticket has to be used.
TICKET_S = 30


def auth_routes(access: Access) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(prefix="/auth", tags=["sign-in"])

    @routes.post("/sign-up", status_code=201, responses=answers(ProfileView, 400, 422, ok=201), openapi_extra=takes(SignUp))
    async def sign_up(request: Request, _: Anybody) -> Response:
        """A new user with the role viewer, where the platform is open for that."""
        accounts, wanted = access.accounts, await body_of(request, SignUp)
        made = await accounts.sign_up(
            wanted.name, wanted.password, email=wanted.email, display_name=wanted.display_name, address=request.state.address
        )
        return json_response(profile_view(made), 201)

    @routes.post("/sign-in", responses=answers(WhoView, 400, 422), openapi_extra=takes(SignIn))
    async def sign_in(request: Request, _: Anybody) -> Response:
        """Begin a session: a cookie is set. 401 with the type /problems/code-needed asks for the code of the second factor."""
        accounts, given = access.accounts, await body_of(request, SignIn)
        token, caller = await accounts.sign_in(given.name, given.password, given.code, request.state.address)
        response = json_response(_who(caller, access))
        access.sign_in(response, token)
        return response

    @routes.post("/first-password", status_code=204, responses=answers(NOTHING, 400, 422, ok=204), openapi_extra=takes(FirstPassword))
    async def first_password(request: Request, _: Anybody) -> Response:
        """Set a password with the one-time token that an administrator gave."""
        accounts, given = access.accounts, await body_of(request, FirstPassword)
        with _proving():
            await accounts.own.first_password(given.token, given.password, request.state.address)
        return Response(status_code=204)

    @routes.post("/sign-out", status_code=204, responses=answers(NOTHING, ok=204))
    async def sign_out(request: Request, caller: Reader) -> Response:
        """End the session; its cookie is taken back."""
        await access.accounts.sign_out(caller, request.state.address)
        response = Response(status_code=204)
        access.sign_out(response)
        return response

    @routes.get("/session", responses=answers(WhoView))
    async def session(caller: Anybody) -> Response:
        """Who asks, and what she may do."""
        if caller is None:
            raise NotSignedInError("nobody is signed in", "a session, or an API key", "sign in")
        return json_response(_who(caller, access))

    @routes.get("/sessions", responses=answers(SignedInViews))
    async def sessions(caller: Reader) -> Response:
        """The sessions of the caller, newest first."""
        rows = await access.accounts.own.sessions(caller)
        found = [
            SignedInView(row.id, row.created // MILLISECOND, row.used // MILLISECOND, row.address, caller.origin == f"session:{row.id}")
            for row in rows
        ]
        return json_response(SignedInViews(found))

    @routes.delete("/sessions/{id}", status_code=204, responses=answers(NOTHING, 404, 422, ok=204))
    async def end_session(request: Request, id: HexId, caller: Reader) -> Response:
        """Sign out of one session of the caller's, such as that of a lost telephone."""
        if not await access.accounts.own.end_session(caller, id, request.state.address):
            raise UnknownNameError(f"there is no session '{id}'", do="look at /auth/sessions")
        return Response(status_code=204)

    @routes.post("/step-up", responses=answers(WhoView, 400, 422), openapi_extra=takes(Proof))
    async def step_up(request: Request, caller: Reader) -> Response:
        """Prove that it is still the same person, by the code or the password: what changes who may do what asks for it."""
        accounts, given = access.accounts, await body_of(request, Proof)
        with _proving():
            await accounts.own.step_up(caller, password=given.password, code=given.code, address=request.state.address)
        return json_response(_who(await access.caller(request) or caller, access))

    @routes.post("/password", status_code=204, responses=answers(NOTHING, 400, 422, ok=204), openapi_extra=takes(PasswordChange))
    async def password(request: Request, caller: Reader) -> Response:
        """Another password; every other session of the user ends."""
        accounts, given = access.accounts, await body_of(request, PasswordChange)
        with _proving():
            await accounts.own.change_password(caller, given.old, given.new, request.state.address)
        return Response(status_code=204)

    @routes.post("/totp/begin", responses=answers(FactorView, 422))
    async def begin_totp(caller: Reader) -> Response:
        """A secret for the user's authenticator. It holds once a code of it was confirmed. Needs a step-up."""
        made = await access.accounts.second_factor.begin(caller)
        return json_response(FactorView(made.secret, made.uri))

    @routes.post("/totp/confirm", status_code=204, responses=answers(NOTHING, 400, 422, ok=204), openapi_extra=takes(CodeGiven))
    async def confirm_totp(request: Request, caller: Reader) -> Response:
        """The second factor is asked for from now on; every other session of the user ends. Needs a step-up."""
        accounts, given = access.accounts, await body_of(request, CodeGiven)
        await accounts.second_factor.confirm(caller, given.code, request.state.address)
        return Response(status_code=204)

    @routes.post("/totp/off", status_code=204, responses=answers(NOTHING, 400, 422, ok=204), openapi_extra=takes(CodeGiven))
    async def remove_totp(request: Request, caller: Reader) -> Response:
        """No second factor from now on; every other session of the user ends. Needs a step-up."""
        accounts, given = access.accounts, await body_of(request, CodeGiven)
        if caller.via == "session" and not caller.second_factor:
            raise UsageError("there is no second factor", "one to take away")
        with _proving():
            await accounts.second_factor.remove(caller, given.code, request.state.address)
        return Response(status_code=204)

    @routes.get("/recovery-codes", responses=answers(RecoveryLeft))
    async def recovery_codes_left(caller: Reader) -> Response:
        """How many recovery codes of the caller still hold."""
        return json_response(RecoveryLeft(await access.accounts.second_factor.recovery_codes_left(caller)))

    @routes.post("/recovery-codes", responses=answers(RecoveryCodes, 422))
    async def new_recovery_codes(request: Request, caller: Reader) -> Response:
        """Ten recovery codes for who loses the authenticator, in place of all older ones; they are shown once. Needs a step-up."""
        return json_response(RecoveryCodes(await access.accounts.second_factor.new_recovery_codes(caller, request.state.address)))

    @routes.post("/ticket", responses=answers(TicketView))
    async def ticket(caller: Reader) -> Response:
        """A ticket for one WebSocket within 30 seconds, for programs that cannot send a header there."""
        return json_response(TicketView(await access.accounts.ticket(caller), TICKET_S))

    return routes


def _who(caller: Caller, access: Access) -> WhoView:
    permissions = [one for one in PERMISSIONS if caller.may(one)]
    return WhoView(caller.name, caller.role, permissions, caller.via, caller.fresh, caller.second_factor, access.has_accounts)


@contextmanager
def _proving() -> Iterator[None]:
    """Who is signed in and gives a wrong password stays signed in: that is refused, and not unknown."""
    try:
        yield
    except CodeNeededError:
        raise
    except NotSignedInError as error:
        raise ForbiddenError(error.found, error.expected, error.do) from None
