"""`openbell verify`: how it shows what it found, and where it cannot work."""

import pytest

from openbell import errors
from openbell.cli.verify import table
from openbell.services.processes.fleet import free_port
from openbell.services.verify.journey import Report, Stop
from tests.running import openbell


def test_the_table_is_aligned():
    """One line a stop, times to the right; the sentences below."""
    stops = [
        Stop("Kafka (read)", state="ok", where="stock-prices, partition 2, offset 1,315", ms=7.3),
        Stop("Redis", "processor", "Kafka (read)", "ok", "price:AAPL, position 1,315", 1_110.3),
        Stop("WebSocket", "gateway", "Redis", "lost"),
    ]
    assert table(Report("AAPL", False, 10.3, stops, ["Lost between Redis and WebSocket: nobody listens."])) == [
        "stop          where                                         ms",
        "Kafka (read)  stock-prices, partition 2, offset 1,315      7.3  ok",
        "Redis         price:AAPL, position 1,315               1,110.3  ok",
        "WebSocket                                                       lost",
        "",
        "Lost between Redis and WebSocket: nobody listens.",
    ]


@pytest.mark.parametrize(
    ("arguments", "environment", "error", "words"),
    [
        (["--timeout", "0"], {}, errors.UsageError, "--timeout is 0"),
        (["--timeout", "1e9"], {}, errors.UsageError, "at most 600"),
        (["--url", "http://me:pw-7@127.0.0.1"], {}, errors.UsageError, "host and port only"),
        ([], {"OPENBELL_BUS__MARKET": "kafka"}, errors.ConfigError, "bus.orders is inprocess"),
        (["--symbol", "APL", "--config", "aapl.yaml"], {"OPENBELL_BUS__MARKET": "kafka"}, errors.UnknownNameError, "did you mean 'AAPL'"),
        ([], {"OPENBELL_BUS__MARKET": "kafka", "OPENBELL_FEED__SOURCE": "simulated"}, errors.ConfigError, "no strategy has symbols"),
    ],
)
def test_what_cannot_work_is_said(arguments, environment, error, words, tmp_path):
    """One sentence and the exit code of its kind, before anything is connected to."""
    (tmp_path / "aapl.yaml").write_text("trading: {strategies: [{id: rsi, symbols: [AAPL]}]}")
    environment = environment | ({"OPENBELL_FEED__SOURCE": "recorded"} if words.startswith("bus.") else {})
    done = openbell("verify", *arguments, folder=tmp_path, **environment)
    assert "Traceback" not in done.stderr
    assert "pw-7" not in done.stderr
    assert (done.returncode, words.lower() in done.stderr.lower()) == (error.exit_code, True), done.stderr


def test_no_platform_runs(tmp_path):
    """A table that ends at the gateway, and what starts one."""
    done = openbell("verify", "--url", f"http://127.0.0.1:{free_port()}", folder=tmp_path)
    assert done.returncode == 1
    assert "bus.market is inprocess" in done.stdout
    assert "not reached" in done.stdout
    assert "Lost before gateway: nobody listens" in done.stdout
