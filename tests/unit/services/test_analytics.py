"""The analytics service: from messages of the topic to answers, alone and shared, whatever is killed."""

import asyncio
import contextlib
import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.ticks import encode_chunk
from openbell.adapters.stores.base import Batch
from openbell.adapters.stores.candles import SqliteCandleStore, open_candles
from openbell.adapters.stores.speed_layer import Entry, MemorySpeedLayer
from openbell.analytics.board import Board
from openbell.engine.plan import Plan
from openbell.errors import BusError, UnknownNameError, UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.model.time import DAY, HOUR, MINUTE, SECOND
from openbell.services.analytics.answers import Answers
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.local import LocalAnalytics
from openbell.services.analytics.service import AnalyticsService
from openbell.services.analytics.source import READINGS, Local, Stored, table_of
from openbell.services.analytics.tapes import Tapes
from openbell.services.topics.names import JOURNALED, topics
from openbell.services.trader.service import Journaled

LISTINGS = tuple(Listing(f"S{number}", 0.01, 0.1) for number in range(4))
SYMBOLS = [listing.symbol for listing in LISTINGS]
ALWAYS = Calendar.of("continuous")
START = 1_700_006_400 * SECOND
NAMES = map(str, itertools.count())


def market(count, seed=1, gap=SECOND):
    """Trades and quotes of all symbols, some of them late."""
    random = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    prices = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 5e-4, count))), 2)
    instruments = random.integers(0, len(LISTINGS), count)
    is_quote = random.random(count) < 0.3
    trade, quote = events["trade"], events["quote"]
    trade["kind"], trade["instrument"] = np.where(is_quote, enums.QUOTE, enums.TRADE), instruments
    trade["price"], trade["quantity"] = prices, random.integers(1, 100, count)
    quote["bid_price"][is_quote], quote["ask_price"][is_quote] = prices[is_quote] - 0.01, prices[is_quote] + 0.02
    quote["bid_quantity"][is_quote] = quote["ask_quantity"][is_quote] = 1
    events["ts_available"] = START + 10 * SECOND + np.arange(count) * gap
    events["ts_event"] = events["ts_available"] - random.integers(0, 3 * gap, count)
    return events


def messages(events, chunk=50, topic="ticks", source="s"):
    """The messages of the topic, with their offsets."""
    found = []
    for first in range(0, len(events), chunk):
        part = events[first : first + chunk]
        for symbol, payload in encode_chunk(part, LISTINGS, source=source, epoch=0, first=first, cursor=b""):
            found.append(Message(topic, payload, symbol, offset=len(found)))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with contextlib.closing(open_candles(tmp_path_factory.mktemp("analytics") / "candles.db")) as opened:
        yield opened


def service_of(store, name, layer=None):
    """A service over a bus that nobody publishes to: the messages are handed to it."""
    bus = InProcessBus()
    bus.declare(Topic(name))
    return AnalyticsService(bus, name, LISTINGS, store, layer or MemorySpeedLayer(), ALWAYS)


def whole(events):
    """One board that has taken everything."""
    board = Board([0.1] * len(LISTINGS), [0.01] * len(LISTINGS), ALWAYS.sessions)
    for instrument in range(len(LISTINGS)):
        board.open(instrument)
    board.take(events)
    return board


steps = st.lists(st.tuples(st.sampled_from(["take", "keep", "kill", "again"]), st.integers(1, 30)), max_size=15)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_whatever_is_killed(store, steps):
    """It goes on from the store, takes nothing twice that comes again, and ends as one that has never been away."""
    events = join([market(600), timer(START + 700 * SECOND)])
    name = next(NAMES)
    sent = messages(events, topic=name)

    async def run():
        service, at, kept = service_of(store, name), 0, 0
        for step, count in [*steps, ("take", len(sent)), ("keep", 0)]:
            if step == "take":
                await service.take(sent[at : at + count])
                at = min(at + count, len(sent))
            elif step == "again":
                at = max(at - count, kept)
            elif step == "keep":
                await service.keep(at_once=True)
                kept = at
            else:
                service, at = service_of(store, name), kept
        await service.take(sent[at:])
        await service.keep(at_once=True)
        fresh = service_of(store, name)
        _, tapes = await fresh._begin(0)
        return tapes

    tapes = asyncio.run(run())
    expected = whole(events)
    assert set(tapes.places) == set(SYMBOLS)
    assert tapes.board.now == expected.now == START + 700 * SECOND
    for instrument, symbol in enumerate(SYMBOLS):
        assert tapes.board.kept(instrument) == expected.kept(instrument), symbol


class Noted(MemorySpeedLayer):
    """A speed layer that notes how many entries were put into each table."""

    def __init__(self):
        super().__init__()
        self.puts = []

    async def put(self, table, entries):
        self.puts.append((table, len(entries)))
        await super().put(table, entries)


