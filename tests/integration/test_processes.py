"""The platform with each service in a process of its own, over real servers: the same decisions as in one process."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from openbell.cli.demo_processes import caught_up, is_published, write_config
from openbell.config import load_settings
from openbell.model import enums
from openbell.services.processes.fleet import Fleet, free_port
from openbell.services.processes.process import open_journal
from tests.servers import environment, fresh_database
from tests.simulation.platform import PARTITIONS, ROOT, candle_rows, execute, undisturbed

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def client(own_name):
    """The environment of a client with names and a database of its own."""
    with fresh_database() as settings:
        yield {
            **os.environ, **environment(), "DB_NAME": settings.database.name, "OPENBELL_BUS__NAMESPACE": own_name.strip("-"),
            "OPENBELL_LOGGING__FORMAT": "json",
        }  # fmt: skip


def platform_settings(config, client, folder):
    return load_settings(config, {"trading.data_dir": str(folder)}, client, folder)


@pytest.mark.parametrize("market", ["kafka", "redis", "rabbitmq"])
def test_the_demo_in_processes_decides_as_in_one(client, expected, tmp_path, market):
    """Servers between the services, whichever carries the market, change neither an order, a fill, the equity nor a bit of the state."""
    done = subprocess.run(
        [sys.executable, "-m", "openbell", "demo", "--processes", "--speed", "max", "--exit", "--json", tmp_path / "out.json"],
        env={**client, "OPENBELL_BUS__MARKET": market}, cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["decision_hash"], result["state_hash"]) == (expected.decision_hash, expected.state_hash)
    assert result["identical"]
    assert (result["ticks"], result["orders"], result["fills"]) == (107_593, 51, 51)
    assert result["recorded"] == {"orders": 51, "fills": 51, "identical": True}
    assert round(result["final_equity"], 2) == 494_364.08


def test_candles_of_two_processors_are_those_the_strategies_saw(client, expected, tmp_path):
    """Two processors share the partitions; one is killed in the middle and the other takes over: no candle is missing, wrong or extra."""
    config = write_config(tmp_path, "30")
    with Fleet(config, tmp_path, client) as fleet:
        fleet.start("processor")
        fleet.start("processor", name="processor-2")
        fleet.wait_healthy("processor", "processor-2")
        fleet.start("ingest")
        for name in ("processor", "processor-2"):
            fleet.wait(name, is_at_work, "at work", 60.0)
        fleet.kill("processor-2")
        fleet.stop("ingest")
        write_config(tmp_path, "max")
        fleet.start("ingest")
        ingest = fleet.wait("ingest", is_published, "at the end", 120.0)
        assert ingest.status == "healthy"
        fleet.wait("processor", caught_up(PARTITIONS), "at the last tick", 120.0)
        fleet.stop()
    rows = execute(
        platform_settings(config, client, tmp_path), "SELECT symbol, timeframe, ts, open, high, low, close, volume, trades FROM candles"
    )
    assert {row[:3]: row[3:] for row in rows} == candle_rows(expected)


def is_at_work(health):
    """Whether a processor has stored something of a partition."""
    return any(key.startswith("partition") and offset for key, offset in health.progress["processor"].items())


def test_two_traders_trade_what_one_does(client, expected, tmp_path):
    """Strategies are divided between two traders, each the one writer of its journal: every strategy has the fills it has in one trader."""
    config = write_config(tmp_path, "max", {"rsi": "second", "bollinger-eth": "second"})
    with Fleet(config, tmp_path, client) as fleet:
        fleet.start("portfolio")
        fleet.start("trader")
        fleet.start("trader", "--trader", "second", name="trader-second")
        fleet.wait_healthy("portfolio", "trader", "trader-second")
        fleet.start("ingest")
        for name in ("trader", "trader-second"):
            fleet.wait(name, lambda health: health.progress["trader"]["events"] >= len(expected.ticks), "at the last tick", 120.0)
        commands = {name: fleet.health(name).progress["trader"]["commands"] for name in ("trader", "trader-second")}
        fleet.wait(
            "portfolio",
            lambda health: [health.progress["portfolio"][f"commands {name}"] for name in ("main", "second")] == list(commands.values()),
            "at the last command", 60.0,
        )  # fmt: skip
        fleet.stop()
    settings = platform_settings(config, client, tmp_path)
    found = {}
    for trader in ("main", "second"):
        with open_journal(settings, trader, writable=False) as journal:
            run = journal.run(f"{trader}-1")
            for batch in journal.batches(run.id):
                note_fills(batch.commands, [item["id"] for item in run.plan["assignments"]], found)
    assert found == note_fills(expected.commands, expected.names.strategies, {})


def note_fills(commands, strategies, found):
    """(Time, side, quantity, price, fee) of every fill, by strategy."""
    for fill in commands[commands["kind"] == enums.FILL]:
        told = (int(fill["ts"]), int(fill["side"]), int(fill["quantity"]), float(fill["price"]), int(fill["amount"]))
        found.setdefault(strategies[int(fill["strategy"])], []).append(told)
    return found


def test_a_gateway_of_its_own(client, tmp_path):
    """Prices, candles, orders and strategies through a gateway that shares nothing with the others but the servers; then a second one."""
    config = write_config(tmp_path, "5")
    port, other = free_port(), free_port()
    with Fleet(config, tmp_path, client) as fleet:
        for name in ("portfolio", "processor", "trader"):
            fleet.start(name)
        fleet.start("gateway", "--port", str(port))
        fleet.wait_healthy("portfolio", "processor", "trader", "gateway")
        fleet.start("ingest")
        price = until(lambda: get(port, "/price/BTCUSDT"))
        assert 50_000 < price["price"] < 70_000
        key = {"Idempotency-Key": "once"}
        order = ask(port, "/orders", {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01}, key)
        again = ask(port, "/orders", {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01}, key)
        assert again["id"] == order["id"]
        filled = until(
            lambda: next((item for item in get(port, "/orders")["orders"] if item["id"] == order["id"] and item["filled"]), None)
        )
        assert filled["status"] == "filled"
        assert ask(port, "/strategies/rsi/pause", {}) == {"id": "rsi", "state": "paused"}
        candles = until(lambda: get(port, "/candles/BTCUSDT?timeframe=1s&limit=5")["candles"])
        assert candles[-1]["timeframe"] == "1s"
        fleet.start("gateway", "--port", str(other), name="gateway-2")
        fleet.wait_healthy("gateway-2")
        shown = {item["id"]: item["state"] for item in get(other, "/strategies")["strategies"]}
        assert shown["rsi"] == "paused"
        assert any(item["id"] == order["id"] for item in get(other, "/orders")["orders"])
        fleet.kill("trader")
        refused = ask(port, "/orders", {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01})
        assert "did not answer in time" in refused["detail"]


def until(look, seconds=30.0):
    """Ask again until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds:g} s")


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


def ask(port, path, body, headers=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), method="POST",
        headers={"Content-Type": "application/json", "X-Requested-With": "openbell", **(headers or {})},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
