"""The live stream against a model: whatever the lines do, who follows the numbers misses nothing that must not be missed."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.services.accounts.callers import LOCAL
from openbell.services.gateway import groups, lookout, sweeper, telling
from openbell.services.gateway.client import Client
from openbell.services.gateway.stream import ASKED_MAX, Hub
from openbell.services.topics.names import PRICES, VIEWS
from openbell.services.views import Order, Price
from tests.asgi import desk
from tests.unit.services.gateway.test_groups import messages_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: Bytes that a line of the tests holds before it is full; it is free again when none are left.
ROOM = 1_000


class MemoryLine:
    """A line that its test takes from, and a client at its end that follows the numbers."""

    def __init__(self, events):
        self.heard = 0.0
        self.is_full = False
        self.client = None
        self.code = 0
        self.errors = []
        self._events = events
        self._wire = []  # (frames, how many events there were when they were written)
        self._seq = 0
        self.wish = None
        self.prices = {}
        self.got, self.expected_from = [], 0

    @property
    def waiting(self):
        return sum(len(frames) for frames, _ in self._wire)

    def write(self, frames):
        self._wire.append((frames, len(self._events)))
        if not self.is_full and self.waiting > ROOM:
            self.is_full = True
            self.client.full()

    def end(self, code, reason):
        self.code, self.reason = code, reason

    def say(self, **message):
        self.client.said(json.dumps(message))

    def take(self, most=0):
        """The client reads some of what was written, or all."""
        for _ in range(most or len(self._wire)):
            if self._wire:
                frames, events = self._wire.pop(0)
                if frames != b"\x89\x00":
                    for message in messages_of(frames):
                        self._follow(message, events)
        if self.is_full and not self._wire:
            self.is_full = False
            self.client.free()

    def _follow(self, message, events):
        channel, data = message["channel"], message["data"]
        if channel != "snapshot":
            assert message["prev"] == self._seq, f"a gap before {message}"
        self._seq = message["seq"]
        if channel == "snapshot":
            self.prices = {symbol: price["price"] for symbol, price in data["prices"].items()}
            self.got, self.expected_from, self.wish = [], events, self.client.wanted
        elif channel == "subscribed":
            self.check_whole(events)
            self.got, self.expected_from = [], events
            self.wish = self.client.wanted if data["channels"] else None
        elif channel == "error":
            self.errors.append(data)
        elif channel == "prices":
            self.prices |= {symbol: price["price"] for symbol, price in data.items()}
        elif channel == "orders":
            self.got.append(data["ts"])

    def expected(self, until=None):
        """The orders that the client should have been told of since it began."""
        wish = self.wish
        if wish is None or "orders" not in wish.channels:
            return []
        chosen = self._events[self.expected_from : until]
        return [order.ts for order in chosen if wish.symbols is None or order.symbol in wish.symbols]

    def check_whole(self, until=None):
        assert self.got == self.expected(until)

    def check_part(self):
        assert self.got == self.expected()[: len(self.got)]


class World:
    """A hub, its lines, and what happened."""

    def __init__(self, backstage):
        self.backstage = backstage
        self.hub = Hub(backstage)
        self.events = []
        self.lines = []
        self.number = 0

    def join(self):
        line = MemoryLine(self.events)
        line.client = Client(self.hub, line, LOCAL, None)
        self.hub.join(line.client)
        self.lines.append(line)
        return line

    async def order(self, symbol):
        self.number += 1
        made = Order("1", symbol, "house", "buy", "market", "gtc", "filled", 1.0, 1.0, None, None, None, None, self.number)
        self.events.append(made)
        await self.backstage.bus.send(VIEWS, ("orders", made), "orders")

    def price(self, symbol):
        self.number += 1
        made = Price(float(self.number), None, None, None, self.number)
        self.backstage.archive.speed_layer.prices[symbol] = made
        self.backstage.bus.publish(PRICES, made, symbol)

    async def beat(self):
        if self.hub.telling is not None:
            await self.hub.telling.tell_prices()

    async def turn(self, number=1):
        for _ in range(number):
            await asyncio.sleep(0)

    async def settle(self):
        """Everybody reads everything, until nothing comes any more."""
        for _ in range(6):
            await self.beat()
            await self.turn(20)
            for line in self.lines:
                line.take()

    async def do(self, action):
        what, which, *rest = action
        line = self.lines[which % len(self.lines)] if self.lines else None
        if what == "orders":
            for number in range(rest[0]):
                await self.order(SYMBOLS[(which + number) % 2])
                await self.turn(which)
        elif what == "price":
            self.price(SYMBOLS[which % 2])
        elif what == "prices":
            for number in range(rest[0]):
                self.price(SYMBOLS[(which + number) % 2])
                await self.beat()
                await self.turn(which)
        elif what == "beat":
            await self.beat()
        elif what == "turn":
            await self.turn(which)
        elif what == "join" and len(self.lines) < 6:
            self.join()
        elif line is None or line.client not in self.hub.clients:
            return
        elif what == "take":
            line.take(rest[0])
        elif what == "leave":
            line.client.gone()
            self.lines.remove(line)
        elif what == "subscribe":
            line.take()  # the wish that the test compares with is the client's newest
            line.say(op="subscribe", channels=rest[0], symbols=rest[1])
            line.take(0)
        elif what == "unsubscribe" and line.wish is not None:
            line.take()
            if line.is_full or (rest[3] is not None and (line.client.wanted is None or line.client.wanted.symbols is None)):
                return
            line.say(op="unsubscribe", channels=rest[2], symbols=rest[3])
            line.take(0)


numbers = st.integers(0, 5)
CHANNELS = st.sampled_from([["orders"], ["prices"], ["orders", "prices"], ["orders", "prices", "portfolio"]])
NAMES = st.sampled_from([None, None, ["BTCUSDT"], ["BTCUSDT", "ETHUSDT"]])
ACTIONS = st.one_of(
    st.tuples(st.just("orders"), numbers, st.integers(1, 6)),
    st.tuples(st.just("orders"), numbers, st.integers(1, 6)),
    st.tuples(st.just("prices"), numbers, st.integers(1, 6)),
    st.tuples(st.just("price"), numbers),
    st.tuples(st.just("beat"), numbers),
    st.tuples(st.just("turn"), st.integers(1, 4)),
    st.tuples(st.just("take"), numbers, st.integers(0, 3)),
    st.tuples(st.just("take"), numbers, st.integers(0, 3)),
    st.tuples(
        st.sampled_from(["join", "leave", "subscribe", "unsubscribe"]), numbers, CHANNELS, NAMES,
        st.sampled_from([None, ["orders"], ["prices"]]), st.sampled_from([None, ["BTCUSDT"]]),
    ),
)  # fmt: skip


@pytest.fixture
async def backstage(tmp_path, monkeypatch):
    """What stands behind a hub whose beat is the test's, with few events kept, small pieces and short turns."""
    monkeypatch.setattr(telling, "BEAT_S", 1e6)
    monkeypatch.setattr(groups, "EVENTS_MAX", 8)
    monkeypatch.setattr(groups, "PIECE_BYTES", 600)
    monkeypatch.setattr(sweeper, "TURN_S", 0.0)
    async with desk(tmp_path, None) as made:
        yield made.backstage


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, max_size=80))
async def test_a_client_that_follows_the_numbers_misses_nothing(backstage, actions):
    """Every order in order exactly once since its snapshot, the newest price at the end; who could not be told all of it is sent away."""
    world = World(backstage)
    for line in (world.join(), world.join()):
        line.say(op="subscribe", channels=["orders", "prices"])
    try:
        for action in actions:
            await world.do(action)
        await world.settle()
        for line in world.lines:
            if line.code:
                assert (line.code, line.reason) == (1013, "too slow")
                line.check_part()
                continue
            line.check_whole()
            assert line.waiting == 0
            if line.wish is not None and "prices" in line.wish.channels:
                for symbol in line.wish.symbols or SYMBOLS:
                    newest = backstage.archive.speed_layer.prices.get(symbol)
                    assert line.prices.get(symbol) == (newest and newest.price)
        assert all(group.is_level for group in world.hub.groups.values())
    finally:
        for line in world.lines:
            line.client.gone()
    assert (world.hub.clients, world.hub.groups, world.hub.telling) == (set(), {}, None)


