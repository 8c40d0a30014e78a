"""`openbell runs`, `replay` and `explain`: what they print, as text and as JSON, and how they end."""

import json

import numpy as np
import pytest

from openbell.adapters.stores.journal import SqliteJournal
from openbell.cli.replay import explain, journal_path, replay, runs
from openbell.errors import ReplayDifferenceError, StorageError, UnknownNameError
from openbell.model import enums
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, ticks


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A journal with one ended run; its path, and the id of one of its orders."""
    path = tmp_path_factory.mktemp("cli") / "journal.db"
    with SqliteJournal(path) as journal:
        trader = Trader.open(journal, "demo", PLAN, created_ns=1_723_161_240_000_000_000)
        commands = trader.feed(ticks(2000))
        trader.close()
    return path, int(commands["order_id"][commands["kind"] == enums.SUBMIT][2])


def test_runs_lists_what_there_is(written, capsys):
    """One line a run; the same as JSON."""
    assert runs(journal=written[0]) == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[:4] == ["demo", "2024-08-08T23:54:00.000Z", "ended", "2,000"]
    runs(journal=written[0], json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["events"], row["recoveries"], row["strategies"]) == ("demo", 2000, 0, ["crossover", "careful"])


def test_replay_agrees(written, capsys):
    """The last run by default."""
    assert replay(journal=written[0]) == 0
    assert "identical" in capsys.readouterr().out
    assert replay("demo", journal=written[0], json=True) == 0
    assert json.loads(capsys.readouterr().out)["difference"] is None


def test_replay_of_another_decision_fails(written, tmp_path, capsys):
    """With the exit code of a difference; as JSON the difference is in what is printed."""
    path = tmp_path / "journal.db"
    with SqliteJournal(written[0], writable=False) as journal:
        (batch,) = journal.batches("demo")
    changed = batch.commands.copy()
    changed["amount"][np.flatnonzero(changed["kind"] == enums.FILL)[0]] += 1
    with SqliteJournal(path) as journal:
        journal.create_run("demo", PLAN.to_dict(), "source", 1)
        journal.append("demo", batch.events, b"", changed)
    with pytest.raises(ReplayDifferenceError, match="fill of event"):
        replay(journal=path)
    assert ReplayDifferenceError.exit_code == replay(journal=path, json=True) == 7
    assert json.loads(capsys.readouterr().out)["difference"]["fields"][0][0] == "amount"


def test_explain_shows_an_order(written, capsys):
    """By its number, or by its id at the broker."""
    path, order = written
    assert explain(str(order), journal=path) == 0
    text = capsys.readouterr().out
    assert "risk checks" in text
    assert "short_average=" in text
    explain(f"demo-{order}", journal=path, json=True)
    assert json.loads(capsys.readouterr().out)["client_order_id"] == f"demo-{order}"


def test_errors_are_ours(written, tmp_path):
    """Unknown runs and orders, and a journal that is not there."""
    with pytest.raises(UnknownNameError, match="'demo'"):
        replay("dem", journal=written[0])
    with pytest.raises(UnknownNameError, match="no order 1"):
        explain("1", journal=written[0])
    with pytest.raises(StorageError, match="there is no"):
        runs(journal=tmp_path / "nothing.db")
    assert not list(tmp_path.iterdir())


def test_the_journal_is_where_the_settings_say(tmp_path, monkeypatch):
    """In the data folder, unless it is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBELL_TRADING__DATA_DIR", "elsewhere")
    assert journal_path().as_posix() == "elsewhere/journal.db"
    assert journal_path(tmp_path) == tmp_path
