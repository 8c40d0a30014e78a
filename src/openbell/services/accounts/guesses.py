"""Whether a password is one of those that are tried first, by what it is made of.

A common word, a row of keys or a year is one choice of some hundred, and worth no more than one or two characters, however long it is; what
others know of the user is worth one. What is repeated is worth once, and a digit half. A password has to be worth `WORTH_MIN` characters:
four common words, or eight characters that follow no pattern.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files

#: What a password has to be worth, in characters.
WORTH_MIN = 8.0
#: What its parts are worth: a common word, a row of keys, what others know of the user, a year, a repetition, a digit.
WORD, ROW, KNOWN, YEAR, AGAIN, DIGIT = 2.0, 1.5, 1.0, 1.0, 1.0, 0.5
#: Characters of the shortest and the longest word, of the shortest row, path over neighbouring keys and repetition.
WORD_MIN, WORD_MAX, ROW_MIN, PATH_MIN, AGAIN_MIN = 3, 24, 3, 4, 3

#: Characters that are looked at, and how far back it is looked for what is repeated.
LOOKED_AT_MAX, BACK_MAX = 40, 12

_KEYS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_COLUMNS = tuple("".join(row[at] for row in _KEYS if at < len(row)) for at in range(10))
_ROWS = (
    *_KEYS,
    *_COLUMNS,
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "!@#$%^&*()",
)
_RUNS = tuple(run for row in _ROWS for run in (row, row[::-1]))
_PLACES = {key: (at, row) for row, keys in enumerate(_KEYS) for at, key in enumerate(keys)}
_YEAR = re.compile(r"(19|20)\d\d")
#: How letters are written as digits and signs: those that stand for two letters one way and the other.
_SPELLINGS = tuple(str.maketrans("034578@$!1", f"oeastbasi{one}") for one in "il")


def is_guessable(password: str, known: Iterable[str] = ()) -> bool:
    """Whether a password is worth too little; `known` are the user's name and the like.

    >>> is_guessable("Passw0rd2026!!!"), is_guessable("1q2w3e4r5t6y"), is_guessable("quiet otter under glass")
    (True, True, False)
    """
    parts = frozenset(part for text in known for part in (text.casefold(), *re.split(r"[\W_]+", text.casefold())) if len(part) >= WORD_MIN)
    text = password.casefold()[:LOOKED_AT_MAX]
    apart = _worth(text[::2], parts) + _worth(text[1::2], parts)  # two rows, one key of each in turn
    return min(apart, *(_worth(one, parts) for one in (text, *map(text.translate, _SPELLINGS)))) < WORTH_MIN


def _worth(text: str, known: frozenset[str]) -> float:
    """What a text is worth, in characters: the least over all ways to put it together."""
    least = [0.0] + [float(len(text))] * len(text)
    for at in range(len(text)):
        for length, worth in _parts(text, at, known):
            least[at + length] = min(least[at + length], least[at] + worth)
    return least[-1]


def _parts(text: str, at: int, known: frozenset[str]) -> Iterator[tuple[int, float]]:
    """The length and the worth of the parts that begin at a place."""
    yield 1, DIGIT if text[at].isdigit() else 1.0
    for end in range(at + WORD_MIN, min(at + WORD_MAX, len(text)) + 1):
        if text[at:end] in known:
            yield end - at, KNOWN
        elif text[at:end] in _words():
            yield end - at, WORD
    if _YEAR.match(text, at):
        yield 4, YEAR
    for length in range(ROW_MIN, max(_in_row(text, at, run) for run in _RUNS) + 1):
        yield length, ROW
    for length in range(PATH_MIN, _on_path(text, at) + 1):
        yield length, ROW
    for back in range(1, min(at, BACK_MAX) + 1):
        if (length := _again(text, at, back)) >= max(AGAIN_MIN, back):
            yield length, AGAIN


def _in_row(text: str, at: int, run: str) -> int:
    """How far the text follows a row."""
    start, length = run.find(text[at]), 0
    while start >= 0 and at + length < len(text) and start + length < len(run) and text[at + length] == run[start + length]:
        length += 1
    return length


def _on_path(text: str, at: int) -> int:
    """How far each key is beside the one before."""
    end = at + 1
    while end < len(text) and text[end - 1] in _PLACES and text[end] in _PLACES:
        (x, y), (next_x, next_y) = _PLACES[text[end - 1]], _PLACES[text[end]]
        if max(abs(x - next_x), abs(y - next_y)) != 1:
            break
        end += 1
    return end - at


def _again(text: str, at: int, back: int) -> int:
    """How far the text repeats what stands so many characters before."""
    end = at
    while end < len(text) and text[end] == text[end - back]:
        end += 1
    return end - at


@cache
def _words() -> frozenset[str]:
    """Words that passwords are made of."""
    return frozenset(files("openbell.services.accounts").joinpath("common_words.txt").read_text(encoding="utf-8").split())
