"""`openbell alerts`: what it writes, what it prints, and what it refuses."""

import contextlib
import json

import pytest

from openbell.adapters.stores.alerts import AlertStore, Change, Firing
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress
from openbell.cli import run


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


def test_alerts_are_added_listed_and_removed(call, tmp_path):
    """In lines for people; a second removal finds nothing, and says so."""
    assert call("list")[:2] == (0, "no alerts\n")
    assert call("add", "BTCUSDT", "above", "70000")[:2] == (0, "alert 1: BTCUSDT above 70,000\n")
    assert call("add", "ETHUSDT", "crosses", "2500.25")[:2] == (0, "alert 2: ETHUSDT crosses 2,500.25\n")
    with contextlib.closing(open_database(tmp_path / "platform.db")) as database:
        firing = Firing(1, 1, 1, 1_700_000_000_250_000_000, 70_000.5, 70_000.5)
        AlertStore(database).record([firing], [Change(1, 1, "triggered", 0, 1, firing)], Progress("alerts t").advance(1, state=b"{}"))
    assert call("list")[1].splitlines() == [
        "id  symbol   condition    target  status     triggered at              by the price",
        " 1  BTCUSDT  above        70,000  triggered  2023-11-14T22:13:20.250Z      70,000.5",
        " 2  ETHUSDT  crosses    2,500.25  active",
    ]
    assert call("list", "--symbol", "ETHUSDT", "--status", "triggered")[1] == "no alerts\n"
    assert call("remove", "2")[:2] == (0, "alert 2 is removed\n")
    assert call("remove", "2") == (2, "", "openbell: there is no alert 2. See `openbell alerts list`.\n")
    assert "ETHUSDT" not in call("list")[1]


def test_json_for_programs(call):
    """The fields are those that the gateway shows."""
    made = json.loads(call("add", "BTCUSDT", "below", "50000", "--json")[1])
    assert made.pop("ts_created") > 1_600_000_000_000
    assert made == {
        "id": "1", "symbol": "BTCUSDT", "condition": "below", "target_price": 50_000.0, "status": "active", "ts_triggered": None,
        "triggered_price": None,
    }  # fmt: skip
    assert [found["id"] for found in json.loads(call("list", "--json")[1])] == ["1"]
    assert json.loads(call("remove", "1", "--json")[1]) == {"id": "1", "status": "canceled"}
    assert json.loads(call("list", "--json")[1]) == []


def test_it_says_why_an_alert_may_wait_for_ever(call, monkeypatch):
    """A symbol that is not listed, or a platform without the service: a note on stderr, and the alert is there."""
    code, _, noted = call("add", "BTCUSD", "above", "70000")
    assert code == 0
    assert "the configured feed lists BTCUSDT, ETHUSDT; an alert of BTCUSD waits until it is listed" in noted
    assert "openbell serve alerts" in noted
    monkeypatch.setenv("OPENBELL_BUS__MARKET", "kafka")
    assert call("add", "BTCUSDT", "above", "70000")[2] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("BTCUSDT", "over", "70000"), "above"), (("BTCUSDT", "above", "-1"), "finite price above 0"),
        (("BTCUSDT", "above", "nan"), "finite price above 0"), (("BTCUSDT", "above", "much"), "much"), (("", "above", "1"), "a symbol"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call, arguments, said):
    """With exit code 2, and nothing is written."""
    code, printed, error = call("add", *arguments)
    assert (code, printed) == (2, "")
    assert said in error
    assert call("list")[1] == "no alerts\n"
