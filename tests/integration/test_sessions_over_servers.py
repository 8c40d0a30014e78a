"""Backtests whose history another process sends over real servers: as a user types it, several at a time, the results of local ones."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid

import pytest

from openbell import backtest
from tests.running import clean_environment, until
from tests.servers import environment, settings

pytestmark = pytest.mark.services

#: Strategy, data, further arguments, parameters.
JOBS = {
    "ticks": ("bollinger", ("btcusdt", "btcusdt-quotes"), (), {"period": 4.0, "deviations": 0.5}),
    "shares": ("rsi", ("us-daily",), ("AAPL", "MSFT"), {}),
    "bands": ("bollinger", ("ethusdt",), (), {"period": 6.0, "deviations": 1.0}),
}


class Platform:
    """A history process on one market bus, under names of the test's own, and commands beside it."""

    def __init__(self, market, folder):
        self.folder = folder
        self.namespace = f"test-{uuid.uuid4().hex[:12]}"
        self.variables = clean_environment(
            **{
                **environment(),
                "OPENBELL_BUS__MARKET": market,
                "OPENBELL_BUS__NAMESPACE": self.namespace,
                "OPENBELL_FEED__SOURCE": "recorded",
                "OPENBELL_DATABASE__ENGINE": "sqlite",
                "SQLITE_PATH": str(folder / "candles.db"),
            }
        )
        self.log = (folder / "history.log").open("wb")
        self.history = self.start("serve", "history", "--data-dir", str(folder), stdout=self.log, stderr=self.log)

    def start(self, *arguments, **options):
        """A command that goes on."""
        return subprocess.Popen([sys.executable, "-m", "openbell", *arguments], cwd=self.folder, env=self.variables, text=True, **options)

    def run(self, *arguments):
        """A command to its end."""
        with self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, trouble = process.communicate(timeout=90)
        assert "Traceback" not in trouble, trouble
        return process.returncode, output, trouble

    def backtest(self, name, session=""):
        """Begin a job as a session."""
        strategy, data, symbols, params = JOBS[name]
        arguments = ["backtest", strategy, "--data", *data, *(["--symbols", *symbols] if symbols else [])]
        for key, value in params.items():
            arguments += ["--param", f"{key}={value}"]
        arguments += ["--session", session or name, "--json", f"{name}.json"]
        return self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def result(self, name, process):
        """What came of it."""
        _, trouble = process.communicate(timeout=90)
        assert process.returncode == 0, trouble
        return json.loads((self.folder / f"{name}.json").read_text())


@pytest.fixture(params=["kafka", "redis", "rabbitmq"])
async def platform(request, tmp_path):
    """A history process that listens; what the test made on the servers is removed."""
    found = settings("redis", "kafka", "rabbitmq")
    made = Platform(request.param, tmp_path)
    try:
        until(lambda: made.run("control", "status", "--service", "history", "--wait", "0.5")[0] == 0, 60.0, "a history service")
        yield made
    finally:
        made.history.send_signal(signal.SIGTERM)
        made.history.wait(20)
        made.log.close()
        await removed(request.param, found, made.namespace)


async def removed(market, found, namespace):
    """Delete topics, streams, and exchanges with their marks."""
    if market == "kafka":
        from tests.kafka import remove

        await remove(found.kafka.servers, namespace)
    elif market == "redis":
        from openbell.adapters.redis_server import RedisServer

        async with RedisServer.at(found.redis).client() as client:
            async for key in client.scan_iter(f"*{namespace}*", 1000):
                await client.delete(key)
    else:
        from openbell.adapters.buses.base import Topic
        from openbell.adapters.buses.rabbitmq.topology import Topology
        from openbell.services.topics.names import market_topics
        from tests.rabbitmq import connected

        async with connected(found.rabbitmq) as connection:
            channel = await connection.channel(publisher_confirms=False)
            for topic in market_topics(1, 1):
                own = Topic(f"{namespace}.{topic.name}")
                await channel.queue_delete(Topology("openbell").partitions(own).name)
                await channel.exchange_delete(Topology("openbell").exchange(own))


