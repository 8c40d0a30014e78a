"""The live stream, as a client hears it: a snapshot, and then what is newer, without a gap that nobody notices.

Each message has a number and, from newer platforms, that of the one before it. When one is missing, or the line is lost, the client
connects again and begins with a new snapshot. `docs/guides/stream.md` has the protocol.
"""

import logging
import random
import time
from threading import Event
from typing import Any, NamedTuple, Self

import msgspec
from msgspec import UNSET, UnsetType
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from openbell import __version__
from openbell.client.address import Platform
from openbell.client.problems import error_of
from openbell.errors import BrokerError, NotSignedInError, OpenbellError, ThrottledError, UnreachableError, UsageError
from openbell.services.views import Alert, Candle, Fill, Order, Portfolio, Price, ServiceView, Signal, Snapshot, StrategyView

#: How long (seconds) it is tried to connect again.
PATIENCE_S = 60.0
#: Bytes of a message.
MESSAGE_MAX = 64 << 20
#: Longest wait (seconds) between two tries.
WAIT_MAX_S = 10.0
_POLICY_VIOLATION = 1008
_KINDS: dict[str, Any] = {
    "snapshot": Snapshot, "prices": dict[str, Price], "candles": Candle, "orders": Order, "fills": Fill, "signals": Signal, "alerts": Alert,
    "portfolio": Portfolio, "equity": tuple[int, float], "strategies": list[StrategyView], "services": list[ServiceView],
}  # fmt: skip
#: The library would write the headers into a log for debugging, and the key with them.
_quiet = logging.getLogger("openbell.client.stream")
_quiet.setLevel(logging.INFO)


class Message(NamedTuple):
    """Something new. `data` is a record of `openbell.services.views`, by the channel: of `prices` a mapping, of `services` a list."""

    channel: str
    data: Any
    seq: int


class _Wire(msgspec.Struct):
    channel: str
    data: msgspec.Raw
    seq: int
    prev: int | UnsetType | None = UNSET


class _Told(msgspec.Struct):
    """Why the line is closed next, at full length."""

    detail: str


class Stream:
    """An iterator of messages, for one thread; any may close it. Errors as of `Client.stream`, and those of who may not listen."""

    def __init__(
        self, platform: Platform, channels: tuple[str, ...], symbols: tuple[str, ...] | None, timeout_s: float, patience_s: float
    ) -> None:
        self._platform = platform
        self._wanted = msgspec.json.encode({"op": "subscribe", "channels": channels, "symbols": symbols}).decode()
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._line: ClientConnection | None = None
        self._seq = 0
        self._tries = 0
        self._told = ""
        self._ended = Event()
        #: How often the line was opened, and how often because a message was missing.
        self.connected, self.gaps = 0, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        while not self._ended.is_set():
            line = self._line or self._connect()
            if line is None:
                break
            try:
                text = line.recv()
            except ConnectionClosed as error:
                self._drop()
                self._check_reason(error)
                continue
            try:
                wire = msgspec.json.decode(text, type=_Wire)
                if not self._follows(wire):
                    self.gaps += 1
                    self._drop()
                    continue
                if wire.channel == "error":
                    self._told = msgspec.json.decode(wire.data, type=_Told).detail
                    continue
                kind = _KINDS.get(wire.channel, Any)
                return Message(wire.channel, msgspec.json.decode(wire.data, type=kind), wire.seq)
            except msgspec.DecodeError as error:
                self.close()
                raise BrokerError(
                    f"a message of the stream is none ({error})", "a platform of this version", "look at the address"
                ) from None
        raise StopIteration

    def close(self) -> None:
        """End it, also from another thread."""
        self._ended.set()
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follows(self, wire: _Wire) -> bool:
        """Whether no message is missing before this one."""
        last, self._seq = self._seq, wire.seq
        if wire.channel == "snapshot":
            self._tries = 0
            return True
        return last == (wire.prev if isinstance(wire.prev, int) else wire.seq - 1)

    def _connect(self) -> ClientConnection | None:
        """A line with the subscription on it; None when the stream was closed meanwhile."""
        deadline = time.monotonic() + self._patience_s
        while not self._ended.is_set():
            wait_s = min(0.25 * 2**self._tries, WAIT_MAX_S) * random.uniform(0.5, 1.0) if self._tries else 0.0
            if self._ended.wait(wait_s):
                return None
            self._tries = min(self._tries + 1, 10)
            try:
                line = connect(
                    self._platform.stream_url, additional_headers=self._platform.headers, ssl=self._platform.tls, compression=None,
                    proxy=None, open_timeout=self._timeout_s, close_timeout=1.0, max_size=MESSAGE_MAX, logger=_quiet,
                    user_agent_header=f"openbell/{__version__}", legacy=True,
                )  # fmt: skip
                assert isinstance(line, ClientConnection), "a connection, and not an iterator of some"
                self._line = line
                line.send(self._wanted)
            except InvalidStatus as error:
                refused = error_of(
                    error.response.status_code, bytes(error.response.body or b""), error.response.headers.get("Retry-After", ""),
                    error.response.headers.get("X-Request-ID", ""),
                )  # fmt: skip
                self._check_patience(refused, deadline, error.response.status_code in (429, 503))
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                reason = (
                    "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or type(error).__name__
                )
                unreached = UnreachableError(f"{self._platform.url} cannot be reached ({reason})", do="look whether it runs")
                self._check_patience(unreached, deadline, True)
            else:
                self.connected += 1
                return line
        return None

    def _check_patience(self, error: OpenbellError, deadline: float, may_pass: bool) -> None:
        """Raise what will not pass; also the first time, so that a wrong address is seen at once."""
        self._drop()
        wait_s = error.retry_after_s if isinstance(error, ThrottledError) else 0
        if not may_pass or not self.connected or time.monotonic() + wait_s > deadline:
            self.close()
            raise error from None
        self._ended.wait(wait_s)

    def _check_reason(self, error: ConnectionClosed) -> None:
        """Raise when coming again would end the same way."""
        if error.rcvd is not None and error.rcvd.code == _POLICY_VIOLATION and not self._ended.is_set():
            reason = self._told or error.rcvd.reason or "the platform ended the line"
            self.close()
            raise NotSignedInError(reason, do="sign in again") if error.rcvd.reason == "signed out" else UsageError(reason)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
