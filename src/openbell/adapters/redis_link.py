"""Talking to a Redis server: one connection that never changes behind our back, questions of many tasks together, messages on channels."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from openbell.adapters.redis_server import TIMEOUT_S, TROUBLE, RedisServer


class RedisLink:
    """One connection, used by one task. It never connects again by itself: while it lasts, the server is one and the same process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, server: RedisServer) -> "RedisLink":
        """Connect. The errors are those of `TROUBLE`."""
        connection = server.connection()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cls(connection)

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, server: RedisServer) -> "AsyncIterator[RedisLink]":
        """A connection for the length of a block."""
        link = await cls.open(server)
        try:
            yield link
        finally:
            await link.close()

    async def call(self, *command: Any) -> Any:
        """Send one command and return its answer."""
        answer = (await self.calls([command]))[0]
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def calls(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands together and return their answers, in order; one that is refused has its ResponseError among them."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._write(b"".join(map(pack_command, map(tuple, commands))))
            return [await self._answer() for _ in commands]

    async def send(self, *command: Any) -> None:
        """Send a command whose answers `read` gets."""
        await self._write(pack_command(command))

    async def _write(self, packed: bytes) -> None:
        if not self._connection.is_connected:
            raise ConnectionResetError("the connection is closed")
        try:
            await self._connection.send_packed_command(packed, check_health=False)
        except RuntimeError as error:  # uvloop's word for a connection that was reset while nobody used it
            raise ConnectionResetError(f"the connection is closed: {error}") from error

    async def read(self, timeout_s: float) -> Any:
        """The next answer, None when there was none within the time."""
        return await self._connection.read_response(timeout=timeout_s)

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response(timeout=math.inf)
        except ResponseError as error:
            return error

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.disconnect(nowait=True)


class RedisAsker:
    """Questions of many tasks over one connection: those that wait go together, so the more there are, the less each of them costs."""

    def __init__(self, server: RedisServer, timeout_s: float = 1.0) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._waiting: list[tuple[Sequence[Any], asyncio.Future[Any]]] = []
        self._work: asyncio.Task[None] | None = None
        self._link: RedisLink | None = None

    async def ask(self, *command: Any) -> Any:
        """The answer to a command that may be asked twice. The errors are those of `TROUBLE`; no answer in time is one."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, answer))
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._answer(), name=f"redis questions {self._server.address}")
        async with asyncio.timeout(self._timeout_s):
            return await answer

    async def close(self) -> None:
        """Disconnect."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def _answer(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            found: Sequence[Any]
            try:
                found = await self._calls([command for command, _ in asked])
            except TROUBLE as error:
                found = [error] * len(asked)
            for (_, answer), content in zip(asked, found, strict=True):
                if answer.done():
                    continue
                if isinstance(content, Exception):
                    answer.set_exception(content)
                else:
                    answer.set_result(content)

    async def _calls(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers; a connection that broke while nobody asked is made again."""
        if self._link is not None:
            try:
                return await self._link.calls(commands)
            except TROUBLE:
                await self._link.close()
                self._link = None
        link = await RedisLink.open(self._server)
        try:
            answers = await link.calls(commands)
        except BaseException:
            await link.close()
            raise
        self._link = link
        return answers


def on_channel(key: str, payload: bytes) -> bytes:
    """How a message stands on a channel: as it is, so that people can write one, or, when it has a key, behind the key and two zero bytes.

    >>> on_channel("", b"{}"), on_channel("AAPL", b"{}")
    (b'{}', b'\x00AAPL\x00{}')
    """
    return b"\0%s\0%s" % (key.encode(), payload) if key or payload.startswith(b"\0") else payload


def from_channel(content: bytes) -> tuple[str, bytes]:
    """Key and payload of what stands on a channel."""
    if not content.startswith(b"\0"):
        return "", content
    key, _, payload = content[1:].partition(b"\0")
    return key.decode(errors="replace"), payload
