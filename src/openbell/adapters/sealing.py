"""Secrets that are stored: sealed with AES-256-GCM under a key that is kept apart from the database.

A sealed value begins with the number of its format, the id of its key and its nonce; the cipher text with its tag follows. The context says
what it is and of whom, such as `totp of user 7`: a value that is moved to another row does not open there. The first key seals and all of
them open, so that a new key may be put in front of an old one. A nonce is random: a key is good for 2^32 values, more than there are users.
"""

import base64
import binascii
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openbell.errors import ConfigError, StorageError

#: Bytes of a key, of its id, and of a nonce.
KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12
#: Bits of a file's mode that let others at it.
OTHERS = 0o077

_FORMAT = b"\x01"
_HEAD = len(_FORMAT) + ID_BYTES


class Sealer:
    """Seals and opens; safe for several threads. Its text shows the ids of the keys only."""

    def __init__(self, *keys: bytes) -> None:
        assert keys, "at least one key"
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._first = key_id(keys[0])

    def seal(self, what: bytes | str, context: str) -> bytes:
        """`what`, sealed: 37 bytes longer. It opens with the same context only."""
        nonce, head = token_bytes(NONCE_BYTES), _FORMAT + self._first
        plain = what.encode() if isinstance(what, str) else what
        return head + nonce + self._ciphers[self._first].encrypt(nonce, plain, head + context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed. StorageError when its key is not here, or it was changed, or sealed for another context."""
        head, nonce, text = sealed[:_HEAD], sealed[_HEAD : _HEAD + NONCE_BYTES], sealed[_HEAD + NONCE_BYTES :]
        if len(nonce) < NONCE_BYTES or not head.startswith(_FORMAT):
            raise StorageError(f"the secret '{context}' is none that openbell sealed", "a sealed one", "set it again")
        id = head[len(_FORMAT) :]
        if id not in self._ciphers:
            raise StorageError(
                f"the secret '{context}' is sealed with the key {id.hex()}",
                f"one of {', '.join(one.hex() for one in self._ciphers)}",
                "use the key file or the OPENBELL_SECRETS__KEY that sealed it, or set the secret again",
            )
        try:
            return self._ciphers[id].decrypt(nonce, text, head + context.encode())
        except InvalidTag:
            raise StorageError(f"the secret '{context}' was changed in the database", "it as it was sealed", "set it again") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it is sealed with the first key; otherwise it is sealed anew when somebody opens it."""
        return sealed.startswith(_FORMAT + self._first)

    def __repr__(self) -> str:
        return f"Sealer({', '.join(id.hex() for id in self._ciphers)})"


def open_sealer(file: Path, given: str = "") -> Sealer:
    """A sealer with the keys that are `given` (several with commas), or with those of the file, which is made when it is not there.

    ConfigError for keys that are none and for a file that others may read, StorageError when the disk refuses.
    """
    if given:
        return Sealer(*_keys(given.split(","), "secrets.key (OPENBELL_SECRETS__KEY)"))
    try:
        if not file.exists():
            _write_new(file, new_key())
        return Sealer(*_keys(_read_private(file).splitlines(), str(file)))
    except OSError as error:
        raise _refused(file, error) from error


def add_key(file: Path) -> str:
    """Put a new key in front of those of the file, and return its id. What the others sealed still opens. Errors as of `open_sealer`."""
    fresh = new_key()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        old = _read_private(file) if file.exists() else ""
        _write(file, f"{fresh}\n{old}").replace(file)
    except OSError as error:
        raise _refused(file, error) from error
    return key_id(_key(fresh, str(file))).hex()


def new_key() -> str:
    """A random key as text."""
    return base64.urlsafe_b64encode(token_bytes(KEY_BYTES)).decode()


def key_id(key: bytes) -> bytes:
    """What a key is called; it says nothing of the key."""
    return blake2b(key, digest_size=ID_BYTES, person=b"openbell key id").digest()


def _keys(texts: Iterable[str], source: str) -> list[bytes]:
    found = [_key(text.strip(), source) for text in texts if text.strip()]
    if not found:
        raise ConfigError(f"{source} holds no key", "32 bytes as base64", "make one: openssl rand -base64 32")
    return found


def _key(text: str, source: str) -> bytes:
    """The bytes of a key. The text itself is in no error."""
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{source} holds a key that is none", "32 bytes as base64", "make one: openssl rand -base64 32")
    return key


def _read_private(file: Path) -> str:
    with file.open(encoding="ascii", errors="replace") as opened:
        mode = os.fstat(opened.fileno()).st_mode & 0o777
        if mode & OTHERS:
            raise ConfigError(f"{file} has the mode {mode:04o}, so others may read it", "0600", f"keep it to yourself: chmod 600 {file}")
        return opened.read()


def _write_new(file: Path, key: str) -> None:
    """Make the file. Two processes may do it at once: the first one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    written = _write(file, f"{key}\n")
    try:
        os.link(written, file)
    except FileExistsError:
        pass
    finally:
        written.unlink()


def _write(file: Path, text: str) -> Path:
    """The text on the disk, in a file of its own beside `file`, for this user only."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.{token_bytes(4).hex()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    return beside


def _refused(file: Path, error: OSError) -> StorageError:
    return StorageError(f"{file}: {error.strerror or error}", "a file of this user", "choose another data folder")
