"""The notifier's contract, in words and as a protocol: where a message for a person goes, and what came of it.

`tests/contracts/test_notifiers.py` holds every implementation to this:

1. *One sink, one target.* A sink is one chat, one mailbox or one webhook: what is sent again because of one never comes twice to another.
2. *Plain text.* What is sent is shown as it is written: nothing in it is taken for markup, and nobody is mentioned by it.
3. *Five answers, never mixed up.* SENT: the sink has it. LATER: the sink is there and has no time; it may have said how long (`wait_s`).
   FAILED: it could not be reached, or is in trouble. FAULT: it does not want this message. REFUSED: it does not want us, and asking again
   only makes it worse.
4. *One call, one attempt.* Nothing is tried again inside, and nothing sleeps there: who calls knows when it is time.
5. *Bounded.* `send` blocks, for a thread of its own; it ends in a few seconds, and at once when another thread calls `abort`.
6. *Quiet about secrets.* An address holds tokens. They are in no answer, no log and no error.
7. *Nowhere else.* A sink follows no redirect, checks certificates, and reaches no private address unless that is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

from openbell.errors import ConfigError

Answer = Literal["sent", "later", "failed", "fault", "refused"]
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message for one person. Sinks without subjects leave the title out, so the body says everything."""

    title: str
    body: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt."""

    answer: Answer
    reason: str = ""  # in words, without a secret; empty for SENT
    wait_s: float = 0.0  # how long the sink wants to be left alone, where it says so; also after SENT
    moved: str = ""  # the sink's new address (a secret), where it says that it has one; the message is to be sent there


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many messages in any stretch of so many seconds."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Described:
    """What may be shown of an address."""

    kind: str  # telegram, discord, email, webhook, or what the address begins with
    shown: str  # the address without its secrets
    rates: Sequence[Rate]


class Sink(Protocol):
    """Where messages of one channel go."""

    described: Described

    def send(self, letter: Letter) -> Outcome:
        """One attempt. Raises nothing for what the sink or the network does."""

    def abort(self) -> None:
        """End the attempt that runs in another thread, if one does; it returns FAILED."""


def open_sink(url: str, allow_private: bool = False) -> Sink:
    """The sink of an address. UsageError for one that cannot be used, ConfigError when what sends is not installed."""
    if find_spec("apprise") is None:
        raise ConfigError("a channel is set, and what sends is not installed", "apprise", "install it: pip install 'openbell[notify]'")
    from openbell.adapters.notifiers.apprise import AppriseSink

    return AppriseSink(url, allow_private)


def load_senders() -> None:
    """Load everything that sends, which `open_sink` would do the first time: it takes about a second. Nothing when it is not installed."""
    if find_spec("apprise") is not None:
        from openbell.adapters.notifiers.apprise import load

        load()
