"""Routes about users: the own profile, API keys, and for administrators everybody."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from fastapi import APIRouter, Path, Query, Request, Response

from openbell.adapters.stores.sessions import KeyRow
from openbell.errors import UnknownNameError
from openbell.model.time import MILLISECOND
from openbell.services.accounts.callers import Permission
from openbell.services.gateway.access import Access, Administrator, Reader
from openbell.services.gateway.account_records import (
    Keys,
    KeyView,
    MadeKey,
    MadeUser,
    NewKey,
    NewUser,
    ProfileChange,
    ProfileView,
    UserChange,
    Users,
)
from openbell.services.gateway.bodies import body_of, json_response, with_next
from openbell.services.gateway.openapi import NOTHING, answers, takes

if TYPE_CHECKING:
    from openbell.services.accounts.own import Profile

T = TypeVar("T")

HexId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
UserName = Annotated[str, Path(min_length=1, max_length=64)]
After = Annotated[str, Query(max_length=64, description="the last of the page before")]
Most = Annotated[int, Query(ge=1, le=1_000)]


def people_routes(access: Access) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["users"])

    @routes.get("/profile", responses=answers(ProfileView))
    async def profile(caller: Reader) -> Response:
        """The profile of the caller."""
        return json_response(profile_view(await access.accounts.own.profile(caller)))

    @routes.put("/profile", responses=answers(ProfileView, 400, 422), openapi_extra=takes(ProfileChange))
    async def set_profile(request: Request, caller: Reader) -> Response:
        """A new profile, in place of all that was in the old one."""
        accounts, wanted = access.accounts, await body_of(request, ProfileChange)
        made = await accounts.own.set_profile(
            caller, email=wanted.email, display_name=wanted.display_name, time_zone=wanted.time_zone, address=request.state.address
        )
        return json_response(profile_view(made))

    @routes.get("/keys", responses=answers(Keys, 404, 422))
    async def keys(
        request: Request, caller: Reader, user: Annotated[str, Query(max_length=64)] = "", after: After = "", limit: Most = 100
    ) -> Response:
        """The API keys of the caller, oldest first; an administrator may name another user."""
        found, last = page(await access.accounts.keys.list(caller, user), lambda row: row.id, after, limit)
        return with_next(json_response(Keys([_key_view(row) for row in found])), request, last)

    @routes.post("/keys", status_code=201, responses=answers(MadeKey, 400, 422, ok=201), openapi_extra=takes(NewKey))
    async def add_key(request: Request, caller: Reader) -> Response:
        """An API key for the caller, with its secret, which is shown once. Needs a step-up."""
        accounts, wanted = access.accounts, await body_of(request, NewKey)
        made = await accounts.keys.create(caller, wanted.name, frozenset(wanted.scopes), days=wanted.days, address=request.state.address)
        return json_response(MadeKey(made.row.id, made.key), 201)

    @routes.delete("/keys/{id}", status_code=204, responses=answers(NOTHING, 404, 422, ok=204))
    async def revoke_key(request: Request, id: HexId, caller: Reader) -> Response:
        """Have an API key hold no more; an administrator also those of others."""
        await access.accounts.keys.revoke(caller, id, request.state.address)
        return Response(status_code=204)

    @routes.get("/users", responses=answers(Users, 422))
    async def users(request: Request, caller: Administrator, after: After = "", limit: Most = 100) -> Response:
        """Every user, by name."""
        found, last = page(await access.accounts.people.list(caller), lambda user: user.name, after, limit)
        return with_next(json_response(Users([profile_view(user) for user in found])), request, last)

    @routes.post("/users", status_code=201, responses=answers(MadeUser, 400, 422, ok=201), openapi_extra=takes(NewUser))
    async def add_user(request: Request, caller: Administrator) -> Response:
        """A new user, and the one-time token with which she sets a password; it is shown once. Needs a step-up."""
        accounts, wanted = access.accounts, await body_of(request, NewUser)
        made, token = await accounts.people.add(caller, wanted.name, wanted.role, email=wanted.email, address=request.state.address)
        return json_response(MadeUser(profile_view(made), token), 201)

    @routes.patch("/users/{name}", responses=answers(ProfileView, 400, 404, 422), openapi_extra=takes(UserChange))
    async def change_user(request: Request, name: UserName, caller: Administrator) -> Response:
        """Another role, or disabled, or enabled again. Needs a step-up; the last administrator stays one."""
        people, wanted = access.accounts.people, await body_of(request, UserChange)
        if wanted.role is not None:
            await people.set_role(caller, name, wanted.role, request.state.address)
        if wanted.disabled is not None:
            await (people.disable if wanted.disabled else people.enable)(caller, name, request.state.address)
        found = [user for user in await people.list(caller) if user.name == name.strip().casefold()]
        if not found:
            raise UnknownNameError(f"there is no user '{name}'", do="look at /users")
        return json_response(profile_view(found[0]))

    return routes


def profile_view(profile: "Profile") -> ProfileView:
    """A profile as JSON has it."""
    return ProfileView(
        profile.name, profile.role, profile.email, profile.display_name, profile.time_zone, profile.created // MILLISECOND,
        _ms(profile.signed_in), profile.failed, profile.second_factor, _ms(profile.disabled), profile.waits,
    )  # fmt: skip


def page(rows: Sequence[T], name: Callable[[T], str], after: str, limit: int) -> tuple[Sequence[T], str | None]:
    """The rows after the one of a name, at most so many, and the name with which the next page begins; None at the end.

    >>> page(["a", "b", "c"], str, "a", 1)
    (['b'], 'b')
    """
    first = next((at + 1 for at, row in enumerate(rows) if name(row) == after), len(rows)) if after else 0
    found = rows[first : first + limit]
    return found, name(found[-1]) if first + limit < len(rows) else None


def _key_view(row: KeyRow) -> KeyView:
    scopes = [cast(Permission, scope) for scope in row.scopes]
    return KeyView(row.id, row.name, scopes, row.created // MILLISECOND, _ms(row.expires), _ms(row.used), _ms(row.revoked))


def _ms(ns: int | None) -> int | None:
    return None if ns is None else ns // MILLISECOND
