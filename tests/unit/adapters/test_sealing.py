"""Sealed secrets: what opens, what does not, and where the keys are."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.sealing import Sealer, add_key, key_id, new_key, open_sealer
from openbell.errors import ConfigError, StorageError

ONE, TWO = b"1" * 32, b"2" * 32


@given(st.binary(max_size=200), st.text(max_size=50))
def test_what_is_sealed_opens(what, context):
    """With the same context; sealed twice it looks different."""
    sealer = Sealer(ONE)
    sealed = sealer.seal(what, context)
    assert sealer.open(sealed, context) == what
    assert len(sealed) == len(what) + 37
    assert sealer.seal(what, context) != sealed


def test_text_is_sealed_as_utf8():
    """A str may be given."""
    sealer = Sealer(ONE)
    assert sealer.open(sealer.seal("naïve", "a"), "a") == "naïve".encode()


@given(st.data())
def test_one_bit_changed_does_not_open(data):
    """Whichever bit it is: of the format, the key's id, the nonce, the text or the tag."""
    sealer = Sealer(ONE)
    sealed = bytearray(sealer.seal(b"secret", "a"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StorageError):
        sealer.open(bytes(sealed), "a")


@given(st.binary(max_size=60))
def test_strange_bytes_do_not_open(strange):
    """Whatever stands in the column."""
    with pytest.raises(StorageError):
        Sealer(ONE).open(strange, "a")


def test_another_context_does_not_open():
    """A value that was moved to the row of somebody else is refused."""
    sealer = Sealer(ONE)
    with pytest.raises(StorageError, match="totp of user 2"):
        sealer.open(sealer.seal(b"secret", "totp of user 1"), "totp of user 2")


def test_a_new_key_in_front_of_an_old_one():
    """The first key seals, all of them open, and what is sealed with an old one is known."""
    old, both, new = Sealer(ONE), Sealer(TWO, ONE), Sealer(TWO)
    sealed = old.seal(b"secret", "a")
    assert both.open(sealed, "a") == b"secret"
    assert not both.is_newest(sealed)
    again = both.seal(b"secret", "a")
    assert both.is_newest(again)
    assert new.open(again, "a") == b"secret"
    with pytest.raises(StorageError, match=f"sealed with the key {key_id(ONE).hex()}"):
        new.open(sealed, "a")


def test_no_key_is_shown():
    """Neither as bytes nor as text, in a repr or in an error."""
    shown = repr(Sealer(ONE, TWO))
    assert key_id(ONE).hex() in shown
    assert "1111" not in shown
    text = "secret-that-is-no-key"
    with pytest.raises(ConfigError) as refused:
        open_sealer("unused", text)
    assert text not in str(refused.value)


def test_the_file_is_made_once_and_read_afterwards(tmp_path):
    """It is for this user only."""
    file = tmp_path / "data" / "secrets.key"
    sealed = open_sealer(file).seal(b"secret", "a")
    assert file.stat().st_mode & 0o777 == 0o600
    assert open_sealer(file).open(sealed, "a") == b"secret"
    assert os.listdir(file.parent) == [file.name]


def test_many_make_the_file_at_once(tmp_path):
    """All of them have the same key afterwards."""
    file = tmp_path / "secrets.key"
    with ThreadPoolExecutor(8) as pool:
        sealers = list(pool.map(lambda _: open_sealer(file), range(8)))
    sealed = [sealer.seal(b"secret", "a") for sealer in sealers]
    assert [sealers[0].open(one, "a") for one in sealed] == [b"secret"] * 8


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    """It says which mode it has, and what to type."""
    file = tmp_path / "secrets.key"
    open_sealer(file)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}.*chmod 600"):
        open_sealer(file)
    with pytest.raises(ConfigError, match=f"{mode:04o}"):
        add_key(file)


def test_a_key_is_added_to_the_file(tmp_path):
    """In front: it seals from now on."""
    file = tmp_path / "secrets.key"
    sealed = open_sealer(file).seal(b"secret", "a")
    id = add_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    sealer = open_sealer(file)
    assert id in repr(sealer)
    assert sealer.open(sealed, "a") == b"secret"
    assert not sealer.is_newest(sealed)
    assert sealer.is_newest(sealer.seal(b"secret", "a"))


def test_keys_that_are_given(tmp_path):
    """They take the place of the file; both ways of writing base64 are read."""
    file = tmp_path / "secrets.key"
    key = base64.b64encode(b"\xfb" * 32).decode()
    sealed = open_sealer(file, f"{key}, {new_key()}").seal(b"secret", "a")
    assert open_sealer(file, key.replace("+", "-").replace("/", "_")).open(sealed, "a") == b"secret"
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "short", "é", base64.b64encode(b"1" * 31).decode(), base64.b64encode(b"1" * 33).decode()])
def test_files_without_a_key(tmp_path, text):
    """Nothing is sealed with a key that is none."""
    file = tmp_path / "secrets.key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="32 bytes as base64"):
        open_sealer(file)


def test_a_folder_that_refuses(tmp_path):
    """It is an error of storage."""
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(StorageError):
        open_sealer(tmp_path / "data" / "secrets.key")
