"""One client of the live stream: what it wants, and a bounded outbox.

What a client must not miss (orders, fills, signals, closed candles) waits in order; of what only its newest value matters (prices, open
candles, the portfolio) only that waits. A client whose line is too slow even so is told to go: it comes back and gets a new snapshot.
"""

import asyncio
from collections import deque
from typing import Annotated

import msgspec
from starlette.websockets import WebSocket

from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.portfolio.service import Accounts as Visible

OUTBOX_MAX = 1_000


class Subscribe(msgspec.Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    """What a client says: the channels it wants, and of which symbols (all when left out)."""

    channels: Annotated[list[str], msgspec.Meta(max_length=32)]
    symbols: Annotated[list[str], msgspec.Meta(max_length=1_000)] | None = None


class Client:
    """One client's choice and outbox; `caller` is who it is, `visible` the accounts she may see (None: all)."""

    def __init__(self, caller: Caller = LOCAL, visible: Visible = None) -> None:
        self.caller = caller
        self.visible = visible
        self.wanted: Subscribe | None = None
        #: Why the client has to go; empty while it may stay.
        self.ended = ""
        self.channels: frozenset[str] = frozenset()
        self.symbols: frozenset[str] | None = None
        self.is_slow = False
        self._queue: deque[tuple[str, bytes]] = deque()
        self._newest: dict[str, tuple[str, bytes]] = {}
        self._prices: dict[str, msgspec.Raw] = {}
        self._wake = asyncio.Event()
        self._seq = 0

    def begin(self, wanted: Subscribe, snapshot: bytes) -> None:
        """A new subscription replaces what was there, the outbox included."""
        self.wanted = wanted
        self.channels = frozenset(wanted.channels)
        self.symbols = None if wanted.symbols is None else frozenset(wanted.symbols)
        self._queue.clear()
        self._newest.clear()
        self._prices.clear()
        self.queue("snapshot", snapshot)

    def wants(self, channel: str, symbol: str = "") -> bool:
        """Whether the client subscribed to this."""
        return channel in self.channels and (not symbol or self.symbols is None or symbol in self.symbols)

    def sees(self, strategy: str) -> bool:
        """Whether the caller may see what an account does; everybody sees what is of none."""
        return self.visible is None or not strategy or strategy in self.visible

    def sees_alert(self, owner: int) -> bool:
        """Whether the caller may see an alert of a user."""
        return self.caller.may("admin") or (owner == self.caller.user_id and self.caller.may("alerts"))

    def end(self, reason: str) -> None:
        """Have the client go."""
        self.ended = reason
        self._wake.set()

    def queue(self, channel: str, data: bytes) -> None:
        """Something the client must not miss."""
        self._queue.append((channel, data))
        self.is_slow |= len(self._queue) > OUTBOX_MAX
        self._wake.set()

    def replace(self, channel: str, key: str, data: bytes) -> None:
        """Something of which only the newest matters."""
        self._newest[f"{channel} {key}"] = (channel, data)
        self._wake.set()

    def price(self, symbol: str, data: msgspec.Raw) -> None:
        """The newest price of a symbol."""
        self._prices[symbol] = data
        self._wake.set()

    async def send_to(self, socket: WebSocket) -> None:
        """Send what is in the outbox, as fast as the line takes it, until the client is too slow."""
        while not self.is_slow and not self.ended:
            await self._wake.wait()
            self._wake.clear()
            while message := self._next():
                await socket.send_text(message)

    def _next(self) -> str:
        """The next message, numbered; empty when there is none, or no more to be sent."""
        if self.is_slow or self.ended:
            return ""
        if self._queue:
            channel, data = self._queue.popleft()
        elif self._prices:
            channel, data = "prices", msgspec.json.encode(self._prices)
            self._prices.clear()
        elif self._newest:
            channel, data = self._newest.pop(next(iter(self._newest)))
        else:
            return ""
        self._seq = 0 if channel == "snapshot" else self._seq + 1
        return f'{{"channel":"{channel}","seq":{self._seq},"data":{data.decode()}}}'
