"""Analytics in processes of their own, over real servers: what a gateway answers is what one board of all ticks says."""

import asyncio
import json
import os
import urllib.error
import urllib.request

import pytest

from openbell.adapters.stores.candles import open_candles
from openbell.analytics.board import Board
from openbell.cli.demo_processes import is_published, write_config
from openbell.config import load_settings
from openbell.services.analytics.answers import Answers
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.source import Local
from openbell.services.analytics.tapes import Tapes
from openbell.services.ingest.markets import shipped_session
from openbell.services.processes.fleet import Fleet, free_port
from openbell.services.processes.process import database_place
from openbell.services.topics.names import TICKS
from tests.running import until
from tests.servers import environment, fresh_database
from tests.simulation.platform import PARTITIONS

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

CALENDAR = Calendar.of("continuous")


@pytest.fixture(scope="module")
def recording():
    """(Listings, a board of all ticks of the recorded session)."""
    source, listings = shipped_session()
    board = Board([item.lot_size for item in listings], [item.price_increment for item in listings], CALENDAR.sessions)
    for instrument in range(len(listings)):
        board.open(instrument)
    for chunk in source.chunks(0):
        board.take(chunk)
    return listings, board


@pytest.fixture
def client(own_name):
    """The environment of a client with names and a database of its own."""
    with fresh_database() as settings:
        yield {
            **os.environ, **environment(), "DB_NAME": settings.database.name, "OPENBELL_BUS__NAMESPACE": own_name.strip("-"),
            "OPENBELL_LOGGING__FORMAT": "json",
        }  # fmt: skip


def get(port, path):
    """What a gateway answers, or the status."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code


def test_two_share_the_market_and_one_is_killed(client, recording, tmp_path):
    """In the middle: the other takes over, and in the end every number is that of a board that has seen each tick once."""
    listings, board = recording
    symbols = [item.symbol for item in listings]
    local = Local(symbols, lambda: (*board.readings(board.now), board.now), lambda window: (*board.closes(window, board.now), board.now))
    answers = Answers(local, CALENDAR)
    all_expected = {symbol: asyncio.run(answers.of(symbol)) for symbol in symbols}
    expected = all_expected["BTCUSDT"]
    config, port = write_config(tmp_path, "60"), free_port()
    with Fleet(config, tmp_path, client) as fleet:
        for name in ("portfolio", "analytics"):
            fleet.start(name)
        fleet.start("analytics", name="analytics-2")
        fleet.wait_healthy("portfolio", "analytics", "analytics-2")
        fleet.start("gateway", "--port", str(port))
        fleet.wait_healthy("gateway")
        assert get(port, "/analytics/movers") == 503
        assert get(port, "/analytics/BTCUSDT?timeframe=1m")["now"] is None
        fleet.start("ingest")
        until(
            lambda: any(fleet.health(name).progress["analytics"]["ticks"] > 1_000 for name in ("analytics", "analytics-2")),
            60.0,
            "some ticks",
        )
        found = until(lambda: (answer := get(port, "/analytics/movers?window=1m")) != 503 and answer, 30.0, "an answer")
        assert found["most_active"][0]["symbol"] in symbols
        fleet.kill("analytics-2")
        fleet.stop("ingest")
        write_config(tmp_path, "max")
        fleet.start("ingest")
        fleet.wait("ingest", is_published, "at the end", 120.0)
        for symbol, wanted in all_expected.items():  # each may be in a partition that has yet to be taken over

            def trades(symbol=symbol):
                return ((get(port, f"/analytics/{symbol}?timeframe=1m")["now"] or {}).get("session") or {}).get("trades")

            until(lambda wanted=wanted, trades=trades: trades() == wanted.session.trades, 90.0, f"the last tick of {symbol}")
        shown = get(port, "/analytics/BTCUSDT?timeframe=1m")["now"]
        assert shown["windows"]["1h"] == json.loads(json.dumps(asdict(expected.windows["1h"])))
        assert shown["session"] == asdict(expected.session)
        assert get(port, "/analytics/anomalies")["anomalies"] is not None
        pairs = get(port, "/analytics/correlations?window=5m&symbols=BTCUSDT,ETHUSDT")["pairs"]
        assert [pair["symbols"] for pair in pairs] == [["BTCUSDT", "ETHUSDT"]]
        fleet.stop("analytics")
        settings = load_settings(config, {"trading.data_dir": str(tmp_path)}, client, tmp_path)
    store = open_candles(database_place(settings))
    try:
        for partition in range(PARTITIONS):
            kept = store.progress(f"analytics {settings.bus.namespace}.{TICKS}", partition)
            if kept.state:
                tapes = Tapes(listings, CALENDAR)
                tapes.restore(kept.state)
                for symbol in tapes.places:
                    instrument = symbols.index(symbol)
                    assert tapes.board.kept(instrument) == board.kept(instrument), symbol
                    symbols[instrument] = ""
    finally:
        store.close()
    assert set(symbols) == {""}


@pytest.mark.parametrize("market", ["redis", "rabbitmq"])
def test_other_buses(client, recording, tmp_path, market):
    """Whichever carries the market: the same answers in the end, and after an orderly end it goes on from what was stored."""
    listings, board = recording
    symbols = [item.symbol for item in listings]
    local = Local(symbols, lambda: (*board.readings(board.now), board.now), lambda window: (*board.closes(window, board.now), board.now))
    expected = asyncio.run(Answers(local, CALENDAR).of("BTCUSDT"))
    config, port = write_config(tmp_path, "max"), free_port()
    with Fleet(config, tmp_path, {**client, "OPENBELL_BUS__MARKET": market}) as fleet:
        for name in ("portfolio", "analytics"):
            fleet.start(name)
        fleet.wait_healthy("portfolio", "analytics")
        fleet.start("gateway", "--port", str(port))
        fleet.wait_healthy("gateway")
        fleet.start("ingest")

        def is_there():
            answer = get(port, "/analytics/BTCUSDT?timeframe=1m")["now"]
            return answer and answer["session"]["trades"] == expected.session.trades and answer

        shown = until(is_there, 90.0, "the last tick")
        assert shown["session"] == asdict(expected.session)
        fleet.stop("analytics")
        fleet.start("analytics")
        fleet.wait("analytics", lambda health: health.progress["analytics"]["looks"] > 1, "at work", 60.0)
        assert is_there()["windows"]["1h"] == asdict(expected.windows["1h"])


def asdict(record):
    """A record as JSON has it."""
    import msgspec

    return msgspec.to_builtins(record)
