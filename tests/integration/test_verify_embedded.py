"""`openbell verify` beside a platform in one process: it watches the next tick through the gateway."""

import json

import pytest

from tests.running import openbell, running, until

pytestmark = pytest.mark.integration


def verify(demo, folder, *arguments):
    """(Exit code, report) of the command."""
    done = openbell("verify", "--url", demo.url, "--json", *arguments, folder=folder)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_prices_flow(tmp_path):
    """A new price on the stream, the same or a newer one at /price, its candle, and the equity; the first symbol by default."""
    with running(tmp_path, "--feed", "simulated", "--speed", "20") as demo:
        until(lambda: demo.get("/portfolio")["ts"], 60, "a price")
        code, report = verify(demo, tmp_path)
        assert (code, report["arrived"]) == (0, True), report
        assert [stop["name"] for stop in report["stops"]] == ["gateway", "WebSocket: price", "/price", "/candles", "WebSocket: equity"]
        assert report["verdict"][0].startswith(f"The next tick of {report['symbol']} arrived everywhere in ")
        code, report = verify(demo, tmp_path, "--symbol", "ETHUSDT")
        assert (code, report["symbol"]) == (0, "ETHUSDT")
        code, report = verify(demo, tmp_path, "--symbol", "NOPE")
        assert code == 1
        assert "lists no 'NOPE'" in report["verdict"][0]


def test_a_market_where_nothing_comes(tmp_path):
    """A recording that has ended has no next tick: that is said with what the feed says of itself, in the time that was given."""
    with running(tmp_path, "--speed", "max") as demo:
        until(lambda: any(view["state"] == "done" for view in demo.get("/services")["services"]), 60, "the end of the recording")
        code, report = verify(demo, tmp_path, "--timeout", "0.5")
    assert code == 1
    assert [stop["state"] for stop in report["stops"]] == ["ok", "lost", "not reached", "not reached", "not reached"]
    assert "no new price of BTCUSDT within 0.5 s. The feed is done" in report["verdict"][0]
