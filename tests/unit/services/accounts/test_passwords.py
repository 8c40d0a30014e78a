"""Passwords: which are accepted, which are not, and what is stored of them."""

import asyncio
import doctest
import importlib

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from openbell.errors import ThrottledError, UsageError
from openbell.services.accounts import guesses
from openbell.services.accounts.guesses import is_guessable
from openbell.services.accounts.passwords import THREADS, WAITING_MAX, Hasher, check_password, normalised

ACCEPTED = [
    "correct horse battery",
    "quiet otter under glass",
    "blue dragon summer coffee",  # four common words
    "my cat eats fish",
    "ich gehe gern angeln",
    "kX9#mQ2$vL5p",
    "xkcd-9f3k-22pq",
    "длинный надёжный пароль",
    "秘密の合言葉はとても長いのです",
    "🦦🦦🐟 otter likes 🐟🐟",
    "x7 " * 3 + "quietly bends " * 8 + "so",  # 123 characters
    "            otter glass lamp",  # blanks are characters
    "'; DROP TABLE users; --",
]
REFUSED = [
    "password1234", "Password1234!", "passwordpassword", "P@ssw0rd2026!!", "letmein12345", "welcome2026!!", "changeme1234",
    "123456789012", "111111111111", "aaaaaaaaaaaa", "abcabcabcabc", "abcdefghijkl", "zyxwvutsrqpo", "010203040506", "112233445566",
    "qwertyuiop12", "qwertyqwerty", "1q2w3e4r5t6y", "1qaz2wsx3edc", "zaq12wsxcde3", "qazwsxedcrfv", "asdfghjkl123", "zxcvbnm,./123",
    "123qweasdzxc", "1a2s3d4f5g6h", "a1b2c3d4e5f6", "1234qwerasdf", "!@#$%^&*()12", "qwertzuiop12",
    "iloveyou2026", "manchester12", "christopher1", "michaeljackson", "starwars2005", "superman1234", "barcelona2020", "international",
    "openbell2026", "openbell1234", "openbelladmin", "openbell-trader", "adminadmin12", "trader123456", "bitcoin2026!",
    "anna-lena1234", "annalena2026!", "annaannaanna", "AnnaLenaAnna!", "20260131201", "anna@example1",
]  # fmt: skip


@pytest.mark.parametrize("password", ACCEPTED)
def test_passwords_that_are_accepted(password):
    """Any characters, no rules of which kinds there have to be."""
    assert check_password(password, "anna-lena", "anna@example.com") == normalised(password)


@pytest.mark.parametrize("password", REFUSED)
def test_passwords_that_are_refused(password):
    """What is tried first: common ones, rows of keys, the user's own name, the product's."""
    with pytest.raises(UsageError, match=r"tried first|11 characters"):
        check_password(password, "anna-lena", "Anna Lena", "anna@example.com")


@pytest.mark.parametrize(
    ("length", "is_accepted"), [(0, False), (11, False), (12, True), (64, True), (128, True), (129, False), (5000, False)]
)
def test_the_length_of_a_password(length, is_accepted):
    """12 to 128 characters; the refusal says how many it has."""
    password = ("kX9#mQ2$vL5p" * 500)[:length]
    if is_accepted:
        assert check_password(password) == password
    else:
        with pytest.raises(UsageError, match=f"has {length} characters"):
            check_password(password)


def test_length_is_counted_as_it_is_stored():
    """A letter that is typed as two characters counts as one."""
    with pytest.raises(UsageError, match="has 11 characters"):
        check_password("u\u0308kX9#mQ2$vL")
    assert check_password("u\u0308kX9#mQ2$vL5") == "ükX9#mQ2$vL5"


@pytest.mark.parametrize("password", ["quiet otter\nunder glass", "quiet otter\x00under", "quiet otter \ud800 under"])
def test_what_cannot_be_typed(password):
    """Control characters and halves of characters are refused."""
    with pytest.raises(UsageError, match="control character"):
        check_password(password)


