"""`openbell verify` over real servers: a marked tick arrives everywhere, or it is said after which stop it was lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from openbell.adapters.redis_server import RedisServer
from openbell.cli.demo_processes import write_config
from openbell.config import load_settings
from openbell.model import enums
from openbell.services.processes.fleet import Fleet, free_port
from openbell.services.processes.process import open_journal
from tests.kafka import remove
from tests.running import until
from tests.servers import environment, fresh_database

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

WRITTEN, READ, REDIS, STREAM, CANDLES, JOURNAL, KERNEL, ACCOUNTS = range(8)


class Platform:
    """All services but those for orders and history, in processes of their own, with a feed that goes on for minutes."""

    def __init__(self, fleet, config, folder, client):
        self.fleet, self.client, self.folder, self.config = fleet, client, folder, config
        self.settings = load_settings(config, {"trading.data_dir": str(folder)}, client, folder)
        self.port = free_port()
        fleet.start("portfolio")
        fleet.start("processor")
        fleet.start("trader")
        self.start_gateway()
        fleet.wait_healthy("portfolio", "processor", "trader")
        fleet.start("ingest")
        fleet.wait_healthy("ingest")
        until(lambda: self.asked("/price/BTCUSDT").get("price"), 60, "a price")

    def start_gateway(self):
        self.fleet.start("gateway", "--port", str(self.port))
        self.fleet.wait_healthy("gateway")

    def command(self, *arguments, **environment):
        """`openbell verify`, begun."""
        command = [
            sys.executable, "-m", "openbell", "verify", "--config", self.config, "--data-dir", self.folder,
            "--url", f"http://127.0.0.1:{self.port}", *arguments,
        ]  # fmt: skip
        return subprocess.Popen(command, env={**self.client, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def verify(self, *arguments, timeout="20"):
        """(Exit code, report) of `openbell verify`; where a stop is to be lost, `timeout` is short."""
        return self.finished(self.command("--json", "--timeout", timeout, *arguments))

    @staticmethod
    def finished(command):
        out, err = command.communicate(timeout=100)
        assert "Traceback" not in err, err
        assert out, err
        return command.returncode, json.loads(out)

    def asked(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def marks(self, run="main-1"):
        """(Quantities of the trades, reasons of the commands) that marked ticks left in the journal, without candles."""
        with open_journal(self.settings, "main", writable=False) as journal:
            quantities, reasons = [], []
            for batch in journal.batches(run):
                marked = batch.events[(batch.events["kind"] == enums.TRADE) & (batch.events["trade"]["quantity"] < 0)]
                quantities += marked["trade"]["quantity"].tolist()
                for seq in marked["seq"].tolist():
                    own = batch.commands[batch.commands["seq"] == seq]
                    assert own["kind"].tolist() == [enums.REFUSED]
                    reasons += own["reason"].tolist()
            return quantities, reasons


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    config = write_config(folder, "1")
    with fresh_database() as settings:
        name = f"test-{os.getpid()}-{folder.name[-1]}-verify"
        client = {
            **os.environ, **environment(), "DB_NAME": settings.database.name, "OPENBELL_BUS__NAMESPACE": name, "METRICS_ADDR": "",
            "OPENBELL_LOGGING__FORMAT": "json",
        }  # fmt: skip
        with Fleet(config, folder, client) as fleet:
            yield Platform(fleet, config, folder, client)
        asyncio.run(forget(settings, name))


async def forget(settings, name):
    """Remove what the platform kept under its name in Kafka and Redis."""
    await remove(settings.kafka.servers, f"{name}.")
    async with RedisServer.at(settings.redis).client() as redis:
        async for key in redis.scan_iter(f"{name}.*", 1000):
            await redis.delete(key)


def states(report):
    return [stop["state"] for stop in report["stops"]]


def arrives(platform, *arguments):
    """Verify, and hold that the tick was at every stop."""
    code, report = platform.verify(*arguments)
    assert (code, report["arrived"], set(states(report))) == (0, True, {"ok"}), report
    return report


def test_the_tick_arrives_everywhere(platform):
    """Every stop has a place and a time, and the table shows them; afterwards the journal holds one refused trade a tick, and no more."""
    quantities, _ = platform.marks()
    report = arrives(platform)
    stops = report["stops"]
    assert [stop["name"] for stop in stops] == [
        "Kafka (written)", "Kafka (read)", "Redis", "WebSocket", "PostgreSQL (candles)", "trader main (journal)",
        "trader main (kernel)", "PostgreSQL (accounts)",
    ]  # fmt: skip
    assert all(stop["where"] and stop["ms"] >= 0 for stop in stops)
    assert "partition" in stops[READ]["where"]
    assert "price:BTCUSDT, position" in stops[REDIS]["where"]
    assert "run main-1, event" in stops[JOURNAL]["where"]
    assert "refused, quantity not positive" in stops[KERNEL]["where"]
    assert stops[STREAM]["where"].startswith(f"ws://127.0.0.1:{platform.port}/ws, position")
    assert platform.marks() == ([-1] * (len(quantities) + 1), [enums.BAD_QUANTITY] * (len(quantities) + 1))
    shown = platform.command("--symbol", "ETHUSDT", "--timeout", "20")
    out, err = shown.communicate(timeout=100)
    assert (shown.returncode, err) == (0, "")
    assert "The marked tick of ETHUSDT arrived everywhere in " in out.splitlines()[-1]


def test_several_at_once(platform):
    """Ticks that are marked at the same time, of the same symbol and of others, all arrive."""
    commands = [platform.command("--json", "--timeout", "20", "--symbol", symbol) for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT")]
    for command in commands:
        code, report = platform.finished(command)
        assert (code, set(states(report))) == (0, {"ok"}), report


def test_lost_at_the_processor(platform):
    """Killed, it leaves neither a price in Redis nor candles; started again, it goes on where it was."""
    platform.fleet.kill("processor")
    code, report = platform.verify(timeout="2")
    assert code == 1
    assert states(report) == ["ok", "ok", "lost", "not reached", "lost", "ok", "ok", "ok"]
    assert report["verdict"][0].startswith("Lost between Kafka (read) and Redis, PostgreSQL (candles): no process `processor` answers")
    assert "openbell serve processor" in report["verdict"][0]
    platform.fleet.start("processor")
    platform.fleet.wait_healthy("processor")
    arrives(platform)


def test_lost_at_the_trader(platform):
    """Paused, it journals nothing; let go on, it takes in what came meanwhile."""
    process = platform.fleet.members["trader"].process
    process.send_signal(signal.SIGSTOP)
    try:
        code, report = platform.verify(timeout="2")
    finally:
        process.send_signal(signal.SIGCONT)
    assert code == 1
    assert states(report) == ["ok", "ok", "ok", "ok", "ok", "lost", "not reached", "not reached"]
    assert report["verdict"][0].startswith("Lost between Kafka (read) and trader main (journal): no process `trader` answers")
    before = len(platform.marks()[0])
    arrives(platform)
    assert len(platform.marks()[0]) >= before + 1


def test_lost_at_the_gateway(platform):
    """Without a gateway the price is in Redis, and nobody shows it."""
    platform.fleet.stop("gateway")
    code, report = platform.verify(timeout="2")
    assert code == 1
    assert states(report) == ["ok", "ok", "ok", "lost", "ok", "ok", "ok", "ok"]
    assert f"Lost between Redis and WebSocket: nobody listens on http://127.0.0.1:{platform.port}" in report["verdict"][0]
    platform.start_gateway()


def test_nothing_that_could_be_followed(platform):
    """No price yet, a symbol that nobody lists, and servers that are not there are one sentence each, with what to do."""
    for environment_, arguments, code, words in (
        ({"OPENBELL_BUS__NAMESPACE": f"{platform.client['OPENBELL_BUS__NAMESPACE']}-none"}, [], 4, "BTCUSDT has no price yet"),
        ({}, ["--symbol", "BTCUSD"], 2, "BTCUSDT"),
        ({"REDIS_ADDR": f"127.0.0.1:{free_port()}"}, [], 6, "Redis at 127.0.0.1"),
        ({"DB_PORT": str(free_port())}, [], 6, "does not answer"),
        ({"OPENBELL_BUS__MARKET": "rabbitmq"}, [], 3, "kafka or redis"),
    ):
        command = platform.command(*arguments, **environment_)
        out, err = command.communicate(timeout=100)
        assert (command.returncode, out) == (code, ""), err
        assert words in err
        assert "Traceback" not in err
        assert platform.client["DB_PASSWORD"] not in err


def test_a_market_that_is_halted(platform):
    """No tick comes any more, the processor was started again since, a new run has begun: marked ticks still arrive, one after another."""
    platform.fleet.stop("ingest", "processor", "trader")
    platform.fleet.start("processor")
    platform.fleet.start("trader", "--fresh")
    platform.fleet.wait_healthy("processor", "trader")
    price = platform.asked("/price/BTCUSDT")
    for _ in range(3):
        arrives(platform)
    assert platform.asked("/price/BTCUSDT") == price
    assert platform.marks("main-2") == ([-1] * 3, [enums.BAD_QUANTITY] * 3)
