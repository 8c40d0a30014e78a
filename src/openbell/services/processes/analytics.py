"""`openbell serve analytics`: what moves, varies and stands out, from the market-data topic. Any number of them share its partitions."""

import asyncio

from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.prepare import load_analytics, prepare_analytics
from openbell.services.analytics.service import AnalyticsService
from openbell.services.processes.process import Process, database_place
from openbell.services.topics.names import TICKS


async def build(process: Process) -> None:
    """Compute the partitions that the group gives to this process."""
    edge, settings = process.edge, process.settings
    await asyncio.to_thread(prepare_analytics)
    await asyncio.to_thread(load_analytics)
    store = open_candles(database_place(settings))
    process.stack.callback(store.close)
    speed = RedisSpeedLayer(settings.redis, settings.bus.namespace)
    process.stack.push_async_callback(speed.close)
    calendar = Calendar.of(settings.analytics.session)
    process.services.append(AnalyticsService(edge.market, edge.name(TICKS), process.listings, store, speed, calendar))