def test_a_refusal_does_not_repeat_the_password():
    """It may be one the user has elsewhere."""
    for password in ("hunter2", "password1234", "otter\x00" * 4):
        with pytest.raises(UsageError) as refused:
            check_password(password)
        assert password not in str(refused.value)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=12, max_size=128), st.text(max_size=20))
def test_every_text_gets_a_verdict(password, name):
    """Whatever is typed: accepted, or refused with a reason, and the same after normalisation."""
    text = normalised(password)
    assert is_guessable(text, [name]) in (True, False)
    if 12 <= len(text) <= 128 and not is_guessable(text, [name]):
        assert check_password(password, name) == text


@given(st.sampled_from(sorted(guesses._words())), st.integers(0, 9999), st.sampled_from(["", "!", "!!", "?", "."]))
def test_no_common_word_with_a_number(word, number, ending):
    """The way people make a password long enough."""
    for text in (word, word.capitalize(), word.upper()):
        assert is_guessable(f"{text}{number}{ending}")


def test_the_words_are_words():
    """In lower case, since they are compared so."""
    assert all(word == word.casefold() and len(word) >= guesses.WORD_MIN for word in guesses._words() - {"hi", "it"} if len(word) > 2)
    assert len(guesses._words()) > 1000


@pytest.fixture
def hasher():
    made = Hasher(PasswordHasher(1, 8, 1))
    yield made
    made.close()


async def test_a_hash(hasher):
    """argon2id, with a salt of its own; the password is not in it."""
    one, other = await hasher.hash("quiet otter"), await hasher.hash("quiet otter")
    assert one.startswith("$argon2id$")
    assert one != other
    assert await hasher.verify(one, "quiet otter")
    assert not await hasher.verify(one, "quiet otter ")


@pytest.mark.parametrize("hash", ["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "plain"])
async def test_hashes_that_are_none(hasher, hash):
    """No password is the one of a user who has none, or of a row that is damaged."""
    for password in ("", "x", hash, "quiet otter", "x" * 100_000, "\ud800"):
        assert not await hasher.verify(hash, password)


class Counting(PasswordHasher):
    """Notes which hashes are computed, and at what cost."""

    def __init__(self, *cost):
        super().__init__(*cost)
        self.done = []

    def verify(self, hash, password):
        self.done.append((extract_parameters(hash), len(hash)))
        return super().verify(hash, password)


async def test_a_user_who_is_not_there_costs_as_much():
    """One hash at the same cost: how long a reply takes does not tell whether there is such a user, or whether she has a password."""
    counting = Counting(1, 8, 1)
    hasher = Hasher(counting)
    known = await hasher.hash("quiet otter")
    for hash in (known, ""):
        assert not await hasher.verify(hash, "loud otter")
    hasher.close()
    one, other = counting.done
    assert one == other


def test_the_cost_is_that_of_the_standard():
    """RFC 9106, for little memory: 64 MiB, three passes, four lanes; a cheaper hash is outdated."""
    made = Hasher()
    made.close()
    assert made.is_outdated(PasswordHasher(1, 8, 1).hash("x"))
    assert not made.is_outdated("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g")


async def test_not_too_many_wait(hasher):
    """A flood of sign-ins does not queue up for minutes: the rest is told to come back."""
    tries = [hasher.verify("", "x") for _ in range(THREADS + WAITING_MAX + 5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(False) == THREADS + WAITING_MAX
    refused = [one for one in results if one is not False]
    assert {type(one) for one in refused} == {ThrottledError}
    assert {one.retry_after_s for one in refused} == {5}
    assert not await hasher.verify("", "x")


@pytest.mark.parametrize("name", ["guesses", "passwords", "throttle", "books", "callers", "tokens"])
def test_examples_in_docstrings(name):
    """What the docstrings show is what happens."""
    assert doctest.testmod(importlib.import_module(f"openbell.services.accounts.{name}")).failed == 0
