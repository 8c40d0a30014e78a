"""What is only shown, from other processes: latest prices, open candles, closed candles, and how the services stand.

The newest of each is all that matters, and some may be lost; whoever needs every tick reads the market-data topic.
"""

import asyncio
from time import monotonic
from typing import Any

import msgspec
import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.alerts import Alert, decode_alert
from openbell.adapters.messages.market import decode_candles
from openbell.adapters.stores.alert_rows import spec_of
from openbell.errors import DataError
from openbell.model.time import MILLISECOND
from openbell.services.names import Names
from openbell.services.processes.edge import Edge
from openbell.services.processor.roster import Roster
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.service import Service
from openbell.services.topics.names import CANDLES, OPEN_CANDLES, PRICES, SERVICES, VIEWS
from openbell.services.views import Alert as AlertView
from openbell.services.views import Candle, PlacedPrice, ServiceView

#: Alerts that are remembered, so that what is told again is not shown again.
KNOWN_MAX = 10_000

log = structlog.get_logger("display")


class DisplayReader(Service):
    """Keeps a speed layer and a roster of the services up to date, and hands on what changed to this process's bus."""

    name = "display"

    def __init__(self, bus: Bus, edge: Edge, layer: SpeedLayer) -> None:
        super().__init__()
        self._bus = bus
        self._edge = edge
        self._layer = layer
        self._roster = Roster()

    async def run(self) -> None:
        """Until cancelled."""
        takers = {PRICES: self._price, OPEN_CANDLES: self._candle, SERVICES: self._services}
        named = {self._edge.name(topic): taker for topic, taker in takers.items()}
        subscription = self._edge.control.subscribe(list(named))
        try:
            while messages := await subscription.take():
                for message in messages:
                    try:
                        named[message.topic](message.key, message.payload)
                    except msgspec.DecodeError as error:
                        log.warning("message refused", topic=message.topic, error=str(error))
                self.processed += len(messages)
        finally:
            subscription.close()

    def _price(self, symbol: str, payload: bytes) -> None:
        price = msgspec.json.decode(payload, type=PlacedPrice)
        self._layer.prices[symbol] = price
        self._layer.now = max(self._layer.now, price.ts)
        self._bus.publish(PRICES, price, symbol)

    def _candle(self, key: str, payload: bytes) -> None:
        candle = msgspec.json.decode(payload, type=Candle)
        self._layer.open[candle.symbol, candle.timeframe] = candle
        self._bus.publish(OPEN_CANDLES, candle, key)

    def _services(self, process: str, payload: bytes) -> None:
        self._roster.hear(process, payload, monotonic())

    def services(self) -> list[ServiceView]:
        """The services of all processes that were heard of; a silent one has failed."""
        return self._roster.views(monotonic())

    @property
    def detail(self) -> str:
        """Whom it hears."""
        return f"{len(self._layer.prices)} symbols, {len(self._roster)} processes"


class ClosedCandleReader(Service):
    """Brings closed candles of the processor to whoever watches."""

    name = "candles"

    def __init__(self, bus: Bus, edge: Edge, names: Names) -> None:
        super().__init__()
        self._bus = bus
        self._edge = edge
        self._names = names

    async def run(self) -> None:
        """Until cancelled."""
        subscription = self._edge.market.subscribe(self._edge.name(CANDLES))
        try:
            while messages := await subscription.take():
                for message in messages:
                    if self._bus.has_subscribers(VIEWS):
                        for candle in self._candles(message.payload):
                            await self._bus.send(VIEWS, ("candles", candle), "candles")
                    self.processed += 1
                subscription.ack()
        finally:
            subscription.close()

    def _candles(self, payload: bytes) -> list[Candle]:
        try:
            batch = decode_candles(payload)
        except DataError as error:
            log.warning("candles refused", error=str(error))
            return []
        bars: Any = batch.events["bar"]
        instrument = self._names.instruments.get(batch.symbol)
        if instrument is None:
            return []
        bars["instrument"] = instrument
        return [self._names.candle(bar) for bar in bars]


class AlertReader(Service):
    """Brings alerts that were triggered to whoever watches, each once, however often it is told of."""

    name = "alert-reader"

    def __init__(self, bus: Bus, orders: Bus, topic: str) -> None:
        super().__init__()
        self._bus = bus
        self._orders = orders
        self._topic = topic
        self._known: dict[tuple[str, int], None] = {}

    async def run(self) -> None:
        """Until cancelled."""
        subscription = self._orders.subscribe(self._topic)
        try:
            while messages := await subscription.take():
                for message in messages:
                    try:
                        await self._show(decode_alert(message.payload))
                    except DataError as error:
                        log.warning("alert refused", error=str(error))
                subscription.ack()
        finally:
            subscription.close()

    async def _show(self, alert: Alert) -> None:
        key = alert.id, alert.number or alert.ts_triggered
        if key in self._known:
            return
        self._known[key] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self.processed += 1
        if self._bus.has_subscribers(VIEWS):
            await self._bus.send(VIEWS, ("alerts", alert_view(alert)), "alerts")


def alert_view(alert: Alert) -> AlertView:
    """An alert as it is shown."""
    owner = int(alert.user) if alert.user.isascii() and alert.user.isdigit() else 0
    return AlertView(
        id=alert.id, owner=owner, symbol=alert.symbol, condition=alert.condition, target_price=alert.target_price,
        status=alert.status, ts_created=alert.ts_created // MILLISECOND,
        ts_triggered=alert.ts_triggered // MILLISECOND if alert.ts_triggered else None,
        triggered_price=alert.triggered_price or None, triggered_value=alert.value if alert.number else alert.triggered_price or None,
        number=alert.number or int(alert.ts_triggered > 0), mode="every" if alert.repeat else "once", spec=spec_of(alert.spec),
        note=alert.note,
    )  # fmt: skip


class Herald(Service):
    """Says once a second how the services of this process stand."""

    name = "herald"

    def __init__(self, edge: Edge, process: str, views: Any) -> None:
        super().__init__()
        self._edge = edge
        self._process = process
        self._views = views

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._edge.control.publish(self._edge.name(SERVICES), msgspec.json.encode(self._views()), self._process)
            await asyncio.sleep(1.0)
