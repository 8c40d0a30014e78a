"""`openbell analytics` and the client against a platform that runs."""

import json

import pytest

import openbell
from openbell.errors import UsageError
from tests.running import openbell as command
from tests.running import running, until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """A simulated market, sixty times as fast as a real one, where something has traded for some minutes."""
    folder = tmp_path_factory.mktemp("analytics")
    with running(folder, "--feed", "simulated", "--speed", "60", SQLITE_PATH="platform.db") as started:
        started.folder = folder
        until(lambda: started.get("/analytics/movers?window=1h")["most_active"], 60.0, "movers")
        until(lambda: started.get("/analytics/correlations?window=5m")["pairs"], 60.0, "five minutes of the market")
        yield started


def ask(platform, *arguments):
    """What a command prints."""
    done = command("analytics", *arguments, folder=platform.folder, OPENBELL_API_URL=platform.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tables_for_people(platform):
    """Everything that can be asked, in columns with names."""
    movers = ask(platform, "movers", "--window", "1h", "--by", "trades", "--limit", "1")
    assert "most active by trades, 1h" in movers
    assert "symbol" in movers
    shown = ask(platform, "show", "BTCUSDT")
    assert shown.startswith("BTCUSDT ")
    assert [line.split()[0] for line in shown.splitlines()[1:8]] == ["window", "1m", "5m", "15m", "1h", "1d", "session"]
    assert "BTCUSDT" in ask(platform, "correlations", "--window", "5m")
    assert ask(platform, "anomalies").strip()


def test_json_for_programs(platform):
    """The records of the gateway."""
    assert set(json.loads(ask(platform, "movers", "--json"))) == {"window", "by", "ts", "gainers", "losers", "most_active"}
    found = json.loads(ask(platform, "show", "ETHUSDT", "--json"))
    assert found["now"]["windows"]["1m"]["periods_per_year"] == 31_536_000
    assert json.loads(ask(platform, "correlations", "BTCUSDT", "ETHUSDT", "--json"))["window"] == "1h"
    assert isinstance(json.loads(ask(platform, "anomalies", "--json")), list)


def test_what_cannot_be_asked(platform):
    """One line that says why, and another exit code."""
    done = command("analytics", "correlations", "BTCUSDT", folder=platform.folder, OPENBELL_API_URL=platform.url)
    assert (done.returncode, done.stdout) != (0, "")
    assert "2 to 50" in done.stderr
    assert "Traceback" not in done.stderr
    away = command("analytics", "movers", "--url", "http://127.0.0.1:9", folder=platform.folder)
    assert away.returncode != 0
    assert "Traceback" not in away.stderr


def test_programs(platform):
    """The client asks the same."""
    with openbell.Client(platform.url) as client:
        assert {mover.symbol for mover in client.movers("1h", by="volume").most_active} == {"BTCUSDT", "ETHUSDT"}
        [pair] = client.correlations(["BTCUSDT", "ETHUSDT"], "5m").pairs
        assert pair.correlation is not None
        assert all(anomaly.unit for anomaly in client.anomalies(5))
        with pytest.raises(UsageError):
            client.movers("7m")
        with pytest.raises(UsageError):
            client.correlations(["BTCUSDT"])
