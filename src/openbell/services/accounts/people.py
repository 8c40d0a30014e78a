"""What administrators do with users, and what anybody does to become one."""

from collections.abc import Sequence

from openbell.adapters.stores.audit import AuditRow, Verdict, clean
from openbell.adapters.stores.sessions import SessionRow
from openbell.adapters.stores.users import NewUser, UserRow
from openbell.errors import ForbiddenError, UsageError
from openbell.model.time import HOUR
from openbell.services.accounts.books import Books, check_email, check_name, check_text
from openbell.services.accounts.callers import ROLES, Caller, Role
from openbell.services.accounts.own import Profile, profile_of
from openbell.services.accounts.passwords import Hasher, check_password
from openbell.services.accounts.second_factor import SecondFactor
from openbell.services.accounts.tokens import new_token, token_hash

#: How long a user has to set a password with a one-time token.
SETUP_NS = 24 * HOUR
#: Rows of the audit log shown at once.
ROWS_MAX = 1000


class People:
    """The users. Everything but `sign_up` needs the permission `admin`, and what changes a user a fresh session."""

    def __init__(self, books: Books, hasher: Hasher, second_factor: SecondFactor, sign_up_open: bool) -> None:
        self._books, self._hasher, self._second_factor = books, hasher, second_factor
        self.sign_up_open = sign_up_open

    async def sign_up(self, name: str, password: str, *, email: str | None = None, display_name: str = "", address: str = "") -> Profile:
        """A new user with the role viewer, where `server.sign_up` is open, else ForbiddenError. UsageError for what is not accepted."""
        if not self.sign_up_open:
            raise ForbiddenError("nobody can sign up here", "server.sign_up to be open", "ask an administrator for an account")
        name, email, display_name = check_name(name), check_email(email), check_text(display_name, "the display name")
        accepted = check_password(password, name, display_name, email or "")
        await self._books.throttle.sign_up(address)
        made = NewUser(name, "viewer", self._books.clock(), await self._hasher.hash(accepted), email, display_name)
        entry = self._books.entry(name, "sign-up", name, address=address)
        return profile_of(await self._books.run(self._books.users.create, made, entry))

    async def add(self, caller: Caller, name: str, role: Role, *, email: str | None = None, address: str = "") -> tuple[Profile, str]:
        """A new user, and the one-time token with which she sets a password within a day: it is shown to the caller only, and once."""
        _check(caller)
        token, now = new_token(), self._books.clock()
        made = NewUser(check_name(name), _role(role), now, email=check_email(email))
        entry = self._books.entry(caller, "user.add", made.name, address=address, detail=role)
        setup = (token_hash("setup", token), now + SETUP_NS)
        return profile_of(await self._books.run(self._books.users.create, made, entry, setup)), token

    async def list(self, caller: Caller) -> list[Profile]:
        """Every user, by name."""
        caller.need("admin")
        return [profile_of(user) for user in await self._books.run(self._books.users.all)]

    async def set_role(self, caller: Caller, name: str, role: Role, address: str = "") -> None:
        """Another role, from the next request on. ForbiddenError for the last administrator."""
        user = await self._user(caller, name)
        entry = self._books.entry(caller, "user.role", user.name, address=address, detail=f"{user.role} to {role}")
        await self._books.run(self._books.users.set_role, user.id, _role(role), entry)

    async def disable(self, caller: Caller, name: str, address: str = "") -> None:
        """The user's sessions end, her keys hold no more, and she cannot sign in. ForbiddenError for the last administrator."""
        user = await self._user(caller, name)
        entry = self._books.entry(caller, "user.disable", user.name, address=address)
        await self._books.run(self._books.users.disable, user.id, entry.ts, entry)

    async def enable(self, caller: Caller, name: str, address: str = "") -> None:
        """The user may sign in again, and her keys hold again."""
        user = await self._user(caller, name)
        entry = self._books.entry(caller, "user.enable", user.name, address=address)
        await self._books.run(self._books.users.disable, user.id, None, entry)

    async def reset(self, caller: Caller, name: str, *, second_factor: bool = False, address: str = "") -> str:
        """A one-time token as of `add`, in place of the password and, when it is lost too, of the second factor. Every session ends."""
        user = await self._user(caller, name)
        token = new_token()
        detail = "password, second factor" if second_factor else "password"
        entry = self._books.entry(caller, "user.reset", user.name, address=address, detail=detail)
        ends = entry.ts + SETUP_NS
        await self._books.run(self._books.users.set_up, user.id, token_hash("setup", token), ends, entry, second_factor)
        return token

    async def recovery_codes(self, caller: Caller, name: str, address: str = "") -> Sequence[str]:
        """Ten recovery codes for a user who has a second factor, in place of all older ones; shown to the caller only, and once."""
        user = await self._user(caller, name)
        return await self._second_factor.codes_for(caller, user, address)

    async def sessions(self, caller: Caller, name: str) -> Sequence[SessionRow]:
        """The sessions of a user, newest first."""
        caller.need("admin")
        return await self._books.run(self._books.sessions.of, (await self._books.named(name)).id)

    async def sign_out(self, caller: Caller, name: str, address: str = "") -> int:
        """End every session of a user; returns how many."""
        caller.need("admin")
        user = await self._books.named(name)
        entry = self._books.entry(caller, "user.sign-out", user.name, address=address)
        return await self._books.run(self._books.sessions.end, user.id, entry)

    async def audit(self, caller: Caller, most: int = 100, user: str = "", action: str = "") -> Sequence[AuditRow]:
        """The latest rows of the audit log, oldest first; what a user did or had done to her, or those of an action."""
        caller.need("admin")
        return await self._books.run(self._books.audit.latest, min(max(most, 1), ROWS_MAX), clean(user.casefold()), clean(action))

    async def verify(self, caller: Caller) -> Verdict:
        """Whether the audit log is as it was written."""
        caller.need("admin")
        return await self._books.run(self._books.audit.verify)

    async def _user(self, caller: Caller, name: str) -> UserRow:
        _check(caller)
        return await self._books.named(name)


def _check(caller: Caller) -> None:
    caller.need("admin")
    caller.need_fresh()


def _role(role: str) -> str:
    if role not in ROLES:
        raise UsageError(f"the role is {role!r}", f"one of {', '.join(ROLES)}", "choose one")
    return role
