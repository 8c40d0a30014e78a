"""API keys: for programs, with no more than some of what their user may do."""

from collections.abc import Sequence

import msgspec

from openbell.adapters.stores.sessions import KeyRow
from openbell.adapters.stores.users import UserRow
from openbell.errors import ForbiddenError, UnknownNameError, UsageError
from openbell.model.time import DAY
from openbell.services.accounts.books import Books, check_text
from openbell.services.accounts.callers import PERMISSIONS, PERMISSIONS_OF, Caller, Permission
from openbell.services.accounts.tokens import id_of_key, is_id, new_id, new_key, token_hash

#: Days a key holds when nothing else is said, and at most.
DAYS, DAYS_MAX = 90, 366
#: Keys of one user that hold.
KEYS_MAX = 20


class NewKey(msgspec.Struct, frozen=True):
    """A key, with its secret for the only time."""

    row: KeyRow
    key: str  # obk_<id>_<secret>

    def __repr__(self) -> str:
        return f"NewKey({self.row.id!r})"


class Keys:
    """The keys. A caller has her own; an administrator those of everybody."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def create(
        self, caller: Caller, name: str, scopes: frozenset[Permission], *, days: int | None = DAYS, user: str = "", address: str = ""
    ) -> NewKey:
        """A key for the caller, or for another `user`; it holds so many days, or with None until it is revoked. Needs a fresh session.

        ForbiddenError for scopes that the caller or the user does not have; UsageError for a name, scopes or days that make no sense.
        """
        caller.need_fresh()
        owner = await self._owner(caller, user)
        if not scopes or not scopes <= set(PERMISSIONS):
            raise UsageError("the scopes of the key are none", f"some of {', '.join(PERMISSIONS)}", "name what the key is for")
        if not scopes <= caller.scopes & PERMISSIONS_OF[owner.role]:  # type: ignore[index]
            more = ", ".join(sorted(scopes - (caller.scopes & PERMISSIONS_OF[owner.role])))  # type: ignore[index]
            raise ForbiddenError(f"{owner.name} may not do all of this: {more}", f"scopes of the role {owner.role}", "leave them out")
        if days is not None and not 1 <= days <= DAYS_MAX:
            raise UsageError(f"the key is to hold {days} days", f"1 to {DAYS_MAX}", "make another in time; or say that it never expires")
        label = check_text(name, "the name of the key")
        now = self._books.clock()
        if sum(is_valid(row, now) for row in await self._books.run(self._books.keys.find, owner.id)) >= KEYS_MAX:
            raise UsageError(f"{owner.name} has {KEYS_MAX} keys", "fewer", "revoke one that is not needed")
        key = new_key(new_id())
        ends = None if days is None else now + days * DAY
        row = KeyRow(id_of_key(key) or "", owner.id, label, tuple(one for one in PERMISSIONS if one in scopes), now, ends, None, None)
        detail = f"{owner.name}: {', '.join(row.scopes)}"
        entry = self._books.entry(caller, "key.add", row.id, address=address, detail=detail)
        await self._books.run(self._books.keys.create, row, token_hash("key", key), entry)
        return NewKey(row, key)

    async def list(self, caller: Caller, user: str = "") -> Sequence[KeyRow]:
        """The keys of the caller, or of another user, oldest first, also those that hold no more."""
        return await self._books.run(self._books.keys.find, (await self._owner(caller, user)).id)

    async def all(self, caller: Caller) -> Sequence[KeyRow]:
        """The keys of all users, for an administrator."""
        caller.need("admin")
        return await self._books.run(self._books.keys.find, None)

    async def revoke(self, caller: Caller, id: str, address: str = "") -> None:
        """Have a key hold no more, from the next request on. UnknownNameError when the caller has none of this id."""
        if caller.via != "session":
            caller.need("admin")
        found = await self._books.run(self._books.keys.by_id, id) if is_id(id) else None
        if found is None or not (found[0].user_id == caller.user_id or caller.may("admin")):
            raise UnknownNameError(f"there is no key '{id}'", do="see the list of keys")
        entry = self._books.entry(caller, "key.revoke", id, address=address, detail=found[2].name)
        await self._books.run(self._books.keys.revoke, id, entry.ts, entry)

    async def _owner(self, caller: Caller, user: str) -> UserRow:
        if not user:
            return await self._books.of(caller)
        if user.strip().casefold() != caller.name:
            caller.need("admin")
        return await self._books.named(user)


def is_valid(row: KeyRow, now: int) -> bool:
    """Whether a key holds at `now` (ns)."""
    return row.revoked is None and (row.expires is None or now < row.expires)
