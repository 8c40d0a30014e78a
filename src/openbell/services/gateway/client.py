"""One client of the live stream: who it is, what it wants, and how far it has been told."""

from collections import deque
from typing import Annotated, Protocol

import msgspec

from openbell.services.accounts.callers import Caller
from openbell.services.gateway.groups import Group, Wish
from openbell.services.portfolio.service import Accounts as Visible

CHANNELS = ("prices", "candles", "orders", "fills", "signals", "alerts", "portfolio", "equity", "strategies", "services")
#: Channels of which everybody sees the accounts that are hers only.
OWN = frozenset({"orders", "fills", "signals", "portfolio", "equity", "strategies"})
#: The id of nobody, for who may not see alerts.
NOBODY = -1

Names = Annotated[list[str], msgspec.Meta(max_length=32)]
Symbols = Annotated[list[str], msgspec.Meta(max_length=1_000)]


class Subscribe(msgspec.Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    """A client wants these channels, of these symbols (all when left out), instead of what it wanted before."""

    channels: Names
    symbols: Symbols | None = None


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True):
    """A client does not want these channels any more, or these symbols of all its channels; with neither, nothing at all."""

    channels: Names | None = None
    symbols: Symbols | None = None


class Outlet(Protocol):
    """Where frames go; `openbell.services.gateway.line.Line` is the real one."""

    heard: float
    is_full: bool

    @property
    def waiting(self) -> int:
        """Bytes that were written and not taken."""

    def write(self, frames: bytes) -> None:
        """Send finished frames. Never waits."""

    def end(self, code: int, reason: str) -> None:
        """Close."""


class Manager(Protocol):
    """Who runs the clients."""

    def answer(self, client: "Client") -> None:
        """Deal with what a client said."""

    def fall_behind(self, client: "Client") -> None:
        """Its line is full."""

    def catch_up(self, client: "Client") -> None:
        """Its line is free again."""

    def leave(self, client: "Client") -> None:
        """It has gone."""


class Client:
    """Listens to one line. `visible` are the accounts that the caller may see (None: all), `address` is where it is from."""

    __slots__ = (
        "_manager", "address", "asked", "caller", "full_since", "group", "inbox", "is_stale", "line", "minute", "pinged", "place", "seq",
        "visible", "waited", "wanted",
    )  # fmt: skip

    def __init__(self, manager: Manager, line: Outlet, caller: Caller, visible: Visible, address: str = "") -> None:
        self.caller = caller
        self.visible = visible
        self.address = address
        self.line = line
        self.wanted: Subscribe | None = None
        self.group: Group | None = None
        #: The number of the message it was sent last.
        self.seq = 0
        #: It may see other accounts than before, and has to begin anew.
        self.is_stale = False
        self.pinged = 0.0
        #: Which part of the clients it is looked after with.
        self.place = 0
        #: Since when its line is full, by what time less waited, and how much that was.
        self.full_since, self.waited = 0.0, 0
        self.inbox: deque[str] = deque()
        #: The minute of its latest message, and how many came within it.
        self.minute, self.asked = 0.0, 0
        self._manager = manager

    def wish(self, wanted: Subscribe) -> Wish:
        """What makes it one of a group."""
        channels = frozenset(wanted.channels)
        symbols = None if wanted.symbols is None else frozenset(wanted.symbols)
        return Wish(channels, symbols, self.visible if channels & OWN else None, self._alerts_of() if "alerts" in channels else None)

    def _alerts_of(self) -> int | None:
        if self.caller.may("admin"):
            return None
        return self.caller.user_id if self.caller.may("alerts") else NOBODY

    # What the line calls.

    def said(self, text: str) -> None:
        """A message of the client's."""
        self.inbox.append(text)
        self._manager.answer(self)

    def full(self) -> None:
        """The line takes no more."""
        self._manager.fall_behind(self)

    def free(self) -> None:
        """It does again."""
        self._manager.catch_up(self)

    def gone(self) -> None:
        """The line is gone."""
        self._manager.leave(self)
