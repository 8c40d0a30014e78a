"""A TCP proxy between a client and a server, to make a network fail on purpose.

    with Proxy("127.0.0.1", 5672) as proxy:
        client = connect(proxy.host, proxy.port)
        proxy.stall()            # a pulled cable: connections stay open, nothing moves
        proxy.resume()           # everything that was sent meanwhile arrives
        proxy.slow(0.1)          # a bad line: whatever passes does so a tenth of a second later
        proxy.cut()              # a server gone: open connections are reset, new ones too
        proxy.resume()           # new connections go through again; those that were reset stay so

It runs on an event loop in a thread of its own, so it serves clients with and without one, and its methods may be called from any thread.
They return when their effect is there.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal

CHUNK_BYTES = 64 << 10
#: Closing a socket with this option resets the connection instead of ending it in good order.
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to `host`:`port` until told otherwise; it listens on `self.host`:`self.port` itself."""

    def __init__(self, host: str, port: int) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        #: Connections that were accepted, and bytes that went through, in both directions.
        self.connections = 0
        self.bytes = 0
        #: Pieces of data that were held back or delayed, and connections that were reset.
        self.disturbed = 0
        self._delay = 0.0
        self._server = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flows = {"requests": asyncio.Event(), "answers": asyncio.Event()}
        self._open: set[asyncio.StreamWriter] = set()
        self._accepts = True
        self._listener: asyncio.Server | None = None

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every open connection, and each new one, until `resume`."""

        def act() -> None:
            self._accepts = False
            self.disturbed += len(self._open) // 2
            self._reset_all()

        self._call(act)

    def stall(self, what: Literal["everything", "requests", "answers"] = "everything") -> None:
        """Let nothing through, or nothing to the server, or nothing from it; connections stay open, new ones hang."""

        def act() -> None:
            for direction, flow in self._flows.items():
                if what in ("everything", direction):
                    flow.clear()

        self._call(act)

    def slow(self, seconds: float) -> None:
        """Let each piece of data (64 KB at most) pass so much later, one after the other."""

        def act() -> None:
            self._delay = seconds

        self._call(act)

    def resume(self) -> None:
        """Let everything through again, first what was held back."""

        def act() -> None:
            self._accepts = True
            self._delay = 0.0
            for flow in self._flows.values():
                flow.set()

        self._call(act)

    # --- on the loop of the thread

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, act: Callable[[], None]) -> None:
        async def work() -> None:
            act()

        self._run(work())

    async def _listen(self) -> None:
        for flow in self._flows.values():
            flow.set()
        self._listener = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self._accepts = False
        for flow in self._flows.values():
            flow.set()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            self._reset_all()
            await asyncio.wait(others, timeout=0.1)

    def _reset_all(self) -> None:
        for writer in tuple(self._open):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if not self._accepts:
            self.disturbed += 1
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
        except OSError:
            _reset(writer)
            return
        both = {writer, server_writer}
        self._open |= both
        there = asyncio.create_task(self._forward(reader, server_writer, self._flows["requests"]))
        back = asyncio.create_task(self._forward(server_reader, writer, self._flows["answers"]))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            self._open -= both
            for end in both:
                end.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event) -> None:
        """Until one side ends or breaks; then the other is closed too."""
        try:
            while data := await reader.read(CHUNK_BYTES):
                self.disturbed += self._delay > 0 or not flow.is_set()
                if self._delay:
                    await asyncio.sleep(self._delay)
                await flow.wait()
                writer.write(data)
                await writer.drain()
                self.bytes += len(data)
        except OSError:
            return


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