async def started(backstage, number=1, **wanted):
    """A world with lines that have subscribed, and read their snapshot."""
    world = World(backstage)
    for _ in range(number):
        world.join().say(op="subscribe", **wanted)
    await world.settle()
    return world


async def test_the_same_bytes_for_all_of_a_wish(backstage):
    """A message is made once, whoever it is for; another wish is another group."""
    world = await started(backstage, 3, channels=["prices"])
    world.join().say(op="subscribe", channels=["prices"], symbols=["ETHUSDT"])
    await world.settle()
    world.price("BTCUSDT")
    await world.beat()
    await world.turn(20)
    first, second, third, other = ([frames for frames, _ in line._wire] for line in world.lines)
    assert len(first) == 1
    assert first[0] is second[0] is third[0]
    assert other == []


async def test_a_line_that_takes_nothing_gets_nothing_more(backstage):
    """What waits for it stays as it is, and is merged for when it reads again."""
    world = await started(backstage, 2, channels=["prices"])
    slow = world.lines[0]
    for _ in range(200):
        world.price("BTCUSDT")
        await world.beat()
        await world.turn(10)
        world.lines[1].take()
    assert slow.is_full
    assert slow.waiting < ROOM + 1_000
    slow.take()
    assert len(slow._wire) == 1  # one message for all that it has not been told
    await world.settle()
    assert slow.prices == world.lines[1].prices


