"""Stops that people see: the price in Redis, and the same price on the gateway's WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from openbell.adapters.redis_server import TROUBLE, RedisServer
from openbell.adapters.stores.speed_layer import PlacedPrice
from openbell.config import RedisSettings
from openbell.errors import StorageError
from openbell.services.verify.gateway import Stream
from openbell.services.verify.journey import Seen, Trail

#: Between two looks.
LOOK_EVERY_S = 0.003


class RedisStop:
    """The key of a symbol's latest price, with the position of the latest tick in its topic."""

    def __init__(self, place: RedisSettings, namespace: str, symbol: str) -> None:
        self.key = f"{namespace}.price:{symbol}" if namespace else f"price:{symbol}"
        self._server = RedisServer.at(place, "openbell-verify")
        self._client: Any = self._server.client(connections=1)
        self._before: bytes | None = None

    async def price(self) -> PlacedPrice | None:
        """What is there now, None for nothing. StorageError when Redis does not answer, or has something else there."""
        self._before = await self._get()
        return None if self._before is None else self._read(self._before)

    async def seen(self, offset: Callable[[], int | None]) -> Seen:
        """Wait until a price from an offset on is there, which is not what was there before; `offset` is None while it is not known."""
        trail = Trail()
        while True:
            text = await self._get()
            if text is not None and text != self._before and (position := self._read(text).position) is not None:
                trail.note(position)
            wanted = offset()
            if wanted is not None and (found := trail.first_from(wanted)) is not None:
                return Seen(f"{self.key}, position {found[0]:,}", found[1])
            await asyncio.sleep(LOOK_EVERY_S)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def _get(self) -> bytes | None:
        try:
            found: bytes | None = await self._client.get(self.key)
            return found
        except TROUBLE as error:
            raise self._server.verdict(error, StorageError) or StorageError(
                f"Redis at {self._server.address} does not answer ({type(error).__name__})", do="see whether it runs: openbell doctor"
            ) from error

    def _read(self, text: bytes) -> PlacedPrice:
        try:
            return msgspec.json.decode(text, type=PlacedPrice)
        except msgspec.DecodeError as error:
            raise StorageError(f"{self.key} in Redis cannot be read: {error}", "what openbell wrote", "delete the key") from None


async def shown_on(stream: Stream, symbol: str, offset: Awaitable[int]) -> Seen:
    """Wait until the stream has a price of the symbol from an offset on."""
    trail, came = Trail(), asyncio.Event()

    async def listen() -> None:
        async for channel, data in stream.messages():
            position = data.get(symbol, {}).get("position") if channel == "prices" else None
            if position is not None:
                trail.note(position)
                came.set()
        raise stream.closed()

    listening = asyncio.create_task(listen())
    try:
        wanted = await offset
        while (found := trail.first_from(wanted)) is None:
            came.clear()
            waiting = asyncio.create_task(came.wait())
            await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if listening.done():
                listening.result()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return Seen(f"{stream.address}, position {found[0]:,}", found[1])
