"""Accounts as tests use them: a clock that is moved by hand, and hashes that cost nothing."""

import contextlib
from collections.abc import AsyncIterator, Callable

import pyotp
from argon2 import PasswordHasher

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.database import open_database
from openbell.model.time import SECOND
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import LOCAL
from openbell.services.accounts.passwords import Hasher

PASSWORD = "quiet otter under glass"
#: 2026-01-31 12:00 UTC.
START = 1_769_860_800 * SECOND


class Clock:
    """ns since 1970 UTC, as long as nobody moves it."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def move(self, by_ns: int) -> None:
        self.now += by_ns


def make_accounts(place, clock: Callable[[], int] | None = None, **options) -> Accounts:
    """Accounts in a database of a test."""
    sealer = Sealer(b"k" * 32)
    options.setdefault("hasher", Hasher(PasswordHasher(1, 8, 1)))
    return Accounts(open_database(place), lambda: sealer, clock=clock or Clock(), **options)


@contextlib.asynccontextmanager
async def opened(place, clock: Callable[[], int] | None = None, **options) -> AsyncIterator[Accounts]:
    """The same, closed at the end."""
    accounts = make_accounts(place, clock, **options)
    try:
        yield accounts
    finally:
        await accounts.close()


async def add_user(accounts: Accounts, name: str = "anna", role: str = "trader", password: str = PASSWORD) -> int:
    """A user with a password; returns her id."""
    made, token = await accounts.people.add(LOCAL, name, role)
    await accounts.own.first_password(token, password)
    return made.id


async def enter(accounts: Accounts, name: str = "anna", role: str = "trader", password: str = PASSWORD):
    """A user who has just signed in: the token of her session, and the caller she is."""
    await add_user(accounts, name, role, password)
    return await accounts.sign_in(name, password)


def code(secret: str, now: int, steps: int = 0) -> str:
    """What the authenticator shows at `now` (ns), or some steps later."""
    return pyotp.TOTP(secret).generate_otp(now // (30 * SECOND) + steps)


async def add_second_factor(accounts: Accounts, caller, clock: Clock) -> str:
    """Set one up; returns its secret. The code of this step is used."""
    factor = await accounts.second_factor.begin(caller)
    await accounts.second_factor.confirm(caller, code(factor.secret, clock()))
    return factor.secret
