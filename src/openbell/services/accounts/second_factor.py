"""The second factor of a user: set up, confirmed with a first code, asked for, taken away. The secret is sealed in the database.

Who has lost it has recovery codes, each of which stands in for it once.
"""

from collections.abc import Callable

import msgspec

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.users import UserRow
from openbell.errors import NotSignedInError, UsageError
from openbell.services.accounts.books import Books, session_id
from openbell.services.accounts.callers import Caller
from openbell.services.accounts.recovery import code_hash, is_code, new_codes
from openbell.services.accounts.totp import new_secret, provisioning_uri, step_of


class NewFactor(msgspec.Struct, frozen=True):
    """What the user's authenticator has to know. It is shown once, and is in no log."""

    secret: str  # base32, to type
    uri: str  # otpauth://totp/..., for a picture

    def __repr__(self) -> str:
        return "NewFactor(***)"


class SecondFactor:
    """One-time codes (TOTP). `sealer` is asked for when a secret is sealed or opened."""

    def __init__(self, books: Books, sealer: Callable[[], Sealer]) -> None:
        self._books, self._sealer = books, sealer

    async def begin(self, caller: Caller) -> NewFactor:
        """A secret that holds once `confirm` has had a code of it. Needs a fresh session; UsageError when there is a second factor."""
        user = await self._books.of_session(caller)
        caller.need_fresh()
        if user.totp is not None:
            raise UsageError("there is a second factor already", "none", "take that one away first")
        secret = new_secret()
        sealed = await self._books.run(lambda: self._sealer().seal(secret, _context(user)))
        await self._books.run(self._books.users.propose_totp, user.id, sealed)
        return NewFactor(secret, provisioning_uri(secret, user.name))

    async def confirm(self, caller: Caller, code: str, address: str = "") -> None:
        """The second factor is asked for from now on; the user's other sessions end. UsageError when the code is not the secret's."""
        user = await self._books.of_session(caller)
        caller.need_fresh()
        if user.totp_new is None:
            raise UsageError("no second factor was begun", "a secret to confirm", "begin with a new one")
        step = step_of(await self._open(user, user.totp_new), code, self._books.clock())
        if step is None:
            raise UsageError("the code is wrong", "the six digits that the authenticator shows now", "check its clock, and try again")
        entry = self._books.entry(caller, "second-factor.on", user.name, address=address)
        await self._books.run(self._books.users.set_totp, user.id, user.totp_new, step, entry, session_id(caller))

    async def remove(self, caller: Caller, code: str, address: str = "") -> None:
        """No second factor from now on; the user's other sessions end. Needs a fresh session; NotSignedInError for a wrong code."""
        user = await self._books.of_session(caller)
        caller.need_fresh()
        await self._books.count_try(user.name, address)
        if not await self.holds(user, code, address):
            raise NotSignedInError("the code is wrong, or was used before", "the next one of the authenticator", "wait for it")
        await self._books.throttle.signed_in(user.name, address)
        entry = self._books.entry(caller, "second-factor.off", user.name, address=address)
        await self._books.run(self._books.users.set_totp, user.id, None, user.totp_step, entry, session_id(caller))

    async def holds(self, user: UserRow, code: str, address: str = "") -> bool:
        """Whether a code, or a recovery code, is right and was never used before; it is used now. Right for who has no second factor."""
        if user.totp is None:
            return True
        if is_code(code):
            entry = self._books.entry(user.name, "second-factor.recovery", user.name, address=address)
            return await self._books.run(self._books.recovery.use, user.id, code_hash(user.id, code), entry)
        secret = await self._open(user, user.totp)
        step = step_of(secret, code, self._books.clock())
        if step is None or not await self._books.run(self._books.users.use_code, user.id, step):
            return False
        sealer = self._sealer()
        if not sealer.is_newest(user.totp):
            await self._books.run(self._books.users.reseal_totp, user.id, user.totp, sealer.seal(secret, _context(user)))
        return True

    async def new_recovery_codes(self, caller: Caller, address: str = "") -> list[str]:
        """Ten recovery codes in place of all older ones; they are shown to the caller only, and once. Needs a fresh session.

        UsageError for who has no second factor.
        """
        user = await self._books.of_session(caller)
        caller.need_fresh()
        return await self.codes_for(caller, user, address)

    async def codes_for(self, caller: Caller, user: UserRow, address: str = "") -> list[str]:
        """The same for another user, by somebody who may."""
        if user.totp is None:
            raise UsageError(f"{user.name} has no second factor", "one that the codes stand in for", "set it up first")
        codes = new_codes()
        entry = self._books.entry(caller, "second-factor.codes", user.name, address=address)
        await self._books.run(self._books.recovery.replace, user.id, [code_hash(user.id, code) for code in codes], entry)
        return codes

    async def recovery_codes_left(self, caller: Caller) -> int:
        """How many recovery codes of the caller still hold."""
        return await self._books.run(self._books.recovery.left, (await self._books.of_session(caller)).id)

    async def _open(self, user: UserRow, sealed: bytes) -> str:
        opened = await self._books.run(lambda: self._sealer().open(sealed, _context(user)))
        return opened.decode()


def _context(user: UserRow) -> str:
    return f"totp of user {user.id}"
