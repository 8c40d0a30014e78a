"""Whether a password is one of those that are tried first, by what it is made of.

A common word, a row of keys or a year is one choice of a few hundred, and no more worth than one or two characters, however long it is;
so is what others know of the user. What is repeated is worth once. A password has to be worth `WORTH_MIN` characters: four common words,
or eight characters that follow no pattern.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

#: What a password has to be worth, in characters.
WORTH_MIN = 8
#: What a part is worth: a common word, a row of keys, what others know of the user, a year or a date.
WORD, ROW, KNOWN, YEAR = 2, 2, 1, 1
#: Characters of the shortest word, and of the shortest row, that counts as one.
WORD_MIN, ROW_MIN = 3, 3

_ROWS = (
    "abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop",
    "qsdfghjklm", "wxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0",
    "qazwsxedcrfvtgbyhnujmikolp", "zaqxswcdevfrbgtnhymjukilop", "!@#$%^&*()", "!qaz@wsx#edc$rfv",
    "147258369", "123654789", "a1b2c3d4e5f6g7h8i9", "1a2b3c4d5e6f7g8h9i",
)  # fmt: skip
_RUNS = tuple(run for row in _ROWS for run in (row, row[::-1]))
_YEAR = re.compile(r"(19|20)\d\d")
#: How letters are written as digits and signs.
_LEET = tuple(str.maketrans(f"013457@$!{one}", f"oleasiasi{letter}") for one, letter in (("8", "b"), ("1", "i"), ("7", "t")))


def is_guessable(password: str, known: Iterable[str] = ()) -> bool:
    """Whether a password is worth too little; `known` are the user's name and the like.

    >>> is_guessable("Passw0rd2026!!!"), is_guessable("quiet otter under glass")
    (True, False)
    """
    parts = {part for text in known for part in (text.casefold(), *re.split(r"[^\w]+", text.casefold()))}
    text = password.casefold()
    return min(_worth(spelled, parts) for spelled in {text, *(text.translate(table) for table in _LEET)}) < WORTH_MIN


def _worth(text: str, known: set[str]) -> int:
    """What a password is worth, in characters."""
    text, repeated = re.subn(r"(.+?)\1+", r"\1", text)
    worth, at = repeated, 0
    while at < len(text):
        length, cost = max(_parts(text, at, known), key=lambda part: (part[0], -part[1]))
        worth, at = worth + cost, at + length
    return worth


def _parts(text: str, at: int, known: set[str]) -> Iterable[tuple[int, int]]:
    """The length and the worth of every part that begins at a place."""
    yield 1, 1
    for length in range(WORD_MIN, len(text) - at + 1):
        part = text[at : at + length]
        if part in known:
            yield length, KNOWN
        elif part in _words():
            yield length, WORD
    row = max(_shared(text, at, run) for run in _RUNS)
    if row >= ROW_MIN:
        yield row, ROW
    if _YEAR.match(text, at):
        yield 4, YEAR


def _shared(text: str, at: int, run: str) -> int:
    """How far the text follows a row from one place on."""
    start, length = run.find(text[at]), 0
    while start >= 0 and at + length < len(text) and start + length < len(run) and text[at + length] == run[start + length]:
        length += 1
    return length


@cache
def _words() -> frozenset[str]:
    """Words that passwords are made of."""
    return frozenset(files("openbell.services.accounts").joinpath("common_words.txt").read_text(encoding="utf-8").split())
