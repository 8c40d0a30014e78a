"""The whole platform in processes of its own, over servers of its own, to be disturbed; and an oracle that reads what came out of it.

The oracle knows nothing of the platform's books: it reads the topics with consumers of its own, the tables by SQL, and compares them with a
run of the same ticks that nobody disturbed, made in this process.
"""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass

import numpy as np

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.kafka import KafkaBus
from openbell.adapters.messages.decisions import decode_decisions
from openbell.adapters.messages.ticks import decode_ticks
from openbell.adapters.stores.journal import SqliteJournal
from openbell.cli.demo_processes import caught_up, is_published, write_config
from openbell.cli.demo_strategies import strategies
from openbell.config import TradingSettings, load_settings
from openbell.errors import OpenbellError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.jit import join
from openbell.services.ingest.recordings import shipped_session
from openbell.services.names import Names
from openbell.services.plans import make_plan
from openbell.services.processes.fleet import Fleet
from openbell.services.processes.process import open_journal
from openbell.services.replay.replay import replay
from openbell.services.trader.trader import Trader
from tests.servers import ROOT, empty_database

SERVERS = ("postgres", "redis", "rabbitmq", "kafka")
#: Where they are, without the offset.
PORTS = {"postgres": 15432, "redis": 16379, "rabbitmq": 15672, "kafka": 29092}
SERVICES = ("ingest", "processor", "orders", "trader", "portfolio")
PARTITIONS = 4
SECONDS = 180.0


