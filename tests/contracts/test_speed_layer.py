"""The contract of the speed layer, applied to every implementation: see `openbell.adapters.stores.speed_layer`."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import msgspec
import pytest
from msgspec.structs import replace

from openbell.adapters.stores.speed_layer import Candle, Entry, MemorySpeedLayer, Price
from openbell.errors import StorageError
from openbell.services.names import Names
from openbell.services.processor.speed_layer import SpeedLayer
from tests.servers import settings
from tests.unit.services.sessions import a_plan

pytestmark = pytest.mark.timeout(60)

PRICE = Price(231.05, 231.04, 231.06, 100.0, 1_795_259_193_220)
CANDLE = Candle("AAPL", "1m", 1_795_259_160_000, 230.0, 232.0, 229.5, 231.05, 1500.0, 230.8, 40, False)
ENTRY = Entry(1_795_259_193_000, bytes(range(256)), 77)


@asynccontextmanager
async def in_memory(namespace):
    yield MemorySpeedLayer


@asynccontextmanager
async def of_a_plan(namespace):
    """The one that computes prices and candles from ticks."""
    yield lambda: SpeedLayer(Names(a_plan()))


@asynccontextmanager
async def redis(namespace):
    """The Redis of the environment; keys of the test are deleted afterwards."""
    from openbell.adapters.redis_server import RedisServer
    from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer

    server = RedisServer.at(settings("redis").redis)
    made = []

    def connect():
        made.append(RedisSpeedLayer(server, namespace))
        return made[-1]

    try:
        yield connect
    finally:
        for layer in made:
            await layer.close()
        async with server.client() as client:
            async for key in client.scan_iter(f"{namespace}*", 1000):
                await client.delete(key)


MAKERS = [
    pytest.param(in_memory, id="memory"),
    pytest.param(of_a_plan, id="plan"),
    pytest.param(redis, id="redis", marks=pytest.mark.services),
]
REDIS = pytest.mark.parametrize("connect", [MAKERS[-1]], indirect=True)


@pytest.fixture
def namespace():
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=MAKERS)
async def connect(request, namespace):
    """A function that makes a speed layer; over a network, each call as another process would."""
    async with request.param(namespace) as made:
        yield made


@pytest.fixture
def layer(connect):
    return connect()


async def put(layer, *arguments, **options):
    await layer.update(*arguments, **options)
    await layer.flush()


async def test_nothing_is_there_at_first(layer):
    """What nobody updated is None, or left out."""
    assert await layer.get_price("AAPL") is None
    assert await layer.get_candle("AAPL", "1m") is None
    assert await layer.get("readings", ["AAPL"]) == {}
    assert await layer.get("readings", []) == {}
    assert await layer.get_prices(["AAPL", "MSFT"]) == {}
    assert await layer.get_prices([]) == {}
    await layer.flush()


async def test_what_was_updated_is_read_as_it_was(layer):
    """Every field survives, numbers exactly, and nothing for a number too."""
    odd = Price(0.1 + 0.2, None, None, None, 1)
    other = replace(CANDLE, timeframe="5m", vwap=None, close=1e-9)
    await put(layer, {"AAPL": PRICE, "BTC/USDT": odd}, [CANDLE, other])
    assert await layer.get_price("AAPL") == PRICE
    assert await layer.get_price("BTC/USDT") == odd
    assert await layer.get_prices(["MSFT", "BTC/USDT", "AAPL"]) == {"BTC/USDT": odd, "AAPL": PRICE}
    assert await layer.get_candle("AAPL", "1m") == CANDLE
    assert await layer.get_candle("AAPL", "5m") == other


async def test_entries_of_tables(layer):
    """Bytes come back as they were, by table and name."""
    nothing = Entry(0, b"")
    await layer.put("readings", {"AAPL": ENTRY, "BTC/USDT": nothing})
    await layer.put("closes:1h", {"AAPL": nothing})
    await layer.flush()
    assert await layer.get("readings", ["MSFT", "BTC/USDT", "AAPL"]) == {"BTC/USDT": nothing, "AAPL": ENTRY}
    assert await layer.get("closes:1h", ["AAPL", "BTC/USDT"]) == {"AAPL": nothing}
    assert await layer.get("closes:5m", ["AAPL"]) == {}


async def test_an_old_entry_does_not_replace_a_new_one(layer):
    """By its time and its position, as prices; of the same time the later one counts."""
    await layer.put("readings", {"AAPL": ENTRY})
    for old in (replace(ENTRY, ts=ENTRY.ts - 1), replace(ENTRY, ts=ENTRY.ts - 1, position=76), replace(ENTRY, ts=1, position=None)):
        await layer.put("readings", {"AAPL": replace(old, body=b"old", position=min(old.position or 0, 76))})
        await layer.flush()
        assert await layer.get("readings", ["AAPL"]) == {"AAPL": ENTRY}
    for new in (replace(ENTRY, body=b"same time"), replace(ENTRY, body=b"another run", ts=5, position=78), replace(ENTRY, position=0)):
        await layer.put("readings", {"AAPL": new})
        await layer.flush()
        assert await layer.get("readings", ["AAPL"]) == {"AAPL": new}


async def test_many_entries_at_once(layer):
    """As many as there are symbols, in one go."""
    entries = {f"S{number}": replace(ENTRY, body=b"%d" % number) for number in range(2_000)}
    await layer.put("readings", entries)
    await layer.flush()
    assert await layer.get("readings", entries) == entries


async def test_what_is_updated_later_is_what_counts(layer):
    """Newer replaces older, and so does another of the same time; changing what was handed in changes nothing."""
    price = replace(PRICE)
    await put(layer, {"AAPL": price})
    price.price = 0.0
    assert await layer.get_price("AAPL") == PRICE
    for newer in (replace(PRICE, price=231.1), replace(PRICE, price=231.2, ts=PRICE.ts + 1)):
        await put(layer, {"AAPL": newer})
        assert await layer.get_price("AAPL") == newer


async def test_an_old_price_does_not_replace_a_new_one(layer):
    """Without positions the time decides."""
    await put(layer, {"AAPL": PRICE})
    await put(layer, {"AAPL": replace(PRICE, price=1.0, ts=PRICE.ts - 1), "MSFT": PRICE})
    assert await layer.get_prices(["AAPL", "MSFT"]) == {"AAPL": PRICE, "MSFT": PRICE}


async def test_an_old_candle_does_not_replace_a_new_one(layer):
    """Candles go by their start, then by their trades."""
    await put(layer, {}, [CANDLE])
    old = [replace(CANDLE, ts=CANDLE.ts - 60_000, trades=1000), replace(CANDLE, trades=39)]
    for candle in old:
        await put(layer, {}, [candle])
        assert await layer.get_candle("AAPL", "1m") == CANDLE
    newer = replace(CANDLE, ts=CANDLE.ts + 60_000, trades=1)
    await put(layer, {}, [newer])
    assert await layer.get_candle("AAPL", "1m") == newer


async def test_a_restarted_processor_does_not_put_prices_back(layer):
    """Who goes through ticks again has older times and older positions, until it is where the others are."""
    ticks = [({"AAPL": replace(PRICE, price=float(step), ts=PRICE.ts + step)}, {"AAPL": 100 + step}) for step in range(10)]
    for prices, positions in ticks:
        await put(layer, prices, positions=positions)
    for prices, positions in ticks[3:9]:
        await put(layer, prices, positions=positions)
        assert (await layer.get_price("AAPL")).price == 9.0


async def test_a_new_run_over_older_data_replaces_what_was_left(layer):
    """The ticks of a recorded session come later in the topic, though their time is before that of the prices that are there."""
    await put(layer, {"AAPL": PRICE}, [CANDLE], positions={"AAPL": 100})
    recorded = replace(PRICE, price=5.0, ts=PRICE.ts - 10**10)
    opened = replace(CANDLE, ts=CANDLE.ts - 10**10)
    await put(layer, {"AAPL": recorded}, [opened], positions={"AAPL": 101})
    assert await layer.get_price("AAPL") == recorded
    assert await layer.get_candle("AAPL", "1m") == opened


async def test_a_topic_that_was_made_anew_begins_with_small_positions(layer):
    """Then the time tells that a price is new."""
    await put(layer, {"AAPL": PRICE}, positions={"AAPL": 10**12})
    newer = replace(PRICE, ts=PRICE.ts + 1)
    await put(layer, {"AAPL": newer}, positions={"AAPL": 0})
    assert await layer.get_price("AAPL") == newer


async def test_many_symbols_in_one_update(layer):
    """As many as there are, in one go."""
    prices = {f"S{number}": replace(PRICE, price=number + 0.5) for number in range(1000)}
    await put(layer, prices)
    assert await layer.get_prices(prices) == prices


@REDIS
async def test_one_process_reads_what_another_updates(connect):
    """The keys are on the server, under the names of the platform's contract, as plain JSON."""
    await put(connect(), {"AAPL": PRICE}, [CANDLE])
    other = connect()
    assert await other.get_price("AAPL") == PRICE
    assert await other.get_candle("AAPL", "1m") == CANDLE


