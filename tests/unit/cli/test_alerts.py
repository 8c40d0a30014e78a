"""`openbell alerts`: what it writes, what it prints, and what it refuses."""

import contextlib
import json

import pytest

from openbell.adapters.stores.alerts import AlertStore, Change, Firing
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress
from openbell.cli import run

TS = 1_700_000_000_250_000_000


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    """Run a command over a database of its own; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "platform.db"))
    monkeypatch.setenv("OPENBELL_DATABASE__ENGINE", "sqlite")
    monkeypatch.setenv("OPENBELL_FEED__SOURCE", "recorded")

    def called(*arguments):
        code = run(["alerts", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return called


def record(folder, alert, number, status, value, price):
    """What the alerts service does when an alert came."""
    with contextlib.closing(open_database(folder / "platform.db")) as database:
        firing = Firing(alert, number, alert, TS + number, value, price)
        change = Change(alert, alert, status, 1, number, firing)
        AlertStore(database).record([firing], [change], Progress(f"alerts {alert}", 0, number - 1).advance(number, state=b"{}"))


def test_alerts_are_added_listed_and_removed(call, tmp_path):
    """In lines for people; a second removal finds nothing, and says so."""
    assert call("list")[:2] == (0, "no alerts\n")
    assert call("add", "BTCUSDT", "above", "70000")[:2] == (0, "alert 1: BTCUSDT is at or above 70,000\n")
    assert call("add", "ETHUSDT", "crosses", "2500.25")[:2] == (0, "alert 2: ETHUSDT crosses 2,500.25\n")
    record(tmp_path, 1, 1, "triggered", 70_000.5, 70_000.5)
    assert call("list")[1].splitlines() == [
        "id  alert                          status     came  last at                       with  at the price",
        " 1  BTCUSDT is at or above 70,000  triggered     1  2023-11-14T22:13:20.250Z  70,000.5      70,000.5",
        " 2  ETHUSDT crosses 2,500.25       active",
    ]
    assert call("list", "--symbol", "ETHUSDT", "--status", "triggered")[1] == "no alerts\n"
    assert call("remove", "2")[:2] == (0, "alert 2 is removed\n")
    assert call("remove", "2") == (2, "", "openbell: there is no alert 2. See `openbell alerts list`.\n")
    assert "ETHUSDT" not in call("list")[1]


def test_an_alert_that_comes_every_time(call, tmp_path):
    """Each time is listed; it is paused and resumed."""
    said = call("add", "BTCUSDT", "below", "30", "--of", "rsi 5m", "--every", "--cooldown", "10m", "--hysteresis", "5", "--note", "buy")
    assert said[:2] == (0, "alert 1: BTCUSDT rsi(14) 5m is at or below 30\n")
    assert call("events")[1] == "no alert came\n"
    record(tmp_path, 1, 1, "active", 29.5, 60_000.0)
    record(tmp_path, 1, 2, "active", 28.25, 59_000.0)
    assert call("events")[1].splitlines() == [
        "seq  id  alert                                 number  at                         with  at the price  note",
        "  1   1  BTCUSDT rsi(14) 5m is at or below 30       1  2023-11-14T22:13:20.250Z   29.5        60,000  buy",
        "  2   1  BTCUSDT rsi(14) 5m is at or below 30       2  2023-11-14T22:13:20.250Z  28.25        59,000  buy",
    ]
    [second] = json.loads(call("events", "--since", "1", "--alert", "1", "--json")[1])
    assert (second["seq"], second["alert"]["number"], second["alert"]["triggered_value"]) == (2, 2, 28.25)
    assert call("pause", "1")[:2] == (0, "alert 1 is paused: BTCUSDT rsi(14) 5m is at or below 30\n")
    assert json.loads(call("resume", "1", "--json")[1])["status"] == "active"
    assert call("pause", "9")[0] == 2


def test_json_for_programs(call):
    """The fields are those that the gateway shows."""
    made = json.loads(call("add", "BTCUSDT", "below", "50000", "--json")[1])
    assert made.pop("ts_created") > 1_600_000_000_000
    assert made == {
        "id": "1", "owner": 0, "symbol": "BTCUSDT", "condition": "below", "target_price": 50_000.0, "spec": None, "mode": "once",
        "cooldown_s": 0.0, "hysteresis": 0.0, "ts_expires": None, "schedule": None, "note": "", "status": "active", "number": 0,
        "ts_triggered": None, "triggered_price": None, "triggered_value": None,
    }  # fmt: skip
    assert [found["id"] for found in json.loads(call("list", "--json")[1])] == ["1"]
    assert json.loads(call("remove", "1", "--json")[1]) == {"id": "1", "status": "canceled"}
    assert json.loads(call("list", "--json")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("BTCUSDT", "above", "5", "--of", "move 10m"), "BTCUSDT move 10m is at or above 5 %"),
        (("BTCUSDT", "above", "100", "--of", "volume 1h"), "BTCUSDT volume 1h is at or above 100"),
        (("BTCUSDT", "above", "100", "--of", "volume of 5m"), "BTCUSDT volume of 5m is at or above 100"),
        (("BTCUSDT", "crosses_above", "0", "--against", "sma(200) 1d"), "BTCUSDT price crosses above sma(200) 1d"),
        (("BTCUSDT", "below", "-5", "--against", "sma(200) 1d"), "BTCUSDT price is at or below 5 % below sma(200) 1d"),
        (("BTCUSDT", "crosses", "0", "--of", "macd(12, 26, 9).macd 1h", "--against", "macd.signal 1h"),
         "BTCUSDT macd(12, 26, 9).macd 1h crosses macd(12, 26, 9).signal 1h"),
        (("BTCUSDT", "above", "2.5", "--of", "position of sma, rsi"), "BTCUSDT position of sma, rsi is at or above 2.5"),
        (("accounts", "above", "5", "--of", "drawdown"), "drawdown is at or above 5 %"),
    ],
)  # fmt: skip
def test_what_may_be_watched(call, arguments, sentence):
    """Each in the words in which it was asked for."""
    code, printed, error = call("add", *arguments)
    assert (code, printed) == (0, f"alert 1: {sentence}\n"), error


def test_times_and_hours(call):
    """Until a time, and in the hours of a session or of its own."""
    made = json.loads(call("add", "BTCUSDT", "above", "70000", "--expires", "2026-01-31T16:00", "--session", "us", "--json")[1])
    assert (made["ts_expires"], made["schedule"]) == (1_769_875_200_000, {"session": "us"})
    made = json.loads(
        call("add", "BTCUSDT", "above", "7", "--expires", "2026-01-31T16:00+01:00", "--hours", "22:00-06:00 Asia/Tokyo fri", "--json")[1]
    )
    assert made["ts_expires"] == 1_769_871_600_000
    assert made["schedule"] == {"zone": "Asia/Tokyo", "days": ["fri"], "start": "22:00", "end": "06:00"}


def test_it_says_why_an_alert_may_wait_for_ever(call):
    """A symbol that is not listed: a note on stderr, and the alert is there."""
    code, _, noted = call("add", "BTCUSD", "above", "70000")
    assert code == 0
    assert "the configured feed lists BTCUSDT, ETHUSDT; an alert of BTCUSD waits until it is listed" in noted
    assert call("add", "BTCUSDT", "above", "70000")[2] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("BTCUSDT", "over", "70000"), "above"), (("BTCUSDT", "above", "-1"), "finite price above 0"),
        (("BTCUSDT", "above", "nan"), "finite price above 0"), (("BTCUSDT", "above", "much"), "much"), (("", "above", "1"), "a symbol"),
        (("BTCUSDT", "above", "1", "--of", "rsy 5m"), "Did you mean"), (("BTCUSDT", "above", "1", "--of", "rsi"), "timeframe"),
        (("BTCUSDT", "above", "1", "--of", "rsi(a) 5m"), "numbers"), (("BTCUSDT", "above", "1", "--of", "rsi(1, 2) 5m"), "at most 1"),
        (("BTCUSDT", "above", "1", "--of", "???"), "such as rsi(14) 5m"), (("BTCUSDT", "above", "1", "--of", "move"), "timeframe"),
        (("BTCUSDT", "above", "1", "--of", "drawdown"), "accounts"), (("BTCUSDT", "above", "1", "--note", "\x07"), "printable"),
        (("BTCUSDT", "above", "1", "--cooldown", "5m"), "--every"), (("BTCUSDT", "above", "1", "--every", "--cooldown", "x"), "timeframe"),
        (("BTCUSDT", "above", "1", "--expires", "soon"), "such as 2026"), (("BTCUSDT", "above", "1", "--session", "moon"), "session"),
        (("BTCUSDT", "above", "1", "--hours", "9 to 5"), "from-to"),
        (("BTCUSDT", "above", "1", "--hours", "09:00-17:00 Europe/Berlim"), "a name"),
        (("BTCUSDT", "above", "1", "--hours", "09:00-17:00", "--session", "us"), "one of them"),
        (("BTCUSDT", "above", "1", "--of", "position", "--against", "sma(5) 1m"), "perhaps accounts"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call, arguments, said):
    """With exit code 2, and nothing is written."""
    code, printed, error = call("add", *arguments)
    assert (code, printed) == (2, "")
    assert said in error
    assert call("list")[1] == "no alerts\n"
