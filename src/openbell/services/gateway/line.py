"""A WebSocket as uvicorn speaks it, which may leave the application that accepted it and belong to a listener from then on.

A task a client that waits for what it says, and another that waits until it has taken what it was sent, cost more than what is said. So the
application only decides who gets in. After that the listener is called with what the client says and when its line stops taking more, and
writes finished frames to the transport. Nothing here waits, and there is no timer: who watches the lines does that for all of them.
"""

import asyncio
import socket
from typing import Any, Protocol

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from openbell.services.gateway.frames import shortened

#: Where an application finds the line, among the extensions of its scope.
LINE = "openbell.line"
#: Bytes that wait in this process before a line counts as slow, and that wait unsent in the system at most.
WAITING_MAX, UNSENT_MAX = 256 * 1024, 128 * 1024
#: Seconds in which a client has to answer that the line is closed.
CLOSE_S = 5.0


class Listener(Protocol):
    """Whom a line belongs to."""

    def said(self, text: str) -> None:
        """The client said something."""

    def full(self) -> None:
        """The line takes no more."""

    def free(self) -> None:
        """It does again."""

    def gone(self) -> None:
        """The client has gone."""


class Line(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: When (by the clock of the loop) the client was heard, whatever it said.
        self.heard = 0.0
        self.is_full = False
        self._listener: Listener | None = None

    def begin(self, listener: Listener) -> None:
        """Belong to a listener; what the client has said so far is told to it."""
        self._listener = listener
        del self.scope, self.request, self.response
        if self.is_full:
            listener.full()
        while not self.queue.empty():
            self._tell(self.queue.get_nowait())
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    @property
    def waiting(self) -> int:
        """Bytes that the system has not taken."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send finished frames."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames)

    def end(self, code: int, reason: str) -> None:
        """Close, and leave the client a while to answer."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, shortened(reason))
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(CLOSE_S, self.transport.abort)

    # What uvicorn and the transport call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(WAITING_MAX)
        plug = transport.get_extra_info("socket")
        if plug is not None and hasattr(socket, "TCP_NOTSENT_LOWAT") and plug.family in (socket.AF_INET, socket.AF_INET6):
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX)

    def data_received(self, data: bytes) -> None:
        """Something of the client's."""
        self.heard = self.loop.time()
        super().data_received(data)

    def handle_connect(self, event: Request) -> None:
        """Somebody wants in."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[LINE] = self

    def handle_ping(self) -> None:
        """Answer, unless the line is full."""
        answer = b"".join(self.conn.data_to_send())
        if not self.is_full:
            self.write(answer)

    def send_receive_event_to_app(self) -> None:
        """A whole message is there."""
        super().send_receive_event_to_app()
        if self._listener is None:
            return
        while not self.queue.empty():
            self._tell(self.queue.get_nowait())
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """More waits than should."""
        super().pause_writing()
        self.is_full = True
        if self._listener is not None:
            self._listener.full()

    def resume_writing(self) -> None:
        """Little waits."""
        super().resume_writing()
        self.is_full = False
        if self._listener is not None:
            self._listener.free()

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        super().connection_lost(exc)
        if self._listener is not None:
            self._listener.gone()

    def shutdown(self) -> None:
        """The server stops. Who takes nothing is not waited for."""
        super().shutdown()
        if self.is_full:
            self.transport.abort()

    async def run_asgi(self) -> None:
        """The application, to its end; a line that belongs to a listener stays."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:
            self.logger.exception("the application failed before a WebSocket")
            self.send_500_response()
        if self._listener is None and self.close_timer is None:
            self.transport.close()

    def _tell(self, event: Any) -> None:
        """Hand an event over. A message that is no text is nothing anybody understands."""
        assert self._listener is not None
        if event["type"] == "websocket.receive":
            self._listener.said(event.get("text", ""))
        elif event["type"] == "websocket.disconnect":
            self._listener.gone()