@REDIS
async def test_the_keys_are_for_everybody(connect, namespace):
    """`GET price:AAPL` shows a JSON object with price, bid, ask, quantity and ts."""
    from openbell.adapters.redis_server import RedisServer

    layer = connect()
    await layer.put("readings", {"AAPL": ENTRY})
    await put(layer, {"AAPL": PRICE}, [CANDLE])
    async with RedisServer.at(settings("redis").redis).client() as client:
        shown = msgspec.json.decode(await client.get(f"{namespace}.price:AAPL"))
        assert shown == {"price": 231.05, "bid": 231.04, "ask": 231.06, "quantity": 100.0, "ts": PRICE.ts}
        assert sorted(await client.keys(f"{namespace}*")) == [
            f"{namespace}.{key}".encode() for key in ("candle:AAPL:1m", "price:AAPL", "readings:AAPL")
        ]
        assert (await client.get(f"{namespace}.readings:AAPL")).startswith(b'{"ts":1795259193000,"position":77}\n')


@REDIS
async def test_displays_hear_what_changed_and_nothing_old(connect, namespace):
    """Prices and open candles go to their channels with their keys; what was too old does not."""
    from openbell.adapters.buses.base import Topic
    from openbell.adapters.buses.redis import RedisPubSubBus

    bus = RedisPubSubBus(settings("redis").redis)
    topics = [f"{namespace}.prices", f"{namespace}.open-candles"]
    bus.declare(*(Topic(name) for name in topics))
    heard = bus.subscribe(topics)
    await heard.ready()
    layer = connect()
    await put(layer, {"AAPL": PRICE}, [CANDLE], positions={"AAPL": 7})
    await put(layer, {"AAPL": replace(PRICE, ts=1)}, [replace(CANDLE, ts=1)], positions={"AAPL": 6})
    await bus.close(*topics)
    messages = []
    async with asyncio.timeout(20):
        while found := await heard.take():
            messages += found
    await bus.close()
    assert [(message.topic, message.key) for message in messages] == [(topics[0], "AAPL"), (topics[1], "AAPL 1m")]
    assert msgspec.json.decode(messages[0].payload, type=Price) == PRICE
    assert msgspec.json.decode(messages[1].payload, type=Candle) == CANDLE


@REDIS
async def test_a_key_that_holds_something_else_is_an_error(connect, namespace):
    """Reading names the key; the next update replaces it."""
    from openbell.adapters.redis_server import RedisServer

    layer = connect()
    async with RedisServer.at(settings("redis").redis).client() as client:
        await client.set(f"{namespace}.price:AAPL", "nonsense")
    with pytest.raises(StorageError, match="price:AAPL"):
        await layer.get_price("AAPL")
    await put(layer, {"AAPL": PRICE})
    assert await layer.get_price("AAPL") == PRICE


@REDIS
async def test_an_entry_that_is_something_else_is_an_error(connect, namespace):
    """Reading names the key; the next entry replaces it."""
    from openbell.adapters.redis_server import RedisServer

    layer = connect()
    async with RedisServer.at(settings("redis").redis).client() as client:
        await client.set(f"{namespace}.readings:AAPL", "nonsense")
    with pytest.raises(StorageError, match="readings:AAPL"):
        await layer.get("readings", ["AAPL"])
    await layer.put("readings", {"AAPL": ENTRY})
    await layer.flush()
    assert await layer.get("readings", ["AAPL"]) == {"AAPL": ENTRY}
