"""`openbell serve processor`: candles and latest prices from the market-data topic. Any number of them share its partitions."""

import asyncio

from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
from openbell.services.names import Names
from openbell.services.plans import MAIN
from openbell.services.processes.process import Process, database_place
from openbell.services.processor.candle_maker import candle_plan
from openbell.services.processor.market import MarketService
from openbell.services.topics.names import CANDLES, TICKS
from openbell.services.trader.prepare import prepare


async def build(process: Process) -> None:
    """Process the partitions that the group gives to this process."""
    edge, settings = process.edge, process.settings
    names = Names(process.plans[MAIN])
    await asyncio.to_thread(prepare, candle_plan(process.listings[0], tuple(names.timeframes)))
    store = open_candles(database_place(settings))
    process.stack.callback(store.close)
    speed = RedisSpeedLayer(settings.redis, settings.bus.namespace)
    process.stack.push_async_callback(speed.close)
    process.services += [MarketService(edge.market, edge.name(TICKS), edge.name(CANDLES), names, store, speed)]
