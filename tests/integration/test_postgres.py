"""The tables on a PostgreSQL server: made, upgraded, refused; and what is said when the server is not to be had."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from openbell.adapters.stores.database import open_database, revision_of
from openbell.adapters.stores.postgres import PostgresDatabase, connect
from openbell.adapters.stores.revisions import NEWEST, REVISIONS
from openbell.errors import JournalError, StorageError
from tests.databases import address, empty_database, statement

pytestmark = pytest.mark.services


@pytest.fixture
def empty():
    """A database of this test's own."""
    with empty_database() as made:
        yield made


def test_an_empty_database_is_brought_to_the_newest_revision(empty):
    """By opening it; `revision_of` by itself changes nothing."""
    assert revision_of(empty) is None
    open_database(empty).close()
    assert revision_of(empty) == NEWEST
    comment = "SELECT col_description('candles'::regclass, 3)"
    assert statement(empty, comment) == [("start, ms since 1970 UTC",)]


def test_four_that_upgrade_at_once(empty):
    """One does it, the others wait; nobody fails."""
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(open_database, [empty] * 4))
    for database in opened:
        assert database.select("SELECT version_num FROM alembic_version") == [(NEWEST,)]
        database.close()


def test_an_older_database_is_upgraded_with_what_is_in_it(empty):
    """As it was at the first revision."""
    statement(empty, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    statement(empty, "INSERT INTO alembic_version VALUES (%s)", REVISIONS[0])
    statement(empty, "CREATE TABLE progress (run text PRIMARY KEY, commands bigint NOT NULL)")
    statement(empty, "INSERT INTO progress VALUES ('demo-1', 42)")
    database = open_database(empty)
    with pytest.raises(JournalError, match="not as openbell made them"):
        database.select("SELECT * FROM candles")
    database.close()
    assert statement(empty, "SELECT reader, partition, position FROM progress") == [("demo-1", 0, 42)]


def test_a_newer_database_is_refused(empty):
    """With what to do."""
    open_database(empty).close()
    statement(empty, "UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(StorageError, match=r"revision 0099; expected one up to \d+. Use the newer openbell"):
        open_database(empty)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"port": 9}, "does not answer .*; expected a PostgreSQL server that runs .* Start it"),
        ({"host": "nowhere.invalid"}, "does not answer"),
        ({"password": "wrong-secret"}, "refuses user openbell with this password; .* DB_PASSWORD"),
        ({"password": ""}, "refuses user openbell with this password"),
        ({"user": "nobody-of-ours"}, "refuses user nobody-of-ours with this password"),
        ({"name": "nowhere"}, "has no such database; expected one that exists. CREATE DATABASE nowhere OWNER openbell"),
    ],
)
def test_what_is_said_when_it_cannot_be_opened(change, problem):
    """What was found, what was expected, what to do; no password, and at once."""
    wrong = replace(address(), **change)
    with pytest.raises(StorageError, match=problem) as failure:
        open_database(wrong)
    for secret in {address().password, "wrong-secret"}:
        assert secret not in f"{failure.value} {failure.value!r} {wrong} {wrong!r}"


def test_a_user_without_the_rights(empty):
    """The table is named."""
    database = open_database(empty)
    statement(empty, f"REVOKE ALL ON orders FROM {empty.user}")
    with pytest.raises(StorageError, match=r"user openbell may not do that .*orders.*; expected a user with the rights"):
        database.select("SELECT * FROM orders")
    database.close()


def test_a_server_that_only_reads(empty):
    """A standby, or a database that was made read-only."""
    statement(empty, f"ALTER DATABASE {empty.name} SET default_transaction_read_only = on")
    with pytest.raises(StorageError, match=r"it only reads \(a standby\); .*primary"):
        open_database(empty)
    assert revision_of(empty) is None


def test_work_is_done_again_when_the_connection_breaks(empty):
    """From its beginning, in a transaction of its own; nothing of the first attempt is left."""
    database = PostgresDatabase(empty)
    seen = []

    def work(sql):
        seen.append(sql.repeated)
        sql.execute("INSERT INTO users (name, password_hash, role, created) VALUES (?, '', '', ?)", ("a", len(seen)))
        if len(seen) < 3:
            statement(empty, "SELECT pg_terminate_backend(%s)", *sql.select("SELECT pg_backend_pid()")[0])
            sql.select("SELECT 1")
        return len(seen)

    assert database.run(work) == 3
    assert seen == [False, True, True]
    assert database.select("SELECT name, created FROM users") == [("a", 3)]
    database.close()


def test_a_mistake_is_not_repeated(empty):
    """Only what may pass is done again."""
    database = PostgresDatabase(empty)
    calls = []

    def work(sql):
        calls.append(1)
        sql.select("SELECT nothing FROM nowhere")

    with pytest.raises(StorageError):
        database.run(work)
    assert len(calls) == 1
    database.close()
    database.close()


def test_two_in_each_others_way(empty):
    """A deadlock ends one of two transactions; it is done again, and both come to their end."""
    database = PostgresDatabase(empty)
    insert = "INSERT INTO users (name, password_hash, role, created) VALUES (?, '', '', 0)"
    database.run(lambda sql: sql.many(insert, [("a",), ("b",)]))
    meet = threading.Barrier(2)
    first = {"a": True, "b": True}

    def raise_both(order):
        def work(sql):
            sql.execute("UPDATE users SET created = created + 1 WHERE name = ?", order[:1])
            if first[order[0]]:
                first[order[0]] = False
                meet.wait(20)
            sql.execute("UPDATE users SET created = created + 1 WHERE name = ?", order[1:])

        database.run(work)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(raise_both, (("a", "b"), ("b", "a"))))
    assert database.select("SELECT created FROM users") == [(2,), (2,)]
    database.close()


def test_locks_of_a_machine_that_fell_silent_are_freed(empty):
    """The server asks after a silent client, so that its locks do not stay for hours."""
    with connect(empty) as connection:
        settings = {name: connection.execute(f"SHOW tcp_keepalives_{name}").fetchone()[0] for name in ("idle", "interval", "count")}
    assert int(settings["idle"]) + int(settings["interval"]) * int(settings["count"]) <= 15