class Servers:
    """PostgreSQL, Redis, RabbitMQ and Kafka in a folder and on ports of their own."""

    def __init__(self):
        self.folder = ROOT / "run" / f"test-{uuid.uuid4().hex[:12]}"
        offsets = list(range(1000, 3600, 10))  # below the ports that the system gives to whoever connects
        random.shuffle(offsets)  # so that two of them that look at the same time take different ones
        self.offset = next(offset for offset in offsets if all(_is_free(port + offset) for port in (*PORTS.values(), 29093)))
        self._environment = {**os.environ, "OPENBELL_SERVICES_DIR": str(self.folder), "OPENBELL_SERVICES_PORT_OFFSET": str(self.offset)}
        jars = list((ROOT / "run" / "kafka").glob("jars-*[0-9]"))
        if jars:  # what was fetched once need not be fetched again
            (self.folder / "kafka").mkdir(parents=True)
            (self.folder / "kafka" / jars[0].name).symlink_to(jars[0])

    def set(self, **variables):
        """Have the servers started with these in their environment."""
        self._environment |= variables

    def run(self, command, *servers):
        done = subprocess.run(
            [ROOT / "scripts/services.sh", command, *servers], env=self._environment, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self):
        """What a client needs to know."""
        lines = (line.removeprefix("export ").partition("=") for line in self.run("env").splitlines() if line.startswith("export "))
        return {name: value.strip("'\"") for name, _, value in lines}

    @contextlib.contextmanager
    def database(self):
        """The environment of a client, with an empty database that is dropped at the end."""
        environment = self.environment()
        settings = load_settings(environment=environment, folder=ROOT / "tests")
        with empty_database(lambda statement: execute(settings, statement)) as name:
            yield {**environment, "DB_NAME": name}

    def __enter__(self):
        try:
            self.run("up", *SERVERS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.run("down", *SERVERS)
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass
class Undisturbed:
    """What a run that nobody disturbs comes to."""

    ticks: np.ndarray
    commands: np.ndarray
    decision_hash: str
    state_hash: str
    plan: object
    names: Names


def undisturbed(folder):
    """The recording as one run in this process."""
    source, listings = shipped_session()
    plan = make_plan(TradingSettings(strategies=strategies()), listings)
    ticks = join(list(source.chunks(0)))
    with SqliteJournal(folder / "undisturbed.db") as journal:
        trader = Trader.open(journal, "main-1", plan, created_ns=1)
        commands = trader.feed(ticks)
        return Undisturbed(ticks, commands, trader.decision_hash(), trader.state_hash(), plan, Names(plan))


class Session:
    """The demo's recording through a fleet of processes, at a speed, with whatever happens to them meanwhile."""

    def __init__(self, folder, environment, speed, **otherwise):
        """`otherwise`: what stands in the environment of the services, and not in that of who looks at what came out."""
        self.folder = folder
        self.namespace = f"fault-{uuid.uuid4().hex[:8]}"
        self.environment = {**os.environ, **environment, "OPENBELL_BUS__NAMESPACE": self.namespace, "OPENBELL_LOGGING__FORMAT": "json"}
        self.config = write_config(folder, str(speed))
        self.fleet = Fleet(self.config, folder, self.environment | otherwise)
        #: How often each was started again although nobody had killed it.
        self.restarts = Counter()

    def settings(self):
        return load_settings(self.config, {"trading.data_dir": str(self.folder)}, self.environment, self.folder)

    def start(self):
        """Everybody who reads, then the source."""
        readers = [name for name in SERVICES if name != "ingest"]
        for name in readers:
            self.fleet.start(name)
        self.fleet.wait_healthy(*readers)
        self.fleet.start("ingest")

    def keep_alive(self):
        """Start again what ended by itself, as whatever runs containers does."""
        for name in self.fleet.start_again():
            self.restarts[name] += 1

    def live(self, seconds):
        """Let some time pass in which whatever ends by itself is started again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.keep_alive()
            time.sleep(0.02)

    def is_over(self):
        """Whether the source has said everything."""
        health = self.fleet.health("ingest")
        return health is not None and "feed" in health.checks and is_published(health)

    def finish(self, expected):
        """Let everybody come to the end, at full speed; OpenbellError when somebody does not."""
        if not self.is_over():
            self.fleet.stop("ingest")
            # It publishes what it has while it stops, and that may be all; started after its end, it would begin anew.
            if self._published() < len(expected.ticks):
                write_config(self.folder, "max")
                self.fleet.start("ingest")
                self._until(["ingest"], is_published)
            else:
                del self.fleet.members["ingest"]
        else:
            self._until(["ingest"], is_published)
        trader = self._until(["trader"], lambda health: health.progress["trader"]["events"] >= len(expected.ticks))
        commands = trader.progress["trader"]["commands"]
        self._until(["trader"], lambda health: health.progress["trader"]["sent"] >= commands)
        self._until(["portfolio"], lambda health: health.progress["portfolio"]["commands main"] >= commands)
        processors = [name for name, member in self.fleet.members.items() if member.service == "processor"]
        self._until(processors, caught_up(PARTITIONS))
        settings, fills = self.settings(), int((expected.commands["kind"] == enums.FILL).sum())
        self._until(["orders"], lambda _: execute(settings, "SELECT count(*) FROM executions")[0][0] >= fills)
        self.fleet.stop()

    def _published(self):
        """How many events of the source were confirmed, as its publisher has stored it."""
        statement = f"SELECT max(position) FROM progress WHERE reader LIKE 'ingest {self.namespace}%'"
        return execute(self.settings(), statement)[0][0] or 0

    def _until(self, names, done):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            self.keep_alive()
            healths = [self.fleet.health(name) for name in names]
            with contextlib.suppress(KeyError):
                if all(health is not None and health.status == "healthy" for health in healths) and done(*healths):
                    return healths[0]
            time.sleep(0.05)
        raise OpenbellError(f"{', '.join(names)} did not come to the end: {healths}", do=f"read the logs in {self.folder}")


# The oracle.


async def read_topic(environment, topic, partitions):
    """Every message of a topic, by a consumer of the oracle's own."""
    bus = KafkaBus(load_settings(environment=environment, folder=ROOT / "tests").kafka, "oracle")
    bus.declare(Topic(topic, partitions=partitions))
    ends = await bus.ends(topic)
    reader = bus.subscribe(topic, start="oldest")
    messages = []
    try:
        while len(messages) < sum(ends.values()):
            messages += await asyncio.wait_for(reader.take(), SECONDS)
    finally:
        reader.close()
        await bus.close()
    return messages


def ticks_found(messages, names):
    """(How many messages came twice, the ticks by their place in the source's order)."""
    found, repeated = {}, 0
    for message in messages:
        part = decode_ticks(message.payload, names.instruments, names.plan.listings)
        index = np.arange(part.count) if part.index is None else part.index
        for place, event in zip((part.first + index).tolist(), part.events, strict=True):
            repeated += place in found and part.symbol != ""
            assert found.setdefault(place, event.tobytes()) == event.tobytes(), f"two ticks at the place {place}"
    return repeated, found


def commands_found(messages):
    """(Commands in order, how many came twice); a gap or a changed copy is an error."""
    data, repeated = b"", 0
    for message in messages:
        batch = decode_decisions(message.payload)
        body = batch.commands.tobytes()
        known = len(data) // COMMAND.itemsize - batch.first
        assert known >= 0, f"commands {batch.first + known} to {batch.first - 1} are lost"
        same = body[: known * COMMAND.itemsize]
        assert data[batch.first * COMMAND.itemsize :][: len(same)] == same, f"commands from {batch.first} on were said again, and differ"
        repeated += min(known, len(batch.commands))
        data += body[known * COMMAND.itemsize :]
    return data, repeated


def execute(settings, statement):
    """A statement on the platform's database, by a connection of the oracle's own; its rows, if it has any."""
    import psycopg

    known = settings.database
    with psycopg.connect(
        host=known.host, port=known.port, user=known.user, password=known.password, dbname=known.name, autocommit=True
    ) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def candle_rows(expected):
    """The candles that have to be in the store."""
    candles = [expected.names.candle(bar) for bar in expected.commands["bar"][expected.commands["kind"] == enums.CANDLE]]
    return {(c.symbol, c.timeframe, c.ts): (c.open, c.high, c.low, c.close, c.volume, c.trades) for c in candles}


def order_rows(expected):
    """What has to be in the store of every order and every fill: what was asked for, what came of it."""
    orders, fills = {}, []
    for index, command in enumerate(expected.commands):
        kind, order = int(command["kind"]), f"main-1-{command['order_id']}"
        if kind not in (enums.SUBMIT, enums.ORDER, enums.FILL):
            continue
        where = expected.names.strategies[command["strategy"]], expected.names.symbols[command["instrument"]]
        side = "buy" if command["side"] > 0 else "sell"
        if kind == enums.FILL:
            told = (int(command["quantity"]), float(command["price"]), int(command["amount"]), int(command["ts"]), int(command["seq"]))
            fills.append((f"main-1:{index}", order, *where, side, *told))
        asked = orders[order][3] if order in orders else int(command["quantity"])
        filled = int(command["filled"])
        orders[order] = (*where, side, max(asked, filled), filled, enums.STATUS_NAMES[int(command["status"])])
    return orders, sorted(fills)


def differences(expected, session, foreign=frozenset()):
    """What differs from the run that nobody disturbed, in words; and the counts for the table.

    `foreign` are the payloads that somebody else sent, which are nothing of the platform's.
    """
    settings, wrong = session.settings(), []

    def read(topic, partitions):
        messages = asyncio.run(read_topic(session.environment, f"{session.namespace}.{topic}", partitions))
        return [message for message in messages if message.payload not in foreign]

    ticks_twice, ticks = ticks_found(read("stock-prices", PARTITIONS), expected.names)
    lost = len(expected.ticks) - len(ticks)
    if lost:
        wrong.append(f"{lost} ticks are not on the topic")
    decided, commands_twice = commands_found(read("commands", 1))
    if decided != expected.commands.tobytes():
        wrong.append(f"{len(decided) // COMMAND.itemsize} commands were published, which are not the {len(expected.commands)} expected")
    stored = execute(settings, "SELECT symbol, timeframe, ts, open, high, low, close, volume, trades FROM candles")
    rows = {row[:3]: row[3:] for row in stored}
    wanted = candle_rows(expected)
    if rows != wanted:
        missing, more = len(wanted.keys() - rows.keys()), len(rows.keys() - wanted.keys())
        other = sum(rows[key] != wanted[key] for key in wanted.keys() & rows.keys())
        wrong.append(f"candles: {missing} missing, {more} too many, {other} different")
    orders, fills = order_rows(expected)
    stored = execute(settings, "SELECT client_order_id, strategy, symbol, side, quantity, filled, status FROM orders")
    found = {row[0]: row[1:] for row in stored}
    if found != orders:
        other = [f"{found[key]} for {orders[key]}" for key in orders.keys() & found.keys() if found[key] != orders[key]]
        wrong.append(f"orders: {len(orders.keys() - found.keys())} missing, {len(found.keys() - orders.keys())} too many, {other[:3]}")
    columns = "execution_id, client_order_id, strategy, symbol, side, quantity, price, fee, ts, seq"
    stored = sorted(execute(settings, f"SELECT {columns} FROM executions"))
    if stored != fills:
        wrong.append(f"executions: {len(stored)} for {len(fills)}, {sorted(set(stored) ^ set(fills))[:3]}")
    return wrong, {
        "ticks": len(ticks),
        "ticks_again": ticks_twice,
        "commands_again": commands_twice,
        "candles": len(rows),
        "orders": len(found),
    }


def check(session, expected, what, foreign=frozenset()):
    """Compare with the run that nobody disturbed, and print a line of the table that begins with what was done to the platform."""
    wrong, counts = differences(expected, session, foreign)
    with open_journal(session.settings(), "main", writable=False) as journal:
        again = replay(journal, "main-1")
        recoveries = journal.run("main-1").recoveries
    if not again.identical:
        wrong.append("the journal does not replay to itself")
    hashes = expected.decision_hash, expected.state_hash
    if (again.decision_hash, again.state_hash) != hashes:
        states = [f"{found} for {wanted}" for found, wanted in zip((again.decision_hash, again.state_hash), hashes, strict=True)]
        wrong.append(f"another decision hash or state hash after {again.events:,} events: {', '.join(states)}")
    print(
        f"{what}, {sum(session.restarts.values())} started again by themselves, {recoveries} recoveries of the trader; "
        f"{counts['ticks']:,} ticks ({counts['ticks_again']:,} said again), {counts['commands_again']:,} commands said again, "
        f"{counts['candles']:,} candles, {counts['orders']:,} orders; lost 0, doubled 0, hashes equal"
        if not wrong
        else f"{what}: {'; '.join(wrong)}"
    )
    assert wrong == [], f"{what}: {'; '.join(wrong)}"
