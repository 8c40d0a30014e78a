"""The gateway as a client sees it: questions over HTTP, and the live stream."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from openbell.config import ServerSettings
from openbell.errors import BusError, OpenbellError, UsageError
from openbell.services.verify.looking import ask

#: How long the gateway may take to answer.
ANSWER_S = 5.0
#: A snapshot has hundreds of orders and fills.
MESSAGE_MAX = 16 << 20
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Message = tuple[str, Any]


class GatewayAddress:
    """`http://host:port`. UsageError for what is none; a user or a password in it is refused, so that none is shown."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.path not in ("", "/"):
            raise UsageError(f"{_without_user(url)!r} is no address of a gateway", "one such as http://127.0.0.1:8081")
        if parts.username is not None or parts.password is not None:
            raise UsageError("the address of the gateway has a user or a password", "host and port only")
        self.is_secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = port or (443 if self.is_secure else 80)

    @classmethod
    def of(cls, settings: ServerSettings) -> "GatewayAddress":
        """Where the settings have it listen."""
        host = _EVERYWHERE.get(settings.host, settings.host)
        return cls(f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}")

    def __str__(self) -> str:
        return f"http{'s' if self.is_secure else ''}://{self._authority}"

    @property
    def stream(self) -> str:
        """Of the WebSocket."""
        return f"ws{'s' if self.is_secure else ''}://{self._authority}/ws"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def unreachable(self, error: Exception) -> OpenbellError:
        """What went wrong on the way, as an error that says what to do."""
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            return BusError(
                f"{self.stream} answers {status}", "a gateway of openbell that lets us in", "see --url and server.allowed_hosts"
            )
        late = f"nothing within {ANSWER_S:g} s" if isinstance(error, TimeoutError) else ""
        reason = late or getattr(error, "strerror", None) or str(error) or type(error).__name__
        do = "start `openbell serve gateway` (or `openbell up`), or name its address with --url"
        if isinstance(error, ConnectionRefusedError) or "refused" in reason.lower():
            return BusError(f"nobody listens on {self}", do=do)
        return BusError(f"{self} does not answer as a gateway ({reason})", do=do)

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and decoded body of an answer; BusError when there is none."""
        try:
            return await ask(lambda: self._get(path))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.unreachable(error) from None

    def _get(self, path: str) -> tuple[int, Any]:
        kind = http.client.HTTPSConnection if self.is_secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=ANSWER_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read(MESSAGE_MAX))
        finally:
            connection.close()


class Stream:
    """The live stream, subscribed to some channels of one symbol. What came before it was asked for waits."""

    def __init__(self, address: GatewayAddress) -> None:
        self.address = address.stream
        #: What the gateway told first.
        self.snapshot: dict[str, Any] = {}
        self._gateway = address
        self._socket: ClientConnection | None = None
        self._failure: OpenbellError | None = None

    async def open(self, channels: Sequence[str], symbol: str) -> None:
        """Connect and subscribe. What goes wrong is told by `messages`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self._socket = await connect(self.address, close_timeout=1.0, max_size=MESSAGE_MAX, proxy=None, compression=None)
                await self._socket.send(json.dumps({"op": "subscribe", "channels": list(channels), "symbols": [symbol]}))
                async for channel, data in self.messages():
                    if channel == "snapshot":
                        self.snapshot = data
                        return
        except (OSError, WebSocketException, TimeoutError) as error:
            self._failure = self._gateway.unreachable(error)
        except OpenbellError as error:
            self._failure = error

    async def messages(self) -> AsyncIterator[Message]:
        """(Channel, data) of everything that comes, until the gateway closes the stream; raises why it could not be opened."""
        if self._failure is not None:
            raise self._failure
        assert self._socket is not None, "opened"
        try:
            async for text in self._socket:
                message = json.loads(text)
                yield message["channel"], message["data"]
        except ConnectionClosed:
            raise self.closed() from None
        except (ValueError, KeyError, TypeError):
            raise BusError(f"{self.address} says what no gateway of openbell does", do="see --url") from None

    def closed(self) -> OpenbellError:
        """That the gateway closed the stream."""
        return BusError(f"{self.address} was closed by the gateway", do="read its log")

    async def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            await self._socket.close()


def _without_user(url: str) -> str:
    return f"…@{url.rpartition('@')[2]}" if "@" in url else url
