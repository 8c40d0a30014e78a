"""What groups are told: what happens as it happens, and what changes all the time at a beat. What nobody wants is not even encoded."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from openbell.adapters.buses.base import Subscription
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.frames import message_frame
from openbell.services.gateway.groups import Group, Wish, prices_of
from openbell.services.gateway.sweeper import Sweeper, Turn
from openbell.services.portfolio.service import Accounts as Visible
from openbell.services.topics.names import OPEN_CANDLES, PRICES, VIEWS
from openbell.services.views import Candle, Snapshot

#: The beat of the display, and what is told every so many beats.
BEAT_S = 0.1
CANDLES_EVERY, PORTFOLIO_EVERY, SERVICES_EVERY = 3, 5, 10
#: The channels whose newest rows a snapshot has, for who subscribes to them, and how many.
ROWS_OF = frozenset({"orders", "fills"})
ROWS = 200


class Telling:
    """Reads the bus from when it is made until it is closed, and tells the groups."""

    def __init__(self, backstage: Backstage, groups: dict[Wish, Group], sweeper: Sweeper) -> None:
        self._backstage = backstage
        self._groups = groups
        self._sweeper = sweeper
        self._views: Subscription = backstage.bus.subscribe(VIEWS)
        self._display: Subscription = backstage.bus.subscribe((PRICES, OPEN_CANDLES))
        self._candles: dict[str, Candle] = {}
        self._snapshots: dict[Any, bytes] = {}
        self._greetings: dict[Any, bytes] = {}

    def close(self) -> None:
        """Read no more."""
        self._views.close()
        self._display.close()

    def greeting(self, group: Group, visible: Visible) -> bytes:
        """The frame that a client of a group begins with. Made once for all who see the same, until something happens."""
        key = (visible, group.wish.symbols, group.wish.channels & ROWS_OF)
        if (key, group.seq) not in self._greetings:
            self._greetings[key, group.seq] = message_frame("snapshot", group.seq, None, self._snapshot(*key))
        return self._greetings[key, group.seq]

    def _snapshot(self, visible: Visible, symbols: frozenset[str] | None, kinds: frozenset[str]) -> bytes:
        """How everything stands, as JSON; without rows of other kinds, and prices of other symbols."""
        key = (visible, symbols, kinds)
        if key not in self._snapshots:
            backstage, prices = self._backstage, self._backstage.archive.speed_layer.prices
            made = Snapshot(
                run=backstage.run(),
                symbols=backstage.names.symbols,
                timeframes=backstage.names.timeframes,
                portfolio=backstage.portfolio.portfolio(of=visible),
                strategies=backstage.portfolio.strategies(visible),
                services=backstage.services(),
                orders=backstage.portfolio.orders(ROWS, visible) if "orders" in kinds else [],
                fills=backstage.portfolio.fills(ROWS, visible) if "fills" in kinds else [],
                prices=prices if symbols is None else {name: prices[name] for name in symbols if name in prices},
            )
            self._snapshots[key] = msgspec.json.encode(made)
        return self._snapshots[key]

    # What happens.

    async def follow(self) -> None:
        """Tell what happens, until the bus is closed."""
        while messages := await self._views.take():
            for message in messages:
                self._show(*message.payload)

    def tell_waiting(self) -> None:
        """Tell what has happened already."""
        for message in self._views.take_now():
            self._show(*message.payload)

    def _show(self, channel: str, thing: Any) -> None:
        self._forget_snapshots()
        portfolio = self._backstage.portfolio
        if channel == "states":
            self._replace_own("strategies", portfolio.strategies)
        elif channel == "equity":
            self._replace_own("equity", lambda visible: thing if visible is None else (thing[0], portfolio.worth(visible)))
        else:
            symbol, strategy, data = thing.symbol, getattr(thing, "strategy", ""), b""
            if channel == "candles":
                self._candles.pop(_key(thing), None)
            for group in self._groups.values():
                if group.wants(channel, symbol) and (group.sees_alert(thing.owner) if channel == "alerts" else group.sees(strategy)):
                    data = data or msgspec.json.encode(thing)
                    group.say(channel, data)
                    self._sweeper.stir(group)

    def _replace(self, channel: str, thing: Any, key: str, symbol: str = "") -> None:
        data = b""
        for group in self._groups.values():
            if group.wants(channel, symbol):
                data = data or msgspec.json.encode(thing)
                group.say(channel, data, key)
                self._sweeper.stir(group)

    def _replace_own(self, channel: str, show: Callable[[Visible], Any]) -> None:
        """What is shown of the accounts that each group may see, made once for all that see the same."""
        made: dict[Visible, bytes] = {}
        for group in self._groups.values():
            if group.wants(channel):
                visible = group.wish.visible
                if visible not in made:
                    made[visible] = msgspec.json.encode(show(visible))
                group.say(channel, made[visible], channel)
                self._sweeper.stir(group)

    # What changes all the time.

    async def beat(self) -> None:
        """Prices ten times a second, open candles three times, the portfolio twice, the rest once; until cancelled."""
        loop = asyncio.get_running_loop()
        beat, due = 0, loop.time()
        portfolio = self._backstage.portfolio
        while True:
            due = max(due + BEAT_S, loop.time())
            await asyncio.sleep(due - loop.time())
            beat += 1
            await self.tell_prices()
            if beat % CANDLES_EVERY == 0:
                candles, self._candles = self._candles, {}
                for key, candle in candles.items():
                    self._replace("candles", candle, f"candles {key}", candle.symbol)
            if beat % PORTFOLIO_EVERY == 0:
                self._replace_own("portfolio", lambda visible: portfolio.portfolio(of=visible))
            if beat % SERVICES_EVERY == 0:
                self._replace("services", self._backstage.services(), "services")
                self._replace_own("strategies", portfolio.strategies)

    async def tell_prices(self) -> None:
        """To each group the newest prices of its symbols; those who have not been handed the last ones wait for the next beat."""
        self._forget_snapshots()
        wanted = {group.wish.symbols for group in self._groups.values() if "prices" in group.wish.channels}
        named = frozenset().union(*(symbols for symbols in wanted if symbols is not None))
        changed: dict[str, bytes] = {}
        for message in self._display.take_now():
            if message.topic != PRICES:
                self._candles[message.key] = message.payload
            elif None in wanted or message.key in named:
                changed[message.key] = msgspec.json.encode(message.key) + b":" + msgspec.json.encode(message.payload)
        chosen: dict[frozenset[str] | None, tuple[Mapping[str, bytes], bytes]] = {}
        turn = Turn()
        for group in tuple(self._groups.values()):
            if "prices" not in group.wish.channels:
                continue
            symbols = group.wish.symbols
            if symbols not in chosen:
                own = changed if symbols is None else {name: changed[name] for name in changed.keys() & symbols}
                chosen[symbols] = own, prices_of(own)
            prices, data = chosen[symbols]
            if group.unsaid or not group.is_level:
                group.unsaid.update(prices)
                self.tell_unsaid(group)
            elif prices:
                group.say("prices", data, "prices", prices)
                self._sweeper.stir(group)
            if turn.is_over:
                await turn.pause()

    def tell_unsaid(self, group: Group, at_once: bool = False) -> None:
        """The prices that wait because what was said before is still being handed out; or `at_once`."""
        if group.unsaid and (at_once or group.is_level):
            prices, group.unsaid = group.unsaid, {}
            group.say("prices", prices_of(prices), "prices", prices)
            self._sweeper.stir(group)

    def _forget_snapshots(self) -> None:
        self._snapshots.clear()
        self._greetings.clear()


def _key(candle: Candle) -> str:
    return f"{candle.symbol} {candle.timeframe}"
