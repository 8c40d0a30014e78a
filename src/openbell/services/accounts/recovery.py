"""Recovery codes: 80 random bits each, as people can write them down. Each stands in for the second factor once.

A hash of so many random bits needs no slowness; it is of one user's code, so the same code of another is another.
"""

from secrets import choice

from openbell.services.accounts.tokens import token_hash

#: Codes that are made at once, their letters and digits without those that look alike, and how many a code has.
COUNT = 10
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 16
#: What is read as another: as Crockford's base32 has it.
_LIKE = str.maketrans("oil", "011")


def new_codes() -> list[str]:
    """Ten codes such as `4tq7-m0zk-9x2e-h8ws`, none twice."""
    codes: dict[str, None] = {}
    while len(codes) < COUNT:
        letters = "".join(choice(ALPHABET) for _ in range(LENGTH))
        codes["-".join(letters[first : first + 4] for first in range(0, LENGTH, 4))] = None
    return list(codes)


def is_code(text: str) -> bool:
    """Whether it may be a recovery code, and not the six digits of an authenticator.

    >>> is_code("4TQ7 M0ZK 9x2e-h8ws"), is_code("123 456"), is_code("")
    (True, False, False)
    """
    return len(_plain(text)) == LENGTH and set(_plain(text)) <= set(ALPHABET)


def code_hash(user: int, code: str) -> bytes:
    """The hash (32 bytes) of a user's code, however it was typed."""
    return token_hash("rescue", f"{user} {_plain(code)}")


def _plain(text: str) -> str:
    return "".join(text.split()).replace("-", "").lower().translate(_LIKE)
