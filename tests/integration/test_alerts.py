"""Alerts in processes of their own, over real servers, killed at any moment: every alert is triggered once, by its first tick.

The oracle compares the recording with every alert, one condition after the other, without the ladders of the service.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
import uuid

import msgspec
import numpy as np
import pytest
from websockets.sync.client import connect

from openbell.adapters.buses.base import Topic
from openbell.adapters.messages.alerts import decode_alert
from openbell.adapters.stores.alert_rows import Standing, text_of
from openbell.adapters.stores.alert_rules import Spec
from openbell.adapters.stores.alerts import AlertStore, NewAlert
from openbell.adapters.stores.database import open_database
from openbell.cli.demo_processes import is_published, write_config
from openbell.config import load_settings
from openbell.model import enums
from openbell.model.jit import join
from openbell.services.alerts.symbols import SymbolDesk
from openbell.services.ingest.recordings import shipped_session
from openbell.services.processes.fleet import Fleet, free_port
from openbell.services.stores import place_of
from tests.rabbitmq import EVERYBODYS, OwnBus, remove
from tests.running import until
from tests.servers import environment, fresh_database
from tests.unit.services.alert_oracle import OracleAlert

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("ALERT_KILLS", "10"))
SEED = int(os.environ.get("KILL_SEED", "1"))
MARKET = os.environ.get("ALERT_MARKET", "kafka")
#: Seconds of life between a start and the next kill, from and to.
LIFE_S = (0.05, 2.0)
#: About how long (seconds) a process takes to be there again, and its partitions to be with another one when it is not.
START_S, REBALANCE_S = 4.0, 7.0
ALERTS = 3000
#: Those that come every time, at prices that the recording comes back to again and again.
FLAPPING = 150
CONDITIONS = ("above", "below", "crosses")
PARTITIONS = 4


class Oracle:
    """The prices of the recording by symbol, each with its place in the order of the source, and what alerts come to."""

    def __init__(self):
        source, listings = shipped_session()
        self.listings = listings
        ticks = self.ticks = join(list(source.chunks(0)))
        self.symbols = [listing.symbol for listing in listings]
        self.count = len(ticks)
        self.prices, self.times, self.places = {}, {}, {}
        for instrument, symbol in enumerate(self.symbols):
            rows = np.flatnonzero((ticks["instrument"] == instrument) & (ticks["kind"] == enums.TRADE))
            first = np.flatnonzero((ticks["instrument"] == instrument) & (ticks["kind"] == enums.QUOTE))
            first = first[first < rows[0]]
            quotes = ticks["quote"]
            middles = (quotes["bid_price"][first] + quotes["ask_price"][first]) / 2
            self.prices[symbol] = np.concatenate([middles, ticks["trade"]["price"][rows]])
            self.places[symbol] = np.concatenate([first, rows])
            self.times[symbol] = ticks["ts_event"][self.places[symbol]]

    def first(self, symbol, condition, target, place=0):
        """(Time, price) of the first tick from a place on that meets a condition; None without one."""
        prices = self.prices[symbol]
        before = np.concatenate([[np.nan], prices[:-1]])
        met = {
            "above": prices >= target,
            "below": prices <= target,
            "crosses": ((before < target) & (prices >= target)) | ((before > target) & (prices <= target)),
        }[condition]
        rows = np.flatnonzero(met & (self.places[symbol] >= place))
        return (int(self.times[symbol][rows[0]]), float(prices[rows[0]])) if len(rows) else None

    def wanted(self, generator, count):
        """Alerts at, near and far from the prices of the recording."""
        found = []
        for number in range(count):
            symbol = self.symbols[number % len(self.symbols)]
            low, high = self.prices[symbol].min(), self.prices[symbol].max()
            target = generator.uniform(low - (high - low) / 4, high + (high - low) / 4)
            if generator.random() < 0.3:
                target = generator.choice(self.prices[symbol])
            found.append(NewAlert(symbol, CONDITIONS[int(generator.integers(3))], float(target)))
        return found

    def flapping(self, generator, count):
        """Alerts that come every time, of the kinds that follow from ticks alone, about where their values are most of the time."""
        found = []
        for number in range(count):
            symbol = self.symbols[number % len(self.symbols)]
            more = {
                "mode": "every",
                "hysteresis": float(generator.choice([0.0, 0.01, 0.1])),
                "cooldown_s": float(generator.choice([0.0, 3.0])),
            }
            comparison = str(generator.choice([*CONDITIONS, "crosses_above", "crosses_below"]))
            kind = str(generator.choice(["price", "price", "move", "volume", "volume_of"]))
            if kind == "price":
                found.append(NewAlert(symbol, comparison, float(generator.choice(self.prices[symbol])), **more))
            elif kind == "move":
                target = float(generator.choice([-0.08, -0.03, 0.03, 0.08]))
                found.append(NewAlert(symbol, f"move_{comparison}", target, Spec(window_s=int(generator.choice([5, 60]))), **more))
            else:
                spec = Spec(window_s=10) if kind == "volume" else Spec(timeframe="1s")
                target = float(generator.uniform(0.2, 3.0)) * self.volume(symbol) * (10 if spec.window_s else 1)
                found.append(NewAlert(symbol, f"volume_{comparison}", target, spec, **more))
        return found

    def volume(self, symbol):
        """Traded in a second, in units."""
        instrument = self.symbols.index(symbol)
        own = self.ticks[(self.ticks["instrument"] == instrument) & (self.ticks["kind"] == enums.TRADE)]
        seconds = (own["ts_event"][-1] - own["ts_event"][0]) / 1e9
        return float(own["trade"]["quantity"].sum() * self.listings[instrument].lot_size / seconds)

    def every(self, rows):
        """(Number, time, value) of each time that alerts come, by id: by a desk that takes the recording at once and is never stopped."""
        desk = SymbolDesk(self.listings)
        for symbol in self.symbols:
            desk.open(symbol)
        desk.change(_standing(row) for row in rows)
        desk.take(self.ticks, self.symbols)
        found = {row.id: [] for row in rows}
        for one in desk.came()[0]:
            found[one.alert].append((one.number, one.ts, one.value))
        for row in rows:  # those of prices a second time, by looking at one price after the other
            if row.spec is None:
                alert, own = OracleAlert(_standing(row)), []
                for ts, price in zip(self.times[row.symbol].tolist(), self.prices[row.symbol].tolist(), strict=True):
                    if alert.look(ts, price):
                        own.append((alert.number, ts, price))
                assert found[row.id] == own
        return found


def _standing(row):
    """An alert for who evaluates it."""
    rule = {**row.rule(), "spec": text_of(row.spec), "schedule": text_of(row.schedule)}
    return Standing(row.id, status="active", armed=None, fired=0, triggered_ts=None, revision=row.revision, **{
        name: rule[name] for name in Standing._fields if name in rule
    })  # fmt: skip


@pytest.fixture(scope="module")
def oracle():
    return Oracle()


class Platform:
    """Ingest and alerts over a database and names of their own, and a reader of what is told that is there from the beginning."""

    def __init__(self, folder, settings, speed, market=MARKET):
        self.keeps_history = market != "rabbitmq"
        self.namespace = f"alerts-{uuid.uuid4().hex[:8]}"
        self.environment = {
            **os.environ, **environment(), "DB_NAME": settings.database.name, "OPENBELL_BUS__NAMESPACE": self.namespace,
            "OPENBELL_BUS__MARKET": market, "OPENBELL_LOGGING__FORMAT": "json",
        }  # fmt: skip
        self.folder = folder
        self.reader = f"alerts {self.namespace}.stock-prices"
        self.config = write_config(folder, f"{speed:.2f}")
        self.settings = load_settings(self.config, {"trading.data_dir": str(folder)}, self.environment, folder)
        self.fleet = Fleet(self.config, folder, self.environment)
        self.database = open_database(place_of(self.settings.database))
        self.store = AlertStore(self.database)

    def __enter__(self):
        asyncio.run(self._listen(0))
        return self

    def __exit__(self, *_):
        self.fleet.stop()
        self.database.close()

    def start(self, *names):
        """Members of the group, which share all partitions before the first tick, as far as a bus says so."""
        for name in names:
            self.fleet.start("alerts", name=name)
        for name in names:
            self.fleet.wait(name, lambda health: health.progress["alerts"]["looks"] > 0, "reading", 60.0)
        if self.keeps_history:
            until(lambda: sum(len(partitions_of(self.fleet.health(name))) for name in names) == PARTITIONS, 60.0, "all partitions")

    def is_at_work(self, health):
        """Whether a process has all partitions, as far as the bus says so."""
        return len(partitions_of(health)) >= (PARTITIONS if self.keeps_history else 1)

    def places(self):
        """How far each symbol is stored, as a place in the order of the source."""
        rows = self.database.select("SELECT state FROM progress WHERE reader = ?", (self.reader,))
        kept = {symbol: each for (state,) in rows for symbol, each in msgspec.msgpack.decode(state).items()}
        return {symbol: next(iter(reached.values()))[1] for symbol, (reached, *_) in kept.items() if reached}

    def create(self, wanted, members):
        """New alerts, each with the places between which it was noticed."""
        low = self.places()
        rows = self.store.create(0, *wanted)
        for name in members:
            self.fleet.wait(name, lambda health: health.progress["alerts"]["revision"] >= rows[0].revision, "aware of new alerts", 30.0)
        high = self.places()
        return [(row, low.get(row.symbol, 0), high.get(row.symbol, 0)) for row in rows]

    def finish(self, oracle):
        """Let the rest of the recording come at full speed, and everybody have taken and told all of it."""
        if not is_published(self.fleet.wait("ingest", lambda _: True, "there", 30.0)):
            self.fleet.stop("ingest")
            write_config(self.folder, "max")
            self.fleet.start("ingest")
        self.fleet.wait("ingest", is_published, "at the end of the recording", 120.0)
        ends = {symbol: int(places[-1]) + 1 for symbol, places in oracle.places.items()}
        until(lambda: all(self.places().get(symbol, 0) >= end for symbol, end in ends.items()), 120.0, "the last tick of each symbol")
        until(lambda: not self.store.untold(self.reader, range(PARTITIONS), 1), 60.0, "the last alert to be told of")

    def told(self):
        """What was told of: ids, in the order in which the messages came."""
        return asyncio.run(self._listen(len(self.events())))

    def events(self):
        """Everything that is recorded."""
        found = []
        while page := self.store.events(since=found[-1].seq if found else 0, limit=10_000):
            found += page
        return found

    async def _listen(self, expected):
        """Be there; and take messages until so many alerts were told of, and then what there is besides."""
        topic = f"{self.namespace}.alerts"
        bus = OwnBus(self.settings.rabbitmq, "oracle", EVERYBODYS)
        bus.declare(Topic(topic))
        subscription = bus.subscribe(topic, "oracle")
        found = []
        try:
            await asyncio.wait_for(subscription.ready(), 20.0)
            while len({(alert.id, alert.number) for alert in found}) < expected:
                found += [decode_alert(message.payload) for message in await asyncio.wait_for(subscription.take(), 20.0)]
                subscription.ack()
            if expected:
                found += [decode_alert(message.payload) for message in subscription.take_now()]
                subscription.ack()
        finally:
            await bus.close()
            if expected:
                await remove(self.settings.rabbitmq, bus)
        return found


def partitions_of(health):
    """The partitions that a process has taken up."""
    told = {} if health is None else health.progress.get("alerts", {})
    return [key for key in told if key.startswith("partition")]


def check_every(platform, oracle, flapping):
    """Compare each time that alerts came with the oracle; returns a line of figures."""
    expected, found = oracle.every(flapping), {row.id: [] for row in flapping}
    for event in platform.events():
        if event.alert in found:
            found[event.alert].append((event.number, event.ts, event.value))
    missed = sum(len(set(times) - set(found[id])) for id, times in expected.items())
    wrong = sum(len(set(times) - set(expected[id])) for id, times in found.items())
    doubled = sum(len(times) - len(set(times)) for times in found.values())
    assert (missed, wrong, doubled) == (0, 0, 0)
    assert found == expected, "in this order"
    return f"{len(flapping)} came {sum(map(len, found.values()))} times: missed 0, wrong 0, doubled 0"


def check(platform, oracle, made, meanwhile):
    """Compare the table and the messages with the oracle; returns a line of figures."""
    rows = {row.id: row for row in platform.store.find() if row.mode == "once"}
    found = {id: (row.triggered_ts, row.triggered_price) if row.triggered_ts else None for id, row in rows.items()}
    expected = {row.id: oracle.first(row.symbol, row.condition, row.target_price) for row in made}
    missed = [id for id, tick in expected.items() if tick and not found[id]]
    wrong = [id for id, tick in expected.items() if found[id] and found[id] != tick]
    for row, low, high in meanwhile:
        earliest, latest = (oracle.first(row.symbol, row.condition, row.target_price, place) for place in (low, high))
        if found[row.id] is None:
            missed += [row.id] if latest else []
        elif not (earliest and earliest[0] <= found[row.id][0] and (latest is None or found[row.id][0] <= latest[0])):
            wrong.append(row.id)
    told = platform.told()
    heard = {(alert.id, alert.number): (alert.ts_triggered, alert.triggered_price, alert.value) for alert in told}
    repeated = len(told) - len(heard)
    said = {(alert.id, alert.number, alert.ts_triggered, alert.triggered_price, alert.value) for alert in told}
    assert (missed, wrong) == ([], [])
    stored = {(str(event.alert), event.number): (event.ts, event.price, event.value) for event in platform.events()}
    assert heard == stored, "what is told is what is stored"
    assert {id for id, tick in found.items() if tick} == {event.alert for event in platform.events() if event.mode == "once"}
    assert len(said) == len(heard), "an alert that is told again says the same"
    triggered = sum(tick is not None for tick in found.values())
    return f"{len(rows)} alerts, {triggered} triggered: missed 0, wrong 0, doubled 0; {repeated} messages said again"


def test_alerts_killed_at_random(oracle, tmp_path):
    """One process, killed again and again, with alerts that were there before and alerts that are made meanwhile."""
    generator = np.random.default_rng([SEED, 1])
    duration = KILLS * (START_S + REBALANCE_S) + 5.0
    with fresh_database() as settings, Platform(tmp_path, settings, 945.0 / duration) as platform, platform.fleet as fleet:
        made = platform.store.create(0, *oracle.wanted(generator, ALERTS))
        flapping = platform.store.create(0, *oracle.flapping(generator, FLAPPING))
        platform.start("alerts")
        fleet.start("ingest")
        meanwhile = []
        for number in range(KILLS):
            if number % 4:  # at work, and not just after it was started
                fleet.wait("alerts", platform.is_at_work, "at work", 60.0)
            if number % 4 == 1:
                meanwhile += platform.create(oracle.wanted(generator, 40), ["alerts"])
            live(generator)
            fleet.kill("alerts")
            fleet.start("alerts")
        early = len(platform.store.find(status="triggered"))
        platform.finish(oracle)
        print(f"seed {SEED}, one process, {KILLS} kills, {early} triggered between them: {check(platform, oracle, made, meanwhile)}")
        print(f"of those that come every time {check_every(platform, oracle, flapping)}")


def test_two_processes_and_their_partitions(oracle, tmp_path):
    """Partitions move when one is killed, and again when it is back; in the end one is gone for good."""
    generator = np.random.default_rng([SEED, 2])
    kills = max(KILLS // 2, 2)
    names = ("alerts", "alerts-2")
    with (
        fresh_database() as settings,
        Platform(tmp_path, settings, 945.0 / (kills * (START_S + REBALANCE_S))) as platform,
        platform.fleet as fleet,
    ):
        made = platform.store.create(0, *oracle.wanted(generator, ALERTS))
        flapping = platform.store.create(0, *oracle.flapping(generator, FLAPPING))
        platform.start(*names)
        fleet.start("ingest")
        meanwhile = []
        for _, name in zip(range(kills), itertools.cycle(names), strict=False):
            fleet.wait_healthy(*names)
            live(generator)
            fleet.kill(name)
            if generator.random() < 0.5:  # the other one takes its partitions before it is back
                other = next(each for each in names if each != name)
                fleet.wait(other, platform.is_at_work, "alone with all partitions", 60.0)
            fleet.start("alerts", name=name)
            fleet.wait_healthy(*names)
            meanwhile += platform.create(oracle.wanted(generator, 20), names)
        early = len(platform.store.find(status="triggered"))
        fleet.kill(names[0])
        platform.finish(oracle)
        print(f"seed {SEED}, two processes, {kills + 1} kills, {early} triggered between them: {check(platform, oracle, made, meanwhile)}")
        print(f"of those that come every time {check_every(platform, oracle, flapping)}")


def live(generator):
    """Let a process work for a random time."""
    time.sleep(generator.uniform(*LIFE_S))


@pytest.mark.parametrize("market", ["kafka", "redis", "rabbitmq"])
def test_an_alert_made_by_hand_is_shown_by_the_gateway(tmp_path, market):
    """Added and removed on the command line while everything runs, it comes on the channel `alerts` of the stream."""
    port = free_port()
    with fresh_database() as settings, Platform(tmp_path, settings, 5.0, market) as platform, platform.fleet as fleet:

        def alerts(*arguments):
            command = [sys.executable, "-m", "openbell", "alerts", *arguments, "--config", platform.config, "--json"]
            done = subprocess.run(command, env=platform.environment, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            return json.loads(done.stdout)

        fleet.start("gateway", "--port", str(port))
        platform.start("alerts")
        fleet.wait_healthy("gateway")
        with connect(f"ws://127.0.0.1:{port}/ws") as line:
            line.send(json.dumps({"op": "subscribe", "channels": ["alerts"]}))
            assert json.loads(line.recv(20))["channel"] == "snapshot"
            removed = alerts("add", "BTCUSDT", "above", "60000")
            alerts("remove", removed["id"])
            before = alerts("add", "BTCUSDT", "above", "60000")
            fleet.start("ingest")
            first = json.loads(line.recv(60))
            meanwhile = alerts("add", "ETHUSDT", "below", "3000")
            second = json.loads(line.recv(20))
        listed = {row["id"]: row for row in alerts("list")}
    assert [message["channel"] for message in (first, second)] == ["alerts", "alerts"]
    assert [first["data"], second["data"]] == [listed[before["id"]], listed[meanwhile["id"]]]
    assert first["data"]["triggered_price"] > 60_000
    assert second["data"]["status"] == "triggered"
    assert removed["id"] not in listed
