"""Who a token is of, signing in and out: what the gateway and the gRPC services ask before they do anything.

What users do with their own account is in `Accounts.own` and `Accounts.second_factor`, API keys are in `Accounts.keys`, and what
administrators do is in `Accounts.people`. Every look-up asks the database, so what one process revokes is revoked for all of them at once.
Only for an API key it need not be asked again as long as it says that nothing has been changed since, as SQLite can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, cast

from openbell.adapters.stores.audit import clean
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.sessions import Holder, SessionRow
from openbell.errors import CodeNeededError, ForbiddenError, NotSignedInError
from openbell.model.time import HOUR, MINUTE, SECOND
from openbell.services.accounts.books import Books, known_as, session_id
from openbell.services.accounts.callers import LOCAL, PERMISSIONS_OF, Caller, Permission, Role, Via
from openbell.services.accounts.keys import Keys, is_valid
from openbell.services.accounts.own import Own, Profile
from openbell.services.accounts.passwords import Hasher
from openbell.services.accounts.people import People
from openbell.services.accounts.second_factor import SecondFactor
from openbell.services.accounts.throttle import Throttle
from openbell.services.accounts.tokens import LENGTH_MAX, id_of_key, is_same, new_id, new_token, token_hash

if TYPE_CHECKING:
    from openbell.adapters.sealing import Sealer

#: A session ends when it was not used for so long, and in any case so long after it began.
IDLE_NS = 30 * MINUTE
ABSOLUTE_NS = 12 * HOUR
#: How long after password or code were given a session is fresh.
FRESH_NS = 5 * MINUTE
#: How long a ticket for a WebSocket holds.
TICKET_NS = 30 * SECOND
#: Sessions and keys say when they were last used to within this, so that few requests write.
USED_NS = MINUTE
#: API keys whose callers are remembered.
KNOWN_MAX = 10_000
#: Callers that are renewed by one thread, one after the other.
RENEWED_AT_ONCE = 200

_NOT_SIGNED_IN = ("nobody is signed in", "a session, or an API key", "sign in")
_WRONG = ("the name, the password or the code is wrong", "those of a user who may sign in", "try again, or ask an administrator")


class Accounts:
    """Users, and who is signed in. For the tasks of one event loop; several processes share the database.

    `sealer` is asked for when a second factor is set up or used; `clock` gives ns since 1970 UTC. What goes wrong is an AccountError,
    besides a UsageError for what makes no sense and a StorageError when the database refuses.
    """

    def __init__(
        self,
        database: Database,
        sealer: Callable[[], Sealer],
        *,
        sign_up_open: bool = False,
        throttle: Throttle | None = None,
        hasher: Hasher | None = None,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        self._database, self._hasher = database, hasher or Hasher()
        self._books = Books(database, throttle or Throttle(), clock)
        #: By the hash of a key: whose it is, in which state of the database, and from when on it has to be looked up in any case.
        self._known: dict[bytes, tuple[Caller, int, int]] = {}
        self.second_factor = SecondFactor(self._books, sealer)
        self.own = Own(self._books, self._hasher, self.second_factor)
        self.keys = Keys(self._books)
        self.people = People(self._books, self._hasher, self.second_factor, sign_up_open)

    async def close(self) -> None:
        """Let go of the threads, the connections and the database."""
        self._hasher.close()
        self._books.close()
        await self._books.throttle.close()
        self._database.close()

    # Signing in and out.

    async def sign_up(self, name: str, password: str, *, email: str | None = None, display_name: str = "", address: str = "") -> Profile:
        """A new user, who signs in next. Errors as of `People.sign_up`."""
        return await self.people.sign_up(name, password, email=email, display_name=display_name, address=address)

    async def sign_in(self, name: str, password: str, code: str = "", address: str = "") -> tuple[str, Caller]:
        """The token of a new session, and who is signed in. `code` is that of the second factor or a recovery code.

        `address` is where the request is from.

        NotSignedInError, the same and after the same time, whether there is no such user, the password or the code is wrong, or the user
        is disabled; CodeNeededError when only the code is missing; ThrottledError after too many tries.
        """
        name = known_as(name)
        await self._books.count_try(name, address)
        user = await self._books.run(self._books.users.by_name, name)
        hash = user.password_hash if user is not None and user.disabled is None else ""
        right = await self._hasher.verify(hash, password)
        if user is not None and right and user.totp is not None and not code:
            raise CodeNeededError("this user has a second factor", "its code as well", "give the six digits of the authenticator")
        if user is not None and right and await self.second_factor.holds(user, code, address):
            if self._hasher.is_outdated(hash):
                hash = await self.own.rehash(user, password)
            now, token = self._books.clock(), new_token()
            row = SessionRow(new_id(), user.id, now, now, now, clean(address))
            entry = self._books.entry(user.name, "sign-in", user.name, address=address)
            oldest = (now - ABSOLUTE_NS, now - IDLE_NS)
            if await self._books.run(self._books.sessions.create, row, token_hash("session", token), hash, entry, oldest):
                await self._books.throttle.signed_in(name, address)
                holder = Holder(user.id, user.name, user.role, False, user.totp is not None)
                return token, self._of_session(row, holder, "session")
        # A name that is nobody's may be a password in the wrong field: it is written nowhere.
        refused = self._books.entry(user.name if user is not None else "", "sign-in", outcome="refused", address=address)
        await self._books.run(self._books.users.failed, user.id if user is not None else 0, refused)
        raise NotSignedInError(*_WRONG)

    async def sign_out(self, caller: Caller, address: str = "") -> None:
        """End the session of a caller; its token and its tickets are worth nothing from now on."""
        if id := session_id(caller):
            entry = self._books.entry(caller, "sign-out", caller.name, address=address)
            await self._books.run(self._books.sessions.end, caller.user_id, entry, id)

    # Who a token is of.

    async def by_session(self, token: str) -> Caller:
        """Whose session this is the token of; it counts as used. NotSignedInError when it has ended."""
        if not 0 < len(token) <= LENGTH_MAX:
            raise NotSignedInError(*_NOT_SIGNED_IN)
        return await self._books.run(self._by_session, token_hash("session", token))

    async def by_key(self, key: str) -> Caller:
        """Whose API key this is; it counts as used. NotSignedInError when it is none, has expired, or was revoked."""
        id = id_of_key(key)
        if id is None:
            raise NotSignedInError(*_NOT_SIGNED_IN)
        hash, state = token_hash("key", key), self._database.changes()
        known = self._known.get(hash)
        if known is not None and known[1] == state and self._books.clock() < known[2]:
            return known[0]
        caller, until = await self._books.run(self._by_key_until, id, hash)
        if state is not None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[hash] = caller, state, until
        return caller

    async def ticket(self, caller: Caller) -> str:
        """A ticket for one WebSocket of the caller's, within 30 seconds and at any gateway: a browser cannot send a key there."""
        ticket, now = new_token(), self._books.clock()
        origin = caller.origin if caller.user_id else "local:"
        await self._books.run(self._books.sessions.add_ticket, token_hash("ticket", ticket), origin, now + TICKET_NS, now)
        return ticket

    async def by_ticket(self, ticket: str) -> Caller:
        """Whose ticket this is, the first time it is shown. NotSignedInError the second time, when it is late, or none."""
        if not 0 < len(ticket) <= LENGTH_MAX:
            raise NotSignedInError(*_NOT_SIGNED_IN)
        return await self._books.run(self._by_ticket, token_hash("ticket", ticket))

    async def renewed(self, caller: Caller) -> Caller:
        """The caller as of now, with today's role, for a connection that lasts. NotSignedInError when the session or the key has ended.

        It does not count as use: a page that only listens is signed out after half an hour.
        """
        return await self._books.run(self._by_origin, caller.origin, caller.via) if caller.user_id else caller

    async def renewed_all(self, callers: Sequence[Caller]) -> list[Caller | None]:
        """As `renewed` for many; None for those whose session or key has ended."""
        parts = [callers[first : first + RENEWED_AT_ONCE] for first in range(0, len(callers), RENEWED_AT_ONCE)]
        return [one for part in await asyncio.gather(*(self._books.run(self._renewed, part) for part in parts)) for one in part]

    # What else is asked for.

    async def note_refusal(self, caller: Caller | None, what: str, address: str = "") -> None:
        """Write into the audit log that something was not allowed, such as `POST /orders`; of an address at most once a minute."""
        await self._books.note_refusal(caller if caller is not None else "", "refusal", address, what)

    async def note(self, caller: Caller, action: str, subject: str, address: str = "") -> None:
        """Write into the audit log what a caller did elsewhere, such as `strategy.kill` of a strategy."""
        await self._books.run(self._books.audit.write, self._books.entry(caller, action, subject, address=address))

    async def user_account(self, user_id: int, names: Sequence[str]) -> str:
        """The trading account of a user: hers, or from now on the first of `names` that is nobody's, also with several gateways at once.

        ForbiddenError when all are taken.
        """
        found = await self._books.run(self._books.users.account, user_id, names, self._books.clock())
        if found is None:
            raise ForbiddenError("every trading account belongs to somebody", "a free one", "raise trading.user_accounts")
        return found

    async def user_accounts(self) -> dict[str, int]:
        """The user id of every trading account that is somebody's."""
        return await self._books.run(self._books.users.accounts)

    async def user_id(self, name: str) -> int:
        """The id of a user, such as the owner of a strategy. UnknownNameError when there is none."""
        return (await self._books.named(name)).id

    # In a thread.

    def _renewed(self, callers: Sequence[Caller]) -> list[Caller | None]:
        found: list[Caller | None] = []
        for caller in callers:
            try:
                found.append(self._by_origin(caller.origin, caller.via) if caller.user_id else caller)
            except NotSignedInError:
                found.append(None)
        return found

    def _by_session(self, hash: bytes) -> Caller:
        found = self._books.sessions.by_hash(hash)
        caller = self._held(found, "session")
        now, row = self._books.clock(), found[0] if found else None
        if row is not None and now - row.used >= USED_NS:
            self._books.sessions.touch(row.id, now)
        return caller

    def _by_key(self, id: str, hash: bytes | None, via: Via = "key") -> Caller:
        """The caller with a key; with `hash` None the secret was shown before."""
        return self._by_key_until(id, hash, via)[0]

    def _by_key_until(self, id: str, hash: bytes | None, via: Via = "key") -> tuple[Caller, int]:
        """And until when (ns) that holds while nothing is changed."""
        now, found = self._books.clock(), self._books.keys.by_id(id)
        if found is None or not (hash is None or is_same(found[1], hash)) or not is_valid(found[0], now) or found[2].disabled:
            raise NotSignedInError(*_NOT_SIGNED_IN)
        row, _, holder = found
        if hash is not None and now - (row.used or 0) >= USED_NS:
            self._books.keys.touch(id, now)
        role = cast(Role, holder.role)
        scopes = PERMISSIONS_OF[role] & cast("frozenset[Permission]", frozenset(row.scopes))
        caller = Caller(holder.user_id, holder.name, role, scopes, via, False, holder.second_factor, f"key:{id}")
        return caller, min(now + USED_NS, row.expires if row.expires is not None else now + USED_NS)

    def _by_ticket(self, hash: bytes) -> Caller:
        found = self._books.sessions.take_ticket(hash)
        if found is None or found[1] <= self._books.clock():
            raise NotSignedInError(*_NOT_SIGNED_IN)
        return LOCAL if found[0] == "local:" else self._by_origin(found[0], "ticket")

    def _by_origin(self, origin: str, via: Via) -> Caller:
        kind, _, id = origin.partition(":")
        return self._by_key(id, None, via) if kind == "key" else self._held(self._books.sessions.by_id(id), via)

    def _held(self, found: tuple[SessionRow, Holder] | None, via: Via) -> Caller:
        """The caller with a session that has not ended."""
        now = self._books.clock()
        if found is None or found[1].disabled or now - found[0].used >= IDLE_NS or now - found[0].created >= ABSOLUTE_NS:
            raise NotSignedInError(*_NOT_SIGNED_IN)
        return self._of_session(*found, via)

    def _of_session(self, row: SessionRow, holder: Holder, via: Via) -> Caller:
        role = cast(Role, holder.role)
        fresh = via == "session" and self._books.clock() - row.proved < FRESH_NS
        return Caller(holder.user_id, holder.name, role, PERMISSIONS_OF[role], via, fresh, holder.second_factor, f"session:{row.id}")
