"""The revisions of the tables, in SQLite: made, taken over, upgraded, refused."""

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.database import Address, open_database, revision_of
from openbell.adapters.stores.revisions import MIGRATIONS, NEWEST, REVISIONS, upgrade
from openbell.adapters.stores.sqlite_database import APPLICATION_ID, SqliteDatabase
from openbell.errors import ConfigError, JournalError, StorageError

#: What was written before there were revisions.
BEFORE_REVISIONS = f"""
CREATE TABLE candles (
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    ts INTEGER NOT NULL,      -- start, ms since 1970 UTC
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,     -- units
    vwap REAL,
    trades INTEGER NOT NULL,
    PRIMARY KEY (symbol, timeframe, ts)
) WITHOUT ROWID;
CREATE TABLE progress (
    run TEXT PRIMARY KEY,
    commands INTEGER NOT NULL -- of the run, all of whose candles are in the table
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
INSERT INTO candles VALUES ('A', '1m', 60000, 1.0, 2.0, 0.5, 1.5, 10.0, NULL, 3), ('B', '1s', 1000, 1.0, 2.0, 0.5, 1.5, 10.0, 1.2, 4);
INSERT INTO progress VALUES ('demo-1', 42), ('demo-2', 7);
"""


def before_revisions(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE_REVISIONS)


def tables(path):
    """Every table and index, without the blanks and with one way of writing."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    return {name: re.sub(r"\s*([(),])\s*", r"\1", " ".join(sql.split())).replace('"', "") for name, sql in found}


def test_the_list_of_revisions_is_that_of_the_folder():
    """Whether a database is at the newest is known without alembic, so the list is kept twice."""
    folder = ScriptDirectory.from_config(_settings())
    assert [script.revision for script in folder.walk_revisions()][::-1] == list(REVISIONS)


def _settings():
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    return settings


def test_a_new_file_is_what_the_revisions_give(tmp_path):
    """`newest.sql` holds the same tables; when it does not, the file beside it in the message does."""
    by_revisions, fresh = tmp_path / "revisions.db", tmp_path / "fresh.db"
    upgrade("sqlite", lambda: sqlite3.connect(by_revisions, isolation_level=None), lambda _: None)
    SqliteDatabase(fresh).close()
    if tables(fresh) != tables(by_revisions):
        with closing(sqlite3.connect(by_revisions)) as connection:
            statements = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")]
        found = [re.sub(r"^CREATE (TABLE|INDEX) ", r"CREATE \1 IF NOT EXISTS ", sql.strip()) + ";" for sql in statements]
        (tmp_path / "newest.sql").write_text("\n".join([*found, f"INSERT OR IGNORE INTO alembic_version VALUES ('{NEWEST}');"]))
    assert tables(fresh) == tables(by_revisions), f"see {tmp_path / 'newest.sql'}"
    assert revision_of(fresh) == revision_of_plain(by_revisions) == NEWEST


def revision_of_plain(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_a_file_from_before_there_were_revisions_is_taken_over(tmp_path):
    """Every row is still there, and how far each run had come."""
    path = tmp_path / "candles.db"
    before_revisions(path)
    assert revision_of(path) == REVISIONS[0]
    database = open_database(path)
    candles = database.select("SELECT * FROM candles ORDER BY symbol")
    assert candles == [("A", "1m", 60000, 1.0, 2.0, 0.5, 1.5, 10.0, None, 3), ("B", "1s", 1000, 1.0, 2.0, 0.5, 1.5, 10.0, 1.2, 4)]
    progress = database.select("SELECT reader, partition, position, cursor, state FROM progress ORDER BY reader")
    assert progress == [("demo-1", 0, 42, b"", b""), ("demo-2", 0, 7, b"", b"")]
    database.close()
    assert revision_of(path) == NEWEST


def test_opening_at_the_newest_revision_needs_no_alembic(tmp_path):
    """Nor does making a new file: the platform starts a second sooner."""
    program = (
        "import sys; from pathlib import Path; from openbell.adapters.stores.database import open_database\n"
        "for _ in range(2): open_database(Path(sys.argv[1])).close()\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'sqlalchemy', 'alembic', 'psycopg', 'psycopg_pool'}))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "candles.db")], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_that_upgrade_at_once(tmp_path):
    """One does it, the other waits; both have the file."""
    path = tmp_path / "candles.db"
    before_revisions(path)
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(open_database, [path] * 4))
    for database in opened:
        assert len(database.select("SELECT * FROM progress")) == 2
        database.close()
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(open_database, [tmp_path / "fresh.db"] * 4))
    for database in opened:
        assert database.select("SELECT version_num FROM alembic_version") == [(NEWEST,)]
        database.close()


def test_a_newer_file_is_refused(tmp_path):
    """By its format, and by its revision should the format say nothing; not a byte is changed."""
    for change in ("PRAGMA user_version = 99", "UPDATE alembic_version SET version_num = '0099'"):
        path = tmp_path / f"{len(change)}.db"
        SqliteDatabase(path).close()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(change)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.read_bytes()
        with pytest.raises(StorageError, match=r"format 99|revision 0099"):
            SqliteDatabase(path)
        assert path.read_bytes() == before


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path):
    """All revisions are one transaction."""
    path = tmp_path / "candles.db"
    before_revisions(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alerts (x)")
    before = tables(path)
    with pytest.raises(StorageError, match="alerts"):
        SqliteDatabase(path)
    assert tables(path) == before
    assert revision_of(path) == REVISIONS[0]


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    """With the command that installs it, before anything is imported."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for ask in (open_database, revision_of, open_candles):
        with pytest.raises(ConfigError, match=r"driver is not installed; .*Install it: pip install 'openbell\[services\]'"):
            ask(Address())


def test_files_that_are_not_ours(tmp_path):
    """Another program's database, a text file, a folder that is a file: a StorageError each, and nothing is changed."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    (tmp_path / "text.db").write_text("hello, this is no database" * 100)
    (tmp_path / "file").write_text("")
    for path in ("other.db", "text.db", "file/candles.db"):
        with pytest.raises(StorageError) as failure:
            SqliteDatabase(tmp_path / path)
        assert isinstance(failure.value, JournalError) == path.endswith(("other.db", "text.db"))
    assert (tmp_path / "text.db").read_text().startswith("hello")