async def test_three_at_a_time_have_the_hashes_of_local_backtests(platform):
    """History from another process, decisions, state and figures as without a bus; each backtest picks up its own session only."""
    processes = {name: platform.backtest(name) for name in JOBS}
    for name, process in processes.items():
        found = platform.result(name, process)
        strategy, data, symbols, params = JOBS[name]
        local = backtest(strategy, list(data), symbols=list(symbols) or None, params=params).to_dict()
        assert found.pop("data") == f"{', '.join(data)} (session {name})"
        assert found["orders"] > 0
        for left_out in ("data", "seconds"):
            local.pop(left_out), found.pop(left_out, None)
        assert found == json.loads(json.dumps(local))


async def test_a_session_is_paused_refused_and_taken_up(platform):
    """Pausing holds a backtest, its id is not given away meanwhile, a wrong symbol is named, and resuming lets it end with its result."""
    assert platform.run("control", "pause", "--service", "history")[0] == 0
    waiting = platform.backtest("ticks")
    until(
        lambda: "1 sessions running" in platform.run("control", "status", "--service", "history", "--wait", "0.5")[1], 60.0, "the session"
    )
    code, _, trouble = platform.run("backtest", "rsi", "--data", "us-daily", "--session", "ticks")
    assert (code, "running already" in trouble) == (2, True)
    code, _, trouble = platform.run("backtest", "rsi", "--data", "us-daily", "--symbols", "APPL", "--session", "other")
    assert (code, "AAPL" in trouble) == (2, True)
    assert waiting.poll() is None
    code, output, _ = platform.run("control", "resume", "--json")
    assert (code, json.loads(output)[0]["state"]) == (0, "running")
    found = await asyncio.to_thread(platform.result, "ticks", waiting)
    strategy, data, _, params = JOBS["ticks"]
    assert found["decision_hash"] == backtest(strategy, list(data), params=params).decision_hash


async def test_a_backtest_waits_for_a_session_that_somebody_else_asks_for(platform):
    """Only the id is agreed upon; a message by hand on the channel begins it."""
    process = platform.start(
        "backtest", "rsi", "--session", "agreed", "--json", "agreed.json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr.readline() == "waiting for the session agreed\n"
    asked = {"type": "data_request", "session": "agreed", "source": "us-daily", "symbols": ["AAPL"], "start": "2010-01-01"}

    def begun():
        """Said again until the reader listens: the first may be over before."""
        asyncio.run(published(settings("redis").redis, f"{platform.namespace}.control", json.dumps(asked)))
        return process.poll() is not None

    await asyncio.to_thread(until, begun, 60.0, "the end of the backtest")
    found = platform.result("agreed", process)
    local = backtest("rsi", "us-daily", symbols=["AAPL"], start="2010-01-01")
    assert (found["decision_hash"], found["state_hash"]) == (local.decision_hash, local.state_hash)


async def published(redis, channel, text):
    """Publish a text as a person would."""
    from openbell.adapters.redis_server import RedisServer

    async with RedisServer.at(redis).client() as client:
        await client.publish(channel, text)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["kafka"], indirect=True)
async def test_a_killed_backtest_does_not_hold_its_session_for_ever(platform):
    """Its service notices the silence, and the id is free again."""
    platform.run("control", "pause", "--service", "history")
    killed = platform.backtest("shares")
    until(
        lambda: "1 sessions running" in platform.run("control", "status", "--service", "history", "--wait", "0.5")[1], 60.0, "the session"
    )
    killed.kill()
    killed.communicate()
    until(lambda: "0 sessions running" in platform.run("control", "status", "--service", "history", "--wait", "0.5")[1], 60.0, "its end")
    platform.run("control", "resume", "--service", "history")
    found = await asyncio.to_thread(lambda: platform.result("shares", platform.backtest("shares")))
    assert found["orders"] > 0
