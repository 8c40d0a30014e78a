"""What every part of the accounts has at hand: the rows, the clock, what is tried too often, and the names of things."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbell.adapters.stores.audit import AuditStore, Entry, Outcome
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.recovery_codes import RecoveryStore
from openbell.adapters.stores.sessions import KeyStore, SessionStore
from openbell.adapters.stores.users import UserRow, UserStore
from openbell.errors import ForbiddenError, ThrottledError, UnknownNameError, UsageError
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.accounts.throttle import Throttle

T = TypeVar("T")

#: Threads that wait for the database, as many as a PostgreSQL database has connections here.
THREADS = 4
#: Characters of what users call themselves and their keys.
TEXT_MAX = 64
_NAME = re.compile(r"[a-z][a-z0-9._-]{2,31}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


class Books:
    """The rows of one database. `clock` gives ns since 1970 UTC."""

    def __init__(self, database: Database, throttle: Throttle, clock: Callable[[], int]) -> None:
        self.users, self.sessions = UserStore(database), SessionStore(database)
        self.keys, self.audit = KeyStore(database), AuditStore(database)
        self.recovery = RecoveryStore(database)
        self.throttle, self.clock = throttle, clock
        self._threads = ThreadPoolExecutor(THREADS, "accounts")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Ask the database in a thread; what it logs there is of the request that asks."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work, *arguments))

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown()

    def entry(
        self, who: Caller | str, action: str, subject: str = "", outcome: Outcome = "done", address: str = "", detail: str = ""
    ) -> Entry:
        """A row of the audit log at this time."""
        return Entry(self.clock(), who if isinstance(who, str) else who.name, action, subject, outcome, address, detail)

    async def count_try(self, name: str, address: str) -> None:
        """Count a try with a password or a code; ThrottledError when there were too many, which the audit log says once a minute."""
        try:
            await self.throttle.sign_in(name, address)
        except ThrottledError:
            user = await self.run(self.users.by_name, name)
            await self.note_refusal(user.name if user is not None else "", "sign-in", address, "too many tries")
            raise

    async def note_refusal(self, who: Caller | str, action: str, address: str, detail: str = "") -> None:
        """Write a refusal into the audit log: of an address at most once a minute, so that nobody fills it."""
        if await self.throttle.is_news(address):
            await self.run(self.audit.write, self.entry(who, action, "", "refused", address, detail))

    async def named(self, name: str) -> UserRow:
        """The user of a name. UnknownNameError when there is none."""
        user = await self.run(self.users.by_name, known_as(name))
        if user is None:
            raise UnknownNameError(f"there is no user {name[:TEXT_MAX]!r}", do="see `openbell users list`")
        return user

    async def of(self, caller: Caller) -> UserRow:
        """The user that a caller is. ForbiddenError for the local one, who has no account."""
        user = await self.run(self.users.by_id, caller.user_id) if caller.user_id else None
        if user is None:
            raise ForbiddenError("this needs an account", "a user who is signed in", "set server.sign_in, and sign in")
        return user

    async def of_session(self, caller: Caller) -> UserRow:
        """The user of a session. ForbiddenError for an API key, which is no person."""
        if caller.via == "key" or caller.via == "ticket":
            raise ForbiddenError("this belongs to a person", "a session", "sign in and do it there")
        return await self.of(caller)


def session_id(caller: Caller) -> str:
    """The id of the session that a caller has; empty without one."""
    kind, _, id = caller.origin.partition(":")
    return id if kind == "session" else ""


def known_as(name: str) -> str:
    """The name of a user as it is stored; empty when it can be nobody's."""
    found = name.strip().casefold()
    return found if _NAME.fullmatch(found) else ""


def check_name(name: str) -> str:
    """The name of a user as it is stored. UsageError when it is none."""
    found = known_as(name)
    if not found or found == LOCAL.name:
        raise UsageError(
            f"the name of a user is {name[:TEXT_MAX]!r}",
            "3 to 32 letters (a to z), digits, and . _ -, with a letter first",
            "choose another",
        )
    return found


def check_email(email: str | None) -> str | None:
    """An address for messages, or None. UsageError when it is none."""
    found = (email or "").strip()
    if found and not (_EMAIL.fullmatch(found) and found.isprintable()):
        raise UsageError(f"the e-mail address is {found[:TEXT_MAX]!r}", "one such as name@example.com", "correct it, or leave it out")
    return found or None


def check_text(text: str, what: str) -> str:
    """Something users call themselves or their keys by. UsageError when it cannot be shown in one line."""
    found = text.strip()
    if len(found) > TEXT_MAX or not found.isprintable():
        raise UsageError(f"{what} is {found[:TEXT_MAX]!r}", f"at most {TEXT_MAX} characters that can be shown", "choose another")
    return found


def check_time_zone(name: str) -> str:
    """A time zone of the IANA's. UsageError when there is none of this name."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"the time zone is {name[:TEXT_MAX]!r}", "one such as Europe/Berlin or UTC", "choose another") from None
