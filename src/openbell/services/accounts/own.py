"""What users do with their own account: the profile, the password, the sessions, and proof that it is still them."""

import msgspec

from openbell.adapters.stores.sessions import SessionRow
from openbell.adapters.stores.users import UserRow
from openbell.errors import NotSignedInError
from openbell.services.accounts.books import Books, check_email, check_text, check_time_zone, session_id
from openbell.services.accounts.callers import LOCAL, Caller, Role
from openbell.services.accounts.passwords import Hasher, check_password, normalised
from openbell.services.accounts.second_factor import SecondFactor
from openbell.services.accounts.tokens import is_id, token_hash


class Profile(msgspec.Struct, frozen=True):
    """What may be shown of a user, to her and to administrators. All times are ns since 1970 UTC."""

    id: int
    name: str
    role: Role
    email: str | None = None
    display_name: str = ""
    time_zone: str = "UTC"
    created: int = 0
    signed_in: int | None = None  # last
    failed: int = 0  # tries to sign in since then
    second_factor: bool = False
    disabled: int | None = None  # since when
    waits: bool = False  # for the user to set a password


class Own:
    """Of the caller, who has to have a session: an API key changes nothing here."""

    def __init__(self, books: Books, hasher: Hasher, second_factor: SecondFactor) -> None:
        self._books, self._hasher, self._second_factor = books, hasher, second_factor

    async def profile(self, caller: Caller) -> Profile:
        """Who the caller is."""
        return profile_of(await self._books.of(caller)) if caller.user_id else Profile(LOCAL.user_id, LOCAL.name, LOCAL.role)

    async def set_profile(
        self, caller: Caller, *, email: str | None = None, display_name: str = "", time_zone: str = "UTC", address: str = ""
    ) -> Profile:
        """A new profile, in place of all that was in the old one. UsageError when something in it makes no sense."""
        user = await self._books.of_session(caller)
        values = (check_email(email), check_text(display_name, "the display name"), check_time_zone(time_zone))
        entry = self._books.entry(caller, "profile", user.name, address=address)
        await self._books.run(self._books.users.set_profile, user.id, *values, entry)
        return await self.profile(caller)

    async def first_password(self, token: str, password: str, address: str = "") -> str:
        """Set a password with a one-time token, and return the name of the user, who signs in with it next.

        NotSignedInError when the token is none, was used, or has expired; UsageError for a password that is not accepted.
        """
        hash = token_hash("setup", token)
        await self._books.throttle.knock(address)
        user = await self._books.run(self._books.users.by_setup, hash, self._books.clock())
        if user is not None:
            made = await self._hasher.hash(_accepted(user, password))
            entry = self._books.entry(user.name, "password.first", user.name, address=address)
            if await self._books.run(self._books.users.use_setup, user.id, hash, made, entry):
                return user.name
        await self._books.note_refusal("", "password.first", address)
        raise NotSignedInError("the one-time token does not hold", "one that is new", "ask an administrator for another")

    async def change_password(self, caller: Caller, old: str, new: str, address: str = "") -> None:
        """Another password; all other sessions of the user end. NotSignedInError when the old one is wrong, UsageError for the new one."""
        user = await self._books.of_session(caller)
        accepted = _accepted(user, new)
        await self._prove(user, old, address)
        made = await self._hasher.hash(accepted)
        entry = self._books.entry(caller, "password", user.name, address=address)
        await self._books.run(self._books.users.set_password, user.id, made, entry, session_id(caller))

    async def rehash(self, user: UserRow, password: str) -> str:
        """Hash a password that was right anew, at today's cost; returns the hash."""
        made = await self._hasher.hash(normalised(password))
        await self._books.run(self._books.users.rehash, user.id, user.password_hash, made)
        return made

    async def step_up(self, caller: Caller, *, password: str = "", code: str = "", address: str = "") -> None:
        """Prove that it is still the same person: by the code where there is a second factor, by the password otherwise.

        The session is fresh for five minutes from now on. NotSignedInError when it is wrong, ThrottledError after too many tries.
        """
        user = await self._books.of_session(caller)
        if user.totp is None:
            await self._prove(user, password, address)
        else:
            await self._books.count_try(user.name, address)
            if not await self._second_factor.holds(user, code, address):
                await self._refuse(user, address)
            await self._books.throttle.signed_in(user.name, address)
        entry = self._books.entry(caller, "step-up", user.name, address=address)
        await self._books.run(self._books.sessions.prove, session_id(caller), entry.ts, entry)

    async def sessions(self, caller: Caller) -> list[SessionRow]:
        """The sessions of the caller, newest first; `caller.origin` says which is this one."""
        return await self._books.run(self._books.sessions.of, (await self._books.of_session(caller)).id)

    async def end_session(self, caller: Caller, id: str, address: str = "") -> bool:
        """Sign out of one session of the caller's, such as the one of a lost telephone; False when there is none of this id."""
        user = await self._books.of_session(caller)
        if not is_id(id):
            return False
        entry = self._books.entry(caller, "sign-out", id, address=address)
        return await self._books.run(self._books.sessions.end, user.id, entry, id) > 0

    async def _prove(self, user: UserRow, password: str, address: str) -> None:
        await self._books.count_try(user.name, address)
        if not await self._hasher.verify(user.password_hash, password):
            await self._refuse(user, address)
        await self._books.throttle.signed_in(user.name, address)

    async def _refuse(self, user: UserRow, address: str) -> None:
        entry = self._books.entry(user.name, "step-up", user.name, "refused", address)
        await self._books.run(self._books.users.failed, user.id, entry)
        raise NotSignedInError("the password or the code is wrong", "those of the user who is signed in", "try again")


def profile_of(user: UserRow) -> Profile:
    """What may be shown of a user."""
    return Profile(
        user.id, user.name, user.role, user.email, user.display_name, user.time_zone, user.created, user.signed_in, user.failed,  # type: ignore[arg-type]
        user.totp is not None, user.disabled, not user.password_hash,
    )  # fmt: skip


def _accepted(user: UserRow, password: str) -> str:
    return check_password(password, user.name, user.display_name, user.email or "")
