"""Passwords: which are accepted, and their hashes (argon2id).

No kinds of characters are asked for: they make a password harder to remember, not harder to guess. Any of 12 to 128 characters is accepted
that others do not try first: `openbell.services.accounts.guesses`. A hash takes 0.2 s of a processor and 64 MiB on purpose, so hashes have
threads of their own, and no more than a few wait for them.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from openbell.errors import ThrottledError, UsageError
from openbell.services.accounts.guesses import is_guessable

T = TypeVar("T")

#: Characters of a password, after normalisation (NFKC).
LENGTH_MIN, LENGTH_MAX = 12, 128
#: Hashes made at the same time, and those that may wait for them.
THREADS = 2
WAITING_MAX = 20

_ADVICE = "take some words that only you would put together"


def normalised(password: str) -> str:
    """The password as it is hashed: the same for every keyboard that can type it."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *words: str) -> str:
    """Return the normalised password, or raise UsageError. `words` are what others know of the user: the name, the address.

    >>> check_password("correct horse battery")
    'correct horse battery'
    """
    text = normalised(password)
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        raise UsageError(f"the password has {len(text)} characters", f"{LENGTH_MIN} to {LENGTH_MAX}", _ADVICE)
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
        raise UsageError("the password has a control character", "characters that can be typed", _ADVICE)
    if is_guessable(text, words):
        raise UsageError("the password is one of those that are tried first", "no name, no common word, no row of keys", _ADVICE)
    return text


class Hasher:
    """Makes and verifies hashes. `hasher` sets the cost; its default is that of RFC 9106 for little memory."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, "passwords")
        self._at_work = 0
        self._nobody = ""  # a hash that no password has, made when it is first needed

    async def hash(self, password: str) -> str:
        """The hash of a normalised password, as text with its salt and its cost. ThrottledError when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, hash: str, password: str) -> bool:
        """Whether a password as it was typed is the one of a hash. With an empty hash it is not, which takes as long to find out."""
        text = normalised(password)
        given = text.encode(errors="replace") if len(text) <= LENGTH_MAX else b""
        return await self._run(lambda: self._verify(hash, given))

    def is_outdated(self, hash: str) -> bool:
        """Whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(hash)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hash: str, password: bytes) -> bool:
        if not hash and not self._nobody:
            self._nobody = self._hasher.hash("")
        try:
            self._hasher.verify(hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(hash)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._at_work >= THREADS + WAITING_MAX:
            raise ThrottledError("too many sign in at once", "fewer", "try again in some seconds", retry_after_s=5)
        self._at_work += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._at_work -= 1
