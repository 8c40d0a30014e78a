"""The live stream: one hub that reads the bus while anybody watches, and hands what it brings to the clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from openbell.adapters.buses.base import Subscription
from openbell.errors import StorageError
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.gateway.access import PROTOCOL, Access
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.client import Client, Subscribe
from openbell.services.portfolio.service import Accounts as Visible
from openbell.services.topics.names import OPEN_CANDLES, PRICES, VIEWS
from openbell.services.views import Candle, Snapshot

CHANNELS = ("prices", "candles", "orders", "fills", "signals", "alerts", "portfolio", "equity", "strategies", "services")
CLIENTS_MAX = 64
#: Lines of one user who signed in.
CLIENTS_OF_USER_MAX = 16
SUBSCRIPTIONS_MAX = 200
#: How often (seconds) it is looked whether who listens may still do so.
LOOK_EVERY_S = 2.0
#: The beat of the display, and what is told every so many beats.
BEAT_S = 0.1
CANDLES_EVERY, PORTFOLIO_EVERY, SERVICES_EVERY = 3, 5, 10
TRY_AGAIN_LATER, BAD_REQUEST = 1013, 1008

log = structlog.get_logger("stream")


class Hub:
    """Hands what the bus brings to the clients. Without clients it neither reads nor runs."""

    def __init__(self, backstage: Backstage, access: Access | None = None) -> None:
        self.clients: set[Client] = set()
        self._backstage = backstage
        self._access = access or Access()
        self._tasks: list[asyncio.Task[None]] = []
        self._views: Subscription | None = None
        self._display: Subscription | None = None

    async def serve(self, socket: WebSocket, caller: Caller = LOCAL) -> None:
        """One client, from its connection to its end."""
        own = sum(client.caller.user_id == caller.user_id for client in self.clients) if caller.user_id else 0
        if len(self.clients) >= CLIENTS_MAX or own >= CLIENTS_OF_USER_MAX:
            await socket.close(TRY_AGAIN_LATER, "too many clients")
            return
        client = Client(caller, await self._backstage.owners.visible(caller))
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
        self._join(client)
        sending = asyncio.create_task(client.send_to(socket))
        listening = asyncio.create_task(self._listen(client, socket))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(client)
            for task in (sending, listening):
                task.cancel()
            ended = await asyncio.gather(sending, listening, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect | RuntimeError):
                log.warning("client failed", error=f"{type(error).__name__}: {error}")
        if socket.client_state is WebSocketState.CONNECTED and socket.application_state is WebSocketState.CONNECTED:
            await socket.close(*((TRY_AGAIN_LATER, "too slow") if client.is_slow else (BAD_REQUEST, client.ended or "not understood")))

    async def _listen(self, client: Client, socket: WebSocket) -> None:
        """Take subscriptions until the client goes, or says something that makes no sense."""
        for _ in range(SUBSCRIPTIONS_MAX):
            try:
                wanted = msgspec.json.decode(await socket.receive_text(), type=Subscribe)
            except (msgspec.DecodeError, KeyError):
                return
            if not set(wanted.channels) <= set(CHANNELS):
                return
            self._dispatch_waiting()
            client.begin(wanted, msgspec.json.encode(self._snapshot(client)))

    def _join(self, client: Client) -> None:
        self.clients.add(client)
        if len(self.clients) == 1:
            bus = self._backstage.bus
            self._views, self._display = bus.subscribe(VIEWS), bus.subscribe((PRICES, OPEN_CANDLES))
            work = [self._read_views(self._views), self._beat(self._display), self._look()]
            self._tasks = [asyncio.create_task(one) for one in work]

    def _leave(self, client: Client) -> None:
        self.clients.discard(client)
        if not self.clients:
            for task in self._tasks:
                task.cancel()
            for subscription in (self._views, self._display):
                if subscription is not None:
                    subscription.close()

    async def _look(self) -> None:
        """Send away who has signed out or lost the key, and who may see other accounts than before begins anew."""
        while self._access.has_accounts:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._backstage.owners.refresh()
                callers = {client.caller.origin: client.caller for client in self.clients}
                found = dict(zip(callers, await self._access.accounts.renewed_all(list(callers.values())), strict=True))
            except StorageError as error:
                log.warning("who listens cannot be looked up, and goes", error=str(error))
                found = {}
            for client in list(self.clients):
                if client.caller.origin in found or not found:
                    self._renew(client, found.get(client.caller.origin))

    def _renew(self, client: Client, caller: Caller | None) -> None:
        if caller is None or not caller.may("read"):
            client.end("signed out")
            return
        client.caller, before = caller, client.visible
        client.visible = self._backstage.owners.seen(caller)
        if client.visible != before and client.wanted is not None:
            self._dispatch_waiting()
            client.begin(client.wanted, msgspec.json.encode(self._snapshot(client)))

    def _snapshot(self, client: Client) -> Snapshot:
        backstage, visible = self._backstage, client.visible
        return Snapshot(
            run=backstage.run(),
            symbols=backstage.names.symbols,
            timeframes=backstage.names.timeframes,
            portfolio=backstage.portfolio.portfolio(of=visible),
            strategies=backstage.portfolio.strategies(visible),
            services=backstage.services(),
            orders=backstage.portfolio.orders(200, visible),
            fills=backstage.portfolio.fills(200, visible),
            prices=backstage.archive.speed_layer.prices,
        )

    async def _read_views(self, views: Subscription) -> None:
        while messages := await views.take():
            for message in messages:
                self._show(*message.payload)

    def _dispatch_waiting(self) -> None:
        """Hand out what waits, so that a snapshot made now is followed only by what is newer."""
        if self._views is not None:
            for message in self._views.take_now():
                self._show(*message.payload)

    def _show(self, channel: str, thing: Any) -> None:
        """Something that happened, to whoever wants it and may see it."""
        portfolio = self._backstage.portfolio
        if channel == "states":
            self._replace_own("strategies", portfolio.strategies)
        elif channel == "equity":
            self._replace_own("equity", lambda visible: thing if visible is None else (thing[0], portfolio.worth(visible)))
        else:
            symbol, strategy = thing.symbol, getattr(thing, "strategy", "")
            data = msgspec.json.encode(thing)
            for client in self.clients:
                if client.wants(channel, symbol) and (client.sees_alert(thing.owner) if channel == "alerts" else client.sees(strategy)):
                    client.queue(channel, data)

    def _replace(self, channel: str, thing: Any, key: str = "", symbol: str = "") -> None:
        wanting = [client for client in self.clients if client.wants(channel, symbol)]
        data = msgspec.json.encode(thing) if wanting else b""
        for client in wanting:
            client.replace(channel, key, data)

    def _replace_own(self, channel: str, show: Callable[[Visible], Any]) -> None:
        """What is shown of the accounts that each client may see, made once for all who see the same."""
        made: dict[Visible, bytes] = {}
        for client in self.clients:
            if client.wants(channel):
                if client.visible not in made:
                    made[client.visible] = msgspec.json.encode(show(client.visible))
                client.replace(channel, "", made[client.visible])

    async def _beat(self, display: Subscription) -> None:
        """Prices ten times a second, open candles three times, the portfolio twice, the rest once."""
        candles: dict[str, Candle] = {}
        portfolio, beat = self._backstage.portfolio, 0
        while True:
            await asyncio.sleep(BEAT_S)
            beat += 1
            for message in display.take_now():
                if message.topic == PRICES:
                    data = msgspec.Raw(msgspec.json.encode(message.payload))
                    for client in self.clients:
                        if client.wants("prices", message.key):
                            client.price(message.key, data)
                else:
                    candles[message.key] = message.payload
            if beat % CANDLES_EVERY == 0:
                for key, candle in candles.items():
                    self._replace("candles", candle, key, candle.symbol)
                candles.clear()
            if beat % PORTFOLIO_EVERY == 0:
                self._replace_own("portfolio", lambda visible: portfolio.portfolio(of=visible))
            if beat % SERVICES_EVERY == 0:
                self._replace("services", self._backstage.services())
                self._replace_own("strategies", portfolio.strategies)
