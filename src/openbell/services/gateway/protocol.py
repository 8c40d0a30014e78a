"""HTTP/1.1 as uvicorn speaks it, with two bounds that it leaves to a proxy: how long a request may take to come, and how large its head is.

Without them a client that sends a byte now and then, or a header without an end, holds a connection and memory for as long as it likes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Seconds from the first byte of a request (or from the connection) to its last.
RECEIVE_S = 10.0
#: Bytes of the line and the headers of a request, about.
HEAD_MAX = 32 * 1024
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._late: asyncio.TimerHandle | None = None
        self._is_head = False
        self._head = 0
        #: Requests before the one whose head is coming were in the same piece, so that its length says nothing.
        self._is_next = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and has to ask for something."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """More of a request, or the first of one."""
        if self._late is None:
            self._expect()
        self._is_next = False
        super().data_received(data)
        if self._is_head and not self._is_next:
            self._head += len(data)
            if self._head > HEAD_MAX and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._is_head, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._is_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        self._is_next = True
        self._forget()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a WebSocket, which has bounds of its own."""
        self._forget()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._late = self.loop.call_later(RECEIVE_S, self.transport.abort)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