async def test_a_beat_puts_what_is_new(store):
    """Readings of the symbols that changed, closes when a part is over; what is read is what the board says."""
    layer, name = Noted(), next(NAMES)
    service = service_of(store, name, layer)
    await service.beat()
    assert layer.puts == []
    sent = messages(market(900), topic=name)
    await service.take(sent)
    await service.beat()
    assert layer.puts == [(READINGS, 4), *((f"closes:{window}", 4) for window in ("5m", "15m", "1h"))]
    table = await Stored(layer, SYMBOLS).readings()
    expected = whole(market(900))
    _, rows = expected.readings(expected.now)
    assert table.symbols == SYMBOLS
    assert table.rows.tobytes() == rows.tobytes()
    assert table.now == expected.now // 1_000_000 * 1_000_000
    closes = await Stored(layer, SYMBOLS).closes(2, ["S1", "S3"])
    assert closes.symbols == ["S1", "S3"]
    assert closes.rows.tobytes() == expected.closes(2, expected.now)[1][[1, 3]].tobytes()
    layer.puts.clear()
    await service.beat()
    assert layer.puts == []
    ticks = np.zeros(1, EVENT)
    ticks["trade"]["kind"], ticks["trade"]["price"], ticks["trade"]["instrument"], ticks["trade"]["quantity"] = enums.TRADE, 101.0, 2, 1
    ticks["ts_event"] = ticks["ts_available"] = expected.now
    [(symbol, payload)] = encode_chunk(ticks, LISTINGS, source="s", epoch=0, first=900, cursor=b"")
    await service.take([Message(name, payload, symbol, offset=len(sent))])
    await service.beat()
    assert layer.puts == [(READINGS, 1)]


def timer(ts):
    """It is a time."""
    event = np.zeros(1, EVENT)
    event["kind"], event["instrument"], event["ts_available"], event["ts_event"] = enums.TIMER, -1, ts, ts
    return event


async def test_shared_by_several_processes(store):
    """Each has some of the symbols; who asks sees all of them."""
    layer, name = MemorySpeedLayer(), next(NAMES)
    events = join([market(2_000), timer(START + 2_011 * SECOND)])
    for share in ({"S0", "S2"}, {"S1", "S3"}):
        service = service_of(store, f"{name} {min(share)}", layer)
        await service.take([message for message in messages(events, topic=service._topic) if message.key in share | {""}])
        await service.beat()
    shared, alone = Answers(Stored(layer, SYMBOLS), ALWAYS), answers_of(events)
    for window in ("1m", "1h", "1d"):
        found, expected = await shared.movers(window, "notional", 10), await alone.movers(window, "notional", 10)
        assert {mover.symbol: mover for mover in found.most_active}.keys() == set(SYMBOLS)
        assert (found.gainers, found.losers) == (expected.gainers, expected.losers)
    pairs = [(await one.correlations([], "5m", 10)).pairs for one in (shared, alone)]
    assert len(pairs[0]) == 6
    assert [pair.correlation for pair in pairs[0]] == pytest.approx([pair.correlation for pair in pairs[1]], rel=1e-9)


