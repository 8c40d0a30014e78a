"""Clients that are told the same: one numbering, and every message made once for all of them.

The messages of a group are numbered without a gap, and each says the number before its own. A client that keeps pace is sent exactly these
bytes. One whose line is slower than that falls behind: nothing is sent until its line has taken what it has, and then it catches up by what
is left of the messages since: all that must not be missed, in order, and of the others the newest only. Their numbers have gaps, but what
each says of the one before holds, and the last of them is where the group is.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from openbell.services.gateway.frames import message_frame
from openbell.services.portfolio.service import Accounts as Visible

if TYPE_CHECKING:
    from openbell.services.gateway.client import Client

#: Messages that must not be missed and wait for those who are behind. Who is farther behind has to go.
EVENTS_MAX = 1_000
#: Bytes that a client is handed at once, about; a line that does not take them is slow.
PIECE_BYTES = 64 * 1024
#: The key of what must not be missed.
EVENT = ""


class Wish(NamedTuple):
    """What makes clients a group: the channels, the symbols (None: all), and whose accounts and alerts they may see."""

    channels: frozenset[str]
    symbols: frozenset[str] | None
    visible: Visible
    alerts_of: int | None  # None: of everybody


class Said(NamedTuple):
    """A message of a group. Of those with the same key only the newest matters; `prices`: of each symbol in it."""

    seq: int
    channel: str
    key: str
    data: bytes
    prices: Mapping[str, bytes] | None
    frame: bytes


class Group:
    """The clients of one wish. `members` keep pace, `behind` do not."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.seq = 0
        self.members: set[Client] = set()
        self.behind: set[Client] = set()
        #: Prices that wait until what was said before has been handed out.
        self.unsaid: dict[str, bytes] = {}
        self._recent: deque[Said] = deque()
        self._pieces: dict[int, tuple[bytes, int]] = {}
        # For those who are behind: what is left of all messages up to number `_kept`.
        self._kept = 0
        self._events: deque[Said] = deque()
        self._newest: dict[str, Said] = {}
        self._prices: dict[str, tuple[int, bytes]] = {}
        #: The number of the newest event that is kept no more.
        self.lost = 0

    def wants(self, channel: str, symbol: str = "") -> bool:
        """Whether these clients subscribed to this."""
        wish = self.wish
        return channel in wish.channels and (not symbol or wish.symbols is None or symbol in wish.symbols)

    def sees(self, strategy: str) -> bool:
        """Whether they may see what an account does; everybody sees what is of none."""
        return self.wish.visible is None or not strategy or strategy in self.wish.visible

    def sees_alert(self, owner: int) -> bool:
        """Whether they may see an alert of a user."""
        return self.wish.alerts_of is None or owner == self.wish.alerts_of

    @property
    def is_level(self) -> bool:
        """Whether all who keep pace have been handed everything."""
        return not self._recent

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left."""
        return not self.members and not self.behind

    def say(self, channel: str, data: bytes, key: str = EVENT, prices: Mapping[str, bytes] | None = None) -> None:
        """The next message of the group. Without a key it must not be missed."""
        frame = message_frame(channel, self.seq + 1, self.seq, data)
        self.seq += 1
        self._recent.append(Said(self.seq, channel, key, data, prices, frame))
        self._pieces.clear()

    def after(self, seq: int) -> tuple[bytes, int]:
        """About PIECE_BYTES of what comes after the message `seq`, as it is sent to who keeps pace, and the number of its last message."""
        assert self._recent[0].seq <= seq + 1 <= self.seq, "of a client that keeps pace"
        if seq not in self._pieces:
            size, last = 0, seq
            frames: list[bytes] = []
            for said in islice(self._recent, seq + 1 - self._recent[0].seq, None):
                if frames and size + len(said.frame) > PIECE_BYTES:
                    break
                frames.append(said.frame)
                size, last = size + len(said.frame), said.seq
            self._pieces[seq] = (frames[0] if len(frames) == 1 else b"".join(frames), last)
        return self._pieces[seq]

    def settle(self) -> None:
        """Let go of what everybody has who keeps pace; for those who are behind what is left of it stays."""
        low = min((client.seq for client in self.members), default=self.seq)
        if self.behind:
            self._keep()
        else:
            self._forget()
        while self._recent and self._recent[0].seq <= low:
            self._recent.popleft()
        self._pieces.clear()

    def left_of(self, seq: int) -> list[bytes] | None:
        """The frames that bring a client from the message `seq` up to the newest; None when something it must not miss is gone."""
        self._keep()
        if seq < self.lost:
            return None
        left = [said for said in self._events if said.seq > seq]
        left += [said for said in self._newest.values() if said.seq > seq]
        prices = {symbol: data for symbol, (at, data) in self._prices.items() if at > seq}
        if prices:
            last = max(at for at, _ in self._prices.values())
            left.append(Said(last, "prices", "prices", prices_of(prices), prices, b""))
        left.sort()
        frames = []
        for said in left:
            frames.append(message_frame(said.channel, said.seq, seq, said.data))
            seq = said.seq
        assert seq == self.seq, "the newest message of all is left in any case"
        if not self.behind:
            self._forget()
        return frames

    def _keep(self) -> None:
        """Note what is left of the messages that were said since this was done."""
        for said in self._unkept():
            if said.prices is not None:
                for symbol, data in said.prices.items():
                    self._prices[symbol] = (said.seq, data)
            elif said.key:
                self._newest[said.key] = said
            else:
                self._events.append(said)
                if len(self._events) > EVENTS_MAX:
                    self.lost = self._events.popleft().seq
            self._kept = said.seq

    def _unkept(self) -> Iterator[Said]:
        first = self._recent[0].seq if self._recent else 0
        return islice(self._recent, max(self._kept + 1 - first, 0), None)

    def _forget(self) -> None:
        self._kept = self.lost = 0
        self._events.clear()
        self._newest.clear()
        self._prices.clear()


def prices_of(prices: Mapping[str, bytes]) -> bytes:
    """Prices, each a pair of JSON such as `"AAPL":{"price":189.5}`, as one object."""
    return b"{%b}" % b",".join(prices.values())
