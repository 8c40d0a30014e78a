"""Analytics over HTTP: what moves, one symbol, what moves together, what is out of the ordinary."""

import numpy as np
import pytest

from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.time import SECOND
from tests.asgi import desk

START = 1_700_006_400 * SECOND


@pytest.fixture
async def gateway(tmp_path):
    """A platform where nobody signs in, after ten minutes of two symbols that move against each other."""
    async with desk(tmp_path, None) as made:
        yield made


def bring(gateway):
    """Five-second trades of both symbols, and a jump of the first one."""
    random = np.random.default_rng(1)
    steps = np.cumsum(random.normal(0.0, 1e-3, 600))
    events = np.zeros(1201, EVENT)
    trade = events["trade"]
    trade["kind"], trade["quantity"] = enums.TRADE, 100_000
    trade["instrument"][:1200] = np.arange(1200) % 2
    trade["price"][:1200] = 100.0 * np.exp(np.repeat(steps, 2) * np.where(np.arange(1200) % 2, -1.0, 1.0))
    events["ts_event"][:1200] = START + np.repeat(np.arange(600), 2) * 5 * SECOND
    trade["price"][1200], events["ts_event"][1200] = 200.0, START + 3_000 * SECOND
    for instrument in range(2):
        gateway.tapes.open(gateway.tapes.symbols[instrument])
    gateway.tapes.board.take(events)


async def test_what_is_asked_is_answered(gateway):
    """Each question, with its parameters; times are ms."""
    bring(gateway)
    client = gateway.client()
    now = (START + 3_000 * SECOND) // 1_000_000
    movers = (await client.get("/analytics/movers?window=15m&by=trades&limit=1")).json()
    assert [one["symbol"] for one in movers["gainers"]] == ["BTCUSDT"]
    assert (movers["window"], movers["by"], movers["ts"], len(movers["most_active"])) == ("15m", "trades", now, 1)
    symbol = (await client.get("/analytics/BTCUSDT?timeframe=1s")).json()
    assert (symbol["now"]["ts"], symbol["now"]["price"], symbol["sma_20"]) == (now, 200.0, None)
    assert list(symbol["now"]["windows"]) == ["1m", "5m", "15m", "1h", "1d"]
    assert symbol["now"]["windows"]["15m"]["volatility"] > 0.0
    assert [one["kind"] for one in symbol["now"]["anomalies"]] == ["price_jump"]
    found = (await client.get("/analytics/correlations?symbols=BTCUSDT,ETHUSDT&window=5m")).json()
    assert found["pairs"][0]["correlation"] == pytest.approx(-1.0)
    assert (await client.get("/analytics/correlations?window=5m")).json()["pairs"] == found["pairs"]
    [anomaly] = (await client.get("/analytics/anomalies")).json()["anomalies"]
    assert (anomaly["symbol"], anomaly["unit"], anomaly["ts"]) == ("BTCUSDT", "percent", now)
    assert anomaly["value"] > anomaly["threshold"]


async def test_before_anything_is_known(gateway):
    """Empty lists and nulls, no errors."""
    client = gateway.client()
    movers = (await client.get("/analytics/movers")).json()
    assert movers == {"window": "5m", "by": "notional", "ts": 0, "gainers": [], "losers": [], "most_active": []}
    assert (await client.get("/analytics/ETHUSDT?timeframe=1s")).json()["now"] is None
    assert (await client.get("/analytics/correlations")).json()["pairs"] == []
    pairs = (await client.get("/analytics/correlations?symbols=BTCUSDT,ETHUSDT")).json()["pairs"]
    assert pairs == [{"symbols": ["BTCUSDT", "ETHUSDT"], "correlation": None, "returns": 0}]
    assert (await client.get("/analytics/anomalies")).json() == {"ts": 0, "anomalies": []}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/analytics/movers?window=2m", 422),
        ("/analytics/movers?by=luck", 422),
        ("/analytics/movers?limit=0", 422),
        ("/analytics/correlations?window=1m", 422),
        ("/analytics/correlations?symbols=BTCUSDT", 422),
        ("/analytics/correlations?symbols=BTCUSDT,NOPE", 404),
        ("/analytics/anomalies?limit=101", 422),
        ("/analytics/NOPE", 404),
        ("/analytics/BTCUSDT?timeframe=7m", 404),
        ("/analytics/BTCUSDT?timeframe=long", 422),
    ],
)
async def test_what_makes_no_sense(gateway, path, status):
    """Problem details that say what was expected."""
    answer = await gateway.client().get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