async def test_messages_that_cannot_be_used(store):
    """Nonsense is counted, symbols that are not listed are passed over, JSON is taken, a timer is time."""
    name = next(NAMES)
    service = service_of(store, name)
    other = (Listing("ELSE", 0.01, 0.1),)
    trade = market(1)
    trade["trade"]["kind"], trade["instrument"], trade["trade"]["price"] = enums.TRADE, 0, 5.0
    [(_, foreign)] = encode_chunk(trade, other, source="t", epoch=0, first=0, cursor=b"")
    [(_, later)] = encode_chunk(timer(START + MINUTE), LISTINGS, source="t", epoch=0, first=1, cursor=b"")
    json = b'[{"symbol":"S1","price":150.25,"quantity":3,"ts":%d},{"symbol":"NOPE","price":1,"quantity":1,"ts":1}]' % (START // 1_000_000)
    payloads = [b"\xff\xff", b"{", foreign, json, later]
    await service.take([Message(name, payload, "", offset=offset) for offset, payload in enumerate(payloads)])
    assert service.refused == 2
    [share] = service.shares
    instruments, rows = share.own.board.readings(share.own.board.now)
    assert (instruments, rows["price"].tolist(), rows["session_trades"].tolist()) == ([1], [150.25], [1])
    assert share.own.board.now == START + MINUTE
    assert "2 messages refused" in service.detail


async def test_what_another_version_has_stored(store):
    """Bytes of another layout begin anew, without the ticks that were taken already."""
    name, events = next(NAMES), market(200)
    service = service_of(store, name)
    await service.take(messages(events, topic=name))
    [share] = service.shares
    kept = msgspec.msgpack.decode(share.own.kept())
    short = {symbol: [tape[0], b"short"] for symbol, tape in kept[1].items()}
    for other in ([kept[0], short], ["another", kept[1]]):
        tapes = Tapes(LISTINGS, ALWAYS)
        tapes.restore(msgspec.msgpack.encode(other))
        assert tapes.board.readings(START)[0] == []
        assert {symbol: places.reached for symbol, places in tapes.places.items()} == {
            symbol: places.reached for symbol, places in share.own.places.items()
        }
    assert table_of({"S0": Entry(1, b"another length")}, np.dtype("i8")).symbols == []


# In one process.


class Run:
    """A run, its journal as batches, and the analytics of the process it is in."""

    def __init__(self, folder):
        self.store = SqliteCandleStore(folder / f"candles-{next(NAMES)}.db")
        self.batches = []
        self.begin()

    def begin(self):
        """A process has just been started."""
        self.bus = InProcessBus()
        self.bus.declare(*topics(1000))
        self.analytics = LocalAnalytics(self.bus, Plan(LISTINGS, ()), "r", 1, self.store, ALWAYS)
        for batch in self.batches:
            if batch.first_seq > self.analytics.seq:
                self.analytics.catch_up(batch)

    async def bring(self, events):
        """Journaled, and on their way."""
        first = sum(len(batch.events) for batch in self.batches) + 1
        self.batches.append(Batch(first, events, b"", 0, events[:0], b""))
        await self.analytics.take([Message(JOURNALED, Journaled(first, events))])

    def kept(self):
        """The bytes of every symbol."""
        return [self.analytics._tapes.board.kept(instrument) for instrument in range(len(LISTINGS))]


async def test_a_platform_that_starts_again(tmp_path):
    """What came while the kernel was loaded, what the journal had in addition, what was stored: each once."""
    run, events = Run(tmp_path), market(900)
    assert (await run.analytics.source.readings()).symbols == []
    await run.analytics.start()
    await run.bring(events[:100])
    await run.analytics._loaded()
    await run.bring(events[100:300])
    await run.analytics.keep()
    assert run.analytics.progress() == {"taken": 300, "stored": 300}
    await run.bring(events[300:500])  # it is killed, and this was not stored
    run.begin()
    assert run.analytics.seq == 300
    await run.analytics.start()
    await run.analytics._loaded()
    await run.bring(events[500:])
    await run.analytics.stop()
    expected = whole(events)
    assert run.kept() == [expected.kept(instrument) for instrument in range(len(LISTINGS))]
    run.begin()
    assert run.analytics.seq == 900
    run.store.close()


async def test_a_journal_that_is_long(tmp_path, monkeypatch):
    """More events than may wait are taken at once, before the service starts."""
    monkeypatch.setattr("openbell.services.analytics.local.WAITING_MAX", 100)
    run, events = Run(tmp_path), market(900)
    run.batches = [Batch(first + 1, events[first : first + 90], b"", 0, events[:0], b"") for first in range(0, 900, 90)]
    run.begin()
    await run.analytics.start()
    await run.analytics._loaded()
    expected = whole(events)
    assert run.kept() == [expected.kept(instrument) for instrument in range(len(LISTINGS))]
    run.store.close()


# Answers.


def answers_of(events, calendar=ALWAYS):
    """Answers about everything that these ticks say."""
    board = whole(events)
    local = Local(SYMBOLS, lambda: (*board.readings(board.now), board.now), lambda window: (*board.closes(window, board.now), board.now))
    return Answers(local, calendar)


def trades(ts, prices, instrument, lots=10):
    """Trades of one symbol."""
    events = np.zeros(len(ts), EVENT)
    events["trade"]["kind"], events["instrument"], events["trade"]["price"], events["trade"]["quantity"] = (
        enums.TRADE,
        instrument,
        prices,
        lots,
    )
    events["ts_event"] = events["ts_available"] = ts
    return events


async def test_movers():
    """Gainers and losers by the change, the most active by what is asked; nothing that stands among the first two."""
    ts = START + np.array([0, 90]) * SECOND
    events = join(
        [trades(ts, [100.0, 110.0], 0, 10), trades(ts, [100.0, 95.0], 1, 400), trades(ts, [1.0, 1.02], 2, 500), trades(ts, [5.0, 5.0], 3)]
    )
    answers = answers_of(events)
    found = await answers.movers("1m", "notional", 10)
    assert [(mover.symbol, round(mover.change_percent, 9)) for mover in found.gainers] == [("S0", 10.0), ("S2", 2.0)]
    assert [(mover.symbol, round(mover.change_percent, 9)) for mover in found.losers] == [("S1", -5.0)]
    assert [(mover.symbol, mover.notional) for mover in found.most_active] == [("S1", 3800.0), ("S0", 110.0), ("S2", 51.0), ("S3", 5.0)]
    assert (found.window, found.by, found.ts) == ("1m", "notional", (START + 90 * SECOND) // 1_000_000)
    assert [mover.symbol for mover in (await answers.movers("5m", "volume", 2)).most_active] == ["S2", "S1"]
    assert {mover.trades for mover in (await answers.movers("5m", "trades", 10)).most_active} == {2}
    with pytest.raises(UnknownNameError, match="2m"):
        await answers.movers("2m", "notional", 10)


async def test_a_symbol():
    """Windows, session and spread; volatility is of a year, with the periods that the market has."""
    random = np.random.default_rng(1)
    prices = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, 200)))
    events = trades(START + np.arange(200) * SECOND, prices, 0)
    found = await answers_of(events).of("S0")
    returns = np.diff(np.log(prices))[-61:-1]
    window = found.windows["1m"]
    assert (window.returns, window.periods_per_year) == (60, 365 * 86_400)
    assert window.volatility == pytest.approx(math.sqrt(np.mean(returns**2) * 365 * 86_400), rel=1e-9)
    assert window.volatility_ewma is not None
    assert found.windows["1d"].volatility is None
    assert (found.bid, found.spread_bps, window.spread_bps) == (None, None, None)
    assert (found.session.ts, found.session.trades) == (START // 1_000_000, 200)
    assert found.session.vwap == pytest.approx(prices.mean())
    assert await answers_of(events).of("S1") is None
    us = await answers_of(events, Calendar.of("us")).of("S0")
    assert us.windows["1m"].periods_per_year == 252 * 6.5 * 3600
    assert us.windows["1m"].volatility / window.volatility == pytest.approx(math.sqrt(252 * 6.5 / (365 * 24)))


async def test_anomalies_and_correlations():
    """As records with their units; a pair of symbols that were never heard of is null."""
    ts = START + np.arange(400) * 5 * SECOND
    random = np.random.default_rng(1)
    common = np.cumsum(random.normal(0.0, 1e-3, 400))
    walks = [100.0 * np.exp(common * sign + np.cumsum(random.normal(0.0, 5e-4, 400))) for sign in (1.0, 1.0, -1.0)]
    events = join([trades(ts, walk, instrument) for instrument, walk in enumerate(walks)])
    events = events[np.argsort(events["ts_event"], kind="stable")]
    jump = trades([int(ts[-1]) + SECOND], [150.0], 0)
    answers = answers_of(join([events, jump]))
    [anomaly] = (await answers.anomalies(10)).anomalies
    assert (anomaly.symbol, anomaly.kind, anomaly.unit, anomaly.ts) == ("S0", "price_jump", "percent", int(ts[-1] + SECOND) // 1_000_000)
    assert anomaly.value > anomaly.threshold > anomaly.usual > 0.0
    assert (await answers.of("S0")).anomalies == [anomaly]
    assert (await answers.of("S1")).anomalies == []
    found = await answers.correlations([], "5m", 2)
    assert (found.window, found.step_s, len(found.pairs)) == ("5m", 5.0, 2)
    chosen = (await answers.correlations(["S0", "S1", "S3"], "15m", 1)).pairs
    assert [pair.symbols for pair in chosen] == [("S0", "S1"), ("S0", "S3"), ("S1", "S3")]
    assert chosen[0].correlation > 0.6
    assert [(pair.correlation, pair.returns) for pair in chosen[1:]] == [(None, 0), (None, 0)]
    for symbols in (["S0"], [f"S{number}" for number in range(51)]):
        with pytest.raises(UsageError):
            await answers.correlations(symbols, "5m", 1)


async def test_nobody_computes():
    """An error that says what to start."""
    with pytest.raises(BusError, match="analytics"):
        await Answers(Stored(MemorySpeedLayer(), SYMBOLS), ALWAYS).movers("5m", "notional", 10)


def test_calendars():
    """Sessions around a time, in order and without gaps in what is known, also where a clock is changed."""
    friday = 1_741_355_000 * SECOND  # 2025-03-07T13:43:20Z
    for name, length in (("us", 6.5), ("india", 6.25), ("continuous", 24)):
        found = Calendar.of(name).sessions(friday)
        assert found == sorted(found)
        assert found[0][0] <= friday - 14 * DAY
        assert found[-1][0] >= friday + 14 * DAY
        assert {closes - opens for opens, closes in found} == {int(length * HOUR)}
    opens = [opens for opens, _ in Calendar.of("us").sessions(friday)]
    assert 1_741_357_800 * SECOND in opens  # 09:30 in New York is 14:30 UTC
    assert 1_741_613_400 * SECOND in opens  # and on the Monday after 13:30
    with pytest.raises(UnknownNameError, match="mars"):
        Calendar.of("mars")
