"""`openbell database`: what it prints, and what it changes."""

import sqlite3
from contextlib import closing

import pytest

from openbell.adapters.stores.revisions import NEWEST
from openbell.cli.database import database
from openbell.errors import StorageError
from tests.unit.adapters.test_revisions import before_revisions


def test_a_file_is_shown_and_upgraded(tmp_path, capsys):
    """`current` changes nothing; `upgrade` may be said twice."""
    path = tmp_path / "candles.db"
    before_revisions(path)
    assert database("current", file=path) == 0
    assert capsys.readouterr().out == f"{path}: revision 0001; the newest is {NEWEST}: openbell database upgrade\n"
    for known in ("was 0001", "as before"):
        assert database("upgrade", file=path) == 0
        assert known in capsys.readouterr().out
    assert database("current", file=path) == 0
    assert capsys.readouterr().out == f"{path}: revision {NEWEST}, the newest\n"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM candles").fetchone() == (2,)


def test_a_file_is_made(tmp_path, capsys, monkeypatch):
    """The one of the settings, by `upgrade`; `current` says that there is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_PATH", "deep/candles.db")
    monkeypatch.delenv("OPENBELL_DATABASE__ENGINE", raising=False)
    with pytest.raises(StorageError, match=r"there is no file deep/candles.db"):
        database("current")
    assert database("upgrade") == 0
    assert capsys.readouterr().out == f"deep/candles.db: revision {NEWEST} (was empty)\n"
