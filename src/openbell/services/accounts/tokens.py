"""Tokens: 256 random bits each, of which only a hash is stored. They go into headers and cookies, never into an address.

A hash of random bits needs no salt and no slowness; one kind of token never passes for another, because the kind is in its hash.
"""

import re
from hashlib import blake2b
from hmac import compare_digest
from secrets import token_hex, token_urlsafe
from typing import Literal

Kind = Literal["session", "ticket", "key", "setup", "rescue"]

#: Random bytes of a token, and of the id of a session or key.
SECRET_BYTES = 32
ID_BYTES = 8
#: Longest token that is looked at.
LENGTH_MAX = 200
_KEY = "obk"
_ID = re.compile(r"[0-9a-f]{16}")


def new_token() -> str:
    """A token: 43 letters, digits, - and _."""
    return token_urlsafe(SECRET_BYTES)


def new_id() -> str:
    """What a session or an API key is called: 16 hexadecimal digits."""
    return token_hex(ID_BYTES)


def token_hash(kind: Kind, token: str) -> bytes:
    """The hash (32 bytes) of a token, which is what is stored."""
    return blake2b(token.encode(errors="replace"), digest_size=32, person=f"openbell {kind}".encode()).digest()


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two hashes are the same, in a time that does not tell where they differ."""
    return compare_digest(one, other)


def new_key(id: str) -> str:
    """An API key: `obk_<id>_<secret>`."""
    return f"{_KEY}_{id}_{token_hex(SECRET_BYTES)}"


def id_of_key(key: str) -> str | None:
    """The id within an API key; None when it is no key."""
    parts = key.split("_")
    return parts[1] if len(parts) == 3 and parts[0] == _KEY and is_id(parts[1]) and len(parts[2]) == 2 * SECRET_BYTES else None


def is_id(text: str) -> bool:
    """Whether it may be the id of a session or an API key."""
    return _ID.fullmatch(text) is not None