async def test_what_a_slow_line_did_not_get_is_counted(backstage):
    """Prices that newer ones replaced; orders never are."""
    before = backstage.metrics.stream_replaced._value.get()
    world = await started(backstage, 1, channels=["prices", "orders"])
    (line,) = world.lines
    while not line.is_full:
        world.price("BTCUSDT")
        await world.beat()
        await world.turn(10)
    for _ in range(5):
        world.price("BTCUSDT")
        await world.beat()
        await world.order("BTCUSDT")
        await world.turn(10)
    await world.settle()
    assert backstage.metrics.stream_replaced._value.get() - before == 4
    line.check_whole()
    line.client.gone()


async def test_who_misses_an_order_is_sent_away_though_its_line_moves(backstage, monkeypatch):
    """It is not waited for until the line is free."""
    monkeypatch.setattr(lookout, "LOOK_S", 0.01)
    world = await started(backstage, 1, channels=["orders"])
    (line,) = world.lines
    for _ in range(40):
        await world.order("BTCUSDT")
        await world.turn(10)
    async with asyncio.timeout(10):
        while not line.code:
            await asyncio.sleep(0.01)  # the deadline decides
    assert (line.code, line.reason) == (1013, "too slow")
    assert world.hub.clients == set()
    line.take()
    line.check_part()
    assert line.errors == [{"code": 1013, "detail": "too slow"}]


async def test_without_clients_nothing_is_read(backstage):
    """Nobody subscribes to the bus for nobody."""
    world = await started(backstage, 1, channels=["prices"])
    assert backstage.bus.has_subscribers(PRICES)
    world.lines[0].client.gone()
    assert not backstage.bus.has_subscribers(PRICES)


async def test_what_nobody_wants_is_not_encoded(backstage):
    """A price that is no price would not be encoded without an error."""
    world = await started(backstage, 1, channels=["prices"], symbols=["ETHUSDT"])
    backstage.bus.publish(PRICES, object(), "BTCUSDT")
    await world.beat()
    backstage.bus.publish(PRICES, object(), "ETHUSDT")
    with pytest.raises(TypeError):
        await world.beat()
    world.lines[0].client.gone()


async def test_less_than_before_comes_without_a_snapshot(backstage):
    """Unsubscribing says what is left, and the numbers go on from there; of nothing nothing comes."""
    world = await started(backstage, 1, channels=["orders", "prices"], symbols=list(SYMBOLS))
    line = world.lines[0]
    line.say(op="unsubscribe", channels=["orders"])
    line.say(op="unsubscribe", symbols=["BTCUSDT"])
    await world.order("ETHUSDT")
    world.price("BTCUSDT")
    world.price("ETHUSDT")
    await world.settle()
    assert line.got == []
    newest = backstage.archive.speed_layer.prices
    assert line.prices["ETHUSDT"] == newest["ETHUSDT"].price
    assert line.prices["BTCUSDT"] != newest["BTCUSDT"].price
    line.say(op="unsubscribe")
    world.price("ETHUSDT")
    await world.settle()
    assert line.prices["ETHUSDT"] != newest["ETHUSDT"].price
    assert world.hub.groups == {}
    line.say(op="subscribe", channels=["prices"])
    await world.settle()
    assert line.prices["ETHUSDT"] == newest["ETHUSDT"].price
    line.client.gone()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"op": "unsubscribe"}, "there is no subscription"),
        ({"op": "subscribe", "channels": ["orders"] * 33}, "a message is not understood"),
        ({"op": "subscribe", "channels": ["order"]}, "there is no channel 'order'; the channels are prices, candles"),
    ],
)
async def test_what_makes_no_sense_is_said_in_words(backstage, message, words):
    """Before the line is closed."""
    world = World(backstage)
    line = world.join()
    line.say(**message)
    line.take()
    assert line.code == 1008
    assert line.errors[0]["detail"].startswith(words)
    assert world.hub.clients == set()


async def test_a_client_asks_so_often_at_most(backstage):
    """Each snapshot costs something."""
    world = World(backstage)
    line = world.join()
    for _ in range(ASKED_MAX):
        line.say(op="subscribe", channels=["prices"])
        line.take()
    assert line.code == 0
    line.say(op="subscribe", channels=["prices"])
    line.take()
    assert line.code == 1008


async def test_what_a_client_says_waits_while_its_line_is_full(backstage):
    """No snapshot after the other for who reads none."""
    world = await started(backstage, 1, channels=["prices"])
    line = world.lines[0]
    for _ in range(50):
        line.say(op="subscribe", channels=["prices"])
    assert line.waiting < ROOM + 2_000
    for _ in range(60):
        line.take()
    assert line.waiting == 0
    line.client.gone()
