"""Every error openbell raises on purpose, in one tree. The number is the exit code of the command line.

    OpenbellError                1  anything below
    ├── UsageError               2  the command line or an argument of the API makes no sense
    │   └── UnknownNameError     2  no such strategy, symbol, run, order ...; near names are offered
    ├── ConfigError              3  a setting is missing, unknown or out of range
    ├── DataError                4  market data that cannot be used: wrong columns, NaN, unordered time
    ├── StrategyError            5  a strategy that cannot be loaded, or one that failed while it ran
    │   └── CompileError         5  a handler uses what cannot be compiled; names the file and the line
    ├── StorageError             6  the disk or the database refused: folder read-only, disk full, server unreachable
    │   ├── JournalError         6  a journal or checkpoint damaged, or from another version
    │   └── FencedError          6  another process has taken over what this one wrote
    ├── ReplayDifferenceError    7  a replay that wrote another command than the journal holds
    ├── BusError                 8  a topic or queue that is closed, or refused a message
    ├── BrokerError              9  a venue that refused, or did not answer
    │   ├── OrderRefusedError    9  the venue refused for certain, and says why
    │   ├── UnreachableError     9  nothing was sent: no connection, no session; it may be sent later
    │   └── OrderInDoubtError    9  sent, and nobody knows whether it arrived
    ├── PortInUseError          10  another program listens on the address already
    └── AccountError            11  whoever asks may not have it
        ├── NotSignedInError    11  nobody is signed in: no password, token or key that holds
        │   └── CodeNeededError 11  the password is right, and the code of the second factor is missing
        ├── ForbiddenError      11  signed in, and the role or the scopes of the key do not allow it
        │   └── StepUpError     11  allowed, once the password or the code has been given again
        └── ThrottledError      11  too many tries; says when to try again

A message answers three questions: what was found, what was expected, what to do about it.
Mistakes of our own, as opposed to the user's or the world's, are assertions and not in this tree.
"""

from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "AccountError",
    "BrokerError",
    "BusError",
    "CodeNeededError",
    "CompileError",
    "ConfigError",
    "DataError",
    "FencedError",
    "ForbiddenError",
    "JournalError",
    "NotSignedInError",
    "OpenbellError",
    "OrderInDoubtError",
    "OrderRefusedError",
    "PortInUseError",
    "ReplayDifferenceError",
    "StepUpError",
    "StorageError",
    "StrategyError",
    "ThrottledError",
    "UnknownNameError",
    "UnreachableError",
    "UsageError",
    "suggest",
]


class OpenbellError(Exception):
    """Base of the tree: one sentence on what was found, one on what was expected, one on what to do.

    >>> print(DataError("prices.csv, row 7: price is -3", "a finite price above 0", "remove the row"))
    prices.csv, row 7: price is -3; expected a finite price above 0. Remove the row.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, expected: str = "", do: str = "") -> None:
        # All three stay in `args`, so that an error survives being pickled between processes.
        super().__init__(found, expected, do)
        self.found = found
        self.expected = expected
        self.do = do

    def __str__(self) -> str:
        text = self.found.rstrip(".")
        if self.expected:
            text += f"; expected {self.expected.rstrip('.')}"
        if self.do:
            text += f". {self.do[0].upper()}{self.do[1:]}"
        return text if text.endswith(("?", ".")) else text + "."


class UsageError(OpenbellError):
    """The command line, or an argument of the Python API, makes no sense."""

    exit_code = 2


class UnknownNameError(UsageError):
    """No such thing: `UnknownNameError.of("strategy", "rsy", ["rsi", "bollinger"])` offers the near names."""

    @classmethod
    def of(cls, kind: str, name: str, options: Iterable[str]) -> "UnknownNameError":
        """Build the error for a `name` that is not among the `options` of its `kind`."""
        return cls(f"there is no {kind} '{name}'", do=suggest(name, options))


class ConfigError(OpenbellError):
    """A setting is missing, unknown or out of range."""

    exit_code = 3


class DataError(OpenbellError):
    """Market data that cannot be used: unreadable, wrong columns, NaN or negative prices, unordered time."""

    exit_code = 4


class StrategyError(OpenbellError):
    """A strategy that cannot be loaded, or one that failed while it ran."""

    exit_code = 5


class CompileError(StrategyError):
    """A handler uses something that cannot be compiled; `found` begins with the file and the line."""


class StorageError(OpenbellError):
    """The disk or the database refused: folder read-only, disk full, file held by another process, server unreachable."""

    exit_code = 6


class JournalError(StorageError):
    """A journal or a checkpoint that is damaged, incomplete, or written by another version."""


class FencedError(StorageError):
    """Another process has taken over what this one wrote. Nothing of this write is there; stop, or read again and go on from there."""


class ReplayDifferenceError(OpenbellError):
    """A replay wrote another command than the journal holds; `found` names the `seq` of the first one."""

    exit_code = 7


class BusError(OpenbellError):
    """A topic or a queue that is closed, or that refused a message."""

    exit_code = 8


class BrokerError(OpenbellError):
    """A venue that refused, or did not answer. If an order is in doubt, its own state says so."""

    exit_code = 9


class OrderRefusedError(BrokerError):
    """The venue refused for certain; `found` is its reason."""


class UnreachableError(BrokerError):
    """The venue cannot be reached, and nothing has left this machine, for certain: it may be sent later."""


class OrderInDoubtError(BrokerError):
    """It was sent, or part of it, and no answer came that can be understood: it is asked about, and never sent again on a guess."""


class PortInUseError(OpenbellError):
    """Another program listens on the address already."""

    exit_code = 10


class AccountError(OpenbellError):
    """Whoever asks may not have it. No message of these says whether a user or a key exists."""

    exit_code = 11


class NotSignedInError(AccountError):
    """Nobody is signed in: the password, the token or the key is wrong, has expired, or was revoked."""


class CodeNeededError(NotSignedInError):
    """The password is right, and the user has a second factor: ask again with its code."""


class ForbiddenError(AccountError):
    """The caller is known, and neither the role nor the scopes of the key allow this."""


class StepUpError(ForbiddenError):
    """The caller may do it, once the password or the code of the second factor has been given again."""


class ThrottledError(AccountError):
    """Too many tries. `retry_after_s` (whole seconds, at least 1) says when the next one may succeed."""

    def __init__(self, found: str, expected: str = "", do: str = "", retry_after_s: int = 1) -> None:
        super().__init__(found, expected, do)
        self.args = (found, expected, do, retry_after_s)
        self.retry_after_s = retry_after_s


def suggest(name: str, options: Iterable[str]) -> str:
    """Say which of the options was probably meant, or list them when none is near.

    >>> suggest("bolinger", ["rsi", "bollinger"])
    "did you mean 'bollinger'?"
    >>> suggest("xyz", ["rsi", "bollinger"])
    'use one of: bollinger, rsi'
    """
    from difflib import get_close_matches

    # Near regardless of case, shown as it is written.
    written = {option.lower(): option for option in sorted(options)}
    near = get_close_matches(name.lower(), written, n=3)
    if near:
        return f"did you mean {' or '.join(repr(written[option]) for option in near)}?"
    if not written:
        return "there are none yet"
    return f"use one of: {', '.join(written[option] for option in sorted(written))}"
